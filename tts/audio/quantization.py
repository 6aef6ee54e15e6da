"""Waves to integer codes and back.

The sample tier works on codes 0 … `q_levels` - 1. Silence (0.0) is the middle code, `q_levels // 2`. A model's `Coding`
says how a wave becomes its codes: pre-emphasis, if there is any, and then quantization.
"""

from dataclasses import dataclass
from itertools import accumulate
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


@dataclass(frozen=True)
class Coding:
    """How a wave becomes the codes of a model, and codes a wave.

    With `pre_emphasis` a above 0 the codes are of y[t] = x[t] - a x[t - 1], with x[-1] = 0. What a model does wrong is
    about equally loud at all frequencies of its codes; in vowels, which have little above 1 kHz, that is a hiss.
    De-emphasis, x[t] = y[t] + a x[t - 1], lowers it at high frequencies by up to 20 log10((1 + a) / (1 - a)) dB
    against low ones. Reference: Valin and Skoglund 2019, "LPCNet", arXiv 1810.11846, section 3.2, where a is 0.85.

    Example:
        coding = Coding(pre_emphasis=0.85)
        codes = coding.encode(wave)
    """

    q_levels: int = 256
    quantization: Quantization = "mu-law"
    pre_emphasis: float = 0.0

    def encode(self, wave: np.ndarray) -> np.ndarray:
        """Codes (…, T) int64 of waves (…, T) float in [-1, 1]; see the function `encode`."""
        if self.pre_emphasis:
            wave = np.asarray(wave, np.float32)
            before = np.concatenate([np.zeros_like(wave[..., :1]), wave[..., :-1]], axis=-1)
            wave = wave - np.float32(self.pre_emphasis) * before
        return encode(wave, self.q_levels, self.quantization)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Waves (…, T) float32 in [-1, 1] of codes (…, T)."""
        if not self.pre_emphasis:
            return decode(codes, self.q_levels, self.quantization)
        return np.apply_along_axis(lambda row: Decoder(self)(row), -1, codes)


class Decoder:
    """Decodes one wave piece by piece: the pieces' samples joined are `Coding.decode` of their codes joined."""

    def __init__(self, coding: Coding) -> None:
        self._table = decode_table(coding.q_levels, coding.quantization)
        self._coefficient = float(coding.pre_emphasis)
        self._last = 0.0

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """The next samples, (n,) float32 in [-1, 1], of the next codes (n,)."""
        samples = self._table[codes]
        if not self._coefficient:
            return samples
        # Python's own floats, one operation after the other: the same on every machine, 0.1 µs a sample.
        a = self._coefficient
        whole = list(accumulate(samples.tolist(), lambda last, sample: sample + a * last, initial=self._last))
        self._last = whole[-1]
        return np.clip(np.array(whole[1:], np.float32), -1, 1)


def _check_levels(q_levels: int, quantization: str) -> None:
    if q_levels < 4 or q_levels % 2:
        raise InputError(f"q_levels is {q_levels}; it must be an even number of at least 4, e.g. 256")
    if quantization not in get_args(Quantization):
        raise InputError(f"quantization is {quantization!r}; it must be one of {', '.join(get_args(Quantization))}")
