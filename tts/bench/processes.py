"""Measuring in a process of its own, so that one measurement does not change the next."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any


def run_apart(module: str, row: str, settings: Any) -> dict[str, Any]:
    """What `python -m module '{"row": …, "settings": …}'` answers; `failed` says why there is nothing."""
    command = [sys.executable, "-m", module, json.dumps({"row": row, "settings": asdict(settings)})]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return {"failed": said[-1] if said else f"exit code {done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def answer(measure: Callable[[str, Any], dict[str, Any]], settings: Callable[..., Any]) -> None:
    """The other side of `run_apart`: measure the row with these settings; JSON on the last line of stdout."""
    task = json.loads(sys.argv[1])
    print(json.dumps(measure(task["row"], settings(**task["settings"]))))
