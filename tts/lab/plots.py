"""Pictures that several kinds draw."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tts.core.files import atomic_write
from tts.core.plots import png
from tts.lab.experiment import Result
from tts.lab.loop import read_curve

SMOOTHED = 40
"""A curve is drawn as means of so many stretches."""
PANELS = 4
"""In a row."""


def curves(results: list[Result], path: Path, metric: str, label: str) -> None:
    """The loss over steps and over seconds as lines, and a metric of the evaluations as dots, of every run."""
    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for i, result in enumerate(results):
        points = read_curve(result.folder)
        parts = np.array_split(np.arange(len(points)), min(SMOOTHED, len(points)))
        losses = [np.mean([points[k].loss for k in part]) for part in parts]
        evaluated = [point for point in points if metric in point.metrics]
        for axis, name in zip(axes, ("step", "seconds"), strict=True):
            color = f"C{i % 10}"
            place = [np.mean([getattr(points[k], name) for k in part]) for part in parts]
            axis.plot(place, losses, color=color, linewidth=1, label=result.run)
            dots = [getattr(point, name) for point in evaluated]
            axis.plot(dots, [point.metrics[metric] for point in evaluated], "o", color=color, markersize=4)
            axis.set_xlabel(name)
            axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel(label)
    figure.suptitle("lines: running cost of the training; dots: evaluations", fontsize=9)
    axes[1].legend(frameon=False, fontsize=8)
    atomic_write(path, png(figure))


def gradients(results: list[Result], path: Path) -> None:
    """The norm of each parameter's gradient over steps, a panel a run; each of them logged some."""
    columns = min(PANELS, len(results))
    rows = -(-len(results) // columns)
    figure = Figure(figsize=(5.0 * columns, 6.0 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axis in axes.flat[len(results) :]:
        axis.remove()
    for axis, result in zip(axes.flat, results, strict=False):
        points = [point for point in read_curve(result.folder) if point.gradients]
        names = sorted(points[-1].gradients)
        for i, name in enumerate(names):
            norms = [point.gradients[name] for point in points]
            style = ("-", "--", ":")[i // 10 % 3]
            axis.semilogy([point.step for point in points], norms, style, color=f"C{i % 10}", linewidth=1, label=name)
        axis.set_title(result.run)
        axis.set_xlabel("step")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=6, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2)
    for axis in axes[:, 0]:
        axis.set_ylabel("norm of the gradient")
    atomic_write(path, png(figure))
