"""Values and texts as a message can hold them: on one line, and short."""

import reprlib
from typing import Any


def one_line(text: str) -> str:
    """The text with every control character, line ends first of all, and every half character escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def reason(error: Exception, most: int = 160) -> str:
    """What an error says: on one line, and cut."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else f"{text[: most - 1]}…"


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

    def repr_instance(self, x: Any, level: int) -> str:
        return " ".join(super().repr_instance(x, level).split())  # NumPy's arrays have lines


_short = _Short()


def key_text(key: Any) -> str:
    """A key of a mapping: itself where it is a short text, else as `shown`."""
    return key if isinstance(key, str) and key.isprintable() and len(key) <= 60 else shown(key)
