"""Compare the speed of voices of several checkouts of this repository, in one run on one machine.

    git worktree add ../then COMMIT
    python scripts/compare_checkouts.py now=. then=../then
    python scripts/compare_checkouts.py now=. then=../then --python then=../venv/bin/python --voice now=DIR --streams 32

Each checkout has a process of its own, which speaks the same text with the same seeds. They speak one after the other,
in alternating order, so that a machine that becomes slower does so for all of them. What is compared is processor time:
of the thread for one stream, of the process for many.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tts.core.console import run_command
from tts.core.errors import InputError

# Only what all commits have. A line on stdin is a seed; one on stdout is ns of processor time a sample.
WORKER = """
import sys, time, tts
text, voice, streams = sys.argv[1], tts.load_voice(*sys.argv[3:]), int(sys.argv[2])
clock = time.process_time_ns if streams > 1 else time.thread_time_ns
print("ready", flush=True)
for seed in map(int, sys.stdin):
    began = clock()
    if streams > 1:
        made = list(voice.speak_each([text] * streams, seeds=range(seed, seed + streams)))
    else:
        made = [voice.speak(text, seed=seed)]
    print((clock() - began) / sum(len(audio.samples) for audio in made), flush=True)
"""


class Checkout:
    """A process that speaks with the package of one checkout."""

    def __init__(self, name: str, folder: Path, python: str, arguments: Sequence[str]) -> None:
        """Start it. Raises InputError where the folder has no package, or its voice cannot be loaded."""
        self.name = name
        if not (folder / "tts" / "__init__.py").exists():
            raise InputError(f"{name}={folder} has no package tts; give a checkout of this repository")
        self._process = subprocess.Popen(
            [python, "-c", WORKER, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder.resolve())},
        )
        if self._answer() != "ready":
            raise InputError(f"{name} cannot load its voice; what it wrote stands above")

    def time(self, seed: int) -> float:
        """Processor time in ns a sample. Raises InputError where the process has ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seed}\n")
        self._process.stdin.flush()
        if not (answer := self._answer()):
            raise InputError(f"{self.name} cannot speak; what it wrote stands above")
        return float(answer)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def compare(checkouts: Sequence[Checkout], rounds: int) -> list[str]:
    """A line for each: its median, and how many times faster than it the first one is, with quartiles."""
    times: dict[str, list[float]] = {one.name: [] for one in checkouts}
    for one in checkouts:
        one.time(0)  # what only the first call does
    for number in range(1, rounds + 1):
        for one in checkouts[:: 1 if number % 2 else -1]:
            times[one.name].append(one.time(number))
    first = checkouts[0].name
    lines = []
    for name, found in times.items():
        line = f"{name}: median {statistics.median(found):,.0f} ns a sample"
        if name != first:
            ratios = [other / own for other, own in zip(found, times[first], strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            line += f"; {first} is {middle:.2f} ({low:.2f} to {high:.2f}) times as fast"
        lines.append(line)
    return lines


def pairs(values: Sequence[str], what: str) -> dict[str, str]:
    """NAME=VALUE as a dict. Raises InputError for something else."""
    found = dict(value.partition("=")[::2] for value in values)
    if not all(name and value for name, value in found.items()) or len(found) < len(values):
        raise InputError(f"{' '.join(values)}: give NAME={what}, each name once")
    return found


def chosen(values: Sequence[str], what: str, names: Mapping[str, str]) -> dict[str, str]:
    """As `pairs`, of names that there are. Raises InputError for others."""
    found = pairs(values, what)
    if others := sorted(set(found) - set(names)):
        raise InputError(f"there is no checkout {', '.join(others)}; there are {', '.join(names)}")
    return found


def run(arguments: argparse.Namespace) -> None:
    """Start all, compare them, print. Raises InputError for the user's mistakes."""
    if arguments.rounds < 2 or arguments.streams < 1:
        raise InputError(f"--rounds {arguments.rounds}, --streams {arguments.streams}: give at least 2 and 1")
    folders = pairs(arguments.checkouts, "FOLDER")
    pythons = {  # a path is one from here, not from the checkout; a link of a virtual environment stays one
        name: os.path.abspath(program) if os.sep in program else program
        for name, program in chosen(arguments.python, "PROGRAM", folders).items()
    }
    voices = chosen(arguments.voice, "FOLDER", folders)
    checkouts: list[Checkout] = []
    try:
        for name, folder in folders.items():
            voice = [str(Path(voices[name]).resolve())] if name in voices else []
            own = [arguments.text, str(arguments.streams), *voice]
            checkouts.append(Checkout(name, Path(folder), pythons.get(name, sys.executable), own))
        print("\n".join(compare(checkouts, arguments.rounds)))
    finally:
        for one in checkouts:
            one.close()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="+", metavar="NAME=FOLDER", help="the first is compared with each other")
    parser.add_argument("--python", nargs="+", default=[], metavar="NAME=PROGRAM", help="default: this one's")
    parser.add_argument("--voice", nargs="+", default=[], metavar="NAME=FOLDER", help="default: each one's own")
    parser.add_argument("--text", default="4 7 2 9 0", help="default: %(default)s")
    parser.add_argument("--streams", type=int, default=1, metavar="N", help="texts at a time (default: 1)")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="default: %(default)s")
    arguments = parser.parse_args()
    sys.exit(run_command("compare_checkouts", lambda: run(arguments)))


if __name__ == "__main__":
    main()
