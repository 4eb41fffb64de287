"""Checks what a stack consists of, on the translated template.

Two stacks of one account and region share no name. Every setting that a function gets publishes a version of it, which its callers invoke.
Functions are moved back by the failures that they have. Roles have the permissions boundary and the use of the key, queues have outputs, and the documented policy of a key is the one of the template's key.
"""

import json
import pathlib
import re
import sys

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from cloudformation import Stack
from parameters import DOMAIN, GOOD, ORIGINS, WEBHOOK
from template import functions, read, translate

DEPLOY_GUIDE = pathlib.Path(__file__).resolve().parent.parent / "docs/deploy.md"
# With everything that a parameter can add, but the key, which is given or made.
EVERYTHING = {
    **WEBHOOK,
    **ORIGINS,
    **GOOD["ReadResultsTopicArn"][0],
    **GOOD["ReadResultsSenders"][0],
    **GOOD["NotificationSubscribers"][0],
    **GOOD["ApiCallers"][0],
    **GOOD["AlarmEmail"][0],
    **GOOD["EmailIdentity"][0],
    **GOOD["PermissionsBoundaryArn"][0],
    **GOOD["TrafficShifting"][0],
    "DefaultReturnOrigin": "https://app.example.com",
    "CreateKmsKey": "true",
}
# What is no part of a version of a function.
UNVERSIONED = {"ReservedConcurrentExecutions", "Tags"}


def stack(name="one", parameters=None, template=None):
    return Stack(translate(parameters, template), name, parameters)


def names(resource):
    """The names that the template gives to a resource: what identifies it and is not chosen by AWS."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource["Type"]).schema
    properties = [pointer.removeprefix("/properties/") for pointer in schema.get("primaryIdentifier", [])]
    if given := [str(resource["Properties"][name]) for name in properties if name in resource["Properties"]]:
        yield " ".join(given)
    # What identifies no resource, but mixes the data of two stacks.
    variables = resource["Properties"].get("Environment", {}).get("Variables", {})
    yield from (variables[name] for name in ("CONTRACT_SECRET_PREFIX", "METRICS_NAMESPACE") if name in variables)
    for transformation in resource["Properties"].get("MetricTransformations", []):
        yield transformation["MetricNamespace"]
    for statement in statements(resource):
        resources = statement.get("Resource", [])
        for arn in [resources] if isinstance(resources, str) else resources:
            if ":secret:" in arn and "<" not in arn:
                yield arn


def statements(resource):
    for policy in resource["Properties"].get("Policies", []):
        yield from policy["PolicyDocument"]["Statement"]


def two_stacks():
    one, other = (stack(name, {**EVERYTHING, "WebhookSecretArn": f"{WEBHOOK['WebhookSecretArn']}{name}"}) for name in ("one", "other"))
    shared = dict.fromkeys(
        f"two stacks share the name {name} of {logical_id}"
        for logical_id, resource in one.resources().items()
        for name in names(resource)
        if name in set(names(other.resources()[logical_id]))
    )
    return list(shared)


def versioned(resources, function):
    properties = resources[function]["Properties"]
    return {name: value for name, value in properties.items() if name not in UNVERSIONED}


def of_type(resources, kind):
    return {name: resource for name, resource in resources.items() if resource["Type"] == kind}


def versions(stack):
    """The properties of each version by its function. Other properties, or another logical id, are another version."""
    published = of_type(stack.resources(), "AWS::Lambda::Version").items()
    return {re.search(r":(\w+)\.", version["Properties"]["FunctionName"]).group(1): (name, version["Properties"]) for name, version in published}


def settings():
    """A parameter that changes a function, in whatever way, publishes a version; and each published version differs from the last."""
    base = {**EVERYTHING}
    before = stack(parameters=base)
    for name, alternatives in GOOD.items():
        change = {key: value for key, value in alternatives[-1].items() if key == name or base.get(key, "") == ""}
        if base.get(name) == change[name]:
            change[name] = {"DefaultReturnOrigin": "https://www.example.com:8443"}.get(name, change[name] + "1")
        after = stack(parameters={**base, **change})
        for function in of_type(before.resources(), "AWS::Lambda::Function"):
            changed = versioned(before.resources(), function) != versioned(after.resources(), function)
            published = versions(before)[function] != versions(after)[function]
            if changed and not published:
                yield f"{name} changes {function}, and no version is published"
            if published and not changed:
                yield f"{name} publishes a version of {function} that does not differ from the last one, which Lambda refuses"
    code = read()
    code["Globals"]["Function"]["Timeout"] = 28
    if any(versions(before)[function] == version for function, version in versions(stack(parameters=base, template=code)).items()):
        yield "another time limit publishes no version"


def alarms(resources):
    return [(name, alarm["Properties"]) for name, alarm in of_type(resources, "AWS::CloudWatch::Alarm").items()]


def callers():
    """Nobody invokes an unpublished version, and CodeDeploy moves every alias, with alarms that exist."""
    resources = stack(parameters=EVERYTHING).resources()
    for name, resource in resources.items():
        if resource["Type"].startswith(("AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission", "AWS::Scheduler", "AWS::ApiGatewayV2::Api")):
            for function in of_type(resources, "AWS::Lambda::Function"):
                if f":{function}.Ref" in json.dumps(resource) or f":{function}.Arn" in json.dumps(resource):
                    yield f"{name} does not invoke the alias of {function}"
    for name, resource in of_type(resources, "AWS::Lambda::EventInvokeConfig").items():
        if resource["Properties"]["Qualifier"] != "live":
            yield f"{name} is not about the alias"
    for name, group in of_type(resources, "AWS::CodeDeploy::DeploymentGroup").items():
        for alarm in group["Properties"]["AlarmConfiguration"]["Alarms"]:
            if alarm["Name"] not in {own.get("AlarmName", f"<one:{it}.Ref>") for it, own in alarms(resources)}:
                yield f"{name} names the alarm {alarm['Name']}, which does not exist"
    yield from rollbacks(resources)
    aliases = of_type(resources, "AWS::Lambda::Alias")
    functions = of_type(resources, "AWS::Lambda::Function")
    if any("UpdatePolicy" not in alias for alias in aliases.values()) or len(aliases) != len(functions):
        yield "CodeDeploy does not move every alias"


def rollbacks(resources):
    """Each failure that a function can have moves its alias back: of an invocation, of a request that it answers itself, of a message."""
    mapped = json.dumps(list(of_type(resources, "AWS::Lambda::EventSourceMapping").values()))
    for function, source in functions(read()).items():
        served = any(event["Type"] == "HttpApi" for event in source["Properties"]["Events"].values())
        expected = {f"{function}ErrorsAlarm"}
        expected |= {f"{function}ServerErrorsAlarm"} if served else set()
        # A receiver that is down must not stop deployments.
        expected |= {f"{function}FailuresAlarm"} if f"{function}Alias" in mapped and function != "PostWebhook" else set()
        group = resources[f"{function}DeploymentGroup"]["Properties"]
        if {alarm["Name"] for alarm in group["AlarmConfiguration"]["Alarms"]} != {f"<one:{alarm}.Ref>" for alarm in expected}:
            yield f"the alarms that move {function} back are not {sorted(expected)}"
        binary = {"Name": "Function", "Value": source["Metadata"]["BuildProperties"]["Binary"]}
        if served and [binary] not in [alarm.get("Dimensions") for name, alarm in alarms(resources) if name == f"{function}ServerErrorsAlarm"]:
            yield f"{function}ServerErrorsAlarm does not watch {binary['Value']}"


def key_use():
    """The roles of the functions may use the key from their creation on, and lose it in no step of an update."""
    resources = stack(parameters=EVERYTHING).resources()
    for function in of_type(resources, "AWS::Lambda::Function"):
        if not any("kms:Decrypt" in statement["Action"] for statement in statements(resources[f"{function}Role"])):
            yield f"{function}Role itself does not allow the use of the key"


def long_names():
    """The longest name of a stack gives no property more characters than it can have."""
    resources = stack("s" * 128, EVERYTHING).resources()
    for name, resource in resources.items():
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource["Type"]).schema["properties"]
        for key, value in resource["Properties"].items():
            # Placeholders have lengths of their own.
            if isinstance(value, str) and "<" not in value and len(value) > schema.get(key, {}).get("maxLength", len(value)):
                yield f"{key} of {name} is too long in a stack with a long name"


def boundaries():
    for name, role in of_type(stack(parameters=EVERYTHING).resources(), "AWS::IAM::Role").items():
        if role["Properties"].get("PermissionsBoundary") != EVERYTHING["PermissionsBoundaryArn"]:
            yield f"{name} has no permissions boundary"


def outputs():
    everything = stack(parameters=EVERYTHING)
    values = [everything.resolve(output["Value"]) for output in everything.template["Outputs"].values()]
    kinds = {"AWS::SQS::Queue": ["Ref", "Arn"], "AWS::Events::EventBus": ["Ref", "Arn"], "AWS::SNS::Topic": ["Ref"], "AWS::SecretsManager::Secret": ["Ref"], "AWS::DynamoDB::Table": ["Ref"]}
    for kind, attributes in kinds.items():
        for name in of_type(everything.resources(), kind):
            for attribute in attributes:
                if f"<one:{name}.{attribute}>" not in values:
                    yield f"no output is {attribute} of {name}"
    for output in ("ApiUrl", "CallbackUrl"):
        value = Stack(everything.template, "one", DOMAIN).resolve(everything.template["Outputs"][output]["Value"])
        if not re.fullmatch(r"https://links\.example\.com(/callback)?", value):
            yield f"{output} is {value} with a domain"


def key_policy():
    """The documented policy lets the same services and senders use a given key as the template's policy lets use its own."""
    words = {"ReadResultsTopicArn": "READ_RESULTS_TOPIC_ARN", "ReadResultsSenders": "SENDER_ARN"}
    own = Stack(translate(), "one", {**words, "CreateKmsKey": "true"}, account="ACCOUNT_ID", region="REGION").resources()["Key"]
    expected = [statement for statement in own["Properties"]["KeyPolicy"]["Statement"] if statement["Sid"] != "Account"]
    blocks = re.findall(r"^```json\n(.*?)^```", DEPLOY_GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    documented = [json.loads(block) for block in blocks if '"kms:' in block]

    def normal(statement):
        return {key: sorted(value) if isinstance(value, list) else value for key, value in json.loads(json.dumps(statement).replace('["SENDER_ARN"]', '"SENDER_ARN"')).items()}

    if [list(map(normal, block)) for block in documented] != [list(map(normal, expected))]:
        yield f"docs/deploy.md does not document the policy of the key, which is {json.dumps(expected, indent=2)}"


def main():
    checks = (two_stacks, long_names, settings, callers, key_use, boundaries, outputs, key_policy)
    wrong = [problem for check in checks for problem in check()]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
