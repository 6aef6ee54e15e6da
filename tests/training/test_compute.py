from dataclasses import replace

from tts.models.config import TwoTierConfig
from tts.training.compute import multiply_adds
from tts.training.config import LossConfig


def test_multiply_adds_by_hand():
    model = TwoTierConfig(
        frame_size=2,
        dim=3,
        sample_dim=5,
        hist_size=7,
        q_levels=4,
        text_dim=1,
        speaker_dim=1,
        clock_dim=2,
        upsample_rank=0,
        duration="implicit",
        units_per_word=1,
    )
    loss = LossConfig(frame_share=0.5, spectral_weight=0.0)
    # Frame tier: 4 gates of 3, inputs 2 + 2 x 1 + 1 + 2 = 7 and state 3, and the advance bit; a frame is two samples.
    frame = 12 * (7 + 3) + 3
    # Sample tier: up from 3 to 5, seven samples of history, one layer of 5 x 5, four codes; half of the samples.
    sample = 3 * 5 + 7 * 5 + 5 * 5 + 5 * 4
    assert multiply_adds(model, loss) == frame / 2 + sample / 2
    ranked = replace(model, upsample_rank=2)
    assert multiply_adds(ranked, loss) - multiply_adds(model, loss) == (3 * 2 + 2 * 5 - 3 * 5) / 2
