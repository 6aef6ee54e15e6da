"""Measure the recognizer on real recordings that its training never had.

    python scripts/evaluate_recognizer.py --fsdd FSDD_FOLDER --speech-commands FOLDER --out docs/results

Writes OUT/recognizer.json, OUT/recognizer.md and OUT/recognizer_confusion.png. With --speed also the real-time factor
on one core, with --loader the training loader's waves a second against its workers, which needs an idle
machine; --note says what else the machine was doing. With --card the results are put into the weights' card as well.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader

from data_recipes.fsdd import SPEAKERS, Recording, RecordingOptions, build_recordings
from data_recipes.sequences import SequenceOptions, SequenceStream
from tts import audio
from tts.core.console import Parser, run_command
from tts.core.errors import InputError
from tts.core.files import atomic_write, check_folder, is_folder, new_folder, path_argument, write_together
from tts.core.machine import circumstances, heading
from tts.core.statistics import wilson
from tts.recognition.alignment import align, confusion_matrix, count_errors
from tts.recognition.augment import Augmenter, AugmentOptions
from tts.recognition.model import WEIGHTS, Recognizer
from tts.recognition.plots import confusions
from tts.recognition.rejection import rejection_lines, rejection_metrics
from tts.recognition.report import markdown
from tts.recognition.training import Batches, Config

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
JOINED = SequenceOptions(max_digits=8, gap_seconds=(0.0, 0.35), edge_seconds=(0.0, 0.5), hold_outs=())
TIGHT = SequenceOptions(max_digits=8, hold_outs=())  # the gaps and edges that voices are trained on


class Joined(NamedTuple):
    """A wave (T,) float32 of recordings of one speaker, joined."""

    wave: np.ndarray
    digits: list[int]
    speaker: str
    recordings: list[str]


def by_recording(errors: dict[str, list[int]], seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the digit error over recordings, each [errors, times said].

    The joined sets hold the same few hundred recordings again and again, which Wilson's interval does not know. This
    one draws recordings, not digits: it is the uncertainty about other recordings of these speakers.
    """
    table = np.array(list(errors.values()))
    drawn = np.random.default_rng(seed).integers(len(table), size=(5000, len(table)))
    shares = table[drawn].sum(axis=1)
    low, high = np.percentile(shares[:, 0] / shares[:, 1], [2.5, 97.5])
    return float(low), float(high)


def joined_metrics(recognizer: Recognizer, items: Sequence[Joined]) -> dict[str, Any]:
    """Error counts, their intervals, and for each speaker a confusion matrix.

    An insertion is counted as an error of the recording before it, or of the first one.
    """
    recognized = recognizer.recognize([item.wave for item in items], Recognizer.sample_rate)
    alignments = [align(item.digits, answer) for item, answer in zip(items, recognized, strict=True)]
    recordings: dict[str, list[int]] = {}
    for item, pairs in zip(items, alignments, strict=True):
        for name in item.recordings:
            recordings.setdefault(name, [0, 0])[1] += 1
        place = 0
        for said, got in pairs:
            place += said is not None
            recordings[item.recordings[max(place - 1, 0)]][0] += said != got
    edits = count_errors(pair for pairs in alignments for pair in pairs)
    digits = sum(len(item.digits) for item in items)
    right = [item.digits == answer for item, answer in zip(items, recognized, strict=True)]
    by_length: dict[int, list[int]] = {}
    for item, exact in sorted(zip(items, right, strict=True), key=lambda pair: len(pair[0].digits)):
        counts = by_length.setdefault(len(item.digits), [0, 0])
        counts[0] += exact
        counts[1] += 1
    return {
        "sequences": len(items),
        "digits": digits,
        **asdict(edits),
        "digit_error": edits.total / digits,
        "digit_error_95": wilson(edits.total, digits),
        "digit_error_95_by_recording": by_recording(recordings),
        "recordings": len(recordings),
        "recordings_with_errors": sum(count > 0 for count, _ in recordings.values()),
        "exact": sum(right) / len(items),
        "exact_95": wilson(sum(right), len(items)),
        "exact_by_length": {str(length): counts for length, counts in by_length.items()},
        "confusion": {
            name: confusion_matrix(
                pairs for item, pairs in zip(items, alignments, strict=True) if item.speaker == name
            ).tolist()
            for name in SPEAKERS
        },
    }


def single_metrics(recognized: list[list[int]], said: list[int], names: list[str], ids: list[str]) -> dict[str, Any]:
    """Share of single digits recognized as exactly that digit, overall and by name, and every error."""
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
        "errors": [f"{i}: recognized {' '.join(map(str, x)) or 'nothing'}"
                   for i, x, ok in zip(ids, recognized, right, strict=True) if not ok],
    }  # fmt: skip


def joined_sets(test: list[Recording], count: int, seed: int) -> dict[str, list[Joined]]:
    """Test recordings joined: with wide gaps as in training, with the tight ones that voices use, and damaged."""
    augmenter = Augmenter(AugmentOptions(empty=0.0), test, seed)
    result = {}
    for name, options in (("joined", JOINED), ("joined tightly", TIGHT), ("joined, damaged", JOINED)):
        stream = SequenceStream(test, options, seed)
        items = []
        for index in range(count):
            x = stream[index]
            wave = x.audio
            if name == "joined, damaged":
                wave = augmenter(wave, x.boundaries, np.random.default_rng([seed, index]))
            items.append(Joined(wave, x.digits, x.speaker, x.takes))
        result[name] = items
    return result


def empty_metrics(recognizer: Recognizer, test: list[Recording], count: int, seed: int) -> dict[str, Any]:
    """How often nothing is recognized where there is nothing: all kinds of waves without a digit that training had."""
    augmenter = Augmenter(AugmentOptions(), test, seed)
    waves = [augmenter.empty(np.random.default_rng([seed, 1, i])) for i in range(count)]
    right = sum(not recognized for recognized in recognizer.recognize(waves, Recognizer.sample_rate))
    return {"waves": count, "recognized_nothing": right, "share": right / count, "share_95": wilson(right, count)}


def speech_commands(folder: Path) -> tuple[list[Path], list[np.ndarray]]:
    """The files `{word}/{speaker}_nohash_{n}.wav` of the ten digits, and their waves (T,) float32 at 8 kHz."""
    paths = [path for word in WORDS for path in sorted((folder / word).glob("*.wav"))]
    if not paths:
        raise InputError(f"{folder}: no WAV files in folders named zero to nine; give Speech Commands' folder")
    return paths, [audio.resample(*audio.read(path), Recognizer.sample_rate) for path in paths]


def speech_commands_metrics(recognizer: Recognizer, paths: list[Path], waves: list[np.ndarray]) -> dict[str, Any]:
    """Other speakers, other microphones, nothing tuned."""
    recognized = recognizer.recognize(waves, Recognizer.sample_rate)
    said = [WORDS.index(path.parent.name) for path in paths]
    return single_metrics(recognized, said, [path.parent.name for path in paths],
                          [f"{path.parent.name}/{path.name}" for path in paths])  # fmt: skip


def speed_metrics(recognizer: Recognizer, waves: list[np.ndarray]) -> dict[str, float]:
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


def loader_metrics(train: list[Recording]) -> dict[str, float]:
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


def rejection(
    args: argparse.Namespace, recognizer: Recognizer, prepared: list[Recording], as_they_lie: list[Recording]
) -> dict[str, Any]:
    """How well digits are kept and other speech is rejected, on each of the corpora."""
    singles = {"FSDD test recordings, unprepared": as_they_lie, "FSDD test recordings, trimmed and leveled": prepared}
    spoken = {name: ([x.audio for x in items], [[x.digit] for x in items]) for name, items in singles.items()}
    stream = SequenceStream(prepared, JOINED, args.seed)
    sequences = [stream[i] for i in range(min(args.count, 500))]
    spoken["test recordings joined, whole sequences"] = ([x.audio for x in sequences], [x.digits for x in sequences])
    if args.speech_commands:
        paths, waves = speech_commands(args.speech_commands)
        spoken["Speech Commands, untuned"] = (waves, [[WORDS.index(path.parent.name)] for path in paths])
    return rejection_metrics(recognizer, args.prompts, spoken)


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
        "sequences": {name: joined_metrics(recognizer, items) for name, items in sets.items()},
        "singles": {},
        "empty": empty_metrics(recognizer, recordings["test"], 500, args.seed),
    }
    for name, items in (("FSDD test recordings, unprepared", as_they_lie["test"]),
                        ("FSDD test recordings, trimmed and leveled", recordings["test"])):  # fmt: skip
        recognized = recognizer.recognize([x.audio for x in items], Recognizer.sample_rate)
        results["singles"][name] = single_metrics(
            recognized, [x.digit for x in items], [x.speaker for x in items], [x.id for x in items]
        )
    if args.speech_commands:
        paths, waves = speech_commands(args.speech_commands)
        results["singles"]["Speech Commands, untuned"] = speech_commands_metrics(recognizer, paths, waves)
    if args.prompts:
        results["rejection"] = rejection(args, recognizer, recordings["test"], as_they_lie["test"])
    if args.speed:
        results["real_time_factor_one_core"] = speed_metrics(recognizer, [item.wave for item in sets["joined"][:300]])
    if args.loader:
        results["loader_waves_per_second"] = loader_metrics(recordings["train"])
    with new_folder(args.out):
        write_together(
            {
                args.out / "recognizer.json": (json.dumps(results) + "\n").encode(),
                args.out / "recognizer.md": markdown(results).encode(errors="backslashreplace"),
                args.out / "recognizer_confusion.png": confusions(
                    {name: np.array(table) for name, table in results["sequences"]["joined"]["confusion"].items()}
                ),
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
    parser.add_argument("--card", action="store_true", help="put the results into the weights' card too")
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
