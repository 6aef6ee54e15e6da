import numpy as np
import pytest

from data_recipes.corpus import Recording
from tts.recognition.augment import CODECS, Augmenter, AugmentOptions, _filter, active_rms, at_speeds, through_codec


@pytest.fixture(scope="module")
def recordings():
    rng = np.random.default_rng(0)
    result = []
    for digit in range(10):
        t = np.arange(3000 + 100 * digit) / 8000
        wave = 0.2 * np.sin(2 * np.pi * (200 + 100 * digit) * t) * np.hanning(len(t))
        wave = (wave + 0.001 * rng.standard_normal(len(t))).astype(np.float32)
        result.append(Recording(wave, str(digit), "someone", 0, 8000, f"{digit}_someone_0"))
    return result


EVERYTHING = AugmentOptions(
    segment_gain=1, filter=1, reverb=1, background=1, noise=1, rough=1, codec=1, clip=1, drop=1, click=1
)


@pytest.mark.parametrize("options", [AugmentOptions(), EVERYTHING])
def test_damage_is_bounded_finite_and_repeats_with_the_seed(recordings, options):
    wave = np.concatenate([recordings[0].audio, recordings[1].audio])
    boundaries = [3000, len(wave)]
    augmenter = Augmenter(options, recordings, seed=3)
    again = Augmenter(options, recordings, seed=3)
    for index in range(30):
        damaged = augmenter(wave, boundaries, np.random.default_rng([1, index]))
        assert damaged.shape == wave.shape
        assert damaged.dtype == np.float32
        assert np.isfinite(damaged).all()
        assert np.abs(damaged).max() <= 1
        np.testing.assert_array_equal(damaged, again(wave, boundaries, np.random.default_rng([1, index])))
    assert wave.flags.writeable
    np.testing.assert_array_equal(wave[:3000], recordings[0].audio)  # the original is left alone


def test_silence_survives_all_of_it(recordings):
    damaged = Augmenter(EVERYTHING, recordings, 0)(np.zeros(4000, np.float32), [4000], np.random.default_rng(0))
    assert np.isfinite(damaged).all()


def test_waves_without_a_digit(recordings):
    augmenter = Augmenter(AugmentOptions(), recordings, seed=0)
    for index in range(40):
        wave = augmenter.empty(np.random.default_rng(index))
        assert wave.dtype == np.float32
        assert 0.2 * 8000 <= len(wave) <= 3.0 * 8000
        assert np.isfinite(wave).all()
        assert np.abs(wave).max() <= 1


def test_speeds_stretch_and_keep_what_is_said(recordings):
    slow, same, fast = at_speeds(recordings[:1], [0.8, 1.0, 1.25])
    assert (slow.digit, slow.id) == (0, "0_someone_0")
    np.testing.assert_array_equal(same.audio, recordings[0].audio)
    assert len(slow.audio) == pytest.approx(3000 / 0.8, abs=2)
    assert len(fast.audio) == pytest.approx(3000 / 1.25, abs=2)
    spectrum = np.abs(np.fft.rfft(fast.audio))
    assert spectrum.argmax() * 8000 / len(fast.audio) == pytest.approx(250, abs=5)  # 200 Hz a quarter faster


@pytest.mark.parametrize("codec", CODECS)
def test_codecs_return_the_same_length_and_nearly_the_same_wave(recordings, codec):
    wave = recordings[3].audio
    coded = through_codec(wave, codec)
    assert coded.shape == wave.shape
    assert np.corrcoef(coded, wave)[0, 1] > 0.9
    assert not np.array_equal(coded, wave)


def test_filters_keep_the_level(recordings):
    wave = recordings[5].audio
    for index, reverberant in enumerate((False, True)):
        filtered = _filter(wave, reverberant, np.random.default_rng(index))
        assert filtered.shape == wave.shape
        assert active_rms(filtered) == pytest.approx(active_rms(wave), rel=1e-3)


def test_level_of_active_speech():
    tone = np.sin(np.arange(8000) * 0.3).astype(np.float32)
    padded = np.concatenate([np.zeros(16000, np.float32), tone])
    assert active_rms(padded) == pytest.approx(np.sqrt(0.5), rel=0.01)
    assert active_rms(np.zeros(800, np.float32)) == 0.0
    assert active_rms(np.zeros(3, np.float32)) == 0.0
