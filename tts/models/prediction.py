"""Linear prediction of each sample from those before it, as a hint to the sample tier.

Speech is nearly a linear function of its last few milliseconds, of the waves as they are and not of their companded
values, and that function changes from frame to frame: too much for a small network to find by itself. So it is given
the prediction, and the error that the prediction made on the last sample. The predictor is backward-adaptive: computed
anew for each frame from the samples before it, by the autocorrelation method with an asymmetric window, so that it
needs no weights and nothing to be sent along.

References: Chen et al. 1992, "A low-delay CELP coder for the CCITT 16 kb/s speech coding standard" (the backward
adaptation, and the kind of window); Valin and Skoglund 2019, "LPCNet", arXiv 1810.11846 (prediction and excitation
as inputs of a sample-level network, each as a table's row); Makhoul 1975 (the autocorrelation method).

Letters: B batch, T samples, N frames, F = frame_size, K = order, W = window, M frames.
"""

import math

import torch
from torch import Tensor

from tts import audio
from tts.models.config import LPC_CORRECTION, LPC_FLOOR


def coefficients(past: Tensor, order: int, shape: Tensor) -> Tensor:
    """The predictor of the sample that follows (M, W) past samples: (M, K) float32, that of the last sample first.

    `shape` is `tts.models.config.lpc_window(W)`. Levinson and Durbin's recursion in float64.
    """
    shaped = (past * shape).double()
    size = 2 ** math.ceil(math.log2(past.shape[1] + order + 1))
    spectrum = torch.fft.rfft(shaped, size)
    r = torch.fft.irfft(spectrum.real**2 + spectrum.imag**2, size)[:, : order + 1]
    error = r[:, 0] * LPC_CORRECTION + LPC_FLOOR
    found = torch.zeros(len(r), order, dtype=torch.float64, device=r.device)
    for i in range(order):
        reflection = (r[:, i + 1] - (found[:, :i] * r[:, 1 : i + 1].flip(1)).sum(1)) / error
        found[:, :i] -= reflection[:, None] * found[:, :i].flip(1)
        found[:, i] = reflection
        error = error * (1 - reflection**2)
    return found.float()


def places(waves: Tensor, q_levels: int, quantization: audio.Quantization) -> Tensor:
    """Where waves lie between the levels, as real numbers in [0, q_levels - 1): as `tts.audio.encode`, not rounded."""
    waves = waves.clamp(-1, 1)
    if quantization == "mu-law":
        waves = waves.sign() * torch.log1p((q_levels - 1) * waves.abs()) / math.log(q_levels)
    # Below the last level by so much that float32 tells: the row after it must exist.
    return ((waves + 1) * ((q_levels - 1) / 2)).clamp(0, q_levels - 1 - 1e-4)


def hints(stretches: Tensor, order: int, shape: Tensor, q_levels: int, quantization: audio.Quantization) -> Tensor:
    """(M, W + F) waves, each frame with the window before it, to (M, F, 2) places.

    For each sample of the frame: its prediction, and the error of the prediction of the sample before it, both by the
    frame's predictor.
    """
    W = len(shape)
    predictor = coefficients(stretches[:, :W], order, shape)
    past = stretches[:, W - order - 1 : -1].unfold(1, order, 1)  # (M, F + 1, K): from one sample before the frame on
    predicted = torch.einsum("mfk,mk->mf", past, predictor.flip(1))
    error = stretches[:, W - 1 : -1] - predicted[:, :-1]
    return places(torch.stack([predicted[:, 1:], error], dim=-1), q_levels, quantization)
