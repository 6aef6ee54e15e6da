"""Words to units: onset, nucleus, coda and the pause after them, in the text and in a recording.

With `model.units_per_word: 4` the pointer steps through a first pause and then through the onset, nucleus and coda of
each word (the terms of phonology for the three parts of a syllable) and the pause after it. A word of S syllables has
2 S + 2 units: onset, then each nucleus and the consonants after it, the last of which are the coda, and the pause. Its
syllables are counted in its spelling, as groups of vowels, the same in training and in speaking (a silent one counts:
"twelve" has two); a digit has one, "seven" too, and so has a word in a script without vowels. Each unit has a segment,
and with explicit durations a duration, of its own. With whole words as units, a model takes a little energy in an
opening /s/ for the vowel that follows ("six" becomes "icks"), and must find in the middle of a silence where the next
/s/ begins. The units of a recording are found by energy: below 1 kHz vowels have much of it, the noise of consonants
has not. The nuclei of a word of several syllables are the peaks of that energy with the deepest valleys between them,
each as far as the energy is near to its peak. With `model.units_per_word: 1` a word stays whole, however long it is.

Letters: T samples, W words, U units, D the width of a word's vector.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Literal, TypeVar

import numpy as np

from tts.text.normalize import SPOKEN

NUCLEUS_DB = 12.0
"""The nucleus lasts from the first to the last moment at which the energy is so near to the word's highest."""

BAND_HZ = (100.0, 1000.0)
WINDOW_SECONDS, HOP_SECONDS = 0.016, 0.004

PAUSE_DB, PAUSE_SECONDS = 50.0, 0.004
"""What is so far below the loudest moment, of the whole band, is a pause; window and hop of that."""

UNITS_PER_WORD = 4
"""Onset, nucleus, coda, pause; two more for each further syllable."""
MAX_SYLLABLES = 8
FURTHER_SYLLABLE = 7
"""By how many places the vectors of the next syllable's units are rotated."""

_VOWELS = re.compile(
    "(?:[aeiouy\u00e6\u00f8\u0131\u0153\u0430\u0435\u043e\u0443\u044b\u044d\u044e\u044f\u0456\u0454"
    "\u03b1\u03b5\u03b7\u03b9\u03bf\u03c5\u03c9]|\u0438(?!\u0306))+"
)
"""Latin, Cyrillic and Greek, without accents; a Cyrillic i with a breve is none."""

T = TypeVar("T")

UnitName = Literal["word", "pause", "onset", "nucleus", "consonants", "coda"]
"""What a unit is: a whole word, or a part of one; "consonants" stand between two nuclei."""


def syllables(words: Iterable[str]) -> list[int]:
    """How many syllables each word has in units: the groups of vowels in its spelling, 1 to MAX_SYLLABLES."""
    plain = (unicodedata.normalize("NFD", word) for word in words)
    return [1 if word in SPOKEN else min(max(1, len(_VOWELS.findall(word))), MAX_SYLLABLES) for word in plain]


def unit_names(syllables: Sequence[int], units_per_word: int) -> list[tuple[int, UnitName]]:
    """For each unit the index of its word, and what it is; the first pause belongs to the first word."""
    if units_per_word == 1:
        return [(word, "word") for word in range(len(syllables))]
    found: list[tuple[int, UnitName]] = [(0, "pause")]
    for word, count in enumerate(syllables):
        inner: list[UnitName] = ["nucleus", "consonants"]
        parts: list[UnitName] = ["onset", *inner * count]
        found += [(word, part) for part in (*parts[:-1], "coda", "pause")]
    return found


def nuclei(syllables: Sequence[int], units_per_word: int) -> tuple[int, ...]:
    """The indices of the units that are nuclei; of whole words none."""
    return tuple(unit for unit, (_, name) in enumerate(unit_names(syllables, units_per_word)) if name == "nucleus")


def pauses(syllables: Sequence[int]) -> np.ndarray:
    """Which units are pauses, (1 + W,): the first unit, and the last one of each word."""
    return np.cumsum([0, *(UNITS_PER_WORD - 2 + 2 * count for count in syllables)])


def unit_vectors(vectors: np.ndarray, units_per_word: int, syllables: Sequence[int] = ()) -> np.ndarray:
    """(W, D) float32 word vectors to the units' (U, D): with 4 units per word U = 1 + 4 W, with 1 the words themselves.

    `syllables`, of each word: none, one each; U is two more for each further one. The onset's is the word's vector, the
    nucleus's and the coda's are the same rotated by one and two thirds of D, for further syllables by a little more, so
    that the model has as many inputs as with whole words. A pause's is zero, whatever the word.
    """
    if units_per_word == 1:
        return vectors
    share = vectors.shape[1] // (UNITS_PER_WORD - 1)
    nothing = np.zeros(vectors.shape[1], np.float32)
    units = [nothing]
    for vector, count in zip(vectors, syllables or [1] * len(vectors), strict=True):
        shifts = (part * share + k * FURTHER_SYLLABLE for k in range(count) for part in (1, 2))
        units += [vector, *(np.roll(vector, shift) for shift in shifts), nothing]
    return np.stack(units)


def per_word(of_units: Sequence[T], units_per_word: int, syllables: Sequence[int]) -> Sequence[T]:
    """One item per word, that of its last unit, from one item per unit; words that are not finished are left out."""
    if units_per_word == 1:
        return of_units
    return [of_units[unit] for unit in pauses(syllables)[1:] if unit < len(of_units)]


def unit_ends(
    audio: np.ndarray, boundaries: Sequence[int], sample_rate: int, syllables: Sequence[int] = ()
) -> list[int]:
    """The end sample of each unit's segment, never falling: (U,); those `per_word` are the boundaries.

    Of `audio`, (T,) float, and `boundaries`, (W,), the end sample of each word's segment. `syllables`: see
    `unit_vectors`.
    """
    ends: list[int] = []
    counts = syllables or [1] * len(boundaries)
    for begin, end, count in zip([0, *boundaries[:-1]], boundaries, counts, strict=True):
        opening, closing = sounding(audio[begin:end], sample_rate)
        start = begin if ends else opening
        sounds = audio[start : begin + closing]
        ends += [start] * (not ends) + [start + edge for edge in _nuclei(sounds, sample_rate, count)]
        ends += [start + len(sounds), end]
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


def _nuclei(segment: np.ndarray, sample_rate: int, count: int) -> list[int]:
    """First and one-past-last sample of each nucleus of a word's segment (T,), (2 count,); of silence, equal parts."""
    window, hop = round(WINDOW_SECONDS * sample_rate), max(1, round(HOP_SECONDS * sample_rate))
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(segment, window // 2), window)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(window))) ** 2
    frequency = np.fft.rfftfreq(window, 1 / sample_rate)
    low = power[:, (frequency >= BAND_HZ[0]) & (frequency <= BAND_HZ[1])].sum(1)
    valleys = [0, *_valleys(low, count), len(low)]
    edges: list[int] = []
    for first, last in itertools.pairwise(valleys):
        part = low[first:last]
        if not part.max(initial=0) > 0:
            return [len(segment) * place // (2 * count + 1) for place in range(1, 2 * count + 1)]
        loud = first + np.flatnonzero(part >= part.max() * 10 ** (-NUCLEUS_DB / 10))
        edges += [int(loud[0]) * hop, min((int(loud[-1]) + 1) * hop, len(segment))]
    return edges


def _valleys(low: np.ndarray, count: int) -> list[int]:
    """The frames, rising, at which energies (N,) are cut into `count` parts with a peak each: the deepest valleys.

    Energies with fewer peaks are cut where they are in the middle of their longest part.
    """
    if count == 1:
        return []
    level = np.log(low + 1e-3 * low.max() + 1e-30)  # 30 dB below the loudest is no peak
    level = np.convolve(np.pad(level, 2, mode="edge"), np.full(5, 0.2), "valid")
    found: list[int] = []
    while len(found) < count - 1:
        ends = [0, *found, len(level)]
        depth, place = max(_deepest(level, *part) for part in itertools.pairwise(ends))
        if depth <= 0:
            first, last = max(itertools.pairwise(ends), key=lambda part: part[1] - part[0])
            place = (first + last) // 2
        found = sorted([*found, place])
    return found


def _deepest(level: np.ndarray, first: int, last: int) -> tuple[float, int]:
    """Depth below the lower one of the peaks on both sides, and place, of the deepest valley in level[first:last]."""
    part = level[first:last]
    if not len(part):
        return 0.0, first
    rim = np.minimum(np.maximum.accumulate(part), np.maximum.accumulate(part[::-1])[::-1])
    place = int(np.argmax(rim - part))
    return float(rim[place] - part[place]), first + place
