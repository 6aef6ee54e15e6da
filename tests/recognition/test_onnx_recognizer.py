"""The recognizer by onnxruntime: torch's answers, and a file that is the weights'."""

import json
import os
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file

import tts
from tts.core.errors import InputError
from tts.recognition.config import ONNX_FILE, WEIGHTS, RecognizerConfig
from tts.recognition.export import onnx_bytes
from tts.recognition.model import Recognizer
from tts.recognition.onnx_recognizer import OnnxRecognizer

CACHES = ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
TEXTS = ["472", "1", "9 0 3 5", "8888", "6, 1", "[1s] 5"]


@pytest.fixture(scope="module")
def by_torch():
    return Recognizer.load()


@pytest.fixture(scope="module")
def by_onnx():
    return OnnxRecognizer.load()


@pytest.fixture(scope="module")
def spoken():
    return tts.load_voice().speak_batch(TEXTS, seeds=range(3, 9))


@pytest.fixture(scope="module")
def waves(spoken):
    rng = np.random.default_rng(0)
    noises = [(0.1 * rng.standard_normal(int(8000 * s))).astype(np.float32) for s in (0, 0.01, 0.06, 0.5, 2.3)]
    mixed = [one.samples + 0.01 * rng.standard_normal(len(one.samples)).astype(np.float32) for one in spoken]
    return [*noises, np.zeros(8000, np.float32), *mixed, *(one.samples for one in spoken)]


def test_the_file_is_small_and_equals_a_fresh_export():
    card = json.loads((WEIGHTS / "recognizer.json").read_text())
    shipped = (WEIGHTS / ONNX_FILE).read_bytes()
    assert len(shipped) < 3e6
    fresh = onnx_bytes(RecognizerConfig(**card["config"]), load_file(WEIGHTS / "recognizer.safetensors"))
    rng = np.random.default_rng(1)
    inputs = {"mels": rng.standard_normal((2, 51, 40)).astype(np.float32), "counts": np.array([51, 30])}
    for one, other in zip(*(onnxruntime.InferenceSession(x).run(None, inputs) for x in (shipped, fresh)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_digits_as_torch(by_torch, by_onnx, waves):
    digits = [[one.digit for one in own] for own in by_onnx.spoken(waves, 8000)]
    assert digits == by_torch.recognize(waves, 8000)
    assert sum(own == [4, 7, 2] for own in digits) == 2
    assert by_onnx.threshold > 0


def test_the_same_spectrogram_and_logits_as_torch(by_torch, by_onnx, waves):
    for wave in waves[3:8]:
        ours = by_onnx.log_mels(wave)
        theirs, counts = by_torch.front_end(torch.from_numpy(wave)[None], torch.tensor([len(wave)]))
        np.testing.assert_allclose(ours, theirs[0], atol=1e-4)
        *_, logits = by_onnx._session.run(None, {"mels": ours[None], "counts": np.array([len(ours)])})
        with torch.inference_mode():
            log_probs, _ = by_torch.net(theirs, counts)
        np.testing.assert_allclose(torch.from_numpy(logits).log_softmax(-1), log_probs, atol=1e-3)


def test_a_wave_is_recognized_alike_alone_and_in_any_batch(by_onnx, waves):
    together = by_onnx.spoken(waves, 8000)
    for size in (1, 3):
        for one, other in zip(by_onnx.spoken(waves, 8000, size), together, strict=True):
            assert [x[0] for x in one] == [x[0] for x in other]
            np.testing.assert_allclose([x[1:] for x in one], [x[1:] for x in other], atol=1e-4)


def test_times_are_near_the_voice_s_own(by_onnx, spoken):
    for one, own in zip(spoken, by_onnx.spoken([x.samples for x in spoken], 8000), strict=True):
        assert [x.digit for x in own] == [int(word) for word in one.words]
        ends = np.array(one.word_ends) / 8000
        np.testing.assert_allclose([x.end for x in own], ends, atol=0.3)
        times = [time for x in own for time in (x.start, x.end)]
        assert times == sorted(times)
        assert times[0] >= 0 and times[-1] <= one.seconds
    assert own[0].start > 0.9  # after a written pause of 1 s


@pytest.mark.parametrize(
    ("wave", "rate", "batch", "words"),
    [
        (np.zeros((2, 8000)), 8000, 32, "shape"),
        (np.full(8000, np.nan), 8000, 32, "NaN"),
        (np.zeros(8000), 0, 32, "sample rate"),
        (np.zeros(8000), 8000, 0, "batch_size"),
    ],
)
def test_bad_waves_are_refused(by_onnx, wave, rate, batch, words):
    with pytest.raises(InputError, match=words):
        by_onnx.spoken([wave], rate, batch)


def test_a_folder_without_the_file_says_how_to_make_it(tmp_path):
    with pytest.raises(InputError, match="no recognizer"):
        OnnxRecognizer.load(tmp_path)
    for name in ("recognizer.json", "recognizer.safetensors"):
        (tmp_path / name).write_bytes((WEIGHTS / name).read_bytes())
    with pytest.raises(InputError, match=r"no recognizer\.onnx\); make it by scripts/export_recognizer\.py"):
        OnnxRecognizer.load(tmp_path)
    (tmp_path / ONNX_FILE).write_bytes((WEIGHTS / ONNX_FILE).read_bytes()[:1000])
    with pytest.raises(InputError, match="damaged"):
        OnnxRecognizer.load(tmp_path)


def test_the_script_makes_the_file(tmp_path):
    for name in ("recognizer.json", "recognizer.safetensors"):
        (tmp_path / name).write_bytes((WEIGHTS / name).read_bytes())
    import export_recognizer

    done = subprocess.run([sys.executable, export_recognizer.__file__, tmp_path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / ONNX_FILE}\n"), done.stderr
    assert OnnxRecognizer.load(tmp_path).confidence is None


def test_no_torch_is_imported(tmp_path):
    code = "import sys; from tts.recognition.onnx_recognizer import OnnxRecognizer as R; R.load(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "torchaudio"} & set(done.stdout.split())


def test_onnxruntime_stores_and_sends_nothing(tmp_path):
    """Its telemetry begins with an identifier in the home folder."""
    program = "import tts.recognition.onnx_recognizer as r; r.OnnxRecognizer.load()"
    environment = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", *CACHES)}
    subprocess.run([sys.executable, "-c", program], env={**environment, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []
