"""Measuring in a process of its own, so that one measurement does not change the next."""

import json
import subprocess
import sys
from typing import Any


def run_apart(module: str, task: dict[str, Any]) -> dict[str, Any]:
    """What `python -m module TASK` prints as JSON on its last line; `failed` says why there is nothing."""
    command = [sys.executable, "-m", module, json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return {"failed": said[-1] if said else f"exit code {done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
