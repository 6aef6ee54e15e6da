"""Waves for tests of filters."""

import numpy as np


def harmonics(rate, seconds=0.5, pitch=110.0, glide=0.0, loudness=0.03):
    """(T,) float32: equally loud harmonics up to 2 kHz of a pitch that rises by `glide` Hz a second."""
    times = np.arange(int(rate * seconds)) / rate
    phase = 2 * np.pi * (pitch * times + glide * times**2 / 2)
    count = int(min(2000, rate * 0.45) // (pitch + glide * seconds))
    return sum(loudness * np.cos(k * phase + k * k) for k in range(1, count + 1)).astype(np.float32)


def noise(count, loudness=0.1, seed=0):
    """(T,) float32 white noise."""
    return (loudness * np.random.default_rng(seed).standard_normal(count)).astype(np.float32)


def power(wave):
    """The mean of squares in dB."""
    return 10 * np.log10(np.mean(np.square(wave, dtype=np.float64)) + 1e-30)
