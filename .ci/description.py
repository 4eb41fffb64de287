"""Holds infra/openapi.yaml, docs/errors.md and docs/events.md against the sources and against each other.

- Each operation has an id, a summary, a description and a tag. Each request and each reply with a body has an example. redocly checks that
  the examples conform to the schemas.
- Each problem of the sources is an example of some reply, with the status, the title and the form of that problem. docs/errors.md lists
  the same problems.
- docs/errors.md lists the error codes of `FailureCode`, and whether another attempt can succeed.
- The id of each example of an event begins with its sequence number, as those that the service writes.
- docs/events.md has a section for each event of the description, with the description's example.
"""

import json
import pathlib
import re
import sys

import yaml

# Only if a route of template.yaml is missing in its function. It stands in the description's introduction.
OF_NO_ROUTE = {"route_not_found"}
# The statuses by their names in Rust.
STATUSES = {
    "BAD_REQUEST": 400, "UNAUTHORIZED": 401, "NOT_FOUND": 404, "CONFLICT": 409, "GONE": 410, "PAYLOAD_TOO_LARGE": 413,
    "INTERNAL_SERVER_ERROR": 500, "BAD_GATEWAY": 502, "SERVICE_UNAVAILABLE": 503,
}
# `Problem::new(StatusCode::X, "code", …`, or with a code from a `match` before it: `("code", "title", …`.
PROBLEM = re.compile(r'(?:Problem|Self)::new\(\s*StatusCode::(\w+),\s*(?:"(\w+)"|(\w+)),')
CHOSEN = re.compile(r'\(\s*"([a-z]+(?:_[a-z]+)+)",\s*"[^"]+\.",')
FAILURE = re.compile(r'Self::(\w+) => "([A-Z_]+)"')
ROW = re.compile(r"^\| `(\w+)` \|(.*)\|$", re.MULTILINE)
PARTS = ("operationId", "summary", "description", "tags")
VERBS = ("get", "put", "post", "delete", "head")


class Times(yaml.SafeLoader):
    """Reads times as texts, and `1_demo-bank` and the like as YAML 1.2 does."""


Times.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if not tag.endswith((":timestamp", ":int"))]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Times.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?\d+$"), list("-0123456789"))


def problems_of_sources():
    """The statuses of each code."""
    found = {"grant_not_found": {404}}  # `Problem::unknown_grant` replaces the status of `grant_not_found`.
    for path in [*pathlib.Path("shared/core/src").rglob("*.rs"), *pathlib.Path("functions").rglob("src/**/*.rs")]:
        text = path.read_text().split("#[cfg(test)]")[0]
        for status, code, variable in PROBLEM.findall(text):
            codes = [code] if code else CHOSEN.findall(text)
            assert codes, f"{path}: no code for {variable}"
            for one in codes:
                found.setdefault(one, set()).add(STATUSES[status])
    return found


class Description:
    def __init__(self):
        self.document = yaml.load(pathlib.Path("infra/openapi.yaml").read_text(), Times)
        self.wrong = []
        self.problems = {}

    def resolve(self, value):
        while "$ref" in value:
            target = self.document
            for name in value["$ref"].removeprefix("#/").split("/"):
                target = target[name]
            value = target
        return value

    def examples(self, media):
        named = {name: self.resolve(example)["value"] for name, example in media.get("examples", {}).items()}
        return named | ({"example": media["example"]} if "example" in media else {})

    def operations(self):
        for group in ("paths", "webhooks"):
            for path, item in self.document[group].items():
                yield from ((f"{verb.upper()} {path}", item[verb]) for verb in VERBS if verb in item)

    def check(self):
        for name, operation in self.operations():
            self.wrong += [f"{name}: has no {part}" for part in PARTS if not operation.get(part)]
            bodies = [("request", self.resolve(operation.get("requestBody", {})))]
            bodies += [(status, self.resolve(reply)) for status, reply in operation["responses"].items()]
            for where, body in bodies:
                for kind, media in body.get("content", {}).items():
                    self.body(f"{name}, {where}, {kind}", where, kind, media)

    def body(self, place, status, kind, media):
        examples = self.examples(media)
        if not examples:
            self.wrong.append(f"{place}: has no example")
        if kind != "application/problem+json":
            return
        for name, problem in examples.items():
            self.problems.setdefault(problem["code"], {})[problem["status"]] = problem
            if name != problem["code"] or str(problem["status"]) != status or not problem["type"].endswith(":" + name):
                self.wrong.append(f"{place}: the example {name} has another code, type or status")

    def compare(self, what, left, right):
        self.wrong += [f"{what}: only one has {item}" for item in sorted(map(str, left ^ right))]


def title_is_in_sources(title):
    sources = pathlib.Path("shared/core/src/web/problem.rs"), *pathlib.Path("functions").glob("*/src/*.rs")
    return any(f'"{title}"' in path.read_text() for path in sources)


def pairs(problems):
    return {(code, status) for code, statuses in problems.items() for status in statuses}


def rows(heading):
    """The rows of the table under a heading of docs/errors.md: the code, and the other cells."""
    section = pathlib.Path("docs/errors.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return {code: [cell.strip() for cell in cells.split(" | ")] for code, cells in ROW.findall(section)}


def failure_codes():
    """Each error code of the sources, and whether another attempt can succeed."""
    source = pathlib.Path("shared/domain/src/failure.rs").read_text()
    final = re.search(r"((?:Self::\w+[\s|]*)+)=> false", source)[1]
    return {code: "no" if f"Self::{name}" in final.replace("|", " ").split() else "yes" for name, code in FAILURE.findall(source)}


def sections_of_events():
    """The JSON under each heading of docs/events.md that is a type of event."""
    text = pathlib.Path("docs/events.md").read_text()
    sections = re.findall(r"^## ((?:account|user|webhook)\.\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return {kind: [json.loads(block) for block in re.findall(r"```json\n(.*?)```", content, re.DOTALL)] for kind, content in sections}


def wrong_ids(part):
    """The ids of events, anywhere in the part, that do not begin with the event's sequence number."""
    if isinstance(part, dict):
        event_id, sequence = part.get("eventId"), part.get("sequence")
        is_wrong = isinstance(event_id, str) and isinstance(sequence, int) and not event_id.startswith(f"evt_{sequence:016x}")
        own = [f"{event_id} does not begin with its sequence number, {sequence:016x}"] if is_wrong else []
        return own + [wrong for value in part.values() for wrong in wrong_ids(value)]
    return [wrong for value in part for wrong in wrong_ids(value)] if isinstance(part, list) else []


def main():
    description = Description()
    description.check()
    sources, listed = problems_of_sources(), rows("Problems")
    of_routes = {code: statuses for code, statuses in sources.items() if code not in OF_NO_ROUTE}
    description.compare("problems of the description and of the sources", pairs(description.problems), pairs(of_routes))
    in_document = {(code, int(status)) for code, cells in listed.items() for status in cells[0].split(", ")}
    description.compare("problems of docs/errors.md and of the sources", in_document, pairs(sources))
    titles = {problem["title"] for statuses in description.problems.values() for problem in statuses.values()}
    description.wrong += [f"no source has the title {title}" for title in sorted(titles) if not title_is_in_sources(title)]
    codes = {(code, cells[2]) for code, cells in rows("Error codes of a reauthorization").items()}
    description.compare("error codes of docs/errors.md and of failure.rs", codes, set(failure_codes().items()))
    description.wrong += wrong_ids(description.document)
    sections = sections_of_events()
    description.compare("events of docs/events.md and of the description", set(sections), set(description.document["webhooks"]))
    for kind, webhook in description.document["webhooks"].items():
        known = description.examples(webhook["post"]["requestBody"]["content"]["application/json"]).values()
        if not sections.get(kind) or any(example not in known for example in sections[kind]):
            description.wrong.append(f"docs/events.md: {kind} has no example, or another one than the description")
    print(*description.wrong, sep="\n")
    return 1 if description.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
