"""The tables of `engine compare startup`, `loading` and `memory`."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table

from engine.comparison.memory_peaks import line
from engine.comparison.tables import figure, header, table, with_spread


def show_startup(console: Console, command: str, found: dict[str, Any]) -> None:
    header(console, command, found)
    console.print("Fresh processes (lower is better); below a figure its quartiles")
    console.print(startup(found["entries"]))


def startup(entries: dict[str, dict[str, Any]]) -> Table:
    made = table(["process", "seconds", "ms over bare", "/ import numba"])
    for name, entry in entries.items():
        over = f"{1e3 * entry['over_bare']:.0f}"
        made.add_row(
            name, with_spread(entry["seconds"]), over, with_spread(entry["in_numba_imports"])
        )
    return made


def show_loading(console: Console, command: str, found: dict[str, Any]) -> None:
    header(console, command, found)
    console.print(
        f"From a fresh process to a saved model's first answer, a {found['network']} network of "
        f"{found['megabytes']:.2f} MB (lower is better); below a figure its quartiles"
    )
    console.print(loading(found["entries"]))


def loading(entries: dict[str, dict[str, Any]]) -> Table:
    made = table(["process", "seconds", "/ scikit-learn, pickle"])
    for name, entry in entries.items():
        made.add_row(name, with_spread(entry["seconds"]), with_spread(entry["in_sklearns"]))
    return made


def show_memory(console: Console, command: str, found: dict[str, Any]) -> None:
    header(console, command, found)
    rows = found["rows"]
    solver = found["solver"]
    console.print(f"Peak memory of training ({solver}) on top of the data (lower is better)")
    console.print(memory(rows))
    for key, group in groupby(rows, key=lambda row: (row["problem"], row["dtype"])):
        runs = list(group)
        if len({row["n_samples"] for row in runs}) > 1:
            slope, fixed = line(runs)
            console.print(
                f"{' '.join(key)}: {slope:.1f} bytes a sample and {fixed / 1e6:.1f} MB "
                "(the straight line through these runs)",
                markup=False,
                soft_wrap=True,
            )


def memory(rows: Sequence[dict[str, Any]]) -> Table:
    made = table(
        ["problem", "samples", "data, MB", "on top, MB", "on top,\nbytes a sample"],
    )
    for row in rows:
        made.add_row(
            f"{row['problem']} {row['output']} {row['dtype']}",
            str(row["n_samples"]),
            figure(row["data"] / 1e6),
            figure(row["extra"] / 1e6),
            figure(row["extra"] / row["n_samples"]),
        )
    return made
