"""Where the recognizer finds digits, and what is said of each; no torch. Letters: N frames of 20 ms."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

BEFORE, AFTER = 40, 15
"""Frames before and after the place of a digit on CTC's path that belong to it, as far as no other digit is there."""


@dataclass(frozen=True)
class Place:
    """Where a digit stands on CTC's path: frames start to end; low to high are the frames that are taken as its own."""

    digit: int
    start: int
    end: int
    low: int
    high: int


def places(path: np.ndarray, blank: int) -> list[Place]:
    """The digits of CTC's best path (N,) int, repeats merged and blanks left out."""
    starts = np.flatnonzero(np.diff(path, prepend=-1))
    ends = [*starts[1:].tolist(), len(path)]
    runs = [(int(path[s]), int(s), e) for s, e in zip(starts, ends, strict=True) if path[s] != blank]
    found = []
    for k, (digit, start, end) in enumerate(runs):
        low = max(runs[k - 1][2] if k else 0, start - BEFORE)
        high = min(runs[k + 1][1] if k + 1 < len(runs) else len(path), end + AFTER)
        found.append(Place(digit, start, end, low, high))
    return found


class SpokenDigit(NamedTuple):
    """A digit, how sure it is that it was one, and about when it was said, in seconds."""

    digit: int
    confidence: float
    start: float
    end: float
