"""Calls every function of a deployed stack once, and says which failed and why.

Usage: smoke.py STACK [--through-api]. Needs boto3, which comes with sam, and the permissions cloudformation:DescribeStacks,
cloudformation:ListStackResources, lambda:GetFunctionConfiguration and lambda:InvokeFunction. Region, credentials and endpoint come from
the usual AWS_ variables.

The events change no data: a list of an unknown user, a reauthorization and a callback that do not exist, and batches without messages.
The sweep does what its schedule does every minute. With --through-api, the callback is also called from outside, through the API and, if
the stack has one, its domain.
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
TIMEOUT = 30
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
    "ReauthCallback": (sample("reauth-callback"), replies_with(400)),
    "RecordReadResult": ({"Records": []}, no_failures),
    "NotifyReauth": ({"Records": []}, no_failures),
    "PostWebhook": ({"Records": []}, no_failures),
    "SweepAccounts": (sample("sweep-accounts"), lambda reply: reply.get("failed") == 0),
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


def call(client, function, qualifier, event, expected):
    """Why the call failed, or nothing."""
    target = {"FunctionName": function} | ({"Qualifier": qualifier} if qualifier else {})
    answer = client.invoke(**target, LogType="Tail", Payload=json.dumps(event).encode())
    payload = answer["Payload"].read().decode()
    log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace").strip()
    if answer.get("FunctionError"):
        return f"{payload}\n{log}"
    reply = json.loads(payload)
    # Not the reply itself: an unexpected one may contain data.
    return None if expected(reply) else f"unexpected reply, status {reply.get('statusCode')}\n{log}"


def check(client, logical_id, resources):
    function = resources["AWS::Lambda::Function"][logical_id]
    has_alias = f"{logical_id}Alias{ALIAS}" in resources["AWS::Lambda::Alias"]
    if logical_id not in CALLS:
        return "this check has no event for it"
    try:
        reason = stale(client, function) if has_alias else None
        return reason or call(client, function, ALIAS if has_alias else None, *CALLS[logical_id])
    except (BotoCoreError, ClientError) as error:
        return str(error)


def check_api(stack):
    """A callback without a state is answered with 400 by the function, and with 403 or not at all when API or domain are wrong."""
    outputs = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    url = next(output["OutputValue"] for output in outputs if output["OutputKey"] == "CallbackUrl")
    try:
        urllib.request.urlopen(url, timeout=TIMEOUT).close()
        return f"{url} accepts a callback without a state"
    except urllib.error.HTTPError as error:
        return None if error.code == 400 else f"{url} answers {error.code}"
    except OSError as error:
        return f"{url}: {error}"


def main(stack, *options):
    resources = stack_resources(stack)
    client = boto3.client("lambda")
    results = {name: check(client, name, resources) for name in sorted(resources["AWS::Lambda::Function"])}
    if "--through-api" in options:
        results["Callback through the API"] = check_api(stack)
    for name, reason in results.items():
        print(f"{name}: {'ok' if reason is None else 'FAILED: ' + reason}")
    if not resources["AWS::Lambda::Function"]:
        print(f"the stack {stack} has no functions")
    return 0 if results and not any(results.values()) else 1


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    try:
        sys.exit(main(*sys.argv[1:]))
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")
