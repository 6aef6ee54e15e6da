"""The command `tts`: its subcommands, and what becomes of errors. What they do lies in the modules that they name.

Parsing imports nothing heavy, so that `tts --help` and a mistyped flag answer at once.
"""

import argparse
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

import tts.cli.bench
import tts.cli.data
import tts.cli.evaluate
import tts.cli.speak
import tts.cli.train
import tts.cli.voices
from tts._version import __version__
from tts.core.console import Parser, run_command
from tts.core.threads import wait_passively

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

    command("speak", "say a text", tts.cli.speak.add_arguments, tts.cli.speak.run)
    command("voices", "list the voices that are installed", tts.cli.voices.add_arguments, tts.cli.voices.run)
    command("data", "build datasets of spoken digits", tts.cli.data.add_arguments, tts.cli.data.run)
    command("train", "train a voice", tts.cli.train.add_arguments, tts.cli.train.run)
    command("recognize", "read digits back from audio", tts.cli.evaluate.add_arguments, tts.cli.evaluate.run)
    judge = tts.cli.evaluate
    command("evaluate", "measure what a voice says", judge.add_evaluate_arguments, judge.run_evaluate)
    command("bench", "measure how fast a voice speaks here", tts.cli.bench.add_arguments, tts.cli.bench.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own); returns the exit code, as `run_command` does."""
    wait_passively()

    def run() -> int:
        arguments = make_parser().parse_args(argv)
        code: int = arguments.run(arguments)
        return code

    return run_command("tts", run)
