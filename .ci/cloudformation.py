"""What CloudFormation does with a translated template before it creates anything: parameters, rules, conditions, intrinsic functions.

Written after the CloudFormation User Guide: a pattern is compared with the whole value, and in a list with each member.
"""

import json
import re


class Refused(Exception):
    """The reason that CloudFormation would give."""


# What Java's and Python's regular expressions have in common. A class contains no bracket and no `&&`, which mean more in Java. Of the
# groups that begin with a question mark, only a look at fixed text before.
LOOK_BEHIND = re.compile(r"\(\?<![\w/]+\)")
COMMON = re.compile(r"(?:[\w:/@=,~!.|*+?^$() -]|\\\.|\{\d+(?:,\d+)?\}|\[\^?(?:[^\[\]\\&]|&(?!&))+\])*")


def check_pattern(name, pattern):
    plain = LOOK_BEHIND.sub("", pattern)
    if "(?" in plain or not COMMON.fullmatch(plain) or not (pattern.startswith("^") and pattern.endswith("$")):
        raise Refused(f"{name}: the pattern is not one that Java and Python read alike")


def check_value(name, parameter, value):
    """Refuses a value that the parameter's own constraints exclude."""
    reason = Refused(f"Parameter {name} {parameter.get('ConstraintDescription', 'is not allowed')}: {value!r}")
    members = [member.strip() for member in value.split(",")] if parameter["Type"] == "CommaDelimitedList" else [value]
    if "AllowedValues" in parameter and value not in map(str, parameter["AllowedValues"]):
        raise reason
    if pattern := parameter.get("AllowedPattern"):
        check_pattern(name, pattern)
        if not all(re.fullmatch(pattern, member) for member in members):
            raise reason
    if len(value) > parameter.get("MaxLength", 4096):
        raise reason
    if parameter["Type"] == "Number":
        if not re.fullmatch(r"-?\d+(\.\d+)?", value):
            raise reason
        if not parameter.get("MinValue", float("-inf")) <= float(value) <= parameter.get("MaxValue", float("inf")):
            raise reason


class Stack:
    """A stack of a translated template. What AWS chooses, such as ids and ARNs, stays a placeholder with the stack's name."""

    def __init__(self, template, name, parameters=None, account="123456789012", region="eu-west-1"):
        self.template = template
        self.name = name
        self.parameters = {key: str(value.get("Default", "")) for key, value in template["Parameters"].items()}
        if unknown := set(parameters or {}) - set(self.parameters):
            raise Refused(f"Parameters {sorted(unknown)} do not exist in the template")
        self.parameters |= parameters or {}
        self.pseudo = {
            "AWS::StackName": name,
            "AWS::AccountId": account,
            "AWS::Region": region,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NoValue": None,
        }

    def check(self):
        """Refuses parameters that CloudFormation would refuse."""
        for name, value in self.parameters.items():
            check_value(name, self.template["Parameters"][name], value)
        for rule in self.template.get("Rules", {}).values():
            for assertion in rule["Assertions"]:
                if self.resolve(assertion["Assert"]) is not True:
                    raise Refused(assertion["AssertDescription"])
        return self

    def condition(self, name):
        return self.resolve(self.template["Conditions"][name])

    def resources(self):
        """The resources whose conditions hold, resolved."""
        existing = {}
        for name, resource in self.template["Resources"].items():
            if "Condition" not in resource or self.condition(resource["Condition"]):
                existing[name] = {**resource, "Properties": self.resolve(resource.get("Properties", {}))}
        return existing

    def ref(self, name):
        if name in self.pseudo:
            return self.pseudo[name]
        if name not in self.parameters:
            return self.placeholder(name, "Ref")
        value = self.parameters[name]
        if self.template["Parameters"][name]["Type"] == "CommaDelimitedList":
            return [member.strip() for member in value.split(",")]
        return value

    def placeholder(self, name, attribute):
        """An attribute of a resource, as far as the template determines it."""
        resource = self.template["Resources"][name]
        if resource["Type"] == "AWS::AppConfig::HostedConfigurationVersion":
            # Other content is another version.
            return f"{self.label(name, attribute)} {json.dumps(self.resolve(resource['Properties']['Content']))}"
        if resource["Type"] == "AWS::Events::Rule" and attribute == "Arn":
            bus = self.resolve(resource["Properties"]["EventBusName"])
            region, account = self.pseudo["AWS::Region"], self.pseudo["AWS::AccountId"]
            return f"arn:aws:events:{region}:{account}:rule/{bus}/{self.label(name, 'Ref')}"
        return self.label(name, attribute)

    def label(self, name, attribute):
        return f"<{self.name}:{name}.{attribute}>"

    def substitute(self, argument):
        text, own = (argument, {}) if isinstance(argument, str) else argument

        def value(match):
            name = match.group(1)
            if name in own:
                return str(self.resolve(own[name]))
            return str(self.ref(name) if "." not in name else self.placeholder(*name.split(".", 1)))

        return re.sub(r"\$\{([^}!]+)\}", value, text)

    def resolve(self, node):
        if isinstance(node, list):
            return [one for one in map(self.resolve, node) if one is not None]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            [(function, argument)] = node.items()
            if function == "Ref":
                return self.ref(argument)
            if function == "Condition" and isinstance(argument, str):
                return self.condition(argument)
            if function.startswith("Fn::"):
                return self.call(function.removeprefix("Fn::"), argument)
        resolved = {key: self.resolve(value) for key, value in node.items()}
        return {key: value for key, value in resolved.items() if value is not None}

    def call(self, function, argument):
        if function == "If":
            condition, then, otherwise = argument
            return self.resolve(then if self.condition(condition) else otherwise)
        if function == "Sub":
            return self.substitute(argument)
        if function == "GetAtt":
            return self.placeholder(*(argument.split(".", 1) if isinstance(argument, str) else argument))
        values = self.resolve(argument)
        match function:
            case "And":
                return all(values)
            case "Or":
                return any(values)
            case "Not":
                return not values[0]
            case "Equals":
                return str(values[0]) == str(values[1])
            case "Contains":
                return values[1] in values[0]
            case "Join":
                return values[0].join(values[1])
            case "Split":
                return values[1].split(values[0])
            case "Select":
                return values[1][int(values[0])]
            case "FindInMap":
                return self.template["Mappings"][values[0]][values[1]][values[2]]
        raise NotImplementedError(f"Fn::{function}")
