"""How sure the recognizer is of its digits, and what it rejects."""

import argparse
import itertools
import math
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data_recipes.sequences import SequenceOptions, SequenceStream
from tts import audio
from tts.cli import recognize as cli
from tts.core.errors import InputError
from tts.recognition import confidence_training as train_confidence
from tts.recognition import evaluation, prompts
from tts.recognition.confidence import confidences
from tts.recognition.digits import AFTER, BEFORE, places
from tts.recognition.model import BLANK, WEIGHTS, Recognizer
from tts.recognition.onnx_recognizer import OnnxRecognizer


@pytest.fixture(scope="module")
def recognizer():
    return OnnxRecognizer.load()


@pytest.fixture(scope="module")
def singles(fsdd_recordings):
    return fsdd_recordings["test"]


@given(st.lists(st.sampled_from([BLANK, 3, 4]), min_size=1, max_size=200))
def test_places_are_the_best_path_and_do_not_overlap(path):
    found = places(np.array(path, dtype=np.int64), BLANK)
    assert [place.digit for place in found] == [digit for digit, _ in itertools.groupby(path) if digit != BLANK]
    for place in found:
        assert set(path[place.start : place.end]) == {place.digit}
        assert max(0, place.start - BEFORE) <= place.low <= place.start < place.end <= place.high
        assert place.high <= min(len(path), place.end + AFTER)
    for one, other in itertools.pairwise(found):
        assert one.high <= other.start and one.end <= other.low


def test_scores_are_of_the_digits_that_are_recognized(recognizer, singles):
    stream = SequenceStream(singles, SequenceOptions(max_digits=5, hold_outs=()), 3)
    waves = [stream[i].audio for i in range(12)] + [np.zeros(4000, np.float32), np.zeros(0, np.float32)]
    scored = recognizer.spoken(waves, 8000)
    assert [[one.digit for one in own] for own in scored] == Recognizer.load().recognize(waves, 8000)
    assert all(0 <= one.confidence <= 1 for own in scored for one in own)
    alone = [recognizer.spoken([wave], 8000)[0] for wave in waves]
    for one, other in zip(scored, alone, strict=True):
        np.testing.assert_allclose([x.confidence for x in one], [x.confidence for x in other], atol=1e-3)


def test_recognize_rejects_nothing(singles):
    """Voices are judged by it: their digit error must not depend on the threshold."""
    recognizer, strict = Recognizer.load(), Recognizer.load()
    strict.card["confidence"]["threshold"] = 1.0
    waves = [x.audio for x in singles[::30]]
    recognized = strict.recognize(waves, 8000)
    assert recognized == recognizer.recognize(waves, 8000) and all(recognized)


@pytest.mark.slow
def test_single_held_out_recordings_keep_their_digit(recognizer, singles):
    kept = evaluation.kept(recognizer, [x.audio for x in singles], recognizer.threshold)
    assert sum(own == [x.digit] for own, x in zip(kept, singles, strict=True)) >= math.ceil(0.985 * len(singles))


@pytest.mark.slow
def test_most_speech_without_digits_is_rejected(recognizer, prompts_dir):
    """Voices that the confidence was not learned from."""
    learned = recognizer.card["confidence"]["voices"]
    voices = [voice for voice in prompts.voices(prompts_dir) if voice not in learned]
    assert len(voices) == 3
    waves = [wave for voice in voices for wave in prompts.digitless(prompts_dir, voice).values()]
    assert len(waves) > 300
    assert np.mean([bool(own) for own in recognizer.spoken(waves, 8000)]) > 0.8  # without a threshold
    assert np.mean([not own for own in evaluation.kept(recognizer, waves, recognizer.threshold)]) >= 0.9


def test_prompts_that_hold_a_digit_are_left_out(tmp_path):
    names = [
        "digits/4",
        "digits/h-4",
        "digits/oh",
        "digits/14",
        "phonetic/9_p",
        "digits/day-4",
        "letters/f",
        "digits/at",
    ]
    paths = [tmp_path / "en" / f"{name}.g722" for name in names]
    assert [prompts.holds_no_digit(path) for path in paths] == [False] * 5 + [True] * 3


@pytest.mark.parametrize(
    ("said", "recognized", "right"),
    [
        ([4], [4], [1]),
        ([4], [4, 7], [1, 0]),
        ([], [3], [0]),
        ([1, 2, 3], [1, 3], [1, 1]),
        ([5], [], []),
        ([5], [6], [0]),
    ],
)
def test_which_digits_count_as_said(said, recognized, right):
    assert train_confidence.is_digit(said, recognized) == right


def test_fitting_tells_two_kinds_apart_and_holds_the_scaling():
    rng = torch.Generator().manual_seed(0)
    right = (torch.rand(6000, generator=rng) < 0.7).float()
    vectors = 5 + 3 * torch.randn(6000, 12, generator=rng)
    vectors[:, 0] += 12 * right
    found = confidences(vectors.numpy(), train_confidence.fit(vectors, right, 0))
    assert np.mean((np.array(found) > 0.5) == (right.numpy() > 0)) > 0.95


def recognize(*arguments):
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return cli.run(parser.parse_args([str(x) for x in arguments]))


@pytest.fixture
def four_and_silence(singles, tmp_path):
    four = next(x for x in singles if x.digit == 4)
    audio.write(tmp_path / "four.wav", four.audio, 8000)
    audio.write(tmp_path / "silence.wav", np.zeros(8000, np.float32), 8000)
    return tmp_path / "four.wav", tmp_path / "silence.wav"


def test_scores_are_a_third_column(four_and_silence, capsys):
    assert recognize(*four_and_silence, "--scores") == 0
    four, silence = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert four[:2] == [str(four_and_silence[0]), "4"] and 0.5 < float(four[2]) <= 1 and len(four[2]) == 4
    assert silence == [str(four_and_silence[1]), "", ""]


@pytest.mark.parametrize(("threshold", "answer"), [(0, "4"), (1, "")])
def test_the_threshold_decides(four_and_silence, capsys, threshold, answer):
    assert recognize(four_and_silence[0], "--threshold", threshold) == 0
    assert capsys.readouterr().out == f"{four_and_silence[0]}\t{answer}\n"


@pytest.mark.parametrize("threshold", ["-0.1", "1.5", "nan"])
def test_thresholds_out_of_range(tmp_path, threshold):
    with pytest.raises(InputError, match="--threshold"):
        recognize(tmp_path / "a.wav", f"--threshold={threshold}")


def test_a_recognizer_without_confidence_answers_and_has_no_scores(four_and_silence, tmp_path, capsys):
    folder = tmp_path / "plain"
    shutil.copytree(WEIGHTS, folder, ignore=shutil.ignore_patterns("confidence*"))
    assert OnnxRecognizer.load(folder).threshold == 0
    assert recognize(four_and_silence[0], "--recognizer", folder) == 0
    assert capsys.readouterr().out == f"{four_and_silence[0]}\t4\n"
    for flag in ("--scores", "--threshold=0.5"):
        with pytest.raises(InputError, match="no confidence"):
            recognize(four_and_silence[0], "--recognizer", folder, flag)
    with pytest.raises(InputError, match="no confidence"):
        evaluation.rejection_metrics(OnnxRecognizer.load(folder), tmp_path, {})
