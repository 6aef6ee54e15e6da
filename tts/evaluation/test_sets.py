"""What is said in an evaluation, and the real recordings of the same texts.

Test recordings are joined as the voice's training joined its own, so that the recognizer's error on them, the ground
truth, is the least that the voice can reach. Everything depends on the arguments alone.
"""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Series
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_recipes.fsdd import SPEAKERS, Recording, RecordingOptions, build_recordings
from data_recipes.sequences import (
    FIXED_SPLITS,
    Sequence,
    SequenceOptions,
    SequenceStream,
    count_combinations,
    fixed_split,
    join,
)
from data_recipes.splits import TRAINED_LENGTH
from tts.audio import from_bytes
from tts.core import config as configs
from tts.core.errors import InputError
from tts.core.files import is_folder
from tts.evaluation.utterance import Limits, measure_sound
from tts.text.normalize import digits as digits_of
from tts.text.normalize import words

SPLITS = (
    *("test_seen", "test_unseen", "bigram", "position", "length", "repeat"),
    *("long", "words", "single", "digits20", "digits100", "any"),
)
"""What can be asked for: as in the data; `long`, `digits20`, `digits100` (`LONG_DIGITS`); `words` (`test_seen` as
number words); `single`, one digit at a time, on which the quality of the sound is measured; `any`, what comes, whatever
is held out. A split's place decides the seeds that it is spoken with, so new ones are added at the end."""

HELD_OUT = {"test_unseen": "unseen", "bigram": "bigram", "position": "position", "repeat": "repeat", "length": "length"}
NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LONG_DIGITS = {"long": (6, 20), "digits20": (20, 20), "digits100": (100, 100)}
"""Fewest and most digits of the splits that are drawn whatever is held out, beside `any`."""
FREE_SPLITS = (*LONG_DIGITS, "any")
LIMIT_SEQUENCES = 1000
SINGLE_REFERENCE = 400
MAX_DIGITS = 5


@dataclass(frozen=True)
class Trained:
    """What a voice's own record says of its training data; defaults where it says nothing."""

    recordings: RecordingOptions = field(default_factory=RecordingOptions)
    sequences: SequenceOptions = field(default_factory=SequenceOptions)

    @classmethod
    def of(cls, training: Mapping[str, Any]) -> "Trained":
        """Read `VoiceConfig.training`. Raises: InputError for options that this version does not know."""
        config = training.get("config")
        data = config.get("data") if isinstance(config, Mapping) else None
        data = data if isinstance(data, Mapping) else {}
        return cls(
            configs.build(RecordingOptions, data.get("recordings") or {}, "training.config.data.recordings."),
            configs.build(SequenceOptions, data.get("sequences") or {}, "training.config.data.sequences."),
        )

    def options(self, max_digits: int = MAX_DIGITS) -> SequenceOptions:
        """How test recordings are joined: as in training, but one to `max_digits` digits in every split alike.

        That `length` was held out is not in force here, or the other splits would keep to three digits.
        """
        held = tuple(name for name in self.sequences.hold_outs if name != "length")
        return replace(
            self.sequences, min_digits=1, max_digits=max_digits, hold_outs=held, speakers=None, length_weights=None
        )


@dataclass(frozen=True)
class Material:
    """Texts by split with a real recording of each, and the limits of real speech."""

    splits: dict[str, Series[Sequence]]
    limits: Limits
    sample_rate: int
    notes: list[str]
    """What a reader of the results should know, one line each."""
    reference: list[Sequence] = field(default_factory=list)
    """Single digits joined of training recordings, what `single` is compared with; only where it is asked for."""


def check_splits(names: Series[str]) -> None:
    """Raises: InputError for no split, an unknown one or one named twice."""
    if not names:
        raise InputError(f"no split is named; choose among {', '.join(SPLITS)}")
    for name in names:
        if name not in SPLITS:
            raise InputError(f"split {name!r} is unknown; choose among {', '.join(SPLITS)}")
    if len(set(names)) != len(names):
        raise InputError(f"splits are {', '.join(names)}; name each once")


def shared_speakers(voice: Series[str], corpus: Iterable[str]) -> tuple[str, ...]:
    """The voice's speakers that the corpus has, in the voice's order. Raises: InputError if there is none."""
    present = set(corpus)
    shared = tuple(name for name in voice if name in present)
    if not shared:
        raise InputError(
            f"the voice speaks as {', '.join(voice)} and the data has {', '.join(sorted(present))}; "
            "evaluate it on data with one of its speakers"
        )
    return shared


def from_source(
    source: Path | None,
    splits: Series[str],
    count: int,
    seed: int,
    speakers: Series[str],
    sample_rate: int,
    trained: Trained | None = None,
    max_digits: int = MAX_DIGITS,
    progress: bool = False,
) -> Material:
    """Material from FSDD's own files.

    Args:
        source: the corpus; None downloads it.
        splits: names out of `SPLITS`.
        count: texts in each.
        seed: of the drawing.
        speakers: of the voice.
        sample_rate: of the voice, Hz; the recordings are resampled to it.
        trained: how the voice's training prepared and joined its recordings.
        max_digits: the longest texts, but for `LONG_DIGITS`.

    Raises: InputError for an unknown split, no speaker in common, a split without combinations or with fewer than
        `count`, or a corpus that is not whole.
    """
    check_splits(splits)
    trained = trained or Trained()
    options = trained.options(max_digits)
    shared = shared_speakers(speakers, SPEAKERS)
    for name in splits:
        # Counted before the corpus is read, which takes seconds.
        if name in HELD_OUT and count_combinations(options, name, most=count) < count:
            held = count_combinations(options, name, most=count)
            raise InputError(
                f"--n {count}: split {name} has {held} combinations of {options.min_digits} to {options.max_digits} "
                f"digits; ask for at most {held}" + ("" if held else ", or leave the split out")
            )
    recordings = build_recordings(
        source, replace(trained.recordings, sample_rate=sample_rate), shared, progress=progress
    )
    reference = SequenceStream(recordings["train"], options, 0)
    return Material(
        {name: _drawn(recordings, options, name, count, seed) for name in splits},
        limits_of(reference[i] for i in range(LIMIT_SEQUENCES)),
        sample_rate,
        _notes(splits, trained, max_digits),
        draw_single(recordings["train"], options) if "single" in splits else [],
    )


def _drawn(
    recordings: dict[str, list[Recording]], options: SequenceOptions, name: str, count: int, seed: int
) -> Series[Sequence]:
    if name in FREE_SPLITS:
        return draw_free(recordings["test"], options, name, count, seed)
    if name == "words":
        return [spelled(item) for item in fixed_split(recordings, options, "test_seen", count, seed)]
    if name == "single":
        return fixed_split(recordings, replace(options, max_digits=1), "test_seen", count, seed)
    return fixed_split(recordings, options, name, count, seed)


def from_dataset(
    folder: Path,
    splits: Series[str],
    count: int,
    seed: int,
    speakers: Series[str],
    sample_rate: int,
    max_digits: int = MAX_DIGITS,
) -> Material:
    """Material from a dataset folder that `tts data build sequences` wrote.

    It is the first `count` rows of each split that are of the voice's speakers; `FREE_SPLITS` join the segments
    of `test_seen`.

    Args: as `from_source`; max_digits, of `any`: the others' rows are as long as they are.

    Raises: InputError as there, and for a folder that is no whole dataset, a split that it does not have, or another
        sample rate than the voice's.
    """
    from data_recipes.dataset import read_recipe

    check_splits(splits)
    if not is_folder(folder):
        raise InputError(f"{folder}: no such folder; give one that `tts data build sequences` wrote")
    recipe = read_recipe(folder)
    if recipe["sample_rate"] != sample_rate:
        raise InputError(
            f"{folder} is at {recipe['sample_rate']} Hz and the voice at {sample_rate}; "
            f"build the data with --sample-rate {sample_rate}"
        )
    present = {name for split in recipe["splits"].values() for name in split["speakers"]}
    shared = shared_speakers(speakers, present)
    has: dict[str, Any] = recipe["splits"]
    found: dict[str, Series[Sequence]] = {}
    pieces: list[Recording] = []
    for name in splits:
        stored = "test_seen" if name in (*FREE_SPLITS, "words", "single") else name
        if stored not in has:
            raise InputError(f"{folder} has no split {stored}; it has {', '.join(has)}")
        if name in FREE_SPLITS:
            pieces = pieces or [segment for row in read_rows(folder, stored, shared) for segment in segments(row)]
            found[name] = draw_free(pieces, SequenceOptions(max_digits=max_digits), name, count, seed)
            continue
        every = read_rows(folder, stored, shared)
        rows = list(islice((row for row in every if name != "single" or len(row.digits) == 1), count))
        if len(rows) < count:
            raise InputError(
                f"--n {count}: split {name} of {folder} has {len(rows)} rows by {', '.join(shared)}; "
                + (f"ask for at most {len(rows)}" if rows else "it is empty, leave it out")
            )
        found[name] = [spelled(row) for row in rows] if name == "words" else rows
    if "train" not in has:
        raise InputError(
            f"{folder} has no split train, from which the length of real speech is measured; build the data again"
        )
    limits = limits_of(islice(read_rows(folder, "train", shared), LIMIT_SEQUENCES))
    reference = []
    if "single" in splits:
        one = (row for row in read_rows(folder, "train", shared) if len(row.digits) == 1)
        reference = list(islice(one, SINGLE_REFERENCE))
    return Material(found, limits, sample_rate, [], reference)


def read_rows(folder: Path, split: str, speakers: Series[str]) -> Iterable[Sequence]:
    """The rows of a dataset's split that these speakers say, in order, read as they are asked for."""
    from pyarrow.parquet import ParquetFile

    for shard in sorted(folder.glob(f"data/{split}-*.parquet")):
        with ParquetFile(shard) as file:
            for group in range(file.num_row_groups):
                for row in file.read_row_group(group).to_pylist():
                    if row["speaker"] not in speakers:
                        continue
                    audio, rate = from_bytes(row.pop("audio")["bytes"])
                    yield Sequence(audio=audio, sample_rate=rate, **row)


def segments(sequence: Sequence) -> list[Recording]:
    """A sequence cut at its boundaries: each digit with the pause after it, the first also with what is before it."""
    starts = [0, *sequence.boundaries[:-1]]
    return [
        Recording(sequence.audio[start:end], digit, sequence.speaker, 0, sequence.sample_rate, take)
        for start, end, digit, take in zip(starts, sequence.boundaries, sequence.digits, sequence.takes, strict=True)
    ]


class Drawn(Series[Sequence]):
    """`count` sequences, each joined anew when it is asked for: 10,000 of them in memory would take half a gigabyte."""

    def __init__(self, count: int, join_one: Callable[[int], Sequence]) -> None:
        self._count = count
        self._join_one = join_one

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        """Sequence number index, from 0; a slice gives a list."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(f"sequence {index} of {self._count}")
        return self._join_one(index)


def draw_free(
    recordings: Series[Recording], options: SequenceOptions, name: str, count: int, seed: int
) -> Series[Sequence]:
    """`count` sequences of test recordings, their digits drawn uniformly whatever is held out: one of `FREE_SPLITS`.

    `any` has one to options.max_digits digits, numbers of digits in rotation and speakers in equal shares; the
    others, longer than in any training, have numbers of digits out of `LONG_DIGITS` and speakers that are drawn.
    """
    free = replace(options, hold_outs=(), length_weights=None)
    if name != "any":
        low, high = LONG_DIGITS[name]
        return Drawn(
            count, SequenceStream(recordings, replace(free, min_digits=low, max_digits=high), seed).__getitem__
        )
    names = sorted({item.speaker for item in recordings})
    lengths = range(1, options.max_digits + 1)
    streams = {
        (speaker, length): SequenceStream(
            recordings, replace(free, min_digits=length, max_digits=length, speakers=(speaker,)), seed
        )
        for speaker in names
        for length in lengths
    }

    def join_one(index: int) -> Sequence:
        cycle, place = divmod(index, len(names))
        speaker = names[np.random.default_rng([seed, cycle]).permutation(len(names))[place]]
        return streams[speaker, lengths[index % len(lengths)]][index]

    return Drawn(count, join_one)


def draw_single(recordings: Series[Recording], options: SequenceOptions) -> list[Sequence]:
    """Single digits of the recordings, silence around them."""
    stream = SequenceStream(recordings, replace(options, min_digits=1, max_digits=1), 0)
    return [stream[i] for i in range(SINGLE_REFERENCE)]


def spelled(sequence: Sequence) -> Sequence:
    """The same recording, its text in number words: "4 7" as "four seven"."""
    return replace(sequence, text=" ".join(NUMBER_WORDS[digit] for digit in sequence.digits))


class Real(NamedTuple):
    """What files of any system are held against."""

    sequences: list[Sequence]
    """One of each text."""
    limits: Limits
    reference: list[Sequence]
    """As `Material.reference`, where every text is one digit; else empty."""


def for_texts(texts: Series[str], source: Path, seed: int) -> Real:
    """A real sequence of each text, joined of test recordings of one speaker, and the limits of real speech.

    Who says a text and by which recordings is drawn from the seed. Raises: InputError for a corpus that is not whole.
    """
    recordings = build_recordings(source)
    options = SequenceOptions()
    rng = np.random.default_rng(seed)
    by_speaker_and_digit: dict[tuple[str, int], list[Recording]] = {}
    for item in recordings["test"]:
        by_speaker_and_digit.setdefault((item.speaker, item.digit), []).append(item)
    real = []
    for text in texts:
        speaker = SPEAKERS[int(rng.integers(len(SPEAKERS)))]
        choices = [by_speaker_and_digit[speaker, digit] for digit in digits_of(words(text))]
        real.append(join([items[int(rng.integers(len(items)))] for items in choices], options, rng))
    training = SequenceStream(recordings["train"], options, 0)
    single = all(len(item.digits) == 1 for item in real)
    return Real(
        real,
        limits_of(training[i] for i in range(LIMIT_SEQUENCES)),
        draw_single(recordings["train"], options) if single else [],
    )


def limits_of(sequences: Iterable[Sequence]) -> Limits:
    """The longest closing silence and the longest segment in real sequences, at least one."""
    trailing, segment = [], []
    for item in sequences:
        trailing.append(measure_sound(item.audio, item.sample_rate).trailing_seconds)
        segment.append(float(np.diff(item.boundaries, prepend=0).max()) / item.sample_rate)
    return Limits(max(trailing), max(segment))


def _notes(splits: Series[str], trained: Trained, max_digits: int) -> list[str]:
    sequences = trained.sequences
    longest = TRAINED_LENGTH if "length" in sequences.hold_outs else sequences.max_digits
    notes = [
        f"{name}: the voice's training did not hold these combinations out, so they may not be new to it"
        for name in splits
        if name in HELD_OUT and name != "length" and HELD_OUT[name] not in sequences.hold_outs
    ]
    if longest < max_digits and set(splits) & {*FIXED_SPLITS, "words", "any"}:
        notes.append(
            f"the voice's training had at most {longest} digits at once: longer texts are new to it in every split"
        )
    return notes
