"""`tts recognize FILE…`: the digits in audio files, a line each."""

import argparse
import sys
from pathlib import Path

from tts.core.errors import InputError
from tts.core.files import path_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `tts recognize`."""
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="WAV or FLAC file or pipe, any rate; - reads standard input"
    )
    parser.add_argument("--batch-size", type=int, default=32, help="files recognized at once (default: %(default)s)")
    parser.add_argument(
        "--recognizer",
        type=path_argument,
        metavar="DIR",
        help="folder with the recognizer.onnx of scripts/train_recognizer.py (default: the one that ships)",
    )
    parser.add_argument(
        "--scores",
        action="store_true",
        help="print a third column: the confidence of each digit of the second, from 0 to 1",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="X",
        help="leave out digits of a lower confidence; 0 keeps all (default: the recognizer's own)",
    )


def run(args: argparse.Namespace) -> int:
    """Print what is recognized in each file, in the order given; the second field is empty where nothing is.

    Returns: 0, or 2 if a file could not be read: its error is on stderr by then, and the others are answered.
    """
    if args.batch_size < 1:
        raise InputError(f"--batch-size is {args.batch_size}; it must be at least 1")
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        raise InputError(f"--threshold is {args.threshold}; it must be from 0, which rejects nothing, to 1")
    from tts.recognition.files import recognize_files  # numpy takes a while: not before the flags are checked
    from tts.recognition.onnx_recognizer import OnnxRecognizer

    recognizer = OnnxRecognizer.load(args.recognizer)
    threshold = recognizer.threshold if args.threshold is None else args.threshold
    if recognizer.confidence is None and (args.scores or threshold):
        raise InputError(f"{args.recognizer} has no confidence.safetensors; leave --scores and --threshold out")
    failed = False
    for path, answer in recognize_files(recognizer, args.files, args.batch_size, threshold):
        if isinstance(answer, InputError):
            print(f"tts: error: {answer}", file=sys.stderr, flush=True)
            failed = True
            continue
        fields = [" ".join(str(one.digit) for one in answer)]
        if args.scores:
            fields.append(" ".join(f"{one.confidence:.2f}" for one in answer))
        print(path, *fields, sep="\t", flush=True)
    return 2 if failed else 0
