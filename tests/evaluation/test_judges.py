"""Judges: periodicity, the second recognizer, scores, the report. `test_judges_wheels` has those of wheels."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from helpers.untrained_voice import voice

from tts.core.errors import InputError
from tts.evaluation import running
from tts.evaluation.judges import loading
from tts.evaluation.judges.judge import error_score
from tts.evaluation.judges.periodicity import (
    PeriodicityJudge,
    decibels,
    frame_periodicity,
    periodicity,
)
from tts.evaluation.judges.second import SecondJudge
from tts.evaluation.judges.summary import judge_metrics, scores_of, worst_judge
from tts.evaluation.judges.tables import headline, judge_tables
from tts.evaluation.report import make_tables, markdown
from tts.evaluation.systems import of_voice
from tts.evaluation.test_sets import from_source
from tts.evaluation.utterance import Score, Sound, Utterance
from tts.recognition.model import Recognizer

RATE = 8000
SOUND = Sound(0.5, 0.1, -50.0, 0.2, 0.0, 0.0, -20.0, -60.0, 0)


def pulses(noise, rng, hertz=110.0):
    """Half a second of a buzz in white noise of `noise` times its level."""
    buzz = np.sin(2 * np.pi * hertz * np.arange(RATE // 2) / RATE) + np.sin(
        4 * np.pi * hertz * np.arange(RATE // 2) / RATE
    )
    return buzz + noise * rng.standard_normal(len(buzz))


def test_periodicity_falls_with_noise():
    rng = np.random.default_rng(0)
    found = [periodicity(pulses(noise, rng), RATE) for noise in (0.0, 0.3, 1.0, 10.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.999 and found[-1] < 0.3
    # White noise of the buzz's own power: its autocorrelation is one half, 0 dB.
    assert found[2] == pytest.approx(0.5, abs=0.06)
    assert decibels(frame_periodicity(pulses(1.0, rng), RATE)).mean() == pytest.approx(0.0, abs=1.0)


def test_periodicity_does_not_depend_on_gain_pauses_or_rate():
    rng = np.random.default_rng(1)
    wave = pulses(0.5, rng)
    assert periodicity(wave / 1000, RATE) == pytest.approx(periodicity(wave, RATE))
    quiet = np.concatenate([wave, 1e-3 * rng.standard_normal(2 * RATE)])
    assert len(frame_periodicity(quiet, RATE)) < len(frame_periodicity(wave, RATE)) + 5
    assert periodicity(quiet, RATE) == pytest.approx(periodicity(wave, RATE), abs=0.03)
    for rate in (16000, 22050):
        tone = np.sin(2 * np.pi * 200 * np.arange(rate // 2) / rate)
        assert periodicity(tone, rate) > 0.99


def test_no_loud_frame_is_no_periodicity():
    for wave in (np.zeros(RATE), np.zeros(10), np.zeros(0)):
        assert len(frame_periodicity(wave, RATE)) == 0 and periodicity(wave, RATE) == 0
    scores = PeriodicityJudge()(np.zeros(RATE), RATE, ["4"], "ann")
    assert scores["periodicity"].count == 0


def test_errors_are_counted_per_word():
    assert error_score(["4", "7", "2"], ["4", "2"]) == Score(1, 3, "4 2")
    assert error_score(["one", "hundred"], ["one", "hundred"]) == Score(0, 2, "one hundred")
    assert error_score(["5"], []) == Score(1, 1, "")
    assert error_score(["5"], ["5", "5", "9"]) == Score(2, 1, "5 5 9")


# Names


def test_judges_are_named():
    assert [judge.name for judge in loading.load_judges(["periodicity", "own"])] == ["periodicity"]
    for names, message in (
        (["own", "ear"], "'ear' is unknown; choose among own, second"),
        (["own", "own"], "name each once"),
        (["second"], "own must be among them"),
    ):
        with pytest.raises(InputError, match=message):
            loading.load_judges(names)


@pytest.mark.parametrize(("name", "module"), [("dnsmos", "speechmos"), ("whisper", "ctranslate2")])
def test_a_missing_judge_is_refused_by_name(name, module, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(InputError, match=rf'the judge {name} .*{module}.*pip install "twotier-tts\[judges\]"'):
        loading.load_judges(["own", name])


# Summary and report


def utterance(index, system, recognized, scores, speaker="ann", split="any"):
    return Utterance(split, index, system, "4 7", ["4", "7"], speaker, recognized, SOUND, scores=scores)


def judged():
    items = []
    for i in range(20):
        speaker = "ann" if i % 2 else "bob"
        wrong = i % 2 and i < 8  # four of ann's ten texts
        second = Score(float(bool(wrong)), 2, "4 9" if wrong else "4 7")
        items.append(utterance(i, "voice", ["4", "7"], {"second": second, "periodicity": Score(30.0, 60)}, speaker))
        real = {"second": Score(0.0, 2, "4 7"), "periodicity": Score(48.0, 60)}
        items.append(utterance(i, "ground_truth", ["4", "7"], real, speaker))
    return items


def splits_of(items):
    return {"any": {name: {"judges": judge_metrics([x for x in items if x.system == name], 0)}
                    for name in ("voice", "ground_truth")}}  # fmt: skip


def test_scores_survive_the_disk():
    item = judged()[2]
    assert Utterance.from_json(json.loads(json.dumps(asdict(item)))) == item
    assert list(scores_of(item)) == ["own", "second", "periodicity"]


def test_a_judges_metrics_have_intervals_and_speakers():
    voice_metrics = splits_of(judged())["any"]["voice"]["judges"]
    second = voice_metrics["second"]
    assert second["value"] == pytest.approx(4 / 40) and second["count"] == 40 and second["texts"] == 20
    assert second["by_speaker"]["ann"]["value"] == pytest.approx(4 / 20)
    assert second["by_speaker"]["bob"]["value"] == 0
    low, high = second["value_95"]
    assert 0 <= low < second["value"] < high < 0.3
    assert voice_metrics["periodicity"]["value"] == pytest.approx(0.5)
    assert voice_metrics["own"]["value"] == 0


def test_the_worst_judge_is_the_headline():
    splits = splits_of(judged())
    worst = worst_judge(splits, loading.READING)
    assert worst.measure == "second" and worst.points == pytest.approx(10)
    assert worst_judge(splits, loading.READING, speakers=True).speaker == "ann"
    lines = headline(splits)
    assert lines[0] == (
        "worst judge: second finds 10.00 % errors where it finds 0.00 % in real recordings, +10.00 points (any)"
    )
    assert "errors of ann" in lines[1]
    # What a judge misreads in real recordings too is not the voice's.
    truth = splits["any"]["ground_truth"]["judges"]["second"]
    truth["value"] = 0.1
    assert worst_judge(splits, loading.READING).points == pytest.approx(0)
    del splits["any"]["ground_truth"]
    assert worst_judge(splits, loading.READING).real == 0


def test_every_judge_stands_beside_the_ground_truth():
    tables = judge_tables(splits_of(judged()), ["voice", "ground_truth"])
    by_judge, by_speaker = tables
    assert by_judge.header == ["split", "judge", "voice", "ground_truth"]
    assert [row[1] for row in by_judge.rows] == ["own", "second", "periodicity"]
    assert by_judge.rows[1][2].startswith("10.0 (") and by_judge.rows[2][2:] == [
        "0.500 (0.500-0.500)",
        "0.800 (0.800-0.800)",
    ]
    assert [row[2] for row in by_speaker.rows if row[1] == "second"] == ["ann", "bob"]
    only_own = {"any": {"voice": {"judges": {"own": {}}}}}
    assert judge_tables(only_own, ["voice"]) == []


def test_an_evaluation_with_judges(corpus, recognizer, tmp_path):
    material = from_source(corpus, ["words"], 3, 3, ["theo", "nobody"], 8000)
    judges = [SecondJudge(recognizer), PeriodicityJudge()]
    evaluation = of_voice(voice(), material, recognizer, tmp_path, 0, judges=judges)
    assert set(evaluation.settings["judges"]) == {"second", "periodicity"}
    report, utterances = running.run(evaluation, tmp_path)
    for item in utterances:
        assert list(item.scores) == ["second", "periodicity", "harmonic-to-noise ratio"]
        assert item.scores["second"].count == len(item.words)
        # The same network judges twice here: number words are compared as digits.
        assert item.scores["second"].total == scores_of(item)["own"].total
    text = markdown(report, make_tables(report))
    assert text.splitlines()[2].startswith("- worst judge: ")
    assert "| words | periodicity | theo |" in text
    # The second recognizer alone, once more: a run with other judges is another run.
    other = of_voice(voice(), material, recognizer, tmp_path, 0, judges=judges[:1])
    with pytest.raises(InputError, match=r"other settings \(judges\)"):
        running.check_output(tmp_path, other.settings, force=False)


def test_the_second_recognizer_is_another_and_reads_real_recordings(fsdd_recordings):
    recordings = fsdd_recordings["test"][::7]
    judge, own = SecondJudge(), Recognizer.load()
    assert type(judge.recognizer.net) is not type(own.net)
    scores = [judge(x.audio, 8000, [x.word], x.speaker) for x in recordings]
    assert sum(score["second"].total for score in scores) <= 3  # of 43
