"""Clicks: those put in are found, real speech has next to none."""

import numpy as np
import pytest

from tts.evaluation.clicks import LEAST, find_clicks

RATE = 8000


def hiss(level, seconds=1.0, seed=0):
    return np.random.default_rng(seed).normal(0, level, round(seconds * RATE))


def test_a_spike_and_a_step_are_found():
    for level in (0.0, 1e-4, 3e-3):
        spike, step = hiss(level), hiss(level)
        spike[4000] += 0.1
        step[4000:] += 0.1
        assert np.abs(find_clicks(spike, RATE) - 4000).max() <= 1
        assert np.abs(find_clicks(step, RATE) - 4000).max() <= 1
        assert len(find_clicks(spike, RATE)) == len(find_clicks(step, RATE)) == 1


def test_each_click_is_counted_once():
    wave = hiss(1e-3)
    places = [1000, 1200, 1260, 5000]  # as near as 7.5 ms
    wave[places] += 0.3
    wave[5002] -= 0.3  # part of the one before
    assert find_clicks(wave, RATE).tolist() == pytest.approx(places, abs=1)
    wave[1020] += 0.3  # so near that they hide each other: a rattle is no click
    assert len(find_clicks(wave, RATE)) == 3


def test_what_is_no_click():
    seconds = np.arange(RATE) / RATE
    assert not len(find_clicks(np.zeros(RATE), RATE))
    assert not len(find_clicks(hiss(0.1), RATE))  # loud noise
    assert not len(find_clicks(0.9 * np.sin(2 * np.pi * 1500 * seconds), RATE))
    onset = hiss(1e-4)
    onset[4000:] += hiss(0.1, 0.5, 1)  # a stop: noise begins at once
    assert not len(find_clicks(onset, RATE))
    faint = np.zeros(RATE)
    faint[4000] = LEAST / 2.1
    assert not len(find_clicks(faint, RATE))
    # Glottal pulses every 4 ms, each of them as sharp as a click alone.
    pulses = np.zeros(RATE)
    pulses[::32] = 0.3
    assert not len(find_clicks(pulses[8:-8], RATE))


@pytest.mark.parametrize("samples", [1, 2, 3, 5])
def test_short_waves(samples):
    assert not len(find_clicks(np.zeros(samples, dtype=np.float32), RATE))


def test_real_recordings_have_few(fsdd_recordings):
    recordings = fsdd_recordings["test"]
    minutes = sum(len(item.audio) for item in recordings) / RATE / 60
    found = [len(find_clicks(item.audio, RATE)) for item in recordings]
    assert sum(found) / minutes < 4
    # The same recordings with a spike in the pause before them, and one at a tenth of full scale anywhere.
    rng = np.random.default_rng(0)
    quiet, anywhere = [], []
    for item in recordings:
        padded = np.concatenate([rng.normal(0, 2e-4, 800), item.audio])
        padded[400] += 0.05
        quiet.append(len(find_clicks(padded, RATE)))
        wave = item.audio.copy()
        wave[rng.integers(len(wave))] += 0.1
        anywhere.append(len(find_clicks(wave, RATE)))
    assert sum(quiet) >= sum(found) + len(recordings)
    assert sum(anywhere) > sum(found) + 0.15 * len(recordings)  # most are under vowels, where none is audible
