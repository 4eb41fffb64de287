"""Chromium, driven through ChromeDriver, for the checks from outside."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from local_system import free_port

TIMEOUT = 30
# Only this machine is found, under one name more.
HOSTS = "MAP rebound.test 127.0.0.1, EXCLUDE 127.0.0.1, EXCLUDE localhost, MAP * ~NOTFOUND"
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"]
FLAGS += ["--no-proxy-server", f"--host-resolver-rules={HOSTS}"]

PAINTED = "return document.hasFocus() && performance.getEntriesByName('first-contentful-paint').length > 0"


def send(url, method="GET", headers=None, body=None):
    request = urllib.request.Request(url, body and body.encode(), headers or {}, method=method)
    with urllib.request.urlopen(request, timeout=2 * TIMEOUT) as answer:
        return json.load(answer)


def until(condition):
    """Asks again and again; whether it became true in time."""
    deadline = time.monotonic() + TIMEOUT
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return met


class Browser:
    """A session of the WebDriver protocol."""

    def __init__(self, driver):
        chromium = {"binary": shutil.which("chromium"), "args": FLAGS}
        limits = {"pageLoad": TIMEOUT * 1000, "script": TIMEOUT * 1000}
        wanted = {"goog:chromeOptions": chromium, "goog:loggingPrefs": {"performance": "ALL"}, "timeouts": limits}
        self.session = f"{driver}/session"
        self.session += "/" + self.post("", capabilities={"alwaysMatch": wanted})["sessionId"]

    def get(self, what):
        return send(f"{self.session}{what}")["value"]

    def post(self, command, **body):
        return send(f"{self.session}{command}", "POST", body=json.dumps(body))["value"]

    def press(self, path, result):
        """Presses until the result is there; whether it is. The console refreshes itself, which takes elements away."""

        def pressed():
            with contextlib.suppress(urllib.error.HTTPError):
                if self.post("/elements", using="xpath", value=result):
                    return True
                element = self.post("/element", using="xpath", value=path)
                self.post(f"/element/{next(iter(element.values()))}/click")
            return False

        return until(pressed)

    def visit(self, url):
        self.post("/url", url=url)

    def run(self, script, *arguments):
        """Runs a script in the page. No policy of the page applies to it."""
        return self.post("/execute/sync", script=script, args=arguments)

    def type(self, key):
        """Presses a key. Chromium drops the keys that come before it has painted the page."""
        if not until(lambda: self.run(PAINTED)):
            sys.exit(f"{self.get('/url')} does not take keys")
        keys = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self.post("/actions", actions=[{"type": "key", "id": "keyboard", "actions": keys}])

    def forget(self):
        """Deletes the cookies of the page's host."""
        send(f"{self.session}/cookie", "DELETE")

    def devtools(self, command, **parameters):
        return self.post("/goog/cdp/execute", cmd=command, params=parameters)


@contextlib.contextmanager
def browser():
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        # The driver makes a new profile there. Chromium is in its process group.
        environment = {**os.environ, "HOME": directory, "TMPDIR": directory}
        command = ["chromedriver", f"--port={port}"]
        driver = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)

        def ready():
            with contextlib.suppress(OSError):
                return send(f"{url}/status")["value"]["ready"]

        try:
            if not until(ready):
                sys.exit("chromedriver does not come up")
            yield Browser(url)
        finally:
            os.killpg(driver.pid, signal.SIGKILL)
            driver.wait(10)


class Checks:
    passed = failed = 0

    def __call__(self, name, good, seen=""):
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        print(f"{name}: {'ok' if good else f'FAILED {seen}'}", flush=True)
