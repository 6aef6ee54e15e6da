"""Write recognizer.onnx, which `tts recognize` and `tts serve` run, beside a recognizer's weights.

python scripts/export_recognizer.py [FOLDER]   (default: the recognizer that ships)
"""

import argparse
import sys
from pathlib import Path

from tts.core.console import Parser, run_command
from tts.core.extras import require
from tts.core.files import path_argument
from tts.recognition.config import ONNX_FILE, WEIGHTS


def main() -> int:
    """The command; see the module."""
    parser = Parser(prog="export_recognizer", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=path_argument, default=WEIGHTS)
    folder: Path = parser.parse_args().folder
    require("train", "onnx")
    from tts.recognition.export import export

    export(folder)
    print(folder / ONNX_FILE)
    return 0


if __name__ == "__main__":
    sys.exit(run_command("export_recognizer", main))
