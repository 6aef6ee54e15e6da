"""The ablations' command from end to end on a miniature corpus."""

import json

import ablate
import compare_conditioning
import pytest
from ablate import VARIANTS, main, variant
from helpers.miniature_fsdd import write_corpus
from helpers.train_command import SMALL

from tts.core import config as configs
from tts.training.compute import multiply_adds
from tts.training.config import RunConfig

BRIEF = ["train.steps=2", "train.batch_size=1", "train.precision=fp32", "validation.sequences=1", "validation.spoken=0"]


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_get_the_base_s_compute(name):
    base = configs.load(RunConfig, "configs/ablations.yaml", [])
    one = variant(base, configs.load(RunConfig, "configs/ablations.yaml", [*VARIANTS[name]]))
    spent, given = (x.train.steps * multiply_adds(x.model, x.loss) for x in (one, base))
    assert spent == pytest.approx(given, rel=5e-3)  # a whole number of steps
    # What is meant in seconds stays the same, whatever the frames.
    assert one.model.clock_frames * one.model.frame_size == 10240
    assert one.loss.spectral_offsets[-1] * one.model.frame_size == 384


@pytest.mark.slow
def test_trains_judges_and_writes_once(tmp_path, monkeypatch):
    three = {name: VARIANTS[name] for name in ("base", "gru", "no frame dropout")}
    monkeypatch.setattr(ablate, "VARIANTS", three)
    corpus = write_corpus(tmp_path / "corpus")
    config = tmp_path / "c.yaml"
    config.write_text("name: mini\n")
    out = tmp_path / "out"
    command = [str(config), f"data.source={corpus}", "--out", str(out), "--n", "2", *SMALL, *BRIEF]
    assert main([*command, "--only", "no frame dropout"]) == 0
    assert main([*command, "--only", "base"]) == 0
    rows = json.loads((out / "ablations.json").read_text())
    assert list(rows) == ["base", "no frame dropout"]
    assert rows["base"]["effort"]["steps"] == 2
    assert (out / "ablations.md").read_text().count("| no frame dropout |") == 1
    assert (out / "ablations.png").read_bytes().startswith(b"\x89PNG")
    assert "frame_dropout: 0.0" in (out / "no-frame-dropout" / "config.yaml").read_text()


@pytest.mark.parametrize("script", [ablate, compare_conditioning])
def test_refused(script, tmp_path, capsys):
    config = tmp_path / "c.yaml"
    config.write_text("name: mini\n")
    known = ablate.VARIANTS if script is ablate else compare_conditioning.TRAININGS
    for flags, message in (
        (["--only", "pooled"], f"no such training; choose among {', '.join(known)}"),
        (["--n", "0"], "--n is 0; it must be at least 1"),
        ([], "data.speakers is empty"),
    ):
        assert script.main([str(config), *flags]) == 2
        assert message in capsys.readouterr().err
