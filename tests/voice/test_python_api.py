"""What a program may do with a voice: threads, asyncio, numbers of every library, and mistakes of type."""

import asyncio
import inspect
import itertools
import pickle
import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
import torch

import tts
from tts.core.errors import InputError
from tts.core.sampling import Sampling
from tts.generation.interface import SynthesisRequest, SynthesisResult
from tts.models.config import TwoTierConfig
from tts.models.two_tier import TwoTier
from tts.recognition.model import Recognizer
from tts.text.encoder import TextEncoder, TextEncoderConfig
from tts.voice import Voice


@pytest.fixture
def voice(voice_folder):
    return tts.load_voice(voice_folder)


class SlowEngine:
    """Makes chunks of 32 samples; the second one waits until `go_on` is set, and `in_chunk` says that it waits."""

    def __init__(self):
        self.in_chunk, self.go_on, self.ended = threading.Event(), threading.Event(), threading.Event()

    def stream(self, request, first_frames):
        chunk = np.full(32, 128, np.int16)
        try:
            for number in range(4):
                if number == 1:
                    self.in_chunk.set()
                    assert self.go_on.wait(30)
                yield chunk
            return SynthesisResult(np.tile(chunk, 4), [128], "stop", 0)
        finally:
            self.ended.set()


@pytest.fixture
def slow(voice, monkeypatch):
    """A stream that has given its first chunk, and its engine."""
    engine = SlowEngine()
    monkeypatch.setattr(voice, "engine", lambda name: engine)
    stream = voice.stream("4")
    assert len(next(stream)) == 32
    yield stream, engine
    engine.go_on.set()


def test_closing_while_another_thread_makes_a_chunk(slow):
    """`close` returns at once; the chunk in the making is the last one."""
    stream, engine = slow
    with ThreadPoolExecutor(1) as pool:
        remaining = pool.submit(list, stream)
        assert engine.in_chunk.wait(30)
        stream.close()
        stream.close()
        assert not remaining.done()
        engine.go_on.set()
        assert [len(chunk) for chunk in remaining.result(30)] == [32]
    assert engine.ended.is_set()
    assert list(stream) == []
    with pytest.raises(InputError, match="closed before its end"):
        stream.audio()


def test_cancelling_a_task_that_awaits_a_chunk(slow):
    """The cancellation is what comes out of the `with` block, not an error of its `close`."""
    stream, engine = slow

    async def play():
        with stream:
            await asyncio.to_thread(next, stream, None)

    async def main():
        task = asyncio.create_task(play())
        assert await asyncio.to_thread(engine.in_chunk.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        engine.go_on.set()
        return await asyncio.to_thread(list, stream)

    assert asyncio.run(main()) == []
    assert engine.ended.is_set()


def test_several_threads_share_a_stream(voice):
    settings = {"engine": "torch", "max_seconds": 0.03}
    whole = voice.speak("4 7 2", **settings)
    stream = voice.stream("4 7 2", **settings)
    with ThreadPoolExecutor(4) as pool:
        shares = list(pool.map(lambda _: list(stream), range(4)))
    assert sum(len(chunk) for share in shares for chunk in share) == len(whole.samples)
    np.testing.assert_array_equal(stream.audio().samples, whole.samples)


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_many_threads_speak_with_one_voice(voice_folder, engine):
    """From the first call on, by every method: the same samples as one thread gets."""
    texts = ["4 7 2", "1", "zero five", "9 9 9 1"]
    settings = {"max_seconds": 0.02} if engine == "torch" else {}
    expected = [tts.load_voice(voice_folder).speak(t, seed=i, **settings).codes for i, t in enumerate(texts)]
    voice, start = tts.load_voice(voice_folder), threading.Barrier(6)
    settings = {**settings, "engine": engine}

    def run(number):
        start.wait(30)
        if number % 3 == 0:
            return [voice.speak(t, seed=i, **settings).codes for i, t in enumerate(texts)]
        if number % 3 == 1:
            return [voice.stream(t, seed=i, **settings).audio().codes for i, t in enumerate(texts)]
        return [audio.codes for audio in voice.speak_each(texts, **settings)]

    with ThreadPoolExecutor(6) as pool:
        for made in pool.map(run, range(6)):
            for mine, codes in zip(made, expected, strict=True):
                np.testing.assert_array_equal(mine, codes)


def test_threads_make_one_engine_and_ask_one_encoder(voice, monkeypatch):
    made, busy = [], threading.Lock()

    class Encoder:
        def __init__(self, config):
            made.append("encoder")

        def encode(self, texts):
            assert busy.acquire(blocking=False), "an encoder was asked by two threads at once"
            try:
                return [np.zeros((len(text), 8), np.float32) for text in texts]
            finally:
                busy.release()

    monkeypatch.setattr("tts.voice.word_vectors.TextEncoder", Encoder)
    monkeypatch.setattr(voice._vectors, "shipped", {})
    monkeypatch.setattr("tts.voice.engines.new_engine", lambda *_: made.append("engine") or object())
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: id(voice.engine("native")), range(40)))) == 1
        list(pool.map(lambda _: voice.word_vectors(["4"]), range(40)))
    assert sorted(made) == ["encoder", "engine"]


def test_many_threads_share_a_recognizer():
    recognizer = Recognizer.load()
    waves = [np.random.default_rng(i).normal(0, 0.1, 1600 + 800 * i).astype(np.float32) for i in range(8)]
    alone = [recognizer.features([wave], 8000) for wave in waves]
    with ThreadPoolExecutor(4) as pool:
        for mine, expected in zip(pool.map(lambda w: recognizer.features([w], 8000), waves), alone, strict=True):
            np.testing.assert_array_equal(mine, expected)


def test_a_voice_can_be_pickled(voice):
    """As a pool of processes does with what it is to call."""
    again = pickle.loads(pickle.dumps(voice))
    np.testing.assert_array_equal(again.speak("4 7").codes, voice.speak("4 7").codes)


NUMPY = {
    "seed": [np.int64(3), np.uint64(3), np.int8(3)],
    "temperature": [np.float32(0.5), np.float64(0.5), np.float16(0.5), Fraction(1, 2)],
    "duration_spread": [np.float32(1), np.int64(1), np.bool_(1) + 0],
    "max_seconds": [np.float32(0.25), np.float16(0.25)],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in NUMPY.items() for value in values])
def test_numbers_of_numpy(voice, name, value):
    plain = {name: int(value) if name == "seed" else float(value)}
    expected = voice.speak("4 7", **{"seed": 3, **plain})
    for audio in (
        voice.speak("4 7", **{"seed": 3, name: value}),
        voice.stream("4 7", **{"seed": 3, name: value}).audio(),
        voice.speak_batch(["4 7"], **({"seeds": [3], name: value} if name != "seed" else {"seeds": [value]}))[0],
        next(voice.speak_each(["4 7"], **({"seeds": [3], name: value} if name != "seed" else {"seeds": [value]}))),
    ):
        np.testing.assert_array_equal(audio.codes, expected.codes)
        assert type(audio.seed) is int


def test_numbers_of_numpy_elsewhere(voice, tmp_path):
    assert Sampling(np.float32(0.5), np.int64(1)) == Sampling(0.5, 1)
    assert type(Sampling(np.float32(0.5)).temperature) is float
    voice.prepare(streams=np.int64(2))
    assert [a.words for a in voice.speak_each(["4", "7"], streams=np.int64(1))] == [["4"], ["7"]]
    assert [a.seed for a in voice.speak_batch(["4", "7"], seeds=np.arange(2))] == [0, 1]
    made = Voice.from_model(
        voice.model(),
        speakers=voice.speakers,
        sample_rate=np.int64(8000),
        text_encoder=TextEncoderConfig(),
        word_vectors={word: voice.word_vectors([word])[0] for word in voice.config.vocabulary},
        sampling=Sampling(np.float32(0.5)),
        max_unit_seconds=np.float32(0.25),
    )
    made.save(tmp_path / "voice", "")  # JSON knows no NumPy scalars
    assert tts.load_voice(tmp_path / "voice").config == made.config


NO_NUMBERS = ["hot", b"1", True, np.bool_(True), [1], np.ones(2), None, 1j, object(), Fraction(10**400)]
MISTAKES = (
    [("text", value, "the text is ") for value in (472, None, b"472", 4.0, ["4"], np.array([[1], [2]]))]
    + [("seed", value, "seed is ") for value in (1.0, np.float32(1), *NO_NUMBERS)]
    + [("temperature", value, "temperature is ") for value in NO_NUMBERS if value is not None]
    + [("duration_spread", value, "duration_spread is ") for value in NO_NUMBERS if value is not None]
    + [("nucleus_temperature", value, "nucleus_temperature is ") for value in NO_NUMBERS if value is not None]
    + [("comb_filter", value, "comb_filter is ") for value in NO_NUMBERS if value is not None]
    + [("max_seconds", value, "max_seconds is ") for value in NO_NUMBERS if value is not None]
    + [("speaker", value, "has no speaker ") for value in (3, b"ann", np.array(["ann", "bob"]), ["ann"])]
)


@pytest.mark.parametrize(("name", "value", "message"), MISTAKES, ids=lambda value: " ".join(str(value).split())[:20])
def test_values_of_another_type(voice, name, value, message):
    arguments = {"text": "4", name: value}
    many = {f"{key}s" if key in ("text", "speaker", "seed") else key: given for key, given in arguments.items()}
    many = {key: [given] if key.endswith("s") and key != "max_seconds" else given for key, given in many.items()}
    for call in (
        lambda: voice.speak(**arguments),
        lambda: voice.stream(**arguments),
        lambda: voice.speak_batch(**many),
        lambda: list(voice.speak_each(**many)),
    ):
        with pytest.raises(InputError, match=message) as caught:
            call()
        assert len(str(caught.value).splitlines()) == 1
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [472, "4 7", b"4 7", None, 4.0], ids=str)
def test_texts_that_are_no_list(voice, value):
    for call in (voice.speak_batch, voice.speak_each):
        with pytest.raises(InputError, match=r"^texts is .*; give a list, or say one text by speak$"):
            call(value)
        if value is not None:
            with pytest.raises(InputError, match=r"^speakers is .*; give a list"):
                call(["4"], speakers=value)
            with pytest.raises(InputError, match=r"^seeds is .*; give a list"):
                call(["4"], seeds=value)
    with pytest.raises(InputError, match=r"^texts is <generator.*; give a list"):
        voice.speak_batch(text for text in ["4"])
    with pytest.raises(InputError, match=r"^speakers is repeat.*; give a list"):
        voice.speak_batch(["4"], speakers=itertools.repeat("ann"))


@pytest.mark.parametrize("value", [0, 1.5, True, "2"], ids=str)
def test_streams_that_are_no_number_of_texts(voice, value):
    with pytest.raises(InputError, match=r"^streams is "):
        voice.speak_each(["4"], streams=value)
    with pytest.raises(InputError, match=r"^streams is "):
        voice.prepare(streams=value)


@pytest.mark.parametrize(
    "name", [3, b"digits", ["digits"], object(), 1.5, True], ids=lambda value: type(value).__name__
)
def test_a_voice_that_is_no_name(name):
    with pytest.raises(InputError, match=r"^the voice is .*; give a name, a folder or a Hub id") as caught:
        tts.load_voice(name)
    assert len(str(caught.value).splitlines()) == 1


PUBLIC = [
    tts.load_voice,
    *(member for name, member in vars(Voice).items() if inspect.isroutine(member) and not name.startswith("_")),
]


@pytest.mark.parametrize("function", PUBLIC, ids=lambda function: function.__name__)
def test_docstrings_have_one_grammar(function):
    """Args, Returns, Raises and Example, in this order; the arguments, one or several a line, are the signature's."""
    function = getattr(function, "__func__", function)
    lines = inspect.getdoc(function).splitlines()
    sections = [line[:-1] for line in lines if re.fullmatch("[A-Z][a-z]+:", line)]
    signature = inspect.signature(function)
    parameters = [name for name in signature.parameters if name not in ("self", "cls")]
    returns = str(signature.return_annotation) != "None"
    may_fail = function is not Voice.model
    wanted = {"Args": bool(parameters), "Returns": returns, "Raises": may_fail, "Example": True}
    assert sections == [name for name, there in wanted.items() if there]
    if parameters:
        arguments = lines[lines.index("Args:") + 1 :]
        arguments = [line for line in itertools.takewhile(bool, arguments) if not line.startswith(" " * 5)]
        assert [name for line in arguments for name in line.split(":")[0].strip().split(", ")] == parameters


def test_arrays_are_compared_by_identity(voice):
    """Field by field would end in "the truth value of an array is ambiguous"."""
    one, other = voice.speak("4"), voice.speak("4")
    request = SynthesisRequest(np.zeros((1, 8), np.float32), 0, 0, 1, 1)
    for a, b in ((one, other), (request, SynthesisRequest(request.units, 0, 0, 1, 1))):
        assert a == a
        assert a != b
        assert len({a, b, a}) == 2
    assert SynthesisResult(one.codes, [], "cap", 0) != SynthesisResult(one.codes, [], "cap", 0)


def encode(tmp_path):
    TextEncoder(TextEncoderConfig(), tmp_path / "cache").encode([["4", "7"]])


LOADERS = {
    "load_voice": lambda voice, tmp_path: tts.load_voice(),
    "a voice's model": lambda voice, tmp_path: voice.model(),
    "the torch engine": lambda voice, tmp_path: voice.engine("torch"),
    "the native engine": lambda voice, tmp_path: voice.engine("native"),
    "speaking": lambda voice, tmp_path: [
        voice.speak("4 7", engine=name, max_seconds=0.01) for name in ("native", "torch")
    ],
    "a voice of a model": lambda voice, tmp_path: Voice.from_model(
        voice.model(), speakers=voice.speakers, sample_rate=8000, text_encoder=TextEncoderConfig(), word_vectors={}
    ),
    "the recognizer": lambda voice, tmp_path: Recognizer.load(),
    "recognizing": lambda voice, tmp_path: Recognizer.load().recognize([np.zeros(8000, np.float32)], 8000),
    "the text encoder": lambda voice, tmp_path: encode(tmp_path),
}


@pytest.mark.parametrize("loader", LOADERS)
def test_loading_draws_no_random_numbers(voice, tmp_path, loader):
    """Programs that seed the global generators get the same numbers with and without a voice."""
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - the global generator is what is tested
    random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    LOADERS[loader](voice, tmp_path)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert random.getstate() == before[2]


def test_a_voice_s_model_is_a_copy(voice):
    """Training it leaves the voice as it is."""
    expected = voice.speak("4 7", max_seconds=0.05).codes
    with torch.no_grad():
        for parameter in voice.model().parameters():
            assert parameter.requires_grad
            assert parameter.device.type == "cpu"
            parameter.zero_()
    np.testing.assert_array_equal(voice.speak("4 7", engine="torch", max_seconds=0.05).codes, expected)


@pytest.mark.parametrize(
    "options", [{}, {"clock_dim": 0, "duration": "implicit"}, {"cell": "gru"}, {"history": "embedding"}]
)
def test_a_model_without_initial_weights_is_whole(options):
    """The tables that no file holds are there; every weight is the given one."""
    config = TwoTierConfig(dim=16, sample_dim=16, word_dim=8, **options)
    drawn = TwoTier(config)
    settings = {"speakers": ["ann"], "sample_rate": 8000, "text_encoder": TextEncoderConfig(), "word_vectors": {}}
    model = Voice.from_model(drawn, **settings).model()
    for name, buffer in drawn.named_buffers():
        assert torch.equal(model.get_buffer(name), buffer)
    for name, parameter in drawn.named_parameters():
        half_step = parameter.abs().max().item() / 250  # of a row of integers up to 127
        torch.testing.assert_close(model.get_parameter(name), parameter, rtol=1e-3, atol=half_step)
