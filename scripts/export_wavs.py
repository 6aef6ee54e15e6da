"""Rows of a dataset folder as WAV files with a manifest: to listen to them, or for `tts evaluate` to judge.

    tts data build espeak --out data/espeak --voices 40 --takes 3
    python scripts/export_wavs.py data/espeak --split test --out wavs
    tts evaluate --wav-dir wavs --manifest wavs/manifest.csv --source FSDD --out report

The files are 16-bit WAV at the dataset's rate, `--edge-seconds` of silence added at both ends; `manifest.csv` has a row
path,text,speaker for each.
"""

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from data_recipes.dataset import read_recipe
from data_recipes.rows import rows_of
from tts import audio
from tts.core.console import Parser, script
from tts.core.errors import InputError
from tts.core.files import atomic_write, check_folder, is_empty, new_folder, path_argument


def _write(rows: Iterator[dict[str, Any]], out: Path, edge_seconds: float) -> None:
    table = io.StringIO()
    lines = csv.writer(table, lineterminator="\n")
    lines.writerow(["path", "text", "speaker"])
    for index, row in enumerate(rows):
        wave, sample_rate = audio.from_bytes(row["audio"]["bytes"])
        name = f"{index:05d}.wav"
        padded = np.pad(wave, round(edge_seconds * sample_rate))
        audio.write(out / name, padded.clip(-1, 1), sample_rate, force=True)
        lines.writerow([name, row["text"], row["speaker"]])
    atomic_write(out / "manifest.csv", table.getvalue().encode())


def run(arguments: Sequence[str] | None) -> None:
    """Parse, then write the files and the manifest."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=path_argument, metavar="DIR", help="a dataset that `tts data build` built")
    parser.add_argument("--out", type=path_argument, required=True, metavar="DIR")
    parser.add_argument("--split", default="test", metavar="NAME", help="default: %(default)s")
    parser.add_argument("--n", type=int, metavar="N", help="so many files; default: all")
    parser.add_argument("--edge-seconds", type=float, default=0.0, metavar="S", help="default: %(default)s")
    parser.add_argument("--force", action="store_true", help="write into a folder that holds something")
    args = parser.parse_args(arguments)
    if (args.n is not None and args.n < 1) or not 0 <= args.edge_seconds <= 10:
        raise InputError(
            f"--n is {args.n} and --edge-seconds {args.edge_seconds}; at least 1 and from 0 to 10 are meant"
        )
    check_folder(args.out, "--out")
    if not is_empty(args.out) and not args.force:
        raise InputError(f"--out {args.out}: is not empty; name another folder, or write over it with --force")
    splits = read_recipe(args.folder)["splits"]
    if args.split not in splits:
        raise InputError(f"{args.folder}: has no split {args.split!r}; choose among {', '.join(splits)}")
    with new_folder(args.out, whole=True):
        _write(islice(rows_of(args.folder, args.split), args.n), args.out, args.edge_seconds)


main = script("export_wavs", run)

if __name__ == "__main__":
    sys.exit(main())
