"""How measurements are described, and that the room every command begins with is light."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tts.core
from tts.core.machine import add_load_after, circumstances, cores, described, heading, percent

MACHINE: dict[str, Any] = {
    "processor": "A CPU",
    "cores": 2,
    "caches": {"L1": 32768, "L2": 1 << 20},
    "gpu": None,
    "load_average": 0.5,
}
REPORT = {
    "date": "2026-01-02",
    "version": "1.2",
    "commit": "abc+",
    "versions": {"python": "3.11.1", "numpy": "2.0", "torch": None},
    "machine": MACHINE,
}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {},
            "A CPU, 2 cores (L1 32 KB, L2 1024 KB), GPU: none; twotier-tts 1.2, commit abc+, python 3.11.1, numpy 2.0; "
            "load average 0.5; 2026-01-02",
        ),
        (
            {"commit": None, "note": "beside a build", "machine": {**MACHINE, "caches": {}, "gpu": "X"}},
            "A CPU, 2 cores, GPU: X; twotier-tts 1.2, python 3.11.1, numpy 2.0; load average 0.5 (beside a build); "
            "2026-01-02",
        ),
        (
            {"machine": {**MACHINE, "load_average_after": 1.5}},
            "A CPU, 2 cores (L1 32 KB, L2 1024 KB), GPU: none; twotier-tts 1.2, commit abc+, python 3.11.1, numpy 2.0; "
            "load average 0.5 before, 1.5 after; 2026-01-02",
        ),
    ],
    ids=["plain", "no commit, no caches, GPU, note", "load after"],
)
def test_described(changes, text):
    report = REPORT | changes
    assert described(report) == text
    assert heading({"command": "c", "circumstances": report})[:2] == ["Made by `c`", f"on {text}."]


def test_circumstances_of_this_machine():
    report = circumstances("shared")
    add_load_after(report)
    text = described(report)
    assert f", {len(cores())} cores" in text
    assert "(shared)" in text
    assert " after (" in text
    assert "note" not in circumstances()


def test_percent():
    assert percent(0.0123, (0.01, 0.015)) == "1.23 % (1.00-1.50)"


def test_core_imports_nothing_heavy():
    names = [f"tts.core.{path.stem}" for path in Path(tts.core.__file__).parent.glob("[a-z]*.py")]
    assert len(names) > 8
    heavy = ("torch", "numpy", "soundfile", "data_recipes")
    code = f"import sys, {', '.join(names)}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
