"""What the judges found of one system on one split, and which of them finds a voice worst."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tts.core.statistics import wilson
from tts.evaluation.judges.judge import OWN, error_score
from tts.evaluation.judges.loading import SHARES
from tts.evaluation.metrics import bootstrap, bootstrap_difference, group_by
from tts.evaluation.utterance import Score, Unit, Utterance


def scores_of(utterance: Utterance, unit: Unit = "digit") -> dict[str, Score]:
    """By measure, our recognizer's first, which reads digits."""
    own = {OWN: error_score(utterance.words, utterance.recognized)} if unit == "digit" else {}
    return {**own, **utterance.scores}


def judge_metrics(utterances: Sequence[Utterance], seed: int, unit: Unit = "digit") -> dict[str, dict[str, Any]]:
    """By measure: value, its 95 % interval (`metrics.bootstrap`; of `SHARES` Wilson's), count, all by speaker, too."""
    rows = [(item.speaker, scores_of(item, unit)) for item in utterances]
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(name for _, scores in rows for name in scores):
        known = [(speaker, scores[name]) for speaker, scores in rows if name in scores]
        by_speaker = group_by(known, lambda row: row[0])
        found[name] = {
            **_mean(name, [score for _, score in known], seed),
            "by_speaker": {
                speaker: _mean(name, [score for _, score in own], seed) for speaker, own in by_speaker.items()
            },
        }
    return found


def _mean(name: str, scores: Sequence[Score], seed: int) -> dict[str, Any]:
    totals, counts = [score.total for score in scores], [score.count for score in scores]
    count = sum(counts)
    if name in SHARES:
        interval = wilson(round(sum(totals)), round(count))
    else:
        interval = bootstrap(totals, counts, np.random.default_rng(seed))
    return {
        "value": sum(totals) / count if count else 0.0,
        "value_95": list(interval),
        "count": count,
        "texts": len(scores),
    }


def add_differences(
    judges: Mapping[str, dict[str, Any]], voice: Sequence[Utterance], real: Sequence[Utterance], seed: int
) -> None:
    """Add to each measure of a voice of words how far it lies above that of real recordings: difference and its 95 %
    interval, over the texts that were judged in both, pair by pair (`metrics.bootstrap_difference`)."""
    for name, metrics in judges.items():
        known = [(x.scores[name], y.scores[name]) for x, y in zip(voice, real, strict=True)
                 if name in x.scores and name in y.scores]  # fmt: skip
        both = [([score.total for score in side], [score.count for score in side]) for side in zip(*known, strict=True)]
        if not known or not all(sum(counts) for _, counts in both):
            continue
        (one, other) = both
        metrics["difference"] = sum(one[0]) / sum(one[1]) - sum(other[0]) / sum(other[1])
        metrics["difference_95"] = list(bootstrap_difference(one, other, np.random.default_rng(seed)))


class Excess(NamedTuple):
    """A judge's error of the voice above its error of real recordings, shares; real is 0 where there are none."""

    measure: str
    split: str
    speaker: str | None
    voice: float
    real: float

    @property
    def points(self) -> float:
        """Of 100."""
        return 100 * (self.voice - self.real)


def worst_judge(splits: Mapping[str, Any], reading: Iterable[str], speakers: bool = False) -> Excess | None:
    """The largest excess of the voice's error over the ground truth's, over splits and judges that read.

    Args: reading, the measures that are errors; speakers, compare each speaker instead of all together.
    """
    found = []
    for split, systems in splits.items():
        real = systems.get("ground_truth", {}).get("judges", {})
        for name in reading:
            voice = systems["voice"].get("judges", {}).get(name)
            if voice is None:
                continue
            if not speakers:
                found.append(Excess(name, split, None, voice["value"], real[name]["value"] if name in real else 0.0))
                continue
            truth = real.get(name, {}).get("by_speaker", {})
            for speaker, own in voice["by_speaker"].items():
                if speaker in truth or not real:
                    least = truth[speaker]["value"] if speaker in truth else 0.0
                    found.append(Excess(name, split, speaker, own["value"], least))
    return max(found, key=lambda one: one.points, default=None)
