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
    """Filter some blocks: see `tts.audio.comb.Blocks`.

    Args: comb; wave, (2 reach + count hop,) float32; count, at least 1.

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
