"""`train.precision`: what a device can do, what is chosen, and when it is refused."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.miniature_fsdd import write_corpus
from helpers.training import data, run_config

from data_recipes.fsdd import build_recordings
from tts.cli.main import main
from tts.core import config as configs
from tts.core.errors import InputError
from tts.recognition import training as train_recognizer
from tts.training import checkpoint, precision
from tts.training.loop import train
from tts.training.precision import Bf16, choose, probe
from tts.training.start import started

ROOT = Path(__file__).parents[2]
NONE = Bf16(False, False, "it has none")
SLOW = Bf16(True, False, "it emulates it")
NATIVE = Bf16(True, True, "it has it")


@pytest.fixture
def without_bf16(monkeypatch):
    monkeypatch.setattr(precision, "probe", lambda device: NONE)


@pytest.mark.parametrize(
    ("asked", "bf16", "stored", "chosen", "says"),
    [
        ("auto", NATIVE, None, "bf16", "it has it"),
        ("auto", SLOW, None, "fp32", "it emulates it"),
        ("auto", NONE, None, "fp32", "it has none"),
        ("bf16", NATIVE, None, "bf16", ""),
        ("bf16", SLOW, None, "bf16", "slow: it emulates it"),
        ("fp32", NATIVE, None, "fp32", ""),
        # A resumed run keeps what it began in, unless the other one is asked for.
        ("auto", NATIVE, "fp32", "fp32", "as the run began"),
        ("auto", NONE, "fp32", "fp32", "as the run began"),
        ("auto", NATIVE, "bf16", "bf16", "as the run began"),
        ("auto", SLOW, "bf16", "bf16", "slow: it emulates it"),
        ("fp32", NONE, "bf16", "fp32", ""),
        ("bf16", NATIVE, "fp32", "bf16", ""),
    ],
)
def test_chosen(asked, bf16, stored, chosen, says):
    found, reason = choose(asked, bf16, stored)
    assert found == chosen
    assert reason.endswith(says) if says else reason == ""


@pytest.mark.parametrize(("asked", "stored"), [("bf16", None), ("bf16", "fp32"), ("bf16", "bf16"), ("auto", "bf16")])
def test_refused_where_it_cannot_be_had(asked, stored):
    with pytest.raises(InputError, match=r"it has none; give train\.precision=fp32"):
        choose(asked, NONE, stored)


def test_the_probe_draws_nothing_and_agrees_with_itself():
    before = torch.get_rng_state()
    found = probe(torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), before)
    assert found == probe(torch.device("cpu"))
    assert found.works or not found.native
    assert found.reason.startswith("this processor ")


def test_a_processor_with_avx2_alone_has_none():
    code = "import torch; from tts.training.precision import probe; print(probe(torch.device('cpu')))"
    limited = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=limited, check=True)
    assert done.stdout.startswith("Bf16(works=False, native=False")


def test_auto_says_once_what_it_came_to_and_stores_it(tmp_path, capsys, without_bf16):
    train(run_config(tmp_path, steps=2, precision="auto"), data())
    said = [line for line in capsys.readouterr().err.splitlines() if "tts: precision" in line]
    assert said == ["tts: precision: fp32 (it has none)"]
    assert checkpoint.load(tmp_path / "checkpoints" / "latest.safetensors").config["train"]["precision"] == "fp32"
    assert train(run_config(tmp_path, steps=3, precision="auto"), data(), resume=True).step == 3
    assert "tts: precision: fp32 (as the run began)" in capsys.readouterr().err


def test_a_run_in_bf16_goes_on_in_fp32_if_asked_to(tmp_path, without_bf16):
    config = run_config(tmp_path, precision="bf16")
    module = torch.nn.Linear(2, 1)
    path = tmp_path / "checkpoints" / "latest.safetensors"
    state = checkpoint.LoopState(1, sequences_per_step=2)
    checkpoint.save(path, module, None, torch.optim.AdamW(module.parameters()), configs.to_dict(config), state)
    auto, fp32 = (replace(config, train=replace(config.train, precision=asked)) for asked in ("auto", "fp32"))
    with pytest.raises(InputError, match=r"trained in bf16, but it has none; give train\.precision=fp32"):  # noqa: SIM117
        with started(auto, resume=True):
            pass
    with started(fp32, resume=True) as start:
        assert start.precision == "fp32"


def test_training_refuses_before_data_are_read(tmp_path, monkeypatch, capsys, without_bf16):
    monkeypatch.chdir(tmp_path)
    config = str(ROOT / "configs" / "tiny.yaml")
    assert main(["train", config, "data.corpus=fsdd", "data.source=/nowhere", "train.precision=bf16"]) == 2
    assert capsys.readouterr().err == (
        "tts: error: train.precision is bf16, but it has none; give train.precision=fp32, or auto for what there is\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_bench_train_refuses_before_it_measures(tmp_path, monkeypatch, capsys, without_bf16):
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    config = tmp_path / "c.yaml"
    config.write_text("train: {precision: bf16}\n")
    assert main(["bench", "train", "--config", str(config)]) == 2
    assert capsys.readouterr().err.startswith("tts: error: train.precision is bf16, but it has none")


@pytest.fixture
def recognizer_run(tmp_path, monkeypatch):
    """Runs scripts/train_recognizer.py for two steps on one speaker's tones; returns its exit code."""

    def run(*overrides):
        small = ["model.channels=8", "model.width=8", "model.layers=1", "train.steps=2", "train.batch=2",
                 "train.validation=2", "train.short_steps=1", "train.warmup=1", "train.threads=1", "data.workers=0",
                 "train.evaluate_every=2", f"out={tmp_path / 'out'}"]  # fmt: skip
        argv = ["train_recognizer.py", str(ROOT / "configs" / "recognizer.yaml"), *small, *overrides]
        monkeypatch.setattr(sys, "argv", argv)
        monkeypatch.setattr(
            train_recognizer, "build_recordings", lambda source: build_recordings(source, speakers=("theo",))
        )
        return train_recognizer.main()

    return run


def test_the_recognizer_trains_in_what_there_is(tmp_path, recognizer_run, capsys, without_bf16):
    corpus = write_corpus(tmp_path / "corpus")
    assert recognizer_run(f"data.source={corpus}") == 0
    assert "train_recognizer: precision: fp32 (it has none)\n" in capsys.readouterr().err
    assert (tmp_path / "out" / "latest.safetensors").is_file()


def test_the_recognizer_refuses_before_data_are_read(tmp_path, recognizer_run, capsys, without_bf16):
    assert recognizer_run("data.source=/nowhere", "train.precision=bf16") == 2
    assert capsys.readouterr().err.startswith("train_recognizer: error: train.precision is bf16, but it has none")
    assert list(tmp_path.iterdir()) == []
