"""The teacher-forced model: alignment, causality, padding, conditioning."""

import itertools

import pytest
import torch

from tts.core.errors import InputError
from tts.models.config import TwoTierConfig
from tts.models.two_tier import TwoTier, clock_features, frames_since

SMALL = {
    "frame_size": 8, "dim": 24, "sample_dim": 16, "hist_size": 11, "word_dim": 12, "text_dim": 6, "n_speakers": 3,
    "upsample_rank": 0, "duration": "implicit", "units_per_word": 1, "lpc_order": 4,
    "lpc_window": 24, "pitch_window": 16, "pitch_lags": (5, 20), "pitch_taps": 1, "residual_taps": 3,
}  # fmt: skip
CLOSE = {"atol": 2e-4, "rtol": 1e-5}
"""Log probabilities of codes far from what was predicted are large."""
VARIANTS = [
    {"cell": cell, "history": history, "conditioning": conditioning}
    for cell, history, conditioning in itertools.product(("lstm", "gru"), ("real", "embedding"), ("pointer", "pooled"))
] + [
    {"n_rnn": 2},
    {"sample_layers": 1},
    {"sample_layers": 3},
    {"clock_dim": 0},
    {"upsample_rank": 6},
    {"duration": "explicit"},
    {"duration": "explicit", "upsample_rank": 6, "cell": "gru", "n_rnn": 2},
    {"q_levels": 64, "quantization": "linear"},
    {"prediction": "none"},
    {"prediction": "none", "history": "embedding", "cell": "gru"},
]


def model_of(**options):
    torch.manual_seed(0)
    return TwoTier(TwoTierConfig(**{**SMALL, **options})).eval()


def inputs(model, seed=0, B=2, N=6):
    g = torch.Generator().manual_seed(seed)
    c = model.config
    return {
        "codes": torch.randint(0, c.q_levels, (B, N * c.frame_size), generator=g),
        "units": torch.randn(B, 3, c.word_dim, generator=g),
        "n_units": torch.tensor([3, 2])[:B],
        "pointer": torch.tensor([[0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 1]])[:B],
        "speaker": torch.tensor([2, 0])[:B],
    }


def predicted(model, **x):
    """(B, N, F, Q): log probabilities."""
    return model.log_probs(model(**x).samples)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_shapes_and_gradients(options):
    model = model_of(**options)
    x = inputs(model)
    out = model(**x)
    c = model.config
    log_probs = model.log_probs(out.samples)
    assert log_probs.shape == (2, 6, 8, c.q_levels)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(2, 6, 8), atol=1e-4, rtol=0)
    assert out.advance_logits.shape == (2, 6)
    assert out.states.shape == (2, 6, c.dim)
    (model.nll(out.samples, x["codes"].view(2, 6, 8)).sum() + out.advance_logits.sum()).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_causality(options):
    """A changed sample t reaches no logit up to t, and some logit after it."""
    model = model_of(**options)
    x = inputs(model)
    before = model(**x)
    for t in (0, 7, 8, 19, 46):
        codes = x["codes"].clone()
        codes[:, t] = (codes[:, t] + 31) % model.config.q_levels
        after = model(**{**x, "codes": codes})
        old, new = (model.log_probs(one.samples).flatten(1, 2) for one in (before, after))
        assert torch.equal(old[:, : t + 1], new[:, : t + 1])
        assert not torch.equal(old[:, t + 1], new[:, t + 1])
        # The advance bit of frame n depends on frames before n alone.
        n = t // 8
        assert torch.equal(before.advance_logits[:, : n + 1], after.advance_logits[:, : n + 1])


def test_loss_frames_are_those_frames():
    model = model_of()
    x = inputs(model)
    whole = predicted(model, **x).flatten(0, 1)
    loss_frames = torch.tensor([0, 5, 6, 11])
    torch.testing.assert_close(predicted(model, **x, loss_frames=loss_frames), whole[loss_frames], **CLOSE)


def test_padding_changes_nothing():
    model = model_of()
    x = inputs(model)
    both = model(**x)
    alone = {k: v[1:2] for k, v in x.items()}
    alone["codes"], alone["pointer"] = alone["codes"][:, :32], alone["pointer"][:, :4]
    alone["units"] = alone["units"][:, :2]
    out = model(**alone)
    padded_alone, together = model.log_probs(out.samples), model.log_probs(both.samples)
    torch.testing.assert_close(padded_alone[0], together[1, :4], **CLOSE)
    torch.testing.assert_close(out.advance_logits[0], both.advance_logits[1, :4])


def test_a_frame_depends_on_this_unit_and_the_next_alone():
    model = model_of()
    x = inputs(model)
    before = model(**x).advance_logits
    units = x["units"].clone()
    units[0, 2] *= -1  # the third unit: next from frame 2 on
    after = model(**{**x, "units": units}).advance_logits
    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.equal(before[0, 2], after[0, 2])
    units = x["units"].clone()
    units[1, 2] *= -1  # beyond the two units of the second text
    torch.testing.assert_close(predicted(model, **{**x, "units": units}), predicted(model, **x), **CLOSE)


def test_pooled_ignores_order():
    model = model_of(conditioning="pooled")
    x = inputs(model)
    units = x["units"].clone()
    units[0] = units[0, [2, 0, 1]]
    torch.testing.assert_close(predicted(model, **{**x, "units": units}), predicted(model, **x), **CLOSE)


def test_pooled_and_pointer_are_one_function_of_one_unit():
    """So one training of single digits stands for both in the comparison."""
    pooled, pointer = model_of(conditioning="pooled"), model_of(conditioning="pointer")
    pointer.load_state_dict(pooled.state_dict())
    x = inputs(pooled)
    x |= {"units": x["units"][:, :1], "n_units": torch.ones(2, dtype=torch.int64), "pointer": 0 * x["pointer"]}
    assert torch.equal(predicted(pooled, **x), predicted(pointer, **x))


def test_speaker_matters():
    model = model_of()
    x = inputs(model)
    other = model(**{**x, "speaker": torch.tensor([1, 0])})
    assert not torch.equal(model.log_probs(other.samples)[0], predicted(model, **x)[0])
    assert torch.equal(model.log_probs(other.samples)[1], predicted(model, **x)[1])


def test_dropped_frames():
    model = model_of()
    x = inputs(model)
    keep = torch.ones(2, 6, dtype=torch.bool)
    torch.testing.assert_close(predicted(model, **x, keep_frame=keep), predicted(model, **x), **CLOSE)
    keep[:, 3] = False
    out = model(**x, keep_frame=keep)
    assert torch.equal(out.states[:, :3], model(**x).states[:, :3])
    assert not torch.equal(out.states[:, 3], model(**x).states[:, 3])


def test_frames_since():
    pointer = torch.tensor([[0, 0, 0, 1, 2, 2]])
    assert frames_since(pointer).tolist() == [[0, 1, 2, 0, 0, 1]]


def test_clock_features():
    features = clock_features(320, 16)
    assert features.shape == (320, 16)
    assert features.abs().max() <= 1
    assert len({tuple(row) for row in features.tolist()}) == 320  # every frame count looks different
    assert clock_features(320, 0).shape == (320, 0)


@pytest.mark.parametrize(
    "wrong", [{"dim": 0}, {"upsample_rank": -1}, {"clock_dim": 3}, {"q_levels": 255}, {"frame_size": -1}]
)
def test_refused_shapes(wrong):
    with pytest.raises(InputError, match=f"model.{next(iter(wrong))} is"):
        TwoTierConfig(**wrong)


@pytest.mark.parametrize(
    ("options", "fixes"),
    [
        ({"conditioning": "pooled"}, {"units_per_word": 1, "duration": "implicit"}),
        ({"conditioning": "pooled", "units_per_word": 1}, {"duration": "implicit"}),
        ({"clock_dim": 0}, {"duration": "implicit"}),
    ],
    ids=str,
)
def test_options_that_do_not_go_together_name_what_settles_it(options, fixes):
    with pytest.raises(InputError) as error:
        TwoTierConfig(**options)
    for key, value in fixes.items():
        assert f"model.{key}: {value}" in str(error.value)
    TwoTierConfig(**{**options, **fixes})
