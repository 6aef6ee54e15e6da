"""Free Spoken Digit Dataset: 3,000 recordings of single digits, 6 speakers x 10 digits x 50 takes, 8 kHz, mono.

License CC BY-SA 4.0, https://github.com/Jakobovski/free-spoken-digit-dataset. Takes 0-4 are the corpus's own test
split and stay it; takes 5-7 are `validation`, 8-49 are `train`.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from data_recipes.corpus import SPLITS, Corpus, Recording, RecordingOptions, prepare
from data_recipes.download import FSDD_REVISION, TAKES, differing_groups, fetch_fsdd
from tts.audio import read, read_channels, resample, to_mono
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

    Args: source, the corpus's repository or its recordings/ folder; None downloads the pinned revision into the cache;
        speakers, of `SPEAKERS`, whose files alone need be there; None takes all.

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
        splits[split_of_take(take)].append(Recording(audio, str(digit), speaker, take, options.sample_rate, path.stem))
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
    return Corpus(splits, notes, options, source=SOURCE, license=LICENSE)


def build_takes(folder: Path, options: RecordingOptions, speakers: Sequence[str]) -> list[Recording]:
    """Recordings of single digits that are not the corpus's, prepared alike: files named DIGIT_SPEAKER_TAKE.wav.

    `scripts/self_training.py` writes such a folder; those of other speakers are left out.

    Returns: by speaker, digit and take, with ids like "4_jackson_extra7".

    Raises: InputError if there is none, or one cannot be used.
    """
    pattern = re.compile(rf"(\d)_({'|'.join(map(re.escape, speakers))})_(\d+)\.wav")
    present = sorted(path.name for path in folder.iterdir()) if is_folder(folder) else []
    found = []
    for match in filter(None, map(pattern.fullmatch, present)):
        digit, speaker, take = match[1], match[2], int(match[3])
        path = folder / match[0]
        wave, rate = read(path)
        audio = prepare(resample(wave, rate, options.sample_rate), options)
        if audio is None:
            raise InputError(f"{path}: holds only silence; remove it")
        found.append(Recording(audio, digit, speaker, take, options.sample_rate, f"{digit}_{speaker}_extra{take}"))
    if not found:
        names = ", ".join(speakers)
        raise InputError(f"{folder}: no recordings of {names} there; files are named like 4_jackson_7.wav")
    return sorted(found, key=lambda one: (one.speaker, one.word, one.take))


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
