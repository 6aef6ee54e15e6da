"""Kind `waves`: one clip as a function of time, fitted by a network of sines (`tts.models.sine`).

Of each run: its parameters, its signal-to-noise ratio at the samples, between them (where only a function whose
frequencies lie below half the sample rate is right), and that of the frequencies alone, with the best phases and
amplitudes that they can have; and the difference of its spectrogram, of which that of silence is 1.

Letters: T samples, B groups of n points in a row each.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor, nn

from tts import audio
from tts.core.config import Range, check
from tts.core.errors import InputError
from tts.core.files import atomic_write, is_file
from tts.core.plots import png
from tts.lab.experiment import Result, Run, Values
from tts.lab.loop import draws, fit, read_curve
from tts.lab.wave_losses import Distance, Weights, points_needed, spectrogram
from tts.models import sine
from tts.models.sine import Chain, SineConfig

HIGHEST_RATE = 8000
"""Hz; a clip of more is resampled."""
Rate = Annotated[float, Range(0, 100)]


@dataclass(frozen=True)
class Rates:
    """Learning rates by kind of parameter: about how far each moves in a step. 0 leaves a kind as it began."""

    frequency: Rate = 3e-5
    """kHz; waves whose frequencies differ by 1e-3 part within a second. 3e-4 is better for `damped`."""
    phase: Rate = 1e-2
    """Radians."""
    amplitude: Rate = 1e-2
    """The clip's standard deviation is 1."""
    hidden_amplitude: Rate = 3e-4
    """Milliseconds, of a chain's layers before the last: all waves of a layer move its one time, mostly together."""
    other: Rate = 5e-3
    """Cut-offs, and the weights and biases of `final_wave`."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Settings(SineConfig):
    """A clip, a network (`SineConfig`), and how one is fitted to the other."""

    source: Path | None = None
    """Folder of FSDD's recordings; it must be given."""
    recording: str = "6_jackson_32.wav"
    """Its file, any audio: its begin is taken, with silence after it if it is too short."""
    seconds: Annotated[float, Range(0.01, 10)] = 1.0
    silence: Annotated[float, Range(0, 10)] = 0.0
    """Seconds that are added at each end."""
    loss: Weights = field(default_factory=Weights)
    consecutive: Annotated[int, Range(0, 10**6)] = 0
    """n, points in a row; 0 is the whole clip in each step."""
    batch: Annotated[int, Range(1, 10**6)] = 32
    """B, groups in a step, from random places; of a whole clip there is one."""
    rates: Rates = field(default_factory=Rates)

    def __post_init__(self) -> None:
        super().__post_init__()
        needed = points_needed(self.loss)
        if 0 < self.consecutive < needed:
            raise InputError(
                f"consecutive is {self.consecutive}; this loss needs at least {needed}, or 0: the whole clip"
            )


def run(settings: Settings, run: Run) -> Values:
    """Fit one network to the clip."""
    wave, sample_rate = clip(settings)
    generator = torch.Generator().manual_seed(run.seed)
    model = sine.build(settings, wave, sample_rate, generator)
    t = sine.times(len(wave), sample_rate)
    if settings.network != "fourier":
        fit(model, objective(settings, wave, t, run), optimizer(model, settings.rates), run,
            lambda model: {"snr_db": snr(wave, made(model, t))}, evaluations=10)  # fmt: skip
    found, silence = model.cpu(), torch.zeros(1, len(wave))
    spectral = spectrogram(made(found, t)[None].float(), wave[None]) / spectrogram(silence, wave[None])
    results: Values = {
        "parameters": sine.count(found),
        "snr_db": snr(wave, made(found, t)),
        "between_db": snr(half_a_sample_later(wave), made(found, t + 500 / sample_rate)),
        "spectral": float(spectral),
    }
    frequencies = sine.frequencies(found)
    if frequencies is not None:
        results["refit_db"] = snr(wave, refitted(wave, t, frequencies))
        results["above_nyquist"] = int((frequencies.abs() > sample_rate / 2000).sum())
    return results


def clip(settings: Settings) -> tuple[Tensor, float]:
    """(T,) float32 with a standard deviation of about 1 (a root mean square of 1), and its sample rate in Hz.

    Raises InputError where there is none, or it is silent.
    """
    assert settings.source is not None  # an experiment without one is refused
    path = settings.source / settings.recording
    if not is_file(path):
        raise InputError(f"source holds no {settings.recording}; give FSDD's folder recordings, or recording=FILE")
    wave, sample_rate = audio.read(path)
    if sample_rate > HIGHEST_RATE:
        wave, sample_rate = audio.resample(wave, sample_rate, HIGHEST_RATE), HIGHEST_RATE
    whole = np.zeros(max(round(settings.seconds * sample_rate), 2), np.float32)
    begin = wave[: len(whole)]
    whole[: len(begin)] = begin
    loudness = float(np.sqrt(np.square(whole).mean()))
    if loudness < 1e-5:
        raise InputError(f"{path}: its first {settings.seconds:g} s are silent; choose another recording")
    edge = np.zeros(round(settings.silence * sample_rate), np.float32)
    return torch.from_numpy(np.concatenate([edge, whole / loudness, edge])), float(sample_rate)


def objective(settings: Settings, wave: Tensor, t: Tensor, run: Run) -> Callable[[nn.Module, int], Tensor]:
    """The loss of a step, on the points that it draws.

    Raises InputError where the clip is shorter than a group of points, or than the loss needs.
    """
    n, T = settings.consecutive, len(wave)
    if max(n, points_needed(settings.loss)) > T:
        raise InputError(f"the clip has {T} samples, fewer than a group of points; lower consecutive, or raise seconds")
    distance = Distance(settings.loss, wave)

    def loss(model: nn.Module, step: int) -> Tensor:
        device = next(model.parameters()).device
        places = torch.arange(T)[None]
        if n:
            begins = draws(run, step).integers(0, T - n + 1, settings.batch)
            places = torch.from_numpy(begins)[:, None] + torch.arange(n)
        return distance(model(t[places].to(device)), wave[places].to(device))

    return loss


def optimizer(model: nn.Module, rates: Rates) -> torch.optim.Optimizer:
    """Adam, a rate for each kind of parameter, which is the end of its name."""
    groups, last = [], f"layers.{len(model.layers) - 1}." if isinstance(model, Chain) else ""
    for name, parameter in model.named_parameters():
        kind = name.rpartition(".")[2].removeprefix("hidden_")
        if kind == "amplitude" and not name.startswith(last):
            kind = "hidden_amplitude"
        groups.append({"params": [parameter], "lr": getattr(rates, kind, rates.other)})
    return torch.optim.Adam(groups, betas=(0.9, 0.99))


def made(model: nn.Module, t: Tensor) -> Tensor:
    """What a network makes of times (T,), without gradients."""
    parameter = next(model.parameters())
    with torch.no_grad():
        wave: Tensor = model(t.to(parameter.device, parameter.dtype))
    return wave.cpu()


def snr(wave: Tensor, made: Tensor) -> float:
    """Decibels: the energy of the clip over that of the difference; at most 300."""
    error = (wave.double() - made.double()).square().sum()
    return float(10 * torch.log10(wave.double().square().sum() / error.clamp(min=1e-30))) if error > 1e-30 else 300.0


def half_a_sample_later(wave: Tensor) -> Tensor:
    """The clip, band-limited, at the times between its samples."""
    T = len(wave)
    spectrum = torch.fft.rfft(wave.double())
    return torch.fft.irfft(spectrum * torch.exp(1j * math.pi * torch.arange(len(spectrum)) / T), T)


def refitted(wave: Tensor, t: Tensor, frequencies: Tensor) -> Tensor:
    """The sum of waves of these frequencies (kHz) that is nearest to the clip."""
    angle = sine.angles(t.double(), frequencies.double())
    basis = torch.cat([angle.sin(), angle.cos()], 1)
    return basis @ torch.linalg.lstsq(basis, wave.double()[:, None], driver="gelsd").solution[:, 0]


def plot(results: list[Result], path: Path) -> None:
    """Signal-to-noise ratio over the minutes of training, a line a run; dashed where there was none."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    colors = colormaps["turbo"](np.linspace(0.03, 0.97, len(results)))
    longest = max((result.seconds for result in results), default=1.0) / 60
    for result, color in zip(results, colors, strict=True):
        found = float(result.results["snr_db"])
        points = [point for point in read_curve(result.folder) if "snr_db" in point.metrics]
        label = f"{result.run}: {result.results['parameters']} parameters, {found:.1f} dB"
        if points:
            minutes, curve = [point.seconds / 60 for point in points], [point.metrics["snr_db"] for point in points]
            axes.plot(minutes, curve, marker=".", color=color, label=label)
        else:
            axes.plot([0, longest], [found, found], "--", color=color, label=label)
    axes.set(xlabel="minutes of training", ylabel="signal-to-noise ratio, dB")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    atomic_write(path, png(figure))
