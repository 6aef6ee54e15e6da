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


def text(about: str, tables: Iterable[Table]) -> str:
    """A paragraph and tables for a terminal."""
    return "\n\n".join([about, *(aligned(*table) for table in tables)])


def page(command: str, flags: str, explained: str, about: str, tables: Iterable[Table]) -> str:
    """The same as a Markdown page that says how it was made, and which page explains the columns."""
    parts = [
        f"# What `{command}` measured",
        f"Written by `{command}{flags}`; what the columns mean is said in [{explained}](../{explained}).",
        about,
    ]
    for header, rows in tables:
        lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
        parts.append("\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in lines))
    return "\n\n".join(parts) + "\n"
