"""Who and what is refused: callers without permission, and functions that lost one action."""

from botocore.exceptions import ClientError

from deployed.application import BANK, OTHER_ROOT, allow, entry, expect, new_user
from deployed.pipe import Pipe
from deployed.servers import ACCOUNT
from deployed.waiting import until

LIST = "/accounts?status=reauth_required"


def refuse_callers(world):
    """Whoever has no permission is refused: by the API, the queues, the bus, the topic, the functions and the roles."""
    application, stack, aws = world.application, world.stack, world.aws
    stranger = new_user(aws, "stranger", allow("sts:AssumeRole", "*"))
    forger = {**application.keys, "aws_secret_access_key": "forged"}
    expect(200, application.call("GET", LIST))
    expect(403, application.call_unsigned("GET", LIST))
    for keys in (stranger, forger):
        expect(403, application.call("GET", LIST, keys=keys))
    for caller in (aws.caller(stranger), aws.caller(OTHER_ROOT)):
        for logical in stack.of_type("AWS::SQS::Queue"):
            refused(lambda: caller.sqs.send_message(QueueUrl=stack.physical(logical), MessageBody="{}"), logical)
        for logical in stack.of_type("AWS::SNS::Topic"):
            refused(lambda: caller.sns.publish(TopicArn=stack.physical(logical), Message="{}"), logical)
    caller = aws.caller(stranger)
    refused(lambda: caller.events.put_events(Entries=[entry(application.bus, "digime.reads", BANK)]), "the bus")
    for logical in stack.of_type("AWS::Lambda::Function"):
        refused(lambda: caller.lambda_.invoke(FunctionName=stack.physical(logical)), logical)
    for logical in stack.of_type("AWS::IAM::Role"):
        role = f"arn:aws:iam::{ACCOUNT}:role/{stack.physical(logical)}"
        refused(lambda: caller.sts.assume_role(RoleArn=role, RoleSessionName="stranger"), logical)


def refused(call, name):
    try:
        call()
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, (name, error)
    else:
        raise AssertionError(f"{name} refuses nobody")


# The action that is taken away from each function, and from the pipe.
TAKEN = {
    "Accounts": "dynamodb:PutItem",
    "Events": "dynamodb:BatchGetItem",
    "RecordReadResult": "dynamodb:PutItem",
    "NotifyReauth": "sns:Publish",
    "EmailUser": "dynamodb:PutItem",
    "PostWebhook": "secretsmanager:GetSecretValue",
    "CreateReauthUrl": "dynamodb:PutItem",
    "ReauthCallback": "dynamodb:UpdateItem",
    "SweepAccounts": "dynamodb:Query",
}


def take_actions(world):
    """Each function, and the pipe, loses one action before it is called for the first time."""
    stack = world.stack
    world.pipe = world.scope.enter_context(Pipe(stack))
    functions = stack.of_type("AWS::Lambda::Function")
    assert set(functions) == set(TAKEN), functions
    world.give_back = {name: stack.take(TAKEN[name], stack.role(name)) for name in functions}
    # The queue's policy names the pipe's role too.
    queue_policy = stack.close(world.pipe.queue_url)
    role_policy = stack.take("sqs:SendMessage", world.pipe.role)
    world.give_back["pipe"] = lambda: (role_policy(), queue_policy())


def stopped(world, logical):
    """Waits until the function has logged that its action is refused."""
    refusal = f"is not authorized to perform: {TAKEN[logical]}"
    until(f"{logical} {refusal}", lambda: any(refusal in line for line in world.stack.log(logical)))
