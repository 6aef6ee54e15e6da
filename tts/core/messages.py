"""Values and texts as a message can hold them: on one line, and short."""

import reprlib
from typing import Any


def one_line(text: str) -> str:
    """The text with every control character, line ends first of all, and every half character escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(value: Any) -> str:
    """A value for a message: in one line, and cut where it is long, deep or refers to itself."""
    text = _short.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 2, 60, 60

    def repr_int(self, x: int, level: int) -> str:
        # Python writes no integer of more than 4,300 digits, and one of a hundred helps nobody.
        return repr(x) if x.bit_length() <= 128 else f"an integer of {x.bit_length()} bits"


_short = _Short()


def key_text(key: Any) -> str:
    """A key of a mapping: itself where it is a short text, else as `shown`."""
    return key if isinstance(key, str) and key.isprintable() and len(key) <= 60 else shown(key)
