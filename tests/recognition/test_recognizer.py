import argparse
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
import torchaudio

from data_recipes.sequences import SequenceOptions, SequenceStream
from tts import audio
from tts.cli import recognize as cli
from tts.core.errors import InputError
from tts.recognition.model import WEIGHTS, Recognizer, RecognizerConfig, RecognizerNet


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load()


@pytest.fixture(scope="module")
def recordings(fsdd_recordings):
    return fsdd_recordings


def buzz(seconds, seed, rate=8000):
    """Something with structure: a few gliding tones in noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * (f * t + 30 * np.sin(3 * t))) for f in rng.uniform(100, 3000, 4))
    return (0.1 * wave + 0.01 * rng.standard_normal(len(t))).astype(np.float32)


def test_the_shipped_weights_are_small_and_say_where_they_come_from(recognizer):
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) <= 6 * 2**20
    assert {"data", "split", "command", "metrics"} <= set(recognizer.card)
    assert recognizer.card["metrics"]["test_digit_error"] <= 0.015
    words = json.dumps(recognizer.card).replace("=", " ").replace('"', " ").split()
    assert not [word for word in words if word.startswith("/")]  # a folder of the machine it was trained on


@pytest.mark.slow
def test_single_held_out_recordings(recognizer, recordings):
    test = recordings["test"]
    recognized = recognizer.recognize([x.audio for x in test], 8000)
    assert len(test) == 300
    # 298 were right when it was measured (docs/recognizer.md); 297 are wished for.
    assert sum(answer == [x.digit] for answer, x in zip(recognized, test, strict=True)) >= 297


@pytest.mark.slow
def test_joined_held_out_recordings(recognizer, recordings):
    options = SequenceOptions(max_digits=8, gap_seconds=(0.0, 0.35), edge_seconds=(0.0, 0.5), hold_outs=())
    stream = SequenceStream(recordings["test"], options, seed=5)
    sequences = [stream[i] for i in range(200)]
    recognized = recognizer.recognize([x.audio for x in sequences], 8000)
    errors = sum(torchaudio.functional.edit_distance(x.digits, y) for x, y in zip(sequences, recognized, strict=True))
    assert errors / sum(len(x.digits) for x in sequences) <= 0.015


@pytest.mark.parametrize("rate", [16000, 22050, 44100])
def test_other_sample_rates_are_resampled(recognizer, recordings, rate):
    some = recordings["test"][::15]
    waves = [torchaudio.functional.resample(torch.from_numpy(x.audio), 8000, rate).numpy() for x in some]
    recognized = recognizer.recognize(waves, rate)
    assert sum(answer == [x.digit] for answer, x in zip(recognized, some, strict=True)) >= len(some) - 1


def test_the_gain_does_not_matter(recognizer, recordings):
    waves = [x.audio for x in recordings["test"][::15]]
    assert recognizer.recognize([0.003 * x for x in waves], 8000) == recognizer.recognize(waves, 8000)


def test_probabilities_of_single_digits(recognizer, recordings):
    some = recordings["test"][::10]
    probabilities = recognizer.digit_probabilities([x.audio for x in some], 8000)
    assert probabilities.shape == (len(some), 10)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert np.mean(probabilities.argmax(1) == [x.digit for x in some]) >= 0.95


def test_nothing_is_recognized_where_nothing_is(recognizer):
    rng = np.random.default_rng(0)
    waves = [np.zeros(8000 * seconds, dtype=np.float32) for seconds in (1, 2, 5)]
    for level in (1e-4, 1e-3, 0.01, 0.1):
        waves += [(level * rng.standard_normal(int(s * 8000))).astype(np.float32) for s in rng.uniform(0.3, 4, 10)]
    recognized = recognizer.recognize(waves, 8000)
    assert recognized[:3] == [[], [], []]
    assert sum(bool(x) for x in recognized) <= 2


def test_too_short_to_be_a_digit(recognizer):
    waves = [np.zeros(n, dtype=np.float32) for n in (0, 1, 79, 400)]
    assert recognizer.recognize(waves, 8000) == [[], [], [], []]
    assert recognizer.recognize([], 8000) == []
    assert not recognizer.features(waves, 8000).any()
    np.testing.assert_allclose(recognizer.digit_probabilities(waves, 8000), 0.1)


def test_a_wave_is_recognized_alike_alone_and_in_any_batch(recognizer):
    waves = [buzz(seconds, seed) for seed, seconds in enumerate((0.1, 0.4001, 0.4, 1.0, 2.7, 0.0715, 5.0))]
    together = recognizer.features(waves, 8000)
    alone = np.concatenate([recognizer.features([wave], 8000) for wave in waves])
    pairs = recognizer.features(waves, 8000, batch_size=2)
    assert together.shape == (7, 2 * recognizer.net.config.width)
    assert np.abs(together).max() > 0.05
    np.testing.assert_allclose(together, alone, atol=2e-5)
    np.testing.assert_allclose(pairs, alone, atol=2e-5)
    assert recognizer.recognize(waves, 8000) == [recognizer.recognize([wave], 8000)[0] for wave in waves]
    np.testing.assert_allclose(
        recognizer.digit_probabilities(waves, 8000),
        np.concatenate([recognizer.digit_probabilities([wave], 8000) for wave in waves]),
        atol=1e-4,
    )


def test_log_probabilities_do_not_depend_on_padding():
    torch.manual_seed(0)
    recognizer = Recognizer(RecognizerNet(RecognizerConfig(channels=8, width=8)), {})
    waves = [torch.from_numpy(buzz(seconds, seed)) for seed, seconds in enumerate((1.003, 0.2, 0.61))]
    lengths = torch.tensor([len(x) for x in waves])
    padded = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)
    with torch.inference_mode():
        together, counts = recognizer.net(*recognizer.front_end(padded, lengths))
        for row, wave in enumerate(waves):
            alone, count = recognizer.net(*recognizer.front_end(wave[None], lengths[row : row + 1]))
            assert count[0] == counts[row] == alone.shape[1]
            torch.testing.assert_close(together[row, : counts[row]], alone[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("wave", "rate", "batch", "words"),
    [
        (np.zeros((2, 8000)), 8000, 32, "shape"),
        (np.full(8000, np.nan), 8000, 32, "NaN"),
        (np.full(8000, np.inf), 8000, 32, "infinite"),
        (np.zeros(8000), 0, 32, "sample rate"),
        (np.zeros(8000), 8000, 0, "batch_size"),
    ],
)
def test_bad_waves_are_refused(recognizer, wave, rate, batch, words):
    with pytest.raises(InputError, match=words):
        recognizer.recognize([wave], rate, batch)


def test_a_damaged_or_missing_recogniser_is_refused(tmp_path):
    with pytest.raises(InputError, match="no recognizer"):
        Recognizer.load(tmp_path)
    (tmp_path / "recognizer.json").write_text(json.dumps({"config": asdict(RecognizerConfig())}))
    (tmp_path / "recognizer.safetensors").write_bytes((WEIGHTS / "recognizer.safetensors").read_bytes()[:1000])
    with pytest.raises(InputError, match="damaged"):
        Recognizer.load(tmp_path)
    (tmp_path / "recognizer.json").write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        Recognizer.load(tmp_path)


def run_cli(*arguments):
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return cli.run(parser.parse_args([str(x) for x in arguments]))


def test_the_command_prints_a_line_a_file(recordings, tmp_path, capsys):
    some = [x for x in recordings["test"] if x.speaker == "jackson" and x.take == 0]
    paths = []
    for place, recording in enumerate(some):
        rate = 8000 if place % 2 else 16000  # files of both rates, alternating
        wave = torchaudio.functional.resample(torch.from_numpy(recording.audio), 8000, rate).numpy()
        paths.append(tmp_path / f"{recording.id}.wav")
        audio.write(paths[-1], wave, rate)
    silence = tmp_path / "silence.wav"
    audio.write(silence, np.zeros(8000, dtype=np.float32), 8000)
    assert run_cli(*paths, silence) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == [str(path) for path in (*paths, silence)]
    assert sum(line[1] == str(x.digit) for line, x in zip(lines, some, strict=False)) >= 9
    assert lines[-1][1] == ""


def test_the_command_refuses_a_bad_batch_size(tmp_path):
    with pytest.raises(InputError, match="batch-size"):
        run_cli(tmp_path / "a.wav", "--batch-size", 0)


def test_every_weight_learns():
    torch.manual_seed(0)
    net = RecognizerNet(RecognizerConfig(channels=8, width=8))
    log_probs, _ = net(torch.randn(2, 30, 40), torch.tensor([30, 20]))
    log_probs[..., 3].sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
        assert math.isfinite(parameter.grad.abs().sum()), name
