"""Checks of what a program gives the methods that speak many texts."""

from collections.abc import Iterable, Iterator
from typing import Any

from tts.core.errors import InputError
from tts.core.sampling import integer


def refuse_no_list(kind: type, **given: Any) -> None:
    """Raise InputError where an argument is no list, or a string, which is a list of letters that nobody means.

    Args:
        kind: what a list must be able to do: Iterable, or Sized as well.
        given: the arguments by name, `texts` among them; each but `texts` may be None.
    """
    for name, values in given.items():
        if values is None and name != "texts":
            continue
        if isinstance(values, str | bytes) or not isinstance(values, kind):
            raise InputError(f"{name} is {one_line(values)}; give a list, or say one text by speak")


def checked_streams(streams: int) -> int:
    """How many texts are made at a time, at least 1. Raises InputError."""
    if integer("streams", streams) < 1:
        raise InputError(f"streams is {streams}; at least 1 text must be made at a time")
    return int(streams)


def long_enough(name: str, values: Iterable[Any]) -> Iterator[Any]:
    """The values, and InputError where more are asked for."""
    yield from values
    raise InputError(f"there are more texts than {name}; give one for each text")


def one_line(value: Any) -> str:
    """A value for a message: on one line, cut short."""
    return " ".join(repr(value).split())[:40]


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(names) or "(none)"
