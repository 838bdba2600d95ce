"""Pictures. They need matplotlib, which is an extra: ``pip install matplotlib``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.model_files.errors import one_line
from engine.network import Network

INK, MUTED, GRID = "#1f2933", "#616e7c", "#e4e7eb"
TRAINING, HELD_OUT = "#1f6feb", "#d1495b"
OUTPUT_0, OUTPUT_HALF, OUTPUT_1 = "#e8a598", "#f7f7f4", "#8fb8de"


# For users' texts, which matplotlib must not parse as mathematics: `$` is a dollar sign.
AS_IT_IS = {"parse_math": False, "usetex": False}


class Panel(NamedTuple):
    """One picture of `decision_regions`: a network with two inputs and one output."""

    title: str
    network: Network
    theta: NDArray[Any]


def new_figure(width: float, height: float) -> Any:
    """An empty figure, in inches."""
    # Not pyplot: it keeps global state and may ask for a screen.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def check_format(path: str | Path) -> None:
    """Raise ValueError if the ending of `path` is not that of a picture that can be drawn.

    Without matplotlib, which alone knows, any ending will do.
    """
    try:
        known = new_figure(1, 1).canvas.get_supported_filetypes()
    except ImportError:
        return
    ending = Path(path).suffix[1:].lower()
    if ending not in known:
        raise ValueError(
            f"{path}: a picture's file name must end in .{', .'.join(sorted(known))}; "
            f"got {ending!r}."
        )


def quiet(axes: Any) -> None:
    """Draw the axes' frame and ticks in pale colours."""
    axes.tick_params(colors=MUTED, labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)


def logarithmic(axes: Any) -> None:
    """Make both axes logarithmic, with plain numbers at 1, 2 and 5."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set(xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())


def decision_regions(
    panels: Sequence[Panel], X: NDArray[Any], Y: NDArray[Any], path: str | Path
) -> None:
    """Save a picture of each network's output over the x1-x2 plane, the samples on top.

    Parameters
    ----------
    panels : sequence of Panel
    X : ndarray (2, m)
    Y : ndarray (m,)
        0 or 1: the samples are drawn hollow or filled.
    path : str or Path
        File to write; its ending says the format, such as .png or .svg.

    Raises
    ------
    ImportError
        Without matplotlib.
    OSError
        When the file cannot be written.
    """
    from matplotlib.colors import LinearSegmentedColormap

    shade = LinearSegmentedColormap.from_list("output", [OUTPUT_0, OUTPUT_HALF, OUTPUT_1])
    figure = new_figure(4.0 * len(panels) + 0.8, 4.3)
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    line = np.linspace(-0.5, 1.5, 241)
    plane = np.stack([grid.ravel() for grid in np.meshgrid(line, line)])
    for axes, panel in zip(all_axes, panels, strict=True):
        output = panel.network.forward(panel.theta, plane)[0].reshape(line.size, line.size)
        shades = axes.pcolormesh(
            line, line, output, cmap=shade, vmin=0, vmax=1, shading="gouraud", rasterized=True
        )
        # Where the output is 1/2 all over, the line at 1/2 is rounding, not a boundary.
        if np.ptp(output) > 1e-3:
            axes.contour(line, line, output, levels=[0.5], colors=INK, linewidths=1.2)
        for value, face, label in ((0, "white", "y = 0"), (1, INK, "y = 1")):
            axes.scatter(
                *X[:, value == Y], s=80, c=face, edgecolors=INK, linewidths=1.5, label=label
            )
        axes.set_title(one_line(panel.title), fontsize=11, color=INK, **AS_IT_IS)
        axes.set_xlabel("x1", color=MUTED)
        axes.set(aspect="equal", xticks=[0, 1], yticks=[0, 1])
        quiet(axes)
    all_axes[0].set_ylabel("x2", color=MUTED)
    all_axes[0].legend(loc="upper left", fontsize=8, framealpha=0.9)
    bar = figure.colorbar(shades, ax=list(all_axes), shrink=0.85, ticks=[0, 0.5, 1])
    bar.set_label("output of the network", color=MUTED)
    bar.outline.set_visible(False)
    figure.savefig(path, dpi=144)


def learning_curve(history: dict[str, NDArray[np.float64]], title: str, path: str | Path) -> None:
    """Save a picture of the cost over the iterations, training and held-out.

    Parameters
    ----------
    history : dict of arrays
        `TrainResult.history`.
    title : str
        Shown as it is: `$` is a dollar.
    path : str or Path
        File to write; its ending says the format, such as .png or .svg.

    Raises
    ------
    ImportError
        Without matplotlib.
    OSError
        When the file cannot be written.
    """
    figure = new_figure(7.0, 4.2)
    axes = figure.subplots()
    curves = (
        ("training, penalty included", "cost", TRAINING),
        ("held-out", "validation_cost", HELD_OUT),
    )
    for label, name, colour in curves:
        cost = history[name]
        if cost.size:
            axes.plot(np.arange(1, cost.size + 1), cost, color=colour, linewidth=1.8, label=label)
    axes.set(xlabel="iteration", ylabel="cost J before the step")
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_color(MUTED)
    logarithmic(axes)
    axes.set_title(one_line(title), fontsize=11, color=INK, loc="left", **AS_IT_IS)
    axes.grid(True, color=GRID, linewidth=0.6)
    axes.legend(frameon=False)
    quiet(axes)
    figure.savefig(path, dpi=144)
