"""Tables, for a terminal and as Markdown."""

from collections.abc import Iterable

Table = tuple[list[str], list[list[str]]]  # header, rows


def aligned(header: list[str], rows: list[list[str]]) -> str:
    """Columns under each other, numbers to the right; a row without metrics has one long cell instead."""
    metrics = [row for row in rows if row[-1] or row[2].replace(",", "").isdigit()] if len(header) > 3 else rows
    widths = [max(len(row[i]) for row in [header, *metrics]) for i in range(len(header))]
    widths[0] = max(len(row[0]) for row in [header, *rows])

    def line(row: list[str]) -> str:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        return "  ".join(cells).rstrip()

    return "\n".join(map(line, [header, *rows]))


def piped(header: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines: Iterable[list[str]] = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in lines)
