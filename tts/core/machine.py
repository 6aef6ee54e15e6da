"""What measurements were made on and with: processor, caches, cores, GPU, load; date, versions and commit."""

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from tts._version import __version__

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def circumstances(note: str = "") -> dict[str, Any]:
    """Date, version, commit, versions of packages, the machine and a note, if any: the head of every report.

    The commit is that of the working tree that this is run from, + where it was changed; None if it is installed.
    Caches are in bytes; a version is None where the package is not installed.
    """
    root, commit = Path(__file__).parents[2], None
    if (root / ".git").exists():
        commit = _first_line("git", "-C", str(root), "describe", "--always", "--dirty=+", "--exclude=*")
    machine = {
        "processor": _processor(),
        "cores": len(cores()),
        "caches": caches(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "gpu": _first_line("nvidia-smi", "--query-gpu=name", "--format=csv,noheader"),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": round(os.getloadavg()[0], 2),
    }
    found = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "version": __version__,
        "commit": commit,
        "versions": {"python": platform.python_version(), "numpy": _version("numpy"), "torch": _version("torch")},
        "machine": machine,
    }
    return found | ({"note": note} if note else {})


def add_load_after(report: dict[str, Any]) -> None:
    """Note the load average once everything is measured."""
    report["machine"]["load_average_after"] = round(os.getloadavg()[0], 2)


def described(report: dict[str, Any]) -> str:
    """The circumstances of a report, in one sentence without its full stop."""
    where = report["machine"]
    sizes = ", ".join(f"{name} {size // 1024} KB" for name, size in where["caches"].items())
    packages = ", ".join(f"{name} {version}" for name, version in report["versions"].items() if version)
    revision = f", commit {report['commit']}" if report["commit"] else ""
    load = f"load average {where['load_average']}"
    if "load_average_after" in where:
        load += f" before, {where['load_average_after']} after"
    note = f" ({report['note']})" if report.get("note") else ""
    return (
        f"{where['processor']}, {where['cores']} cores{f' ({sizes})' if sizes else ''}, "
        f"GPU: {where['gpu'] or 'none'}; twotier-tts {report['version']}{revision}, {packages}; {load}{note}; "
        f"{report['date']}"
    )


def heading(results: dict[str, Any]) -> list[str]:
    """The lines at the top of a page of results: its command, its circumstances, and what its brackets hold."""
    where = described(results["circumstances"])
    return [f"Made by `{results['command']}`", f"on {where}.", "95 % Wilson intervals in brackets."]


def percent(share: float, interval: Sequence[float]) -> str:
    """ "1.23 % (1.00-1.50)"."""
    return f"{100 * share:.2f} % ({100 * interval[0]:.2f}-{100 * interval[1]:.2f})"


def cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def caches() -> dict[str, int]:
    """Bytes of the first core's data caches, {"L1": …, "L2": …, "L3": …}, as far as the kernel lists them."""
    found = {}
    for cache in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind, level, size = ((cache / name).read_text().strip() for name in ("type", "level", "size"))
        except OSError:
            continue
        if kind != "Instruction" and size[-1:] in _UNITS:
            found[f"L{level}"] = int(size[:-1]) * _UNITS[size[-1]]
    return found


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _first_line(*command: str) -> str | None:
    """Of what a program prints; None where there is none, or the program is missing or fails."""
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return None
    return lines[0].strip() if lines else None
