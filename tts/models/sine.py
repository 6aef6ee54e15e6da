"""A clip as a function of time, x(t): networks of sines whose frequencies, phases and amplitudes are learned.

All of them map times to samples, so they can be fitted to any points of a clip, in any order. Times are milliseconds
and frequencies kHz, so that every parameter is of the order of 1 and one optimizer suits them all.

- `SineLayer`: x = sum_k a_k sin(2 pi f_k t + p_k).
- `Chain`: t_0 = t, t_{l+1} = t_l + layer_l(t_l), and the last layer's sum is x: frequency modulation, nested.
- `OctaveLayer`: frequencies that stay, a sine and a cosine of each: phase by amplitude.
- `BranchLayer`: each sine has one amplitude above its cut-off and another below: a harmonic series of one wave.
- `FinalWave`: sines of t that are the amplitudes and phases, over time, of a last layer of sines.
- `Harmonic`: one pitch and the amplitudes of its harmonics, frame by frame, linear between (Engel et al. 2020, "DDSP",
  arXiv 2001.04643, without its network and its noise: nothing but this clip is to be explained).
- `Damped`: a_k |z_k|^|n| cos(n arg z_k + p_k), |z_k| <= 1: a sine whose frequency, as the angle of a complex number,
  has a gradient that leads to it (Hayes, Saitis and Fazekas 2023, arXiv 2210.14476). n counts samples from a middle:
  theirs is the first sample, but speech does not begin at its loudest.

Letters: K waves (or harmonics), H envelopes, N frames, T samples.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from tts.core.config import Range, check, check_order
from tts.core.errors import InputError
from tts.models.pitch import find_pitch

Hertz = Annotated[float, Range(0, 10**6)]
Count = Annotated[int, Range(1, 10**6)]
PITCH = (60.0, 400.0)
"""Hz, within which a clip's pitch is looked for."""
PITCH_WINDOW = 0.04
"""Seconds that are compared with the past to find the pitch."""


@dataclass(frozen=True)
class SineConfig:
    """A network of sines, and where its parameters start."""

    network: Literal["fourier", "sum", "chain", "octaves", "branches", "final_wave", "harmonic", "damped"] = "sum"
    """`fourier`: the largest bins of the clip's Fourier transform, which need no training."""
    parameters: Count = 600
    """At most so many numbers; the network is as wide as they allow. A bin of `fourier` is three, its frequency too."""
    layers: Count = 3
    """Of `chain` and `octaves`."""
    residual: bool = True
    """A layer of a chain adds its waves to t; false: its waves alone are the next layer's t."""
    envelopes: Count = 16
    """H, of `final_wave`."""
    frames: Annotated[int, Range(2, 10**6)] = 20
    """N, of `harmonic`."""
    radius: Annotated[float, Range(0, 1, low_open=True)] = 0.99
    """The magnitude at which `damped` starts: a wave falls by it from sample to sample."""
    start: Literal["random", "even", "fourier"] = "random"
    """Where the frequencies of the waves that sound start: drawn between `frequencies`, at equal distances between
    them, or at the largest bins (with their phases and amplitudes; `sum` alone). `harmonic` finds its pitch in the clip
    if it is `fourier`, and starts at its middle otherwise."""
    frequencies: tuple[Hertz, Hertz] = (20.0, 1000.0)
    """Hz. Those of `octaves` stay."""
    amplitude: Annotated[float, Range(0, 100)] = 0.03
    """Standard deviation of the amplitudes at the start; the clip's is 1."""
    hidden_frequencies: tuple[Hertz, Hertz] = (0.5, 50.0)
    """Hz, the same of the layers before the last, which move it in time."""
    hidden_amplitude: Annotated[float, Range(0, 1000)] = 0.02
    """Milliseconds, the same of the layers before the last of a chain."""

    def __post_init__(self) -> None:
        check(self)
        check_order(self, ["frequencies", "hidden_frequencies"])
        if self.start == "fourier" and self.network not in ("fourier", "sum", "harmonic"):
            raise InputError(f"start is fourier and network {self.network}; start can be random or even there")


class SineLayer(nn.Module):
    """Times (…) to the sum of K waves (…)."""

    phase: Tensor

    def __init__(self, frequency: Tensor, phase: Tensor, amplitude: Tensor, learn_phase: bool = True) -> None:
        super().__init__()
        self.frequency = nn.Parameter(frequency)
        self.amplitude = nn.Parameter(amplitude)
        if learn_phase:
            self.phase = nn.Parameter(phase)
        else:
            self.register_buffer("phase", phase)

    def forward(self, t: Tensor) -> Tensor:
        """What it makes of times (…): (…)."""
        return angles(t, self.frequency, self.phase).sin() @ self.amplitude


class OctaveLayer(nn.Module):
    """The same with frequencies that stay, and amplitudes (2, K) of a sine and a cosine of each."""

    frequency: Tensor

    def __init__(self, frequency: Tensor, amplitude: Tensor) -> None:
        super().__init__()
        self.register_buffer("frequency", frequency)
        self.amplitude = nn.Parameter(amplitude)

    def forward(self, t: Tensor) -> Tensor:
        """What it makes of times (…): (…)."""
        angle = angles(t, self.frequency)
        return angle.sin() @ self.amplitude[0] + angle.cos() @ self.amplitude[1]


class BranchLayer(nn.Module):
    """The same with amplitudes (2, K) of what is above and what is below a wave's cut-off (K,), which is learned."""

    def __init__(self, frequency: Tensor, phase: Tensor, amplitude: Tensor) -> None:
        super().__init__()
        self.frequency = nn.Parameter(frequency)
        self.phase = nn.Parameter(phase)
        self.amplitude = nn.Parameter(amplitude)
        self.cutoff = nn.Parameter(torch.zeros_like(phase))

    def forward(self, t: Tensor) -> Tensor:
        """What it makes of times (…): (…)."""
        wave = angles(t, self.frequency, self.phase).sin() - self.cutoff
        return wave.relu() @ self.amplitude[0] - (-wave).relu() @ self.amplitude[1]


class Chain(nn.Module):
    """Layers, each with the times that the one before it made."""

    def __init__(self, layers: list[nn.Module], residual: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.residual = residual

    def forward(self, t: Tensor) -> Tensor:
        """What it makes of times (…): (…)."""
        for layer in self.layers[:-1]:
            t = t + layer(t) if self.residual else layer(t)
        made: Tensor = self.layers[-1](t)
        return made


class FinalWave(nn.Module):
    """x = sum_k A_k(t) sin(2 pi f_k t + P_k(t)); A and P (…, K) are linear in H sines of t."""

    def __init__(self, hidden: tuple[Tensor, Tensor], weight: Tensor, bias: Tensor, frequency: Tensor) -> None:
        super().__init__()
        self.hidden_frequency, self.hidden_phase = map(nn.Parameter, hidden)  # (H,)
        self.weight = nn.Parameter(weight)  # (2 K, H): of the amplitudes, then of the phases
        self.bias = nn.Parameter(bias)  # (2 K,)
        self.frequency = nn.Parameter(frequency)  # (K,)

    def forward(self, t: Tensor) -> Tensor:
        """What it makes of times (…): (…)."""
        envelopes = angles(t, self.hidden_frequency, self.hidden_phase).sin()  # (…, H)
        amplitude, phase = functional.linear(envelopes, self.weight, self.bias).chunk(2, -1)
        return (amplitude * (angles(t, self.frequency) + phase).sin()).sum(-1)


class Harmonic(nn.Module):
    """Waves at the multiples of one frequency (N,), with amplitudes (N, K), both linear between the frames."""

    def __init__(self, duration: float, frequency: Tensor, phase: Tensor, amplitude: Tensor) -> None:
        super().__init__()
        self.step = duration / (len(frequency) - 1)
        self.frequency = nn.Parameter(frequency)
        self.phase = nn.Parameter(phase)  # (K,)
        self.amplitude = nn.Parameter(amplitude)

    def forward(self, t: Tensor) -> Tensor:
        """What it makes of times (…): (…)."""
        f = self.frequency
        n = (t / self.step).long().clamp(0, len(f) - 2)
        u = t / self.step - n  # 0 to 1 from one frame to the next
        # The integral of the frequency: of whole frames, then of the line since the last one.
        whole = functional.pad(((f[1:] + f[:-1]) / 2).cumsum(0), (1, 0))
        cycles = self.step * (whole[n] + u * f[n] + u * u / 2 * (f[n + 1] - f[n]))
        number = torch.arange(1, len(self.phase) + 1, device=t.device)
        wave = (2 * math.pi * cycles[..., None] * number + self.phase).sin()
        return (torch.lerp(self.amplitude[n], self.amplitude[n + 1], u[..., None]) * wave).sum(-1)


class Damped(nn.Module):
    """Damped waves, loudest at `middle` (ms); `frequency` (2, K) is the complex z. A magnitude above 1 counts as its
    inverse."""

    def __init__(self, sample_rate: float, z: Tensor, phase: Tensor, amplitude: Tensor, middle: float = 0.0) -> None:
        super().__init__()
        self.sample_rate, self.middle = sample_rate, middle
        self.frequency = nn.Parameter(z)
        self.phase = nn.Parameter(phase)
        self.amplitude = nn.Parameter(amplitude)

    def forward(self, t: Tensor) -> Tensor:
        """What it makes of times (…): (…)."""
        n = (t[..., None] - self.middle) * (self.sample_rate / 1000)
        real, imaginary = self.frequency
        loudness = torch.exp(-n.abs() * (real.square() + imaginary.square()).log().abs() / 2)
        return (loudness * (n * torch.atan2(imaginary, real) + self.phase).cos()) @ self.amplitude


def angles(t: Tensor, frequency: Tensor, phase: Tensor | None = None) -> Tensor:
    """2 pi f t + p in radians, (…, K), of times (…); one matrix product, which spares two passes over memory."""
    return functional.linear(t[..., None], 2 * math.pi * frequency[:, None], phase)


def times(samples: int, sample_rate: float) -> Tensor:
    """(T,) float32, milliseconds."""
    return (torch.arange(samples, dtype=torch.float64) * (1000 / sample_rate)).float()


def largest_bins(wave: Tensor, sample_rate: float, K: int) -> tuple[Tensor, Tensor, Tensor]:
    """Frequencies (kHz), phases and amplitudes, each (K,), of the bins of the Fourier transform with the most energy.

    All of them, that is T // 2 + 1, make up the wave (T,) exactly.
    """
    T = len(wave)
    bins = torch.fft.rfft(wave.double()) * (2 / T)
    bins[0] /= 2  # the DC offset and the Nyquist frequency have no counterpart at a negative frequency
    if T % 2 == 0:
        bins[-1] /= 2
    energy = bins.abs().square()
    energy[0] *= 2
    if T % 2 == 0:
        energy[-1] *= 2
    places = energy.topk(min(K, len(bins))).indices
    return places.double() * (sample_rate / 1000 / T), bins[places].angle() + math.pi / 2, bins[places].abs()


def frequencies(model: nn.Module) -> Tensor | None:
    """(K,) kHz: where a model's waves lie if each has one frequency; None for the others."""
    if isinstance(model, Damped):
        real, imaginary = model.frequency.detach()
        return torch.atan2(imaginary, real).abs() * (model.sample_rate / 1000 / (2 * math.pi))
    return model.frequency.detach() if isinstance(model, SineLayer) else None


def count(model: nn.Module) -> int:
    """The number of its parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def build(config: SineConfig, wave: Tensor, sample_rate: float, generator: torch.Generator) -> nn.Module:
    """The network, before any training, for a wave (T,) with a standard deviation of 1.

    Raises InputError if `parameters` are too few for one wave.
    """
    layers = config.layers
    widths = {
        "sum": config.parameters // 3,
        "fourier": config.parameters // 3,
        "chain": config.parameters // (2 * layers),
        "octaves": config.parameters // (2 * layers),
        "branches": config.parameters // 5,
        "final_wave": (config.parameters - 2 * config.envelopes) // (2 * config.envelopes + 3),
        "harmonic": (config.parameters - config.frames) // (config.frames + 1),
        "damped": config.parameters // 4,
    }
    K = widths[config.network]
    if K < 1:
        raise InputError(f"parameters is {config.parameters}; network {config.network} needs more for one wave")
    if config.network == "fourier" or (config.network == "sum" and config.start == "fourier"):
        frequency, phase, amplitude = largest_bins(wave, sample_rate, K)
        if config.network == "fourier":
            return SineLayer(frequency, phase, amplitude)
        return SineLayer(frequency.float(), phase.float(), amplitude.float())
    return _random(config, wave, sample_rate, K, generator)


def _random(config: SineConfig, wave: Tensor, sample_rate: float, K: int, generator: torch.Generator) -> nn.Module:
    def uniform(size: int, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(size, generator=generator)

    def normal(scale: float, *size: int) -> Tensor:
        return scale * torch.randn(size, generator=generator)

    def spread(size: int, hertz: tuple[float, float], even: bool) -> Tensor:
        low, high = (edge / 1000 for edge in hertz)
        return torch.linspace(low, high, size) if even else uniform(size, low, high)

    even, loud, turn = config.start == "even", config.amplitude, 2 * math.pi
    frequency, phase = spread(K, config.frequencies, even), uniform(K, 0, turn)
    match config.network:
        case "sum":
            return SineLayer(frequency, phase, normal(loud, K))
        case "branches":
            return BranchLayer(frequency, phase, normal(loud, 1, K).repeat(2, 1))  # at first a plain sine
        case "damped":
            radian = frequency * (2000 * math.pi / sample_rate)
            z = config.radius * torch.stack([radian.cos(), radian.sin()])
            energy, t = wave.square(), times(len(wave), sample_rate)
            return Damped(sample_rate, z, phase, normal(loud, K), float((energy * t).sum() / energy.sum()))
        case "harmonic":
            N = config.frames
            pitch = torch.full((N,), math.sqrt(PITCH[0] * PITCH[1]) / 1000)
            if config.start == "fourier":
                pitch = _pitch(wave, sample_rate, N)
            return Harmonic(len(wave) * 1000 / sample_rate, pitch, phase, normal(loud, N, K))
        case "final_wave":
            H = config.envelopes
            hidden = spread(H, config.hidden_frequencies, even), uniform(H, 0, turn)
            weight = torch.cat([normal(loud / math.sqrt(H), K, H), torch.zeros(K, H)])
            return FinalWave(hidden, weight, torch.cat([normal(loud, K), phase]), frequency)
    layers: list[nn.Module] = []
    for last in [*[False] * (config.layers - 1), True]:
        hertz = config.frequencies if last else config.hidden_frequencies
        scale = loud if last else config.hidden_amplitude
        if config.network == "octaves":
            low, high = (math.log10(max(edge, 0.1) / 1000) for edge in hertz)
            layers.append(OctaveLayer(torch.logspace(low, high, K), normal(scale, 2, K)))
        else:  # alternately sines and cosines: their phases stay, and the layers before move them
            quadrature = (torch.arange(K) % 2) * (math.pi / 2)
            layers.append(SineLayer(spread(K, hertz, even), quadrature, normal(scale, K), learn_phase=False))
    return Chain(layers, config.residual)


def _pitch(wave: Tensor, sample_rate: float, N: int) -> Tensor:
    """(N,) kHz, the pitch around each of N places from the wave's begin to its end."""
    lags = int(sample_rate / PITCH[1]), int(sample_rate / PITCH[0])
    size = int(PITCH_WINDOW * sample_rate) + lags[1]
    padded = functional.pad(wave.double(), (size // 2, size))
    starts = torch.linspace(0, len(wave), N).long()
    lag = find_pitch(padded[starts[:, None] + torch.arange(size)], lags).lag
    return sample_rate / 1000 / lag.float()
