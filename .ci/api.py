"""Holds infra/openapi.yaml against the running local system, with a bounded number of generated requests.

The first run calls each operation by itself. The second run follows the links of the description from reply to request. It fails if one
of the links never led to a success: Schemathesis only mentions a link that names a field that no reply has.
"""

import json
import pathlib
import subprocess
import sys
import time
import urllib.request

from description import Description
from local_system import local_system

# Authentication is not among the checks: the local system does not check signatures.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
]
REPORT = pathlib.Path("target/stateful.ndjson")
# In seconds.
TIMEOUT = 600
WAIT = 30
LOST = ["1_demo-bank", "2_demo-hospital"]


def schemathesis(api, checks, *options, config=()):
    command = ["schemathesis", *config, "run", "infra/openapi.yaml", "--url", api, "--checks", ",".join(checks), "--seed", "1"]
    command += ["--request-timeout", "20", "--generation-database", "none", *options]
    return subprocess.run(command, timeout=TIMEOUT).returncode


def call(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=WAIT) as answer:
        return json.load(answer)


def lose_accounts(api):
    """Hands in a read result, so that two accounts need their user, and waits until the log shows it."""
    error = {"state": "partial", "error": {"code": "ServiceAuthorizationError"}}
    result = {"contractId": "demo-contract", "readResult": {account: error for account in LOST}}
    call(f"{api}/users/demo-user/read-results", result)
    deadline = time.monotonic() + WAIT
    while len(call(f"{api}/events")["events"]) < len(LOST):
        if time.monotonic() > deadline:
            raise RuntimeError("the log does not show the events")
        time.sleep(0.1)


def links(description):
    """The name of each link: `GET /accounts -> [200] getAccount -> GET /users/{userId}/accounts/{accountId}`."""
    operations = {operation["operationId"]: name for name, operation in description.operations()}
    for name, operation in description.operations():
        for status, reply in operation["responses"].items():
            for link, target in description.resolve(reply).get("links", {}).items():
                yield f"{name} -> [{status}] {link} -> {operations[description.resolve(target)['operationId']]}"


def followed():
    """The links whose parameters were all taken from the reply, and whose request succeeded."""
    for line in REPORT.read_text().splitlines():
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for name, case in recorder.get("cases", {}).items():
            answer = (recorder["interactions"].get(name) or {}).get("response") or {}
            if case.get("transition") and is_complete(case["transition"]) and 200 <= answer.get("status_code", 0) < 300:
                yield case["transition"]["id"]


def is_complete(transition):
    parameters = (parameter for place in transition["parameters"].values() for parameter in place.values())
    return not any(isinstance(parameter["value"], dict) for parameter in parameters)


def follow_links():
    with local_system() as addresses:
        lose_accounts(addresses["API"])
        options = ["--phases", "stateful", "--mode", "positive", "--max-examples", "200", "--report", "ndjson", "--report-ndjson-path", REPORT]
        # An erased user has no accounts.
        options += ["--exclude-operation-id", "forgetUser"]
        checks = [*CHECKS, "ensure_resource_availability"]
        status = schemathesis(addresses["API"], checks, *options, config=["--config-file", ".ci/stateful.toml"])
    missed = set(links(Description())) - set(followed())
    print(*(f"no request succeeded that followed {link}" for link in sorted(missed)), sep="\n")
    return status or int(bool(missed))


def main():
    with local_system() as addresses:
        status = schemathesis(addresses["API"], CHECKS, "--phases", "coverage,fuzzing", "--max-examples", "50")
    return follow_links() or status


if __name__ == "__main__":
    sys.exit(main())
