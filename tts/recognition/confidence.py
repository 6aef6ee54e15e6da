"""How sure the recognizer is of each digit, so that it can reject speech that holds none.

CTC's own probabilities say little about that: no other words were in the recognizer's training, so it takes them for
digits with nearly the same probability. A small network gets the outputs of its layers around a recognized digit and
gives the probability that it is one. The recognizer itself is the same with and without it.

Letters as in `tts.recognition.model`: B batch, N frames of 20 ms, D width.
"""

import torch
from torch import Tensor, nn

from tts.recognition.digits import Place


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
