"""The ablations' command from end to end on a miniature corpus, and the compute that makes its variants equal."""

import json

import ablate
import pytest
from ablate import VARIANTS, main, multiply_adds, variant
from accelerate.state import AcceleratorState
from miniature_fsdd import write_corpus

from tts import config as configs
from tts.models.config import TwoTierConfig
from tts.training.config import LossConfig, RunConfig

SMALL = [
    "data.speakers=[theo]",
    "data.sequences.max_digits=2",
    "model.dim=24",
    "model.sample_dim=16",
    "model.hist_size=16",
    "model.text_dim=8",
    "train.steps=2",
    "train.batch_size=1",
    "train.precision=fp32",
    "validation.sequences=1",
    "validation.spoken=0",
]


@pytest.fixture(autouse=True)
def fresh_accelerate():
    """accelerate keeps its precision for the life of a process."""
    AcceleratorState._reset_state(True)


def test_multiply_adds_by_hand():
    model = TwoTierConfig(
        frame_size=2, dim=3, sample_dim=5, hist_size=7, q_levels=4, text_dim=1, speaker_dim=1, clock_dim=2
    )
    loss = LossConfig(scored=0.5, spectral_weight=0.0)
    # Frame tier: 4 gates of 3, inputs 2 + 2 x 1 + 1 + 2 = 7 and state 3, and the advance bit; a frame is two samples.
    frame = 12 * (7 + 3) + 3
    # Sample tier: up from 3 to 5, seven samples heard, one layer of 5 x 5, four levels; half of the samples.
    sample = 3 * 5 + 7 * 5 + 5 * 5 + 5 * 4
    assert multiply_adds(model, loss) == frame / 2 + sample / 2
    ranked = configs.build(TwoTierConfig, {**configs.to_dict(model), "upsample_rank": 2})
    assert multiply_adds(ranked, loss) - multiply_adds(model, loss) == (3 * 2 + 2 * 5 - 3 * 5) / 2


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_get_the_base_s_compute(name, tmp_path):
    base = configs.load(RunConfig, "configs/ablations.yaml", [])
    one = variant(base, configs.load(RunConfig, "configs/ablations.yaml", [*VARIANTS[name]]), name, tmp_path)
    spent, given = (x.train.steps * multiply_adds(x.model, x.loss) for x in (one, base))
    assert spent == pytest.approx(given, rel=2e-3)
    # What is meant in seconds stays the same, whatever the frames.
    assert one.model.clock_frames * one.model.frame_size == 10240
    assert one.loss.spectral_offsets[-1] * one.model.frame_size == 384


def test_trains_judges_and_writes_once(tmp_path, monkeypatch):
    monkeypatch.setattr(ablate, "VARIANTS", {name: ablate.VARIANTS[name] for name in ("base", "gru", "no word noise")})
    corpus = write_corpus(tmp_path / "corpus")
    config = tmp_path / "c.yaml"
    config.write_text("name: mini\n")
    out = tmp_path / "out"
    command = [str(config), f"data.source={corpus}", *SMALL, "--out", str(out), "--n", "2"]
    assert main([*command, "--only", "no word noise"]) == 0
    assert main([*command, "--only", "base"]) == 0
    rows = json.loads((out / "ablations.json").read_text())
    assert list(rows) == ["base", "no word noise"]
    assert rows["base"]["effort"]["steps"] == 2
    assert (out / "ablations.md").read_text().count("| no word noise |") == 1
    assert (out / "ablations.png").read_bytes().startswith(b"\x89PNG")
    assert "word_noise: 0" in (out / "no-word-noise" / "config.yaml").read_text()


def test_refused(tmp_path, capsys):
    config = tmp_path / "c.yaml"
    config.write_text("name: mini\n")
    for flags, message in (
        (["--only", "nothing"], "no such variant; choose among base"),
        (["--n", "0"], "--n is 0; it must be at least 1"),
        ([], "data.speakers is empty"),
    ):
        assert main([str(config), *flags]) == 2
        assert message in capsys.readouterr().err
