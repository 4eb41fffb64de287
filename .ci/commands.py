"""Holds the commands in the documents: each is run in CI, or marked.

Each fenced block of a Markdown file names its language, one of `SHELLS` or `OTHERS`; printed output is `text`. A block of commands (`SHELLS`)
must fit one of these cases. If it fits none, the check fails.

1. A comment directly above it says `<!-- needs: aws -->` (and it calls AWS), or `<!-- by hand: REASON -->`. The latter are printed.
2. Its document and heading stand in `RUN`: a function below runs the blocks of that heading here.
3. Its document and heading stand in `BLOCKS`, with the same commands: the named line of .ci/run does what they do.
4. Each of its commands is a line of .ci/run, stands in `LINES` with the line of .ci/run that does the same, or is run here on its own:
   `cargo run …` as the program that it starts, `node …` against a simulator.

An entry of `RUN`, `BLOCKS` or `LINES` that no document has any more is an error too.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import urllib.request

from local_system import free_pair, free_port, local_system
from webhook_receiver import run_receiver
from webhook_snippets import run_snippet

DOCUMENTS = ":(glob)**/*.md"
SHELLS = {"sh", "bash", "console"}
OTHERS = {"diff", "js", "json", "python", "rust", "text", "toml"}
# After the language, rustdoc's attributes can follow: `rust,no_run`.
FENCE = re.compile(r"^ *(?P<fence>```+|~~~+) *(?P<language>\w*)[^\n]*\n(?P<text>.*?)^ *(?P=fence) *$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
MARK = re.compile(r"<!-- (needs: aws|by hand: .+?) -->\n\s*$")
AWS = re.compile(r"\baws [a-z]|\bsam deploy\b|\bsam delete\b|infra/smoke\.py")
SIMULATOR = "http://127.0.0.1:9001"
# What the last line begins with that a program prints at its start.
READY = {"local": "Press Ctrl-C", "digime-simulator": "control"}
# In seconds.
TIMEOUT = 120

INSTALL = ".venv/bin/pip install --quiet --disable-pip-version-check -r .ci/requirements.txt"
BUILD = "cargo build --locked --workspace --all-targets"
# A command of a document, and the line of .ci/run that does the same or more.
LINES = {
    ".venv/bin/pip install -r .ci/requirements.txt": INSTALL,
    ".venv/bin/pip install aws-sam-cli cargo-lambda ziglang": INSTALL,
    "cargo build": BUILD,
    "cargo build --package digime-simulator": BUILD,
    "cargo fmt --all": "cargo fmt --all --check",
    "cargo test --workspace": "$test_command",
    "cargo test --package tests --test routes callback::": "$test_command",
    "EVENT_SCHEMAS=write cargo test --package tests --test guarantees schemas::": "$test_command",
    "EVENT_SCHEMAS=publish cargo test --package tests --test guarantees schemas::": "$test_command",
    "BOLERO_RANDOM_TEST_TIME_MS=600000 cargo test --workspace --lib fuzz_": "BOLERO_RANDOM_TEST_TIME_MS=20000 cargo test --locked --workspace --lib fuzz_",
    "DYNAMODB_TEST_ENDPOINT=http://127.0.0.1:8000 AWS_REGION=eu-west-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test cargo test --package tests --test store": "python .ci/moto.py",
    "target/ministack-venv/bin/pip install -r .ci/ministack-requirements.txt": "target/ministack-venv/bin/pip install --quiet --disable-pip-version-check -r .ci/ministack-requirements.txt",
    "cargo run -p digime --example reauthorize": "target/debug/examples/reauthorize",
    "npm --prefix .ci/node ci --ignore-scripts": "npm --prefix .ci/node ci --ignore-scripts --no-audit --no-fund",
    "python3 .ci/http_api.py render": "python .ci/http_api.py",
}
# A document and a heading: the line of .ci/run that does what its blocks do, and their commands.
BLOCKS = {
    ("docs/examples/node/README.md", "Against the local system"): (
        "python .ci/node_example.py",
        [
            "DEFAULT_RETURN_URL=http://127.0.0.1:3000/returned cargo run -- --ephemeral --verify-signatures"
            " --webhook-url http://127.0.0.1:3000/webhook --return-origin http://127.0.0.1:3000",
            "cd docs/examples/node",
            "npm ci",
            "npm run local",
        ],
    ),
}


@dataclasses.dataclass
class Block:
    document: str
    line: int
    heading: str
    language: str
    text: str
    mark: str

    @property
    def place(self):
        return self.document, self.heading

    def commands(self):
        """Its commands, without comments, without line breaks in them, and one by one where `&&` joins them."""
        lines = re.sub(r"\s*\\\n\s*", " ", self.text).splitlines()
        lines = (re.sub(r"(^| )#.*", "", line).strip().removeprefix("$ ") for line in lines)
        return [command.strip() for line in lines if line for command in line.split(" && ")]


def blocks_of(document):
    text = pathlib.Path(document).read_text()
    for fence in FENCE.finditer(text):
        before = text[: fence.start()]
        heading = HEADING.findall(FENCE.sub("", before))[-1]
        mark = MARK.search(before)
        yield Block(document, before.count("\n") + 1, heading, fence["language"], fence["text"], mark[1] if mark else "")


def documents():
    listed = subprocess.run(["git", "ls-files", "-z", DOCUMENTS], check=True, capture_output=True, text=True).stdout
    return sorted(filter(None, listed.split("\0")))


@contextlib.contextmanager
def started(program, arguments):
    """A program of this project, once it has printed its last address."""
    # Without the line of each request.
    environment = {"RUST_LOG": "warn", **os.environ}
    command = [f"target/debug/{program}", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        limit = threading.Timer(TIMEOUT, process.kill)
        limit.start()
        try:
            if not any(re.match(READY[program], line) for line in process.stdout):
                raise RuntimeError(f"{program} {shlex.join(arguments)} ended with {process.wait(10)}")
            yield
        finally:
            limit.cancel()
            process.terminate()
            process.wait(10)


@contextlib.contextmanager
def simulator():
    port = free_port()
    with started("digime-simulator", ["--port", str(port)]):
        yield f"http://127.0.0.1:{port}"


def start(command):
    """`cargo run …`: starts what it starts, on free ports, and with its data in a folder of its own."""
    own, _, arguments = command.partition(" -- ")
    program = "digime-simulator" if "digime-simulator" in own else "local"
    if own not in ("cargo run", "cargo run -p digime-simulator"):
        raise RuntimeError(f"unknown options of cargo run: {own}")
    with tempfile.TemporaryDirectory() as folder:
        arguments = shlex.split(arguments.replace("/tmp/", folder + "/"))
        arguments += [] if "--port" in arguments else ["--port", str(free_pair())]
        if program == "local" and not {"--ephemeral", "--data-dir"} & set(arguments):
            arguments += ["--data-dir", folder]
        with started(program, arguments):
            pass


def node(command):
    """`node …`: against a new simulator."""
    with simulator() as address:
        subprocess.run(shlex.split(command.replace(SIMULATOR, address)), check=True, stdout=subprocess.DEVNULL, timeout=TIMEOUT)


def bash(script):
    """What a script prints. Each of its commands must succeed."""
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode:
        raise RuntimeError(f"{done.stdout}{done.stderr}ended with {done.returncode}")
    return done.stdout


def compare(script, printed):
    """Compares what was printed with the replies in the script. `…` stands for anything but a space."""
    expected = [line.removeprefix("#> ") for line in script.splitlines() if line.startswith("#> ")]
    printed = printed.splitlines()
    for one, other in zip(expected, printed):
        if not re.fullmatch(re.escape(one).replace("…", r"\S*"), other):
            raise RuntimeError(f"expected: {one}\nprinted:  {other}")
    if len(expected) != len(printed):
        raise RuntimeError(f"{len(expected)} replies are expected, {len(printed)} are printed: {printed}")


def walk(blocks):
    """README's walk with curl, against a new local system."""
    with local_system() as addresses:
        api = addresses["API"]
        digime = re.match(r"http://[^/]+", addresses["digi.me"])[0]
        for block in blocks:
            script = block.text.replace("http://127.0.0.1:9000", api).replace(SIMULATOR, digime)
            compare(script, bash(script))


def control(blocks):
    """The calls of the control API, against a new simulator."""
    with simulator() as address, tempfile.TemporaryDirectory() as folder:
        script = "".join(block.text for block in blocks)
        bash(script.replace(SIMULATOR, address).replace("/tmp/", folder + "/"))


def signed(blocks):
    """A signed request, against a new local system that checks signatures."""
    with local_system("--verify-signatures") as addresses:
        with urllib.request.urlopen(f"{addresses['API']}/_local/info", timeout=TIMEOUT) as answer:
            credentials = json.load(answer)["credentials"]
        secrets = f"ACCESS_KEY_ID={credentials['accessKeyId']} SECRET_ACCESS_KEY={credentials['secretAccessKey']}\n"
        for block in blocks:
            printed = bash(secrets + block.text.replace("http://127.0.0.1:9000", addresses["API"]))
            if '"accounts":' not in printed:
                raise RuntimeError(f"the request is answered with {printed}")


def receiver(blocks):
    """The webhook receiver, in JavaScript."""
    for block in blocks:
        run_receiver(block.text)


def snippets(version):
    """The programs that verify signatures of a version. Those in Rust are tested in tests/guarantees/verify_webhook/."""
    def run(blocks):
        if sorted(block.language for block in blocks) != ["js", "python", "rust"]:
            raise RuntimeError("the languages are not JavaScript, Python and Rust")
        for block in blocks:
            if block.language != "rust":
                run_snippet(block.language, block.text, version)
    return run


def own_user(blocks):
    (block,) = blocks
    with local_system() as addresses:
        control = addresses["Control"].rstrip("/")
        script = block.text.replace("http://127.0.0.1:9000", addresses["API"]).replace(f"{SIMULATOR}/_simulator", control)
        bash(f"{script}curl -fsS {addresses['API']}/users/customer-42/accounts/40_songbird")


RUN = {
    ("README.md", "With curl"): walk,
    ("infra/digime-simulator/README.md", "With curl"): control,
    ("infra/local/README.md", "Signatures"): signed,
    ("docs/events.md", "With the shared secret"): snippets("v1"),
    ("docs/events.md", "With the public key"): snippets("v1a"),
    ("docs/events.md", "A receiver"): receiver,
    ("docs/examples/node/README.md", "A user of your own"): own_user,
}


class Check:
    def __init__(self):
        self.steps = set(pathlib.Path(".ci/run").read_text().splitlines())
        self.wrong, self.by_hand, self.ran = [], [], 0
        self.unused = set(LINES)

    def report(self, block, problem):
        self.wrong.append(f"{block.document}:{block.line}: {problem}")

    def attempt(self, block, run, *arguments):
        try:
            run(*arguments)
            self.ran += 1
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            self.report(block, error)

    def in_ci(self, block, line):
        if line not in self.steps:
            self.report(block, f"{line} is no line of .ci/run")

    def marked(self, block):
        if block.mark != "needs: aws":
            self.by_hand.append(f"{block.document}:{block.line}: {block.mark}")
        elif not AWS.search(block.text):
            self.report(block, "is marked as needing AWS, and calls nothing of it")

    def command(self, block, command):
        if command in self.steps:
            return
        if command in LINES:
            self.unused.discard(command)
            self.in_ci(block, LINES[command])
        elif re.match(r"cargo run( |$)", command):
            self.attempt(block, start, command)
        elif command.startswith("node "):
            self.attempt(block, node, command)
        else:
            self.report(block, f"is neither run in CI nor marked: {command}")

    def block(self, block):
        if block.mark:
            self.marked(block)
        elif block.place not in BLOCKS:
            for command in block.commands():
                self.command(block, command)

    def run_place(self, place, run, blocks):
        """Runs the blocks of a heading, whatever their language is."""
        of_place = [block for block in blocks if block.place == place]
        if of_place:
            self.attempt(of_place[0], run, of_place)
        else:
            self.wrong.append(f"{place[0]}: no block under {place[1]}, which stands in RUN")

    def compare_place(self, place, step, commands, blocks):
        """Compares the commands of a heading with those of `BLOCKS`."""
        of_place = [block for block in blocks if block.place == place and block.language in SHELLS and not block.mark]
        written = [command for block in of_place for command in block.commands()]
        if written != commands:
            self.wrong.append(f"{place[0]}, {place[1]}: BLOCKS has {commands}, the document {written}")
        if step not in self.steps:
            self.wrong.append(f"{place[0]}, {place[1]}: {step} is no line of .ci/run")

    def run(self):
        blocks = [block for document in documents() for block in blocks_of(document)]
        for place, run in RUN.items():
            self.run_place(place, run, blocks)
        for place, (step, commands) in BLOCKS.items():
            self.compare_place(place, step, commands, blocks)
        for block in blocks:
            if block.language not in SHELLS | OTHERS:
                self.report(block, f"the language of the block is none of SHELLS and OTHERS: {block.language!r}")
            elif block.language in SHELLS and block.place not in RUN:
                self.block(block)
        self.wrong += [f"no document has the command that stands in LINES: {command}" for command in sorted(self.unused)]
        print(*self.by_hand, f"{self.ran} blocks and commands were run here", *self.wrong, sep="\n")
        return 1 if self.wrong else 0


if __name__ == "__main__":
    sys.exit(Check().run())
