"""How well the recognizer's confidence separates digits from other speech; for `tts.recognition.evaluation`."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tts.core.machine import percent
from tts.core.statistics import wilson
from tts.recognition import prompts
from tts.recognition.model import Recognizer


class Item(NamedTuple):
    """A wave (T,) float32, its digits, by whom they are (or which word it is), and the recordings in it."""

    wave: np.ndarray
    digits: list[int]
    name: str
    recordings: list[str]


def kept(recognizer: Recognizer, waves: list[np.ndarray], threshold: float) -> list[list[int]]:
    """The digits of each wave whose confidence reaches the threshold, as `tts recognize` prints them."""
    scored = recognizer.scored(waves, Recognizer.sample_rate)
    return [[digit for digit, confidence in own if confidence >= threshold] for own in scored]


def share(successes: int, trials: int) -> dict[str, Any]:
    """A count with its share and interval."""
    return {"count": successes, "of": trials, "share": successes / trials, "share_95": wilson(successes, trials)}


def rejection_metrics(recognizer: Recognizer, folder: Path, spoken: dict[str, list[Item]]) -> dict[str, Any]:
    """What the default threshold costs and brings: waves of digits that are exactly right, with it and without; and the
    prompts without digits, by voice, in which nothing is recognized."""
    threshold = recognizer.threshold
    learned = recognizer.card["confidence"]["voices"]
    metrics: dict[str, Any] = {"threshold": threshold, "digits": {}, "prompts": {}, "learned_from": learned}
    for name, items in spoken.items():
        waves, said = [item.wave for item in items], [item.digits for item in items]
        metrics["digits"][name] = {
            key: share(sum(a == b for a, b in zip(kept(recognizer, waves, least), said, strict=True)), len(said))
            for key, least in (("without", 0.0), ("with", threshold))
        }
    empty: dict[str, list[list[bool]]] = {}
    for voice in prompts.voices(folder):
        waves = list(prompts.digitless(folder, voice).values())
        empty[voice] = [[not own for own in kept(recognizer, waves, least)] for least in (0.0, threshold)]
    empty["all but those learned from"] = [
        [x for voice, pair in empty.items() if voice not in learned for x in pair[k]] for k in (0, 1)
    ]
    for voice, (before, after) in empty.items():
        metrics["prompts"][voice] = {"without": share(sum(before), len(before)), "with": share(sum(after), len(after))}
    return metrics


def rejection_lines(x: dict[str, Any]) -> list[str]:
    """The section "Rejection" of docs/results/recognizer.md."""
    lines = ["", "## Rejection", "",
             f"Digits with a confidence below {x['threshold']} are left out. The confidence was learned from prompts "
             f"of {', '.join(x['learned_from'])}.", "",
             "| exactly right | without threshold | with it |", "| --- | --- | --- |"]  # fmt: skip
    names = {"digits": "{}", "prompts": "prompts without digits, nothing recognized: {}"}
    for part, label in names.items():
        for name, pair in x[part].items():
            cells = [f"{y['count']}/{y['of']}, {percent(y['share'], y['share_95'])}" for y in
                     (pair["without"], pair["with"])]  # fmt: skip
            lines.append(f"| {label.format(name)} | {cells[0]} | {cells[1]} |")
    return lines
