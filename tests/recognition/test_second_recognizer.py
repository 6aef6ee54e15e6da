"""The second recognizer: its network, and what its training is made of."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.miniature_fsdd import tone

from data_recipes.corpus import Corpus, Recording, RecordingOptions
from data_recipes.sequences import SequenceOptions, SequenceStream
from tts.core.errors import InputError
from tts.recognition import second_training
from tts.recognition.convolutional import ConvolutionalConfig, ConvolutionalNet
from tts.recognition.model import Recognizer
from tts.recognition.second_training import DamageOptions, Mixture, SecondConfig, damaged, masked
from tts.recognition.training import TrainConfig, Trainer

SMALL = ConvolutionalConfig(mels=20, channels=(4, 4), width=16, blocks=2)


@pytest.fixture(scope="module")
def recordings():
    return [Recording(tone(digit, 0), str(digit), "theo", 0, 8000, f"{digit}_theo_0") for digit in range(10)]


@pytest.fixture(scope="module")
def sequence(recordings):
    return SequenceStream(recordings, SequenceOptions(min_digits=3, max_digits=3, hold_outs=()), 0)[0]


def test_a_wave_is_read_alike_alone_and_in_a_batch():
    torch.manual_seed(0)
    net = ConvolutionalNet(SMALL).eval()
    front_end = net.front_end()
    rng = np.random.default_rng(0)
    waves = [torch.from_numpy(rng.standard_normal(n).astype(np.float32)) for n in (9000, 4321, 800)]
    lengths = torch.tensor([len(wave) for wave in waves])
    with torch.inference_mode():
        batch, counts = net(*front_end(torch.nn.utils.rnn.pad_sequence(waves, batch_first=True), lengths))
        for i, wave in enumerate(waves):
            alone, count = net(*front_end(wave[None], lengths[i : i + 1]))
            assert int(count) == int(counts[i]) == alone.shape[1]
            torch.testing.assert_close(batch[i, : int(count)], alone[0], atol=1e-4, rtol=1e-4)


def test_gain_and_pauses_do_not_matter():
    front_end = ConvolutionalNet(SMALL).front_end()
    rng = np.random.default_rng(1)
    wave = torch.from_numpy(rng.standard_normal(8000).astype(np.float32))
    length = torch.tensor([8000])
    loud, _ = front_end(wave[None], length)
    quiet, _ = front_end(wave[None] / 100, length)
    torch.testing.assert_close(loud, quiet, atol=1e-3, rtol=1e-3)
    longer, _ = front_end(torch.nn.functional.pad(wave, (0, 8000))[None], torch.tensor([16000]))
    torch.testing.assert_close(longer[0, :100], loud[0, :100], atol=0.1, rtol=0.1)


def test_weights_name_their_network(tmp_path, recordings, sequence):
    torch.manual_seed(0)
    card = {"data": "tones", "split": "none", "command": "test", "augment": {}}
    options = TrainConfig(steps=2, warmup=1, batch=2)
    trainer = Trainer(tmp_path, 0, options, ConvolutionalNet(SMALL), card, {"clean": [sequence]})
    waves = torch.from_numpy(np.stack([sequence.audio] * 2))
    batch = waves, torch.tensor([waves.shape[1]] * 2), torch.tensor(sequence.digits * 2), torch.tensor([3, 3])
    trainer.run([batch, batch])
    loaded = Recognizer.load(tmp_path)
    assert isinstance(loaded.net, ConvolutionalNet) and loaded.net.config == SMALL
    assert loaded.features([sequence.audio], 8000).shape == (1, 16)
    written = json.loads((tmp_path / "recognizer.json").read_text())
    assert written["architecture"] == "convolutional" and written["data"] == "tones"
    (tmp_path / "recognizer.json").write_text(json.dumps({**written, "architecture": "brain"}))
    with pytest.raises(InputError, match="damaged"):
        Recognizer.load(tmp_path)


def test_damage_depends_on_the_generator_alone(sequence):
    options = DamageOptions(empty=0.0)
    waves = [damaged(sequence, options, np.random.default_rng(seed)).audio for seed in (1, 1, 2)]
    np.testing.assert_array_equal(waves[0], waves[1])
    assert len(waves[0]) != len(waves[2])
    for seed in range(20):
        audio = damaged(sequence, options, np.random.default_rng(seed)).audio
        assert audio.dtype == np.float32 and np.isfinite(audio).all()
        assert len(sequence.audio) / 1.2 < len(audio) < len(sequence.audio) / 0.8
    empty = damaged(sequence, DamageOptions(empty=1.0), np.random.default_rng(0))
    assert not empty.words and np.abs(empty.audio).max() > 0
    plain = DamageOptions(speed=(1.0, 1.0), noise=0.0, tilt=(0.0, 0.0), empty=0.0)
    np.testing.assert_allclose(damaged(sequence, plain, np.random.default_rng(0)).audio[:100], sequence.audio[:100])


def test_sequences_are_of_one_speaker_and_of_everyone(recordings):
    others = [replace(recording, speaker="ann", id=f"{recording.word}_ann") for recording in recordings[:4]]
    everyone = [replace(recording, speaker="everyone") for recording in [*recordings, *others]]
    config = SecondConfig(damage=DamageOptions(empty=0.0))
    mixture = Mixture(config, recordings, everyone, 3, 0)
    drawn = [mixture[i] for i in range(60)]
    assert 15 < sum(one.speaker == "theo" for one in drawn) < 45
    assert {one.speaker for one in drawn} == {"theo", "everyone"}
    np.testing.assert_array_equal(mixture[7].audio, drawn[7].audio)


def test_spectrograms_are_moved_and_blanked():
    torch.manual_seed(0)
    mels = torch.arange(40.0).expand(300, 30, 40).clone()
    same = masked(mels, (1.0, 1.0))
    whole = (same != 0).float().mean()
    assert 0.6 < whole < 0.95
    torch.testing.assert_close(same[same != 0], mels[same != 0], atol=2e-2, rtol=0)
    moved = masked(mels, (0.9, 0.9))
    kept = moved[:, :, 30] != 0
    torch.testing.assert_close(moved[:, :, 30][kept], torch.full((int(kept.sum()),), 27.0), atol=1e-3, rtol=0)


def test_speakers_that_are_held_out_are_not_trained_on(monkeypatch, tmp_path):
    wave = tone(1, 0)

    def corpus(names, words):
        items = [Recording(wave, word, name, 0, 8000, f"{word}_{name}") for name in names for word in words]
        return Corpus({"train": items, "validation": [], "test": items}, [], RecordingOptions())

    folders = {tmp_path / "large": ["a", "b"], tmp_path / "small": ["b"]}
    for folder in folders:
        (folder / "one").mkdir(parents=True)
    monkeypatch.setattr(second_training.fsdd, "load_corpus", lambda *_: corpus(["theo"], ["1", "2"]))
    monkeypatch.setattr(
        second_training.speech_commands,
        "load_corpus",
        lambda folder, *_, words: corpus(folders[folder], words),
    )
    data = second_training.DataConfig(speech_commands=tmp_path / "large", held_out=tmp_path / "small")
    _, everyone = second_training.load_recordings(data)
    assert [x.id for x in everyone["train"]] == ["1_theo", "2_theo", "one_a"]
    assert {(x.speaker, x.word) for x in everyone["train"]} == {("everyone", "1"), ("everyone", "2")}
