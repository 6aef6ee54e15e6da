"""Noise of one step on a recording that was stored in coarse steps.

A model of samples learns the comb of the few values that such a recording has, and nothing between them. Uniform noise
as wide as a step fills the gaps (as in Theis et al. 2016, arXiv 1511.01844, section 3.1), without a change of the
values that it would be rounded to.
"""

from hashlib import sha256

import numpy as np

FINEST_STEP = 2.0**-11
"""Of full scale 2: 12 bits. Below it the noise of rooms and microphones has filled the gaps."""


def dequantize(wave: np.ndarray) -> np.ndarray:
    """Wave (T,) float32 with uniform noise of one step added, if its values lie in coarse steps; else unchanged.

    The noise depends on the wave alone.

    Example:
        smooth = dequantize(np.round(wave * 64) / 64)
    """
    steps = np.diff(np.unique(wave))
    if not len(steps) or steps.min() < FINEST_STEP:
        return wave
    rng = np.random.default_rng(int.from_bytes(sha256(wave.tobytes()).digest()[:8], "little"))
    half = float(steps.min()) / 2
    return (wave + rng.uniform(-half, half, len(wave))).astype(np.float32)
