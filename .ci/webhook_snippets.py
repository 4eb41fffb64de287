"""Runs the programs of docs/events.md that verify a webhook, in JavaScript and Python: each is given genuine requests, and ones that it must
refuse. Those in Rust are tested in tests/guarantees/verify_webhook/.
"""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ID = "evt_00112233445566778899aabbccddeeff"
BODY = '{"type":"webhook.test"}'
PACKAGES = pathlib.Path(".ci/node/node_modules").resolve()
TIMEOUT = 20
# Each reads a list of requests, and prints which of them the program accepts.
DRIVERS = {
    "js": (["node"], "program.mjs", """\
import { text } from "node:stream/consumers";
import { verify } from "./program.mjs";
const accepts = ({ headers, body }) => { try { return Boolean(verify(headers, body)); } catch { return false; } };
console.log(JSON.stringify(JSON.parse(await text(process.stdin)).map(accepts)));
"""),
    "python": ([sys.executable], "program.py", """\
import json, sys
from program import verify
from standardwebhooks import WebhookVerificationError
def accepts(request):
    try:
        return bool(verify(request["headers"], request["body"].encode()))
    except (WebhookVerificationError, ValueError):
        return False
print(json.dumps([accepts(request) for request in json.load(sys.stdin)]))
"""),
}


def encode(data):
    return base64.b64encode(data).decode()


class Keys:
    """The keys of one endpoint."""

    def __init__(self, seed):
        self.secret, self.private = seed * 32, Ed25519PrivateKey.from_private_bytes(seed * 32)

    def variables(self):
        public = self.private.public_key().public_bytes_raw()
        return {"WEBHOOK_SECRET": "whsec_" + encode(self.secret), "WEBHOOK_PUBLIC_KEY": "whpk_" + encode(public)}

    def sign(self, seconds):
        """The signatures of both versions, by version."""
        content = f"{ID}.{seconds}.{BODY}".encode()
        shared = hmac.new(self.secret, content, hashlib.sha256).digest()
        return {"v1": f"v1,{encode(shared)}", "v1a": f"v1a,{encode(self.private.sign(content))}"}


def request(seconds, signatures, body=BODY, identifier=ID):
    headers = {"webhook-id": identifier, "webhook-timestamp": str(seconds), "webhook-signature": signatures}
    return {"headers": {name: value for name, value in headers.items() if value is not None}, "body": body}


def requests(keys, others, version):
    """Each request, and whether a program that verifies `version` must accept it."""
    now = int(time.time())
    signed, wrong = keys.sign(now), others.sign(now)
    both, genuine = " ".join(signed.values()), signed[version]
    yield "both signatures", True, request(now, both)
    yield "one signature", True, request(now, genuine)
    yield "the old and the new keys", True, request(now, " ".join([*wrong.values(), *signed.values()]))
    yield "an unknown version of signatures", True, request(now, f"v9,abc {genuine}")
    yield "only the signature of the other version", False, request(now, both.replace(genuine, "").strip())
    yield "the keys of another endpoint", False, request(now, " ".join(wrong.values()))
    yield "another body", False, request(now, both, BODY + " ")
    yield "another id", False, request(now, both, identifier=ID.replace("evt_0", "evt_1"))
    yield "another time", False, request(now + 60, both)
    yield "half a signature", False, request(now, genuine[:20])
    yield "no base64", False, request(now, f"{version},?")
    yield "an empty signature", False, request(now, f"{version},")
    yield "a version without a signature", False, request(now, version)
    yield "no signatures", False, request(now, None)
    yield "no time", False, request(None, both)
    for seconds in (now - 400, now + 400):
        yield f"a clock that differs by {now - seconds} seconds", False, request(seconds, " ".join(keys.sign(seconds).values()))


def accepted(language, source, keys, given):
    command, name, driver = DRIVERS[language]
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, name).write_text(source)
        pathlib.Path(folder, "node_modules").symlink_to(PACKAGES)
        main = pathlib.Path(folder, f"driver{pathlib.Path(name).suffix}")
        main.write_text(driver)
        limits = {"capture_output": True, "text": True, "timeout": TIMEOUT, "env": {**os.environ, **keys.variables()}}
        ran = subprocess.run([*command, main], input=json.dumps(given), **limits)
    if ran.returncode:
        raise RuntimeError(f"{language}: {ran.stderr}")
    return json.loads(ran.stdout)


def run_snippet(language, source, version):
    """Runs a program that verifies signatures of `version`."""
    keys, others = Keys(b"a"), Keys(b"b")
    cases = list(requests(keys, others, version))
    answers = accepted(language, source, keys, [given for _, _, given in cases])
    wrong = [what for (what, expected, _), answer in zip(cases, answers, strict=True) if answer != expected]
    if wrong:
        raise RuntimeError(f"the program in {language} does not answer as it must: {', '.join(wrong)}")
