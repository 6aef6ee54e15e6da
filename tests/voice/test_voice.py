"""Voices in memory: what they say, in which ways, and what they refuse."""

import dataclasses
import typing
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.voices import SMALL, VECTORS, make_voice
from helpers.waves import harmonics, noise, power

import tts
from tts.core.errors import InputError
from tts.core.sampling import Sampling
from tts.generation.interface import SynthesisResult
from tts.generation.native import library
from tts.models.two_tier import TwoTier
from tts.text.encoder import TextEncoderConfig
from tts.text.normalize import SPOKEN
from tts.voice import SpeakOptions, Voice, word_vectors
from tts.voice.options import SpeakChanges


def test_speak():
    voice = make_voice()
    audio = voice.speak("4 7 2")
    assert audio.samples.dtype == np.float32
    assert audio.samples.shape == audio.codes.shape
    assert np.abs(audio.samples).max() <= 1
    assert audio.sample_rate == voice.sample_rate == 8000
    assert audio.words == ["4", "7", "2"]
    assert audio.stop_reason == "stop"
    assert audio.word_ends[-1] == len(audio.samples)
    assert len(audio.word_ends) == 3
    assert (audio.speaker, audio.seed) == ("ann", 0)
    assert audio.seconds == len(audio.samples) / 8000
    np.testing.assert_array_equal(audio.samples, tts.audio.decode(audio.codes))


def test_units_of_words():
    config = dataclasses.replace(SMALL, units_per_word=4, duration="explicit")
    voice = make_voice(config=config)
    audio = voice.speak("4 7")
    made = voice.engine().generate([voice._checked(SpeakOptions(), "4 7", None, 0).request])[0]
    assert len(made.unit_ends) == 9
    np.testing.assert_array_equal(audio.codes, made.codes)
    assert audio.word_ends == [made.unit_ends[4], made.unit_ends[8]]
    assert audio.word_ends[-1] == len(audio.samples)
    assert audio.words == ["4", "7"]
    # Cut within the second word: only the first one's end is known.
    cut = voice.speak("4 7", max_seconds=(made.unit_ends[5] + 16) / 8000)
    assert (cut.word_ends, cut.stop_reason) == ([made.unit_ends[4]], "cap")


def test_a_temperature_of_the_nuclei():
    """Nothing changes before the first one; a voice's own is used by default."""
    sampling = Sampling(0.9, 0.5, nucleus_temperature=0.5)
    voice = make_voice(config=dataclasses.replace(SMALL, units_per_word=4, duration="explicit"), sampling=sampling)
    request = voice._checked(SpeakOptions(temperature=0.8), "4 7", None, 0).request
    assert request.temperatures().tolist() == [0.8, 0.8, 0.4, 0.8, 0.8, 0.8, 0.4, 0.8, 0.8]
    plain, own = voice.speak("4 7", nucleus_temperature=1), voice.speak("4 7")
    first = voice.engine().generate([request])[0].unit_ends[1]
    np.testing.assert_array_equal(plain.codes[:first], own.codes[:first])
    assert not np.array_equal(plain.codes, own.codes)
    np.testing.assert_array_equal(own.codes, voice.speak("4 7", nucleus_temperature=np.float32(0.5)).codes)


def test_a_temperature_of_nuclei_where_there_are_none():
    voice = make_voice()
    np.testing.assert_array_equal(voice.speak("4", nucleus_temperature=1).codes, voice.speak("4").codes)
    for method, text in ((voice.speak, "4"), (voice.stream, "4"), (voice.speak_batch, []), (voice.speak_each, [])):
        with pytest.raises(
            InputError, match=r"^nucleus_temperature is 0\.5; it needs nuclei, which model\.units_per_w"
        ):
            method(text, nucleus_temperature=0.5)
    with pytest.raises(InputError, match="needs nuclei"):
        make_voice(sampling=Sampling(nucleus_temperature=0.5))


def test_what_changes_the_samples():
    voice = make_voice()
    first = voice.speak("4 7 2").codes
    np.testing.assert_array_equal(first, voice.speak("4-7-2").codes)
    np.testing.assert_array_equal(first, voice.speak("472", engine="torch").codes)
    for other in ({"seed": 1}, {"speaker": "bob"}, {"temperature": 0.5}, {"duration_spread": 0.0}):
        again = voice.speak("472", **other).codes
        assert not np.array_equal(first, again), other


WAYS = {
    "speak": lambda voice, **settings: voice.speak("4 7", "bob", 3, **settings),
    "stream": lambda voice, **settings: voice.stream("4 7", "bob", 3, **settings).audio(),
    "speak_batch": lambda voice, **settings: voice.speak_batch(["4 7"], ["bob"], [3], **settings)[0],
    "speak_each": lambda voice, **settings: next(voice.speak_each(["4 7"], ["bob"], [3], **settings)),
}


@pytest.mark.parametrize("way", WAYS)
def test_options_and_keyword_arguments_are_alike(way):
    """An argument replaces one field of the options, in each of the methods."""
    voice, speak = make_voice(), WAYS[way]
    options = SpeakOptions(temperature=0.5, duration_spread=0.2, max_seconds=0.03, engine="torch")
    expected = speak(voice, temperature=0.5, duration_spread=0.2, max_seconds=0.03, engine="torch").codes
    np.testing.assert_array_equal(speak(voice, options=options).codes, expected)
    mixed = dataclasses.replace(options, temperature=2.0, max_seconds=5)
    np.testing.assert_array_equal(speak(voice, options=mixed, temperature=0.5, max_seconds=0.03).codes, expected)
    for field in ({"temperature": 2.0}, {"duration_spread": 1.0}, {"max_seconds": 0.002}):
        assert not np.array_equal(speak(voice, options=options, **field).codes, expected), field
    own = dataclasses.replace(options, temperature=voice.config.sampling.temperature)
    np.testing.assert_array_equal(
        speak(voice, options=options, temperature=None).codes, speak(voice, options=own).codes
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", [0.9, "torch", {"temperature": 0.9}, SpeakOptions], ids=str)
def test_options_of_another_type(way, options):
    with pytest.raises(InputError, match=r"^options is .*; give SpeakOptions, or name the setting") as error:
        WAYS[way](make_voice(), options=options)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("way", WAYS)
def test_unknown_settings(way):
    with pytest.raises(
        TypeError, match=rf"^Voice\.{way} has no argument 'temprature'; did you mean temperature\? It ta"
    ):
        WAYS[way](make_voice(), temprature=0.9)
    with pytest.raises(
        TypeError,
        match=r"has no argument .zzz.; it takes texts?, .*options, .*engine, .*nucleus_temperature, comb_filter$",
    ):
        WAYS[way](make_voice(), zzz=0.9)


@pytest.mark.parametrize("method", ["speak_batch", "speak_each"])
@pytest.mark.parametrize("name", ["seed", "speaker"])
def test_one_for_many_is_an_unknown_argument(method, name):
    """What the message names are the method's own arguments, not those of the class behind it."""
    with pytest.raises(TypeError, match=rf"^Voice\.{method} has no argument '{name}'; did you mean {name}s\?"):
        getattr(make_voice(), method)(["4"], **{name: 3})


def test_keyword_arguments_are_the_fields_of_the_options():
    assert typing.get_type_hints(SpeakChanges) == typing.get_type_hints(SpeakOptions)


def test_models_that_native_does_not_support():
    """`auto` warns once and uses torch; `native` is refused."""
    voice = make_voice(config=dataclasses.replace(SMALL, cell="gru"))
    with pytest.warns(UserWarning, match="native engine does not support model.cell: gru; the slower torch engine"):
        said = voice.speak("4 7")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(voice.speak("4 7").codes, said.codes)
    np.testing.assert_array_equal(voice.speak("4 7", engine="torch").codes, said.codes)
    with pytest.raises(InputError, match=r"model\.cell: gru; use the engine torch"):
        voice.speak("4 7", engine="native")


def test_prepare_changes_nothing():
    voice = make_voice()
    for engine in ("auto", "native", "torch"):
        voice.prepare(engine)
    np.testing.assert_array_equal(voice.speak("4 7 2").codes, make_voice().speak("4 7 2").codes)


def test_the_cap_is_reported():
    audio = make_voice().speak("4 7 2", max_seconds=0.004)
    assert audio.stop_reason == "cap"
    assert len(audio.samples) == 32


@pytest.mark.parametrize("seconds", [1e300, 10**400], ids=["float", "int"])
@pytest.mark.parametrize("conditioning", ["pointer", "pooled"])
def test_a_cap_beyond_all_bounds_is_none(conditioning, seconds):
    voice = make_voice(conditioning=conditioning)
    np.testing.assert_array_equal(voice.speak("4 7", max_seconds=seconds).codes, voice.speak("4 7").codes)


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_stream(engine):
    voice = make_voice()
    text = "472" * (9 if engine == "native" else 1)
    whole = voice.speak(text, "bob", 3, engine=engine)
    stream = voice.stream(text, "bob", 3, engine=engine)
    assert (stream.sample_rate, stream.words, stream.speaker, stream.seed) == (8000, list(text), "bob", 3)
    chunks = list(stream)
    assert len(chunks) > 1
    assert all(chunk.dtype == np.float32 and chunk.ndim == 1 and len(chunk) for chunk in chunks)
    np.testing.assert_array_equal(np.concatenate(chunks), whole.samples)
    assert list(stream) == []
    audio = stream.audio()
    np.testing.assert_array_equal(audio.codes, whole.codes)
    assert (audio.word_ends, audio.stop_reason, audio.seed) == (whole.word_ends, whole.stop_reason, 3)


def test_a_stream_that_is_left():
    voice = make_voice()
    stream = voice.stream("4 7 2", engine="torch")
    first = next(stream)
    np.testing.assert_array_equal(stream.audio().samples, voice.speak("472").samples)
    with voice.stream("4 7 2", engine="torch") as left:
        np.testing.assert_array_equal(next(left), first)
    assert list(left) == []
    with pytest.raises(InputError, match="closed before its end"):
        left.audio()


def test_a_voice_keeps_its_weights_when_training_goes_on():
    torch.manual_seed(0)
    model = TwoTier(SMALL)
    voice = Voice.from_model(
        model, speakers=["a", "b"], sample_rate=8000, text_encoder=TextEncoderConfig(), word_vectors=VECTORS
    )
    with torch.no_grad():
        before = [voice._weights["h0"].copy(), model.h0.add_(1)][0]
    np.testing.assert_array_equal(voice._weights["h0"], before)


class StubEncoder:
    asked: list[list[list[str]]]

    def __init__(self, config, *_):
        self.width = 8
        self.asked = []

    def encode(self, texts):
        self.asked.append([list(text) for text in texts])
        return [np.stack([VECTORS[word] for word in text]) for text in texts]


def test_words_that_do_not_ship_are_encoded(monkeypatch):
    monkeypatch.setattr(word_vectors, "TextEncoder", StubEncoder)
    whole = make_voice().speak("4 7 2").codes
    part = make_voice(word_vectors={"4": VECTORS["4"], "7": VECTORS["7"], "two": VECTORS["two"]})
    np.testing.assert_array_equal(part.speak("4 7 2").codes, whole)
    assert part._vectors._encoder.asked == [[["4"], ["7"], ["2"]]]
    in_text = make_voice(context="text")
    assert in_text.config.vocabulary == ()
    np.testing.assert_array_equal(in_text.speak("4 7 2").codes, whole)
    assert in_text._vectors._encoder.asked == [[["4", "7", "2"]]]
    everything = make_voice(word_vectors=None)
    assert set(everything.config.vocabulary) == set(SPOKEN)
    np.testing.assert_array_equal(everything.speak("4 7 2").codes, whole)


def test_an_encoder_of_another_width(monkeypatch):
    monkeypatch.setattr(word_vectors, "TextEncoder", StubEncoder)
    monkeypatch.setattr(StubEncoder, "encode", lambda self, texts: [np.zeros((len(t), 5), "f") for t in texts])
    with pytest.raises(InputError, match="width 5"):
        make_voice(context="text").speak("4")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": ""}, "no words"),
        ({"text": "4 ten"}, "ten"),
        ({"text": "1" * 100_000}, "at most 1000"),
        ({"text": "4\0"}, "control character"),
        ({"speaker": "eve"}, "no speaker 'eve'; it has ann, bob"),
        ({"seed": -1}, "seed is -1"),
        ({"temperature": 0}, "temperature is 0"),
        ({"temperature": float("nan")}, "temperature"),
        ({"duration_spread": 2}, "duration_spread"),
        ({"nucleus_temperature": 0}, "nucleus_temperature is 0"),
        ({"comb_filter": 1.1}, "comb_filter is 1.1"),
        ({"max_seconds": 0}, "max_seconds"),
        ({"max_seconds": float("inf")}, "max_seconds"),
        ({"max_seconds": float("nan")}, "max_seconds"),
        ({"temperature": 10**400}, "temperature"),
        ({"engine": "gpu"}, "choose one of auto, native, torch"),
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("way", ["speak", "stream"])
def test_mistakes(way, arguments, message):
    """Reported at the call, also by a stream."""
    with pytest.raises(InputError, match=message):
        getattr(make_voice(), way)(**{"text": "4", **arguments})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speakers": ["ann"]}, "2 different names"),
        ({"speakers": ["ann", "ann"]}, "2 different names"),
        ({"default_speaker": "eve"}, "must be one of ann, bob"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"max_unit_seconds": 0}, "max_unit_seconds"),
        ({"name": ""}, "name"),
        ({"word_vectors": {"Ten": VECTORS["4"]}}, "in lower case"),
        ({"word_vectors": {"4": np.zeros(3, "f")}}, "8 finite numbers"),
        ({"word_vectors": {"4": np.full(8, np.nan, "f")}}, "8 finite numbers"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_parts_that_do_not_fit(options, message):
    with pytest.raises(InputError, match=message):
        make_voice(**options)


def test_other_settings_same_weights():
    voice = make_voice()
    sampling = dataclasses.replace(voice.config.sampling, temperature=0.5)
    other = voice.with_config(dataclasses.replace(voice.config, name="other", sampling=sampling))
    assert other.name == "other"
    assert np.array_equal(other.speak("4 7").codes, voice.speak("4 7", temperature=0.5).codes)
    assert not np.array_equal(other.speak("4 7").codes, voice.speak("4 7").codes)


def test_a_comb_filter(monkeypatch):
    """The codes stay; the samples do not depend on pieces, and without the library they are as they were made."""
    voice = make_voice(sampling=Sampling(comb_filter=0.5))
    wave = harmonics(8000, 0.6, 110)
    codes = voice.config.model.coding.encode(wave + noise(len(wave), 0.02)).astype(np.int16)

    def say(request):
        return SynthesisResult(codes, [len(codes)], "stop", 0)

    def stream(request, first_frames):
        yield from np.split(codes, [8, 500, 504, 3000])
        return say(request)

    engine = SimpleNamespace(generate=lambda requests: list(map(say, requests)), stream=stream)
    monkeypatch.setattr(Voice, "engine", lambda *_: engine)
    plain, own, full = (voice.speak("4", **how) for how in ({"comb_filter": 0}, {}, {"comb_filter": np.float32(1)}))
    np.testing.assert_array_equal(plain.samples, voice.config.model.coding.decode(codes))
    for audio in (own, full):
        np.testing.assert_array_equal(audio.codes, codes)
        assert len(audio.samples) == len(codes)
    assert power(full.samples - plain.samples) > power(own.samples - plain.samples) + 0.5 > -60
    chunks = [*voice.stream("4", comb_filter=1)]
    assert min(map(len, chunks)) >= 1
    np.testing.assert_array_equal(np.concatenate(chunks), full.samples)
    monkeypatch.setattr(library, "problem", lambda: "there is no library")
    np.testing.assert_array_equal(voice.speak("4", comb_filter=1).samples, plain.samples)
