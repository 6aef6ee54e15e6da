"""The numbers of the comb filter. What it does to waves: tests/generation/test_native_comb.py."""

import numpy as np
import pytest

from tts.audio.comb import Comb, band_filters

RATES = [1000, 8000, 11025, 16000, 44100, 384000]


@pytest.mark.parametrize("rate", RATES)
def test_sums_of_the_search_fit_in_int32(rate):
    comb = Comb.at(rate)
    assert comb.loudest**2 * max(comb.window, comb.match) < 2**31
    loudest = comb.loudest
    assert comb.whole(np.array([-3, -1, 0, 1, 3], np.float32)).tolist() == [-loudest, -loudest, 0, loudest, loudest]


@pytest.mark.parametrize("rate", RATES)
def test_bands_are_the_identity_together(rate):
    reach = Comb.at(rate).filter_reach
    filters = band_filters(rate, reach)
    assert filters.shape[1] == 2 * reach + 1
    np.testing.assert_array_equal(filters.sum(0), np.arange(-reach, reach + 1) == 0)
    np.testing.assert_array_equal(filters, filters[:, ::-1])


def test_each_band_passes_its_middle():
    filters = band_filters(16000, Comb.at(16000).filter_reach)
    heights = np.abs(np.fft.rfft(filters, 16000))
    assert len(filters) == 7
    for band, middle in enumerate((300, 900, 1600, 2500, 3500, 4750, 6750)):
        assert heights[band, middle] > 0.95
        assert np.delete(heights[:, middle], band).max() < 0.05
