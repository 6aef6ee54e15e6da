"""The training loop, in reading order: data, model, optimizer, prepare, resume, steps."""

import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.tracking import TensorBoardTracker
from accelerate.utils import set_seed
from torch import Tensor
from tqdm import tqdm

from tts.core import config as configs
from tts.core.errors import InputError
from tts.core.files import atomic_write
from tts.models.two_tier import TwoTier
from tts.training import checkpoint
from tts.training.batches import Batch, Batches, training_collate
from tts.training.config import RunConfig
from tts.training.data import TrainingData
from tts.training.losses import PARTS, Objective, Sums, bits
from tts.training.optimizer import average_of, learning_rate, make_optimizer, set_learning_rate
from tts.training.speed import SpeedWatch
from tts.training.start import Start, check_config, sequences_per_step, started
from tts.training.tracking import JsonLinesTracker


@dataclass
class Snapshot:
    """What a callback gets at each validation."""

    step: int
    model: TwoTier
    """With the averaged weights where there are any, in evaluation mode; not to be changed."""
    data: TrainingData
    config: RunConfig
    folder: Path


Callback = Callable[[Snapshot], dict[str, float]]


@dataclass
class Callbacks:
    """What the main process runs at validations; the loop itself neither speaks nor judges."""

    on_validation: Sequence[Callback] = ()
    """Each returns metrics to track; "score" among them decides which checkpoint is `best`: lower is better."""
    on_best: Sequence[Callable[[Snapshot], Any]] = ()
    """After each validation that is the best so far."""
    on_logged: Sequence[Callable[[Snapshot], Any]] = ()
    """After each validation, once its metrics are in `metrics.jsonl`."""


def train(
    config: RunConfig,
    data: TrainingData,
    callbacks: Callbacks | None = None,
    resume: bool = False,
    start: Start | None = None,
) -> checkpoint.LoopState:
    """Train until `config.train.steps` are done. Run it in every process of an `accelerate launch`.

    Writes to `config.output`: `config.yaml` (resolved), `metrics.jsonl`, tensorboard events, and `checkpoints/` with
    `latest.safetensors` and `best.safetensors`. On Ctrl-C the state is saved before the exception is raised again.

    Args: config and data, as `load_data` returned them; resume, the run in `config.output`; start, what `started`
        decided before the data was read, in place of `resume`.

    Raises: InputError as `started`, or where the folder holds a run of another config.
    """
    with nullcontext(start) if start else started(config, resume) as begun:
        config = replace(config, train=replace(config.train, precision=begun.precision))
        return _run(config, data, callbacks or Callbacks(), begun)


def _run(config: RunConfig, data: TrainingData, callbacks: Callbacks, start: Start) -> checkpoint.LoopState:
    check_config(config, start)
    t, resumed = config.train, start.resumed
    checkpoints = config.output / "checkpoints"
    if t.threads:
        torch.set_num_threads(t.threads)
    accelerator = Accelerator(mixed_precision="bf16" if t.precision == "bf16" else "no")
    accelerator.gradient_accumulation_steps = 1  # `update` accumulates, whatever the launcher sets
    set_seed(config.seed)  # the initial weights; nothing else is drawn from a global generator
    objective = Objective(TwoTier(config.model), config.loss, data.sample_rate)
    if t.start_from and not resumed:
        checkpoint.begin_from(t.start_from, objective)
    optimizer = make_optimizer(objective, t)
    wrapped, optimizer = accelerator.prepare(objective, optimizer)
    ema = average_of(objective, t.ema) if t.ema else None
    state = resumed.restore(objective, ema, optimizer) if resumed else checkpoint.LoopState()
    state.sequences_per_step = sequences_per_step(t, accelerator.num_processes)

    if accelerator.is_main_process:
        print(configs.dump(config), *(f"tts: {note}" for note in start.notes), sep="\n", file=sys.stderr)
        checkpoint.clean(checkpoints)
        atomic_write(config.output / "config.yaml", configs.dump(config).encode())
        tensorboard = TensorBoardTracker("tensorboard", config.output, purge_step=state.step + 1)
        tensorboard.start()
        accelerator.trackers = [tensorboard, JsonLinesTracker(config.output, resume_step=state.step)]

    def save(name: str) -> None:
        if accelerator.is_main_process:
            path = checkpoints / f"{name}.safetensors"
            checkpoint.save(path, objective, ema, optimizer, configs.to_dict(config), state)

    world, rank = accelerator.num_processes, accelerator.process_index
    parts = t.accumulation * world
    collate = training_collate(config, data.speakers, data.vectors)
    series = Batches(data.stream, collate, t.batch_size, config.seed, t.bucket, parts)
    own = range(state.step * parts + rank, t.steps * parts + rank, world)  # this process's micro-batches
    batches = series.made(own, t.workers, pin_memory=accelerator.device.type == "cuda")
    bar = tqdm(total=t.steps, initial=state.step, unit="step", desc=config.name, disable=rank > 0)
    meter, watch = _Meter(world), SpeedWatch()
    began = time.perf_counter() - state.seconds
    try:
        while state.step < t.steps:
            micros = [next(batches).to(accelerator.device) for _ in range(t.accumulation)]
            set_learning_rate(optimizer, learning_rate(state.step, t))
            sums, counts, norm = update(accelerator, wrapped, objective, optimizer, micros, t.clip)
            _check_finite(sums, norm, state.step + 1, config)
            if ema is not None:
                ema.update_parameters(objective)
            state.step += 1
            start.folder.keep = True
            bar.update()
            if (slow := watch.step()) and accelerator.is_main_process:
                tqdm.write(f"step {state.step}: {slow}", file=sys.stderr)
            meter.add(sums, counts, norm, micros)
            last = state.step == t.steps
            if state.step % t.log_every == 0 or last:
                metrics = {**meter.metrics(), "lr": learning_rate(state.step - 1, t)}
                accelerator.log({f"train/{k}": v for k, v in metrics.items()}, step=state.step)
                bar.set_postfix_str(f"{metrics['nll_bits']:.3f} bits, {metrics['samples_per_second']:,.0f} samples/s")
            state.seconds = time.perf_counter() - began
            if state.step % t.validate_every == 0 or last:
                shown = ema.module if ema is not None else objective
                better = _validate(accelerator, shown, config, data, callbacks, state)
                state.seconds = time.perf_counter() - began
                if better:
                    save("best")
                meter.restart()
            if state.step % t.checkpoint_every == 0 or last:
                save("latest")
            watch.skip()
    except KeyboardInterrupt:
        if state.step:
            save("latest")
        raise
    finally:
        bar.close()
        for tracker in accelerator.trackers:
            tracker.finish()
    accelerator.wait_for_everyone()
    return state


def update(
    accelerator: Accelerator,
    wrapped: torch.nn.Module,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    micros: list[Batch],
    clip: float,
) -> tuple[Tensor, Tensor, float]:
    """One step: every sample of the loss frames of all micro-batches and processes has the same weight.

    Returns: the parts' sums and their counts over all processes, and the gradient's norm before clipping.
    """
    counts = torch.stack([torch.stack(objective.counts(batch)) for batch in micros]).sum(0)
    counts = accelerator.reduce(counts, "sum")
    total_sums = torch.zeros(len(PARTS), device=accelerator.device)
    optimizer.zero_grad()
    for i, batch in enumerate(micros):
        with accelerator.no_sync(wrapped) if i < len(micros) - 1 else nullcontext():
            with accelerator.autocast():
                sums = wrapped(batch)
            # Data parallelism averages the gradients of the processes; the counts are already global.
            loss = objective.total(sums, Sums(*counts)) * accelerator.num_processes
            accelerator.backward(loss)
        total_sums += torch.stack(sums).detach()
    norm = accelerator.clip_grad_norm_(wrapped.parameters(), clip or math.inf)  # infinity: measured, not clipped
    optimizer.step()
    return accelerator.reduce(total_sums, "sum"), counts, float(norm)


def _check_finite(sums: Tensor, norm: float, step: int, config: RunConfig) -> None:
    """Raises InputError for a loss or gradient that is not finite; the checkpoints before it stay."""
    parts = [name for name, finite in zip(PARTS, torch.isfinite(sums).tolist(), strict=True) if not finite]
    if parts or not math.isfinite(norm):
        what = f"the loss ({', '.join(parts)})" if parts else "the gradient"
        t = config.train
        raise InputError(
            f"{what} is not finite at step {step}; lower train.lr ({t.lr}) or train.clip ({t.clip}), or set "
            f"train.precision=fp32 ({t.precision}); what {config.output}/checkpoints holds is of an earlier step"
        )


class _Meter:
    """Means over the steps since the last log line."""

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.restart()

    def restart(self) -> None:
        self.losses: list[tuple[Tensor, Tensor]] = []
        self.norms: list[float] = []
        self.samples = 0
        self.began = time.perf_counter()

    def add(self, sums: Tensor, counts: Tensor, norm: float, micros: list[Batch]) -> None:
        frame_size = micros[0].codes.shape[1] // micros[0].valid.shape[1]
        self.samples += sum(int(batch.valid.sum()) for batch in micros) * frame_size
        self.losses.append((sums.double(), counts))
        self.norms.append(norm)

    def metrics(self) -> dict[str, float]:
        seconds = time.perf_counter() - self.began
        sums, counts = (torch.stack([step[i] for step in self.losses]).sum(0) for i in (0, 1))
        metrics = {
            **_means(sums, counts),
            "samples_per_second": self.samples * self.processes / seconds,
            "steps_per_second": len(self.norms) / seconds,
            "gradient_norm": sum(self.norms) / len(self.norms),
        }
        self.restart()
        return metrics


def _means(sums: Tensor, counts: Tensor) -> dict[str, float]:
    nll, advance, spectral, next_frame = (sums / counts).tolist()
    losses = {"nll_bits": bits(nll), "advance_loss": advance, "spectral_loss": spectral}
    return {**losses, "next_frame_bits": bits(next_frame)}


@torch.no_grad()
def _validate(
    accelerator: Accelerator,
    objective: torch.nn.Module,
    config: RunConfig,
    data: TrainingData,
    callbacks: Callbacks,
    state: checkpoint.LoopState,
) -> bool:
    """Losses on the fixed sequences, each process a share, then the callbacks. True if this is the best so far."""
    assert isinstance(objective, Objective)
    objective.eval()
    device = accelerator.device
    sums = torch.zeros(len(PARTS), dtype=torch.float64, device=device)
    counts = torch.zeros(len(PARTS), dtype=torch.int64, device=device)
    for batch in data.validation_batches(accelerator.process_index, accelerator.num_processes):
        moved = batch.to(device)
        sums += torch.stack(objective(moved)).double()
        counts += torch.stack(objective.counts(moved))
    sums = accelerator.reduce(sums, "sum")
    _check_finite(sums, 0.0, state.step, config)
    metrics = _means(sums, accelerator.reduce(counts, "sum"))
    metrics["minutes"] = state.seconds / 60  # without the callbacks: their time is not the training's
    better = torch.zeros((), dtype=torch.int64, device=device)
    snapshot = Snapshot(state.step, objective.model, data, config, config.output)
    if accelerator.is_main_process:
        for callback in callbacks.on_validation:
            metrics |= callback(snapshot)
        score = metrics.get("score", metrics["nll_bits"])
        if state.best is None or score <= state.best:
            state.best = score
            better += 1
            for on_best in callbacks.on_best:
                on_best(snapshot)
        shown = ", ".join(f"{key} {value:.4g}" for key, value in metrics.items() if value)
        tqdm.write(f"step {state.step}: {shown}")
    accelerator.log({f"validation/{k}": v for k, v in metrics.items()}, step=state.step)
    if accelerator.is_main_process:
        for on_logged in callbacks.on_logged:
            on_logged(snapshot)
    objective.train()
    return bool(accelerator.reduce(better, "sum") > 0)
