"""The steps of the check. Each needs those before it, and its first line says what it shows."""

import sys
import time

from deployed.application import BANK, CINEMA, GARDEN, HOSPITAL, LIBRARY, USER, Application, new_role
from deployed.digime import CONTRACT
from deployed.flows import heal, schedule, sweep, take_in, tell
from deployed.refusals import refuse_callers, take_actions
from deployed.services import forbidden_routes, forbidden_rules
from deployed.stack import Stack

RETURN_ORIGIN = "https://app.example.com"
# In seconds. Failed messages come again after it.
PAUSE = 2
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
        "DefaultReturnOrigin": RETURN_ORIGIN,
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


def let_services_in(world, scope):
    """EventBridge may send to the queues of its rule, and the API may call the function of each route."""
    wrong = forbidden_rules(world.aws, world.application.bus) + forbidden_routes(world.aws, world.application.api)
    assert not wrong, wrong


STEPS = [deploy, set_up, let_services_in, refuse_callers, take_actions, tell, heal, take_in, sweep, schedule]
