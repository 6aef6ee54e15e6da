"""What a page of figures says about how they were made."""

import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]


def circumstances(note: str) -> dict[str, Any]:
    """When, on what and of which commit the figures are."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    model = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": commit.stdout.strip() or "unknown",
        "machine": f"{model or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 2),
        "note": note,
    }


def heading(results: dict[str, Any]) -> list[str]:
    """Lines that say how the figures were made."""
    made = results["circumstances"]
    return [
        f"Made by `{results['command']}`",
        "on {date}, commit {commit}, {machine}, threads {threads}, load average {load_average}{note}.".format(
            **made | {"note": made["note"] and f" ({made['note']})"}
        ),
        "95 % Wilson intervals in brackets.",
    ]


def percent(share: float, interval: Sequence[float]) -> str:
    """ "1.23 % (1.00-1.50)"."""
    return f"{100 * share:.2f} % ({100 * interval[0]:.2f}-{100 * interval[1]:.2f})"
