"""A whole benchmark of training: both rows, the machine and the versions, and how they are shown."""

from typing import Any

from tts.bench.tables import Table, page, text
from tts.bench.training import ROWS, Settings, measure_rows
from tts.core.machine import add_load_after, circumstances, described


def measure(settings: Settings) -> dict[str, Any]:
    """Rows, machine, versions."""
    report = circumstances()
    report["settings"] = {key: getattr(settings, key) for key in ("config", "threads", "samples")}
    report["rows"] = measure_rows(settings)
    add_load_after(report)
    return report


def table(report: dict[str, Any]) -> Table:
    """A row for each training."""
    learned = report["settings"]["samples"]
    header = ["training step", "precision", "samples/s", "step", "multiply-adds a sample", "of the matrix rate"]
    header += ["memory", "trained on", "bits per sample"] if learned else ["memory"]
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
        cells += [f"{row['nll']['samples']:,}", f"{row['nll']['bits']:.3f}"] if learned else []
        rows.append([ROWS[name], *cells])
    return header, rows


def about(report: dict[str, Any]) -> str:
    """One paragraph: where and with what; and the ratio of the two."""
    settings = report["settings"]
    speeds = [row.get("samples_per_second") for row in report["rows"].values()]
    ratio = f" Ours takes in {speeds[0] / speeds[1]:.1f} times as many samples a second." if all(speeds) else ""
    return f"{settings['threads']} thread(s), config {settings['config'] or 'defaults'}; {described(report)}.{ratio}"


def as_text(report: dict[str, Any]) -> str:
    """For a terminal."""
    return text(about(report), [table(report)])


def as_markdown(report: dict[str, Any]) -> str:
    """A page that says how it was made."""
    settings = report["settings"]
    flags = f" --config {settings['config']}" if settings["config"] else ""
    flags += f" --source FSDD --samples {settings['samples']}" if settings["samples"] else ""
    flags += f" --threads {settings['threads']}"
    return page("tts bench train", flags, "training.md", about(report), [table(report)])
