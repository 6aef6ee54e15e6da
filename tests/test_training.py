"""Batches, losses, checkpoints, the loop: on a synthetic corpus whose "digits" are tones."""

import itertools
import json
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
from accelerate.state import AcceleratorState

from data_recipes.sequences import Sequence
from tts.core import config as configs
from tts.core.errors import InputError
from tts.models.config import TwoTierConfig
from tts.models.two_tier import TwoTier
from tts.text.units import unit_ends, unit_vectors
from tts.training import checkpoint
from tts.training.batches import Batches, Collate, segment_ends
from tts.training.config import GroupConfig, LossConfig, RunConfig, TrainConfig, ValidationConfig
from tts.training.data import Repeat, TrainingData
from tts.training.loop import Callbacks, train
from tts.training.losses import Objective, Sums
from tts.training.optimizer import learning_rate, make_optimizer
from tts.training.precision import probe

MODEL = TwoTierConfig(
    frame_size=16, dim=48, sample_dim=32, hist_size=16, word_dim=10, text_dim=8, n_speakers=2, clock_frames=64
)


def vectors(texts):
    return [np.eye(10, dtype=np.float32)[[int(word) for word in text]] for text in texts]


def tone(digits, seed, speaker="a"):
    """Each digit 50-60 ms of its own frequency."""
    rng = np.random.default_rng(seed)
    parts = []
    for digit in digits:
        t = np.arange(rng.integers(400, 480)) / 8000
        parts.append(0.3 * np.sin(2 * np.pi * (200 + 100 * digit) * t) * np.hanning(len(t)))
    audio = np.concatenate(parts).astype(np.float32) + rng.normal(0, 2e-4, sum(map(len, parts))).astype(np.float32)
    ends = np.cumsum([len(part) for part in parts]).tolist()
    text = " ".join(map(str, digits))
    return Sequence(audio, text, list(digits), speaker, ["x"] * len(digits), ends, 8000, "seen")


@pytest.fixture(autouse=True)
def fresh_accelerate():
    """accelerate keeps its precision for the life of a process."""
    AcceleratorState._reset_state(True)


class Tones:
    def __getitem__(self, index):
        rng = np.random.default_rng([3, index])
        return tone(rng.integers(0, 4, 1 + index % 2).tolist(), index, "ab"[index % 2])


def data(stream=None, model=MODEL):
    collate = Collate(model, ("a", "b"), vectors)
    validation = [Tones()[10_000 + i] for i in range(3)]
    return TrainingData(stream or Tones(), validation, ("a", "b"), vectors, 8000, collate)


def run_config(folder: Path, **options) -> RunConfig:
    settings = {"steps": 8, "batch_size": 2, "precision": "fp32", "warmup_steps": 2, "log_every": 1,
                "validate_every": 4, "checkpoint_every": 2, "lr": 3e-3}  # fmt: skip
    return RunConfig(
        output=folder,
        model=MODEL,
        loss=LossConfig(scored=0.5, spectral_offsets=(1, 2), n_mels=8, n_fft=64),
        train=TrainConfig(**{**settings, **options}),
        validation=ValidationConfig(spoken=0),
    )


def metrics(folder: Path, key: str = "train/nll_bits") -> dict[int, float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line[key] for line in lines if key in line}


# Batches


def test_turn_ends():
    assert segment_ends([100, 320, 500], 32, 16).tolist() == [6, 20, 32]
    # Turns shorter than a frame, at the beginning, in the middle, at the end.
    assert segment_ends([1, 2, 500], 32, 16).tolist() == [1, 2, 32]
    assert segment_ends([100, 103, 104, 500], 32, 16).tolist() == [4, 5, 6, 32]
    assert segment_ends([490, 508, 510], 32, 16).tolist() == [30, 31, 32]


def test_batch_aligns_words_and_frames():
    sequences = [tone([3, 1], 0), tone([2], 1, "b")]
    batch = Collate(MODEL, ("a", "b"), vectors)(sequences, np.random.default_rng(0))
    F = MODEL.frame_size
    N = batch.pointer.shape[1]
    assert batch.codes.shape == (2, N * F)
    assert batch.units[0].argmax(-1).tolist() == [3, 1]
    assert batch.n_units.tolist() == [2, 1]
    assert batch.speaker.tolist() == [0, 1]
    turn = round(sequences[0].boundaries[0] / F)
    assert batch.pointer[0].tolist() == [0] * turn + [1] * (N - turn)
    assert batch.advance[0].nonzero().flatten().tolist() == [turn - 1, N - 1]
    # In the padding the pointer has left the text, so that nobody takes it for a part of the last word.
    ended = -(-len(sequences[1].audio) // F)
    assert batch.pointer[1].tolist() == [0] * ended + [1] * (N - ended)
    frames = -(-len(sequences[1].audio) // F)
    assert batch.valid[1].sum() == frames
    assert batch.advance[1].nonzero().flatten().tolist() == [frames - 1]
    assert (batch.codes[1, frames * F :] == 128).all()
    assert len(batch.loss_frames) == batch.valid.sum()
    assert batch.keep_frame.all()


def test_batch_of_words_in_parts():
    sequence = tone([3, 1], 0)
    batch = Collate(replace(MODEL, units_per_word=4), ("a", "b"), vectors)(
        [sequence, tone([2], 1)], np.random.default_rng(0)
    )
    assert batch.n_units.tolist() == [9, 5]
    assert torch.equal(batch.units[0], torch.from_numpy(unit_vectors(vectors([["3", "1"]])[0], 4)))
    assert batch.units[1, 5:].abs().sum() == 0
    F = MODEL.frame_size
    ends = segment_ends(unit_ends(sequence.audio, sequence.boundaries, 8000), -(-len(sequence.audio) // F), F)
    assert batch.advance[0].nonzero().flatten().tolist() == (ends - 1).tolist()
    assert batch.pointer[0].unique().tolist() == list(range(9))
    # The words' own ends are among them.
    whole = Collate(MODEL, ("a", "b"), vectors)([sequence], np.random.default_rng(0))
    assert batch.advance[0].nonzero().flatten()[4::4].tolist() == whole.advance[0].nonzero().flatten().tolist()


def test_where_silence_ends_or_begins_is_always_scored():
    F = MODEL.frame_size
    quiet, hiss = np.zeros(320, np.float32), np.tile(np.float32([0.1, -0.1]), 80)
    word = np.concatenate([hiss, np.sin(0.2 * np.arange(320)).astype(np.float32), hiss])
    wave = np.concatenate([quiet, word, quiet, word, quiet])
    sequence = replace(tone([3, 1], 0), audio=wave, boundaries=[1280, 2240])
    edges = {place // F + k for place in (320, 960, 1280, 1920) for k in (0, 1)}
    frames = 2240 // F
    collate = Collate(replace(MODEL, units_per_word=4), ("a", "b"), vectors, scored=0.2)
    chosen = [set(collate([sequence], np.random.default_rng(seed)).scored.tolist()) for seed in range(30)]
    for one in chosen:
        assert len(one) == round(0.2 * frames)
        assert edges < one
    assert len(set().union(*chosen)) > 0.9 * frames
    batch = collate([sequence], np.random.default_rng(0))
    assert batch.n_units.tolist() == [9]
    assert batch.pointer[0].bincount()[::4].tolist() == [320 // F] * 3
    assert len(replace(collate, scored=0.05)([sequence], np.random.default_rng(0)).scored) == round(0.05 * frames)
    without = replace(collate, model=MODEL)
    assert not all(edges < set(without([sequence], np.random.default_rng(seed)).scored.tolist()) for seed in range(9))


def test_disturbed_rests_are_heard_but_not_learnt():
    """What is to be said stays; what is heard differs in a share of the rests, and nowhere else."""
    F, config = MODEL.frame_size, replace(MODEL, units_per_word=4)
    quiet, hiss = np.zeros(640, np.float32), np.tile(np.float32([0.1, -0.1]), 80)
    sound = np.concatenate([hiss, np.sin(0.2 * np.arange(320)).astype(np.float32), hiss])
    wave = np.concatenate([quiet, sound, quiet, sound, quiet])
    sequence = replace(tone([3, 1], 0), audio=wave, boundaries=[1920, 3200])
    clean = Collate(config, ("a", "b"), vectors)([sequence], np.random.default_rng(0))
    assert clean.heard is clean.codes
    rests = (clean.pointer[0] % 4 == 0).repeat_interleave(F)
    assert rests.tolist() == [i // 640 % 2 == 0 for i in range(3200)]
    collate = Collate(config, ("a", "b"), vectors, pause_corruption=0.5)
    disturbed, loudest = torch.zeros(len(rests), dtype=torch.int64), 0.0
    spans = []
    for seed in range(200):
        batch = collate([sequence], np.random.default_rng(seed))
        assert torch.equal(batch.codes, clean.codes)
        other = (batch.inputs != batch.codes)[0]
        assert not other[~rests].any()
        disturbed += other
        loudest = max(loudest, abs(int(batch.inputs[0][rests].max()) - 128))
        for rest in other[rests].view(3, 640):
            if rest.any():
                places = rest.nonzero()
                spans.append(int(places[-1] - places[0]) + 1)
    assert 0.33 < len(spans) / 600 < 0.5  # half, but for those that are a copy of silence
    assert max(spans) <= 0.05 * 8000
    assert loudest > 100  # as loud as speech
    assert (disturbed[rests] > 0).float().mean() > 0.95
    # The model is told of it, the loss is not.
    objective = Objective(TwoTier(config).eval(), LossConfig(spectral_weight=0), 8000)
    batch = replace(batch, heard=batch.codes.flip(1))
    expected = objective(replace(batch, codes=batch.inputs))
    assert objective(batch).nll != expected.nll
    output = objective.model(batch.inputs, batch.units, batch.n_units, batch.pointer, batch.speaker, batch.loss_frames)
    target = batch.codes.unflatten(1, (-1, F)).flatten(0, 1)[batch.loss_frames]
    nll = torch.nn.functional.cross_entropy(output.logits.flatten(0, -2), target.flatten(), reduction="sum")
    assert torch.allclose(objective(batch).nll, nll)


def test_disturbed_rests_need_rests():
    with pytest.raises(InputError, match=r"pause_corruption is 0\.1; it needs rests"):
        RunConfig(train=TrainConfig(pause_corruption=0.1))


def test_pooled_batch_stops_once():
    collate = Collate(replace(MODEL, conditioning="pooled"), ("a", "b"), vectors)
    batch = collate([tone([3, 1], 0)], np.random.default_rng(0))
    assert batch.advance[0].nonzero().flatten().tolist() == [batch.valid.shape[1] - 1]


def test_scored_share_and_dropout_are_drawn_within_the_sequences():
    collate = Collate(MODEL, ("a", "b"), vectors, scored=0.25, frame_dropout=0.5)
    batches = Batches(Tones(), collate, 4, seed=5)
    again = Batches(Tones(), collate, 4, seed=5)[3]
    batch = batches[3]
    assert torch.equal(batch.loss_frames, again.scored)
    assert torch.equal(batch.keep_frame, again.keep_frame)
    assert batch.valid.flatten()[batch.loss_frames].all()
    assert abs(len(batch.loss_frames) / int(batch.valid.sum()) - 0.25) < 0.05
    assert 0.3 < batch.keep_frame.float().mean() < 0.7
    assert not torch.equal(batches[2].codes, batch.codes)


def test_word_noise_is_drawn_and_measured_by_each_vector():
    clean = Batches(Tones(), Collate(MODEL, ("a", "b"), vectors), 4, seed=5)[3]
    noisy = Batches(Tones(), Collate(MODEL, ("a", "b"), vectors, word_noise=0.5), 4, seed=5)[3]
    again = Batches(Tones(), Collate(MODEL, ("a", "b"), vectors, word_noise=0.5), 4, seed=5)[3]
    assert torch.equal(noisy.words, again.words)
    said = torch.arange(clean.words.shape[1]) < clean.n_units[:, None]
    noise = (noisy.words - clean.words)[said] / clean.words[said].std(dim=1, correction=0, keepdim=True)
    assert abs(noise.std() - 0.5) < 0.1
    assert not noisy.words[~said].any()
    assert torch.equal(clean.codes, noisy.codes)


def test_buckets_sort_without_losing_any():
    collate = Collate(MODEL, ("a", "b"), vectors)

    def frames(bucket, numbers):
        batches = Batches(Tones(), collate, 2, seed=5, bucket=bucket)
        return np.array([batches[i].valid.sum(1).tolist() for i in numbers])  # (batches, 2)

    plain, bucketed = frames(1, range(8)), frames(4, range(8))
    for half in (slice(0, 4), slice(4, 8)):
        assert sorted(plain[half].flatten()) == sorted(bucketed[half].flatten())
    assert bucketed.max(1).sum() < plain.max(1).sum()
    assert (frames(4, [6, 1, 3]) == bucketed[[6, 1, 3]]).all()


# Losses


def objective(**options):
    torch.manual_seed(0)
    return Objective(TwoTier(MODEL), LossConfig(spectral_offsets=(1, 2), n_mels=8, n_fft=64, **options), 8000)


def test_padding_does_not_count():
    """A sequence alone and padded in a batch: the same sums."""
    collate = Collate(MODEL, ("a", "b"), vectors)
    rng = np.random.default_rng(0)
    long, short = tone([3, 1], 0), tone([2], 1, "b")
    o = objective(next_frame_weight=0.5)
    together = torch.stack(o(collate([long, short], rng)))
    apart = torch.stack(o(collate([long], rng))) + torch.stack(o(collate([short], rng)))
    # The short one's last spectra see the padding instead of the end: the same silence, but for the dither.
    torch.testing.assert_close(together[[0, 1, 3]], apart[[0, 1, 3]], rtol=1e-4, atol=1e-3)
    counts = torch.stack(o.counts(collate([long, short], rng)))
    assert counts[0] == counts[1] * MODEL.frame_size
    assert counts[2] == counts[1] * 2 * 8


def test_weights_switch_parts_off():
    batch = data().collate([tone([3, 1], 0)], np.random.default_rng(0))
    off = objective(spectral_weight=0.0, advance_weight=0.0)
    sums, counts = off(batch), off.counts(batch)
    assert sums.spectral == 0
    assert not any("spectral" in name for name, _ in off.named_parameters())
    torch.testing.assert_close(off.total(sums, counts), sums.nll / counts.nll)
    on = objective(next_frame_weight=2.0)
    sums = on(batch)
    expected = sums.nll / counts.nll + sums.advance / counts.advance + sums.spectral / counts.spectral
    torch.testing.assert_close(on.total(sums, counts), expected + 2 * sums.next_frame / counts.next_frame)


def test_accumulated_micro_batches_weigh_samples_alike():
    """Two unequal micro-batches give the gradient of one batch with both."""
    collate = Collate(MODEL, ("a", "b"), vectors)
    rng = np.random.default_rng(0)
    first, second = tone([3, 1, 2], 0), tone([2], 1)
    o = objective(spectral_weight=0.0)

    def gradient(batches):
        o.zero_grad()
        counts = torch.stack([torch.stack(o.counts(batch)) for batch in batches]).sum(0)
        for batch in batches:
            o.total(o(batch), Sums(*counts)).backward()
        return o.model.output.weight.grad.clone()

    apart = gradient([collate([first], rng), collate([second], rng)])
    torch.testing.assert_close(apart, gradient([collate([first, second], rng)]), rtol=1e-3, atol=1e-6)


def test_every_parameter_learns():
    o = objective()
    batch = data().collate([tone([3, 1], 0), tone([1], 4, "b")], np.random.default_rng(0))
    o.total(o(batch), o.counts(batch)).backward()
    idle = [name for name, p in o.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == []


# Optimizer


def test_learning_rate():
    config = TrainConfig(steps=110, warmup_steps=10, lr=1.0, final_lr=0.1)
    assert learning_rate(0, config) == pytest.approx(0.1)
    assert learning_rate(9, config) == pytest.approx(1.0)
    assert learning_rate(60, config) == pytest.approx(0.55)
    assert learning_rate(110, config) == pytest.approx(0.1)


def test_parameter_groups():
    o = objective()
    config = TrainConfig(groups={"model.rnn.*": GroupConfig(0.5, 0.0), "*.bias": GroupConfig(2.0)}, weight_decay=0.3)
    groups = make_optimizer(o, config).param_groups
    assert sorted((g["lr_scale"], g["weight_decay"]) for g in groups) == [(0.5, 0.0), (1.0, 0.3), (2.0, 0.3)]
    assert sum(len(g["params"]) for g in groups) == len(list(o.parameters()))
    with pytest.raises(InputError, match=r"'nothing\.\*' is the first match of no parameter"):
        make_optimizer(o, TrainConfig(groups={"nothing.*": GroupConfig()}))


# The loop


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


def test_best_is_chosen_by_digit_error(tmp_path):
    errors = iter([0.5, 0.2, 0.3])
    kept = []
    callbacks = Callbacks(
        [lambda snapshot: {"digit_error": next(errors)}], [lambda snapshot: kept.append(snapshot.step)]
    )
    state = train(run_config(tmp_path, steps=12), data(), callbacks)
    assert kept == [4, 8]
    assert state.best == 0.2
    assert checkpoint.load(tmp_path / "checkpoints" / "best.safetensors").state.step == 8


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
        del found.config["train"]["word_noise"]
        return found

    monkeypatch.setattr(checkpoint, "load", older)
    with pytest.raises(InputError, match=r"another config: train\.word_noise differ"):
        train(run_config(tmp_path, steps=4, word_noise=0.5), data(), resume=True)
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


def test_loader_workers_change_no_number(tmp_path):
    """Nor does going on in the middle of a pool, from which each worker makes whole pools."""
    alone, helped = tmp_path / "alone", tmp_path / "helped"
    options = {"accumulation": 3, "final_lr": 1.0}  # the rate does not depend on the number of steps
    train(run_config(alone, steps=10, **options), data())
    train(run_config(helped, steps=5, workers=2, **options), data())
    train(run_config(helped, steps=10, workers=2, **options), data(), resume=True)
    a, b = (checkpoint.load(folder / "checkpoints" / "latest.safetensors").tensors for folder in (alone, helped))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_what_a_killed_run_left_is_removed(tmp_path):
    folder = tmp_path / "checkpoints"
    train(run_config(tmp_path, steps=2), data())
    kept = sorted(folder.iterdir())
    (folder / ".latest.safetensors.4711").write_bytes(b"half")  # ours
    (folder / ".tmpq8HFgo").write_bytes(b"half")  # safetensors writes to a name of its own first
    train(run_config(tmp_path, steps=4), data(), resume=True)
    assert sorted(folder.iterdir()) == kept


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_training import data, run_config
from tts.training.loop import train
train(run_config(Path({folder!r}), steps=100000, checkpoint_every=1, validate_every=100000), data())
"""


def test_kill_leaves_a_whole_checkpoint(tmp_path):
    """SIGKILL at drawn moments of a run that checkpoints every step: `latest` loads each time, and the run goes on."""
    latest = tmp_path / "checkpoints" / "latest.safetensors"
    rng = np.random.default_rng(0)
    program = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
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


def unscored(config: RunConfig) -> RunConfig:
    """Nothing drawn but the data: every frame scored and heard, batches as they come."""
    loss = replace(config.loss, scored=1.0)
    return replace(config, loss=loss, train=replace(config.train, frame_dropout=0.0, bucket=1))


def _two_processes(folder: str) -> None:
    train(unscored(run_config(Path(folder), steps=4, batch_size=1)), data())


def test_two_processes_equal_one(tmp_path):
    """Two gloo processes with half the batch each: the losses of one process with the whole batch."""
    from accelerate import debug_launcher

    one, two = tmp_path / "one", tmp_path / "two"
    debug_launcher(_two_processes, args=(str(two),), num_processes=2)
    train(unscored(run_config(one, steps=4, batch_size=2)), data())
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


def test_starts_from_other_weights(tmp_path):
    """The averaged ones, with a new optimizer and from step 0; of another shape they are refused."""
    train(run_config(tmp_path / "first"), data())
    latest = tmp_path / "first" / "checkpoints" / "latest.safetensors"
    train(run_config(tmp_path / "second", start_from=latest, lr=0.0, ema=0.0), data())
    second = checkpoint.load(tmp_path / "second" / "checkpoints" / "latest.safetensors")
    first = checkpoint.load(latest).part("ema.module.")
    assert second.state.step == run_config(tmp_path).train.steps
    assert all(torch.equal(tensor, first[name]) for name, tensor in second.part("objective.").items())
    grown = replace(MODEL, duration="explicit")
    train(replace(run_config(tmp_path / "grown", start_from=latest, lr=0.0, ema=0.0), model=grown), data())
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
