"""Stands for the Pipe, whose target MiniStack does not know: sends what the template's filter lets pass with the pipe's role.

It reads the stream as the root: MiniStack does not match a stream's ARN with the policy's. A record whose message is refused
stays the next one, as with a Pipe that retries.
"""

import json
import threading

from botocore.exceptions import ClientError

PAUSE = 0.1


def matches(pattern, value):
    """EventBridge's pattern language, as far as the template uses it."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(name in value and matches(one, value[name]) for name, one in pattern.items())
    return any(matches_one(alternative, value) for alternative in pattern)


def matches_one(alternative, value):
    if not isinstance(alternative, dict):
        return alternative == value
    if set(alternative) != {"prefix"}:
        raise ValueError(f"a filter with {alternative}")
    return isinstance(value, str) and value.startswith(alternative["prefix"])


class Pipe:
    def __init__(self, stack):
        aws, (logical,) = stack.aws, stack.of_type("AWS::Pipes::Pipe")
        properties = stack.template["Resources"][logical]["Properties"]
        pipe = aws.pipes.describe_pipe(Name=stack.physical(logical))
        self.source, self.target, self.role = pipe["Source"], pipe["Target"], pipe["RoleArn"]
        filters = properties["SourceParameters"]["FilterCriteria"]["Filters"]
        self.patterns = [json.loads(one["Pattern"]) for one in filters]
        # Whom an empty trim horizon starts with: everything that the table ever wrote.
        assert properties["SourceParameters"]["DynamoDBStreamParameters"]["StartingPosition"] == "TRIM_HORIZON"
        self.streams, self.sqs = aws.dynamodbstreams, aws.stand_in_for_service(self.role).sqs
        queue = self.target.rsplit(":", 1)[-1]
        self.queue_url = aws.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        self.sent, self.refused, self.error = 0, [], None

    def __enter__(self):
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self._thread.join(10)

    def _run(self):
        try:
            iterators = self._iterators()
            while not self._stopped.wait(PAUSE):
                iterators = [self._pass_on(iterator) for iterator in iterators]
        except Exception as error:
            self.error = error

    def _iterators(self):
        shards = self.streams.describe_stream(StreamArn=self.source)["StreamDescription"]["Shards"]
        start = {"StreamArn": self.source, "ShardIteratorType": "TRIM_HORIZON"}
        return [self.streams.get_shard_iterator(ShardId=shard["ShardId"], **start)["ShardIterator"] for shard in shards]

    def _pass_on(self, iterator):
        answer = self.streams.get_records(ShardIterator=iterator)
        for record in answer["Records"]:
            record["dynamodb"]["ApproximateCreationDateTime"] = int(record["dynamodb"]["ApproximateCreationDateTime"].timestamp())
            record["eventSourceARN"] = self.source
            if any(matches(pattern, record) for pattern in self.patterns):
                self._send(json.dumps(record))
        return answer["NextShardIterator"]

    def _send(self, body):
        while not self._stopped.wait(PAUSE if self.refused else 0):
            try:
                self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)
                self.sent += 1
                return
            except ClientError as refusal:
                self.refused.append(str(refusal))
