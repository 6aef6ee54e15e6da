"""A whole benchmark: the rows, the machine and the versions, and how they are shown."""

import dataclasses
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tts._version import __version__
from tts.bench.rows import ROWS, Engine, Settings, cores, measure_in_processes
from tts.voice import Voice

FORMAT_VERSION = 1
PACKAGES = ("numpy", "numba", "llvmlite", "torch", "triton")
ROOT = Path(__file__).parents[2]

Report = dict[str, Any]
Table = tuple[list[str], list[list[str]]]  # header, rows


def measure(voice: Voice, settings: Settings, names: Sequence[str]) -> Report:
    """Measure the rows one after the other, with a progress bar on stderr.

    Args:
        voice: that of `settings`.
        settings: the flags.
        names: keys of `ROWS`.
    """
    report: Report = {
        "format_version": FORMAT_VERSION,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "version": __version__,
        "commit": _commit(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "machine": machine(),
        "voice": {
            "name": voice.name,
            "sample_rate": voice.sample_rate,
            "model": dataclasses.asdict(voice.config.model),
        },
        "settings": dataclasses.asdict(settings) | {"voice": voice.name},
        "rows": [],
    }
    progress = tqdm(names, unit="row", disable=None, file=sys.stderr)
    for name in progress:
        progress.set_description(name)
        report["rows"].append(measure_in_processes(name, settings))
    report["machine"]["load_average_after"] = round(os.getloadavg()[0], 2)
    return report


def machine() -> dict[str, Any]:
    """What the figures were measured on: processor, cores, caches, memory, GPU, load."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor(),
        "cores": len(cores()),
        "caches": _caches(),
        "memory_gb": round(pages / 1e9, 1),
        "gpu": _gpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": round(os.getloadavg()[0], 2),
    }


def as_text(report: Report) -> str:
    """The tables for a terminal."""
    return "\n\n".join([about(report), *(_aligned(*table) for table in tables(report))])


def as_markdown(report: Report) -> str:
    """The tables as a page that says how it was made."""
    settings = report["settings"]
    flags = f"--voice {settings['voice']} --seconds {settings['seconds']:g} --streams {settings['streams']}"
    parts = [
        "# What `tts bench` measured",
        f"Written by `tts bench {flags}`; what the columns mean is said in [performance.md](../performance.md).",
        about(report),
        *(_piped(*table) for table in tables(report)),
    ]
    return "\n\n".join(parts) + "\n"


def about(report: Report) -> str:
    """One paragraph: what was measured, where, with what."""
    where, versions = report["machine"], report["versions"]
    caches = ", ".join(f"{name} {size}" for name, size in where["caches"].items())
    found = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    commit = f", commit {report['commit']}" if report["commit"] else ""
    return (
        f"Voice {report['voice']['name']}, {report['voice']['sample_rate']} Hz; {where['processor']}, "
        f"{where['cores']} cores{f' ({caches})' if caches else ''}, GPU: {where['gpu'] or 'none'}; "
        f"twotier-tts {report['version']}{commit}, {found}; load average {where['load_average']} before, "
        f"{where['load_average_after']} after; {report['date']}."
    )


def tables(report: Report) -> list[Table]:
    """Speech, starts: those that were measured."""
    speech = [row for row in report["rows"] if isinstance(ROWS[row["row"]], Engine)]
    starts = [row for row in report["rows"] if not isinstance(ROWS[row["row"]], Engine)]
    found: list[Table] = []
    if speech:
        header = ["engine", "streams", "samples/s", "x real time", "first 20 ms", "memory", "of the limit"]
        found.append((header, [_speech_cells(row) for row in speech]))
    if starts:
        header = ["command, as a new process", "seconds", "runs"]
        found.append((header, [_start_cells(row) for row in starts]))
    return found


def _speech_cells(row: dict[str, Any]) -> list[str]:
    if missing := _missing(row):
        return [row["title"], f"{row['streams']:,}", missing, "", "", "", ""]
    return [
        row["title"],
        f"{row['streams']:,}",
        f"{row['samples_per_second']:,.0f}",
        f"{row['times_real_time']:,.2f}" if row["times_real_time"] < 1 else f"{row['times_real_time']:,.1f}",
        f"{row['first_audio_ms']:,.1f} ms" if "first_audio_ms" in row else "",
        f"{row['memory_mb']:,.0f} MB" + (f" + {row['gpu_memory_mb']:,.0f} MB" if "gpu_memory_mb" in row else ""),
        f"{100 * row['share_of_limit']:.0f} %" if "share_of_limit" in row else "",
    ]


def _start_cells(row: dict[str, Any]) -> list[str]:
    return [row["title"], _missing(row) or f"{row['seconds']:.2f}", str(row.get("runs", ""))]


def _missing(row: dict[str, Any]) -> str | None:
    if "unavailable" in row:
        return f"not available: {row['unavailable']}"
    return f"failed: {row['failed']}" if "failed" in row else None


def _aligned(header: list[str], rows: list[list[str]]) -> str:
    """Columns under each other, numbers to the right; a row without figures has one long cell instead."""
    figures = [row for row in rows if row[-1] or row[2].replace(",", "").isdigit()] if len(header) > 3 else rows
    widths = [max(len(row[i]) for row in [header, *figures]) for i in range(len(header))]
    widths[0] = max(len(row[0]) for row in [header, *rows])

    def line(row: list[str]) -> str:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        return "  ".join(cells).rstrip()

    return "\n".join(map(line, [header, *rows]))


def _piped(header: list[str], rows: list[list[str]]) -> str:
    lines: Iterable[list[str]] = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in lines)


def _commit() -> str | None:
    """The commit of the working tree that this is run from, + where it was changed; None if it is installed."""
    if not (ROOT / ".git").exists():
        return None
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _caches() -> dict[str, str]:
    """Sizes of the first core's data caches as the kernel tells them, e.g. {"L1": "32K", "L2": "1024K"}."""
    found = {}
    for cache in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind, level, size = ((cache / name).read_text().strip() for name in ("type", "level", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            found[f"L{level}"] = size
    return found


def _gpu() -> str | None:
    asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        names = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return None
    return names[0].strip() if names else None
