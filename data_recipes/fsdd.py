"""Free Spoken Digit Dataset: 3,000 recordings of single digits, 6 speakers x 10 digits x 50 takes, 8 kHz, mono.

License CC BY-SA 4.0, https://github.com/Jakobovski/free-spoken-digit-dataset. Takes 0-4 are the corpus's own test
split and stay it; takes 5-7 are `validation`, 8-49 are `train`.

Levels differ by 20 dB between speakers and some files are mostly silence, so each recording is prepared by itself:
DC removed, silence at the ends trimmed, brought to one level, ends faded. Letters: T samples.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from tqdm import tqdm

from data_recipes.denoise import denoise
from data_recipes.download import FSDD_REVISION, TAKES, differing_groups, fetch_fsdd
from tts.audio import read, read_channels, resample, to_mono
from tts.core.config import Range, check
from tts.core.errors import InputError
from tts.core.files import is_folder

LICENSE = "cc-by-sa-4.0"
SOURCE = (
    "Free Spoken Digit Dataset by Zohar Jackson and contributors, CC BY-SA 4.0, "
    "https://github.com/Jakobovski/free-spoken-digit-dataset"
)
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
TEST_TAKES = range(5)
VALIDATION_TAKES = range(5, 8)
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
    leaves it. trim: cut silence at both ends, which is what lies under a threshold relative to the loudest 10 ms:
    `trim_margin_db` above the quietest twentieth of the frames, but within `trim_floor_db` and `trim_ceiling_db`.
    pad_seconds: kept on both sides of what is left. level_dbfs: RMS of the active frames, in dB below full scale; None
    leaves the level. fade_seconds: linear, at both ends.
    """

    sample_rate: Annotated[int, Range(1000, 192_000)] = 8000
    remove_dc: bool = True
    denoise_db: Decibels = 0.0
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
class Recording:
    """One person saying one digit once: audio (T,) float32 in [-1, 1] at sample_rate Hz; id like "4_jackson_7"."""

    audio: np.ndarray
    digit: int
    speaker: str
    take: int
    sample_rate: int
    id: str


@dataclass(frozen=True)
class Corpus:
    """Recordings by split, and what a reader should know about how they came about (one line each)."""

    splits: dict[str, list[Recording]]
    notes: list[str]
    options: RecordingOptions


def split_of_take(take: int) -> str:
    """The split that a take belongs to; a recording never crosses splits."""
    if take in TEST_TAKES:
        return "test"
    return "validation" if take in VALIDATION_TAKES else "train"


def build_recordings(
    source: Path | None,
    options: RecordingOptions | None = None,
    speakers: Sequence[str] | None = None,
    progress: bool = False,
) -> dict[str, list[Recording]]:
    """The splits of `load_corpus`, which has the arguments and errors: each ordered by speaker, digit, take."""
    return load_corpus(source, options, speakers, progress).splits


def load_corpus(
    source: Path | None,
    options: RecordingOptions | None = None,
    speakers: Sequence[str] | None = None,
    progress: bool = False,
) -> Corpus:
    """Read, check and prepare the corpus.

    Args:
        source: the corpus's repository or its recordings/ folder. None downloads the pinned revision into the cache.
        speakers: a subset of `SPEAKERS`; None takes all. Only their files are read and need be there.
        progress: show a bar on stderr.

    Raises: InputError for an unknown speaker, a missing take, or a file that cannot be used, which it names.
    """
    options = options or RecordingOptions()
    chosen = _check_speakers(SPEAKERS if speakers is None else speakers)
    folder = fetch_fsdd(progress=progress) if source is None else _recordings_folder(Path(source))
    wanted = [(speaker, digit, take) for speaker in chosen for digit in range(10) for take in range(TAKES)]
    foreign = _check_complete(folder, [f"{digit}_{speaker}_{take}.wav" for speaker, digit, take in wanted])
    splits: dict[str, list[Recording]] = {name: [] for name in SPLITS}
    stereo = resampled = 0
    for speaker, digit, take in tqdm(wanted, desc="fsdd", unit="recording", disable=not progress):
        path = folder / f"{digit}_{speaker}_{take}.wav"
        wave, rate = read_channels(path)
        stereo += wave.shape[1] > 1
        resampled += rate != options.sample_rate
        audio = prepare(resample(to_mono(wave, path), rate, options.sample_rate), options)
        if audio is None:
            raise InputError(f"{path}: holds only silence; restore it from the corpus")
        splits[split_of_take(take)].append(Recording(audio, digit, speaker, take, options.sample_rate, path.stem))
    notes = []
    if foreign:
        notes.append(f"{foreign} files in the source are not part of the corpus and were left out")
    if differing := differing_groups(folder, chosen):
        groups = f"{len(differing)} of {10 * len(chosen)} digits of a speaker, the first {differing[0]}"
        notes.append(f"the files are not those of revision {FSDD_REVISION[:7]} in {groups}")
    if stereo:
        notes.append(f"{stereo} of {len(wanted)} files had several channels; their mean was taken")
    if resampled:
        notes.append(f"{resampled} of {len(wanted)} files were resampled to {options.sample_rate} Hz")
    for note in notes:
        print(f"fsdd: {note}", file=sys.stderr)
    return Corpus(splits, notes, options)


def build_takes(folder: Path, options: RecordingOptions, speakers: Sequence[str]) -> list[Recording]:
    """Recordings of single digits that are not the corpus's, prepared alike: files named DIGIT_SPEAKER_TAKE.wav.

    Args:
        folder: where they lie, e.g. what `scripts/self_training.py` wrote. Those of other speakers are left out.
        options: as of the recordings beside which they are used.
        speakers: whose.

    Returns: by speaker, digit and take, with ids like "4_jackson_extra7".

    Raises: InputError if there is none, or one cannot be used.
    """
    pattern = re.compile(rf"(\d)_({'|'.join(map(re.escape, speakers))})_(\d+)\.wav")
    present = sorted(path.name for path in folder.iterdir()) if is_folder(folder) else []
    found = []
    for match in filter(None, map(pattern.fullmatch, present)):
        digit, speaker, take = int(match[1]), match[2], int(match[3])
        path = folder / match[0]
        wave, rate = read(path)
        audio = prepare(resample(wave, rate, options.sample_rate), options)
        if audio is None:
            raise InputError(f"{path}: holds only silence; remove it")
        found.append(Recording(audio, digit, speaker, take, options.sample_rate, f"{digit}_{speaker}_extra{take}"))
    if not found:
        names = ", ".join(speakers)
        raise InputError(f"{folder}: no recordings of {names} there; files are named like 4_jackson_7.wav")
    return sorted(found, key=lambda one: (one.speaker, one.digit, one.take))


def _check_speakers(speakers: Sequence[str]) -> tuple[str, ...]:
    """The speakers in the corpus's order. Raises: InputError for an unknown name or none at all."""
    for name in speakers:
        if name not in SPEAKERS:
            raise InputError(f"speaker {name!r} is not in FSDD; choose among {', '.join(SPEAKERS)}")
    if not speakers:
        raise InputError(f"no speaker is left; choose among {', '.join(SPEAKERS)}")
    return tuple(name for name in SPEAKERS if name in speakers)


def _recordings_folder(source: Path) -> Path:
    """The folder with the WAV files, given it or the repository around it. Raises: InputError if there is none."""
    if not is_folder(source):
        raise InputError(f"{source}: no such folder; give the FSDD repository or its recordings/ folder as the source")
    return source / "recordings" if is_folder(source / "recordings") else source


def _check_complete(folder: Path, names: Sequence[str]) -> int:
    """Raise if a take is missing; return how many files are there that have no place in the corpus."""
    present = {path.name for path in folder.iterdir()}
    missing = [name for name in names if name not in present]
    if missing:
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise InputError(f"{folder}: {len(missing)} of {len(names)} recordings are missing: {shown}; restore them")
    ours = re.compile(rf"\d_({'|'.join(SPEAKERS)})_\d+\.wav")
    return sum(1 for name in present if not ours.fullmatch(name))


def prepare(wave: np.ndarray, options: RecordingOptions) -> np.ndarray | None:
    """One recording made ready: wave (T,) float32 at options.sample_rate Hz to (T',) float32, or None for silence."""
    audio = _centered(wave.astype(np.float32), options)
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
