"""The processes of the check, on free loopback ports: MiniStack and the digi.me simulator. Each is ended with its children."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import urllib.request

import boto3
from botocore.config import Config
from local_system import free_port

from deployed.waiting import Timeout, until

REGION = "eu-west-1"
# The host of every API is `<id>.execute-api.<this>`, as on AWS: so the template's outputs and links name it.
HOST = f"{REGION}.amazonaws.com"
ACCOUNT = "000000000000"
# MiniStack's key of the account's root.
ROOT = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
STARTING = 30


class Aws:
    """Clients of MiniStack for one caller, by service: `aws.sqs`. By default the caller is the account's root."""

    def __init__(self, url, credentials=None):
        self.url, self.credentials = url, credentials or ROOT
        self._session = boto3.Session(region_name=REGION, **self.credentials)

    def __getattr__(self, service):
        # A refused call is not repeated.
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60)
        client = self._session.client(service.rstrip("_"), endpoint_url=self.url, config=config)
        setattr(self, service, client)
        return client

    def stand_in_for_service(self, role):
        """Assumes a role of a service of AWS, which trusts the service alone: lets it trust this account too."""
        trusts = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
        name = role.rsplit("/", 1)[-1]
        document = self.iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        document["Statement"].append(trusts)
        self.iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(document))
        return self.assume(role)

    def caller(self, credentials):
        return Aws(self.url, credentials)

    def assume(self, role):
        """A caller with the permissions of this role. The role must trust this caller."""
        keys = self.sts.assume_role(RoleArn=role, RoleSessionName="check")["Credentials"]
        return self.caller(
            {
                "aws_access_key_id": keys["AccessKeyId"],
                "aws_secret_access_key": keys["SecretAccessKey"],
                "aws_session_token": keys["SessionToken"],
            }
        )


@contextlib.contextmanager
def process(command, environment, log):
    with open(log, "wb") as output:
        started = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield started
    finally:
        # The functions' processes are in the group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait(10)


def wait_for(what, url, started, log):
    def ready():
        if started.poll() is not None:
            raise Timeout(f"{what} ended: {pathlib.Path(log).read_text(errors='replace')[-2000:]}")
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status == 200

    until(f"{what} answers", ready, STARTING)


@contextlib.contextmanager
def ministack(directory, authorities):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    # The functions inherit this environment: nothing of the caller's is in it but the path.
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "STATE_DIR": str(directory / "state"),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        # Checks signatures, and evaluates the policies of callers, roles and queues.
        "AUTH": "true",
        "IOT_MTLS_ENABLED": "0",
        "AWS_ENDPOINT_URL": url,
        # What docs/deploy.md sets to trust a private authority.
        "SSL_CERT_FILE": str(authorities),
    }
    command = [pathlib.Path(sys.executable).parent / "ministack"]
    log = directory / "ministack.log"
    with process(command, environment, log) as started:
        wait_for("MiniStack", f"{url}/_ministack/health", started, log)
        yield Aws(url)


@contextlib.contextmanager
def simulator(directory):
    """Gives the address of the digi.me simulator."""
    port = free_port()
    binary = os.environ.get("DIGIME_SIMULATOR", "target/debug/digime-simulator")
    log = directory / "simulator.log"
    with process([binary, "--port", str(port)], {"PATH": os.environ["PATH"]}, log) as started:
        wait_for("the digi.me simulator", f"http://127.0.0.1:{port}/_simulator/state", started, log)
        yield f"http://127.0.0.1:{port}"
