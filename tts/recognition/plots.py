"""Confusion matrices as a plot."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from tts.core.plots import png

LABELS = [*map(str, range(10)), "-"]
"""Of the rows and columns of a confusion matrix; "-" for nothing."""


def confusions(tables: Mapping[str, np.ndarray]) -> bytes:
    """Confusion matrices, (11, 11) counts by title: rows said, columns recognized, "-" for nothing; shares as shade."""
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
        axis.set_xlabel("recognized (-: missed)", fontsize=8)
        axis.set_ylabel("said (-: added)", fontsize=8)
    return png(figure)
