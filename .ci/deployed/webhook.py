"""The application's webhook: takes posts over TLS and checks their signatures as Standard Webhooks specifies."""

import base64
import contextlib
import datetime
import hashlib
import hmac
import http.server
import ipaddress
import json
import os
import ssl
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SECONDS = 300


def certificate(name, key, issuer, issuer_key, extensions):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def authority(directory):
    """Makes an authority and a certificate of it for this machine. Returns the authority's file and a server's context."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("check authority", "127.0.0.1")]
    ca = certificate(names[0], keys[0], names[0], keys[0], [(x509.BasicConstraints(ca=True, path_length=0), True)])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
    leaf = certificate(names[1], keys[1], names[0], keys[0], [(address, False)])
    pem = serialization.Encoding.PEM
    own = keys[1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "authority.pem").write_bytes(ca.public_bytes(pem))
    (directory / "server.pem").write_bytes(own + leaf.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    return directory / "authority.pem", context


class Webhook:
    def __init__(self):
        key = os.urandom(32)
        self.secret, self._key = f"whsec_{base64.b64encode(key).decode()}", key
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
            yield f"https://127.0.0.1:{server.server_port}/"
            server.shutdown()
