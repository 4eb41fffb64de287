"""Lets the local system post to a receiver in Node and to one in Python, which verify the signatures with the libraries of Standard
Webhooks (https://www.standardwebhooks.com). Then it posts changed copies, which the receivers must refuse.

The libraries know `v1` only. The receivers verify `v1a` with the languages' usual packages.
"""

import base64
import json
import os
import queue
import subprocess
import sys
import threading
import urllib.error
import urllib.request

from local_system import free_port, local_system

RECEIVERS = {"Node": ["node", ".ci/node/receiver.mjs"], "Python": [sys.executable, ".ci/receiver.py"]}
TIMEOUT = 30
READ_RESULT = {
    "2_demo-hospital": {"state": "partial", "error": {"code": "ServiceAuthorizationError", "statusCode": 511}},
}


def request(url, body=None, headers={}):
    """The status of an answer, and its JSON."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=TIMEOUT) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def flipped(signatures, version):
    """The signatures, with one bit of one of them changed."""
    name, encoded = next(one.split(",") for one in signatures.split(" ") if one.startswith(f"{version},"))
    changed = bytearray(base64.b64decode(encoded))
    changed[0] ^= 1
    return signatures.replace(f"{name},{encoded}", f"{name},{base64.b64encode(changed).decode()}")


def copies(post):
    """Copies of a post, and which of their signatures are genuine."""
    headers, body = post["headers"], post["body"].encode()
    signatures = headers["webhook-signature"]
    v1, v1a = signatures.split(" ")
    good, bad = {"v1": True, "v1a": True}, {"v1": False, "v1a": False}
    yield "unchanged", {}, body, good
    yield "in the other order", {"webhook-signature": f"{v1a} {v1}"}, body, good
    yield "with another body", {}, body.replace(b"demo-user", b"some-user"), bad
    yield "with another id", {"webhook-id": "evt_00000000000000000000000000000000"}, body, bad
    yield "with another time", {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}, body, bad
    yield "with another v1", {"webhook-signature": flipped(signatures, "v1")}, body, {"v1": False, "v1a": True}
    yield "with another v1a", {"webhook-signature": flipped(signatures, "v1a")}, body, {"v1": True, "v1a": False}
    yield "with v1 alone", {"webhook-signature": v1}, body, {"v1": True, "v1a": False}
    yield "with v1a alone", {"webhook-signature": v1a}, body, {"v1": False, "v1a": True}
    yield "without a signature", {"webhook-signature": ""}, body, bad


def check(name, command):
    port = free_port()
    url = f"http://127.0.0.1:{port}/hooks"
    with local_system("--webhook-url", url) as addresses:
        _, info = request(f"{addresses['API']}/_local/info")
        environment = {
            **os.environ,
            "PORT": str(port),
            "WEBHOOK_SECRET": info["webhook"]["secret"],
            "WEBHOOK_PUBLIC_KEY": info["webhook"]["publicKey"],
        }
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as receiver:
            try:
                lines = lines_of(receiver.stdout)
                # It listens.
                lines.get(timeout=TIMEOUT)
                check_posts(name, addresses["API"], url, lines)
            finally:
                receiver.terminate()


def lines_of(stream):
    """A queue of the lines, so that waiting for one has a time limit."""
    lines = queue.Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in stream], daemon=True).start()
    return lines


def check_posts(name, api, url, lines):
    body = json.dumps({"readResult": READ_RESULT}).encode()
    status, reply = request(f"{api}/users/demo-user/read-results", body, {"content-type": "application/json"})
    if status != 202:
        sys.exit(f"the read result is answered with {status} {reply}")
    try:
        post = json.loads(lines.get(timeout=TIMEOUT))
    except queue.Empty:
        sys.exit(f"{name} got no post with two genuine signatures")
    kind = json.loads(post["body"])["type"]
    if kind != "account.reauthorization_required":
        sys.exit(f"{name}: got {kind}")
    print(f"ok - {name} verifies a post")
    for what, changed, body, expected in copies(post):
        headers = {name: value for name, value in post["headers"].items() if name.startswith("webhook-")}
        status, answer = request(url, body, {"content-type": "application/json", **headers, **changed})
        if answer != expected or (status == 200) != all(expected.values()):
            sys.exit(f"{name}: a post {what} is answered with {status} {answer}")
    print(f"ok - {name} refuses changed posts")


if __name__ == "__main__":
    for name, command in RECEIVERS.items():
        check(name, command)
