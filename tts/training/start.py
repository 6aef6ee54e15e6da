"""What a training decides before any data is read: its folder, the checkpoint to resume, precision, batch."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object

from tts.core import config as configs
from tts.core.errors import InputError
from tts.core.files import is_file, is_folder
from tts.training import checkpoint, launcher
from tts.training.config import RunConfig, TrainConfig
from tts.training.folder import RunFolder, opened
from tts.training.precision import Precision, accelerate_state, resolve

# A resumed run may change these: they change no number of a step, or are what it is resumed for (more steps). The
# precision is checked when it is resolved.
FREE_ON_RESUME = (
    "name", "output", "data.source", "train.steps", "train.workers", "train.log_every", "train.validate_every",
    "train.checkpoint_every", "train.threads", "train.precision", "validation", "sampling",
)  # fmt: skip
BATCH = ("train.batch_size", "train.accumulation")
"""It may change these where the sequences of a step stay as many."""


@dataclass
class Start:
    """What was decided."""

    precision: Precision
    resumed: checkpoint.Checkpoint | None
    """What the run resumes from; None: a new run."""
    folder: RunFolder
    """Of use in the main process only."""
    notes: list[str]
    """Lines that the main process prints when the run begins."""
    allow_batch_change: bool = False


@contextmanager
def started(config: RunConfig, resume: bool = False, allow_batch_change: bool = False) -> Iterator[Start]:
    """Decide it, and hold the output folder's lock for the block. Run it in every process.

    Args: resume, the run in `config.output`; allow_batch_change, even where a step takes another number of sequences.

    Raises: InputError where another process trains in the folder; it holds a run and `resume` is False; it holds none
        to resume; the device has not the precision; the step would take another number of sequences. Of several
        processes only the main one raises it, the others end with exit code 2.
    """
    launcher.refuse_plugins()  # before accelerate looks for them
    state = accelerate_state()
    with ExitStack() as stack:
        start, refusal = None, None
        try:
            folder = stack.enter_context(opened(config.output)) if state.is_main_process else RunFolder()
            start = _decide(config, resume, allow_batch_change, state, folder)
        except InputError as error:
            refusal = str(error)
        refusals = [line for line in gather_object([refusal]) if line]
        if refusals and not state.is_main_process:
            sys.exit(2)
        if refusals:
            raise InputError(refusals[0])
        assert start is not None, "no process refused"
        yield start


def _decide(config: RunConfig, resume: bool, allow_batch_change: bool, state: PartialState, folder: RunFolder) -> Start:
    latest = config.output / "checkpoints" / "latest.safetensors"
    if resume and not latest.exists():
        raise InputError(f"no checkpoint at {latest} to resume from; start without --resume")
    if not resume and latest.exists():
        raise InputError(f"{config.output} holds a run; give --resume to resume it, or another output=FOLDER")
    resumed = checkpoint.load(latest) if resume else None
    first = config.train.start_from
    if first and not resumed and not (is_file(first) or is_folder(first)):
        raise InputError(f"train.start_from is {first}, and nothing is there; give a checkpoint or a voice's folder")
    stored = resumed.config["train"].get("precision") if resumed else None
    precision, reason = resolve(config.train.precision, state.device, stored)
    if resumed and not allow_batch_change:
        check_batch(config.train, state.num_processes, resumed.state.sequences_per_step)
    notes = [reason] * bool(reason) + [f"warning: {line}" for line in launcher.conflicts(config.train, precision)]
    return Start(precision, resumed, folder, notes, allow_batch_change)


def sequences_per_step(train: TrainConfig, processes: int) -> int:
    """How many sequences a step takes over all processes."""
    return train.batch_size * train.accumulation * processes


def check_batch(train: TrainConfig, processes: int, before: int | None) -> None:
    """Raises InputError if a step would take another number of sequences than `before`, with the values that keep it.

    `before` is None where the checkpoint's version did not store it.
    """
    now = sequences_per_step(train, processes)
    if before is None or now == before:
        return
    size, remainder = divmod(before, train.accumulation * processes)
    if not remainder:
        keep = f"give train.batch_size={size} to keep it"
    elif before % processes == 0:
        keep = f"give train.batch_size={before // processes} train.accumulation=1 to keep it"
    else:
        keep = f"take a number of processes that divides {before} to keep it"
    raise InputError(
        f"a step of this run takes {before} sequences; with train.batch_size={train.batch_size}, "
        f"train.accumulation={train.accumulation} and {processes} process(es) it would take {now}; {keep}, or "
        "--allow-batch-change to change it"
    )


def check_config(config: RunConfig, start: Start) -> None:
    """Raises InputError if a resumed run's config, with its sizes filled in, changes what must stay."""
    if start.resumed is None:
        return
    known = start.resumed.state.sequences_per_step is not None
    free = FREE_ON_RESUME + BATCH * (known or start.allow_batch_change)
    # A key that the checkpoint's version did not have had its default.
    old, new = _flat(configs.to_dict(RunConfig())) | _flat(start.resumed.config), _flat(configs.to_dict(config))
    differences = {key for key in old | new if old.get(key) != new.get(key)}
    if changed := sorted(key for key in differences if not f"{key}.".startswith(tuple(f"{f}." for f in free))):
        raise InputError(
            f"{config.output}/checkpoints/latest.safetensors is of another config: {', '.join(changed)} differ; "
            f"use its own {config.output}/config.yaml"
        )


def _flat(tree: dict[str, Any], where: str = "") -> dict[str, Any]:
    """The values of nested dicts by dotted key."""
    values: dict[str, Any] = {}
    for key, value in tree.items():
        values |= _flat(value, f"{where}{key}.") if isinstance(value, dict) else {f"{where}{key}": value}
    return values
