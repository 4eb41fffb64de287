"""Walks through the pages for users in a real browser, as a user does, and checks each of them.

Chromium breaks accounts and tokens with the buttons of the console, opens reconnect links, and goes through digi.me's pages
and back. Each page must be free of the errors that axe finds, in light and in dark mode, and must not scroll sideways on a
phone, on a desktop, or on a desktop at 200 %. A page that has an address is also shown in Dutch and in German, whose words are
long. With a folder as its argument, the script also saves a picture of each page there.

Most journeys have a return URL: the browser comes back to the application, and the page that a link shows afterwards is
opened by its address. One local system has none: there, each journey ends on a page of the service.
"""

import base64
import importlib.resources
import itertools
import json
import pathlib
import sys
import time
import urllib.parse
import urllib.request

from chromium import Checks, browser, send, until
from local_system import local_system

AXE = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
RUN_AXE = """
const [done] = arguments;
axe.run().then((found) => done(found.violations), (error) => done([String(error)]));
"""
SCHEMES = ["light", "dark"]
# The width and the height of a phone, of a desktop and of one at 200 %, and how many pixels of the screen one of theirs takes.
SIZES = {"phone": (390, 844, 1), "desktop": (1280, 900, 1), "zoomed": (640, 450, 2)}
# The other languages that each page is shown in, and the sizes and schemes for these.
LANGUAGES, SIZES_OF_LANGUAGES, SCHEMES_OF_LANGUAGES = ["nl", "de"], {"phone": SIZES["phone"], "desktop": SIZES["desktop"]}, ["light"]
# The keys of these names, in WebDriver.
TAB, ENTER = "\ue004", "\ue007"
NOT_NOW, NOT_USED = "Not now", "I no longer use this"
RENEW, NOT_RENEWED = "Renew the connection to Meadow Bank", "The connection to Meadow Bank was not renewed"
# The buttons of the page of one account.
ALONE = ["Reconnect Meadow Bank", NOT_NOW, NOT_USED]
BANK, HOSPITAL = "1_demo-bank", "2_demo-hospital"
AUTHORIZE, CANCEL = "//button[.='Authorize']", "//button[.='Cancel']"
RETURNED = "//h1[.='Back at the application']"
# digi.me's pages for a user and for an account.
USER_PAGE, ACCOUNT_PAGE = "//h1[.='Confirm your consent again']", "//h1[.='Reconnect your account']"


class Walk:
    """A new local system and the browser."""

    def __init__(self, check, chromium, addresses, pictures):
        self.check, self.chromium, self.pictures = check, chromium, pictures
        self.api, self.digime = addresses["API"], addresses["digi.me"]
        self.accept("en")

    def accept(self, language):
        """From now on, the browser asks for pages in this language."""
        agent = self.chromium.run("return navigator.userAgent")
        self.chromium.devtools("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=language)

    def ends(self, account, days):
        """The source's authorization ends in so many days, and the application lists the accounts."""
        ends_at = int((time.time() + days * 86_400) * 1000)
        url = f"{urllib.parse.urljoin(self.digime, '/')}_simulator/accounts/{account}/expires-at"
        body, kind = json.dumps({"expiresAt": ends_at}).encode(), {"content-type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(url, body, kind, method="PUT"), timeout=60).close()
        send(f"{self.api}/users/demo-user/accounts?refresh=true")

    def console(self, *buttons):
        """Presses buttons of the console: a name, or a name and a target."""
        for button in buttons:
            name, target = button if isinstance(button, tuple) else (button, "")
            form = urllib.parse.urlencode({"user": "demo-user", "target": target}).encode()
            urllib.request.urlopen(f"{self.api}/console/control/{name}", form, timeout=60).close()

    def account(self, account):
        return send(f"{self.api}/users/demo-user/accounts/{account}")

    def grant(self):
        return send(f"{self.api}/users/demo-user/accounts")["grants"][0]["status"]

    def link(self, account):
        """The account's reconnect link, which is there a moment after the read."""
        until(lambda: "reconnectUrl" in self.account(account))
        return self.account(account)["reconnectUrl"]

    def press(self, button, result):
        self.check(f"{button} leads to {result}", self.chromium.press(button, result), self.chromium.get("/url"))

    def ended(self, **expected):
        """What the return URL says. Returns the id of the reauthorization."""
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.chromium.get("/url")).query))
        seen = {name: query.get(name) for name in expected}
        self.check(f"the application learns {expected}", seen == expected, query)
        return query.get("reauthorizationId")

    def page(self, name, title, *texts, buttons=()):
        """Checks the page that the browser shows."""
        shown = self.chromium.run("return document.querySelector('main').innerText")
        heading = self.chromium.run("return document.querySelector('h1').innerText")
        self.check(f"{name}: the title", heading == title, heading)
        missing = [text for text in texts if text not in shown]
        self.check(f"{name}: the text", not missing, (missing, shown))
        labels = self.chromium.run("return [...document.querySelectorAll('button')].map((one) => one.innerText)")
        self.check(f"{name}: the buttons", labels == list(buttons), labels)
        primary = self.chromium.run("return document.querySelectorAll(':is(button, a.button):not(.secondary, .quiet)').length")
        self.check(f"{name}: one primary button at most", primary <= 1, primary)
        self.inspect(name)
        self.reach(name)
        # A callback or the answer to a button is shown once.
        # The outcome of a reauthorization has the language in which it began.
        if "/reconnect/" in self.chromium.get("/url") and "ended=" not in self.chromium.get("/url") and self.chromium.run("return performance.getEntriesByType('navigation')[0].name === location.href && document.forms.length > 0"):
            self.translated(name, title)

    def translated(self, name, title):
        """The same page in other languages."""
        address = self.chromium.get("/url")
        for language in LANGUAGES:
            self.accept(language)
            self.chromium.visit(address)
            shown = self.chromium.run("return [document.documentElement.lang, document.querySelector('h1').innerText]")
            self.check(f"{name}: in {language}", shown[0] == language and shown[1] != title, shown)
            self.inspect(f"{name}, {language}", SIZES_OF_LANGUAGES, SCHEMES_OF_LANGUAGES)
        self.accept("en")
        self.chromium.visit(address)

    def reach(self, name):
        """Reaches the first link or button with the keyboard, if there is one: it must show that it has the focus."""
        if self.chromium.run("return document.querySelector('main :is(a, button)') === null"):
            return
        self.chromium.type(TAB)
        outline = self.chromium.run("return getComputedStyle(document.activeElement).outline")
        self.check(f"{name}: the focus is visible", "solid 3px" in outline, outline)
        self.picture(f"{name}, focus")

    def picture(self, name):
        if self.pictures:
            picture = self.chromium.devtools("Page.captureScreenshot", captureBeyondViewport=True)["data"]
            (self.pictures / f"{name}.png").write_bytes(base64.b64decode(picture))

    def inspect(self, name, sizes=SIZES, schemes=SCHEMES):
        """Looks for errors of accessibility and for what is too wide, at each size and in each mode."""
        chromium = self.chromium
        chromium.run(AXE)
        for (size, (width, height, scale)), scheme in itertools.product(sizes.items(), schemes):
            chromium.devtools(
                "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
            )
            feature = {"name": "prefers-color-scheme", "value": scheme}
            chromium.devtools("Emulation.setEmulatedMedia", features=[feature])
            where = f"{name}, {size}, {scheme}"
            violations = chromium.post("/execute/async", script=RUN_AXE, args=[])
            self.check(f"{where}: axe", not violations, violations)
            wide = chromium.run("return [document.documentElement.scrollWidth, innerWidth]")
            self.check(f"{where}: no scrolling sideways", wide[0] <= wide[1] == width, wide)
            self.picture(where)


def mend_everything(walk):
    """A dead refresh token and two accounts: digi.me's user page leads on to the account that waits the longest."""
    walk.console(("break", BANK), "read", ("break", HOSPITAL), "read", "kill-refresh", "expire-access", "read")
    link = walk.link(BANK)
    walk.link(HOSPITAL)
    until(lambda: walk.grant() == "user_reauthorization_required")
    walk.check("the grant needs the user", walk.grant() == "user_reauthorization_required", walk.grant())
    walk.chromium.visit(link)
    buttons = ["Reconnect to digi.me", "Reconnect Meadow Bank", NOT_USED, "Reconnect St. Clement's Hospital", NOT_USED, NOT_NOW]
    walk.page("much to mend", "Reconnect your accounts", "al•••••an", "MR•••••03", buttons=buttons)
    walk.press("//button[.='Reconnect to digi.me']", USER_PAGE)
    walk.press(AUTHORIZE, ACCOUNT_PAGE)
    walk.check("the grant is renewed", walk.grant() == "active", walk.grant())
    title = "Reconnect St. Clement's Hospital"
    walk.press(AUTHORIZE, f'//h1[.="{title}"]')
    texts = ["Meadow Bank is connected.", "One step is left.", "Back to Demo Application"]
    walk.page("back for the rest", title, *texts, buttons=[title, NOT_NOW, NOT_USED])
    walk.chromium.visit(link)
    walk.page("one account left", title, "Meadow Bank is connected.", buttons=[title, NOT_NOW, NOT_USED])
    walk.press(f'//button[.="{title}"]', ACCOUNT_PAGE)
    walk.press(AUTHORIZE, RETURNED)
    walk.ended(status="succeeded", accountId=HOSPITAL)
    walk.inspect("back at the application")
    walk.chromium.visit(link)
    done = ["Meadow Bank is connected.", "St. Clement's Hospital is connected.", "Back to Demo Application"]
    walk.page("all set", "All set", *done)


def start_again(walk):
    """The journey fails in several ways, and each time the link's page says so and lets the user start again."""
    walk.console(("break", BANK), "read", "kill-refresh", "expire-access", "read")
    link = walk.link(BANK)
    buttons = ["Reconnect to digi.me", "Reconnect Meadow Bank", NOT_USED, NOT_NOW]
    for name, button, code, text in [
        ("another person", "Authorize as this user", "WRONG_USER", "You signed in to digi.me as another person."),
        ("a used code", "A code that has been used", "INVALID_CODE", "The page was open for too long"),
        ("a cancelled sign-in", "Cancel", "USER_CANCEL", "You cancelled. Nothing was changed."),
    ]:
        walk.chromium.visit(link)
        walk.press("//button[.='Reconnect Meadow Bank']", USER_PAGE)
        walk.press(f"//button[.='{button}']", RETURNED)
        ended = walk.ended(status="failed", errorCode=code)
        walk.chromium.visit(f"{link}?ended={ended}")
        walk.page(name, "Reconnect your accounts", text, buttons=buttons)
    walk.check("the grant still needs the user", walk.grant() == "user_reauthorization_required", walk.grant())
    walk.press("//button[.='Reconnect Meadow Bank']", USER_PAGE)
    walk.press(AUTHORIZE, ACCOUNT_PAGE)
    walk.press(CANCEL, RETURNED)
    ended = walk.ended(status="failed", errorCode="USER_CANCEL", accountId=BANK)
    walk.chromium.visit(f"{link}?ended={ended}")
    walk.page("a cancelled account", "Reconnect Meadow Bank", "You cancelled at Meadow Bank.", buttons=ALONE)
    walk.press("//button[.='Reconnect Meadow Bank']", ACCOUNT_PAGE)
    walk.press(AUTHORIZE, RETURNED)
    walk.ended(status="succeeded", accountId=BANK)
    walk.chromium.visit(link)
    walk.page("healed", "All set", "Meadow Bank is connected.")


def connection_alone(walk):
    """A dead refresh token without an account in need. The link is in the event of the user."""
    walk.console("kill-refresh", "expire-access", "read")
    walk.chromium.visit(f"{walk.api}/console/users/demo-user")
    button = "//button[.='Reconnect to digi.me']"
    walk.press("//a[.='Reconnect link']", button)
    link = walk.chromium.get("/url")
    walk.page("digi.me alone", "Reconnect to digi.me", buttons=["Reconnect to digi.me"])
    walk.press(button, USER_PAGE)
    walk.press(AUTHORIZE, RETURNED)
    walk.ended(status="succeeded", accountId=None)
    walk.chromium.visit(link)
    walk.page("digi.me again", "All set", "You are connected to digi.me.")


def another_browser(walk):
    """The callback comes to a browser that did not start the reauthorization: it is not redirected to the application."""
    walk.console(("break", BANK), "read")
    link = walk.link(BANK)
    for name, button, title, text in [
        ("failed elsewhere", "Cancel", "Meadow Bank is not connected", "You cancelled. Nothing was changed."),
        ("refused elsewhere", "ONBOARD_ERROR", "Meadow Bank is not connected", "Reference for support: ONBOARD_ERROR"),
        ("succeeded elsewhere", "Authorize", "Meadow Bank is connected", "Back to Demo Application"),
    ]:
        walk.chromium.visit(link)
        walk.press("//button[.='Reconnect Meadow Bank']", ACCOUNT_PAGE)
        walk.chromium.forget()
        walk.press(f"//button[.='{button}']", f"//h1[.='{title}']")
        walk.page(name, title, text)
    walk.console(("break", BANK), "read", "kill-refresh", "expire-access", "read")
    walk.chromium.visit(walk.link(BANK))
    walk.press("//button[.='Reconnect Meadow Bank']", USER_PAGE)
    walk.chromium.forget()
    walk.press(AUTHORIZE, "//h1[.='Almost done']")
    walk.page("signed in elsewhere", "Almost done", "You are connected to digi.me again.")


def dead_end(walk):
    """digi.me no longer knows the user. That shows when the user presses the button."""
    walk.console(("break", BANK), "read", "revoke-tokens", "read")
    walk.chromium.visit(walk.link(BANK))
    title = "Connect again from Demo Application"
    walk.press("//button[.='Reconnect Meadow Bank']", f"//h1[.='{title}']")
    texts = ["cannot be renewed from this page", "Meadow Bank", "Back to Demo Application"]
    walk.page("dead end", title, *texts, buttons=[NOT_USED, NOT_NOW])
    walk.press(f"//button[.='{NOT_USED}']", "//h1[.='You no longer use Meadow Bank']")
    walk.page("dead end, not used", "You no longer use Meadow Bank", "You get no more reminders")


def not_confirmed(walk):
    """digi.me does not say whether the account is authorized."""
    walk.console(("break", BANK), "read", "status-absent")
    link = walk.link(BANK)
    walk.chromium.visit(link)
    walk.press("//button[.='Reconnect Meadow Bank']", ACCOUNT_PAGE)
    walk.press(AUTHORIZE, RETURNED)
    walk.ended(status="verifying")
    walk.chromium.visit(link)
    texts = ["We are checking your connection.", "Back to Demo Application"]
    walk.page("checking", "Checking Meadow Bank", *texts, buttons=["Reconnect again"])


def refusals(walk):
    """The pages that lead nowhere, or only later."""
    walk.chromium.visit(f"{walk.api}/reconnect/")
    walk.page("no such link", "This link does not work", "Nothing was changed.")
    walk.chromium.visit(f"{walk.api}/callback")
    walk.page("a callback without a state", "This page can no longer be used", "Nothing was changed.")
    walk.console(("break", BANK), "read")
    link = walk.link(BANK)
    button = "//button[.='Reconnect Meadow Bank']"
    walk.console("failing")
    walk.chromium.visit(link)
    walk.press(button, "//h1[.='Something went wrong on our side']")
    walk.page("digi.me fails", "Something went wrong on our side", "You did nothing wrong.", "Reference for support")
    walk.console("normal")
    for _ in range(5):
        walk.chromium.visit(link)
        walk.press(button, ACCOUNT_PAGE)
    walk.chromium.visit(link)
    walk.press(button, "//h1[.='Too many attempts']")
    walk.page("too many attempts", "Too many attempts", "Try again in")


def without_return_url(walk):
    """A journey from a link ends on the page of the link, one from the application's own URL on a page of its own."""
    walk.console(("break", BANK), "read")
    walk.chromium.visit(walk.link(BANK))
    button, cancelled = "//button[.='Reconnect Meadow Bank']", "//p[.='You cancelled. Nothing was changed.']"
    walk.press(button, ACCOUNT_PAGE)
    walk.press(CANCEL, cancelled)
    walk.page("back after a cancellation", "Reconnect Meadow Bank", buttons=ALONE)
    walk.press(button, ACCOUNT_PAGE)
    walk.press(AUTHORIZE, "//h1[.='All set']")
    walk.page("back after a success", "All set", "Meadow Bank is connected.")
    for name, decision, title, text in [
        ("cancelled without a link", CANCEL, NOT_RENEWED, "Your connection works until"),
        ("refused without a link", "//button[.='ONBOARD_ERROR']", NOT_RENEWED, "Your connection works until"),
        ("succeeded without a link", AUTHORIZE, "Meadow Bank is connected", "can keep using your data"),
    ]:
        own_url(walk, name, decision, title, text)
    walk.console("status-absent")
    own_url(walk, "checking without a link", AUTHORIZE, "Checking Meadow Bank", "We are checking your connection.")


def own_url(walk, name, decision, title, text):
    """A reauthorization that the application creates, and how it ends."""
    created = send(f"{walk.api}/users/demo-user/accounts/{BANK}/reauthorizations", "POST", body="{}")
    walk.chromium.visit(created["url"])
    walk.press(decision, f"//h1[.='{title}']")
    walk.page(name, title, text)


def with_the_keyboard(walk):
    """A user without a mouse, to whom the page shows the logos of the application and of the bank."""
    walk.console(("break", BANK), "read")
    link = walk.link(BANK)

    def logos():
        walk.chromium.visit(link)
        return walk.chromium.run("return [...document.images].every((one) => one.naturalWidth > 0) && document.images.length") == 2

    # The sweep fetches them. A page remembers for a minute that there is none.
    walk.check("the logos are shown", until_minutes(logos), walk.chromium.run("return document.images.length"))
    walk.page("with logos", "Reconnect Meadow Bank", "What happens next", "We never see your password.", "al•••••an", buttons=ALONE)
    walk.chromium.visit(link)
    reached = []
    for _ in range(4):
        walk.chromium.type(TAB)
        reached.append(walk.chromium.run("return document.activeElement.innerText"))
    walk.check("the keyboard reaches each button and the support", reached == [*ALONE, "Get help from Demo Application"], reached)
    walk.chromium.visit(link)
    walk.chromium.type(TAB)
    walk.chromium.type(ENTER)
    until(lambda: walk.chromium.post("/elements", using="xpath", value=ACCOUNT_PAGE))
    walk.press(AUTHORIZE, RETURNED)
    walk.ended(status="succeeded", accountId=BANK)


def until_minutes(condition):
    """As `until`, for up to two minutes."""
    return any(until(condition) for _ in range(4))


def not_now(walk):
    """The user reconnects later, or not at all, and changes their mind."""
    walk.console(("break", BANK), "read")
    link = walk.link(BANK)
    walk.chromium.visit(f"{link}?choose=postpone")
    walk.page("later?", "Reconnect Meadow Bank later?", "You get no reminder for 7 days. You can still reconnect at any time.", "Reconnect now instead", buttons=[NOT_NOW])
    walk.press(f"//button[.='{NOT_NOW}']", "//h1[.='No reminder for now']")
    walk.page("later", "No reminder for now", "You get no reminder before", "Back to Demo Application")
    walk.chromium.visit(f"{link}?choose=dismiss")
    walk.page("not used?", "Do you no longer use Meadow Bank?", "You can reconnect it later.", buttons=[NOT_USED])
    walk.press(f"//button[.='{NOT_USED}']", "//h1[.='You no longer use Meadow Bank']")
    walk.page("not used", "You no longer use Meadow Bank", "You get no more reminders", "Back to Demo Application")
    walk.press("//a[.='Reconnect now instead']", "//button[.='Reconnect Meadow Bank']")
    walk.page("not used any more", "You no longer use Meadow Bank", buttons=["Reconnect Meadow Bank"])
    walk.press("//button[.='Reconnect Meadow Bank']", ACCOUNT_PAGE)
    walk.press(AUTHORIZE, RETURNED)
    walk.ended(status="succeeded", accountId=BANK)


def ends_soon(walk):
    """Two connections: one has ended, and one ends soon. Both are renewed, and a cancelled renewal changes nothing."""
    walk.ends(BANK, 10)
    walk.console(("break", HOSPITAL), "read")
    link = walk.link(HOSPITAL)
    walk.chromium.visit(link)
    hospital = "Reconnect St. Clement's Hospital"
    texts = ["Reconnect what has ended", "Works until"]
    walk.page("one ended, one ends", "Reconnect your accounts", *texts, buttons=[hospital, NOT_USED, RENEW, NOT_NOW])
    walk.press(f'//button[.="{hospital}"]', ACCOUNT_PAGE)
    walk.press(AUTHORIZE, f"//h1[.='{RENEW}']")
    walk.chromium.visit(link)
    walk.page("one ends", RENEW, "It works until then.", "is connected.", buttons=[RENEW])
    walk.press(f"//button[.='{RENEW}']", ACCOUNT_PAGE)
    walk.press(CANCEL, RETURNED)
    ended = walk.ended(status="failed", errorCode="USER_CANCEL", accountId=BANK)
    walk.chromium.visit(f"{link}?ended={ended}")
    walk.page("a cancelled renewal", RENEW, "You cancelled. Nothing was changed.", "Your connection works until", buttons=[RENEW])


WALKS = [mend_everything, start_again, connection_alone, another_browser, dead_end, not_confirmed, refusals, without_return_url, with_the_keyboard, not_now, ends_soon]
# What the local system of a walk is started with.
OPTIONS = {without_return_url: ["--no-return-url"]}


def main(pictures=None):
    check, pictures = Checks(), pictures and pathlib.Path(pictures)
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
    with browser() as chromium:
        # As on a phone, where they take no room.
        chromium.devtools("Emulation.setScrollbarsHidden", hidden=True)
        for walk in WALKS:
            with local_system(*OPTIONS.get(walk, [])) as addresses:
                try:
                    walk(Walk(check, chromium, addresses, pictures))
                except OSError as error:
                    check(walk.__name__, False, error)
    print(f"{check.passed} passed, {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
