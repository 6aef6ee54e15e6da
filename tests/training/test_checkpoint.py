"""Checkpoints: resumed runs, damaged and replaced files, killed runs, weights to start from."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import untrained_voice
from helpers.training import MODEL, data, metrics, run_config

from tts.core.errors import InputError
from tts.models.two_tier import TwoTier
from tts.training import checkpoint
from tts.training.batches import Collate
from tts.training.config import GroupConfig, LossConfig
from tts.training.loop import Callbacks, train
from tts.training.losses import Objective


def test_resumed_equals_uninterrupted(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(run_config(whole), data())

    class Stop(Exception):
        pass

    def stop(snapshot):
        raise Stop

    with pytest.raises(Stop):
        train(run_config(parts), data(), Callbacks([stop]))  # dies in the validation of step 4; `latest` is of step 2
    assert checkpoint.load(parts / "checkpoints" / "latest.safetensors").state.step == 2
    train(run_config(parts), data(), resume=True)
    assert metrics(parts) == metrics(whole)
    assert metrics(parts, "validation/nll_bits") == metrics(whole, "validation/nll_bits")
    a, b = (checkpoint.load(folder / "checkpoints" / "latest.safetensors").tensors for folder in (whole, parts))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_interrupt_saves(tmp_path):
    def interrupt(snapshot):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(run_config(tmp_path, checkpoint_every=100), data(), Callbacks([interrupt]))
    assert checkpoint.load(tmp_path / "checkpoints" / "latest.safetensors").state.step == 4


def test_refused_runs(tmp_path):
    with pytest.raises(InputError, match="no checkpoint at"):
        train(run_config(tmp_path), data(), resume=True)
    train(run_config(tmp_path, steps=2), data())
    with pytest.raises(InputError, match="holds a run; give --resume"):
        train(run_config(tmp_path, steps=2), data())
    with pytest.raises(InputError, match=r"another config: train\.lr differ"):
        train(run_config(tmp_path, steps=2, lr=0.5), data(), resume=True)
    assert train(run_config(tmp_path, steps=4), data(), resume=True).step == 4


def test_an_option_that_is_younger_than_the_checkpoint_had_its_default(tmp_path, monkeypatch):
    train(run_config(tmp_path, steps=2), data())
    load = checkpoint.load

    def older(path):
        found = load(path)
        del found.config["train"]["clip"]
        return found

    monkeypatch.setattr(checkpoint, "load", older)
    with pytest.raises(InputError, match=r"another config: train\.clip differ"):
        train(run_config(tmp_path, steps=4, clip=0.5), data(), resume=True)
    assert train(run_config(tmp_path, steps=4), data(), resume=True).step == 4


def test_damaged_checkpoints(tmp_path):
    train(run_config(tmp_path, steps=2), data())
    latest = tmp_path / "checkpoints" / "latest.safetensors"
    whole = latest.read_bytes()
    latest.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged"):
        checkpoint.load(latest)
    latest.write_bytes(b"")
    with pytest.raises(InputError, match="damaged"):
        checkpoint.load(latest)


def test_a_checkpoint_that_is_replaced_while_it_is_read(tmp_path):
    """Whatever a reader gets is one whole checkpoint, never the header of one and the tensors of another."""
    latest = tmp_path / "latest.safetensors"
    contents = []
    for step, length in ((1, 10), (2, 5000)):
        module = torch.nn.Linear(length, 1, bias=False)
        torch.nn.init.constant_(module.weight, step)
        optimizer = torch.optim.AdamW(module.parameters())
        checkpoint.save(latest, module, None, optimizer, {"x": "y" * length}, checkpoint.LoopState(step))
        contents.append(latest.read_bytes())
    done = threading.Event()

    def replace_it():
        for content in itertools.cycle(contents):
            (tmp_path / "next").write_bytes(content)
            (tmp_path / "next").replace(latest)
            if done.is_set():
                return

    thread = threading.Thread(target=replace_it)
    thread.start()
    try:
        for _ in range(500):
            found = checkpoint.load(latest)
            assert set(found.tensors["objective.weight"].flatten().tolist()) == {float(found.state.step)}
    finally:
        done.set()
        thread.join()


def test_what_a_killed_run_left_is_removed(tmp_path):
    folder = tmp_path / "checkpoints"
    train(run_config(tmp_path, steps=2), data())
    kept = sorted(folder.iterdir())
    (folder / ".latest.safetensors.4711").write_bytes(b"half")  # ours
    (folder / ".tmpq8HFgo").write_bytes(b"half")  # safetensors writes to a name of its own first
    train(run_config(tmp_path, steps=4), data(), resume=True)
    assert sorted(folder.iterdir()) == kept


def test_starts_from_other_weights(tmp_path):
    """The averaged ones, with a new optimizer and from step 0; of another shape they are refused."""
    still = {"*": GroupConfig(lr_scale=0.0)}  # no step changes a weight
    train(run_config(tmp_path / "first"), data())
    latest = tmp_path / "first" / "checkpoints" / "latest.safetensors"
    train(run_config(tmp_path / "second", start_from=latest, ema=0.0, groups=still), data())
    second = checkpoint.load(tmp_path / "second" / "checkpoints" / "latest.safetensors")
    first = checkpoint.load(latest).part("ema.module.")
    assert second.state.step == run_config(tmp_path).train.steps
    assert all(torch.equal(tensor, first[name]) for name, tensor in second.part("objective.").items())
    grown = replace(MODEL, duration="explicit")
    train(replace(run_config(tmp_path / "grown", start_from=latest, ema=0.0, groups=still), model=grown), data())
    third = checkpoint.load(tmp_path / "grown" / "checkpoints" / "latest.safetensors").part("objective.")
    assert "model.duration_clock.weight" not in first
    assert third["model.duration_clock.weight"].abs().max() > 0
    inputs = third["model.rnn.weight_ih_l0"]
    assert torch.equal(inputs[:, : MODEL.input_dim], first["model.rnn.weight_ih_l0"])
    assert inputs[:, MODEL.input_dim :].abs().max() == 0
    assert third["model.advance.weight"].shape == (1, grown.duration_dim)
    assert torch.equal(third["model.output.weight"], first["model.output.weight"])
    other = replace(run_config(tmp_path / "third", start_from=latest), model=replace(MODEL, dim=24))
    with pytest.raises(InputError, match=r"start_from: .*latest\.safetensors is of another model"):
        train(other, data())


def test_starts_from_a_voice(tmp_path):
    """From the weights that it has; what a larger model has more begins as that of any training."""
    still = {"*": GroupConfig(lr_scale=0.0)}
    spoken = untrained_voice.voice()
    spoken.save(tmp_path / "voice", "# A voice")
    c = spoken.config.model
    grown = replace(c, pitch_taps=3, pitch_lags=(5, 20), pitch_window=16)
    config = run_config(tmp_path / "run", start_from=tmp_path / "voice", ema=0.0, groups=still, steps=1)
    vectors = lambda texts: [np.eye(c.word_dim, dtype=np.float32)[[int(word) for word in text]] for text in texts]  # noqa: E731
    given = replace(data(), collate=Collate(grown, ("a", "b"), vectors), vectors=vectors)
    train(replace(config, model=grown), given)
    made = checkpoint.load(tmp_path / "run" / "checkpoints" / "latest.safetensors").part("objective.model.")
    kept = spoken.model().state_dict()
    assert set(made) - set(kept) == {"pitch_in.weight", "gate.weight", "gate.bias"}
    assert torch.equal(made["rnn.weight_ih_l0"][:, : c.input_dim], kept["rnn.weight_ih_l0"])
    assert all(torch.equal(made[name], kept[name]) for name in kept if name != "rnn.weight_ih_l0")
    (tmp_path / "voice" / "config.json").unlink()
    with pytest.raises(InputError, match="is no voice"):
        checkpoint.begin_from(tmp_path / "voice", Objective(TwoTier(grown), LossConfig(), 8000))


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from helpers.training import data, run_config
from tts.training.loop import train
train(run_config(Path({folder!r}), steps=100000, checkpoint_every=1, validate_every=100000), data())
"""


@pytest.mark.slow
def test_kill_leaves_a_whole_checkpoint(tmp_path):
    """SIGKILL at drawn moments of a run that checkpoints every step: `latest` loads, and the run is resumed."""
    latest = tmp_path / "checkpoints" / "latest.safetensors"
    rng = np.random.default_rng(0)
    program = KILLED.format(tests=str(Path(__file__).parents[1]), folder=str(tmp_path))
    seen = 0
    for attempt in range(3):
        code = program if not attempt else program.replace("data())", "data(), resume=True)")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL, env=environment)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (not latest.exists() or checkpoint.load(latest).state.step <= seen):
            time.sleep(0.05)
        time.sleep(float(rng.uniform(0, 0.2)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        step = checkpoint.load(latest).state.step
        assert step > seen
        seen = step
    checkpoint.clean(latest.parent)
    assert [path.name for path in latest.parent.iterdir()] == ["latest.safetensors"]
