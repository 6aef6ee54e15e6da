"""What the frame tier sees of text and time, without torch: as `TwoTier` makes it.

Letters: W words.
"""

import math
from collections.abc import Mapping

import numpy as np


def clock_features(frames: int, dim: int) -> np.ndarray:
    """`tts.models.two_tier.clock_features` without torch: (frames, dim) float32."""
    if dim == 0:
        return np.zeros((frames, 0), np.float32)
    period = 4.0 * np.logspace(0, math.log10(frames), dim // 2)
    angle = 2 * math.pi * np.arange(frames)[:, None] / period
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)


def embed_units(weights: Mapping[str, np.ndarray], units: np.ndarray, ends: bool) -> np.ndarray:
    """(W, word_dim) float32 word vectors to (W, text_dim), or (W + 1, text_dim) with the end's where the text `ends`.

    As `TwoTier.embed_words`.
    """
    vectors = units.astype(np.float32)
    centered = vectors - vectors.mean(-1, keepdims=True)
    normed = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + np.float32(1e-5))  # LayerNorm
    embedded = np.tanh(product(normed, weights["unit.weight"].T) + weights["unit.bias"])
    return np.concatenate([embedded, np.tanh(weights["end"])[None]]) if ends else embedded


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b on this thread alone: the threads of a BLAS library take the cores from those that speak meanwhile."""
    return np.einsum("wi,ig->wg", a, b, optimize=False)
