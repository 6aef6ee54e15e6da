"""What is said in an evaluation, and the real recordings of the same texts.

Test recordings are joined as the voice's training joined its own, so that the recognizer's error on them, the ground
truth, is the least that the voice can reach. Everything depends on the arguments alone.
"""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Series
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from data_recipes.corpus import CorpusOptions, Recording, RecordingOptions
from data_recipes.fsdd import SPEAKERS, build_recordings
from data_recipes.rows import rows_of, to_sequence
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
from tts.core import config as configs
from tts.core.errors import InputError
from tts.core.files import is_folder
from tts.evaluation.metrics import group_by
from tts.evaluation.numbers import DRAWN
from tts.evaluation.utterance import NO_LIMITS, Limits, Unit, measure_sound
from tts.text.normalize import DIGIT_NAMES, digits, words

SPLITS = (
    *("test_seen", "test_unseen", "bigram", "position", "length", "repeat"),
    *("long", "words", "single", "digits20", "digits100", "any", "cardinal", "time"),
)
"""What can be asked for: as in the data; `long`, `digits20`, `digits100` (`LONG_DIGITS`); `words` (`test_seen` as
number words); `single`, one digit at a time, on which the quality of the sound is measured; `any`, what comes, whatever
is held out; numbers (`numbers.DRAWN`). A split's place decides the seeds that it is spoken with, so new ones are added
at the end."""
SPLITS_OF: dict[Unit, tuple[str, ...]] = {
    "digit": tuple(name for name in SPLITS if name not in DRAWN),
    "word": tuple(name for name in SPLITS if name not in ("words", "digits20", "digits100")),
}
"""Those of a voice of digits, and those of a voice of other words."""

HELD_OUT = {"test_unseen": "unseen", "bigram": "bigram", "position": "position", "repeat": "repeat", "length": "length"}
LONG_DIGITS = {"long": (6, 20), "digits20": (20, 20), "digits100": (100, 100)}
"""Fewest and most digits of the splits that are drawn whatever is held out, beside `any`."""
FREE_SPLITS = (*LONG_DIGITS, "any")
FILES = "files"
"""The name of the one split of a manifest."""
LIMIT_SEQUENCES = 1000
SINGLE_REFERENCE = 400
OF_SPEAKER = 30
"""Sequences of training recordings that say how a speaker sounds."""
MAX_DIGITS = 5


@dataclass(frozen=True)
class Trained:
    """What a voice's own record says of its training data; defaults where it says nothing."""

    recordings: RecordingOptions = field(default_factory=RecordingOptions)
    sequences: SequenceOptions = field(default_factory=SequenceOptions)
    corpus: str = "prompts"
    """Of a voice of other words than digits, and what is taken of it."""
    corpus_options: CorpusOptions = field(default_factory=CorpusOptions)

    @classmethod
    def of(cls, training: Mapping[str, Any]) -> "Trained":
        """Read `VoiceConfig.training`. Raises: InputError for options that this version does not know."""
        data: Any = training
        for key in ("config", "data"):
            data = data.get(key) if isinstance(data, Mapping) else None
        data = data if isinstance(data, Mapping) else {}
        kinds: dict[str, Any] = {"recordings": RecordingOptions, "sequences": SequenceOptions, "options": CorpusOptions}
        recordings, sequences, options = (
            configs.build(kind, data.get(name) or {}, f"training.config.data.{name}.") for name, kind in kinds.items()
        )
        return cls(recordings, sequences, data.get("corpus", "prompts"), options)

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
    """Single digits joined of training recordings, what single digits are compared with; else empty."""
    unit: Unit = "digit"
    training: list[Sequence] = field(default_factory=list)
    """`OF_SPEAKER` sequences of each speaker, joined of training recordings; none without a corpus."""


def check_splits(names: Series[str], unit: Unit = "digit") -> None:
    """Raises: InputError for no split, one that is unknown or of other voices, or one named twice."""
    allowed = ", ".join(SPLITS_OF[unit])
    if not names:
        raise InputError(f"no split is named; choose among {allowed}")
    for name in names:
        if name not in SPLITS:
            raise InputError(f"split {name!r} is unknown; choose among {allowed}")
        if name not in SPLITS_OF[unit]:
            kind = "other words than digits" if unit == "digit" else "digits alone"
            raise InputError(f"split {name} is of voices that say {kind}; choose among {allowed}")
    if len(set(names)) != len(names):
        raise InputError(f"splits are {', '.join(names)}; name each once")


def shared_speakers(voice: Series[str], corpus: Iterable[str]) -> tuple[str, ...]:
    """The voice's speakers that the corpus has, in the voice's order. Raises: InputError if there is none."""
    present = set(corpus)
    if shared := tuple(name for name in voice if name in present):
        return shared
    raise InputError(
        f"the voice speaks as {', '.join(voice)} and the data has {', '.join(sorted(present))}; "
        "evaluate it on data with one of its speakers"
    )


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
    """Material from FSDD's own files, resampled to the voice's sample rate in Hz, for its speakers.

    Args: source, the corpus; None downloads it; count, texts in each split; trained, how the voice's training prepared
        and joined its recordings; max_digits, of the longest texts, but for `LONG_DIGITS`.

    Raises: InputError for an unknown split, no speaker in common, a split without combinations or with fewer than
        `count`, or a corpus that is not whole.
    """
    check_splits(splits)
    trained = trained or Trained()
    options = trained.options(max_digits)
    shared = shared_speakers(speakers, SPEAKERS)
    for name in splits:  # counted before the corpus is read, which takes seconds
        if name in HELD_OUT and (held := count_combinations(options, name, most=count)) < count:
            raise InputError(
                f"--n {count}: split {name} has {held} combinations of {options.min_digits} to {options.max_digits} "
                f"digits; ask for at most {held}" + ("" if held else ", or leave the split out")
            )
    prepared = replace(trained.recordings, sample_rate=sample_rate)
    recordings = build_recordings(source, prepared, shared, progress=progress)
    return Material(
        {name: draw_split(recordings, options, name, count, seed) for name in splits},
        limits_of(islice(SequenceStream(recordings["train"], options, 0), LIMIT_SEQUENCES)),
        sample_rate,
        training_notes(splits, trained, max_digits),
        draw_single(recordings["train"], options) if "single" in splits else [],
        training=draw_training(recordings["train"], options),
    )


def draw_split(
    recordings: dict[str, list[Recording]], options: SequenceOptions, name: str, count: int, seed: int
) -> Series[Sequence]:
    """`count` sequences of one of `SPLITS` but those of numbers."""
    if name in FREE_SPLITS:
        return draw_free(recordings["test"], options, name, count, seed)
    if name == "single":
        options = replace(options, max_digits=1)
    split = name if name in FIXED_SPLITS else "test_seen"
    found = fixed_split(recordings, options, split, count, seed)
    return [spelled(item) for item in found] if name == "words" else found


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
    has: dict[str, Any] = recipe["splits"]
    shared = shared_speakers(speakers, (name for split in has.values() for name in split["speakers"]))
    found: dict[str, Series[Sequence]] = {}
    pieces: list[Recording] = []
    for name in splits:
        stored = name if name in FIXED_SPLITS else "test_seen"
        if stored not in has:
            raise InputError(f"{folder} has no split {stored}; it has {', '.join(has)}")
        every = read_rows(folder, stored, shared)
        if name in FREE_SPLITS:
            pieces = pieces or [segment for row in every for segment in segments(row)]
            found[name] = draw_free(pieces, SequenceOptions(max_digits=max_digits), name, count, seed)
            continue
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
    one_digit = (row for row in read_rows(folder, "train", shared) if len(row.digits) == 1)
    reference = list(islice(one_digit, SINGLE_REFERENCE)) if "single" in splits else []
    training = [row for speaker in shared for row in islice(read_rows(folder, "train", (speaker,)), OF_SPEAKER)]
    return Material(found, limits, sample_rate, [], reference, training=training)


def read_rows(folder: Path, split: str, speakers: Series[str]) -> Iterable[Sequence]:
    """The rows of a dataset's split that these speakers say, in order, read as they are asked for."""
    for row in rows_of(folder, split):
        if "digits" not in row:
            raise InputError(f"{folder} has words that are no digits, which the recognizer does not know")
        if row["speaker"] in speakers:
            yield replace(to_sequence(row), words=list(map(str, row["digits"])))


def segments(sequence: Sequence) -> list[Recording]:
    """A sequence cut at its boundaries: each digit with the pause after it, the first also with what is before it."""
    waves = np.split(sequence.audio, sequence.boundaries[:-1])
    return [
        Recording(wave, word, sequence.speaker, 0, sequence.sample_rate, take)
        for wave, word, take in zip(waves, sequence.words, sequence.takes, strict=True)
    ]


class Drawn(Series[Sequence]):
    """`count` sequences, each joined anew when it is asked for: 10,000 of them in memory would take half a gigabyte."""

    def __init__(self, count: int, join_one: Callable[[int], Sequence]) -> None:
        self._indices = range(count)
        self._join_one = join_one

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: Any) -> Any:
        """Sequence number index, from 0; a slice gives a list."""
        chosen = self._indices[index]
        return [*map(self._join_one, chosen)] if isinstance(chosen, range) else self._join_one(chosen)


def draw_free(
    recordings: Series[Recording], options: SequenceOptions, name: str, count: int, seed: int
) -> Series[Sequence]:
    """`count` sequences of test recordings, their digits drawn uniformly whatever is held out: one of `FREE_SPLITS`.

    `any` has one to options.max_digits digits, numbers of digits in rotation and speakers in equal shares; the
    others, longer than in any training, have numbers of digits out of `LONG_DIGITS` and speakers that are drawn.
    """

    def stream(low: int, high: int, speakers: tuple[str, ...] | None) -> SequenceStream:
        free = replace(options, hold_outs=(), length_weights=None, speakers=speakers, min_digits=low, max_digits=high)
        return SequenceStream(recordings, free, seed)

    if name != "any":
        return Drawn(count, stream(*LONG_DIGITS[name], options.speakers).__getitem__)
    names = sorted({item.speaker for item in recordings})
    lengths = range(1, options.max_digits + 1)
    streams = {(speaker, length): stream(length, length, (speaker,)) for speaker in names for length in lengths}

    def join_one(index: int) -> Sequence:
        cycle, place = divmod(index, len(names))
        speaker = names[np.random.default_rng([seed, cycle]).permutation(len(names))[place]]
        return streams[speaker, lengths[index % len(lengths)]][index]

    return Drawn(count, join_one)


def draw_single(recordings: Series[Recording], options: SequenceOptions) -> list[Sequence]:
    """Single digits of the recordings, silence around them."""
    stream = SequenceStream(recordings, replace(options, min_digits=1, max_digits=1), 0)
    return [*islice(stream, SINGLE_REFERENCE)]


def draw_training(recordings: Series[Recording], options: SequenceOptions) -> list[Sequence]:
    """`OF_SPEAKER` sequences of each speaker, joined of the recordings."""
    speakers = sorted({item.speaker for item in recordings})
    streams = [SequenceStream(recordings, replace(options, speakers=(speaker,)), 0) for speaker in speakers]
    return [item for stream in streams for item in islice(stream, OF_SPEAKER)]


def spelled(sequence: Sequence) -> Sequence:
    """The same recording, its text in number words: "4 7" as "four seven"."""
    return replace(sequence, text=" ".join(DIGIT_NAMES[digit] for digit in sequence.digits))


def for_texts(texts: Series[str], source: Path | None, seed: int) -> Material:
    """What files of any system are held against: one split, `FILES`, with a real sequence of each text.

    Each is joined of test recordings of one speaker; who says a text and by which recordings is drawn from the seed.
    There is a reference where every text is one digit; without a corpus there is nothing but a note of that.

    Raises: InputError for a corpus that is not whole.
    """
    if source is None:
        note = "no real recordings were given: there is no ground truth, and nothing counts as over-run"
        return Material({FILES: []}, NO_LIMITS, 0, [note])
    recordings = build_recordings(source)
    options = SequenceOptions()
    rng = np.random.default_rng(seed)
    by_speaker_and_digit = group_by(recordings["test"], lambda item: (item.speaker, item.digit))
    real = []
    for text in texts:
        speaker = SPEAKERS[int(rng.integers(len(SPEAKERS)))]
        choices = [by_speaker_and_digit[speaker, digit] for digit in digits(words(text))]
        real.append(join([items[int(rng.integers(len(items)))] for items in choices], options, rng))
    single = all(len(item.digits) == 1 for item in real)
    return Material(
        {FILES: real},
        limits_of(islice(SequenceStream(recordings["train"], options, 0), LIMIT_SEQUENCES)),
        real[0].sample_rate,
        [],
        draw_single(recordings["train"], options) if single else [],
        training=draw_training(recordings["train"], options),
    )


def limits_of(sequences: Iterable[Sequence]) -> Limits:
    """The longest closing silence and the longest segment in real sequences, at least one."""
    trailing, segment = [], []
    for item in sequences:
        trailing.append(measure_sound(item.audio, item.sample_rate).trailing_seconds)
        segment.append(float(np.diff(item.boundaries, prepend=0).max()) / item.sample_rate)
    return Limits(max(trailing), max(segment))


def training_notes(splits: Series[str], trained: Trained, most: int, unit: Unit = "digit") -> list[str]:
    """What in these splits, of up to `most` digits or words, the voice's training did or did not have."""
    sequences = trained.sequences
    longest = TRAINED_LENGTH if "length" in sequences.hold_outs else sequences.max_digits
    notes = [
        f"{name}: the voice's training did not hold these combinations out, so they may not be new to it"
        for name in splits
        if name in HELD_OUT and name != "length" and HELD_OUT[name] not in sequences.hold_outs
    ]
    if longest < most and set(splits) & {*FIXED_SPLITS, "words", "any"}:
        notes.append(
            f"the voice's training had at most {longest} {unit}s at once: longer texts are new to it in every split"
        )
    return notes
