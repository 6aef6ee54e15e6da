"""How far a wave is from another, as a weighted sum of differences; for `tts.lab.waves`.

Each is divided by what silence costs on the whole clip: 1 is a network that has learned nothing, 0 the clip.
Letters: B groups of n points in a row each; the whole clip is one group.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from tts.core.config import Range, check
from tts.core.errors import InputError

Weight = Annotated[float, Range(0, 1000)]
PHASE_WINDOW = 256
"""Samples whose phases are compared, at most."""
SHORTEST_SPECTRUM = 64
SPECTRA = (1024, 512, 256, 128, SHORTEST_SPECTRUM)
"""Samples of the spectrograms' windows; those that a group is too short for are left out."""
FLOOR = 0.01
"""Added to magnitudes before their logarithm, so that silence has one; a clip's standard deviation is 1."""


@dataclass(frozen=True)
class Weights:
    """Of each difference in the loss."""

    mse: Weight = 1.0
    slope: Weight = 0.0
    """Of the differences of neighbors ("proximal difference")."""
    slope_of_slopes: Weight = 0.0
    distance: Weight = 0.0
    """Of the differences of points that lie far apart: each point and the one half of all points later."""
    phase: Weight = 0.0
    """Of the phases of windows' Fourier transforms, weighted by the clip's magnitudes. It says nothing on loudness."""
    spectrogram: Weight = 0.0
    """Of magnitudes and of their logarithms, over several lengths of window (Engel et al. 2020, section 4.2.1)."""

    def __post_init__(self) -> None:
        check(self)
        if not any(used(self)):
            raise InputError("every weight of the loss is 0; give at least one more, e.g. loss.mse=1")


class Distance:
    """The loss of a prediction (B, n) against the samples (B, n) of a clip (T,) that was given in the beginning."""

    def __init__(self, weights: Weights, wave: Tensor) -> None:
        self.terms = [(DIFFERENCES[name], weight) for name, weight in vars(weights).items() if weight]
        whole = wave[None]
        self.silence = [difference(torch.zeros_like(whole), whole) for difference, _ in self.terms]

    def __call__(self, made: Tensor, wave: Tensor) -> Tensor:
        """The weighted sum of the differences, a number."""
        parts = [
            weight * difference(made, wave) / silence
            for (difference, weight), silence in zip(self.terms, self.silence, strict=True)
        ]
        return torch.stack(parts).sum()


def used(weights: Weights) -> list[str]:
    """The names of those above 0."""
    return [name for name, weight in vars(weights).items() if weight]


def points_needed(weights: Weights) -> int:
    """How many points in a row the differences need at least."""
    needed = {"slope": 2, "slope_of_slopes": 3, "phase": 8, "spectrogram": SHORTEST_SPECTRUM}
    return max(needed.get(name, 1) for name in used(weights))


def mse(made: Tensor, wave: Tensor) -> Tensor:
    """Mean squared difference."""
    return (made - wave).square().mean()


def slope(made: Tensor, wave: Tensor) -> Tensor:
    """The same of the slopes between neighbors."""
    return (made - wave).diff(dim=-1).square().mean()


def slope_of_slopes(made: Tensor, wave: Tensor) -> Tensor:
    """The same of what one slope adds to the one before it."""
    return (made - wave).diff(n=2, dim=-1).square().mean()


def distance(made: Tensor, wave: Tensor) -> Tensor:
    """The same of the difference of each of the first half of the points to one of the second half."""
    error = (made - wave).flatten()
    half = len(error) // 2
    return (error[:half] - error[half : 2 * half]).square().mean()


def phase(made: Tensor, wave: Tensor) -> Tensor:
    """1 minus the cosine of the phase difference: 0 to 2, and 1 of silence, which has no phase."""
    size = min(wave.shape[-1], PHASE_WINDOW)
    window = torch.hann_window(size, periodic=False, device=wave.device)
    a, b = (torch.fft.rfft(signal.unfold(-1, size, max(size // 2, 1)) * window) for signal in (made, wave))
    agreement = (a * b.conj()).real / (a.abs() + 1e-6)  # the cosine times the clip's magnitude
    return 1 - agreement.sum() / (b.abs().sum() + 1e-6)


def spectrogram(made: Tensor, wave: Tensor) -> Tensor:
    """Mean absolute difference of magnitudes, relative to the clip's, and of their logarithms."""
    parts = []
    for size in SPECTRA:
        if size <= wave.shape[-1]:
            a, b = (_magnitudes(signal, size) for signal in (made, wave))
            parts.append((a - b).abs().mean() / (b.mean() + FLOOR))
            parts.append(((a + FLOOR).log() - (b + FLOOR).log()).abs().mean())
    return torch.stack(parts).mean()


def _magnitudes(signal: Tensor, size: int) -> Tensor:
    window = torch.hann_window(size, device=signal.device)
    spectra = torch.stft(
        signal, size, size // 4, window=window, pad_mode="constant", normalized=True, return_complex=True
    )
    return spectra.abs()


DIFFERENCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": mse,
    "slope": slope,
    "slope_of_slopes": slope_of_slopes,
    "distance": distance,
    "phase": phase,
    "spectrogram": spectrogram,
}
