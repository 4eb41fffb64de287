"""Checks that the documents name files, folders and identifiers that exist.

In Markdown: links to files and to headings, paths, `file`: `name` (the file contains the name), and identifiers of Rust in backticks (some source contains
them), and no placeholder such as @NUMBER@ that a script should have replaced. Elsewhere: paths of documents. Also each corpus of a fuzz target lies where bolero looks for it.
"""

import pathlib
import re
import subprocess
import sys

# What the local system writes into its data directory, or reads there.
DATA = {"contracts.json", "keys/", "local.toml", "secrets.json", "simulator.json"}
ROOT = pathlib.Path(__file__).resolve().parent.parent
SUFFIXES = r"(?:rs|md|toml|yaml|json|py|env|mjs|lock|css|png)"
PATH = re.compile(rf"`((?:[\w.-]+/)*[\w.-]+\.{SUFFIXES}|(?:[\w.-]+/)+)`")
FILE_AND_NAMES = re.compile(rf"`((?:[\w.-]+/)*[\w.-]+\.{SUFFIXES})`: ((?:`[\w:]+`(?:, )?)+)")
# With `::` or `_`, or in camel case with a capital first. Others may be words of digi.me, of AWS or of a shell.
IDENTIFIER = re.compile(r"`((?:[A-Za-z_]\w*::)+[A-Za-z_]\w*|[A-Za-z]\w*_\w*|[A-Z][a-z]\w+)`")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
PLACEHOLDER = re.compile(r"@[A-Z]+@")
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
DOCUMENT = re.compile(r"\b(?:docs/[\w/-]+|CONTRIBUTING|README|CHANGELOG)\.md\b")


def slug(heading):
    """The anchor of a heading on GitHub."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def text_of(name):
    try:
        return (ROOT / name).read_text()
    except UnicodeDecodeError:
        return ""


class Check:
    def __init__(self):
        self.files = tracked()
        self.folders = {str(parent) for name in self.files for parent in pathlib.PurePath(name).parents}
        self.texts = {name: text_of(name) for name in self.files}
        sources = (text for name, text in self.texts.items() if not name.endswith(".md"))
        self.words = {word for text in sources for word in re.findall(r"\w+", text)}
        self.wrong = []

    def matches(self, path, document):
        """The files that a path means: from the root, from the document's folder, or by the end of their path."""
        path = path.rstrip("/")
        for start in ("", str(pathlib.PurePath(document).parent) + "/"):
            if start + path in self.files or start + path in self.folders:
                return [start + path]
        places = self.files + sorted(self.folders)
        return [place for place in places if place.endswith("/" + path)]

    def report(self, document, problem):
        self.wrong.append(f"{document}: {problem}")

    def markdown(self, document):
        prose = FENCE.sub("", self.texts[document])
        for path in sorted(set(PATH.findall(prose))):
            if path not in DATA and not self.matches(path, document):
                self.report(document, f"there is no {path}")
        for path, names in FILE_AND_NAMES.findall(prose):
            for name in re.findall(r"\w+(?=`)", names):
                if not any(re.search(rf"\b{name}\b", self.texts.get(file, "")) for file in self.matches(path, document)):
                    self.report(document, f"{path} does not contain {name}")
        for name in sorted(set(IDENTIFIER.findall(prose))):
            if missing := [part for part in name.split("::") if part not in self.words]:
                self.report(document, f"no source contains {missing[0]}")
        for target, anchor in LINK.findall(prose):
            if "://" not in target:
                self.link(document, target, anchor)
        for placeholder in sorted(set(PLACEHOLDER.findall(self.texts[document]))):
            self.report(document, f"the placeholder {placeholder} was not replaced")

    def link(self, document, target, anchor):
        path = (ROOT / document).parent.joinpath(target).resolve() if target else ROOT / document
        if not path.exists():
            self.report(document, f"there is no {target}")
        elif anchor and path.suffix == ".md":
            headings = HEADING.findall(FENCE.sub("", path.read_text()))
            if anchor not in map(slug, headings):
                self.report(document, f"{path.name} has no heading {anchor}")

    def source(self, name):
        for path in DOCUMENT.findall(self.texts[name]):
            if not self.matches(path, name):
                self.report(name, f"there is no {path}")

    def corpus(self, folder):
        """bolero looks for `__fuzz__/<module path>__<test without fuzz_>` beside the test's file."""
        *modules, test = pathlib.PurePath(folder).name.split("__")
        crate_root = folder.split("/src/")[0] + "/src/"
        module = crate_root + "/".join(modules[:-1] if modules[-1] == "tests" else modules)
        beside = str(pathlib.PurePath(folder).parent.parent)
        found = [file for file in (module + ".rs", module + "/mod.rs") if f"fn fuzz_{test}(" in self.texts.get(file, "")]
        if not any(str(pathlib.PurePath(file).parent) == beside for file in found):
            self.report(folder, "no fuzz target reads this corpus")

    def run(self):
        for name in self.files:
            (self.markdown if name.endswith(".md") else self.source)(name)
        for folder in sorted(self.folders):
            if pathlib.PurePath(folder).parent.name == "__fuzz__":
                self.corpus(folder)
        print(*self.wrong, sep="\n")
        return 1 if self.wrong else 0


if __name__ == "__main__":
    sys.exit(Check().run())
