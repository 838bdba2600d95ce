"""The picture of all ratios: a line of dots a problem, a vertical line where both are equal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.comparison.figures import Curves, Figures, StartUp
from engine.comparison.report.axes import (
    LETTER,
    bounds,
    label_ends,
    logarithmic,
    note,
    room_for_ends,
    with_quartiles,
)
from engine.comparison.report.break_even import trainings
from engine.comparison.report.colours import GEMM_DASHES, GRID, INK, MUTED, Series
from engine.comparison.report.drawing import FONT_SIZE, NARROW, Picture, frame, picture, plain
from engine.comparison.report.formatting import duration
from engine.comparison.report.results import Result, losses, multiply_adds, standings, title_of
from engine.comparison.timing import Spread
from engine.comparison.training_timings import TrainingRow

LINE = 6  # pixels between two libraries of a problem


def ratios(figures: Figures, series: dict[str, Series]) -> Picture | None:
    """A dot for each problem and library, with a bar from quartile to quartile."""
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
        lambda width: _draw_ratios(width, rows, shown, others, base),
        key=others,
    )


def _draw_ratios(
    width: int, rows: list[str], shown: Sequence[Result], others: Sequence[Series], base: str
) -> Any:
    tall = max(26, LINE * len(others) + 8)
    names = rows
    if _room_ratios(names) > 0.36 * width:
        names, tall = [row.replace(" ", "\n") for row in rows], max(tall, 40)
    left = _room_ratios(names)
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


def _room_ratios(names: Sequence[str]) -> float:
    """Pixels for the longest line of the names."""
    return 16 + LETTER * max(len(line) for name in names for line in name.split("\n"))


GEMM = "at gemm's rate"


def sizes(rows: Sequence[TrainingRow], dtype: str, series: dict[str, Series]) -> Picture | None:
    """A line a library, of the rows of one dtype."""
    of_dtype = sorted((row for row in rows if row["dtype"] == dtype), key=multiply_adds)
    lines = {name: line for name in series if (line := _line_sizes(of_dtype, name))}
    if not lines:
        return None
    shown = [series[name] for name in lines]
    sized = f"{multiply_adds(of_dtype[0]):,.0f} to {multiply_adds(of_dtype[-1]):,.0f}"
    return picture(
        f"sizes-{dtype}",
        f"Line plot, log axes: microseconds a sample of {len(shown)} contenders in {dtype}, for "
        f"networks of {sized} multiply-adds a sample, and the line of what these multiply-adds "
        "take at the machine's gemm rate.",
        f"Time a sample against the network's size, {dtype}; bars from quartile to quartile. "
        "The dotted line is the arithmetic alone, at this machine's gemm rate in the same rounds: "
        "what is above it is not matrix products, or products slower than BLAS's.",
        lambda width: _draw_sizes(width, of_dtype, lines, series),
        key=shown,
        key_if_wide=False,
    )


def _line_sizes(rows: Sequence[TrainingRow], name: str) -> list[tuple[float, Spread]]:
    entries = ((row, row["entries"].get(name, {})) for row in rows)
    return [
        (multiply_adds(row), Spread(*entry["us_per_sample"]))
        for row, entry in entries
        if "us_per_sample" in entry
    ]


def _draw_sizes(
    width: int,
    rows: Sequence[TrainingRow],
    lines: dict[str, list[tuple[float, Spread]]],
    series: dict[str, Series],
) -> Any:
    is_narrow = width == NARROW
    right = room_for_ends([series[name].label for name in lines], is_narrow)
    figure, (axes,) = frame(width, [300 if is_narrow else 440], left=58, right=right, top=14)
    gemm = [(multiply_adds(r), r["rates"]["gemm_us_per_sample"]) for r in rows if r["rates"]]
    points = [point for line in lines.values() for point in line]
    logarithmic(axes, "x", [x for x, _ in points], crowded=is_narrow)
    times = [value for _, spread in points for value in spread] + [y for _, y in gemm]
    logarithmic(axes, "y", times)
    ends = []
    if gemm:
        axes.plot(*zip(*gemm, strict=True), color=INK, linewidth=1.5, dashes=GEMM_DASHES)
        ends.append((GEMM, INK, *gemm[-1], False))
    for number, (name, line) in enumerate(lines.items()):
        one = series[name]
        x = [size for size, _ in line]
        middle, low, high = zip(*(spread for _, spread in line), strict=True)
        axes.vlines(x, low, high, color=one.colour, linewidth=2)
        axes.plot(
            x,
            middle,
            color=one.colour,
            linewidth=one.width,
            linestyle=one.linestyle,
            marker=one.marker.name,
            markersize=6.5,
        )
        ends.append((one.label, one.colour, x[-1], middle[-1], number == 0))
    axes.set_xlabel("multiply-adds a sample, forward and backward")
    axes.set_ylabel("time a sample [µs]")
    if not is_narrow:
        label_ends(axes, ends)
    elif gemm:
        axes.annotate(
            GEMM,
            gemm[len(gemm) // 2],
            xytext=(8, -6),
            textcoords="offset points",
            va="top",
            color=INK,
            fontsize=FONT_SIZE - 1,
        )
    return figure


WIDE_RANGE = 5.0  # the costs' axis is logarithmic from here on: highest over lowest


class CurveLine(NamedTuple):
    """Costs after so many seconds; those before the first epoch are left out of a log axis."""

    seconds: list[float]
    costs: list[float]


def curves(
    found: Curves, number: int, start_up: Mapping[str, StartUp], series: dict[str, Series]
) -> Picture | None:
    """Side by side: training alone, and after the start-up with a warm cache where it is known."""
    lines = {name: line for name in series if (line := _line_curves(found, name))}
    if not lines:
        return None
    before = {
        name: one.first - one.epoch for name, one in trainings(start_up, "warm_cache").items()
    }
    panels = {"training alone": lines}
    later = {
        name: CurveLine([max(0.0, before[name]) + s for s in line.seconds], line.costs)
        for name, line in lines.items()
        if name in before
    }
    if later:
        panels["with the start of a process, warm cache"] = later
    said = "; ".join(
        f"{series[name].label} ends at {line.costs[-1]:.4g} after {duration(line.seconds[-1])}"
        for name, line in lines.items()
    )
    both = " Second: the same, after the start of a process." if later else ""
    return picture(
        f"curves-{number}",
        f"Line plot, log time axis: cost against seconds of training on {found['problem']}. "
        f"{said}.",
        f"{found['problem']}, {found['data']}, {found['dtype']}: mean cost on all training data "
        f"against wall time; a marker is the end of an epoch that was looked at.{both}",
        lambda width: _draw_curves(width, panels, series),
        key=[series[name] for name in lines],
    )


def _line_curves(found: Curves, name: str) -> CurveLine | None:
    one = found["entries"].get(name, {})
    if "failed" in one or "seconds" not in one or "costs" not in one:
        return None
    pairs = zip(one["seconds"], one["costs"], strict=True)
    # A cost that is not finite is null in a page's own file.
    kept = [(s, cost) for s, cost in pairs if s > 0 and cost is not None and math.isfinite(cost)]
    return CurveLine([s for s, _ in kept], [cost for _, cost in kept]) if kept else None


def _draw_curves(
    width: int, panels: Mapping[str, Mapping[str, CurveLine]], series: dict[str, Series]
) -> Any:
    is_narrow = width == NARROW
    tall = 240 if is_narrow else 340
    rows = len(panels) if is_narrow else 1
    figure, all_axes = frame(
        width, [tall] * rows, left=64, top=30, columns=1 if is_narrow else len(panels), gap=30
    )
    costs = [cost for lines in panels.values() for line in lines.values() for cost in line.costs]
    for number, (axes, (title, lines)) in enumerate(zip(all_axes, panels.items(), strict=True)):
        logarithmic(axes, "x", [s for line in lines.values() for s in line.seconds], crowded=True)
        if min(costs) > 0 and max(costs) / min(costs) > WIDE_RANGE:
            logarithmic(axes, "y", costs)
        for name, line in lines.items():
            one = series[name]
            axes.plot(
                line.seconds,
                line.costs,
                color=one.colour,
                linewidth=one.width,
                linestyle=one.linestyle,
                marker=one.marker.name,
                markersize=5.5,
                markevery=max(1, len(line.seconds) // 8),
            )
        axes.set_title(title, loc="left", fontsize=13, color=INK)
        axes.set_xlabel("wall time [s]")
        if number == 0 or is_narrow:
            axes.set_ylabel("mean cost")
        else:
            axes.tick_params(axis="y", labelleft=False)
            axes.set_ylim(all_axes[0].get_ylim())
    return figure
