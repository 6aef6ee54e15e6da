"""Tables in Markdown, and shares as their cells."""

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of cells as text, without a line end behind it."""
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (header, ["---"] * len(header), *rows))


def percent_cell(share: float, interval: Sequence[float] | None = None) -> str:
    """A share, and its interval if there is one, in per cent: "5.0 (1.0-10.0)"."""
    text = f"{100 * share:.1f}"
    return text if interval is None else f"{text} ({100 * interval[0]:.1f}-{100 * interval[1]:.1f})"
