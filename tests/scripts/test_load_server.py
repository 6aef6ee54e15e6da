"""The load test runs where Locust is. Locust patches its process, so the script runs in one of its own."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "load_server.py"


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("locust"), reason="no Locust: pip install locust")
@pytest.mark.parametrize("mode", [["--clients", "1", "3", "--seconds", "3"], ["--requests", "100"]])
def test_load_server(mode):
    command = [sys.executable, SCRIPT, "--serve", f"{sys.executable} -m tts serve", *mode]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = [line.strip("|").split("|") for line in done.stdout.splitlines() if re.match(r"\| \d", line)]
    assert [int(row[0].split(",")[0]) for row in rows][:2] == ([1, 3] if "--clients" in mode else [64, 10])
    assert all(float(row[-1]) > 10 for row in rows)  # megabytes
    same = re.search(r"alone: (\d+) of (\d+)\. Failed: 0", done.stdout)
    assert same and same[1] == same[2] != "0"
