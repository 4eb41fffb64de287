"""Runs what talks AWS's wire protocols against moto, an implementation of AWS that is not this project's.

The functions' real binaries with DynamoDB, Secrets Manager, SQS and SNS, and the store's tests on moto's DynamoDB.
"""

import os
import socket
import subprocess
import sys
import time

from local_system import free_port

READY = 30
SUITES = [
    ("DYNAMODB_TEST_ENDPOINT", ["--test", "store"]),
    ("AWS_TEST_ENDPOINT", ["--test", "aws", "--", "--ignored"]),
]


def wait_until_it_listens(port, server):
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("moto_server does not come up")


def main():
    port = free_port()
    server = subprocess.Popen(["moto_server", "-H", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL)
    try:
        wait_until_it_listens(port, server)
        environment = {**os.environ, "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        for variable, arguments in SUITES:
            command = ["cargo", "test", "--locked", "--workspace", *arguments]
            subprocess.run(command, env={**environment, variable: f"http://127.0.0.1:{port}"}, check=True)
    finally:
        server.terminate()
        server.wait(10)


if __name__ == "__main__":
    main()
