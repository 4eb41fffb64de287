"""The flows through the stack. In each of the first two, a function stops until it has back the action that was taken away."""

import base64
import json

from deployed.application import ADDRESS, BANK, CINEMA, FOREIGN, GARDEN, HOSPITAL, LIBRARY, OTHER_ROOT, USER
from deployed.application import entry, expect, find, noon, queue_arn, read_result
from deployed.digime import CONTRACT
from deployed.http import address_of, send
from deployed.refusals import LIST, refused, stopped
from deployed.servers import ACCOUNT
from deployed.waiting import until

REQUIRED, REAUTHORIZED = "account.reauthorization_required", "account.reauthorized"
# In seconds: a minute, the ten seconds after which MiniStack reads the schedules again, and a reserve.
SCHEDULED = 80


def tell(world):
    """A grant is stored, a read result reaches the topic's subscriber and the webhook, and stops where an action is missing."""
    application, stack = world.application, world.stack
    contact = {"email": ADDRESS, "timeZone": noon()}
    body = {"userAccessToken": world.digime.tokens(USER), "contact": contact}
    grant = lambda: application.call("PUT", f"/users/{USER}/grants/{CONTRACT}", body)
    expect(500, grant())
    world.give_back["Accounts"]()
    expect(204, grant())

    world.digime.control("POST", f"accounts/{BANK}/break")
    expect(202, application.call("POST", f"/users/{USER}/read-results", read_result(BANK)))

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

    stopped(world, "EmailUser")
    world.give_back["EmailUser"]()
    stopped(world, "PostWebhook")
    assert not world.webhook.events
    world.give_back["PostWebhook"]()
    posted = until("the webhook is called", lambda: find(world.webhook.events, REQUIRED, BANK))
    assert posted == world.event, (posted, world.event)


def heal(world):
    """The user follows the link and comes back, the account is healed, and the application is told."""
    application = world.application
    link, browser = world.event["data"]["reconnectUrl"], application.browser()
    assert link.startswith(f"{application.url}/reconnect/"), link
    assert BANK in expect(200, browser.go("GET", link)).text
    press = lambda: browser.go("POST", link, {"account": BANK})
    expect(500, press())
    world.give_back["CreateReauthUrl"]()
    callback = world.digime.decide(expect(303, press()).headers["location"])

    assert callback.startswith(world.stack.outputs["CallbackUrl"]), callback
    expect(500, browser.go("GET", callback))
    assert application.account(USER, BANK).get("status") == "reauth_required"
    world.give_back["ReauthCallback"]()
    answer = expect(303, browser.go("GET", callback))
    assert "status=succeeded" in answer.headers["location"], answer
    assert application.account(USER, BANK).get("status") == "active"
    event = until("the topic says that it is healed", lambda: application.received(REAUTHORIZED, BANK))
    assert event["data"]["verified"] and event["data"]["via"] == "callback", event
    until("the webhook says that it is healed", lambda: find(world.webhook.events, REAUTHORIZED, BANK))
    assert not world.webhook.rejected, "a signature does not match"


def take_in(world):
    """Read results come in by SQS from the application and from another account's role, by EventBridge and by SNS."""
    application, aws = world.application, world.aws
    body = lambda account: json.dumps({"userId": USER, **read_result(account)})
    queue = application.queue_url
    ways = {
        HOSPITAL: lambda: application.aws.sqs.send_message(QueueUrl=queue, MessageBody=body(HOSPITAL)),
        GARDEN: lambda: aws.caller(OTHER_ROOT).assume(world.sender).sqs.send_message(QueueUrl=queue, MessageBody=body(GARDEN)),
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
    # The messages that are not allowed in created no account.
    expect(404, application.call("GET", f"/users/{USER}/accounts/{FOREIGN}"))


def put_events(application, source, account):
    answer = application.aws.events.put_events(Entries=[entry(application.bus, source, account)])
    assert not answer["FailedEntryCount"], answer


def is_empty(aws, queue):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return set(aws.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"].values()) == {"0"}


def share(world):
    """Another account calls the API with the role for it."""
    caller = world.aws.caller(OTHER_ROOT).assume(world.stack.outputs["ApiCallerRoleArn"])
    expect(200, world.application.call("GET", LIST, keys=caller.credentials))


def sweep(world):
    """The schedule's role may call the sweep and nothing else, and the sweep needs its actions."""
    stack, aws = world.stack, world.aws
    (name,) = stack.of_type("AWS::Scheduler::Schedule")
    target = aws.scheduler.get_schedule(Name=stack.physical(name))["Target"]
    caller = aws.stand_in_for_service(target["RoleArn"]).lambda_
    refused(lambda: caller.invoke(FunctionName=stack.physical("Accounts")), "Accounts")
    world.run_sweep = lambda: caller.invoke(FunctionName=target["Arn"])
    assert "FunctionError" in (answer := world.run_sweep()), answer
    world.give_back["SweepAccounts"]()
    answer = world.run_sweep()
    report = json.load(answer["Payload"])
    assert "FunctionError" not in answer and report["failed"] == 0, report


def write(world):
    """The user gets one mail about all accounts that wait, its link leads to their page, and a bounce stops the mails."""
    application, aws = world.application, world.aws

    def arrived():
        world.run_sweep()
        return mails(aws)

    mail = until("a mail arrives", arrived)[0]
    links = [line for line in mail["BodyText"].splitlines() if line.startswith("https://")]
    page = next(link for link in links if link.startswith(f"{application.url}/reconnect/"))
    stop = next(link for link in links if link.startswith(f"{application.url}/unsubscribe/"))
    for account in (HOSPITAL, GARDEN, CINEMA, LIBRARY):
        assert account in mail["BodyText"], mail
        assert account in expect(200, application.browser().go("GET", page)).text
    expect(200, application.browser().go("GET", stop))

    topic = world.stack.outputs["EmailFeedbackTopicArn"]
    aws.sns.publish(TopicArn=topic, Message=json.dumps(bounce(mail)))
    event = until("the topic says that mails have ended", lambda: application.received("user.emails_stopped", None))
    assert event["data"]["userId"] == USER and event["data"]["reason"] == "bounced", event
    contact = json.loads(expect(200, application.call("GET", f"/users/{USER}/contact")).text)
    assert contact["emails"] == "stopped", contact
    assert len(mails(aws)) == 1, mails(aws)


def mails(aws):
    """The mails that MiniStack took for the user."""
    answer = send(address_of(aws.url), "GET", f"{aws.url}/_ministack/ses/messages")
    return [mail for mail in json.loads(answer.text)["messages"].get(ACCOUNT, []) if mail["To"] == [ADDRESS]]


def bounce(mail):
    """What SES publishes when a mail comes back. It names the tags of the mail, of which MiniStack keeps none."""
    tag = base64.urlsafe_b64encode(USER.encode()).decode().rstrip("=")
    recipients = [{"emailAddress": address} for address in mail["To"]]
    sent = {"messageId": mail["MessageId"], "tags": {"user": [tag]}}
    return {"eventType": "Bounce", "mail": sent, "bounce": {"bounceType": "Permanent", "bouncedRecipients": recipients}}


def read_log(world):
    """The log has what was published. Its function stops until it has back its action, and delivers an event once more."""
    application = world.application
    # The log shows no event of the last seconds.
    until("the function stops", lambda: application.call("GET", "/events").status >= 500)
    world.give_back["Events"]()
    known = lambda: find(json.loads(expect(200, application.call("GET", "/events?limit=500")).text)["events"], REQUIRED, BANK)
    event = until("the log shows the event", known)
    assert event["data"]["eventId"] == world.event["data"]["eventId"], event
    path = f"/events/{event['data']['eventId']}"
    before = len(world.webhook.events)
    expect(202, application.call("POST", f"{path}/redeliver", {"channel": "webhook"}))
    until("the webhook is called again", lambda: len(world.webhook.events) > before)
    expect(200, application.call("GET", f"{path}/deliveries"))
    expect(200, application.call("GET", "/webhook"))
    tested = json.loads(expect(200, application.call("POST", "/webhook/test")).text)
    assert tested["delivered"], tested


def leave_nothing(world):
    """No message is left on a queue, and none is a dead letter."""
    for logical in world.stack.of_type("AWS::SQS::Queue"):
        until(f"{logical} is empty", lambda: is_empty(world.aws, world.stack.physical(logical)))


def schedule(world):
    """The schedule runs the sweep by itself, once a minute."""
    runs = lambda: sum(line.startswith("START") for line in world.stack.log("SweepAccounts"))
    before = runs()
    until("the schedule runs the sweep", lambda: runs() > before, SCHEDULED)
