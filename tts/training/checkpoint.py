"""Checkpoints: one safetensors file each, replaced in one step, so that `latest` and `best` are whole at any moment.

Tensors are named `objective.*` (weights), `ema.*` (averaged weights) and `optimizer.*` (AdamW's moments); the file's
metadata holds the resolved config and the loop's state as JSON. No random state is kept: every draw of a run is a
function of its seed and the batch's number.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from tts.core.errors import InputError
from tts.core.files import atomic_write, is_folder
from tts.voice.folder import read_arrays, read_config

INPUTS, ADVANCE = "model.rnn.weight_ih_l0", "model.advance."
FORMAT = "twotier-tts checkpoint 2"


@dataclass
class LoopState:
    """Where a run is."""

    step: int = 0
    """Steps done."""
    best: float | None = None
    """The best value so far of the metric that chooses `best`; lower is better."""
    seconds: float = 0.0
    """Spent in the steps and validations so far; another run takes another time."""
    sequences_per_step: int | None = None
    """Over all micro-batches and processes; None: the checkpoint is of a version that did not store it."""


def save(
    path: Path,
    objective: nn.Module,
    ema: nn.Module | None,
    optimizer: Optimizer,
    config: dict[str, Any],
    state: LoopState,
) -> None:
    """Write a checkpoint; an older one there stays until it is on the disk. Raises InputError for a NaN or infinity."""
    tensors = {f"objective.{name}": tensor for name, tensor in objective.state_dict().items()}
    if ema is not None:
        tensors |= {f"ema.{name}": tensor for name, tensor in ema.state_dict().items()}
    for name, parameter in objective.named_parameters():
        for key, tensor in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{name}.{key}"] = tensor
    # Contiguous copies: tied or strided tensors (an RNN's flattened weights) are refused by safetensors.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise InputError(f"{name} is not finite after step {state.step}, so {path} stays as it is; lower train.lr")
    metadata = {"format": FORMAT, "config": json.dumps(config), "state": json.dumps(vars(state))}
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, to_bytes(tensors, metadata))


def clean(folder: Path) -> None:
    """Remove what a killed run left half-written in a checkpoint folder: temporary files, also of earlier versions."""
    for pattern in (".*.safetensors.*", ".tmp*"):
        for path in folder.glob(pattern):
            path.unlink()


@dataclass
class Checkpoint:
    """A checkpoint as read: its config (nested dicts), loop state and tensors by name."""

    config: dict[str, Any]
    state: LoopState
    tensors: dict[str, Tensor]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under `prefix`, e.g. "objective.", with the prefix cut off."""
        return {name[len(prefix) :]: t for name, t in self.tensors.items() if name.startswith(prefix)}

    def restore(self, objective: nn.Module, ema: nn.Module | None, optimizer: Optimizer) -> LoopState:
        """Put weights, averaged weights and the optimizer's moments back; returns the loop's state."""
        objective.load_state_dict(self.part("objective."))
        if ema is not None:
            ema.load_state_dict(self.part("ema."))
        for name, parameter in objective.named_parameters():
            moments = self.part(f"optimizer.{name}.")
            # AdamW counts its steps on the CPU unless it is fused on a GPU.
            optimizer.state[parameter] = {key: tensor.to(parameter.device) for key, tensor in moments.items()}
        return self.state


def begin_from(path: Path, objective: nn.Module) -> None:
    """Put the weights alone of a checkpoint, averaged ones where there are any, or of a voice into a new training.

    The model may have grown: parameters that are not there keep their initial values, and so does the layer of the
    advance bit where it has other inputs; new inputs of the frame tier get weights of zero.

    Raises InputError: it is neither, damaged, or of a model of another shape.
    """
    weights = _voice_weights(path) if is_folder(path) else None
    if weights is None:
        checkpoint = load(path)
        weights = checkpoint.part("ema.module.") or checkpoint.part("objective.")
    own = objective.state_dict()
    for name in own.keys() & weights.keys():
        old, new = weights[name].shape, own[name].shape
        if name == INPUTS and old[0] == new[0] and old[1] < new[1]:
            weights[name] = functional.pad(weights[name], (0, new[1] - old[1]))
        elif name.startswith(ADVANCE) and old != new:
            del weights[name]
    try:
        objective.load_state_dict({**own, **weights})
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise InputError(f"train.start_from: {path} is of another model: {first}") from error


def _voice_weights(folder: Path) -> dict[str, Tensor]:
    arrays, _ = read_arrays(folder, read_config(folder))
    return {f"model.{name}": torch.from_numpy(np.asarray(array, np.float32)) for name, array in arrays.items()}


def load(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises InputError for no such file, one cut short, or no checkpoint of this project."""
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}; train one with `tts train CONFIG`")
    try:
        # Opened once: safetensors' own reader opens a file by name twice, and a training that replaces it in between
        # would give the header of one checkpoint and the tensors of the next.
        content = path.read_bytes()
        tensors = parse(content)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged or no safetensors file ({error}); use another checkpoint") from error
    # The format: 8 bytes of the header's length, the header as JSON, the tensors.
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata = header.get("__metadata__", {})
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path} is no checkpoint of this version; train anew or use the version that wrote it")
    return Checkpoint(json.loads(metadata["config"]), LoopState(**json.loads(metadata["state"])), tensors)
