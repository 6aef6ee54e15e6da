"""Measure the recognizer on real recordings that its training never had.

    python scripts/evaluate_recognizer.py --fsdd FSDD_FOLDER --speech-commands FOLDER --out docs/results

Writes OUT/recognizer.json, OUT/recognizer.md and OUT/recognizer_confusion.png. With --speed also the real-time factor
on one core, with --loader the training loader's waves a second against its workers, which needs an idle
machine; --note says what else the machine was doing. With --card the results are put into the weights' card as well.
"""

import argparse
import json
import operator
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from data_recipes.corpus import Recording, RecordingOptions
from data_recipes.fsdd import SPEAKERS, build_recordings
from data_recipes.sequences import SequenceOptions, SequenceStream
from tts import audio
from tts.core.console import Parser, script
from tts.core.errors import InputError
from tts.core.files import atomic_write, check_folder, is_folder, new_folder, path_argument, write_together
from tts.core.machine import circumstances, heading
from tts.core.statistics import wilson
from tts.recognition import prompts
from tts.recognition.alignment import Pair, align, confusion_matrix, count_errors
from tts.recognition.augment import Augmenter, AugmentOptions
from tts.recognition.model import WEIGHTS, Recognizer
from tts.recognition.onnx_recognizer import OnnxRecognizer
from tts.recognition.plots import confusions
from tts.recognition.report import markdown, rejection_lines
from tts.recognition.training import Config, batches
from tts.text.normalize import DIGIT_NAMES

JOINED = SequenceOptions(max_digits=8, gap_seconds=(0.0, 0.35), edge_seconds=(0.0, 0.5), hold_outs=())
TIGHT = SequenceOptions(max_digits=8, hold_outs=())  # the gaps and edges that voices are trained on


class Item(NamedTuple):
    """A wave (T,) float32, its digits, by whom they are (or which word it is), and the recordings in it."""

    wave: np.ndarray
    digits: list[int]
    name: str
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


def right_by(right: Sequence[bool], names: Sequence[str]) -> dict[str, list[int]]:
    """[how many are right, how many there are] by name."""
    pairs = list(zip(right, names, strict=True))
    return {name: [pairs.count((True, name)), names.count(name)] for name in dict.fromkeys(names)}


def joined_metrics(recognizer: Recognizer, items: Sequence[Item]) -> dict[str, Any]:
    """Error counts, their intervals, and for each speaker a confusion matrix.

    An insertion is counted as an error of the recording before it, or of the first one.
    """
    recognized = recognizer.recognize([item.wave for item in items], Recognizer.sample_rate)
    alignments = [align(item.digits, answer) for item, answer in zip(items, recognized, strict=True)]
    recordings: dict[str, list[int]] = {}
    by_speaker: dict[str, list[list[Pair]]] = {name: [] for name in SPEAKERS}
    for item, pairs in zip(items, alignments, strict=True):
        by_speaker[item.name].append(pairs)
        for name in item.recordings:
            recordings.setdefault(name, [0, 0])[1] += 1
        place = 0
        for said, got in pairs:
            place += said is not None
            recordings[item.recordings[max(place - 1, 0)]][0] += said != got
    edits = count_errors(chain.from_iterable(alignments))
    digits = sum(len(item.digits) for item in items)
    right = [item.digits == answer for item, answer in zip(items, recognized, strict=True)]
    by_length = right_by(right, [str(len(item.digits)) for item in items])
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
        "exact_by_length": dict(sorted(by_length.items())),
        "confusion": {name: confusion_matrix(own).tolist() for name, own in by_speaker.items()},
    }


def single_metrics(recognizer: Recognizer, items: Sequence[Item]) -> dict[str, Any]:
    """Share of single digits recognized as exactly that digit, overall and by name, and every error."""
    recognized = recognizer.recognize([item.wave for item in items], Recognizer.sample_rate)
    right = [item.digits == answer for item, answer in zip(items, recognized, strict=True)]
    errors = [(item.recordings[0], x) for item, x in zip(items, recognized, strict=True) if item.digits != x]
    return {
        "recordings": len(items),
        "right": sum(right),
        "accuracy": sum(right) / len(items),
        "accuracy_95": wilson(sum(right), len(items)),
        "by_name": right_by(right, [item.name for item in items]),
        "errors": [f"{name}: recognized {' '.join(map(str, x)) or 'nothing'}" for name, x in errors],
    }


def single_items(recordings: list[Recording]) -> list[Item]:
    """Recordings one by one."""
    return [Item(x.audio, [x.digit], x.speaker, [x.id]) for x in recordings]


def joined(
    test: list[Recording], options: SequenceOptions, count: int, seed: int, augmenter: Augmenter | None = None
) -> list[Item]:
    """Test recordings joined."""
    items = []
    for index, x in enumerate(islice(SequenceStream(test, options, seed), count)):
        wave = augmenter(x.audio, x.boundaries, np.random.default_rng([seed, index])) if augmenter else x.audio
        items.append(Item(wave, x.digits, x.speaker, x.takes))
    return items


def joined_sets(test: list[Recording], count: int, seed: int) -> dict[str, list[Item]]:
    """Test recordings joined: with wide gaps as in training, with the tight ones that voices use, and damaged."""
    return {
        "joined": joined(test, JOINED, count, seed),
        "joined tightly": joined(test, TIGHT, count, seed),
        "joined, damaged": joined(test, JOINED, count, seed, Augmenter(AugmentOptions(empty=0.0), test, seed)),
    }


def empty_metrics(recognizer: Recognizer, test: list[Recording], count: int, seed: int) -> dict[str, Any]:
    """How often nothing is recognized where there is nothing: all kinds of waves without a digit that training had."""
    augmenter = Augmenter(AugmentOptions(), test, seed)
    waves = [augmenter.empty(np.random.default_rng([seed, 1, i])) for i in range(count)]
    right = sum(not recognized for recognized in recognizer.recognize(waves, Recognizer.sample_rate))
    return {"waves": count, "recognized_nothing": right, "share": right / count, "share_95": wilson(right, count)}


def speech_commands(folder: Path) -> list[Item]:
    """The files `{word}/{speaker}_nohash_{n}.wav` of the ten digits: other speakers, other microphones."""
    paths = [path for word in DIGIT_NAMES for path in sorted((folder / word).glob("*.wav"))]
    if not paths:
        raise InputError(f"{folder}: no WAV files in folders named zero to nine; give Speech Commands' folder")
    waves = [audio.resample(*audio.read(path), Recognizer.sample_rate) for path in paths]
    words = [path.parent.name for path in paths]
    return [Item(wave, [DIGIT_NAMES.index(word)], word, [f"{word}/{path.name}"])
            for wave, word, path in zip(waves, words, paths, strict=True)]  # fmt: skip


def kept(recognizer: OnnxRecognizer, waves: list[np.ndarray], threshold: float) -> list[list[int]]:
    """The digits of each wave whose confidence reaches the threshold, as `tts recognize` prints them."""
    found = recognizer.spoken(waves, recognizer.sample_rate)
    return [[one.digit for one in own if one.confidence >= threshold] for own in found]


def rejection_metrics(recognizer: OnnxRecognizer, folder: Path, spoken: dict[str, list[Item]]) -> dict[str, Any]:
    """What the default threshold costs and brings: waves of digits that are exactly right, with it and without; and the
    prompts without digits, by voice, in which nothing is recognized."""
    if recognizer.confidence is None:
        raise InputError("this recognizer has no confidence.safetensors; make it by scripts/train_confidence.py")
    threshold = recognizer.threshold
    learned = recognizer.card["confidence"]["voices"]
    metrics: dict[str, Any] = {"threshold": threshold, "digits": {}, "prompts": {}, "learned_from": learned}

    def shares(waves: list[np.ndarray], said: list[list[int]]) -> dict[str, Any]:
        """Of the waves in which exactly what is said is recognized."""
        found: dict[str, Any] = {}
        for key, least in (("without", 0.0), ("with", threshold)):
            right, of = sum(map(operator.eq, kept(recognizer, waves, least), said)), len(said)
            found[key] = {"count": right, "of": of, "share": right / of, "share_95": wilson(right, of)}
        return found

    for name, items in spoken.items():
        metrics["digits"][name] = shares([item.wave for item in items], [item.digits for item in items])
    others: list[np.ndarray] = []
    for voice in prompts.voices(folder):
        waves = list(prompts.digitless(folder, voice).values())
        metrics["prompts"][voice] = shares(waves, [[]] * len(waves))
        others += waves * (voice not in learned)
    metrics["prompts"]["all but those learned from"] = shares(others, [[]] * len(others))
    return metrics


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
        made = batches(Config(), train, short=False).made(range(10**6), workers)
        for _ in range(12):
            next(made)
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < 8:
            count += len(next(made)[1])
        loader[str(workers)] = count / (time.perf_counter() - started)
        del made
    return loader


def evaluate(args: argparse.Namespace) -> None:
    """Everything, written to args.out."""
    check_folder(args.out, "--out")
    if args.speech_commands and not is_folder(args.speech_commands):
        raise InputError(f"--speech-commands {args.speech_commands}: no such folder; leave it out, or give the corpus")
    recognizer = Recognizer.load(args.weights)
    results: dict[str, Any] = {"command": args.command, "circumstances": circumstances(args.note)}
    recordings = build_recordings(args.fsdd)
    test = recordings["test"]
    as_they_lie = RecordingOptions(remove_dc=False, trim=False, level_dbfs=None, fade_seconds=0.0)
    singles = {
        "FSDD test recordings, unprepared": single_items(build_recordings(args.fsdd, as_they_lie)["test"]),
        "FSDD test recordings, trimmed and leveled": single_items(test),
    }
    whole = joined(test, JOINED, min(args.count, 500), args.seed)
    spoken = {**singles, "test recordings joined, whole sequences": whole}
    if args.speech_commands:
        singles["Speech Commands, untuned"] = spoken["Speech Commands, untuned"] = speech_commands(args.speech_commands)
    if args.prompts:
        results["rejection"] = rejection_metrics(OnnxRecognizer.load(args.weights), args.prompts, spoken)
    if args.only_rejection:
        args.out.mkdir(parents=True, exist_ok=True)
        atomic_write(args.out / "rejection.json", (json.dumps(results) + "\n").encode())
        lines = ["# The recognizer's rejection", "", *heading(results), *rejection_lines(results["rejection"])]
        text = "\n".join(lines) + "\n"
        atomic_write(args.out / "rejection.md", text.encode())
        print(text)
        return
    sets = joined_sets(test, args.count, args.seed)
    results |= {
        "sequences": {name: joined_metrics(recognizer, items) for name, items in sets.items()},
        "singles": {name: single_metrics(recognizer, items) for name, items in singles.items()},
        "empty": empty_metrics(recognizer, test, 500, args.seed),
    }
    if args.speed:
        results["real_time_factor_one_core"] = speed_metrics(recognizer, [item.wave for item in sets["joined"][:300]])
    if args.loader:
        results["loader_waves_per_second"] = loader_metrics(recordings["train"])
    page, overall = markdown(results), results["sequences"]["joined"]
    files = {
        "recognizer.json": (json.dumps(results) + "\n").encode(),
        "recognizer.md": page.encode(errors="backslashreplace"),
        "recognizer_confusion.png": confusions({name: np.array(table) for name, table in overall["confusion"].items()}),
    }
    with new_folder(args.out):
        write_together({args.out / name: data for name, data in files.items()})
    if args.card:
        recognizer.card["metrics"] |= {
            "test_digit_error": overall["digit_error"],
            "test_digit_error_95": overall["digit_error_95"],
            "test_single_accuracy": {name: x["accuracy"] for name, x in results["singles"].items()},
            "test_command": args.command,
        }
        path = (args.weights or WEIGHTS) / "recognizer.json"
        atomic_write(path, (json.dumps(recognizer.card, indent=1) + "\n").encode())
    print(page.split("## Confusion")[0])


def run(argv: Sequence[str] | None) -> None:
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
    args = parser.parse_args(argv)
    flags = [
        f" --{name}" for name in ("only-rejection", "speed", "loader", "card") if vars(args)[name.replace("-", "_")]
    ]
    args.command = ("python scripts/evaluate_recognizer.py --fsdd FSDD_FOLDER --speech-commands FOLDER "
                    f"--count {args.count} --seed {args.seed}" + " --prompts FOLDER" * bool(args.prompts)
                    + "".join(flags))  # fmt: skip
    if args.only_rejection and not args.prompts:
        raise InputError("--only-rejection needs --prompts, the folder of Asterisk's prompts")
    evaluate(args)


main = script("evaluate_recognizer", run)
