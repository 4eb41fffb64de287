"""Checks that infra/smoke.py notices what it says that it notices, with replies of a stand-in for Lambda."""

import base64
import importlib.util
import io
import json
import pathlib
import sys

from botocore.exceptions import ClientError

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = (ROOT / "shared/core/src/warm_up.rs", ROOT / "shared/core/src/authorized_client/mod.rs")
FUNCTION = {"CodeSha256": "one", "Environment": {"Variables": {}}}
SWEEP = {"requeued": 0, "settled": 0, "expired": 0, "failed": 0, "left": 0}
FAILED_STEP = '{"level":"WARN","fields":{"message":"warm-up: a step failed","step":"fetch the service secret"}}'
SLOW_STEP = '{"level":"WARN","fields":{"message":"warm-up: a step took too long","step":"connect to SNS"}}'
DIGIME_DOWN = '{"level":"WARN","fields":{"message":"warm-up: a step took too long","step":"connect to digi.me"}}'


class Lambda:
    def __init__(self, reply, log="", error=None, live=FUNCTION, newest=FUNCTION):
        self.reply, self.log, self.error, self.live, self.newest = reply, log, error, live, newest

    def get_function_configuration(self, FunctionName, Qualifier=None):
        return self.live if Qualifier else self.newest

    def invoke(self, **_):
        answer = {"Payload": io.BytesIO(json.dumps(self.reply).encode()), "LogResult": base64.b64encode(self.log.encode()).decode()}
        return answer | ({"FunctionError": self.error} if self.error else {})


class NoSecrets:
    def describe_secret(self, SecretId):
        raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": SecretId}}, "DescribeSecret")


def load():
    spec = importlib.util.spec_from_file_location("smoke", ROOT / "infra/smoke.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.boto3 = type("Boto3", (), {"client": lambda self, _: NoSecrets()})()
    return module


def main():
    smoke = load()
    with_webhook = FUNCTION | {"Environment": {"Variables": {"WEBHOOK_SECRET_ID": "absent"}}}
    cases = {
        "a batch without failures": ("NotifyReauth", Lambda({"batchItemFailures": []}), True),
        "a failed message": ("NotifyReauth", Lambda({"batchItemFailures": [{"itemIdentifier": "1"}]}), False),
        "a crash": ("NotifyReauth", Lambda({"errorType": "panic"}, error="Unhandled"), False),
        "a failed step of the warm-up": ("NotifyReauth", Lambda({"batchItemFailures": []}, FAILED_STEP), False),
        "a slow step of the warm-up": ("NotifyReauth", Lambda({"batchItemFailures": []}, SLOW_STEP), False),
        "a warm-up while digi.me is down": ("Accounts", Lambda({"statusCode": 404}, DIGIME_DOWN), True),
        "a failed step beside digi.me's": ("Accounts", Lambda({"statusCode": 404}, f"{DIGIME_DOWN}\n{FAILED_STEP}"), False),
        "another version behind the alias": ("Accounts", Lambda({"statusCode": 404}, live=FUNCTION | {"CodeSha256": "other"}), False),
        "a webhook without its secret": ("PostWebhook", Lambda({"batchItemFailures": []}, live=with_webhook, newest=with_webhook), False),
        "a failed message about mails": ("EmailUser", Lambda({"batchItemFailures": [{"itemIdentifier": "1"}]}), False),
        "a sweep": ("SweepAccounts", Lambda(SWEEP), True),
        "a sweep while digi.me is down": ("SweepAccounts", Lambda(SWEEP | {"failed": 3}), True),
        "a function without a check": ("Unknown", Lambda({}), False),
    }
    texts = [path.read_text() for path in SOURCES]
    messages = (*smoke.WARM_UP_FAILURES, smoke.DIGIME_STEP)
    wrong = [f"the code does not log {message}" for message in messages if not any(f'"{message}"' in text for text in texts)]
    for case, (name, client, expected) in cases.items():
        resources = {"AWS::Lambda::Function": {name: name}, "AWS::Lambda::Alias": {f"{name}Alias{smoke.ALIAS}": name}}
        if smoke.passes(case, lambda: smoke.check(client, name, resources)) != expected:
            wrong.append(f"infra/smoke.py {'reports' if expected else 'does not notice'} {case}")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
