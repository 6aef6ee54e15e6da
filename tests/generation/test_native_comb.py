"""The comb filter: what it takes away, what it leaves, and the same samples by any pieces and instruction sets."""

import itertools

import numpy as np
import pytest
from helpers.waves import harmonics, noise, power
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.audio.comb import Comb
from tts.generation.native import library
from tts.generation.native.comb import CombFilter, filter_blocks


def filtered(wave, rate=8000, strength=1.0):
    comb = CombFilter(rate, strength)
    return np.concatenate([comb(wave), comb.rest()])


@pytest.mark.parametrize(
    ("rate", "pitch", "glide"), [(8000, 110, 0), (8000, 230, 40), (16000, 95, -20), (48000, 150, 0)]
)
def test_noise_between_harmonics_is_lowered(rate, pitch, glide):
    """Five periods of independent noise average to a fifth of its power, 7 dB less; the harmonics stay."""
    clean = harmonics(rate, pitch=pitch, glide=glide)
    added = noise(len(clean), np.std(clean) / 4)
    inner = slice(rate // 10, -rate // 10)  # all periods lie in the wave
    left = (filtered(clean + added, rate) - clean)[inner]
    bands = rate // 2 / 2000  # above 2 kHz is noise alone, and has its power back
    assert power(left) < power(added) + 10 * np.log10(1 - (1 - 10**-0.45) / bands)
    assert power((filtered(clean, rate) - clean)[inner]) < power(clean) - 15


def test_a_band_keeps_its_power():
    """A vowel whose second formant is noise, which the average alone takes 7 dB from."""
    times = np.arange(8000)
    low = harmonics(8000, 1.0, loudness=0.1) * 0
    for k in range(1, 5):
        low += 0.1 * np.cos(2 * np.pi * 110 * k * times / 8000 + k)
    spectrum = np.fft.rfft(noise(8000, 0.1))
    spectrum[(np.arange(4001) < 1300) | (np.arange(4001) > 1900)] = 0
    high = np.fft.irfft(spectrum).astype(np.float32)
    after = np.fft.rfft(filtered(low + high))
    kept = power(np.fft.irfft(np.where(np.abs(np.arange(4001) - 1600) < 300, after, 0))) - power(high)
    assert -1.5 < kept < 1.5


def test_what_has_no_pitch_stays_as_it_is():
    for wave in (noise(4000), np.zeros(4000, np.float32), noise(4000, 1e-5), np.zeros(0, np.float32)):
        np.testing.assert_array_equal(filtered(wave), wave)


def test_strength():
    wave = harmonics(8000) + noise(4000, 0.05)
    changes = [power(filtered(wave, 8000, strength) - wave) for strength in (1e-9, 0.2, 0.5, 1.0)]
    assert changes == sorted(changes)
    assert changes[0] < -100
    assert changes[1] < changes[-1] - 4


def test_the_loudest_wave_stays_in_range():
    wave = np.sign(harmonics(8000) + 1e-6).astype(np.float32)
    assert np.abs(filtered(wave)).max() == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1500), st.lists(st.integers(0, 1500), max_size=6), st.integers(0, 3))
def test_pieces_of_any_sizes_are_the_whole(count, cuts, seed):
    wave = (harmonics(8000, 0.2, 130 + 40 * seed) + noise(1600, 0.02, seed))[:count]
    comb = CombFilter(8000, 1.0)
    pieces = [comb(piece) for piece in np.split(wave, sorted(min(cut, count) for cut in cuts))]
    np.testing.assert_array_equal(np.concatenate([*pieces, comb.rest()]), filtered(wave))


def test_what_is_held_back_is_bounded():
    """A stream has all but what lies in `reach` and a block before its end."""
    comb, made = CombFilter(8000, 1.0), 0
    for piece in np.split(harmonics(8000, 1.0), 100):
        made += len(comb(piece))
        assert len(comb._wave) < 2 * comb._comb.reach + comb._comb.hop
    assert 8000 - made < comb._comb.reach + comb._comb.hop


@pytest.mark.parametrize("rate", [1000, 8000, 11025, 16000, 48000])
def test_the_same_samples_on_each_instruction_set(rate, monkeypatch):
    for seed, loudness in enumerate((1e-4, 0.02, 0.1, 0.6, 3.0)):
        tone = harmonics(rate, 0.3, 80 + 60 * seed, 100, 0.04)
        wave = np.concatenate([tone, 0 * tone[:99], noise(500, loudness, seed), tone * 9])
        wave = (wave + noise(len(wave), 0.01 * seed, seed)).clip(-1, 1).astype(np.float32)
        made = []
        for isa in library.usable():
            monkeypatch.setenv(library.ISA_VARIABLE, isa)
            made.append(filtered(wave, rate))
        assert not np.array_equal(made[0], wave)
        for one, other in itertools.pairwise(made):
            np.testing.assert_array_equal(one, other)


def test_the_largest_sums():
    comb = Comb.at(384_000)
    wave = np.sign(harmonics(384_000, 0.2, 100)[: 2 * comb.reach + comb.hop] + 1e-6).astype(np.float32)
    assert np.isfinite(filter_blocks(comb, wave, 1)).all()


def test_the_wave_must_reach_as_far_as_is_read():
    comb = Comb.at(8000)
    with pytest.raises(AssertionError):
        filter_blocks(comb, np.zeros(2 * comb.reach + comb.hop - 1, np.float32), 1)
