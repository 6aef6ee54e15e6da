"""Train the second recognizer, the judge that selects nothing: other network, features, damage, seed and speakers.

    python scripts/train_second_recognizer.py configs/second_judge.yaml data.fsdd=FSDD data.speech_commands=FOLDER \
        data.prompts=FOLDER/en_US_f_Allison

Half of the sequences are joined of FSDD's training recordings by one speaker, half of recordings of everyone, each
digit by whoever is drawn: FSDD's speakers, those of Speech Commands, and a studio voice. Speakers of `data.held_out`,
a second folder of Speech Commands, are left out of training, so that it can tell how well others are read. It writes
the files that `training` writes.

Letters: T samples, B batch, M mel bands.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor
from torchaudio.functional import mask_along_axis_iid

from data_recipes import fsdd, prompts, speech_commands
from data_recipes.corpora import as_one_speaker
from data_recipes.corpus import Corpus, Recording, RecordingOptions
from data_recipes.sequences import DIGITS, Digits, Seconds, SequenceStream
from data_recipes.sequences import Sequence as Spoken
from tts.core import config as configs
from tts.core.config import Range, check, check_order
from tts.recognition.command import train_by_command
from tts.recognition.convolutional import ConvolutionalConfig, ConvolutionalNet
from tts.recognition.training import POOL, JoiningConfig, Targets, TrainConfig, Trainer, collate
from tts.training.batches import Batches, Stream

Probability = Annotated[float, Range(0, 1)]
Decibels = Annotated[float, Range(-60, 80)]
Factor = Annotated[float, Range(0.25, 4)]


@dataclass(frozen=True)
class DataConfig(JoiningConfig):
    """Folders of the corpora, None to download FSDD or to leave the other out; held_out: see the module.

    mixed: share of the sequences in which each digit is by whoever is drawn.
    """

    fsdd: Path | None = None
    speech_commands: Path | None = None
    prompts: Path | None = None
    held_out: Path | None = None
    mixed: Probability = 0.5
    max_digits: Digits = 6
    gap_seconds: tuple[Seconds, Seconds] = (0.0, 0.25)
    edge_seconds: tuple[Seconds, Seconds] = (0.0, 0.3)


@dataclass(frozen=True)
class DamageOptions:
    """What is done to a wave; each pair is a range, drawn uniformly.

    speed: of each segment, changes pitch as well. noise: how often noise of a drawn color is added, at snr_db.
    follows: how often that noise follows the speech's level, as a sample model's does. tilt: of a first-order filter.
    warp: of the frequency axis of the spectrogram (vocal tract length: Jaitly & Hinton 2013). empty: share of waves
    that hold noise alone.
    """

    speed: tuple[Factor, Factor] = (0.84, 1.18)
    noise: Probability = 0.8
    snr_db: tuple[Decibels, Decibels] = (2.0, 45.0)
    follows: Probability = 0.4
    tilt: tuple[Annotated[float, Range(-0.95, 0.95)], Annotated[float, Range(-0.95, 0.95)]] = (-0.5, 0.5)
    warp: tuple[Factor, Factor] = (0.88, 1.14)
    empty: Probability = 0.04

    def __post_init__(self) -> None:
        check(self, "damage.")
        check_order(self, ("speed", "snr_db", "tilt", "warp"))


@dataclass(frozen=True)
class SecondConfig:
    """The whole experiment."""

    seed: Annotated[int, Range(0, 2**32 - 1)] = 77
    out: Path = Path("runs/second_recognizer")
    model: ConvolutionalConfig = field(default_factory=ConvolutionalConfig)
    damage: DamageOptions = field(default_factory=DamageOptions)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        check(self)


def damaged(sequence: Spoken, options: DamageOptions, rng: np.random.Generator) -> Spoken:
    """The sequence at other speeds, in another color, in noise; or noise without a digit."""
    if rng.random() < options.empty:
        wave = _noise(int(rng.integers(2000, 16000)), rng) * np.float32(10 ** rng.uniform(-4, -0.7))
        return replace(sequence, audio=wave, words=[])
    pieces = np.split(sequence.audio, sequence.boundaries[:-1])
    wave = np.concatenate([_at_speed(piece, rng.uniform(*options.speed)) for piece in pieces])
    wave[1:] -= np.float32(rng.uniform(*options.tilt)) * wave[:-1]
    if rng.random() < options.noise:
        noise = _noise(len(wave), rng)
        power = np.convolve(wave**2, np.full(161, 1 / 161, dtype=np.float32), "same")
        level = np.sqrt(power) if rng.random() < options.follows else np.sqrt(power.max() / 4)
        wave = wave + noise * level * np.float32(10 ** (-rng.uniform(*options.snr_db) / 20))
    return replace(sequence, audio=wave.astype(np.float32))


def _at_speed(wave: np.ndarray, speed: float) -> np.ndarray:
    found: np.ndarray = np.interp(np.arange(0, len(wave) - 1, speed), np.arange(len(wave)), wave)
    return found.astype(np.float32)


def _noise(samples: int, rng: np.random.Generator) -> np.ndarray:
    """(samples,) float32 Gaussian noise of power 1 through a drawn filter of second order."""
    taps = np.convolve([1.0, rng.uniform(-0.9, 0.9)], [1.0, rng.uniform(-0.9, 0.9)])
    white = rng.standard_normal(samples, dtype=np.float32)
    return np.convolve(white, (taps / np.linalg.norm(taps)).astype(np.float32), "same")


class Mixture:
    """Sequences of one speaker and of everyone, in the shares of the config, damaged; item i is always the same."""

    def __init__(
        self, config: SecondConfig, own: Sequence[Recording], everyone: Sequence[Recording], max_digits: int, seed: int
    ) -> None:
        options = config.data.sequences(max_digits)
        self.streams = SequenceStream(own, options, seed), SequenceStream(everyone, options, seed + 1)
        self.config, self.seed = config, seed

    def __getitem__(self, index: int) -> Spoken:
        rng = np.random.default_rng([self.seed, 5, index])
        stream = self.streams[int(rng.random() < self.config.data.mixed)]
        return damaged(stream[index], self.config.damage, rng)


def masked(mels: Tensor, warp: tuple[float, float]) -> Tensor:
    """Spectrograms (B, frames, M) on other frequency axes, with a blank band and a blank stretch in every second."""
    B, _, M = mels.shape
    factors = torch.empty(B, 1).uniform_(*warp)
    places = (torch.arange(M) * factors).clamp(max=M - 1.001)
    below = places.long()
    share = (places - below)[:, None]
    index = below[:, None].expand_as(mels)
    warped = mels.gather(2, index) * (1 - share) + mels.gather(2, (index + 1).clamp(max=M - 1)) * share
    for axis, widest in ((2, 8), (1, 6)):
        blank = mask_along_axis_iid(warped, widest + 1, 0.0, axis)
        warped = torch.where(torch.rand(B, 1, 1) < 0.5, blank, warped)
    return warped


def load_recordings(config: DataConfig) -> tuple[dict[str, list[Recording]], dict[str, list[Recording]]]:
    """Recordings by split: FSDD's, and everyone's, as one speaker. Raises: InputError as the corpora's recipes."""
    options = RecordingOptions()
    own = fsdd.load_corpus(config.fsdd, options)
    corpora: list[Corpus] = [own]
    if config.speech_commands:
        others = speech_commands.load_corpus(config.speech_commands, options, words=_words_in(config.speech_commands))
        apart = _speakers(config.held_out) if config.held_out else set()
        kept = {name: [x for x in items if x.speaker not in apart] for name, items in others.splits.items()}
        corpora.append(replace(others, splits=kept))
    if config.prompts:
        numerals = prompts.load_corpus(config.prompts, options, words=speech_commands.DIGITS)
        corpora.append(replace(numerals, splits={"train": numerals.splits["train"]}))
    everyone = {
        split: [
            replace(recording, word=DIGITS[recording.digit])
            for corpus in map(as_one_speaker, corpora)
            for recording in corpus.splits.get(split, [])
        ]
        for split in ("train", "validation")
    }
    return own.splits, everyone


def _words_in(folder: Path) -> tuple[str, ...]:
    """The digits that a folder of Speech Commands has; all where there are none, which the recipe then refuses."""
    return tuple(word for word in speech_commands.DIGITS if (folder / word).is_dir()) or speech_commands.DIGITS


def _speakers(folder: Path) -> set[str]:
    words = _words_in(folder)
    splits = speech_commands.load_corpus(folder, RecordingOptions(), words=words).splits
    return {recording.speaker for recordings in splits.values() for recording in recordings}


def train(config: SecondConfig, command: str) -> None:
    """The whole training. Raises: InputError before it makes anything."""
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.train.threads)
    own, everyone = load_recordings(config.data)
    print(json.dumps(configs.to_dict(config)), file=sys.stderr)
    t, held_out = config.train, (own["validation"], everyone["validation"])
    options = config.data.sequences(5)
    clean = SequenceStream(held_out[0], options, 4), SequenceStream(held_out[1], options, 5)
    hurt = Mixture(config, *held_out, 5, 6)
    streams: dict[str, Stream] = {"fsdd": clean[0], "everyone": clean[1], "damaged": hurt}
    validation = {name: [stream[i] for i in range(t.validation)] for name, stream in streams.items()}
    card: dict[str, Any] = {
        "data": "Free Spoken Digit Dataset (CC BY-SA 4.0), Speech Commands (CC BY 4.0), Asterisk core sounds (CC BY-SA "
        "3.0); real recordings only",
        "recordings": {name: len(x["train"]) for name, x in (("fsdd", own), ("everyone", everyone))},
        "split": "FSDD: train takes 8-49, validation (choice of weights) takes 5-7, test takes 0-4, never used here; "
        "Speech Commands: by its speaker hash, without the speakers of the folder that is held out",
        "command": command,
        "augment": configs.to_dict(config.damage),
    }
    net = ConvolutionalNet(config.model)
    trainer = Trainer(config.out, config.seed, t, net, card, validation, lambda x: masked(x, config.damage.warp))

    def batches(longest: int, steps: int) -> Iterator[Targets]:
        stream = Mixture(config, own["train"], everyone["train"], longest, 1000 * config.seed + longest)
        return Batches(stream, collate, t.batch, config.seed + longest, POOL).made(range(steps))

    stages = ((3, t.short_steps), (config.data.max_digits, t.steps))
    trainer.run(chain.from_iterable(batches(longest, steps) for longest, steps in stages))


def main() -> int:
    """Read the config and train."""
    return train_by_command("train_second_recognizer", __doc__, SecondConfig, train)
