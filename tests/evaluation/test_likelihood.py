"""The likelihood of real sequences, checked by hand."""

import math
from dataclasses import replace

import pytest
import torch
from helpers.untrained_voice import MODEL, VECTORS

from tts.evaluation.likelihood import LikelihoodScorer
from tts.models.two_tier import TwoTier
from tts.text.encoder import TextEncoderConfig
from tts.voice import Voice


def test_likelihood_by_hand(material):
    model = TwoTier(replace(MODEL, prediction="none"))  # a softmax, whose zeros are a uniform distribution
    with torch.no_grad():
        for layer in (model.output, model.advance):
            layer.weight.zero_()
            layer.bias.zero_()
        model.advance.bias.fill_(-4.0)
    flat = Voice.from_model(
        model, speakers=("theo", "nobody"), sample_rate=8000, text_encoder=TextEncoderConfig(), word_vectors=VECTORS
    )
    sequence = next(item for item in material.splits["test_seen"] if len(item.digits) == 2)
    likelihood = LikelihoodScorer(flat)(sequence)
    assert likelihood.samples == len(sequence.audio)
    # Every code alike: log2(256) bits.
    assert likelihood.sample_nats / likelihood.samples == pytest.approx(8 * math.log(2), rel=1e-5)
    go, stay = math.log1p(math.exp(4.0)), math.log1p(math.exp(-4.0))
    frames = math.ceil(len(sequence.audio) / 32)
    assert likelihood.segments == 2
    assert likelihood.advance_nats == pytest.approx(2 * go + (frames - 2) * stay, rel=1e-4)
    first = round(sequence.boundaries[0] / 32)
    # Frames that end more than 50 ms, 12.5 frames, before the segment does.
    early = sum(1 - math.exp(-stay * max(0, segment - 13)) for segment in (first, frames - first))
    assert likelihood.early == pytest.approx(early, rel=1e-4)
    segments = (first, frames - first)
    leave = 1 - math.exp(-stay)
    lead = sum(math.exp(-stay * k) * leave * (n - 1 - k) * 32 / 8000 for n in segments for k in range(n))
    assert likelihood.lead_seconds == pytest.approx(lead, rel=1e-3)
    assert likelihood.late == pytest.approx(sum(math.exp(-stay * n) for n in segments), rel=1e-4)
