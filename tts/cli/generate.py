"""`tts generate`: sound without a text, by a model that the lab trained on a folder of audio."""

import argparse
import math
import sys

from tts.core.errors import InputError
from tts.core.files import path_argument

MOST_SECONDS = 3600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `tts generate`."""
    voice = "folder of a run of `tts lab run music source=FOLDER`, e.g. runs/lab/music/lstm"
    parser.add_argument("--voice", type=path_argument, required=True, metavar="RUN", help=voice)
    parser.add_argument("--seconds", type=float, required=True, metavar="S", help="how much is generated")
    parser.add_argument("-o", "--out", type=path_argument, required=True, metavar="FILE", help="WAV or FLAC file")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same samples (default: 0)")
    start = "a recording to continue; it stands before what is generated"
    parser.add_argument("--from", dest="start", type=path_argument, metavar="FILE", help=start)
    parser.add_argument("--temperature", type=float, default=1.0, metavar="T", help="0 to 10 (default: 1)")
    parser.add_argument("--force", action="store_true", help="replace a file that exists")


def run(args: argparse.Namespace) -> int:
    """Generate, write the file, print a line. Raises InputError for the user's mistakes."""
    if not (math.isfinite(args.seconds) and 0 < args.seconds <= MOST_SECONDS):
        raise InputError(f"--seconds is {args.seconds}; it must be above 0 and at most {MOST_SECONDS:.0f}")
    if not 0 <= args.seed < 2**63:
        raise InputError(f"--seed is {args.seed}; it must be a whole number from 0 to {2**63 - 1}")
    if not 0 <= args.temperature <= 10:
        raise InputError(f"--temperature is {args.temperature}; it must be from 0 (the likeliest sample) to 10")
    from tts.audio import check_output, write

    check_output(args.out, args.force)
    from tts.lab.generate import generate

    wave, sample_rate = generate(args.voice, args.seconds, args.seed, args.start, args.temperature)
    write(args.out, wave, sample_rate, args.force)
    print(f"{args.out}: {len(wave) / sample_rate:.2f} s at {sample_rate} Hz, seed {args.seed}", file=sys.stderr)
    return 0
