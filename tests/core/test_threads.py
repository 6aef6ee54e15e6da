"""The commands set how threads wait before torch, or OpenMP by any other way, or numpy is loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tts

ROOT = Path(__file__).parents[2]
PACKAGE = Path(tts.__file__).parents[1]
TORCH = """
import os
maps = open("/proc/self/maps").read() if os.path.exists("/proc/self/maps") else ""
print(os.environ.get("OMP_WAIT_POLICY"), os.environ.get("GOMP_SPINCOUNT"), "libgomp" in maps, flush=True)
os._exit(0)
"""
COMMANDS = [
    ["-m", "tts", "train", "configs/tiny.yaml"],
    ["-m", "tts", "bench", "train"],
    ["scripts/train.py", "configs/tiny.yaml"],
    ["scripts/train_recognizer.py", "configs/recognizer.yaml"],
]


@pytest.mark.parametrize(
    ("command", "own", "expected"),
    [
        *((command, {}, "PASSIVE 0") for command in COMMANDS),
        (COMMANDS[1], {"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE None"),
        (COMMANDS[1], {"GOMP_SPINCOUNT": "9"}, "None 9"),
    ],
    ids=str,
)
def test_waiting_is_settled_before_torch_is_imported(tmp_path, command, own, expected):
    (tmp_path / "torch.py").write_text(TORCH)
    known = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    environment = {**known, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(PACKAGE)]), **own}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{expected} False\n", done.stderr[-1000:]


@pytest.mark.parametrize(("own", "expected"), [({}, "4"), ({"OPENBLAS_THREAD_TIMEOUT": "9"}, "9")], ids=str)
def test_waiting_is_settled_before_numpy_is_imported(tmp_path, own, expected):
    (tmp_path / "numpy.py").write_text(
        'import os\nprint(os.environ["OPENBLAS_THREAD_TIMEOUT"], flush=True)\nos._exit(0)'
    )
    known = {name: value for name, value in os.environ.items() if name != "OPENBLAS_THREAD_TIMEOUT"}
    environment = {**known, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(PACKAGE)]), **own}
    command = [sys.executable, "-m", "tts", "speak", "4"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == f"{expected}\n", done.stderr[-1000:]
