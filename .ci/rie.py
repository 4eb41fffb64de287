"""Runs the bootstraps that `sam build` made under AWS's Runtime Interface Emulator, and gives each its sample event.

The emulator ships with sam-cli. Everything else that the functions call is the local system's, started here on free ports.
"""

import contextlib
import http.server
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import samcli
from local_system import free_port, local_system

EMULATOR = pathlib.Path(samcli.__file__).parent / "local/rapid/aws-lambda-rie-x86_64"
# Logical id, sample event, and what its answer holds.
FUNCTIONS = [
    # First, while nobody knows the example's user.
    ("CreateReauthUrl", "create-reauth-url", '"statusCode":404'),
    ("Accounts", "accounts-read-result", '"statusCode":202'),
    ("Events", "events", '"statusCode":200'),
    ("ReauthCallback", "reauth-callback", '"statusCode":400'),
    ("RecordReadResult", "record-read-result", '"batchItemFailures":[]'),
    ("NotifyReauth", "notify-reauth", '"batchItemFailures":[]'),
    ("PostWebhook", "post-webhook", '"batchItemFailures":[]'),
    ("EmailUser", "email-user", '"batchItemFailures":[]'),
    ("SweepAccounts", "sweep-accounts", '"failed":0'),
]
TIMEOUT = 60


def environment(addresses):
    """What docs/deploy.md gives a function by hand, with this system's addresses."""
    lines = pathlib.Path("infra/events/local.env").read_text(encoding="utf-8").split()
    aws = addresses["AWS"]
    return {
        **dict(line.split("=", 1) for line in lines),
        "AWS_ENDPOINT_URL": aws,
        "DIGIME_BASE_URL": addresses["digi.me"],
        "PUBLIC_BASE_URL": addresses["API"],
        "READ_RESULTS_QUEUE_URL": f"{aws}/000000000000/ReadResults",
        "NOTIFICATIONS_QUEUE_URL": f"{aws}/000000000000/Notifications",
        "WEBHOOKS_QUEUE_URL": f"{aws}/000000000000/Webhooks",
        "WEBHOOKS_DEAD_LETTERS_URL": f"{aws}/000000000000/WebhooksDeadLetters",
        "WEBHOOK_URL": addresses["Webhook"],
    }


class Receiver(http.server.BaseHTTPRequestHandler):
    """The application's end of the webhook: takes whatever is posted."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()


@contextlib.contextmanager
def receiver():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def post(url, body):
    """Posts the event, as soon as the emulator listens."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body), timeout=TIMEOUT) as answer:
                return answer.read().decode()
        except (ConnectionError, urllib.error.URLError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def answer(logical, event, variables):
    bootstrap = pathlib.Path(".aws-sam/build", logical, "bootstrap").resolve()
    port, runtime = free_port(), free_port()
    command = [EMULATOR, "--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    command += ["--runtime-api-address", f"127.0.0.1:{runtime}", bootstrap]
    emulator = subprocess.Popen(
        command, env={**variables, "PATH": os.environ["PATH"]}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        return post(f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations", event)
    finally:
        os.killpg(emulator.pid, signal.SIGKILL)
        print(emulator.communicate()[0].decode(errors="replace"), file=sys.stderr)


def main():
    passed = failed = 0
    with receiver() as url, local_system("--webhook-url", url) as addresses:
        variables = environment(addresses)
        for logical, sample, expected in FUNCTIONS:
            event = pathlib.Path("infra/events", f"{sample}.json").read_bytes()
            reply = answer(logical, event, variables)
            good = expected in json.dumps(json.loads(reply), separators=(",", ":"))
            passed, failed = passed + good, failed + (not good)
            print(f"{logical}: {'ok' if good else 'FAILED: ' + reply}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
