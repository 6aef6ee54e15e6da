"""The plots of a report, as PNG bytes. Letters: T samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tts.core.plots import png
from tts.evaluation.utterance import Unit
from tts.voice import Audio

COLORS = {"voice": "#1f6feb", "ground_truth": "#6e7781", "baseline": "#d97706"}
SPECTROGRAM_WINDOW = 256


def errors_by_split(
    splits: Mapping[str, Mapping[str, Any]],
    colors: Mapping[str, str] = COLORS,
    unit: Unit = "digit",
    ylabel: str = "",
) -> bytes:
    """Error of each system on each split, with its interval; `colors` has the systems in order."""
    figure = Figure(figsize=(8.5, 3.4), layout="constrained")
    axis = figure.subplots()
    systems = [system for system in colors if any(system in part for part in splits.values())]
    width = 0.8 / len(systems)
    for number, system in enumerate(systems):
        shown = [(place, part[system]) for place, part in enumerate(splits.values()) if system in part]
        value, spread = errors_and_spreads([metrics for _, metrics in shown], unit)
        place = np.array([place for place, _ in shown]) + width * (number - (len(systems) - 1) / 2)
        axis.bar(place, value, width, yerr=spread, capsize=2, color=colors[system], label=system)
    axis.set_xticks(range(len(splits)), list(splits))
    axis.set(ylabel=ylabel or f"{unit} error, %", ylim=(0, None))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, ncols=len(systems), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return png(figure)


def errors_and_spreads(metrics: Sequence[Mapping[str, Any]], unit: Unit = "digit") -> tuple[np.ndarray, np.ndarray]:
    """Errors (n,) in per cent, and how far their intervals go below and above: (2, n)."""
    value = 100 * np.array([one[f"{unit}_error"] for one in metrics])
    interval = 100 * np.array([one[f"{unit}_error_95"] for one in metrics])
    return value, np.maximum(np.abs(interval - value[:, None]).T, 0)


def errors_along(splits: Mapping[str, Mapping[str, Any]], breakdown: str, key: str, label: str) -> bytes:
    """Error by length or by position: one panel a split, a line a system."""
    columns = min(4, len(splits))
    rows = -(-len(splits) // columns)
    figure = Figure(figsize=(2.4 * columns + 0.6, 2.3 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axis in axes.flat[len(splits) :]:
        axis.set_visible(False)
    for axis, (name, systems) in zip(axes.flat, splits.items(), strict=False):
        for system in systems_of({name: systems}):
            values = systems[system][breakdown]
            place = [int(text) for text in values]
            error = np.array([100 * part[key] for part in values.values()])
            interval = 100 * np.array([part[f"{key}_95"] for part in values.values()])
            axis.fill_between(place, *interval.T, color=COLORS[system], alpha=0.15, linewidth=0)
            axis.plot(place, error, "o-", color=COLORS[system], label=system, markersize=3.5)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel(label, fontsize=8)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.spines[["top", "right"]].set_visible(False)
    axes.flat[0].set_ylim(bottom=0)  # they share it
    for axis in axes[:, 0]:
        axis.set_ylabel("error, %", fontsize=8)
    axes.flat[0].legend(frameon=False, fontsize=7)
    return png(figure)


def spectrogram(wave: np.ndarray, sample_rate: int) -> bytes:
    """A wave (T,) as a spectrogram, 0 to half the sample rate, 80 dB below its loudest."""
    seconds = max(len(wave), 2 * SPECTROGRAM_WINDOW) / sample_rate
    figure = Figure(figsize=(min(9.0, 1.2 + 1.8 * seconds), 1.5), layout="constrained")
    axis = figure.subplots()
    draw_spectrogram(axis, wave, sample_rate)
    axis.tick_params(labelsize=6)
    return png(figure, dpi=80)


def draw_spectrogram(axis: Axes, wave: np.ndarray, sample_rate: int) -> None:
    """Draw the spectrogram of a wave (T,) on an axis: seconds, 0 to half the sample rate, 80 dB below its loudest."""
    padded = np.pad(wave.astype(np.float64), (0, max(0, 2 * SPECTROGRAM_WINDOW - len(wave))))
    # Digital silence would be minus infinity decibels; a dither of -100 dB is not seen.
    padded = padded + np.random.default_rng(0).normal(0, 1e-5, len(padded))
    power, _, _, image = axis.specgram(padded, NFFT=SPECTROGRAM_WINDOW, noverlap=192, Fs=sample_rate, cmap="magma")
    loudest = 10 * np.log10(power.max())
    image.set_clim(loudest - 80, loudest)
    ticks = {0: "0", sample_rate / 4: f"{sample_rate / 4000:g}", sample_rate / 2: f"{sample_rate / 2000:g} kHz"}
    axis.set_yticks([*ticks], [*ticks.values()])


def spectrogram_pairs(pairs: Sequence[tuple[str, np.ndarray, Audio]]) -> bytes:
    """A row for each title, recorded wave (T,) and spoken audio of one text: spectrograms, ends of words marked."""
    figure = Figure(figsize=(10, 2.2 * len(pairs)), layout="constrained")
    axes = figure.subplots(len(pairs), 2, squeeze=False)
    for (title, recorded, said), (left, right) in zip(pairs, axes, strict=True):
        draw_spectrogram(left, recorded, said.sample_rate)
        draw_spectrogram(right, said.samples, said.sample_rate)
        for end in said.word_ends:
            right.axvline(end / said.sample_rate, color="white", linewidth=0.6)
        left.set_title(f"{title} (recorded)", fontsize=9)
        right.set_title(f"{title} (spoken, {said.stop_reason})", fontsize=9)
    return png(figure, dpi=80)


def training_curve(minutes: Sequence[float], errors: Sequence[float], title: str) -> bytes:
    """Digit error, a share, against minutes of training, on a logarithmic scale from 0.1 %."""
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axis = figure.subplots()
    axis.plot(minutes, np.maximum(100 * np.asarray(errors), 0.1), marker="o", markersize=3, color=COLORS["voice"])
    axis.axhline(5, color="#888888", linewidth=0.8, linestyle=":")
    axis.set(xlim=(0, None), xlabel="minutes", yscale="log", ylabel="digit error on unseen combinations, %")
    axis.set_yticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    axis.set_title(title, fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    return png(figure, dpi=100)


def systems_of(splits: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """The systems that a report has, in the order of `COLORS`."""
    present = {system for part in splits.values() for system in part}
    return [system for system in COLORS if system in present]
