"""The command `tts bench`: a table, and the same as JSON and Markdown."""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable

from tts.bench import training_report as train_cli
from tts.core.errors import InputError
from tts.core.files import check_new_file, failure, path_argument, write_together

BUSY = 0.5  # the load average above which figures are not to be believed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `tts bench`."""
    parser.add_argument(
        "what",
        nargs="?",
        choices=("speak", "train"),
        default="speak",
        help="how fast a voice speaks, or a training is beside a plain SampleRNN's (default: %(default)s)",
    )
    parser.add_argument("--voice", metavar="VOICE", help="a name (see `tts voices`), a folder or a Hugging Face Hub id")
    parser.add_argument("--rows", metavar="ROW,…", help="only these, e.g. native,cold; default: all")
    parser.add_argument(
        "--seconds",
        type=float,
        default=10.0,
        metavar="S",
        help="how long each is timed, at least (default: %(default)s)",
    )
    parser.add_argument(
        "--streams",
        type=int,
        default=32,
        metavar="N",
        help="texts at a time in the row native-many (default: %(default)s)",
    )
    parser.add_argument(
        "--torch-streams", type=int, default=256, metavar="N", help="and in the row torch-many (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="of the row native-many (default: one for each core)")
    parser.add_argument("--out", type=path_argument, metavar="FILE", help="write everything as JSON")
    parser.add_argument("--markdown", type=path_argument, metavar="FILE", help="write the tables as Markdown")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    train_cli.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write; 1 if a row failed. Raises InputError for what the user can mend, before it measures."""
    _check(arguments)
    return _run_train(arguments) if arguments.what == "train" else _run_speak(arguments)


def _check(arguments: argparse.Namespace) -> None:
    from tts.core.machine import cores

    if not (math.isfinite(arguments.seconds) and 0 < arguments.seconds <= 3600):
        raise InputError(f"--seconds is {arguments.seconds}; it must lie between 0 and 3600")
    for flag in ("streams", "torch_streams", "threads"):
        value = getattr(arguments, flag)
        if value is not None and not 1 <= value <= 100_000:
            raise InputError(f"--{flag.replace('_', '-')} is {value}; it must lie between 1 and 100000")
    if (arguments.threads or 1) > len(cores()):
        raise InputError(f"--threads is {arguments.threads}; this process may use {len(cores())} cores")
    for path in (arguments.out, arguments.markdown):
        if path:
            check_new_file(path, arguments.force)
    if arguments.out and arguments.out == arguments.markdown:
        raise InputError(f"--out and --markdown both name {arguments.out}; give each a file of its own")


def _run_speak(arguments: argparse.Namespace) -> int:
    from tts.bench.report import as_markdown, as_text, measure
    from tts.bench.rows import ROWS, Settings
    from tts.voice import load_voice

    names = list(ROWS) if arguments.rows is None else [name.strip() for name in arguments.rows.split(",")]
    if unknown := [name for name in names if name not in ROWS]:
        raise InputError(f"--rows names {unknown[0]!r}; the rows are {', '.join(ROWS)}")
    train_cli.refuse(arguments)
    settings = Settings(
        voice=arguments.voice,
        seconds=arguments.seconds,
        streams=arguments.streams,
        torch_streams=arguments.torch_streams,
        threads=arguments.threads,
    )
    voice = load_voice(arguments.voice)
    _warn_of_load()
    report = measure(voice, settings, names)
    print(as_text(report))
    _write(arguments, lambda: json.dumps(report, indent=2) + "\n", lambda: as_markdown(report))
    return int(any("failed" in found for found in [*report["rows"], report.get("limits", {})]))


def _run_train(arguments: argparse.Namespace) -> int:
    train_cli.check(arguments)
    _warn_of_load()
    report = train_cli.measure(arguments)
    print(train_cli.as_text(report))
    _write(arguments, lambda: train_cli.as_json(report), lambda: train_cli.as_markdown(report))
    return int(any("failed" in row for row in report["rows"].values()))


def _warn_of_load() -> None:
    load = os.getloadavg()[0]
    if load > BUSY:
        print(
            f"tts: warning: the load average is {load:.1f}: other work is running, and the figures will be too low",
            file=sys.stderr,
        )


def _write(arguments: argparse.Namespace, as_json: Callable[[], str], as_markdown: Callable[[], str]) -> None:
    forms = {arguments.out: as_json, arguments.markdown: as_markdown}
    try:
        write_together({path: form().encode(errors="backslashreplace") for path, form in forms.items() if path})
    except OSError as error:
        raise InputError(f"cannot write {failure(error)}") from error
