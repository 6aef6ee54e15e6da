"""Sound without a text continues its seed, and the same seed gives the same samples."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tts import audio
from tts.cli.main import main
from tts.core import config as configs
from tts.core.errors import InputError
from tts.lab import samples
from tts.lab.experiment import Budget, Run
from tts.lab.generate import generate, load, seed_codes
from tts.lab.sample_models import drawn
from tts.models.config import TwoTierConfig
from tts.models.flat import FlatConfig

TWO_TIER = TwoTierConfig(frame_size=4, cell="lstm", dim=24, sample_dim=16, upsample_rank=0, hist_size=6, q_levels=32)
SETTINGS = samples.Settings(
    two_tier=TWO_TIER, flat=FlatConfig(dim=16, layers=2, q_levels=32), batch_size=4, sequence=32, lr=1e-2
)


@pytest.fixture(scope="module", params=["two_tier", "flat"])
def trained(request, tmp_path_factory):
    """The folder of a run on short tones, which also hold the seed."""
    folder = tmp_path_factory.mktemp("music")
    (folder / "tones").mkdir()
    for i in range(12):
        t = np.arange(1200) / 8000
        wave = 0.3 * np.sin(2 * np.pi * (250, 400)[i % 2] * t)
        audio.write(folder / "tones" / f"{i}.wav", wave.astype(np.float32), 8000)
    settings = replace(SETTINGS, source=folder / "tones", model=request.param)
    run = Run(folder / "run", Budget(steps=20))
    run.folder.mkdir()
    (run.folder / "settings.json").write_text(json.dumps({"settings": configs.to_dict(settings), "seed": 0}))
    torch.manual_seed(0)
    samples.run(settings, run)
    return run.folder


def test_the_seed_is_continued(trained):
    start = trained.parent / "tones" / "1.wav"
    wave, rate = generate(trained, 0.01, seed=5, start=start)
    model, settings = load(trained)
    before = seed_codes(model, settings, start)
    assert rate == 8000 and len(before) == 1200 and len(wave) == 1200 + 80
    config = settings.two_tier if settings.model == "two_tier" else settings.flat
    assert (wave[:1200] == audio.decode(before, config.q_levels, config.quantization)).all()
    # Teacher-forced on seed and continuation, the model gives what the samples were drawn from, one after the other.
    codes = torch.from_numpy(audio.encode(wave, config.q_levels, config.quantization))[None]
    with torch.no_grad():
        logits, _, _ = model.predict(codes, None)
    generator = torch.Generator().manual_seed(5)
    redrawn = [int(drawn(logits[:, place], generator, 1.0)) for place in range(1200 - model.context, logits.shape[1])]
    assert redrawn == codes[0, 1200:].tolist()
    other, _ = generate(trained, 0.01, seed=5, start=trained.parent / "tones" / "0.wav")
    assert (other[1200:] != wave[1200:]).any()


def test_the_same_seed_gives_the_same_samples(trained):
    wave, again, other = (generate(trained, 0.02, seed)[0] for seed in (1, 1, 2))
    assert len(wave) == 160
    assert (wave == again).all() and (wave != other).any()
    longer, _ = generate(trained, 0.03, 1)
    assert (longer[:160] == wave).all()


def test_the_command(trained, tmp_path, capsys):
    out = tmp_path / "music.wav"
    flags = ["generate", "--voice", str(trained), "-o", str(out)]
    assert main([*flags, "--seconds", "0.01", "--seed", "3", "--from", str(trained.parent / "tones" / "3.wav")]) == 0
    wave, rate = audio.read(out)
    assert (len(wave), rate) == (1280, 8000)
    capsys.readouterr()
    assert main([*flags, "--seconds", "0.01"]) == 2
    for wrong in (["--seconds", "nan"], ["--seconds", "1", "--seed", "-1"], ["--seconds", "1", "--temperature", "11"]):
        assert main([*flags, "--force", *wrong]) == 2
        assert capsys.readouterr().err.count("\n") >= 1


def test_what_cannot_be_used(trained, tmp_path):
    with pytest.raises(InputError, match="no run of a model without text is there"):
        generate(tmp_path, 1.0)
    audio.write(tmp_path / "short.wav", np.zeros(3, np.float32), 8000)
    model, settings = load(trained)
    if settings.model == "two_tier":
        with pytest.raises(InputError, match="3 samples to begin from; give at least 12"):
            seed_codes(model, settings, tmp_path / "short.wav")
    with pytest.raises(InputError, match="there must be a sample at least"):
        generate(trained, 1e-9)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "checkpoint.safetensors").write_bytes((trained / "checkpoint.safetensors").read_bytes())
    (foreign / "settings.json").write_text(json.dumps({"settings": {"mixing": 0.5}}))
    with pytest.raises(InputError, match="not a run of the kind `samples`"):
        load(foreign)
    (foreign / "settings.json").write_bytes((trained / "settings.json").read_bytes())
    (foreign / "checkpoint.safetensors").write_bytes((trained / "checkpoint.safetensors").read_bytes()[:2000])
    with pytest.raises(InputError, match=r"checkpoint\.safetensors is damaged"):
        load(foreign)
