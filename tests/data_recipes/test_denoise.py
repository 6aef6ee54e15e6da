"""Steady noise goes, speech stays."""

import numpy as np
import pytest

from data_recipes.corpus import RecordingOptions, frame_levels, prepare
from data_recipes.denoise import denoise, noise_power
from tts import audio

RATE = 8000


def burst(noise: float, seconds: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A buzz in the middle third, and the same in white noise of RMS `noise`."""
    t = np.arange(round(seconds * RATE)) / RATE
    inside = (t > seconds / 3) & (t < 2 * seconds / 3)
    clean = np.where(inside, sum(np.sin(2 * np.pi * f * t) for f in (150, 450, 1050)) / 10, 0).astype(np.float32)
    rng = np.random.default_rng(0)
    return clean, clean + np.float32(noise) * rng.standard_normal(len(t), dtype=np.float32)


@pytest.mark.parametrize("most_db", [6, 15])
def test_noise_is_lowered_by_what_was_asked(most_db: float) -> None:
    clean, noisy = burst(0.01)
    cleaned = denoise(noisy, RATE, most_db)
    assert cleaned.shape == noisy.shape
    assert cleaned.dtype == np.float32
    before, after = (np.median(frame_levels(wave[800:2000], RATE)) for wave in (noisy, cleaned))
    assert before - after == pytest.approx(most_db, abs=1.5)
    # The buzz is as loud as it was, and nearer to the clean one.
    inside = slice(3000, 5000)
    assert np.std(cleaned[inside]) == pytest.approx(np.std(clean[inside]), rel=0.03)
    assert np.std((cleaned - clean)[inside]) < 0.7 * np.std((noisy - clean)[inside])


def test_little_is_done_where_there_is_no_noise() -> None:
    clean, _ = burst(0)
    assert np.abs(denoise(clean, RATE, 20) - clean).max() < 0.02 * np.abs(clean).max()
    assert not denoise(np.zeros(5000, np.float32), RATE, 20).any()


@pytest.mark.parametrize("samples", [1, 50, 400, 1001])
def test_any_length(samples: int) -> None:
    wave = np.random.default_rng(samples).normal(0, 0.1, samples).astype(np.float32)
    cleaned = denoise(wave, RATE, 15)
    assert cleaned.shape == wave.shape
    assert np.isfinite(cleaned).all()
    np.testing.assert_allclose(denoise(wave, RATE, 0), wave, atol=1e-6)


def test_noise_power_of_noise() -> None:
    rng = np.random.default_rng(1)
    power = rng.exponential(3.0, (4000, 60))
    assert noise_power(power) == pytest.approx(np.full(60, 3.0), rel=0.1)


def test_recordings_are_denoised_where_asked(fsdd_dir) -> None:
    wave, rate = audio.read(fsdd_dir / "6_jackson_12.wav")
    plain, clean = (prepare(wave, RecordingOptions(denoise_db=db, trim=False, level_dbfs=None)) for db in (0.0, 15.0))
    assert rate == RATE
    quiet = [np.quantile(frame_levels(x, RATE), 0.1) for x in (plain, clean)]
    assert quiet[0] - quiet[1] > 10
    assert prepare(np.zeros(800, np.float32), RecordingOptions(denoise_db=15.0)) is None
