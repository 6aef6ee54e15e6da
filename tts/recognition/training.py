"""Train the digit recognizer on recordings, joined and damaged: real ones, or what a voice says.

    python scripts/train_recognizer.py configs/recognizer.yaml data.source=FSDD_FOLDER train.steps=4000
    python scripts/train_recognizer.py configs/recognizer.yaml data.source=voice:digits data.test=FSDD_FOLDER

Writes OUT/recognizer.safetensors, recognizer.onnx and recognizer.json (the best by digit error on validation
recordings, clean and damaged ones together), a row of OUT/log.jsonl an evaluation, and OUT/latest.safetensors. Ctrl-C
keeps the best so far. With data.test, the digit error on real test recordings, joined, is measured last and added to
the card: how good a voice is as a source of training recordings ("train on generated, test on real",
`generated.recordings_of`).
"""

import copy
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor, nn
from torchaudio.functional import mask_along_axis_iid
from tqdm import tqdm

from data_recipes.corpus import Recording
from data_recipes.fsdd import build_recordings
from data_recipes.sequences import Digits, Seconds, SequenceOptions, SequenceStream
from data_recipes.sequences import Sequence as Spoken
from tts.core import config as configs
from tts.core.config import Range, check
from tts.core.errors import InputError
from tts.core.files import atomic_write, is_file, naming
from tts.recognition.alignment import align, count_errors
from tts.recognition.augment import Augmenter, AugmentOptions, at_speeds
from tts.recognition.command import train_by_command
from tts.recognition.export import export
from tts.recognition.generated import GENERATED, recordings_of
from tts.recognition.model import (
    ARCHITECTURES,
    BLANK,
    Net,
    Recognizer,
    RecognizerConfig,
    RecognizerNet,
    read_weights,
    rounded,
)
from tts.training.batches import Batches, Stream
from tts.training.config import Count
from tts.training.config import TrainConfig as OptimizerConfig
from tts.training.optimizer import average_of, learning_rate, make_optimizer, set_learning_rate
from tts.training.precision import resolve

VOICE = "voice:"
FSDD_TAKES = range(8, 50)
"""Of FSDD's training recordings."""
TEST_SEED, TEST_SEQUENCES = 1, 2000
POOL = 6  # batches drawn together, sorted by length: waves of like length waste little padding
Targets = tuple[Tensor, Tensor, Tensor, Tensor]
"""A batch: waves (B, T) float32 and their lengths (B,), the digits of all waves (sum,) and how many each has (B,)."""


@dataclass(frozen=True)
class JoiningConfig:
    """How recordings are joined to waves. Gaps and edges as in SequenceOptions."""

    max_digits: Digits = 8
    gap_seconds: tuple[Seconds, Seconds] = (0.0, 0.35)
    edge_seconds: tuple[Seconds, Seconds] = (0.0, 0.5)

    def __post_init__(self) -> None:
        check(self, "data.")
        self.sequences(self.max_digits)

    def sequences(self, max_digits: int) -> SequenceOptions:
        """How waves of up to so many digits are joined; nothing is held out."""
        return SequenceOptions(
            max_digits=max_digits, gap_seconds=self.gap_seconds, edge_seconds=self.edge_seconds, hold_outs=()
        )


@dataclass(frozen=True)
class DataConfig(JoiningConfig):
    """source: FSDD's folder, None to download; or voice:NAME, a voice's name or folder, whose recordings are made.
    takes: how many of each digit by each speaker train, the first ones; None takes all 42. test: FSDD's folder, whose
    test recordings the result is measured on. workers: loader processes."""

    source: str | None = None
    takes: Annotated[int, Range(1, 10_000)] | None = None
    test: Path | None = None
    workers: Annotated[int, Range(0, 256)] = 1


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


class DamagedStream:
    """Sequences, a share `plain` of them as they are, the others damaged or without a digit; item i is always the same.

    Its draws are seeded by `seeds` and i.
    """

    def __init__(self, clean: SequenceStream, augmenter: Augmenter, seeds: list[int], plain: float = 0.0) -> None:
        self.clean, self.augmenter, self.seeds, self.plain = clean, augmenter, seeds, plain

    def __getitem__(self, index: int) -> Spoken:
        rng = np.random.default_rng([*self.seeds, index])
        sequence = self.clean[index]
        if rng.random() < self.augmenter.options.empty:
            return replace(sequence, audio=self.augmenter.empty(rng), words=[])
        if self.plain and rng.random() < self.plain:
            return sequence
        return replace(sequence, audio=self.augmenter(sequence.audio, sequence.boundaries, rng))


def batches(config: Config, recordings: list[Recording], short: bool) -> Batches[Targets]:
    """Batches by number; short ones are of up to 3 digits, half of them undamaged."""
    seed = config.seed + short
    clean = SequenceStream(recordings, config.data.sequences(3 if short else config.data.max_digits), seed)
    augmenter = Augmenter(config.augment, recordings, config.seed)
    stream = DamagedStream(clean, augmenter, [config.seed, short], plain=0.5 * short)
    return Batches(stream, collate, config.train.batch, seed, POOL)


def collate(sequences: Sequence[Spoken], rng: np.random.Generator) -> Targets:
    """Pad waves with zeros; digits one after the other, as CTC takes them. Nothing is drawn."""
    waves = [torch.from_numpy(x.audio) for x in sequences]
    digits = torch.tensor([digit for x in sequences for digit in x.digits], dtype=torch.int64)
    lengths, counts = torch.tensor([(len(x.audio), len(x.digits)) for x in sequences]).unbind(1)
    return nn.utils.rnn.pad_sequence(waves, batch_first=True), lengths, digits, counts


def spec_augment(mels: Tensor) -> Tensor:
    """Blank a band of up to 6 mels and a stretch of up to 80 ms in half of the spectrograms. mels (B, frames, M)."""
    for axis, widest in ((2, 6), (1, 8)):
        masked = mask_along_axis_iid(mels, widest + 1, 0.0, axis)
        mels = torch.where(torch.rand(len(mels), 1, 1) < 0.5, masked, mels)
    return mels


def digit_error(recognizer: Recognizer, sequences: Sequence[Spoken]) -> float:
    """Errors per digit said."""
    recognized = recognizer.recognize([x.audio for x in sequences], Recognizer.sample_rate)
    errors = sum(count_errors(align(x.digits, got)).total for x, got in zip(sequences, recognized, strict=True))
    return float(errors / sum(len(x.digits) for x in sequences))


def train(config: Config, command: str) -> None:
    """The whole training. Raises InputError before it makes or reads anything.

    Args: command, what the card says the weights were made by.
    """
    precision, reason = resolve(config.train.precision, torch.device("cpu"))
    config = replace(config, train=replace(config.train, precision=precision))
    t = config.train
    torch.manual_seed(config.seed)
    torch.set_num_threads(t.threads)
    recordings, about = load_recordings(config.data, config.seed)
    if reason:
        print(f"train_recognizer: {reason}", file=sys.stderr)
    print(json.dumps(configs.to_dict(config)), file=sys.stderr)
    seed, held_out = config.seed + 100, recordings["validation"]
    clean = SequenceStream(held_out, config.data.sequences(8), seed)
    damaged = DamagedStream(clean, Augmenter(config.augment, held_out, seed), [seed])
    streams: dict[str, Stream] = {"clean": clean, "damaged": damaged}
    validation = {name: [stream[i] for i in range(t.validation)] for name, stream in streams.items()}
    at_all_speeds = at_speeds(recordings["train"], config.augment.speeds)
    card = {**about, "command": command, "augment": configs.to_dict(config.augment)}
    trainer = Trainer(config.out, config.seed, t, RecognizerNet(config.model), card, validation)
    parts = ((True, t.short_steps), (False, t.steps))
    made = (batches(config, at_all_speeds, short).made(range(n), config.data.workers) for short, n in parts)
    trainer.run(chain.from_iterable(made))
    if config.data.test:
        print(json.dumps({"test_digit_error": trainer.test(build_recordings(config.data.test)["test"])}))


def load_recordings(data: DataConfig, seed: int) -> tuple[dict[str, list[Recording]], dict[str, Any]]:
    """Recordings by split, and what the card says of them. Raises: InputError as their recipe or voice."""
    if data.source and data.source.startswith(VOICE):
        name = data.source.removeprefix(VOICE)
        recordings = recordings_of(name, data.takes or len(FSDD_TAKES), seed)
        return recordings, {"data": f"what the voice {Path(name).name} says; no real recordings", "split": GENERATED}
    recordings = build_recordings(Path(data.source) if data.source else None)
    if data.takes:
        kept = FSDD_TAKES[: data.takes]
        recordings["train"] = [recording for recording in recordings["train"] if recording.take in kept]
    return recordings, {
        "data": "Free Spoken Digit Dataset (CC BY-SA 4.0), commit 26eb9aa, real recordings only, six speakers",
        "split": f"train takes {FSDD_TAKES.start}-{FSDD_TAKES[: data.takes][-1]}, validation (choice of weights) takes "
        "5-7, test takes 0-4, never used here",
    }


class Trainer:
    """The network, the running average of its weights that is kept, and the optimizer.

    Args: net, which train and keep; card, of the weights, what is known before training; validation, sequences that
        choose the weights to keep, by name; masking, what is blanked in spectrograms (B, frames, M).
    """

    def __init__(
        self,
        out: Path,
        seed: int,
        options: TrainConfig,
        net: Net,
        card: dict[str, Any],
        validation: dict[str, list[Spoken]],
        masking: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.out, self.seed, self.options, self.net = out, seed, options, net
        self.about, self.validation, self.masking = card, validation, masking or spec_augment
        t = options
        if t.start_from:
            name = f"train.start_from {t.start_from}"
            if not is_file(t.start_from):
                raise InputError(f"{name}: there is no such file; give an earlier run's latest.safetensors")
            try:
                self.net.load_state_dict(read_weights(t.start_from))
            except SafetensorError as error:
                raise InputError(f"{name}: holds no weights ({error}); copy it again") from None
        self.average = average_of(self.net, t.ema)
        self.front_end = net.front_end()
        self.schedule = OptimizerConfig(steps=t.steps, lr=t.lr, warmup_steps=t.warmup, weight_decay=t.weight_decay)
        self.optimizer = make_optimizer(self.net, self.schedule)
        self.started, self.best = time.monotonic(), math.inf
        self.progress = 0.0  # of the whole training, 0 to 1
        self.skipped = 0  # steps left out, of gradients that were not finite
        self.losses: list[float] = []  # since the last evaluation

    def run(self, batches: Iterable[Targets]) -> None:
        """Train on one batch a step, until there are no more or the steps or minutes are over."""
        bar = tqdm(range(1, self.options.steps + 1), unit="step", mininterval=2, dynamic_ncols=True)
        for step, batch in zip(bar, batches, strict=False):
            loss = self.train_step(step, batch)
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            if step % self.options.evaluate_every == 0 or self.progress >= 1:
                self.evaluate(step)
            if self.progress >= 1:
                break
        where = self.out / "recognizer.safetensors"
        print(f"{where}: best mean validation digit error {self.best:.4f}", file=sys.stderr)

    def train_step(self, step: int, batch: Targets) -> float:
        """One step, the first is 1; returns the loss, nats a digit. Raises: InputError where it is not finite."""
        options = self.options
        # The warm-up goes by steps, the fall by steps or the clock.
        places = (step - 1, self.progress * options.steps)
        set_learning_rate(self.optimizer, min(learning_rate(place, self.schedule) for place in places))
        waves, lengths, targets, target_lengths = batch
        mels, counts = self.front_end(waves, lengths)
        self.net.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
            log_probs, frames = self.net(self.masking(mels), counts)
        loss = nn.functional.ctc_loss(
            log_probs.transpose(0, 1), targets, frames, target_lengths, BLANK, reduction="sum", zero_infinity=True
        ) / target_lengths.sum().clamp(min=1)
        if not torch.isfinite(loss):
            raise InputError(f"the loss is {float(loss)} at step {step}; lower train.lr, {options.lr}, or set "
                             "train.precision=fp32; the weights so far are those of the last evaluation")  # fmt: skip
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), options.clip)
        if torch.isfinite(norm):
            self.optimizer.step()
        else:
            self.skipped += 1
        self.average.update_parameters(self.net)
        by_clock = (time.monotonic() - self.started) / (60 * options.minutes) if options.minutes else 0.0
        self.progress = min(max(step / options.steps, by_clock), 1.0)
        self.losses.append(float(loss.detach()))
        return self.losses[-1]

    def evaluate(self, step: int) -> None:
        """Measure the averaged weights as they are stored, log a row, and write them; as the best too, if they are."""
        out = self.out
        net = copy.deepcopy(self.average.module).half().float()
        assert isinstance(net, Net)
        recognizer = Recognizer(net, {})
        errors = {name: digit_error(recognizer, sequences) for name, sequences in self.validation.items()}
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
        weights = save(rounded(net))
        atomic_write(out / "latest.safetensors", weights)
        if score < self.best:
            self.best = score
            atomic_write(out / "recognizer.safetensors", weights)
            atomic_write(out / "recognizer.json", (json.dumps(self.card(row), indent=1) + "\n").encode())
            if isinstance(self.net, RecognizerNet):  # the one that `tts recognize` runs
                export(out)

    def test(self, recordings: Sequence[Recording]) -> float:
        """Digit error of the weights kept on 2,000 sequences joined of real recordings, which is added to the card."""
        recognizer = Recognizer.load(self.out)
        stream = SequenceStream(recordings, DataConfig().sequences(8), TEST_SEED)
        error = digit_error(recognizer, [stream[i] for i in range(TEST_SEQUENCES)])
        recognizer.card["metrics"]["test_digit_error"] = error
        content = json.dumps(recognizer.card, indent=1) + "\n"
        atomic_write(self.out / "recognizer.json", content.encode())
        return error

    def card(self, row: dict[str, Any]) -> dict[str, Any]:
        """`recognizer.json`: the config, and where the weights come from. Args: row, of the log."""
        return {
            "architecture": next(name for name, (_, net) in ARCHITECTURES.items() if isinstance(self.net, net)),
            "config": configs.to_dict(self.net.config),
            **{key: value for key, value in self.about.items() if key != "augment"},
            "training": {
                "seed": self.seed,
                "step": row["step"],
                "seconds": row["seconds"],
                "train": configs.to_dict(self.options),
                "augment": self.about["augment"],
            },
            "metrics": {"validation_digit_error": row["validation"]},
        }


def main() -> int:
    """Read the config and train."""
    return train_by_command("train_recognizer", __doc__, Config, train)
