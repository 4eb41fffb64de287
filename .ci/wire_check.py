"""Takes the journeys of `infra/digime-simulator/sdk-check/` against a simulator of their own, with the requests of the official SDK."""

import subprocess
import sys

CHECK = "infra/digime-simulator/sdk-check/wire-check.mjs"
TIMEOUT = 60


def main():
    command = ["target/debug/digime-simulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as simulator:
        try:
            address = simulator.stdout.readline().split()[-1]
            origin = address.removesuffix("/v1.7/")
            return subprocess.run(["node", CHECK, origin], timeout=TIMEOUT).returncode
        finally:
            simulator.terminate()
            simulator.wait(10)


if __name__ == "__main__":
    sys.exit(main())
