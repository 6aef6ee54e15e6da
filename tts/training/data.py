"""A run's data by its config: recordings, stream of sequences, validation sequences, word vectors."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from data_recipes.augment import augmenter
from data_recipes.build import ALONE
from data_recipes.corpora import load_corpus
from data_recipes.corpus import Recording, RecordingOptions, prepare
from data_recipes.dataset import read_recipe
from data_recipes.fsdd import build_takes
from data_recipes.rows import ShuffledRows
from data_recipes.sequences import DIGITS, Sequence, SequenceOptions, SequenceStream, fixed_split
from tts.audio import read, resample
from tts.core import config as configs
from tts.core.errors import InputError
from tts.text import normalize as text
from tts.text.encoder import TextEncoder
from tts.training.batches import Batch, Collate, Stream, WordVectors
from tts.training.config import FILLED_IN, DataConfig, RunConfig

VALIDATION_SEED = 1000
VALIDATED_TOGETHER = 2
"""Sequences a batch: all their frames are loss frames, so each takes several times the memory that training takes."""


@dataclass
class Repeat:
    """A stream that is one sequence, repeated."""

    sequence: Sequence

    def __getitem__(self, index: int) -> Sequence:
        return self.sequence


@dataclass
class Augmented:
    """A stream whose sequence i is augmented by draws that depend on the options and i only."""

    stream: Stream
    apply: Callable[[Sequence, int], Sequence]

    def __getitem__(self, index: int) -> Sequence:
        return self.apply(self.stream[index], index)


@dataclass
class TrainingData:
    """Everything about the data that the loop needs."""

    stream: Stream
    validation: list[Sequence]
    speakers: tuple[str, ...]
    vectors: WordVectors
    sample_rate: int
    collate: Collate
    """For validation: every frame a loss frame, none dropped."""
    vocabulary: tuple[str, ...] = DIGITS
    """The words of the recordings, sorted."""
    language: str = "en"
    """Of the words, by ISO 639-1; of several languages the first."""

    def validation_batches(self, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Process `rank` of `world`'s share of the validation sequences."""
        rng = np.random.default_rng(0)  # nothing that it draws changes these batches
        mine = self.validation[rank::world]
        for start in range(0, len(mine), VALIDATED_TOGETHER):
            yield self.collate(mine[start : start + VALIDATED_TOGETHER], rng)


def load_data(config: RunConfig) -> tuple[RunConfig, TrainingData]:
    """Read the corpus. Returns the config with the model's sizes filled in, and a run's data.

    Raises:
        InputError: a size in the config that is not the data's or the encoder's; the corpus is missing or damaged, an
            unknown speaker, or no validation sequence can be drawn.
    """
    _encoder(config)  # what is wrong with it is said before the corpus is read
    d = config.data
    if d.dataset:
        return _of_dataset(config, d.dataset)
    corpus = load_corpus(d.corpus, d.source, d.recordings, d.speakers or None, d.options)
    recordings = corpus.splits
    present = tuple(sorted({recording.speaker for recording in recordings["train"]}))
    if strangers := sorted({recording.speaker for recording in recordings["validation"]} - set(present)):
        found = f"corpus {d.corpus}: speaker {strangers[0]} has recordings for validation and none for training"
        raise InputError(f"{found}; set data.options.one_speaker=true, or name speakers in data.speakers")
    speakers = present if d.options.one_speaker else d.speakers or present
    more = build_takes(d.self_training, d.recordings, speakers) if d.self_training else []
    config, data = of_recordings(config, recordings, speakers, more)
    return config, replace(data, language=(corpus.languages or ("en",))[0])


def _of_dataset(config: RunConfig, folder: Path) -> tuple[RunConfig, TrainingData]:
    """A run on a dataset that `tts data build` wrote. Returns and raises as `load_data`."""
    recipe = read_recipe(folder)
    options, d = recipe["options"], config.data
    built: dict[str, Any] = {
        "recordings": configs.build(RecordingOptions, options["recordings"]),
        "sequences": configs.build(SequenceOptions, options["sequences"]) if "sequences" in options else ALONE,
    }
    for name, value in built.items():
        if getattr(d, name) not in (value, getattr(DataConfig(), name)):
            raise InputError(f"data.{name} is not what {folder} was built with; leave it out: a run fills it in")
    config = replace(config, data=replace(d, **built))
    vocabulary = tuple(recipe["vocabulary"])
    _check_words(config, vocabulary)
    stream = ShuffledRows(folder, "train", config.seed)
    held = ShuffledRows(folder, "validation", VALIDATION_SEED)
    validation = [held[i] for i in range(min(config.validation.sequences, held.rows))]
    speakers = tuple(sorted(recipe["splits"]["train"]["speakers"]))
    if strangers := sorted({sequence.speaker for sequence in validation} - set(speakers)):
        found = f"{folder}: speaker {strangers[0]} has rows for validation and none for training"
        raise InputError(f"{found}; build it with --one-speaker")
    config, data = _assemble(config, _encoder(config), stream, validation, speakers, vocabulary)
    return config, replace(data, language=(recipe["languages"] or ["en"])[0])


def of_recordings(
    config: RunConfig, recordings: dict[str, list[Recording]], speakers: tuple[str, ...], more: list[Recording]
) -> tuple[RunConfig, TrainingData]:
    """A run's data of recordings of any words, by split as in a `Corpus`. Returns and raises as `load_data`.

    Args: speakers, the recordings', in the order of the model's indices; more, recordings to train on.
    """
    train = [*recordings["train"], *more]
    vocabulary = tuple(sorted({recording.word for recording in train}))
    _check_words(config, vocabulary)
    sequences = config.data.sequences
    stream = SequenceStream(train, sequences, config.seed)
    validation = fixed_split(recordings, sequences, "validation", config.validation.sequences, VALIDATION_SEED)
    return _assemble(config, _encoder(config), stream, validation, speakers, vocabulary)


def _check_words(config: RunConfig, vocabulary: tuple[str, ...]) -> None:
    text.check_vocabulary(vocabulary)
    if config.validation.judged and not text.is_digits(vocabulary):
        strange = next(word for word in vocabulary if not text.is_digits([word]))
        raise InputError(
            f"validation.judged is {config.validation.judged}, but the recognizer knows digits only, and the "
            f"recordings have {strange!r}; set validation.judged: 0"
        )


def one_file(config: RunConfig, path: Path, spoken: str) -> tuple[RunConfig, TrainingData]:
    """A run on one recording, which shows that the model can learn at all. Returns as `load_data`.

    Args: config, of whose `data` section only `recordings` is used; spoken, the recording's text, "4 7 2" or
    "three hundred": its segments are taken to be equally long.
    """
    encoder = _encoder(config)
    words = text.any_words(spoken)
    vocabulary = tuple(sorted(set(words)))
    _check_words(config, vocabulary)
    options = config.data.recordings
    wave, sample_rate = read(path)
    prepared = prepare(resample(wave, sample_rate, options.sample_rate), options)
    if prepared is None:
        raise InputError(f"{path} holds silence only; use a recording of speech")
    ends = [round(len(prepared) * (k + 1) / len(words)) for k in range(len(words))]
    rate = options.sample_rate
    sequence = Sequence(prepared, " ".join(words), words, "speaker", [path.stem], ends, rate, "seen")
    return _assemble(config, encoder, Repeat(sequence), [sequence], ("speaker",), vocabulary)


def _encoder(config: RunConfig) -> TextEncoder:
    encoder = TextEncoder(config.text)
    _check_filled_in(config, word_dim=encoder.width)
    return encoder


def _check_filled_in(config: RunConfig, **sizes: int) -> None:
    """Refuse sizes in the config that are neither the defaults nor what the run fills in."""
    for name, size in sizes.items():
        if (given := getattr(config.model, name)) not in (size, getattr(FILLED_IN, name)):
            raise InputError(f"model.{name} is {given}, but this run's is {size}; leave it out: a run fills it in")


def _assemble(
    config: RunConfig,
    encoder: TextEncoder,
    stream: Stream,
    validation: list[Sequence],
    speakers: tuple[str, ...],
    vocabulary: tuple[str, ...],
) -> tuple[RunConfig, TrainingData]:
    _check_filled_in(config, n_speakers=len(speakers))
    model = replace(config.model, word_dim=encoder.width, n_speakers=len(speakers))
    config = replace(config, model=model, text=config.text.with_layer())
    vectors = WordVectors(encoder)
    # Encoded before any loader worker is forked, so that with `context: word` the workers need no encoder.
    vectors([[word] for word in vocabulary])
    if encoder.config.context == "word":
        encoder.release()
    collate = Collate(config.model, speakers, vectors)
    rate = config.data.recordings.sample_rate
    if config.data.augment.changes:
        stream = Augmented(stream, augmenter(config.data.augment, rate))
    return config, TrainingData(stream, validation, speakers, vectors, rate, collate, vocabulary)
