"""The numbers that the native engine computes with, and how they are rounded; with numpy alone.

A weight matrix is held as int8 with a scale per row, what it multiplies as integers times a step, so that sums of their
products are exact (`tts/generation/native/engine.c` says why and where). The functions here do the same
rounding, so that other engines say the same codes.
"""

from collections.abc import Mapping

import numpy as np

from tts.models.config import TwoTierConfig

WEIGHT_LIMIT = 127
RELU_LIMIT = 127
"""The largest integer that stands for an output of a ReLU."""
STATE_LIMIT = 63
"""The integer that stands for 1 in what enters the frame tier: states, embeddings, codes of the previous frame; and for
the largest feature of a rank."""
LEAST, MOST = np.float32(1e-30), np.float32(1e30)
HISTORY_WEIGHT_LIMIT = 2047
_SCALE_BITS = 13
"""Significant bits of a row's scale: with the 11 of the largest integers float32's 24, so that scale x integer is
exact, and rounding a rounded matrix changes nothing."""


def round_rows(matrix: np.ndarray, limit: int) -> np.ndarray:
    """A matrix as float32 of which each row is a scale times integers in [-limit, limit].

    Args:
        matrix: (outputs, inputs), finite.
        limit: at most 2047.
    """
    scales, integers = integer_rows(matrix, limit)
    return scales[:, None] * integers


def integer_rows(matrix: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """A matrix's rows as scales (outputs,) float32 and integers (outputs, inputs) int16: `round_rows`' factors.

    A scale is the row's largest magnitude / `limit`, rounded up to 13 significant bits; a row below 1e-30 becomes
    zeros.
    """
    assert 1 <= limit <= HISTORY_WEIGHT_LIMIT, limit
    matrix = np.asarray(matrix, np.float32)
    largest = np.maximum(matrix.max(axis=1, initial=0.0), -matrix.min(axis=1, initial=0.0))
    scales = _rounded_up(largest / np.float32(limit))
    scales[largest < LEAST] = 0.0
    divisors = np.where(scales > 0, scales, np.float32(1.0))[:, None]
    integers = matrix / divisors
    integers[scales == 0] = 0.0
    return scales, np.rint(integers, out=integers).astype(np.int16)


def history_limit(q_levels: int, hist_size: int) -> int:
    """The largest integer of a weight on past samples: where it can be more than 127, so that sums fit in 24 bits."""
    return max(WEIGHT_LIMIT, min(HISTORY_WEIGHT_LIMIT, (2**24 - 1) // (q_levels // 2 * hist_size)))


def state_integers(values: np.ndarray) -> np.ndarray:
    """What enters the frame tier as the nearest integers, of which 63 stand for 1, float32; what is beyond 1 is 1."""
    return np.rint(np.clip(np.asarray(values, np.float32), -1, 1) * np.float32(STATE_LIMIT))


def weight_limit(name: str, config: TwoTierConfig) -> int | None:
    """The largest integer of the matrix of this name in a model's state dict; None where it is not rounded."""
    if name == "history_in.weight":
        return history_limit(config.q_levels, config.hist_size)
    if name == "pitch_in.weight":
        return history_limit(config.q_levels, config.pitch_taps + 1)
    part, _, kind = name.partition(".")
    rounded = "rnn", "upsample", "conditioning", "gate", "hidden", "output"
    return WEIGHT_LIMIT if part in rounded and kind.split(".")[-1].startswith("weight") else None


def round_weights(config: TwoTierConfig, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A model's weights as the native engine uses them, by name, float32; rounding them again changes nothing.

    Of `rnn.weight_ih_l0` the columns of the previous frame and those of the text are rounded, each for itself: speaker
    and clock are folded into tables, and the pitch has two columns.
    """
    rounded = {}
    for name, given in weights.items():
        array = np.array(given, np.float32)
        limit = weight_limit(name, config)
        if name == "rnn.weight_ih_l0":
            frame, text, rest = first_columns(config, array)
            array = np.concatenate([round_rows(frame, WEIGHT_LIMIT), round_rows(text, WEIGHT_LIMIT), rest], axis=1)
        elif limit is not None:
            array = round_rows(array, limit)
        rounded[name] = array
    return rounded


def first_columns(config: TwoTierConfig, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`rnn.weight_ih_l0` by what its columns multiply: the previous frame, the text, speaker and clocks and pitch."""
    text = config.frame_size + 2 * config.text_dim
    return weight[:, : config.frame_size], weight[:, config.frame_size : text], weight[:, text:]


def _rounded_up(numbers: np.ndarray) -> np.ndarray:
    """Positive float32 numbers, up to `_SCALE_BITS` significant bits."""
    spare = 24 - _SCALE_BITS
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32).astype(np.uint64)
    up = ((bits + np.uint64((1 << spare) - 1)) >> np.uint64(spare)) << np.uint64(spare)
    return up.astype(np.uint32).view(np.float32).copy()
