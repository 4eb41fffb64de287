"""The steps of the check. Each needs those before it, and its first line says what it shows."""

import os
import subprocess
import sys

from deployed.application import BANK, CINEMA, GARDEN, HOSPITAL, LIBRARY, OTHER_ACCOUNT, OTHER_ROOT, USER
from deployed.application import Application, allow, document, expect, new_role, read_result
from deployed.digime import CONTRACT
from deployed.flows import REQUIRED, heal, leave_nothing, read_log, schedule, share, sweep, take_in, tell, write
from deployed.pipe import Pipe
from deployed.refusals import refuse_callers, take_actions
from deployed.services import forbidden_feedback, forbidden_routes, forbidden_rules
from deployed.servers import REGION
from deployed.stack import Stack, package
from deployed.waiting import until

DOMAIN, RETURN_ORIGIN = "links.example.com", "https://app.example.com"
SENDER, SENDER_DOMAIN = "connections@example.com", "example.com"
# In seconds. Failed messages come again after it.
PAUSE = 2
# Lines that Lambda writes around those of a function.
PLATFORM = ("START ", "END ", "REPORT ")


class World:
    def __init__(self, aws, digime, webhook, webhook_url, directory, scope):
        self.aws, self.digime, self.webhook, self.webhook_url, self.directory = aws, digime, webhook, webhook_url, directory
        self.scope, self.stack, self.application, self.pipe = scope, None, None, None

    def explain(self):
        """Prints what the functions logged and what MiniStack said, for the reader of a failure."""
        if self.stack:
            for logical in self.stack.of_type("AWS::Lambda::Function"):
                own = [line for line in self.stack.log(logical) if not line.startswith(PLATFORM)]
                print(f"--- {logical}", *own[-20:], sep="\n", file=sys.stderr)
        if self.pipe:
            print(f"--- the pipe sent {self.pipe.sent}: {self.pipe.error} {self.pipe.refused[-1:]}", file=sys.stderr)
        log = (self.directory / "ministack.log").read_text(errors="replace").splitlines()
        own = [line for line in log if " INFO " not in line and "MiniStack delivers to" not in line]
        print("--- MiniStack", *own[-40:], sep="\n", file=sys.stderr)


def deploy(world):
    """The template is deployed with all options, and each of its resources is there."""
    aws, other = world.aws, world.aws.caller(OTHER_ROOT)
    world.packaged = package(aws, world.directory)
    world.topic = aws.sns.create_topic(Name="reads")["TopicArn"]
    world.foreign_topic = aws.sns.create_topic(Name="foreign")["TopicArn"]
    world.sender = new_role(other, OTHER_ACCOUNT, "sender", allow("sqs:SendMessage", "*"))
    aws.sesv2.create_email_identity(EmailIdentity=SENDER_DOMAIN)
    boundary = aws.iam.create_policy(PolicyName="boundary", PolicyDocument=document(allow("*", "*")))["Policy"]["Arn"]
    options = {
        "AlarmEmail": "operator@example.com",
        "AllowedReturnOrigins": RETURN_ORIGIN,
        "ApiCallers": f"arn:aws:iam::{OTHER_ACCOUNT}:root",
        "CertificateArn": aws.acm.request_certificate(DomainName=DOMAIN)["CertificateArn"],
        "CreateKmsKey": "true",
        "DefaultReturnOrigin": RETURN_ORIGIN,
        "DomainName": DOMAIN,
        # The mail about an account that breaks is due at the next sweep.
        "EmailDelay": "1s",
        "EmailFrom": SENDER,
        "NotificationSubscribers": f"arn:aws:iam::{OTHER_ACCOUNT}:root",
        "PermissionsBoundaryArn": boundary,
        "ReadResultsSenders": world.sender,
        "ReadResultsTopicArn": world.topic,
        "WebhookSecretArn": aws.secretsmanager.create_secret(Name="webhook", SecretString=world.webhook.secret)["ARN"],
        "WebhookUrl": world.webhook_url,
    }
    world.stack = new_stack(world, "check", options)


def new_stack(world, name, options):
    digime = {"DigimeBaseUrl": f"{world.digime.public_url}/v1.7/", "DigimeOnboardUrl": f"{world.digime.public_url}/apps/saas/"}
    stack = Stack(world.aws, name, world.packaged, digime | options)
    assert not stack.deviations(), stack.deviations()
    return stack


def set_up(world):
    """The operator and the application do what docs/deploy.md says."""
    aws = world.aws
    world.application = new_application(world, world.stack)
    for mapping in aws.lambda_.list_event_source_mappings()["EventSourceMappings"]:
        url = aws.sqs.get_queue_url(QueueName=mapping["EventSourceArn"].rsplit(":", 1)[-1])["QueueUrl"]
        aws.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(PAUSE)})
    world.digime.add(USER, [BANK, HOSPITAL, GARDEN, CINEMA, LIBRARY])


def new_application(world, stack):
    contract = world.digime.register(stack.outputs["CallbackUrl"])
    world.aws.secretsmanager.create_secret(Name=stack.outputs["ContractSecretPrefix"] + CONTRACT, SecretString=contract)
    return Application(world.aws, stack)


def let_services_in(world):
    """EventBridge may send to the queues of its rule, SES may publish what becomes of mails, and the API may call the function of each route."""
    wrong = forbidden_rules(world.aws, world.application.bus) + forbidden_routes(world.aws, world.application.api)
    wrong += forbidden_feedback(world.aws, world.stack)
    assert not wrong, wrong


def smoke(world):
    """infra/smoke.py calls each function of the stack once."""
    variables = {name.upper(): value for name, value in world.aws.credentials.items()}
    variables |= {"AWS_ENDPOINT_URL": world.aws.url, "AWS_DEFAULT_REGION": REGION, "PATH": os.environ["PATH"]}
    command = [sys.executable, "infra/smoke.py", world.stack.name]
    check = subprocess.run(command, env=variables, timeout=60, capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr


def deploy_another(world):
    """A second stack, with defaults and digi.me's addresses, works beside the first."""
    stack = new_stack(world, "plain", {})
    application = new_application(world, stack)
    with Pipe(stack):
        expect(204, application.call("PUT", f"/users/{USER}/grants/{CONTRACT}", world.digime.tokens(USER)))
        world.digime.control("POST", f"accounts/{BANK}/break")
        expect(202, application.call("POST", f"/users/{USER}/read-results", read_result(BANK)))
        event = until("the topic delivers the event", lambda: application.received(REQUIRED, BANK))
        link, browser = event["data"]["reconnectUrl"], application.browser()
        page = expect(303, browser.go("POST", link, {"account": BANK})).headers["location"]
        # Without a return URL, the browser comes back to the page of the link.
        answer = expect(303, browser.go("GET", world.digime.decide(page)))
        assert answer.headers["location"].startswith(link), answer
        assert application.account(USER, BANK).get("status") == "active"


STEPS = [deploy, set_up, let_services_in, refuse_callers, take_actions, tell, heal]
STEPS += [take_in, share, sweep, write, read_log, smoke, deploy_another, schedule, leave_nothing]
