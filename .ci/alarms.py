"""Checks the alarms and the dashboard of the translated template, with and without a webhook and mails.

Usage: alarms.py TRANSLATED_TEMPLATE. An alarm with a misspelt metric or dimension deploys and never goes into ALARM, so each metric is
compared with infra/metrics.yaml or with the dimensions that AWS documents. docs/runbook.md has a paragraph for each alarm, and
its queries look for messages that the code writes.
"""

import json
import pathlib
import re
import sys

import yaml

import dashboard
from paths import slug
from resolved import STACK, Resolved

ROOT = pathlib.Path(__file__).resolve().parent.parent
RUNBOOK = "docs/runbook.md"
# The dimensions of AWS's metrics, and what their values are: a resource type, and the attribute if it is not `Ref`.
# From the services' documentation of their metrics. A rule of a bus that is not the default one has both dimensions.
AWS_DIMENSIONS = {
    "AWS/Lambda": {"FunctionName": ("AWS::Lambda::Function", "")},
    "AWS/SQS": {"QueueName": ("AWS::SQS::Queue", ".QueueName")},
    "AWS/SNS": {"TopicName": ("AWS::SNS::Topic", ".TopicName")},
    "AWS/ApiGateway": {"ApiId": ("AWS::ApiGatewayV2::Api", "")},
    "AWS/EventBridge/Pipes": {"PipeName": ("AWS::Pipes::Pipe", "")},
    "AWS/Events": {"EventBusName": ("AWS::Events::EventBus", ""), "RuleName": ("AWS::Events::Rule", "")},
}
AWS_METRICS = {
    "AWS/Lambda": {"Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions"},
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"},
    "AWS/SNS": {"NumberOfNotificationsFailed"},
    "AWS/ApiGateway": {"Count", "4xx", "5xx", "Latency"},
    "AWS/EventBridge/Pipes": {"ExecutionFailed", "ExecutionPartiallyFailed", "ExecutionTimeout"},
    "AWS/Events": {"FailedInvocations", "InvocationsFailedToBeSentToDlq"},
}
WEBHOOK = {"WebhookUrl": "https://example.com/", "WebhookSecretArn": "arn:aws:secretsmanager:eu-west-1:000000000000:secret:webhook-AbCdEf"}
MAILS = {"EmailFrom": "connections@example.com"}
MAX_METRICS_OF_ALARM = 10
DAY = 24 * 60 * 60


class Check:
    def __init__(self, template, webhook):
        self.stack = Resolved(template, {**WEBHOOK, **MAILS} if webhook else {})
        self.variant = "with" if webhook else "without"
        self.known = {it["name"]: it for it in yaml.safe_load((ROOT / "infra/metrics.yaml").read_text())["metrics"]}
        self.alarms = {name: self.stack.value(it) for name, it in self.stack.of_type("AWS::CloudWatch::Alarm").items()}
        self.wrong = []

    def report(self, problem):
        self.wrong.append(f"{self.variant} a webhook and mails: {problem}")

    def metric(self, user, namespace, name, dimensions):
        """Checks a metric that an alarm or the dashboard uses. Values that are not given are None."""
        if namespace == STACK:
            self.own_metric(user, name, dimensions)
        elif name not in AWS_METRICS.get(namespace, ()):
            self.report(f"{user}: {namespace} has no metric {name}, as far as this check knows")
        elif dimensions.keys() != AWS_DIMENSIONS[namespace].keys():
            self.report(f"{user}: {name} has the dimensions {sorted(AWS_DIMENSIONS[namespace])}, not {sorted(dimensions)}")
        else:
            for dimension, value in dimensions.items():
                kind, attribute = AWS_DIMENSIONS[namespace][dimension]
                if value not in {resource + attribute for resource in self.stack.of_type(kind)}:
                    self.report(f"{user}: {value} is no {dimension}")

    def own_metric(self, user, name, dimensions):
        if name not in self.known:
            return self.report(f"{user}: infra/metrics.yaml has no metric {name}")
        known = self.known[name]
        if sorted(dimensions) not in [sorted(it) for it in known["dimensions"]]:
            self.report(f"{user}: {name} has no dimension set {sorted(dimensions)}")
        for dimension, value in dimensions.items():
            if value is not None and value not in known.get("values", {}).get(dimension, [value]):
                self.report(f"{user}: {value} is no {dimension} of {name}")

    def alarm(self, name, alarm):
        for actions in ("AlarmActions", "OKActions"):
            if alarm.get(actions) != ["AlarmTopic"]:
                self.report(f"{name}: {actions} are not the alarm topic")
        if not re.fullmatch(rf".+\. See {re.escape(RUNBOOK)}#[\w-]+\.", alarm.get("AlarmDescription", "")):
            self.report(f"{name}: the description is not a sentence and its paragraph of {RUNBOOK}")
        if STACK not in alarm.get("AlarmName", STACK):
            self.report(f"{name}: a name without the stack's name collides between stacks")
        periods = {alarm["Period"]} if "Metrics" not in alarm else self.expression(name, alarm["Metrics"])
        if alarm.get("DatapointsToAlarm", 1) > alarm["EvaluationPeriods"] or max(periods) * alarm["EvaluationPeriods"] > DAY:
            self.report(f"{name}: it looks at more data points than it has, or at more than a day")
        for namespace, metric, dimensions in self.metrics_of(alarm):
            self.metric(name, namespace, metric, dimensions)

    def metrics_of(self, alarm):
        metrics = [it["MetricStat"]["Metric"] for it in alarm.get("Metrics", []) if "MetricStat" in it]
        for it in metrics or [alarm]:
            yield it["Namespace"], it["MetricName"], {pair["Name"]: pair["Value"] for pair in it.get("Dimensions", [])}

    def expression(self, name, metrics):
        """Checks an alarm with an expression. Returns the periods of its metrics."""
        shown = [it for it in metrics if it.get("ReturnData", True)]
        ids = [it["Id"] for it in metrics]
        used = [it for it in metrics if "MetricStat" in it]
        if len(shown) != 1 or "Expression" not in shown[0]:
            return self.report(f"{name}: an alarm watches the result of one expression") or {0}
        if len(set(ids)) != len(ids) or not all(re.fullmatch(r"[a-z]\w*", it) for it in ids) or len(used) > MAX_METRICS_OF_ALARM:
            self.report(f"{name}: ids are unique and begin with a small letter; an alarm uses at most {MAX_METRICS_OF_ALARM} metrics")
        expression = shown[0]["Expression"]
        for word in re.findall(r"\b[a-z]\w*\b", re.sub(r'"\w+"', "", expression)):
            if word not in ids:
                self.report(f"{name}: the expression uses {word}, which is no id")
        for part in re.findall(r'METRICS\("(\w+)"\)', expression):
            if not any(part in it for it in ids):
                self.report(f"{name}: no id contains {part}")
        periods = {it["MetricStat"]["Period"] for it in used}
        if len(periods) != 1 or "SEARCH" in expression:
            self.report(f"{name}: the metrics of an alarm have one period, and it cannot search")
        return periods

    def completeness(self):
        """Every function and every queue has its alarms."""
        watched = {(metric, value) for it in self.alarms.values() for _, metric, dims in self.metrics_of(it) for value in dims.values()}
        for function in self.stack.of_type("AWS::Lambda::Function"):
            for metric in ("Errors", "Throttles"):
                if (metric, function) not in watched or f"{function}{metric}Alarm" not in self.alarms:
                    self.report(f"there is no {function}{metric}Alarm")
        queues = {name: self.stack.value(it) for name, it in self.stack.of_type("AWS::SQS::Queue").items()}
        for queue, properties in queues.items():
            metric = "ApproximateAgeOfOldestMessage" if "RedrivePolicy" in properties else "ApproximateNumberOfMessagesVisible"
            if (metric, f"{queue}.QueueName") not in watched:
                self.report(f"no alarm watches the {metric} of {queue}")
            if "RedrivePolicy" not in properties and f"{queue}Alarm" not in self.alarms:
                self.report(f"there is no {queue}Alarm, which comes again when {queue} grows")

    def dashboards(self):
        for name, properties in self.stack.of_type("AWS::CloudWatch::Dashboard").items():
            resolved = self.stack.value(properties)
            if not resolved["DashboardName"].startswith(STACK):
                self.report(f"{name}: its name collides between stacks")
            try:
                body = json.loads(resolved["DashboardBody"])
            except json.JSONDecodeError as error:
                self.report(f"{name}: its body is not JSON: {error}")
                continue
            dashboard.check(body, lambda problem: self.report(f"{name}: {problem}"))
            shown = [arn for widget in body["widgets"] for arn in widget["properties"].get("alarms", [])]
            if sorted(shown) != sorted(f"{alarm}.Arn" for alarm in self.alarms):
                self.report(f"{name}: its alarms are not those of the template: {set(shown) ^ {f'{it}.Arn' for it in self.alarms}}")
            for widget in body["widgets"]:
                self.widget(f"{name}, {widget['properties']['title']}", widget["properties"].get("metrics", []))

    def widget(self, user, metrics):
        for parts, options in dashboard.entries(metrics):
            if parts:
                self.metric(user, parts[0], parts[1], dict(zip(parts[2::2], parts[3::2])))
            for namespace, name, dimensions, values, *_ in dashboard.searched(options.get("expression", "")):
                self.metric(user, namespace, name, {dimension: values.get(dimension) for dimension in dimensions})
                if values.keys() - set(dimensions):
                    self.report(f"{user}: a search gives a value of a dimension that it does not name")

    def run(self):
        for function in ("PostWebhook", "EmailUser"):
            if (function in self.stack.existing) != (self.variant == "with"):
                self.report(f"the parameters of this check do not decide whether there is {function}")
        for name, alarm in self.alarms.items():
            self.alarm(name, alarm)
        self.completeness()
        self.dashboards()
        for function, properties in self.stack.of_type("AWS::Lambda::Function").items():
            variables = self.stack.value(properties.get("Environment", {})).get("Variables", {})
            if variables.get("METRICS_NAMESPACE", STACK) != STACK:
                self.report(f"{function}: METRICS_NAMESPACE is not the stack's name, which the alarms use")
        for target in sorted(self.stack.dangling):
            self.report(f"there is no {target}: what mentions it lacks its condition")
        return self.wrong


def check_runbook(template):
    """Each alarm names a paragraph, each paragraph has an alarm, and each query looks for a message of the code."""
    text = (ROOT / RUNBOOK).read_text()
    paragraphs = {slug(heading) for heading in re.findall(r"^### (.+)$", text, re.MULTILINE)}
    alarms = [it["Properties"] for it in template["Resources"].values() if it["Type"] == "AWS::CloudWatch::Alarm"]
    named = {anchor for alarm in alarms for anchor in re.findall(r"#([\w-]+)", alarm.get("AlarmDescription", ""))}
    yield from (f"{RUNBOOK} has no paragraph {it}" for it in sorted(named - paragraphs))
    yield from (f"no alarm names the paragraph {it} of {RUNBOOK}" for it in sorted(paragraphs - named))
    sources = [path.read_text() for folder in ("functions", "shared") for path in sorted((ROOT / folder).rglob("src/**/*.rs"))]
    for query in re.findall(r"^ *```text\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
        for message in re.findall(r'"([a-z -]+: [^"]+)"', query):
            if not any(f'"{message}"' in source for source in sources):
                yield f"{RUNBOOK}: the code does not write {message}"


def main():
    template = json.loads(pathlib.Path(sys.argv[1]).read_text())
    wrong = [*check_runbook(template), *Check(template, True).run(), *Check(template, False).run()]
    print(*wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
