"""The C engine against the same arithmetic in numpy, bit by bit; alone and beside others, whole and in pieces."""

import ctypes
import dataclasses
import hashlib
import os
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest
import torch
from helpers.engines import (
    SMALL,
    VARIANTS,
    arrays,
    assert_equal,
    make_model,
    make_requests,
    make_requests_of_all_lengths,
    named,
)
from helpers.native_mirror import Mirror
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.core.errors import InputError
from tts.core.sampling import Sampling
from tts.generation.family import unsupported
from tts.generation.features import log_lags
from tts.generation.interface import SynthesisRequest
from tts.generation.native import layout, library
from tts.generation.native.engine import BLOCK_FRAMES, NativeEngine, Slots
from tts.models.config import TwoTierConfig
from tts.models.pitch import find_pitch
from tts.voice import SpeakOptions, load_voice

SUPPORTED = [one for one in VARIANTS if unsupported(dataclasses.replace(SMALL, **one)) is None]
PITCH = {"pitch_taps": 3, "pitch_lags": (5, 20), "pitch_window": 16}
RANKED = {"upsample_rank": 5, "n_rnn": 2, "sample_layers": 3}
LONG_SUMS = {"q_levels": 4096, "hist_size": 71}  # of past samples: their weights have no more than 8 bits
SETS = library.usable()
GOLDEN = "e9d1049c23c0ff26a0d50c181212e092e2b2bc6f61900ae01ba2dffc69b9af63"
"""SHA-256 of the codes that the shipped voice makes of `GOLDEN_TEXTS`; a change of it is a change of the voice."""
GOLDEN_TEXTS = [("4 7 2", "lucas", 0), ("0 1 2 3 4 5 6 7 8 9", "theo", 1), ("nine", "george", 2**64 - 1)]


@pytest.fixture(scope="module")
def voice():
    return load_voice()


def voice_requests(voice, texts):
    return [voice._checked(SpeakOptions(), text, speaker, seed).request for text, speaker, seed in texts]


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("options", [*SUPPORTED, LONG_SUMS], ids=named)
def test_equals_the_mirror(options, isa):
    model = make_model(**options)
    requests = make_requests(model)
    made = NativeEngine(model.config, arrays(model), isa=isa).generate(requests)
    assert_equal(made, Mirror(model.config, arrays(model)).generate(requests))


def random_weights(config, seed):
    """Weights without torch; large enough for every part to matter."""
    from tts.generation.weights import weight_shapes

    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in weight_shapes(config).items():
        fan_in = shape[-1] if len(shape) > 1 else 1
        weights[name] = rng.normal(size=shape, scale=1.5 / np.sqrt(fan_in)).astype(np.float32)
    weights["advance.bias"] = np.full(1, -2.0, np.float32)
    return weights


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_shape_equals_the_mirror(data):
    few = st.integers(1, 40)
    is_explicit = data.draw(st.booleans())
    taps = data.draw(st.sampled_from([0, 1]) | st.integers(2, 63))
    shortest_lag = data.draw(st.integers(max(2, taps // 2 + 1), 70))
    config = TwoTierConfig(
        q_levels=2 * data.draw(st.integers(2, 140)),
        frame_size=data.draw(few),
        n_rnn=data.draw(st.integers(1, 3)),
        dim=data.draw(few),
        sample_dim=data.draw(st.integers(1, 80)),
        sample_layers=data.draw(st.integers(1, 3)),
        upsample_rank=data.draw(st.integers(0, 20)),
        hist_size=data.draw(st.integers(1, 70)),
        conditioning="pointer" if is_explicit else data.draw(st.sampled_from(["pointer", "pooled"])),
        word_dim=data.draw(few),
        text_dim=data.draw(st.integers(1, 20)),
        n_speakers=2,
        speaker_dim=data.draw(st.integers(1, 5)),
        clock_dim=2 * data.draw(st.integers(1 if is_explicit else 0, 3)),
        clock_frames=data.draw(few),
        duration="explicit" if is_explicit else "implicit",
        units_per_word=1,
        duration_dim=data.draw(st.integers(1, 20)),
        pitch_taps=taps,
        pitch_lags=(shortest_lag, shortest_lag + data.draw(few)),
        pitch_window=data.draw(st.integers(max(16, taps // 2 + 1), 90)),
    )
    seed = data.draw(st.integers(0, 2**64 - 1))
    weights = random_weights(config, seed)
    rng = np.random.default_rng(seed)
    requests = [
        SynthesisRequest(
            units=rng.normal(size=(data.draw(st.integers(1, 4)), config.word_dim)).astype(np.float32),
            speaker=data.draw(st.integers(0, 1)),
            seed=(seed + k) % 2**64,
            max_frames=data.draw(st.integers(1, 12)),
            max_unit_frames=data.draw(st.integers(1, 6)),
            sampling=Sampling(data.draw(st.floats(0.01, 100)), data.draw(st.floats(0, 1))),
        )
        for k in range(3)
    ]
    made = list(NativeEngine(config, weights, block_frames=5, threads=1).generate_each(requests, 3))
    assert_equal(made, Mirror(config, weights).generate(requests))


def test_the_pitch_is_that_of_the_torch_engine():
    """Which finds it by FFT: rounded, lags and correlations do not depend on the order of the sums."""
    config = dataclasses.replace(SMALL, q_levels=256, pitch_taps=7)
    mirror = Mirror(config, random_weights(config, 0))
    rng = np.random.default_rng(0)
    size = config.pitch_window + config.pitch_lags[1]
    walks = rng.integers(-9, 10, (60, size)).cumsum(1) * rng.integers(0, 2, (60, 1))  # noise with a spectrum; silence
    tones = 90 * np.sin(np.arange(size) / rng.uniform(3, 20, (60, 1)))  # of one period and all its multiples
    codes = np.clip(np.concatenate([walks, tones]), -128, 127).astype(np.int64)
    found = find_pitch(torch.from_numpy(mirror.wave[codes + 128]), config.pitch_lags)
    assert [mirror.find_pitch(past) for past in codes] == list(zip(*(part.tolist() for part in found), strict=True))
    features = found.features(config)[:, 1]
    assert log_lags(config.pitch_lags)[found.lag - config.pitch_lags[0]].tolist() == features.tolist()
    assert len(set(found.lag.tolist())) > 20


@pytest.mark.parametrize("isa", SETS)
def test_golden_codes_of_the_shipped_voice(voice, isa):
    requests = voice_requests(voice, GOLDEN_TEXTS)
    digest = hashlib.sha256()
    for one in NativeEngine(voice.config.model, voice._weights, isa=isa).generate(requests):
        assert one.stop_reason == "stop"
        digest.update(one.codes.astype("<i2").tobytes())
    assert digest.hexdigest() == GOLDEN


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("options", [{}, RANKED, {"duration": "explicit"}, PITCH], ids=named)
def test_neighbors_blocks_and_threads_do_not_matter(options, isa):
    model = make_model(**options)
    requests = make_requests_of_all_lengths(model, 23)
    alone = NativeEngine(model.config, arrays(model), threads=1, isa=isa)
    expected = [alone.generate([request])[0] for request in requests]
    assert {one.stop_reason for one in expected} == {"stop", "cap"}
    for threads, block, streams in ((1, 64, 4), (1, 1, 5), (1, 64, 23), (2, 3, 9), (3, 64, 100), (2, 64, 1)):
        engine = NativeEngine(model.config, arrays(model), block_frames=block, threads=threads, isa=isa)
        assert_equal(list(engine.generate_each(requests, streams)), expected)
    assert_equal(engine.generate(requests[::-1])[::-1], expected)


@pytest.mark.parametrize("options", [{}, PITCH], ids=named)
def test_pieces_joined_are_the_whole(options):
    model = make_model(**options)
    engine = NativeEngine(model.config, arrays(model))
    requests = make_requests_of_all_lengths(model, 5)
    for request, whole in zip(requests, engine.generate(requests), strict=True):
        for first in (1, 5, 500):
            stream, pieces = engine.stream(request, first), []
            try:
                while True:
                    pieces.append(next(stream))
            except StopIteration as stop:
                assert_equal([stop.value], [whole])
            assert len(pieces[0]) == min(first, BLOCK_FRAMES, len(whole.codes) // 8) * 8
            np.testing.assert_array_equal(np.concatenate(pieces), whole.codes)
            assert all(piece.dtype == np.int16 for piece in pieces)


def test_an_empty_batch():
    model = make_model()
    assert NativeEngine(model.config, arrays(model)).generate([]) == []


def test_other_threads_run_meanwhile(voice):
    """ctypes lets the interpreter go on: a thread that counts does so while frames are made."""
    engine = NativeEngine(voice.config.model, voice._weights)
    (request,) = voice_requests(voice, [("1 2 3", "lucas", 0)])
    slots = Slots(engine, 1)
    slots.begin(0, dataclasses.replace(request, max_unit_frames=400))
    counts, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counts[0] += 1

    before = []
    real = engine._functions.group_run

    def run(*arguments):
        before.append(counts[0])
        real(*arguments)
        before.append(counts[0])

    engine._functions = type("Functions", (), {**vars(engine._functions), "group_run": staticmethod(run)})
    thread = threading.Thread(target=count)
    thread.start()
    try:
        for _ in range(4):
            slots.run(40)
    finally:
        stop.set()
        thread.join()
    assert any(after > begun for begun, after in zip(before[::2], before[1::2], strict=True))


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 1e6])
def test_hostile_weights_are_refused(poison):
    model = make_model()
    for name in ("rnn.weight_hh_l0", "output.bias", "h0"):
        weights = arrays(model)
        weights[name] = weights[name].copy()
        weights[name].reshape(-1)[-1] = poison
        with pytest.raises(InputError, match=f"weight '{name}' holds"):
            NativeEngine(model.config, weights)


@pytest.mark.parametrize("size", [65504.0, 1e-30, 0.0])
@pytest.mark.parametrize("options", [{}, PITCH], ids=named)
def test_extreme_weights_make_codes(size, options):
    """Sums overflow to the largest numbers or vanish, and what comes out are still codes, the mirror's."""
    model = make_model(sample_layers=3, upsample_rank=5, **options)
    weights = {name: np.sign(array) * np.float32(size) for name, array in arrays(model).items()}
    requests = make_requests_of_all_lengths(model, 3)
    made = NativeEngine(model.config, weights).generate(requests)
    assert all(((one.codes >= 0) & (one.codes < model.config.q_levels)).all() for one in made)
    assert_equal(made, Mirror(model.config, weights).generate(requests))


@pytest.mark.parametrize("option", [{"cell": "gru"}, {"history": "embedding"}, {"n_rnn": 17}, {"sample_layers": 17}])
def test_options_outside_of_the_family_are_refused(option):
    model = make_model(**option)
    (name, value), *_ = option.items()
    with pytest.raises(InputError, match=f"does not support model.{name}: {value}; use the engine torch"):
        NativeEngine(model.config, arrays(model))


def group_new(shape, weights, size=None, count=1):
    size = weights.nbytes if size is None else size
    return library.load(SETS[-1]).group_new(ctypes.byref(shape), weights.ctypes.data, size, count)


@pytest.mark.parametrize(("rows", "features", "width"), [(1, 1, 64), (3, 40, 64), (2, 16, 1792), (40, 9, 128)])
def test_sums_are_added_in_the_order_of_the_features(rows, features, width):
    rng = np.random.default_rng(0)
    start, of_features, weights = (
        rng.standard_normal(s, np.float32) for s in (width, (rows, features), (width, features))
    )
    expected = np.tile(start, (rows, 1))
    for k in range(features):
        expected = expected + of_features[:, k, None] * weights[:, k]
    np.testing.assert_array_equal(layout._sums(start, of_features, weights), expected)


@pytest.mark.parametrize("options", [{}, PITCH], ids=named)
def test_sizes_are_checked_before_pointers_are_trusted(options):
    model = make_model(upsample_rank=5, **options)
    weights = layout.pack(model.config, arrays(model))
    functions = library.load(SETS[-1])
    group = group_new(layout.shape_of(model.config), weights)
    assert group
    for name, _ in layout.Shape._fields_:
        for wrong in (-1, 2**31 - 1, getattr(layout.shape_of(model.config), name) + 64):
            if name == "explicit_durations" and wrong != -1:
                continue
            if name == "pitch_window" and options and wrong == 16 + 64:  # fits: no weight depends on it
                continue
            shape = layout.shape_of(model.config)
            setattr(shape, name, wrong)
            if not (name == "explicit_durations" and wrong == 0):
                assert not group_new(shape, weights), (name, wrong)
    if options:  # taps that a window or a lag is too short for
        for name, wrong in (("pitch_window", 1), ("shortest_lag", 1), ("pitch_taps", 10), ("longest_lag", 4)):
            shape = layout.shape_of(model.config)
            setattr(shape, name, wrong)
            assert not group_new(shape, weights), (name, wrong)
    for size in (0, weights.nbytes - 64, weights.nbytes + 64, 2**63):
        assert not group_new(layout.shape_of(model.config), weights, size)
    for count in (0, -1, 2**31 - 1):
        assert not group_new(layout.shape_of(model.config), weights, count=count)
    assert not group_new(layout.shape_of(model.config), weights[1:], weights.nbytes)  # not aligned
    vectors = np.zeros((2, model.config.word_dim), np.float32)
    warm, cold = np.ones(2, np.float32), np.array([1, 0], np.float32)
    fitting = [0, vectors.ctypes.data, 2, 0, 10, 10, warm.ctypes.data, 1.0]
    assert functions.group_begin(group, *fitting)
    mistakes = [(0, 1), (0, -1), (1, None), (2, 0), (3, 3), (3, -1), (4, 0), (5, 0)]
    for place, wrong in (*mistakes, (6, None), (6, cold.ctypes.data), (7, 1.5)):
        arguments = [*fitting]
        arguments[place] = wrong
        assert not functions.group_begin(group, *arguments), (place, wrong)
    functions.group_free(group)


def test_a_long_text_in_bounded_memory():
    model = make_model(hazard=30.0, frame_size=1, hist_size=2)
    words = np.random.default_rng(0).normal(size=(100_000, model.config.word_dim)).astype(np.float32)
    engine = NativeEngine(model.config, arrays(model))
    stream = engine.stream(SynthesisRequest(words, 0, 0, 10**9, 5))
    next(stream)
    tracemalloc.start()
    samples = sum(len(piece) for piece in stream)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert samples >= 99_000
    assert peak < 20e6  # the ends alone, as Python integers, are 4 MB


def test_the_instruction_set_can_be_forced(monkeypatch):
    model = make_model()
    for isa in SETS:
        monkeypatch.setenv(library.ISA_VARIABLE, isa)
        assert NativeEngine(model.config, arrays(model)).isa == isa
    monkeypatch.setenv(library.ISA_VARIABLE, "v9")
    with pytest.raises(InputError, match=r"TTS_ENGINE_ISA is 'v9'; this machine can run \w+"):
        NativeEngine(model.config, arrays(model))


def test_a_library_of_another_version_is_refused():
    """One that an editable install compiled before the source changed."""
    code = (
        "from tts.generation.native import library; from tts.core.errors import InputError; library.VERSION += 1\n"
        "try: library.usable()\nexcept InputError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ})
    assert f"has version {library.VERSION}, not {library.VERSION + 1}" in done.stdout, done
    assert "scripts/build_engine.py" in done.stdout


def test_a_missing_library_is_one_line(tmp_path):
    code = (
        "from pathlib import Path; from tts.generation.native import library; from tts.core.errors import InputError\n"
        f"library.PATH = Path({str(tmp_path / '_engine.so')!r})\n"
        "try: library.usable()\nexcept InputError as error: print(error)"
    )
    for content, reason in ((None, "is missing"), (b"no library", "cannot be used")):
        if content:
            (tmp_path / "_engine.so").write_bytes(content)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ})
        assert len(done.stdout.splitlines()) == 1, done
        assert reason in done.stdout
        assert "--engine torch" in done.stdout
