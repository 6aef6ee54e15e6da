"""The first losses of a training, to the digit: a change of model, batches, loss or optimizer shows here."""

from dataclasses import replace

import pytest
from helpers.training import MODEL, data, metrics, run_config

from tts.models.config import TwoTierConfig
from tts.training.config import RunConfig
from tts.training.loop import train

RECIPE = replace(MODEL, duration="explicit", units_per_word=4, upsample_rank=6)
PLAIN = replace(MODEL, prediction="none", n_rnn=2, cell="gru", history="embedding")

GOLDEN: dict[str, tuple[TwoTierConfig, dict[str, list[float]]]] = {
    "recipe": (
        RECIPE,
        {
            "train/nll_bits": [4.9001997, 5.5434116, 6.8609882],
            "train/advance_loss": [0.68748904, 0.72385737, 0.74887326],
            "train/spectral_loss": [1.5357877, 1.5619275, 1.5338263],
            "train/gradient_norm": [9.2540331, 20.82802, 25.130873],
            "validation/nll_bits": [3.4680134],
        },
    ),
    "plain": (
        PLAIN,
        {
            "train/nll_bits": [8.0159608, 8.0125776, 8.023881],
            "train/advance_loss": [0.17597219, 0.1617274, 0.17114402],
            "train/spectral_loss": [1.6707409, 1.6406623, 1.6398654],
            "train/gradient_norm": [1.1841708, 1.3555741, 1.2696308],
            "validation/nll_bits": [7.9951365],
        },
    ),
}
"""By model: what `metrics.jsonl` has of the first three steps. They change only with a reason, given in the commit."""


def config_of(folder, model: TwoTierConfig) -> RunConfig:
    drawn = {"word_noise": 0.5, "pause_corruption": 0.5} if model.units_per_word > 1 else {}
    return run_config(folder, model, steps=3, validate_every=3, lr=1e-3, frame_dropout=0.25, **drawn)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_first_losses(tmp_path, name):
    model, expected = GOLDEN[name]
    train(config_of(tmp_path, model), data(model=model))
    for key, values in expected.items():
        assert list(metrics(tmp_path, key).values()) == pytest.approx(values, rel=1e-5), key
