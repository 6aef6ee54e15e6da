"""Packs a model's weights for the native engine: one block of memory, in the order in which `engine.c` walks it.

Letters and layouts as in `engine.c`; a width with a + is padded with zeros.
"""

import ctypes
from collections.abc import Iterator, Mapping

import numpy as np

from tts import audio
from tts.core.errors import InputError
from tts.generation.features import clock_features, log_lags
from tts.generation.rounding import (
    WEIGHT_LIMIT,
    first_columns,
    history_limit,
    integer_rows,
    state_integers,
)
from tts.models.config import TwoTierConfig

LANES, PANEL, BLOCK, ALIGNMENT = 16, 32, 64, 64
LARGEST_WEIGHT = 65504.0
"""float16's largest: so no sum of the engine leaves float32."""
ZERO = 64
"""The byte that stands for 0 in what enters the frame tier."""
NEVER = -1e30
"""A logit that is never drawn; finite, so that no arithmetic meets infinity."""


_NUMBERS = (
    "codes",
    "frame",
    "history",
    "n_rnn",
    "dim",
    "sample_dim",
    "hidden_layers",
    "rank",
    "unit_dim",
    "text_dim",
    "n_speakers",
    "clock_frames",
    "explicit_durations",
    "pitch_taps",
    "shortest_lag",
    "longest_lag",
    "pitch_window",
)


class Shape(ctypes.Structure):
    """`Shape` of engine.c."""

    _fields_ = tuple((name, ctypes.c_int32) for name in _NUMBERS)


def shape_of(config: TwoTierConfig) -> Shape:
    """The numbers that engine.c goes by."""
    c = config
    shortest_lag, longest_lag = c.pitch_lags if c.pitch_taps else (0, 0)
    return Shape(
        codes=c.q_levels,
        frame=c.frame_size,
        history=c.hist_size,
        n_rnn=c.n_rnn,
        dim=c.dim,
        sample_dim=c.sample_dim,
        hidden_layers=c.sample_layers - 1,
        rank=c.upsample_rank,
        unit_dim=c.word_dim,
        text_dim=c.text_dim,
        n_speakers=c.n_speakers,
        clock_frames=c.clock_frames,
        explicit_durations=int(c.duration == "explicit"),
        pitch_taps=c.pitch_taps,
        shortest_lag=shortest_lag,
        longest_lag=longest_lag,
        pitch_window=c.pitch_window if c.pitch_taps else 0,
    )


def pack(config: TwoTierConfig, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """All weights as uint8, at an address that is a multiple of 64.

    Args:
        config: a supported one.
        weights: as `checked_weights` gives them; matrices are rounded to int8 rows, if they are not yet.

    Raises:
        InputError: a weight is larger than a saved voice's could be.
    """
    for name, array in weights.items():
        if max(array.max(initial=0.0), -array.min(initial=0.0)) > LARGEST_WEIGHT:
            raise InputError(f"the weight {name!r} holds numbers above {LARGEST_WEIGHT:g}; train the model again")
    parts = list(_parts(config, weights))
    sizes = [_padded(part.nbytes, ALIGNMENT) for part in parts]
    buffer = np.zeros(sum(sizes) + ALIGNMENT, np.uint8)
    at = start = -buffer.ctypes.data % ALIGNMENT
    for part, size in zip(parts, sizes, strict=True):
        buffer[at : at + part.nbytes].view(part.dtype).reshape(part.shape)[...] = part
        at += size
    return buffer[start:at]


def _parts(c: TwoTierConfig, w: Mapping[str, np.ndarray]) -> Iterator[np.ndarray]:
    """The arrays in the order of `open_model` in engine.c."""
    D, S, T = _padded(c.dim, LANES), _padded(c.sample_dim, BLOCK), _padded(c.text_dim, LANES)
    frame, text, rest = (part.reshape(4, c.dim, -1) for part in first_columns(c, w["rnn.weight_ih_l0"]))
    speaker, clocks = rest[..., : c.speaker_dim], rest[..., c.speaker_dim :]
    features = clock_features(c.clock_frames, c.clock_dim)
    bias = [(w[f"rnn.bias_ih_l{k}"] + w[f"rnn.bias_hh_l{k}"]).reshape(4, c.dim) for k in range(c.n_rnn)]
    embeddings = [text[..., : c.text_dim], text[..., c.text_dim :]]
    end = np.tanh(w["end"].astype(np.float64)).astype(np.float32)

    yield _wide(w["unit.weight"].T, T)
    yield _wide(w["unit.bias"], T)
    yield _wide(_bytes(end), T)
    yield _sums(_wide(bias[0], D).reshape(-1), w["speaker.weight"], _of_gates(speaker, D))
    yield from _gate_table(np.concatenate([_wide(part, T) for part in embeddings], axis=-1), D)
    yield _sums(np.zeros(4 * D, np.float32), features, _of_gates(clocks[..., : c.clock_dim], D))
    if c.duration == "explicit":
        yield _sums(np.zeros(4 * D, np.float32), features, _of_gates(clocks[..., c.clock_dim : 2 * c.clock_dim], D))
    if c.pitch_taps:
        yield _of_gates(rest[..., -2:], D).T
        yield log_lags(c.pitch_lags)
        yield audio.decode_table(c.q_levels, c.quantization)
    middle = np.float32(c.q_levels // 2)
    yield _bytes((np.arange(c.q_levels, dtype=np.float32) - middle) / middle)
    yield from _gate_table(frame, D, to=4)
    for k in range(c.n_rnn):
        if k:
            yield _wide(bias[k], D).reshape(-1)
            yield from _gate_table(w[f"rnn.weight_ih_l{k}"].reshape(4, c.dim, -1), D)
        yield from _gate_table(w[f"rnn.weight_hh_l{k}"].reshape(4, c.dim, -1), D)
        yield _wide(w["c0"][k], D)
        yield _wide(_bytes(w["h0"][k]), D)
    if c.duration == "implicit":
        yield _wide(w["advance.weight"][0], D)
        yield w["advance.bias"]
    place = _padded(c.upsample_rank, LANES) if c.upsample_rank else S
    total = _padded(c.frame_size * place, BLOCK)
    upsample = _wide(w["upsample.weight"].reshape(c.frame_size, -1, c.dim), place, axis=1).reshape(-1, c.dim)
    upsample_bias = _wide(_wide(w["upsample.bias"].reshape(c.frame_size, -1), place).reshape(-1), total)
    if c.pitch_taps:
        upsample = np.concatenate([_wide(upsample, total, axis=0), w["gate.weight"]])
        upsample_bias = np.concatenate([upsample_bias, _wide(w["gate.bias"], S)])
    yield upsample_bias
    yield from _table(upsample, len(upsample_bias), D)
    if c.upsample_rank:
        yield from _table(w["conditioning.weight"], S, place)
    history = integer_rows(w["history_in.weight"], history_limit(c.q_levels, c.hist_size))
    yield from _wide_table(*history, S, _padded(c.hist_size, 2), in_front=True)
    if c.pitch_taps:
        scales, integers = integer_rows(w["pitch_in.weight"], history_limit(c.q_levels, c.pitch_taps + 1))
        yield from _wide_table(scales, integers[:, :-1], S, _padded(c.pitch_taps, 2), in_front=True)
        yield _wide(scales * integers[:, -1], S)
    yield _wide(w["last_code.weight"], S)
    for k in range(c.sample_layers - 1):
        yield _wide(w[f"hidden.{k}.bias"], S)
        yield from _row_table(w[f"hidden.{k}.weight"], S, S)
    codes = _padded(c.q_levels, BLOCK)
    columns = np.arange(codes).reshape(LANES, -1).T.reshape(-1)  # the code of each column, as `draw` wants them
    yield _wide(w["output.bias"], codes, value=NEVER)[columns]
    yield from _row_table(_wide(w["output.weight"], codes, axis=0)[columns], codes, S)


def _bytes(values: np.ndarray) -> np.ndarray:
    """What enters the frame tier, uint8."""
    return (state_integers(values) + ZERO).astype(np.uint8)


def _table(matrix: np.ndarray, outputs: int, inputs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A matrix's scales (outputs+,), where its sums begin (outputs+,) int32, and weights int8: PANELS in engine.c."""
    scales, integers = integer_rows(matrix, WEIGHT_LIMIT)
    rows = np.zeros((outputs, inputs), np.int8)
    rows[: len(matrix), : matrix.shape[1]] = integers
    fours = rows.view(np.uint32).reshape(outputs // PANEL, PANEL, inputs // 4)
    return _wide(scales, outputs), -ZERO * rows.sum(axis=1, dtype=np.int32), fours.swapaxes(1, 2)


def _wide_table(
    scales: np.ndarray, integers: np.ndarray, outputs: int, inputs: int, in_front: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The same of a matrix's `integer_rows`, with weights int16: WIDE in engine.c."""
    rows = np.zeros((outputs, inputs), np.int16)
    rows[: len(integers), : integers.shape[1]] = integers
    if in_front:
        rows = np.roll(rows, inputs - integers.shape[1], axis=1)
    pairs = rows.view(np.uint32).reshape(outputs // BLOCK, BLOCK, inputs // 2)
    return _wide(scales, outputs), pairs.transpose(0, 2, 1)


def _row_table(matrix: np.ndarray, outputs: int, inputs: int) -> tuple[np.ndarray, np.ndarray]:
    """A matrix's scales (outputs+,) and int8 weights (inputs+ + 1, outputs+): ROWS in engine.c."""
    scales, integers = integer_rows(matrix, WEIGHT_LIMIT)
    rows = np.zeros((inputs + 1, outputs), np.int8)
    rows[: matrix.shape[1], : len(matrix)] = integers.T
    blocks = rows.view(np.uint32).reshape(inputs + 1, outputs // BLOCK, 4, 4).swapaxes(2, 3)  # m, L, t to L, m, t
    return _wide(scales, outputs), blocks.swapaxes(0, 1)


def _gate_table(gates: np.ndarray, D: int, to: int = LANES) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`_table` of (4, dim, inputs), with inputs padded to a multiple of `to`."""
    return _table(_of_gates(gates, D), 4 * D, _padded(gates.shape[-1], to))


def _of_gates(gates: np.ndarray, D: int) -> np.ndarray:
    """(4, dim, inputs) to (4 D, inputs)."""
    return _wide(gates, D, axis=1).reshape(4 * D, -1)


def _sums(start: np.ndarray, features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """start (G,) + features (rows, n) times weights (G, n): (rows, G) float32, added in the order of the features."""
    total, columns = np.empty((len(features), len(start)), np.float32), np.ascontiguousarray(weights.T)
    terms = np.concatenate([start[None], columns])
    for row, feature in zip(total, features, strict=True):
        np.multiply(feature[:, None], columns, out=terms[1:])
        np.add.reduce(terms, axis=0, out=row)  # one row after the other: pairwise is only along the last axis
    return total


def _padded(width: int, to: int) -> int:
    return -(-width // to) * to


def _wide(array: np.ndarray, width: int, axis: int = -1, value: float = 0.0) -> np.ndarray:
    """With zeros, or another value, at the end of an axis."""
    if array.shape[axis] == width:
        return array
    missing = [(0, 0)] * array.ndim
    missing[axis] = (0, width - array.shape[axis])
    return np.pad(array, missing, constant_values=value)
