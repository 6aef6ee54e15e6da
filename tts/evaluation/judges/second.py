"""The second recognizer: another network, other features, damage, seed and speakers than the first one's.

`tts.recognition.second_training` makes it. It is never used to select training data, checkpoints or settings.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tts.evaluation.fingerprint import model_fingerprint
from tts.evaluation.judges.judge import Measure, error_score
from tts.evaluation.utterance import Score
from tts.recognition.model import SECOND_WEIGHTS, Recognizer


class SecondJudge:
    """Reads digits."""

    name = "second"
    measures: ClassVar[dict[str, Measure]] = {"second": Measure("a second recognizer's errors per digit", reads=True)}

    def __init__(self, recognizer: Recognizer | None = None) -> None:
        self.recognizer = recognizer or Recognizer.load(SECOND_WEIGHTS)

    def settings(self) -> Any:
        """What its answers depend on."""
        return model_fingerprint(self.recognizer.net)

    def __call__(self, wave: np.ndarray, sample_rate: int, said: Sequence[str], speaker: str) -> dict[str, Score]:
        """As `Judge`."""
        (found,) = self.recognizer.recognize([wave], sample_rate)
        return {"second": error_score(said, [str(digit) for digit in found])}
