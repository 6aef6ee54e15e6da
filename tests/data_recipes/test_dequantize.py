"""Noise of one step on recordings that have few bits."""

import numpy as np
import pytest

from data_recipes.corpus import RecordingOptions, prepare
from data_recipes.dequantize import dequantize

WAVE = 0.4 * np.sin(np.arange(4000) / 7).astype(np.float32)


@pytest.mark.parametrize("bits", [6, 8, 11])
def test_a_coarse_wave_gets_noise_of_one_step(bits):
    step = 2.0 ** (1 - bits)
    coarse = (np.round(WAVE / step) * step).astype(np.float32)
    smooth = dequantize(coarse)
    assert smooth.dtype == np.float32
    assert len(np.unique(smooth)) > 0.9 * len(smooth)
    assert np.abs(smooth - coarse).max() < step / 2 + 1e-6
    assert (smooth - coarse).std() == pytest.approx(step / np.sqrt(12), rel=0.05)
    np.testing.assert_array_equal(dequantize(coarse), smooth)


@pytest.mark.parametrize("wave", [WAVE, np.round(WAVE * 2**15) / 2**15, np.zeros(100, np.float32), WAVE[:1], WAVE[:0]])
def test_a_fine_wave_is_left_as_it_is(wave):
    np.testing.assert_array_equal(dequantize(wave), wave)


def test_it_is_an_option_of_recordings():
    coarse = np.round(WAVE * 64) / 64
    plain, noisy = (prepare(coarse, RecordingOptions(dequantize=on)) for on in (False, True))
    assert len(np.unique(noisy)) > 10 * len(np.unique(plain))
