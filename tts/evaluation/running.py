"""Running an evaluation: all systems judged on all texts, in blocks, by one process or many.

A block is consecutive texts of one split and one system. It is a function of the settings alone and its lines reach the
disk together, so any number of processes share the blocks, an interrupted run is resumed where it was, and the results
are always the same.

In the output folder:

- `settings.json`: what decides the results; only a run with the same settings is resumed in the folder;
- `part-*.jsonl`: the utterances of blocks done, one file for each process, while the run lasts;
- `utterances.jsonl`: all of them in order, `audio/SYSTEM/SPLIT/NNNN.flac`: what was spoken;
- `report.json`, `report.md`, `report.html`: written last, so a folder without `report.json` is a run to resume.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tts.core.errors import InputError
from tts.core.files import atomic_write, check_folder, failure, is_empty, is_file, naming, new_folder, remove_contents
from tts.evaluation.judges.summary import add_differences, judge_metrics
from tts.evaluation.metrics import summarize
from tts.evaluation.utterance import NO_LIMITS, Limits, System, Unit, Utterance
from tts.training.precision import accelerate_state

FORMAT = 5
"""Of the utterances on disk: a run of another format is not resumed."""
BLOCK = 16
SETTINGS, LINES, REPORT = "settings.json", "utterances.jsonl", "report.json"


@dataclass(frozen=True)
class Block:
    """Consecutive texts of one split, for one system."""

    system: System
    split: str
    indices: range

    def texts(self) -> list[tuple[System, str, int]]:
        """System, split and index of each text."""
        return [(self.system, self.split, index) for index in self.indices]


@dataclass(frozen=True)
class Evaluation:
    """What to do: the blocks, how a block is done, and what the results depend on."""

    settings: dict[str, Any]
    sizes: dict[str, int]
    """Texts in each split."""
    systems: tuple[System, ...]
    judge: Callable[[Block], list[Utterance]]
    limits: Limits
    notes: list[str]
    quality: Callable[[Sequence[Utterance]], dict[str, dict[str, float]]] | None = None
    """Quality of each system on the split `single`, from all utterances; None where that split is not asked for."""
    unit: Unit = "digit"


def run(
    evaluation: Evaluation, out: Path, force: bool = False, seed: int = 0
) -> tuple[dict[str, Any], list[Utterance]] | None:
    """Judge all that is not judged yet, merge, sum up. To be called in every process of an `accelerate launch`.

    Returns: on rank 0 the report's content and the utterances in order; None elsewhere. `report.json` is left to the
        caller, who writes it last.

    Raises: InputError where `out` holds something else, a finished report, or a run with other settings.
    """
    processes = accelerate_state()
    check_output(out, evaluation.settings, force)
    processes.wait_for_everyone()  # all have looked before one writes
    with _new_evaluation(out, evaluation.settings, force) if processes.is_main_process else nullcontext():
        processes.wait_for_everyone()
        utterances = _judge_blocks(evaluation, out)
    if utterances is None:
        return None

    unit = evaluation.unit

    def summary(split: str) -> dict[str, Any]:
        chosen = {name: [x for x in utterances if (x.split, x.system) == (split, name)] for name in evaluation.systems}
        judges = {name: judge_metrics(items, seed, unit) for name, items in chosen.items()}
        if unit == "word":
            add_differences(judges["voice"], chosen["voice"], chosen["ground_truth"], seed)
        return {
            name: {**summarize(items, evaluation.limits, seed, unit), "judges": judges[name]}
            for name, items in chosen.items()
        }

    return {
        "quality": evaluation.quality(utterances) if evaluation.quality else {},
        "settings": evaluation.settings,
        "notes": evaluation.notes,
        "limits": {} if evaluation.limits == NO_LIMITS else asdict(evaluation.limits),
        "unit": unit,
        "splits": {split: summary(split) for split in evaluation.sizes},
    }, utterances


def _judge_blocks(evaluation: Evaluation, out: Path) -> list[Utterance] | None:
    """Judge this process's share of what is left; on rank 0 all utterances in order, None elsewhere."""
    processes = accelerate_state()
    blocks = [
        Block(system, split, range(start, min(start + BLOCK, size)))
        for split, size in evaluation.sizes.items()
        for system in evaluation.systems
        for start in range(0, size, BLOCK)
    ]
    done = read_parts(out)
    processes.wait_for_everyone()  # all have read before one appends
    left = [block for block in blocks if not all(key in done for key in block.texts())]
    mine = left[processes.process_index :: processes.num_processes]
    part = out / f"part-{processes.process_index:05d}.jsonl"
    if is_file(part) and not part.read_bytes().endswith(b"\n"):
        _append(part, "\n")  # ends a line that a kill left half-written
    texts = sum(len(block.indices) for block in mine)
    with tqdm(total=texts, desc="evaluate", unit="text", disable=not processes.is_main_process) as bar:
        for block in mine:
            _append(part, _lines(evaluation.judge(block)))
            bar.update(len(block.indices))
    processes.wait_for_everyone()
    if not processes.is_main_process:
        return None
    done = read_parts(out)
    return [done[key] for block in blocks for key in block.texts()]


def finish(out: Path, report: Mapping[str, Any], utterances: Sequence[Utterance]) -> None:
    """Write `utterances.jsonl`, then `report.json`, and remove the parts."""
    atomic_write(out / LINES, _lines(utterances).encode())
    atomic_write(out / REPORT, (json.dumps(report, indent=1) + "\n").encode())
    for part in out.glob("part-*.jsonl"):
        part.unlink()


def check_output(out: Path, settings: Mapping[str, Any], force: bool) -> None:
    """Raises: InputError where a run with these settings can neither begin nor be resumed."""
    check_folder(out, "--out")
    if is_empty(out):
        return
    if not is_file(out / SETTINGS):
        raise InputError(f"--out {out}: holds something else than an evaluation; name another folder")
    if force:
        return
    if is_file(out / REPORT):
        raise InputError(f"--out {out}: holds a finished evaluation; name another folder, or replace it with --force")
    try:
        found = dict(json.loads((out / SETTINGS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        found = {}
    differ = sorted(name for name in {*found, *settings} if found.get(name) != settings.get(name))
    if differ:
        raise InputError(
            f"--out {out}: holds an unfinished evaluation with other settings ({', '.join(differ)}); "
            "name another folder, or replace it with --force"
        )


@contextmanager
def _new_evaluation(out: Path, settings: Mapping[str, Any], force: bool) -> Iterator[None]:
    """A context that makes the folder with the settings, and with `force` nothing else. An error leaves what was there
    before, and what a later run can resume from: where no block has been finished, a folder that was missing or empty
    is so again."""
    was_empty = is_empty(out)
    with new_folder(out):
        try:
            try:
                if force:
                    for path in (*out.glob("part-*.jsonl"), *out.glob("report.*"), out / LINES):
                        path.unlink(missing_ok=True)
                    shutil.rmtree(out / "audio", ignore_errors=True)
                atomic_write(out / SETTINGS, (json.dumps(settings, indent=1) + "\n").encode())
            except OSError as error:
                raise InputError(f"cannot write --out {failure(error, out)}") from None
            yield
        except BaseException:  # also when interrupted
            if was_empty and not read_parts(out):
                remove_contents(out)
            raise


def _append(part: Path, lines: str) -> None:
    with naming(part), part.open("a", encoding="utf-8") as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def _lines(utterances: Sequence[Utterance]) -> str:
    return "".join(json.dumps(asdict(item)) + "\n" for item in utterances)


def read_parts(out: Path) -> dict[tuple[str, str, int], Utterance]:
    """What is judged already; a line that a kill left half-written counts as absent."""
    done: dict[tuple[str, str, int], Utterance] = {}
    for part in sorted(out.glob("part-*.jsonl")):
        for line in part.read_text(encoding="utf-8").splitlines():
            try:
                item = Utterance.from_json(json.loads(line))
            except (ValueError, TypeError, KeyError):
                continue
            done[item.system, item.split, item.index] = item
    return done
