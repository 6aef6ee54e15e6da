"""The notes' recognizer of single digits: a GRU on spectrograms, and what each further idea adds.

One recording is one of ten classes (softmax), or each class is a label of its own (sigmoids, which two digits at once
can both set), or a recording is a point near those of its class (triplet loss; the nearest class center is the answer).
Every network is judged on the same test recordings, clean, in noise, and two at once. Letters: B batch, R recordings,
T samples.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from data_recipes.corpus import Recording
from data_recipes.fsdd import SPEAKERS, build_recordings
from tts.core.config import Range, check, check_order
from tts.core.errors import InputError
from tts.core.files import atomic_write
from tts.lab.experiment import Result, Run
from tts.lab.loop import draws, fit
from tts.models.digit_net import DigitNet, DigitNetConfig, spectrograms, triplet_loss
from tts.recognition.augment import Augmenter, AugmentOptions
from tts.recognition.plots import confusions

CLASSES = 10
SAMPLE_RATE = 8000
Probability = Annotated[float, Range(0, 1)]
Decibels = Annotated[float, Range(-60, 60)]


@dataclass(frozen=True)
class Settings:
    """Of one recognizer. The defaults are the small setting, minutes on two cores."""

    source: Path | None = None
    """The recordings: FSDD in its own layout. Its takes 0-4 are tested, 8-49 trained on."""
    speakers: tuple[str, ...] = SPEAKERS
    model: DigitNetConfig = field(default_factory=DigitNetConfig)
    """Its outputs and whether they are normalized follow from `objective`."""
    objective: Literal["softmax", "labels", "triplet"] = "softmax"
    embedding: Annotated[int, Range(2, 1024)] = 32
    """Width of the embedding of `triplet`."""
    margin: Annotated[float, Range(0, 2)] = 0.3
    """By which, in `triplet`, another class must be further away than one's own; two points are at most 2 apart."""
    mixing: Probability = 0.0
    """Share of the training clips in which a second digit is said at the same time."""
    mixing_db: tuple[Decibels, Decibels] = (-6.0, 6.0)
    """Level of the second one beside the first."""
    noise: Probability = 0.0
    """Share of the training clips with noise in the background, half of them with other people's speech, too."""
    noise_db: tuple[Decibels, Decibels] = (0.0, 20.0)
    """Signal-to-noise ratio."""
    seconds: Annotated[float, Range(0.1, 10)] = 0.8
    """Of a clip: longer recordings are cut, shorter ones stand at a drawn place in silence."""
    batch_size: Annotated[int, Range(2, 65_536)] = 64
    lr: Annotated[float, Range(0, 1, low_open=True)] = 2e-3
    evaluations: Annotated[int, Range(1, 100)] = 4

    def __post_init__(self) -> None:
        check(self)
        check_order(self, ("mixing_db", "noise_db"))
        if self.mixing and self.objective == "triplet":
            raise InputError(f"mixing is {self.mixing}; with objective: triplet a clip has one class; set mixing: 0")

    @property
    def samples(self) -> int:
        """T: of a clip."""
        return round(self.seconds * SAMPLE_RATE)

    @property
    def network(self) -> DigitNetConfig:
        """The model's config, its outputs filled in."""
        triplet = self.objective == "triplet"
        return replace(self.model, outputs=self.embedding if triplet else CLASSES, normalized=triplet)


class Clips:
    """Clips of recordings: alone, mixed by two, in noise."""

    def __init__(self, recordings: Sequence[Recording], settings: Settings) -> None:
        self.settings = settings
        self.waves = [recording.audio[: settings.samples] for recording in recordings]
        self.digits = np.array([recording.digit for recording in recordings])
        self.recordings = recordings

    @functools.cached_property
    def background(self) -> Augmenter:
        """Adds noise, white to brown, and to half of the clips other people's speech."""
        quiet = dict.fromkeys(("segment_gain", "filter", "reverb", "rough", "codec", "clip", "drop", "click"), 0.0)
        snr = {"snr_db": self.settings.noise_db, "background_snr_db": self.settings.noise_db, "gain_db": (0.0, 0.0)}
        options: dict[str, Any] = {**quiet, **snr, "noise": 1.0, "background": 0.5}
        return Augmenter(AugmentOptions(**options), self.recordings, 0)

    def batch(self, chosen: np.ndarray, mixed: np.ndarray, noisy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Waves (B, T) float32 of recordings.

        chosen: (B,) their indices. mixed: (B,) those of the second ones, -1 for none. noisy: (B,) bool.
        """
        settings = self.settings
        batch = np.zeros((len(chosen), settings.samples), np.float32)
        for row, first, second, in_noise in zip(batch, chosen, mixed, noisy, strict=True):
            self._add(row, first, 0.0, rng)
            if second >= 0:
                self._add(row, second, rng.uniform(*settings.mixing_db), rng)
            if in_noise:
                row[:] = self.background(row, [len(row)], rng)
        return batch

    def _add(self, row: np.ndarray, index: int, gain_db: float, rng: np.random.Generator) -> None:
        wave = self.waves[index]
        start = int(rng.integers(len(row) - len(wave) + 1))
        row[start : start + len(wave)] += np.float32(10 ** (gain_db / 20)) * wave

    def others(self, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """For each recording (B,) one of another digit, (B,)."""
        second = rng.integers(len(self.waves), size=len(chosen))
        while (same := self.digits[second] == self.digits[chosen]).any():
            second[same] = rng.integers(len(self.waves), size=int(same.sum()))
        return second

    def targets(self, chosen: np.ndarray, mixed: np.ndarray) -> Tensor:
        """(B, CLASSES) float32: 1 for each digit that is said."""
        rows = np.zeros((len(chosen), CLASSES), np.float32)
        rows[np.arange(len(chosen)), self.digits[chosen]] = 1
        both = mixed >= 0
        rows[both, self.digits[mixed[both]]] = 1
        return torch.from_numpy(rows)

    def drawn(self, rng: np.random.Generator) -> tuple[np.ndarray, Tensor]:
        """A training batch: waves (B, T) and targets (B, CLASSES)."""
        s, B = self.settings, self.settings.batch_size
        chosen = rng.integers(len(self.waves), size=B)
        mixed = np.where(rng.random(B) < s.mixing, self.others(chosen, rng), -1)
        return self.batch(chosen, mixed, rng.random(B) < s.noise, rng), self.targets(chosen, mixed)


def objective(output: Tensor, targets: Tensor, settings: Settings) -> Tensor:
    """The loss of outputs (B, E) with targets (B, CLASSES)."""
    if settings.objective == "triplet":
        return triplet_loss(output, targets.argmax(1), settings.margin)
    if settings.objective == "labels":
        return functional.binary_cross_entropy_with_logits(output, targets, reduction="sum") / len(targets)
    return functional.cross_entropy(output, targets / targets.sum(1, keepdim=True))


def class_centers(outputs: Tensor, digits: Tensor) -> Tensor:
    """(CLASSES, E): the means of the embeddings (B, E) of each digit (B,); a digit that is missing is far off."""
    sums = outputs.new_zeros(CLASSES, outputs.shape[1]).index_add_(0, digits, outputs)
    counts = torch.bincount(digits, minlength=CLASSES)[:, None]
    return torch.where(counts > 0, sums / counts.clamp(min=1), 1e6)


class Judge:
    """Accuracy on test recordings: clean, in noise at 10 dB, and two at once (both right)."""

    def __init__(self, train: Clips, test: Clips) -> None:
        self.settings = test.settings
        rng = np.random.default_rng(0)
        chosen = np.arange(len(test.waves))
        none, never = np.full(len(chosen), -1), np.zeros(len(chosen), bool)
        second = test.others(chosen, rng)
        self.digits, self.second = test.digits, test.digits[second]
        self.inputs = {
            "clean": self._inputs(test.batch(chosen, none, never, rng)),
            "noisy": self._inputs(test.batch(chosen, none, ~never, rng)),
            "mixed": self._inputs(test.batch(chosen, second, never, rng)),
        }
        some = rng.permutation(len(train.waves))[:1000]
        none, never = np.full(len(some), -1), np.zeros(len(some), bool)
        self.known = self._inputs(train.batch(some, none, never, rng)), torch.from_numpy(train.digits[some])

    def _inputs(self, waves: np.ndarray) -> Tensor:
        return spectrograms(torch.from_numpy(waves), self.settings.network)

    @torch.no_grad()
    def scores(self, model: nn.Module) -> dict[str, np.ndarray]:
        """(R, CLASSES) for each kind of clips, highest the answer: logits, or minus the distances to the centers."""
        device = next(model.parameters()).device
        outputs = {name: model(inputs.to(device)).cpu() for name, inputs in self.inputs.items()}
        if self.settings.objective == "triplet":
            centers = class_centers(model(self.known[0].to(device)).cpu(), self.known[1])
            outputs = {name: -torch.cdist(each, centers) for name, each in outputs.items()}
        return {name: each.numpy() for name, each in outputs.items()}

    def metrics(self, model: nn.Module) -> dict[str, float]:
        """Shares that are right."""
        scores = self.scores(model)
        two = np.argsort(scores["mixed"], axis=1)[:, -2:]
        said = np.stack([self.digits, self.second], axis=1)
        return {
            "accuracy": float((scores["clean"].argmax(1) == self.digits).mean()),
            "noisy_accuracy": float((scores["noisy"].argmax(1) == self.digits).mean()),
            "both_right": float((np.sort(two, axis=1) == np.sort(said, axis=1)).all(1).mean()),
        }

    def confusion(self, model: nn.Module) -> np.ndarray:
        """(CLASSES, CLASSES) counts of the clean recordings: row said, column recognized."""
        table = np.zeros((CLASSES, CLASSES), int)
        np.add.at(table, (self.digits, self.scores(model)["clean"].argmax(1)), 1)
        return table


@functools.lru_cache(maxsize=1)  # runs that follow each other have the same
def _recordings(source: Path | None, speakers: tuple[str, ...]) -> dict[str, list[Recording]]:
    return build_recordings(source, speakers=speakers)


def run(settings: Settings, run: Run) -> dict[str, float | int | str]:
    """Train and judge one recognizer. The confusion matrix is in the results as text, row after row."""
    splits = _recordings(settings.source, settings.speakers)
    return train(settings, run, splits["train"], splits["test"])


def train(
    settings: Settings, run: Run, recordings: Sequence[Recording], tested: Sequence[Recording]
) -> dict[str, float | int | str]:
    """As `run`, on these recordings."""
    model = DigitNet(settings.network)
    clips = Clips(recordings, settings)
    judge = Judge(clips, Clips(tested, replace(settings, noise_db=(10.0, 10.0))))

    def loss(model: nn.Module, step: int) -> Tensor:
        device = next(model.parameters()).device
        waves, targets = clips.drawn(draws(run, step))
        inputs = spectrograms(torch.from_numpy(waves).to(device), settings.network)
        return objective(model(inputs), targets.to(device), settings)

    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr)
    curve = fit(model, loss, optimizer, run, judge.metrics, settings.evaluations)
    model.eval()
    table = judge.confusion(model)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "loss": curve[-1].loss,
        **judge.metrics(model),
        "confusion": ";".join(",".join(map(str, row)) for row in table.tolist()),
    }


def plot(results: list[Result], path: Path) -> None:
    """Confusion matrices of the clean test recordings, one for each run."""
    tables = {}
    for result in results:
        rows = [[int(count) for count in row.split(",")] for row in str(result.results["confusion"]).split(";")]
        title = f"{result.run}: {100 * float(result.results['accuracy']):.1f} %"
        tables[title] = np.pad(np.array(rows), ((0, 1), (0, 1)))
    atomic_write(path, confusions(tables))
