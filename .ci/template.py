"""Translates template.yaml as CloudFormation will see it and writes the result, for cfn-lint.

Usage: template.py OUTPUT. `sam validate` is not enough: it lets a misspelt property of an event pass.
"""

import json
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

template = yaml_parse(open("template.yaml", encoding="utf-8").read())
for resource in template["Resources"].values():
    if resource["Type"] == "AWS::Serverless::Function":
        # What `sam package` puts there.
        resource["Properties"]["CodeUri"] = "s3://bucket/key"
translated = Translator({}, Parser()).translate(template, {})
with open(sys.argv[1], "w", encoding="utf-8") as output:
    json.dump(translated, output, indent=2)
