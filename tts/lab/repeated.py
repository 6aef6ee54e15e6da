"""Kind `repeated`: one training of the kind `samples` twice from the same seed, number for number."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from tts.core.config import Range, check
from tts.core.errors import InputError
from tts.lab import samples
from tts.lab.experiment import Run, Values


@dataclass(frozen=True)
class Settings:
    """Of one run."""

    source: Path | None = None
    """A folder of recordings; it must be given."""
    training: samples.Settings = field(default_factory=samples.Settings)
    """What is trained; its `source` and `updates` are those of here."""
    updates: Annotated[int, Range(1, 10**6)] = 20
    """Of each training, so many: two with one budget of minutes would differ."""
    generated: Annotated[int, Range(1, 10**6)] = 800
    """Samples that each draws afterwards."""

    def __post_init__(self) -> None:
        check(self)


def run(settings: Settings, run: Run) -> Values:
    """Train and generate twice; returns the row, with what was equal. Raises: InputError for too small a budget."""
    s = replace(settings.training, source=settings.source, updates=settings.updates)
    data = samples.read_data(s)
    found = [_once(s, settings.generated, replace(run, folder=run.folder / part), data) for part in ("first", "second")]
    (losses, codes), (other_losses, other_codes) = found
    if len(losses) != len(other_losses):
        raise InputError(f"the budget of run {run.name} ended one training before the other; give it more minutes")
    differing = sum(a != b for a, b in zip(losses, other_losses, strict=True))
    return {
        "losses": len(losses),
        "losses_that_differ": differing,
        "samples_generated": codes.numel(),
        "samples_that_differ": int((codes != other_codes).sum()),
        "last_loss": losses[-1],
        "digest": hashlib.sha256(codes.numpy().tobytes()).hexdigest()[:12],
    }


def _once(settings: samples.Settings, count: int, run: Run, data: samples.Data) -> tuple[list[float], Tensor]:
    """The losses of the curve, and the codes that are generated afterwards."""
    run.folder.mkdir(exist_ok=True)
    torch.manual_seed(run.seed)
    model, curve = samples.train(settings, run, data)
    seed = data.train[None, : 2 * (model.context + model.block)].to(model.carried.device)
    generator = torch.Generator().manual_seed(run.seed)
    return [point.loss for point in curve], model.generate(seed, count, generator).cpu()
