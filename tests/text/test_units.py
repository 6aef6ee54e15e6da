"""Onset, nucleus and coda of words."""

import numpy as np
import pytest

from tts.core.errors import InputError
from tts.models.config import TwoTierConfig
from tts.text.units import nuclei, pauses, per_word, sounding, syllables, unit_ends, unit_vectors


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
    assert per_word(ends, 4, [1, 1]) == [second, len(both)]


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
    assert per_word(range(2), 1, [1, 1]) == range(2)
    assert list(per_word(range(9), 4, [1, 1])) == [4, 8]
    assert list(per_word(range(8), 4, [1, 1])) == [4]


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


def test_syllables_are_the_vowel_groups_of_the_spelling():
    words = ["seven", "0", "hundred", "thousand", "twenty", "o'clock", "zéro", "четыре", "ноль", "йод", "kg", "七"]
    assert syllables(words) == [1, 1, 2, 2, 2, 2, 2, 3, 1, 1, 1, 1]
    assert syllables(["a-" * 20]) == [8]


def test_units_of_several_syllables():
    vectors = np.random.default_rng(0).normal(size=(3, 384)).astype(np.float32)
    units = unit_vectors(vectors, 4, [2, 1, 3])
    assert len(units) == 1 + 6 + 4 + 8
    assert list(pauses([2, 1, 3])) == [0, 6, 10, 18] and not units[[0, 6, 10, 18]].any()
    assert np.array_equal(units[6:11], unit_vectors(vectors[1:2], 4))
    assert len({unit.tobytes() for unit in units}) == 1 + 5 + 3 + 7  # no two alike but the pauses
    assert list(per_word(range(12), 4, [2, 1, 3])) == [6, 10]
    assert nuclei([2, 1, 3], 4) == (2, 4, 8, 12, 14, 16)
    assert nuclei([2, 1, 3], 1) == ()


def test_nuclei_of_several_syllables_are_found_in_a_recording():
    t = np.arange(1600) / 8000
    vowel, noise = np.sin(2 * np.pi * 300 * t), 0.05 * np.random.default_rng(0).choice([-1.0, 1.0], 800)
    noise = np.diff(noise, prepend=0)  # little of it below 1 kHz
    word = np.concatenate([noise, vowel, noise, 0.5 * vowel[:1200], noise[:400], np.zeros(600)])
    sounds = 800 + 1600 + 800 + 1200 + 400
    ends = unit_ends(np.concatenate([word, word]), [len(word), 2 * len(word)], 8000, [2, 2])
    assert len(ends) == 13 and ends == sorted(ends)
    assert [ends[6], ends[12]] == [len(word), 2 * len(word)]
    for start, own in ((0, ends[1:6]), (len(word), ends[7:12])):
        assert np.abs(np.array(own) - start - [800, 2400, 3200, 4400, sounds]).max() <= 160
    flat = unit_ends(np.zeros(900, np.float32), [900], 8000, [2])
    assert flat == [0, 180, 360, 540, 720, 900, 900]
    steady = unit_ends(vowel, [1600], 8000, [3])  # no valley: cut all the same
    assert len(steady) == 9 and steady == sorted(steady)
