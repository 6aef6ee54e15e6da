"""DNSMOS: opinion scores, 1 to 5, that a network predicts for a wave, by the wheel `speechmos`.

Four scores: ovrl (overall), sig (speech), bak (background; all three of ITU-T P.835), p808 (ITU-T P.808). The networks
were trained on noisy calls of many speakers, never on this project's corpora. Their input is 16 kHz: a voice of 8 kHz,
whose upper half is empty, gets lower scores than it would at 16, and so do its real recordings. Compare the two.

Reference: Reddy et al. 2022 ("DNSMOS P.835", arXiv 2110.01763).
"""

import importlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np

from tts import audio
from tts.core.extras import require
from tts.evaluation.judges.judge import Measure
from tts.evaluation.utterance import Score

NAMES = ("ovrl", "sig", "bak", "p808")
NEEDS = ("speechmos", "librosa", "onnxruntime", "requests")
RATE = 16_000
PEAK = 0.9


def dnsmos(wave: np.ndarray, sample_rate: int) -> dict[str, float]:
    """The scores of wave (T,) float at sample_rate Hz by name, out of `NAMES`; short waves are repeated to 9 s.

    Raises: InputError without the extra `judges`.
    """
    require("judges", *NEEDS)
    module: Any = importlib.import_module("speechmos.dnsmos")
    resampled = audio.resample(wave.astype(np.float32), sample_rate, RATE)
    scaled = resampled * (PEAK / max(float(np.abs(resampled).max()), 1e-9))
    found = module.run(scaled, RATE)
    return {name: float(found[f"{name}_mos"]) for name in NAMES}


class DnsmosJudge:
    """The four scores of each wave."""

    name = "dnsmos"
    measures: ClassVar[dict[str, Measure]] = {
        "DNSMOS overall": Measure("predicted opinion, 1 to 5 (P.835)"),
        "DNSMOS signal": Measure("the same of the speech alone"),
        "DNSMOS background": Measure("the same of the background alone"),
        "DNSMOS P.808": Measure("predicted opinion, 1 to 5 (P.808)"),
    }

    def __init__(self) -> None:
        require("judges", *NEEDS)

    def settings(self) -> Any:
        """What its answers depend on."""
        return [version("speechmos"), PEAK]

    def __call__(self, wave: np.ndarray, sample_rate: int, said: Sequence[str], speaker: str) -> dict[str, Score]:
        """As `Judge`."""
        found = dnsmos(wave, sample_rate)
        return {measure: Score(found[name], 1) for measure, name in zip(self.measures, NAMES, strict=True)}
