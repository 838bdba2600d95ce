"""The front page of the site: what was measured, the headline lines, and where to go from here."""

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from engine.comparison.report import colours, drawing
from engine.comparison.report.axes import logarithmic
from tools.asv_runs import ROOT, git
from tools.history import COMMITS, chosen

WIDTH, HEIGHT = 470, 190  # of a picture
TEMPLATES = Path(__file__).resolve().parent / "pages"


@dataclass(frozen=True)
class Headline:
    """A picture: one benchmark over the kept commits, a line for each value of a parameter."""

    benchmark: str
    fixed: tuple[str, ...]  # values of parameters; the one that makes the lines is left out
    title: str
    unit: str
    scale: float  # from asv's unit to `unit`


HEADLINES = (
    Headline(
        "training.MinibatchAdam.time_epochs",
        ("20-100-1",),
        "Minibatch Adam, 20-100-1: 20 epochs",
        "milliseconds",
        1e3,
    ),
    Headline("fits.Fits.time_fit", ("digits",), "MLPClassifier: 8 epochs of digits", "ms", 1e3),
    Headline(
        "efficiency.Gradient.track_time_over_gemms",
        ("float64",),
        "J and its gradient: time / time at gemm's rate",
        "times",
        1,
    ),
    Headline(
        "startup.FirstCompile.timeraw_empty_cache",
        (),
        "First training in a new process, empty cache",
        "seconds",
        1,
    ),
)


@dataclass(frozen=True)
class Line:
    """A value of a parameter, and the figure on each commit; NaN where there is none."""

    label: str
    values: list[float]


def kept(results: Path, machine: str) -> dict[str, dict[str, Any]]:
    """The results of a machine by commit, as asv keeps them."""
    files = [p for p in (results / machine).glob("*.json") if p.name != "machine.json"]
    found = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(files))
    return {one["commit_hash"]: one for one in found}


def lines(headline: Headline, by_commit: dict[str, Any], commits: list[str]) -> list[Line]:
    """The lines of a headline, along those commits."""
    made: dict[str, list[float]] = {}
    for at, commit in enumerate(commits):
        for label, value in values_of(headline, by_commit[commit]):
            made.setdefault(label, [math.nan] * len(commits))[at] = value * headline.scale
    found = [Line(label, values) for label, values in made.items()]
    return [line for line in found if not all(map(math.isnan, line.values))]


def values_of(headline: Headline, result: dict[str, Any]) -> Iterable[tuple[str, float]]:
    """(label, value) of one commit's result for the benchmark of a headline."""
    entry = result["results"].get(headline.benchmark)
    if entry is None:
        return
    row = dict(zip(result["result_columns"], entry, strict=False))
    params = [[one.strip("'") for one in values] for values in row["params"]]
    for combination, value in zip(itertools.product(*params), row["result"] or [], strict=False):
        if all(one in combination for one in headline.fixed) and value is not None:
            label = ", ".join(one for one in combination if one not in headline.fixed)
            yield label, float(value)


def picture(headline: Headline, found: list[Line], names: list[str]) -> str:
    """An SVG: the figure against the commit, a line for each value of the parameter."""
    slug = headline.benchmark.split(".")[1].lower()
    return drawing.as_svg(partial(_drawn, headline, found, names), slug, headline.title)


def _drawn(headline: Headline, found: list[Line], names: list[str]) -> Any:
    figure, (axes,) = drawing.frame(WIDTH, [HEIGHT], left=56, top=30, bottom=104)
    for number, line in enumerate(found):
        axes.plot(
            range(len(names)),
            line.values,
            color=colours.stand_in(number),
            marker=colours.MARKERS[number].name,
            markersize=6,
            linewidth=1.8,
            dashes=colours.DASHES[number],
            label=line.label,
        )
    axes.set_title(headline.title, loc="left", fontsize=drawing.FONT_SIZE, fontweight="bold")
    axes.set_ylabel(headline.unit)
    logarithmic(axes, "y", [v for line in found for v in line.values if not math.isnan(v)])
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
    if len(found) > 1:
        place = {"loc": "upper left", "bbox_to_anchor": (-0.13, -0.42), "borderaxespad": 0}
        axes.legend(ncols=len(found), frameon=False, columnspacing=1, handletextpad=0.4, **place)
    return figure


def render(
    results: Path,
    machine: str,
    today: dict[str, Any],
    regressions: list[Any],
    pages: dict[str, str],
) -> str:
    """The page. `today` is about the commit that it is made of; `pages` links to what there is."""
    by_commit = kept(results, machine)
    order = [one for one in first_parents() if one in by_commit]
    whys = reasons(order)
    names = [commit[:7] for commit in order]
    pictures = [
        picture(headline, found, names)
        for headline in HEADLINES
        if (found := lines(headline, by_commit, order))
    ]
    about = json.loads((results / machine / "machine.json").read_text(encoding="utf-8"))
    requirements = by_commit[order[-1]]["requirements"] if order else {}
    return filled(
        "front.html",
        pictures=pictures,
        commits=[(commit[:7], whys.get(commit, "")) for commit in order],
        machine=about,
        requirements=requirements,
        today=today,
        regressions=regressions,
        pages=pages,
    )


def first_parents(root: Path = ROOT) -> list[str]:
    """The commits of HEAD's own line, oldest first."""
    return git("rev-list", "--first-parent", "--reverse", "HEAD", root=root).splitlines()


def reasons(order: list[str]) -> dict[str, str]:
    """Why commits were chosen, by their whole hashes; benchmarks/commits.txt has short ones."""
    whys = chosen(COMMITS.read_text(encoding="utf-8")).items()
    return {full: why for full in order for name, why in whys if full.startswith(name)}


def commits_page(commits: Iterable[Sequence[str]]) -> str:
    """Where asv's graphs lead to when a commit is clicked: hash, date and subject, newest first."""
    return filled("commits.html", commits=commits)


def filled(name: str, **values: Any) -> str:
    """A page of tools/pages/ with its values, in the colours of the comparison's page."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((TEMPLATES / name).read_text(encoding="utf-8"))
    return template.render(css=colours.style_sheet(), **values)
