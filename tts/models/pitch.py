"""The pitch lag before each frame, and the past samples around one lag ago.

A voiced sound repeats after one pitch period. A network on the last samples alone cannot use that: the period is
longer than its history, and changes. So before each frame the lag at which the past correlates most with itself is
found, as a speech coder's pitch search does (ITU-T G.728, 1992, section 4.7), and the samples around one lag ago are
inputs of the sample tier. It is a function of the past alone, the same in training and generation; nothing is learned.

Letters: B batch, T samples, N frames, F frame_size, V pitch_window, K lags, J pitch_taps, L loss frames.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from tts.models.config import TwoTierConfig

FLOOR = 3e-4
"""RMS that is added to the energies, so that silence has no pitch: that of training's dither."""
STEPS = 2.0**16
"""Correlations are rounded to so many steps, so that the lag does not depend on the order of a sum."""


class Pitch(NamedTuple):
    """Of frames (…)."""

    lag: Tensor
    """int64, in samples; the shortest of those that correlate best."""
    correlation: Tensor
    """float32, -1 to 1: normalized, at the lag."""

    def features(self, config: TwoTierConfig) -> Tensor:
        """(…, 2) float32, about -1 to 1: the correlation, and the logarithm of the lag."""
        low, high = config.pitch_lags
        lag = (self.lag.double() / math.sqrt(low * high)).log2() * 0.7
        return torch.stack([self.correlation, lag.float()], -1)


def find_pitch(past: Tensor, lags: tuple[int, int]) -> Pitch:
    """The pitch before frames. past: (…, V + the longest lag) float64, the newest last; lags: shortest and longest."""
    low, high = lags
    newest = past[..., high:]
    size = newest.shape[-1]
    cross = _correlate(newest, past, high - low + 1).flip(-1)  # of lags from `low` on
    squares = functional.pad((past * past).cumsum(-1), (1, 0))
    begins = high - torch.arange(low, high + 1, device=past.device)
    before = squares[..., begins + size] - squares[..., begins]
    now = squares[..., high + size] - squares[..., high]
    correlation = cross / ((before.clamp(min=0) * now[..., None]).sqrt() + size * FLOOR**2)
    steps = (correlation * STEPS).round()
    place = (steps * (high + 1) - torch.arange(high - low + 1, device=past.device)).argmax(-1)
    return Pitch(place + low, (steps.gather(-1, place[..., None])[..., 0] / STEPS).float())


def pitch_of(wave: Tensor, config: TwoTierConfig) -> Pitch:
    """The pitch (B, N) before each frame of whole sequences (B, T) float64, silence before them; T a multiple of F."""
    size, F = past_samples(config), config.frame_size
    past = functional.pad(wave, (size, 0))[:, : wave.shape[1] + size - F].unfold(1, size, F)
    return find_pitch(past, config.pitch_lags)


def past_samples(config: TwoTierConfig) -> int:
    """How many samples before a frame are needed."""
    return config.pitch_window + config.pitch_lags[1]


def taps(values: Tensor, found: Pitch, t: Tensor, config: TwoTierConfig) -> Tensor:
    """What the sample tier gets of the pitch.

    Args:
        values: (L, n) float32, companded samples of pieces that hold what is before t.
        found: (L,), the pitch of the piece's frame.
        t: (L, m) int64, places of samples in their piece.

    Returns: (L, m, J + 1) float32: the values around one lag before t, the oldest first, and the correlation.
    """
    J = config.pitch_taps
    around = torch.arange(J, device=t.device) - J // 2
    places = t[..., None] - found.lag[:, None, None] + around
    gathered = values.gather(1, places.flatten(1)).view(places.shape)
    return torch.cat([gathered, found.correlation[:, None, None].expand(*t.shape, 1)], -1)


def _correlate(x: Tensor, y: Tensor, lags: int) -> Tensor:
    """sum_t x[t] y[t + m] for m = 0 … lags - 1, (…, lags); y is as long as all of them need."""
    size = 1 << (y.shape[-1] + lags - 1).bit_length()
    spectrum = torch.fft.rfft(x, size).conj() * torch.fft.rfft(y, size)
    return torch.fft.irfft(spectrum, size)[..., :lags]
