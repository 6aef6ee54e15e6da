"""What is kept of one judged text: one line of JSON, from which a report can be made again without speaking again.

Letters: T samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from data_recipes.corpus import frame_levels
from tts.evaluation.clicks import find_clicks

SILENCE_DB = 35.0
"""A 10 ms frame so far below the loudest one of its utterance is silence."""

SILENCE_DBFS = -60.0
"""So is one below this level, however quiet the other frames."""

ENDS_IN_SOUND_DB = 20.0
"""Speech whose last 20 ms lie within this range of its loudest 10 ms ends in the middle of a sound."""

JOIN_SECONDS = 0.010
"""A click so near to the place between two segments lies at the join."""

CLIPPED = 0.999
ACTIVE_RANGE_DB = 20.0

System = Literal["voice", "ground_truth", "baseline"]
Unit = Literal["digit", "word"]
"""What errors are counted in: digits of a voice that says nothing else, words of any other one."""


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
    """How many places between two segments there are; None where they are not known."""
    join_clicks: int | None = None
    """How many of the clicks lie within 10 ms of such a place."""


def measure_sound(wave: np.ndarray, sample_rate: int, joins: Sequence[int] | None = None) -> Sound:
    """Measure wave (T,) float in [-1, 1], T at least 1, at sample_rate Hz.

    Args: joins, the samples where a segment ends and the next one begins; None where that is not known.
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
    """How likely a real sequence is under a voice's model (teacher forcing)."""

    sample_nats: float
    """Summed negative log-likelihood of the samples."""
    samples: int
    advance_nats: float
    """Summed negative log-likelihood of the advance bits."""
    segments: int
    early: float
    """Summed over the segments: the probability of ending it more than 50 ms before its real end."""
    lead_seconds: float = 0.0
    """Summed over the segments: the expected time by which it is ended too early; 0 where it is not."""
    late: float = 0.0
    """Summed over the segments: the probability of not ending it by the frame of its real end."""


@dataclass(frozen=True)
class Score:
    """What a judge makes of a wave by one measure: a sum and how many it is of, so that a mean over many waves is the
    sum of the sums over the sum of the counts. reading: what was recognized, words or a speaker."""

    total: float
    count: float
    reading: str | None = None


@dataclass(frozen=True)
class Utterance:
    """One text as said by one system, and what was recognized: by our recognizer, or of other words than digits by the
    judge whisper. Digits are numerals, "4"."""

    split: str
    index: int
    system: System
    text: str
    words: list[str]
    speaker: str
    recognized: list[str]
    sound: Sound
    real_seconds: float | None = None
    """Duration of the real sequence of the same text, if there is one."""
    last_segment_seconds: float | None = None
    """From the end of the last word but one to the end of the audio, where a pointer or boundaries give it."""
    stop_reason: str | None = None
    """"stop" or "cap", of a voice."""
    forced_advances: int | None = None
    """Units cut at the voice's longest unit (`max_unit_seconds`), of a voice."""
    likelihood: Likelihood | None = None
    scores: dict[str, Score] = field(default_factory=dict)
    """What the judges beside the recognizer say, by measure."""
    path: str | None = None
    """Audio file, relative to the report's folder or as a manifest names it."""

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "Utterance":
        """The inverse of `dataclasses.asdict`."""
        known = row["likelihood"] and Likelihood(**row["likelihood"])
        scores = {name: Score(**score) for name, score in row["scores"].items()}
        return cls(**{**row, "sound": Sound(**row["sound"]), "likelihood": known, "scores": scores})


@dataclass(frozen=True)
class Limits:
    """The longest that real speech has, measured on training recordings joined as the test recordings are."""

    trailing_seconds: float
    """Silence after the last sound."""
    segment_seconds: float
    """One word's segment: the word and the pause after it, for the first one also the opening silence."""


NO_LIMITS = Limits(1e9, 1e9)
"""Where there are no real recordings: nothing counts as over-run."""
