"""How sure the recognizer is of each digit, so that it can reject speech that holds none.

CTC's own probabilities say little about that: no other words were in the recognizer's training, so it takes them for
digits with nearly the same probability. A small network gets the outputs of its layers around a recognized digit and
gives the probability that it is one. The recognizer itself is the same with and without it.

Letters as in `tts.recognition.model`: B batch, N frames of 20 ms, D width.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

BEFORE, AFTER = 40, 15
"""Frames before and after the place of a digit on CTC's path that belong to it, as far as no other digit is there."""

POOLS = 3  # mean and maximum over the digit's frames, mean over its place on the path


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


def pooled(layers: list[Tensor], found: list[Place]) -> Tensor:
    """One vector for each digit. layers: of one utterance, each (N, D) -> (digits, POOLS x sum of the widths)."""
    vectors = []
    for place in found:
        own = [(x[place.low : place.high], x[place.start : place.end]) for x in layers]
        vectors.append(torch.cat([y for near, on in own for y in (near.mean(0), near.amax(0), on.mean(0))]))
    return torch.stack(vectors)


class ConfidenceNet(nn.Module):
    """From pooled layers (B, POOLS x sum of the widths) to the logit that it is a digit (B,)."""

    def __init__(self, inputs: int, hidden: int = 64) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.second(torch.relu(self.first(x)))[:, 0]
        return logits
