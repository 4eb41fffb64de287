"""Checks `sam build` with a stand-in for cargo.

It builds every function anew after a change in `shared/`: sam's own cache compares the folders of the functions alone, so that it would
deploy old binaries. And it compiles for the architecture that it deploys.
"""

import pathlib
import sys
import tempfile

from samcli.yamlhelper import yaml_parse
from stand_in import SHARED, build, copy_tree, environment
from template import functions, read

# docs/deploy.md and .ci/run replace this line.
ARCHITECTURES = "    Architectures: [arm64]\n"


def check_fresh(tree, env):
    expected = set(functions(read()))
    build(tree, env)
    with (tree / SHARED).open("a") as source:
        source.write("// changed\n")
    build(tree, env)
    artifacts = (tree / ".aws-sam/build").glob("*/bootstrap")
    fresh = {artifact.parent.name for artifact in artifacts if artifact.read_text().endswith("// changed\n")}
    if fresh != expected:
        sys.exit(f"these functions were not built anew after a change in {SHARED}: {sorted(expected - fresh)}")


def check_architecture(tree, env, template, architecture):
    """The calls of the compiler and the template that is deployed agree."""
    calls = pathlib.Path(env["STAND_IN_CALLS"])
    calls.unlink()
    build(tree, env, "--template", template)
    compiled = {"arm64" if "--arm64" in line else "x86_64" for line in calls.read_text().splitlines() if line.startswith("lambda build")}
    built = yaml_parse((tree / ".aws-sam/build/template.yaml").read_text())
    deployed = built["Globals"]["Function"]["Architectures"]
    own = [name for name, function in functions(built).items() if "Architectures" in function["Properties"]]
    if compiled != {architecture} or deployed != [architecture] or own:
        sys.exit(f"{template} compiles for {compiled} and deploys {deployed}, or other architectures for {own}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder, "tree")
        copy_tree(tree)
        env = environment(pathlib.Path(folder, "bin"), tree)
        check_fresh(tree, env)
        check_architecture(tree, env, "template.yaml", "arm64")
        text = (tree / "template.yaml").read_text()
        (tree / "template.x86_64.yaml").write_text(text.replace(ARCHITECTURES, ARCHITECTURES.replace("arm64", "x86_64")))
        check_architecture(tree, env, "template.x86_64.yaml", "x86_64")


if __name__ == "__main__":
    main()
