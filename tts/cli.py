"""The command `tts`: its subcommands, and what becomes of errors. What they do lies in the modules that they name.

Parsing imports nothing heavy, so that `tts --help` and a mistyped flag answer at once.
"""

import argparse
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

import data_recipes.cli
import tts.bench.cli
import tts.evaluation.cli
import tts.speak
import tts.train
import tts.voices_command
from tts._version import __version__
from tts.console import Parser, run_command
from tts.threads import wait_passively

Run = Callable[[argparse.Namespace], int]

# "-4-7": argparse finds no TEXT, or one argument too many.
_TEXT_TAKEN_FOR_A_FLAG = re.compile(r"required:.* TEXT\b|unrecognized arguments:.* -\d")


class _Parser(Parser):
    def error(self, message: str) -> NoReturn:
        """One line instead of the usage and one line."""
        if _TEXT_TAKEN_FOR_A_FLAG.search(message):
            message += '; a text that begins with a dash goes after "--"'
        super().error(message)


def make_parser() -> argparse.ArgumentParser:
    """The parser; what it parses has a `run`, the function that carries it out."""
    parser = _Parser(prog="tts", description="Digits said sample by sample, in voices learned from recordings.")
    parser.add_argument("--version", action="version", version=f"twotier-tts {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, summary: str, add: Callable[[argparse.ArgumentParser], None], run: Run) -> None:
        subparser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        add(subparser)
        subparser.set_defaults(run=run)

    command("speak", "say a text", tts.speak.add_arguments, tts.speak.run)
    command("voices", "list the voices that are installed", tts.voices_command.add_arguments, tts.voices_command.run)
    command("data", "build datasets of spoken digits", data_recipes.cli.add_arguments, data_recipes.cli.run)
    command("train", "train a voice", tts.train.add_arguments, tts.train.run)
    command("recognize", "read digits back from audio", tts.evaluation.cli.add_arguments, tts.evaluation.cli.run)
    judge = tts.evaluation.cli
    command("evaluate", "measure what a voice says", judge.add_evaluate_arguments, judge.run_evaluate)
    command("bench", "measure how fast a voice speaks here", tts.bench.cli.add_arguments, tts.bench.cli.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own); returns the exit code, as `run_command` does."""
    wait_passively()

    def run() -> int:
        arguments = make_parser().parse_args(argv)
        code: int = arguments.run(arguments)
        return code

    return run_command("tts", run)
