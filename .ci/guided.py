"""Checks that `sam deploy --guided` is finished with Enter alone: on a terminal, against moto, with a stand-in for cargo.

Every question has an answer that Enter accepts, up to the last one: whether to deploy the change set. Enter declines it. moto does not run
SAM's transform, so this says nothing about the stack itself.
"""

import os
import pathlib
import pty
import re
import select
import subprocess
import sys
import tempfile
import time

import boto3
from moto_server import moto
from stand_in import build, copy_tree, environment
from template import read

TIME_LIMIT = 120
# Besides the parameters: stack, region, confirmation, capabilities, rollback, configuration file, deployment.
OTHER_QUESTIONS = 12
LAST_QUESTION = "Deploy this changeset? [y/N]: "
# sam's bucket for artifacts. moto loses the tags of a stack that sam creates itself, and sam then refuses it.
MANAGED_STACK = """
Resources: { Bucket: { Type: AWS::S3::Bucket } }
Outputs: { SourceBucket: { Value: !Ref Bucket } }
"""
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """A process on a terminal whose user presses nothing but Enter."""

    def __init__(self, command, tree, env):
        self.screen, terminal = pty.openpty()
        self.process = subprocess.Popen(command, cwd=tree, env=env, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)
        os.close(terminal)
        self.text = ""

    def read(self, deadline):
        """What the process writes next, or nothing when it has ended."""
        if not select.select([self.screen], [], [], max(0, deadline - time.monotonic()))[0]:
            self.fail("does not go on")
        try:
            return os.read(self.screen, 65536).decode(errors="replace")
        except OSError:
            return ""

    def press_enter_until_it_ends(self, most):
        deadline = time.monotonic() + TIME_LIMIT
        pressed = 0
        while chunk := self.read(deadline):
            self.text = COLOURS.sub("", self.text + chunk)
            if self.text.endswith(": "):
                pressed += 1
                if pressed > most:
                    self.fail("asks without end")
                os.write(self.screen, b"\n")
        return self.process.wait(10)

    def fail(self, problem):
        self.process.kill()
        sys.exit(f"sam deploy --guided {problem}:\n{self.text[-2000:]}")


def environment_for(endpoint, env):
    """moto recognizes its own address in the URL of a template by the word `localhost`, and has no names for buckets."""
    config = pathlib.Path(env["HOME"], "aws-config")
    config.write_text("[default]\ns3 =\n  addressing_style = path\n")
    return env | {
        "AWS_ENDPOINT_URL": endpoint.replace("127.0.0.1", "localhost"),
        "AWS_CONFIG_FILE": str(config),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "COLUMNS": "200",
    }


def create_managed_stack(env):
    client = boto3.client(
        "cloudformation",
        region_name="eu-west-1",
        endpoint_url=env["AWS_ENDPOINT_URL"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
    )
    tags = [{"Key": "ManagedStackSource", "Value": "AwsSamCli"}]
    client.create_stack(StackName="aws-sam-cli-managed-default", TemplateBody=MANAGED_STACK, Tags=tags)


def main():
    with tempfile.TemporaryDirectory() as folder, moto() as endpoint:
        tree = pathlib.Path(folder, "tree")
        copy_tree(tree)
        env = environment(pathlib.Path(folder, "bin"), tree)
        build(tree, env)
        env = environment_for(endpoint, env)
        create_managed_stack(env)
        terminal = Terminal(["sam", "deploy", "--guided"], tree, env)
        status = terminal.press_enter_until_it_ends(len(read()["Parameters"]) + OTHER_QUESTIONS)
        if status != 0 or LAST_QUESTION not in terminal.text:
            terminal.fail(f"ends with {status} before its last question")


if __name__ == "__main__":
    main()
