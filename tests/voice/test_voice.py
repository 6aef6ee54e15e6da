"""Voices: said in memory, saved, loaded, and every folder that is none refused."""

import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.numpy import load_file, save_file

import tts
from tts.core.errors import InputError
from tts.generation.interface import Sampling, SynthesisResult
from tts.models.config import TwoTierConfig
from tts.models.two_tier import TwoTier
from tts.text.encoder import TextEncoderConfig
from tts.text.normalize import SPOKEN
from tts.voice import SpeakOptions, Voice, installed_voices, load_voice, store, word_vectors

SMALL = TwoTierConfig(frame_size=16, dim=16, sample_dim=16, hist_size=16, word_dim=8, text_dim=4, n_speakers=2)
VECTORS = {word: np.random.default_rng(digit).normal(size=8).astype("f") for word, digit in SPOKEN.items()}


def make_voice(context="word", conditioning="pointer", config=SMALL, **options):
    torch.manual_seed(0)
    model = TwoTier(dataclasses.replace(config, conditioning=conditioning))
    torch.nn.init.constant_(model.advance.bias, -2.0)
    settings = {
        "speakers": ["ann", "bob"],
        "sample_rate": 8000,
        "text_encoder": TextEncoderConfig(context=context),
        "word_vectors": VECTORS,
        "name": "small",
        "max_unit_seconds": 0.2,
        "license": "CC0",
        "training": {"data": "none", "minutes": 0},
        **options,
    }
    return Voice.from_model(model, **settings)


@pytest.fixture
def folder(tmp_path):
    make_voice().save(tmp_path / "small", "# A card\n")
    return tmp_path / "small"


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
    made = voice.engine().generate([voice._checked("4 7", None, 0, SpeakOptions()).request])[0]
    assert len(made.unit_ends) == 9
    np.testing.assert_array_equal(audio.codes, made.codes)
    assert audio.word_ends == [made.unit_ends[4], made.unit_ends[8]]
    assert audio.word_ends[-1] == len(audio.samples)
    assert audio.words == ["4", "7"]
    # Cut within the second word: only the first one's end is known.
    cut = voice.speak("4 7", max_seconds=(made.unit_ends[5] + 16) / 8000)
    assert (cut.word_ends, cut.stop_reason) == ([made.unit_ends[4]], "cap")


def test_what_changes_the_samples():
    voice = make_voice()
    first = voice.speak("4 7 2").codes
    np.testing.assert_array_equal(first, voice.speak("4-7-2").codes)
    np.testing.assert_array_equal(first, voice.speak("472", engine="torch").codes)
    for other in ({"seed": 1}, {"speaker": "bob"}, {"temperature": 0.5}, {"duration_spread": 0.0}):
        again = voice.speak("472", **other).codes
        assert not np.array_equal(first, again), other


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


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_stream(engine):
    voice = make_voice()
    whole = voice.speak("4 7 2" * 9, "bob", 3, engine=engine)
    stream = voice.stream("4 7 2" * 9, "bob", 3, engine=engine)
    assert (stream.sample_rate, stream.words, stream.speaker, stream.seed) == (8000, list("472" * 9), "bob", 3)
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


def test_save_and_load(folder, monkeypatch):
    monkeypatch.setattr(word_vectors, "TextEncoder", None)  # the vocabulary's words need none
    made, loaded = make_voice(), load_voice(folder)
    assert loaded.config == made.config
    assert loaded.speakers == ["ann", "bob"]
    assert loaded.name == "small"
    assert (folder / "README.md").read_text() == "# A card\n"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    np.testing.assert_array_equal(loaded.speak("472").codes, made.speak("472").codes)
    made.save(folder, "# Another\n")
    assert (folder / "README.md").read_text() == "# Another\n"
    weights = load_file(folder / "model.safetensors")
    assert {array.dtype for name, array in weights.items() if name != "word_vectors"} == {np.dtype(np.float16)}
    matrices = [array for name, array in weights.items() if name != "word_vectors" and array.ndim > 1]
    assert matrices
    for array in matrices:  # 8 significant bits
        np.testing.assert_array_equal(array, torch.from_numpy(array).float().bfloat16().float().numpy())


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
    part = make_voice(word_vectors={"4": VECTORS["4"]})
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
        ({"word_vectors": {"ten": VECTORS["4"]}}, "sayable"),
        ({"word_vectors": {"4": np.zeros(3, "f")}}, "8 finite numbers"),
        ({"word_vectors": {"4": np.full(8, np.nan, "f")}}, "8 finite numbers"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_parts_that_do_not_fit(options, message):
    with pytest.raises(InputError, match=message):
        make_voice(**options)


def edit_config(folder, **changes):
    path = folder / "config.json"
    tree = json.loads(path.read_text())
    for key, value in changes.items():
        *parents, last = key.split("__")
        place = tree
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[last]
        else:
            place[last] = value
    path.write_text(json.dumps(tree))


def edit_weights(folder, **changes):
    path = folder / "model.safetensors"
    tensors = {name: array.copy() for name, array in load_file(path).items()}
    for name, value in changes.items():
        if value is None:
            del tensors[name]
        else:
            tensors[name] = value
    save_file(tensors, path)


def rewrite_as_bfloat16(path):
    tensors = {name: torch.from_numpy(array).to(torch.bfloat16) for name, array in load_file(path).items()}
    safetensors.torch.save_file(tensors, path)


BROKEN = {
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no model.safetensors"),
    "config is a folder": (lambda f: ((f / "config.json").unlink(), (f / "config.json").mkdir()), "no config.json"),
    "config cut short": (lambda f: os.truncate(f / "config.json", 50), "not JSON"),
    "config empty": (lambda f: os.truncate(f / "config.json", 0), "not JSON"),
    "config not text": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"), "not JSON"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), "no JSON object"),
    "config of another model": (lambda f: (f / "config.json").write_text('{"hidden_size": 4}'), "format_version"),
    "config deep": (lambda f: (f / "config.json").write_text("[" * 100_000), "not JSON"),
    "weights cut short": (lambda f: os.truncate(f / "model.safetensors", 5000), "not a whole safetensors"),
    "weights empty": (lambda f: os.truncate(f / "model.safetensors", 0), "not a whole safetensors"),
    "weights foreign": (lambda f: (f / "model.safetensors").write_bytes(b"RIFF" * 99), "not a whole safetensors"),
    "older format": (lambda f: edit_config(f, format_version=1), "format_version is 1, and this version reads 2; an older version wrote it: train or"),
    "newer format": (lambda f: edit_config(f, format_version=3), "format_version is 3, and this version reads 2; a newer version wrote it: update"),
    "no format": (lambda f: edit_config(f, format_version=None), "no format_version"),
    "unknown key": (lambda f: edit_config(f, color="red"), "unknown config key color"),
    "unknown model key": (lambda f: edit_config(f, model__widht=3), "unknown config key model.widht"),
    "missing key": (lambda f: edit_config(f, sample_rate=None), "sample_rate"),
    "wrong type": (lambda f: edit_config(f, sample_rate="fast"), "sample_rate"),
    "wrong model type": (lambda f: edit_config(f, model__cell="rnn"), "must be one of gru, lstm"),
    "training no object": (lambda f: edit_config(f, training=3), "training is 3"),
    "bad sampling": (lambda f: edit_config(f, sampling__temperature=-1.0), "temperature"),
    "speakers do not fit": (lambda f: edit_config(f, speakers=["ann"], default_speaker="ann"), "2 different names"),
    "another width": (lambda f: edit_config(f, model__dim=17), "has shape"),
    "too many layers": (lambda f: edit_config(f, model__n_rnn=2), "missing|has shape"),
    "vocabulary does not fit": (lambda f: edit_config(f, vocabulary=["4"]), "word_vectors must have a row"),
    "no vectors": (lambda f: edit_weights(f, word_vectors=None), "word_vectors must have a row"),
    "a weight missing": (lambda f: edit_weights(f, h0=None), "'h0' is missing"),
    "a weight too many": (lambda f: edit_weights(f, h1=np.zeros(3, "f")), "no weight 'h1'"),
    "a weight of integers": (lambda f: edit_weights(f, h0=np.zeros((1, 16), np.int8)), "floating-point"),
    "temperature without end": (lambda f: edit_config(f, sampling__temperature=10**400), "temperature"),
    "NaN among the vectors": (
        lambda f: edit_weights(f, word_vectors=np.full((20, 8), np.nan, "f")),
        "vector of '0' is not 8 finite numbers",
    ),
    "bfloat16": (lambda f: rewrite_as_bfloat16(f / "model.safetensors"), "safetensors|floating-point"),
    "NaN": (lambda f: edit_weights(f, h0=np.full((1, 16), np.nan, "f")), "NaN or infinite"),
    "infinity": (lambda f: edit_weights(f, h0=np.full((1, 16), np.inf, np.float16)), "NaN or infinite"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_folders(folder, case):
    damage, message = BROKEN[case]
    damage(folder)
    with pytest.raises(InputError, match=message) as error:
        load_voice(folder)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)
    assert "fetch the voice again" in str(error.value)


def test_names(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(store, "VOICES", tmp_path)
    assert list(installed_voices()) == ["small"]
    assert load_voice().name == load_voice("small").name == load_voice(str(folder)).name == "small"
    make_voice(name="the default").save(tmp_path / store.DEFAULT_VOICE, "")
    assert load_voice().name == "the default"
    with pytest.raises(InputError, match="no voice 'nobody'; give one of digits, small"):
        load_voice("nobody")
    for name in ("", "\0", "a" * 5000, "../none/such"):
        with pytest.raises(InputError, match="there is no voice"):
            load_voice(name)
    monkeypatch.setattr(store, "VOICES", tmp_path / "none")
    with pytest.raises(InputError, match="no voice ships"):
        load_voice()


def test_the_hub(folder, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
    assert load_voice("someone/voice").name == "small"

    def unreachable(*_, **__):
        raise OSError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(InputError, match=r"someone/voice from the Hugging Face Hub failed \(no route to host\)"):
        load_voice("someone/voice")


def in_a_new_process(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.mark.parametrize(
    "environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}]
)
def test_the_hub_out_of_reach(tmp_path, environment):
    code = """if True:
        import tts, tts.core.errors
        try:
            tts.load_voice("someone/voice")
        except tts.core.errors.InputError as error:
            print(error)
    """
    message = in_a_new_process(code, HF_HOME=str(tmp_path), **environment)
    assert len(message.splitlines()) == 1
    assert message.startswith("there is no voice folder someone/voice, and fetching the voice someone/voice from")
    assert message.endswith("check the name and the connection")


def test_speaking_takes_neither_torch_nor_transformers(folder):
    """They take longer to import than a sentence takes to say."""
    code = f"""if True:
        import sys, tts
        audio = tts.load_voice({str(folder)!r}).speak("4 7 two")
        audio.save({str(folder / "472.wav")!r})
        print(sorted({{"torch", "transformers", "torchaudio", "datasets", "matplotlib"}} & set(sys.modules)))
    """
    assert in_a_new_process(code) == "[]"


def test_saving_where_nothing_can_be_saved(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the voice"):
        make_voice().save(tmp_path / "file" / "voice", "")


def test_saving_that_fails_leaves_the_old_voice(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        make_voice(sampling=Sampling(0.5)).save(folder, "# New\n")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_other_settings_same_weights():
    voice = make_voice()
    sampling = dataclasses.replace(voice.config.sampling, temperature=0.5)
    other = voice.with_config(dataclasses.replace(voice.config, name="other", sampling=sampling))
    assert other.name == "other"
    assert np.array_equal(other.speak("4 7").codes, voice.speak("4 7", temperature=0.5).codes)
    assert not np.array_equal(other.speak("4 7").codes, voice.speak("4 7").codes)
