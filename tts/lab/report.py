"""`tts lab report`: a page of all experiments that were run, with the notes' own figures beside ours, and plots."""

import shlex
import textwrap
from collections.abc import Iterable
from pathlib import Path

from tts.core.errors import InputError
from tts.core.files import atomic_write
from tts.core.machine import described
from tts.core.tables import markdown_table
from tts.lab import plots
from tts.lab.experiment import Experiment, Result, load_all, read_results
from tts.lab.loop import read_curve

INTRODUCTION = """# The lab: results

Every experiment that was run, made by `tts lab report` ([lab.md](../lab.md)). *In the notes* is the setting and what
the lab notes found that the experiment comes from: other data and other machines, so compare directions, not numbers.
`bits` are bits per sample."""


def write(out: Path, to: Path, data: str = "FOLDER") -> Path:
    """Write TO/lab.md and TO/lab/NAME.png of the results in OUT; returns the page's path.

    Args: data, what the page calls the recordings' folder in commands.

    Raises: InputError where OUT holds no results.
    """
    sections = []
    for experiment in load_all():
        if not (results := read_results(out / experiment.name)):
            continue
        results = [result for result in results if result.run in experiment.runs]
        pictures = [picture for picture in _draw(experiment, results, to / "lab") if picture.is_file()]
        sections.append(section(experiment, results, pictures, data))
    if not sections:
        raise InputError(f"{out} holds no results of an experiment; run one first, e.g. `tts lab run flat`")
    to.mkdir(parents=True, exist_ok=True)
    page = to / "lab.md"
    atomic_write(page, ("\n\n".join([INTRODUCTION, *sections]) + "\n").encode())
    return page


def _draw(experiment: Experiment, results: list[Result], folder: Path) -> Iterable[Path]:
    """Draw what the kind draws, and the gradients of the runs that logged them; yields the pictures' paths."""
    folder.mkdir(parents=True, exist_ok=True)
    if plot := getattr(experiment.module, "plot", None):
        picture = folder / f"{experiment.name}.png"
        plot(results, picture)
        yield picture
    logged = [result for result in results if any(point.gradients for point in read_curve(result.folder))]
    if logged:
        picture = folder / f"{experiment.name}-gradients.png"
        plots.gradients(logged, picture)
        yield picture


def section(experiment: Experiment, results: list[Result], pictures: list[Path], data: str) -> str:
    """An experiment in Markdown."""
    parts = [f"## {experiment.name}", _wrapped(experiment.question), table(experiment, results)]
    if experiment.shows.strip():
        parts.append(_wrapped(experiment.shows))
    if experiment.notes.strip():
        parts.append("*In the notes:*\n\n" + _wrapped(experiment.notes))
    parts += [f"![{picture.stem}](lab/{picture.name})" for picture in pictures]
    parts += [circumstances_of(group, data) for group in _alike(results)]
    return "\n\n".join(parts)


def table(experiment: Experiment, results: list[Result]) -> str:
    """A row a run."""
    rows = [[result.run, *(cell(result, column) for column in experiment.columns)] for result in results]
    return markdown_table(["run", *(column.replace("_", " ") for column in experiment.columns)], rows)


def cell(result: Result, column: str) -> str:
    """A value of a result as text; empty where the run has none."""
    own = {"steps": result.steps, "seconds": result.seconds, "minutes": result.seconds / 60, "seed": result.seed}
    value = result.results.get(column, own.get(column, ""))
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def public_command(command: str, data: str) -> str:
    """A command without the folders of the machine that it was run on: they mean nothing elsewhere."""
    words = shlex.split(command)
    if "--out" in words:
        place = words.index("--out")
        del words[place : place + 2]
    kept = [f"source={data}" if word.startswith("source=") else word for word in words]
    return shlex.join(word for word in kept if not word.startswith("--out="))


def circumstances_of(results: list[Result], data: str) -> str:
    """What some rows were made by and on."""
    first, names = results[0], "; ".join(result.run for result in results)
    made = f"Made by `{public_command(first.command, data)}`"
    return f"{made}\n{_wrapped(f'on {described(first.machine)}')}\n{_wrapped(f'(rows: {names}).')}"


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False)


def _alike(results: list[Result]) -> Iterable[list[Result]]:
    """Results by command, commit, machine and date."""
    groups: dict[tuple[object, ...], list[Result]] = {}
    for result in results:
        where = result.machine
        key = (result.command, result.commit, where["date"], where["machine"]["processor"], where.get("note"))
        groups.setdefault(key, []).append(result)
    return groups.values()
