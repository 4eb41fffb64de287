"""The application's webhook: takes posts over TLS and checks their signatures as Standard Webhooks specifies."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import os
import threading
import time

SECONDS = 300


class Webhook:
    def __init__(self):
        key, seed = os.urandom(32), os.urandom(32)
        self.secret, self._key = f"whsec_{base64.b64encode(key).decode()} whsk_{base64.b64encode(seed).decode()}", key
        self.events, self.rejected = [], []

    def take(self, headers, body):
        identifier, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
        digest = hmac.new(self._key, f"{identifier}.{timestamp}.".encode() + body, hashlib.sha256).digest()
        expected = f"v1,{base64.b64encode(digest).decode()}"
        signatures = (headers["webhook-signature"] or "").split(" ")
        fresh = abs(time.time() - int(timestamp or 0)) < SECONDS
        good = fresh and any(hmac.compare_digest(expected, one) for one in signatures)
        (self.events if good else self.rejected).append(json.loads(body))
        return 204 if good else 401

    @contextlib.contextmanager
    def listening(self, tls):
        take = self.take

        class Receiver(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                status = take(self.headers, self.rfile.read(int(self.headers["content-length"])))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield f"https://127.0.0.1:{server.server_port}/"
            finally:
                server.shutdown()
