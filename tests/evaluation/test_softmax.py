"""Modes and distance from a Gaussian on distributions made for it; what is plotted, as a picture and as a video."""

import dataclasses
import io
import math

import numpy as np
import pytest
import torch
from helpers.voices import SMALL, make_voice

from data_recipes.sequences import Sequence
from tts import audio
from tts.cli.main import main
from tts.core.errors import InputError
from tts.evaluation.likelihood import LikelihoodScorer
from tts.evaluation.softmax import Predictor, gaussian_kl, measure, valley
from tts.evaluation.softmax_plots import frames, picture, video

CODES = torch.arange(256, dtype=torch.float64)
WAVE = audio.decode_table(256, "mu-law")


def bell(mean, deviation, values=CODES):
    """A discretized Gaussian (1, Q), by the error function of the standard library."""
    middles = (values[1:] + values[:-1]) / 2
    below = [0.0, *(0.5 * math.erfc((mean - float(m)) / deviation / math.sqrt(2)) for m in middles), 1.0]
    return torch.tensor(below, dtype=torch.float64).diff()[None]


def test_valley_by_hand():
    p = torch.tensor([[0.1, 0.3, 0.2, 0.4], [0.1, 0.2, 0.3, 0.4], [0.4, 0.0, 0.2, 0.4]], dtype=torch.float64)
    # Row 1: 0.2 lies 0.1 below the lower peak, 0.3; the highest is 0.4. Row 3: 0.4 below both.
    assert valley(p).tolist() == pytest.approx([0.25, 0.0, 1.0])


def test_unimodality_of_made_distributions():
    two = 0.5 * bell(60, 8) + 0.5 * bell(180, 8)
    near = 0.5 * bell(100, 8) + 0.5 * bell(110, 8)  # nearer than two deviations: one bump
    wiggles = bell(128, 20) * (1 + 0.05 * torch.cos(CODES * math.pi))
    edge = bell(300, 40)  # only its flank is left
    shape = measure(torch.cat([bell(128, 20), two, near, wiggles, edge]), WAVE)
    assert shape.unimodal.tolist() == [True, False, True, True, True]
    assert shape.valley[1] > 0.9 and 0.02 < shape.valley[3] < 0.2
    found = shape.summary()
    assert (found["unimodal"], found["two_modes"]) == (0.8, 0.2)


@pytest.mark.parametrize("deviation", [0.05, 0.2, 0.5, 1, 3, 20])
def test_a_gaussian_is_no_distance_from_itself(deviation):
    assert float(gaussian_kl(bell(128, deviation), CODES)) == pytest.approx(0, abs=2e-4)
    if deviation >= 0.5:  # below, most of it is one code, and where in it the mean lies is lost
        assert float(gaussian_kl(bell(100.3, deviation), CODES)) == pytest.approx(0, abs=0.02)


def test_distances_by_hand():
    # All codes alike: their variance is (256^2 - 1) / 12, of which the Gaussian has 1/12 less.
    deviation = math.sqrt((256**2 - 2) / 12)
    expected = float((-torch.log2(256 * bell(127.5, deviation))).mean())
    assert float(gaussian_kl(torch.full((1, 256), 1 / 256, dtype=torch.float64), CODES)) == pytest.approx(expected)
    assert expected > 0.1
    one = torch.zeros(1, 256, dtype=torch.float64)
    one[0, 40] = 1
    assert float(gaussian_kl(one, CODES)) == pytest.approx(0, abs=1e-6)
    # Two far codes: the Gaussian has its middle where nothing is.
    one[0, 40] = one[0, 200] = 0.5
    expected = -1 - math.log2(float(bell(120, math.sqrt(80**2 - 1 / 12))[0, 40]))
    assert float(gaussian_kl(one, CODES)) == pytest.approx(expected)


def test_a_wide_gaussian_over_wave_values_has_two_modes_over_codes():
    shape = measure(bell(0.0, 0.1, torch.from_numpy(WAVE).double()), WAVE)
    assert shape.kl_wave[0] < 1e-3 and shape.kl_codes[0] > 0.1
    assert shape.valley_wave[0] < 0.02 and shape.valley[0] > 0.5


@pytest.fixture(scope="module")
def voice():
    return make_voice()


def test_a_prediction_is_what_the_voice_drew_from(voice):
    # So cold that each code is the likeliest one.
    said = voice.speak("4 7", "bob", seed=3, temperature=0.01)
    prediction = Predictor(voice).spoken(said)
    assert prediction.probabilities.shape == (len(said.samples), 256)
    p, codes = prediction.probabilities, torch.from_numpy(said.codes.astype(np.int64))

    def likeliest(codes):
        """How often a code is as probable as the likeliest one, nearly."""
        return float((p.gather(1, codes[:, None])[:, 0] >= 0.9 * p.amax(1)).double().mean())

    assert likeliest(codes) > 0.98 and likeliest(codes.roll(1)) < 0.8
    assert [prediction.names[unit] for unit in dict.fromkeys(prediction.units.tolist())] == [(0, "word"), (1, "word")]
    assert int((prediction.units == 0).sum()) == said.segments[0].end


def test_a_recording_costs_what_the_likelihood_says(voice):
    wave = np.random.default_rng(0).normal(0, 0.1, 1000).astype(np.float32)
    sequence = Sequence(wave, "4 7", ["4", "7"], "bob", [], [500, 1000], 8000, "seen")
    prediction = Predictor(voice).recorded(wave, ["4", "7"], [500, 1000], "bob")
    nats = -prediction.probabilities[torch.arange(1000), torch.from_numpy(prediction.codes)].log().sum()
    assert float(nats) == pytest.approx(LikelihoodScorer(voice)(sequence).sample_nats, rel=1e-5)


def test_a_picture_and_a_video(voice):
    av = pytest.importorskip("av")
    predictor = Predictor(voice)
    said = voice.speak("4", seed=1)
    prediction = predictor.spoken(said)
    assert picture([prediction]).startswith(b"\x89PNG")
    first, second = frames([prediction], [5], 2)
    assert first.shape == (540, 960, 3) and (first != second).any()
    data = video([prediction], count=4, per_second=5)
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate) == ("h264", 5)
        assert len(list(container.decode(stream))) == 4
    count = len(said.samples) + 1
    with pytest.raises(InputError, match=f"--frames is {count}; ask for fewer"):
        video([prediction], count, 5)
    with pytest.raises(InputError, match="has 0 samples from there on"):
        video([prediction], 5, 5, start_seconds=1000.0)


def test_the_command(voice_folder, tmp_path, capsys):
    wave = np.random.default_rng(0).normal(0, 0.1, 1600).astype(np.float32)
    audio.write(tmp_path / "four.wav", wave, 8000)
    flags = ["plot", "softmax", "four", "--voice", str(voice_folder), "-o"]
    assert main([*flags, str(tmp_path / "4.png"), "--recording", str(tmp_path / "four.wav")]) == 0
    assert (tmp_path / "4.png").stat().st_size > 10_000
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["the recording", "the voice"]
    for wrong, reason in (
        (["4.gif"], "must end in .png"),
        (["4.png"], "exists"),
        (["5.mp4", "--frames", "0"], "--frames is 0"),
        (["5.mp4", "--start", "-1"], "--start is -1"),
    ):
        assert main([*flags, str(tmp_path / wrong[0]), *wrong[1:]]) == 2
        assert reason in capsys.readouterr().err


def test_recordings_are_emphasized_as_the_voice_is():
    voice = make_voice(config=dataclasses.replace(SMALL, pre_emphasis=0.85))
    wave = (0.1 * np.random.default_rng(0).standard_normal(800)).astype(np.float32)
    found = Predictor(voice).recorded(wave, ["4"], [800], "ann")
    np.testing.assert_array_equal(found.codes, voice.config.model.coding.encode(wave))
    assert (found.codes != SMALL.coding.encode(wave)).any()
