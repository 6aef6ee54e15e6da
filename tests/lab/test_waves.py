"""The kind `waves`: each way to fit a clip learns, from a file to a row of results."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import image
from torch import Tensor

from tts import audio
from tts.core import config
from tts.core.errors import InputError
from tts.lab import waves
from tts.lab.experiment import Budget, Result, Run, Values, load
from tts.lab.loop import Point, read_curve
from tts.lab.waves import Settings, clip, half_a_sample_later, optimizer, refitted, snr
from tts.models import sine

RATE, SAMPLES = 8000, 240


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a recording of two tones that swell and fade."""
    t = np.arange(SAMPLES) / RATE
    wave = np.sin(2 * np.pi * 300 * t) + 0.5 * np.sin(2 * np.pi * 820 * t + 1)
    wave = (0.3 * wave * np.hanning(SAMPLES)).astype(np.float32)
    (tmp_path / "tones.wav").write_bytes(audio.to_bytes(wave, RATE))
    return tmp_path


def settings(source: Path, *overrides: str) -> Settings:
    few = ["recording=tones.wav", f"seconds={SAMPLES / RATE}", "parameters=60", "start=even"]
    fast = ["rates.frequency=0.002", "rates.phase=0.03", "rates.amplitude=0.03"]
    return config.load(Settings, overrides=[f"source={source}", *few, *fast, *overrides])


def run(folder: Path, chosen: Settings, steps: int = 60) -> tuple[Values, list[Point]]:
    results = waves.run(chosen, Run(folder, Budget(steps=steps)))
    return results, read_curve(folder)


@pytest.mark.parametrize("overrides", [
    ["consecutive=0"],
    ["consecutive=1", "batch=100"],
    ["consecutive=20", "batch=8", "loss.slope=1", "loss.slope_of_slopes=0.1", "loss.distance=0.5"],
    ["consecutive=0", "loss.phase=0.1", "loss.spectrogram=0.2"],
    ["silence=0.005"],
    ["network=octaves", "layers=1", "frequencies=[100,1000]"],
])  # fmt: skip
def test_learns(overrides: list[str], source: Path, tmp_path: Path) -> None:
    results, curve = run(tmp_path, settings(source, *overrides))
    assert curve[-1].loss < 0.5 * curve[0].loss
    assert float(results["snr_db"]) > 3
    evaluated = [point.metrics["snr_db"] for point in curve if point.metrics]
    assert evaluated[-1] == results["snr_db"] and evaluated[-1] > evaluated[0]


def test_the_fourier_series_needs_no_training(source: Path, tmp_path: Path) -> None:
    few, many = (run(tmp_path, settings(source, "network=fourier", f"parameters={n}")) for n in (60, 10**4))
    assert few[1] == many[1] == []
    assert few[0]["parameters"] == 60 and many[0]["parameters"] == 3 * (SAMPLES // 2 + 1)
    assert float(many[0]["spectral"]) < 1e-3 < float(few[0]["spectral"]) < 1
    assert 10 < float(few[0]["snr_db"]) < 100 and float(many[0]["snr_db"]) > 200
    assert few[0]["refit_db"] == pytest.approx(few[0]["snr_db"])  # the bins' phases and amplitudes are the best
    assert float(many[0]["between_db"]) > 60


def test_training_goes_on_from_the_fourier_series(source: Path, tmp_path: Path) -> None:
    results = [run(tmp_path / "a", settings(source, "network=fourier", "parameters=12"))[0]]
    (tmp_path / "b").mkdir()
    results.append(run(tmp_path / "b", settings(source, "start=fourier", "parameters=12"))[0])
    assert results[0]["parameters"] == results[1]["parameters"] == 12
    assert float(results[1]["snr_db"]) > float(results[0]["snr_db"]) + 0.1


def test_frequencies_above_nyquist_fit_the_samples_alone(source: Path, tmp_path: Path) -> None:
    results, _ = run(tmp_path, settings(source, "frequencies=[8000,9000]"))
    assert results["above_nyquist"] == 20
    assert float(results["snr_db"]) > 3 > float(results["between_db"])


def test_rates_by_kind_of_parameter(source: Path) -> None:
    for network, others in (("branches", {"cutoff"}), ("final_wave", {"weight", "bias"}), ("chain", set())):
        chosen = settings(source, f"network={network}", "parameters=100", "rates.other=7", "rates.phase=5")
        wave, rate = clip(chosen)
        model = sine.build(chosen, wave, rate, torch.Generator())
        names = [name.rpartition(".")[2] for name, _ in model.named_parameters()]
        rates = dict(zip(names, (group["lr"] for group in optimizer(model, chosen.rates).param_groups), strict=False))
        assert {name for name, rate in rates.items() if rate == 7} == others
        if network == "chain":
            hidden = dict(model.named_parameters())["layers.0.amplitude"]
            lrs = [group["lr"] for group in optimizer(model, chosen.rates).param_groups if group["params"][0] is hidden]
            assert lrs == [3e-4] and rates["amplitude"] == 0.03  # the last layer's
        assert rates["frequency"] == 0.002 and (rates.get("phase", 5) == rates.get("hidden_phase", 5) == 5)


def test_the_clip(source: Path) -> None:
    wave, rate = clip(settings(source, "silence=0.01", "seconds=0.05"))
    assert (len(wave), rate, wave.dtype) == (400 + 2 * 80, RATE, torch.float32)
    assert (wave[:80] == 0).all() and (wave[-80 - 160 :] == 0).all()  # the recording is shorter than 0.05 s
    assert wave[80:480].square().mean().item() == pytest.approx(1, abs=1e-4)
    twice = np.repeat(audio.read(source / "tones.wav")[0], 2)
    (source / "twice.wav").write_bytes(audio.to_bytes(twice, 2 * RATE))
    resampled, rate = clip(settings(source, "recording=twice.wav"))
    assert (rate, len(resampled)) == (RATE, SAMPLES)
    assert torch.corrcoef(torch.stack([wave[80 : 80 + SAMPLES], resampled]))[0, 1] > 0.95


def test_its_experiments_fit_their_clip(source: Path) -> None:
    places = sorted(Path(__file__).parents[2].glob("configs/lab/waves_*.yaml"))
    assert len(places) == 5
    for place in places:
        for chosen in load(str(place)).configured([f"source={source}"]).values():
            model = sine.build(chosen, torch.ones(8000), RATE, torch.Generator())
            assert chosen.network == "fourier" or 0.9 * chosen.parameters < sine.count(model) <= chosen.parameters


def test_a_number_of_decibels() -> None:
    wave = torch.ones(100)
    assert snr(wave, 0.9 * wave) == pytest.approx(20, abs=0.01)
    assert snr(wave, 0 * wave) == 0 and snr(wave, wave) == 300


def test_between_the_samples() -> None:
    def tone(t: Tensor) -> Tensor:
        return (2 * math.pi * 0.5 * t + 1).sin()

    t = sine.times(160, RATE)
    assert torch.allclose(half_a_sample_later(tone(t)).float(), tone(t + 0.0625), atol=1e-3)


def test_the_best_phases_and_amplitudes_of_frequencies() -> None:
    t, frequencies = sine.times(300, RATE), torch.tensor([0.3, 0.7])
    wave = 2 * (2 * math.pi * 0.3 * t + 1).sin() - (2 * math.pi * 0.7 * t).cos()
    assert snr(wave, refitted(wave, t, frequencies)) > 60
    alike = torch.tensor([0.3, 0.7, 0.7])  # two at one place leave no single answer
    assert snr(wave, refitted(wave, t, alike)) > 60


def test_plot(source: Path, tmp_path: Path) -> None:
    results = []
    for network in ("sum", "fourier"):
        folder = tmp_path / network
        folder.mkdir()
        found, _ = run(folder, settings(source, f"network={network}"), steps=5)
        made = Result("waves", network, {}, found, 1.0, 5, 0, {}, None, "", Budget(), folder)
        results.append(made)
    waves.plot(results, tmp_path / "plot.png")
    assert image.imread(tmp_path / "plot.png").std() > 0.01


def test_what_does_not_fit_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="consecutive is 20; this loss needs at least 64"):
        settings(source, "consecutive=20", "loss.spectrogram=1")
    with pytest.raises(InputError, match=f"the clip has {SAMPLES} samples, fewer than a group"):
        run(tmp_path, settings(source, "consecutive=1000"))
    with pytest.raises(InputError, match=r"source holds no other\.wav"):
        clip(settings(source, "recording=other.wav"))
    (source / "silent.wav").write_bytes(audio.to_bytes(np.zeros(200, np.float32), RATE))
    with pytest.raises(InputError, match=r"silent\.wav: its first 0\.03 s are silent"):
        clip(settings(source, "recording=silent.wav"))
