"""The rules of the body of a CloudWatch dashboard, from "Dashboard Body Structure and Syntax" in CloudWatch's API reference.

Neither CloudFormation nor cfn-lint checks them before a deployment. CloudWatch accepts some mistakes and shows an empty graph.
"""

import re

METRIC_PROPERTIES = {
    "accountId", "annotations", "legend", "liveData", "metrics", "period", "region", "sparkline", "stacked", "stat", "table",
    "timezone", "title", "view", "yAxis",
    # From the reference of the CDK: a single value covers the whole time range of the dashboard.
    "setPeriodToTimeRange",
}
ALARM_PROPERTIES = {"alarms", "sortBy", "states", "title"}
RENDERING = {"color", "label", "period", "stat", "visible", "yAxis", "id", "region", "accountId"}
EXPRESSION = RENDERING | {"expression"}
VIEWS = {"timeSeries", "singleValue", "gauge", "bar", "pie", "table"}
STATISTIC = re.compile(r"SampleCount|Average|Sum|Minimum|Maximum|p\d{1,2}(\.\d+)?")
SEARCH = re.compile(r"SEARCH\('\{\"?([^,\"]+)\"?,([\w,]+)\} MetricName=\"(\w+)\"((?: \w+=\"\w+\")*)', '([^']+)', (\d+)\)")


def entries(metrics):
    """The metrics and expressions of a widget, with `.` replaced by what stands there in the entry before."""
    before = []
    for metric in metrics:
        *parts, last = metric
        options = last if isinstance(last, dict) else {}
        parts = parts if isinstance(last, dict) else metric
        parts = [before[at] if part == "." else part for at, part in enumerate(parts)]
        before = parts or before
        yield parts, options


def searched(expression):
    """The metrics that the searches of an expression find: namespace, name, dimension names, given values, statistic, period."""
    for namespace, names, metric, terms, statistic, period in SEARCH.findall(expression):
        yield namespace, metric, names.split(","), dict(re.findall(r"(\w+)=\"(\w+)\"", terms)), statistic, int(period)


def wrong_period(period):
    return not isinstance(period, int) or period < 60 or period % 60 != 0


def check_options(options, allowed, report):
    if unknown := options.keys() - allowed:
        report(f"unknown properties {sorted(unknown)}")
    if not STATISTIC.fullmatch(options.get("stat", "Sum")):
        report(f"{options['stat']} is no statistic")
    if wrong_period(options.get("period", 60)):
        report(f"{options['period']} is no period")


def check_metric_widget(properties, report):
    check_options(properties, METRIC_PROPERTIES, report)
    if properties.get("view", "timeSeries") not in VIEWS:
        report(f"{properties['view']} is no view")
    if not properties.get("region"):
        report("there is no region")
    for parts, options in entries(properties["metrics"]):
        if parts:
            check_options(options, RENDERING, report)
            if len(parts) < 2 or len(parts) % 2:
                report(f"{parts} is not a namespace, a name and pairs of dimensions")
        else:
            check_options(options, EXPRESSION, report)
            expression = options.get("expression", "")
            if expression.count("SEARCH(") != len(list(searched(expression))) or not expression:
                report(f"{expression} has another form than the searches of this dashboard")
            for *_, statistic, period in searched(expression):
                check_options({"stat": statistic, "period": period}, EXPRESSION, report)


def check_alarm_widget(properties, report):
    if unknown := properties.keys() - ALARM_PROPERTIES:
        report(f"unknown properties {sorted(unknown)}")
    if not 1 <= len(properties["alarms"]) <= 100:
        report("an alarm widget shows 1 to 100 alarms")
    if properties.get("sortBy", "default") not in {"default", "stateUpdatedTimestamp", "timestamp"}:
        report(f"{properties['sortBy']} is no order")


def check_place(widget, taken, report):
    x, y, width, height = (widget[name] for name in ("x", "y", "width", "height"))
    if not (0 <= x and 0 <= y and 1 <= width and x + width <= 24 and 1 <= height <= 1000):
        report("it leaves the grid of 24 columns")
    cells = {(column, row) for column in range(x, x + width) for row in range(y, y + height)}
    if cells & taken:
        report("it overlaps another widget")
    taken |= cells


def check(body, report):
    """Reports what is wrong with the parsed body of a dashboard."""
    if unknown := body.keys() - {"widgets", "start", "end", "periodOverride", "variables"}:
        report(f"unknown properties {sorted(unknown)}")
    if not re.fullmatch(r"-PT\d+[MH]|-P\d+[DWM]", body.get("start", "-P1D")) or body.get("periodOverride") not in {"auto", "inherit"}:
        report("start or periodOverride is wrong")
    taken = set()
    for widget in body["widgets"]:
        title = widget["properties"].get("title")

        def report_widget(problem):
            report(f"the widget {title}: {problem}")

        if unknown := widget.keys() - {"type", "x", "y", "width", "height", "properties"}:
            report_widget(f"unknown properties {sorted(unknown)}")
        check_place(widget, taken, report_widget)
        checks = {"metric": check_metric_widget, "alarm": check_alarm_widget}
        if widget["type"] in checks:
            checks[widget["type"]](widget["properties"], report_widget)
        else:
            report_widget(f"nobody checks widgets of type {widget['type']}")
