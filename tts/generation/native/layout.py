"""Folds a model's weights for the native engine: once per model (`lay_out`) and once per utterance (`UnitGates`).

What is linear in something that hardly changes is folded beforehand: the unit, next-unit and speaker parts of the
frame tier's gates once per unit, the clock's part once per clock value. What remains is sums of weight rows, laid out
so that the rows are contiguous.

Letters as in `arrays`; U units.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from llvmlite import binding

from tts.generation.features import clock_features, embed_units, product
from tts.generation.native.arrays import Shape, Weights
from tts.generation.native.kernels import BLOCK, LANES, NEVER, PAIR
from tts.models.config import TwoTierConfig

UNITS_AT_A_TIME = 256


class Folder:
    """Folds the named weights, float32, of one model."""

    def __init__(self, config: TwoTierConfig, weights: dict[str, np.ndarray]) -> None:
        self.config = config
        self.weights = weights
        c = config
        self.gate_width = padded(4 * c.dim)
        self.sample_width = padded(c.sample_dim)
        self.form = ""
        """The name in `FORMS` of how the weights were laid out."""
        self.upsampled_width = padded(c.frame_size * (c.upsample_rank or self.sample_width))

    def shape(self) -> Shape:
        """The widths that the compiled loop goes by."""
        c = self.config
        return Shape(
            F=c.frame_size,
            H=c.hist_size,
            P=max(c.hist_size, c.frame_size),
            S=c.sample_dim,
            Q=c.q_levels,
            D=c.dim,
            r=c.upsample_rank,
            G=self.gate_width,
            sample_width=self.sample_width,
            logit_width=padded(c.q_levels),
            upsampled_width=self.upsampled_width,
            gate_panel=_panel(self.gate_width),
            upsampled_panel=_panel(self.upsampled_width),
            hidden_layers=c.sample_layers - 1,
            clock_frames=c.clock_frames,
            explicit=int(c.duration == "explicit"),
        )

    def gate_bias(self) -> np.ndarray:
        """(G+,): both of torch's biases of the LSTM."""
        return _widened(self.weights["rnn.bias_ih_l0"] + self.weights["rnn.bias_hh_l0"], self.gate_width)

    def lay_out(self) -> Weights:
        """Every weight where the compiled loop reads it."""
        c, w = self.config, self.weights
        S = self.sample_width
        first = w["rnn.weight_ih_l0"].T  # (input_dim, gates): previous frame, this unit, next unit, speaker, clocks
        features = clock_features(c.clock_frames, c.clock_dim)
        clocks = first[c.frame_size + c.context_dim :]
        left = features @ clocks[c.clock_dim :] if c.duration == "explicit" else np.zeros((0, 0), np.float32)
        upsample = w["upsample.weight"].reshape(c.frame_size, -1, c.dim)
        upsample_bias = w["upsample.bias"].reshape(c.frame_size, -1)
        if not c.upsample_rank:
            upsample, upsample_bias = _widened(upsample, S, axis=1), _widened(upsample_bias, S)
        tables = {
            "previous": _widened(first[: c.frame_size], self.gate_width),
            "recurrent": _panels(w["rnn.weight_hh_l0"].T, self.gate_width),
            "upsample": _panels(upsample.reshape(-1, c.dim).T, self.upsampled_width),
            "conditioning": _widened(w["conditioning.weight"].T, S)
            if c.upsample_rank
            else np.zeros((0, S), np.float32),
            "history": _widened(w["history_in.weight"].T, S),  # a row per lag, oldest first
            "last": _widened(w["last_code.weight"], S),
            "hidden": _widened(_stack([w[f"hidden.{k}.weight"].T for k in range(c.sample_layers - 1)]), S),
            "output": self._by_draw(w["output.weight"].T, 0.0),
        }
        # All in one form, or the loop would be compiled once for each mixture.
        self.form = shortest_form(list(tables.values()))
        pack = FORMS[self.form].pack
        laid = {name: pack(table) for name, table in tables.items()}
        return Weights(
            clock=_aligned(_widened(features @ clocks[: c.clock_dim], self.gate_width)).reshape(-1),
            left=_aligned(_widened(left, self.gate_width)).reshape(-1),
            advance=_aligned(w["advance.weight"][0]),
            advance_bias=_aligned(w["advance.bias"]),
            upsample_bias=_aligned(_widened(upsample_bias.reshape(-1), self.upsampled_width)),
            hidden_bias=_aligned(
                _widened(_stack([w[f"hidden.{k}.bias"] for k in range(c.sample_layers - 1)]), S)
            ).reshape(-1),
            output_bias=_aligned(self._by_draw(w["output.bias"], NEVER)),
            value=(np.arange(c.q_levels, dtype=np.float32) - c.q_levels // 2) / np.float32(c.q_levels // 2),
            **{name: table.reshape(-1) for name, table in laid.items()},
        )

    def _by_draw(self, output: np.ndarray, nothing: float) -> np.ndarray:
        """The last axis, codes, in the order of the draw: see `Weights.output`; `nothing` in the columns to spare."""
        depth = padded(self.config.q_levels) // LANES
        wide = np.full((*output.shape[:-1], depth * LANES), nothing, np.float32)
        wide[..., : output.shape[-1]] = output
        columns = wide.reshape(*output.shape[:-1], LANES, depth).swapaxes(-1, -2)
        return np.ascontiguousarray(columns).reshape(wide.shape)


class UnitGates:
    """The parts of the gates that an utterance's units give, some hundreds of units at a time.

    A table for all units of a long text would be much larger than the text. Which units are folded together depends
    on the text alone, so that rounding does, too.
    """

    def __init__(self, folder: Folder, units: np.ndarray, speaker: int) -> None:
        c = folder.config
        assert units.shape[1] == c.word_dim, (units.shape, c.word_dim)
        assert 0 <= speaker < c.n_speakers, (speaker, c.n_speakers)
        self._folder = folder
        self._units = units.mean(0, keepdims=True, dtype=np.float32) if c.conditioning == "pooled" else units
        self._speaker = speaker
        self.count = len(self._units)
        self.first = 0
        """The unit of the table's first row."""
        self.table = self._both(0)
        """(some units, G+) float32: the biases and the unit, next-unit and speaker parts of the gates."""

    def reach(self, unit: int, further: int) -> None:
        """Make the table hold the units `unit` … `unit + further`, as far as there are such; `further` at most 256."""
        assert 0 <= further <= UNITS_AT_A_TIME, further
        last = min(unit + further, self.count - 1)
        if last >= self.first + len(self.table):
            self.first = unit // UNITS_AT_A_TIME * UNITS_AT_A_TIME
            self.table = self._both(self.first)

    def _both(self, first: int) -> np.ndarray:
        second = first + UNITS_AT_A_TIME
        parts = [self._fold(begin) for begin in (first, second) if begin < self.count]
        return _aligned(np.concatenate(parts))

    def _fold(self, begin: int) -> np.ndarray:
        c, w = self._folder.config, self._folder.weights
        end = min(begin + UNITS_AT_A_TIME, self.count)
        embedded = embed_units(w, self._units[begin : end + 1], ends=end == self.count)
        voice = np.broadcast_to(w["speaker.weight"][self._speaker], (end - begin, c.speaker_dim))
        upsampled = np.concatenate([embedded[:-1], embedded[1:], voice], axis=1)
        part = w["rnn.weight_ih_l0"].T[c.frame_size : c.frame_size + c.context_dim]
        gates = np.tile(self._folder.gate_bias(), (end - begin, 1))
        gates[:, : part.shape[1]] += product(upsampled, part)
        return gates


def padded(width: int) -> int:
    """A width that the kernels can work with."""
    return -(-width // PAIR) * PAIR


def _panel(width: int) -> int:
    """A panel is read from end to end; as wide as one pass over it, if that goes up in the width."""
    return BLOCK if width % BLOCK == 0 else width


def _panels(table: np.ndarray, width: int) -> np.ndarray:
    """(panels, D, panel) of a table (D, up to `width`)."""
    panel = _panel(width)
    return np.ascontiguousarray(_widened(table, width).reshape(len(table), -1, panel).transpose(1, 0, 2))


def _stack(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack(arrays) if arrays else np.zeros((0, 0), np.float32)


def _widened(array: np.ndarray, width: int, axis: int = -1) -> np.ndarray:
    """With zeros at the end of an axis."""
    if array.size == 0:
        return np.zeros((0, width), np.float32)
    missing = [(0, 0)] * array.ndim
    missing[axis] = (0, width - array.shape[axis])
    return np.pad(array, missing)


class Form(NamedTuple):
    """One of the kernels' three forms of a weight."""

    weight_bytes: int
    pack: Callable[[np.ndarray], np.ndarray]
    """(…, width) float32, as the form holds it."""
    holds: Callable[[np.ndarray], bool]
    """Whether it holds every number exactly, and this processor is quick to widen it."""


def shortest_form(tables: Sequence[np.ndarray]) -> str:
    """The name, in `FORMS`, of the quickest form that holds every number of the tables."""
    return next(name for name, form in FORMS.items() if all(form.holds(table) for table in tables))


def _fits_bfloat16(array: np.ndarray) -> bool:
    return not (np.ascontiguousarray(array).view(np.uint32) & 0xFFFF).any()


def _bfloat16_pairs(array: np.ndarray) -> np.ndarray:
    """(…, width) float32 to (…, width / 2) uint32, see `kernels`."""
    bits = np.ascontiguousarray(array).view(np.uint32).reshape(*array.shape[:-1], array.shape[-1] // PAIR, 2, LANES)
    return _aligned(bits[..., 0, :] | bits[..., 1, :] >> 16)


def _fits_float16(array: np.ndarray) -> bool:
    features = binding.get_host_cpu_features()
    if not (features.get("f16c") or features.get("neon")):  # all x86-64 have one since 2013, all arm64 the other
        return False
    with np.errstate(over="ignore"):
        return bool((array.astype(np.float16) == array).all())


def _float16(array: np.ndarray) -> np.ndarray:
    return _aligned(array.astype(np.float16).view(np.uint16))


def _aligned(array: np.ndarray) -> np.ndarray:
    """A contiguous copy that begins on a cache line, so that no vector load straddles two."""
    buffer = np.empty(array.nbytes + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    copy = buffer[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def aligned_zeros(*shape: int) -> np.ndarray:
    """Flat float32 zeros that begin on a cache line; as many as an array of this shape has."""
    return _aligned(np.zeros(math.prod(shape), np.float32))


FORMS = {
    "bfloat16": Form(2, _bfloat16_pairs, _fits_bfloat16),
    "float16": Form(2, _float16, _fits_float16),
    "float32": Form(4, _aligned, lambda array: True),
}
