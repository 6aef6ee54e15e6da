"""What a voice is judged on: a voice of digits on FSDD or a dataset, any other one on the corpus of its own words."""

from collections.abc import Sequence as Series
from dataclasses import replace
from itertools import islice
from pathlib import Path

from data_recipes.corpora import load_corpus
from data_recipes.corpus import Recording
from data_recipes.prompt_words import LANGUAGES
from data_recipes.sequences import DIGITS, Sequence, SequenceStream
from tts.core.errors import InputError
from tts.evaluation.numbers import DRAWN, draw_numbers
from tts.evaluation.test_sets import (
    HELD_OUT,
    LIMIT_SEQUENCES,
    Material,
    Trained,
    check_splits,
    draw_split,
    draw_training,
    from_dataset,
    from_source,
    limits_of,
    training_notes,
)
from tts.evaluation.utterance import Unit
from tts.text.normalize import is_digits
from tts.voice import Voice


def unit_of(voice: Voice) -> Unit:
    """What a voice's errors are counted in."""
    return "digit" if is_digits(voice.vocabulary) else "word"


def for_voice(
    voice: Voice,
    data: Path | None,
    source: Path | None,
    splits: Series[str],
    count: int,
    seed: int,
    most: int,
    progress: bool,
) -> Material:
    """Material for a voice: of the dataset `data` if there is one, else of the corpus `source`; None downloads FSDD.

    Args: as `from_source`; most, digits or words of the longest texts.

    Raises: InputError as `from_dataset`, `from_source` and `from_corpus`, or where the voice lacks a digit.
    """
    if unit_of(voice) == "word":
        if data:
            raise InputError("--data has digits only, and the voice says other words; give its corpus as --source")
        return from_corpus(voice, source, splits, count, seed, most, progress)
    check_digits(voice)
    asked = (splits, count, seed, voice.speakers, voice.sample_rate)
    if data:
        return from_dataset(data, *asked, most)
    return from_source(source, *asked, Trained.of(voice.config.training), most, progress)


def check_digits(voice: Voice) -> None:
    """Raises: InputError if a voice says other words than digits, or not all digits, which are asked of it."""
    if strange := [word for word in voice.vocabulary if not is_digits([word])]:
        found = f"the voice {voice.name} says {strange[0]!r} and {len(strange) - 1} other words that are none"
        raise InputError(f"the texts are of digits only, and {found}; give a voice of digits")
    if missing := [digit for digit in DIGITS if digit not in voice.vocabulary]:
        found = f"the voice {voice.name} does not say {', '.join(missing)}"
        raise InputError(f"{found}, and the texts of an evaluation have all ten digits; give a voice of those")


def from_corpus(
    voice: Voice, source: Path | None, splits: Series[str], count: int, seed: int, most: int, progress: bool = False
) -> Material:
    """Material for a voice of any words, from the corpus that its own record names, `prompts` where it names none.

    Its texts are combinations of words, and numbers that the training never had. The ground truth is the corpus's
    test recordings joined; one with a single take of a word has no others than those of the training.

    Raises: InputError for an unknown split, a corpus that lacks the speakers or the words, or a split with fewer texts.
    """
    check_splits(splits, "word")
    trained = Trained.of(voice.config.training)
    recordings = _recordings(voice, source, trained, progress)
    options = trained.options(most)

    def drawn(name: str) -> Series[Sequence]:
        if name in DRAWN:
            language = voice.config.language
            return draw_numbers(recordings["test"], options, trained.sequences, name, language, count, seed)
        found = draw_split(recordings, options, name, count, seed)
        if name in HELD_OUT and (held := len({item.text for item in found})) < count:
            raise InputError(f"--n {count}: split {name} has {held} combinations of words; ask for at most {held}")
        return found

    notes = ["errors are of words, and recognized is what the judge whisper wrote, read as words (docs/evaluation.md)"]
    return Material(
        {name: drawn(name) for name in splits},
        limits_of(islice(SequenceStream(recordings["train"], options, 0), LIMIT_SEQUENCES)),
        voice.sample_rate,
        [*notes, *training_notes(splits, trained, most, "word")],
        unit="word",
        training=draw_training(recordings["train"], options),
    )


def _recordings(voice: Voice, source: Path | None, trained: Trained, progress: bool) -> dict[str, list[Recording]]:
    """The recordings of the voice's words by its speakers, by split, prepared as its training prepared them."""
    name, chosen = trained.corpus, trained.corpus_options
    if name == "prompts" and not chosen.languages and voice.config.language in LANGUAGES:
        chosen = replace(chosen, languages=(voice.config.language,))
    prepared = replace(trained.recordings, sample_rate=voice.sample_rate)
    speakers = None if chosen.one_speaker else voice.speakers
    sources = [source] if source else []
    corpus = load_corpus(name, sources, prepared, speakers, chosen, progress=progress)
    splits = {
        split: [item for item in items if item.word in voice.vocabulary and item.speaker in voice.speakers]
        for split, items in corpus.splits.items()
    }
    if missing := sorted(set(voice.vocabulary) - {item.word for item in splits["test"]}):
        found = f"the corpus has no recording of {missing[0]!r} and {len(missing) - 1} other words of the voice"
        raise InputError(f"{found}; evaluate it on the recordings that it was trained on")
    return splits
