"""A run whose loss, gradient or weights are not finite ends at that step, and leaves the checkpoints as they are."""

import math

import numpy as np
import pytest
import soundfile
import torch
from helpers.train_command import SMALL, tts_train
from helpers.training import data, run_config

from tts.core.errors import InputError
from tts.models.two_tier import TwoTier
from tts.training import checkpoint
from tts.training.loop import Callbacks, train
from tts.training.losses import Objective


@pytest.fixture
def spoil(monkeypatch):
    """Spoil the loss of training step `step`, or its gradient alone, or the loss of the first validation."""

    def spoiled(what: str, step: int = 3) -> None:
        whole, done = Objective.forward, []

        def forward(self, batch):
            sums = whole(self, batch)
            if what == "validation":
                return sums if self.training else sums._replace(advance=sums.advance * math.nan)
            if not self.training:
                return sums
            done.append(1)
            if len(done) != step:
                return sums
            if what == "loss":
                return sums._replace(nll=sums.nll * math.inf)
            first = next(self.parameters())
            handle = first.register_hook(lambda gradient: handle.remove() or gradient * math.nan)
            return sums

        monkeypatch.setattr(Objective, "forward", forward)

    return spoiled


@pytest.mark.parametrize("clip", [0.0, 1.0])
@pytest.mark.parametrize(("what", "message"), [("loss", r"the loss \(nll\)"), ("gradient", "the gradient")])
def test_the_run_stops_at_that_step(what, message, clip, spoil, tmp_path):
    spoil(what)
    config = run_config(tmp_path, checkpoint_every=1, validate_every=100, clip=clip)
    with pytest.raises(InputError, match=f"^{message} is not finite at step 3") as error:
        train(config, data())
    for setting in ("train.lr (0.003)", f"train.clip ({clip})", "train.precision=fp32", "checkpoints"):
        assert setting in str(error.value)
    assert "\n" not in str(error.value)
    (latest,) = (tmp_path / "checkpoints").iterdir()
    found = checkpoint.load(latest)
    assert found.state.step == 2
    assert all(tensor.isfinite().all() for tensor in found.tensors.values())


def test_a_validation_that_is_not_finite_is_not_the_best(spoil, tmp_path):
    spoil("validation")
    called = []
    with pytest.raises(InputError, match=r"the loss \(advance\) is not finite at step 4"):
        train(run_config(tmp_path, checkpoint_every=2), data(), Callbacks([lambda snapshot: called.append(1) or {}]))
    assert not called
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["latest.safetensors"]
    assert checkpoint.load(tmp_path / "checkpoints" / "latest.safetensors").state.step == 2


def test_without_clipping_the_gradient_is_left_as_it_is(tmp_path):
    """Its norm is measured all the same, and a limit that no gradient reaches gives the same weights."""
    weights = []
    for clip in (0.0, 1e6):
        config = run_config(tmp_path / str(clip), steps=3, clip=clip)
        train(config, data())
        weights.append(checkpoint.load(config.output / "checkpoints" / "latest.safetensors").tensors)
        norms = [line for line in (config.output / "metrics.jsonl").read_text().splitlines() if "gradient_norm" in line]
        assert norms and not any("NaN" in line for line in norms)
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_checkpoint_is_written_of_such_weights(value, tmp_path):
    config = run_config(tmp_path)
    objective = Objective(TwoTier(config.model), config.loss, 8000)
    optimizer = torch.optim.AdamW(objective.parameters())
    path = tmp_path / "latest.safetensors"
    checkpoint.save(path, objective, None, optimizer, {}, checkpoint.LoopState(step=1))
    before = path.read_bytes()
    with torch.no_grad():
        objective.model.output.bias[3] = value
    with pytest.raises(InputError, match=r"objective\.model\.output\.bias is not finite after step 2"):
        checkpoint.save(path, objective, None, optimizer, {}, checkpoint.LoopState(step=2))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_command_ends_in_one_line(spoil, tmp_path, capsys):
    spoil("loss")
    wave = 0.3 * np.sin(np.arange(4000) * np.hanning(4000) / 3)
    soundfile.write(tmp_path / "4_a.wav", wave, 8000)
    (tmp_path / "c.yaml").write_text("")
    options = [option for option in SMALL if "data." not in option]
    arguments = [
        tmp_path / "c.yaml",
        f"output={tmp_path}/run",
        *options,
        "train.precision=fp32",
        "train.validate_every=100",
    ]
    assert tts_train(*arguments, "--overfit", tmp_path / "4_a.wav") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("tts: error: the loss (nll) is not finite at step 3")
    assert not any("Traceback" in line for line in lines)
