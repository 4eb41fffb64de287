"""A translated template as CloudFormation resolves it for given parameters, with short names for references.

A reference to a resource becomes a text that names it: `Table`, or `Table.Arn` for an attribute. The stack's name becomes `STACK`.
"""

from cloudformation import Stack

STACK = "STACK"
ACCOUNT = "000000000000"
REGION = "eu-west-1"


class Resolved(Stack):
    """The resources that a stack with the given parameters has. Other parameters have their defaults. References to resources
    that it does not have are collected as `dangling`."""

    def __init__(self, template, given):
        super().__init__(template, STACK, given, account=ACCOUNT, region=REGION)
        self.dangling = set()
        self.existing = {name for name, it in template["Resources"].items() if "Condition" not in it or self.condition(it["Condition"])}

    def of_type(self, kind):
        resources = self.template["Resources"]
        return {name: resources[name].get("Properties", {}) for name in resources if name in self.existing and resources[name]["Type"] == kind}

    def value(self, value):
        """Resolves the functions in a value."""
        return self.resolve(value)

    def label(self, name, attribute):
        target = name if attribute == "Ref" else f"{name}.{attribute}"
        if name not in self.existing:
            self.dangling.add(target)
        return target
