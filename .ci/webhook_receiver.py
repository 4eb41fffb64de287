"""Runs a webhook receiver in JavaScript, and posts events to it: genuine ones, and ones that it must refuse or survive."""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from local_system import free_port

KEY = b"a key of this check, 32 bytes it"
EVENT = {"type": "account.removed", "data": {"eventId": "evt_00112233445566778899aabbccddeeff"}}
ID, BODY = EVENT["data"]["eventId"], json.dumps(EVENT).encode()
TIMEOUT = 20
# The longest body that the receiver accepts, in bytes.
LIMIT = 262_144


def signature(seconds, body, key=KEY):
    message = f"{ID}.{seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()


def status(port, seconds, signed, body=BODY):
    headers = {"webhook-id": ID, "webhook-timestamp": str(seconds)} | ({"webhook-signature": signed} if signed else {})
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", body, headers)
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT).status
    except urllib.error.HTTPError as error:
        return error.code


def wait_for(port, process):
    deadline = time.monotonic() + TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return status(port, 0, "")
        except urllib.error.URLError:
            time.sleep(0.05)
    raise RuntimeError("the receiver does not start")


def abort(port):
    """Begins a post, and closes the connection when the receiver waits for the rest of the body."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: receiver\r\ncontent-length: 1000\r\nexpect: 100-continue\r\n\r\n")
        continued = connection.recv(1000)
        if not continued.startswith(b"HTTP/1.1 100 "):
            raise RuntimeError(f"the receiver does not read the body: {continued!r}")
        connection.sendall(BODY)


def posts(port):
    """Each post, with the status that it must get."""
    now, other, large = int(time.time()), b"another key of this check, 32 b.", json.dumps(EVENT).ljust(LIMIT + 1).encode()
    abort(port)
    yield "a genuine event that is too large", 413, status(port, now, signature(now, large), large)
    genuine = signature(now, BODY)
    yield "a genuine event", 204, status(port, now, genuine)
    yield "an event signed with two keys", 204, status(port, now, f"{signature(now, BODY, other)} {genuine}")
    yield "an event signed with another key", 400, status(port, now, signature(now, BODY, other))
    yield "an event with another body", 400, status(port, now, genuine, BODY + b" ")
    yield "an event without a signature", 400, status(port, now, "")
    yield "an event with half a signature", 400, status(port, now, genuine[:20])
    yield "an event of long ago", 400, status(port, now - 400, signature(now - 400, BODY))
    yield "an event of the future", 400, status(port, now + 400, signature(now + 400, BODY))


def run_receiver(source):
    port = free_port()
    secret = "whsec_" + base64.b64encode(KEY).decode()
    with tempfile.TemporaryDirectory() as folder:
        script = pathlib.Path(folder, "receiver.mjs")
        script.write_text(source)
        environment = {**os.environ, "WEBHOOK_SECRET": secret, "PORT": str(port)}
        with subprocess.Popen(["node", script], env=environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                wait_for(port, process)
                for what, expected, answered in posts(port):
                    if answered != expected:
                        raise RuntimeError(f"{what} is answered with {answered}, not {expected}")
            finally:
                process.terminate()
                printed = process.stdout.read()
    if printed.splitlines() != [f"{EVENT['type']} {ID}"] * 2:
        raise RuntimeError(f"the receiver printed {printed!r}")
