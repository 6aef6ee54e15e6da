"""A voice that was never trained, of two speakers, for tests of what is done with voices."""

from dataclasses import replace

import numpy as np
import torch

from tts.models.config import TwoTierConfig
from tts.models.two_tier import TwoTier
from tts.text.encoder import TextEncoderConfig
from tts.voice import Voice

MODEL = TwoTierConfig(dim=24, sample_dim=16, hist_size=8, word_dim=20, text_dim=6, n_speakers=2, clock_frames=64)
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
VECTORS = dict(zip([*map(str, range(10)), *NAMES], np.eye(20, dtype=np.float32), strict=True))


def voice(seed=0, speakers=("theo", "nobody"), conditioning="pointer", sample_rate=8000):
    torch.manual_seed(seed)
    return Voice.from_model(
        TwoTier(replace(MODEL, conditioning=conditioning)),
        speakers=speakers,
        sample_rate=sample_rate,
        text_encoder=TextEncoderConfig(),
        word_vectors=VECTORS,
        max_unit_seconds=0.15,
        name=f"untrained-{seed}",
    )
