"""Measure the recognizer on real recordings that its training never heard.

    python scripts/evaluate_recognizer.py --fsdd FSDD_FOLDER --speech-commands FOLDER --out docs/results

Writes OUT/recognizer.json, OUT/recognizer.md and OUT/recognizer_confusion.png. With --speed also the real-time factor
on one core, with --loader the training loader's waves a second against its workers, which only an idle machine can
tell; --note says what else the machine was doing. With --card the figures are put into the weights' card as well.
"""

import argparse
import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import torch
from torch.utils.data import DataLoader

from data_recipes.fsdd import SPEAKERS, Recording, RecordingOptions, build_recordings
from data_recipes.sequences import SequenceOptions, SequenceStream
from tts import audio
from tts.core.console import Parser, run_command
from tts.core.errors import InputError
from tts.core.files import atomic_write, check_folder, is_folder, new_folder, path_argument, write_together
from tts.core.machine import circumstances, heading, percent
from tts.evaluation.metrics import wilson
from tts.recognition.augment import Augmenter, AugmentOptions
from tts.recognition.model import WEIGHTS, Recognizer
from tts.recognition.rejection import rejection_figures, rejection_lines
from tts.recognition.training import Batches, Config

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LABELS = [*map(str, range(10)), "none"]
JOINED = SequenceOptions(max_digits=8, gap_seconds=(0.0, 0.35), edge_seconds=(0.0, 0.5), hold_outs=())
TIGHT = SequenceOptions(max_digits=8, hold_outs=())  # the gaps and edges that voices are trained on


def by_recording(errors: dict[str, list[int]], seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the digit error over recordings, each [errors, times said].

    The joined sets say the same few hundred recordings again and again, which Wilson's interval does not know: this one
    draws recordings, not digits, so it says how other recordings of these speakers might fare.
    """
    table = np.array(list(errors.values()))
    drawn = np.random.default_rng(seed).integers(len(table), size=(5000, len(table)))
    shares = table[drawn].sum(axis=1)
    low, high = np.percentile(shares[:, 0] / shares[:, 1], [2.5, 97.5])
    return float(low), float(high)


def joined_figures(
    recognizer: Recognizer,
    waves: list[np.ndarray],
    said: list[list[int]],
    speakers: list[str],
    takes: list[list[str]],
) -> dict[str, Any]:
    """Error counts, their intervals, and for each speaker a table: row said, column heard, 10 for nothing.

    An insertion is put down to the recording before it, or to the first one.
    """
    recognized = recognizer.recognize(waves, Recognizer.sample_rate)
    tables = {name: np.zeros((11, 11), dtype=int) for name in SPEAKERS}
    alignment = jiwer.process_words([" ".join(map(str, x)) for x in said], [" ".join(map(str, x)) for x in recognized])
    recordings: dict[str, list[int]] = {}
    for names in takes:
        for name in names:
            recordings.setdefault(name, [0, 0])[1] += 1
    for reference, answer, chunks, speaker, names in zip(
        said, recognized, alignment.alignments, speakers, takes, strict=True
    ):
        for chunk in chunks:
            if chunk.type == "insert":
                recordings[names[max(chunk.ref_start_idx - 1, 0)]][0] += chunk.hyp_end_idx - chunk.hyp_start_idx
            elif chunk.type != "equal":
                for name in names[chunk.ref_start_idx : chunk.ref_end_idx]:
                    recordings[name][0] += 1
            rows: Sequence[int] = reference[chunk.ref_start_idx : chunk.ref_end_idx]
            columns: Sequence[int] = answer[chunk.hyp_start_idx : chunk.hyp_end_idx]
            for row, column in zip(rows or [10] * len(columns), columns or [10] * len(rows), strict=True):
                tables[speaker][row, column] += 1
    digits = sum(map(len, said))
    errors = alignment.substitutions + alignment.insertions + alignment.deletions
    exact = sum(a == b for a, b in zip(said, recognized, strict=True))
    by_length = {}
    for length in sorted({len(x) for x in said}):
        pairs = [(a, b) for a, b in zip(said, recognized, strict=True) if len(a) == length]
        by_length[str(length)] = [sum(a == b for a, b in pairs), len(pairs)]
    return {
        "sequences": len(said),
        "digits": digits,
        "substitutions": alignment.substitutions,
        "insertions": alignment.insertions,
        "deletions": alignment.deletions,
        "digit_error": errors / digits,
        "digit_error_95": wilson(errors, digits),
        "digit_error_95_by_recording": by_recording(recordings),
        "recordings": len(recordings),
        "recordings_with_errors": sum(count > 0 for count, _ in recordings.values()),
        "exact": exact / len(said),
        "exact_95": wilson(exact, len(said)),
        "exact_by_length": by_length,
        "confusion": {name: table.tolist() for name, table in tables.items()},
    }


def single_figures(recognized: list[list[int]], said: list[int], names: list[str], ids: list[str]) -> dict[str, Any]:
    """Share of single digits heard as exactly that digit, overall and by name, and every error."""
    right = [answer == [digit] for answer, digit in zip(recognized, said, strict=True)]
    by_name = {}
    for name in dict.fromkeys(names):
        mine = [ok for ok, other in zip(right, names, strict=True) if other == name]
        by_name[name] = [sum(mine), len(mine)]
    return {
        "recordings": len(said),
        "right": sum(right),
        "accuracy": sum(right) / len(said),
        "accuracy_95": wilson(sum(right), len(said)),
        "by_name": by_name,
        "errors": [f"{i}: heard {' '.join(map(str, x)) or 'nothing'}"
                   for i, x, ok in zip(ids, recognized, right, strict=True) if not ok],
    }  # fmt: skip


def joined_sets(
    test: list[Recording], count: int, seed: int
) -> dict[str, tuple[list[np.ndarray], list[list[int]], list[str], list[list[str]]]]:
    """Test takes joined: in wide gaps as in training, in the tight ones that voices use, and damaged."""
    augmenter = Augmenter(AugmentOptions(empty=0.0), test, seed)
    result: dict[str, tuple[list[np.ndarray], list[list[int]], list[str], list[list[str]]]] = {}
    for name, options in (("joined", JOINED), ("joined tightly", TIGHT), ("joined, damaged", JOINED)):
        stream = SequenceStream(test, options, seed)
        sequences = [stream[i] for i in range(count)]
        waves = [x.audio for x in sequences]
        if name == "joined, damaged":
            waves = [augmenter(x.audio, x.boundaries, np.random.default_rng([seed, i]))
                     for i, x in enumerate(sequences)]  # fmt: skip
        result[name] = (waves, [x.digits for x in sequences], [x.speaker for x in sequences],
                        [x.takes for x in sequences])  # fmt: skip
    return result


def empty_figures(recognizer: Recognizer, test: list[Recording], count: int, seed: int) -> dict[str, Any]:
    """How often nothing is heard where there is nothing: every kind of wave without a digit that training knew too."""
    augmenter = Augmenter(AugmentOptions(), test, seed)
    waves = [augmenter.empty(np.random.default_rng([seed, 1, i])) for i in range(count)]
    right = sum(not recognized for recognized in recognizer.recognize(waves, Recognizer.sample_rate))
    return {"waves": count, "heard_nothing": right, "share": right / count, "share_95": wilson(right, count)}


def speech_commands(folder: Path) -> tuple[list[Path], list[np.ndarray]]:
    """The files `{word}/{speaker}_nohash_{n}.wav` of the ten digits, and their waves (T,) float32 at 8 kHz."""
    paths = [path for word in WORDS for path in sorted((folder / word).glob("*.wav"))]
    if not paths:
        raise InputError(f"{folder}: no WAV files in folders named zero to nine; give Speech Commands' folder")
    return paths, [audio.resample(*audio.read(path), Recognizer.sample_rate) for path in paths]


def speech_commands_figures(recognizer: Recognizer, paths: list[Path], waves: list[np.ndarray]) -> dict[str, Any]:
    """Other speakers, other microphones, nothing tuned."""
    recognized = recognizer.recognize(waves, Recognizer.sample_rate)
    said = [WORDS.index(path.parent.name) for path in paths]
    return single_figures(recognized, said, [path.parent.name for path in paths],
                          [f"{path.parent.name}/{path.name}" for path in paths])  # fmt: skip


def speed_figures(recognizer: Recognizer, waves: list[np.ndarray]) -> dict[str, float]:
    """Real-time factor on one core by batch size: seconds of work for a second of audio."""
    torch.set_num_threads(1)
    seconds = sum(map(len, waves)) / Recognizer.sample_rate
    factors = {}
    for size in (1, 8, 32, 64):
        recognizer.recognize(waves[:size], Recognizer.sample_rate, size)
        started = time.perf_counter()
        recognizer.recognize(waves, Recognizer.sample_rate, size)
        factors[str(size)] = (time.perf_counter() - started) / seconds
    return factors


def loader_figures(train: list[Recording]) -> dict[str, float]:
    """Waves a second out of the training loader by its workers."""
    loader = {}
    for workers in (0, 1, 2):
        batches = iter(DataLoader(Batches(Config(), train, short=False), batch_size=None, num_workers=workers))
        for _ in range(12):
            next(batches)
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < 8:
            count += len(next(batches)[1])
        loader[str(workers)] = count / (time.perf_counter() - started)
        del batches
    return loader


def draw_confusion(metrics: dict[str, Any]) -> bytes:
    """One panel a speaker: rows said, columns heard, counts in the fields; as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(12, 8.4), layout="constrained")
    for axis, (speaker, rows) in zip(axes.flat, metrics["confusion"].items(), strict=True):
        table = np.array(rows)
        share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row, column in zip(*np.nonzero(table), strict=True):
            color = "white" if share[row, column] > 0.5 else "black"
            axis.text(column, row, table[row, column], ha="center", va="center", fontsize=7, color=color)
        axis.set(title=speaker, xticks=range(11), yticks=range(11), xticklabels=LABELS, yticklabels=LABELS)
        axis.set(xlabel="heard ('none': missed)", ylabel="said ('none': inserted)")
    figure.suptitle(f"Real test takes joined into 1 to 8 digits: {metrics['digits']} digits")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return buffer.getvalue()


def markdown(results: dict[str, Any]) -> str:
    """The tables of docs/results/recognizer.md."""
    lines = [
        "# The recognizer's figures",
        "",
        *heading(results),
        "",
        "## Joined test takes",
        "",
        "| set | digits | S | I | D | digit error | the same, bootstrap over recordings | exact sequences |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, x in results["sequences"].items():
        lines.append(
            f"| {name} | {x['digits']} | {x['substitutions']} | {x['insertions']} | {x['deletions']} | "
            f"{percent(x['digit_error'], x['digit_error_95'])} | "
            f"{100 * x['digit_error_95_by_recording'][0]:.2f}-{100 * x['digit_error_95_by_recording'][1]:.2f} | "
            f"{percent(x['exact'], x['exact_95'])} |"
        )
    joined = results["sequences"]["joined"]
    lines += ["", f"The sequences of \"joined\" say {joined['recordings']} recordings over and over; "
              f"{joined['recordings_with_errors']} of them were misheard at least once."]  # fmt: skip
    lines += ["", "Exact sequences of \"joined\" by length: " + ", ".join(
        f"{length}: {right}/{count}" for length, (right, count) in
        results["sequences"]["joined"]["exact_by_length"].items()) + "."]  # fmt: skip
    for name, x in results["singles"].items():
        lines += ["", f"## Single recordings: {name}", "",
                  f"{x['right']} of {x['recordings']} right: {percent(x['accuracy'], x['accuracy_95'])}.", "",
                  "| " + " | ".join(x["by_name"]) + " |", "| " + " | ".join("---" for _ in x["by_name"]) + " |",
                  "| " + " | ".join(f"{right}/{count}" for right, count in x["by_name"].values()) + " |", "",
                  "Errors: " + ("; ".join(x["errors"]) or "none") + "."]  # fmt: skip
    x = results["empty"]
    lines += ["", "## Waves without a digit", "",
              f"Silence, noise, hum, swelling noise, shredded speech: nothing heard in {x['recognized_nothing']} of "
              f"{x['waves']}, {percent(x['share'], x['share_95'])}."]  # fmt: skip
    lines += ["", "## Confusion by speaker", "", "![confusion](recognizer_confusion.png)", "",
              "\"joined\" above; rows said, columns heard."]  # fmt: skip
    for speaker, table in results["sequences"]["joined"]["confusion"].items():
        lines += ["", f"### {speaker}", "", "| said | " + " | ".join(LABELS) + " |",
                  "| --- |" + " --- |" * 11]  # fmt: skip
        for label, row in zip(LABELS, table, strict=True):
            lines.append(f"| {label} | " + " | ".join(str(n) if n else "" for n in row) + " |")
    if rejection := results.get("rejection"):
        lines += rejection_lines(rejection)
    if factors := results.get("real_time_factor_one_core"):
        lines += ["", "## Speed", "", "| batch | real-time factor, one core |", "| --- | --- |"]
        lines += [f"| {size} | {factor:.4f} |" for size, factor in factors.items()]
    if rates := results.get("loader_waves_per_second"):
        lines += ["", "## Training loader", "", "| workers | waves a second |", "| --- | --- |"]
        lines += [f"| {workers} | {rate:.0f} |" for workers, rate in rates.items()]
    return "\n".join(lines) + "\n"


def rejection(
    args: argparse.Namespace, recognizer: Recognizer, prepared: list[Recording], as_they_lie: list[Recording]
) -> dict[str, Any]:
    """The figures of rejection, for single and joined test takes, Speech Commands and prompts without digits."""
    singles = {"FSDD test takes as they lie": as_they_lie, "FSDD test takes, trimmed and leveled": prepared}
    spoken = {name: ([x.audio for x in items], [[x.digit] for x in items]) for name, items in singles.items()}
    stream = SequenceStream(prepared, JOINED, args.seed)
    sequences = [stream[i] for i in range(min(args.count, 500))]
    spoken["test takes joined, whole sequences"] = ([x.audio for x in sequences], [x.digits for x in sequences])
    if args.speech_commands:
        paths, waves = speech_commands(args.speech_commands)
        spoken["Speech Commands, untuned"] = (waves, [[WORDS.index(path.parent.name)] for path in paths])
    return rejection_figures(recognizer, args.prompts, spoken)


def evaluate(args: argparse.Namespace) -> None:
    """Everything, written to args.out."""
    check_folder(args.out, "--out")
    if args.speech_commands and not is_folder(args.speech_commands):
        raise InputError(f"--speech-commands {args.speech_commands}: no such folder; leave it out, or give the corpus")
    recognizer = Recognizer.load(args.weights)
    recordings = build_recordings(args.fsdd)
    as_they_lie = build_recordings(
        args.fsdd, RecordingOptions(remove_dc=False, trim=False, level_dbfs=None, fade_seconds=0.0)
    )
    if args.only_rejection:
        metrics = rejection(args, recognizer, recordings["test"], as_they_lie["test"])
        made = {"command": args.command, "circumstances": circumstances(args.note), "rejection": metrics}
        args.out.mkdir(parents=True, exist_ok=True)
        atomic_write(args.out / "rejection.json", (json.dumps(made) + "\n").encode())
        text = "\n".join(["# The recognizer's rejection", "", *heading(made), *rejection_lines(metrics)]) + "\n"
        atomic_write(args.out / "rejection.md", text.encode())
        print(text)
        return
    sets = joined_sets(recordings["test"], args.count, args.seed)
    results: dict[str, Any] = {
        "command": args.command,
        "circumstances": circumstances(args.note),
        "sequences": {name: joined_figures(recognizer, *items) for name, items in sets.items()},
        "singles": {},
        "empty": empty_figures(recognizer, recordings["test"], 500, args.seed),
    }
    for name, items in (("FSDD test takes as they lie", as_they_lie["test"]),
                        ("FSDD test takes, trimmed and leveled", recordings["test"])):  # fmt: skip
        recognized = recognizer.recognize([x.audio for x in items], Recognizer.sample_rate)
        results["singles"][name] = single_figures(
            recognized, [x.digit for x in items], [x.speaker for x in items], [x.id for x in items]
        )
    if args.speech_commands:
        paths, waves = speech_commands(args.speech_commands)
        results["singles"]["Speech Commands, untuned"] = speech_commands_figures(recognizer, paths, waves)
    if args.prompts:
        results["rejection"] = rejection(args, recognizer, recordings["test"], as_they_lie["test"])
    if args.speed:
        results["real_time_factor_one_core"] = speed_figures(recognizer, sets["joined"][0][:300])
    if args.loader:
        results["loader_waves_per_second"] = loader_figures(recordings["train"])
    with new_folder(args.out):
        write_together(
            {
                args.out / "recognizer.json": (json.dumps(results) + "\n").encode(),
                args.out / "recognizer.md": markdown(results).encode(errors="backslashreplace"),
                args.out / "recognizer_confusion.png": draw_confusion(results["sequences"]["joined"]),
            }
        )
    if args.card:
        recognizer.card["metrics"] |= {
            "test_digit_error": results["sequences"]["joined"]["digit_error"],
            "test_digit_error_95": results["sequences"]["joined"]["digit_error_95"],
            "test_single_accuracy": {name: x["accuracy"] for name, x in results["singles"].items()},
            "test_command": args.command,
        }
        path = (args.weights or WEIGHTS) / "recognizer.json"
        atomic_write(path, (json.dumps(recognizer.card, indent=1) + "\n").encode())
    print(markdown(results).split("## Confusion")[0])


def main() -> int:
    """Parse and run."""
    return run_command("evaluate_recognizer", run)


def run() -> None:
    """Parse and evaluate."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fsdd", type=path_argument, help="FSDD's folder (default: download the pinned revision)")
    parser.add_argument("--speech-commands", type=path_argument, help="a Speech Commands folder; left out if not given")
    parser.add_argument("--prompts", type=path_argument, help="Asterisk's prompts: measure rejection too")
    parser.add_argument("--only-rejection", action="store_true", help="only that, to OUT/rejection.md and .json")
    parser.add_argument("--weights", type=path_argument, help="folder of a recognizer (default: the one that ships)")
    parser.add_argument("--out", type=path_argument, default=Path("docs/results"))
    parser.add_argument("--count", type=int, default=2000, help="joined sequences in each set")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", action="store_true", help="measure the real-time factor too")
    parser.add_argument("--loader", action="store_true", help="measure the training loader too; on an idle machine")
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument("--card", action="store_true", help="put the figures into the weights' card too")
    args = parser.parse_args()
    args.command = (
        f"python scripts/evaluate_recognizer.py --fsdd FSDD_FOLDER --speech-commands FOLDER "
        f"--count {args.count} --seed {args.seed}"
        + " --prompts FOLDER" * bool(args.prompts)
        + " --only-rejection" * args.only_rejection
        + " --speed" * args.speed
        + " --loader" * args.loader
        + " --card" * args.card
    )
    if args.only_rejection and not args.prompts:
        raise InputError("--only-rejection needs --prompts, the folder of Asterisk's prompts")
    evaluate(args)
