"""Checks what jactionlint does not know about the pipeline: who deploys, when, and with which Rust."""

import pathlib
import sys
import tomllib

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKFLOW = ".github/workflows/deploy.yml"


def main():
    workflow = yaml.safe_load((ROOT / WORKFLOW).read_text())
    rust = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    wrong = []
    if workflow["env"].get("RUSTUP_TOOLCHAIN") != rust:
        wrong.append(f"RUSTUP_TOOLCHAIN is not {rust}, which Cargo.toml requires")
    if "concurrency" in workflow:
        wrong.append("a run that waits for an approval blocks all others")
    for name, job in workflow["jobs"].items():
        steps = [step.get("uses") or step["run"] for step in job["steps"]]
        if any(step.startswith("cargo") or step == "sam build" for step in steps) and not any("toolchain install" in step for step in steps):
            wrong.append(f"{name} compiles without installing Rust")
        if ("environment" in job) != any(step.startswith("./") for step in steps):
            wrong.append(f"{name} deploys without an environment, or the reverse")
        if "environment" not in job:
            continue
        if job.get("if") != "github.ref == 'refs/heads/main'":
            wrong.append(f"{name} deploys other branches than main")
        if job.get("concurrency") != {"group": f"deploy-{name}", "cancel-in-progress": False}:
            wrong.append(f"{name} can update its stack twice at the same time, or is cancelled in between")
    print(*(f"{WORKFLOW}: {problem}" for problem in wrong), sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
