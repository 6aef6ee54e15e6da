"""Segments, units and words of a result fit together, for every request."""

import functools

import numpy as np
import pytest
from helpers.engines import arrays, make_model, torch_engine
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.core.sampling import Sampling
from tts.generation.interface import SynthesisRequest
from tts.generation.native.engine import NativeEngine
from tts.text.units import per_word, unit_vectors


@functools.cache
def engine_and_frame(name, duration):
    model = make_model(duration=duration, hazard=-1.5)
    engine = torch_engine(model) if name == "torch" else NativeEngine(model.config, arrays(model), threads=1)
    return engine, model.config.frame_size


@st.composite
def texts(draw):
    """Units per word, number of words, and a request for them."""
    per, n_words = draw(st.sampled_from([1, 4])), draw(st.integers(1, 4))
    seed = draw(st.integers(0, 2**64 - 1))
    vectors = np.random.default_rng(seed).normal(size=(n_words, 12)).astype(np.float32)
    request = SynthesisRequest(
        units=unit_vectors(vectors, per),
        speaker=draw(st.integers(0, 2)),
        seed=seed,
        max_frames=draw(st.integers(1, 60)),
        max_unit_frames=draw(st.integers(1, 9)),
        sampling=Sampling(duration_spread=draw(st.floats(0, 1))),
    )
    return per, n_words, request


@pytest.mark.parametrize("duration", ["implicit", "explicit"])
@pytest.mark.parametrize("name", ["native", "torch"])
def test_segments_units_and_words_fit(name, duration):
    engine, frame = engine_and_frame(name, duration)
    reasons = set()

    @settings(deadline=None, max_examples=60 if name == "native" else 15, derandomize=True)
    @given(texts())
    def check(text):
        per, n_words, request = text
        [result] = engine.generate([request])
        samples, ends = len(result.codes), result.unit_ends
        segments = np.diff([0, *ends])
        assert samples % frame == 0 and not (segments % frame).any()
        assert 0 < samples <= request.max_frames * frame
        assert (segments > 0).all() and (segments <= request.max_unit_frames * frame).all()
        assert result.forced_advances <= np.count_nonzero(segments == request.max_unit_frames * frame)
        if result.stop_reason == "stop":
            assert len(ends) == len(request.units) and ends[-1] == samples
        else:
            assert len(ends) < len(request.units) and samples == request.max_frames * frame
            assert samples - (ends[-1] if ends else 0) <= request.max_unit_frames * frame
        # Each word's segment ends where its last unit's does; the first unit of a text in parts is a pause.
        last_units = range(per == 4, len(request.units), per)
        last_units = [first + per - 1 for first in last_units]
        assert len(last_units) == n_words
        assert list(per_word(ends, per, [1] * n_words)) == [ends[unit] for unit in last_units if unit < len(ends)]
        reasons.add(result.stop_reason)

    check()
    assert reasons == {"stop", "cap"}
