"""A resumed run: its checkpoint, the sequences of a step, their order."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from accelerate.state import AcceleratorState
from helpers.launch import in_two_processes
from helpers.training import MODEL, Tones, data, metrics, run_config, vectors
from hypothesis import given
from hypothesis import strategies as st

from tts.cli.main import main
from tts.core.errors import InputError
from tts.training import checkpoint
from tts.training.batches import Batches, Collate
from tts.training.config import TrainConfig
from tts.training.loop import train
from tts.training.start import check_batch, sequences_per_step, started


def test_before_the_first_checkpoint(tmp_path, capsys):
    config = tmp_path / "c.yaml"
    config.write_text("")
    assert main(["train", str(config), f"output={tmp_path / 'run'}", "data.source=/nowhere", "--resume"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tts: error: no checkpoint at ")
    assert error.endswith("start without --resume\n")
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


@pytest.mark.parametrize(
    ("before", "batch_size", "accumulation", "processes", "keeps"),
    [
        (8, 8, 1, 2, "train.batch_size=4"),
        (16, 8, 1, 1, "train.batch_size=16"),
        (8, 8, 2, 1, "train.batch_size=4"),
        (8, 2, 3, 2, "train.batch_size=4 train.accumulation=1"),
        (8, 8, 1, 3, "a number of processes that divides 8"),
    ],
)
def test_what_keeps_the_sequences_of_a_step_is_named(before, batch_size, accumulation, processes, keeps):
    with pytest.raises(
        InputError, match=rf"a step of this run takes {before} sequences; .* {re.escape(keeps)} to keep"
    ):
        check_batch(TrainConfig(batch_size=batch_size, accumulation=accumulation), processes, before)


@given(*[st.integers(1, 64)] * 2, st.integers(1, 8), st.integers(1, 8))
def test_what_is_named_keeps_them(before, batch_size, accumulation, processes):
    train_config = TrainConfig(batch_size=batch_size, accumulation=accumulation)
    try:
        check_batch(train_config, processes, before)
        assert sequences_per_step(train_config, processes) == before
    except InputError as error:
        advice = dict(re.findall(r"train\.(\w+)=(\d+)", str(error).split("it would take")[1]))
        if advice:
            check_batch(replace(train_config, **{key: int(value) for key, value in advice.items()}), processes, before)
        else:
            assert before % processes


def _second_half(folder: str) -> None:
    """In each of two processes: the run of one process is resumed, with half the batch each."""
    train(whole_batches(Path(folder), 4, 1), data(), resume=True)


def whole_batches(folder: Path, steps: int, batch_size: int):
    """A run that draws nothing but its sequences: every frame in the loss, none dropped."""
    config = run_config(folder, steps=steps, batch_size=batch_size, bucket=2, final_lr=1.0, frame_dropout=0.0)
    return replace(config, loss=replace(config.loss, frame_share=1.0))


@pytest.mark.slow
def test_one_process_resumed_as_two(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(whole_batches(parts, 2, 2), data())
    AcceleratorState._reset_state(True)  # the forked processes find out for themselves that they are two
    in_two_processes(_second_half, str(parts))
    train(whole_batches(whole, 4, 2), data())
    assert list(metrics(parts)) == [1, 2, 3, 4]
    assert list(metrics(parts).values()) == pytest.approx(list(metrics(whole).values()), rel=1e-4)


def test_a_checkpoint_of_a_version_that_did_not_store_it():
    check_batch(TrainConfig(batch_size=8), 2, None)


def test_the_step_keeps_its_sequences(tmp_path):
    config = run_config(tmp_path, steps=2, batch_size=4)
    assert train(config, data()).sequences_per_step == 4

    def resumed(allow_batch_change=False, **options):
        changed = replace(config, train=replace(config.train, steps=3, **options))
        with started(changed, True, allow_batch_change) as start:
            return train(changed, data(), start=start)

    with pytest.raises(InputError, match=r"it would take 8; give train\.batch_size=4 to keep it, or --allow-batch-ch"):
        resumed(batch_size=8)
    assert checkpoint.load(tmp_path / "checkpoints" / "latest.safetensors").state.step == 2
    assert resumed(batch_size=2, accumulation=2).sequences_per_step == 4
    assert resumed(allow_batch_change=True, batch_size=8).sequences_per_step == 8


def test_a_batch_may_not_change_where_it_is_not_known_whether_the_step_keeps_its_sequences(tmp_path, monkeypatch):
    config = run_config(tmp_path, steps=2, batch_size=4)
    train(config, data())
    load = checkpoint.load

    def older(path):
        found = load(path)
        found.state.sequences_per_step = None
        return found

    monkeypatch.setattr(checkpoint, "load", older)
    changed = replace(config, train=replace(config.train, steps=3, batch_size=2, accumulation=2))
    with pytest.raises(InputError, match=r"another config: train\.accumulation, train\.batch_size differ"):
        train(changed, data(), resume=True)


class Numbered:
    """Tones that know their number."""

    def __getitem__(self, index):
        return replace(Tones()[index], takes=[str(index)])


@pytest.mark.parametrize("bucket", [1, 3])
@pytest.mark.parametrize("shares", [(1, 8), (2, 4), (4, 2), (8, 1)], ids=str)
def test_a_step_s_sequences_do_not_depend_on_how_they_are_shared_out(bucket, shares):
    """1 process x 8 is resumed as 2 processes x 4, or as 4 micro-batches x 2, with the same sequences in each step."""
    parts, size = shares
    seen: list[list[str]] = []

    class Noting(Collate):
        def __call__(self, sequences, rng):
            seen.append([sequence.takes[0] for sequence in sequences])
            return super().__call__(sequences, rng)

    def steps(parts, size):
        seen.clear()
        batches = Batches(Numbered(), Noting(MODEL, ("a", "b"), vectors), size, 5, bucket, parts)
        for index in range(6 * parts):
            batches[index]
        flat = np.array(seen).reshape(6, parts * size)
        return [sorted(step) for step in flat.tolist()]

    whole = steps(1, 8)
    assert steps(parts, size) == whole
    assert sorted(int(number) for step in whole for number in step) == list(range(48))
