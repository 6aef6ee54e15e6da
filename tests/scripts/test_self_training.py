"""Choosing a voice's clearest recordings, and training on them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import self_training
import soundfile
import torch
from helpers.miniature_fsdd import tone, write_corpus
from helpers.voices import SMALL, make_voice

from data_recipes.corpus import RecordingOptions
from data_recipes.fsdd import build_recordings, build_takes
from tts import load_voice
from tts.core.errors import InputError
from tts.core.sampling import Sampling


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus") / "recordings")


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    """Says noise."""
    voice = make_voice(config=replace(SMALL, n_speakers=1), speakers=["theo"], sampling=Sampling(1.0, 0.5))
    folder = tmp_path_factory.mktemp("voice") / "noise"
    voice.save(folder, "# noise\n")
    return folder


@pytest.mark.slow
def test_the_classifier_tells_digits_apart(corpus):
    recordings = build_recordings(corpus, speakers=["theo"])
    model = self_training.train(recordings["train"], epochs=12, seed=0)
    held = recordings["validation"]
    found = self_training.log_probabilities(model, [item.audio for item in held])
    assert found.shape == (30, 10)
    assert np.mean(found.argmax(1) == [item.digit for item in held]) > 0.8
    again = self_training.train(recordings["train"], epochs=12, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_keeps_the_clearest_that_are_whole(corpus, voice, tmp_path, capsys, monkeypatch):
    lengths = sorted(len(load_voice(voice).speak("7", seed=1000 * 6 * 7 + k).samples) for k in range(6))
    # Clearness by the length alone, so that it is known which recordings must be kept: all but one that ends in sound.
    monkeypatch.setattr(self_training, "train", lambda *_: None)
    monkeypatch.setattr(
        self_training,
        "log_probabilities",
        lambda _, waves: np.repeat([[-1e-6 * len(wave)] for wave in waves], 10, axis=1),
    )
    monkeypatch.setattr(
        self_training,
        "measure_sound",
        lambda wave, _: SimpleNamespace(end_db=-19.0 if len(wave) == lengths[0] else -21.0),
    )
    out = tmp_path / "recordings"
    command = [str(voice), "--source", str(corpus), "--out", str(out), "--n", "6", "--keep", "2"]
    assert self_training.main(command) == 0
    assert len(list(out.iterdir())) == 20
    kept = [len(soundfile.read(out / f"7_theo_{k}.wav")[0]) for k in range(2)]
    assert lengths[0] < lengths[1] and kept == lengths[1:3]
    assert "0.0 % of 60 recordings were unclear" in capsys.readouterr().out
    assert self_training.main(command) == 2
    assert "is not empty" in capsys.readouterr().err
    assert self_training.main([*command[:-1], "7"]) == 2
    assert "--keep 7: need 1 to --n, 6" in capsys.readouterr().err


def test_recordings_are_cut_to_what_sounds(corpus, voice, tmp_path, monkeypatch):
    monkeypatch.setattr(self_training, "train", lambda *_: None)
    monkeypatch.setattr(self_training, "log_probabilities", lambda _, waves: np.zeros((len(waves), 10)))
    monkeypatch.setattr(self_training, "measure_sound", lambda *_: SimpleNamespace(end_db=-50.0))
    monkeypatch.setattr(self_training, "sounding", lambda wave, rate: (rate // 1000, len(wave) - 16))
    out = tmp_path / "recordings"
    assert self_training.main([str(voice), "--source", str(corpus), "--out", str(out), "--n", "1", "--keep", "1"]) == 0
    whole = load_voice(voice).speak("7", seed=1000 * 7).samples
    np.testing.assert_allclose(soundfile.read(out / "7_theo_0.wav")[0], whole[8:-16], atol=1e-4)


def test_recordings_are_read_beside_the_corpus(tmp_path):
    for speaker, digit, take in (("theo", 3, 0), ("theo", 1, 11), ("theo", 1, 2), ("george", 1, 0)):
        soundfile.write(tmp_path / f"{digit}_{speaker}_{take}.wav", tone(digit, take), 8000)
    (tmp_path / "README.md").write_text("no take\n")
    takes = build_takes(tmp_path, RecordingOptions(), ["theo"])
    assert [item.id for item in takes] == ["1_theo_extra2", "1_theo_extra11", "3_theo_extra0"]
    assert abs(float(takes[0].audio.mean())) < 1e-3
    with pytest.raises(InputError, match="no recordings of lucas there"):
        build_takes(tmp_path, RecordingOptions(), ["lucas"])
    with pytest.raises(InputError, match="no recordings of theo there"):
        build_takes(tmp_path / "nowhere", RecordingOptions(), ["theo"])
    soundfile.write(tmp_path / "2_theo_0.wav", np.zeros(800), 8000)
    with pytest.raises(InputError, match=r"2_theo_0.wav: holds only silence"):
        build_takes(tmp_path, RecordingOptions(), ["theo"])
