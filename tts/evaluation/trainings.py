"""What scripts that train several voices and judge them alike have in common. A training is the folder of a run."""

import json
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tts.core import config as configs
from tts.core.console import Parser
from tts.core.errors import InputError
from tts.core.files import atomic_write, check_folder, is_file, path_argument
from tts.core.machine import circumstances, described
from tts.core.tables import markdown_table
from tts.evaluation import running
from tts.evaluation.report import write_reports
from tts.evaluation.systems import of_voice
from tts.evaluation.test_sets import MAX_DIGITS, Material, Trained, from_source
from tts.recognition.model import Recognizer
from tts.training.config import RunConfig
from tts.training.tracking import read_lines
from tts.voice import load_voice
from tts.voice.options import SpeakChanges


@dataclass(frozen=True)
class Settings:
    """What is asked of every voice alike."""

    texts: int
    """In each split."""
    seed: int
    duration_spread: float


@dataclass(frozen=True)
class Comparison:
    """What such a script is to do."""

    base: RunConfig
    """The config that all trainings start from."""
    out: Path
    trainings: dict[str, RunConfig]
    """Those to be made and judged now, by name, each in a folder of its own."""
    settings: Settings
    command: str
    """That asked for it, without the path of the corpus."""


def parse(
    argv: Sequence[str] | None, program: str, example: str, changes: Mapping[str, Sequence[str]], texts: int
) -> Comparison:
    """The command line of a script that compares trainings; `changes`: what each of them overrides in the config.

    Raises: InputError for a training that there is not, a number out of range, or a config that is wrong or names no
        speaker.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    parser = Parser(
        description="Train several voices, judge them alike, and write what was found as a page and a plot."
    )
    parser.add_argument("config", help=f"YAML file, e.g. {example}")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. train.steps=300 data.source=FSDD")
    parser.add_argument("--out", type=path_argument, metavar="DIR", help="default: the config's output")
    parser.add_argument("--only", default=",".join(changes), metavar="A,B", help="default: %(default)s")
    parser.add_argument("--n", type=int, default=texts, help="texts in each split (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the texts and the speaking (default: 0)")
    parser.add_argument("--duration-spread", type=float, default=0.5, help="of every voice (default: %(default)s)")
    args = parser.parse_args(given)
    if args.out:
        check_folder(args.out, "--out")
    names = args.only.split(",")
    if unknown := [name for name in names if name not in changes]:
        raise InputError(f"--only {unknown[0]}: no such training; choose among {', '.join(changes)}")
    for flag, least in (("n", 1), ("seed", 0)):
        if getattr(args, flag) < least:
            raise InputError(f"--{flag} is {getattr(args, flag)}; it must be at least {least}")
    base = configs.load(RunConfig, args.config, args.overrides)
    if not base.data.speakers:
        raise InputError("data.speakers is empty; name the speakers, e.g. 'data.speakers=[jackson]'")
    out = args.out or base.output
    changed = {name: configs.load(RunConfig, args.config, [*args.overrides, *changes[name]]) for name in names}
    trainings = {name: replace(one, output=out / name.replace(" ", "-")) for name, one in changed.items()}
    # The corpus by its name: where it lies is nobody's business.
    public = [re.sub(r"^data\.source=.*", "data.source=FSDD", each) for each in given]
    command = shlex.join(["python", f"scripts/{program}.py", *public])
    return Comparison(base, out, trainings, Settings(args.n, args.seed, args.duration_spread), command)


def is_begun(config: RunConfig) -> bool:
    """Whether there is a checkpoint from which a training can be resumed."""
    return is_file(config.output / "checkpoints" / "latest.safetensors")


def material_of(config: RunConfig, settings: Settings, splits: Sequence[str], longest: int = MAX_DIGITS) -> Material:
    """Texts of these splits, of up to so many digits, for the voice of a training on FSDD."""
    d = config.data
    trained, rate = Trained(d.recordings, d.sequences), d.recordings.sample_rate
    return from_source(d.source, splits, settings.texts, settings.seed, d.speakers, rate, trained, longest)


def report_of(run: Path, name: str) -> dict[str, Any] | None:
    """What `judge` found; None where it is not done."""
    path = run / "evaluation" / name / running.REPORT
    return json.loads(path.read_text(encoding="utf-8")) if is_file(path) else None


def judge(run: Path, materials: Mapping[str, Material], recognizer: Recognizer, settings: Settings) -> None:
    """Evaluate a run's voice on everything, into RUN/evaluation/NAME, unless that is done.

    Raises: InputError where an evaluation lies there that was made with other settings.
    """
    voice = load_voice(run / "voice")
    for name, material in materials.items():
        out = run / "evaluation" / name
        options: SpeakChanges = {"duration_spread": settings.duration_spread}
        evaluation = of_voice(voice, material, recognizer, out, settings.seed, options=options)
        if found := report_of(run, name):
            if found["settings"] != evaluation.settings:
                raise InputError(f"{out} is an evaluation with other settings; remove it, or name another --out")
            continue
        if judged := running.run(evaluation, out, seed=settings.seed):
            write_reports(out, *judged)
            running.finish(out, *judged)


def effort(metrics: Path) -> dict[str, float]:
    """Steps, minutes and samples of audio of a training, of its own log (validation is not counted)."""
    step, seconds, samples = 0, 0.0, 0.0
    for row in read_lines(metrics):
        if "train/steps_per_second" in row:
            took = (row["step"] - step) / row["train/steps_per_second"]
            step = row["step"]
            seconds += took
            samples += took * row["train/samples_per_second"]
    return {"steps": step, "minutes": seconds / 60, "samples": samples}


def effort_cells(spent: Mapping[str, float], sample_rate: int) -> list[str]:
    """Of `effort`, for a table: steps, minutes and hours of audio."""
    return [f"{spent['steps']}", f"{spent['minutes']:.1f}", f"{spent['samples'] / sample_rate / 3600:.2f}"]


def effort_table(spent: Mapping[str, Mapping[str, float]], sample_rate: int) -> str:
    """A Markdown table of the `effort` of each training, by its label."""
    rows = ([label, *effort_cells(own, sample_rate)] for label, own in spent.items())
    return markdown_table(["", "steps", "minutes", "audio, hours"], rows)


def write_results(asked: Comparison, name: str, paragraphs: Iterable[str], rows: Any, plot: bytes) -> None:
    """Write OUT/NAME.md, .json and, where there is one, .png; print the page.

    Args: paragraphs, below command, circumstances and settings; rows, for the JSON file; plot, a PNG, empty for none.
    """
    out, s = asked.out, asked.settings
    where = described(circumstances(f"instruction set {torch.backends.cpu.get_cpu_capability()}"))
    about = f"{s.texts} texts in each split, duration spread {s.duration_spread}, seed {s.seed}."
    page = "\n\n".join([f"Made by `{asked.command}`\non {where}.", about, *paragraphs]) + "\n"
    atomic_write(out / f"{name}.md", page.encode())
    atomic_write(out / f"{name}.json", (json.dumps(rows, indent=1) + "\n").encode())
    if plot:
        atomic_write(out / f"{name}.png", plot)
    print(page)
