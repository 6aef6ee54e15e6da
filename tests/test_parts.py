"""Onset, nucleus and coda of words."""

import numpy as np
import pytest

from tts.errors import InputError
from tts.models.config import TwoTierConfig
from tts.parts import part_ends, part_vectors


def six(rng):
    """80 ms of noise above 1 kHz, 100 ms of a low tone, a pause, noise: with the ends of the first two, samples."""
    noise = np.diff(rng.normal(0, 0.05, 641))
    vowel = 0.3 * np.sin(2 * np.pi * 300 * np.arange(800) / 8000)
    return np.concatenate([noise, vowel, np.zeros(400), noise, np.zeros(300)]).astype(np.float32), 640, 1440


def test_the_nucleus_is_where_the_low_energy_is():
    rng = np.random.default_rng(0)
    wave, onset, nucleus = six(rng)
    both = np.concatenate([wave, np.zeros(160, np.float32), 0.1 * wave]) + rng.normal(0, 2e-4, 2 * len(wave) + 160)
    first = len(wave) + 160
    ends = part_ends(both, [first, len(both)], 8000)
    assert len(ends) == 6
    assert ends[2::3] == [first, len(both)]
    # Loudness does not matter; the window of 16 ms blurs.
    expected = [onset, nucleus, first + onset, first + nucleus]
    assert np.abs(np.array([ends[k] for k in (0, 1, 3, 4)]) - expected).max() <= 80


def test_parts_of_a_turn_without_a_vowel():
    assert part_ends(np.zeros(900, np.float32), [900], 8000) == [300, 600, 900]
    assert part_ends(np.ones(3, np.float32), [3], 8000)[-1] == 3
    tone = np.sin(2 * np.pi * 300 * np.arange(800) / 8000)
    ends = part_ends(tone, [800], 8000)
    assert ends[0] <= 64 and 736 <= ends[1] <= 800


def test_vectors_of_parts():
    words = np.arange(12, dtype=np.float32).reshape(2, 6)
    assert part_vectors(words, 1) is words
    parts = part_vectors(words, 3)
    assert parts.shape == (6, 6)
    np.testing.assert_array_equal(parts[[0, 3]], words)
    assert parts[1].tolist() == [4, 5, 0, 1, 2, 3]
    assert parts[2].tolist() == [2, 3, 4, 5, 0, 1]
    assert parts[4].tolist() == [10, 11, 6, 7, 8, 9]


@pytest.mark.parametrize(
    "settings", [{"word_parts": 2}, {"word_parts": 0}, {"word_parts": 3, "conditioning": "pooled"}]
)
def test_parts_that_there_are_not(settings):
    with pytest.raises(InputError, match=r"word_parts is \d; it"):
        TwoTierConfig(**settings)
