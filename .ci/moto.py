"""Runs what talks AWS's wire protocols against moto, an implementation of AWS that is not this project's.

The functions' real binaries with DynamoDB, Secrets Manager, SQS and SNS, and the store's tests on moto's DynamoDB.
"""

import os
import subprocess

from moto_server import moto

SUITES = [
    # With thirty writes at the same time, moto answers so late that the SDK sends transactions again. moto carries them out twice: it does not
    # compare their tokens.
    ("DYNAMODB_TEST_ENDPOINT", ["--test", "store", "--", "--skip", "three_readers"]),
    ("AWS_TEST_ENDPOINT", ["--test", "aws", "--", "--ignored"]),
]


def main():
    with moto() as endpoint:
        environment = {**os.environ, "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        for variable, arguments in SUITES:
            command = ["cargo", "test", "--locked", "--workspace", *arguments]
            subprocess.run(command, env={**environment, variable: endpoint}, check=True)


if __name__ == "__main__":
    main()
