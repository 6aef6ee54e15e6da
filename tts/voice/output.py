"""From an engine's codes to a voice's samples: decoded, and filtered where the voice has a comb filter."""

import numpy as np

from tts.audio import Coding, Decoder
from tts.audio.comb import CombFilter
from tts.generation.native import comb, library


class Output:
    """Makes one wave piece by piece: what it gives, joined, is as long as the codes, and the same for any pieces.

    Example:
        output = Output(config.model.coding, config.sample_rate, comb_filter=1.0)
        samples = np.concatenate([*(output(codes) for codes in pieces), output.rest()])
        assert (output.whole() == samples).all()
    """

    def __init__(self, coding: Coding, sample_rate: int, comb_filter: float) -> None:
        """Without the native library, where torch makes the codes, nothing is filtered."""
        self._decoder = Decoder(coding)
        filtered = comb_filter and not library.problem()
        self._comb = CombFilter(sample_rate, comb_filter, comb.filter_blocks) if filtered else None
        self._made: list[np.ndarray] = []

    @property
    def held(self) -> int:
        """How many samples after a block have to be there before it is given; 0 where nothing is filtered."""
        return self._comb.reach if self._comb else 0

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """The next samples, (n,) float32 in [-1, 1], after the next codes, (m,); a comb filter holds some back."""
        samples = self._decoder(codes)
        return self._given(self._comb(samples) if self._comb else samples)

    def rest(self) -> np.ndarray:
        """What was held back, (n,) float32, n at least 0, after the last codes."""
        return self._given(self._comb.rest() if self._comb else np.zeros(0, np.float32))

    def whole(self) -> np.ndarray:
        """All samples given so far, (n,) float32."""
        return np.concatenate(self._made)

    def _given(self, samples: np.ndarray) -> np.ndarray:
        self._made.append(samples.copy())  # the caller may change what it gets
        return samples
