"""The picture of all ratios: a line of dots a problem, a vertical line where both are equal."""

import math
from collections.abc import Sequence
from typing import Any

from engine.comparison.figures import Figures
from engine.comparison.report.axes import LETTER, bounds, logarithmic, note, with_quartiles
from engine.comparison.report.colours import GRID, INK, MUTED, Series
from engine.comparison.report.drawing import FONT_SIZE, NARROW, Picture, frame, picture, plain
from engine.comparison.report.standing import Result, losses, standings, title_of

LINE = 6  # pixels between two contenders of a problem


def ratios(figures: Figures, series: dict[str, Series]) -> Picture | None:
    """A dot for each problem and contender, with a bar from quartile to quartile."""
    found = standings(figures)
    shown = [result for standing in found for result in standing.results]
    if not shown:
        return None
    base = next(iter(series.values())).label
    rows = [title_of(row) for row in figures["training"]]
    n_rows, behind = len(rows), len(losses(found))
    others = [series[standing.name] for standing in found if standing.results]
    return picture(
        "ratios",
        f"Dot plot, log axis: the time of {len(others)} contenders over that of {base}, on "
        f"{n_rows} problems. {len(shown) - behind} of {len(shown)} dots are at 1 or right of it, "
        f"where {base} is faster; {behind} are left of it.",
        f"Time a sample over {base}'s: medians of the rounds' ratios, and their quartiles. "
        f"Right of the line {base} is faster, left of it slower.",
        lambda width: _draw(width, rows, shown, others, base),
        key=others,
    )


def _draw(
    width: int, rows: list[str], shown: Sequence[Result], others: Sequence[Series], base: str
) -> Any:
    tall = max(26, LINE * len(others) + 8)
    names = rows
    if _room(names) > 0.36 * width:
        names, tall = [row.replace(" ", "\n") for row in rows], max(tall, 40)
    left = _room(names)
    figure, (axes,) = frame(width, [tall * len(rows)], left=left, top=48)
    values = [value for result in shown for value in result.ratio]
    logarithmic(axes, "x", [*values, 1.0], crowded=width == NARROW)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [plain(name) for name in names])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.grid(False, axis="y")
    for edge in range(1, len(rows)):
        axes.axhline(edge - 0.5, color=GRID, linewidth=1, zorder=1)
    axes.axvline(1, color=INK, linewidth=1.5, zorder=2)
    offsets = {one.name: (k - (len(others) - 1) / 2) * LINE / tall for k, one in enumerate(others)}
    places = {row: place for place, row in enumerate(rows)}
    by_name = {one.name: one for one in others}
    for result in shown:
        place = places[f"{result.problem} {result.dtype}"] + offsets[result.name]
        middle, low, high = result.ratio
        with_quartiles(axes, middle, place, low, high, by_name[result.name])
    low, high = bounds([*values, 1.0])
    axes.tick_params(axis="x", labeltop=True)
    above = -0.5 - 24 / tall
    note(axes, 1, above, "equal", va="bottom", ha="center", color=INK)
    slower, faster = "\N{LEFTWARDS ARROW} slower", f"{base} faster \N{RIGHTWARDS ARROW}"
    inner = width - left
    room_left = inner * math.log(1 / low) / math.log(high / low) - 3 * LETTER
    if room_left > LETTER * len(slower):
        note(axes, low, above, slower, va="bottom", ha="left")
    if inner - room_left - 6 * LETTER > LETTER * len(faster):
        note(axes, high, above, faster, va="bottom", ha="right")
    for row in set(rows) - {f"{result.problem} {result.dtype}" for result in shown}:
        axes.annotate(
            "no ratio: see the table",
            (1, places[row]),
            xytext=(8, 0),
            textcoords="offset points",
            va="center_baseline",
            color=MUTED,
            fontsize=FONT_SIZE - 1,
        )
    axes.set_xlabel("time / base's" if width == NARROW else f"time a sample / {plain(base)}'s")
    return figure


def _room(names: Sequence[str]) -> float:
    """Pixels for the longest line of the names."""
    return 16 + LETTER * max(len(line) for name in names for line in name.split("\n"))
