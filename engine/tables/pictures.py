"""Pictures of how a model learnt and how it does, by matplotlib, which is an extra."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.model_files.errors import one_line
from engine.plots import (
    AS_IT_IS,
    GRID,
    HELD_OUT,
    INK,
    MUTED,
    OUTPUT_1,
    OUTPUT_HALF,
    TRAINING,
    logarithmic,
    new_figure,
    quiet,
)
from engine.tables.scores import label_of

MOST_NUMBERED = 20  # classes whose counts are written out
MOST_NAMED = 40


def learning_curves(
    networks: Sequence[tuple[Sequence[float], Sequence[float]]],
    validation_name: str,
    title: str,
    path: Path,
) -> None:
    """Save the loss over the epochs, on training rows and on others, of each network."""
    figure = new_figure(7.0, 4.2)
    axes = figure.subplots()
    for number, network in enumerate(networks):
        named = (("training rows", TRAINING), (validation_name, HELD_OUT))
        for (label, colour), losses in zip(named, network, strict=True):
            if len(losses):
                epochs = np.arange(1, len(losses) + 1)
                said = label if number == 0 else "_"  # one line of the legend for all networks
                axes.plot(epochs, losses, color=colour, linewidth=1.2, label=said)
    logarithmic(axes)
    _name(axes, title, "epoch", "loss")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=144)


def confusion_matrix(y: NDArray[Any], predicted: NDArray[Any], title: str, path: Path) -> None:
    """Save how often each class was taken for each other one."""
    from matplotlib.colors import LinearSegmentedColormap

    labels = np.union1d(y, predicted)
    counts = np.zeros((len(labels), len(labels)), int)
    np.add.at(counts, (np.searchsorted(labels, y), np.searchsorted(labels, predicted)), 1)
    n_rows = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(max(3.2, 0.55 * len(labels)), 11.0)
    figure = new_figure(side + 2.2, side + 1.2)
    axes = figure.subplots()
    shade = LinearSegmentedColormap.from_list("share", [OUTPUT_HALF, OUTPUT_1, TRAINING])
    shades = axes.imshow(counts / n_rows, cmap=shade, vmin=0, vmax=1)
    if len(labels) <= MOST_NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if count > 0.75 * n_rows[row, 0] else INK if count else MUTED
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour)
    step = -(-len(labels) // MOST_NAMED)
    places, names = range(0, len(labels), step), [shown_name(label_of(label)) for label in labels]
    is_long = max(map(len, names)) > 3
    turned = {"rotation": 45 if is_long else 0, "ha": "right" if is_long else "center"}
    axes.set_xticks(places, names[::step], **turned, **AS_IT_IS)
    axes.set_yticks(places, names[::step], **AS_IT_IS)
    _name(axes, title, "predicted", "true")
    axes.grid(False)
    bar = figure.colorbar(shades, ax=axes, shrink=0.8, ticks=[0, 0.5, 1], format="{x:.0%}")
    bar.set_label("share of the true class's rows", color=MUTED)
    bar.ax.tick_params(colors=MUTED, labelsize=9)
    bar.outline.set_visible(False)
    figure.savefig(path, dpi=144)


def residuals(y: NDArray[Any], predicted: NDArray[Any], title: str, path: Path) -> None:
    """Save predictions beside true values, and the errors beside the predictions."""
    figure = new_figure(9.6, 4.4)
    beside, below = figure.subplots(1, 2)
    opacity = float(np.clip(300 / len(y), 0.05, 0.7))
    points = {"s": 18, "alpha": opacity, "edgecolors": "none", "rasterized": True, "c": TRAINING}
    ends = [min(y.min(), predicted.min()), max(y.max(), predicted.max())]
    beside.plot(ends, ends, color=INK, linewidth=1.0, label="predicted = true")
    beside.scatter(y, predicted, **points)
    beside.set_aspect("equal", adjustable="datalim")
    # Above the axes: within them it would lie on points.
    beside.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
    below.axhline(0, color=INK, linewidth=1.0)
    below.scatter(predicted, y - predicted, **points)
    figure.suptitle(one_line(title), fontsize=11, color=INK, x=0.01, ha="left", **AS_IT_IS)
    _name(beside, "", "true", "predicted")
    _name(below, "", "predicted", "true - predicted")
    figure.savefig(path, dpi=144)


def _name(axes: Any, title: str, x: str, y: str) -> None:
    axes.set_title(one_line(title), fontsize=11, color=INK, loc="left", **AS_IT_IS)
    axes.set_xlabel(x, color=MUTED)
    axes.set_ylabel(y, color=MUTED)
    axes.grid(True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    quiet(axes)


def shown_name(name: str, most: int = 18) -> str:
    """A class or a column as a picture names it: on one line, not too long, and never blank."""
    name = one_line(name) if name.strip() else repr(name)
    return name if len(name) <= most else f"{name[: most - 1]}…"
