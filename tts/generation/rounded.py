"""The two-tier model as the native engine computes it: the same bits, up to the logits.

For the torch engine, which then makes the same codes up to ties in the draw, and for measuring what the rounding costs.
`tts/generation/native/engine.c` says what is rounded and in which order sums are taken. A sum of products of integers
is exact in float32 below 2^24 and in float64 below 2^53, in any order, so matrix products may be anybody's.

Letters: B utterances, N frames, F = frame_size, H = hist_size, S = sample_dim, Q levels, D = dim, J = pitch_taps.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tts.generation.rounding import (
    LEAST,
    MOST,
    RELU_LIMIT,
    STATE_LIMIT,
    WEIGHT_LIMIT,
    first_columns,
    history_limit,
    integer_rows,
    round_weights,
    state_integers,
)
from tts.models.two_tier import TwoTier


class RoundedTwoTier(TwoTier):
    """A `TwoTier` that the native engine supports; called as one, for inference."""

    correlation: Tensor

    def __init__(self, model: TwoTier) -> None:
        """Copy the weights of `model`, rounded."""
        c = model.config
        with torch.random.fork_rng(devices=[]):  # initial weights are drawn and replaced at once
            super().__init__(c)
        given = {name: tensor.detach().cpu().float().numpy() for name, tensor in model.state_dict().items()}
        w = round_weights(c, given)
        self.load_state_dict({name: torch.from_numpy(array) for name, array in w.items()})
        codes = c.q_levels // 2
        self.h0.data = torch.from_numpy(state_integers(w["h0"])) * _step(STATE_LIMIT)
        # The layers below take the places of torch's own, under their names.
        self.rnn: Any = RoundedLSTM(self, w)
        self.upsample: Any = Product(w["upsample.weight"], WEIGHT_LIMIT, STATE_LIMIT, w["upsample.bias"])
        if c.upsample_rank:
            self.conditioning: Any = Product(w["conditioning.weight"], WEIGHT_LIMIT, STATE_LIMIT)
        self.history_in: Any = Product(w["history_in.weight"], history_limit(c.q_levels, c.hist_size), codes)
        if c.pitch_taps:
            self.pitch_in: Any = Product(w["pitch_in.weight"], history_limit(c.q_levels, c.pitch_taps + 1), codes)
            self.register_buffer("correlation", torch.from_numpy(w["pitch_in.weight"][:, -1].copy()))
            self.gate: Any = Product(w["gate.weight"], WEIGHT_LIMIT, STATE_LIMIT, w["gate.bias"])
        self.hidden: Any = nn.ModuleList(
            Product(w[f"hidden.{k}.weight"], WEIGHT_LIMIT, RELU_LIMIT, w[f"hidden.{k}.bias"])
            for k in range(c.sample_layers - 1)
        )
        self.output: Any = Product(w["output.weight"], WEIGHT_LIMIT, RELU_LIMIT, w["output.bias"])
        self.to(model.h0.device).eval().requires_grad_(False)

    def embed_units(self, units: Tensor, n_units: Tensor) -> Tensor:
        """As `TwoTier.embed_units`, rounded."""
        sums = units.double()
        mean = (sums.sum(-1, keepdim=True) / units.shape[-1]).float()
        centered = units - mean
        squares = (centered.double() ** 2).sum(-1, keepdim=True) / units.shape[-1]
        normed = centered / (squares.float() + 1e-5).sqrt()
        embedded = _tanh(_add_rows(self.unit.bias, self.unit.weight, normed))
        end = self.end.double().tanh().float().expand(units.shape[0], 1, -1)
        embedded = torch.cat([embedded, end], dim=1)
        is_unit = torch.arange(embedded.shape[1], device=units.device) < n_units[:, None]
        return _to_integers(torch.where(is_unit[..., None], embedded, end), STATE_LIMIT) * _step(STATE_LIMIT)

    def condition(self, states: Tensor) -> Tensor:
        """As `TwoTier.condition`, with the features of a rank rounded."""
        features = self.upsample.of_values(states).unflatten(-1, (self.config.frame_size, -1))
        return self.conditioning.of_features(features) if self.config.upsample_rank else features

    def run_samples(
        self,
        history: Tensor | None,
        conditioning: Tensor,
        taps: Tensor | None = None,
        states: Tensor | None = None,
    ) -> Tensor:
        """As `TwoTier.run_samples`, with the outputs of each ReLU rounded."""
        x = conditioning
        if history is not None:
            x = x + self.last_code(history[..., -1])
            integers = history - self.config.q_levels // 2
            if taps is None or states is None:
                x = self.history_in.of_integers(integers, x)
            else:
                past = self.history_in.of_integers(integers, taps[..., -1:] * self.correlation)
                past = self.pitch_in.of_values(functional.pad(taps[..., :-1], (0, 1)), past)
                x = x + past * (2.0 * _sigmoid(self.gate.of_values(states)))[..., None, :]
        for layer in (*self.hidden, self.output):
            x = layer.of_features(functional.relu(x))
        return x


class Product(nn.Module):
    """A linear map of inputs that are integers times a step."""

    integers: Tensor
    scales: Tensor
    bias: Tensor
    largest_integer: Tensor

    def __init__(self, weight: np.ndarray, weight_limit: int, limit: int, bias: np.ndarray | None = None) -> None:
        """Hold the integers of a weight (outputs, inputs).

        Args:
            weight: any, or a rounded one.
            weight_limit: its largest integer.
            limit: the largest integer of an input, and 1 / the step of inputs that have a fixed one.
            bias: (outputs,); None: none.
        """
        super().__init__()
        scales, integers = integer_rows(weight, weight_limit)
        fits = weight_limit * limit * weight.shape[1] < 2**24
        self.limit = limit
        # A tensor of one number: by a Python number, a GPU multiplies with the reciprocal instead of dividing.
        self.register_buffer("largest_integer", torch.full((1,), float(limit)), persistent=False)
        self.register_buffer("integers", torch.from_numpy(integers).to(torch.float32 if fits else torch.float64))
        self.register_buffer("scales", torch.from_numpy(scales))
        self.register_buffer("bias", torch.zeros(len(scales)) if bias is None else torch.from_numpy(bias))

    def of_integers(self, integers: Tensor, start: Tensor, step: Tensor | float | None = None) -> Tensor:
        """start + W (step x integers); step None: the fixed one."""
        sums = functional.linear(integers.to(self.integers.dtype), self.integers).float()
        scales = self.scales * (_step(self.limit) if step is None else step)
        return start + sums * scales

    def of_values(self, values: Tensor, start: Tensor | None = None) -> Tensor:
        """The same of multiples of the fixed step; start None: the bias."""
        return self.of_integers(_to_integers(values, self.limit), self.bias if start is None else start)

    def of_features(self, features: Tensor) -> Tensor:
        """The same of vectors that are rounded here, each with a step of its own."""
        features = features.clamp(float(-MOST), float(MOST))
        largest = features.abs().amax(-1, keepdim=True).clamp(min=float(LEAST))
        limit = self.largest_integer
        return self.of_integers((features * (limit / largest)).round(), self.bias, largest / limit)


class RoundedLSTM(nn.Module):
    """The frame tier's LSTM, its states rounded as soon as they are made."""

    recurrent: Any
    inputs: Any
    speaker_gates: Tensor
    clock_gates: Tensor

    def __init__(self, model: TwoTier, weights: dict[str, np.ndarray]) -> None:
        """Hold the weights `rnn.…`, rounded."""
        super().__init__()
        c = self.config = model.config
        frame, text, rest = first_columns(c, weights["rnn.weight_ih_l0"])
        biases = [weights[f"rnn.bias_ih_l{k}"] + weights[f"rnn.bias_hh_l{k}"] for k in range(c.n_rnn)]
        self.frame = Product(frame, WEIGHT_LIMIT, STATE_LIMIT)
        self.text = Product(text, WEIGHT_LIMIT, STATE_LIMIT)
        self.rest, self.bias = nn.Parameter(torch.from_numpy(rest)), nn.Parameter(torch.from_numpy(biases[0]))
        speakers, clocks = torch.from_numpy(weights["speaker.weight"]), model.clock_table.cpu()
        self.register_buffer("speaker_gates", self._speaker_gates(speakers))
        self.register_buffer("clock_gates", torch.stack([self._clock_gates(k, clocks) for k in range(self._clocks)]))
        self.inputs = nn.ModuleList(
            Product(weights[f"rnn.weight_ih_l{k}"], WEIGHT_LIMIT, STATE_LIMIT, biases[k]) for k in range(1, c.n_rnn)
        )
        self.recurrent = nn.ModuleList(
            Product(weights[f"rnn.weight_hh_l{k}"], WEIGHT_LIMIT, STATE_LIMIT) for k in range(c.n_rnn)
        )

    def forward(self, inputs: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(B, N, input_dim) and states as `nn.LSTM` takes and gives them."""
        c = self.config
        pitch = inputs[..., c.input_dim - 2 :] if c.pitch_taps else None
        frame, text, speaker, *clocks = inputs[..., : c.input_dim - 2 * (c.pitch_taps > 0)].split(
            [c.frame_size, 2 * c.text_dim, c.speaker_dim, *[c.clock_dim] * self._clocks], dim=-1
        )
        gates = self.text.of_values(text, self._speaker_gates(speaker))
        for k, clock in enumerate(clocks):
            gates = gates + self._clock_gates(k, clock)
        gates = self.frame.of_values(frame, self._add_pitch(gates, pitch))
        last_h, last_c = [], []
        for layer in range(c.n_rnn):
            h, cells, made = state[0][layer], state[1][layer], []
            for step in gates.unbind(1):
                h, cells = self.cell(layer, step, h, cells)
                made.append(h)
            inputs = torch.stack(made, dim=1)
            last_h.append(h)
            last_c.append(cells)
            if layer + 1 < c.n_rnn:
                gates = self.inputs[layer].of_values(inputs)
        return inputs, (torch.stack(last_h), torch.stack(last_c))

    def first_gates(
        self, frame: Tensor, text: Tensor, speaker: Tensor, clocks: Sequence[Tensor], pitch: Tensor | None
    ) -> Tensor:
        """(B, 4 D): what the inputs of one step add to the first layer's gates, and the bias.

        Args:
            frame: (B, F), the values of the previous frame.
            text: (B, 2 x text_dim), this unit and the next one, embedded.
            speaker: (B,) int64.
            clocks: (B,) int64 each, 0 … clock_frames - 1.
            pitch: (B, 2), see `Pitch.features`; None without pitch taps.
        """
        gates = self.text.of_values(text, self.speaker_gates[speaker])
        for table, clock in zip(self.clock_gates, clocks, strict=True):
            gates = gates + table[clock]
        return self.frame.of_values(frame, self._add_pitch(gates, pitch))

    def cell(self, layer: int, gates: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One step of a layer: what its inputs add to the gates (B, 4 D), and states (B, D) before and after."""
        i, f, g, o = self.recurrent[layer].of_values(h, gates).chunk(4, dim=-1)
        c = _sigmoid(f) * c + _sigmoid(i) * _tanh(g)
        return _to_integers(_sigmoid(o) * _tanh(c), STATE_LIMIT) * _step(STATE_LIMIT), c

    @property
    def _clocks(self) -> int:
        return 2 if self.config.duration == "explicit" else 1

    def _speaker_gates(self, vectors: Tensor) -> Tensor:
        return _add_rows(self.bias, self.rest[:, : self.config.speaker_dim], vectors)

    def _add_pitch(self, gates: Tensor, pitch: Tensor | None) -> Tensor:
        return gates if pitch is None else _add_rows(gates, self.rest[:, -2:], pitch)

    def _clock_gates(self, k: int, features: Tensor) -> Tensor:
        c = self.config
        begin = c.speaker_dim + k * c.clock_dim
        return _add_rows(torch.zeros_like(self.bias), self.rest[:, begin : begin + c.clock_dim], features)


def _step(limit: int) -> float:
    """1 / limit, rounded to float32 as everywhere."""
    return float(np.float32(1.0) / np.float32(limit))


def _to_integers(values: Tensor, limit: int) -> Tensor:
    return (values * float(limit)).round()


def _add_rows(start: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    """start (outputs,) or (…, outputs) + W x of x (…, inputs), in the order of the inputs."""
    total = start.expand(*x.shape[:-1], -1)
    for k in range(x.shape[-1]):
        total = total + x[..., k : k + 1] * weight[:, k]
    return total


_POWER = (
    0.0013266970636323094,
    0.009675459936261177,
    0.05550742521882057,
    0.24022121727466583,
    0.6931469440460205,
    1.0000001192092896,
)
_ROUNDER, _ROUNDER_BITS, _LOG2_E = 12582912.0, 0x4B400000, float(np.float32(1.4426950408889634))


def _two_to(y: Tensor) -> Tensor:
    """2^y as engine.c has it."""
    y = y.clamp(-126.0, 126.0)
    shifted = y + _ROUNDER
    f = y - (shifted - _ROUNDER)
    p = torch.full_like(f, _POWER[0])
    for coefficient in _POWER[1:]:
        p = p * f + coefficient
    return p * ((shifted.view(torch.int32) - _ROUNDER_BITS + 127) << 23).view(torch.float32)


def _sigmoid(x: Tensor) -> Tensor:
    below = 1.0 + _two_to(x * -_LOG2_E)
    return torch.ones_like(below) / below


def _tanh(x: Tensor) -> Tensor:
    return 2.0 * _sigmoid(2.0 * x) - 1.0
