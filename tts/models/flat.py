"""The flat baseline: stacked GRU layers, one step a sample, a softmax over the next code. No text, no speaker.

Reference: Mehri et al. 2017, arXiv 1612.07837, section 3.2, whose baseline is a plain RNN of four layers on samples.

Letters: B batch, T samples, L layers, D dim, Q q_levels.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor, nn

from tts.audio import Coding, Quantization
from tts.core.config import Range, check
from tts.models.config import MOST_CODES, Width


@dataclass(frozen=True)
class FlatConfig:
    """Everything that fixes the shapes and the meaning of the weights."""

    q_levels: Annotated[int, Range(4, MOST_CODES, even=True)] = 256
    """Q: how many codes there are."""
    quantization: Quantization = "mu-law"
    inputs: Literal["reals", "embeddings"] = "reals"
    """reals: the last code as a value in [-1, 1), silence as 0; embeddings: as a row of a learned table."""
    embedding_dim: Width = 256
    layers: Annotated[int, Range(1, 64)] = 3
    """L: recurrent layers, stacked."""
    dim: Width = 512
    """D: width of each."""

    def __post_init__(self) -> None:
        check(self, "flat.")

    @property
    def coding(self) -> Coding:
        """How waves become codes."""
        return Coding(self.q_levels, self.quantization)


class FlatOutput(NamedTuple):
    """What a teacher-forced pass predicts."""

    logits: Tensor
    """(B, T, Q): of the code after each, given that one and all before it."""
    state: Tensor
    """(L, B, D): of all layers after the last code."""


class Flat(nn.Module):
    """The model; `forward` is its teacher-forced pass."""

    def __init__(self, config: FlatConfig) -> None:
        super().__init__()
        self.config = c = config
        width = 1
        if c.inputs == "embeddings":
            width = c.embedding_dim
            self.embedding = nn.Embedding(c.q_levels, width)
        self.rnn = nn.GRU(width, c.dim, num_layers=c.layers, batch_first=True)
        self.output = nn.Linear(c.dim, c.q_levels)
        nn.init.zeros_(self.output.bias)

    def forward(self, codes: Tensor, state: Tensor | None = None) -> FlatOutput:
        """Predict the code after each of (B, T) int64, 0 … Q - 1. state: (L, B, D), what an earlier call left."""
        c = self.config
        if c.inputs == "reals":
            middle = c.q_levels // 2
            inputs = ((codes - middle).to(torch.float32) / middle)[..., None]
        else:
            inputs = self.embedding(codes)
        states, state = self.rnn(inputs, state)
        return FlatOutput(self.output(states), state)
