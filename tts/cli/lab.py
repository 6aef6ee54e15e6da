"""`tts lab list|run|report`: the experiments of configs/lab."""

import argparse
import math
import sys
from pathlib import Path

from tts.core.errors import InputError
from tts.core.files import check_folder, path_argument

MINUTES = 5.0
"""Of one experiment, where no budget is given."""
OUT = Path("runs/lab")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands of `tts lab` and their flags."""
    what = parser.add_subparsers(required=True, metavar="list|run|report")
    listing = what.add_parser("list", help="the experiments and what they ask")
    listing.set_defaults(do=_list)
    run_ = what.add_parser("run", help="run an experiment; what is done is not done again, and any run is resumed")
    run_.add_argument("name", metavar="NAME|all", help="as `tts lab list` has it, or a YAML file")
    run_.add_argument("settings", nargs="*", metavar="key=value", help="of every run, e.g. source=FSDD")
    minutes = f"of training for each experiment, its runs share them (default: {MINUTES:g}, without --steps)"
    run_.add_argument("--minutes", type=float, metavar="M", help=minutes)
    run_.add_argument("--steps", type=int, metavar="N", help="of each run")
    _add_out(run_)
    run_.add_argument("--seed", type=int, default=0, metavar="S", help="of all draws (default: 0)")
    run_.add_argument("--log-gradients", action="store_true", help="track the gradient's norm of each parameter")
    run_.set_defaults(do=_run)
    report = what.add_parser("report", help="write a page and plots of what was run")
    _add_out(report)
    to = Path("docs/results")
    report.add_argument("--to", type=path_argument, default=to, metavar="DIR", help="default: %(default)s")
    named = "what the page calls the recordings' folder, e.g. FSDD (default: %(default)s)"
    report.add_argument("--data", default="FOLDER", metavar="NAME", help=named)
    report.set_defaults(do=_report)


def _add_out(parser: argparse.ArgumentParser) -> None:
    out = "folder of the runs (default: %(default)s)"
    parser.add_argument("--out", type=path_argument, default=OUT, metavar="DIR", help=out)


def run(arguments: argparse.Namespace) -> int:
    """Carry the subcommand out. Raises InputError for what the user can fix."""
    code: int = arguments.do(arguments)
    return code


def _list(_: argparse.Namespace) -> int:
    from tts.lab.experiment import load_all

    for experiment in load_all():
        print(f"{experiment.name:20} {experiment.question.strip()}")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    a = arguments
    if a.minutes is not None and not (math.isfinite(a.minutes) and 0 < a.minutes <= 100_000):
        raise InputError(f"--minutes is {a.minutes}; it must lie between 0 and 100000")
    if a.steps is not None and not 0 < a.steps <= 10**9:
        raise InputError(f"--steps is {a.steps}; it must be a whole number from 1 to 1000000000")
    if not 0 <= a.seed < 2**32:
        raise InputError(f"--seed is {a.seed}; it must be a whole number from 0 to 4294967295")
    check_folder(a.out, "--out")
    from tts.lab.experiment import Budget, load, load_all, perform
    from tts.training.launcher import refuse_plugins

    refuse_plugins()
    experiments = load_all(large=False) if a.name == "all" else [load(a.name)]
    budget = Budget(a.minutes if a.minutes or a.steps else MINUTES, a.steps)
    failures = perform(experiments, a.out, budget, a.seed, a.log_gradients, a.settings)
    for line in failures:
        print(f"tts lab: failed: {line}", file=sys.stderr)
    return int(bool(failures))


def _report(arguments: argparse.Namespace) -> int:
    check_folder(arguments.to, "--to")
    from tts.lab.report import write

    print(f"tts lab: wrote {write(arguments.out, arguments.to, arguments.data)}", file=sys.stderr)
    return 0
