"""Where `accelerate launch` contradicts the config."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState
from helpers.training import data, metrics, run_config

import tts
from tts.core.errors import InputError
from tts.training.config import TrainConfig
from tts.training.launcher import PLUGINS, conflicts, refuse_plugins
from tts.training.loop import train

ROOT = Path(__file__).parents[2]
PACKAGE = Path(tts.__file__).parents[1]
DEFAULTS = {"ACCELERATE_MIXED_PRECISION": "no", "OMP_NUM_THREADS": "1"}
"""What the launcher sets by default."""


@pytest.mark.parametrize(
    ("environment", "arguments", "config", "precision", "expected"),
    [
        ({}, [], {}, "fp32", None),
        (DEFAULTS, ["accelerate", "launch", "scripts/train.py"], {"threads": 2}, "bf16", None),
        ({"ACCELERATE_MIXED_PRECISION": "bf16"}, [], {}, "bf16", None),
        ({"ACCELERATE_MIXED_PRECISION": "fp16"}, [], {}, "bf16",
         "--mixed_precision fp16, the config train.precision=bf16"),
        ({"ACCELERATE_MIXED_PRECISION": "bf16"}, [], {}, "fp32",
         "--mixed_precision bf16, the config train.precision=fp32"),
        (
            {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"}, [], {}, "fp32",
            "--gradient_accumulation_steps 4, the config train.accumulation=1",
        ),
        (DEFAULTS, ["accelerate", "launch", "--gradient_accumulation_steps", "4"], {}, "fp32",
         "--gradient_accumulation_steps 4, the config train.accumulation=1"),
        (DEFAULTS, ["accelerate", "launch", "--gradient-accumulation-steps=4"], {"accumulation": 2}, "fp32",
         "--gradient_accumulation_steps 4, the config train.accumulation=2"),
        (DEFAULTS, ["accelerate", "launch", "--gradient_accumulation_steps", "4"], {"accumulation": 4}, "fp32", None),
        ({**DEFAULTS, "OMP_NUM_THREADS": "4"}, [], {"threads": 2}, "fp32",
         "--num_cpu_threads_per_process 4, the config train.threads=2"),
        ({**DEFAULTS, "OMP_NUM_THREADS": "4"}, [], {}, "fp32", None),
        ({"OMP_NUM_THREADS": "4"}, [], {"threads": 2}, "fp32", None),  # not set by the launcher
    ],
    ids=str,
)  # fmt: skip
def test_conflicts(environment, arguments, config, precision, expected):
    lines = conflicts(TrainConfig(**config), precision, environment, arguments)
    assert lines == ([f"accelerate launch has {expected}; the config holds"] if expected else [])


@pytest.mark.parametrize("variable", PLUGINS)
def test_what_is_no_data_parallelism_is_refused(variable):
    refuse_plugins({variable: "false"})
    with pytest.raises(InputError, match="this training has data parallelism alone"):
        refuse_plugins({variable: "true"})


@pytest.mark.parametrize("variable", PLUGINS)
def test_a_run_of_them_is_refused_before_anything(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, "true")
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(InputError, match="this training has data parallelism alone"):
        train(run_config(tmp_path / "run"), data())
    assert list(tmp_path.iterdir()) == []


def test_the_launcher_s_accumulation_changes_no_number(tmp_path, monkeypatch, capsys):
    train(run_config(tmp_path / "plain", steps=2), data())
    capsys.readouterr()
    AcceleratorState._reset_state(True)
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    train(run_config(tmp_path / "launched", steps=2), data())
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tts: warning")]
    assert said == [
        "tts: warning: accelerate launch has --gradient_accumulation_steps 4, the config train.accumulation=1; "
        "the config holds"
    ]
    key = "train/gradient_norm"
    assert metrics(tmp_path / "launched", key) == metrics(tmp_path / "plain", key)


@pytest.mark.slow
def test_a_failure_under_accelerate_launch_quiet_has_no_traceback():
    command = [sys.executable, "-m", "accelerate.commands.launch", "--quiet", "--cpu", "--num_processes", "1"]
    done = subprocess.run(
        [*command, str(ROOT / "scripts" / "train.py"), "nothing.yaml"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGE), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "tts: error: cannot read config nothing.yaml" in done.stderr
    assert "Traceback" not in done.stderr
