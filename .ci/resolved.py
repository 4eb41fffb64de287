"""A translated template as CloudFormation resolves it for given parameters.

A reference to a resource becomes a text that names it: `Table`, or `Table.Arn` for an attribute. The stack's name becomes `STACK`.
"""

import re

STACK = "STACK"
REGION = "eu-west-1"
PSEUDO = {
    "AWS::StackName": STACK,
    "AWS::Region": REGION,
    "AWS::AccountId": "000000000000",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}
NO_VALUE = object()


class Resolved:
    """The resources that a stack with the given parameters has. Other parameters have their defaults. References to resources
    that it does not have are collected as `dangling`."""

    def __init__(self, template, given):
        self.parameters = {name: given.get(name, it.get("Default", "")) for name, it in template["Parameters"].items()}
        self.conditions = template.get("Conditions", {})
        self.resources = {}
        self.dangling = set()
        for name, resource in template["Resources"].items():
            if "Condition" not in resource or self.holds(resource["Condition"]):
                self.resources[name] = resource

    def holds(self, condition):
        return self.value(self.conditions[condition])

    def of_type(self, kind):
        return {name: it.get("Properties", {}) for name, it in self.resources.items() if it["Type"] == kind}

    def value(self, value):
        """Resolves the functions in a value."""
        if isinstance(value, list):
            return [it for it in (self.value(it) for it in value) if it is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name == "Ref":
                return NO_VALUE if argument == "AWS::NoValue" else self.reference(argument)
            if name == "Condition" and isinstance(argument, str):
                return self.holds(argument)
            if name.startswith("Fn::"):
                return self.call(name, argument)
        resolved = {key: self.value(it) for key, it in value.items()}
        return {key: it for key, it in resolved.items() if it is not NO_VALUE}

    def call(self, name, argument):
        if name == "Fn::If":
            condition, yes, no = argument
            return self.value(yes if self.holds(condition) else no)
        if name == "Fn::GetAtt":
            return self.reference(argument if isinstance(argument, str) else ".".join(argument))
        if name == "Fn::Sub":
            text, given = (argument, {}) if isinstance(argument, str) else argument
            given = {key: self.value(it) for key, it in given.items()}
            return re.sub(r"\$\{([\w:.]+)\}", lambda it: given[it[1]] if it[1] in given else self.reference(it[1]), text)
        if name == "Fn::Select":
            return self.value(argument[1])[int(argument[0])]
        if name == "Fn::Split":
            return self.value(argument[1]).split(argument[0])
        if name == "Fn::Join":
            return argument[0].join(self.value(argument[1]))
        if name == "Fn::Equals":
            return len({str(it) for it in self.value(argument)}) == 1
        if name in ("Fn::And", "Fn::Or", "Fn::Not"):
            answers = self.value(argument)
            return {"Fn::And": all(answers), "Fn::Or": any(answers), "Fn::Not": not answers[0]}[name]
        raise ValueError(f"{name} is not supported here")

    def reference(self, target):
        if target in PSEUDO:
            return PSEUDO[target]
        if target in self.parameters:
            return self.parameters[target]
        name = target.split(".")[0]
        resource = self.resources.get(name)
        if resource is None:
            self.dangling.add(target)
        elif resource["Type"] == "AWS::Events::Rule" and target == f"{name}.Arn":
            bus = self.value(resource["Properties"]["EventBusName"])
            return f"arn:aws:events:{REGION}:000000000000:rule/{bus}/{name}"
        return target
