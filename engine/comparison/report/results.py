"""Who wins, who loses and by how much: from the rows of the named problems."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import NamedTuple

from engine.comparison.figures import Figures
from engine.comparison.libraries import Library
from engine.comparison.problems import flops_per_sample, sizes_of
from engine.comparison.report.formatting import digits, joined
from engine.comparison.tables import count
from engine.comparison.timing import Spread, geometric_mean
from engine.comparison.training_timings import TrainingEntry, TrainingRow


class NoRatio(NamedTuple):
    """Why a library has no ratio in a row."""

    kind: str  # "failed", "too long", "void", "missing", "not measured", "no ratio"
    reason: str


class Result(NamedTuple):
    """A library's time in units of the base's, on one problem."""

    name: str
    problem: str
    dtype: str
    ratio: Spread

    @property
    def is_behind(self) -> bool:
        """Whether the base is."""
        return self.ratio.median < 1

    @property
    def is_close(self) -> bool:
        """Whether 1 lies between the quartiles."""
        return self.ratio.low <= 1 <= self.ratio.high


class Standing(NamedTuple):
    """A library against the base, over all problems; the results are in order of their ratios."""

    name: str
    results: list[Result]
    by_dtype: dict[str, float]  # geometric means of the ratios
    mean: float | None

    @property
    def ahead(self) -> int:
        """Rows on which the base is ahead."""
        return sum(result.ratio.median > 1 for result in self.results)

    @property
    def behind(self) -> int:
        return sum(result.is_behind for result in self.results)

    @property
    def close(self) -> int:
        return sum(result.is_close for result in self.results)


def base_of(figures: Figures) -> str:
    """The library that the others are compared with."""
    return next(iter(figures["contenders"]))


def title_of(row: TrainingRow) -> str:
    """A row's network and dtype."""
    return f"{row['problem']} {row['dtype']}"


def mark(row: TrainingRow, name: str, library: Library, base: str) -> NoRatio | None:
    """Why there is no ratio, or None where there is one (or, of the base itself, a time)."""
    entry = row["entries"].get(name, TrainingEntry())
    if "failed" in entry:
        reason = entry["failed"]
        return NoRatio("too long" if "too long" in reason.lower() else "failed", reason)
    if "void" in entry:
        return NoRatio("void", entry["void"])
    if "us_per_sample" not in entry:
        missing = library.get("missing")
        return (
            NoRatio("missing", missing)
            if missing
            else NoRatio("not measured", "it has no time here")
        )
    if name != base and (row["base"] != base or "ratio" not in entry):
        return NoRatio("no ratio", "there is no time to compare it with")
    return None


def results(rows: Sequence[TrainingRow], base: str) -> Iterator[Result]:
    """Every ratio that counts."""
    for row in rows:
        if row["base"] != base:
            continue
        for name, entry in row["entries"].items():
            if name != base and "ratio" in entry:
                ratio = Spread(*entry["ratio"])
                yield Result(name, row["problem"], row["dtype"], ratio)


def standings(figures: Figures) -> list[Standing]:
    """Of every library but the base, also of those without any result."""
    rows, base = figures.get("training", []), base_of(figures)
    found = list(results(rows, base))
    dtypes = list(dict.fromkeys(row["dtype"] for row in rows))
    made = []
    for name in figures["contenders"]:
        if name == base:
            continue
        own = sorted((r for r in found if r.name == name), key=lambda result: result.ratio.median)
        groups = {dtype: [r.ratio.median for r in own if r.dtype == dtype] for dtype in dtypes}
        by_dtype = {dtype: geometric_mean(group) for dtype, group in groups.items() if group}
        mean = geometric_mean([r.ratio.median for r in own]) if own else None
        made.append(Standing(name, own, by_dtype, mean))
    return made


def losses(found: Sequence[Standing]) -> list[Result]:
    """Every result on which the base is behind, the lowest ratio first."""
    behind = [r for standing in found for r in standing.results if r.is_behind]
    return sorted(behind, key=lambda result: result.ratio.median)


def fastest(row: TrainingRow) -> str | None:
    """Who trains in the shortest time: by the ratios, which are taken in turns."""
    ratios = {
        name: 1.0 if name == row["base"] else Spread(*entry["ratio"]).median
        for name, entry in row["entries"].items()
        if "us_per_sample" in entry and (name == row["base"] or "ratio" in entry)
    }
    return min(ratios, key=lambda name: ratios[name]) if ratios else None


def headline(figures: Figures) -> str:
    """What was compared and what came out, in a sentence or two."""
    labels = {name: one["label"] for name, one in figures["contenders"].items()}
    base, others = base_of(figures), [s for s in standings(figures) if s.results]
    rows = figures.get("training", [])
    if not others:
        return f"{labels[base]} was measured; on no problem was there a time to compare it with."
    n_ratios = sum(len(standing.results) for standing in others)
    ahead, behind = sum(s.ahead for s in others), sum(s.behind for s in others)
    peers = joined([labels[standing.name] for standing in others])
    text = f"{labels[base]} trained {count(len(rows), 'problem')} beside {peers}. It takes "
    if behind == 0:
        text += f"less time in {_all(n_ratios)}"
    elif ahead == 0:
        text += f"more time in {_all(n_ratios)}"
    else:
        text += f"less time in {ahead} of {n_ratios} comparisons and more in {behind}"
    means = sorted((s.mean, labels[s.name]) for s in others if s.mean is not None)
    lowest, highest = means[0], means[-1]
    text += f"; on the geometric mean over the problems {lowest[1]} takes {_times(lowest[0])}"
    if len(means) > 1:
        text += f" and {highest[1]} {_times(highest[0])}"
    return f"{text} its time."


def title(figures: Figures) -> str:
    """Who was compared, short enough for a title."""
    base, *others = figures["contenders"].values()
    n_others = sum("missing" not in one for one in others)
    return f"{base['label']}, compared with {count(n_others, 'other')}"


def _all(n_ratios: int) -> str:
    return "the one comparison" if n_ratios == 1 else f"all {n_ratios} comparisons"


def _times(ratio: float) -> str:
    return f"{digits(ratio)} times"


def multiply_adds(row: TrainingRow) -> float:
    """Of a forward and a backward pass of one sample."""
    return flops_per_sample(sizes_of(row["problem"])) / 2


def share_of_gemm(row: TrainingRow, name: str) -> float | None:
    """The time at gemm's rate in units of a library's time; None without either."""
    entry = row["entries"].get(name, {})
    if row["rates"] is None or "us_per_sample" not in entry:
        return None
    if name == row["base"]:
        return row["rates"]["share_of_gemm"]  # of the rounds, so the steadier one
    return row["rates"]["gemm_us_per_sample"] / Spread(*entry["us_per_sample"]).median


def distance(rows: Sequence[TrainingRow], name: str, label: str) -> str:
    """How far a library is from gemm's rate: nearest, farthest and in between, or nothing."""
    known = [(share, row) for row in rows if (share := share_of_gemm(row, name)) is not None]
    if not known:
        return ""
    nearest, farthest = max(known, key=_share), min(known, key=_share)
    text = f"{label} takes {_as_long(nearest)} as long as its multiply-adds take at gemm's rate"
    if len(known) == 1:
        return f"{text} ({_where(nearest)})."
    middle = median(share for share, _ in known)
    return (
        f"{text} where it is nearest to that limit ({_where(nearest)}), {_as_long(farthest)} where "
        f"it is farthest ({_where(farthest)}), and {digits(1 / middle)} times on the median."
    )


def _share(known: tuple[float, TrainingRow]) -> float:
    return known[0]


def _as_long(known: tuple[float, TrainingRow]) -> str:
    return f"{digits(1 / known[0])} times"


def _where(known: tuple[float, TrainingRow]) -> str:
    return f"{known[1]['problem']} in {known[1]['dtype']}: {known[0]:.0%} of gemm's rate"
