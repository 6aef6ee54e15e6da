"""A voice as the source of a recognizer's training: what it is asked for, and that nothing real gets in."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.miniature_fsdd import write_corpus
from helpers.untrained_voice import voice

from data_recipes.fsdd import build_recordings
from tts.core.errors import InputError
from tts.recognition import generated, training
from tts.recognition.generated import recordings_of
from tts.recognition.model import RecognizerConfig
from tts.recognition.training import Config, DataConfig, TrainConfig


@pytest.fixture
def speaking(monkeypatch):
    monkeypatch.setattr(generated, "load_voice", lambda name: voice(speakers=("theo", "ann")))


def test_a_voice_gives_as_many_recordings_as_are_asked_for(speaking):
    splits = recordings_of("mini", 2, 0)
    assert len(splits["train"]) == 2 * 10 * 2 and len(splits["validation"]) == 2 * 10 * 3
    train = {(x.speaker, x.word, x.take) for x in splits["train"]}
    assert train == {(s, str(d), t) for s in ("theo", "ann") for d in range(10) for t in (0, 1)}
    again, other = recordings_of("mini", 2, 0), recordings_of("mini", 2, 1)
    np.testing.assert_array_equal(splits["train"][3].audio, again["train"][3].audio)
    assert not np.array_equal(splits["train"][3].audio, other["train"][3].audio)
    one, two = splits["train"][:2]
    assert not np.array_equal(one.audio, two.audio)  # takes differ
    assert 0.01 < np.sqrt(np.mean(one.audio**2)) < 0.3  # leveled as real ones are


def test_a_voice_without_all_digits_is_refused(monkeypatch):
    mute = voice()
    monkeypatch.setattr(generated, "load_voice", lambda name: mute)
    monkeypatch.setattr(type(mute), "vocabulary", property(lambda self: ("0", "1", "hundred")))
    with pytest.raises(InputError, match="does not say 2, 3"):
        recordings_of("mini", 1, 0)


def test_a_recognizer_is_trained_on_a_voice_and_tested_on_recordings(speaking, tmp_path, monkeypatch, capsys):
    corpus = write_corpus(tmp_path / "fsdd")
    monkeypatch.setattr(training, "TEST_SEQUENCES", 4)
    config = Config(
        out=tmp_path / "out",
        model=RecognizerConfig(channels=8, width=8, layers=1),
        data=DataConfig(source="voice:mini", takes=1, test=corpus, workers=0, max_digits=2),
        train=TrainConfig(steps=2, batch=2, short_steps=1, evaluate_every=2, validation=2, warmup=1, threads=1),
    )
    config.out.mkdir()
    real = build_recordings(corpus, speakers=("theo",))["test"]
    monkeypatch.setattr(training, "build_recordings", lambda source: {"test": real})  # nothing real to train on
    training.train(replace(config), "test")
    card = json.loads((config.out / "recognizer.json").read_text())
    assert "voice mini" in card["data"]
    assert card["metrics"]["test_digit_error"] == json.loads(capsys.readouterr().out)["test_digit_error"]


def test_fewer_real_recordings(tmp_path, monkeypatch):
    real = build_recordings(write_corpus(tmp_path / "fsdd"), speakers=("theo",))
    monkeypatch.setattr(training, "build_recordings", lambda source: dict(real))
    recordings, about = training.load_recordings(DataConfig(source="fsdd", takes=2), 0)
    assert {x.take for x in recordings["train"]} == {8, 9}
    assert "train takes 8-9," in about["split"]
    assert {x.take for x in recordings["test"]} == set(range(5))
