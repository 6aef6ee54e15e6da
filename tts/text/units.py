"""Words in parts: what comes before the vowel, the vowel, what comes after it, and the silence until the next word.

A model that is told nothing but a word may rush: a little chance energy in an opening /s/ is taken for the vowel that
is to come, and "six" comes out as "icks". Or it may wait: silence is followed by silence, and where the /s/ begins in
it is left to chance. So with `model.units_per_word: 4` the pointer steps through onset, nucleus and coda of each word (the
terms of phonology for the three parts of a syllable) and the rest after it, and begins with a rest; each has a turn,
and with planned timing a duration, of its own. Where the model speaks of words it means these. Where they lie in a
recording is told by the energy; below 1 kHz vowels have it and the noise of consonants has not.

Letters: T samples, W words, P parts of a word, R rows that the pointer steps through, D the width of a word's vector.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

NUCLEUS_DB = 12.0
"""The nucleus lasts from the first to the last moment at which the energy is so near to the word's highest."""

BAND_HZ = (100.0, 1000.0)
WINDOW_SECONDS, HOP_SECONDS = 0.016, 0.004

PAUSE_DB = 50.0
"""What is so far below the loudest moment, of the whole band, is rest."""

PAUSE_SECONDS = 0.004
"""Window and hop of that."""

UNITS_PER_WORD = 4
"""Of a word: onset, nucleus, coda, rest."""

T = TypeVar("T")


def unit_vectors(vectors: np.ndarray, parts: int) -> np.ndarray:
    """(W, D) float32 word vectors to the rows' (R, D): with 4 parts 1 + W x 4, with 1 the words themselves.

    Each part has the word's own, turned by its share of the circle; turned and not marked, so that the model has as
    many inputs as without parts; the first part's is the word's own. A rest's is zero, whatever the word.
    """
    if parts == 1:
        return vectors
    share = vectors.shape[1] // (UNITS_PER_WORD - 1)
    turned = [np.roll(vectors, part * share, axis=1) for part in range(UNITS_PER_WORD - 1)]
    rows = np.stack([*turned, np.zeros_like(vectors)], axis=1).reshape(-1, vectors.shape[1])
    return np.concatenate([np.zeros_like(rows[:1]), rows])


def per_word(rows: Sequence[T], parts: int) -> Sequence[T]:
    """Of what the rows have, the first so many of them at least, that of each word's last one."""
    return rows if parts == 1 else rows[UNITS_PER_WORD::UNITS_PER_WORD]


def unit_ends(audio: np.ndarray, boundaries: Sequence[int], sample_rate: int) -> list[int]:
    """The end sample of each row's turn, never falling: (R,); those `per_word` are the boundaries.

    Args: audio (T,); boundaries (W,), where the words' turns end; sample_rate, Hz.
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
    """First and one-past-last sample of what is not rest in (T,); (0, T) of silence."""
    hop = max(1, round(PAUSE_SECONDS * sample_rate))
    count = -(-len(wave) // hop)
    power = np.pad(np.square(wave, dtype=np.float64), (0, count * hop - len(wave))).reshape(count, hop).sum(1)
    if not power.max(initial=0) > 0:
        return 0, len(wave)
    sounds = np.flatnonzero(power >= power.max() * 10 ** (-PAUSE_DB / 10))
    return int(sounds[0]) * hop, min((int(sounds[-1]) + 1) * hop, len(wave))


def _nucleus(turn: np.ndarray, sample_rate: int) -> tuple[int, int]:
    """First and one-past-last sample of the nucleus of a word's turn (T,); of silence, its middle third."""
    window, hop = round(WINDOW_SECONDS * sample_rate), max(1, round(HOP_SECONDS * sample_rate))
    padded = np.pad(turn, window // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(window))) ** 2
    frequency = np.fft.rfftfreq(window, 1 / sample_rate)
    low = power[:, (frequency >= BAND_HZ[0]) & (frequency <= BAND_HZ[1])].sum(1)
    if not low.max() > 0:
        return len(turn) // 3, 2 * len(turn) // 3
    loud = np.flatnonzero(low >= low.max() * 10 ** (-NUCLEUS_DB / 10))
    return int(loud[0]) * hop, min((int(loud[-1]) + 1) * hop, len(turn))
