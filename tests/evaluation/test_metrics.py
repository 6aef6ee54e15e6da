"""The metrics, against cases worked by hand."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from tts.core.statistics import wilson
from tts.evaluation.metrics import bootstrap, by_position, group_by, stop_errors, summarize
from tts.evaluation.utterance import Likelihood, Limits, Sound, Utterance, measure_sound
from tts.recognition.alignment import NOTHING, align

RATE = 8000
LIMITS = Limits(trailing_seconds=0.3, segment_seconds=1.0)
CLEAN = Sound(1.0, 0.1, -50.0, 0.2, 0.0, 0.0, -20.0, -60.0, 0)


def said(digits, recognized, speaker="a", **options):
    words, found = ([*map(str, side)] for side in (digits, recognized))
    return Utterance("test_seen", 0, "voice", " ".join(words), words, speaker, found, **{"sound": CLEAN, **options})


def test_wilson_by_hand():
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611; 1 of 29 0.0061 to 0.1718.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)


def test_bootstrap():
    # A share of independent items: near the normal interval, 0.3 plus or minus 1.96 x sqrt(0.21 / 1000).
    errors = [1] * 300 + [0] * 700
    low, high = bootstrap(errors, [1] * 1000, np.random.default_rng(0), 5000)
    assert (low, high) == pytest.approx((0.2716, 0.3284), abs=0.003)
    assert bootstrap(errors, [1] * 1000, np.random.default_rng(0), 5000) == (low, high)
    # The same errors heaped in whole utterances of ten digits: less is known.
    heaped = bootstrap([10] * 30 + [0] * 70, [10] * 100, np.random.default_rng(0), 5000)
    assert heaped[1] - heaped[0] > 2.5 * (high - low)
    assert bootstrap([0, 0], [3, 4], np.random.default_rng(0)) == wilson(0, 7)
    low, high = bootstrap(errors, [1] * 1000, np.random.default_rng(0), 30)
    with pytest.MonkeyPatch.context() as patch:  # in pieces: the same draws
        patch.setattr("tts.evaluation.metrics.DRAWN_AT_ONCE", 7000)
        assert bootstrap(errors, [1] * 1000, np.random.default_rng(0), 30) == (low, high)
    assert bootstrap([], [], np.random.default_rng(0)) == (0.0, 1.0)


def test_sound_by_hand():
    seconds = np.arange(RATE) / RATE
    sine = 0.5 * np.sin(2 * np.pi * 400 * seconds)
    wave = np.concatenate([sine, np.zeros(RATE // 4)])
    sound = measure_sound(wave, RATE)
    assert sound.seconds == 1.25
    assert sound.trailing_seconds == 0.25
    assert sound.silence == pytest.approx(0.2)
    assert sound.loudness_dbfs == pytest.approx(20 * math.log10(0.5 / math.sqrt(2)), abs=0.01)
    assert sound.end_db < -80
    assert sound.clipping == 0
    assert sound.dc == pytest.approx(0, abs=1e-9)
    assert measure_sound(sine, RATE).end_db == pytest.approx(0, abs=0.01)
    assert measure_sound(wave + 0.1, RATE).dc == pytest.approx(0.1)
    # |sin| >= 0.5 two thirds of the time.
    assert measure_sound(np.clip(2 * sine / 0.5, -1, 1), RATE).clipping == pytest.approx(2 / 3, abs=0.06)


def test_noise_floor():
    rng = np.random.default_rng(0)
    quiet, loud = rng.normal(0, 0.001, RATE // 5), rng.normal(0, 0.1, RATE)
    assert measure_sound(np.concatenate([loud, quiet]), RATE).noise_floor_dbfs == pytest.approx(-60, abs=1)
    assert measure_sound(loud, RATE).noise_floor_dbfs == pytest.approx(-20, abs=2)
    assert measure_sound(np.zeros(800), RATE).noise_floor_dbfs == -120


def test_clicks_are_counted_at_joins():
    wave = np.random.default_rng(0).normal(0, 0.002, RATE)
    wave[[1000, 3000, 6000]] += 0.2
    sound = measure_sound(wave, RATE, [1080, 2919, 4000])
    assert (sound.clicks, sound.joins, sound.join_clicks) == (3, 3, 1)  # the second is 81 samples off
    unknown = measure_sound(wave, RATE)
    assert (unknown.clicks, unknown.joins, unknown.join_clicks) == (3, None, None)
    assert measure_sound(wave, RATE, []).joins == 0
    metrics = summarize([said([4], [4], sound=sound), said([4], [4], sound=unknown)], LIMITS, seed=0)
    assert metrics["clicks_per_minute"] == pytest.approx(3 * 60)
    assert metrics["clicks_per_1000_joins"] == pytest.approx(1000 / 3)
    assert summarize([said([4], [4], sound=unknown)], LIMITS, seed=0)["clicks_per_1000_joins"] is None


def test_silence_has_no_sound():
    sound = measure_sound(np.zeros(800, dtype=np.float32), RATE)
    assert (sound.silence, sound.trailing_seconds) == (1.0, 0.1)
    assert math.isfinite(sound.loudness_dbfs) and math.isfinite(sound.end_db)
    assert measure_sound(np.zeros(1), RATE).seconds == 1 / RATE


@pytest.mark.parametrize(
    ("utterance", "errors"),
    [
        (said([4, 7], [4, 7]), []),
        (said([4, 7], [4, 1]), []),
        (said([4, 7], [4]), ["cut_short"]),
        (said([4, 7], [7]), []),  # the first is missing, the end is there
        (said([4], [4], sound=replace(CLEAN, end_db=-3.0)), ["cut_short"]),
        (said([4], [4], sound=replace(CLEAN, trailing_seconds=0.31)), ["over_run"]),
        (said([4], [4], sound=replace(CLEAN, seconds=1.01)), ["over_run"]),
        (said([4, 7], [4, 7], sound=replace(CLEAN, seconds=1.9)), []),
        (said([4, 7], [4, 7], last_segment_seconds=1.2), ["over_run"]),
        (said([4, 7], [4, 7], last_segment_seconds=0.9, stop_reason="stop"), []),
        (said([4], [], stop_reason="cap", sound=replace(CLEAN, seconds=3.0)), ["cut_short", "over_run", "cap"]),
    ],
)
def test_stop_errors_by_hand(utterance, errors):
    assert stop_errors(utterance, LIMITS, align(utterance.words, utterance.recognized)) == errors


def test_errors_by_position():
    table = by_position([align([4, 7, 2], [4, 1, 2]), align([4, 7], [4]), align([3], [3, 9])])
    assert {place: (row["errors"], row["digits"]) for place, row in table.items()} == {
        "1": (0, 3), "2": (2, 2), "3": (0, 1),
    }  # fmt: skip
    assert table["2"]["error"] == 1.0


def test_groups_keep_order():
    assert group_by([3, 1, 4, 1, 5], lambda n: n % 2) == {0: [4], 1: [3, 1, 1, 5]}


def test_summary_by_hand():
    items = [
        said([4, 7, 2], [4, 7, 2], "a", real_seconds=2.0, forced_advances=0),
        said([4, 7], [4, 1], "a", real_seconds=1.0, forced_advances=1, sound=replace(CLEAN, silence=0.4)),
        said([9], [], "b", real_seconds=1.0, forced_advances=0, stop_reason="cap"),
    ]
    metrics = summarize(items, LIMITS, seed=3)
    assert (metrics["texts"], metrics["digits"]) == (3, 6)
    assert (metrics["substitutions"], metrics["insertions"], metrics["deletions"]) == (1, 0, 1)
    assert metrics["digit_error"] == pytest.approx(2 / 6)
    assert metrics["digit_error_95"][0] <= 2 / 6 <= metrics["digit_error_95"][1]
    assert metrics["exact"] == pytest.approx(1 / 3)
    assert metrics["exact_95"] == pytest.approx(wilson(1, 3))
    assert (metrics["stop_error"], metrics["cut_short"], metrics["cap"]) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert metrics["over_run"] == 0
    assert metrics["duration_ratio"] == pytest.approx(3 / 4)
    assert metrics["forced_advances"] == pytest.approx(1 / 6)
    assert metrics["silence"] == pytest.approx((0.2 + 0.4 + 0.2) / 3)
    assert metrics["nll_bits"] is None
    assert {key: part["digit_error"] for key, part in metrics["by_length"].items()} == {"1": 1.0, "2": 0.5, "3": 0.0}
    assert {key: part["digit_error"] for key, part in metrics["by_speaker"].items()} == {"a": 0.2, "b": 1.0}
    assert metrics["confusion"][9][NOTHING] == 1
    assert metrics["confusion_by_speaker"]["a"][7] == [0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0]
    assert summarize(items, LIMITS, seed=3) == metrics
    json.dumps(metrics)


def test_likelihood_by_hand():
    one = Likelihood(4 * math.log(2) * 100, 100, 2 * math.log(2), segments=2, early=0.5, lead_seconds=0.1, late=1.0)
    two = Likelihood(sample_nats=0.0, samples=300, advance_nats=0.0, segments=2, early=0.0)
    metrics = summarize([said([1, 2], [1, 2], likelihood=item) for item in (one, two)], LIMITS, seed=0)
    assert metrics["nll_bits"] == pytest.approx(1.0)
    assert metrics["advance_bits"] == pytest.approx(0.5)
    assert metrics["early"] == pytest.approx(1 / 8)
    assert metrics["lead_seconds"] == pytest.approx(0.025)
    assert metrics["late"] == pytest.approx(0.25)


def test_utterances_survive_json():
    item = said([4, 7], [4], real_seconds=1.5, likelihood=Likelihood(1.0, 2, 3.0, 4, 0.5))
    assert Utterance.from_json(json.loads(json.dumps(asdict(item)))) == item
    bare = said([4, 7], [4])
    assert Utterance.from_json(json.loads(json.dumps(asdict(bare)))) == bare
