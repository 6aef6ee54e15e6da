"""What is counted, by hand, and that what is measured and derived hangs together."""

import numpy as np
import pytest
import torch

from tts.bench.roofline import Machine, limits, measure_machine, operations
from tts.generation.interface import SynthesisRequest
from tts.generation.native import library
from tts.generation.native.engine import NativeEngine
from tts.models.config import TwoTierConfig
from tts.models.two_tier import TwoTier

OLD = {"upsample_rank": 0, "duration": "implicit", "units_per_word": 1}
CONFIG = TwoTierConfig(
    q_levels=10, frame_size=4, dim=6, sample_dim=5, sample_layers=3, hist_size=7, word_dim=3, text_dim=2, n_rnn=2, **OLD
)


def test_counts_by_hand():
    parts = operations(CONFIG)
    # Two LSTM layers of 24 gates: 4 samples and 6 units into the first, 6 and 6 units into the second; a quarter each.
    assert parts["frame"].dense == (4 + 6 + 6 + 6) * 24 / 4
    assert parts["frame"].bytes_held == 22 * 24
    assert parts["upsample"].dense == 6 * 5
    assert parts["upsample"].bytes_held == 6 * 4 * 5
    # The samples' histories: 0, 1, 2 and 3 of their own frame, and 7, 6, 5 and 4 before it; each the last code.
    assert parts["past"].dense == 5.5 * 5
    assert parts["recent"].dense == (1.5 + 1) * 5
    assert parts["hidden"].dense == 2 * 25
    assert parts["output"].dense == 50
    assert all(part.effective == part.dense for part in parts.values())
    assert list(parts) == ["frame", "upsample", "past", "recent", "hidden", "output"]


def test_what_is_skipped_and_read():
    parts = operations(CONFIG, (0.6, 0.4, 0.2))
    assert parts["hidden"].effective == pytest.approx((0.6 + 0.4) * 25)
    assert parts["hidden"].bytes_read == pytest.approx(25)
    assert parts["output"].effective == pytest.approx(0.2 * 50)
    assert parts["output"].dense == 50
    assert parts["past"].bytes_read == 5.5 * 5 / 2  # 2 bytes each, used for four places


def test_counts_of_the_options():
    ranked = operations(TwoTierConfig(frame_size=8, dim=16, sample_dim=32, cell="gru", **OLD | {"upsample_rank": 4}))
    assert ranked["frame"].dense == (8 + 16) * 48 / 8
    assert ranked["upsample"].dense == 16 * 4
    assert ranked["conditioning"].dense == 4 * 32
    assert ranked["conditioning"].fourfold
    embedded = operations(TwoTierConfig(history="embedding", hist_size=5, frame_size=8, sample_dim=32, **OLD))
    assert "past" not in embedded
    assert embedded["recent"].dense == 5 * 32
    # A history shorter than the frame: 0, 1, 2, 3, 3, 3, 3, 3 of the own frame.
    short = operations(TwoTierConfig(hist_size=3, frame_size=8, sample_dim=32, **OLD))
    assert short["past"].dense == (3 - 18 / 8) * 32
    assert short["recent"].dense == (18 / 8 + 1) * 32


def test_counts_are_the_model_s_weights():
    """What is held is every weight but the tables of words, speakers and clock, and the biases."""
    for options in (OLD, {**OLD, "upsample_rank": 16}, {**OLD, "cell": "gru"}, {}):
        config = TwoTierConfig(**options)
        sizes = {"conditioning": 2, "past": 2, "recent": 4}
        held = sum(part.bytes_held // sizes.get(name, 1) for name, part in operations(config).items())
        names = (
            "weight_hh",
            "upsample.weight",
            "conditioning",
            "last_code",
            "history_in",
            "hidden.0.weight",
            "output.w",
        )
        weights = TwoTier(config).state_dict()
        counted = sum(w.numel() for name, w in weights.items() if any(part in name for part in names))
        assert held == counted + config.frame_size * weights["rnn.weight_ih_l0"].shape[0]


def test_limits_by_hand():
    machine = Machine(
        {"L1": 50.0, "L2": 40.0, "L3": 20.0, "memory": 10.0}, {"L1": 60.0, "L2": 50.0, "L3": 30.0, "memory": 15.0}
    )
    assert machine.peak == 60
    parts = operations(CONFIG)
    of_samples = sum(part.bytes_held for part in parts.values() if not part.per_frame)
    whole = sum(part.bytes_held for part in parts.values())
    caches = {"L1": 1, "L2": of_samples, "L3": whole}
    alone = limits(parts, machine, caches=caches)
    assert alone.levels == {
        "frame": "L3", "upsample": "L3", "past": "L2", "recent": "L2", "hidden": "L2", "output": "L2"
    }  # fmt: skip
    assert alone.seconds["frame"] == 132 / 20
    assert alone.seconds["past"] == 27.5 / 50
    assert alone.seconds["recent"] == 12.5 / 40
    work = 132 + 30 + 27.5 + 12.5 + 50 + 50
    assert alone.samples_per_second == pytest.approx(1 / (162 / 20 + 27.5 / 50 + 112.5 / 40))
    assert alone.peak_samples_per_second == pytest.approx(60 / work)
    many = limits(parts, machine, streams=4, caches=caches)
    assert many.seconds["upsample"] == 30 / 30
    assert many.seconds["hidden"] == 50 / 40
    tight = limits(parts, machine, caches={"L1": 1, "L2": 2, "L3": whole - 1})
    assert tight.levels["frame"] == "memory"
    assert tight.levels["hidden"] == "L3"
    ample = limits(parts, machine, caches={"L1": 1, "L2": whole, "L3": whole})
    assert set(ample.levels.values()) == {"L2"}


@pytest.mark.parametrize("isa", library.usable())
def test_measuring(isa):
    machine = measure_machine(isa, seconds=0.002, caches={"L1": 16 << 10, "L2": 64 << 10, "L3": 256 << 10})
    assert list(machine.alone) == list(machine.fourfold) == ["L1", "L2", "L3", "memory"]
    for rate in (*machine.alone.values(), *machine.fourfold.values()):
        assert 1e7 < rate < 1e13
    assert machine.peak >= machine.alone["L1"]


def test_relu_shares_are_the_model_s():
    torch.manual_seed(0)
    config = TwoTierConfig(word_dim=3, dim=16, sample_dim=24, frame_size=8, hist_size=9, sample_layers=3, **OLD)
    model = TwoTier(config)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    request = SynthesisRequest(np.ones((1, 3), np.float32), 0, 0, 40, 40)
    engine = NativeEngine(model.config, weights)
    shares = engine.relu_shares(request)
    codes = torch.from_numpy(engine.generate([request])[0].codes.astype(np.int64))[None]
    seen = []
    for layer in (*model.hidden, model.output):
        layer.register_forward_pre_hook(lambda layer, given: seen.append((given[0] > 0).float().mean().item()))
    frames = codes.shape[1] // 8
    with torch.inference_mode():
        model(codes, torch.ones(1, 1, 3), torch.tensor([1]), torch.zeros(1, frames, dtype=torch.int64),
              torch.tensor([0]))  # fmt: skip
    np.testing.assert_allclose(shares, seen, atol=0.02)  # outputs that round to 0 are skipped, too
