"""Searches over a grid: this package's GridSearchCV beside scikit-learn's.

In one process, in which scikit-learn's workers stay for the next search; and in new processes,
from their start to the result.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from engine.comparison import timing
from engine.comparison.estimator_agreement import (
    CLASSIFIER,
    OURS,
    THEIRS,
    estimator,
    load_data_set,
    silent,
)
from engine.comparison.startup_timings import answer_of

# Who searches, over whose estimators.
ENGINE, SKLEARN_OVER_ENGINE, SKLEARN = "engine", "scikit-learn over engine", "scikit-learn"
CONTENDERS = (ENGINE, SKLEARN_OVER_ENGINE, SKLEARN)
FOLDS = 3


class SearchCase(NamedTuple):
    """A grid over a classifier of one of scikit-learn's data sets, standardised in a pipeline."""

    data: str
    hidden: Sequence[tuple[int, ...]]
    max_iter: int
    alphas: Sequence[float] = (1e-4, 1e-3, 1e-2)
    rates: Sequence[float] = (1e-3, 1e-2)


SEARCHES = {
    "iris": SearchCase("iris", ((8,), (16,), (8, 8)), 50),
    "breast cancer": SearchCase("breast_cancer", ((8,), (16,), (16, 8)), 30),
    "digits": SearchCase("digits", ((32,), (64,), (100,)), 10),
}


class SearchEntry(TypedDict, total=False):
    """What one contender did. `failed` stands alone."""

    failed: str
    void: str  # why its times do not count
    best_score: float
    score_off: float  # the largest difference of a score of a candidate and fold to the first's
    first: float  # seconds of the first search: workers start, kernels are loaded
    seconds: timing.Spread
    ratio: timing.Spread  # its time / the first contender's
    new_process: timing.Spread  # seconds of a process that does nothing else
    new_process_ratio: timing.Spread


class SearchRow(TypedDict):
    """One grid. `base` names the contender that the others are compared with, if any ran."""

    search: str
    rows: int
    candidates: int
    folds: int
    base: str | None
    entries: dict[str, SearchEntry]


def search(name: str, whose: str, n_jobs: int) -> Callable[[], Any]:
    """An act that makes the search and fits it."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    case = SEARCHES[name]
    data = load_data_set(case.data, "float64")
    settings: dict[str, Any] = {
        "max_iter": case.max_iter,
        "random_state": 0,
        "batch_size": 32,
        "tol": 0.0,
    }
    if whose == SKLEARN:
        classifier = estimator(THEIRS, CLASSIFIER, **settings)
    else:
        classifier = estimator(OURS, CLASSIFIER, 1, **settings)
    grid = {
        "hidden_layer_sizes": case.hidden,
        "alpha": case.alphas,
        "learning_rate_init": case.rates,
    }
    grid = {f"mlpclassifier__{parameter}": values for parameter, values in grid.items()}
    kind = searching(whose)

    def act() -> Any:
        with silent(), workers(whose):
            pipeline = make_pipeline(StandardScaler(), classifier)
            return kind(pipeline, grid, cv=FOLDS, n_jobs=n_jobs).fit(data.X, data.y)

    return act


def workers(whose: str) -> AbstractContextManager[Any]:
    """One thread of BLAS in a worker of scikit-learn, as joblib has it if nobody says otherwise.

    The process that measures has told all libraries to use as many threads as there are cores.
    """
    from joblib import parallel_config

    if whose == ENGINE:
        return nullcontext()
    limited: AbstractContextManager[Any] = parallel_config("loky", inner_max_num_threads=1)
    return limited


def searching(whose: str) -> Callable[..., Any]:
    """The class that searches."""
    package = "engine" if whose == ENGINE else "sklearn"
    kind: Callable[..., Any] = import_module(f"{package}.model_selection").GridSearchCV
    return kind


def scores_of(found: Any) -> NDArray[Any]:
    """Of each fold and candidate."""
    splits = (found.cv_results_[f"split{number}_test_score"] for number in range(FOLDS))
    return np.stack(list(splits))


# A candidate's score on a fold may differ from scikit-learn's over its own MLP by one row: rounding
# in some dozens of epochs. Over our estimators all scores are the same.
ROWS_BY_ROUNDING = 1.5


def compare_search(name: str, rounds: int, n_jobs: int) -> SearchRow:
    """Scores agree, or there are no times; then in turns, in one process and in new ones."""
    turns = timing.Turns(CONTENDERS)
    acts = turns.each(lambda whose: search(name, whose, n_jobs))
    firsts = turns.each(lambda whose: timing.timed(acts[whose]), f"{name}, first")
    scores = {whose: scores_of(found) for whose, (_, found) in firsts.items()}
    base = next(iter(firsts), None)
    case = SEARCHES[name]
    row = SearchRow(
        search=name,
        rows=len(load_data_set(case.data, "float64").X),
        candidates=len(case.hidden) * len(case.alphas) * len(case.rates),
        folds=FOLDS,
        base=base,
        entries={},
    )
    entries = row["entries"]
    for whose, (took, found) in firsts.items():
        assert base is not None
        entries[whose] = SearchEntry(
            best_score=float(found.best_score_),
            score_off=float(np.abs(scores[whose] - scores[base]).max()),
            first=took,
        )
        of_sklearn = SKLEARN in (whose, base)
        allowed = ROWS_BY_ROUNDING / (row["rows"] // FOLDS) if of_sklearn else 0.0
        if not entries[whose]["score_off"] <= allowed:
            entries[whose]["void"] = f"a score differs by {entries[whose]['score_off']:.2g}"
            turns.names.remove(whose)
    seconds = turns.rounds(lambda whose: timing.seconds(acts[whose]), rounds, name)
    anew = turns.rounds(
        lambda whose: seconds_anew(name, whose, n_jobs, scores[whose]), rounds, f"{name}, anew"
    )
    for whose, reason in turns.failed.items():
        entries[whose] = SearchEntry(failed=reason)
    for whose in turns.names:
        entry = entries[whose]
        entry["seconds"] = timing.spread(seconds[whose])
        entry["new_process"] = timing.spread(anew[whose])
        if base in turns.names:
            entry["ratio"] = timing.ratio(seconds[whose], to=seconds[base])
            entry["new_process_ratio"] = timing.ratio(anew[whose], to=anew[base])
    row["entries"] = {whose: entries[whose] for whose in CONTENDERS}
    return row


def seconds_anew(name: str, whose: str, n_jobs: int, expected: NDArray[Any]) -> float:
    """Of a new process that searches and says the scores, which must be the same."""
    code = f"from engine.comparison.search_timings import main; main({name!r}, {whose!r}, {n_jobs})"
    took, answer = timing.timed(partial(answer_of, code))
    if not np.array_equal(json.loads(answer), expected):
        raise ValueError("a new process comes to other scores")
    return took


def main(name: str, whose: str, n_jobs: int) -> None:
    """What a new process does."""
    print(json.dumps(scores_of(search(name, whose, n_jobs)()).tolist()))
