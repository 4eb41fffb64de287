"""HTTP as a browser and as the application speak it: no redirects are followed, and any status is an answer."""

import http.client
import urllib.parse

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from deployed.servers import REGION

TIMEOUT = 60


class Answer:
    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.text = response.read().decode()

    def __repr__(self):
        return f"{self.status} {self.headers['location'] or ''} {self.text[:500]}"


def send(address, method, url, headers=None, body=None):
    """Sends a request for this URL to a loopback address, whatever host the URL names."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(*address, timeout=TIMEOUT)
    try:
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        connection.request(method, target, body, {"host": parts.netloc, **(headers or {})})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def address_of(url):
    parts = urllib.parse.urlsplit(url)
    return parts.hostname, parts.port


def signed(address, credentials, method, url, body=None):
    """A request with AWS Signature Version 4, as callers of the application's routes send it."""
    request = AWSRequest(method, url, data=body, headers={"content-type": "application/json"} if body else {})
    keys = Credentials(*(credentials.get(f"aws_{name}") for name in ("access_key_id", "secret_access_key", "session_token")))
    SigV4Auth(keys, "execute-api", REGION).add_auth(request)
    return send(address, method, url, dict(request.headers.items()), body)


class Browser:
    """Keeps cookies, of one host."""

    def __init__(self, address):
        self.address, self.cookies = address, {}

    def go(self, method, url, form=None):
        headers = {"content-type": "application/x-www-form-urlencoded"} if form else {}
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = send(self.address, method, url, headers, form and urllib.parse.urlencode(form))
        for cookie in answer.headers.get_all("set-cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer
