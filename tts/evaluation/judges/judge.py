"""What a judge is: it takes a wave and what it should say, and gives it a score by measure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tts.evaluation.utterance import Score
from tts.recognition.alignment import align, count_errors

OWN = "own"
"""The judge and measure of the recognizer that every report of digits is based on."""


@dataclass(frozen=True)
class Measure:
    """A number that a judge gives: what it is, and how it is shown.

    reads: it is an error rate, of what was recognized against what was said, so lower is better. share: it is the share
    of the waves that are wrong, 0 or 1 each, so lower is better, too. Else higher is.
    """

    about: str
    reads: bool = False
    share: bool = False
    places: int = 2


class Judge(Protocol):
    """One judge."""

    @property
    def name(self) -> str:
        """As `--judges` has it."""

    @property
    def measures(self) -> Mapping[str, Measure]:
        """By name, in the order of the report."""

    def settings(self) -> Any:
        """What its answers depend on, as JSON."""

    def __call__(self, wave: np.ndarray, sample_rate: int, said: Sequence[str], speaker: str) -> dict[str, Score]:
        """The scores of a wave (T,) float32 by measure; said, its words in lower case: of a voice of digits numerals,
        "4", else names, "four"; speaker, who should say it."""


def error_score(said: Sequence[str], recognized: Sequence[str]) -> Score:
    """Edits per word said, and the reading."""
    return Score(count_errors(align(said, recognized)).total, len(said), " ".join(recognized))
