"""The metrics of an evaluation, each with its meaning, unit and source.

Everything here works on what is kept of an utterance (`Utterance`). The same metrics of real recordings, joined in the
same way, are the ground truth.

Letters: W words of a text.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby, zip_longest
from typing import Any, TypeVar

import numpy as np

from tts.core.statistics import wilson
from tts.evaluation.utterance import ENDS_IN_SOUND_DB, Limits, Unit, Utterance
from tts.recognition.alignment import WordPair, align, confusion_matrix, count_errors

STOP_ERRORS = ("cut_short", "over_run", "cap")
RESAMPLES = 2000
DRAWN_AT_ONCE = 2_000_000
"""So many numbers of a bootstrap are held in memory together."""

Row = TypeVar("Row")
Aligned = tuple[Utterance, list[WordPair]]


def bootstrap(
    numerators: Sequence[float], denominators: Sequence[float], rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """95 % interval of sum(numerators) / sum(denominators), whole utterances drawn with replacement (percentiles).

    Errors within an utterance depend on each other, so a digit error is no share of independent digits; Bisani & Ney
    2004 ("Bootstrap estimates for confidence intervals in ASR performance evaluation") draw utterances for that reason.
    Where no utterance has any error, all draws are alike, and Wilson's interval over the denominators is given.
    """
    above, below = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    assert len(above) == len(below), (len(above), len(below))
    if not len(above):
        return 0.0, 1.0
    if not above.any():
        return wilson(0, round(float(below.sum())))
    return _interval(_resampled([(above, below)], rng, resamples)[0])


def bootstrap_difference(
    one: tuple[Sequence[float], Sequence[float]],
    other: tuple[Sequence[float], Sequence[float]],
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """95 % interval of the ratio of `one` less that of `other`, numerators and denominators of the same texts each:
    the same texts are drawn of both, so what makes a text hard for both does not widen it."""
    first, second = _resampled([tuple(map(np.asarray, pair)) for pair in (one, other)], rng, resamples)
    return _interval(first - second)


def _resampled(
    systems: Sequence[tuple[np.ndarray, ...]], rng: np.random.Generator, resamples: int
) -> Sequence[np.ndarray]:
    """Ratios (resamples,) of each system's numerators and denominators, the same utterances drawn of all."""
    texts = len(systems[0][0])
    part = max(1, DRAWN_AT_ONCE // texts)
    ratios: list[list[np.ndarray]] = [[] for _ in systems]
    for start in range(0, resamples, part):
        draws = rng.multinomial(texts, np.full(texts, 1 / texts), size=min(part, resamples - start))
        for found, (above, below) in zip(ratios, systems, strict=True):
            found.append((draws @ above) / np.maximum(draws @ below, 1e-12))
    return [np.concatenate(found) for found in ratios]


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


# Stop errors


def stop_errors(utterance: Utterance, limits: Limits, pairs: Sequence[WordPair]) -> list[str]:
    """Which of `STOP_ERRORS` an utterance has.

    - cut_short: the last word was not recognized (the alignment deletes it), or the audio ends in sound: its last
      20 ms lie within 20 dB of its loudest 10 ms. A cut inside a weak final /s/, 30 dB and more under the vowel, goes
      unnoticed.
    - over_run: longer after the last word than real speech ever is. The recognizer gives no times, so this is a
      silence after the last sound longer than `limits.trailing_seconds`, or a last segment (by the pointer, where
      there is one) longer than `limits.segment_seconds`, or a whole longer than W such segments.
    - cap: the voice did not stop by itself and was cut at the longest time allowed.
    """
    sound = utterance.sound
    last = [recognized for said, recognized in pairs if said is not None][-1]
    found = {
        "cut_short": last is None or sound.end_db > -ENDS_IN_SOUND_DB,
        "over_run": sound.trailing_seconds > limits.trailing_seconds
        or (utterance.last_segment_seconds or 0) > limits.segment_seconds
        or sound.seconds > len(utterance.words) * limits.segment_seconds,
        "cap": utterance.stop_reason == "cap",
    }
    return [name for name in STOP_ERRORS if found[name]]


# Summaries


def summarize(utterances: Sequence[Utterance], limits: Limits, seed: int, unit: Unit = "digit") -> dict[str, Any]:
    """All metrics of one system on one split, breakdowns included: plain JSON values, shares from 0 to 1.

    - digit_error: (substitutions + insertions + deletions) / digits said, may exceed 1; interval by `bootstrap`.
      Of words: word_error.
    - exact: share of the texts recognized digit for digit; interval by `wilson`.
    - stop_error and its kinds: share of the texts with any, and with each, of `stop_errors`.
    - forced_advances: units cut at the voice's longest unit (`max_unit_seconds`), per word.
    - duration_ratio: seconds said / seconds of the real sequences of the same texts, summed over the texts.
    - silence, clipping, dc, loudness_dbfs, noise_floor_dbfs: means over the texts of the fields of `Sound`.
    - clicks_per_minute: clicks per minute of audio; clicks_per_1000_joins: those within 10 ms of a place between two
      segments, of the texts where such places are known.
    - nll_bits: mean negative log-likelihood of a real sample under teacher forcing, bits per sample (Mehri et al. 2017
      report the same for SampleRNN); advance_bits: of the advance bits, per segment; early: probability of ending a
      segment more than 50 ms too early. lead_seconds, late: the pointer's timing error, which is the expected time by
      which a segment is ended too early, and the probability that it is not ended at its real end. None where the
      likelihood was not computed.
    - by_length, by_speaker: the same error metrics by number of digits and by speaker.
    - by_position: digits substituted or deleted / digits said at each place from 1 (insertions have no place).
    - confusion: `confusion_matrix`; confusion_by_speaker the same for each speaker. Of words:
      confusions, how often each was recognized as another one, [speaker, said, recognized, times, of].

    Args: seed, of the bootstrap's generator; unit, what the errors are counted in and the names of their metrics.
    """
    alignments = [align(item.words, item.recognized) for item in utterances]
    rows = list(zip(utterances, alignments, strict=True))
    by_length = group_by(rows, lambda row: len(row[0].words))
    by_speaker = group_by(rows, lambda row: row[0].speaker)
    return {
        **_error_metrics(rows, limits, seed, unit),
        **_sound_metrics(utterances),
        **_likelihood_metrics(utterances),
        "by_length": {str(key): _error_metrics(part, limits, seed, unit) for key, part in by_length.items()},
        "by_speaker": {key: _error_metrics(part, limits, seed, unit) for key, part in by_speaker.items()},
        "by_position": by_position(alignments, unit),
        **(_digit_confusions(by_speaker) if unit == "digit" else {"confusions": _word_confusions(by_speaker)}),
    }


def _digit_confusions(by_speaker: Mapping[str, Sequence[Aligned]]) -> dict[str, Any]:
    tables = {speaker: confusion_matrix(pairs for _, pairs in rows) for speaker, rows in by_speaker.items()}
    return {
        "confusion": np.sum([*tables.values()], axis=0).tolist(),
        "confusion_by_speaker": {speaker: table.tolist() for speaker, table in tables.items()},
    }


def _word_confusions(by_speaker: Mapping[str, Sequence[Aligned]]) -> list[tuple[str, str, str, int, int]]:
    """Speaker, word said, word recognized ("-": nothing), times, and of how many said; the most frequent first."""
    found = []
    for speaker, rows in by_speaker.items():
        pairs = [(said or "-", recognized or "-") for _, alignment in rows for said, recognized in alignment]
        times, of = Counter(pairs), Counter(said for said, _ in pairs)
        found += [(speaker, *pair, count, of[pair[0]]) for pair, count in times.items() if pair[0] != pair[1]]
    return sorted(found, key=lambda row: (-row[3], row))


def group_by(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    """Rows by key, keys in rising order."""
    return {name: [*group] for name, group in groupby(sorted(rows, key=key), key)}


def by_position(alignments: Iterable[Sequence[WordPair]], unit: Unit = "digit") -> dict[str, dict[str, Any]]:
    """For each place in a text, from "1": digits said there, errors (substituted or deleted), error with interval."""
    wrong = [[said != recognized for said, recognized in pairs if said is not None] for pairs in alignments]
    table = {}
    for place, column in enumerate(zip_longest(*wrong), 1):
        count, errors = sum(each is not None for each in column), sum(filter(None, column))
        interval = list(wilson(errors, count))
        table[str(place)] = {f"{unit}s": count, "errors": errors, "error": errors / count, "error_95": interval}
    return table


def _error_metrics(rows: Sequence[Aligned], limits: Limits, seed: int, unit: Unit) -> dict[str, Any]:
    edits = [count_errors(pairs) for _, pairs in rows]
    totals = [edit.total for edit in edits]
    lengths = [len(item.words) for item, _ in rows]
    exact = sum(item.words == item.recognized for item, _ in rows)
    stops = [stop_errors(item, limits, pairs) for item, pairs in rows]
    stopped_wrong = sum(map(bool, stops))
    texts, said = len(rows), sum(lengths)
    return {
        "texts": texts,
        f"{unit}s": said,
        **{name: sum(getattr(x, name) for x in edits) for name in ("substitutions", "insertions", "deletions")},
        f"{unit}_error": sum(totals) / said,
        f"{unit}_error_95": list(bootstrap(totals, lengths, np.random.default_rng(seed))),
        "exact": exact / texts,
        "exact_95": list(wilson(exact, texts)),
        "stop_error": stopped_wrong / texts,
        "stop_error_95": list(wilson(stopped_wrong, texts)),
        **{name: sum(name in stop for stop in stops) / texts for name in STOP_ERRORS},
    }


def _sound_metrics(utterances: Sequence[Utterance]) -> dict[str, Any]:
    sounds = [item.sound for item in utterances]
    paired = [(item.sound.seconds, item.real_seconds) for item in utterances if item.real_seconds is not None]
    said, real = map(sum, zip(*paired, strict=True)) if paired else (0, 0)
    forced = [(item.forced_advances, len(item.words)) for item in utterances if item.forced_advances is not None]
    cut, words = map(sum, zip(*forced, strict=True)) if forced else (0, 0)
    seconds, joins = sum(sound.seconds for sound in sounds), sum(sound.joins or 0 for sound in sounds)
    means = ("silence", "clipping", "dc", "loudness_dbfs", "noise_floor_dbfs")
    return {
        "seconds": seconds,
        "duration_ratio": said / real if real else None,
        "forced_advances": cut / words if words else None,
        **{name: float(np.mean([getattr(sound, name) for sound in sounds])) for name in means},
        "clicks_per_minute": 60 * sum(sound.clicks for sound in sounds) / seconds,
        "joins": joins,
        "clicks_per_1000_joins": 1000 * sum(sound.join_clicks or 0 for sound in sounds) / joins if joins else None,
    }


def _likelihood_metrics(utterances: Sequence[Utterance]) -> dict[str, Any]:
    known = [item.likelihood for item in utterances if item.likelihood is not None]
    if not known:
        return dict.fromkeys(("nll_bits", "advance_bits", "early", "lead_seconds", "late"))
    total = {name: sum(getattr(item, name) for item in known) for name in vars(known[0])}
    segments = total["segments"]
    return {
        "nll_bits": total["sample_nats"] / total["samples"] / math.log(2),
        "advance_bits": total["advance_nats"] / segments / math.log(2),
        **{name: total[name] / segments for name in ("early", "lead_seconds", "late")},
    }
