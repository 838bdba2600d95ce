"""The process of one library on tables: `python -m engine.comparison.table_worker NAME [CORE ...]`.

As `library_worker.py`, with tables in place of networks' tasks. It loads each table itself, so that
nothing is sent but names, seeds and scores.
"""

import logging
import sys
import warnings
from time import perf_counter
from typing import Any

from engine.comparison.diamonds import STUDY, study_rows
from engine.comparison.library_worker import main
from engine.comparison.table_baselines import split
from engine.comparison.table_libraries import TableScore, fit_and_score, tiny_table
from engine.comparison.table_sets import TableSet, Task, load, named


class TableWorker:
    """One library, with the table that it was handed last."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._table: TableSet | None = None
        self._data: Any = None
        self._is_study = False

    def take(self, table: str) -> None:
        """Take a table of `table_sets`, or that of the study of diamonds, and forget the last."""
        self._data, self._is_study = None, table == STUDY
        self._table = named("diamonds" if self._is_study else table)
        self._data = study_rows() if self._is_study else load(self._table)

    def fit(self, seed: int, n_threads: int) -> TableScore:
        """Fit with the split of that seed; the study has one split, and many seeds."""
        assert self._table is not None
        quiet()
        task = self._table.task
        if self._is_study:
            parts = self._data
        else:
            X, y = self._data
            parts = split(X, y, task, seed)
        return fit_and_score(self._name, task, parts, seed, n_threads)

    def warm_up(self, n_threads: int) -> float:
        """Import the library and fit it on tiny tables of each kind; the seconds."""
        quiet()
        start = perf_counter()
        kinds: tuple[tuple[Task, int], ...] = (("regression", 0), ("classes", 2), ("classes", 3))
        for task, classes in kinds:
            X, y = tiny_table(task, classes)
            fit_and_score(self._name, task, split(X, y, task, 0), 0, n_threads)
        return perf_counter() - start


def quiet() -> None:
    """Let no library warn or log: with its defaults, there is nothing to be done about it."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


if __name__ == "__main__":
    main(TableWorker(sys.argv[1]), *sys.argv[2:])
