"""The loop: learning, callbacks, loader workers, processes, precision."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.launch import in_two_processes
from helpers.training import MODEL, data, metrics, run_config, tone

from tts.core import config as configs
from tts.core.errors import InputError
from tts.models.two_tier import TwoTier
from tts.training import checkpoint
from tts.training.config import LossConfig, RunConfig, TrainConfig
from tts.training.data import Repeat
from tts.training.loop import Callbacks, train
from tts.training.losses import Objective
from tts.training.precision import probe


def test_overfits_two_clips(tmp_path):
    """Two clips are learned, their stop bits with them, and swapped texts make them less likely."""

    class Two:
        def __getitem__(self, index):
            return clips[index % 2]

    clips = [tone([3, 1], 0), tone([0], 1)]
    d = data(Two())
    d.validation = clips
    config = run_config(tmp_path, steps=250, lr=1e-2, validate_every=250, frame_dropout=0.0, ema=0.0, log_every=50)
    train(config, d)
    nll = metrics(tmp_path)
    assert nll[250] < 0.55 * nll[50]
    model = TwoTier(MODEL)
    model.load_state_dict(checkpoint.load(tmp_path / "checkpoints" / "latest.safetensors").part("objective.model."))
    o = Objective(model.eval(), LossConfig(spectral_weight=0.0), 8000)
    rng = np.random.default_rng(0)
    batch = d.collate(clips, rng)
    advance = model(batch.codes, batch.units, batch.n_units, batch.pointer, batch.speaker).advance_logits.sigmoid()
    assert (advance[batch.advance.bool() & batch.valid] > 0.5).all()
    assert (advance[~batch.advance.bool() & batch.valid] < 0.5).all()
    swapped = d.collate([replace(clips[0], text="0 2"), replace(clips[1], text="1")], rng)
    assert o(swapped).nll > o(batch).nll


def test_best_is_chosen_by_the_score(tmp_path):
    errors = iter([0.5, 0.2, 0.3])
    kept = []
    callbacks = Callbacks([lambda snapshot: {"score": next(errors)}], [lambda snapshot: kept.append(snapshot.step)])
    state = train(run_config(tmp_path, steps=12), data(), callbacks)
    assert kept == [4, 8]
    assert state.best == 0.2
    assert checkpoint.load(tmp_path / "checkpoints" / "best.safetensors").state.step == 8


def test_loader_workers_change_no_number(tmp_path):
    """Nor does going on in the middle of a pool, from which each worker makes whole pools."""
    alone, helped = tmp_path / "alone", tmp_path / "helped"
    options = {"accumulation": 3, "final_lr": 1.0}  # the rate does not depend on the number of steps
    train(run_config(alone, steps=10, **options), data())
    train(run_config(helped, steps=5, workers=2, **options), data())
    train(run_config(helped, steps=10, workers=2, **options), data(), resume=True)
    a, b = (checkpoint.load(folder / "checkpoints" / "latest.safetensors").tensors for folder in (alone, helped))
    assert all(torch.equal(a[name], b[name]) for name in a)


def nothing_drawn(config: RunConfig) -> RunConfig:
    """Nothing drawn but the data: every frame in the loss, none dropped, batches as they come."""
    loss = replace(config.loss, frame_share=1.0)
    return replace(config, loss=loss, train=replace(config.train, frame_dropout=0.0, bucket=1))


def _two_processes(folder: str) -> None:
    train(nothing_drawn(run_config(Path(folder), steps=4, batch_size=1)), data())


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    """Two gloo processes with half the batch each: the losses of one process with the whole batch."""
    one, two = tmp_path / "one", tmp_path / "two"
    in_two_processes(_two_processes, str(two))
    train(nothing_drawn(run_config(one, steps=4, batch_size=2)), data())
    a, b = metrics(one), metrics(two)
    assert list(a) == [1, 2, 3, 4]
    assert list(a.values()) == pytest.approx(list(b.values()), rel=1e-4)
    assert metrics(one, "validation/nll_bits") == pytest.approx(metrics(two, "validation/nll_bits"), rel=1e-4)


def test_learns_in_the_precision_that_the_device_has(tmp_path):
    """bf16 where an LSTM can be trained in it, else it is refused and auto takes fp32."""
    precision = "bf16"
    if not probe(torch.device("cpu")).works:
        with pytest.raises(InputError, match=r"train\.precision is bf16, but this processor"):
            train(run_config(tmp_path, precision="bf16"), data())
        precision = "auto"
    train(run_config(tmp_path, steps=20, precision=precision), data())
    nll = list(metrics(tmp_path).values())
    assert np.mean(nll[-3:]) < np.mean(nll[:3])


def test_repeat():
    clip = tone([1], 0)
    assert Repeat(clip)[0] is Repeat(clip)[99] is clip
    assert configs.to_dict(RunConfig())["train"]["steps"] == 6000


def test_minutes_go_on_after_a_stop(tmp_path):
    train(run_config(tmp_path, steps=2), data())
    before = list(metrics(tmp_path, "validation/minutes").values())
    train(run_config(tmp_path, steps=4), data(), resume=True)
    after = list(metrics(tmp_path, "validation/minutes").values())
    assert 0 < before[0] == after[0] < after[-1]


def test_threads_are_as_many_as_asked_for(tmp_path):
    before = torch.get_num_threads()
    try:
        train(run_config(tmp_path, steps=1, threads=2), data())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    with pytest.raises(InputError, match=r"train\.threads is -1"):
        TrainConfig(threads=-1)
