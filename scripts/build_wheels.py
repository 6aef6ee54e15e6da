"""Build the package's wheels for every platform, on this one: `python scripts/build_wheels.py [--out dist]`.

The engine is the only compiled part, and `ziglang` compiles it for all of them. Only the wheel of the machine at hand
can be tried there.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from build_engine import TARGETS


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("dist"))
    parser.add_argument("--target", choices=TARGETS, action="append", help="one or several; all, if none is named")
    arguments = parser.parse_args()
    root = Path(__file__).resolve().parents[1]
    for target in arguments.target or TARGETS:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(arguments.out), str(root)]
        subprocess.run(command, check=True, env={**os.environ, "TTS_ENGINE_TARGET": target})
    for wheel in sorted(arguments.out.glob("*.whl")):
        print(f"{wheel} ({wheel.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
