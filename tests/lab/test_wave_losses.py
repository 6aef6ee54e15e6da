"""Each difference of two waves is 1 of silence and 0 of the clip, and learns what it can tell."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tts.core.errors import InputError
from tts.lab.wave_losses import DIFFERENCES, Distance, Weights, points_needed
from tts.models import sine
from tts.models.sine import SineLayer

RATE, SAMPLES = 8000.0, 256
NAMES = list(DIFFERENCES)


def only(name: str) -> Weights:
    return Weights(**{"mse": 0.0, name: 1.0})


def tones(phase: float = 0.0, frequency: float = 0.53, amplitude: float = 1.4) -> Tensor:
    return amplitude * (2 * math.pi * frequency * sine.times(SAMPLES, RATE) + phase).sin()[None]


@pytest.mark.parametrize("name", NAMES)
def test_the_clip_is_0_and_silence_1(name: str) -> None:
    distance = Distance(only(name), tones()[0])
    assert distance(tones(), tones()).item() == pytest.approx(0, abs=1e-5)
    assert distance(torch.zeros_like(tones()), tones()).item() == pytest.approx(1)


@pytest.mark.parametrize("name", NAMES)
def test_learns(name: str) -> None:
    """The phase of a wave, where it counts; of a spectrogram, which has none, the amplitude."""
    layer = SineLayer(torch.tensor([0.53]), torch.ones(1), torch.full((1,), 0.7))
    layer.frequency.requires_grad_(False)
    optimizer = torch.optim.Adam(layer.parameters(), 0.1)
    distance, t, losses = Distance(only(name), tones()[0]), sine.times(SAMPLES, RATE)[None], []
    for _ in range(40):
        loss = distance(layer(t), tones())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    if name != "spectrogram":
        assert abs(math.sin(layer.phase.item())) < 0.1
    if name != "phase":
        assert abs(layer.amplitude.item()) == pytest.approx(1.4, abs=0.2)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_right(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    made, wave = (torch.randn(2, 70, generator=generator, dtype=torch.float64) for _ in range(2))
    assert torch.autograd.gradcheck(lambda x: DIFFERENCES[name](x, wave), made.requires_grad_(), atol=1e-4)


def test_in_closed_form() -> None:
    made, wave = torch.tensor([[1.0, 2.0, 4.0, 8.0]]), torch.zeros(1, 4)
    expected = {
        "mse": (1 + 4 + 16 + 64) / 4,
        "slope": (1 + 4 + 16) / 3,
        "slope_of_slopes": (1 + 4) / 2,
        "distance": ((1 - 4) ** 2 + (2 - 8) ** 2) / 2,
    }
    assert {name: DIFFERENCES[name](made, wave).item() for name in expected} == pytest.approx(expected)
    quarter = DIFFERENCES["phase"](tones(math.pi / 2), tones())
    assert quarter.item() == pytest.approx(1, abs=0.02)


def test_what_each_cannot_tell() -> None:
    wave = tones()
    assert DIFFERENCES["slope"](wave + 1, wave).item() == pytest.approx(0, abs=1e-6)  # an offset
    assert DIFFERENCES["phase"](3 * wave, wave).item() == pytest.approx(0, abs=1e-4)  # loudness
    apart = [DIFFERENCES[name](tones(1.0), wave) / DIFFERENCES[name](0 * wave, wave) for name in NAMES]
    assert apart[NAMES.index("spectrogram")] < 0.3 * apart[NAMES.index("mse")]  # a phase


def test_a_sum_of_differences_is_weighted() -> None:
    wave, made = tones(), tones(0.5)
    both = Distance(Weights(mse=2.0, slope=0.5), wave[0])(made, wave)
    parts = [Distance(only(name), wave[0])(made, wave) for name in ("mse", "slope")]
    assert both.item() == pytest.approx(2 * parts[0].item() + 0.5 * parts[1].item())


def test_how_many_points_each_needs() -> None:
    assert points_needed(Weights()) == 1
    assert points_needed(Weights(slope=1.0, slope_of_slopes=1.0)) == 3
    needed: Callable[[str], int] = lambda name: points_needed(only(name))  # noqa: E731
    for name in NAMES:
        n = max(needed(name), 2)  # a distance is between two
        made, wave = torch.ones(4, n), torch.linspace(0, 1, 4 * n).view(4, n)
        assert DIFFERENCES[name](made, wave).isfinite()


def test_no_loss_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="every weight of the loss is 0"):
        Weights(mse=0.0)
