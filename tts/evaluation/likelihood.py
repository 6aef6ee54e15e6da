"""How well a voice predicts real speech: teacher forcing on recorded sequences.

Letters: T samples, N frames, F = frame_size.
"""

import numpy as np
import torch
from torch.nn import functional

from data_recipes.sequences import Sequence
from tts.evaluation.utterance import Likelihood
from tts.models.two_tier import TwoTier
from tts.training.batches import Collate
from tts.voice import Voice

EARLY_SECONDS = 0.05


class LikelihoodScorer:
    """Scores real sequences with a voice's model, one at a time, so that no result depends on a batch."""

    def __init__(self, voice: Voice) -> None:
        self.model: TwoTier = voice.model()
        self.collate = Collate(
            voice.config.model, voice.config.speakers, lambda texts: [voice.word_vectors(text) for text in texts]
        )
        self.sample_rate = voice.sample_rate

    @torch.inference_mode()
    def __call__(self, sequence: Sequence) -> Likelihood:
        """Of a sequence by one of the voice's speakers, at its sample rate; segments are the model's units."""
        assert sequence.sample_rate == self.sample_rate, (sequence.sample_rate, self.sample_rate)
        F = self.model.config.frame_size
        batch = self.collate([sequence], np.random.default_rng(0))  # only draws loss frames, and all are counted here
        output = self.model(batch.codes, batch.units, batch.n_units, batch.pointer, batch.speaker)
        samples = len(sequence.audio)
        nats = self.model.nll(output.samples, batch.codes.unflatten(1, (-1, F))).flatten()[:samples].sum()
        advance = functional.binary_cross_entropy_with_logits(output.advance_logits, batch.advance, reduction="sum")
        hazard = functional.softplus(output.advance_logits[0])
        ends = batch.advance[0].nonzero().flatten().tolist()
        early = lead = late = 0.0
        begin = 0
        for end in ends:
            remaining = (end - torch.arange(begin, end + 1)) * F / self.sample_rate  # seconds to the segment's end
            survival = torch.exp(-hazard[begin : end + 1].cumsum(0))
            leaves = -torch.diff(survival, prepend=torch.ones(1))  # probability that the segment ends after each frame
            early += float(leaves[remaining > EARLY_SECONDS].sum())
            lead += float((leaves * remaining).sum())
            late += float(survival[-1])
            begin = end + 1
        return Likelihood(float(nats), samples, float(advance), len(ends), early, lead, late)
