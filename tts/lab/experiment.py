"""Experiments: read from YAML, run, and their results as JSON lines.

An experiment is `configs/lab/NAME.yaml`, or `configs/lab/large/NAME.yaml`, which `all` leaves out: a kind, a question,
and runs whose settings differ. A kind is a module `tts/lab/KIND.py` with a frozen dataclass `Settings`,
`run(settings, run)`, which returns the results of one run, and, if it likes, `plot(results, path)`. One run is one row
of the experiment's table.
"""

import copy
import dataclasses
import importlib
import json
import re
import shlex
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from accelerate import PartialState

from tts.core import config as configs
from tts.core import yaml_files
from tts.core.errors import InputError
from tts.core.files import atomic_write, is_file, is_folder
from tts.core.machine import circumstances
from tts.training.precision import accelerate_state
from tts.training.tracking import read_lines

RESULTS = "results.jsonl"
CURVE = "curve.jsonl"
"""Of a run: what `tts.lab.loop.fit` writes."""
NAME = re.compile(r"[a-z0-9][a-z0-9 _.,+-]*")

Values = dict[str, float | int | str]


@dataclass(frozen=True)
class Budget:
    """How long one run trains: so many minutes, or so many steps, or what comes first of both."""

    minutes: float | None = None
    steps: int | None = None


@dataclass(frozen=True)
class Run:
    """What a kind gets beside its settings."""

    folder: Path
    """Its own, for checkpoints, curves and samples; it exists."""
    budget: Budget
    seed: int = 0
    log_gradients: bool = False
    name: str = "run"


@dataclass(frozen=True)
class Result:
    """One run that is done: a line of results.jsonl."""

    experiment: str
    run: str
    settings: dict[str, Any]
    results: Values
    seconds: float
    """Spent in training; of a kind without `fit`, in all."""
    steps: int
    seed: int
    machine: dict[str, Any]
    """As `tts.core.machine.circumstances`, with the instruction set and the threads as its note."""
    commit: str | None
    command: str
    budget: Budget
    folder: Path = Path()
    """Where it was found; not stored."""


class Kind(Protocol):
    """The module of a kind; `plot` may be missing."""

    Settings: type

    def run(self, settings: Any, run: Run) -> Values:
        """The results of one run, by column."""

    def plot(self, results: list[Result], path: Path) -> None:
        """Write the experiment's picture."""


@dataclass(frozen=True)
class Experiment:
    """A YAML of configs/lab, checked."""

    kind: str
    question: str
    runs: dict[str, Any]
    """By name, the settings in which each differs, nested or by dotted keys."""
    columns: tuple[str, ...]
    """Of the table: keys of the results, `steps`, `seconds` or `minutes`."""
    notes: str = ""
    """Setting and figures of the lab notes that it comes from."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Of all runs, where they differ from the kind's defaults."""
    shows: str = ""
    """What was found, once it was measured."""
    name: str = ""

    def __post_init__(self) -> None:
        if not self.runs:
            raise InputError("runs is empty; name at least one, e.g. {base: {}}")
        for name, changes in self.runs.items():
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise InputError(f"runs has {name!r}; a run's name has small letters, digits and - _ . + only")
            if not isinstance(changes, dict):
                raise InputError(f"runs.{name} is {changes!r}; it must be a section with keys, or {{}}")

    @property
    def module(self) -> Kind:
        """The module of its kind. Raises InputError where there is none."""
        full, module = f"tts.lab.{self.kind}", cast(Any, None)
        try:
            module = importlib.import_module(full)
        except ModuleNotFoundError as error:
            if error.name != full:
                raise
        if not (self.kind.isidentifier() and hasattr(module, "Settings") and hasattr(module, "run")):
            raise InputError(f"experiment {self.name}: kind {self.kind!r} has no module tts/lab/{self.kind}.py with "
                             "Settings and run; docs/lab.md has an example")  # fmt: skip
        return cast(Kind, module)

    def configured(self, overrides: Iterable[str] = ()) -> dict[str, Any]:
        """The settings of every run by its name. Raises InputError for a wrong or a missing one."""
        cls = self.module.Settings
        found = {}
        for name, changes in self.runs.items():
            tree = merged(merged({}, self.settings), changes)
            for override in overrides:
                configs.put(tree, *configs.parsed_override(override))
            settings: Any = configs.build(cls, tree)
            if getattr(settings, "source", "") is None:
                raise InputError(f"experiment {self.name} needs recordings; give source=FOLDER, e.g. source=FSDD")
            found[name] = settings
        return found


def merged(tree: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings with changes, which may be nested, or have dotted keys, or both."""
    result = copy.deepcopy(dict(tree))
    for key, value in changes.items():
        inside: Any = result
        for part in key.split("."):
            inside = inside.get(part) if isinstance(inside, dict) else None
        nested = isinstance(value, Mapping)
        configs.put(result, key, merged(inside if isinstance(inside, dict) else {}, value) if nested else value)
    return result


# Finding them


def folder() -> Path:
    """Where the experiments lie: configs/lab here, else in the checkout that this is run from."""
    here, checkout = Path("configs/lab"), Path(__file__).parents[2] / "configs" / "lab"
    return here if is_folder(here) else checkout


def path_of(name: str) -> Path:
    """The YAML of an experiment's name, or of its path. Raises InputError where there is none."""
    path = Path(name) if name.endswith(".yaml") else _paths().get(name)
    if path is None or not is_file(path):
        raise InputError(f"there is no experiment {name!r}; `tts lab list` has all, and FILE.yaml names one elsewhere")
    return path


def _paths() -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder().rglob("*.yaml"), key=lambda path: path.stem)}


def load(name: str) -> Experiment:
    """An experiment by its name, or by the path of its YAML. Raises InputError where there is none or it is wrong."""
    path = path_of(name)
    tree = yaml_files.read(path)
    if "name" in tree:
        raise InputError(f"{path}: name is the file's own name; leave it out")
    try:
        return replace(configs.build(Experiment, tree), name=path.stem)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def load_all(large: bool = True) -> list[Experiment]:
    """Every experiment of the folder, by name; those of its folder `large` only if wanted.

    Raises InputError where there is none.
    """
    names = [name for name, path in _paths().items() if large or path.parent == folder()]
    if not names:
        raise InputError("there is no folder configs/lab with experiments; run this in a checkout")
    return [load(name) for name in names]


# Running them


def perform(
    experiments: Sequence[Experiment], out: Path, budget: Budget, seed: int, log_gradients: bool, overrides: list[str]
) -> list[str]:
    """Run experiments one after the other; what is done is not done again. Call it in every process.

    Args: out, where OUT/EXPERIMENT/RUN is a run's folder; budget, of one experiment, whose runs share the minutes
        equally and get all of the steps each; overrides, "key=value", for those experiments whose kind has the key.

    Returns: one line for each reason for which runs failed.

    Raises: InputError before anything is run, for settings that are wrong; afterwards, if all failed for one reason.
    """
    jobs = [(experiment, experiment.configured(_own(experiment, overrides, experiments))) for experiment in experiments]
    for source in (getattr(settings, "source", None) for _, runs in jobs for settings in runs.values()):
        if isinstance(source, Path) and not (is_file(source) or is_folder(source)):
            raise InputError(f"source={source}: there is no such folder; give one with recordings")
    failures: dict[str, list[str]] = {}
    for experiment, runs in jobs:
        share = replace(budget, minutes=budget.minutes / len(runs)) if budget.minutes else budget
        for name, settings in runs.items():
            place = out / experiment.name / name.replace(" ", "-")
            one = Run(place, share, seed, log_gradients, name)
            try:
                _perform_one(experiment, settings, one, out)
            except InputError as error:
                failures.setdefault(str(error), []).append(f"{experiment.name}, {name}")
    for message, failed in failures.items():
        if len(failed) == sum(len(runs) for _, runs in jobs):
            raise InputError(message)
    return [f"{'; '.join(failed)}: {message}" for message, failed in failures.items()]


def _own(experiment: Experiment, overrides: list[str], experiments: Sequence[Experiment]) -> list[str]:
    """The overrides whose key an experiment's kind has, of one experiment all. Raises InputError if none has it."""
    if len(experiments) == 1:
        return overrides
    known = {each.name: configs.field_types(each.module.Settings) for each in experiments}
    for override in overrides:
        first = configs.parsed_override(override)[0].split(".")[0]
        if not any(first in keys for keys in known.values()):
            raise InputError(f"{override}: none of these experiments has the setting {first}")
    return [text for text in overrides if text.partition("=")[0].split(".")[0] in known[experiment.name]]


def _perform_one(experiment: Experiment, settings: Any, run: Run, out: Path) -> None:
    accelerate_state()
    plain = configs.to_dict(settings)
    for done in read_results(out / experiment.name):
        if done.run != run.name:
            continue
        if (done.settings, done.seed) != (plain, run.seed):
            raise InputError(f"{run.folder} holds a run of other settings or another seed; remove it, or give --out")
        if done.budget == run.budget:
            return
    run.folder.mkdir(parents=True, exist_ok=True)
    stored = run.folder / "settings.json"
    made = {"settings": plain, "seed": run.seed}
    trained = any(path != stored for path in run.folder.iterdir())  # else the run failed before it began
    if trained and is_file(stored) and json.loads(stored.read_text()) != made:
        raise InputError(f"{run.folder} holds a run of other settings or another seed; remove it, or give --out")
    state = PartialState()
    state.wait_for_everyone()  # all have looked before anything is written
    if state.is_main_process:
        atomic_write(stored, json.dumps(made).encode())
        print(f"tts lab: {experiment.name}, {run.name}", file=sys.stderr)
    torch.manual_seed(run.seed)  # the initial weights; all else is drawn from generators of its own
    began = time.perf_counter()
    found = experiment.module.run(settings, run)
    seconds, steps = time.perf_counter() - began, 0
    if curve := read_lines(run.folder / CURVE):
        seconds, steps = curve[-1]["seconds"], curve[-1]["step"]
    if not state.is_main_process:
        return
    note = f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads, processes: "
    where = circumstances(f"{note}{state.num_processes}")
    command = shlex.join(["tts", *sys.argv[1:]])
    result = Result(experiment.name, run.name, plain, found, seconds, steps, run.seed, where, where["commit"], command,
                    run.budget)  # fmt: skip
    line = dataclasses.asdict(result)
    del line["folder"]
    path = out / experiment.name / RESULTS
    atomic_write(path, "".join(json.dumps(each) + "\n" for each in (*read_lines(path), line)).encode())


def read_results(place: Path) -> list[Result]:
    """The results in an experiment's folder, of each run the last, in the order of their first lines."""
    found: dict[str, Result] = {}
    for line in read_lines(place / RESULTS):
        own = place / line["run"].replace(" ", "-")
        found[line["run"]] = Result(**{**line, "budget": Budget(**line["budget"]), "folder": own})
    return list(found.values())
