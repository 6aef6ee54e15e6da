"""`tts bench [speak|train]`: a table, and the same as JSON and Markdown. Without a subcommand it is `speak`."""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tts.core.errors import InputError
from tts.core.extras import require
from tts.core.files import check_new_file, failure, is_file, is_folder, path_argument, path_text, write_together

BUSY = 0.5
"""A load average above this makes the numbers too low."""
DEFAULT = "speak"

Form = Callable[[dict[str, Any]], str]
Measured = tuple[dict[str, Any], Form, Form]
"""A report, and its forms for a terminal and as Markdown."""
Bench = Callable[[argparse.Namespace], Measured]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands of `tts bench` and their flags."""
    what = parser.add_subparsers(required=True, metavar="speak|train")
    speak = what.add_parser("speak", help="samples a second of a voice (where no subcommand is named, it is this one)")
    speak.add_argument("--voice", metavar="VOICE", help="a name (see `tts voices`), a folder or a Hugging Face Hub id")
    speak.add_argument("--rows", metavar="ROW,…", help="only these, e.g. native,cold; default: all")
    in_row = "texts at a time in the row native-many (default: %(default)s)"
    speak.add_argument("--streams", type=int, default=32, metavar="N", help=in_row)
    in_row = "and in the row torch-many (default: %(default)s)"
    speak.add_argument("--torch-streams", type=int, default=256, metavar="N", help=in_row)
    _add_common_arguments(speak, _run_speak, "of the rows with many streams (default: one for each core)")

    train = what.add_parser("train", help="samples a second of a training, beside a plain SampleRNN's")
    config = "YAML of the run that is measured (default: the defaults)"
    train.add_argument("--config", type=path_text, metavar="FILE", help=config)
    train.add_argument("--source", type=path_text, metavar="DIR", help="FSDD's folder, for --samples")
    learn = "also train both on N samples of the corpus, and compare their likelihoods of held-out sequences"
    train.add_argument("--samples", type=float, default=0, metavar="N", help=learn)
    _add_common_arguments(train, _run_train, "of both trainings (default: one for each core)")


def _add_common_arguments(parser: argparse.ArgumentParser, bench: Bench, threads: str) -> None:
    timed = "how long each row is timed (default: %(default)s)"
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help=timed)
    parser.add_argument("--threads", type=int, metavar="N", help=threads)
    parser.add_argument("--out", type=path_argument, metavar="FILE", help="write everything as JSON")
    parser.add_argument("--markdown", type=path_argument, metavar="FILE", help="write the tables as Markdown")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    parser.set_defaults(bench=bench)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write; 1 if a row failed. Raises InputError for the user's mistakes, before it measures."""
    from tts.core.machine import cores

    if not (math.isfinite(arguments.seconds) and 0 < arguments.seconds <= 3600):
        raise InputError(f"--seconds is {arguments.seconds}; it must lie between 0 and 3600")
    for flag in ("threads", "streams", "torch_streams"):
        value = getattr(arguments, flag, None)
        if value is not None and not 1 <= value <= 100_000:
            raise InputError(f"--{flag.replace('_', '-')} is {value}; it must lie between 1 and 100000")
    if (arguments.threads or 1) > len(cores()):
        raise InputError(f"--threads is {arguments.threads}; this process may use {len(cores())} cores")
    for path in (arguments.out, arguments.markdown):
        if path:
            check_new_file(path, arguments.force)
    if arguments.out and arguments.out == arguments.markdown:
        raise InputError(f"--out and --markdown both name {arguments.out}; give each a file of its own")
    report, as_text, as_markdown = arguments.bench(arguments)
    print(as_text(report))
    forms: dict[Path, str] = {}
    if arguments.out:
        forms[arguments.out] = json.dumps(report, indent=2) + "\n"
    if arguments.markdown:
        forms[arguments.markdown] = as_markdown(report)
    try:
        write_together({path: form.encode(errors="backslashreplace") for path, form in forms.items()})
    except OSError as error:
        raise InputError(f"cannot write {failure(error)}") from error
    rows = report["rows"].values() if isinstance(report["rows"], dict) else report["rows"]
    return int(any("failed" in found for found in [*rows, report.get("limits", {})]))


def _run_speak(arguments: argparse.Namespace) -> Measured:
    from tts.bench.report import as_markdown, as_text, measure
    from tts.bench.rows import ROWS, Settings
    from tts.voice import load_voice

    names = list(ROWS) if arguments.rows is None else [name.strip() for name in arguments.rows.split(",")]
    if unknown := [name for name in names if name not in ROWS]:
        raise InputError(f"--rows names {unknown[0]!r}; the rows are {', '.join(ROWS)}")
    a = arguments
    settings = Settings(a.voice, a.seconds, a.streams, a.torch_streams, a.threads)
    voice = load_voice(a.voice)
    _warn_of_load()
    return measure(voice, settings, names), as_text, as_markdown


def _run_train(arguments: argparse.Namespace) -> Measured:
    if not (math.isfinite(arguments.samples) and 0 <= arguments.samples <= 1e12):
        raise InputError(f"--samples is {arguments.samples}; it must be a number of samples from 0 to 1e12")
    if bool(arguments.samples) != bool(arguments.source):
        raise InputError("--samples and --source go together: give both, e.g. --source FSDD --samples 3e6, or neither")
    if arguments.source and not is_folder(arguments.source):
        raise InputError(f"--source {arguments.source}: there is no such folder; give FSDD's")
    if arguments.config and not is_file(arguments.config):
        raise InputError(f"--config {arguments.config}: there is no such file; e.g. configs/fsdd.yaml")
    require("train", "torch", "torchaudio", "accelerate", "transformers", "tqdm")
    from tts.bench.training import Settings, precision_reason
    from tts.bench.training_report import as_markdown, as_text, measure
    from tts.core.machine import cores

    threads = arguments.threads or len(cores())
    settings = Settings(arguments.config, arguments.seconds, threads, arguments.source, int(arguments.samples))
    if reason := precision_reason(settings):
        print(f"tts: {reason}", file=sys.stderr)
    _warn_of_load()
    return measure(settings), as_text, as_markdown


def _warn_of_load() -> None:
    load = os.getloadavg()[0]
    if load > BUSY:
        message = f"the load average is {load:.1f}: other work is running, and the numbers will be too low"
        print(f"tts: warning: {message}", file=sys.stderr)
