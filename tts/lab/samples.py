"""Kind `samples`: unconditional models of samples, trained on any folder of recordings.

What it measures: bits per sample on recordings held out and on those trained on, from a state of zeros; the running
cost in the first and the last tenth of the training, as the lab notes gave it; and on request of what is generated.
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor, nn
from torch.nn import functional

from tts import audio
from tts.core.config import Range, check
from tts.core.errors import InputError
from tts.lab import plots, recordings
from tts.lab.experiment import Result, Run, Values
from tts.lab.loop import Point, fit
from tts.lab.measures import aligned, snr_db, spectral_distance, whine
from tts.lab.sample_models import FlatSamples, SampleModel, TwoTierSamples
from tts.models.config import TwoTierConfig
from tts.models.flat import FlatConfig

GRID = 32
"""Streams begin at multiples of this, so that frames of one clip always lie alike."""
Count = Annotated[int, Range(1, 10**6)]


@dataclass(frozen=True)
class Settings:
    """Of one run; the defaults are small enough for a minute on one core."""

    source: Path | None = None
    """A folder of recordings; it must be given."""
    sample_rate: Annotated[int, Range(1000, 96_000)] = 8000
    max_seconds: Annotated[float, Range(1, 10**6)] = 300.0
    """Of recordings to train on, at most."""
    clip_seconds: Annotated[float, Range(0, 60)] = 0.0
    """Above 0: train on so many seconds of one recording alone."""
    normalization: recordings.Normalization = "q_zero"
    zero_dc: bool = True
    model: Literal["two_tier", "flat"] = "two_tier"
    two_tier: TwoTierConfig = field(
        default_factory=lambda: TwoTierConfig(
            frame_size=16, cell="gru", dim=128, sample_dim=64, upsample_rank=0, hist_size=16
        )
    )
    flat: FlatConfig = field(default_factory=lambda: FlatConfig(dim=96))
    batch_size: Count = 32
    """Streams, of each process."""
    sequence: Count = 128
    """Samples of each stream in a step; gradients reach back no further."""
    lr: Annotated[float, Range(0, 1, low_open=True)] = 2e-3
    clip: Annotated[float, Range(0, 10**6, low_open=True)] = 1.0
    """Of Adam; each gradient is cut to this absolute value, as in the reference SampleRNN."""
    next_frame_weight: Annotated[float, Range(0, 1000)] = 0.0
    """Of the cost of predicting each frame from the frame tier alone."""
    updates: Annotated[int, Range(0, 10**9)] = 0
    """The run ends after so many, whatever is left of its budget; 0: it does not."""
    evaluated: tuple[Count, Count] = (32, 1000)
    """Pieces, and samples of each, that an evaluation takes of the recordings held out, and of those trained on."""
    generate_seconds: Annotated[float, Range(0, 600)] = 0.0
    """Of sound to generate and measure at the end, in 8 streams; it is written as generated.wav."""
    temperature: Annotated[float, Range(0, 10)] = 1.0
    log_gradients: bool = False
    """As the flag `--log-gradients`."""

    def __post_init__(self) -> None:
        check(self)
        if self.model == "two_tier" and self.sequence % self.two_tier.frame_size:
            size = self.two_tier.frame_size
            raise InputError(f"sequence is {self.sequence}; it must be a multiple of two_tier.frame_size, {size}")
        if self.next_frame_weight and self.model == "flat":
            raise InputError(f"next_frame_weight is {self.next_frame_weight}; it needs model: two_tier")

    @property
    def config(self) -> TwoTierConfig | FlatConfig:
        """Of the model that is trained."""
        return self.two_tier if self.model == "two_tier" else self.flat


class Data(NamedTuple):
    """Codes to train on, and held out: (T,) int64; `held_out` is empty where one clip is trained on."""

    train: Tensor
    held_out: Tensor


def run(settings: Settings, run: Run) -> Values:
    """Train one model; returns its row."""
    data = read_data(settings)
    model, curve = train(settings, run, data)
    results: Values = {
        "parameters": model.parameter_count(),
        "samples_seen": curve[-1].step * settings.batch_size * settings.sequence * PartialState().num_processes,
        **_tenths(curve),
        **curve[-1].metrics,
    }
    if curve[-1].gradients:
        results |= _gradient_ratio(curve)
    if settings.clip_seconds:
        results |= _compared(model, data, settings, run)
    elif settings.generate_seconds:
        results |= _generated(model, data, settings, run)
    return results


def plot(results: list[Result], path: Path) -> None:
    """Learning curves."""
    plots.curves(results, path, "held_out_bits", "bits per sample")


# Data


def read_data(settings: Settings) -> Data:
    """The recordings as codes. Raises: InputError where there are too few."""
    assert settings.source is not None
    s = settings
    how = (settings.source, s.sample_rate)
    if s.clip_seconds:
        clip = recordings.first_clip(*how, s.clip_seconds, s.normalization, s.zero_dc)
        waves = [clip, clip[:0]]
    else:
        waves = [*recordings.joined(*how, s.max_seconds, s.normalization, s.zero_dc)]
    config = s.config
    train, held_out = (torch.from_numpy(config.coding.encode(wave)) for wave in waves)
    whole = len(train) // GRID * GRID
    if whole < settings.sequence:
        raise InputError(f"there are {whole} samples to train on, and sequence is {settings.sequence}; give more")
    return Data(train[:whole], held_out)


def batch(codes: Tensor, settings: Settings, context: int, step: int, process: int, processes: int) -> Tensor:
    """(B, C + T): of each stream, the sequence of this step and C codes before it. At its end the wave begins anew."""
    streams = torch.arange(process * settings.batch_size, (process + 1) * settings.batch_size)
    first = streams * (len(codes) // GRID) // (processes * settings.batch_size) * GRID
    place = first[:, None] + step * settings.sequence + torch.arange(-context, settings.sequence)
    return codes[place % len(codes)]


# Training


def make_model(settings: Settings) -> SampleModel:
    """Untrained; its initial weights come from torch's global generator."""
    if settings.model == "flat":
        return FlatSamples(settings.flat, settings.batch_size)
    return TwoTierSamples(settings.two_tier, settings.batch_size, settings.next_frame_weight > 0)


def train(settings: Settings, run: Run, data: Data) -> tuple[SampleModel, list[Point]]:
    """Train a new model, or resume the one in the run's folder; returns it and its curve."""
    if settings.updates:
        steps = min(settings.updates, run.budget.steps or settings.updates)
        run = replace(run, budget=replace(run.budget, steps=steps))
    if settings.log_gradients:
        run = replace(run, log_gradients=True)
    model = make_model(settings)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.register_hook(lambda gradient: gradient.clamp(-settings.clip, settings.clip))
    optimizer = torch.optim.Adam(trained, settings.lr)
    state = PartialState()

    def loss(wrapped: nn.Module, step: int) -> Tensor:
        codes = batch(data.train, settings, model.context, step, state.process_index, state.num_processes)
        codes = codes.to(model.carried.device)
        logits, ahead = wrapped(codes)
        target = codes[:, model.context :]
        cost = bits(logits, target)
        if ahead is not None:  # its gradient counts, its value does not, so that costs can be compared
            auxiliary = settings.next_frame_weight * bits(ahead, target)
            cost = cost + auxiliary - auxiliary.detach()
        return cost

    def evaluate(_: nn.Module) -> dict[str, float]:
        metrics = {"train_bits": evaluated(model, data.train, settings)}
        if len(data.held_out):
            metrics["held_out_bits"] = evaluated(model, data.held_out, settings)
        return metrics

    return model, fit(model, loss, optimizer, run, evaluate)


def bits(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cost in bits per sample: logits (B, T, Q), target (B, T)."""
    return functional.cross_entropy(logits.flatten(0, 1).float(), target.flatten()) / math.log(2)


@torch.no_grad()
def evaluated(model: SampleModel, codes: Tensor, settings: Settings) -> float:
    """Bits per sample over pieces that lie evenly in a wave of codes (T,), each from a state of zeros."""
    pieces, size = settings.evaluated
    size = min(size, len(codes) - model.context) // model.block * model.block
    room = len(codes) - model.context - size
    starts = torch.linspace(0, room, min(pieces, 1 + room)).long()
    chosen = codes[starts[:, None] + torch.arange(model.context + size)].to(model.carried.device)
    logits, _, _ = model.predict(chosen, None)
    return float(bits(logits, chosen[:, model.context :]))


# Results


def _tenths(curve: list[Point]) -> dict[str, float]:
    """The running cost in the first and the last tenth of the updates."""
    total = curve[-1].step
    first = [point.loss for point in curve if point.step <= max(total / 10, curve[0].step)]
    last = [point.loss for point in curve if point.step >= min(total * 0.9, total)]
    return {"first_tenth_bits": float(np.mean(first)), "last_tenth_bits": float(np.mean(last))}


def _gradient_ratio(curve: list[Point]) -> Values:
    """How far the gradients of the weight matrices are apart, as means over the logged steps."""
    logged = [point.gradients for point in curve if point.gradients]
    means = {name: float(np.mean([norms[name] for norms in logged])) for name in logged[-1] if "weight" in name}
    low, high = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    return {"gradient_ratio": means[high] / max(means[low], 1e-12), "largest": high, "smallest": low}


def generate(model: SampleModel, settings: Settings, run: Run, seed: Tensor, count: int) -> np.ndarray:
    """Waves (B, count) that continue the codes (B, …), drawn from the run's seed; the first one is written."""
    generator = torch.Generator().manual_seed(run.seed)
    codes = model.generate(seed.to(model.carried.device), count, generator, settings.temperature).cpu().numpy()
    config = settings.config
    waves = config.coding.decode(codes)
    if PartialState().is_main_process:
        audio.write(run.folder / "generated.wav", waves[0], settings.sample_rate, force=True)
    return waves


def _generated(model: SampleModel, data: Data, settings: Settings, run: Run) -> Values:
    """The whine of what is generated from silence, and of the recordings."""
    streams = 8
    silence = torch.full((streams, model.context + model.block), model.q_levels // 2)
    count = int(settings.generate_seconds * settings.sample_rate / streams)
    waves = generate(model, settings, run, silence, count)
    config = settings.config
    real = config.coding.decode(data.held_out[: streams * count].numpy())
    found = whine(waves.flatten(), settings.sample_rate)
    truth = {f"real_{key}": value for key, value in whine(real, settings.sample_rate).items()}
    return {**found, **truth}


def _compared(model: SampleModel, data: Data, settings: Settings, run: Run) -> Values:
    """How far what the model says after the clip, the clip again, lies from it; and how far its samples shuffled do."""
    config = settings.config
    waves = generate(model, settings, run, torch.cat([data.train, data.train])[None], len(data.train))
    clip = config.coding.decode(data.train.numpy())
    if PartialState().is_main_process:
        audio.write(run.folder / "clip.wav", clip, settings.sample_rate, force=True)
    wave = aligned(waves[0], clip)
    noise = np.random.default_rng(run.seed).permutation(clip)
    rate = settings.sample_rate
    return {
        "spectral_distance_db": spectral_distance(wave, clip, rate),
        "distance_of_shuffled_db": spectral_distance(noise, clip, rate),
        "snr_db": snr_db(wave, clip),
    }
