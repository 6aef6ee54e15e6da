"""Any audio, cut in equal pieces, without text: music, birds, rain. For models without a text.

Files of all formats that `data_recipes.reading` knows, in the folder and those below it. Of each file, the first 80 %
of the pieces are `train`, then 10 % `validation` and 10 % `test`, so that neighbors are in one split. What is left at a
file's end, shorter than a piece, is dropped. Levels stay as they are.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from data_recipes.corpus import SPLITS, Corpus, Recording, RecordingOptions, prepare
from data_recipes.reading import is_audio, read_recording
from tts.audio import resample
from tts.core.errors import InputError
from tts.core.files import is_folder

TITLE = "Pieces of audio"
PIECE_SECONDS = 2.0
TRAIN, VALIDATION = 0.8, 0.9


def split_of_piece(number: int, count: int) -> str:
    """The split of a file's piece, of so many; the only piece of a file is `train`."""
    place = (number + 0.5) / count
    return "train" if place < TRAIN else "validation" if place < VALIDATION else "test"


def load_corpus(
    sources: Path | Sequence[Path] | None,
    options: RecordingOptions | None = None,
    progress: bool = False,
    piece_seconds: float = PIECE_SECONDS,
) -> Corpus:
    """Read the files and cut them; a piece is a `Recording` of the word "", its speaker the folder's name.

    Raises: InputError for a folder without audio or with files shorter than a piece only, or a file that cannot be
    read, which it names.
    """
    options = options or RecordingOptions()
    options = replace(options, trim=False, level_dbfs=None, fade_seconds=0.0)
    given = [sources] if isinstance(sources, Path) else list(sources or ())
    if not given:
        raise InputError("there is no folder to cut; name one with audio files as the source")
    length = round(piece_seconds * options.sample_rate)
    if length < 1:
        raise InputError(f"piece_seconds is {piece_seconds}; a piece must have a sample at {options.sample_rate} Hz")
    splits: dict[str, list[Recording]] = {name: [] for name in SPLITS}
    files = silent = short = 0
    for source in given:
        if not is_folder(source):
            raise InputError(f"{source}: no such folder; name one with audio files as the source")
        paths = sorted(path for path in source.rglob("*") if is_audio(path) and path.is_file())
        if not paths:
            raise InputError(f"{source}: no audio files there; name a folder that has some")
        for path in tqdm(paths, desc="folder", unit="file", disable=not progress):
            wave, rate = read_recording(path)
            wave = resample(wave, rate, options.sample_rate)
            count = len(wave) // length
            files += 1
            short += not count
            name = "_".join(path.relative_to(source).with_suffix("").parts)
            for number in range(count):
                audio = prepare(wave[number * length : (number + 1) * length], options)
                silent += audio is None
                if audio is not None:
                    piece = Recording(audio, "", source.resolve().name, number, options.sample_rate, f"{name}_{number}")
                    splits[split_of_piece(number, count)].append(piece)
    if not splits["train"]:
        raise InputError(f"{given[0]}: no file there is as long as a piece, {piece_seconds} s; shorten --piece-seconds")
    notes = [f"{files} files, pieces of {piece_seconds:g} s"]
    notes += [f"{short} files are shorter than a piece and were left out"] if short else []
    notes += [f"{silent} silent pieces were left out"] if silent else []
    for note in notes:
        print(f"folder: {note}", file=sys.stderr)
    names = ", ".join(source.resolve().name for source in given)
    return Corpus(splits, notes, options, "folder", TITLE, f"audio of the user's own: {names}", "unknown", ())
