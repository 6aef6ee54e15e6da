"""Sequences: recordings of one speaker joined with drawn silences, the segments' ends kept.

One function, `join`, has two uses: an endless seeded stream for training and fixed splits for evaluation. Recordings
are split first and joined afterwards, so none crosses splits. Letters: T samples, W words.

    |edge| word 0  |gap| word 1  |gap| word 2  |edge|
    |--- segment 0 ----||- segment 1 -||- segment 2 -|
                        ^              ^              ^  boundaries

A segment is a word and the silence after it; the first one takes the opening silence as well. So a word begins where
its segment begins: the pointer decides when the voice speaks, not a random draw in the middle of a silence.
"""

from collections.abc import Iterator
from collections.abc import Sequence as Series
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, count, islice, product
from typing import Annotated

import numpy as np

from data_recipes.corpus import Recording
from data_recipes.splits import (
    DEFAULT_HOLD_OUTS,
    HOLD_OUTS,
    REPEAT_RUN,
    TRAINED_LENGTH,
    check_hold_outs,
    combination_split,
)
from tts.core.config import Range, check, check_order, shown
from tts.core.errors import InputError
from tts.text.normalize import SPOKEN

DIGITS = tuple("0123456789")
FIXED_SPLITS = ("validation", "test_seen", "test_unseen", "bigram", "position", "length", "repeat")
"""Every fixed split. `validation` joins validation recordings, all others test recordings."""

ENUMERATED, LISTED = 4, 10_000  # up to so many words, if so many combinations, they are listed; else drawn
MAX_TRIES = 10_000

Digits = Annotated[int, Range(1, 100)]
Seconds = Annotated[float, Range(0, 10)]


@dataclass(frozen=True)
class SequenceOptions:
    """How sequences are drawn. Recorded in the dataset card.

    min_digits, max_digits: of words; W is uniform between them, or as `length_weights` says (one weight per length).
    gap_seconds: range of the silence between two words. edge_seconds: range of the silence at both ends.
    long_gap_probability, long_gap_seconds: this share of the gaps is drawn from the upper end of the ordinary range up
    to long_gap_seconds, so that training has longer silences than are usual.
    dither: RMS of the Gaussian noise added throughout, full scale 1. hold_outs: names out of `splits.HOLD_OUTS` that
    never reach a stream. speakers: a subset of those in the recordings, None for all; drawn uniformly.
    """

    min_digits: Digits = 1
    max_digits: Digits = 5
    gap_seconds: tuple[Seconds, Seconds] = (0.0, 0.12)
    edge_seconds: tuple[Seconds, Seconds] = (0.03, 0.12)
    long_gap_probability: Annotated[float, Range(0, 1)] = 0.1
    long_gap_seconds: Seconds = 0.35
    dither: Annotated[float, Range(0, 0.01)] = 2e-4
    hold_outs: tuple[str, ...] = DEFAULT_HOLD_OUTS
    speakers: tuple[str, ...] | None = None
    length_weights: tuple[Annotated[float, Range(0, 10**6)], ...] | None = None

    def __post_init__(self) -> None:
        """Raises: InputError for a range that is empty or outside what can be drawn."""
        check(self)
        check_order(self, ("gap_seconds", "edge_seconds"))
        if self.min_digits > self.max_digits:
            found = f"min_digits is {self.min_digits} and max_digits {self.max_digits}"
            raise InputError(f"{found}; min_digits must not be above max_digits")
        weights, lengths = self.length_weights, len(self.lengths)
        if weights is not None and (len(weights) != lengths or not sum(weights)):
            allowed = f"there must be {lengths} weights, one for each length, one of them above 0"
            raise InputError(f"length_weights is {shown(weights)}; {allowed}")
        if self.speakers is not None and len(set(self.speakers)) != len(self.speakers):
            raise InputError(f"speakers is {shown(self.speakers)}; name each speaker once")
        check_hold_outs(self.hold_outs)

    @property
    def lengths(self) -> range:
        """The numbers of words of a sequence."""
        return range(self.min_digits, self.max_digits + 1)

    def length_shares(self) -> np.ndarray:
        """(max_digits - min_digits + 1,) float64, the share of each length in a stream; they sum to 1.

        Raises: InputError if what is held out leaves no length.
        """
        weights = np.ones(len(self.lengths)) if self.length_weights is None else np.array(self.length_weights)
        if "length" in self.hold_outs:
            if self.min_digits > TRAINED_LENGTH:
                found = f"min_digits is {self.min_digits} with `length` held out"
                raise InputError(f"{found}; at most {TRAINED_LENGTH} words are trained")
            weights = np.where(np.array(self.lengths) <= TRAINED_LENGTH, weights, 0)
        if not weights.sum():
            raise InputError("length_weights leave no length that is trained on; give one of them a weight")
        return weights / weights.sum()


@dataclass(frozen=True)
class Sequence:
    """audio (T,) float32 in [-1, 1] at sample_rate Hz; text "4 7 2"; words ["4", "7", "2"]; boundaries, the end sample
    of each word's segment; takes, the recordings' ids; combination_split, "seen" or the name of the hold-out that owns
    the words."""

    audio: np.ndarray
    text: str
    words: list[str]
    speaker: str
    takes: list[str]
    boundaries: list[int]
    sample_rate: int
    combination_split: str

    @property
    def digits(self) -> list[int]:
        """What the words stand for, where all of them are digits."""
        return [SPOKEN[word] for word in self.words]


def join(recordings: Series[Recording], options: SequenceOptions, rng: np.random.Generator) -> Sequence:
    """Join recordings of one speaker, at least one, in the order given. Silences and dither are drawn from rng."""
    rate = recordings[0].sample_rate
    opening, closing = rng.uniform(*options.edge_seconds, size=2)
    silences = [*(_draw_gap(options, rng) for _ in recordings[1:]), closing]
    start, *samples = (round(seconds * rate) for seconds in (opening, *silences))
    total = start + sum(samples) + sum(len(recording.audio) for recording in recordings)
    audio = rng.standard_normal(total, dtype=np.float32)
    audio *= np.float32(options.dither)
    boundaries, position = [], start
    for recording, silence in zip(recordings, samples, strict=True):
        audio[position : position + len(recording.audio)] += recording.audio
        position += len(recording.audio) + silence
        boundaries.append(position)
    words = [recording.word for recording in recordings]
    return Sequence(
        audio=audio,
        text=" ".join(words),
        words=words,
        speaker=recordings[0].speaker,
        takes=[recording.id for recording in recordings],
        boundaries=boundaries,
        sample_rate=rate,
        combination_split=combination_split(words, options.hold_outs),
    )


def _draw_gap(options: SequenceOptions, rng: np.random.Generator) -> float:
    low, high = options.gap_seconds
    if rng.random() < options.long_gap_probability and options.long_gap_seconds > high:
        low, high = high, options.long_gap_seconds
    return rng.uniform(low, high)


class _Recordings:
    """Recordings by speaker and word."""

    def __init__(self, recordings: Series[Recording], speakers: tuple[str, ...] | None) -> None:
        present = sorted({recording.speaker for recording in recordings})
        for name in speakers or ():
            if name not in present:
                raise InputError(f"speaker {name!r} has no recordings here; choose among {', '.join(present)}")
        self.speakers = [name for name in present if speakers is None or name in speakers]
        if not self.speakers:
            raise InputError("there are no recordings to join; name at least one speaker who has some")
        self.of: dict[tuple[str, str], list[Recording]] = {}
        self.words: dict[str, list[str]] = {name: [] for name in self.speakers}
        for recording in recordings:
            if recording.speaker in self.speakers:
                self.of.setdefault((recording.speaker, recording.word), []).append(recording)
        for name, word in sorted(self.of):
            self.words[name].append(word)

    def draw(self, speaker: str, words: Series[str], rng: np.random.Generator) -> list[Recording]:
        """One recording of each word, uniformly."""
        choices = [self.of[speaker, word] for word in words]
        return [recordings[int(rng.integers(len(recordings)))] for recordings in choices]


class SequenceStream:
    """An endless series of training sequences: item i depends on the recordings, the options, the seed and i only.

    So it can be read in any order, resumed at any index and shared out among processes by index. Combinations that
    the options hold out never come.
    """

    def __init__(self, recordings: Series[Recording], options: SequenceOptions, seed: int) -> None:
        """Raises: InputError if a speaker named in the options has no recordings, or nothing may be drawn."""
        assert seed >= 0, seed
        self.options = options
        self.seed = seed
        self._recordings = _Recordings(recordings, options.speakers)
        self._weights = np.cumsum(options.length_shares())

    def __getitem__(self, index: int) -> Sequence:
        """The sequence number `index`, from 0."""
        if index < 0:
            raise IndexError(f"a stream has no end to count back from: {index}")
        rng = np.random.default_rng([self.seed, index])
        speaker = self._recordings.speakers[int(rng.integers(len(self._recordings.speakers)))]
        words = self._draw_words(speaker, rng)
        return join(self._recordings.draw(speaker, words, rng), self.options, rng)

    def __iter__(self) -> Iterator[Sequence]:
        """All sequences from number 0, without end."""
        return map(self.__getitem__, count())

    def _draw_words(self, speaker: str, rng: np.random.Generator) -> tuple[str, ...]:
        # The length is kept when a combination is refused, so that hold-outs do not make sequences shorter.
        drawn = int(np.searchsorted(self._weights, rng.random(), side="right"))
        length = self.options.lengths[min(drawn, len(self._weights) - 1)]
        sayable = self._recordings.words[speaker]
        for _ in range(MAX_TRIES):
            words = _draw_combination(sayable, length, rng)
            if combination_split(words, self.options.hold_outs) == "seen":
                return words
        found = f"speaker {speaker!r} has recordings of {shown(sayable)} only"
        raise InputError(f"{found}; every combination of {length} of them is held out")


def _draw_combination(sayable: Series[str], length: int, rng: np.random.Generator) -> tuple[str, ...]:
    return tuple(sayable[i] for i in rng.integers(len(sayable), size=length).tolist())


def fixed_split(
    recordings: dict[str, list[Recording]], options: SequenceOptions, split: str, count: int, seed: int
) -> list[Sequence]:
    """A finite set of sequences for evaluation, the same for the same arguments.

    Args:
        recordings: by split; `validation` is joined from "validation", every other from "test".
        split: one of `FIXED_SPLITS`. `validation` and `test_seen` take combinations that training may have; each other
            one takes those that the hold-out of its name owns (`test_unseen`: "unseen"), whether or not
            options.hold_outs names it; if it does not, training may have them. `length` not held out is any seen
            combination of 4 or more words. Where `length` is held out, the other splits keep to 3.
        count: how many; lengths, then speakers, come in equal shares, and combinations repeat only when all were used.
            Where speakers have recordings of different words, each says combinations of its own.

    Raises: InputError for an unknown split or one that has no combination of the lengths in the options.
    """
    if split not in FIXED_SPLITS:
        raise InputError(f"split {split!r} is unknown; choose among {', '.join(FIXED_SPLITS)}")
    assert count >= 0 and seed >= 0, (count, seed)
    sources = _Recordings(recordings["validation" if split == "validation" else "test"], options.speakers)
    rng = np.random.default_rng([seed, FIXED_SPLITS.index(split)])
    own = {name: tuple(words) for name, words in sources.words.items()}
    pools = {words: _pools(split, options, words, rng) for words in dict.fromkeys(own.values())}
    names = [name for name in sources.speakers if pools[own[name]]]
    if not names:
        found = f"split {split!r} has no combination of {options.min_digits} to {options.max_digits} words"
        raise InputError(f"{found}; raise max_digits or leave the split out")
    sequences = []
    speakers: list[str] = []
    for number in range(count):
        if not speakers:
            speakers = [names[i] for i in rng.permutation(len(names))]
        speaker = speakers.pop()
        of_lengths = pools[own[speaker]]
        words = next(of_lengths[number % len(of_lengths)])
        sequences.append(join(sources.draw(speaker, words, rng), options, rng))
    return sequences


def available_splits(options: SequenceOptions, vocabulary: Series[str] = DIGITS) -> list[str]:
    """The fixed splits that have a combination of the lengths in the options, all words of a vocabulary being there."""
    return [split for split in FIXED_SPLITS if _pools(split, options, vocabulary, np.random.default_rng(0))]


def count_combinations(options: SequenceOptions, split: str, most: int = 10**9) -> int:
    """How many combinations of the ten digits, of the lengths in the options, a fixed split has; up to `most`."""
    every = (words for length in options.lengths for words in product(DIGITS, repeat=length))
    return sum(1 for _ in islice((words for words in every if _belongs(split, words, options.hold_outs)), most))


def _belongs(split: str, words: tuple[str, ...], hold_outs: tuple[str, ...]) -> bool:
    if split == "length" and "length" not in hold_outs:
        return len(words) > TRAINED_LENGTH and combination_split(words, hold_outs) == "seen"
    if split in ("validation", "test_seen"):
        return combination_split(words, hold_outs) == "seen"
    if split != "length" and "length" in hold_outs and len(words) > TRAINED_LENGTH:
        return False
    return combination_split(words, HOLD_OUTS) == ("unseen" if split == "test_unseen" else split)


@lru_cache(maxsize=256)
def _listed(split: str, length: int, sayable: tuple[str, ...], hold_outs: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [words for words in product(sayable, repeat=length) if _belongs(split, words, hold_outs)]


def _pools(
    split: str, options: SequenceOptions, sayable: Series[str], rng: np.random.Generator
) -> list[Iterator[tuple[str, ...]]]:
    """The combinations of each length that has any."""
    pools: list[Iterator[tuple[str, ...]]] = []
    for length in options.lengths:
        combinations = _drawn(split, length, tuple(sayable), options.hold_outs, rng)
        if first := next(combinations, None):
            pools.append(chain([first], combinations))
    return pools


def _drawn(
    split: str, length: int, sayable: tuple[str, ...], hold_outs: tuple[str, ...], rng: np.random.Generator
) -> Iterator[tuple[str, ...]]:
    """Combinations of one length in one split, in a drawn order, none twice until all were drawn; without end."""
    if length <= ENUMERATED and len(sayable) ** length <= LISTED:
        while listed := _listed(split, length, sayable, hold_outs):
            yield from [listed[i] for i in rng.permutation(len(listed))][::-1]
        return
    used: set[tuple[str, ...]] = set()
    while True:
        for _ in range(MAX_TRIES):
            words = _draw_combination(sayable, length, rng)
            if split == "repeat" and len(sayable) > len(DIGITS) and length >= REPEAT_RUN:
                # Of many words hardly any combination drawn at random has a run.
                start = int(rng.integers(length - REPEAT_RUN + 1))
                words = (*words[:start], *[words[start]] * REPEAT_RUN, *words[start + REPEAT_RUN :])
            if words not in used and _belongs(split, words, hold_outs):
                used.add(words)
                yield words
                break
        else:
            if not used:
                return
            used.clear()  # all were used, as good as surely: begin again
