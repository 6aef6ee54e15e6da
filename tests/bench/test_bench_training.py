"""`tts bench train`: the plain step that it compares with, and its rows on a model of a few units."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from helpers.miniature_fsdd import write_corpus

from tts.bench import training, training_report
from tts.bench.plain import PlainSampleRNN
from tts.bench.processes import run_apart
from tts.bench.training import NoiseStream, Settings, material, measure_row
from tts.cli.main import main
from tts.models.config import TwoTierConfig

SMALL = TwoTierConfig(frame_size=4, dim=6, sample_dim=5, q_levels=8)
CONFIG = """
data: {speakers: [theo], sequences: {max_digits: 2}}
model: {dim: 24, sample_dim: 16, hist_size: 16, text_dim: 8, frame_size: 32}
validation: {sequences: 2, spoken: 0}
"""
TRAIN = "train: {batch_size: 2, bucket: 1, precision: fp32, workers: %d}\n"


@pytest.fixture(autouse=True)
def fresh_accelerate():
    """accelerate keeps its precision for the life of a process."""
    AcceleratorState._reset_state(True)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG + TRAIN % 0)
    return str(path)


def test_the_plain_model_depends_on_all_of_the_past_and_on_nothing_else():
    torch.manual_seed(0)
    model = PlainSampleRNN(SMALL, embedding_dim=3)
    codes = torch.randint(0, 8, (1, 16), generator=torch.Generator().manual_seed(1))
    before = model(codes)
    assert before.shape == (1, 16, 8)
    changed = codes.clone()
    changed[0, 6] = (changed[0, 6] + 3) % 8
    differs = (model(changed) != before).any(-1)[0]
    assert not differs[:7].any()
    assert differs[7:].all()  # by the convolution up to place 10, by the frame tier from place 8 on


def test_the_plain_model_s_multiply_adds_by_hand():
    model = PlainSampleRNN(SMALL, embedding_dim=3)
    frame = 4 * 6 + 18 * (6 + 6) + 6 * 4 * 5
    assert model.multiply_adds() == frame / 4 + 4 * 3 * 5 + 5 * 5 + 5 * 8


def test_noise_is_as_long_as_speech():
    stream = NoiseStream(3, 8000)
    one = stream[5]
    np.testing.assert_array_equal(one.audio, stream[5].audio)
    assert one.boundaries[-1] == len(one.audio)
    assert {len(stream[i].digits) for i in range(50)} == {1, 2, 3}
    segments = np.concatenate([np.diff([0, *stream[i].boundaries]) for i in range(50)]) / 8000
    assert segments.min() >= 0.29
    assert segments.max() <= 0.65


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("name", ["ours", "plain"])
def test_rows(name, workers, config):
    Path(config).write_text(CONFIG + TRAIN % workers)
    row = measure_row(name, Settings(config, seconds=0.05, threads=1))
    assert row["samples_per_second"] > 0
    assert row["samples_per_second"] * row["multiply_adds_per_sample"] == pytest.approx(
        row["share_of_matrix_rate"] * row["matrix_rate"]
    )
    found = material(Settings(config, 1.0, 1))
    samples = sum(training.samples_of(found.batches[i], 32) for i in range(4))
    assert row["samples_per_second"] * row["step_ms"] * 4 / 1000 == pytest.approx(samples)
    assert row["memory_mb"] > 50


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ours", "plain"])
def test_both_learn_from_the_same_audio(name, config, tmp_path):
    settings = Settings(config, 0.05, 1, source=str(write_corpus(tmp_path / "corpus")), samples=30_000)
    few, more = (measure_row(name, replace(settings, samples=count))["nll"] for count in (1, 30_000))
    assert few["steps"] == 1
    assert more["samples"] >= 30_000
    assert more["samples"] - 30_000 < more["samples"] / more["steps"] * 2
    assert more["bits"] < few["bits"] < 9


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rate"), [("ours", "SHORT_LR"), ("plain", "PLAIN_LR")])
def test_each_learns_at_its_own_rate(name, rate, config, tmp_path, monkeypatch):
    settings = Settings(config, 0.05, 1, source=str(write_corpus(tmp_path / "corpus")), samples=30_000)
    learned = measure_row(name, settings)["nll"]["bits"]
    monkeypatch.setattr(training, rate, 1e-9)
    assert measure_row(name, settings)["nll"]["bits"] > learned + 0.1


@pytest.mark.slow
def test_a_row_in_a_process_of_its_own(config):
    row = run_apart("tts.bench.training", "ours", Settings(config, 0.05, 1))
    assert json.loads(json.dumps(row)) == row
    assert row["samples_per_second"] > 0
    assert "failed" in run_apart("tts.bench.training", "ours", Settings("no/such.yaml", 0.05, 1))


def test_the_command(config, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    row = {"precision": "fp32", "samples_per_second": 5000.0, "step_ms": 20.0, "multiply_adds_per_sample": 3e5,
           "matrix_rate": 1e11, "share_of_matrix_rate": 0.5, "memory_mb": 900.0,
           "nll": {"samples": 3_000_000, "bits": 4.5}}  # fmt: skip
    asked = []

    def measure(settings):
        asked.append(settings)
        return {"ours": row, "plain": {**row, "samples_per_second": 200.0}}

    monkeypatch.setattr(training_report, "measure_rows", measure)
    out, page = tmp_path / "b.json", tmp_path / "b.md"
    flags = ["--config", config, "--source", str(tmp_path), "--samples", "3e6", "--threads", "1"]
    assert main(["bench", "train", *flags, "--out", str(out), "--markdown", str(page)]) == 0
    assert asked == [Settings(config, 10.0, 1, str(tmp_path), 3_000_000)]
    assert json.loads(out.read_text())["rows"]["ours"] == row
    said = capsys.readouterr().out
    assert "Ours takes in 25.0 times as many samples a second" in said
    for text in (said, page.read_text()):
        assert "5,000" in text
        assert "50 % of 100 G/s" in text
        assert "3,000,000" in text
    monkeypatch.setattr(training_report, "measure_rows", lambda _: {"ours": row, "plain": {"failed": "no memory"}})
    assert main(["bench", "train"]) == 1
    assert "failed: no memory" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["train", "--samples", "3e6"], "--samples and --source go together"),
        (["train", "--source", "x"], "--samples and --source go together"),
        (["train", "--samples", "-1"], "--samples is -1.0"),
        (["train", "--config", "no.yaml"], "--config no.yaml: there is no such file"),
        (["train", "--voice", "digits"], "unrecognized arguments: --voice digits; see `tts"),
        (["--samples", "3"], "unrecognized arguments: --samples 3"),
        (["train", "--seconds", "0"], "--seconds is 0.0"),
    ],
)
def test_refused(flags, message, capsys):
    assert main(["bench", *flags]) == 2
    assert message in capsys.readouterr().err
