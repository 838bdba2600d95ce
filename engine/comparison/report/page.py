"""The report page: from a comparison's figures to one HTML file that needs nothing else."""

import base64
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.comparison import goal_timings
from engine.comparison.figures import Figures, StartUp
from engine.comparison.report import colours, results
from engine.comparison.report.break_even import CACHES, break_even, in_words, totals, trainings
from engine.comparison.report.colours import all_series
from engine.comparison.report.drawing import Picture, require_drawing
from engine.comparison.report.formatting import digits, duration, durations, moment, quartiles
from engine.comparison.report.resource_pictures import MEGABYTE, counts, memory, scaling, start_up
from engine.comparison.report.results import distance, multiply_adds
from engine.comparison.report.results_table import row_table
from engine.comparison.report.speed_pictures import curves, ratios, sizes
from engine.comparison.tables import finite
from engine.comparison.timing import Spread

HERE = Path(__file__).parent


def render(figures: Figures) -> str:
    """The page as text. The same figures give the same page.

    Raises
    ------
    ImportError
        Without jinja2 or matplotlib.
    """
    require_drawing()
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "digits": digits,
        "duration": duration,
        "durations": durations,
        "moment": moment,
        "cost": _cost,
        "spread": lambda values: Spread(*values),
        "quartiles": quartiles,
        "megabytes": lambda value: f"{value / MEGABYTE:,.1f}",
        "data_link": lambda text: base64.b64encode(text.encode()).decode(),
    }
    return environment.get_template("page.html.jinja").render(_said(figures))


def _said(figures: Figures) -> dict[str, Any]:
    """All that the template shows; a part that is absent is None or empty."""
    series = all_series(figures)
    base = results.base_of(figures)
    rows = figures.get("training", [])
    sized = figures.get("sizes", [])
    found = figures.get("start_up", {})
    found_standings = results.standings(figures) if rows else []
    labels = {name: one["label"] for name, one in figures["contenders"].items()}
    return {
        "figures": figures,
        "style": (HERE / "page.css").read_text(encoding="utf-8"),
        "variables": colours.style_sheet(),
        "series": series,
        "labels": labels,
        "base": base,
        "title": results.title(figures),
        "headline": results.headline(figures) if rows else "",
        "standings": found_standings,
        "dtypes": list(dict.fromkeys(row["dtype"] for row in rows)),
        "losses": results.losses(found_standings),
        "rows": row_table(rows, figures["contenders"], base) if rows else None,
        "ratio_picture": ratios(figures, series) if rows else None,
        "distance_of_rows": distance(rows, base, labels[base]),
        "sizes": row_table(sized, figures["contenders"], base) if sized else None,
        "multiply_adds": [f"{multiply_adds(row):,.0f}" for row in sized],
        "size_pictures": _each(sizes(sized, dtype, series) for dtype in _dtypes(sized)),
        "distances": [text for name in labels if (text := distance(sized, name, labels[name]))],
        "start_up": found,
        "start_up_picture": start_up(found, series),
        "break_even": _break_even(found, base),
        "total_pictures": _each(totals(found, base, cache, series) for cache in CACHES),
        "curve_parts": [
            (one, curves(one, number, found, series))
            for number, one in enumerate(figures.get("curves", []))
        ],
        "goals": figures.get("goals", []),
        "goal_base": goal_timings.BASE,
        "goal_terms": goal_timings.ON_EQUAL_TERMS,
        "memory_parts": [
            (one, memory(one, number, series))
            for number, one in enumerate(figures.get("memory", []))
        ],
        "thread_parts": [
            (one, counts(one), scaling(one, number, series))
            for number, one in enumerate(figures.get("threads", []))
        ],
        "data": json.dumps(finite(figures), indent=1, allow_nan=False),
    }


def _each(made: Any) -> list[Picture]:
    return [one for one in made if one is not None]


def _dtypes(rows: Any) -> list[str]:
    return list(dict.fromkeys(row["dtype"] for row in rows))


def _break_even(found: Mapping[str, StartUp], base: str) -> dict[str, dict[str, tuple[str, str]]]:
    """By library and cache: when the base is ahead, and the time that the epochs take."""
    said: dict[str, dict[str, tuple[str, str]]] = {}
    for cache in CACHES:
        known = trainings(found, cache)
        for name, one in known.items():
            if base in known and name != base:
                when = break_even(known[base], one)
                after = "" if when.seconds is None else duration(when.seconds)
                said.setdefault(name, {})[cache] = in_words(when), after
    return said


def _cost(value: float | None) -> str:
    return "not finite" if value is None or not math.isfinite(value) else f"{value:#.4g}"
