"""Waves to integer codes and back.

The sample tier works on codes 0 … `q_levels` - 1. Silence (0.0) is the middle code, `q_levels // 2`.
"""

from typing import Literal, get_args

import numpy as np

from tts.core.errors import InputError

Quantization = Literal["mu-law", "linear"]


def encode(wave: np.ndarray, q_levels: int = 256, quantization: Quantization = "mu-law") -> np.ndarray:
    """Quantize a wave to codes.

    Args: wave, any shape, float in [-1, 1], clipped; q_levels, even; "mu-law" has mu = q_levels - 1, "linear" uniform
        steps.

    Returns: int64 codes of the same shape, 0 … q_levels - 1. The error is at most half a (companded) step.

    Reference: ITU-T G.711 companding with a free mu; the same codes as `torchaudio.functional.mu_law_encoding`, but
    for about one value in a million that lies on the border between two (tested); in numpy because importing torch
    takes longer than speaking a sentence.
    """
    _check_levels(q_levels, quantization)
    wave = np.clip(np.asarray(wave, dtype=np.float32), -1.0, 1.0)
    mu = np.float32(q_levels - 1)
    if quantization == "mu-law":
        wave = np.sign(wave) * np.log1p(mu * np.abs(wave)) / np.log1p(mu)
    return ((wave + 1) / 2 * mu + np.float32(0.5)).astype(np.int64)


def decode(codes: np.ndarray, q_levels: int = 256, quantization: Quantization = "mu-law") -> np.ndarray:
    """The float32 wave in [-1, 1] of codes (any shape, int, 0 … q_levels - 1); the inverse of `encode`."""
    return decode_table(q_levels, quantization)[codes]


def decode_table(q_levels: int, quantization: Quantization) -> np.ndarray:
    """The wave value of every code: (Q,) float32, rising from -1 to 1; the middle code's is exactly 0."""
    _check_levels(q_levels, quantization)
    mu = q_levels - 1
    value = 2 * np.arange(q_levels, dtype=np.float64) / mu - 1
    if quantization == "mu-law":
        value = np.sign(value) * np.expm1(np.abs(value) * np.log1p(mu)) / mu
    # Both coders put 0.0 half a step below the middle code; silence that decodes to that half step would be DC.
    value[q_levels // 2] = 0.0
    return value.astype(np.float32)


def _check_levels(q_levels: int, quantization: str) -> None:
    if q_levels < 4 or q_levels % 2:
        raise InputError(f"q_levels is {q_levels}; it must be an even number of at least 4, e.g. 256")
    if quantization not in get_args(Quantization):
        raise InputError(f"quantization is {quantization!r}; it must be one of {', '.join(get_args(Quantization))}")
