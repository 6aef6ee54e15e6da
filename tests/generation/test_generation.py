"""Every engine against the model: same uniforms, same samples, and the logits that they were drawn from."""

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import native_mirror
from helpers.engines import (
    NATIVE,
    SMALL,
    VARIANTS,
    advances,
    arrays,
    assert_drawn_from,
    assert_equal,
    assert_same,
    explicit_durations,
    make_model,
    make_requests,
    named,
    teacher_forced,
    torch_engine,
)

from tts.core.errors import InputError
from tts.core.sampling import Sampling
from tts.generation.family import unsupported
from tts.generation.features import clock_features as clock_features_without_torch
from tts.generation.interface import LEAST_UNIFORM, SynthesisRequest, Uniforms, duration_threshold
from tts.generation.native.engine import NativeEngine
from tts.generation.torch_engine import draw_codes, duration_thresholds
from tts.models.config import TwoTierConfig, weight_shapes
from tts.models.two_tier import TwoTier, clock_features


def test_the_models_are_worth_comparing():
    """Their draws are neither even nor certain, and segments end by themselves as well as at the cap."""
    made, sure = [], []
    for options in VARIANTS[::2]:
        model = make_model(**options)
        requests = make_requests(model)
        made.append(torch_engine(model).generate(requests))
        logits = teacher_forced(model, requests, made[-1]).logits
        entropy = torch.distributions.Categorical(logits=logits).entropy() / np.log(model.config.q_levels)
        sure.append(1 - entropy.mean().item())
    assert min(sure) > 0.02
    assert max(sure) < 0.9
    utterances = list(itertools.chain(*made))
    assert {one.stop_reason for one in utterances} == {"stop", "cap"}
    ends = sum(len(one.unit_ends) for one in utterances)
    forced = sum(one.forced_advances for one in utterances)
    assert 0 < forced < ends / 2


@pytest.mark.parametrize("options", NATIVE, ids=named)
def test_engines_agree(options):
    model = make_model(**options)
    requests = make_requests(model)
    made = torch_engine(model).generate(requests)
    assert_same(model, requests, NativeEngine(model.config, arrays(model)).generate(requests), made)
    for one in made:
        assert one.codes.dtype == np.int16
        assert len(one.codes) % model.config.frame_size == 0
        if one.stop_reason == "stop":
            assert one.unit_ends[-1] == len(one.codes)


def test_engines_agree_at_full_size():
    torch.manual_seed(0)
    model = TwoTier(TwoTierConfig(n_speakers=2, upsample_rank=0, duration="implicit", units_per_word=1))
    request = SynthesisRequest(np.random.default_rng(1).normal(size=(2, 384)).astype(np.float32), 1, 3, 12, 6)
    ours = NativeEngine(model.config, arrays(model)).generate([request])
    assert_same(model, [request], ours, torch_engine(model).generate([request]))


@pytest.mark.parametrize("options", VARIANTS, ids=named)
def test_teacher_forcing_gives_the_same_logits(options, monkeypatch):
    """What the torch engine drew from, sample by sample, is what `forward` says of these samples, in a padded batch."""
    model = make_model(**options)
    requests = make_requests(model)
    seen = []
    monkeypatch.setattr(
        "tts.generation.torch_engine.draw_codes",
        lambda logits, u, temperature: seen.append(logits.numpy().copy()) or draw_codes(logits, u, temperature),
    )
    engines = [torch_engine(model)]
    if options in NATIVE:
        engines.append(NativeEngine(model.config, arrays(model)))
    for engine in engines:
        seen.clear()
        made = engine.generate(requests)
        forced = teacher_forced(model, requests, made)
        for i, (request, one) in enumerate(zip(requests, made, strict=True)):
            logits = forced.logits[i].flatten(0, 1)[: len(one.codes)]
            assert_drawn_from(logits, request, one, model.config.frame_size)
            if seen:
                stepwise = np.stack(seen[: len(one.codes)])[:, i]
                np.testing.assert_allclose(logits.numpy(), stepwise, atol=1e-4, rtol=1e-5)
            assert advances(forced.advance_logits[i], request, one, model.config) == one.unit_ends


@pytest.mark.parametrize(
    ("engine", "n_units", "hazard", "longest"),
    [
        ("native", 1, -2.0, 15),
        ("native", 5, -2.0, 15),
        ("native", 150, -2.0, 15),
        ("native", 30, -5.0, 170),
        ("torch", 5, -2.0, 15),
        ("torch", 70, -2.0, 15),
    ],
)
def test_explicit_durations(engine, n_units, hazard, longest):
    """Drawn from the model's own advance bit, the same for every engine, however long the text."""
    model = make_model(duration="explicit", duration_dim=10, hazard=hazard)
    units = np.random.default_rng(n_units).normal(size=(n_units, 12)).astype(np.float32)
    request = SynthesisRequest(units, 1, 7, 100_000, longest)
    frames = explicit_durations(model, request)
    assert len(set(frames)) > 1 or n_units == 1
    assert n_units < 30 or any(count < 0 for count in frames)
    assert longest < 64 or any(64 < count < longest for count in frames)
    engine = torch_engine(model) if engine == "torch" else NativeEngine(model.config, arrays(model))
    made = engine.generate([request])[0]
    assert made.unit_ends == (np.cumsum(np.abs(frames)) * model.config.frame_size).tolist()
    assert made.forced_advances == sum(count < 0 for count in frames)
    assert made.stop_reason == "stop"
    capped = engine.generate([dataclasses.replace(request, max_frames=abs(frames[0]) + len(frames) - 2)])[0]
    assert capped.stop_reason == "cap"
    assert (capped.codes == made.codes[: len(capped.codes)]).all()


def test_explicit_durations_are_an_input():
    """The logits depend on the frames left of a segment."""
    model = make_model(duration="explicit")
    request = make_requests(model)[1]
    made = NativeEngine(model.config, arrays(model)).generate([request])
    before = teacher_forced(model, [request], made).logits
    later = dataclasses.replace(made[0], unit_ends=[made[0].unit_ends[0] + 12, *made[0].unit_ends[1:]])
    after = teacher_forced(model, [request], [later]).logits
    assert not torch.allclose(before[0, 0], after[0, 0])


@pytest.mark.parametrize("spread", [1.0, 0.3, 0.0])
def test_nothing_depends_on_blocks_or_neighbors(spread):
    model = make_model()
    requests = make_requests(model, sampling=Sampling(0.9, spread))
    whole = NativeEngine(model.config, arrays(model)).generate(requests)
    for block in (1, 7):
        engine = NativeEngine(model.config, arrays(model), block_frames=block)
        for request, one in zip(requests, whole, strict=True):
            again = engine.generate([request])[0]
            np.testing.assert_array_equal(again.codes, one.codes)
            assert again.unit_ends == one.unit_ends
    assert NativeEngine(model.config, arrays(model)).generate([]) == []


def test_uniforms():
    whole = Uniforms(3, 7).rows(50)
    assert whole.shape == (50, 8)
    assert whole.dtype == np.float32
    assert whole.max() < 1
    stream = Uniforms(3, 7)
    np.testing.assert_array_equal(whole, np.concatenate([stream.rows(count) for count in (1, 2, 13, 0, 34)]))
    assert not np.array_equal(whole, Uniforms(4, 7).rows(50))
    assert whole.min() >= LEAST_UNIFORM
    stream._generator = SimpleNamespace(random=lambda shape, dtype: np.zeros(shape, dtype))
    assert (stream.rows(2) == LEAST_UNIFORM).all()
    # Pinned: a seed must give the same samples in every version.
    pinned = [0.034741878509521484, 0.011546730995178223, 0.6119502186775208, 0.24154919385910034]
    assert Uniforms(0, 3).rows(1)[0].tolist() == pinned


def test_functions_of_the_native_engine():
    """Those of its mirror, which makes the same bits."""
    x = np.linspace(-30, 30, 20001).astype(np.float32)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(native_mirror.two_to(x), 2**exact, rtol=2.5e-7)
    np.testing.assert_allclose(native_mirror.sigmoid(x), 1 / (1 + np.exp(-exact)), rtol=4e-6)
    np.testing.assert_allclose(native_mirror.tanh(x), np.tanh(exact), atol=2.5e-7)
    wild = np.array([np.inf, -np.inf, 1e30, -1e30], np.float32)
    assert np.isfinite(native_mirror.two_to(wild)).all()


def draw(logits, uniforms, temperature):
    """One code for each uniform, all of the same (Q,) logits, as the torch engine draws."""
    n = len(uniforms)
    wide = torch.from_numpy(logits).expand(n, -1)
    return draw_codes(wide, torch.from_numpy(uniforms), torch.full((n,), temperature, dtype=torch.float64)).numpy()


def test_drawing_follows_the_distribution():
    logits = np.log(np.array([0.1, 0.0, 0.6, 0.3]) + 1e-30).astype(np.float32)
    u = (np.arange(10_000, dtype=np.float32) + np.float32(0.5)) / np.float32(10_000)
    codes = draw(logits, u, 1.0)
    np.testing.assert_allclose(np.bincount(codes, minlength=4) / len(u), [0.1, 0.0, 0.6, 0.3], atol=1e-3)
    assert (np.diff(codes) >= 0).all()
    assert set(draw(logits, u[::100], 0.05)) == {2}


@pytest.mark.parametrize("q_levels", [10, 64])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_codes_are_drawn_as_often_as_the_softmax_says(q_levels, temperature):
    """On a model whose logits never change; temperature divides them."""
    model = make_model(q_levels=q_levels, hazard=-30.0)
    torch.nn.init.zeros_(model.advance.weight)
    torch.nn.init.zeros_(model.output.weight)
    logits = torch.randn(q_levels, generator=torch.Generator().manual_seed(1)) * 1.5
    model.output.bias.data.copy_(logits)
    frames = 2500
    request = SynthesisRequest(np.ones((1, 12), np.float32), 0, 7, frames, frames, Sampling(temperature))
    codes = NativeEngine(model.config, arrays(model)).generate([request])[0].codes
    expected = torch.softmax(logits.double() / temperature, 0).numpy() * len(codes)
    chi_squared = ((np.bincount(codes, minlength=q_levels) - expected) ** 2 / expected).sum()
    # Its mean is Q - 1, its variance 2 (Q - 1).
    assert chi_squared < q_levels - 1 + 4 * np.sqrt(2 * (q_levels - 1))


def test_the_ends_of_the_draw():
    """The first uniform, the last one, and codes of next to no probability, by both ways to draw."""
    last = np.float32(1 - 2**-24)
    for q_levels in (10, 64, 300):
        logits = np.full(q_levels, -200.0, np.float32)
        logits[[3, 5]] = 0.0
        for uniform, code in ((LEAST_UNIFORM, 3), (0.49, 3), (0.51, 5), (last, 5)):
            drawn = native_mirror.draw(logits, np.float32(uniform), np.float32(1.0))
            assert drawn == draw(logits, np.array([uniform], np.float32), 1.0)[0] == code


@pytest.mark.parametrize("logit", [-3.0, -1.0, 1.0])
def test_the_advance_rule_is_the_hazard(logit):
    """With a constant advance logit, durations are geometric with that logit's probability."""
    model = make_model(conditioning="pointer")
    torch.nn.init.zeros_(model.advance.weight)
    torch.nn.init.constant_(model.advance.bias, logit)
    engine = NativeEngine(model.config, arrays(model))
    units = np.ones((400, 12), np.float32)
    one = engine.generate([SynthesisRequest(units, 0, 1, 100_000, 1000)])[0]
    durations = np.diff([0, *one.unit_ends]) / model.config.frame_size
    p = 1 / (1 + np.exp(-logit))
    assert one.stop_reason == "stop"
    assert one.forced_advances == 0
    for n in range(1, 6):
        expected = (1 - p) ** (n - 1) * p
        assert abs((durations == n).mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / len(durations)) + 1e-9
    # Spread 0 is the median, each time.
    median = engine.generate([SynthesisRequest(units, 0, 1, 100_000, 1000, Sampling(1.0, 0.0))])[0]
    durations = np.diff([0, *median.unit_ends]) / model.config.frame_size
    assert set(durations) == {np.floor(np.log(0.5) / np.log1p(-p)) + 1}


def test_duration_threshold():
    assert duration_threshold(0.0, 1.0) == 0.0
    assert np.isfinite(duration_threshold(1 - 2**-24, 1.0))
    assert duration_threshold(0.99, 0.0) == pytest.approx(np.log(2))
    assert duration_threshold(0.99, 0.5) < duration_threshold(0.99, 1.0)
    uniforms = np.array([LEAST_UNIFORM, 0.3, 0.99, 1 - 2**-24], np.float32)
    for spread in (0.0, 0.3, 1.0):
        batched = duration_thresholds(torch.from_numpy(uniforms), torch.full((4,), spread, dtype=torch.float64))
        assert batched.tolist() == pytest.approx([duration_threshold(u, spread) for u in uniforms], rel=1e-12)


@pytest.mark.parametrize("conditioning", ["pointer", "pooled"])
def test_caps_are_reported(conditioning):
    """A model that never advances: segments are cut at their cap and counted, the whole at its own."""
    model = make_model(hazard=-30.0, conditioning=conditioning)
    torch.nn.init.zeros_(model.advance.weight)
    units = np.ones((3, 12), np.float32)
    for engine in (NativeEngine(model.config, arrays(model)), torch_engine(model)):
        short, long = engine.generate([SynthesisRequest(units, 0, 0, 9, 4), SynthesisRequest(units, 0, 0, 12, 4)])
        assert short.stop_reason == "cap"
        assert len(short.codes) == 9 * 8
        assert len(long.codes) == 12 * 8
        if conditioning == "pointer":
            assert (short.unit_ends, short.forced_advances) == ([32, 64], 2)
            assert (long.unit_ends, long.forced_advances, long.stop_reason) == ([32, 64, 96], 3, "stop")
        else:
            assert (long.unit_ends, long.forced_advances, long.stop_reason) == ([], 0, "cap")


def test_many_units():
    """More than either engine holds at a time."""
    model = make_model(hazard=20.0)
    request = SynthesisRequest(np.ones((200, 12), np.float32), 0, 0, 400, 9)
    for engine in (NativeEngine(model.config, arrays(model)), torch_engine(model)):
        assert engine.generate([request])[0].unit_ends == [8 * (k + 1) for k in range(200)]


@pytest.mark.parametrize("options", [options for options in VARIANTS if options not in NATIVE][::4], ids=named)
def test_what_the_native_engine_does_not_support(options):
    model = make_model(**options)
    reason = unsupported(model.config)
    assert reason.removeprefix("model.").split(":")[0] in options
    with pytest.raises(InputError, match=f"native engine does not support {reason}; use the engine torch"):
        NativeEngine(model.config, arrays(model))


@pytest.mark.parametrize("options", VARIANTS, ids=named)
def test_weight_shapes_are_the_model_s(options):
    model = TwoTier(dataclasses.replace(SMALL, **options))
    assert weight_shapes(model.config) == {name: tuple(t.shape) for name, t in model.state_dict().items()}


def test_clock_features_are_the_model_s():
    for frames, dim in ((320, 16), (20, 4), (5, 0)):
        np.testing.assert_allclose(
            clock_features_without_torch(frames, dim), clock_features(frames, dim).numpy(), atol=1e-6
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("h0"), "weight 'h0' is missing"),
        (lambda w: w.update(extra=np.zeros(1, np.float32)), "no weight 'extra'"),
        (lambda w: w.update(h0=np.zeros((1, 5), np.float32)), "shape"),
        (lambda w: w.update(h0=np.zeros((1, 24), np.int64)), "int64"),
        (lambda w: w.update(h0=np.full((1, 24), np.nan, np.float32)), "NaN or infinite"),
        (lambda w: w.update(h0=np.full((1, 24), np.inf, np.float16)), "NaN or infinite"),
    ],
)
def test_refused_weights(change, message):
    weights = arrays(make_model())
    change(weights)
    with pytest.raises(InputError, match=message):
        NativeEngine(SMALL, weights)


@pytest.mark.parametrize(
    "value", [0, -1, float("nan"), float("inf"), True, "1", 1e-9, 10**400], ids=lambda x: str(x)[:9]
)
def test_refused_temperatures(value):
    with pytest.raises(InputError, match="temperature"):
        Sampling(temperature=value)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), 10**400], ids=lambda x: str(x)[:9])
def test_refused_spreads(value):
    with pytest.raises(InputError, match="duration_spread"):
        Sampling(duration_spread=value)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_refused_seeds(seed):
    with pytest.raises(InputError, match="seed"):
        SynthesisRequest(np.ones((1, 12), np.float32), 0, seed, 1, 1)


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_nuclei_have_a_temperature_of_their_own(engine):
    """The samples of their segments are drawn at it; before the first nucleus nothing changes."""
    model = make_model(duration="explicit", hazard=-1.5)
    units = np.random.default_rng(0).normal(size=(4, 12)).astype(np.float32)
    plain = SynthesisRequest(units, 0, 7, 1000, 9, Sampling(0.8), nuclei=(2,))
    cool = dataclasses.replace(plain, sampling=Sampling(0.8, nucleus_temperature=0.5))
    whole, none = dataclasses.replace(cool, nuclei=range(4)), dataclasses.replace(cool, nuclei=())
    cold = dataclasses.replace(plain, sampling=Sampling(0.4))
    engine = torch_engine(model) if engine == "torch" else NativeEngine(model.config, arrays(model))
    made = engine.generate([plain, cool, none, whole, cold])
    ends = made[0].unit_ends
    assert all(one.unit_ends == ends for one in made)
    assert_equal(made[:1], made[2:3])
    assert_equal(made[3:4], made[4:])
    assert ends[1] > 0
    np.testing.assert_array_equal(made[0].codes[: ends[1]], made[1].codes[: ends[1]])
    assert not np.array_equal(made[0].codes[ends[1] : ends[2]], made[1].codes[ends[1] : ends[2]])
    forced = teacher_forced(model, [cool], made[1:2])
    assert_drawn_from(forced.logits[0], cool, made[1], model.config.frame_size)
    with pytest.raises(AssertionError):
        assert_drawn_from(forced.logits[0], plain, made[1], model.config.frame_size)
