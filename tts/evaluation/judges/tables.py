"""The judges' part of a report: the headline, the worst judge's, and tables, all systems beside each other."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tts.evaluation.judges.judge import OWN
from tts.evaluation.judges.loading import MEASURES, READING
from tts.evaluation.judges.summary import Excess, worst_judge

PAIRED = "voice less ground_truth"
"""Of the same texts, pair by pair."""


class Table(NamedTuple):
    """A title, a line on what it shows, and cells as text."""

    title: str
    about: str
    header: list[str]
    rows: list[list[str]]


def headline(splits: Mapping[str, Any]) -> list[str]:
    """What the worst judge says of the voice, and of which speaker a judge says the worst."""
    overall, speaker = worst_judge(splits, READING), worst_judge(splits, READING, speakers=True)
    return [
        f"{title}: {_said(found)}" for title, found in (("worst judge", overall), ("worst speaker", speaker)) if found
    ]


def _said(found: Excess) -> str:
    who = f" of {found.speaker}" if found.speaker else ""
    return (
        f"{found.measure} finds {100 * found.voice:.2f} % errors{who} where it finds {100 * found.real:.2f} % in real "
        f"recordings, {found.points:+.2f} points ({found.split})"
    )


def judge_tables(splits: Mapping[str, Any], systems: Sequence[str]) -> list[Table]:
    """A row for each split and measure, and one for each speaker too. Empty where only our recognizer judged.

    Of a voice of words the first has the voice less the ground truth, too.
    """
    measured = {name for part in splits.values() for system in systems for name in part[system].get("judges", {})}
    names = [name for name in MEASURES if name in measured]
    if names in ([], [OWN]):
        return []
    about = "; ".join(f"{name}: {MEASURES[name].about}" for name in names)
    marks = "Errors and shares in %. In brackets 95 % intervals."
    voices = [metrics for part in splits.values() for metrics in part["voice"].get("judges", {}).values()]
    more = [PAIRED] if any("difference" in metrics for metrics in voices) else []
    rows = list(_rows(splits, systems, names, bool(more)))
    by_speaker = list(_rows_of_speakers(splits, systems, names))
    return [
        Table("Judges", f"{about}. {marks}", ["split", "judge", *systems, *more], rows),
        Table("Judges by speaker", marks, ["split", "judge", "speaker", *systems], by_speaker),
    ]


def _rows(splits: Mapping[str, Any], systems: Sequence[str], names: Iterable[str], paired: bool) -> Iterable[list[str]]:
    for name in names:
        for split, part in splits.items():
            found = [part[system].get("judges", {}).get(name) for system in systems]
            if any(found):
                last = [_cell(name, part["voice"]["judges"].get(name), "difference")] if paired else []
                yield [split, name, *(_cell(name, one) for one in found), *last]


def _rows_of_speakers(splits: Mapping[str, Any], systems: Sequence[str], names: Iterable[str]) -> Iterable[list[str]]:
    for name in names:
        for split, part in splits.items():
            tables = [part[system].get("judges", {}).get(name, {}).get("by_speaker", {}) for system in systems]
            for speaker in dict.fromkeys(speaker for table in tables for speaker in table):
                yield [split, name, speaker, *(_cell(name, table.get(speaker)) for table in tables)]


def _cell(name: str, found: Mapping[str, Any] | None, value: str = "value") -> str:
    """A metric with its interval; "-" where it is not known."""
    if found is None or value not in found:
        return "-"
    measure = MEASURES[name]
    scale, places = (100, 1) if measure.reads or measure.share else (1, measure.places)
    shown, low, high = (f"{scale * x:.{places}f}" for x in (found[value], *found[f"{value}_95"]))
    return f"{shown} ({low} to {high})" if "-" in low else f"{shown} ({low}-{high})"
