"""Quality and variety of single digits, by the measures that the field uses for SC09, with our recognizer's features.

The papers use a ResNeXt classifier of 16 kHz one-second clips; here the features are the time mean of the recognizer's
last hidden layer and the probabilities those of a clip that holds exactly one digit, so results compare with each other
and with the ground truth, and not with published ones. All but FID take the digits' probabilities p(y|x) alone.

Letters: n clips, D features, C = 10 digits.

References: Kong et al. 2021 (DiffWave, arXiv 2009.09761) for the set of measures; FID: Heusel et al. 2017; IS: Salimans
et al. 2016; mIS: Gurumurthy et al. 2017 (DeLiGAN); AM: Zhou et al. 2018 (activation maximization).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tts.recognition.model import Recognizer

LEAST = 1e-12
"""Probabilities are not taken to be smaller: mIS grows without bound where a classifier is wholly sure."""


@dataclass(frozen=True)
class Clips:
    """What the recognizer makes of a set of single digits."""

    features: np.ndarray
    """(n, D) float32."""
    probabilities: np.ndarray
    """(n, C) float32, rows sum to 1."""

    @classmethod
    def of(cls, recognizer: Recognizer, waves: Sequence[tuple[np.ndarray, int]]) -> "Clips":
        """Waves, each (T,) float32 with its sample rate in Hz, to clips: those of one rate together."""
        features, probabilities = [], []
        for rate in sorted({rate for _, rate in waves}):
            alike = [wave for wave, each in waves if each == rate]
            features.append(recognizer.features(alike, rate))
            probabilities.append(recognizer.digit_probabilities(alike, rate))
        return cls(np.concatenate(features), np.concatenate(probabilities))


def quality(clips: Clips, reference: Clips) -> dict[str, float]:
    """FID, IS, mIS and AM of clips against real training recordings; at least two of each.

    FID falls with the number of clips, so compare sets of one size, as the ground truth is.
    """
    return {
        "fid": frechet_distance(clips.features, reference.features),
        "is": inception_score(clips.probabilities),
        "mis": modified_inception_score(clips.probabilities),
        "am": am_score(clips.probabilities, reference.probabilities.mean(0)),
    }


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Distance of features (n, D) and (m, D), taken as Gaussians: lower is better, 0 for the same moments."""
    import torch
    from torchaudio.functional import frechet_distance as between

    moments = []
    for x in (one.astype(np.float64), other.astype(np.float64)):
        moments += [torch.from_numpy(x.mean(0)), torch.from_numpy(np.cov(x, rowvar=False).reshape(x.shape[1], -1))]
    return max(0.0, float(between(*moments)))


def inception_score(probabilities: np.ndarray) -> float:
    """exp(E_x KL(p(y|x) || E_x p(y|x))): 1 … C, higher where clips are clear and all digits are said."""
    p = _clipped(probabilities)
    return float(np.exp(np.mean(np.sum(p * (np.log(p) - np.log(p.mean(0))), axis=1))))


def modified_inception_score(probabilities: np.ndarray) -> float:
    """exp(E_x E_x' KL(p(y|x) || p(y|x'))) over all pairs: higher where clips differ from each other, in a digit too."""
    p = _clipped(probabilities)
    return float(np.exp(np.mean(np.sum(p * (np.log(p) - np.log(p).mean(0)), axis=1))))


def am_score(probabilities: np.ndarray, real: np.ndarray) -> float:
    """KL(real p(y) || E_x p(y|x)) + E_x H(p(y|x)), nats: lower is better, 0 for sure clips with real shares of digits.

    Args: probabilities (n, C); real (C,), the mean of the real clips' probabilities.
    """
    p, q = _clipped(probabilities), _clipped(real)
    return float(np.sum(q * (np.log(q) - np.log(p.mean(0)))) - np.mean(np.sum(p * np.log(p), axis=1)))


def _clipped(probabilities: np.ndarray) -> np.ndarray:
    clipped = np.maximum(probabilities.astype(np.float64), LEAST)
    return clipped / clipped.sum(axis=-1, keepdims=True)
