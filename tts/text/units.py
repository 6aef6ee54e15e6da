"""Words to units: onset, nucleus, coda and the pause after them, in the text and in a recording.

With `model.units_per_word: 4` the pointer steps through a first pause and then through the onset, nucleus and coda of
each word (the terms of phonology for the three parts of a syllable) and the pause after it. Each unit has a segment,
and with explicit durations a duration, of its own. With whole words as units, a model takes a little energy in an
opening /s/ for the vowel that follows ("six" becomes "icks"), and must find in the middle of a silence where the next
/s/ begins. The units of a recording are found by energy: below 1 kHz vowels have much of it, the noise of consonants
has not.

Letters: T samples, W words, U units, D the width of a word's vector.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

NUCLEUS_DB = 12.0
"""The nucleus lasts from the first to the last moment at which the energy is so near to the word's highest."""

BAND_HZ = (100.0, 1000.0)
WINDOW_SECONDS, HOP_SECONDS = 0.016, 0.004

PAUSE_DB, PAUSE_SECONDS = 50.0, 0.004
"""What is so far below the loudest moment, of the whole band, is a pause; window and hop of that."""

UNITS_PER_WORD = 4
"""Onset, nucleus, coda, pause."""

T = TypeVar("T")


def unit_vectors(vectors: np.ndarray, units_per_word: int) -> np.ndarray:
    """(W, D) float32 word vectors to the units' (U, D): with 4 units per word U = 1 + 4 W, with 1 the words themselves.

    The onset's is the word's vector, the nucleus's and the coda's are the same rotated by one and two thirds of D, so
    that the model has as many inputs as with whole words. A pause's is zero, whatever the word.
    """
    if units_per_word == 1:
        return vectors
    share = vectors.shape[1] // (UNITS_PER_WORD - 1)
    rotated = [np.roll(vectors, number * share, axis=1) for number in range(UNITS_PER_WORD - 1)]
    units = np.stack([*rotated, np.zeros_like(vectors)], axis=1).reshape(-1, vectors.shape[1])
    return np.concatenate([np.zeros_like(units[:1]), units])


def per_word(of_units: Sequence[T], units_per_word: int) -> Sequence[T]:
    """One item per word, that of its last unit, from one item per unit; words that are not finished are left out."""
    return of_units if units_per_word == 1 else of_units[UNITS_PER_WORD::UNITS_PER_WORD]


def unit_ends(audio: np.ndarray, boundaries: Sequence[int], sample_rate: int) -> list[int]:
    """The end sample of each unit's segment, never falling: (U,); those `per_word` are the boundaries.

    Of `audio`, (T,) float, and `boundaries`, (W,), the end sample of each word's segment.
    """
    ends: list[int] = []
    for begin, end in zip([0, *boundaries], boundaries, strict=False):
        opening, closing = sounding(audio[begin:end], sample_rate)
        start = begin if ends else opening
        sounds = audio[start : begin + closing]
        first, last = _nucleus(sounds, sample_rate)
        ends += [start] * (not ends) + [start + first, start + last, start + len(sounds), end]
    return ends


def sounding(wave: np.ndarray, sample_rate: int) -> tuple[int, int]:
    """First and one-past-last sample of what is no pause in (T,); (0, T) of silence."""
    hop = max(1, round(PAUSE_SECONDS * sample_rate))
    count = -(-len(wave) // hop)
    power = np.pad(np.square(wave, dtype=np.float64), (0, count * hop - len(wave))).reshape(count, hop).sum(1)
    if not power.max(initial=0) > 0:
        return 0, len(wave)
    sounds = np.flatnonzero(power >= power.max() * 10 ** (-PAUSE_DB / 10))
    return int(sounds[0]) * hop, min((int(sounds[-1]) + 1) * hop, len(wave))


def _nucleus(segment: np.ndarray, sample_rate: int) -> tuple[int, int]:
    """First and one-past-last sample of the nucleus of a word's segment (T,); of silence, its middle third."""
    window, hop = round(WINDOW_SECONDS * sample_rate), max(1, round(HOP_SECONDS * sample_rate))
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(segment, window // 2), window)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(window))) ** 2
    frequency = np.fft.rfftfreq(window, 1 / sample_rate)
    low = power[:, (frequency >= BAND_HZ[0]) & (frequency <= BAND_HZ[1])].sum(1)
    if not low.max() > 0:
        return len(segment) // 3, 2 * len(segment) // 3
    loud = np.flatnonzero(low >= low.max() * 10 ** (-NUCLEUS_DB / 10))
    return int(loud[0]) * hop, min((int(loud[-1]) + 1) * hop, len(segment))
