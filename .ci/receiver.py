"""The receiver of `.ci/node/receiver.mjs` in Python: `v1` is verified with the library of Standard Webhooks, `v1a` with `cryptography`."""

import base64
import http.server
import json
import os

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

WEBHOOK = Webhook(os.environ["WEBHOOK_SECRET"])
PUBLIC_KEY = Ed25519PublicKey.from_public_bytes(base64.b64decode(os.environ["WEBHOOK_PUBLIC_KEY"].removeprefix("whpk_")))


def verifies_shared(headers, body):
    try:
        WEBHOOK.verify(body, headers)
    except (WebhookVerificationError, ValueError):
        return False
    return True


def verifies_asymmetric(headers, body):
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    for signature in headers.get("webhook-signature", "").split(" "):
        try:
            if signature.startswith("v1a,"):
                PUBLIC_KEY.verify(base64.b64decode(signature.removeprefix("v1a,")), content)
                return True
        except InvalidSignature:
            pass
    return False


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers["content-length"]))
        v1, v1a = verifies_shared(headers, body), verifies_asymmetric(headers, body)
        if v1 and v1a:
            print(json.dumps({"headers": headers, "body": body.decode()}), flush=True)
        self.send_response(200 if v1 and v1a else 400)
        self.end_headers()
        self.wfile.write(json.dumps({"v1": v1, "v1a": v1a}).encode())

    def log_message(self, *_):
        pass


with http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Receiver) as server:
    print("ready", flush=True)
    server.serve_forever()
