"""Values and names as error messages hold them."""

from collections.abc import Iterable
from typing import Any


def one_line(value: Any) -> str:
    """A value for a message: on one line, cut short."""
    return " ".join(repr(value).split())[:40]


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(names) or "(none)"
