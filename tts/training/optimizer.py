"""AdamW, its parameter groups by name pattern, the learning-rate schedule, and the moving average of the weights.

The recognizer's training (`tts.recognition.training`) uses them too.
"""

import math
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from tts.core.errors import InputError
from tts.training.config import GroupConfig, TrainConfig

Tensors = tuple[Tensor, ...] | list[Tensor]


def make_optimizer(module: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW with a parameter group for each pattern of `config.groups`, and one for all other parameters.

    Raises InputError: a pattern matches no parameter.
    """
    patterns = {**config.groups, "*": config.groups.get("*", GroupConfig())}
    members: dict[str, list[Tensor]] = {}
    for name, parameter in module.named_parameters():
        members.setdefault(next(p for p in patterns if fnmatchcase(name, p)), []).append(parameter)
    if missing := [pattern for pattern in config.groups if pattern not in members]:
        names = ", ".join(name for name, _ in module.named_parameters())
        raise InputError(f"train.groups: {missing[0]!r} is the first match of no parameter; parameters are {names}")
    groups = []
    for pattern, parameters in members.items():
        group = patterns[pattern]
        decay = config.weight_decay if group.weight_decay is None else group.weight_decay
        groups.append({"params": parameters, "lr_scale": group.lr_scale, "weight_decay": decay})
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, fused=True)


def learning_rate(step: float, config: TrainConfig) -> float:
    """The base learning rate of a step, counted from 0: linear warm-up, then half a cosine to `final_lr` x `lr`."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return config.lr * (config.final_lr + (1 - config.final_lr) * cosine)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group the base rate times its own scale."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]


def average_of(module: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of `module`; its decay grows from 0.1 to `decay`: the first steps drop out."""

    @torch.no_grad()
    def average(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + int(count)) / (10 + int(count))))

    return AveragedModel(module, multi_avg_fn=average)
