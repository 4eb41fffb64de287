"""The stack: built by `sam build`, packaged, translated, adapted and created, and then looked into and tampered with."""

import json
import os
import subprocess

import cloudformation
from stand_in import quiet_sam
from deployed import adapt
from deployed.servers import REGION
from deployed.services import listed
from deployed.waiting import until

BUCKET = "check-code"
CREATING = 60


def package(aws, directory):
    """What `sam deploy` uploads: the template of `sam build`, with the code in S3."""
    aws.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    output = directory / "packaged.json"
    command = ["sam", "package", "--s3-bucket", BUCKET, "--no-progressbar", "--use-json", "--output-template-file", output]
    variables = {**os.environ, "AWS_ENDPOINT_URL": aws.url, "AWS_DEFAULT_REGION": REGION, **quiet_sam(directory)}
    credentials = {name.upper(): value for name, value in aws.credentials.items()}
    subprocess.run(command, env=variables | credentials, check=True, stdout=subprocess.DEVNULL, timeout=120)
    return json.loads(output.read_text(encoding="utf-8"))


class Stack:
    def __init__(self, aws, name, packaged, parameters):
        self.aws, self.name = aws, name
        self.template = adapt.translate(packaged, parameters)
        # The receiver of the check listens on a loopback address, which the parameter refuses.
        del self.template["Parameters"]["WebhookUrl"]["AllowedPattern"]
        # What CloudFormation would make of it.
        self.expected = cloudformation.Stack(self.template, name, parameters).check()
        conditions = {one: self.expected.condition(one) for one in self.template["Conditions"]}
        adapted, self.added = adapt.adapt(self.template, conditions)
        # Too large for a body.
        aws.s3.put_object(Bucket=BUCKET, Key=f"{name}.json", Body=json.dumps(adapted))
        values = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        url = f"{aws.url}/{BUCKET}/{name}.json"
        capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
        aws.cloudformation.create_stack(StackName=name, TemplateURL=url, Parameters=values, Capabilities=capabilities)
        status = until(f"the stack {name} is created", self._ended, CREATING)
        assert status == "CREATE_COMPLETE", (status, self._failures())
        resources = aws.cloudformation.describe_stack_resources(StackName=name)["StackResources"]
        self.resources = {one["LogicalResourceId"]: one for one in resources}
        self.outputs = {one["OutputKey"]: one["OutputValue"] for one in self._stack().get("Outputs", [])}

    def _stack(self):
        return self.aws.cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]

    def _ended(self):
        status = self._stack()["StackStatus"]
        return status if not status.endswith("_IN_PROGRESS") else None

    def _failures(self):
        events = self.aws.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        failed = [one for one in events if "FAILED" in one["ResourceStatus"]]
        return [(one["LogicalResourceId"], one.get("ResourceStatusReason")) for one in failed]

    def deviations(self):
        """The resources that the template has with these parameters and the stack has not, and the other way round."""
        created = {name for name, one in self.resources.items() if one["ResourceStatus"] == "CREATE_COMPLETE"}
        return (created - self.added) ^ set(self.expected.resources())

    def physical(self, logical):
        return self.resources[logical]["PhysicalResourceId"]

    def of_type(self, kind):
        return [name for name, one in self.resources.items() if one["ResourceType"] == kind]

    def function(self, logical):
        return self.aws.lambda_.get_function_configuration(FunctionName=self.physical(logical))

    def log(self, logical):
        """The lines of a function's log group. Its role may write there."""
        group = self.function(logical)["LoggingConfig"]["LogGroup"]
        pages = self.aws.logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        return [event["message"] for page in pages for event in page["events"]]

    def role(self, logical):
        return self.function(logical)["Role"]

    def take(self, action, role_arn):
        """Takes an action away from a role. Returns the function that gives it back."""
        iam, role = self.aws.iam, role_arn.rsplit("/", 1)[-1]
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        policies = {name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names}
        reduced = {name: reduce(document, action) for name, document in policies.items()}
        assert any(grants(document, action) for document in policies.values()), f"{role} does not grant {action}"
        self._put(role, reduced)
        return lambda: self._put(role, policies)

    def close(self, queue_url):
        """Takes a queue's policy away. Returns the function that gives it back."""
        sqs = self.aws.sqs
        policy = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["Policy"])["Attributes"]["Policy"]
        sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": ""})
        return lambda: sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": policy})

    def _put(self, role, policies):
        for name, document in policies.items():
            names = {"RoleName": role, "PolicyName": name}
            if document["Statement"]:
                self.aws.iam.put_role_policy(**names, PolicyDocument=json.dumps(document))
            else:
                self.aws.iam.delete_role_policy(**names)


def grants(document, action):
    return any(action in listed(statement["Action"]) for statement in document["Statement"])


def reduce(document, action):
    left = [(one, [granted for granted in listed(one["Action"]) if granted != action]) for one in document["Statement"]]
    return document | {"Statement": [statement | {"Action": actions} for statement, actions in left if actions]}
