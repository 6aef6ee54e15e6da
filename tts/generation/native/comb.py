"""The comb filter of `tts.audio.comb`, in C."""

import ctypes

import numpy as np

from tts.audio.comb import FULL, LEAST, MOST_GAIN, TAPS, Comb, band_filters
from tts.generation.native import library


class _Comb(ctypes.Structure):
    """`Comb` in comb.c."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("hop", "window", "match", "shortest", "longest", "drift")),
        *((name, ctypes.c_int32) for name in ("taps", "filter_reach", "bands")),
        *((name, ctypes.c_double) for name in ("strength", "least", "full", "most_gain")),
    )


def filter_blocks(comb: Comb, wave: np.ndarray, count: int) -> np.ndarray:
    """Filter blocks of `hop` samples.

    Args: comb; wave, (2 reach + count hop,) float32: `reach` samples, the blocks, `reach` samples; count, at least 1.

    Returns: (count hop,) float32 in [-1, 1].

    Raises:
        InputError: see `library.chosen`.
    """
    size = 2 * comb.reach + count * comb.hop
    wave = np.ascontiguousarray(wave, np.float32)
    assert wave.shape == (size,), (wave.shape, size)
    filters = band_filters(comb.sample_rate, comb.filter_reach)
    numbers = _Comb(
        comb.hop, comb.window, comb.match, comb.shortest, comb.longest, comb.drift, TAPS, comb.filter_reach,
        len(filters), comb.strength, LEAST, FULL, MOST_GAIN,
    )  # fmt: skip
    whole, out = comb.whole(wave), np.empty(count * comb.hop, np.float32)
    work = np.empty(8 * comb.hop + 4 * comb.filter_reach + 1, np.float32)
    library.load(library.chosen()).comb(
        ctypes.byref(numbers),
        filters.ctypes.data,
        wave[comb.reach :].ctypes.data,
        whole[comb.reach :].ctypes.data,
        count,
        work.ctypes.data,
        out.ctypes.data,
    )
    return out


class CombFilter:
    """Filters one wave piece by piece: what it gives, joined, is as long as the wave, and the same for any pieces.

    It gives nothing for the first pieces, since it has to know `Comb.reach` samples after each block that it gives.

    Example:
        comb = CombFilter(8000, 1.0)
        filtered = np.concatenate([*(comb(piece) for piece in pieces), comb.rest()])
    """

    def __init__(self, sample_rate: int, strength: float) -> None:
        self._comb = Comb.at(sample_rate, strength)
        self._wave = np.zeros(self._comb.reach, np.float32)
        """The `reach` samples before the next block, and all after them."""

    @property
    def reach(self) -> int:
        """How many samples after a block have to be there before it is given."""
        return self._comb.reach

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """The next samples, (n,) float32 in [-1, 1], n at least 0, after the next of the wave, (m,) float32."""
        self._wave = np.concatenate([self._wave, samples])
        return self._filtered((len(self._wave) - 2 * self._comb.reach) // self._comb.hop)

    def rest(self) -> np.ndarray:
        """The last samples, (n,) float32 in [-1, 1], n at least 0, after the wave's end."""
        left = len(self._wave) - self._comb.reach
        count = -(-left // self._comb.hop)
        self._wave = np.concatenate([self._wave, np.zeros(self._comb.reach + self._comb.hop, np.float32)])
        return self._filtered(count)[:left]

    def _filtered(self, count: int) -> np.ndarray:
        if count < 1:
            return np.zeros(0, np.float32)
        filtered = filter_blocks(self._comb, self._wave[: 2 * self._comb.reach + count * self._comb.hop], count)
        self._wave = self._wave[count * self._comb.hop :]
        return filtered
