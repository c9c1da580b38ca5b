"""The `run:` steps of the workflows, on this machine: `run_workflows.py [tests | publish]`, in a
clone of HEAD.

The clone's origin is a bare repository beside it, so that `make publish` pushes nowhere else. Takes
as long as they do.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(path: pathlib.Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Each command of a workflow in its order, with the environment that its job gives it."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            if "run" in step:
                yield step["run"], job.get("env", {}) | step.get("env", {})


def run_step(command: str, environment: dict[str, str], folder: pathlib.Path) -> None:
    """Run a step as a runner does. Raises CalledProcessError if it fails."""
    print(f"+ {command}", flush=True)
    given = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command]
    subprocess.run(shell, cwd=folder, env=given | environment, check=True)


def main(*names: str) -> None:
    """Run the steps of these workflows, of all where none is named."""
    with tempfile.TemporaryDirectory() as folder:
        bare, clone = pathlib.Path(folder, "bare.git"), pathlib.Path(folder, "clone")
        subprocess.run(["git", "clone", "--quiet", "--bare", ROOT, bare], check=True)
        subprocess.run(["git", "clone", "--quiet", bare, clone], check=True)
        for path in WORKFLOWS:
            if not names or path.stem in names:
                for command, environment in steps(path):
                    run_step(command, environment, clone)


if __name__ == "__main__":
    main(*sys.argv[1:])
