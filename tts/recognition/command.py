"""The command line of the scripts that train a recognizer."""

import shlex
import sys
from collections.abc import Callable
from typing import Any

from tts.core import config as configs
from tts.core.console import run_command
from tts.core.files import check_folder, new_folder


def train_by_command(program: str, usage: str | None, kind: type, train: Callable[[Any, str], None]) -> int:
    """A script that takes a config and key=value, and trains. Returns: the exit code.

    Args: usage, what it prints for --help; kind, of the config, which has an `out`; train, gets it and the command.
    """

    def run() -> int:
        if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
            print(usage)
            return 0 if len(sys.argv) > 1 else 2
        config: Any = configs.load(kind, sys.argv[1], sys.argv[2:])
        check_folder(config.out, "out")
        with new_folder(config.out):
            train(config, shlex.join(["python", *sys.argv]))
        return 0

    return run_command(program, run, "interrupted; the best weights so far are in the output folder")
