"""The application of the check: its IAM user, its topics and queue, and its calls, as docs/deploy.md tells."""

import datetime
import json

from deployed.http import Browser, address_of, send, signed
from deployed.digime import CONTRACT
from deployed.servers import ACCOUNT, REGION

USER, ADDRESS = "check-user", "jo@example.org"
BANK, HOSPITAL, GARDEN, CINEMA, LIBRARY = "1_bank", "2_hospital", "3_garden", "4_cinema", "5_library"
# Not at digi.me: read results that are not taken in are about it.
FOREIGN = "6_foreign"
POLICY = "2012-10-17"
# Another AWS account, whose root's key is its id at MiniStack.
OTHER_ACCOUNT = "111111111111"
OTHER_ROOT = {"aws_access_key_id": OTHER_ACCOUNT, "aws_secret_access_key": "test"}


def allow(actions, resources):
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def document(*statements):
    return json.dumps({"Version": POLICY, "Statement": statements})


def new_user(aws, name, *statements):
    """Creates a user. Returns its access key."""
    aws.iam.create_user(UserName=name)
    if statements:
        aws.iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(*statements))
    key = aws.iam.create_access_key(UserName=name)["AccessKey"]
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def new_role(aws, account, name, *statements):
    """Creates a role that its account may assume. Returns its ARN."""
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
    role = aws.iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]
    if statements:
        aws.iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
    return role["Arn"]


def new_queue(aws, name, *topics):
    """Creates a queue to which these topics may send. Returns its URL and ARN."""
    url = aws.sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = queue_arn(aws, url)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topics}},
    }
    aws.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(statement)})
    return url, arn


def queue_arn(aws, url):
    return aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


class Application:
    def __init__(self, aws, stack):
        self.url, self.address = stack.outputs["ApiUrl"], address_of(aws.url)
        self.queue_url = stack.outputs["ReadResultsQueueUrl"]
        self.bus = stack.outputs["ReadsBusName"]
        self.api = stack.outputs["ApiId"]
        self.keys = new_user(
            aws,
            f"{stack.name}-application",
            allow("execute-api:Invoke", f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{self.api}/*"),
            allow("events:PutEvents", f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{self.bus}"),
            allow("sqs:SendMessage", queue_arn(aws, self.queue_url)),
        )
        self.aws = aws.caller(self.keys)
        topic = stack.outputs["NotificationTopicArn"]
        self._root, (self.inbox, inbox_arn) = aws, new_queue(aws, f"{stack.name}-application", topic)
        aws.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=inbox_arn, Attributes={"RawMessageDelivery": "true"})
        self.events = []

    def call(self, method, path, body=None, keys=None):
        return signed(self.address, keys or self.keys, method, self.url + path, body and json.dumps(body))

    def call_unsigned(self, method, path):
        return send(self.address, method, self.url + path)

    def browser(self):
        return Browser(self.address)

    def account(self, user, account):
        answer = self.call("GET", f"/users/{user}/accounts/{account}")
        return json.loads(answer.text) if answer.status == 200 else {}

    def received(self, kind, account):
        """The event of this type about the account, once the topic has delivered it."""
        self.events += [json.loads(body) for body in receive(self._root, self.inbox)]
        return find(self.events, kind, account)


def receive(aws, queue):
    """Takes the messages that are on a queue."""
    messages = aws.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        aws.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return [message["Body"] for message in messages]


def find(events, kind, account):
    return next((one for one in events if one["type"] == kind and one["data"].get("accountId") == account), None)


def expect(status, answer):
    """The answer, which has this status. 500 stands for every error of the server."""
    assert status == (500 if answer.status >= 500 else answer.status), f"{answer.status} instead of {status}: {answer}"
    return answer


def noon():
    """The name of a time zone in which it is between 12 and 13 o'clock: mails are sent."""
    east = 12 - datetime.datetime.now(datetime.timezone.utc).hour
    # The sign in these names means west.
    return f"Etc/GMT{-east:+d}"


def read_result(account):
    """What the application hands in when reads of an account end with 511."""
    error = {"code": "ServiceAuthorizationError", "statusCode": 511, "error": {"message": "Reauthorize", "reauth": True}}
    now = datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    return {"contractId": CONTRACT, "observedAt": now, "readResult": {account: {"state": "partial", "error": error}}}


def entry(bus, source, account):
    """The same for the event bus."""
    detail = json.dumps({"userId": USER, **read_result(account)})
    return {"EventBusName": bus, "Source": source, "DetailType": "digi.me Read Result", "Detail": detail}
