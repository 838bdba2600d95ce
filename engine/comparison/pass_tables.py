"""The tables of `engine compare gradient` and `engine compare threads`."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from engine.comparison.tables import BEHIND, figure, header, table, with_spread
from engine.comparison.timing import geometric_mean


def show_gradient(console: Console, command: str, found: dict[str, Any]) -> None:
    header(console, command, found)
    rows = found["rows"]
    base = _base(rows)
    console.print(
        f"J and its gradient: time a sample / {base}'s (higher: {base} is faster); below it the "
        "quartiles"
    )
    console.print(gradient(rows))
    for line in gradient_remarks(rows):
        console.print(line, markup=False, soft_wrap=True)
    for dtype in dict.fromkeys(row["dtype"] for row in rows):
        console.print(_mean_share(rows, dtype), markup=False, soft_wrap=True)
    console.print(
        "One evaluation of J and its gradient on all samples, X in C order with a feature to a "
        "row. A backend that would take over half a second gets fewer samples; times are per "
        "sample. GF/s counts a multiply-add as two.",
        style="dim",
    )


def gradient(rows: Sequence[dict[str, Any]]) -> Table:
    """Of the first backend its rate, of the others their time."""
    base = _base(rows)
    others = [n for n in dict.fromkeys(n for row in rows for n in row["entries"]) if n != base]
    made = table(
        [
            "problem\nsamples",
            f"{base}\nns a sample",
            f"{base}\nGF/s",
            "gemm\nGF/s",
            f"{base}\n% of gemm",
            *(f"{name}\n/ {base}" for name in others),
        ],
    )
    for row in rows:
        own = row["entries"].get(base, {})
        cells = ["", "", figure(row["gemm_gflops"]), ""]
        if "ratio" in own:
            middle, low, high = own["share_of_gemm"]
            cells[0] = figure(own["ns_per_sample"])
            cells[1] = figure(own["gflops"])
            cells[3] = f"{middle:.0%}\n[dim]{low:.0%}-{high:.0%}[/]"
        label = f"{row['problem']} {row['dtype']}\n[dim]{row['n_samples']}[/]"
        made.add_row(label, *cells, *(_ratio(row["entries"].get(name, {})) for name in others))
    return made


def _base(rows: Sequence[dict[str, Any]]) -> str:
    return next((row["base"] for row in rows if row["base"]), "nobody")


def _ratio(entry: dict[str, Any]) -> str:
    for state in ("failed", "void"):
        if state in entry:
            return state
    if "ratio" not in entry:
        return ""
    return with_spread(entry["ratio"], BEHIND if entry["ratio"][0] < 1 else "")


def gradient_remarks(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        for name, entry in row["entries"].items():
            for kind in ("failed", "void"):
                if kind in entry:
                    yield f"{name} {kind} on {row['problem']} {row['dtype']}: {entry[kind]}"


def shares_of_gemm(rows: Sequence[dict[str, Any]]) -> list[float]:
    """Of the first backend, in the rows where it has a time."""
    entries = [row["entries"].get(_base(rows), {}) for row in rows]
    return [entry["share_of_gemm"][0] for entry in entries if "share_of_gemm" in entry]


def counted(rows: Sequence[dict[str, Any]], dtype: str) -> list[dict[str, Any]]:
    """The rows that a mean is taken over."""
    return [row for row in rows if row["counts"] and row["dtype"] == dtype]


def _mean_share(rows: Sequence[dict[str, Any]], dtype: str) -> str:
    shares = shares_of_gemm(counted(rows, dtype))
    if not shares:
        return f"{dtype}: nothing that counts"
    return (
        f"{dtype}: geometric mean over {len(shares)} shapes with layers of 100 and more: "
        f"{geometric_mean(shares):.0%} of gemm's rate; lowest {min(shares):.0%}"
    )


def show_threads(console: Console, command: str, found: dict[str, Any]) -> None:
    header(console, command, found)
    counts = found["counts"]
    if len(counts) == 1:
        console.print("One core is all that this process may use: there is nothing to gain here.\n")
    backend = found["backend"]
    console.print(
        f"Full-batch gradient, {backend}: time on one thread / time (higher: threads gain more)"
    )
    console.print(scaling(found["large"], [str(count) for count in counts[1:]]))
    console.print(
        f"n_threads=None, {backend}: time on one thread / time (below 1: worse than one thread)"
    )
    console.print(default_threads(found["small"]))
    for line in thread_remarks([*found["large"], *found["small"]]):
        console.print(line, markup=False, soft_wrap=True)
    console.print(
        "gemm's speed-up is the better of BLAS's own threads and of Python threads that take "
        "rows each, in the same rounds.",
        style="dim",
    )


def scaling(rows: Sequence[dict[str, Any]], counts: Sequence[str]) -> Table:
    columns = ["problem\nsamples", "one thread\nms"]
    for count in counts:
        columns += [f"{count} threads\nspeed-up", "gemm's\nspeed-up", "of gemm's\n(higher: better)"]
    made = table([*columns, "same\nbits"])
    for row in rows:
        cells = [_ms(row)]
        for count in counts:
            if "failed" in row:
                cells += ["failed", "", ""]
                continue
            cells.append(with_spread(row["speed_up"][count]))
            cells.append(figure(row["gemm_speed_up"][count]))
            cells.append(f"{row['of_gemm'][count]:.0%}")
        cells.append({True: "yes", False: "NO", None: ""}[row.get("same_bits")])
        made.add_row(_thread_problem(row), *cells)
    return made


def default_threads(rows: Sequence[dict[str, Any]]) -> Table:
    made = table(["problem\nsamples", "one thread\nms", "None\nspeed-up"])
    for row in rows:
        speed_up = "failed" if "failed" in row else with_spread(row["speed_up"]["default"])
        made.add_row(_thread_problem(row), _ms(row), speed_up)
    return made


def _thread_problem(row: dict[str, Any]) -> str:
    return f"{row['problem']} {row['dtype']}\n[dim]{row['n_samples']}[/]"


def _ms(row: dict[str, Any]) -> str:
    return f"{row['ms_on_one']:.3g}" if "ms_on_one" in row else ""


def thread_remarks(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield from dict.fromkeys(f"failed: {row['failed']}" for row in rows if "failed" in row)
