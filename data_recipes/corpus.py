"""What every corpus becomes: recordings of single words by split, prepared alike.

Levels differ by 20 dB between speakers and some files are mostly silence, so each recording is prepared by itself:
DC removed, silence at the ends trimmed, brought to one level, ends faded. Letters: T samples.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from data_recipes.denoise import denoise
from data_recipes.dequantize import dequantize as add_dequantization_noise
from tts.core.config import Range, check
from tts.core.errors import InputError
from tts.text.normalize import SPOKEN

SPLITS = ("train", "validation", "test")

FRAME_SECONDS = 0.010  # the window in which levels are compared
LEAD_CLICK_GAP_SECONDS = 0.050  # no digit begins with a short sound, then silence this long: it is a click
LEAD_CLICK_SECONDS = 0.030
LEAD_GAP_SECONDS = 0.150  # nor with any sound followed by this much silence
TAIL_GAP_SECONDS = 0.200  # longer than the silence before the burst that ends "eight" and "six"
ACTIVE_RANGE_DB = 20.0  # frames this close to the loudest count as active speech
PEAK_LIMIT = 0.95

Decibels = Annotated[float, Range(0, 60)]
DecibelsBelow = Annotated[float, Range(-120, 0)]
Second = Annotated[float, Range(0, 1)]


@dataclass(frozen=True)
class RecordingOptions:
    """How one recording is prepared. Recorded in the dataset card.

    sample_rate: Hz. remove_dc: subtract the mean. denoise_db: lower steady noise by up to so much, see `denoise`; 0
    leaves it. dequantize: add noise of one step where a recording has few bits, see `dequantize`. trim: cut silence at
    both ends, which is what lies under a threshold relative to the loudest 10 ms: `trim_margin_db` above the quietest
    twentieth of the frames, but within `trim_floor_db` and `trim_ceiling_db`. pad_seconds: kept on both sides of what
    is left. level_dbfs: RMS of the active frames, in dB below full scale; None leaves the level. fade_seconds: linear,
    at both ends.
    """

    sample_rate: Annotated[int, Range(1000, 192_000)] = 8000
    remove_dc: bool = True
    denoise_db: Decibels = 0.0
    dequantize: bool = False
    trim: bool = True
    trim_floor_db: DecibelsBelow = -40.0
    trim_ceiling_db: DecibelsBelow = -28.0
    trim_margin_db: Decibels = 10.0
    pad_seconds: Second = 0.020
    level_dbfs: Annotated[float, Range(-60, 0)] | None = -20.0
    fade_seconds: Second = 0.005

    def __post_init__(self) -> None:
        """Raises: InputError for a value outside what makes sense."""
        check(self)
        if self.trim_floor_db > self.trim_ceiling_db:
            found = f"trim_floor_db is {self.trim_floor_db} and trim_ceiling_db {self.trim_ceiling_db}"
            raise InputError(f"{found}; the floor must not be above the ceiling")


@dataclass(frozen=True)
class CorpusOptions:
    """What is taken of a corpus. A corpus refuses those that it does not have.

    words: which; empty: the corpus's default. languages: of the folders of prompts, or of eSpeak's voices. voices,
    takes: how many eSpeak's are; None: its defaults. one_speaker: all speakers are taken as one, "everyone", for a
    corpus in which nobody says all words, or speakers of `validation` are none of `train`. piece_seconds: of `folder`.
    """

    words: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    voices: Annotated[int, Range(1, 10_000)] | None = None
    takes: Annotated[int, Range(4, 1000)] | None = None
    one_speaker: bool = False
    piece_seconds: Annotated[float, Range(0.01, 600)] | None = None

    def __post_init__(self) -> None:
        """Raises: InputError for a number out of range."""
        check(self)


@dataclass(frozen=True)
class Recording:
    """One person saying one word once: audio (T,) float32 in [-1, 1] at sample_rate Hz; id like "4_jackson_7"."""

    audio: np.ndarray
    word: str
    speaker: str
    take: int
    sample_rate: int
    id: str

    @property
    def digit(self) -> int:
        """What the word stands for, of a corpus of digits."""
        return SPOKEN[self.word]


@dataclass(frozen=True)
class Corpus:
    """Recordings by split, and what a card says of them.

    notes: what a reader should know about how they came about, one line each. name: as in `tts data build NAME`. title,
    source: of the corpus, for people. license: an SPDX-like id in lower case, as dataset cards have it.
    languages: codes of those that are spoken; empty: not known, or none.
    """

    splits: dict[str, list[Recording]]
    notes: list[str]
    options: RecordingOptions
    name: str = "fsdd"
    title: str = "Free Spoken Digit Dataset"
    source: str = ""
    license: str = ""
    languages: tuple[str, ...] = ("en",)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Every word that is in `train`, sorted."""
        return tuple(sorted({recording.word for recording in self.splits.get("train", ())}))


def prepare(wave: np.ndarray, options: RecordingOptions) -> np.ndarray | None:
    """One recording made ready: wave (T,) float32 at options.sample_rate Hz to (T',) float32, or None for silence."""
    audio = wave.astype(np.float32)
    audio = _centered(add_dequantization_noise(audio) if options.dequantize else audio, options)
    if np.abs(audio).max() < 1e-5:
        return None
    if options.denoise_db:
        audio = denoise(audio, options.sample_rate, options.denoise_db)
    if options.trim:
        start, end = _speech_span(audio, options)
        audio = _centered(audio[start:end], options)  # the mean of what was cut away need not be that of what stays
    if options.level_dbfs is not None:
        levels = frame_levels(audio, options.sample_rate)
        active = levels[levels > levels.max() - ACTIVE_RANGE_DB]
        rms = np.sqrt(np.mean(10 ** (active / 10)))
        gain = min(10 ** (options.level_dbfs / 20) / rms, PEAK_LIMIT / float(np.abs(audio).max()))
        audio = (audio * gain).astype(np.float32)
    fade = min(round(options.fade_seconds * options.sample_rate), len(audio) // 2)
    if fade:
        ramp = (np.arange(fade, dtype=np.float32) + 0.5) / fade
        audio = audio.copy()
        audio[:fade] *= ramp
        audio[-fade:] *= ramp[::-1]
    return audio


def _centered(audio: np.ndarray, options: RecordingOptions) -> np.ndarray:
    return audio - audio.mean(dtype=np.float64).astype(np.float32) if options.remove_dc else audio


def frame_levels(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Mean power in dB of each 10 ms of audio (T,), the last of them shorter: (ceil(T / frame),) float64."""
    frame = max(1, round(FRAME_SECONDS * sample_rate))
    starts = np.arange(0, len(audio), frame)
    sums = np.add.reduceat(audio.astype(np.float64) ** 2, starts)
    counts = np.minimum(frame, len(audio) - starts)
    return 10 * np.log10(sums / counts + 1e-12)


def _speech_span(audio: np.ndarray, options: RecordingOptions) -> tuple[int, int]:
    """First and one-past-last sample of the speech in audio (T,), padding included."""
    frame = max(1, round(FRAME_SECONDS * options.sample_rate))
    # Judged by power alone, the s of a "six" at 8 kHz, 40 dB under its vowel, is cut off. So a frame also counts where
    # its first difference stands out, without a ceiling: where white noise is loud in it, the power decides.
    levels = frame_levels(audio - audio.mean(), options.sample_rate)
    sharp = frame_levels(np.diff(audio, prepend=audio[:1]), options.sample_rate)
    loud = _loud_frames(levels, options, options.trim_ceiling_db) | _loud_frames(sharp, options, 0.0)
    relative = levels - levels.max()
    # Islands of sound: [first frame, one past last frame). The one with most energy is speech; clicks far from it,
    # and what follows a silence longer than any inside a digit, are not.
    edges = np.flatnonzero(np.diff(np.concatenate(([0], loud.astype(np.int8), [0]))))
    islands = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    main = int(np.argmax([np.sum(10 ** (relative[a:b] / 10)) for a, b in islands]))
    first, last = islands[main]
    for a, b in islands[main + 1 :]:
        if (a - last) * FRAME_SECONDS >= TAIL_GAP_SECONDS:
            break
        last = b
    for a, b in reversed(islands[:main]):
        gap = (first - b) * FRAME_SECONDS
        click = gap >= LEAD_CLICK_GAP_SECONDS and (b - a) * FRAME_SECONDS <= LEAD_CLICK_SECONDS
        if click or gap >= LEAD_GAP_SECONDS:
            break
        first = a
    pad = round(options.pad_seconds * options.sample_rate)
    return max(0, first * frame - pad), min(len(audio), last * frame + pad)


def _loud_frames(levels: np.ndarray, options: RecordingOptions, ceiling_db: float) -> np.ndarray:
    """Which frames stand out of the quiet ones: levels (N,) in dB to (N,) bool."""
    relative = levels - levels.max()
    quiet = float(np.quantile(relative, 0.05))
    return relative > np.clip(quiet + options.trim_margin_db, options.trim_floor_db, ceiling_db)
