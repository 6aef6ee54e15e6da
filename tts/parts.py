"""Words in three parts: what comes before the vowel, the vowel, and what comes after it.

A model that is told nothing but a word may rush: a little chance energy in an opening /s/ is taken for the vowel that
is to come, and "six" comes out as "icks". So with `model.word_parts: 3` the pointer steps through onset, nucleus and
coda of each word (the terms of phonology for the three parts of a syllable), each with a turn, and with planned timing
a duration, of its own; the silence after a word belongs to its coda. The model's "words" are then these parts. Where
they lie in a recording is told by the energy below 1 kHz, which vowels have and the noise of consonants has not.

Letters: T samples, W words, P parts of a word, D the width of a word's vector.
"""

from collections.abc import Sequence

import numpy as np

NUCLEUS_DB = 12.0
"""The nucleus lasts from the first to the last moment at which the energy is so near to the word's highest."""

BAND_HZ = (100.0, 1000.0)
WINDOW_SECONDS, HOP_SECONDS = 0.016, 0.004


def part_vectors(vectors: np.ndarray, parts: int) -> np.ndarray:
    """(W, D) float32 word vectors to (W x P, D): each part has the word's own, turned by its share of the circle.

    Turned and not marked, so that the model has as many inputs as without parts; the first part's is the word's own.
    """
    if parts == 1:
        return vectors
    turned = [np.roll(vectors, part * (vectors.shape[1] // parts), axis=1) for part in range(parts)]
    return np.stack(turned, axis=1).reshape(-1, vectors.shape[1])


def part_ends(audio: np.ndarray, boundaries: Sequence[int], sample_rate: int) -> list[int]:
    """The end sample of each part of each word, never falling: (3 x W,), every third one a boundary.

    Args: audio (T,); boundaries (W,), where the words' turns end; sample_rate, Hz.
    """
    ends = []
    for begin, end in zip([0, *boundaries], boundaries, strict=False):
        first, last = _nucleus(audio[begin:end], sample_rate)
        ends += [begin + first, begin + last, end]
    return ends


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
