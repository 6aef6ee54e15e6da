"""What is rounded, how far off it may be, and that rounding it again changes nothing."""

import numpy as np
import pytest
from helpers.engines import SMALL, arrays, make_model
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tts.generation.rounding import (
    HISTORY_WEIGHT_LIMIT,
    LEAST,
    STATE_LIMIT,
    WEIGHT_LIMIT,
    history_limit,
    integer_rows,
    round_rows,
    round_weights,
    state_integers,
)

PITCH = {"pitch_taps": 3, "pitch_lags": (5, 20), "pitch_window": 16}
TAPS = "pitch_in", "gate"
MATRICES = npst.arrays(
    np.float32, npst.array_shapes(min_dims=2, max_dims=2), elements=st.floats(-65504, 65504, width=32)
)


@given(MATRICES, st.sampled_from([1, 100, WEIGHT_LIMIT, HISTORY_WEIGHT_LIMIT]))
def test_rows_are_scales_times_integers(matrix, limit):
    scales, integers = integer_rows(matrix, limit)
    rounded = round_rows(matrix, limit)
    assert np.abs(integers).max() <= limit
    exact = scales[:, None].astype(np.float64) * integers
    np.testing.assert_array_equal(rounded.astype(np.float64), exact)  # scale x integer is exact in float32
    large = np.abs(matrix).max(axis=1) >= LEAST
    off = np.abs(rounded.astype(np.float64) - matrix)[large]
    assert (off <= 0.5001 * scales[large, None]).all()
    assert not rounded[~large].any()
    np.testing.assert_array_equal(round_rows(rounded, limit), rounded)


@given(st.integers(2, 2**14), st.integers(1, 1000))
def test_sums_of_past_samples_fit(half, lags):
    limit = history_limit(2 * half, lags)
    assert limit == WEIGHT_LIMIT or limit * half * lags < 2**24


@given(npst.arrays(np.float32, (2, 50), elements=st.floats(-3, 3, width=32)))
def test_states(states):
    integers = state_integers(states)
    inside = np.clip(states, -1, 1)
    assert np.abs(integers / np.float32(STATE_LIMIT) - inside).max() <= 0.501 / STATE_LIMIT
    bytes_of = integers + 64
    assert bytes_of.min() >= 0
    # Two products of neighbors fit in int16, so that no instruction that adds them saturates.
    assert 2 * WEIGHT_LIMIT * bytes_of.max() < 2**15


@pytest.mark.parametrize("options", [{}, {"upsample_rank": 5, "n_rnn": 2, "sample_layers": 3}, PITCH])
def test_all_matrices_of_a_model_are_rounded_once(options):
    weights = arrays(make_model(**options))
    config = make_model(**options).config
    rounded = round_weights(config, weights)
    changed = {name for name, array in weights.items() if not np.array_equal(array, rounded[name])}
    assert changed == {
        name
        for name in weights
        if name.startswith(("rnn.weight", "upsample.w", "conditioning", "history_in", "hidden", "output.w", *TAPS))
        and not name.endswith("bias")
    }
    again = round_weights(config, rounded)
    assert all(np.array_equal(rounded[name], again[name]) for name in rounded)
    first = "rnn.weight_ih_l0"
    at = SMALL.frame_size + 2 * SMALL.text_dim
    np.testing.assert_array_equal(rounded[first][:, at:], weights[first][:, at:])
