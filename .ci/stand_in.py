"""A copy of the tree and a stand-in for cargo, for checks of `sam` that compile nothing.

The stand-in records its calls. The binary that it "builds" is a copy of a file in `shared/`, so that a check sees from which state of the
tree an artifact was built.
"""

import json
import os
import pathlib
import shutil
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Every function contains this file's crate.
SHARED = "shared/core/src/lib.rs"
CARGO = """#!/bin/sh
echo "$*" >> "$STAND_IN_CALLS"
if [ "$1" = metadata ]; then
    printf '{"target_directory": "%s", "packages": [], "workspace_members": []}' "$STAND_IN_TARGET"
    exit
fi
while [ "$1" != --bin ]; do shift; done
mkdir -p "$CARGO_TARGET_DIR/lambda/$2"
cp "$STAND_IN_SOURCE" "$CARGO_TARGET_DIR/lambda/$2/bootstrap"
"""


def copy_tree(target):
    """Copies the files that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)


def quiet_sam(folder):
    """The variables with which `sam` neither reports its use nor asks PyPI for a newer version, as it does once a week."""
    # With a fraction: sam takes a whole number for no time.
    (folder / "metadata.json").write_text(json.dumps({"lastVersionCheck": time.time()}))
    # sam's own tests set this directory too.
    return {"SAM_CLI_TELEMETRY": "0", "__SAM_CLI_APP_DIR": str(folder)}


def environment(folder, tree):
    """Creates the stand-in in a folder, and returns the environment in which `sam` finds it first."""
    folder.mkdir()
    for name in ("cargo", "cargo-lambda"):
        (folder / name).write_text(CARGO)
        (folder / name).chmod(0o755)
    own = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "STAND_IN_CALLS": str(folder / "calls"),
        "STAND_IN_SOURCE": str(tree / SHARED),
        "STAND_IN_TARGET": str(tree / "target"),
        # No configuration, credentials or region of the machine.
        "HOME": str(folder),
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CARGO_"))}
    return {**others, **own, **quiet_sam(folder)}


def build(tree, env, *arguments):
    state = pathlib.Path(env["__SAM_CLI_APP_DIR"], "metadata.json")
    before = json.loads(state.read_text())["lastVersionCheck"]
    subprocess.run(["sam", "build", *arguments], cwd=tree, env=env, check=True, capture_output=True, timeout=120)
    assert json.loads(state.read_text())["lastVersionCheck"] == before, "sam asked PyPI for a newer version"
