"""The tables of `engine compare second-order`."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from engine.comparison.goal_timings import BASE
from engine.comparison.goal_timings import ON_EQUAL_TERMS as GOALS_ON_EQUAL_TERMS
from engine.comparison.loss_timings import BUILT_IN, COPY
from engine.comparison.regression_timings import ALPHA, LBFGS, LM, PATIENCE, TOL
from engine.comparison.tables import BEHIND, figure, header, table, with_spread

COPY_AT_MOST = 1.1  # of a loss of the user's own: its time / that of the built-in one

TABLES_ON_EQUAL_TERMS = (
    "Inputs and target are standardised; one hidden layer of tanh units; both solvers from the "
    f"same starts, with alpha={ALPHA:g} and tol={TOL:g}. n_iter_no_change is {PATIENCE[LM]} for "
    f"{LM} and {PATIENCE[LBFGS]} for {LBFGS}, the best of 3, 5 and 10 for each. A start is as good "
    f"if it ends at the median cost of {LBFGS} or below. The solvers may end in minima that "
    "differ: the expected time is that of all starts, divided by the number that are as good."
)
LOSSES_ON_EQUAL_TERMS = (
    "Adam on 20-16-1, batches of 200 of 1000 samples; the default is squared_error for identity "
    f"units and poisson for exp units. {COPY} is the same arithmetic, written in Python by the "
    "user; its time counts if it comes to the same cost."
)
CALLS_ON_EQUAL_TERMS = "`engine.train` on 1-5-1 with 41 samples, float64."


def show(console: Console, command: str, found: dict[str, Any]) -> None:
    """Print the parts that were measured."""
    header(console, command, found)
    for part, print_part in PARTS.items():
        if found[part]:
            print_part(console, found[part])


def show_goals(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    console.print(f"Time to the goal / {BASE}'s (higher: lm is faster); below it the quartiles")
    console.print(goals(rows))
    _print_remarks(console, goal_remarks(rows), GOALS_ON_EQUAL_TERMS)


def goals(rows: Sequence[dict[str, Any]]) -> Table:
    """A heading for each problem; below it a row for each library."""
    made = table(["problem\n  library", "reached\nthe goal", "steps", "ms", f"time /\n{BASE}"])
    for number, row in enumerate(rows):
        if number:
            made.add_row()
        shape = "-".join(map(str, row["sizes"]))
        made.add_row(
            f"{row['problem']} {shape} to {row['goal']:g}\n"
            f"[dim]{row['rows']} rows, {row['n_parameters']} parameters[/]"
        )
        for name, entry in row["entries"].items():
            below = f"\n  [dim]{entry['setting']}[/]" if "setting" in entry else ""
            made.add_row(f"  {name}{below}", *_goal_cells(name, entry, row["starts"]))
    return made


def _goal_cells(name: str, entry: dict[str, Any], starts: int) -> list[str]:
    if "failed" in entry:
        return ["failed", "", "", ""]
    reached = f"{entry['reached']} of {starts}"
    steps = f"{entry['steps']:.0f}" if "steps" in entry else ""
    if "void" in entry:
        return [reached, steps, "", "void"]
    style = BEHIND if entry["ratio"][0] < 1 else ""
    ratio = "" if name == BASE else with_spread(entry["ratio"], style)
    return [reached, steps, with_spread(entry["ms"]), ratio]


def goal_remarks(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each library that failed or whose times do not count."""
    for row in rows:
        for name, entry in row["entries"].items():
            for state in ("failed", "void"):
                if state in entry:
                    yield f"{name} {state} on {row['problem']}: {entry[state]}"


def show_tables(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    console.print(
        f"Expected time of {LBFGS} / {LM}'s (higher: {LM} is faster); below it the quartiles"
    )
    console.print(regressions(rows))
    remarks = (
        f"{row['data']} {_network(row)} void: {row['void']}" for row in rows if "void" in row
    )
    _print_remarks(console, remarks, TABLES_ON_EQUAL_TERMS)


def regressions(rows: Sequence[dict[str, Any]]) -> Table:
    """A row for each table and width, with a line for each solver."""
    columns = ["data, network\nrows", "solver", "median\ncost", "starts\nas good"]
    made = table([*columns, "steps", "ms a start\nas good", f"{LBFGS} /\n{LM}"])
    for row in rows:
        entries = [row["entries"][solver] for solver in (LBFGS, LM)]
        ratio = row.get("ratio")
        made.add_row(
            f"{row['data']} {_network(row)}\n[dim]{row['rows']} rows[/]",
            f"{LBFGS}\n{LM}",
            "\n".join(f"{entry['cost']:.4f}" for entry in entries),
            "\n".join(f"{entry['reached']} of {row['starts']}" for entry in entries),
            "\n".join(f"{entry['steps']:.0f}" for entry in entries),
            "\n".join(figure(entry["ms"]) if "ms" in entry else "" for entry in entries),
            with_spread(ratio, BEHIND if ratio[0] < 1 else "") if ratio else "void",
        )
    return made


def _network(row: dict[str, Any]) -> str:
    return "-".join(map(str, row["sizes"]))


def show_losses(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    console.print("Time of an epoch / the default loss's (higher: slower); below it the quartiles")
    console.print(losses(rows))
    _print_remarks(console, loss_remarks(rows), LOSSES_ON_EQUAL_TERMS)


def losses(rows: Sequence[dict[str, Any]]) -> Table:
    """A row for each loss, with two columns for each dtype."""
    dtypes = list(dict.fromkeys(row["dtype"] for row in rows))
    columns = (column for dtype in dtypes for column in (f"{dtype}\nus", "\n/ default"))
    made = table(["output\n  loss", *columns])
    for number, output in enumerate(dict.fromkeys(row["output"] for row in rows)):
        if number:
            made.add_row()
        of_output = {row["dtype"]: row for row in rows if row["output"] == output}
        made.add_row(output)
        for name in next(iter(of_output.values()))["entries"]:
            entries = [of_output[dtype]["entries"][name] for dtype in dtypes]
            made.add_row(f"  {name}", *(cell for one in entries for cell in _loss_cells(one)))
    return made


def _loss_cells(entry: dict[str, Any]) -> list[str]:
    if "void" in entry:
        return ["", "void"]
    return [figure(entry["us"][0]), with_spread(entry["ratio"])]


def loss_remarks(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """How the user's own loss compares with the built-in one."""
    for row in rows:
        entry = row["entries"].get(COPY, {})
        if "void" in entry:
            yield f"{COPY} void in {row['dtype']}: {entry['void']}"
        elif entry:
            middle, low, high = entry["to_built_in"]
            enough = "yes" if middle <= COPY_AT_MOST else "NO"
            yield (
                f"{COPY}, time / {BUILT_IN}'s in {row['dtype']}: {middle:.2f} "
                f"({low:.2f}-{high:.2f}); at most {COPY_AT_MOST:.2f}: {enough}"
            )


def show_calls(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    console.print("Short calls, in microseconds (lower is better); below a figure its quartiles")
    console.print(calls(rows))
    _print_remarks(console, (), CALLS_ON_EQUAL_TERMS)


def calls(rows: Sequence[dict[str, Any]]) -> Table:
    made = table(["solver", "a call of\none step", "a further\nstep", "... with\na callback"])
    for row in rows:
        spreads = (row["one_step"], row["step"], row["told"])
        made.add_row(row["solver"], *map(with_spread, spreads))
    return made


def _print_remarks(console: Console, lines: Iterator[str] | Sequence[str], terms: str) -> None:
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    console.print(terms, style="dim", markup=False)
    console.print()


PARTS: dict[str, Callable[[Console, Sequence[dict[str, Any]]], None]] = {
    "goals": show_goals,
    "tables": show_tables,
    "losses": show_losses,
    "calls": show_calls,
}
