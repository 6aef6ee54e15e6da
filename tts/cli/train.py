"""`tts train` and `accelerate launch scripts/train.py`: config, data, loop, and callbacks that speak and judge."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tts.core.console import Parser, run_command
from tts.core.errors import InputError
from tts.core.files import check_folder
from tts.core.threads import wait_passively

if TYPE_CHECKING:
    from tts.training.config import RunConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("config", help="YAML file, e.g. configs/tiny.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. train.lr=1e-3 data.source=fsdd")
    parser.add_argument("--resume", action="store_true", help="resume the run in the output folder")
    parser.add_argument("--allow-batch-change", action="store_true",
                        help="resume even if a step takes another number of sequences than before")  # fmt: skip
    parser.add_argument("--overfit", metavar="FILE", help="train on one recording only: can the model learn at all?")
    parser.add_argument(
        "--text", help="what the --overfit file says; default: the words before the first _ of its name"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train. Raises: InputError for what the user can fix."""
    from tts.core import config as configs
    from tts.training.config import RunConfig

    config = configs.load(RunConfig, arguments.config, arguments.overrides)
    if arguments.text and not arguments.overfit:
        raise InputError("--text is for --overfit; give --overfit FILE as well, or leave it out")
    if arguments.allow_batch_change and not arguments.resume:
        raise InputError("--allow-batch-change is for a resumed run; give --resume as well, or leave it out")
    train(config, arguments.resume, arguments.overfit, arguments.text, arguments.allow_batch_change)
    return 0


def train(
    config: "RunConfig",
    resume: bool = False,
    overfit: str | None = None,
    text: str | None = None,
    allow_batch_change: bool = False,
) -> None:
    """Train by a config, with all callbacks: texts spoken and drawn, digits judged, the best voice kept."""
    check_folder(config.output, "output")
    from tts.evaluation.callbacks import callbacks
    from tts.training.data import load_data, one_file
    from tts.training.loop import train as loop
    from tts.training.start import started

    with started(config, resume, allow_batch_change) as start:
        if overfit:
            named, mark, _ = Path(overfit).name.partition("_")
            if not text and not (named and mark):
                raise InputError(f"the name of {overfit} does not begin with words and _; give its text with --text")
            config, data = one_file(config, Path(overfit), text or named)
            start.notes.append(f"{overfit} says {data.validation[0].text}")
        else:
            config, data = load_data(config)
        loop(config, data, callbacks(config), start=start)


def main() -> None:
    """`scripts/train.py`: the command by itself, as `accelerate launch` starts it in every process."""
    wait_passively()
    parser = Parser(description="Train a voice.")
    add_arguments(parser)
    sys.exit(run_command("tts", lambda: run(parser.parse_args()), "interrupted; resume with --resume"))
