"""Many texts: side by side and each as alone, in their order, in bounded memory, checked."""

import itertools
import tracemalloc

import numpy as np
import pytest
from helpers.voices import make_voice

from tts.core.errors import InputError
from tts.generation.interface import SynthesisResult


def test_batch_is_each_alone():
    voice = make_voice()
    batch = voice.speak_batch(["4", "7 2", "0"], speakers=["ann", "bob", None], seeds=[5, 6, 7])
    for audio, text, speaker, seed in zip(batch, ["4", "7 2", "0"], ["ann", "bob", "ann"], [5, 6, 7], strict=True):
        np.testing.assert_array_equal(audio.codes, voice.speak(text, speaker, seed).codes)
        assert audio.speaker == speaker
    assert [audio.seed for audio in voice.speak_batch(["1", "1"])] == [0, 1]
    assert voice.speak_batch([]) == []
    with pytest.raises(InputError, match="2 texts but 1 seeds"):
        voice.speak_batch(["1", "2"], seeds=[1])
    with pytest.raises(InputError, match="ten"):
        voice.speak_batch(["1", "ten"])


def test_batch_mistakes():
    voice = make_voice()
    for many in (voice.speak_batch, voice.speak_each):
        with pytest.raises(InputError, match="texts is '4 7 2'; give a list"):
            many("4 7 2")
        with pytest.raises(InputError, match="speakers is 'ann'; give a list"):
            many(["4", "7", "2"], "ann")
    for engine in ("native", "torch"):
        assert voice.speak_batch([], engine=engine) == []
        assert list(voice.speak_each([], engine=engine)) == []
    with pytest.raises(InputError, match="no engine"):
        voice.speak_batch([], engine="gpu")


@pytest.mark.parametrize(("engine", "streams"), [("native", None), ("native", 1), ("native", 3), ("torch", None)])
def test_each_is_in_order_and_as_alone(engine, streams):
    voice = make_voice()
    texts = ["4", "7 2 1 1", "0", "five"]
    said = list(voice.speak_each(texts, itertools.repeat("bob"), engine=engine, streams=streams))
    assert [audio.words for audio in said] == [["4"], ["7", "2", "1", "1"], ["0"], ["five"]]
    for seed, (text, audio) in enumerate(zip(texts, said, strict=True)):
        np.testing.assert_array_equal(audio.codes, voice.speak(text, "bob", seed).codes)


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_what_comes_before_a_mistake_is_said(engine):
    voice = make_voice()
    each = voice.speak_each(iter(["4", "7", "ten", "1"]), engine=engine)
    assert [next(each).words, next(each).words] == [["4"], ["7"]]
    with pytest.raises(InputError, match=r"^text 3: the voice cannot say 'ten'"):
        next(each)
    each = voice.speak_each(["4", "7"], seeds=[3], engine=engine)
    assert next(each).seed == 3
    with pytest.raises(InputError, match="more texts than seeds"):
        next(each)
    with pytest.raises(InputError, match="more texts than speakers"):
        list(voice.speak_each(["4"], speakers=[], engine=engine))

    def texts():
        yield "4"
        raise OSError("the disk is gone")

    each = voice.speak_each(texts(), engine=engine)
    assert next(each).words == ["4"]
    with pytest.raises(OSError, match="the disk is gone"):
        next(each)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0}, "temperature is 0"),
        ({"max_seconds": 0}, "max_seconds is 0"),
        ({"engine": "gpu"}, "no engine 'gpu'"),
        ({"streams": 0}, "streams is 0"),
    ],
    ids=str,
)
def test_each_is_checked_at_the_call(arguments, message):
    with pytest.raises(InputError, match=message):
        make_voice().speak_each(["4"], **arguments)


def test_lines_without_end_and_leaving_early():
    """At most the places and a few are taken ahead."""
    voice, taken = make_voice(), itertools.count()
    each = voice.speak_each((str(next(taken) % 10) for _ in itertools.repeat(0)), streams=4)
    said = [next(each) for _ in range(10)]
    assert [audio.words for audio in said] == [[str(i)] for i in range(10)]
    each.close()
    assert next(taken) <= 10 + 16


class FastEngine:
    """Answers at once, as if 8 texts were made at a time."""

    def generate_each(self, requests, streams=None):
        requests = iter(requests)
        while batch := list(itertools.islice(requests, 8)):
            yield from (SynthesisResult(np.full(2000, 128, np.int16), [2000] * len(r.units), "stop", 0) for r in batch)


def test_memory_does_not_grow_with_the_texts(monkeypatch):
    voice = make_voice()
    monkeypatch.setattr(voice, "engine", lambda name: FastEngine())
    tracemalloc.start()
    try:
        each = voice.speak_each(str(i % 1000) for i in range(3000))
        for _ in range(500):
            next(each)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        assert sum(1 for _ in each) == 2500
        assert tracemalloc.get_traced_memory()[1] - before < 500_000  # an utterance here has 12,000 bytes
    finally:
        tracemalloc.stop()
