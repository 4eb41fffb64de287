"""Deploys template.yaml, as `sam build` left it, to MiniStack with IAM enforced, and runs it there.

MiniStack (https://ministack.org) is an emulator of AWS that runs the functions' binaries as processes, verifies signatures, and
evaluates the policies of roles, queues and callers. docs/deploy.md says what this check shows and what it does not.
"""

import contextlib
import pathlib
import sys
import tempfile
import time
import traceback

from deployed import steps
from deployed.digime import Digime
from deployed.servers import ministack, simulator
from deployed.tls import authority, terminated
from deployed.webhook import Webhook


def main():
    start = time.monotonic()
    with contextlib.ExitStack() as scope:
        directory = pathlib.Path(scope.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        authorities, tls = authority(directory)
        webhook = Webhook()
        webhook_url = scope.enter_context(webhook.listening(tls))
        digime = Digime(scope.enter_context(simulator(directory)))
        digime.known_as(scope.enter_context(terminated(digime.address, tls)))
        aws = scope.enter_context(ministack(directory, authorities))
        world = steps.World(aws, digime, webhook, webhook_url, directory, scope)
        for step in steps.STEPS:
            began = time.monotonic()
            try:
                step(world)
            except Exception:
                print(f"{step.__doc__} FAILED", flush=True)
                traceback.print_exc()
                world.explain()
                return 1
            print(f"{step.__doc__} ok ({time.monotonic() - began:.1f} s)", flush=True)
    print(f"{len(steps.STEPS)} steps passed in {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
