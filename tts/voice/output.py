"""From an engine's codes to a voice's samples: decoded, and filtered where the voice has a comb filter."""

from collections.abc import Collection

import numpy as np

from tts.audio import Coding, Decoder
from tts.generation.native import library
from tts.generation.native.comb import CombFilter


class Output:
    """Makes one wave piece by piece: what it gives, joined, is as long as the codes, and the same for any pieces.

    Example:
        output = Output(config.model.coding, config.sample_rate, comb_filter=1.0)
        samples = np.concatenate([*(output(codes) for codes in pieces), output.rest()])
        assert (output.whole() == samples).all()
    """

    def __init__(
        self, coding: Coding, sample_rate: int, comb_filter: float, silences: Collection[np.ndarray] = ()
    ) -> None:
        """Without the native library, where torch makes the codes, nothing is filtered.

        Codes that are (not: equal) one of `silences`, of written pauses, are not filtered, and what lies before and
        after them is by itself: a pause stays silence.
        """
        self._decoder = Decoder(coding)
        self._numbers = sample_rate, comb_filter
        self._silences = silences
        self._comb = CombFilter(*self._numbers) if comb_filter and not library.problem() else None
        self._made: list[np.ndarray] = []

    @property
    def held(self) -> int:
        """How many samples after a block have to be there before it is given; 0 where nothing is filtered."""
        return self._comb.reach if self._comb else 0

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """The next samples, (n,) float32 in [-1, 1], after the next codes, (m,); a comb filter holds some back."""
        samples = self._decoder(codes)
        if self._comb and any(codes is silence for silence in self._silences):
            samples = np.concatenate([self._comb.rest(), samples])
            self._comb = CombFilter(*self._numbers)
        elif self._comb:
            samples = self._comb(samples)
        return self._given(samples)

    def rest(self) -> np.ndarray:
        """What was held back, (n,) float32, n at least 0, after the last codes."""
        return self._given(self._comb.rest() if self._comb else np.zeros(0, np.float32))

    def whole(self) -> np.ndarray:
        """All samples given so far, (n,) float32."""
        return np.concatenate(self._made)

    def _given(self, samples: np.ndarray) -> np.ndarray:
        self._made.append(samples.copy())  # the caller may change what it gets
        return samples
