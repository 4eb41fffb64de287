"""Runs the example application of docs/examples/node/ against a local system of its own (`.ci/node_example.mjs`), after checking its types, and
the programs of docs/from-the-sdk.md that sign a request.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.request

from local_system import free_port, local_system

EXAMPLE = "docs/examples/node"
DOCUMENT = pathlib.Path("docs/from-the-sdk.md")
TIMEOUT = 120
# Node.js looks for packages from the current directory.
PROGRAMS = {"js": ["node", "--input-type=module", "-"], "python": [sys.executable, "-"]}


def program(language):
    [text] = re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return text


def run_programs(api):
    """Runs the programs that sign a request, with the right secret and with a wrong one."""
    with urllib.request.urlopen(f"{api}/_local/info", timeout=10) as response:
        credentials = json.load(response)["credentials"]
    variables = {"REAUTH_API_URL": api, "AWS_REGION": credentials["region"], "AWS_ACCESS_KEY_ID": credentials["accessKeyId"]}
    for language, command in PROGRAMS.items():
        for secret, expected in ((credentials["secretAccessKey"], '200 {"accounts":'), ("wrong", "403 ")):
            environment = {"PATH": os.environ["PATH"], "AWS_SECRET_ACCESS_KEY": secret, **variables}
            limits = {"capture_output": True, "text": True, "timeout": TIMEOUT}
            ran = subprocess.run(command, cwd=EXAMPLE, env=environment, input=program(language), **limits)
            if not ran.stdout.startswith(expected):
                sys.exit(f"{DOCUMENT}, {language}: expected {expected}, got {ran.stdout} {ran.stderr}")
        print(f"ok - the program in {language}")


def main():
    for command in (["npm", "ci", "--no-audit", "--no-fund"], ["npm", "run", "--silent", "check"]):
        subprocess.run(command, cwd=EXAMPLE, check=True, timeout=TIMEOUT)
    application = f"http://127.0.0.1:{free_port()}"
    os.environ["DEFAULT_RETURN_URL"] = f"{application}/returned"
    options = ["--verify-signatures", "--webhook-url", f"{application}/webhook", "--return-origin", application]
    with local_system(*options) as addresses:
        run_programs(addresses["API"])
        command = ["node", ".ci/node_example.mjs", addresses["API"]]
        return subprocess.run(command, timeout=TIMEOUT).returncode


if __name__ == "__main__":
    sys.exit(main())
