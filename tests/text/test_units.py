"""Onset, nucleus and coda of words."""

import numpy as np
import pytest

from tts.core.errors import InputError
from tts.models.config import TwoTierConfig
from tts.text.units import per_word, sounding, unit_ends, unit_vectors


def six(rng):
    """80 ms of noise above 1 kHz, 100 ms of a low tone, a pause, noise: with the ends of the first two, samples."""
    noise = np.diff(rng.normal(0, 0.05, 641))
    vowel = 0.3 * np.sin(2 * np.pi * 300 * np.arange(800) / 8000)
    return np.concatenate([noise, vowel, np.zeros(400), noise, np.zeros(300)]).astype(np.float32), 640, 1440


def test_the_nucleus_is_where_the_low_energy_is():
    rng = np.random.default_rng(0)
    wave, onset, nucleus = six(rng)
    both = np.concatenate([wave, np.zeros(160, np.float32), 0.1 * wave]) + rng.normal(0, 2e-5, 2 * len(wave) + 160)
    first = len(wave) + 160
    ends = unit_ends(both, [first, len(both)], 8000)
    assert len(ends) == 9
    assert ends[4::4] == [first, len(both)]
    # Loudness does not matter; the window of 16 ms blurs.
    expected = [onset, nucleus, first + onset, first + nucleus]
    assert np.abs(np.array([ends[k] for k in (1, 2, 5, 6)]) - expected).max() <= 80


def test_pauses_are_where_nothing_sounds():
    rng = np.random.default_rng(0)
    wave, onset, nucleus = six(rng)
    wave = wave[:-300]
    gap = np.zeros(240, np.float32)
    both = np.concatenate([gap, wave, gap, 0.2 * wave, gap])
    both += rng.normal(0, 2e-5, len(both))
    second = 240 + len(wave) + 240
    ends = unit_ends(both, [second, len(both)], 8000)
    # A pause first; then onset, nucleus, coda and pause of both words.
    starts = [240, second]
    expected = [240, *(start + k for start in starts for k in (onset, nucleus, len(wave), len(wave) + 240))]
    assert len(ends) == 9
    assert np.abs(np.array(ends) - expected).max() <= 80
    assert np.abs(np.array(ends) - expected)[[0, 3, 7]].max() <= 32
    assert per_word(ends, 4) == [second, len(both)]


def test_silence_within_a_word_is_no_pause():
    wave = np.zeros(1000, np.float32)
    wave[320:400] = wave[720:800] = 0.1
    assert sounding(wave, 8000) == (320, 800)
    assert sounding(wave + 1e-4, 8000) == (320, 800)
    assert sounding(wave + 1e-3, 8000) == (0, 1000)


def test_units_of_silence_and_of_words_without_any():
    assert sounding(np.zeros(90, np.float32), 8000) == (0, 90)
    assert sounding(np.zeros(0, np.float32), 8000) == (0, 0)
    assert unit_ends(np.zeros(900, np.float32), [900], 8000) == [0, 300, 600, 900, 900]
    tone = np.sin(2 * np.pi * 300 * np.arange(1600) / 8000)
    ends = unit_ends(tone, [800, 1600], 8000)
    assert ends[0] == 0
    assert ends[3:5] == [800, 800]
    assert ends[7:] == [1600, 1600]


def test_units_of_a_segment_without_a_vowel():
    assert unit_ends(np.ones(3, np.float32), [3], 8000)[-1] == 3
    tone = np.sin(2 * np.pi * 300 * np.arange(800) / 8000)
    pause, onset, nucleus, coda, end = unit_ends(tone, [800], 8000)
    assert pause == 0 and onset <= 64 and 736 <= nucleus <= coda == end == 800


def test_unit_vectors():
    words = np.arange(12, dtype=np.float32).reshape(2, 6)
    assert unit_vectors(words, 1) is words
    units = unit_vectors(words, 4)
    assert units.shape == (9, 6)
    assert not units[[0, 4, 8]].any()
    np.testing.assert_array_equal(units[[1, 5]], words)
    assert units[2].tolist() == [4, 5, 0, 1, 2, 3]
    assert units[3].tolist() == [2, 3, 4, 5, 0, 1]
    assert units[6].tolist() == [10, 11, 6, 7, 8, 9]


def test_per_word():
    assert per_word(range(2), 1) == range(2)
    assert list(per_word(range(9), 4)) == [4, 8]
    assert list(per_word(range(8), 4)) == [4]


@pytest.mark.parametrize(
    "settings",
    [
        {"units_per_word": 3},
        {"units_per_word": 0},
        {"units_per_word": 5},
        {"units_per_word": 4, "conditioning": "pooled"},
    ],
)
def test_numbers_of_units_that_there_are_not(settings):
    with pytest.raises(InputError, match=r"units_per_word is \d; it"):
        TwoTierConfig(**settings)
