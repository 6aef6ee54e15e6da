"""The judge of speakers: the embedding, what is compared, and the report."""

import sys
from dataclasses import replace
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest
import torch
from helpers.untrained_voice import voice
from scipy import ndimage

from data_recipes.corpus import Recording
from data_recipes.fsdd import build_recordings
from data_recipes.sequences import Sequence, SequenceOptions
from tts.core.errors import InputError
from tts.core.extras import missing
from tts.core.statistics import wilson
from tts.evaluation import running
from tts.evaluation.judges import loading
from tts.evaluation.judges.speaker import FRAMES, MELS, SIMILARITY, STEP, WIDTH, WRONG, SpeakerEncoder, SpeakerJudge
from tts.evaluation.judges.summary import judge_metrics
from tts.evaluation.judges.tables import headline, judge_tables
from tts.evaluation.manifest import FileRow
from tts.evaluation.report import make_tables, markdown
from tts.evaluation.systems import of_files, of_voice
from tts.evaluation.test_sets import OF_SPEAKER, draw_training, for_texts, from_dataset, from_source
from tts.evaluation.utterance import Score, Sound, Utterance

RATE = 16_000
SOUND = Sound(0.5, 0.1, -50.0, 0.2, 0.0, 0.0, -20.0, -60.0, 0)
needs_wheel = pytest.mark.skipif(
    missing("resemblyzer") is not None, reason="resemblyzer is missing: pip install --no-deps resemblyzer"
)


class FirstSamples(SpeakerEncoder):
    """Stands for the network: the embedding is the direction of a wave's first two samples."""

    def embed(self, waves, sample_rate):
        first = np.stack([wave[:2] for wave in waves])
        return first / np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-9)


def noise(seconds, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def sequence(x, y, speaker):
    wave = np.array([x, y, 0.0], dtype=np.float32)
    return Sequence(wave, "4", ["4"], speaker, ["0"], [len(wave)], RATE, "seen")


def judge_of(*sequences):
    judge = SpeakerJudge(FirstSamples())
    judge.enroll(sequences, {item.speaker for item in sequences})
    return judge


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return SpeakerEncoder()


# The embedding


def test_an_embedding_is_a_direction_that_the_gain_does_not_change(encoder):
    waves = [noise(0.5), noise(2.5, 1), np.zeros(100, dtype=np.float32), np.zeros(0, dtype=np.float32)]
    found = encoder.embed(waves, RATE)
    assert found.shape == (4, WIDTH) and (found >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(encoder.embed([waves[1] / 50], RATE)[0], found[1], atol=1e-4)
    np.testing.assert_allclose(found[2], found[3], atol=1e-5)  # silence, whatever its length


def test_partial_utterances_cover_the_wave(encoder):
    counts = {seconds: len(encoder.partials(noise(seconds))) for seconds in (0.1, 1.6, 1.96, 1.98, 4.4)}
    assert counts == {0.1: 1, 1.6: 1, 1.96: 1, 1.98: 2, 4.4: 5}
    whole = encoder.partials(noise(2.5))
    assert whole.shape == (2, FRAMES, MELS)
    # The second one is the first one of what is left, but for the frames at the cut.
    rest = encoder.partials(noise(2.5)[STEP * 160 :])
    torch.testing.assert_close(rest[0, 2:], whole[1, 2:])
    assert encoder.partials(noise(0.5))[0, 60:].abs().max() == 0


def test_a_missing_wheel_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "resemblyzer", None)
    with pytest.raises(InputError, match=r"the judge speaker cannot be asked: .*pip install --no-deps resemblyzer"):
        loading.load_judges(["own", "speaker"])


@pytest.mark.slow
@needs_wheel
def test_the_embedding_is_the_wheels_own(monkeypatch):
    pytest.importorskip("librosa", reason='librosa is missing: pip install ".[judges]"')
    # Neither is reached here: the wheel's preprocessing, which needs them, is left out.
    monkeypatch.setitem(sys.modules, "webrtcvad", ModuleType("webrtcvad"))
    morphology = ModuleType("scipy.ndimage.morphology")
    monkeypatch.setattr(morphology, "binary_dilation", ndimage.binary_dilation, raising=False)
    monkeypatch.setitem(sys.modules, "scipy.ndimage.morphology", morphology)
    encoder = SpeakerEncoder.load()
    theirs = import_module("resemblyzer.voice_encoder").VoiceEncoder("cpu", verbose=False)
    level = import_module("resemblyzer.audio").normalize_volume
    for seconds in (0.4, 2.3):
        wave = np.cumsum(noise(seconds)) * np.hanning(round(seconds * RATE)).astype(np.float32)
        expected = theirs.embed_utterance(level(wave, -30))
        assert float(expected @ encoder.embed([wave], RATE)[0]) > 0.999


@needs_wheel
def test_people_are_distinguished(fsdd_dir):
    judge = SpeakerJudge()
    recordings = build_recordings(fsdd_dir, speakers=("george", "theo"))

    def joined(split, speaker):
        items = [item for item in recordings[split] if item.speaker == speaker][:50:10]
        wave = np.concatenate([item.audio for item in items])
        return Sequence(wave, "any", ["any"], speaker, ["0"], [len(wave)], 8000, "seen")

    judge.enroll([joined("train", name) for name in ("george", "theo")], ["george", "theo"])
    waves = [joined("test", name).audio for name in ("george", "theo")]
    right = [judge(wave, 8000, ["0"], name) for wave, name in zip(waves, ("george", "theo"), strict=True)]
    assert [score[WRONG] for score in right] == [Score(0, 1, "george"), Score(0, 1, "theo")]
    swapped = [judge(wave, 8000, ["0"], name) for wave, name in zip(waves, ("theo", "george"), strict=True)]
    assert [score[WRONG] for score in swapped] == [Score(1, 1, "george"), Score(1, 1, "theo")]
    for one, other in zip(right, reversed(swapped), strict=True):
        assert one[SIMILARITY].total > other[SIMILARITY].total


# What is compared


def test_a_wave_is_compared_with_the_mean_of_its_speaker():
    # Ann's two lie on both sides of the first axis, bob's on the second one.
    judge = judge_of(sequence(1, 0.5, "ann"), sequence(1, -0.5, "ann"), sequence(0, 3, "bob"))
    waves = [np.array([2.0, 0.0]), np.array([3.0, 4.0]), np.array([3.0, 4.0])]
    found = [judge(wave, RATE, ["4"], name) for wave, name in zip(waves, ("ann", "ann", "carl"), strict=True)]
    assert found[0][SIMILARITY].total == pytest.approx(1) and found[0][WRONG] == Score(0, 1, "ann")
    assert found[1][SIMILARITY].total == pytest.approx(0.6) and found[1][WRONG] == Score(1, 1, "bob")
    assert found[2] == {}  # there is nothing to compare carl with


def test_of_one_speaker_there_is_similarity_alone():
    found = judge_of(sequence(1, 0, "ann"))(np.array([3.0, 4.0]), RATE, ["4"], "ann")
    assert list(found) == [SIMILARITY] and found[SIMILARITY].total == pytest.approx(0.6)


def test_settings_know_the_recordings():
    one, same, other = (judge_of(sequence(x, 0.5, "ann")) for x in (1, 1, 2))
    same.encoder.load_state_dict(one.encoder.state_dict())
    other.encoder.load_state_dict(one.encoder.state_dict())
    assert one.settings() == same.settings() != other.settings()


# Summary and report


def test_wrong_speakers_are_a_share_with_wilsons_interval_and_no_headline():
    def metrics(system, wrong):
        rows = []
        for i in range(20):
            scores = {SIMILARITY: Score(0.8, 1), WRONG: Score(float(i < wrong), 1, "bob")}
            rows.append(Utterance("any", i, system, "4", ["4"], "ann", ["4"], SOUND, scores=scores))
        return {"judges": judge_metrics(rows, 0)}

    splits = {"any": {"voice": metrics("voice", 20), "ground_truth": metrics("ground_truth", 1)}}
    found = splits["any"]["voice"]["judges"][WRONG]
    assert found["value"] == 1 and found["value_95"] == pytest.approx(wilson(20, 20)) and found["value_95"][0] < 0.9
    assert found["by_speaker"]["ann"]["value"] == 1
    by_judge, by_speaker = judge_tables(splits, ["voice", "ground_truth"])
    assert [row[1] for row in by_judge.rows] == ["own", SIMILARITY, WRONG]
    assert by_judge.rows[1][2].startswith("0.800 (") and by_judge.rows[2][3].startswith("5.0 (")
    assert [WRONG, "ann"] in [row[1:3] for row in by_speaker.rows]
    # All are in the wrong voice, and all are read right: the headline is of what was read.
    assert headline(splits)[0].startswith("worst judge: own finds 0.00 % errors")


def test_an_evaluation_with_the_judge(corpus, recognizer, tmp_path):
    material = from_source(corpus, ["test_seen"], 3, 3, ["theo", "nobody"], 8000)
    assert [item.speaker for item in material.training] == ["theo"] * OF_SPEAKER
    other = replace(material.training[0], audio=-material.training[0].audio, speaker="zoe")
    material = replace(material, training=[*material.training, other])
    judge = SpeakerJudge(FirstSamples())
    report, utterances = running.run(of_voice(voice(), material, recognizer, tmp_path, 0, judges=[judge]), tmp_path)
    assert judge.speakers == ["theo", "zoe"]
    assert all(list(item.scores) == [SIMILARITY, WRONG] for item in utterances)
    assert "| test_seen | wrong speaker | theo |" in markdown(report, make_tables(report))


def test_training_sequences_are_as_many_of_every_speaker():
    recordings = [Recording(np.ones(9), word, name, 0, 8000, name) for name in ("bob", "ann") for word in ("1", "2")]
    found = draw_training(recordings, SequenceOptions())
    assert [item.speaker for item in found] == ["ann"] * OF_SPEAKER + ["bob"] * OF_SPEAKER


def test_a_datasets_training_rows_are_taken(dataset):
    found = from_dataset(dataset, ["test_seen"], 2, 0, ["theo"], 8000).training
    assert 0 < len(found) <= OF_SPEAKER and {item.speaker for item in found} == {"theo"}


def test_files_need_training_recordings_of_who_speaks(files, recognizer):
    judge = SpeakerJudge(FirstSamples())
    rows = [FileRow(files / "a.wav", "4", "unknown"), FileRow(files / "b.flac", "4 7", "theo")]
    material = for_texts(["4", "4 7"], None, 0)
    with pytest.raises(InputError, match="which is theo, unknown, and has those of nobody; give them as --source"):
        of_files(rows, material, recognizer, [judge])
    material = replace(material, training=[sequence(1, 0, "theo"), sequence(0, 1, "zoe")])
    with pytest.raises(InputError, match="which is unknown, and has those of theo, zoe; or leave it out of --judges"):
        of_files(rows[:1], material, recognizer, [judge])
    of_files(rows, material, recognizer, [judge])  # one that is known will do
