"""The training loop of every experiment: any model, any loss, to a budget, resumable, in one process or several.

A run's folder holds `curve.jsonl`, a line now and then, and `checkpoint.safetensors`, as every training's.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn
from tqdm import tqdm

from tts.core.errors import InputError
from tts.lab.experiment import CURVE, Budget, Run
from tts.training.checkpoint import LoopState, load, save
from tts.training.precision import accelerate_state
from tts.training.tracking import drop_lines_after, read_lines

LOG_EVERY = 10
"""Steps a line of the curve."""
SAVE_SECONDS = 60.0
"""Between checkpoints, if no evaluation brings one."""
CHECKPOINT = "checkpoint.safetensors"


@dataclass
class Point:
    """A line of the curve."""

    step: int
    seconds: float
    """Spent in training; evaluations are not counted."""
    loss: float
    """Mean over the steps since the line before."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Of an evaluation; empty where there was none."""
    gradients: dict[str, float] = field(default_factory=dict)
    """With `log_gradients`: the norm of each parameter's gradient."""


def draws(run: Run, step: int) -> np.random.Generator:
    """The generator of one step's batch in this process."""
    return np.random.default_rng([run.seed, step, PartialState().process_index])


def read_curve(folder: Path) -> list[Point]:
    """The curve of a run."""
    return [Point(**line) for line in read_lines(folder / CURVE)]


def fit(
    model: nn.Module,
    loss: Callable[[nn.Module, int], Tensor],
    optimizer: torch.optim.Optimizer,
    run: Run,
    evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
    evaluations: int = 5,
) -> list[Point]:
    """Train a model until the run's budget is spent; resume where its folder holds a checkpoint.

    Args: loss, of the (wrapped) model at a step, which draws its batch from `draws(run, step)` and puts it on the
        device of the model's parameters; evaluate, metrics of the model without gradients and in evaluation mode;
        evaluations, how many, evenly spread over the budget, the last one at its end.

    Returns: the curve, that of the part before a resumption included.

    Raises: InputError where the budget is empty, or the loss is not finite.
    """
    if not (run.budget.minutes or run.budget.steps):
        raise InputError(f"run {run.name} has no budget; give --minutes or --steps")
    accelerate_state()
    # A buffer may be a process's own, such as a recurrent state that the next step begins from.
    own = [DistributedDataParallelKwargs(broadcast_buffers=False)]
    accelerator = Accelerator(mixed_precision="no", kwargs_handlers=own)
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    path = run.folder / CHECKPOINT
    step, seconds = 0, 0.0
    if path.is_file():
        state = load(path).restore(model, None, optimizer)
        step, seconds = state.step, state.seconds
        print(f"tts lab: resumed at step {step}", file=sys.stderr)
    if accelerator.is_main_process:
        drop_lines_after(run.folder / CURVE, step)
    accelerator.wait_for_everyone()
    curve = read_curve(run.folder)

    def keep() -> None:
        if accelerator.is_main_process:
            save(path, model, None, optimizer, {}, LoopState(step=step, seconds=seconds))

    quiet = not accelerator.is_main_process
    bar = tqdm(total=run.budget.steps, initial=step, unit="step", desc=run.name, disable=quiet, mininterval=1.0)
    saved = time.perf_counter()
    losses: list[Tensor] = []
    spent = _share(run.budget, step, seconds, accelerator)
    done = math.floor(spent * evaluations)
    try:
        while spent < 1:
            began = time.perf_counter()
            value = loss(wrapped, step)
            optimizer.zero_grad()
            accelerator.backward(value)
            optimizer.step()
            step += 1
            losses.append(value.detach())
            seconds += time.perf_counter() - began
            bar.update()
            spent = _share(run.budget, step, seconds, accelerator)
            due = math.floor(spent * evaluations) > done or spent >= 1
            if not (due or step % LOG_EVERY == 0 or step == 1):
                continue
            mean = float(torch.stack(losses).mean())
            losses = []
            if not math.isfinite(mean):
                raise InputError(f"the loss of run {run.name} is not finite at step {step}; lower its learning rate")
            bar.set_postfix_str(f"loss {mean:.4g}")
            metrics = {}
            if due:
                done = math.floor(spent * evaluations)
                metrics = _evaluated(model, evaluate)
            gradients = _norms(model) if run.log_gradients else {}
            curve.append(Point(step, seconds, mean, metrics, gradients))
            if accelerator.is_main_process:
                with (run.folder / CURVE).open("a") as file:
                    file.write(json.dumps(asdict(curve[-1])) + "\n")
            if due or time.perf_counter() - saved > SAVE_SECONDS:
                keep()
                saved = time.perf_counter()
    except KeyboardInterrupt:
        keep()
        raise
    finally:
        bar.close()
    accelerator.wait_for_everyone()
    return curve


def _share(budget: Budget, step: int, seconds: float, accelerator: Accelerator) -> float:
    """How much of the budget is spent, alike in all processes."""
    time_spent = seconds / (60 * budget.minutes) if budget.minutes else 0.0
    spent = torch.tensor(max(time_spent, step / budget.steps if budget.steps else 0.0))
    return float(accelerator.reduce(spent.to(accelerator.device), "mean"))


@torch.no_grad()
def _evaluated(model: nn.Module, evaluate: Callable[[nn.Module], dict[str, float]] | None) -> dict[str, float]:
    if evaluate is None:
        return {}
    model.eval()
    metrics = evaluate(model)
    model.train()
    return metrics


def _norms(model: nn.Module) -> dict[str, float]:
    named = ((name, parameter.grad) for name, parameter in model.named_parameters())
    return {name: float(gradient.norm()) for name, gradient in named if gradient is not None}
