"""The report's pictures, as PNG bytes. Letters: T samples."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {"voice": "#1f6feb", "ground_truth": "#6e7781", "baseline": "#d97706"}
LABELS = [*map(str, range(10)), "-"]
SPECTROGRAM_WINDOW = 256


def png(figure: Figure, dpi: int = 90) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def errors_by_split(splits: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Digit error of each system on each split, with its interval."""
    figure = Figure(figsize=(8.5, 3.2), layout="constrained")
    axis = figure.subplots()
    systems = systems_of(splits)
    width = 0.8 / len(systems)
    for number, system in enumerate(systems):
        shown = [(place, part[system]) for place, part in enumerate(splits.values()) if system in part]
        value = 100 * np.array([metrics["digit_error"] for _, metrics in shown])
        interval = 100 * np.array([metrics["digit_error_95"] for _, metrics in shown])
        spread = np.maximum(np.abs(interval - value[:, None]).T, 0)
        place = np.array([place for place, _ in shown]) + width * (number - (len(systems) - 1) / 2)
        axis.bar(place, value, width, yerr=spread, capsize=3, color=COLOURS[system], label=system)
    axis.set_xticks(range(len(splits)), list(splits))
    axis.set_ylabel("digit error, %")
    axis.set_ylim(bottom=0)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    return png(figure)


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
            axis.fill_between(place, *interval.T, color=COLOURS[system], alpha=0.15, linewidth=0)
            axis.plot(place, error, "o-", color=COLOURS[system], label=system, markersize=3.5)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel(label, fontsize=8)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.spines[["top", "right"]].set_visible(False)
    axes.flat[0].set_ylim(bottom=0)  # they share it
    for axis in axes[:, 0]:
        axis.set_ylabel("error, %", fontsize=8)
    axes.flat[0].legend(frameon=False, fontsize=7)
    return png(figure)


def confusions(tables: Mapping[str, np.ndarray]) -> bytes:
    """Confusion matrices, (11, 11) counts by title: rows said, columns heard, "-" for nothing; shares as shade."""
    columns = min(3, len(tables))
    rows = -(-len(tables) // columns)
    figure = Figure(figsize=(3.6 * columns, 3.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(tables) :]:
        axis.set_visible(False)
    for axis, (title, table) in zip(axes.flat, tables.items(), strict=False):
        share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row, column in zip(*np.nonzero(table), strict=True):
            color = "white" if share[row, column] > 0.5 else "black"
            axis.text(column, row, table[row, column], ha="center", va="center", fontsize=6.5, color=color)
        axis.set(xticks=range(11), yticks=range(11), xticklabels=LABELS, yticklabels=LABELS)
        axis.tick_params(labelsize=7, length=0)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("heard (-: missed)", fontsize=8)
        axis.set_ylabel("said (-: added)", fontsize=8)
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
    axis.set_yticks(
        [0, sample_rate / 4, sample_rate / 2], ["0", f"{sample_rate / 4000:g}", f"{sample_rate / 2000:g} kHz"]
    )


def systems_of(splits: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """The systems that a report has, in the order of `COLOURS`."""
    present = {system for part in splits.values() for system in part}
    return [system for system in COLOURS if system in present]
