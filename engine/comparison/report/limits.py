"""How far from what the machine could do: the arithmetic alone, at the rate of its gemm."""

from collections.abc import Sequence
from statistics import median

from engine.comparison.problems import flops_per_sample, sizes_of
from engine.comparison.report.words import digits
from engine.comparison.timing import Spread
from engine.comparison.training_timings import Row


def multiply_adds(row: Row) -> float:
    """Of a forward and a backward pass of one sample."""
    return flops_per_sample(sizes_of(row["problem"])) / 2


def share_of_gemm(row: Row, name: str) -> float | None:
    """The time at gemm's rate in units of a contender's time; None without either."""
    entry = row["entries"].get(name, {})
    if row["rates"] is None or "us_per_sample" not in entry:
        return None
    if name == row["base"]:
        return row["rates"]["share_of_gemm"]  # of the rounds, so the steadier one
    return row["rates"]["gemm_us_per_sample"] / Spread(*entry["us_per_sample"]).median


def distance(rows: Sequence[Row], name: str, label: str) -> str:
    """How far a contender is from gemm's rate: nearest, farthest and in between, or nothing."""
    known = [(share, row) for row in rows if (share := share_of_gemm(row, name)) is not None]
    if not known:
        return ""
    nearest, farthest = max(known, key=_share), min(known, key=_share)
    text = f"{label} takes {_times(nearest)} as long as its multiply-adds take at gemm's rate"
    if len(known) == 1:
        return f"{text} ({_where(nearest)})."
    middle = median(share for share, _ in known)
    return (
        f"{text} where it is nearest to that limit ({_where(nearest)}), {_times(farthest)} where "
        f"it is farthest ({_where(farthest)}), and {digits(1 / middle)} times on the median."
    )


def _share(known: tuple[float, Row]) -> float:
    return known[0]


def _times(known: tuple[float, Row]) -> str:
    return f"{digits(1 / known[0])} times"


def _where(known: tuple[float, Row]) -> str:
    return f"{known[1]['problem']} in {known[1]['dtype']}: {known[0]:.0%} of gemm's rate"
