"""The steps of the check. Each needs those before it, and its first line says what it shows."""

import json
import sys
import time

from botocore.exceptions import ClientError

from deployed.application import (
    OTHER_ROOT, Application, allow, document, find, new_queue, new_role, new_user, queue_arn, read_result,
)
from deployed.digime import CONTRACT
from deployed.pipe import Pipe
from deployed.servers import ACCOUNT, REGION
from deployed.stack import Stack
from deployed.waiting import until

USER = "check-user"
BANK, HOSPITAL, GARDEN, CINEMA, LIBRARY = "1_bank", "2_hospital", "3_garden", "4_cinema", "5_library"
# Not at digi.me: read results that are not taken in are about it.
FOREIGN = "6_foreign"
RETURN_ORIGIN = "https://app.example.com"
REQUIRED, REAUTHORIZED = "account.reauthorization_required", "account.reauthorized"
# In seconds. Failed messages come again after it.
PAUSE = 2
# From the stack's creation, with the ten seconds between MiniStack's looks at schedules.
SCHEDULED = 90
# Lines that Lambda writes around those of a function.
PLATFORM = ("START ", "END ", "REPORT ")


class World:
    def __init__(self, aws, digime, webhook, webhook_url, directory):
        self.aws, self.digime, self.webhook, self.webhook_url, self.directory = aws, digime, webhook, webhook_url, directory
        self.stack = self.application = self.pipe = None

    def explain(self):
        """Prints what the functions logged and what MiniStack said, for the reader of a failure."""
        if self.stack:
            for logical in self.stack.of_type("AWS::Lambda::Function"):
                own = [line for line in self.stack.log(logical) if not line.startswith(PLATFORM)]
                print(f"--- {logical}", *own[-20:], sep="\n", file=sys.stderr)
        if self.pipe:
            print(f"--- the pipe sent {self.pipe.sent}: {self.pipe.error} {self.pipe.refused[-1:]}", file=sys.stderr)
        log = (self.directory / "ministack.log").read_text(errors="replace").splitlines()
        own = [line for line in log if "MiniStack delivers to" not in line]
        print("--- MiniStack", *own[-40:], sep="\n", file=sys.stderr)


def deploy(world, scope):
    """The template is deployed, with every resource."""
    aws = world.aws
    secret = aws.secretsmanager.create_secret(Name="webhook", SecretString=world.webhook.secret)["ARN"]
    world.topic = aws.sns.create_topic(Name="reads")["TopicArn"]
    world.foreign_topic = aws.sns.create_topic(Name="foreign")["TopicArn"]
    # Without a policy of its own: only the queue's policy lets it send.
    world.sender = new_role(aws, "sender")
    parameters = {
        "AlarmEmail": "operator@example.com",
        "AllowedReturnOrigins": RETURN_ORIGIN,
        "Architecture": "x86_64",
        "DefaultReturnUrl": f"{RETURN_ORIGIN}/done",
        "DigimeBaseUrl": f"{world.digime.public_url}/v1.7/",
        "DigimeOnboardUrl": f"{world.digime.public_url}/apps/saas/",
        "ReadResultsSenders": world.sender,
        "ReadResultsTopicArn": world.topic,
        "WebhookSecretArn": secret,
        "WebhookUrl": world.webhook_url,
    }
    world.created = time.monotonic()
    world.stack = stack = Stack(aws, world.directory, parameters)
    assert stack.status == "CREATE_COMPLETE", (stack.status, stack.failures())
    assert not stack.missing(), stack.missing()


def set_up(world, scope):
    """The operator and the application do what docs/deploy.md says."""
    aws, stack = world.aws, world.stack
    prefix = stack.function("Accounts")["Environment"]["Variables"]["CONTRACT_SECRET_PREFIX"]
    contract = world.digime.register(stack.outputs["CallbackUrl"])
    aws.secretsmanager.create_secret(Name=prefix + CONTRACT, SecretString=contract)
    world.application = Application(aws, stack)
    for mapping in aws.lambda_.list_event_source_mappings()["EventSourceMappings"]:
        url = aws.sqs.get_queue_url(QueueName=mapping["EventSourceArn"].rsplit(":", 1)[-1])["QueueUrl"]
        aws.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(PAUSE)})
    world.digime.add(USER, [BANK, HOSPITAL, GARDEN, CINEMA, LIBRARY])


def refuse_callers(world, scope):
    """Whoever has no permission is refused: by the API, the queues, the bus, the topic, the functions and the roles."""
    application, stack, aws = world.application, world.stack, world.aws
    stranger = new_user(aws, "stranger", allow("sts:AssumeRole", "*"))
    forger = {**application.keys, "aws_secret_access_key": "forged"}
    assert application.call("GET", "/accounts?status=reauth_required").status == 200
    assert application.call_unsigned("GET", "/accounts?status=reauth_required").status == 403
    for keys in (stranger, forger):
        answer = application.call("GET", "/accounts?status=reauth_required", keys=keys)
        assert answer.status == 403, answer
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


def entry(bus, source, account):
    detail = json.dumps({"userId": USER, **read_result(CONTRACT, account)})
    return {"EventBusName": bus, "Source": source, "DetailType": "digi.me Read Result", "Detail": detail}


# The action that is taken away from each function, and from the pipe.
TAKEN = {
    "Accounts": "dynamodb:PutItem",
    "RecordReadResult": "dynamodb:PutItem",
    "NotifyReauth": "sns:Publish",
    "PostWebhook": "secretsmanager:GetSecretValue",
    "CreateReauthUrl": "dynamodb:PutItem",
    "ReauthCallback": "dynamodb:UpdateItem",
    "SweepAccounts": "dynamodb:Query",
}


def take_actions(world, scope):
    """Each function, and the pipe, loses one action before it is called for the first time."""
    stack = world.stack
    (name,) = stack.of_type("AWS::Pipes::Pipe")
    pipe = Pipe(world.aws, stack.template["Resources"][name]["Properties"], stack.physical(name))
    world.pipe = scope.enter_context(pipe)
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


def tell(world, scope):
    """A grant is stored, a read result reaches the topic's subscriber and the webhook, and stops where an action is missing."""
    application, stack = world.application, world.stack
    tokens = world.digime.tokens(USER)
    grant = lambda: application.call("PUT", f"/users/{USER}/grants/{CONTRACT}", tokens)
    assert (answer := grant()).status >= 500, answer
    world.give_back["Accounts"]()
    assert (answer := grant()).status == 204, answer

    world.digime.control("POST", f"accounts/{BANK}/break")
    answer = application.call("POST", f"/users/{USER}/read-results", read_result(CONTRACT, BANK))
    assert answer.status == 202, answer

    stopped(world, "RecordReadResult")
    assert application.account(USER, BANK).get("status") == "active"
    world.give_back["RecordReadResult"]()
    until("the account needs its user", lambda: application.account(USER, BANK).get("status") == "reauth_required")

    until("the pipe is refused", lambda: world.pipe.refused)
    assert not world.pipe.sent and not stack.log("NotifyReauth")
    world.give_back["pipe"]()

    stopped(world, "NotifyReauth")
    assert not application.received(REQUIRED, BANK)
    world.give_back["NotifyReauth"]()
    world.event = until("the topic delivers the event", lambda: application.received(REQUIRED, BANK))

    stopped(world, "PostWebhook")
    assert not world.webhook.events
    world.give_back["PostWebhook"]()
    posted = until("the webhook is called", lambda: find(world.webhook.events, REQUIRED, BANK))
    assert posted == world.event, (posted, world.event)


def heal(world, scope):
    """The user follows the link and comes back, the account is healed, and the application is told."""
    application = world.application
    link, browser = world.event["data"]["reconnectUrl"], application.browser()
    assert link.startswith(f"{application.url}/reconnect/"), link
    assert (page := browser.go("GET", link)).status == 200 and BANK in page.text, page
    press = lambda: browser.go("POST", link, {"account": BANK})
    assert (answer := press()).status >= 500, answer
    world.give_back["CreateReauthUrl"]()
    assert (answer := press()).status == 303, answer

    callback = world.digime.decide(answer.headers["location"])
    assert callback.startswith(world.stack.outputs["CallbackUrl"]), callback
    assert (answer := browser.go("GET", callback)).status >= 500, answer
    assert application.account(USER, BANK).get("status") == "reauth_required"
    world.give_back["ReauthCallback"]()
    answer = browser.go("GET", callback)
    assert answer.status == 303 and "status=succeeded" in answer.headers["location"], answer
    assert application.account(USER, BANK).get("status") == "active"
    event = until("the topic says that it is healed", lambda: application.received(REAUTHORIZED, BANK))
    assert event["data"]["verified"] and event["data"]["via"] == "callback", event
    until("the webhook says that it is healed", lambda: find(world.webhook.events, REAUTHORIZED, BANK))
    assert not world.webhook.rejected, "a signature does not match"


def take_in(world, scope):
    """Read results come in by SQS from the application and from a role of ReadResultsSenders, by EventBridge and by SNS."""
    application, stack, aws = world.application, world.stack, world.aws
    body = lambda account: json.dumps({"userId": USER, **read_result(CONTRACT, account)})
    queue = application.queue_url
    ways = {
        HOSPITAL: lambda: application.aws.sqs.send_message(QueueUrl=queue, MessageBody=body(HOSPITAL)),
        GARDEN: lambda: aws.assume(world.sender).sqs.send_message(QueueUrl=queue, MessageBody=body(GARDEN)),
        CINEMA: lambda: put_events(application, "digime.reads", CINEMA),
        LIBRARY: lambda: aws.sns.publish(TopicArn=world.topic, Message=body(LIBRARY)),
    }
    for topic in (world.topic, world.foreign_topic):
        aws.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn(aws, queue))
    # What the queue's policy refuses from another topic, and what the rule does not take.
    aws.sns.publish(TopicArn=world.foreign_topic, Message=body(FOREIGN))
    put_events(application, "somebody.else", FOREIGN)
    for account, hand_in in ways.items():
        hand_in()
        until(f"the event about {account}", lambda: application.received(REQUIRED, account))
        until(f"the post about {account}", lambda: find(world.webhook.events, REQUIRED, account))
    until("the queue is empty", lambda: is_empty(aws, queue))
    assert not application.account(USER, FOREIGN), "a read result came in from whom nobody lets in"


def put_events(application, source, account):
    answer = application.aws.events.put_events(Entries=[entry(application.bus, source, account)])
    assert not answer["FailedEntryCount"], answer


def is_empty(aws, queue):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return set(aws.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"].values()) == {"0"}


def sweep(world, scope):
    """The schedule's role may call the sweep and nothing else, and the sweep needs its actions."""
    stack, aws = world.stack, world.aws
    (name,) = stack.of_type("AWS::Scheduler::Schedule")
    target = aws.scheduler.get_schedule(Name=stack.physical(name))["Target"]
    caller = aws.stand_in_for_service(target["RoleArn"]).lambda_
    refused(lambda: caller.invoke(FunctionName=stack.physical("Accounts")), "Accounts")
    run = lambda: caller.invoke(FunctionName=target["Arn"])
    assert "FunctionError" in (answer := run()), answer
    world.give_back["SweepAccounts"]()
    answer = run()
    report = json.load(answer["Payload"])
    assert "FunctionError" not in answer and report["failed"] == 0, report


def schedule(world, scope):
    """The schedule runs the sweep by itself, once a minute."""
    runs = lambda: sum(line.startswith("START") for line in world.stack.log("SweepAccounts"))
    called = 2
    until("the schedule runs the sweep", lambda: runs() > called, SCHEDULED - (time.monotonic() - world.created))


STEPS = [deploy, set_up, refuse_callers, take_actions, tell, heal, take_in, sweep, schedule]
