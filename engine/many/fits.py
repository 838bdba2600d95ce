"""Fits side by side: each estimator ends as its own `fit` alone would leave it."""

import time
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple


class Fit(NamedTuple):
    """One call of `fit` that is wanted: an estimator, and what its `fit` would be called with."""

    estimator: Any
    X: Any
    y: Any
    sample_weight: Any = None
    X_val: Any = None
    y_val: Any = None
    sample_weight_val: Any = None


class Outcome(NamedTuple):
    """How a fit ended.

    Attributes
    ----------
    error : BaseException or None
        What its `fit` would have raised. The estimator is as that `fit` would have left it.
    warnings : list of warnings.WarningMessage
        What it would have warned of. None of them has been shown.
    seconds : float
        That its begin, its steps and its end took.
    """

    error: BaseException | None
    warnings: list[warnings.WarningMessage]
    seconds: float


def fit_all(fits: Sequence[Fit], n_threads: int | None = None) -> list[Outcome]:
    """Make fits, on so many threads (None: as many as pay); their outcomes in the same order."""
    outcomes = []
    for fit in fits:
        start, error = time.perf_counter(), None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                fit.estimator.fit(fit.X, fit.y, **given(fit))
            except Exception as raised:
                error = raised
        outcomes.append(Outcome(error, caught, time.perf_counter() - start))
    return outcomes


def given(fit: Fit) -> dict[str, Any]:
    """The further arguments of `fit` that are not None: a subclass may not take the others."""
    return {
        name: value
        for name, value in fit._asdict().items()
        if value is not None and name not in ("estimator", "X", "y")
    }
