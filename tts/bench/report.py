"""A whole benchmark: the rows, the machine and the versions, and how they are shown."""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from tts.bench.rows import ROWS, Engine, Settings, measure_in_process, measure_limits
from tts.bench.tables import Table, aligned, piped
from tts.core.machine import add_load_after, circumstances, cores, described
from tts.voice import Voice

FORMAT_VERSION = 1

Report = dict[str, Any]


def measure(voice: Voice, settings: Settings, names: Sequence[str]) -> Report:
    """Measure the rows one after the other; on a terminal, a line on stderr says which.

    Args:
        voice: that of `settings`.
        settings: the flags.
        names: keys of `ROWS`.
    """
    report: Report = {
        "format_version": FORMAT_VERSION,
        **circumstances(),
        "voice": {
            "name": voice.name,
            "sample_rate": voice.sample_rate,
            "model": dataclasses.asdict(voice.config.model),
        },
        "settings": dataclasses.asdict(settings) | {"voice": voice.name},
        "rows": [],
    }
    for number, name in enumerate(names, 1):
        if sys.stderr.isatty():
            print(f"measuring {name}, row {number} of {len(names)}", file=sys.stderr)
        report["rows"].append(measure_in_process(name, settings))
    of_native = [row for row in report["rows"] if row["row"] in ("native", "native-many")]
    if of_native:
        report["limits"] = measure_limits(settings)
        for row in of_native:
            _add_share(row, report["limits"], settings)
    add_load_after(report)
    return report


def _add_share(row: dict[str, Any], limits: dict[str, Any], settings: Settings) -> None:
    """How much of what so many cores could do was reached."""
    if "samples_per_second" in row and "failed" not in limits:
        of_one_core = limits["one" if row["row"] == "native" else "many"]["samples_per_second"]
        used = min(settings.threads or len(cores()), row["streams"])  # a stream stays on one core
        row["limit_samples_per_second"] = of_one_core * used
        row["share_of_limit"] = row["samples_per_second"] / row["limit_samples_per_second"]


def as_text(report: Report) -> str:
    """The tables for a terminal."""
    return "\n\n".join([about(report), *(aligned(*table) for table in tables(report))])


def as_markdown(report: Report) -> str:
    """The tables as a page that says how it was made."""
    settings = report["settings"]
    flags = f"--voice {settings['voice']} --seconds {settings['seconds']:g} --streams {settings['streams']}"
    parts = [
        "# What `tts bench` measured",
        f"Written by `tts bench {flags}`; what the columns mean is said in [performance.md](../performance.md).",
        about(report),
        *(piped(*table) for table in tables(report)),
    ]
    return "\n\n".join(parts) + "\n"


def about(report: Report) -> str:
    """One paragraph: what was measured, where, with what."""
    return f"Voice {report['voice']['name']}, {report['voice']['sample_rate']} Hz; {described(report)}."


def tables(report: Report) -> list[Table]:
    """Speech, starts, and what limits the native engine: those that were measured."""
    speech = [row for row in report["rows"] if isinstance(ROWS[row["row"]], Engine)]
    starts = [row for row in report["rows"] if not isinstance(ROWS[row["row"]], Engine)]
    found: list[Table] = []
    if speech:
        header = ["engine", "streams", "samples/s", "x real time", "first 20 ms", "memory", "of the limit"]
        found.append((header, [_speech_cells(row) for row in speech]))
    if starts:
        header = ["command, as a new process", "seconds", "runs"]
        found.append((header, [_start_cells(row) for row in starts]))
    if limits := report.get("limits"):
        found += _limit_tables(limits)
    return found


def _limit_tables(limits: dict[str, Any]) -> list[Table]:
    if "failed" in limits:
        return [(["the limit"], [[f"failed: {limits['failed']}"]])]
    levels = list(limits["alone"])
    rates = [
        [use, *(f"{limits[kind][level] / 1e9:.1f}" for level in levels)]
        for use, kind in (("each weight used once", "alone"), ("each weight used four times", "fourfold"))
    ]
    parts = [
        [
            name,
            f"{part['dense']:,.0f}",
            f"{part['effective']:,.0f}",
            f"{part['bytes_held'] / 1024:,.0f} KB",
            limits["one"]["levels"][name],
            f"{1e9 * limits['one']['seconds'][name]:,.0f} ns",
            f"{1e9 * limits['many']['seconds'][name]:,.0f} ns",
        ]
        for name, part in limits["parts"].items()
    ]
    whole = [
        "all",
        *(f"{sum(part[count] for part in limits['parts'].values()):,.0f}" for count in ("dense", "effective")),
        f"{sum(part['bytes_held'] for part in limits['parts'].values()) / 1024:,.0f} KB",
        "",
        *(f"{1e9 / limits[streams]['samples_per_second']:,.0f} ns" for streams in ("one", "many")),
    ]
    return [
        (["one core, 10^9 multiply-adds/s", *levels], rates),
        (["a sample's part", "multiply-adds", "not skipped", "weights", "from", "one stream", "many"], [*parts, whole]),
    ]


def _speech_cells(row: dict[str, Any]) -> list[str]:
    if missing := _missing(row):
        return [row["title"], f"{row['streams']:,}", missing, "", "", "", ""]
    return [
        row["title"],
        f"{row['streams']:,}",
        f"{row['samples_per_second']:,.0f}",
        f"{row['times_real_time']:,.2f}" if row["times_real_time"] < 1 else f"{row['times_real_time']:,.1f}",
        f"{row['first_audio_ms']:,.1f} ms" if "first_audio_ms" in row else "",
        f"{row['memory_mb']:,.0f} MB",
        f"{100 * row['share_of_limit']:.0f} %" if "share_of_limit" in row else "",
    ]


def _start_cells(row: dict[str, Any]) -> list[str]:
    return [row["title"], _missing(row) or f"{row['seconds']:.2f}", str(row.get("runs", ""))]


def _missing(row: dict[str, Any]) -> str | None:
    return next((f"{why}: {row[why]}" for why in ("failed", "unavailable") if why in row), None)
