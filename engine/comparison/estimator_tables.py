"""The tables of `engine compare estimators`, and the one that the README shows."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from engine.comparison.estimator_agreement import BOTH, OURS, REGRESSOR, THEIRS
from engine.comparison.tables import BEHIND, count, figure, header, table, with_spread

ON_EQUAL_TERMS = (
    "Inputs, and the target of diabetes, are standardised over the training rows. All parameters "
    "have their defaults, but for random_state: the same on both sides, another in each round. "
    "`fit` is timed on all rows; short fits are repeated. A ceiling is scikit-learn's time over "
    "that of the fit's matrix products alone (forward and backward, for the epochs that it took) "
    "at the rate of this machine's gemm, measured in the same round; the reach is half of the "
    "ceiling, or 10 where that is less. Times count only if fits on three quarters of the rows, "
    "seed by seed, take as many epochs to the same loss and the same score on the rest (float64), "
    "or to a mean score within the range of scikit-learn's (float32). Losses are computed alike "
    "from the parameters reached."
)


def show(console: Console, command: str, found: dict[str, Any]) -> None:
    """Print the whole report."""
    header(console, command, found)
    if found["fits"]:
        show_fits(console, found["fits"])
    if found["calls"]:
        console.print(
            "calls, in microseconds: scikit-learn takes so many times as long (higher: engine is "
            "faster); below a figure its quartiles"
        )
        console.print(calls(found["calls"]))
        _print_remarks(console, found["calls"])


def show_fits(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    console.print(
        "fit: scikit-learn takes so many times as long (higher: engine is faster); below it the "
        "quartiles"
    )
    console.print(fits(rows))
    _print_remarks(console, rows)
    console.print(verdict(rows), markup=False, soft_wrap=True)
    console.print()
    console.print("The same work: seeds, and scores on held-out rows (accuracy; of diabetes R2)")
    console.print(same_work(rows))
    console.print(ON_EQUAL_TERMS, style="dim")
    console.print()


def fits(rows: Sequence[dict[str, Any]]) -> Table:
    """Times, ratio and what it should be."""
    made = table(
        [
            "data\nnetwork",
            "epochs",
            "sklearn, ms\nengine, ms",
            "times\nas long",
            "ceiling",
            "reach\nmet",
        ]
    )
    for row in rows:
        made.add_row(_label(row), *_fit_cells(row))
    return made


def _label(row: dict[str, Any]) -> str:
    sizes = "-".join(map(str, row["sizes"])) if "sizes" in row else f"{row['features']} features"
    return f"{row['data']} {row['dtype']}\n[dim]{row['rows']} rows, {sizes}[/]"


def _fit_cells(row: dict[str, Any]) -> list[str]:
    state = _state(row)
    if state is not None:
        return ["", "", state, "", ""]
    times = row["times"]
    style = "" if times["reached"] else BEHIND
    return [
        _epochs(times["epochs"][OURS]),
        f"{figure(times['ms'][THEIRS])}\n{figure(times['ms'][OURS])}",
        with_spread(times["ratio"], style),
        f"{figure(times['ceiling'][0])}\n[dim]{figure(times['gemm_gflops'])} GF/s[/]",
        _reach(times["reach"], times["reached"]),
    ]


def _reach(wanted: float, reached: bool) -> str:
    return f"{figure(wanted)}\n{'yes' if reached else f'[{BEHIND}]NO[/]'}"


def _epochs(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low}-{high}"


def _state(row: dict[str, Any]) -> str | None:
    return next((state for state in ("failed", "void") if state in row), None)


def same_work(rows: Sequence[dict[str, Any]]) -> Table:
    """What the fits on parts of the data came to."""
    ranges = (f"{whose}'s median\nlowest, highest" for whose in ("sklearn", "engine"))
    made = table(["data", "loss off\nat most", "as many epochs\nequal scores", *ranges])
    for row in rows:
        label = f"{row['data']}\n[dim]{row['dtype']}[/]"
        if "agreement" not in row:
            made.add_row(label, "failed", "", "", "")
            continue
        agreed, seeds = row["agreement"], row["agreement"]["seeds"]
        made.add_row(
            label,
            f"{agreed['loss_off']:.0e}" if agreed["loss_off"] else "0",
            f"{agreed['same_epochs']} of {seeds}\n{agreed['same_scores']} of {seeds}",
            *(_scores(agreed["scores"][whose]) for whose in (THEIRS, OURS)),
        )
    return made


def _scores(scores: Sequence[float]) -> str:
    return f"{median(scores):.4f}\n[dim]{min(scores):.3f}, {max(scores):.3f}[/]"


def not_reached(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that fall short, those without times among them."""
    return [row for row in rows if not row.get("times", {}).get("reached")]


def verdict(rows: Sequence[dict[str, Any]]) -> str:
    """How many rows reach what they should; which do not."""
    short = [f"{row['data']} {row['dtype']}" for row in not_reached(rows)]
    said = f"{len(rows) - len(short)} of {count(len(rows), 'row')} reached"
    return f"{said}; not {', '.join(short)}" if short else said


def calls(rows: Sequence[dict[str, Any]]) -> Table:
    made = table(["call", "sklearn\nus", "engine\nus", "times\nas long", "reach\nmet"])
    for row in rows:
        name, state = f"{row['call']}\n[dim]{row['dtype']}[/]", _state(row)
        if state is not None:
            made.add_row(name, "", "", state, "")
            continue
        wanted, ours = row["reach"], row["us"][OURS]
        reached = "" if wanted is None else _reach(wanted, ours[0] <= wanted)
        ratio = with_spread(row["ratio"], BEHIND if row["ratio"][0] < 1 else "")
        made.add_row(name, with_spread(row["us"][THEIRS]), with_spread(ours), ratio, reached)
    return made


def _print_remarks(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    for line in remarks(rows):
        console.print(line, markup=False, soft_wrap=True)


def remarks(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each row that is void or failed."""
    for row in rows:
        state = _state(row)
        if state is not None:
            yield f"{row.get('data', row.get('call'))} {row['dtype']} {state}: {row[state]}"


def summary(command: str, found: dict[str, Any]) -> str:
    """The table of fits for the README, in Markdown: a row for each data set."""
    lines = [
        "| data | rows x features | test score: scikit-learn | engine | fit, ms: scikit-learn | "
        "engine | scikit-learn takes so many times as long: float64 | float32 | "
        "ceiling: float64 | float32 |",
        f"|---|{'--:|' * 9}",
    ]
    for name in dict.fromkeys(row["data"] for row in found["fits"]):
        of = {row["dtype"]: row for row in found["fits"] if row["data"] == name}
        lines.append(f"| {' | '.join(_summary_cells(name, of))} |")
    about = found["about"]
    seeds = [row["agreement"]["seeds"] for row in found["fits"] if "agreement" in row]
    taken = (
        count(about["threads"], "thread"),
        f"{found['rounds']} rounds",
        f"{max(seeds, default=0)} splits",
    )
    machine = ", ".join((about["processor"], *taken))
    versions = f"scikit-learn {about['versions']['scikit-learn']}"
    return "\n".join([*lines, "", f"`{command}`, {machine}; {versions}."])


def _summary_cells(name: str, of: dict[str, dict[str, Any]]) -> list[str]:
    any_row, double, single = next(iter(of.values())), of.get("float64", {}), of.get("float32", {})
    ms = double.get("times", {}).get("ms", {})
    return [
        name.replace("_", " "),
        f"{any_row['rows']} x {any_row['features']}",
        *(_median_score(double, whose) for whose in BOTH),
        *(figure(ms[whose]) if ms else "" for whose in (THEIRS, OURS)),
        *(_cell(row, "ratio") for row in (double, single)),
        *(_cell(row, "ceiling") for row in (double, single)),
    ]


def _median_score(row: dict[str, Any], whose: str) -> str:
    if "agreement" not in row:
        return ""
    unit = "R2 " if row["kind"] == REGRESSOR else ""
    return f"{unit}{median(row['agreement']['scores'][whose]):.3f}"


def _cell(row: dict[str, Any], which: str) -> str:
    if "times" not in row:
        return (_state(row) or "") if which == "ratio" else ""
    text = figure(row["times"][which][0])
    return f"**{text}**" if which == "ratio" else text
