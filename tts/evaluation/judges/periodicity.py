"""How periodic the loud frames of a wave are: near 1 in a sung vowel, 0.3 in a whisper.

Of each 40 ms frame, one every 10 ms, within 15 dB of the loudest: the highest normalized autocorrelation at lags of
70 to 400 Hz. The harmonic-to-noise ratio is the same in dB, 10 log10(r / (1 - r)).

Reference: Boersma 1993 ("Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of
a sampled sound"), with the two stretches of a lag normalized by their own energies, as Praat's cross-correlation does.

Letters: T samples, N frames, F samples of a frame.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tts.evaluation.judges.judge import Measure
from tts.evaluation.utterance import Score

FRAME_SECONDS, HOP_SECONDS = 0.040, 0.010
LOUD_DB = 15.0
LOW_HZ, HIGH_HZ = 70.0, 400.0
LEAST, MOST = 0.01, 0.999
"""Between these a frame's periodicity is kept for its ratio in dB: -20 to 30 dB."""


def frame_periodicity(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """The highest normalized autocorrelation of each loud frame, at most 1.

    Args: audio (T,) float at sample_rate Hz; the gain does not matter.

    Returns: (N,) float64; empty where the audio is shorter than a frame or silent.
    """
    size, hop = round(FRAME_SECONDS * sample_rate), round(HOP_SECONDS * sample_rate)
    if len(audio) < size:
        return np.empty(0)
    frames = sliding_window_view(np.asarray(audio, dtype=np.float64), size)[::hop]  # (N, F)
    power = np.mean(frames**2, axis=1)
    loud = frames[(power > 0) & (power >= power.max() * 10 ** (-LOUD_DB / 10))]
    loud = loud - loud.mean(axis=1, keepdims=True)
    energy = np.concatenate([np.zeros((len(loud), 1)), np.cumsum(loud**2, axis=1)], axis=1)
    best = np.full(len(loud), -1.0)
    for lag in range(int(sample_rate / HIGH_HZ), round(sample_rate / LOW_HZ) + 1):
        products = np.einsum("nf,nf->n", loud[:, :-lag], loud[:, lag:])
        energies = energy[:, size - lag] * (energy[:, size] - energy[:, lag])
        best = np.maximum(best, products / np.sqrt(np.maximum(energies, 1e-24)))
    return best


def periodicity(audio: np.ndarray, sample_rate: int) -> float:
    """Mean of `frame_periodicity`; 0.0 where there is no loud frame."""
    found = frame_periodicity(audio, sample_rate)
    return float(found.mean()) if len(found) else 0.0


def decibels(periodicity: np.ndarray) -> np.ndarray:
    """Harmonic-to-noise ratios in dB of frames' periodicities, of any shape."""
    kept = np.clip(periodicity, LEAST, MOST)
    return 10 * np.log10(kept / (1 - kept))


class PeriodicityJudge:
    """Periodicity and harmonic-to-noise ratio, over all loud frames."""

    name = "periodicity"
    measures: ClassVar[dict[str, Measure]] = {
        "periodicity": Measure("highest normalized autocorrelation of loud 40 ms frames, 1 for a pure tone", places=3),
        "harmonic-to-noise ratio": Measure("of the same frames, dB", places=1),
    }

    def settings(self) -> Any:
        """What its answers depend on."""
        return [FRAME_SECONDS, HOP_SECONDS, LOUD_DB, LOW_HZ, HIGH_HZ]

    def __call__(self, wave: np.ndarray, sample_rate: int, said: Sequence[str], speaker: str) -> dict[str, Score]:
        """As `Judge`."""
        frames = frame_periodicity(wave, sample_rate)
        return {
            "periodicity": Score(float(frames.sum()), len(frames)),
            "harmonic-to-noise ratio": Score(float(decibels(frames).sum()), len(frames)),
        }
