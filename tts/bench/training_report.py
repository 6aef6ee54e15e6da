"""The command `tts bench train`: what a training takes in a second, beside a plain SampleRNN's."""

import argparse
import json
import math
import os
import sys
from typing import TYPE_CHECKING, Any

from tts.core.errors import InputError
from tts.core.files import is_file, is_folder, path_text

if TYPE_CHECKING:
    from tts.bench.tables import Table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that `tts bench train` alone has."""
    group = parser.add_argument_group("train", "flags of tts bench train alone")
    group.add_argument(
        "--config", type=path_text, metavar="FILE", help="YAML of the run that is measured (default: the defaults)"
    )
    group.add_argument("--source", type=path_text, metavar="DIR", help="FSDD's folder, for --hear")
    group.add_argument(
        "--hear",
        type=float,
        default=0,
        metavar="N",
        help="train both on N samples of the corpus too, and compare their likelihoods of what they never heard",
    )


def refuse(arguments: argparse.Namespace) -> None:
    """Raises InputError for flags of `tts bench train` where it is not asked for."""
    for flag in ("config", "source", "hear"):
        if getattr(arguments, flag):
            raise InputError(f"--{flag} is a flag of tts bench train; leave it out, or write tts bench train")


def check(arguments: argparse.Namespace) -> None:
    """Raises InputError for flags that make no sense."""
    for flag in ("voice", "rows"):
        if getattr(arguments, flag) is not None:
            raise InputError(f"--{flag} is a flag of tts bench, not of tts bench train; leave it out")
    if not (math.isfinite(arguments.hear) and 0 <= arguments.hear <= 1e12):
        raise InputError(f"--hear is {arguments.hear}; it must be a number of samples from 0 to 1e12")
    if bool(arguments.hear) != bool(arguments.source):
        raise InputError("--hear and --source go together: give both, e.g. --source FSDD --hear 3e6, or neither")
    if arguments.source and not is_folder(arguments.source):
        raise InputError(f"--source {arguments.source}: there is no such folder; give FSDD's")
    if arguments.config and not is_file(arguments.config):
        raise InputError(f"--config {arguments.config}: there is no such file; e.g. configs/fsdd.yaml")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures: rows, machine, versions. Raises InputError for a config or a precision that cannot be had."""
    from datetime import UTC, datetime

    from tts._version import __version__
    from tts.bench.training import Settings
    from tts.bench.training import measure as measure_rows
    from tts.core import machine

    _say_precision(arguments.config)
    threads = arguments.threads or len(machine.cores())
    settings = Settings(arguments.config, arguments.seconds, threads, arguments.source, int(arguments.hear))
    report: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "version": __version__,
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "settings": {"config": arguments.config, "threads": threads, "hear": int(arguments.hear)},
        "rows": measure_rows(settings),
    }
    report["machine"]["load_average_after"] = round(os.getloadavg()[0], 2)
    return report


def _say_precision(config: str | None) -> None:
    """Settle it before anything is measured; the row in a process of its own comes to the same."""
    from tts.core import config as configs
    from tts.training.config import RunConfig
    from tts.training.precision import accelerate_state, resolve

    _, reason = resolve(configs.load(RunConfig, config).train.precision, accelerate_state().device)
    if reason:
        print(f"tts: {reason}", file=sys.stderr)


def table(report: dict[str, Any]) -> "Table":
    """A row for each training."""
    from tts.bench.training import ROWS

    header = [
        "training step",
        "precision",
        "samples/s",
        "step",
        "multiply-adds a sample",
        "of the matrix rate",
        "memory",
    ]
    if report["settings"]["hear"]:
        header += ["heard", "bits per sample"]
    rows = []
    for name, row in report["rows"].items():
        if "failed" in row:
            rows.append([ROWS[name], f"failed: {row['failed']}", *[""] * (len(header) - 2)])
            continue
        cells = [
            row["precision"],
            f"{row['samples_per_second']:,.0f}",
            f"{row['step_ms']:,.0f} ms",
            f"{row['multiply_adds_per_sample']:,.0f}",
            f"{100 * row['share_of_matrix_rate']:.0f} % of {row['matrix_rate'] / 1e9:,.0f} G/s",
            f"{row['memory_mb']:,.0f} MB",
        ]
        if report["settings"]["hear"]:
            cells += [f"{row['nll']['heard']:,}", f"{row['nll']['bits']:.3f}"]
        rows.append([ROWS[name], *cells])
    return header, rows


def about(report: dict[str, Any]) -> str:
    """One paragraph: where and with what; and the ratio of the two."""
    where, settings = report["machine"], report["settings"]
    found = ", ".join(f"{name} {version}" for name, version in report["versions"].items() if version)
    commit = f", commit {report['commit']}" if report["commit"] else ""
    speeds = [row.get("samples_per_second") for row in report["rows"].values()]
    ratio = f" Ours takes in {speeds[0] / speeds[1]:.1f} times as many samples a second." if all(speeds) else ""
    return (
        f"{where['processor']}, {where['cores']} cores, {settings['threads']} thread(s), "
        f"GPU: {where['gpu'] or 'none'}; config {settings['config'] or 'defaults'}; "
        f"twotier-tts {report['version']}{commit}, {found}; load average {where['load_average']} before, "
        f"{where['load_average_after']} after; {report['date']}.{ratio}"
    )


def as_text(report: dict[str, Any]) -> str:
    """For a terminal."""
    from tts.bench.tables import aligned

    return f"{about(report)}\n\n{aligned(*table(report))}"


def as_markdown(report: dict[str, Any]) -> str:
    """A page that says how it was made."""
    from tts.bench.tables import piped

    settings = report["settings"]
    flags = f" --config {settings['config']}" if settings["config"] else ""
    flags += f" --source FSDD --hear {settings['hear']}" if settings["hear"] else ""
    parts = [
        "# What `tts bench train` measured",
        f"Written by `tts bench train{flags} --threads {settings['threads']}`; what the columns mean is said in "
        "[training.md](../training.md).",
        about(report),
        piped(*table(report)),
    ]
    return "\n\n".join(parts) + "\n"


def as_json(report: dict[str, Any]) -> str:
    """All figures."""
    return json.dumps(report, indent=2) + "\n"
