"""What a run over tables says as a whole: scores that compare across tables, ranks, far losses.

A table's loss is the RMSE, or the log loss: the mean over splits. All else follows from the kept
rows, so that a page can be made from them once more.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from engine.comparison import timing
from engine.comparison.table_libraries import ENGINE, HGB, LIGHTGBM, LINEAR
from engine.comparison.table_timings import TableRow

# Whose worst and best score are 0 and 1 on each table, as far as they take part.
SCALE = (ENGINE, HGB, LIGHTGBM, LINEAR)
TREES = (HGB, LIGHTGBM)
FAR = 1 / 3  # of what separates the better tree from the linear model
CLEAR = 2.0  # standard errors


def losses(row: TableRow, name: str) -> list[float] | None:
    """The loss on each split; None where the library failed."""
    entry = row["entries"].get(name, {})
    if "splits" not in entry:
        return None
    regression = row["task"] == "regression"
    return [each["rmse"] if regression else each["log_loss"] for each in entry["splits"]]


def mean_loss(row: TableRow, name: str) -> float:
    """The mean over splits; infinite where the library failed."""
    found = losses(row, name)
    return math.inf if found is None else float(np.mean(found))


def normalised(row: TableRow) -> dict[str, float]:
    """0 for the worst of `SCALE`, 1 for the best, in between by the loss.

    A library that failed has 0. Others than `SCALE` may be above 1; below 0 counts as 0. If all
    losses are equal, all have 1.
    """
    means = {name: mean_loss(row, name) for name in row["entries"]}
    finite = [means[name] for name in SCALE if math.isfinite(means.get(name, math.inf))]
    if not finite:
        return dict.fromkeys(means, 0.0)
    best, worst = min(finite), max(finite)
    return {name: _normalised(mean, best, worst) for name, mean in means.items()}


def _normalised(mean: float, best: float, worst: float) -> float:
    if not math.isfinite(mean):
        return 0.0
    if best == worst:
        return 1.0 if mean <= best else 0.0
    return max(0.0, (worst - mean) / (worst - best))


def ranks(row: TableRow) -> dict[str, float]:
    """1 for the lowest loss; equal losses share the mean of their ranks, and so do failures."""
    names = list(row["entries"])
    found = rankdata([mean_loss(row, name) for name in names])
    return dict(zip(names, map(float, found), strict=True))


class Paired(NamedTuple):
    """A peer's loss less ours, split by split: above 0, ours is better.

    Attributes
    ----------
    difference : float
        The mean over splits.
    error : float or None
        Its standard error, or None for a single split.
    """

    difference: float
    error: float | None

    @property
    def in_errors(self) -> float | None:
        """The difference in standard errors; None where there is no error to divide by."""
        return self.difference / self.error if self.error else None

    @property
    def is_level(self) -> bool:
        """Whether ours is ahead, equal, or behind by at most one standard error."""
        return self.difference + (self.error or 0.0) >= 0

    @property
    def is_clearly_behind(self) -> bool:
        return self.error is not None and self.difference < -CLEAR * self.error


def paired(row: TableRow, peer: str) -> Paired | None:
    """Ours beside a peer; None where either failed.

    The splits share rows, so that their scores are not independent: the variance of the mean is
    that of the differences times (1 / splits + test rows / training rows), as Nadeau and Bengio
    correct it (Machine Learning 52, 2003, section 5).
    """
    ours, theirs = losses(row, ENGINE), losses(row, peer)
    if ours is None or theirs is None:
        return None
    found = np.subtract(theirs, ours)
    mean = float(found.mean())
    if len(found) == 1:
        return Paired(mean, None)
    factor = 1 / len(found) + row["test_rows"] / row["train_rows"]
    return Paired(mean, float(found.std(ddof=1)) * math.sqrt(factor))


def lost_share(row: TableRow) -> float | None:
    """How far ours is behind, in parts of what separates the better tree from the linear model.

    It is counted from the better of the two; 0 or below: ours is not behind. None where there is
    no tree or no linear model to compare with. Infinite where ours failed.
    """
    tree = min((mean_loss(row, name) for name in TREES), default=math.inf)
    linear = mean_loss(row, LINEAR)
    if not math.isfinite(tree) or not math.isfinite(linear):
        return None
    behind = mean_loss(row, ENGINE) - min(tree, linear)
    apart = abs(tree - linear)
    if apart == 0:
        return math.inf if behind > 0 else 0.0
    return behind / apart


def far_behind(rows: Sequence[TableRow]) -> list[tuple[float, TableRow]]:
    """Tables on which ours loses more than a third of that, the worst first."""
    shares = [(lost_share(row), row) for row in rows]
    found = [(share, row) for share, row in shares if share is not None and share > FAR]
    return sorted(found, key=lambda pair: (-pair[0], pair[1]["table"]))


class Margin(NamedTuple):
    """A table, and how far ours is ahead of the best of the others of `SCALE`."""

    row: TableRow
    peer: str
    margin: float  # in normalised scores: below 0, ours is behind; -1: it is the worst, or failed
    score: float  # ours, normalised


def margins(rows: Sequence[TableRow]) -> list[Margin]:
    """All tables, the worst loss first and the largest win last."""
    found = []
    for row in rows:
        peers = [name for name in SCALE[1:] if losses(row, name) is not None]
        if not peers:
            continue
        peer = min(peers, key=lambda name: mean_loss(row, name))
        best = mean_loss(row, peer)
        means = [mean_loss(row, name) for name in (ENGINE, *peers)]
        apart = max(filter(math.isfinite, means)) - min(means)
        margin = (best - mean_loss(row, ENGINE)) / apart if apart else 0.0
        found.append(Margin(row, peer, max(-1.0, margin), normalised(row)[ENGINE]))
    return sorted(found, key=lambda each: (each.margin, each.row["table"]))


class Standing(NamedTuple):
    """A library over all tables. Shares are of the tables that both have a score on."""

    name: str
    score: float  # mean normalised score
    rank: float  # mean
    failed: int  # tables
    ahead: float | None  # tables on which ours is ahead of it or equal; None: it is ours
    level: float | None  # ... or behind by at most a standard error
    clearly_behind: int | None  # tables on which ours is behind by more than two
    seconds: float | None  # of fit for 1,000 training rows, median over tables
    predict_seconds: float | None  # for 1,000 test rows
    ratio: float | None  # its seconds of fit / LightGBM's, geometric mean over tables


def standings(rows: Sequence[TableRow]) -> list[Standing]:
    """All libraries, the best mean score first."""
    names = list(dict.fromkeys(name for row in rows for name in row["entries"]))
    return sorted((_standing(rows, name) for name in names), key=lambda one: -one.score)


def _standing(rows: Sequence[TableRow], name: str) -> Standing:
    pairs = [pair for row in rows if (pair := paired(row, name)) is not None]
    is_peer = name != ENGINE and bool(pairs)
    ratios = [found for row in rows if (found := time_ratio(row, name)) is not None]
    rows = [row for row in rows if name in row["entries"]]
    scored = [row for row in rows if "splits" in row["entries"][name]]
    return Standing(
        name,
        score=float(np.mean([normalised(row)[name] for row in rows])),
        rank=float(np.mean([ranks(row)[name] for row in rows])),
        failed=len(rows) - len(scored),
        ahead=float(np.mean([pair.difference >= 0 for pair in pairs])) if is_peer else None,
        level=float(np.mean([pair.is_level for pair in pairs])) if is_peer else None,
        clearly_behind=sum(pair.is_clearly_behind for pair in pairs) if is_peer else None,
        seconds=_median([1e3 * seconds(row, name) / row["train_rows"] for row in scored]),
        predict_seconds=_median(
            [1e3 * seconds(row, name, "predict_seconds") / row["test_rows"] for row in scored]
        ),
        ratio=timing.geometric_mean(ratios) if ratios else None,
    )


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def seconds(row: TableRow, name: str, what: str = "seconds") -> float:
    """Of fit, or of predict: the median over splits."""
    return float(np.median([split[what] for split in row["entries"][name]["splits"]]))  # type: ignore[literal-required]


def time_ratio(row: TableRow, name: str, to: str = LIGHTGBM) -> float | None:
    """Seconds of fit / LightGBM's: the median of the splits' ratios; None where either failed."""
    entries = row["entries"]
    if any("splits" not in entries.get(each, {}) for each in (name, to)):
        return None
    one, other = ([split["seconds"] for split in entries[each]["splits"]] for each in (name, to))
    return timing.ratio(one, to=other).median


class Likeness(NamedTuple):
    """What some tables are like: medians over tables."""

    tables: int
    regressions: int
    rows: float
    columns: float
    categories: float  # share of columns
    missing: float  # share of cells


def likeness(rows: Sequence[TableRow]) -> Likeness | None:
    """What these tables are like; None if there are none."""
    if not rows:
        return None

    def median(what: str) -> float:
        return float(np.median([row[what] for row in rows]))  # type: ignore[literal-required]

    return Likeness(
        len(rows),
        sum(row["task"] == "regression" for row in rows),
        *(median(what) for what in ("rows", "columns", "categories", "missing")),
    )
