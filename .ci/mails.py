"""Sends mails through aws-ses-v2-local, an implementation of SES v2 that is not this project's, and reads what arrived.

It validates the request as SES v2 does, and writes each mail in MIME, which the email package of Python reads back: subject, sender, both
bodies, and the headers with which a mail program unsubscribes.
"""

import contextlib
import email
import email.policy
import html.parser
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.parse
import urllib.request

from local_system import free_port

DOUBLE = pathlib.Path(".ci/node/node_modules/.bin/aws-ses-v2-local")
TEST = "mails::mails_arrive_at_another_ses"
APPLICATION = "Bücherei & Söhne"
# In seconds.
READY = 30
TESTING = 1800


@contextlib.contextmanager
def double():
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = ["node", DOUBLE, "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as server:
        try:
            wait_for(f"{url}/health-check", server)
            yield url
        finally:
            server.terminate()
            server.wait(10)


def wait_for(url, server):
    deadline = time.monotonic() + READY
    while True:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit("aws-ses-v2-local does not come up")
        time.sleep(0.1)


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def mails(url):
    """The mails as a mail program reads them."""
    for stored in get(f"{url}/store")["emails"]:
        query = urllib.parse.urlencode({"messageId": stored["messageId"]})
        content = bytes(get(f"{url}/get-emlContent?{query}")["body"]["data"])
        yield email.message_from_bytes(content, policy=email.policy.default)


class Page(html.parser.HTMLParser):
    """The tags of a page, its title, and its links."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.languages, self.title = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name == "href"]
        self.languages += [value for name, value in attributes if name == "lang"]

    def handle_data(self, data):
        if self.tags[-1:] == ["title"]:
            self.title += data


def check(mail, subject, language):
    """What is wrong with a mail."""
    text = mail.get_body(("plain",)).get_content()
    page = Page(mail.get_body(("html",)).get_content())
    (sender,) = mail["From"].addresses
    unsubscribe = mail["List-Unsubscribe"].strip().strip("<>")
    facts = {
        "the subject": mail["Subject"] == subject,
        "the sender": (sender.display_name, sender.addr_spec) == (APPLICATION, "connections@demo-application.example"),
        "one receiver": len(mail["To"].addresses) == 1,
        "one click": mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click" and "/unsubscribe/" in unsubscribe,
        "the application in the text": APPLICATION in text,
        "the subject as the title": page.title == subject,
        "the language": page.languages == [language],
        "no image, script or form": not {"img", "script", "form", "iframe"} & set(page.tags),
        "the same links in both bodies": set(page.links) == {line for line in text.splitlines() if line.startswith(("http", "mailto"))},
        "a link to the page": any("/reconnect/" in link for link in page.links),
        "the link that stops the mails": unsubscribe in page.links,
    }
    return [f"{mail['To']}: not {name}" for name, holds in facts.items() if not holds]


def main():
    with double() as url:
        command = ["cargo", "test", "--locked", "--package", "tests", "--test", "guarantees", "--", "--ignored", "--exact", TEST]
        subprocess.run(command, env={**os.environ, "SES_TEST_ENDPOINT": url}, check=True, timeout=TESTING)
        arrived = list(mails(url))
    expected = [("Your connection to Meadow Bank has ended", "en"), ("Ihre Verbindung zu Meadow Bank ist beendet", "de")]
    wrong = [problem for mail, (subject, language) in zip(arrived, expected) for problem in check(mail, subject, language)]
    if len(arrived) != len(expected):
        wrong.append(f"{len(arrived)} mails arrived, not {len(expected)}")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
