"""The CUDA engine's logic on the CPU, in Triton's interpreter.

`test_cuda_engine.py` runs this in a process of its own, because triton has to be imported with a variable set; by hand:
`TRITON_INTERPRET=1 pytest -n 0 tests/interpreted_cuda.py`.
"""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from test_cuda_engine import halved
from test_generation import arrays, assert_same, make_model, make_requests
from test_prediction import resonance

from tts import audio
from tts.generation import cuda_kernels
from tts.generation.cuda import CudaEngine, _Block
from tts.generation.reference import ReferenceEngine
from tts.generation.request import Request, Sampling
from tts.models.config import TwoTierConfig, lpc_window
from tts.models.prediction import coefficients, places
from tts.models.two_tier import TwoTier

# The interpreter takes tens of milliseconds a sample: short frames, few of them.
SHORT = {"frame_size": 3, "hist_size": 5, "hazard": -1.0}
VARIANTS = [
    {},
    {"cell": "gru", "n_rnn": 2, "history": "embedding", "sample_layers": 3, "upsample_rank": 5, "q_levels": 46},
    {"n_rnn": 3, "conditioning": "pooled", "sample_layers": 1, "clock_dim": 0},
    {"cell": "gru", "q_levels": 10, "hist_size": 2, "upsample_rank": 70, "quantization": "linear"},
    {"frame_size": 1, "history": "embedding", "embedding_dim": 15},
    {
        "frame_size": 2,
        "hist_size": 70,
        "dim": 75,
        "sample_dim": 130,
        "q_levels": 300,
        "text_dim": 40,
        "sample_layers": 3,
    },
    {"frame_size": 33, "max_frames": 2, "dim": 70, "sample_layers": 1},
    {"timing": "planned", "plan_dim": 10},
    {"timing": "planned", "plan_dim": 90, "cell": "gru", "n_rnn": 2, "upsample_rank": 5, "history": "embedding"},
    {"lpc_order": 6, "lpc_window": 64, "frame_size": 23},  # the window is used up
    {"lpc_order": 20, "timing": "planned", "upsample_rank": 5, "sample_dim": 70, "q_levels": 256},
    {"lpc_order": 1, "lpc_window": 70, "history": "embedding", "quantization": "linear", "q_levels": 30},
    {"lpc_order": 40, "lpc_window": 65, "history": "embedding", "frame_size": 1, "cell": "gru"},
    {"lpc_order": 16, "lpc_window": 300, "quantization": "linear", "hist_size": 70, "sample_layers": 1},
]
BOTH_TIMINGS = pytest.mark.parametrize("timing", ["heard", "planned"])
KINDS = pytest.mark.parametrize(
    "options",
    [{}, {"timing": "planned"}, {"timing": "planned", "lpc_order": 5, "lpc_window": 64}],
    ids=["heard", "planned", "predicted"],
)


def make_engine(model, **options):
    return CudaEngine(model.config, arrays(model), device="cpu", **{"block_frames": 2, **options})


def few(model, max_frames=4, max_word_frames=2, **options):
    return make_requests(model, max_frames, max_word_frames, **options)


def assert_equal(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.levels, b.levels)
        assert (a.word_ends, a.stop_reason, a.forced_advances) == (b.word_ends, b.stop_reason, b.forced_advances)
        assert a.levels.dtype == np.int16


@pytest.mark.parametrize(
    ("options", "half"), zip(VARIANTS, itertools.cycle([False, True, True])), ids=lambda x: str(x).replace(" ", "")
)
def test_it_agrees_with_the_reference(options, half):
    options = {**SHORT, **options}
    max_frames = options.pop("max_frames", 4)
    model = make_model(**options)
    model = halved(model) if half else model
    engine = make_engine(model)
    assert engine._layout.half == half
    requests = few(model, max_frames)
    assert_same(model, requests, engine.generate(requests), ReferenceEngine(model).generate(requests))


@BOTH_TIMINGS
def test_the_tests_see_all_ways_to_end(timing):
    model = make_model(**SHORT, timing=timing)
    made = ReferenceEngine(model).generate(few(model))
    assert {one.stop_reason for one in made} == {"stop", "cap"}
    assert 0 < sum(one.forced_advances for one in made) < sum(len(one.word_ends) for one in made)


@KINDS
def test_nothing_depends_on_place_neighbours_or_blocks(options):
    """Alone, beside others, in a place that another has just left, in other blocks, as a stream."""
    model = make_model(**{**SHORT, "frame_size": 2}, **options)
    requests = few(model, sampling=Sampling(0.9, 0.5)) + few(model)[1:]
    engine = make_engine(model, block_frames=4)
    whole = engine.generate(requests)
    taken = []

    def source():
        for request in requests:
            taken.append(request)
            yield request

    engine = make_engine(model)
    each = engine.generate_each(source(), streams=2)
    assert taken == []
    first = next(each)
    assert 2 <= len(taken) < len(requests)
    assert_equal([first, *each], whole)
    stream = engine.stream(requests[4])
    pieces = []
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            assert_equal([end.value], [whole[4]])
            break
    assert all(piece.dtype == np.int16 for piece in pieces)
    np.testing.assert_array_equal(np.concatenate(pieces), whole[4].levels)
    assert engine.generate([]) == []


@KINDS
def test_what_was_left_early_leaves_no_trace(options):
    model = make_model(**{**SHORT, "frame_size": 2}, **options)
    engine = make_engine(model)
    request, other = few(model)[1:]
    whole = engine.generate([request])
    left = engine.stream(other)
    next(left)
    assert_equal(engine.generate([request]), whole)  # beside it
    left.close()
    assert_equal(engine.generate([request]), whole)


def test_no_request_is_taken_far_ahead():
    """While the first one goes on, what is done waits; so many and no more are taken."""
    model = make_model(frame_size=1, hist_size=1, hazard=20.0, sample_layers=1)
    taken = itertools.count()
    source = (Request(np.ones((18 if next(taken) == 0 else 1, 12), np.float32), 0, seed, 40, 9) for seed in range(100))
    each = make_engine(model).generate_each(source, streams=2)
    assert len(next(each).word_ends) == 18
    assert next(taken) == 8
    assert next(each).word_ends == [1]


@BOTH_TIMINGS
def test_many_words_in_a_block(timing):
    """One a frame, so that the window on the words is used up; each frame sees its own word and the next."""
    model = make_model(**{**SHORT, "frame_size": 1, "hazard": 20.0}, timing=timing)
    words = np.random.default_rng(0).normal(size=(7, 12)).astype(np.float32)
    request = Request(words, 0, 1, 100, 9)
    made = make_engine(model, block_frames=4).generate([request])
    assert made[0].word_ends == list(range(1, 8))
    assert_same(model, [request], made, ReferenceEngine(model).generate([request]))


def test_planned_words_longer_than_a_block():
    """And than the clocks, some of them cut; more words than a window holds; as a stream in pieces, too."""
    model = make_model(**{**SHORT, "frame_size": 1, "hazard": -2.0}, timing="planned", clock_frames=3, plan_dim=4)
    words = np.random.default_rng(0).normal(size=(9, 12)).astype(np.float32)
    request = Request(words, 0, 5, 100, 7)
    expected = ReferenceEngine(model).generate([request])
    lengths = np.diff(expected[0].word_ends, prepend=0)
    assert (lengths.min(), lengths.max()) == (1, 7)
    assert 0 < expected[0].forced_advances < (lengths == 7).sum()  # a word may end by itself where the cap is, too
    engine = make_engine(model, block_frames=4)
    made = engine.generate([request])
    assert_same(model, [request], made, expected)
    np.testing.assert_array_equal(np.concatenate(list(engine.stream(request))), made[0].levels)
    # The utterance's cap comes within a word, which sees as many frames left as without it.
    cap = made[0].word_ends[3] - 2
    capped = engine.generate([dataclasses.replace(request, max_frames=cap)])[0]
    assert (capped.stop_reason, capped.word_ends) == ("cap", made[0].word_ends[:3])
    np.testing.assert_array_equal(capped.levels, made[0].levels[:cap])


@pytest.mark.parametrize(
    ("conditioning", "timing"), [("pointer", "heard"), ("pointer", "planned"), ("pooled", "heard")]
)
def test_caps_are_reported(conditioning, timing):
    model = make_model(hazard=-30.0, conditioning=conditioning, timing=timing, frame_size=1, hist_size=2)
    torch.nn.init.zeros_(model.advance.weight)
    words = np.ones((3, 12), np.float32)
    no_cap = Request(words, 0, 0, 10**14, 2)
    requests = [Request(words, 0, 0, 5, 2), Request(words, 0, 0, 6, 2), no_cap][: 3 if conditioning == "pointer" else 2]
    short, long, *uncapped = make_engine(model).generate(requests)
    assert (short.stop_reason, len(short.levels)) == ("cap", 5)
    if conditioning == "pointer":
        assert (short.word_ends, short.forced_advances) == ([2, 4], 2)
        assert (long.word_ends, long.forced_advances, long.stop_reason) == ([2, 4, 6], 3, "stop")
        assert uncapped[0].word_ends == [2, 4, 6]
    else:
        assert (long.word_ends, long.forced_advances, long.stop_reason) == ([], 0, "cap")


def test_the_ends_of_the_draw(monkeypatch):
    """The first uniform above 0 and the last one never draw a level of no probability."""
    model = make_model(frame_size=2, hist_size=2)
    torch.nn.init.zeros_(model.output.weight)
    model.output.bias.data.fill_(-200.0)
    model.output.bias.data[[3, 5]] = 0.0
    uniforms = np.tile(np.float32([2**-24, 1 - 2**-24, 0.5]), (4, 1))
    monkeypatch.setattr("tts.generation.request.Uniforms.rows", lambda self, count: uniforms[:count])
    made = make_engine(model).generate([Request(np.ones((1, 12), np.float32), 0, 0, 2, 9)])[0]
    assert made.levels.tolist() == [3, 5, 3, 5]


@pytest.mark.parametrize("quantization", ["mu-law", "linear"])
@pytest.mark.parametrize(("order", "window"), [(20, 288), (1, 64), (63, 64), (16, 300)])
def test_the_predictor_is_the_model_s(order, window, quantization):
    """Of noise, of what can be predicted well, of silence, and nothing in an empty place; in the block's second row."""
    model = make_model(q_levels=256, lpc_order=order, lpc_window=window, quantization=quantization)
    engine = make_engine(model)
    block = _Block(model.config, engine._layout, engine._arrays, engine._device, 16, 2)
    rng = np.random.default_rng(0)
    made = [rng.integers(0, 256, block._levels.shape[1]), np.full(block._levels.shape[1], 128)]
    made += [audio.encode(resonance(block._levels.shape[1], seed)[0], 256, quantization) for seed in range(3)]
    block._levels[: len(made)] = torch.from_numpy(np.stack(made)).to(torch.int16)
    block._counts[cuda_kernels.ALIVE, : len(made)] = 1
    block._predictors[:] = np.nan
    block._predict(1)
    begin = block._before + model.config.frame_size
    past = torch.from_numpy(np.stack([audio.decode(one[begin - window : begin], 256, quantization) for one in made]))
    expected = coefficients(past, order, torch.from_numpy(lpc_window(window))).numpy()
    found = block._predictors.numpy()
    np.testing.assert_allclose(found[: len(made), :order], expected, rtol=1e-5, atol=1e-6)
    assert not found[: len(made), order:].any()
    assert np.isnan(found[len(made) :]).all()
    assert np.abs(expected[2:]).max() > 0.5


@triton.jit
def _say_rows(
    out: tl.tensor, waves: tl.tensor, table: tl.tensor, Q: tl.constexpr, LOG_Q: tl.constexpr, SP: tl.constexpr
) -> None:
    i = tl.arange(0, 16)
    rows = cuda_kernels._between_rows(tl.load(waves + i), table, Q, LOG_Q, SP)
    tl.store(out + i[:, None] * SP + tl.arange(0, SP)[None, :], rows)


@pytest.mark.parametrize(("q_levels", "quantization"), [(256, "mu-law"), (1024, "mu-law"), (30, "linear")])
def test_what_lies_between_two_rows(q_levels, quantization):
    """Also beyond the levels, at them and next to silence."""
    waves = [-9.0, -1.0, -0.5, -1e-3, -1e-5, -0.0, 1e-7, 1e-4, 0.02, 0.3, 0.7, 0.99, 1.0, 1.001, 9.0]
    waves = torch.tensor([*waves, audio.decode_table(q_levels, quantization)[q_levels // 4]])
    table = torch.randn(q_levels, 64, generator=torch.Generator().manual_seed(0))
    out = torch.zeros(16, 64)
    _say_rows[(1,)](out, waves, table, Q=q_levels, LOG_Q=np.log(q_levels) if quantization == "mu-law" else 0.0, SP=64)
    place = places(waves, q_levels, quantization)
    below = place.long()
    expected = torch.lerp(table[below], table[below + 1], (place - below)[:, None])
    np.testing.assert_allclose(out.numpy(), expected.numpy(), atol=1e-3 if q_levels == 1024 else 2e-4)


def test_the_default_widths():
    """With weights and options as the shipped voice has them; but for the frame, which is shorter."""
    torch.manual_seed(0)
    model = halved(TwoTier(TwoTierConfig(n_speakers=2, frame_size=2, lpc_order=20, timing="planned")))
    request = Request(np.random.default_rng(1).normal(size=(1, 384)).astype(np.float32), 1, 3, 2, 6)
    engine = make_engine(model)
    assert engine._layout.half
    assert_same(model, [request], engine.generate([request]), ReferenceEngine(model).generate([request]))
