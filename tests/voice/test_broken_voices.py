"""Voices that are broken on purpose, made of real recordings: each is caught by the metric that should catch it."""

from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pytest

from data_recipes.fsdd import build_recordings
from data_recipes.sequences import Sequence, SequenceOptions, SequenceStream, fixed_split, join
from tts.evaluation.metrics import summarize
from tts.evaluation.systems import last_segment_seconds
from tts.evaluation.test_sets import limits_of
from tts.evaluation.utterance import Limits, Utterance, measure_sound
from tts.recognition.model import Recognizer
from tts.voice import Audio

pytestmark = pytest.mark.slow

TEXTS = 60
RATE = 8000
OPTIONS = SequenceOptions(speakers=("jackson", "lucas"))


@dataclass
class Judge:
    recognizer: Recognizer
    recordings: dict
    real: list[Sequence]
    limits: Limits

    def summary(self, waves, ends=None, stop_reason="stop"):
        """Metrics of a voice that says `waves` for the texts of the real sequences, its word ends at `ends`."""
        recognized = self.recognizer.recognize(waves, RATE)
        utterances = []
        for index, (item, wave) in enumerate(zip(self.real, waves, strict=True)):
            said = Audio(wave, RATE, item.text.split(), ends[index] if ends else item.boundaries, stop_reason, 0,
                         item.speaker, 0, np.zeros(0, np.int16))  # fmt: skip
            utterances.append(
                Utterance(
                    "test_seen", index, "voice", item.text, item.words, item.speaker, [*map(str, recognized[index])],
                    measure_sound(wave, RATE), len(item.audio) / RATE, last_segment_seconds(said), stop_reason,
                )
            )  # fmt: skip
        return summarize(utterances, self.limits, seed=0)

    def say(self, digits, speaker, seed):
        """Real test recordings of other digits than the text's."""
        rng = np.random.default_rng(seed)
        recordings = [x for x in self.recordings["test"] if x.speaker == speaker]
        chosen = [[x for x in recordings if x.digit == digit][rng.integers(5)] for digit in digits]
        return join(chosen, OPTIONS, rng)


@pytest.fixture(scope="module")
def judge(fsdd_dir):
    recordings = build_recordings(fsdd_dir, speakers=OPTIONS.speakers)
    real = fixed_split(recordings, OPTIONS, "test_seen", TEXTS, seed=5)
    reference = SequenceStream(recordings["train"], OPTIONS, 0)
    return Judge(Recognizer.load(), recordings, real, limits_of(islice(reference, 300)))


@pytest.fixture(scope="module")
def ground_truth(judge):
    return judge.summary([item.audio for item in judge.real])


def test_real_speech_is_not_blamed(ground_truth):
    assert ground_truth["digit_error"] < 0.03
    assert ground_truth["stop_error"] < 0.05
    assert ground_truth["cap"] == 0
    assert ground_truth["duration_ratio"] == 1


def test_swapped_digits_are_substitutions(judge, ground_truth):
    """Whoever says 3 for 8 and 8 for 3."""
    swapped = {3: 8, 8: 3}
    said = [judge.say([swapped.get(d, d) for d in item.digits], item.speaker, i) for i, item in enumerate(judge.real)]
    metrics = judge.summary([item.audio for item in said], [item.boundaries for item in said])
    affected = sum(d in swapped for item in judge.real for d in item.digits)
    assert affected > 20
    assert 0.9 * affected <= metrics["substitutions"] <= affected + 5
    table = np.array(metrics["confusion"])
    assert table[3, 8] + table[8, 3] >= 0.85 * affected
    assert metrics["insertions"] + metrics["deletions"] <= 4
    assert metrics["stop_error"] < 0.1


def test_cut_ends_are_cut_short(judge, ground_truth):
    """Whoever stops in the middle of the last digit."""
    waves, ends = [], []
    for item in judge.real:
        start = item.boundaries[-2] if len(item.boundaries) > 1 else 0
        speech = measure_sound(item.audio, RATE)
        end = len(item.audio) - int(speech.trailing_seconds * RATE)
        cut = start + int(0.4 * (end - start))
        waves.append(item.audio[:cut])
        ends.append([*item.boundaries[:-1], cut])
    metrics = judge.summary(waves, ends)
    assert metrics["cut_short"] > 0.9 > 0.1 > ground_truth["cut_short"]
    assert metrics["over_run"] < 0.05


def test_missing_last_digits_are_cut_short(judge):
    """Whoever stops cleanly, one digit too early."""
    longer = replace(judge, real=[item for item in judge.real if len(item.digits) > 1])
    waves = [item.audio[: item.boundaries[-2]] for item in longer.real]
    metrics = longer.summary(waves, [[*item.boundaries[:-1]] for item in longer.real])
    assert metrics["cut_short"] > 0.95
    assert metrics["deletions"] >= 0.9 * len(waves)
    assert metrics["insertions"] <= 2


def test_doubled_digits_are_insertions(judge):
    """Whoever says each digit twice."""
    said = [judge.say(np.repeat(item.digits, 2), item.speaker, i) for i, item in enumerate(judge.real)]
    metrics = judge.summary([item.audio for item in said], [item.boundaries[1::2] for item in said])
    assert metrics["insertions"] > 0.9 * metrics["digits"]
    assert metrics["deletions"] + metrics["substitutions"] < 0.05 * metrics["digits"]
    assert metrics["duration_ratio"] > 1.6
    assert metrics["over_run"] > 0.5


@pytest.mark.parametrize("pointer", [True, False])
def test_endless_noise_is_over_run(judge, ground_truth, pointer):
    """Whoever never stops after the last digit, as a pointer tells, or without one."""
    rng = np.random.default_rng(0)
    waves = []
    for item in judge.real:
        noise = rng.normal(0, 0.03, 8 * RATE).astype(np.float32)
        waves.append(np.concatenate([item.audio, noise]))
    ends = [[*item.boundaries[:-1], len(wave)] if pointer else [len(wave)]
            for item, wave in zip(judge.real, waves, strict=True)]  # fmt: skip
    metrics = judge.summary(waves, ends, stop_reason="stop")
    assert metrics["over_run"] == 1.0 and ground_truth["over_run"] < 0.05
    assert metrics["duration_ratio"] > 2
    capped = judge.summary(waves, [end[:-1] for end in ends], stop_reason="cap")
    assert capped["cap"] == 1.0 and ground_truth["cap"] == 0


def test_endless_silence_is_over_run(judge):
    """Whoever falls silent, but not to an end."""
    waves = [np.pad(item.audio, (0, RATE)) for item in judge.real]
    metrics = judge.summary(
        waves, [[*item.boundaries[:-1], len(wave)] for item, wave in zip(judge.real, waves, strict=True)]
    )
    assert metrics["over_run"] == 1.0
    assert metrics["digit_error"] < 0.03


def test_noise_alone_says_nothing(judge):
    rng = np.random.default_rng(0)
    metrics = judge.summary([rng.normal(0, 0.1, len(item.audio)).astype(np.float32) for item in judge.real])
    assert metrics["deletions"] > 0.9 * metrics["digits"]
    assert metrics["cut_short"] > 0.9


def test_clipping_and_offset_are_seen(judge, ground_truth):
    metrics = judge.summary([np.clip(20 * item.audio, -1, 1) for item in judge.real])
    assert metrics["clipping"] > 0.05 > 0.001 > ground_truth["clipping"]
    assert judge.summary([item.audio + np.float32(0.05) for item in judge.real])["dc"] == pytest.approx(0.05, abs=2e-3)
