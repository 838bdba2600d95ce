"""Pictures. They need matplotlib, which is an extra: ``pip install matplotlib``."""

import contextlib
from collections.abc import Mapping, Sequence
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


def search_scores(
    results: Mapping[str, Any], title: str, path: str | Path, parameters: Sequence[str] = ()
) -> None:
    """Save a picture of a search: the mean test score for each pair of two parameters' values.

    Darker is higher; the best has a frame. Where candidates differ in further parameters, a pair
    shows the best of them. After a search by halving, a pair shows its candidate's last round, and
    a second panel has a line for each candidate: its score round by round.

    Parameters
    ----------
    results : dict of arrays
        `cv_results_` of a search.
    title : str
        Shown as it is: `$` is a dollar.
    path : str or Path
        File to write; its ending says the format, such as .png or .svg.
    parameters : sequence of str, optional
        Names of the two, rows first, such as "alpha". Where not given, the two with several values.

    Raises
    ------
    ValueError
        If there are not two such parameters.
    ImportError
        Without matplotlib.
    OSError
        When the file cannot be written.
    """
    search_figure(results, title, parameters).savefig(path, dpi=144)


def search_figure(results: Mapping[str, Any], title: str, parameters: Sequence[str] = ()) -> Any:
    """The picture of `search_scores`, not saved."""
    rows, columns = _two_parameters(results, parameters)
    names = [_values(results, name) for name in (rows, columns)]
    by_halving = "iter" in results
    width = 1.6 + 0.9 * len(names[1])
    figure = new_figure(width + 4.5 * by_halving, 1.4 + 0.6 * max(len(names[0]), 4))
    panels = figure.subplots(
        1, 1 + by_halving, squeeze=False, width_ratios=[width, 4.5][: 1 + by_halving]
    )[0]
    _heat_map(panels[0], results, (rows, columns), names)
    if by_halving:
        _rounds(panels[1], results)
    figure.suptitle(one_line(title), fontsize=11, color=INK, **AS_IT_IS)
    return figure


def _two_parameters(results: Mapping[str, Any], wanted: Sequence[str]) -> list[str]:
    """Their keys in the results."""
    keys = [key for key in results if key.startswith("param_")]
    found = [key for key in keys if _short(key) in wanted or key.removeprefix("param_") in wanted]
    if not wanted:
        varied = [key for key in keys if len(_values(results, key)) > 1]
        found = [key for key in varied if not _is_resource(results, key)]
    if len(found) != 2:
        listed = ", ".join(map(_short, keys))
        raise ValueError(
            f"a picture of a search needs two parameters; of {listed}, {len(found)} "
            f"{'are meant' if wanted else 'take more than one value'}. Pass parameters=(rows, "
            "columns)."
        )
    return sorted(found, key=lambda key: list(wanted).index(_short(key))) if wanted else found


def _is_resource(results: Mapping[str, Any], key: str) -> bool:
    """Whether it is what halving varies, such as max_iter."""
    return np.array_equal(results[key], results.get("n_resources", ()))


def _short(key: str) -> str:
    """
    >>> _short("param_mlpclassifier__alpha")
    'alpha'
    """
    return key.removeprefix("param_").rpartition("__")[2]


def _values(results: Mapping[str, Any], key: str) -> list[str]:
    """The values that candidates have, as they are written beside the picture, in their order."""
    values = [value for value in results[key] if value is not np.ma.masked]
    with contextlib.suppress(TypeError):  # some have no order
        values.sort()
    return list(dict.fromkeys(map(_written, values)))


def _written(value: Any) -> str:
    """
    >>> _written((16, 8)), _written(0.0001), _written("tanh")
    ('16-8', '0.0001', 'tanh')
    """
    if isinstance(value, list | tuple):
        return "-".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else one_line(str(value))


def _heat_map(
    axes: Any, results: Mapping[str, Any], keys: Sequence[str], names: Sequence[list[str]]
) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    scores = np.full([len(of_one) for of_one in names], np.nan)
    rounds = np.full(scores.shape, -1)
    for number, mean in enumerate(results["mean_test_score"]):
        values = [results[key][number] for key in keys]
        if any(value is np.ma.masked for value in values):
            continue
        place = tuple(of.index(_written(one)) for of, one in zip(names, values, strict=True))
        turn = results["iter"][number] if "iter" in results else 0
        if turn > rounds[place] or (turn == rounds[place] and not mean <= scores[place]):
            scores[place], rounds[place] = mean, turn
    shade = LinearSegmentedColormap.from_list("score", [OUTPUT_HALF, OUTPUT_1])
    axes.imshow(scores, cmap=shade, aspect="auto")
    last = rounds == rounds.max()
    best = np.nanargmax(np.where(last, scores, np.nan)) if np.isfinite(scores[last]).any() else -1
    for number, (place, score) in enumerate(np.ndenumerate(scores)):
        text = f"{score:.3f}" if np.isfinite(score) else "failed" if rounds[place] >= 0 else ""
        if "iter" in results and text:
            text += f"\nround {rounds[place] + 1}"
        weight = "bold" if number == best else "normal"
        axes.text(*place[::-1], text, ha="center", va="center", color=INK, size=9, weight=weight)
    if best >= 0:
        from matplotlib.patches import Rectangle

        row, column = np.unravel_index(best, scores.shape)
        frame = Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, ec=INK, lw=2, clip_on=False)
        axes.add_patch(frame)
    for axis, key, of_one in zip((axes.yaxis, axes.xaxis), keys, names, strict=True):
        axis.set_ticks(range(len(of_one)), of_one, **AS_IT_IS)
        axis.set_label_text(_short(key), color=MUTED, **AS_IT_IS)
    quiet(axes)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _rounds(axes: Any, results: Mapping[str, Any]) -> None:
    """A line a candidate: mean test score over the resources of its rounds."""
    keys = [key for key in results if key.startswith("param_") and not _is_resource(results, key)]
    lines: dict[str, list[tuple[float, float]]] = {}
    for number, score in enumerate(results["mean_test_score"]):
        candidate = str([results[key][number] for key in keys])
        lines.setdefault(candidate, []).append((results["n_resources"][number], score))
    longest = max(map(len, lines.values()))
    for points in lines.values():
        stays = len(points) == longest
        style = {"color": TRAINING, "zorder": 3} if stays else {"color": MUTED, "alpha": 0.6}
        axes.plot(*np.transpose(points), marker="o", markersize=4, linewidth=1.4, **style)
    axes.set_xlabel("resources of a round", color=MUTED)
    axes.set_ylabel("mean test score", color=MUTED)
    axes.set_xscale("log")
    resources = sorted(set(results["n_resources"]))
    axes.set_xticks(resources, map(str, resources))
    axes.set_xticks([], minor=True)
    axes.grid(True, color=GRID, linewidth=0.6)
    quiet(axes)
