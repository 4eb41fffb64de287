"""Makes of template.yaml what MiniStack can create. Everything else is created as SAM translates it.

1. MiniStack ignores the body of an HTTP API. Its paths become Route and Integration resources.
2. MiniStack's `Ref` of a secret is its name. On AWS it is the ARN, so `Ref` becomes `GetAtt Id`.
3. A topic of MiniStack's CloudFormation lets anybody publish. A topic without a policy gets one that leaves it to the callers'
   policies, as AWS's default does.
4. MiniStack knows no alarms of expressions. They become alarms of some metric. It evaluates neither.
5. MiniStack does not join the members of a list in a condition. Conditions become what they amount to.
6. The webhook's receiver is on this machine, which functions refuse to post to. Those that post to it are allowed to.
7. MiniStack asks whether a caller may send a mail with any identity and from any address. Whoever may send one may send each.
"""

import copy
import logging
import re

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from deployed.servers import REGION

SECRET = "AWS::SecretsManager::Secret"
API = "AWS::ApiGatewayV2::Api"
ALARM = "AWS::CloudWatch::Alarm"
FUNCTION = "AWS::Lambda::Function"
TOPIC, TOPIC_POLICY = "AWS::SNS::Topic", "AWS::SNS::TopicPolicy"


def translate(template, parameters):
    """What CloudFormation makes of a template of SAM."""
    # It logs that it publishes no metrics about the translation.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    return Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION)).translate(copy.deepcopy(template), parameters)


def adapt(translated, conditions):
    """Returns the template for MiniStack, with these values of the conditions, and the logical ids of the added resources."""
    template = copy.deepcopy(translated)
    resources = template["Resources"]
    template["Conditions"] = {name: {"Fn::Equals": ["true", str(holds).lower()]} for name, holds in conditions.items()}
    added = topic_policies(resources, conditions)
    allow_batches(resources)
    allow_mails(resources)
    for logical, resource in resources.items():
        if resource["Type"] == API and "Body" in resource["Properties"]:
            added |= routes_of(logical, resource)
        if resource["Type"] == ALARM and resource["Properties"].pop("Metrics", None):
            resource["Properties"] |= {"Namespace": "check", "MetricName": logical, "Statistic": "Sum", "Period": 60}
        if resource["Type"] == FUNCTION and "WEBHOOK_URL" in resource["Properties"]["Environment"]["Variables"]:
            resource["Properties"]["Environment"]["Variables"]["WEBHOOK_ALLOW_LOOPBACK"] = "true"
    resources |= added
    secrets = {logical for logical, resource in resources.items() if resource["Type"] == SECRET}
    return (secret_arns(template, secrets) if secrets else template), set(added)


def allow_batches(resources):
    """On AWS, `sqs:SendMessage` allows SendMessageBatch too. MiniStack wants an action of that name, which AWS does not have."""
    for statement in statements(resources):
        if isinstance(actions := statement["Action"], list) and "sqs:SendMessage" in actions:
            actions.append("sqs:SendMessageBatch")


def allow_mails(resources):
    for statement in statements(resources):
        if statement["Action"] == ["ses:SendEmail"]:
            statement["Resource"] = "*"
            del statement["Condition"]


def statements(value):
    """The statements of all policies in it."""
    if isinstance(value, dict):
        if "Action" in value:
            yield value
        value = list(value.values())
    for one in value if isinstance(value, list) else []:
        yield from statements(one)


def topic_policies(resources, conditions):
    policies = [one for one in resources.values() if one["Type"] == TOPIC_POLICY and conditions.get(one.get("Condition"), True)]
    named = [topic for one in policies for topic in one["Properties"]["Topics"]]
    bare = [name for name, one in resources.items() if one["Type"] == TOPIC and {"Ref": name} not in named]
    return {f"{name}DefaultPolicy": default_policy(name, resources[name]) for name in bare}


def default_policy(topic, resource):
    actions = ["sns:Publish", "sns:Subscribe"]
    owner = {"Effect": "Allow", "Principal": {"AWS": {"Ref": "AWS::AccountId"}}, "Action": actions, "Resource": {"Ref": topic}}
    document = {"Version": "2012-10-17", "Statement": [owner]}
    policy = {"Type": TOPIC_POLICY, "Properties": {"Topics": [{"Ref": topic}], "PolicyDocument": document}}
    return policy | {"Condition": resource["Condition"]} if "Condition" in resource else policy


def routes_of(api, resource):
    properties = resource["Properties"]
    body = properties.pop("Body")
    properties |= {"Name": body["info"]["title"], "ProtocolType": "HTTP"}
    made = {}
    for path, operations in body["paths"].items():
        for method, operation in operations.items():
            integration = operation["x-amazon-apigateway-integration"]
            route = "$default" if path == "/$default" else f"{method.upper().removeprefix('X-AMAZON-APIGATEWAY-')} {path}"
            name = f"{api}Route{len(made) // 2}"
            iam = any("AWS_IAM" in scheme for scheme in operation.get("security", body.get("security", [])))
            made[f"{name}Integration"] = {
                "Type": "AWS::ApiGatewayV2::Integration",
                "Properties": {
                    "ApiId": {"Ref": api},
                    "IntegrationType": integration["type"].upper(),
                    "IntegrationUri": integration["uri"],
                    "PayloadFormatVersion": integration["payloadFormatVersion"],
                },
            }
            made[name] = {
                "Type": "AWS::ApiGatewayV2::Route",
                "Properties": {
                    "ApiId": {"Ref": api},
                    "RouteKey": route,
                    "AuthorizationType": "AWS_IAM" if iam else "NONE",
                    "Target": {"Fn::Join": ["/", ["integrations", {"Ref": f"{name}Integration"}]]},
                },
            }
            if "Condition" in resource:
                made[name]["Condition"] = made[f"{name}Integration"]["Condition"] = resource["Condition"]
    return made


def secret_arns(node, secrets):
    if isinstance(node, list):
        return [secret_arns(item, secrets) for item in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"Ref"} and node["Ref"] in secrets:
        return {"Fn::GetAtt": [node["Ref"], "Id"]}
    if set(node) == {"Fn::Sub"} and isinstance(node["Fn::Sub"], str):
        return {"Fn::Sub": re.sub(rf"\$\{{({'|'.join(secrets)})}}", r"${\1.Id}", node["Fn::Sub"])}
    return {key: secret_arns(value, secrets) for key, value in node.items()}
