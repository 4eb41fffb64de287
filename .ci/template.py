"""The template: as it is written, and translated as CloudFormation will see it.

Usage: template.py OUTPUT [PARAMETER=VALUE …]. Writes the translated template, for cfn-lint. `sam validate` is not enough: it lets a misspelt property of an
event pass.
"""

import json
import logging
import os
import pathlib
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

TEMPLATE = pathlib.Path(__file__).resolve().parent.parent / "template.yaml"


def read():
    return yaml_parse(TEMPLATE.read_text(encoding="utf-8"))


def functions(template):
    """The functions of a template that is not translated, by logical id."""
    resources = template["Resources"].items()
    return {name: resource for name, resource in resources if resource["Type"] == "AWS::Serverless::Function"}


def translate(parameters=None, template=None):
    """Translates with the parameters' defaults, or with the given values. Calls nobody."""
    # The translator asks for the region of the resources' names.
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
    # It logs that it publishes no metrics about the translation.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    template = template or read()
    for function in functions(template).values():
        # What `sam package` puts there.
        function["Properties"]["CodeUri"] = "s3://bucket/key"
    return Translator({}, Parser()).translate(template, parameters or {})


if __name__ == "__main__":
    given = dict(argument.split("=", 1) for argument in sys.argv[2:])
    pathlib.Path(sys.argv[1]).write_text(json.dumps(translate(given), indent=2), encoding="utf-8")
