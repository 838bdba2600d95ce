"""The pictures of docs/tables-compared.md: scores table by table, and scores against seconds."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.comparison.report.colours import MARKERS, SERIES_LIGHT
from engine.comparison.table_libraries import ENGINE, TABLE_LIBRARIES
from engine.comparison.table_results import label, names_in
from engine.comparison.table_summary import margins, normalised, standings
from engine.comparison.table_timings import TableRow
from engine.plots import AS_IT_IS, GRID, INK, MUTED, new_figure, quiet

MOST = 1.5  # a score above it is drawn there


def look(name: str) -> dict[str, Any]:
    """Marker and colour of a library: the same in all pictures, whoever takes part."""
    number = list(TABLE_LIBRARIES).index(name)
    size = 8.5 if name == ENGINE else 6.5
    return {
        "marker": MARKERS[number % len(MARKERS)].name,
        "color": SERIES_LIGHT[number % len(SERIES_LIGHT)],
        "markersize": size,
        "markeredgecolor": "white",
        "markeredgewidth": 0.8,
        "linestyle": "none",
        "zorder": 4 if name == ENGINE else 3,
        "clip_on": False,
    }


def scores_figure(rows: Sequence[TableRow]) -> Any:
    """A line for each table, the worst loss of ours on top: normalised scores of all libraries.

    Parameters
    ----------
    rows : sequence of TableRow

    Returns
    -------
    matplotlib.figure.Figure
    """
    ordered = [each.row for each in margins(rows)]
    found = [normalised(row) for row in ordered]
    figure = new_figure(8.4, 1.3 + 0.3 * len(ordered))
    axes = figure.subplots()
    for place, scores in enumerate(found):
        inside = [min(MOST, score) for score in scores.values()]
        axes.plot([min(inside), max(inside)], [place, place], color=GRID, linewidth=2, zorder=1)
    for name in names_in(ordered):
        places = [place for place, scores in enumerate(found) if name in scores]
        values = [min(MOST, scores[name]) for scores in found if name in scores]
        axes.plot(values, places, label=label(name), **look(name))
    axes.set_yticks(range(len(ordered)), [row["table"] for row in ordered], **AS_IT_IS)
    axes.set_ylim(len(ordered) - 0.4, -0.6)
    axes.set_xlim(-0.03, max(1.0, *(min(MOST, max(one.values())) for one in found)) + 0.03)
    axes.set_xlabel("normalised score: 0 the worst, 1 the best on the table", color=MUTED)
    axes.grid(True, axis="x", color=GRID, linewidth=0.6)
    quiet(axes)
    axes.tick_params(axis="y", colors=INK, length=0)
    figure.legend(loc="outside upper center", ncols=6, frameon=False, fontsize=9, handletextpad=0.2)
    return figure


def seconds_figure(rows: Sequence[TableRow]) -> Any:
    """Mean score of each library against its seconds of fit; its tables as small dots.

    Parameters
    ----------
    rows : sequence of TableRow

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.ticker import NullLocator

    figure = new_figure(8.4, 4.2)
    axes = figure.subplots()
    standing = {one.name: one for one in standings(rows) if one.seconds is not None}
    means = []
    for name, one in standing.items():
        shown = [row for row in rows if "splits" in row["entries"].get(name, {})]
        times = [_a_thousand_rows(row, name) for row in shown]
        scores = [min(MOST, normalised(row)[name]) for row in shown]
        colour = look(name)["color"]
        axes.scatter(times, scores, s=10, color=colour, alpha=0.35, linewidths=0, zorder=2)
        # The mean of logarithms: most tables' seconds lie around it.
        middle = math.exp(float(np.mean(np.log(times))))
        axes.plot([middle], [one.score], **{**look(name), "markersize": 12})
        means.append((middle, one.score, name))
    for middle, score, name in means:
        crowded = any(
            other != name and score < above <= score + 0.08 and 0.4 < at / middle < 2.5
            for at, above, other in means
        )
        axes.annotate(
            label(name),
            (middle, score),
            xytext=(0, -13 if crowded else 9),
            textcoords="offset points",
            ha="center",
            va="top" if crowded else "bottom",
            fontsize=10,
            color=INK,
            zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.5, "pad": 0.5},
        )
    axes.set(xscale="log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("seconds of fit for 1,000 training rows, one thread", color=MUTED)
    axes.set_ylabel("normalised score (mean; dots: tables)", color=MUTED)
    axes.grid(True, color=GRID, linewidth=0.6)
    axes.margins(x=0.12)
    axes.set_ylim(-0.06, max(1.0, *(score for _, score, _ in means)) + 0.14)
    quiet(axes)
    return figure


def _a_thousand_rows(row: TableRow, name: str) -> float:
    splits = row["entries"][name]["splits"]
    return 1e3 * float(np.median([split["seconds"] for split in splits])) / row["train_rows"]


def save(figure: Any, path: Path) -> None:
    """Save a picture, with the same bytes each time.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : Path
    """
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "engine"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=144)
