"""Whether services of AWS may do what the stack needs them for. MiniStack evaluates such policies for SNS alone."""

import fnmatch
import json

from deployed.servers import ACCOUNT, REGION


def allows(policy, service, action, source):
    """Whether a policy of a resource lets this service act for the resource with the ARN `source`."""
    return any(
        statement["Effect"] == "Allow"
        and statement["Principal"] == {"Service": service}
        and action in listed(statement["Action"])
        and any(fnmatch.fnmatchcase(source, pattern) for pattern in sources(statement))
        for statement in policy["Statement"]
    )


def listed(value):
    return value if isinstance(value, list) else [value]


def sources(statement):
    """Patterns of ARNs. A statement that names no source lets nobody in here."""
    conditions = statement.get("Condition", {})
    return [
        pattern
        for operator in ("ArnEquals", "ArnLike", "StringEquals")
        for key, patterns in conditions.get(operator, {}).items()
        if key.lower() == "aws:sourcearn"
        for pattern in listed(patterns)
    ]


def forbidden_rules(aws, bus):
    """The queues of rules, and their dead-letter queues, that do not let EventBridge send to them."""
    wrong = []
    for rule in aws.events.list_rules(EventBusName=bus)["Rules"]:
        for target in aws.events.list_targets_by_rule(Rule=rule["Name"], EventBusName=bus)["Targets"]:
            for queue in (target["Arn"], target.get("DeadLetterConfig", {}).get("Arn")):
                if queue and not allows(queue_policy(aws, queue), "events.amazonaws.com", "sqs:SendMessage", rule["Arn"]):
                    wrong.append(queue)
    return wrong


def queue_policy(aws, arn):
    url = aws.sqs.get_queue_url(QueueName=arn.rsplit(":", 1)[-1])["QueueUrl"]
    return json.loads(aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"])


def forbidden_routes(aws, api):
    """The routes whose function does not let the API call it, under the name that the integration uses."""
    integrations = aws.apigatewayv2.get_integrations(ApiId=api)["Items"]
    uris = {f"integrations/{one['IntegrationId']}": one["IntegrationUri"] for one in integrations}
    wrong = []
    for route in aws.apigatewayv2.get_routes(ApiId=api)["Items"]:
        method, _, path = route["RouteKey"].partition(" ")
        function = uris[route["Target"]].split("/functions/")[-1].removesuffix("/invocations")
        source = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/$default/{method}{path}"
        policy = json.loads(aws.lambda_.get_policy(FunctionName=function)["Policy"])
        if not allows(policy, "apigateway.amazonaws.com", "lambda:InvokeFunction", source):
            wrong.append(route["RouteKey"])
    return wrong


def forbidden_feedback(aws, stack):
    """The topics of event destinations on which SES may not publish for its configuration set."""
    wrong = []
    for name in aws.sesv2.list_configuration_sets()["ConfigurationSets"]:
        source = f"arn:aws:ses:{REGION}:{ACCOUNT}:configuration-set/{name}"
        for one in aws.sesv2.get_configuration_set_event_destinations(ConfigurationSetName=name)["EventDestinations"]:
            topic = one["SnsDestination"]["TopicArn"]
            policy = json.loads(aws.sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])
            if not allows(policy, "ses.amazonaws.com", "sns:Publish", source):
                wrong.append(topic)
    return wrong
