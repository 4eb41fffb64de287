"""Makes types from infra/openapi.yaml, compiles a client with them, and uses it against the local system."""

import pathlib
import shutil
import subprocess

from local_system import local_system

NODE = pathlib.Path(".ci/node")
TOOLS = NODE / "node_modules/.bin"


def compile_client():
    shutil.rmtree(NODE / "build", ignore_errors=True)
    # A `.d.ts`, so that it is only read, not compiled to JavaScript.
    command = [TOOLS / "openapi-typescript", "infra/openapi.yaml", "--output", NODE / "build/api.d.ts"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    subprocess.run([TOOLS / "tsc", "--project", NODE], check=True, timeout=300)


if __name__ == "__main__":
    compile_client()
    with local_system() as addresses:
        subprocess.run(["node", NODE / "build/walk.js", addresses["API"]], check=True, timeout=60)
