"""Many utterances at a time: the same samples, in order, in bounded memory, no thread left over."""

import itertools
import threading
import tracemalloc

import numpy as np
import pytest
from helpers.engines import (
    NATIVE,
    arrays,
    assert_equal,
    make_model,
    make_requests_of_all_lengths,
    named,
)

from tts.core.errors import InputError
from tts.generation.interface import SynthesisRequest
from tts.generation.native.engine import SHARED_BLOCK_FRAMES, NativeEngine


@pytest.mark.parametrize("options", NATIVE[::2], ids=named)
def test_many_agree_with_one_in_every_variant(options):
    model = make_model(**options)
    requests = make_requests_of_all_lengths(model, 7, max_frames=20)
    engine = NativeEngine(model.config, arrays(model), threads=2)
    assert_equal(engine.generate(requests), [engine.generate([request])[0] for request in requests])


def test_requests_are_pulled_lazily_and_given_in_order():
    model = make_model(hazard=-30.0)
    units = np.ones((1, 12), np.float32)
    engine = NativeEngine(model.config, arrays(model), threads=2)
    pulled = itertools.count()
    lengths = [400, *[3] * 10_000]  # the first takes long; the others must not pile up behind it

    def requests():
        for frames in lengths:
            next(pulled)
            yield SynthesisRequest(units, 0, frames, frames, frames)

    streams = 4
    made = engine.generate_each(requests(), streams)
    assert next(pulled) == 0  # nothing is asked for before the first is wanted
    for k in range(50):
        assert len(next(made).codes) == lengths[k] * 8
        assert next(pulled) - 2 - k <= k + 4 * streams + 1
    made.close()


def test_no_thread_is_left():
    model = make_model()
    engine = NativeEngine(model.config, arrays(model), threads=3)
    before = threading.active_count()
    made = engine.generate_each(iter(make_requests_of_all_lengths(model, 50)))
    next(made)
    assert threading.active_count() > before
    made.close()
    assert threading.active_count() == before
    engine.generate(make_requests_of_all_lengths(model, 20))
    assert threading.active_count() == before
    engine.generate(make_requests_of_all_lengths(model, 1))
    assert threading.active_count() == before


def test_a_request_that_fails_comes_after_what_was_before_it():
    model = make_model()
    requests = make_requests_of_all_lengths(model, 6)

    def failing():
        yield from requests
        raise InputError("line 7 is empty; write a word")

    engine = NativeEngine(model.config, arrays(model), threads=2)
    made = []
    with pytest.raises(InputError, match="line 7"):
        made.extend(engine.generate_each(failing(), 4))
    assert_equal(made, engine.generate(requests))
    assert threading.active_count() >= 1


def test_nothing_to_make():
    model = make_model()
    engine = NativeEngine(model.config, arrays(model))
    assert engine.generate([]) == []
    assert list(engine.generate_each(iter([]))) == []


@pytest.mark.parametrize("count", [0, -1])
def test_refused_counts(count):
    model = make_model()
    with pytest.raises(InputError, match="threads"):
        NativeEngine(model.config, arrays(model), threads=count)
    with pytest.raises(InputError, match="streams"):
        NativeEngine(model.config, arrays(model)).generate_each([], streams=count)


def test_places_are_given_up_at_once():
    """Ten thousand short utterances take a place after the other: no more calls than they need."""
    model = make_model(hazard=-30.0)
    units = np.ones((1, 12), np.float32)
    engine = NativeEngine(model.config, arrays(model), threads=1)
    many = [SynthesisRequest(units, 0, seed, SHARED_BLOCK_FRAMES, 999) for seed in range(40)]
    long = SynthesisRequest(units, 0, 1, SHARED_BLOCK_FRAMES * 10, 999)
    made = list(engine.generate_each([long, *many], 5))
    assert [len(one.codes) for one in made] == [8 * SHARED_BLOCK_FRAMES * 10, *[8 * SHARED_BLOCK_FRAMES] * 40]


def test_a_long_text_makes_no_large_table():
    """100,000 units: their gates alone would be 40 MB here, 700 MB at full size."""
    model = make_model(hazard=20.0)
    rng = np.random.default_rng(0)
    units = rng.normal(size=(100_000, 12)).astype(np.float32)
    engine = NativeEngine(model.config, arrays(model))
    engine.generate([SynthesisRequest(units[:1], 0, 0, 1, 1)])
    tracemalloc.start()
    made = engine.generate([SynthesisRequest(units, 0, 0, 200_000, 9)])[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made.unit_ends == [8 * (k + 1) for k in range(100_000)]
    assert peak < 20e6  # the codes and the units' ends are 6 MB of it


def test_a_table_of_units_is_the_same_wherever_a_piece_ends():
    model = make_model(hazard=1.0)
    units = np.random.default_rng(0).normal(size=(700, 12)).astype(np.float32)
    request = SynthesisRequest(units, 1, 3, 3000, 9)
    whole = NativeEngine(model.config, arrays(model)).generate([request])
    assert whole[0].stop_reason == "stop"
    for block in (256, 17):
        assert_equal(NativeEngine(model.config, arrays(model), block_frames=block).generate([request]), whole)
