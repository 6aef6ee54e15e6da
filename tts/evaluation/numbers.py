"""Cardinals and times that a voice's training never had, said with the words of its recordings.

A number is drawn, read as words by `tts.text.reading` and joined of recordings, as the other texts of a test set are.
"""

from collections.abc import Callable, Collection
from collections.abc import Sequence as Series

import numpy as np

from data_recipes.corpus import Recording
from data_recipes.sequences import MAX_TRIES, Sequence, SequenceOptions, join
from data_recipes.splits import TRAINED_LENGTH, combination_split
from tts.core.errors import InputError
from tts.text.normalize import SPOKEN
from tts.text.normalize import words as normalized
from tts.text.reading import ReadMode, fit, read

CARDINAL_DIGITS = (2, 9)
"""Fewest and most digits of a cardinal; numbers of digits come in rotation."""
TRIES_OF_A_LENGTH = 50
"""After so many draws in vain a cardinal has one digit more: few short ones are new to a training."""


def _cardinal(index: int, attempt: int, rng: np.random.Generator) -> str:
    low, high = CARDINAL_DIGITS
    length = low + (index + attempt // TRIES_OF_A_LENGTH) % (high - low + 1)
    return str(rng.integers(10 ** (length - 1), 10**length))


def _time(index: int, attempt: int, rng: np.random.Generator) -> str:
    return f"{rng.integers(24)}:{rng.integers(60):02}"


DRAWN: dict[str, tuple[ReadMode, Callable[[int, int, np.random.Generator], str]]] = {
    "cardinal": ("cardinal", _cardinal),
    "time": ("time", _time),
}
"""Of each split of numbers: how they are read, and how one is drawn."""


def is_new(words: Series[str], trained: SequenceOptions) -> bool:
    """Whether a training with these options cannot have had the words: it held them out, or had no text so long."""
    longest = TRAINED_LENGTH if "length" in trained.hold_outs else trained.max_digits
    return len(words) > longest or combination_split(words, trained.hold_outs) != "seen"


def spoken(text: str, how: ReadMode, language: str, vocabulary: Collection[str]) -> tuple[str, ...] | None:
    """A number as words of a vocabulary; None where it lacks one."""
    words = fit(read(text, how, language), vocabulary, language).words
    if any(word not in vocabulary and word not in SPOKEN for word in words):
        return None
    try:
        return tuple(normalized(" ".join(words), vocabulary))
    except InputError:  # a digit that it has in neither form
        return None


def draw_numbers(
    recordings: Series[Recording],
    options: SequenceOptions,
    trained: SequenceOptions,
    name: str,
    language: str,
    count: int,
    seed: int,
) -> list[Sequence]:
    """`count` different texts of a split out of `DRAWN`, each joined of one speaker's recordings.

    Args: options, how recordings are joined; trained, those of the voice's training, which has none of the texts.
        Speakers come in equal shares.

    Raises: InputError for a language without rules for numbers, or where there are fewer texts that can be said and are
        new to the training.
    """
    how, draw = DRAWN[name]
    rng = np.random.default_rng([seed, list(DRAWN).index(name)])
    of: dict[str, dict[str, list[Recording]]] = {}
    for recording in recordings:
        of.setdefault(recording.speaker, {}).setdefault(recording.word, []).append(recording)
    speakers: list[str] = []
    sequences: list[Sequence] = []
    used: set[tuple[str, ...]] = set()
    for index in range(count):
        speakers = speakers or [sorted(of)[i] for i in rng.permutation(len(of))]
        speaker = speakers.pop()
        for attempt in range(MAX_TRIES):
            words = spoken(draw(index, attempt, rng), how, language, of[speaker])
            if words and words not in used and is_new(words, trained):
                break
        else:
            found = f"{speaker} has words for {index} texts that its training did not have"
            fewer = f"ask for at most {index}, or leave the split out" if index else "leave the split out"
            raise InputError(f"--n {count}: split {name}: {found}; {fewer}")
        used.add(words)
        chosen = [of[speaker][word][int(rng.integers(len(of[speaker][word])))] for word in words]
        sequences.append(join(chosen, options, rng))
    return sequences
