"""FID, IS, mIS and AM on cases worked by hand."""

import math

import numpy as np
import pytest

from tts.evaluation.quality import (
    LEAST,
    Clips,
    am_score,
    frechet_distance,
    inception_score,
    modified_inception_score,
    quality,
)
from tts.recognition.model import Recognizer

SURE = np.eye(10)
FLAT = np.full((10, 10), 0.1)


def test_inception_score():
    assert inception_score(SURE) == pytest.approx(10)  # all ten digits, each beyond doubt
    assert inception_score(np.repeat(SURE[:1], 5, axis=0)) == pytest.approx(1)  # always the same digit
    assert inception_score(FLAT) == pytest.approx(1)  # nothing is clear
    assert inception_score(SURE[[0, 1]]) == pytest.approx(2)
    # Rows (.8, .2) and (.2, .8): the mean is (.5, .5), so KL is .8 log 1.6 + .2 log .4.
    expected = math.exp(0.8 * math.log(1.6) + 0.2 * math.log(0.4))
    assert inception_score(np.array([[0.8, 0.2], [0.2, 0.8]])) == pytest.approx(expected)


def test_modified_inception_score():
    assert modified_inception_score(FLAT) == pytest.approx(1)
    assert modified_inception_score(np.repeat(SURE[:1], 5, axis=0)) == pytest.approx(1)
    # Of the four pairs, two are alike (0) and two give .8 log 4 + .2 log .25 = .6 log 4.
    assert modified_inception_score(np.array([[0.8, 0.2], [0.2, 0.8]])) == pytest.approx(math.exp(0.3 * math.log(4)))
    # Sure and different: bounded by the least probability.
    assert modified_inception_score(SURE[[0, 1]]) == pytest.approx(math.exp(0.5 * -math.log(LEAST)), rel=1e-4)


def test_am_score():
    assert am_score(SURE, np.full(10, 0.1)) == pytest.approx(0, abs=1e-9)
    assert am_score(FLAT, np.full(10, 0.1)) == pytest.approx(math.log(10))
    # Only two digits, half and half, are said where real speech has (3/4, 1/4): KL = .75 log 1.5 + .25 log .5.
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert am_score(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0.75, 0.25])) == pytest.approx(expected)


def test_frechet_distance():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(400, 6))
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(one, one + 2) == pytest.approx(4 * 6)  # the squared distance of the means
    # Three times as wide about the same mean: sum of (3 s - s)^2 over the axes.
    wide = one.mean(0) + 3 * (one - one.mean(0))
    assert frechet_distance(one, wide) == pytest.approx(4 * np.cov(one, rowvar=False).trace(), rel=1e-4)
    # Fewer clips than features: the covariance is singular.
    assert math.isfinite(frechet_distance(one[:4], one[4:9]))


@pytest.mark.slow
def test_worse_sound_has_worse_measures(fsdd_dir):
    from data_recipes.fsdd import build_recordings

    recordings = build_recordings(fsdd_dir, speakers=("jackson", "lucas"))
    recognizer = Recognizer.load()

    def clips(waves):
        return Clips.of(recognizer, [(wave, 8000) for wave in waves])

    reference = clips([x.audio for x in recordings["train"][::8]])
    real = [x.audio for x in recordings["test"]]
    rng = np.random.default_rng(0)
    noisy = [x + rng.normal(0, 0.1, len(x)).astype(np.float32) for x in real]
    one_digit = [x.audio for x in recordings["test"] if x.digit == 4]
    ground_truth, worse, poor = (quality(clips(waves), reference) for waves in (real, noisy, one_digit))
    assert 9 < ground_truth["is"] <= 10 and ground_truth["am"] < 0.2
    assert (
        worse["fid"] > 2 * ground_truth["fid"] and worse["is"] < ground_truth["is"] and worse["am"] > ground_truth["am"]
    )
    assert poor["is"] < 2 and poor["fid"] > 2 * ground_truth["fid"] and poor["am"] > 1
