"""The tables of `engine compare many`."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from engine.comparison.jobs import MANY_OURS, MANY_PEERS
from engine.comparison.many_timings import ALONE
from engine.comparison.tables import BEHIND, count, figure, header, table, with_spread
from engine.comparison.timing import geometric_mean

TOGETHER, LOOP = MANY_OURS

NETWORKS_ON_EQUAL_TERMS = (
    "MLPRegressor or MLPClassifier (softmax), tanh, Adam, alpha=1e-4, tol=0, float32; each network "
    "has its own seed, initial parameters and shuffles. Whole calls, from estimators that are not "
    "fitted to estimators that are; compiling apart. The loop takes as many threads as pay. JAX: "
    "the whole fit as one jitted call, by its fastest way: vmap over all networks, lax.map (map), "
    "or lax.map over groups of 16 (groups); on several threads each has a device and its share. "
    "From the same initial parameters, with the samples in order, all reach the same cost, network "
    "by network, and the loop the same bits; with shuffles of their own the same mean."
)
SEARCHES_ON_EQUAL_TERMS = (
    "GridSearchCV over a pipeline of StandardScaler and MLPClassifier (Adam, batches of 32, "
    "float64), n_jobs is the number of threads. All scores agree, candidate by candidate and fold "
    "by fold: to the bit over our estimators, within a row over scikit-learn's MLPClassifier. In "
    "one process scikit-learn's workers have started before; a new process starts them."
)
FIT_ON_EQUAL_TERMS = "2-4-1, 200 rows, one epoch of 8 steps, float32."
MEMORY_ON_EQUAL_TERMS = "An epoch by `fit_many`, in a process for each number of networks."


def show(console: Console, command: str, found: dict[str, Any]) -> None:
    """Print the parts that were measured."""
    header(console, command, found)
    for part, print_part in PARTS.items():
        if found[part]:
            print_part(console, found[part])


def show_networks(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    console.print(
        f"A network and step: time / {TOGETHER}'s (higher: {TOGETHER} is faster); below it the "
        "quartiles"
    )
    console.print(networks(rows))
    _print_remarks(console, [*remarks(rows), *means(rows), *behind(rows)], NETWORKS_ON_EQUAL_TERMS)


def networks(rows: Sequence[dict[str, Any]]) -> Table:
    """A row for each case and number of threads."""
    most = max((threads for row in rows for threads in row["entries"]), key=int)
    columns = ["networks\nsamples/batch", "threads", f"{TOGETHER}\nus", f"{LOOP}\n/ {TOGETHER}"]
    made = table([*columns, f"JAX\n/ {TOGETHER}", f"1 thread\n/ {most}"])
    made.padding = (0, 0, 0, 1)
    for row in rows:
        for threads, entries in row["entries"].items():
            jax = best_of_jax(entries)
            made.add_row(
                f"{row['members']} x {row['problem']}\n"
                f"[dim]{row['n_samples']}/{row['batch_size']} {row['output']}[/]",
                threads,
                _time(entries[TOGETHER]),
                _ratio(entries.get(LOOP, {})),
                "" if jax is None else _ratio(jax.entry, way=jax.way),
                with_spread(row["speed_up"]) if threads == most and row["speed_up"] else "",
            )
    return made


class Best(NamedTuple):
    """JAX's fastest way on one case: `way` is how it is called in the table."""

    way: str
    entry: dict[str, Any]


def best_of_jax(entries: dict[str, dict[str, Any]]) -> Best | None:
    """The fastest of those whose times count; one that has none, if all have none."""
    ran = [name for name in MANY_PEERS if name in entries]
    ways = [Best(name.removeprefix("jax-"), entries[name]) for name in ran]
    timed = [one for one in ways if "us" in one.entry]
    if timed:
        return min(timed, key=lambda one: one.entry["us"][0])
    return ways[0] if ways else None


def _time(entry: dict[str, Any]) -> str:
    return with_spread(entry["us"]) if "us" in entry else _state(entry)


def _ratio(entry: dict[str, Any], key: str = "ratio", way: str = "") -> str:
    if key not in entry:
        return _state(entry)
    middle, quartiles = with_spread(entry[key], BEHIND if entry[key][0] < 1 else "").split("\n")
    return f"{f'{way} {middle}'.strip()}\n{quartiles}"


def _state(entry: dict[str, Any]) -> str:
    return next((state for state in ("failed", "void") if state in entry), "")


def remarks(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each library that failed, or whose times do not count."""
    for row in rows:
        for threads, entries in row["entries"].items():
            for name, entry in entries.items():
                if state := _state(entry):
                    on = f"{row['problem']}, {count(int(threads), 'thread')}"
                    yield f"{name} {state} on {on}: {entry[state]}"


def ratios_to_jax(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Time of JAX's fastest way / fit_many's: by number of threads, then by networks."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        for threads, entries in row["entries"].items():
            jax = best_of_jax(entries)
            if jax is not None and "ratio" in jax.entry:
                of_row = {f"{row['members']} x {row['problem']}": jax.entry["ratio"][0]}
                found.setdefault(threads, {}).update(of_row)
    return found


def means(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The geometric mean of the ratios to JAX on each number of threads."""
    for threads, ratios in ratios_to_jax(rows).items():
        mean = figure(geometric_mean(list(ratios.values())))
        yield f"JAX / {TOGETHER}, geometric mean on {count(int(threads), 'thread')}: {mean}"


def behind(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Every ratio to JAX below 1, the lowest first."""
    pairs = [
        (ratio, f"{networks}, {count(int(threads), 'thread')}")
        for threads, ratios in ratios_to_jax(rows).items()
        for networks, ratio in ratios.items()
    ]
    for ratio, where in sorted(pairs):
        if ratio < 1:
            yield f"{TOGETHER} is behind JAX on {where}: {ratio:.2f}"


def show_searches(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    console.print(
        "Searches, in seconds: time / the first one's (higher: the first is faster); below it the "
        "quartiles"
    )
    console.print(searches(rows))
    lines = [
        f"{name} {_state(entry)} on {row['search']}: {entry[_state(entry)]}"
        for row in rows
        for name, entry in row["entries"].items()
        if _state(entry)
    ]
    _print_remarks(console, lines, SEARCHES_ON_EQUAL_TERMS)


def searches(rows: Sequence[dict[str, Any]]) -> Table:
    """A heading for each grid; below it a row for each contender."""
    columns = ["data\n  GridSearchCV", "best\nscore", "seconds", "/ the\nfirst"]
    made = table([*columns, "new process\nseconds", "/ the\nfirst"])
    made.padding = (0, 0, 0, 1)
    for row in rows:
        fits = f"{row['candidates']} x {row['folds']} fits"
        made.add_row(f"{row['search']}\n[dim]{row['rows']} rows, {fits}[/]")
        for name, entry in row["entries"].items():
            times = [entry[key] for key in ("seconds", "new_process") if key in entry]
            seconds, anew = map(with_spread, times) if times else (_state(entry), "")
            is_first = name == row["base"] or not times
            one, other = ("", "") if is_first else map(_ratio, (entry,) * 2, SEARCH_RATIOS)
            score = f"{entry['best_score']:.4f}" if "best_score" in entry else ""
            label = f"  {name.replace(' over', chr(10) + '   over')}"
            made.add_row(label, score, seconds, one, anew, other)
    return made


SEARCH_RATIOS = ("ratio", "new_process_ratio")


def show_fit(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    console.print(f"One short fit: time / {ALONE}'s (higher: {ALONE} is faster)")
    made = table(["fit", "ms", f"/ {ALONE}"])
    for row in rows:
        for name, ms in row["ms"].items():
            made.add_row(name, with_spread(ms), with_spread(row["ratio"][name]))
    console.print(made)
    _print_remarks(console, (), FIT_ON_EQUAL_TERMS)


def show_memory(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    console.print("Peak memory of fits together, on top of the data (lower is better)")
    made = table(["networks", "samples", "data, MB", "on top, MB", "bytes a sample\nand network"])
    for row in rows:
        made.add_row(
            f"{row['members']} x {row['problem']}",
            str(row["n_samples"]),
            figure(row["data"] / 1e6),
            figure(row["extra"] / 1e6),
            figure(row["extra"] / row["n_samples"] / row["members"]),
        )
    console.print(made)
    _print_remarks(console, (), MEMORY_ON_EQUAL_TERMS)


def _print_remarks(console: Console, lines: Sequence[str], terms: str) -> None:
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    console.print(terms, style="dim", markup=False)
    console.print()


PARTS: dict[str, Callable[[Console, Sequence[dict[str, Any]]], None]] = {
    "networks": show_networks,
    "searches": show_searches,
    "fit": show_fit,
    "memory": show_memory,
}
