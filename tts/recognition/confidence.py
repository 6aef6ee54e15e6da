"""How sure the recognizer is of each digit, so that it can reject speech that holds none; no torch.

CTC's own probabilities say little about that: no other words were in the recognizer's training, so it takes them for
digits with nearly the same probability. A small network gets the outputs of its layers around a recognized digit and
gives the probability that it is one. The recognizer itself is the same with and without it.

Letters: N frames of 20 ms, D width, K digits.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tts.recognition.digits import Place


def pooled(layers: Sequence[np.ndarray], found: Sequence[Place]) -> np.ndarray:
    """One vector for each digit, from the layers of one utterance, each (N, D): (K, 3 x sum of the widths).

    Of each layer the mean and maximum over the digit's frames, and the mean over its place on the path.
    """
    vectors = []
    for place in found:
        own = [(x[place.low : place.high], x[place.start : place.end]) for x in layers]
        vectors.append(np.concatenate([y for near, on in own for y in (near.mean(0), near.max(0), on.mean(0))]))
    return np.stack(vectors)


def confidences(vectors: np.ndarray, weights: Mapping[str, np.ndarray]) -> list[float]:
    """The probability that each is a digit, of vectors as `pooled` gives them; weights, of a layer and an output."""
    hidden = np.maximum(vectors @ weights["first.weight"].T + weights["first.bias"], 0)
    logits = (hidden @ weights["second.weight"].T + weights["second.bias"])[:, 0]
    found: list[float] = (1 / (1 + np.exp(-logits.astype(np.float64)))).tolist()
    return found
