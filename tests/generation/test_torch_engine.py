"""The torch engine: many utterances at a time, in pieces, and through a stand-in for CUDA graphs."""

import itertools
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.engines import (
    NATIVE,
    arrays,
    assert_equal,
    assert_same,
    make_model,
    make_requests,
    make_requests_of_all_lengths,
    named,
    torch_engine,
)

from tts.core.errors import InputError
from tts.core.sampling import Sampling
from tts.generation import torch_engine as engines
from tts.generation.interface import SynthesisRequest
from tts.generation.native.engine import NativeEngine
from tts.generation.torch_engine import TorchEngine

requires_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

OPTIONS = [
    {},
    {"duration": "explicit", "upsample_rank": 5},
    {"conditioning": "pooled"},
    {"cell": "gru", "n_rnn": 2, "history": "embedding"},
    {"pitch_taps": 3, "pitch_lags": (5, 20), "pitch_window": 16},
]


@pytest.mark.parametrize("options", OPTIONS, ids=named)
def test_neighbors_do_not_matter(options):
    model = make_model(**options)
    requests = make_requests_of_all_lengths(model, 11)
    engine = torch_engine(model)
    alone = [engine.generate([request])[0] for request in requests]
    assert len({len(one.codes) for one in alone}) > 5
    assert "pooled" in options.values() or {one.stop_reason for one in alone} == {"stop", "cap"}
    for streams in (3, 11):
        assert_equal(list(engine.generate_each(requests, streams)), alone)
    assert_equal(engine.generate(requests[::-1])[::-1], alone)


@pytest.mark.parametrize("options", NATIVE[::4], ids=named)
def test_many_agree_with_the_native_engine(options):
    model = make_model(**options)
    requests = make_requests_of_all_lengths(model, 12)
    native = NativeEngine(model.config, arrays(model)).generate(requests)
    assert_same(model, requests, list(torch_engine(model).generate_each(requests, 5)), native)


@pytest.mark.parametrize("duration", ["implicit", "explicit"])
def test_texts_longer_than_the_window(duration, monkeypatch):
    """Beside short ones, and with blocks that end in any frame of a segment."""
    monkeypatch.setattr(engines, "WINDOW", 9)
    monkeypatch.setattr(engines, "BLOCK_FRAMES", 7)
    model = make_model(duration=duration, hazard=-0.5)
    rng = np.random.default_rng(0)
    units = rng.normal(size=(60, 12)).astype(np.float32)
    requests = [
        SynthesisRequest(units[:n], 1, n, 500, 6, Sampling(nucleus_temperature=0.3), nuclei=range(2, n, 4))
        for n in (60, 2, 23, 9)
    ]
    native = NativeEngine(model.config, arrays(model)).generate(requests)
    assert len(native[0].unit_ends) == 60
    assert_same(model, requests, list(torch_engine(model).generate_each(requests, 2)), native)


def test_pieces_joined_are_the_whole():
    model = make_model()
    engine = torch_engine(model)
    for request in make_requests_of_all_lengths(model, 3):
        whole = engine.generate([request])[0]
        for first in (1, 5, 500):
            pieces, stream = [], engine.stream(request, first)
            while True:
                try:
                    pieces.append(next(stream))
                except StopIteration as stop:
                    assert_equal([stop.value], [whole])
                    break
            assert len(pieces[0]) == min(first, engines.BLOCK_FRAMES, len(whole.codes) // 8) * 8
            np.testing.assert_array_equal(np.concatenate(pieces), whole.codes)
            assert all(piece.dtype == np.int16 for piece in pieces)


@pytest.mark.slow
def test_interrupted_and_side_by_side():
    """What was left does not reach what comes after; two iterators do not share places."""
    model = make_model()
    requests = make_requests_of_all_lengths(model, 9)
    engine = torch_engine(model)
    expected = engine.generate(requests)
    left = engine.generate_each(iter(requests), 4)
    next(left)
    assert_equal(list(engine.generate_each(requests, 4)), expected)
    left.close()
    assert_equal(list(engine.generate_each(requests[::-1], 4)), expected[::-1])
    both = list(zip(engine.generate_each(requests, 4), engine.generate_each(requests, 4), strict=True))
    for column in range(2):
        assert_equal([pair[column] for pair in both], expected)


def test_what_is_held_does_not_grow():
    model = make_model(hazard=-30.0)
    taken = itertools.count()

    def requests():
        for seed in itertools.count():
            next(taken)
            yield SynthesisRequest(np.ones((1, 12), np.float32), 0, seed, 3, 9)

    made = torch_engine(model).generate_each(requests(), 2)
    assert [len(next(made).codes) for _ in range(20)] == [24] * 20
    assert next(taken) <= 20 + 4 * 2 + 1
    made.close()


def test_a_cold_temperature_and_spreads_are_each_utterances_own():
    model = make_model()
    units = np.random.default_rng(0).normal(size=(3, 12)).astype(np.float32)
    requests = [
        SynthesisRequest(units, 0, 5, 30, 9, Sampling(t, spread)) for t, spread in ((0.05, 0.0), (1.5, 1.0), (1.5, 0.0))
    ]
    made = torch_engine(model).generate(requests)
    assert_same(model, requests, made, NativeEngine(model.config, arrays(model)).generate(requests))
    assert len({one.codes.tobytes() for one in made}) == 3


def test_a_model_is_copied():
    model = make_model()
    engine = torch_engine(model)
    request = make_requests_of_all_lengths(model, 1)[0]
    before = engine.generate([request])
    for weight in model.parameters():
        weight.data.zero_()
    assert_equal(engine.generate([request]), before)
    assert model.h0.requires_grad


@pytest.mark.parametrize("count", [0, -1])
def test_refused_counts(count):
    with pytest.raises(InputError, match="streams"):
        torch_engine(make_model()).generate_each([], streams=count)


def test_nothing_to_make():
    engine = torch_engine(make_model())
    assert engine.generate([]) == []
    assert list(engine.generate_each(iter([]))) == []


def test_frames_through_graphs(monkeypatch):
    """Stand-ins for CUDA's graphs, which record calls and repeat them: capturing must change nothing, and a graph is
    made once for each size, for all blocks and later calls."""
    captured, capturing = [], []

    class Graph:
        def replay(self):
            frame, state = self.call
            frame(state)

    @contextmanager
    def graph(one):
        capturing.append(one)
        yield
        capturing.pop()

    frame = engines._Batch._frame

    def recorded(self, state):
        if capturing:
            capturing[-1].call = (lambda state: frame(self, state), state)
            captured.append(len(state.counts[0]))
        else:
            frame(self, state)

    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, fake in {
        "Stream": lambda device: stream,
        "current_stream": lambda device: stream,
        "stream": lambda one: nullcontext(),
        "device": lambda device: nullcontext(),
        "CUDAGraph": Graph,
        "graph": graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    for options in OPTIONS[:2]:
        model = make_model(**options)
        requests = make_requests_of_all_lengths(model, 9)
        expected = torch_engine(model).generate(requests)
        with monkeypatch.context() as patch:
            patch.setattr(engines._Batch, "_frame", recorded)
            initialize = engines._Batch.__init__

            def with_graphs(self, *arguments, initialize=initialize):
                initialize(self, *arguments)
                self._uses_graphs = True

            patch.setattr(engines._Batch, "__init__", with_graphs)
            engine = torch_engine(model)
            for _ in range(2):
                assert_equal(list(engine.generate_each(requests, 9)), expected)
        assert len(set(captured)) == len(captured) >= 1
        assert set(captured) <= {1, 2, 4, 8, 9}
        captured.clear()


@requires_cuda
@pytest.mark.requires_cuda
@pytest.mark.parametrize("options", OPTIONS, ids=named)
def test_on_a_gpu(options):
    model = make_model(**options)
    requests = make_requests(model)
    assert_same(model, requests, TorchEngine(model, "cuda").generate(requests), torch_engine(model).generate(requests))
