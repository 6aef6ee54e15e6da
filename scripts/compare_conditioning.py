"""Pooled text against a pointer into it, words encoded in their text against words alone: one plot and one table.

    python scripts/compare_conditioning.py configs/comparison.yaml data.source=FSDD --out runs/comparison

Two steps. First single digits: one training on nothing else, since with one word all conditions are the same
function. Then strings: the conditions one after another, all with the config's steps, batch, data and seed. Each voice
speaks the same texts, which are read back. A training is `OUT/NAME/`, with its evaluations in `OUT/NAME/evaluation/`.
What is done is not done again, and an interrupted run is resumed. `--only NAME,NAME` trains and judges these alone, so
that several processes can share the work; whoever comes last writes OUT/comparison.md, .json and .png of all that
is there.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tts.cli.train import train
from tts.core.console import script
from tts.core.tables import markdown_table, percent_cell
from tts.evaluation import trainings
from tts.evaluation.metrics import summarize
from tts.evaluation.plots import errors_by_split
from tts.evaluation.running import LINES
from tts.evaluation.test_sets import Material
from tts.evaluation.trainings import Comparison, Settings
from tts.evaluation.utterance import Limits, Utterance
from tts.recognition.model import Recognizer
from tts.training.config import RunConfig

CONDITIONS = {
    f"{conditioning}-{context}": (f"model.conditioning={conditioning}", f"text.context={context}")
    for conditioning, context in (("pooled", "word"), ("pooled", "text"), ("pointer", "text"), ("pointer", "word"))
}
FIRST = "singles"
TRAININGS = {FIRST: ("data.sequences.max_digits=1", *CONDITIONS["pointer-word"]), **CONDITIONS}
"""The first step's and the second's, by name: what each changes in the config."""

LONGEST = 5
"""Digits in the longest texts of `length` and `repeat`."""

COLUMNS = {
    "one digit": ("single", "test_seen"),
    "seen": ("strings", "test_seen"),
    "unseen": ("strings", "test_unseen"),
    "bigram": ("strings", "bigram"),
    "position": ("strings", "position"),
    "length": ("hard", "length"),
    "repeat": ("hard", "repeat"),
}
"""Of the table: which evaluation and which of its splits."""

KEPT = (
    *("texts", "digits", "substitutions", "insertions", "deletions"),
    *("digit_error", "digit_error_95", "exact", "exact_95", "stop_error"),
)
COLORS = {
    "pooled, word": "#f0b26b",
    "pooled, text": "#d97706",
    "pointer, text": "#8ab4f8",
    "pointer, word": "#1f6feb",
    "ground truth": "#6e7781",
}


def load_materials(config: RunConfig, settings: Settings) -> dict[str, Material]:
    """The texts, with real test recordings of each: single digits, and strings as long as training's, and longer ones.

    A training of single digits is judged on single digits alone. Splits that are about something else than length keep
    to the lengths of training, so that each is about one thing; `repeat` has too few such combinations and goes up to
    `LONGEST`.
    """
    lengths, longest = {"single": 1}, config.data.sequences.max_digits
    if longest > 1:
        lengths |= {"strings": longest, "hard": LONGEST}
    splits = {name: [split for evaluation, split in COLUMNS.values() if evaluation == name] for name in lengths}
    return {name: trainings.material_of(config, settings, splits[name], most) for name, most in lengths.items()}


def any_order(utterances: Sequence[Utterance]) -> float:
    """Share of the texts whose digits were all recognized, and no other, in whatever order."""
    return float(np.mean([sorted(item.recognized) == sorted(item.words) for item in utterances]))


def columns_of(run: Path) -> dict[str, tuple[str, str]]:
    """The `COLUMNS` that a training is judged in."""
    return {column: place for column, place in COLUMNS.items() if run.name != FIRST or place[0] == "single"}


def metrics_of(run: Path, system: str, seed: int) -> dict[str, dict[str, Any]]:
    """For each column that the run was judged in, the metrics of the voice or of the ground truth.

    `seen` leaves single digits out, which have their own column and which no hold-out has: else it would be the easier.
    """
    metrics = {}
    for column, (name, split) in columns_of(run).items():
        report = trainings.report_of(run, name)
        assert report, (run, name)
        lines = (run / "evaluation" / name / LINES).read_text(encoding="utf-8").splitlines()
        found = [Utterance.from_json(json.loads(line)) for line in lines]
        found = [item for item in found if (item.split, item.system) == (split, system)]
        if column != "one digit":
            found = [item for item in found if len(item.words) > 1]
        summary = summarize(found, Limits(**report["limits"]), seed)
        metrics[column] = {key: summary[key] for key in KEPT} | {"any_order": any_order(found)}
    return metrics


def collect(out: Path, names: Sequence[str], seed: int) -> dict[str, Any]:
    """A step's trainings, as far as they are done, by row; the ground truth last. None done: empty."""
    runs = [out / name for name in names]
    done = [run for run in runs if all(trainings.report_of(run, name) for name, _ in columns_of(run).values())]
    rows: dict[str, Any] = {
        run.name: {"metrics": metrics_of(run, "voice", seed), "effort": trainings.effort(run / "metrics.jsonl")}
        for run in done
    }
    real = [metrics_of(run, "ground_truth", seed) for run in done]
    assert all(each == real[0] for each in real), "the conditions were judged on different texts"
    return rows | {"ground_truth": {"metrics": real[0]}} if done else {}


def label(name: str) -> str:
    """A row's name in tables and plots."""
    return name.replace("-", ", ").replace("_", " ")


def table(rows: Mapping[str, Any], value: str, with_interval: bool = True) -> str:
    """A Markdown table of one metric, in per cent, a row for each condition."""
    columns = next(iter(rows.values()))["metrics"]
    cells = {
        name: [percent_cell(x[value], x[f"{value}_95"] if with_interval else None) for x in row["metrics"].values()]
        for name, row in rows.items()
    }
    return markdown_table(["", *columns], ([label(name), *own] for name, own in cells.items()))


def draw(rows: Mapping[str, Any]) -> bytes:
    """Digit error of each condition in each column, with its interval, as PNG."""
    columns = {column: {label(name): row["metrics"][column] for name, row in rows.items()} for column in COLUMNS}
    return errors_by_split(columns, COLORS)


def write(asked: Comparison) -> None:
    """Write comparison.md, comparison.json and comparison.png of all that is done."""
    first, second = (collect(asked.out, names, asked.settings.seed) for names in ([FIRST], [*CONDITIONS]))

    def spent(rows: Mapping[str, Any]) -> str:
        own = {label(name): row["effort"] for name, row in rows.items() if "effort" in row}
        return trainings.effort_table(own, asked.base.data.recordings.sample_rate)

    page = []
    if first:
        page += [
            "Step 1, trained on single digits alone. Digit error, %, with 95 % intervals:",
            table(first, "digit_error"),
            spent(first),
        ]
    if second:
        page += [
            "Step 2, trained on strings. Digit error, %, with 95 % intervals:",
            table(second, "digit_error"),
            "Texts recognized digit for digit, %, with 95 % intervals:",
            table(second, "exact"),
            "Texts of which exactly the right digits were recognized, in whatever order, %:",
            table(second, "any_order", with_interval=False),
            spent(second),
        ]
    steps = {"single digits": first, "strings": second}
    trainings.write_results(asked, "comparison", page, steps, draw(second) if second else b"")


def run(argv: Sequence[str] | None) -> None:
    """Parse, train, judge, write."""
    asked = trainings.parse(argv, "compare_conditioning", "configs/comparison.yaml", TRAININGS, 60)
    recognizer = Recognizer.load()
    for one in asked.trainings.values():
        train(one, resume=trainings.is_begun(one))
        trainings.judge(one.output, load_materials(one, asked.settings), recognizer, asked.settings)
    write(asked)


main = script("compare_conditioning", run)

if __name__ == "__main__":
    sys.exit(main())
