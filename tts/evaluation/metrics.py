"""What is measured in speech that was judged, each figure with its meaning, unit and source.

Everything here works on what is kept of an utterance (`Utterance`, one line of JSON), so that a report can be made
again without speaking again. "floor" means the same figures of real recordings, joined in the same way.

Letters: T samples, W digits of a text.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from data_recipes.fsdd import frame_levels
from tts.evaluation.clicks import find_clicks

NOTHING = 10
"""Row and column of a confusion matrix beside the ten digits: nothing was said, or nothing was heard."""

STOP_ERRORS = ("cut_short", "over_run", "cap")

SILENCE_DB = 35.0
"""A 10 ms frame so far below the loudest one of its utterance is silence."""

SILENCE_DBFS = -60.0
"""So is one below this level, however quiet the rest."""

ENDS_IN_SOUND_DB = 20.0
"""Speech whose last 20 ms lie within this range of its loudest 10 ms ends in the middle of a sound."""

JOIN_SECONDS = 0.010
"""A click so near to the place between two turns lies at the join."""

CLIPPED = 0.999
ACTIVE_RANGE_DB = 20.0
RESAMPLES = 2000
DRAWN_AT_ONCE = 2_000_000
"""So many numbers of a bootstrap are held in memory together."""
Z95 = 1.959964

System = Literal["voice", "ground_truth", "baseline"]
Pair = tuple[int | None, int | None]
Row = TypeVar("Row")
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Sound:
    """Measures of a wave that need no text."""

    seconds: float
    trailing_seconds: float
    """Silence after the last sound, seconds."""
    end_db: float
    """Level of the last 20 ms relative to the loudest 10 ms, dB, at most about 0."""
    silence: float
    """Share of the 10 ms frames that are silence (`SILENCE_DB`, `SILENCE_DBFS`), 0 … 1."""
    clipping: float
    """Share of the samples at full scale (magnitude at least 0.999), 0 … 1."""
    dc: float
    """Mean of the samples, full scale 1."""
    loudness_dbfs: float
    """RMS of the frames within 20 dB of the loudest, dB below full scale: the level that recordings are brought to."""
    noise_floor_dbfs: float
    """RMS of the quietest tenth of the 10 ms frames, dB below full scale."""
    clicks: int
    """How many `clicks.find_clicks` finds."""
    joins: int | None = None
    """How many places between two turns there are; None where nothing tells."""
    join_clicks: int | None = None
    """How many of the clicks lie within 10 ms of such a place."""


def measure_sound(wave: np.ndarray, sample_rate: int, joins: Sequence[int] | None = None) -> Sound:
    """Measure wave (T,) float in [-1, 1], T at least 1, at sample_rate Hz.

    Args: joins, the samples where a turn ends and the next one begins; None where that is not known.
    """
    assert wave.ndim == 1 and len(wave), wave.shape
    levels = frame_levels(wave, sample_rate)
    loudest = float(levels.max())
    sounding = np.flatnonzero((levels > loudest - SILENCE_DB) & (levels > SILENCE_DBFS))
    frame = max(1, round(0.010 * sample_rate))
    last = min(len(wave), (int(sounding[-1]) + 1) * frame) if len(sounding) else 0
    end = wave[-max(1, round(0.020 * sample_rate)) :].astype(np.float64)
    active = levels[levels > loudest - ACTIVE_RANGE_DB]
    quietest = np.sort(levels)[: max(1, len(levels) // 10)]
    clicks = find_clicks(wave, sample_rate)
    distances = np.abs(clicks[:, None] - np.asarray(joins or (), dtype=np.int64)[None])
    return Sound(
        seconds=len(wave) / sample_rate,
        trailing_seconds=(len(wave) - last) / sample_rate,
        end_db=float(10 * np.log10(np.mean(end**2) + 1e-12)) - loudest,
        silence=1 - len(sounding) / len(levels),
        clipping=float(np.mean(np.abs(wave) >= CLIPPED)),
        dc=float(np.mean(wave, dtype=np.float64)),
        loudness_dbfs=_mean_level(active),
        noise_floor_dbfs=_mean_level(quietest),
        clicks=len(clicks),
        joins=None if joins is None else len(joins),
        join_clicks=None if joins is None else int((distances <= JOIN_SECONDS * sample_rate).any(axis=1).sum()),
    )


def _mean_level(levels: np.ndarray) -> float:
    """Level in dB of the mean power of frames, whose levels in dB are given."""
    return float(10 * np.log10(np.mean(10 ** (levels / 10))))


@dataclass(frozen=True)
class Likelihood:
    """What a voice thinks of a real sequence that it is made to follow (teacher forcing)."""

    sample_nats: float
    """Summed negative log-likelihood of the samples."""
    samples: int
    advance_nats: float
    """Summed negative log-likelihood of the advance bits."""
    segments: int
    early: float
    """Summed probability, over the turns, of leaving the word more than 50 ms before its turn really ended."""
    lead_seconds: float = 0.0
    """Summed over the turns: the time by which the word is left too early, in expectation; nothing where it is not."""
    late: float = 0.0
    """Summed probability, over the turns, of not leaving the word by the frame where its turn really ended."""


@dataclass(frozen=True)
class Utterance:
    """One text as said by one system and as heard by the recognizer."""

    split: str
    index: int
    system: System
    text: str
    digits: list[int]
    speaker: str
    recognized: list[int]
    sound: Sound
    real_seconds: float | None = None
    """Duration of the real sequence of the same text, if there is one."""
    last_segment_seconds: float | None = None
    """From the end of the last word but one to the end of the audio, where a pointer or boundaries tell."""
    stop_reason: str | None = None
    """"stop" or "cap", of a voice."""
    forced_advances: int | None = None
    """Words cut at the voice's longest word, of a voice."""
    likelihood: Likelihood | None = None
    path: str | None = None
    """Audio file, relative to the report's folder or as a manifest names it."""

    def to_json(self) -> dict[str, Any]:
        """As plain dicts and lists."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "Utterance":
        """The inverse of `to_json`."""
        likelihood = row.get("likelihood")
        return cls(
            **{
                **row,
                "sound": Sound(**row["sound"]),
                "likelihood": Likelihood(**likelihood) if likelihood else None,
            }
        )


@dataclass(frozen=True)
class Limits:
    """The longest that real speech has, measured on training takes joined as the test takes are."""

    trailing_seconds: float
    """Silence after the last sound."""
    segment_seconds: float
    """One digit's turn: the digit and the silence after it, for the first one also the opening silence."""


# Alignment


def align(said: Sequence[int], recognized: Sequence[int]) -> list[Pair]:
    """The cheapest way from what was said to what was heard: (said, heard) pairs, None where one side has nothing.

    Substitution, insertion and deletion cost 1 each (Levenshtein 1966). Where several ways are equally cheap, jiwer's
    (RapidFuzz's) choice holds; the number of errors is the same for all of them.
    """
    import jiwer

    assert len(said), "nothing was to be said"
    output = jiwer.process_words(" ".join(map(str, said)), " ".join(map(str, recognized)))
    pairs: list[Pair] = []
    for chunk in output.alignments[0]:
        rows: list[int | None] = list(said[chunk.ref_start_idx : chunk.ref_end_idx])
        columns: list[int | None] = list(recognized[chunk.hyp_start_idx : chunk.hyp_end_idx])
        width = max(len(rows), len(columns))
        rows += [None] * (width - len(rows))
        columns += [None] * (width - len(columns))
        pairs += zip(rows, columns, strict=True)
    return pairs


@dataclass(frozen=True)
class Errors:
    """Edits of an alignment."""

    substitutions: int
    insertions: int
    deletions: int

    @property
    def total(self) -> int:
        """All edits."""
        return self.substitutions + self.insertions + self.deletions


def count_errors(pairs: Iterable[Pair]) -> Errors:
    """The edits of aligned pairs."""
    substitutions = insertions = deletions = 0
    for said, recognized in pairs:
        if said is None:
            insertions += 1
        elif recognized is None:
            deletions += 1
        else:
            substitutions += said != recognized
    return Errors(substitutions, insertions, deletions)


def confusion_matrix(alignments: Iterable[Sequence[Pair]]) -> np.ndarray:
    """(11, 11) int64 counts: row said, column heard, `NOTHING` for insertions (row) and deletions (column)."""
    table = np.zeros((11, 11), dtype=np.int64)
    for pairs in alignments:
        for said, recognized in pairs:
            table[NOTHING if said is None else said, NOTHING if recognized is None else recognized] += 1
    return table


# Intervals


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of a share of independent trials; (0, 1) for no trials.

    Reference: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    assert 0 <= successes <= trials, (successes, trials)
    if not trials:
        return 0.0, 1.0
    z2 = Z95 * Z95
    center = (successes + z2 / 2) / (trials + z2)
    half = Z95 / (trials + z2) * math.sqrt(successes * (trials - successes) / trials + z2 / 4)
    return max(0.0, center - half), min(1.0, center + half)


def bootstrap(
    numerators: Sequence[float], denominators: Sequence[float], rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """95 % interval of sum(numerators) / sum(denominators), whole utterances drawn with replacement (percentiles).

    Errors within an utterance hang together, so a digit error rate is no share of independent digits; Bisani & Ney 2004
    ("Bootstrap estimates for confidence intervals in ASR performance evaluation") draw utterances for that reason.
    Where no utterance has any error, drawing cannot tell, and Wilson's interval over the denominators is given.
    """
    above, below = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    assert len(above) == len(below), (len(above), len(below))
    if not len(above):
        return 0.0, 1.0
    if not above.any():
        return wilson(0, round(float(below.sum())))
    chances = np.full(len(above), 1 / len(above))
    part = max(1, DRAWN_AT_ONCE // len(above))
    ratios = []
    for start in range(0, resamples, part):
        draws = rng.multinomial(len(above), chances, size=min(part, resamples - start))
        ratios.append((draws @ above) / np.maximum(draws @ below, 1e-12))
    low, high = np.percentile(np.concatenate(ratios), [2.5, 97.5])
    return float(low), float(high)


# Stop errors


def stop_errors(utterance: Utterance, limits: Limits, pairs: Sequence[Pair]) -> list[str]:
    """Which of `STOP_ERRORS` an utterance has.

    - cut_short: the last digit was not heard (the alignment deletes it), or the audio ends in sound: its last 20 ms lie
      within 20 dB of its loudest 10 ms. A cut inside a weak final /s/, 30 dB and more under the vowel, goes unnoticed.
    - over_run: longer after the last digit than real speech ever is, which the digits' own times would tell if the
      recognizer had them; so: silence after the last sound longer than `limits.trailing_seconds`, or the last turn (by
      the pointer, where there is one) longer than `limits.segment_seconds`, or the whole longer than W such turns.
    - cap: the voice did not stop by itself and was cut at the longest time allowed.
    """
    found = []
    said = [k for k, (digit, _) in enumerate(pairs) if digit is not None]
    if pairs[said[-1]][1] is None or utterance.sound.end_db > -ENDS_IN_SOUND_DB:
        found.append("cut_short")
    segment = utterance.last_segment_seconds
    if (
        utterance.sound.trailing_seconds > limits.trailing_seconds
        or (segment is not None and segment > limits.segment_seconds)
        or utterance.sound.seconds > len(utterance.digits) * limits.segment_seconds
    ):
        found.append("over_run")
    if utterance.stop_reason == "cap":
        found.append("cap")
    return found


# Summaries


def summarize(utterances: Sequence[Utterance], limits: Limits, seed: int) -> dict[str, Any]:
    """All figures of one system on one split, breakdowns included: plain JSON values, shares from 0 to 1.

    - digit_error: (substitutions + insertions + deletions) / digits said, may exceed 1; interval by `bootstrap`.
    - exact: share of the texts heard digit for digit; interval by `wilson`.
    - stop_error and its kinds: share of the texts with any, and with each, of `stop_errors`.
    - forced_advances: words cut at the voice's longest word, per word.
    - duration_ratio: seconds said / seconds of the real sequences of the same texts, summed over the texts.
    - silence, clipping, dc, loudness_dbfs, noise_floor_dbfs: means over the texts of the fields of `Sound`.
    - clicks_per_minute: clicks per minute of audio; clicks_per_1000_joins: those within 10 ms of a place between two
      turns, of the texts where such places are known.
    - nll_bits: mean negative log-likelihood of a real sample under teacher forcing, bits per sample (Mehri et al. 2017
      report the same for SampleRNN); advance_bits: of the advance bits, per word; early: probability of leaving a word
      more than 50 ms too early. lead_seconds, late: the pointer's timing error, which is the time by which a word is
      left too early, in expectation, and the probability that it is not left when its turn really ends. Where the voice
      was asked for them; else None.
    - by_length, by_speaker: the same error figures by number of digits and by speaker.
    - by_position: digits substituted or deleted / digits said at each place from 1 (insertions have no place).
    - confusion: `confusion_matrix`; confusion_by_speaker the same for each speaker.

    Args: seed, of the bootstrap's generator.
    """
    alignments = [align(item.digits, item.recognized) for item in utterances]
    rows = list(zip(utterances, alignments, strict=True))
    metrics = _error_figures(rows, limits, seed)
    by_length = group_by(rows, lambda row: len(row[0].digits))
    by_speaker = group_by(rows, lambda row: row[0].speaker)
    return {
        **metrics,
        **_sound_figures(utterances),
        **_likelihood_figures(utterances),
        "by_length": {str(key): _error_figures(part, limits, seed) for key, part in by_length.items()},
        "by_speaker": {key: _error_figures(part, limits, seed) for key, part in by_speaker.items()},
        "by_position": by_position(alignments),
        "confusion": confusion_matrix(alignments).tolist(),
        "confusion_by_speaker": {
            key: confusion_matrix(pairs for _, pairs in part).tolist() for key, part in by_speaker.items()
        },
    }


def group_by(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    """Rows by key, keys in rising order."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return dict(sorted(groups.items()))


def by_position(alignments: Iterable[Sequence[Pair]]) -> dict[str, dict[str, Any]]:
    """For each place in a text, from "1": digits said there, errors (substituted or deleted), error with interval."""
    said: dict[int, int] = {}
    wrong: dict[int, int] = {}
    for pairs in alignments:
        place = 0
        for digit, recognized in pairs:
            if digit is None:
                continue
            place += 1
            said[place] = said.get(place, 0) + 1
            wrong[place] = wrong.get(place, 0) + (digit != recognized)
    return {
        str(place): {
            "digits": said[place],
            "errors": wrong[place],
            "error": wrong[place] / said[place],
            "error_95": list(wilson(wrong[place], said[place])),
        }
        for place in sorted(said)
    }


def _error_figures(rows: Sequence[tuple[Utterance, list[Pair]]], limits: Limits, seed: int) -> dict[str, Any]:
    edits = [count_errors(pairs) for _, pairs in rows]
    lengths = [len(item.digits) for item, _ in rows]
    exact = sum(item.digits == item.recognized for item, _ in rows)
    stops = [stop_errors(item, limits, pairs) for item, pairs in rows]
    stopped_wrong = sum(map(bool, stops))
    texts, digits = len(rows), sum(lengths)
    return {
        "texts": texts,
        "digits": digits,
        "substitutions": sum(edit.substitutions for edit in edits),
        "insertions": sum(edit.insertions for edit in edits),
        "deletions": sum(edit.deletions for edit in edits),
        "digit_error": sum(edit.total for edit in edits) / digits,
        "digit_error_95": list(bootstrap([edit.total for edit in edits], lengths, np.random.default_rng(seed))),
        "exact": exact / texts,
        "exact_95": list(wilson(exact, texts)),
        "stop_error": stopped_wrong / texts,
        "stop_error_95": list(wilson(stopped_wrong, texts)),
        **{name: sum(name in stop for stop in stops) / texts for name in STOP_ERRORS},
    }


def _sound_figures(utterances: Sequence[Utterance]) -> dict[str, Any]:
    paired = [item for item in utterances if item.real_seconds is not None]
    real = sum(item.real_seconds or 0.0 for item in paired)
    forced = [item for item in utterances if item.forced_advances is not None]
    words = sum(len(item.digits) for item in forced)
    seconds = sum(item.sound.seconds for item in utterances)
    joins = sum(item.sound.joins or 0 for item in utterances)
    return {
        "seconds": seconds,
        "duration_ratio": sum(item.sound.seconds for item in paired) / real if real else None,
        "forced_advances": sum(item.forced_advances or 0 for item in forced) / words if words else None,
        **{
            name: float(np.mean([getattr(item.sound, name) for item in utterances]))
            for name in ("silence", "clipping", "dc", "loudness_dbfs", "noise_floor_dbfs")
        },
        "clicks_per_minute": 60 * sum(item.sound.clicks for item in utterances) / seconds,
        "joins": joins,
        "clicks_per_1000_joins": (
            1000 * sum(item.sound.join_clicks or 0 for item in utterances) / joins if joins else None
        ),
    }


def _likelihood_figures(utterances: Sequence[Utterance]) -> dict[str, Any]:
    known = [item.likelihood for item in utterances if item.likelihood is not None]
    if not known:
        return dict.fromkeys(("nll_bits", "advance_bits", "early", "lead_seconds", "late"))
    segments = sum(item.segments for item in known)
    nats = sum(item.sample_nats for item in known) / sum(item.samples for item in known)
    return {
        "nll_bits": nats / math.log(2),
        "advance_bits": sum(item.advance_nats for item in known) / segments / math.log(2),
        "early": sum(item.early for item in known) / segments,
        "lead_seconds": sum(item.lead_seconds for item in known) / segments,
        "late": sum(item.late for item in known) / segments,
    }
