"""Silences after segments, and durations divided by a speed: the same in both engines, whole and in pieces."""

import dataclasses

import numpy as np
import pytest
from helpers.engines import arrays, make_model, torch_engine
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.generation.durations import DurationSampler, at_speed
from tts.generation.interface import SynthesisRequest
from tts.generation.native.engine import NativeEngine

UNITS = 5


def request(model, seed=1, units=UNITS, max_frames=400, max_unit_frames=30, **options):
    vectors = np.random.default_rng(seed).normal(size=(units, model.config.word_dim)).astype(np.float32)
    return SynthesisRequest(vectors, 0, seed, max_frames, max_unit_frames, **options)


@pytest.fixture(scope="module")
def model():
    return make_model(duration="explicit", hazard=-1.5)


@pytest.fixture(scope="module")
def engines(model):
    return NativeEngine(model.config, arrays(model), threads=1), torch_engine(model)


def streamed(engine, one, **options):
    """The pieces of a stream, and the whole."""
    pieces = []
    stream = engine.stream(one, **options)
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            return pieces, end.value


def without(result, silences):
    """The codes without the silences, which are found by the ends, and the ends without them."""
    codes, ends, begin, removed = [], [], 0, 0
    if -1 in silences:
        begin = removed = len(silences[-1])
        assert (result.codes[:begin] == silences[-1]).all()
    for unit, end in enumerate(result.unit_ends):
        silence = silences.get(unit, np.zeros(0, np.int16))
        assert (result.codes[end - len(silence) : end] == silence).all()
        codes.append(result.codes[begin : end - len(silence)])
        removed += len(silence)
        ends.append(end - removed)
        begin = end
    return np.concatenate([*codes, result.codes[begin:]]), ends


@settings(deadline=None, max_examples=4, derandomize=True)
@given(
    st.dictionaries(st.integers(-1, UNITS - 1), st.integers(0, 50), max_size=UNITS + 1),
    st.integers(1, 80),
    st.integers(0, 99),
)
def test_a_silence_stands_exactly_after_its_segment(model, engines, lengths, max_frames, seed):
    silences = {unit: np.full(length, 32, np.int16) for unit, length in lengths.items()}
    for engine in engines:
        plain = request(model, seed, max_frames=max_frames)
        (expected,) = engine.generate([plain])
        paused = dataclasses.replace(plain, silences=silences)
        (made,) = engine.generate([paused])
        codes, ends = without(made, silences)
        assert np.array_equal(codes, expected.codes)
        assert ends == expected.unit_ends
        assert (made.stop_reason, made.forced_advances) == (expected.stop_reason, expected.forced_advances)
        if made.stop_reason == "stop":
            assert made.unit_ends[-1] == len(made.codes)
        pieces, whole = streamed(engine, paused)
        assert all(len(piece) for piece in pieces)
        assert np.array_equal(np.concatenate(pieces), made.codes)
        assert np.array_equal(whole.codes, made.codes)
        assert whole.unit_ends == made.unit_ends


@pytest.mark.parametrize("speed", [0.5, 0.7, 1.0, 1.3, 2.0])
def test_both_engines_say_the_same_at_every_speed(model, engines, speed):
    requests = [request(model, seed, speed=speed, max_frames=2000) for seed in range(4)]
    native, torch = (engine.generate(requests) for engine in engines)
    sampler = DurationSampler(model.config, arrays(model))
    for one, a, b in zip(requests, native, torch, strict=True):
        assert a.unit_ends == b.unit_ends
        assert (a.codes == b.codes).mean() > 0.99  # floating-point ties apart
        assert a.forced_advances == b.forced_advances
        drawn, slow = (sampler.sample(request) for request in (dataclasses.replace(one, speed=1.0), one))
        frames = np.diff([0, *a.unit_ends]) // model.config.frame_size
        assert frames.tolist() == [max(1, round(abs(drawn[unit]) / speed)) for unit in range(UNITS)]
        assert [slow[unit] < 0 for unit in range(UNITS)] == [drawn[unit] < 0 for unit in range(UNITS)]


@given(st.integers(-(10**6), 10**6).filter(bool), st.floats(0.5, 2))
def test_a_duration_at_a_speed(frames, speed):
    scaled = at_speed(frames, speed)
    assert abs(scaled) >= 1
    assert (scaled < 0) == (frames < 0)
    assert abs(abs(scaled) - abs(frames) / speed) <= 0.5 or abs(scaled) == 1
    assert at_speed(frames, 1) == frames
