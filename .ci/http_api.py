"""Renders infra/openapi.yaml to one HTML page, target/http-api.html, and opens it in Chromium without a network. With the argument `render`, it
only renders.

The page contains its scripts and needs nothing else: its policy forbids every request, also the one for the logo of the tool.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

from chromium import Checks, browser, until

PAGE = pathlib.Path("target/http-api.html")
DESCRIPTION = pathlib.Path("infra/openapi.yaml")
REDOCLY = ".ci/node/node_modules/.bin/redocly"
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
# The logo of the tool, the only thing that the page would fetch.
LOGO = re.compile(r"https://cdn\.redoc\.ly/[^`\"']+")
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:"
META = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'


def render():
    command = [REDOCLY, "build-docs", DESCRIPTION, "--inlineBundle", "--output", PAGE]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **QUIET}, timeout=120)
    head, tag, rest = PAGE.read_text().partition("<head>")
    PAGE.write_text(head + tag + META + LOGO.sub("data:,", rest))


def operations():
    # Here, so that who only renders the page needs no package of Python.
    import yaml

    description = yaml.safe_load(DESCRIPTION.read_text())
    items = [*description["paths"].values(), *description["webhooks"].values()]
    return [operation for item in items for operation in item.values() if "operationId" in operation]


def shows(chromium, operation):
    chromium.visit(f"{PAGE.resolve().as_uri()}#operation/{operation['operationId']}")
    shown = "return [...document.querySelectorAll('h1, h2, h3')].some((heading) => heading.innerText.startsWith(arguments[0]))"
    return until(lambda: chromium.run(shown, operation["summary"]))


def requests(chromium):
    """The addresses that the browser asked for, without the page itself."""
    messages = (json.loads(entry["message"])["message"] for entry in chromium.post("/se/log", type="performance"))
    sent = (message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent")
    page = PAGE.resolve().as_uri()
    return [url for url in sent if not url.startswith(("data:", "blob:")) and url.partition("#")[0] != page]


def main():
    PAGE.parent.mkdir(exist_ok=True)
    render()
    if sys.argv[1:] == ["render"]:
        return 0
    check = Checks()
    with browser() as chromium:
        missing = [operation["operationId"] for operation in operations() if not shows(chromium, operation)]
        check("the page shows every operation and every event", not missing, missing)
        errors = [entry["message"] for entry in chromium.post("/se/log", type="browser") if entry["level"] == "SEVERE"]
        check("the page has no errors", not errors, errors)
        asked = requests(chromium)
        check("the page asks for nothing else", not asked, asked)
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
