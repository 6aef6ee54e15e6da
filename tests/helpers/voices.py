"""A small voice, made in memory."""

import dataclasses

import numpy as np
import torch

from tts.models.config import TwoTierConfig
from tts.models.two_tier import TwoTier
from tts.text.encoder import TextEncoderConfig
from tts.text.normalize import SPOKEN
from tts.voice import Voice

SMALL = TwoTierConfig(
    frame_size=16,
    dim=16,
    sample_dim=16,
    hist_size=16,
    word_dim=8,
    text_dim=4,
    n_speakers=2,
    upsample_rank=0,
    duration="implicit",
    units_per_word=1,
)
VECTORS = {word: np.random.default_rng(digit).normal(size=8).astype("f") for word, digit in SPOKEN.items()}


def make_voice(context="word", conditioning="pointer", config=SMALL, **options):
    torch.manual_seed(0)
    model = TwoTier(dataclasses.replace(config, conditioning=conditioning))
    torch.nn.init.constant_(model.advance.bias, -2.0)
    settings = {
        "speakers": ["ann", "bob"],
        "sample_rate": 8000,
        "text_encoder": TextEncoderConfig(context=context),
        "word_vectors": VECTORS,
        "name": "small",
        "max_unit_seconds": 0.2,
        "license": "CC0",
        "training": {"data": "none", "minutes": 0},
        **options,
    }
    return Voice.from_model(model, **settings)
