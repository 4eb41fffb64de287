"""Calls every function of a deployed stack once, and says which failed and why.

Usage: smoke.py STACK [--through-api]. Needs boto3, which comes with sam, and the permissions cloudformation:DescribeStacks,
cloudformation:ListStackResources, lambda:GetFunctionConfiguration, lambda:InvokeFunction and, with a webhook,
secretsmanager:DescribeSecret. Region, credentials and endpoint come from the usual AWS_ variables.

The events change no data: a list of an unknown user, a reauthorization, an event and a callback that do not exist, and batches without
messages.
The sweep does what its schedule does every minute. digi.me may be down: what the sweep could not process, and functions that cannot
connect to digi.me, are printed and are no failures. A failed step of a function's warm-up is seen only if the call starts a new process,
and if LogLevel lets it be logged. With --through-api, the callback is also called from outside, through the API and, if the stack has one,
its domain.
"""

import base64
import json
import pathlib
import sys
import urllib.error
import urllib.request

import boto3
from botocore.exceptions import BotoCoreError, ClientError

EVENTS = pathlib.Path(__file__).resolve().parent / "events"
ALIAS = "live"
UNKNOWN_USER = "smoke-check"
UNKNOWN_REAUTHORIZATION = "ra_" + "0" * 32
UNKNOWN_EVENT = "evt_" + "f" * 32
TIMEOUT = 30
# What a function logs at its start when a step of its warm-up fails (`shared/core/src/warm_up.rs`).
WARM_UP_FAILURES = ("warm-up: a step failed", "warm-up: a step took too long")
DIGIME_STEP = "connect to digi.me"
# What makes a version another one.
VERSIONED = ("CodeSha256", "Environment", "Timeout", "MemorySize", "Architectures", "Role")


def sample(name):
    return json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))


def request(sample_name, method, route, parameters):
    """A sample event with another route."""
    event = sample(sample_name)
    path = route.format(**parameters)
    event |= {"routeKey": f"{method} {route}", "rawPath": path, "pathParameters": parameters}
    event["requestContext"]["routeKey"] = event["routeKey"]
    event["requestContext"]["http"] |= {"method": method, "path": path}
    return event


def replies_with(status):
    return lambda reply: reply.get("statusCode") == status


def no_failures(reply):
    return reply.get("batchItemFailures") == []


# By logical id: the event, and whether the reply is the expected one.
CALLS = {
    "Accounts": (request("accounts", "GET", "/users/{userId}/accounts", {"userId": UNKNOWN_USER}), replies_with(404)),
    "CreateReauthUrl": (
        request("accounts", "GET", "/reauthorizations/{reauthorizationId}", {"reauthorizationId": UNKNOWN_REAUTHORIZATION}),
        replies_with(404),
    ),
    "Events": (request("accounts", "GET", "/events/{eventId}/deliveries", {"eventId": UNKNOWN_EVENT}), replies_with(404)),
    "ReauthCallback": (sample("reauth-callback"), replies_with(400)),
    "RecordReadResult": ({"Records": []}, no_failures),
    "NotifyReauth": ({"Records": []}, no_failures),
    "PostWebhook": ({"Records": []}, no_failures),
    "EmailUser": ({"Records": []}, no_failures),
    "SweepAccounts": (sample("sweep-accounts"), lambda reply: "failed" in reply),
}


def stack_resources(stack):
    """The physical ids of the stack's functions and aliases by type and logical id."""
    pages = boto3.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
    found = {"AWS::Lambda::Function": {}, "AWS::Lambda::Alias": {}}
    for resource in (one for page in pages for one in page["StackResourceSummaries"]):
        if resource["ResourceType"] in found:
            found[resource["ResourceType"]][resource["LogicalResourceId"]] = resource["PhysicalResourceId"]
    return found


def stale(client, function):
    """Why the alias is not the function as it was deployed last, or nothing."""
    newest = client.get_function_configuration(FunctionName=function)
    live = client.get_function_configuration(FunctionName=function, Qualifier=ALIAS)
    different = [name for name in VERSIONED if newest.get(name) != live.get(name)]
    return f"the alias {ALIAS} has another {' and '.join(different)} than the last deployment" if different else None


class Failed(Exception):
    """Why a function does not work."""


def missing_secret(client, function):
    """Why the secret of the webhook's signatures cannot be found, or nothing. Whether the function may read it, only a post shows."""
    variables = client.get_function_configuration(FunctionName=function).get("Environment", {}).get("Variables", {})
    if secret := variables.get("WEBHOOK_SECRET_ID"):
        try:
            boto3.client("secretsmanager").describe_secret(SecretId=secret)
        except ClientError as error:
            return f"the secret of WEBHOOK_SECRET_ID cannot be described: {error}"


def call(client, function, qualifier, event, expected):
    """What to say about a call that worked."""
    target = {"FunctionName": function} | ({"Qualifier": qualifier} if qualifier else {})
    answer = client.invoke(**target, LogType="Tail", Payload=json.dumps(event).encode())
    payload = answer["Payload"].read().decode()
    log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace").strip()
    if answer.get("FunctionError"):
        raise Failed(f"{payload}\n{log}")
    reply = json.loads(payload)
    if not expected(reply):
        # Not the reply itself: an unexpected one may contain data.
        raise Failed(f"unexpected reply, status {reply.get('statusCode')}\n{log}")
    failed_steps = [line for line in log.splitlines() if any(failure in line for failure in WARM_UP_FAILURES)]
    if any(DIGIME_STEP not in line for line in failed_steps):
        raise Failed(f"the warm-up failed\n{log}")
    counts = [f"{name} {count}" for name, count in reply.items() if isinstance(count, int) and name != "statusCode"]
    return ", ".join(counts + [f"could not {DIGIME_STEP}"] * bool(failed_steps))


def check(client, logical_id, resources):
    function = resources["AWS::Lambda::Function"][logical_id]
    has_alias = f"{logical_id}Alias{ALIAS}" in resources["AWS::Lambda::Alias"]
    if logical_id not in CALLS:
        raise Failed("this check has no event for it")
    if reason := (stale(client, function) if has_alias else None) or missing_secret(client, function):
        raise Failed(reason)
    return call(client, function, ALIAS if has_alias else None, *CALLS[logical_id])


def check_api(stack):
    """A callback without a state is answered with 400 by the function, and with 403 or not at all when API or domain are wrong."""
    outputs = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    url = next(output["OutputValue"] for output in outputs if output["OutputKey"] == "CallbackUrl")
    try:
        urllib.request.urlopen(url, timeout=TIMEOUT).close()
    except urllib.error.HTTPError as error:
        if error.code != 400:
            raise Failed(f"{url} answers {error.code}") from error
    except OSError as error:
        raise Failed(f"{url}: {error}") from error
    else:
        raise Failed(f"{url} accepts a callback without a state")


def passes(name, run):
    """Runs a check and prints how it ended."""
    try:
        said = run()
    except (Failed, BotoCoreError, ClientError) as reason:
        print(f"{name}: FAILED: {reason}")
        return False
    print(f"{name}: ok{f' ({said})' if said else ''}")
    return True


def main(stack, *options):
    resources = stack_resources(stack)
    if not resources["AWS::Lambda::Function"]:
        sys.exit(f"the stack {stack} has no functions")
    client = boto3.client("lambda")
    passed = [passes(name, lambda: check(client, name, resources)) for name in sorted(resources["AWS::Lambda::Function"])]
    if "--through-api" in options:
        passed.append(passes("Callback through the API", lambda: check_api(stack)))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    try:
        sys.exit(main(*sys.argv[1:]))
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")
