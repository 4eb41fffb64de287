"""Holds infra/openapi.yaml against the running local system, with a bounded number of generated requests."""

import subprocess
import sys

from local_system import local_system

# Authentication is not among the checks: the local system does not check signatures.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
]

with local_system() as addresses:
    command = ["schemathesis", "run", "infra/openapi.yaml", "--url", addresses["API"], "--checks", ",".join(CHECKS)]
    command += ["--phases", "coverage,fuzzing", "--max-examples", "50", "--seed", "1", "--request-timeout", "20"]
    command += ["--generation-database", "none"]
    sys.exit(subprocess.run(command, timeout=600).returncode)
