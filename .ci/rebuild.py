"""Checks that `sam build` builds every function anew after a change in `shared/`, with a stand-in for cargo.

sam's own cache compares the folders of the functions alone, so that it would deploy old binaries.
"""

import pathlib
import sys
import tempfile

from stand_in import SHARED, build, copy_tree, environment
from template import functions, read


def main():
    expected = set(functions(read()))
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder, "tree")
        copy_tree(tree)
        env = environment(pathlib.Path(folder, "bin"), tree)
        build(tree, env)
        with (tree / SHARED).open("a") as source:
            source.write("// changed\n")
        build(tree, env)
        artifacts = (tree / ".aws-sam/build").glob("*/bootstrap")
        fresh = {artifact.parent.name for artifact in artifacts if artifact.read_text().endswith("// changed\n")}
        if fresh != expected:
            sys.exit(f"these functions were not built anew after a change in {SHARED}: {sorted(expected - fresh)}")


if __name__ == "__main__":
    main()
