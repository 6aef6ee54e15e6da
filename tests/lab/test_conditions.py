"""The kind `conditions`: how many steps a budget has; a run learns and has every column (slow)."""

import json
from pathlib import Path

import pytest
from helpers.miniature_fsdd import write_corpus

from tts.core import config as configs
from tts.lab import conditions
from tts.lab.experiment import Budget, Run

TINY = {
    "texts": 3,
    "splits": ["single", "test_unseen"],
    "training": {
        "data": {"speakers": ["theo"], "sequences": {"max_digits": 2}},
        "model": {"dim": 16, "sample_dim": 16, "hist_size": 16, "text_dim": 8},
        "loss": {"spectral_weight": 0},
        "train": {"batch_size": 2, "bucket": 1},
        "validation": {"sequences": 2},
    },
}


def settings(source: Path) -> conditions.Settings:
    return configs.build(conditions.Settings, {**TINY, "source": str(source)})


def test_steps_fit_the_budget(tmp_path, monkeypatch):
    """A timed training of 12 steps that takes 6 s: a minute has 120 of them, now and when the run is resumed."""
    timed = []

    def train(config):
        timed.append(config.train.steps)
        config.output.mkdir()
        line = {"step": 12, "train/steps_per_second": 2.0, "train/samples_per_second": 1.0}
        (config.output / "metrics.jsonl").write_text(json.dumps(line) + "\n")

    monkeypatch.setattr(conditions, "_train", train)
    config = settings(tmp_path).training
    assert conditions._steps(config, Run(tmp_path, Budget(steps=7))) == 7
    assert [conditions._steps(config, Run(tmp_path, Budget(minutes=1))) for _ in range(2)] == [120, 120]
    assert conditions._steps(config, Run(tmp_path, Budget(minutes=1, steps=50))) == 50
    assert timed == [12]


@pytest.mark.slow
def test_a_run_learns_and_has_every_column(tmp_path):
    """The loss begins at 8 bits, of 256 codes alike."""
    source = write_corpus(tmp_path / "fsdd")
    run = Run(tmp_path / "run", Budget(steps=60))
    run.folder.mkdir()
    found = conditions.run(settings(source), run)
    for key in ("single_error", "single_real_error", "test_unseen_error", "test_unseen_real_error"):
        assert " % (" in found[key]
    assert found["train_bits"] < 6
    assert 0 < found["bits"] < 7
    assert found["audio_minutes"] > 0
    assert json.loads((run.folder / "curve.jsonl").read_text())["step"] == 60
