"""`tts recognize FILE...`: one line a file, the path, a tab, the digits heard ("4 7 2")."""

import argparse
from itertools import groupby, islice
from pathlib import Path

from tts import audio
from tts.errors import InputError

FILES_AT_ONCE = 256  # read and answered together; more would only hold more audio in memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `tts recognize`."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="WAV or FLAC file, any rate, any length")
    parser.add_argument("--batch-size", type=int, default=32, help="files heard in one go (default: %(default)s)")
    parser.add_argument(
        "--recognizer",
        type=Path,
        metavar="DIR",
        help="a recogniser made by scripts/train_recognizer.py (default: the one that ships)",
    )


def run(args: argparse.Namespace) -> int:
    """Print what is heard in each file, in the order given; the second field is empty where nothing is heard.

    Raises: InputError naming the first file that cannot be read; lines of earlier groups of files are out by then.
    """
    if args.batch_size < 1:
        raise InputError(f"--batch-size is {args.batch_size}; it must be at least 1")
    from tts.evaluation.recognizer import Recognizer  # torch takes seconds: not before the flags are known to be good

    recognizer = Recognizer.load(args.recognizer)
    remaining = iter(args.files)
    while paths := list(islice(remaining, FILES_AT_ONCE)):
        waves = [audio.read(path) for path in paths]
        # Files of one rate are heard together; the order of the lines stays that of the arguments.
        heard: dict[int, list[int]] = {}
        by_rate = sorted(range(len(waves)), key=lambda i: waves[i][1])
        for rate, group in groupby(by_rate, key=lambda i: waves[i][1]):
            indices = list(group)
            answers = recognizer.recognize([waves[i][0] for i in indices], rate, args.batch_size)
            heard.update(zip(indices, answers, strict=True))
        for index, path in enumerate(paths):
            print(path, " ".join(map(str, heard[index])), sep="\t", flush=True)
    return 0
