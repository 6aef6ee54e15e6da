"""A whole benchmark: the rows, the machine and the versions, and how they are shown."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from tts.bench.rows import ROWS, Settings, Start, measure_in_process, measure_limits
from tts.bench.tables import Table, page, text
from tts.core.machine import add_load_after, circumstances, cores, described
from tts.voice import Voice

FORMAT_VERSION = 1

Report = dict[str, Any]


def measure(voice: Voice, settings: Settings, names: Sequence[str]) -> Report:
    """Measure the rows `names`, keys of `ROWS`, one after the other; on a terminal, a line on stderr says which."""
    report: Report = {
        "format_version": FORMAT_VERSION,
        **circumstances(),
        "voice": {"name": voice.name, "sample_rate": voice.sample_rate, "model": asdict(voice.config.model)},
        "settings": asdict(settings) | {"voice": voice.name},
        "rows": [],
    }
    for number, name in enumerate(names, 1):
        if sys.stderr.isatty():
            print(f"measuring {name}, row {number} of {len(names)}", file=sys.stderr)
        report["rows"].append(measure_in_process(name, settings))
    if of_native := [row for row in report["rows"] if row["row"] in ("native", "native-many")]:
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
    return text(about(report), tables(report))


def as_markdown(report: Report) -> str:
    """The tables as a page that says how it was made."""
    settings = report["settings"]
    flags = f" --voice {settings['voice']} --seconds {settings['seconds']:g} --streams {settings['streams']}"
    return page("tts bench", flags, "performance.md", about(report), tables(report))


def about(report: Report) -> str:
    """One paragraph: what was measured, where, with what."""
    return f"Voice {report['voice']['name']}, {report['voice']['sample_rate']} Hz; {described(report)}."


def tables(report: Report) -> list[Table]:
    """Speech, starts, and what limits the native engine: those that were measured."""
    speech = [row for row in report["rows"] if not isinstance(ROWS[row["row"]], Start)]
    starts = [row for row in report["rows"] if isinstance(ROWS[row["row"]], Start)]
    found: list[Table] = []
    if speech:
        header = ["engine", "streams", "samples/s", "x real time", "first 20 ms", "memory", "of the limit"]
        found.append((header, [_speech_cells(row) for row in speech]))
    if starts:
        cells = [[x["title"], _missing(x) or f"{x['seconds']:.2f}", str(x.get("runs", ""))] for x in starts]
        found.append((["command, as a new process", "seconds", "runs"], cells))
    return found + (_limit_tables(report["limits"]) if "limits" in report else [])


def _limit_tables(limits: dict[str, Any]) -> list[Table]:
    if "failed" in limits:
        return [(["the limit"], [[f"failed: {limits['failed']}"]])]
    rates = [
        [use, *(f"{rate / 1e9:.1f}" for rate in limits[kind].values())]
        for use, kind in (("each weight used once", "alone"), ("each weight used four times", "fourfold"))
    ]
    parts, one, many = limits["parts"], limits["one"], limits["many"]

    def cells(name: str, parts: Iterable[dict[str, Any]], level: str, *seconds: float) -> list[str]:
        dense, effective, held = (sum(part[key] for part in parts) for key in ("dense", "effective", "bytes_held"))
        times = [f"{1e9 * each:,.0f} ns" for each in seconds]
        return [name, f"{dense:,.0f}", f"{effective:,.0f}", f"{held / 1024:,.0f} KB", level, *times]

    rows = [
        cells(name, [part], one["levels"][name], one["seconds"][name], many["seconds"][name])
        for name, part in parts.items()
    ]
    rows.append(cells("all", parts.values(), "", 1 / one["samples_per_second"], 1 / many["samples_per_second"]))
    return [
        (["one core, 10^9 multiply-adds/s", *limits["alone"]], rates),
        (["a sample's part", "multiply-adds", "not skipped", "weights", "from", "one stream", "many"], rows),
    ]


def _speech_cells(row: dict[str, Any]) -> list[str]:
    head = [row["title"], f"{row['streams']:,}"]
    if missing := _missing(row):
        return [*head, missing, "", "", "", ""]
    return [
        *head,
        f"{row['samples_per_second']:,.0f}",
        f"{row['times_real_time']:,.2f}" if row["times_real_time"] < 1 else f"{row['times_real_time']:,.1f}",
        f"{row['first_audio_ms']:,.1f} ms" if "first_audio_ms" in row else "",
        f"{row['memory_mb']:,.0f} MB",
        f"{100 * row['share_of_limit']:.0f} %" if "share_of_limit" in row else "",
    ]


def _missing(row: dict[str, Any]) -> str | None:
    return next((f"{why}: {row[why]}" for why in ("failed", "unavailable") if why in row), None)
