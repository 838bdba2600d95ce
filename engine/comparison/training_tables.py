"""The table of `engine compare training`."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from engine.comparison.libraries import UNEQUAL_IN_TRAINING
from engine.comparison.tables import BEHIND, figure, fits, header, table, with_spread
from engine.comparison.timing import geometric_mean

RATES, RATIOS = frozenset({"rates"}), frozenset({"ratios"})

EQUAL = (
    "Same data, initial parameters, loss, batches (a short last one is never dropped), learning "
    "rate, betas, epsilon and number of steps; the time is a whole call's, per sample, "
    "over twenty epochs of the first contender or as long, in calls of at most 200 epochs. "
    "Costs are those of the steps named, taken in the same order by all, and computed alike from "
    "the parameters reached; times count only if they agree (within 1e-4 in float32, 1e-8 in "
    "float64, 1e-3 for PyTorch) and if the costs with shuffles agree within 10 % of their "
    "drop and 1 % of the cost at the start."
)
ON_EQUAL_TERMS = " ".join((EQUAL, "Not equal:", *UNEQUAL_IN_TRAINING))


def show(console: Console, command: str, found: dict[str, Any]) -> None:
    """Print the whole report."""
    rows = found["rows"]
    header(console, command, found)
    base = _base(rows)
    comparison_of(console, rows)
    for line in remarks(rows):
        console.print(line, markup=False, soft_wrap=True)
    if any(True for _ in pairs(rows)):
        console.print()
        console.print(f"Geometric mean of time / {base}'s (higher: {base} is faster)")
        console.print(means(rows))
        for line in behind(rows):
            console.print(line, markup=False, soft_wrap=True)
    console.print(ON_EQUAL_TERMS, style="dim")


def comparison_of(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """Print the rows, in one table or, where that is too wide, in two."""
    base = _base(rows)
    console.print(f"Time a sample / {base}'s (higher: {base} is faster); below it the quartiles")
    whole = comparison(rows, RATES | RATIOS)
    if fits(console, whole):
        console.print(whole)
    else:
        ratios = comparison(rows, RATIOS)
        console.print(ratios if fits(console, ratios) else comparison(rows, RATIOS, narrow=True))
        console.print(f"{base} itself")
        console.print(comparison(rows, RATES))


def comparison(
    rows: Sequence[dict[str, Any]], parts: frozenset[str], *, narrow: bool = False
) -> Table:
    """A row for each problem and dtype, with wins and losses alike."""
    base = _base(rows)
    names = dict.fromkeys(name for row in rows for name in row["entries"])
    others = [name for name in names if name != base] if parts >= RATIOS else []
    rates = [f"{base}\nus/step", "GF/s\n% gemm", "cost\nafter"] if parts >= RATES else []
    made = table(["problem\nsamples/batch", *rates, *(_heading(name, base) for name in others)])
    if narrow:
        made.padding = (0, 0, 0, 1)
    for row in rows:
        cells = _rates(row, base) if rates else []
        made.add_row(_problem(row, narrow), *cells, *(_ratio(row, name, base) for name in others))
    return made


def _heading(name: str, base: str) -> str:
    """Of a column of ratios; a long name takes two lines, so that columns stay narrow."""
    return f"{name.replace('-', chr(10))}\n/ {base}"


def _base(rows: Sequence[dict[str, Any]]) -> str:
    """The first library: where it did not run, a row has no ratios to it."""
    names = [name for row in rows for name in row["entries"]]
    bases = {row["base"] for row in rows}
    return next((name for name in names if name in bases), "nobody")


def _problem(row: dict[str, Any], narrow: bool) -> str:
    kind = row["output"] if row["hidden"] == "tanh" else f"{row['hidden']} {row['output']}"
    if narrow:
        samples = f"{row['n_samples']}/{row['batch_size']}"
        return f"{row['problem']}\n[dim]{row['dtype']} {samples}\n{kind}[/]"
    return f"{row['problem']} {row['dtype']}\n[dim]{row['n_samples']}/{row['batch_size']} {kind}[/]"


def _rates(row: dict[str, Any], base: str) -> list[str]:
    if row["base"] != base:
        return ["failed" if "failed" in row["entries"].get(base, {}) else "void", "", ""]
    rates, own = row["rates"], row["entries"][base]
    return [
        figure(own["us_per_step"]),
        f"{figure(rates['gflops'])}\n[dim]{rates['share_of_gemm']:.0%}[/]",
        f"{own['cost']:.4f}\n[dim]{row['checked_steps']} st.[/]",
    ]


def _ratio(row: dict[str, Any], name: str, base: str) -> str:
    entry = row["entries"].get(name, {})
    for state in ("failed", "void"):
        if state in entry:
            return state
    if "ratio" not in entry or row["base"] != base:
        return ""
    return with_spread(entry["ratio"], BEHIND if entry["ratio"][0] < 1 else "")


def remarks(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each reason why a row is void or a library failed, said once."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        for name, entry in row["entries"].items():
            for kind in ("failed", "void"):
                if kind in entry:
                    reason = f"{name} {kind}: {entry[kind]}"
                    reasons.setdefault(reason, []).append(f"{row['problem']} {row['dtype']}")
    for reason, where in reasons.items():
        yield f"{reason}  ({'all problems' if len(where) == len(rows) else ', '.join(where)})"


class Pair(NamedTuple):
    """A library's ratio on one problem, and what else is said of it."""

    name: str
    problem: str
    dtype: str
    ratio: float
    gemm_over_it: float  # the arithmetic at gemm's rate, in units of this library's time


def pairs(rows: Sequence[dict[str, Any]]) -> Iterator[Pair]:
    """Every ratio that counts."""
    base = _base(rows)
    for row in rows:
        if row["base"] != base:
            continue
        for name, entry in row["entries"].items():
            if name != base and "ratio" in entry:
                ratio = entry["ratio"][0]
                share = row["rates"]["share_of_gemm"] / ratio
                yield Pair(name, row["problem"], row["dtype"], ratio, share)


def means(rows: Sequence[dict[str, Any]]) -> Table:
    """The geometric mean of each library's ratios; how many there are; what came before."""
    base = _base(rows)
    found = list(pairs(rows))
    dtypes = list(dict.fromkeys(row["dtype"] for row in rows))
    columns = ["", *dtypes, *(["both"] if len(dtypes) > 1 else []), "lowest", "rows", "first call"]
    made = table(columns)
    for name in dict.fromkeys(pair.name for pair in found):
        of_name = [pair for pair in found if pair.name == name]
        groups = [[pair.ratio for pair in of_name if pair.dtype == dtype] for dtype in dtypes]
        if len(dtypes) > 1:
            groups.append([pair.ratio for pair in of_name])
        cells = [figure(geometric_mean(group)) if group else "" for group in groups]
        lowest = figure(min(pair.ratio for pair in of_name))
        made.add_row(name, *cells, lowest, str(len(of_name)), _first_call(rows, name))
    made.add_row(base, *[""] * (len(columns) - 2), _first_call(rows, base))
    return made


def _first_call(rows: Sequence[dict[str, Any]], name: str) -> str:
    entries = (row["entries"].get(name, {}) for row in rows)
    calls = [entry["first_call"] for entry in entries if "first_call" in entry]
    return f"{median(calls):.2f} s" if calls else ""


def behind(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Every ratio below 1, the lowest first."""
    base = _base(rows)
    lost = sorted((pair for pair in pairs(rows) if pair.ratio < 1), key=lambda pair: pair.ratio)
    for pair in lost:
        yield (
            f"{base} is behind {pair.name} on {pair.problem} {pair.dtype}: {pair.ratio:.2f} "
            f"(the arithmetic at gemm's rate takes {pair.gemm_over_it:.0%} of {pair.name}'s time)"
        )
    if not lost:
        yield f"{base} is behind nobody on any row that counts."
