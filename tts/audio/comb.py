"""A comb filter at the pitch, for what a voice has made: less noise between the harmonics of its vowels.

What a sample RNN draws has noise, which becomes the past of the samples after it; most of it lies in vowels, between
the harmonics. The filter averages each voiced sample with those one and two periods before and after: the harmonics
stay, the noise becomes less. Where vowels have their second and third formants most is noise, and a vowel without them
is another one; so each band is given back the power that it had.

References: Chen and Gersho 1995, "Adaptive postfiltering for quality enhancement of coded speech", IEEE Transactions
on Speech and Audio Processing 3 (1); Valin et al. 2020, "A perceptually-motivated approach for low-complexity,
real-time enhancement of fullband speech" (PercepNet), arXiv 2008.04259, whose comb filter also has several periods to
either side and gains of bands after it.

The work is done in C: `tts.generation.native.comb`.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

HIGHEST_PITCH, LOWEST_PITCH = 400, 70
"""Hz; as in the judge of periodicity."""
TAPS = 2
"""Periods before, and as many after a sample, that are averaged with it."""
LEAST, FULL = 0.3, 0.6
"""Correlations: a period as like as `LEAST` or less weighs nothing, from `FULL` on as much as the sample itself."""
EDGES = (600, 1200, 2000, 3000, 4000, 5500, 8000, 12000)
"""Hz, between bands, as far as the sample rate reaches."""
MOST_GAIN = 2.5
"""Of a band: a little more than white noise loses by the average of five periods."""


@dataclass(frozen=True)
class Comb:
    """The filter's numbers, in samples.

    Every `hop` samples there is a place at which the pitch is looked for: the lag at which the `window` samples around
    it correlate most with those before them. Then each of `TAPS` periods before and after is looked for, at that lag
    from the one nearer, `drift` samples to either side, by the correlation of `match` samples. These correlations
    weight the average.
    """

    hop: int
    window: int
    match: int
    shortest: int
    longest: int
    drift: int
    filter_reach: int
    """A band's filter has so many samples before and after the one in its middle."""
    sample_rate: int
    strength: float
    """0 … 1: times the weights of the periods."""

    @classmethod
    def at(cls, sample_rate: int, strength: float = 1.0) -> "Comb":
        """Places every 10 ms, windows of 40 and 20 ms, a drift of 0.4 ms, filters that reach 4 ms."""
        return cls(
            hop=max(sample_rate // 100, 1),
            window=sample_rate // 50 * 2,
            match=sample_rate // 100 * 2,
            shortest=sample_rate // HIGHEST_PITCH,
            longest=sample_rate // LOWEST_PITCH,
            drift=max(round(sample_rate * 0.0004), 1),
            filter_reach=sample_rate // 250,
            sample_rate=sample_rate,
            strength=strength,
        )

    @property
    def reach(self) -> int:
        """How many samples before the first and after the last one of a block are looked at."""
        periods = TAPS * (self.longest + self.drift) + self.hop + max(self.filter_reach, self.match // 2)
        return max(periods, self.window // 2 + self.longest)

    @property
    def loudest(self) -> int:
        """What 1.0 is in the search, so that its sums of products fit in int32."""
        return min(1023, math.isqrt((2**31 - 1) // self.window))

    def whole(self, wave: np.ndarray) -> np.ndarray:
        """A wave in whole numbers, int16, for the search: sums of them are exact, whatever their order."""
        return np.rint(np.clip(wave, -1, 1) * np.float32(self.loudest)).astype(np.int16)


@functools.cache
def band_filters(sample_rate: int, reach: int) -> np.ndarray:
    """(B, 2 reach + 1) float32: a filter for each band between `EDGES`, together the identity.

    Windowed sincs, rounded to 2^-20, so that they are the same whatever library computes the sines.
    """
    times, window = np.arange(-reach, reach + 1), np.hanning(2 * reach + 3)[1:-1]
    cuts = [2 * edge / sample_rate for edge in EDGES if edge < 0.45 * sample_rate]
    below = [np.rint(2**20 * cut * np.sinc(cut * times) * window) for cut in cuts]
    whole = np.where(times == 0, 2.0**20, 0.0)
    return (np.diff([0 * whole, *below, whole], axis=0) / 2**20).astype(np.float32)
