"""Train the digit recognizer on real recordings, joined and damaged.

    python scripts/train_recognizer.py configs/recognizer.yaml data.source=FSDD_FOLDER train.steps=4000

Writes OUT/recognizer.safetensors and recognizer.json (the best by digit error on validation recordings, clean and
damaged ones together), a row of OUT/log.jsonl an evaluation, and OUT/latest.safetensors. Ctrl-C keeps the best so far.
"""

import copy
import json
import math
import random
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from tqdm import tqdm

from data_recipes.fsdd import Recording, build_recordings
from data_recipes.sequences import Digits, Seconds, SequenceOptions, SequenceStream
from tts.core import config as configs
from tts.core.config import Range, check
from tts.core.console import run_command
from tts.core.errors import InputError
from tts.core.files import atomic_write, check_folder, is_file, kind, naming, new_folder
from tts.recognition.alignment import align, count_errors
from tts.recognition.augment import Augmenter, AugmentOptions, at_speeds
from tts.recognition.model import BLANK, FrontEnd, Recognizer, RecognizerConfig, RecognizerNet, card_config, mask
from tts.training.precision import resolve

Count = Annotated[int, Range(1, 10**9)]
POOL = 6  # batches drawn together, sorted by length: waves of like length waste little padding


@dataclass(frozen=True)
class DataConfig:
    """source: FSDD's folder, None to download. Gaps and edges as in SequenceOptions. workers: loader processes."""

    source: Path | None = None
    max_digits: Digits = 8
    gap_seconds: tuple[Seconds, Seconds] = (0.0, 0.35)
    edge_seconds: tuple[Seconds, Seconds] = (0.0, 0.5)
    workers: Annotated[int, Range(0, 256)] = 1

    def __post_init__(self) -> None:
        check(self, "data.")
        self.sequences(self.max_digits)

    def sequences(self, max_digits: int) -> SequenceOptions:
        """How waves of up to so many digits are joined; nothing is held out."""
        return SequenceOptions(
            max_digits=max_digits, gap_seconds=self.gap_seconds, edge_seconds=self.edge_seconds, hold_outs=()
        )


@dataclass(frozen=True)
class TrainConfig:
    """lr: AdamW's peak, after `warmup` steps, then cosine to 2 %. ema: decay of the averaged weights that are kept.

    minutes: where the machine is shared, end (and have the learning rate fall) after so long, or after `steps` if
    they come first; null goes by steps alone. start_from: weights to begin with, such as an
    earlier run's latest.safetensors. precision: auto is bf16 where the processor has instructions for it, else fp32.
    """

    steps: Count = 4000
    minutes: Annotated[float, Range(0, 10**6, low_open=True)] | None = None
    start_from: Path | None = None
    batch: Annotated[int, Range(1, 4096)] = 32
    short_steps: Annotated[int, Range(0, 10**9)] = 500
    lr: Annotated[float, Range(0, 10, low_open=True)] = 2e-3
    warmup: Count = 200
    weight_decay: Annotated[float, Range(0, 1)] = 0.01
    clip: Annotated[float, Range(0, 10**6, low_open=True)] = 1.0
    ema: Annotated[float, Range(0, 1, high_open=True)] = 0.995
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    evaluate_every: Count = 250
    validation: Annotated[int, Range(1, 100_000)] = 240
    threads: Annotated[int, Range(1, 1024)] = 2

    def __post_init__(self) -> None:
        check(self, "train.")


@dataclass(frozen=True)
class Config:
    """The whole experiment."""

    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    out: Path = Path("runs/recognizer")
    model: RecognizerConfig = field(default_factory=RecognizerConfig)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        check(self)


class Batches(IterableDataset):
    """Waves and targets, endless; the same for the same seed and number of workers."""

    def __init__(self, config: Config, recordings: list[Recording], short: bool) -> None:
        options = config.data.sequences(3 if short else config.data.max_digits)
        self.config, self.short = config, short
        self.stream = SequenceStream(recordings, options, config.seed + short)
        self.augmenter = Augmenter(config.augment, recordings, config.seed)

    def item(self, index: int) -> tuple[np.ndarray, list[int]]:
        """Number `index` of the endless series: wave (T,) float32 and its digits."""
        rng = np.random.default_rng([self.config.seed, self.short, index])
        if rng.random() < self.config.augment.empty:
            return self.augmenter.empty(rng), []
        sequence = self.stream[index]
        if self.short and rng.random() < 0.5:
            return sequence.audio, sequence.digits
        return self.augmenter(sequence.audio, sequence.boundaries, rng), sequence.digits

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Batches: waves (B, T), lengths (B,), targets (sum,), target lengths (B,)."""
        torch.set_num_threads(1)
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        size = self.config.train.batch
        start = worker * size * POOL
        while True:
            items = sorted((self.item(start + i) for i in range(size * POOL)), key=lambda pair: len(pair[0]))
            batches = [items[i : i + size] for i in range(0, len(items), size)]
            random.Random(start).shuffle(batches)
            yield from map(collate, batches)
            start += workers * size * POOL


def collate(items: list[tuple[np.ndarray, list[int]]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pad waves with zeros; targets one after the other, as CTC takes them."""
    waves = nn.utils.rnn.pad_sequence([torch.from_numpy(wave) for wave, _ in items], batch_first=True)
    lengths = torch.tensor([len(wave) for wave, _ in items])
    targets = torch.tensor([digit for _, digits in items for digit in digits], dtype=torch.int64)
    return waves, lengths, targets, torch.tensor([len(digits) for _, digits in items])


def spec_augment(mels: Tensor, counts: Tensor, generator: torch.Generator) -> Tensor:
    """Blank a band of up to 6 mels and a stretch of up to 80 ms in half of the spectrograms. mels (B, frames, M)."""
    b, n, m = mels.shape

    def spans(size: Tensor, widest: int) -> Tensor:
        """(B, max(size)) bool: one span each, of 0 to `widest`."""
        width = torch.randint(0, widest + 1, (b, 1), generator=generator)
        start = (torch.rand(b, 1, generator=generator) * (size[:, None] - width).clamp(min=0)).long()
        index = torch.arange(int(size.max()))
        return (index >= start) & (index < start + width) & (torch.rand(b, 1, generator=generator) < 0.5)

    bands = spans(torch.full((b,), m), 6)
    times = spans(counts, 8)
    return mels.masked_fill(bands[:, None, :] & mask(counts, n)[:, :, None], 0.0).masked_fill(times[:, :, None], 0.0)


def validation_sets(config: Config, recordings: list[Recording]) -> dict[str, list[tuple[np.ndarray, list[int]]]]:
    """Waves and digits of validation recordings: "clean" as joined, "damaged" as in training, empty ones too."""
    plain = SequenceStream(recordings, config.data.sequences(8), seed=config.seed + 100)
    augmenter = Augmenter(config.augment, recordings, config.seed + 100)
    sets: dict[str, list[tuple[np.ndarray, list[int]]]] = {"clean": [], "damaged": []}
    for index in range(config.train.validation):
        sequence = plain[index]
        rng = np.random.default_rng([config.seed + 100, index])
        sets["clean"].append((sequence.audio, sequence.digits))
        if rng.random() < config.augment.empty:
            sets["damaged"].append((augmenter.empty(rng), []))
        else:
            sets["damaged"].append((augmenter(sequence.audio, sequence.boundaries, rng), sequence.digits))
    return sets


def digit_error(recognizer: Recognizer, items: list[tuple[np.ndarray, list[int]]]) -> float:
    """Errors per digit said."""
    recognized = recognizer.recognize([wave for wave, _ in items], Recognizer.sample_rate)
    errors = sum(count_errors(align(said, got)).total for (_, said), got in zip(items, recognized, strict=True))
    return float(errors / sum(len(said) for _, said in items))


def rounded(net: RecognizerNet) -> dict[str, Tensor]:
    """The weights as they are stored."""
    return {name: x.detach().to(torch.float16).contiguous() for name, x in net.state_dict().items()}


def weights_of(path: Path) -> dict[str, Tensor]:
    """The weights to begin with, float32. Raises: InputError where there is no such file, or it is none of weights."""
    if not is_file(path):
        raise InputError(f"train.start_from {path}: there is no such file; give an earlier run's latest.safetensors")
    try:
        return {name: x.float() for name, x in load_file(path).items()}
    except SafetensorError as error:
        raise InputError(f"train.start_from {path}: holds no weights ({error}); copy it again") from None


def train(config: Config, command: str) -> None:
    """The whole training. Raises InputError before it makes or reads anything.

    Args: command, what the card says the weights were made by.
    """
    precision, reason = resolve(config.train.precision, torch.device("cpu"))
    config = replace(config, train=replace(config.train, precision=precision))
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.train.threads)
    recordings = build_recordings(config.data.source)
    if reason:
        print(f"train_recognizer: {reason}", file=sys.stderr)
    print(json.dumps(configs.to_dict(config)), file=sys.stderr)
    at_all_speeds = at_speeds(recordings["train"], config.augment.speeds)
    loaders = [
        iter(DataLoader(Batches(config, at_all_speeds, short), batch_size=None, num_workers=config.data.workers))
        for short in (True, False)
    ]
    trainer = Trainer(config, command, validation_sets(config, recordings["validation"]))
    bar = tqdm(range(1, config.train.steps + 1), unit="step", mininterval=2, dynamic_ncols=True)
    for step in bar:
        loss = trainer.train_step(step, next(loaders[step > config.train.short_steps]))
        bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        if step % config.train.evaluate_every == 0 or trainer.progress >= 1:
            trainer.evaluate(step)
        if trainer.progress >= 1:
            break
    print(f"{config.out}/recognizer.safetensors: best mean validation digit error {trainer.best:.4f}", file=sys.stderr)


class Trainer:
    """The network, the running average of its weights that is kept, and the optimizer."""

    def __init__(self, config: Config, command: str, validation: dict[str, list[tuple[np.ndarray, list[int]]]]) -> None:
        self.config, self.command, self.validation = config, command, validation
        self.generator = torch.Generator().manual_seed(config.seed)
        self.net, self.average = RecognizerNet(config.model), RecognizerNet(config.model)
        if config.train.start_from:
            self.net.load_state_dict(weights_of(config.train.start_from))
        self.average.load_state_dict(self.net.state_dict())
        self.front_end = FrontEnd(config.model)
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=config.train.lr, betas=(0.9, 0.98), weight_decay=config.train.weight_decay
        )
        self.started = time.monotonic()
        self.progress = 0.0
        """How much of the training is over: 0 to 1."""
        self.best = math.inf
        self.skipped = 0
        """Steps left out, of gradients that were not finite."""
        self.losses: list[float] = []
        """Since the last evaluation."""

    def train_step(self, step: int, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> float:
        """One step, the first is 1; returns the loss, nats a digit. Raises: InputError where it is not finite."""
        options = self.config.train
        fall = 0.51 + 0.49 * math.cos(math.pi * self.progress)
        for group in self.optimizer.param_groups:
            group["lr"] = options.lr * min(step / options.warmup, fall)
        waves, lengths, targets, target_lengths = batch
        mels, counts = self.front_end(waves, lengths)
        mels = spec_augment(mels, counts, self.generator)
        self.net.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
            log_probs, frames = self.net(mels, counts)
        loss = nn.functional.ctc_loss(
            log_probs.transpose(0, 1), targets, frames, target_lengths, BLANK, reduction="sum", zero_infinity=True
        ) / target_lengths.sum().clamp(min=1)
        if not torch.isfinite(loss):
            raise InputError(f"the loss is {float(loss)} at step {step}; lower train.lr, {options.lr}, or set "
                             "train.precision=fp32; the weights so far are those of the last evaluation")  # fmt: skip
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), options.clip)
        if torch.isfinite(norm):
            self.optimizer.step()
        else:
            self.skipped += 1
        decay = min(options.ema, step / (step + 20))
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.net.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        by_clock = (time.monotonic() - self.started) / (60 * options.minutes) if options.minutes else 0.0
        self.progress = min(max(step / options.steps, by_clock), 1.0)
        self.losses.append(float(loss.detach()))
        return self.losses[-1]

    def evaluate(self, step: int) -> None:
        """Measure the averaged weights as they are stored, log a row, and write them; as the best too, if they are."""
        out = self.config.out
        stored = rounded(self.average)
        net = copy.deepcopy(self.average)  # a new one would draw initial weights, and training's random numbers change
        net.load_state_dict({name: x.float() for name, x in stored.items()})
        recognizer = Recognizer(net, {})
        errors = {name: digit_error(recognizer, items) for name, items in self.validation.items()}
        score = sum(errors.values()) / len(errors)
        row = {
            "step": step,
            "seconds": round(time.monotonic() - self.started, 1),
            "loss": round(sum(self.losses) / len(self.losses), 4),
            "validation": {name: round(error, 5) for name, error in errors.items()},
            "skipped": self.skipped,
        }
        self.losses.clear()
        log = out / "log.jsonl"
        with naming(log), log.open("a") as file:
            file.write(json.dumps(row) + "\n")
        tqdm.write(json.dumps(row), file=sys.stderr)
        weights = save(stored)
        atomic_write(out / "latest.safetensors", weights)
        if score < self.best:
            self.best = score
            atomic_write(out / "recognizer.safetensors", weights)
            atomic_write(out / "recognizer.json", (json.dumps(self.card(row), indent=1) + "\n").encode())

    def card(self, row: dict[str, Any]) -> dict[str, Any]:
        """`recognizer.json`: the config, and where the weights come from. Args: row, of the log."""
        config = self.config
        return {
            "config": card_config(config.model),
            "data": "Free Spoken Digit Dataset (CC BY-SA 4.0), commit 26eb9aa, real recordings only, six speakers",
            "split": "train takes 8-49, validation (choice of weights) takes 5-7, test takes 0-4, never used here",
            "command": self.command,
            "training": {
                "seed": config.seed,
                "step": row["step"],
                "seconds": row["seconds"],
                "train": configs.to_dict(config.train),
                "augment": configs.to_dict(config.augment),
            },
            "metrics": {"validation_digit_error": row["validation"]},
        }


def main() -> int:
    """Read the config and train."""
    return run_command(
        "train_recognizer", run, interrupted="interrupted; the best weights so far are in the output folder"
    )


def run() -> int:
    """The command."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        return 0 if len(sys.argv) > 1 else 2
    config = configs.load(Config, sys.argv[1], sys.argv[2:])
    kind(config.out)  # refuses what can be no path
    check_folder(Path(config.out), "out")
    with new_folder(Path(config.out)):
        train(config, shlex.join(["python", *sys.argv]))
    return 0
