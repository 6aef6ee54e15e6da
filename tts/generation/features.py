"""The frame tier's inputs that come from text, time and pitch, computed without torch as `TwoTier` computes them.

Letters: U units.
"""

import math
from collections.abc import Mapping

import numpy as np


def clock_features(frames: int, dim: int) -> np.ndarray:
    """As `tts.models.two_tier.clock_features`: (frames, dim) float32."""
    if dim == 0:
        return np.zeros((frames, 0), np.float32)
    period = 4.0 * np.logspace(0, math.log10(frames), dim // 2)
    angle = 2 * math.pi * np.arange(frames)[:, None] / period
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)


def log_lags(lags: tuple[int, int]) -> np.ndarray:
    """The second of `tts.models.pitch.Pitch.features`, of each lag from the shortest to the longest, float32."""
    low, high = lags
    lag = np.arange(low, high + 1) / math.sqrt(low * high)
    return (np.log2(lag) * 0.7).astype(np.float32)


def embed_units(weights: Mapping[str, np.ndarray], units: np.ndarray, ends: bool) -> np.ndarray:
    """As `TwoTier.embed_units`: (U, word_dim) unit vectors to (U, text_dim), or (U + 1, text_dim) with the
    embedding of the end where the text `ends` after them; float64.
    """
    vectors = units.astype(np.float64)
    centered = vectors - vectors.mean(-1, keepdims=True)
    normed = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-5)  # LayerNorm
    embedded = np.tanh(product(normed, weights["unit.weight"].T) + weights["unit.bias"])
    return np.concatenate([embedded, np.tanh(weights["end"])[None]]) if ends else embedded


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b on this thread alone: a BLAS library would start threads, beside those that speak at the same time."""
    return np.einsum("wi,ig->wg", a, b, optimize=False)
