"""The experiments that ship are whole: their settings exist, their sizes are what they say, their pages can be read."""

from pathlib import Path

import pytest
import torch

from tts.lab import samples
from tts.lab.experiment import load, path_of

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "configs" / "lab").rglob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_can_be_run(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    experiment = load(name)
    settings = experiment.configured(
        ["source=recordings"] if "source" in experiment.module.Settings.__annotations__ else []
    )
    assert len(settings) == len(set(map(repr, settings.values()))), "two runs are alike"
    header = path_of(name).read_text()
    assert f"tts lab run {name}" in header
    assert "Hardware: " in header
    assert experiment.question.rstrip().endswith("?")
    assert experiment.notes
    assert "The notes' " in header or "The notes' " in experiment.notes


@pytest.mark.parametrize("name", ["two_tier_updates", "frame_size", "frame_size_time"])
def test_as_many_parameters(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    with torch.device("meta"):
        models = [samples.make_model(settings) for settings in load(name).configured(["source=x"]).values()]
    counts = [model.parameter_count() for model in models]
    assert max(counts) < 1.01 * min(counts)
