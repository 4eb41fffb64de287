"""The digi.me simulator, through its control API and its pages."""

import json
import urllib.parse

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from deployed.http import address_of, send

CONTRACT, APPLICATION = "check-contract", "check-application"


class Digime:
    def __init__(self, url):
        self.url, self.address, self.public_url = url, address_of(url), url

    def known_as(self, url):
        """Functions and browsers reach it under this URL, so that its answers must name the key set there."""
        self.public_url = url
        self.control("PUT", "forgery", {"jku": f"{url}/v1.7/jwks/oauth"})

    def control(self, method, path, body=None):
        answer = send(self.address, method, f"{self.url}/_simulator/{path}", body=json.dumps(body or {}))
        assert answer.status < 300, answer
        return json.loads(answer.text) if answer.text else None

    def register(self, redirect_uri):
        """Registers the contract. Returns the value of its secret."""
        key = rsa.generate_private_key(65537, 2048)
        public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        contract = {"applicationId": APPLICATION, "publicKeyPem": public.decode(), "redirectUris": [redirect_uri]}
        self.control("PUT", f"contracts/{CONTRACT}", contract)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        return json.dumps({"applicationId": APPLICATION, "contractId": CONTRACT, "privateKey": private.decode()})

    def add(self, user, accounts):
        self.control("PUT", f"users/{user}")
        for account in accounts:
            self.control("PUT", f"users/{user}/accounts/{account}", {"serviceName": account, "username": "jo"})

    def tokens(self, user):
        return self.control("POST", f"users/{user}/tokens", {"contractId": CONTRACT})

    def decide(self, url, decision="success"):
        """The user's choice on one of digi.me's pages. Returns the URL that the browser is sent to."""
        page = send(self.address, "GET", url)
        assert page.status == 200, page
        parts = urllib.parse.urlsplit(url)
        query = dict(urllib.parse.parse_qsl(parts.query))
        form = {"code": query["code"], "accountRef": query.get("accountRef", ""), "decision": decision}
        headers = {"content-type": "application/x-www-form-urlencoded"}
        target = urllib.parse.urlunsplit(parts._replace(query=""))
        answer = send(self.address, "POST", target, headers, urllib.parse.urlencode(form))
        assert answer.status == 303, answer
        return answer.headers["location"]
