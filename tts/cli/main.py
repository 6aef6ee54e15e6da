"""The command `tts`: its subcommands, and what becomes of errors.

A command's module is imported when its arguments are parsed, and imports nothing heavy, so that `tts --help` and a
mistyped flag answer at once. A command that the light install cannot run is refused, with the line that installs what
it needs, before it imports more.
"""

import argparse
import importlib
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from tts._version import __version__
from tts.core.console import Parser, run_command
from tts.core.extras import require
from tts.core.threads import wait_passively

_LEARNS = ("torch", "torchaudio")
_SERVES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "onnxruntime", "av", "wyoming")

# "-4-7": argparse finds no TEXT, or one argument too many.
_TEXT_TAKEN_FOR_A_FLAG = re.compile(r"required:.* TEXT\b|unrecognized arguments:.* -\d")


class _Parser(Parser):
    default_command: str | None = None
    """The subcommand that is meant where the arguments begin with a flag, or there are none."""
    declare: "Callable[[_Parser], None] | None" = None
    """Adds the arguments, before the first are parsed."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Insert the default command where there is one."""
        if self.declare:
            declare, self.declare = self.declare, None
            declare(self)
        given = list(args or ())
        if self.default_command and (not given or (given[0].startswith("-") and given[0] not in ("-h", "--help"))):
            args = [self.default_command, *given]
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """One line instead of the usage and one line."""
        if _TEXT_TAKEN_FOR_A_FLAG.search(message):
            message += '; a text that begins with a dash goes after "--"'
        super().error(message)


def make_parser() -> argparse.ArgumentParser:
    """The parser; what it parses has a `run`, the function that carries it out, the modules that it `needs`, and the
    `extra` that installs them."""
    parser = _Parser(prog="tts", description="Digits said sample by sample, in voices learned from recordings.")
    parser.add_argument("--version", action="version", version=f"twotier-tts {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, summary: str, *needs: str, extra: str = "train") -> None:
        def declare(subparser: _Parser) -> None:
            module = importlib.import_module(f"tts.cli.{name}")
            subparser.set_defaults(run=module.run, needs=needs, extra=extra)
            module.add_arguments(subparser)
            subparser.default_command = getattr(module, "DEFAULT", None)

        commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.").declare = declare

    command("speak", "say a text")
    command("voices", "list the voices that are installed")
    command("data", "build datasets of spoken words", "datasets", "tqdm")
    command("train", "train a voice", *_LEARNS, "accelerate", "transformers", "jiwer", "matplotlib", "tqdm")
    command("recognize", "recognize the digits in audio files", "onnxruntime", extra="serve")
    command("serve", "serve speech over HTTP", *_SERVES, extra="serve")
    command("evaluate", "measure what a voice says", *_LEARNS, "accelerate", "jiwer", "matplotlib", "tqdm")
    command("plot", "plot what a voice predicts", *_LEARNS, "accelerate", "jiwer", "matplotlib", "av")
    command("bench", "measure speed on this machine")
    learns = (*_LEARNS, "accelerate", "transformers", "jiwer", "matplotlib", "tqdm")
    command("lab", "run experiments, and report them", *learns)
    command("generate", "make sound without a text", *learns)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own); returns the exit code, as `run_command` does."""
    wait_passively()

    def run() -> int | None:
        arguments = make_parser().parse_args(argv)
        require(arguments.extra, *arguments.needs)
        code: int | None = arguments.run(arguments)
        return code

    return run_command("tts", run)
