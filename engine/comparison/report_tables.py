"""The tables of `engine compare report`, after those of training: a row for each library."""

from typing import Any

from rich.console import Console
from rich.table import Table

from engine.comparison.second_order_tables import show_goals
from engine.comparison.tables import figure, header, table, with_spread
from engine.comparison.training_tables import comparison_of, remarks

MEGABYTE = 1e6


def show(console: Console, command: str, found: dict[str, Any]) -> None:
    """Print what was found, part by part; the page has the pictures."""
    contenders = found["contenders"].values()
    missing = [f"{one['label']}: {one['missing']}" for one in contenders if "missing" in one]
    header(console, command, {**found, "absent": missing})
    for part, title in (("training", "Problems"), ("sizes", "One hidden layer, wider and wider")):
        console.print(f"{title}: ", end="")
        comparison_of(console, found[part])
        for line in remarks(found[part]):
            console.print(line, markup=False, soft_wrap=True)
    console.print(f"Start-up, seconds (lower is better): {found['start_up_problem']}")
    console.print(start_up(found["start_up"]))
    reasons(console, found["start_up"])
    for one in found["curves"]:
        console.print(
            f"Seconds of training until so many epochs are over (lower is better), "
            f"and the mean cost then: {one['problem']}"
        )
        console.print(curves(one["entries"]))
        reasons(console, one["entries"])
    if "goals" in found:
        show_goals(console, found["goals"])
    for one in found["memory"]:
        console.print(
            f"Resident memory, MB (lower is better): {one['problem']}, {one['n_samples']} samples, "
            f"data {one['data'] / MEGABYTE:.1f} MB"
        )
        console.print(memory(one["entries"]))
        reasons(console, one["entries"])
    for one in found.get("threads", []):
        console.print(
            f"Full-batch epochs of {one['problem']}, {one['n_samples']} samples: "
            "time on one thread / time on more (higher is better)"
        )
        console.print(threads(one))
        reasons(console, one["entries"])


def reasons(console: Console, entries: dict[str, Any]) -> None:
    """A line for each library that failed."""
    for name, entry in entries.items():
        if "failed" in entry:
            console.print(f"{name} failed: {entry['failed']}", markup=False, soft_wrap=True)


def start_up(entries: dict[str, Any]) -> Table:
    made = table(
        ["", "imports", "first epoch,\nempty cache", "first epoch,\nwarm cache", "an epoch"]
    )
    for name, entry in entries.items():
        parts = ("imports", "empty_cache", "warm_cache", "epoch")
        made.add_row(name, *_cells(entry, [entry.get(part, [0])[0] for part in parts]))
    return made


def curves(entries: dict[str, Any]) -> Table:
    """Columns are numbers of epochs, the same for all."""
    epochs: list[int] = next((one["epochs"] for one in entries.values() if "epochs" in one), [])
    made = table(["epochs", *map(str, epochs[1:])])
    for name, entry in entries.items():
        if "failed" in entry:
            made.add_row(name, *_cells(entry, [0.0] * (len(epochs) - 1)))
            continue
        points = list(zip(entry["seconds"], entry["costs"], strict=True))[1:]
        made.add_row(name, *(f"{figure(took)}\n[dim]{cost:.4f}[/]" for took, cost in points))
    return made


def memory(entries: dict[str, Any]) -> Table:
    made = table(["", "imports", "on top of\nthe data", "peak"])
    for name, entry in entries.items():
        numbers = [entry.get(part, 0) / MEGABYTE for part in ("imports", "on_top", "peak")]
        made.add_row(name, *_cells(entry, numbers))
    return made


def threads(one: dict[str, Any]) -> Table:
    counts = list(one["gemm"])
    made = table(["", "ms on one", *(f"{count} threads" for count in counts)])
    made.add_row("gemm", "", *(with_spread(one["gemm"][count], "") for count in counts))
    for name, entry in one["entries"].items():
        if "failed" in entry:
            made.add_row(name, "failed", *[""] * len(counts))
            continue
        ups = (with_spread(entry["speed_up"][count], "") for count in counts)
        made.add_row(name, figure(entry["ms_on_one"]), *ups)
    return made


def _cells(entry: dict[str, Any], numbers: list[float]) -> list[str]:
    if "failed" in entry:
        return ["failed", *[""] * (len(numbers) - 1)]
    return [figure(number) for number in numbers]
