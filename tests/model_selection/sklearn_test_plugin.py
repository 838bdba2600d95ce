"""A plugin for pytest: scikit-learn's own tests, with our searches under scikit-learn's names.

`python -m pytest -p tests.model_selection.sklearn_test_plugin .../sklearn/model_selection/tests`.
scikit-learn's tests search over its own estimators, which our searches leave to scikit-learn. With
`ENGINE_TAKE_ALL=1` they take all estimators apart, as if they were ours.
"""

import math
import os
from typing import Any
from unittest import mock

from sklearn import model_selection
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.pipeline import Pipeline

from engine import model_selection as ours
from engine.model_selection import parallel_fits

counts = {"side by side": 0, "by scikit-learn": 0}


class AnyFit:
    """A `Fit` of any estimator, with any arguments of `fit`."""

    is_ours, multiply_adds = False, math.inf

    def __init__(self, estimator, X, y, **given):
        self.estimator, self.X, self.y, self.given = estimator, X, y, given
        self.group = id(self)


def any_network(estimator):
    """The last step of a pipeline, or an estimator itself, of whatever type."""
    if type(estimator) is Pipeline:
        estimator = estimator.steps[-1][1]
    return estimator if hasattr(estimator, "fit") else None


def take_all():
    """Take the fits of all estimators apart."""
    changed: dict[str, Any] = {
        "network_of": any_network,
        "can_share": lambda estimator, fit_params: True,
        "draws_from_numpy": lambda estimator: (
            getattr(any_network(estimator), "random_state", None) is None
        ),
        "Fit": AnyFit,
    }
    for name, value in changed.items():
        mock.patch.object(parallel_fits, name, value).start()


def counted(name, how):
    """Count the calls of a method of `ParallelFits`."""
    method = getattr(parallel_fits.ParallelFits, name)

    def call(self, calls):
        counts[how] += 1
        return method(self, calls)

    mock.patch.object(parallel_fits.ParallelFits, name, call).start()


def pytest_configure(config):
    """Before any test is imported."""
    for name in ours.__all__:
        setattr(model_selection, name, getattr(ours, name))
    if os.environ.get("ENGINE_TAKE_ALL"):
        take_all()
    counted("_side_by_side", "side by side")
    counted("_by_scikit_learn", "by scikit-learn")


def pytest_terminal_summary(terminalreporter):
    """How many calls of `Parallel` went which way."""
    terminalreporter.write_line(f"calls: {counts}")
