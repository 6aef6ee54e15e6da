"""Kind `conditions`: what text does, with the ordinary training: single digits, sequences, unseen combinations.

A run trains a voice as `tts train` does, has it say texts as `tts evaluate` does, and counts the digits that the
recognizer reads wrong, beside real recordings joined alike.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from data_recipes.sequences import SequenceOptions
from tts.core.config import Range, check
from tts.core.files import atomic_write, is_file
from tts.evaluation.callbacks import callbacks
from tts.evaluation.test_sets import check_splits
from tts.evaluation.trainings import Settings as Asked
from tts.evaluation.trainings import effort, is_begun, judge, material_of, report_of
from tts.lab.experiment import Run, Values
from tts.models.config import TwoTierConfig
from tts.recognition.model import Recognizer
from tts.training.config import DataConfig, LossConfig, RunConfig, TrainConfig, ValidationConfig
from tts.training.data import load_data
from tts.training.loop import train
from tts.training.start import started
from tts.training.tracking import read_lines

NEVER = 10**9
TRAINED = "train/nll_bits"
TIMED = 12
"""Steps that are timed to find how many fit into a budget of minutes."""


def small() -> RunConfig:
    """A training as configs/tiny.yaml: a model of 0.4 million parameters, word vectors from the language model."""
    model = TwoTierConfig(
        dim=128, sample_dim=64, upsample_rank=0, hist_size=32, units_per_word=1, text_dim=32, duration="implicit"
    )
    training = TrainConfig(
        lr=4e-3, warmup_steps=50, final_lr=0, word_noise=0, pause_corruption=0, ema=0.99, precision="fp32",
        validate_every=NEVER,
    )  # fmt: skip
    return RunConfig(
        data=DataConfig(speakers=("jackson",), sequences=SequenceOptions(max_digits=1)),
        model=model,
        loss=LossConfig(frame_share=0.25),
        train=training,
        validation=ValidationConfig(sequences=20, spoken=0),
    )


@dataclass(frozen=True)
class Settings:
    """Of one run."""

    source: Path | None = None
    """FSDD's folder; it must be given."""
    training: RunConfig = field(default_factory=small)
    """As a YAML of `tts train`; its steps come from the budget, its seed and output from the run."""
    splits: tuple[str, ...] = ("single",)
    """Of `tts evaluate`: `single`, `test_seen`, `test_unseen` …"""
    texts: Annotated[int, Range(1, 10_000)] = 60
    """In each split."""
    duration_spread: Annotated[float, Range(0, 1)] = 1.0

    def __post_init__(self) -> None:
        check(self)
        check_splits(self.splits)


def run(settings: Settings, run: Run) -> Values:
    """Train, speak, judge; returns the row."""
    assert settings.source is not None
    config = replace(settings.training, seed=run.seed, data=replace(settings.training.data, source=settings.source))
    steps = _steps(config, run)
    out = run.folder / "training"
    _train(replace(config, output=out, train=replace(config.train, steps=steps)))
    spent = effort(out / "metrics.jsonl")
    line = {"step": spent["steps"], "seconds": spent["minutes"] * 60, "loss": 0.0}  # for the row's steps and seconds
    atomic_write(run.folder / "curve.jsonl", (json.dumps(line) + "\n").encode())
    name, asked = f"step-{steps}", Asked(settings.texts, run.seed, settings.duration_spread)
    material = material_of(config, asked, settings.splits, config.data.sequences.max_digits)
    judge(out, {name: material}, Recognizer.load(), asked)
    found, rate = report_of(out, name), config.data.recordings.sample_rate
    assert found
    report = found["splits"]
    lines = [line for line in read_lines(out / "metrics.jsonl") if TRAINED in line]
    results: Values = {"audio_minutes": spent["samples"] / rate / 60, "train_bits": lines[-1][TRAINED]}
    for split in settings.splits:
        voice, real = report[split]["voice"], report[split]["ground_truth"]
        results |= {
            f"{split}_error": _percent(voice), f"{split}_real_error": _percent(real), "bits": voice["nll_bits"]
        }  # fmt: skip
    return results


def _percent(judged: dict[str, Any]) -> str:
    low, high = judged["digit_error_95"]
    return f"{100 * judged['digit_error']:.1f} % ({100 * low:.0f}-{100 * high:.0f})"


def _steps(config: RunConfig, run: Run) -> int:
    """How many steps the budget has, by the speed of a short training if it is in minutes; the same when resumed."""
    if not run.budget.minutes:
        assert run.budget.steps, "a budget has one of them"
        return run.budget.steps
    path = run.folder / "steps.json"
    known: dict[str, int] = json.loads(path.read_text()) if is_file(path) else {}
    key = f"{run.budget.minutes:g}"
    if key not in known:
        out = run.folder / "timing"
        short = replace(config, output=out, train=replace(config.train, steps=TIMED, log_every=TIMED // 3))
        if not is_begun(short):
            _train(short)
        spent = effort(out / "metrics.jsonl")
        known[key] = max(1, int(run.budget.minutes / (spent["minutes"] / spent["steps"])))
        atomic_write(path, json.dumps(known).encode())
    return min(known[key], run.budget.steps or known[key])


def _train(config: RunConfig) -> None:
    with started(config, resume=is_begun(config)) as start:
        filled, data = load_data(config)
        train(filled, data, callbacks(filled), start=start)
