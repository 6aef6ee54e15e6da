"""The kind `samples`: both models learn, carry their state, and generate what they predict."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from tts import audio
from tts.core.errors import InputError
from tts.lab import recordings, samples
from tts.lab.experiment import Budget, Run
from tts.lab.samples import Settings, read_data
from tts.models.config import TwoTierConfig
from tts.models.flat import Flat, FlatConfig

TWO_TIER = TwoTierConfig(frame_size=4, cell="gru", dim=24, sample_dim=16, upsample_rank=0, hist_size=6, q_levels=32)
FLAT = FlatConfig(dim=24, layers=2, q_levels=32, embedding_dim=8)
SMALL = Settings(two_tier=TWO_TIER, flat=FLAT, batch_size=4, sequence=32, lr=1e-2, evaluated=(4, 64))
MODELS = [
    replace(SMALL, model="flat"),
    replace(SMALL, model="flat", flat=replace(FLAT, inputs="embeddings", quantization="linear")),
    SMALL,
    replace(SMALL, two_tier=replace(TWO_TIER, frame_size=1, hist_size=1, cell="lstm", n_rnn=2)),
    replace(SMALL, two_tier=replace(TWO_TIER, frame_size=32, history="embedding", quantization="linear")),
    replace(SMALL, next_frame_weight=0.1),
]


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """24 short tones of three frequencies, with DC."""
    folder = tmp_path_factory.mktemp("tones")
    for i in range(24):
        t = np.arange(1200) / 8000
        wave = 0.05 + 0.3 * np.sin(2 * np.pi * (250, 400, 500)[i % 3] * t) * np.hanning(len(t))
        audio.write(folder / f"{i}.wav", wave.astype(np.float32), 8000)
    return folder


def run(folder, steps, **options):
    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    return Run(folder, Budget(steps=steps), **options)


@pytest.mark.slow  # 15 to 60 s
@pytest.mark.parametrize("settings", MODELS, ids=range(len(MODELS)))
def test_it_learns(tmp_path, tones, settings):
    settings = replace(settings, source=tones)
    results = samples.run(settings, run(tmp_path, 40))
    assert results["last_tenth_bits"] < 0.8 * results["first_tenth_bits"]
    assert results["held_out_bits"] < 4  # of 5
    assert results["samples_seen"] == 40 * 4 * 32
    model = samples.make_model(settings)
    assert results["parameters"] == model.parameter_count() < sum(p.numel() for p in model.parameters()) + 1


@pytest.mark.parametrize("settings", MODELS, ids=range(len(MODELS)))
def test_states_are_carried(settings):
    """Two sequences one after the other cost what they cost together."""
    model = samples.make_model(settings)
    C, T = model.context, 32
    codes = torch.randint(32, (4, C + 2 * T), generator=torch.Generator().manual_seed(0))
    whole, ahead, _ = model.predict(codes, None)
    first, _, state = model.predict(codes[:, : C + T], None)
    second, _, _ = model.predict(codes[:, T:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
    assert (ahead is not None) == (settings.next_frame_weight > 0)
    model.train()
    model(codes[:, : C + T])
    torch.testing.assert_close(model.carried, state)
    torch.testing.assert_close(model(codes[:, T:])[0], second)


@pytest.mark.parametrize("settings", MODELS, ids=range(len(MODELS)))
def test_what_is_generated_is_what_is_predicted(settings):
    """The likeliest codes, generated one by one and fed back, are the likeliest again; nothing later matters."""
    model = samples.make_model(settings)
    codes = torch.randint(32, (3, model.context + 2 * 32), generator=torch.Generator().manual_seed(0))
    more = model.generate(codes, 64, torch.Generator(), 0)
    logits, _, _ = model.predict(torch.cat([codes, more], dim=1), None)
    assert torch.equal(logits[:, -64:].argmax(-1), more)
    drawn = [model.generate(codes, 20, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_flat_continues_from_its_state():
    model = Flat(FLAT)
    codes = torch.randint(32, (2, 12), generator=torch.Generator().manual_seed(0))
    whole = model(codes)
    assert (whole.logits.shape, whole.state.shape) == ((2, 12, 32), (2, 2, 24))
    first = model(codes[:, :5])
    torch.testing.assert_close(model(codes[:, 5:], first.state).logits, whole.logits[:, 5:])


def test_streams(tones):
    """Each stream goes on where its last sequence ended; several processes share them out."""
    codes = torch.arange(640)
    one, two = (samples.batch(codes, SMALL, 6, step, 0, 1) for step in (0, 1))
    assert one.shape == (4, 38)
    assert torch.equal(two[:, :6], one[:, -6:])
    assert one[:, 6].tolist() == [0, 160, 320, 480]
    shares = [samples.batch(codes, replace(SMALL, batch_size=2), 6, 3, process, 2) for process in (0, 1)]
    assert torch.equal(torch.cat(shares), samples.batch(codes, SMALL, 6, 3, 0, 1))


def test_recordings(tones):
    train, held_out = recordings.joined(tones, 8000, 100, "q_zero", True)
    assert len(train) + len(held_out) == 24 * 1200
    assert abs(train.mean()) < 0.01 < 0.1 < recordings.joined(tones, 8000, 100, "q_zero", False)[0].mean()
    stretched = recordings.joined(tones, 8000, 100, "min_max", True)[0]
    assert (stretched.min(), stretched.max()) == (-1, 1)
    short, few = recordings.joined(tones, 4000, 0.5, "q_zero", True)
    assert (len(short), len(few)) == (2000, 400)
    clip = recordings.first_clip(tones, 8000, 0.05, "q_zero", True)
    assert (len(clip), np.abs(clip).max()) == (400, 1)


@pytest.mark.parametrize("suffix", recordings.SUFFIXES)
def test_every_format(tones, tmp_path, suffix):
    """Recordings of every format lie in folders in folders, at any rate, with one channel or two."""
    for i in range(2):
        wave, rate = audio.read(tones / f"{i}.wav")
        place = tmp_path / f"album{i}" / f"{i}{suffix.upper() if i else suffix}"
        place.parent.mkdir()
        soundfile.write(place, np.stack([audio.resample(wave, rate, 16000)] * (1 + i), axis=1), 16000)
    for wave in recordings.joined(tmp_path, 8000, 10, "q_zero", True):
        assert len(wave) == pytest.approx(1200, abs=1200 if suffix == ".mp3" else 2)  # which is padded to whole frames
        spectrum = np.abs(np.fft.rfft(wave))
        assert round(float(spectrum.argmax()) * 8000 / len(wave)) == pytest.approx(325, abs=80)


def test_refusals(tones, tmp_path):
    with pytest.raises(InputError, match="there are no recordings"):
        read_data(replace(SMALL, source=tmp_path))
    with pytest.raises(InputError, match=r"no recording of .* is 2 s long"):
        read_data(replace(SMALL, source=tones, clip_seconds=2.0))
    with pytest.raises(InputError, match=r"must be a multiple of two_tier\.frame_size, 4"):
        replace(SMALL, sequence=30)
    with pytest.raises(InputError, match="it needs model: two_tier"):
        replace(SMALL, model="flat", next_frame_weight=1.0)


@pytest.mark.parametrize("model", [pytest.param("flat", marks=pytest.mark.slow), "two_tier"])
def test_one_clip_is_overfitted(tmp_path, tones, model):
    settings = replace(SMALL, source=tones, model=model, clip_seconds=0.0125, lr=2e-2, updates=80, temperature=0.0)
    results = samples.run(settings, run(tmp_path, 10**6))
    assert results["last_tenth_bits"] < 0.8  # of 5
    assert results["spectral_distance_db"] < 0.7 * results["distance_of_shuffled_db"]
    assert {path.name for path in tmp_path.glob("*.wav")} == {"clip.wav", "generated.wav"}


def test_gradients_are_compared(tmp_path, tones):
    results = samples.run(replace(SMALL, source=tones, log_gradients=True), run(tmp_path, 12))
    assert results["gradient_ratio"] > 1
    assert str(results["largest"]).startswith("two_tier.")


def test_whine():
    """A faint line in the silence is found where it is."""
    rng = np.random.default_rng(0)
    t = np.arange(16000) / 8000
    speech = rng.normal(0, 0.2, 16000) * (t % 0.5 < 0.35) + rng.normal(0, 1e-3, 16000)
    alone, whining = (samples.whine(speech + level * np.sin(2 * np.pi * 1500 * t), 8000) for level in (0, 0.01))
    assert whining["whine_db"] > alone["whine_db"] + 15
    assert whining["whine_hz"] == pytest.approx(1500, abs=20)
    assert whining["whine_dbfs"] == pytest.approx(-40, abs=1)
