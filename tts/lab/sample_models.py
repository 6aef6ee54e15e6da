"""Unconditional models of samples, alike for training, evaluation and generation: the flat one, and the two-tier one.

A training takes sequences of T samples out of B long streams in turn. The recurrent state is carried from a sequence
to the next, without gradients: truncated back-propagation through time. It is a buffer, so that a checkpoint has it.

Letters: B streams, T samples, C context, N frames, F frame_size, Q codes, H hist_size.
"""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from tts.models.config import TwoTierConfig
from tts.models.flat import Flat, FlatConfig
from tts.models.two_tier import TwoTier

WITHOUT_TEXT: dict[str, Any] = {
    "word_dim": 1, "text_dim": 1, "speaker_dim": 1, "n_speakers": 1, "units_per_word": 1, "conditioning": "pointer",
    "duration": "implicit", "clock_dim": 0, "pitch_taps": 0,
}  # fmt: skip
"""The text of a model that knows none: one unit that never ends, and no clock."""
NOT_TRAINED = ("unit.", "end", "speaker.", "advance.", "h0", "c0")
"""Weights of text, and the initial state, which is zeros here: most sequences begin from a carried one."""


class SampleModel(nn.Module, ABC):
    """What both have in common."""

    carried: Tensor
    context: int
    """C: codes before the first one that is predicted."""
    block: int = 1
    """Predictions come in multiples of this."""
    q_levels: int

    @abstractmethod
    def predict(self, codes: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor]:
        """(B, C + T) codes to the logits (B, T, Q) of the last T, those of the next-frame cost, if any, and the state.

        A state is (1 or 2, layers, B, D), the second an LSTM's cells.
        """

    @abstractmethod
    def generate(self, seed: Tensor, count: int, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """Continue B streams of codes, (B, C + at least one block), by `count` samples: (B, count)."""

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits as `predict`; in training the state is carried over, else it begins as zeros."""
        logits, ahead, state = self.predict(codes, self.carried if self.training else None)
        if self.training:
            self.carried = state.detach()
        return logits, ahead

    def parameter_count(self) -> int:
        """Of those that are trained."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)


class FlatSamples(SampleModel):
    """`tts.models.flat`."""

    context = 1

    def __init__(self, config: FlatConfig, streams: int) -> None:
        super().__init__()
        self.flat, self.q_levels = Flat(config), config.q_levels
        self.register_buffer("carried", torch.zeros(1, config.layers, streams, config.dim))

    def predict(self, codes: Tensor, state: Tensor | None) -> tuple[Tensor, None, Tensor]:
        """As `SampleModel.predict`."""
        found = self.flat(codes[:, :-1], None if state is None else state[0])
        return found.logits, None, found.state[None]

    @torch.inference_mode()
    def generate(self, seed: Tensor, count: int, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """As `SampleModel.generate`."""
        found = self.flat(seed)
        codes = []
        for _ in range(count):
            codes.append(drawn(found.logits[:, -1], generator, temperature))
            found = self.flat(codes[-1], found.state)
        return torch.cat(codes, dim=1)


class TwoTierSamples(SampleModel):
    """`tts.models.two_tier` with a text of one unit."""

    def __init__(self, config: TwoTierConfig, streams: int, next_frame: bool = False) -> None:
        super().__init__()
        self.two_tier = TwoTier(replace(config, **WITHOUT_TEXT))
        for name, parameter in self.two_tier.named_parameters():
            parameter.requires_grad_(not name.startswith(NOT_TRAINED))
        self.q_levels, self.block, self.next_frame = config.q_levels, config.frame_size, next_frame
        self.context = -(-max(config.hist_size, config.frame_size) // config.frame_size) * config.frame_size
        kinds = 2 if config.cell == "lstm" else 1
        self.register_buffer("carried", torch.zeros(kinds, config.n_rnn, streams, config.dim))

    def predict(self, codes: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor]:
        """As `SampleModel.predict`; T must be a multiple of F."""
        before = self.context // self.block
        states, state = self._run_frames(codes, before, state)
        conditioning = self.two_tier.condition(states)  # (B, N, F, S)
        history = self.two_tier.history(codes)[:, before:]  # (B, N, F, H)
        logits = self.two_tier.run_samples(history, conditioning).flatten(1, 2)
        ahead = self.two_tier.run_samples(None, conditioning).flatten(1, 2) if self.next_frame else None
        return logits, ahead, state

    def _run_frames(self, codes: Tensor, before: int, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """The frame tier's states (B, N, D) from frame `before` on, and its state after them."""
        B, N = codes.shape[0], codes.shape[1] // self.block
        zeros = torch.zeros(B, N, dtype=torch.int64, device=codes.device)
        unit = torch.zeros(B, 1, 1, device=codes.device)
        inputs = self.two_tier.frame_inputs(codes, unit, zeros[:, 0] + 1, zeros, zeros[:, 0])[:, before:]
        lstm = self.two_tier.config.cell == "lstm"
        initial = None if state is None else (state[0], state[1]) if lstm else state[0]
        states, after = self.two_tier.rnn(inputs, initial)
        return states, torch.stack(after) if lstm else after[None]

    @torch.inference_mode()
    def generate(self, seed: Tensor, count: int, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """As `SampleModel.generate`; of the seed the last C + whole frames count."""
        F, H = self.block, self.two_tier.config.hist_size
        codes = seed[:, seed.shape[1] % F :]
        # The frames after the context bring the state to where the first new frame begins.
        state = self._run_frames(codes, self.context // F, None)[1] if codes.shape[1] > self.context else None
        unknown = torch.zeros(len(codes), F, dtype=torch.int64, device=codes.device)
        made: list[Tensor] = []
        while len(made) < count:
            states, state = self._run_frames(torch.cat([codes[:, -F:], unknown], dim=1), 1, state)
            conditioning = self.two_tier.condition(states)
            for place in range(F):
                logits = self.two_tier.run_samples(codes[:, None, None, -H:], conditioning[:, :, place : place + 1])
                made.append(drawn(logits[:, 0, 0], generator, temperature))
                # No more is looked at again; all of it would be copied for each sample.
                codes = torch.cat([codes[:, -self.context :], made[-1]], dim=1)
        return torch.cat(made[:count], dim=1)


def drawn(logits: Tensor, generator: torch.Generator, temperature: float) -> Tensor:
    """(B, Q) logits to (B, 1) codes; temperature 0: the likeliest."""
    if not temperature:
        return logits.argmax(-1, keepdim=True)
    return torch.multinomial((logits / temperature).softmax(-1).cpu(), 1, generator=generator).to(logits.device)
