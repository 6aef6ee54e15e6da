"""Where the arguments of `accelerate launch` contradict a training's config."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tts.core.errors import InputError
from tts.training.config import TrainConfig

PLUGINS = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism config",
}


def refuse_plugins(environment: Mapping[str, str] = os.environ) -> None:
    """Raises InputError where the launcher's arguments ask for anything but data parallelism."""
    for variable, name in PLUGINS.items():
        if environment.get(variable, "false").lower() == "true":
            raise InputError(
                f"accelerate launch asks for {name}; this training has data parallelism alone: leave it out, with "
                "--multi_gpu --num_processes N where there are many GPUs"
            )


def conflicts(
    train: TrainConfig,
    precision: str,
    environment: Mapping[str, str] = os.environ,
    arguments: Sequence[str] | None = None,
) -> list[str]:
    """One line for each argument of `accelerate launch` that contradicts the config, which holds.

    Args: precision, what `train.precision` came to; environment, what the launcher sets, whose defaults ("no", one
        thread) contradict nothing; arguments, its own command line, which it does not pass on; None: look for it.
    """
    lines = []

    def compare(flag: str, given: str, default: str, key: str, value: str) -> None:
        if given.lower() not in ("", default, value):
            lines.append(f"accelerate launch has {flag} {given}, the config {key}={value}; the config holds")

    compare("--mixed_precision", environment.get("ACCELERATE_MIXED_PRECISION", ""), "no", "train.precision", precision)
    if "ACCELERATE_MIXED_PRECISION" in environment and train.threads:
        threads = environment.get("OMP_NUM_THREADS", "")
        compare("--num_cpu_threads_per_process", threads, "1", "train.threads", str(train.threads))
    accumulation = environment.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "")
    if not accumulation:
        words = launcher_arguments() if arguments is None else arguments
        for word, following in zip(words, [*words[1:], ""], strict=False):
            name, _, value = word.partition("=")
            if name.replace("-", "_") == "__gradient_accumulation_steps":
                accumulation = value or following
                break
    compare("--gradient_accumulation_steps", accumulation, "", "train.accumulation", str(train.accumulation))
    return lines


def launcher_arguments() -> list[str]:
    """The command line of the `accelerate launch` that started this process; empty if none did or it cannot be read."""
    try:
        words = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
    return words if any("accelerate" in word for word in words[:3]) else []
