"""Many texts: checks of what a program gives for them, and speaking them in their order."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import Any

from tts.core.errors import InputError
from tts.core.messages import shown
from tts.core.sampling import integer
from tts.generation.interface import Engine, SynthesisRequest
from tts.voice.result import Audio, CheckedText


def one_each(
    texts: Sequence[str], speakers: Sequence[str | None] | None, seeds: Sequence[int] | None
) -> Iterator[tuple[str, str | None, int]]:
    """Text, speaker and seed of each text; see `Voice.speak_batch`. Raises InputError where they do not fit."""
    _refuse_no_list(Sized, texts=texts, speakers=speakers, seeds=seeds)
    speakers = [None] * len(texts) if speakers is None else speakers
    seeds = range(len(texts)) if seeds is None else seeds
    for name, given in (("speakers", speakers), ("seeds", seeds)):
        if len(given) != len(texts):
            raise InputError(f"{len(texts)} texts but {len(given)} {name}; give one for each text")
    return zip(texts, speakers, seeds, strict=True)


def numbered(
    texts: Iterable[str], speakers: Iterable[str | None] | None, seeds: Iterable[int] | None
) -> Iterator[tuple[int, str, str | None, int]]:
    """Number from 1, text, speaker and seed of each text; see `Voice.speak_each`.

    Raises InputError where one of them is no list; while iterating, where there are fewer speakers or seeds than texts.
    """
    _refuse_no_list(Iterable, texts=texts, speakers=speakers, seeds=seeds)
    return zip(
        itertools.count(1),
        texts,
        _long_enough("speakers", itertools.repeat(None) if speakers is None else speakers),
        _long_enough("seeds", itertools.count() if seeds is None else seeds),
    )


def checked_streams(streams: int) -> int:
    """How many texts are made at a time, at least 1. Raises InputError."""
    if (count := integer("streams", streams)) < 1:
        raise InputError(f"streams is {streams}; at least 1 text must be made at a time")
    return count


def speak_in_order(
    texts: Iterable[tuple[int, str, str | None, int]],
    check: Callable[[str, str | None, int], CheckedText],
    engine: Engine,
    streams: int | None,
) -> Iterator[Audio]:
    """Speak what `numbered` gives, `streams` at a time, in its order; see `Voice.speak_each`.

    Raises what `texts` or `check` raised, after the utterances before it.
    """
    waiting: deque[CheckedText] = deque()
    failures: list[Exception] = []

    def requests() -> Iterator[SynthesisRequest]:
        try:
            for place, text, speaker, seed in texts:
                try:
                    waiting.append(check(text, speaker, seed))
                except InputError as error:
                    raise InputError(f"text {place}: {error}") from error
                yield waiting[-1].request
        except Exception as error:  # held back until the texts before it have been said
            failures.append(error)

    for result in engine.generate_each(requests(), streams):
        yield waiting.popleft().audio(result)
    if failures:
        raise failures[0]


def _refuse_no_list(kind: type, **given: Any) -> None:
    """Raise InputError where an argument is no `kind` of list, or a string, which is a list of letters nobody means.

    Each but `texts` may be None.
    """
    for name, values in given.items():
        wrong = isinstance(values, str | bytes) or not isinstance(values, kind)
        if wrong and (values is not None or name == "texts"):
            raise InputError(f"{name} is {shown(values)}; give a list, or say one text by speak")


def _long_enough(name: str, values: Iterable[Any]) -> Iterator[Any]:
    """The values, and InputError where more are asked for."""
    yield from values
    raise InputError(f"there are more texts than {name}; give one for each text")
