"""TLS on loopback: an authority of its own, and an https address for a server that speaks http."""

import contextlib
import datetime
import ipaddress
import select
import socket
import socketserver
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


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


@contextlib.contextmanager
def terminated(address, tls):
    """Gives the https address under which this server of http is reached."""

    class Connection(socketserver.BaseRequestHandler):
        def handle(self):
            # A client that goes away ends its connection, no more.
            with contextlib.suppress(OSError):
                with tls.wrap_socket(self.request, server_side=True) as client, socket.create_connection(address) as server:
                    relay(client, server)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection) as listener:
        listener.daemon_threads = True
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        try:
            yield f"https://127.0.0.1:{listener.server_address[1]}"
        finally:
            listener.shutdown()


def relay(client, server):
    """Passes bytes on in both directions until one side ends. In one thread: two must not use a TLS connection at once."""
    others = {client: server, server: client}
    while True:
        ready = [client] if client.pending() else select.select(list(others), [], [])[0]
        for source in ready:
            if not (data := source.recv(65536)):
                return
            others[source].sendall(data)
