"""Each network of sines learns a tiny clip; its gradients are right; what is said of it in closed form holds."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tts.core.errors import InputError
from tts.models import sine
from tts.models.sine import Damped, Harmonic, OctaveLayer, SineConfig, SineLayer, build, frequencies

RATE = 8000.0


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clip(samples: int = 200) -> Tensor:
    """Two tones with a pulse around the middle and a standard deviation of 1, float32."""
    t = sine.times(samples, RATE)
    wave = (2 * math.pi * 0.31 * t).sin() + 0.5 * (2 * math.pi * 0.9 * t + 1).sin()
    wave = wave * torch.exp(-(((t - t.mean()) / (t.max() / 4)) ** 2))
    return wave / wave.std()


def config(network: str, **changes: object) -> SineConfig:
    few = {"parameters": 60, "layers": 2, "envelopes": 4, "frames": 5, "frequencies": (20.0, 2000.0)}
    return SineConfig(**{"network": network, **few, **changes})  # type: ignore[arg-type]


def fit(model: nn.Module, wave: Tensor, steps: int, rate: float = 0.01) -> list[float]:
    """Losses: mean squared errors, of which that of silence is 1."""
    optimizer = torch.optim.Adam(model.parameters(), rate, betas=(0.9, 0.99))
    t, losses = sine.times(len(wave), RATE), []
    for _ in range(steps):
        loss = (model(t) - wave).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


NETWORKS = ["sum", "chain", "octaves", "branches", "final_wave", "harmonic", "damped"]


@pytest.mark.parametrize("network", NETWORKS)
def test_learns(network: str) -> None:
    model = build(config(network, start="even", parameters=150), clip(), RATE, seeded())
    losses = fit(model, clip(), 120)
    assert losses[-1] < 0.5 * losses[0] and losses[-1] < 0.6


@pytest.mark.parametrize("network", NETWORKS)
def test_gradients_are_right(network: str) -> None:
    model = build(config(network, parameters=40), clip(), RATE, seeded()).double()
    t = sine.times(7, RATE).double() + 0.3
    names, values = zip(*model.named_parameters(), strict=True)

    def output(*parameters: Tensor) -> Tensor:
        made: Tensor = torch.func.functional_call(model, dict(zip(names, parameters, strict=True)), (t,))
        return made

    assert torch.autograd.gradcheck(output, values, eps=1e-7, atol=1e-4)
    output(*values).square().sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in values)


@pytest.mark.parametrize("network", [*NETWORKS, "fourier"])
def test_is_as_large_as_the_parameters_allow(network: str) -> None:
    small, large = (build(config(network, parameters=n), clip(), RATE, seeded()) for n in (60, 300))
    assert 30 < sine.count(small) <= 60 and 240 < sine.count(large) <= 300
    with pytest.raises(InputError, match="parameters is 1; network"):
        build(config(network, parameters=1), clip(), RATE, seeded())


@pytest.mark.parametrize("samples", [64, 65])
def test_as_many_bins_as_the_clip_has_are_exact(samples: int) -> None:
    wave = torch.randn(samples, generator=seeded()).double() + 0.3
    bins = samples // 2 + 1
    whole = SineLayer(*sine.largest_bins(wave, RATE, bins))(sine.times(samples, RATE).double())
    assert (whole - wave).abs().max() < 1e-9
    errors = []
    for K in range(1, bins + 1):
        made = SineLayer(*sine.largest_bins(wave, RATE, K))(sine.times(samples, RATE).double())
        errors.append((made - wave).square().sum().item())
    assert errors == sorted(errors, reverse=True)
    # The least error that K bins can have: the energy of those left out.
    spectrum = torch.fft.rfft(wave, norm="ortho").abs().square() * 2
    spectrum[0] /= 2
    if samples % 2 == 0:
        spectrum[-1] /= 2
    assert errors[9] == pytest.approx(spectrum.sort().values[: bins - 10].sum().item())


def test_two_opposed_waves_are_a_wave_with_a_phase() -> None:
    frequency, amplitude = torch.tensor([0.2, 0.4]), torch.tensor([[0.3, 1.0], [0.4, -1.0]])
    size, phase = amplitude.norm(dim=0), torch.atan2(amplitude[1], amplitude[0])
    t = sine.times(300, RATE)
    assert torch.allclose(OctaveLayer(frequency, amplitude)(t), SineLayer(frequency, phase, size)(t), atol=1e-4)


def test_a_chain_is_frequency_modulation() -> None:
    model = build(config("chain"), clip(), RATE, seeded())
    assert sine.count(model) == 2 * 15 * 2  # 2 x waves x layers
    first, last = model.layers
    t = sine.times(50, RATE)
    moved = t + (2 * math.pi * t[:, None] * first.frequency + first.phase).sin() @ first.amplitude
    by_hand = (2 * math.pi * moved[:, None] * last.frequency + last.phase).sin() @ last.amplitude
    assert torch.allclose(model(t), by_hand, atol=1e-4)
    assert not torch.allclose(moved, t, atol=1e-3)
    alone = build(config("chain", residual=False), clip(), RATE, seeded())
    assert torch.allclose(alone(t), alone.layers[1](alone.layers[0](t)))


def test_branches_with_equal_amplitudes_are_a_sine() -> None:
    model = build(config("branches"), clip(), RATE, seeded())
    t = sine.times(50, RATE)
    plain = SineLayer(model.frequency.detach(), model.phase.detach(), model.amplitude[0].detach())
    assert torch.allclose(model(t), plain(t), atol=1e-6)
    with torch.no_grad():
        model.amplitude[1] = 0
        model.cutoff += 2
    assert (model(t) == 0).all()  # nothing is above the cut-off, and what is below is not let through


def test_the_phase_of_harmonics_is_the_integral_of_the_pitch() -> None:
    pitch = torch.tensor([0.1, 0.2, 0.15])
    model = Harmonic(100.0, pitch, torch.zeros(1), torch.ones(3, 1)).double()
    fine = torch.linspace(0, 100, 20_001, dtype=torch.float64)
    between = torch.from_numpy(np.interp(fine, [0, 50, 100], pitch))
    cycles = torch.cumulative_trapezoid(between, fine)
    assert (model(fine[1:]) - (2 * math.pi * cycles).sin()).abs().max() < 1e-4


def test_harmonics_start_at_the_pitch_of_the_clip() -> None:
    t = sine.times(4000, RATE)
    wave = (2 * math.pi * 0.16 * t).sin() + (2 * math.pi * 0.32 * t).sin()
    model = build(config("harmonic", start="fourier", parameters=100), wave, RATE, seeded())
    assert torch.allclose(model.frequency[1:-1], torch.tensor(0.16), rtol=0.02)


def test_the_damped_surrogate_finds_a_frequency_that_a_plain_sine_does_not() -> None:
    target, start = 1.27, 0.7  # kHz: 1 and 0.55 radians a sample
    wave = (2 * math.pi * target * sine.times(128, RATE)).cos()
    radian = torch.tensor([2 * math.pi * start / RATE * 1000])
    surrogate = Damped(RATE, 0.95 * torch.stack([radian.cos(), radian.sin()]), torch.zeros(1), torch.ones(1))
    plain = SineLayer(torch.tensor([start]), torch.full((1,), math.pi / 2), torch.ones(1))
    for model in (surrogate, plain):
        for name in ("phase", "amplitude"):
            getattr(model, name).requires_grad_(False)
        fit(model, wave, 300, 0.005)
    assert frequencies(surrogate).item() == pytest.approx(target, abs=0.01)
    assert abs(frequencies(plain).item() - target) > 0.3


def test_a_magnitude_above_one_counts_as_its_inverse() -> None:
    t = sine.times(100, RATE)
    inside = torch.tensor([[0.6], [0.5]])
    outside = inside / inside.square().sum()
    made = [Damped(RATE, z, torch.zeros(1), torch.ones(1))(t) for z in (inside, outside)]
    assert torch.allclose(*made, atol=1e-5) and made[1].abs().max() <= 1


def test_damped_waves_are_loudest_in_the_middle_of_the_energy() -> None:
    wave = torch.cat([torch.zeros(100), clip(100)])
    model = build(config("damped", radius=0.9), wave, RATE, seeded())
    loudest = model(sine.times(200, RATE)).abs().argmax().item()
    assert 140 < loudest < 160


def test_bad_configs_are_refused() -> None:
    with pytest.raises(InputError, match="start is fourier and network chain"):
        SineConfig(network="chain", start="fourier")
    with pytest.raises(InputError, match=r"frequencies is \[500.0, 20.0\]"):
        SineConfig(frequencies=(500.0, 20.0))
