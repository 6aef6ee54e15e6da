"""Clicks: single samples that stand out from all around them, as at a bad join or where a sampler slipped.

A click is short and sharp, so it is looked for in the second differences d[t] = x[t-1] - 2 x[t] + x[t+1], where vowels
are weak and a step or a spike is not. Speech has sharp places too: glottal pulses every few milliseconds, and onsets of
stops, which noise follows. So d[t] is held against the louder one of its two sides, 5 ms each: pulses and onsets have
something alike close by, a click has nothing on either side. A click under a loud vowel or in a hiss goes unnoticed;
and of two within 5 ms of each other, at least the weaker one.

Letters: T samples.
"""

import numpy as np

RATIO = 12.0
"""So many times the RMS of the second differences on either side. Of FSDD's own recordings, prepared for training, 2.2
places a minute have it, in 37 recordings of 3,000; 0.4 at a ratio of 20, and 21 at 8: glottal pulses of low voices."""

LEAST = 0.02
"""Nor is anything a click whose second difference is smaller, full scale 1: a spike at -40 dBFS or a step at -34."""

SIDE_SECONDS = 0.005
GUARD_SECONDS = 0.0005
"""Left out next to the sample: a click reaches two samples of second differences and rings a little where filtered."""
APART_SECONDS = 0.001
"""Places nearer to each other are one click."""


def find_clicks(wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """The clicks in wave (T,) float in [-1, 1] at sample_rate Hz, their first samples: (n,) int64, rising."""
    if len(wave) < 3:
        return np.zeros(0, dtype=np.int64)
    differences = np.abs(np.diff(wave.astype(np.float64), 2))
    side, guard = (max(1, round(seconds * sample_rate)) for seconds in (SIDE_SECONDS, GUARD_SECONDS))
    sums = np.concatenate([[0.0], np.cumsum(differences**2)])
    place = np.arange(len(differences))

    def power(start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Mean square of d[start:end], of what there is of it; 0 for nothing."""
        start, end = (np.clip(edge, 0, len(differences)) for edge in (start, end))
        return (sums[end] - sums[start]) / np.maximum(end - start, 1)

    around = np.maximum(power(place - guard - side, place - guard), power(place + guard + 1, place + guard + 1 + side))
    found = np.flatnonzero((differences > LEAST) & (differences**2 > RATIO**2 * around)) + 1
    return found[np.diff(found, prepend=-sample_rate) > APART_SECONDS * sample_rate]
