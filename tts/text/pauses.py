"""Pauses that a text holds: "4, 7" has a short one, "4 [0.5s] 7" one of exactly half a second."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tts.core.errors import InputError
from tts.core.messages import shown

SHORT_SECONDS = 0.25
"""Of the pause at a comma, and between the groups of a telephone number."""
MAX_SECONDS, MAX_SECONDS_OF_A_TEXT = 10.0, 120.0
"""The longest exact pause at one place; all exact pauses of a text."""

_PAUSE = re.compile(r"\[[^\[\]]{0,100}\]|[,\uff0c\u060c](?=\s)|\u3001|[\[\]]")  # full-width, Arabic, ideographic comma
_SECONDS = re.compile(r"\[\s*([0-9]{1,9}|[0-9]{0,9}\.[0-9]{1,9})\s*(ms|s)\s*\]", re.IGNORECASE)


@dataclass(frozen=True)
class Pause:
    """A written pause, of so many seconds; None: short, and made only between two words."""

    seconds: float | None = None


SHORT = Pause()


@dataclass(frozen=True)
class Reading:
    """The words of a text and the pauses between them."""

    words: list[str]
    """(W,)."""
    pauses: list[float]
    """(W + 1,) seconds: before the first word, then after each word."""

    def replaced(self, parts: Callable[[str], list[str]]) -> "Reading":
        """With other words for each word; the pause after it comes after the last of them."""
        spoken: list[str] = []
        pauses = self.pauses[:1]
        for word, pause in zip(self.words, self.pauses[1:], strict=True):
            found = parts(word)
            spoken += found
            pauses += [0.0] * len(found)
            pauses[-1] += pause
        return Reading(spoken, pauses)


def split_pauses(text: str) -> list[str | Pause]:
    """A text as pieces and the pauses between them.

    Raises InputError: a bracket that is no pause, or pauses that are too long.
    """
    found: list[str | Pause] = []
    end, whole = 0, 0.0
    for match in _PAUSE.finditer(text):
        found.append(text[end : match.start()])
        end = match.end()
        if match[0][0] not in "[]":
            found.append(SHORT)
            continue
        if not (written := _SECONDS.fullmatch(match[0])):
            raise InputError(f"the text holds {shown(match[0])}, which is no pause; write one as [0.5s] or [300ms]")
        seconds = float(written[1]) / (1000 if written[2].lower() == "ms" else 1)
        if seconds > MAX_SECONDS:
            raise InputError(f"the pause {match[0]} is too long; one may last {MAX_SECONDS:g} s")
        whole += seconds
        found.append(Pause(seconds))
    if whole > MAX_SECONDS_OF_A_TEXT:
        raise InputError(
            f"the pauses of the text last {whole:g} s; at most {MAX_SECONDS_OF_A_TEXT:g} s fit in one text"
        )
    return [*found, text[end:]]


def joined(items: list[str | Pause]) -> Reading:
    """Words and pauses apart. Where exact pauses stand between two words, a short one there adds nothing.

    Raises InputError: exact pauses at one place are together too long.
    """
    spoken: list[str] = []
    pauses, short = [0.0], False
    for item in items:
        if isinstance(item, str):
            if short and spoken and not pauses[-1]:
                pauses[-1] = SHORT_SECONDS
            spoken.append(item)
            pauses.append(0.0)
            short = False
        elif item.seconds is None:
            short = True
        else:
            pauses[-1] += item.seconds
            if pauses[-1] > MAX_SECONDS:
                raise InputError(f"the text pauses {pauses[-1]:g} s at one place; it may do so for {MAX_SECONDS:g} s")
    return Reading(spoken, pauses)
