"""Shows with a real browser that no page of another origin drives the local system, and that its own pages do.

Chromium, driven through ChromeDriver, opens foreign pages that try to change and to read what each port holds; pages whose
name was rebound to this machine; pages of the system's own origins, where the same attempts have to work; and the console
and digi.me's page, as a user does.
"""

import http.server
import json
import sys
import threading
import urllib.parse

from chromium import Checks, browser, send, until
from local_system import local_system

# Makes attempts, by a form that leads into a frame or by `fetch`; gives the status of each that the page may know.
SCRIPT = """
const [attempts, done] = arguments;
const add = (parent, name, properties) => parent.appendChild(Object.assign(document.createElement(name), properties));
const submit = ({ url, fields }) => {
  add(document.body, "iframe", { name: url });
  const form = add(document.body, "form", { action: url, method: "post", target: url });
  for (const [name, value] of Object.entries(fields)) add(form, "input", { name, value });
  form.submit();
  return null;
};
const ask = ({ url, ...options }) => fetch(url, options).then((answer) => answer.status || null, () => null);
(async () => {
  const known = [];
  for (const attempt of attempts) known.push(await (attempt.fields ? submit : ask)(attempt));
  done(known);
})();
"""
# Pages of other origins. A parameter is a header that the page comes with.
FOREIGN = {
    "a page of another port": "http://127.0.0.1:{}/",
    "a page of another site": "http://localhost:{}/",
    "a page that hides its origin": "http://127.0.0.1:{}/?Referrer-Policy=no-referrer",
    "a page without an origin": "http://127.0.0.1:{}/?Content-Security-Policy=sandbox+allow-scripts+allow-forms",
}
# Pages of the system's own that come with no policy, which would keep scripts from asking.
OWN = {"API": "/users/demo-user/accounts", "digi.me": "/_simulator/state", "AWS": "/"}


def attempts(port, origin, grant):
    """What pages try at a port. A form and `no-cors` are sent at once; a preflight asks for all else but GET."""
    simple, as_json = {"mode": "no-cors"}, {"headers": {"Content-Type": "application/json"}}
    user, control = f"{origin}/users/demo-user", f"{origin}/_simulator"
    needy = {"2_demo-hospital": {"state": "partial", "error": {"code": "ServiceAuthorizationError"}}}
    item = {"PK": {"S": "page"}, "SK": {"S": "page"}}
    return {
        "API": [
            {"method": "GET", "url": f"{user}/accounts"},
            {"method": "GET", "url": f"{user}/grants/demo-contract"},
            {"url": f"{origin}/console/control/break", "fields": {"user": "demo-user", "target": "1_demo-bank"}},
            {"method": "POST", "url": f"{user}/read-results", "body": json.dumps({"readResult": needy}), **simple},
            {"method": "POST", "url": f"{user}/accounts/1_demo-bank/reauthorizations", "body": "{}", **as_json},
            {"method": "PUT", "url": f"{user}/grants/demo-contract?replace=true", "body": json.dumps(grant)},
            {"method": "DELETE", "url": user},
        ],
        "digi.me": [
            {"method": "GET", "url": f"{control}/state"},
            {"url": f"{control}/accounts/1_demo-bank/break", "fields": {}},
            {"method": "POST", "url": f"{control}/accounts/2_demo-hospital/break", **simple},
            {"method": "POST", "url": f"{control}/users/demo-user/kill-refresh-tokens", "body": "{}", **as_json},
            {"method": "DELETE", "url": f"{control}/accounts/3_demo-instagram"},
        ],
        # Without the header of a signature nothing is done there, so all of it needs a preflight.
        "AWS": [dynamodb(origin, "Scan"), dynamodb(origin, "PutItem", Item=item)],
    }[port]


def dynamodb(origin, operation, **request):
    signature = "AWS4-HMAC-SHA256 Credential=page/20260101/eu-west-1/dynamodb/aws4_request"
    headers = {"Authorization": signature, "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
    body = json.dumps({"TableName": "digime-reauth", **request})
    return {"method": "POST", "url": f"{origin}/{operation}", "headers": headers, "body": body}


def facts(ports):
    """What a page could change: the accounts, the grant, the simulator's side, and every item of the table."""
    user = f"{ports['API']}/users/demo-user"
    urls = [f"{user}/accounts", f"{user}/grants/demo-contract", f"{ports['digi.me']}/_simulator/state"]
    return [*map(send, urls), send(**dynamodb(ports["AWS"], "Scan"))]


def attempt(chromium, page, tries):
    """Lets a page make attempts. Gives each with the status of its answer, and the one that the page knows."""
    chromium.post("/url", url=page)
    known, answered = chromium.post("/execute/async", script=SCRIPT, args=[tries]), {}

    def heard():
        for entry in chromium.post("/se/log", type="performance"):
            event = json.loads(entry["message"])["message"]["params"]
            # A redirect is told of with the request that follows it.
            answer = event.get("redirectResponse") or event.get("response") or {}
            answered.setdefault(answer.get("url"), answer.get("status"))
        # An answer to a GET that the page may not read is not told of.
        return all(one["url"] in answered for one in tries if one.get("method") != "GET")

    until(heard)
    return [(one, answered.get(one["url"], 0), status) for one, status in zip(tries, known)]


class ForeignPage(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        for header in urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query):
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Another origin</title>")

    def log_message(self, *_):
        pass


def foreign_pages(check, chromium, ports):
    before = facts(ports)
    states = [account["status"] for account in before[0]["accounts"]]
    check("three accounts are active", states == ["active"] * 3, states)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), ForeignPage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tries = [one for port, origin in ports.items() for one in attempts(port, origin, before[1])]
        for name, page in FOREIGN.items():
            seen = attempt(chromium, page.format(server.server_port), tries)
            let_in = [(one["url"], answer) for one, answer, _ in seen if one.get("method") != "GET" and answer < 400]
            check(f"{name} is refused every change", not let_in, let_in)
            read = [one["url"] for one, _, known in seen if known]
            check(f"{name} reads nothing", not read, read)
            before, expected = facts(ports), before
            check(f"{name} changed nothing", before == expected)
        server.shutdown()


def rebound_names(check, chromium, ports):
    """The browser takes such a page for one of the port's own origin."""
    before = facts(ports)
    for port, origin in ports.items():
        rebound = origin.replace("127.0.0.1", "rebound.test")
        seen = attempt(chromium, rebound + OWN[port], attempts(port, rebound, before[1]))
        let_in = [(one["url"], answer) for one, answer, _ in seen if answer != 421]
        check(f"{port} does not answer to a foreign name", not let_in, let_in)
    check("pages with a foreign name changed nothing", facts(ports) == before)


def own_pages(check, chromium, ports):
    """What was refused works from here; so it was refused to foreign pages, and for no other reason."""
    grant = facts(ports)[1]
    for port, origin in ports.items():
        seen = attempt(chromium, origin + OWN[port], attempts(port, origin, grant))
        refused = [(one["url"], answer) for one, answer, _ in seen if not 200 <= answer < 400]
        check(f"a page of {port} may do all of it", not refused, refused)


def walk(check, chromium, ports):
    """The README's walk in the browser, with digi.me's page on another site, as digi.me is."""
    bank, authorize = "//form[input[@value='1_demo-bank']]", "//button[.='Authorize']"
    link, reconnect = "//a[.='Reconnect link']", "//button[starts-with(., 'Reconnect')]"
    chromium.post("/url", url=f"{ports['API']}/console/users/demo-user")
    check("Break breaks an account", chromium.press(f"{bank}/button[.='Break']", f"{bank}/button[.='Mend']"))
    check("a read brings a link", chromium.press("//button[.='Run a read']", link))
    check("the link leads to its page", chromium.press(link, reconnect))
    check("Reconnect leads to digi.me", chromium.press(reconnect, authorize))
    # Over http on loopback, the cookie has neither `Secure` nor the prefix `__Host-`: Safari would refuse it.
    cookie = chromium.get("/cookie/reauth")
    check("the browser keeps its cookie", cookie["httpOnly"] and cookie["sameSite"] == "Lax", cookie)
    chromium.post("/url", url=chromium.get("/url").replace("127.0.0.1", "localhost"))
    check("Authorize leads back with success", chromium.press(authorize, "//dd[.='succeeded']"), chromium.get("/url"))
    account = send(f"{ports['API']}/users/demo-user/accounts/1_demo-bank")
    check("the account is healed", account["status"] == "active" and account.get("verified"), account)


def main():
    check = Checks()
    with browser() as chromium:
        for part in (foreign_pages, rebound_names, own_pages, walk):
            with local_system() as addresses:
                ports = {name: "http://" + urllib.parse.urlsplit(addresses[name]).netloc for name in OWN}
                try:
                    part(check, chromium, ports)
                except OSError as error:
                    check(part.__name__, False, error)
    print(f"{check.passed} passed, {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
