"""Runs the example application of docs/examples/node/ against a local system of its own (`.ci/node_example.mjs`), after checking its types, and
the programs of docs/from-the-sdk.md that sign a request."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

from local_system import free_port, local_system

EXAMPLE = "docs/examples/node"
REGION = "eu-west-1"
TIMEOUT = 120


def knows(option):
    return option in subprocess.run(["target/debug/local", "--help"], capture_output=True, check=True, text=True).stdout


def secret(aws, name):
    headers = {"x-amz-target": "secretsmanager.GetSecretValue", "content-type": "application/x-amz-json-1.1"}
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential=a/20260101/{REGION}/secretsmanager/aws4_request, SignedHeaders=host, Signature=0"
    request = urllib.request.Request(aws, json.dumps({"SecretId": name}).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)["SecretString"]


def pkcs1(pem, path):
    path.write_text(pem)
    command = ["openssl", "rsa", "-traditional", "-in", str(path), "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)


def described(addresses, app):
    """What `GET /_local/info` says, as `.ci/node_example.mjs` needs it. `None` if this local system does not have it."""
    try:
        with urllib.request.urlopen(f"{addresses['API']}/_local/info", timeout=10) as response:
            info = json.load(response)
    except urllib.error.HTTPError:
        return None
    credentials = {name: info["credentials"][name] for name in ("accessKeyId", "secretAccessKey")}
    contract = info["contracts"][0]
    return {
        "api": info["apiUrl"],
        "app": app,
        "digime": info["digimeBaseUrl"],
        "onboard": info["digimeOnboardUrl"],
        "control": info["digimeControlUrl"],
        "applicationId": contract["applicationId"],
        "contractId": contract["contractId"],
        "privateKeyFile": contract["privateKeyFile"],
        "webhookSecret": info["webhook"]["secret"],
        "credentials": credentials,
        "region": info["credentials"]["region"],
        "signaturesVerified": info["signaturesVerified"],
    }


def gathered(addresses, app, folder):
    """The same for a local system without `GET /_local/info`."""
    key = pathlib.Path(folder) / "contract.pem"
    contract = json.loads(secret(addresses["AWS"], "digime-reauth/contracts/demo-contract"))
    pkcs1(contract["privateKey"], key)
    digime = addresses["digi.me"]
    return {
        "api": addresses["API"],
        "app": app,
        "digime": digime,
        "onboard": digime.replace("/v1.7/", "/apps/saas/"),
        "control": digime.replace("/v1.7/", "/_simulator/"),
        "applicationId": contract["applicationId"],
        "contractId": contract["contractId"],
        "privateKeyFile": str(key),
        "webhookSecret": secret(addresses["AWS"], "digime-reauth/webhook-secret"),
        "credentials": {"accessKeyId": "a", "secretAccessKey": "b"},
        "region": REGION,
        "signaturesVerified": False,
    }


def programs(system):
    """Runs the programs that sign a request, with the right secret and with a wrong one."""
    document = pathlib.Path("docs/from-the-sdk.md").read_text()
    # Node.js looks for packages from the current directory.
    for language, command in (("js", ["node", "--input-type=module", "-"]), ("python", [sys.executable, "-"])):
        [program] = re.findall(rf"^```{language}\n(.*?)^```", document, re.MULTILINE | re.DOTALL)
        key, secret = system["credentials"]["accessKeyId"], system["credentials"]["secretAccessKey"]
        cases = {secret: "200 {\"accounts\":"} | ({"wrong": "403 "} if system["signaturesVerified"] else {})
        for secret, expected in cases.items():
            variables = {"REAUTH_API_URL": system["api"], "AWS_REGION": system["region"], "AWS_ACCESS_KEY_ID": key}
            environment = {"PATH": os.environ["PATH"], "AWS_SECRET_ACCESS_KEY": secret, **variables}
            ran = subprocess.run(command, cwd=EXAMPLE, env=environment, input=program, capture_output=True, text=True, timeout=TIMEOUT)
            if not ran.stdout.startswith(expected):
                sys.exit(f"docs/from-the-sdk.md, {language}: expected {expected}, got {ran.stdout} {ran.stderr}")
        print(f"ok - the program in {language}")


def main():
    for command in (["npm", "ci", "--no-audit", "--no-fund"], ["npm", "run", "--silent", "check"]):
        subprocess.run(command, cwd=EXAMPLE, check=True, timeout=TIMEOUT)
    app = f"http://127.0.0.1:{free_port()}"
    options = ["--webhook-url", f"{app}/webhook"]
    options += ["--verify-signatures"] if knows("--verify-signatures") else []
    options += ["--return-origin", app] if knows("--return-origin") else []
    with tempfile.TemporaryDirectory() as folder, local_system(*options) as addresses:
        system = described(addresses, app) or gathered(addresses, app, folder)
        programs(system)
        environment = {**os.environ, "SYSTEM": json.dumps(system)}
        return subprocess.run(["node", ".ci/node_example.mjs"], env=environment, timeout=TIMEOUT).returncode


if __name__ == "__main__":
    sys.exit(main())
