"""The pitch before each frame: found in tones, absent in silence, and the same for parts and the whole."""

import numpy as np
import pytest
import torch

from tts.core.errors import InputError
from tts.models.config import TwoTierConfig
from tts.models.pitch import Pitch, find_pitch, past_samples, pitch_of, taps

CONFIG = TwoTierConfig(pitch_taps=7)


def pulses(period: int, size: int) -> torch.Tensor:
    """A pulse train through a resonance, (size,) float64."""
    wave, rng = np.zeros(size), np.random.default_rng(0)
    wave[::period] = 0.3
    wave += rng.normal(0, 3e-4, size)
    for t in range(2, size):
        wave[t] += 1.6 * wave[t - 1] - 0.9 * wave[t - 2]
    return torch.from_numpy(wave)


@pytest.mark.parametrize("period", [25, 50, 77, 110])
def test_a_pulse_train_has_its_period(period: int) -> None:
    found = pitch_of(pulses(period, 1280)[None], CONFIG)
    late = found.lag[0, 10:]  # once the window is full
    assert ((late % period).minimum(period - late % period) <= 1).all()
    assert (found.correlation[0, 10:] > 0.9).all()


def test_silence_and_noise_have_little() -> None:
    silence = pitch_of(torch.zeros(1, 640, dtype=torch.float64), CONFIG)
    assert (silence.correlation == 0).all() and (silence.lag == 20).all()  # the shortest of those that are alike
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, (1, 6400)))
    assert pitch_of(noise, CONFIG).correlation.mean() < 0.4


def test_a_frame_alone_has_the_pitch_that_it_has_in_the_whole() -> None:
    wave = pulses(60, 960)
    whole = pitch_of(wave[None], CONFIG)
    size = past_samples(CONFIG)
    for n in (10, 15, 29):
        alone = find_pitch(wave[32 * n - size : 32 * n], CONFIG.pitch_lags)
        assert alone.lag == whole.lag[0, n] and alone.correlation == whole.correlation[0, n]


def test_taps_lie_around_one_lag_ago() -> None:
    values = torch.arange(200, dtype=torch.float32)[None]
    made = taps(values, Pitch(torch.tensor([40]), torch.tensor([0.5])), torch.tensor([[150, 151]]), CONFIG)
    assert made[0].tolist() == [[*range(107, 114), 0.5], [*range(108, 115), 0.5]]


def test_features_stay_small() -> None:
    for lag in CONFIG.pitch_lags:
        features = Pitch(torch.tensor([lag]), torch.tensor([1.0])).features(CONFIG)
        assert features.shape == (1, 2) and features.abs().max() <= 1


def test_taps_within_the_shortest_lag() -> None:
    with pytest.raises(InputError, match=r"pitch_lags is \[3, 9\] and model.pitch_taps 7"):
        TwoTierConfig(pitch_taps=7, pitch_lags=(3, 9))
    with pytest.raises(InputError, match=r"pitch_window is 16 and model.pitch_taps 33"):
        TwoTierConfig(pitch_taps=33, pitch_window=16)
    with pytest.raises(InputError, match=r"it needs model\.history: real"):
        TwoTierConfig(pitch_taps=7, history="embedding")
