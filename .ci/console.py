"""Drives the console in a real browser, as a developer does: the five steps of a timeline, search and pages of lists, a
notification that is sent again, a webhook that is disabled and enabled, a dead letter, what stays over a refresh, commands that are copied.

Each page must be free of the errors that axe finds, in light and in dark mode, on a phone, on a desktop and at 200 % zoom,
and must not scroll sideways. With a folder as its argument, the script also saves a picture of each page there.
"""

import http.server
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.parse

import pages
from chromium import Checks, browser, send, until
from local_system import local_system

USER, BANK, HOSPITAL = "demo-user", "1_demo-bank", "2_demo-hospital"
# At 200 % zoom, a window of 1,280 pixels is 640 wide.
SIZES = {"phone": (390, 844, 1), "desktop": (1280, 900, 1), "zoom": (640, 450, 2)}
# The key of that name, in WebDriver.
ENTER = "\ue007"
STEPS = """
return [...document.querySelectorAll('.episode:first-of-type .timeline li')]
  .map((step) => [step.querySelector('.name').innerText, step.className, step.querySelector('.note').innerText]);
"""


class Walk(pages.Walk):
    """A new local system and the browser."""

    def __init__(self, check, chromium, addresses, pictures):
        super().__init__(check, chromium, addresses, pictures)
        self.control = addresses["digi.me"].replace("/v1.7/", "/_simulator/")
        self.aws = addresses["AWS"]

    def open(self, path):
        self.chromium.visit(f"{self.api}{path}")

    def text(self, selector="main"):
        return self.chromium.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def shows(self, name, *texts, selector="main"):
        """Waits until the page shows the texts. Nobody reloads it."""
        met = until(lambda: all(text in self.text(selector) for text in texts))
        self.check(f"{name}: {texts}", met, met or self.text(selector))

    def click(self, button):
        """Presses a button of the page, which stays."""
        self.chromium.run("document.documentElement.dataset.same = '1'")
        path = f"//button[.='{button}']"
        element = self.chromium.post("/element", using="xpath", value=path)
        self.chromium.post(f"/element/{next(iter(element.values()))}/click")

    def steps(self, name, *expected):
        """The classes of the five steps of the newest episode, and their notes."""
        names = ["Lost", "Told", "Clicked", "Returned"]

        def classes():
            return [step[1] for step in self.chromium.run(STEPS)]

        met = until(lambda: classes() == list(expected))
        seen = self.chromium.run(STEPS)
        self.check(f"{name}: {' → '.join(expected)}", met, seen)
        self.check(f"{name}: the names of the steps", [step[0] for step in seen][:4] == names, seen)
        return [step[2] for step in seen]

    def look(self, name, *paths):
        for path in paths:
            self.open(path)
            self.inspect(f"{name} {path.split('?')[0].replace('/', ' ').strip()}"[:80], sizes=SIZES)

    def events(self):
        """The ids of the notifications that the page lists."""
        return self.chromium.run("return [...document.querySelectorAll('a.event')].map((one) => one.href.split('/').pop())")


def timeline(walk):
    """Lost, told, clicked, returned, verified; and the other ends. The page of the account stays open meanwhile."""
    account = f"/console/users/{USER}/accounts/{BANK}"
    walk.open(account)
    walk.shows("a healthy account", "It never needed its user.", "Meadow Bank")
    walk.click("Break")
    walk.shows("a broken account", "not authorized at the source")
    walk.shows("the notice", "The source withdrew its authorization.", selector="#notice")
    walk.click("Run a read")
    walk.steps("told", "done", "current", "open", "open", "open")
    walk.check("the page was not left", walk.chromium.run("return document.documentElement.dataset.same") == "1")
    walk.look("told", account)
    walk.open("/")
    walk.shows("the overview names the user", USER, "Meadow Bank", "not clicked yet", selector="#attention")
    walk.shows("the funnel", "Meadow Bank", selector="#funnel")
    link = walk.link(BANK)
    walk.chromium.visit(link)
    walk.press("//button[.='Reconnect Meadow Bank']", pages.ACCOUNT_PAGE)
    page = walk.chromium.get("/url")
    walk.open(account)
    walk.steps("clicked", "done", "done", "current", "open", "open")
    walk.chromium.visit(page)
    walk.press(pages.CANCEL, pages.RETURNED)
    walk.open(account)
    notes = walk.steps("cancelled", "done", "done", "done", "failed", "open")
    walk.check("the failure is named", "USER_CANCEL" in notes[3], notes)
    walk.look("cancelled", "/", account)
    walk.chromium.visit(link)
    walk.press("//button[.='Reconnect Meadow Bank']", pages.ACCOUNT_PAGE)
    walk.press(pages.AUTHORIZE, pages.RETURNED)
    walk.press("//a[.='To the account']", "//h2[starts-with(., 'Episodes')]")
    notes = walk.steps("verified", "done", "done", "done", "done", "done")
    walk.check("digi.me confirmed it", "digi.me confirmed the callback" in notes[4], notes)
    walk.shows("the other attempt", "1 other attempt")
    walk.look("verified", account, f"/console/users/{USER}")

    walk.console(("break", HOSPITAL), "read")
    walk.link(HOSPITAL)
    url = send(f"{walk.api}/users/{USER}/accounts/{HOSPITAL}/reauthorizations", "POST", body="{}")["url"]
    hospital = f"/console/users/{USER}/accounts/{HOSPITAL}"
    walk.open(hospital)
    notes = walk.steps("the application's URL", "done", "done", "current", "open", "open")
    walk.check("a URL of the application has no click", "URL created by the application" in notes[2], notes)
    walk.console("status-absent")
    walk.chromium.visit(url)
    walk.press(pages.AUTHORIZE, pages.RETURNED)
    walk.open(hospital)
    walk.steps("verifying", "done", "done", "done", "done", "current")
    walk.console("status-reported", ("break", BANK), "read")
    walk.link(BANK)
    walk.console(("mend", BANK), "read")
    walk.open(account)
    notes = walk.steps("mended elsewhere", "done", "done", "skipped", "skipped", "done")
    walk.check("nobody clicked", "without a reauthorization" in notes[4], notes)
    walk.shows("the name of the last step", "Mended elsewhere")

    walk.console("kill-refresh", "expire-access", "read")
    walk.open(f"/console/users/{USER}")
    walk.shows("the grant beside the accounts", "user_reauthorization_required", "Reconnect link", selector="#grants")
    walk.open(f"/console/users/{USER}/grants/demo-contract")
    walk.steps("the grant", "done", "current", "open", "open", "open")
    walk.console("store-grant")
    notes = walk.steps("the new grant", "done", "done", "skipped", "skipped", "done")
    walk.check("the application stored it", "the application stored a new pair" in notes[4], notes)


def many(walk):
    """300 users with an account each that has to be mended: search, filters, and lists that end with their page."""
    entry = {"state": "partial", "error": {"code": "ServiceAuthorizationError", "statusCode": 511}}
    for number in range(300):
        body = {"contractId": "demo-contract", "readResult": {f"7_account-{number:03}": entry}}
        send(f"{walk.api}/users/user-{number:03}/read-results", "POST", body=json.dumps(body))
    walk.open("/")
    walk.shows("everyone needs attention", "Needs attention 300", selector="#attention")
    walk.look("many", "/", "/console/users", "/console/notifications")
    rows = "return [...document.querySelectorAll('#attention .user')].map((one) => one.innerText)"
    walk.open("/")
    first = walk.chromium.run(rows)
    walk.check("a page of 20, each with its user", len(first) == len(set(first)) == 20, first)
    ages = "return [...document.querySelectorAll('#attention .age time')].map((one) => one.dateTime)"
    shown = walk.chromium.run(ages)
    walk.check("oldest first", shown == sorted(shown), shown)
    walk.press("//section[@id='attention']//a[.='Next →']", "//section[@id='attention']//a[.='← Previous']")
    second = walk.chromium.run(rows)
    walk.check("the next page holds others", len(second) == 20 and not set(first) & set(second), second)
    walk.open("/?page=15")
    walk.check("the last page ends there", "Next" not in walk.text("#attention .pager"), walk.text("#attention .pager"))
    found = "return [...document.querySelectorAll('#found .row')].map((one) => one.innerText.split('\\n')[0])"
    for text, expected in [("USER-007", ["user-007"]), ("account-299", ["user-299"]), ("meadow", [USER]), ("nobody", [])]:
        walk.open("/console/users")
        box = walk.chromium.post("/element", using="css selector", value=".search input")
        walk.chromium.post(f"/element/{next(iter(box.values()))}/value", text=text + "\ue007")
        until(lambda: "q=" in walk.chromium.get("/url"))
        walk.check(f"a search for {text}", walk.chromium.run(found) == expected, walk.chromium.run(found))
    walk.open("/?service=nothing&step=told")
    walk.shows("a filter", "Needs attention 0", "Show all 300", selector="#attention")


class Receiver(http.server.BaseHTTPRequestHandler):
    events = []
    status = 204

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.events.append(json.loads(body))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_):
        pass


def notification(walk):
    """A notification opens to its payload, its receivers and its link, and is sent again."""
    walk.console(("break", BANK), "read")
    walk.check("the webhook gets the event", until(lambda: len(Receiver.events) == 1), Receiver.events)
    event = Receiver.events[0]
    path = f"/console/notifications/{event['data']['eventId']}"
    walk.open("/console/notifications")
    walk.press("//a[.='account.reauthorization_required']", "//h2[.='Who took it']")
    walk.check("the list leads to the notification", walk.chromium.get("/url").endswith(path), walk.chromium.get("/url"))
    walk.shows("the webhook and the topic took it", "Topic", "Webhook", "took it", selector="#receivers")
    until(lambda: walk.text("#receivers dl").count("took it") == 2)
    walk.check("each once", walk.text("#receivers dl").count("took it") == 2, walk.text("#receivers"))
    walk.check("the payload as it was delivered", json.loads(walk.text("pre.payload")) == event, walk.text("pre.payload"))
    walk.shows("the link", "live", event["data"]["reconnectUrl"], selector="#link")
    walk.look("notification", path)
    walk.open(path)
    walk.click("Send again")
    walk.check("the webhook gets it again", until(lambda: len(Receiver.events) == 2), Receiver.events)
    walk.check("the same event", Receiver.events[1] == event, Receiver.events)
    until(lambda: walk.text("#receivers dl").count("took it") == 4)
    walk.check("both took it twice", walk.text("#receivers dl").count("took it") == 4, walk.text("#receivers"))
    walk.chromium.visit(event["data"]["reconnectUrl"])
    walk.press("//button[.='Reconnect Meadow Bank']", pages.ACCOUNT_PAGE)
    digime = walk.chromium.get("/url")
    walk.open(path)
    walk.shows("a used link", "used", "First used", selector="#link")
    walk.chromium.visit(digime)
    walk.press(pages.AUTHORIZE, pages.RETURNED)
    walk.open(path)
    walk.shows("a link that is over", "over", "mended", selector="#link")


def webhook(walk):
    """An endpoint that answers 410 is disabled. It is tested and enabled, and the event that waited comes."""
    Receiver.events.clear()
    Receiver.status = 410
    walk.open("/")
    walk.shows("a new endpoint is active", "active", "none yet", selector="#webhook")
    walk.console(("break", BANK), "read")
    walk.open("/")
    walk.shows("it is disabled, and the operator was told", "disabled", "it answered 410", "webhook.disabled", selector="#webhook")
    walk.click("Send a test event")
    walk.shows("a test that fails", "did not accept the test event: 410", selector="#notice")
    walk.check("the test event was posted", Receiver.events[-1]["type"] == "webhook.test", Receiver.events)
    walk.look("webhook", "/")
    walk.open("/console/notifications")
    walk.press("//a[.='account.reauthorization_required']", "//h2[.='Who took it']")
    walk.shows("the post", "answered 410", "on its way", selector="#receivers")
    Receiver.status = 204
    walk.open("/")
    walk.click("Send a test event")
    walk.shows("a test that succeeds", "accepted a test event", selector="#notice")
    walk.click("Enable")
    walk.shows("it is active again, and the operator was told", "active", "webhook.recovered", selector="#webhook")
    before = len(Receiver.events)
    put_clock(walk, {"advance": "1h"})
    walk.check("the event that waited comes", until(lambda: len(Receiver.events) > before), Receiver.events)
    walk.shows("nothing waits, and it has succeeded", "Waiting\n0", selector="#webhook")


def outages(walk):
    """Many accounts of one service break, and are mended. The operator is told once."""
    walk.open("/")
    walk.shows("no service was down", "No service has been down", selector="#outages")
    walk.click("Break 120 accounts of Meadow Bank")
    walk.shows("the accounts broke", "120 users have an account that broke", selector="#notice")
    walk.shows("the service is probably down, and the operator was told", "Meadow Bank", "probably down", "service.outage_suspected", selector="#outages")
    walk.look("outages", "/")
    walk.click("Mend them")
    put_clock(walk, {"advance": "3h"})
    walk.shows("it has ended, and the operator was told", "ended", "120 accounts broke", "service.outage_ended", selector="#outages")


def mails(walk):
    """A user with a contact gets a mail, which is shown as it looks. It bounces, and mails stop."""
    walk.open("/console/mails")
    walk.shows("no mail was sent", "No mail was sent", selector="#mails")
    grant = f"{walk.api}/users/{USER}/grants/demo-contract"
    pair = json.loads(send_text(grant))
    body = json.dumps({"userAccessToken": pair, "contact": {"email": "ann@example.org", "locale": "en"}}).encode()
    urllib.request.urlopen(urllib.request.Request(grant, body, method="PUT"), timeout=30).close()
    walk.open(f"/console/users/{USER}")
    walk.shows("the contact, masked", "@ex", "active", selector="#contact")
    walk.console(("break", BANK), "read")
    # At noon of the next day: mails are not sent at night.
    hour = int(json.loads(send_text(f"{walk.api}/_local/clock"))["now"][11:13])
    put_clock(walk, {"advance": f"{36 - hour}h"})
    walk.open("/console/notifications")
    walk.shows("the event was published", "account.reauthorization_required")
    walk.open("/console/mails")
    # The event may have come after the clock was moved.
    for _ in range(3):
        put_clock(walk, {"advance": "15m"})
        if until(lambda: "ann@example.org" in walk.text("#mails")):
            break
    walk.shows("the mail", "Meadow Bank", "ann@example.org", selector="#mails")
    walk.press("//section[@id='mails']//li//a", "//h2[.='As it looks']")
    frame = walk.chromium.run("return document.querySelector('iframe').src")
    walk.check("the mail brings its own styles into a frame that can do nothing", "<style" in send_text(frame) or "style=" in send_text(frame), frame)
    walk.shows("the text with its link", "/reconnect/", "List-Unsubscribe")
    walk.look("mail", walk.chromium.get("/url").removeprefix(walk.api))
    walk.click("Bounce")
    walk.shows("it came back", "SES said so", selector="#notice")
    walk.open(f"/console/users/{USER}")
    walk.shows("mails are stopped", "stopped", "bounced", selector="#contact")


def another_start(walk):
    """A link of an earlier start is shown as such, and is sent again under the address of this one."""
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "data"
        with local_system(data=data) as addresses:
            before = Walk(walk.check, walk.chromium, addresses, walk.pictures)
            before.console(("break", BANK), "read")
            link = before.link(BANK)
            put_clock(before, {"advance": "1d"})
            before.open("/console/notifications")
            event = before.events()[0]
        with local_system(data=data) as addresses:
            after = Walk(walk.check, walk.chromium, addresses, walk.pictures)
            after.open(f"/console/notifications/{event}")
            own = link.replace(before.api, after.api)
            after.shows("the old link", link, "That is the address of an earlier start.", own, selector="#link")
            after.shows("who took it is known after a restart", "took it", selector="#receivers dl")
            after.shows("the clock is still ahead", "The clock is 1 d ahead", selector="#banners")
            after.look("old link", f"/console/notifications/{event}")
            after.open(f"/console/notifications/{event}")
            after.click("Send again")
            until(lambda: "earlier start" not in after.text("#link"))
            after.check("the new link was sent", "earlier start" not in after.text("#link"), after.text("#link"))
            after.check("it is in the payload", own in after.text("pre.payload"), after.text("pre.payload"))
            after.chromium.visit(own)
            after.press("//button[.='Reconnect Meadow Bank']", pages.ACCOUNT_PAGE)


def put_clock(walk, body):
    send(f"{walk.api}/_local/clock", "PUT", body=json.dumps(body))


def sqs(walk, queue, body):
    signature = "AWS4-HMAC-SHA256 Credential=page/20260101/eu-west-1/sqs/aws4_request"
    headers = {"Authorization": signature, "X-Amz-Target": "AmazonSQS.SendMessage", "Content-Type": "application/x-amz-json-1.0"}
    message = {"QueueUrl": f"{walk.aws}/000000000000/{queue}", "MessageBody": body}
    send(walk.aws, "POST", headers, json.dumps(message))


def dead_letter(walk):
    """A message that cannot be processed becomes a dead letter with its cause, and is moved back."""
    sqs(walk, "ReadResults", '{"userId": "nobody"}')
    walk.open("/console/queues")
    walk.shows("a dead letter", "Dead letters of ReadResults 1", "record-read-result: a message holds no read result")
    walk.look("queues", "/console/queues")
    walk.open("/console/queues")
    walk.press("//a[.='Dead letter']", "//h2[.='Cause']")
    address = urllib.parse.urlsplit(walk.chromium.get("/url")).path
    walk.shows("its cause and its body", "record-read-result: a message holds no read result", '"userId": "nobody"', "5 times")
    walk.look("dead letter", address)
    walk.open(address)
    walk.click("Redrive")
    walk.shows("what became of it", "moved back", selector="#notice")
    walk.shows("it is no dead letter any more", "Nothing here")
    walk.open("/console/queues")
    walk.shows("it fails again, as a new message", "Dead letters of ReadResults 1")
    first, second = address, walk.chromium.run("return document.querySelector('#ReadResults .row a').href")
    walk.check("with a new id", not second.endswith(first), second)


def explanations(walk):
    """What a developer has to know: another login, an expired link, a user who must be authorized from scratch."""
    account, user = f"/console/users/{USER}/accounts/{BANK}", f"/console/users/{USER}"
    walk.console(("break", BANK), "read")
    walk.chromium.visit(walk.link(BANK))
    walk.press("//button[.='Reconnect Meadow Bank']", pages.ACCOUNT_PAGE)
    walk.chromium.run("document.querySelector('input[name=username]').value = 'someone.else'")
    walk.press("//button[.='Authorize this one']", pages.RETURNED)
    walk.open(account)
    walk.shows("another login", "another login", "WRONG_ACCOUNT")
    walk.look("another login", account)
    walk.open(account)
    walk.click("Accept the new login")
    walk.shows("an accepted login", "the application accepted the login")
    walk.console(("break", HOSPITAL), "read")
    walk.link(HOSPITAL)
    put_clock(walk, {"advance": "15d"})
    walk.open(user)
    walk.shows("an expired link", "not clicked yet. The link has expired.")
    walk.check("it is not offered", "Reconnect link" not in walk.text(), walk.text())
    walk.console("store-grant", ("break", BANK), "read")
    link = walk.link(BANK)
    # That digi.me does not recognize the user shows when the button is pressed.
    walk.console("revoke-tokens", "read")
    walk.chromium.visit(link)
    walk.press("//button[.='Reconnect Meadow Bank']", "//main[not(.//button[starts-with(., 'Reconnect')])]")
    walk.open(user)
    walk.shows("a user to authorize from scratch", "not recoverable", "from scratch", selector="#grants")
    walk.look("not recoverable", user, f"{user}/grants/demo-contract")
    walk.open(f"{user}/grants/demo-contract")
    walk.check("its link is not offered", "Reconnect link" not in walk.text(), walk.text())
    walk.click("Store a new grant")
    walk.shows("authorized from scratch", "active")


def refresh(walk):
    """A refresh keeps focus, caret, typed text, open details and scroll; nobody else sees what an action did."""
    walk.open(f"/console/users/{USER}")
    walk.chromium.run("""
      document.querySelector('#accounts details').open = true;
      const box = document.querySelector('.search input');
      box.focus(); box.value = 'Meadow'; box.setSelectionRange(2, 4);
      scrollTo(0, 120); document.documentElement.dataset.same = '1';
    """)
    walk.chromium.devtools("Emulation.setDeviceMetricsOverride", width=1280, height=300, deviceScaleFactor=1, mobile=False)
    walk.chromium.run("scrollTo(0, 120)")
    send_control(walk, f"accounts/{HOSPITAL}/break")
    walk.shows("a change that another caller made", "not authorized at the source", selector="#accounts")
    kept = walk.chromium.run("""
      const box = document.activeElement;
      return [box.name, box.value, box.selectionStart, box.selectionEnd, scrollY,
        document.querySelector('#accounts details').open, document.documentElement.dataset.same];
    """)
    walk.check("focus, text, caret, scroll and details", kept == ["q", "Meadow", 2, 4, 120, True, "1"], kept)
    button = f"//form[input[@value='{BANK}']]/button[.='Break']"
    walk.chromium.run("document.evaluate(arguments[0], document, null, 9).singleNodeValue.focus()", button)
    send_control(walk, f"accounts/{HOSPITAL}/mend")
    gone = until(lambda: "not authorized" not in walk.text("#accounts"))
    focused = walk.chromium.run("return [document.activeElement.innerText, document.activeElement.form?.target?.value]")
    walk.check("a button in a list keeps the focus", gone and focused == ["Break", BANK], focused)
    walk.check("nobody sees what another caller did", walk.text("#notice") == "", walk.text("#notice"))
    walk.chromium.type(ENTER)
    gone = until(lambda: "not authorized" in walk.text("#accounts"))
    focused = walk.chromium.run("return [document.activeElement.innerText, document.activeElement.form?.target?.value]")
    walk.check("the focus stays in the row of a button that is gone", gone and focused == ["Mend", BANK], focused)

    address = f"{walk.api}/console/users/{USER}"
    tag = urllib.request.urlopen(address).headers["ETag"]
    try:
        status = urllib.request.urlopen(urllib.request.Request(address, headers={"If-None-Match": tag})).status
    except urllib.error.HTTPError as answer:
        status = answer.code
    walk.check("an unchanged page is not sent again", status == 304, status)
    walk.console("slow")
    walk.shows("a banner while digi.me is slow", "digi.me is set to slow", "2000 ms", selector="#banners")
    walk.look("slow", "/console/digime")
    walk.open("/console/digime")
    walk.click("Failing (500)")
    walk.shows("a banner while it fails", "slow and failing", "answers 500", selector="#banners")
    walk.click("Normal")
    walk.check("no banner afterwards", until(lambda: walk.text("#banners") == ""), walk.text("#banners"))
    walk.click("+1 day")
    walk.shows("the moved clock", "The clock is 1 d ahead", selector="#banners")
    walk.look("clock", "/console/digime")


def keyboard(walk):
    """Every control can be reached with the keyboard, in the order of the page, and shows that it has the focus."""
    walk.open(f"/console/users/{USER}/accounts/{BANK}")
    reached = []
    for _ in range(40):
        walk.chromium.type(pages.TAB)
        one = walk.chromium.run("""
          const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
          return [one.nodeName, one.innerText.trim(), style.outline, box.top >= 0 && box.bottom <= innerHeight];
        """)
        if one[0] == "BODY":
            break
        reached.append(one)
    hidden = [one for one in reached if "solid 3px" not in one[2] or not one[3]]
    walk.check("the focus is visible everywhere", reached and not hidden, hidden)
    names = [one[1] for one in reached]
    expected = ["Skip to the content", "digime-reauth local", "Overview", "Users", "Notifications", "Mails", "Queues", "digi.me"]
    walk.check("the navigation comes first", [name.replace("\n", " ") for name in names[:8]] == expected, names)
    walk.check("the actions are reached", {"Search", "Break", "Run a read", "curl"} <= set(names), names)


def send_control(walk, path):
    urllib.request.urlopen(urllib.request.Request(f"{walk.control}{path}", method="POST"), timeout=30).close()


def commands(walk):
    """What the console shows as curl commands works in a shell."""
    shown = """
      return [...document.querySelectorAll('.command')]
        .map((one) => [one.querySelector('span').textContent, one.querySelector('pre').textContent]);
    """
    walk.open(f"/console/users/{USER}/accounts/{BANK}")
    command = dict(walk.chromium.run(shown))
    for action in ["Break", "Run a read"]:
        result = subprocess.run(["bash", "-c", command[action]], capture_output=True, text=True, timeout=60)
        walk.check(f"the command of {action}", result.returncode == 0, result)
    walk.link(BANK)
    walk.steps("the commands worked", "done", "current", "open", "open", "open")
    event = walk.events()[0]
    seen = set()
    # The first one breaks nothing that the next needs, and the last one mends everything.
    for path in [f"/console/notifications/{event}", f"/console/users/{USER}", "/console/digime", "/"]:
        walk.open(path)
        for action, text in walk.chromium.run(shown):
            if action in seen:
                continue
            seen.add(action)
            lines = subprocess.run(["bash", "-ec", text], capture_output=True, text=True, timeout=60)
            walk.check(f"the command of {action}", lines.returncode == 0, (text, lines))
    walk.check("reset the demo", walk.account(BANK)["status"] == "active", walk.account(BANK))


def without_script(walk):
    """Everything but the refresh works without the script."""
    walk.chromium.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        walk.open(f"/console/users/{USER}")
        form = f"//form[input[@value='{BANK}']]"
        walk.press(f"{form}/button[.='Break']", f"{form}/button[.='Mend']")
        walk.press("//button[.='Run a read']", "//p[contains(., 'ran a read')]")
        walk.check("the notice is shown once", "ran a read" not in send_text(f"{walk.api}/console/users/{USER}"))
    finally:
        walk.chromium.devtools("Emulation.setScriptExecutionDisabled", value=False)


def send_text(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


WALKS = [timeline, many, notification, webhook, outages, mails, another_start, dead_letter, explanations, refresh, keyboard, commands, without_script]


def main(pictures=None, *names):
    check, pictures = Checks(), pictures and pathlib.Path(pictures)
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
    with browser() as chromium, http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        chromium.devtools("Emulation.setScrollbarsHidden", hidden=True)
        for walk in WALKS:
            if names and walk.__name__ not in names:
                continue
            options = ["--webhook-url", f"http://127.0.0.1:{receiver.server_port}/"] if walk in (notification, webhook) else []
            with local_system(*options) as addresses:
                try:
                    walk(Walk(check, chromium, addresses, pictures))
                except (OSError, LookupError) as error:
                    check(walk.__name__, False, error)
        receiver.shutdown()
    print(f"{check.passed} passed, {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
