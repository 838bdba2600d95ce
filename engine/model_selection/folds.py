"""The training rows of a fold, cut out once, and what a pipeline's other steps make of them."""

import pickle
import time
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params

Rows = tuple[Any, Any]  # X, y


class DrewNumbers(Exception):
    """Steps of a pipeline drew from NumPy's own generator, which is as it was before."""


class Transformed(NamedTuple):
    """What a pipeline's last step is fitted with, and how the steps before it were fitted.

    Attributes
    ----------
    steps : list of (str, transformer)
        Fitted.
    arguments : dict
        Those of the last step's `fit`; empty if an earlier step failed.
    warnings : list of warnings.WarningMessage
    error : Exception or None
    seconds : float
    """

    steps: list[Any]
    arguments: dict[str, Any]
    warnings: list[warnings.WarningMessage]
    error: Exception | None
    seconds: float


class Fold:
    """The training rows of a split.

    Rows to score are not among them: a scorer may write into its rows, so each call of it gets its
    own, as from scikit-learn.

    Parameters
    ----------
    X, y : array_like
        All rows.
    train, test : array_like of int
        The numbers of the rows to train on and to score.
    fit_params : dict
        Further arguments of `fit`, for all rows.
    """

    def __init__(self, X: Any, y: Any, train: Any, test: Any, fit_params: Any) -> None:
        self._X, self._y, self._fit_params = X, y, fit_params
        self._train, self._test = np.asarray(train), np.asarray(test)
        self._rows: dict[bool, tuple[Rows, Mapping[str, Any]]] = {}
        self._transformed: dict[Any, Transformed] = {}
        self.n_numbers = 0  # in the rows that it holds, roughly

    def is_of(self, train: Any, test: Any) -> bool:
        """Whether it is of this split, too."""
        return np.array_equal(self._train, train) and np.array_equal(self._test, test)

    def rows(self, estimator: Any) -> tuple[Rows, Mapping[str, Any]]:
        """X and y, and the further arguments of `fit`.

        They are cut out by scikit-learn, for the first estimator that asks; anew for one that takes
        distances between rows as X, of which columns are cut out, too.
        """
        pairwise = get_tags(estimator).input_tags.pairwise
        if pairwise not in self._rows:
            rows = _safe_split(estimator, self._X, self._y, self._train)
            given = _check_method_params(self._X, params=self._fit_params, indices=self._train)
            self._rows[pairwise] = rows, given
            self.n_numbers += _size(rows[0])
        return self._rows[pairwise]

    def transformed(self, key: Any, pipeline: Any) -> Transformed:
        """What the last step of the pipeline is to be fitted with; its other steps are fitted.

        Pipelines of the same `key` share the fitted steps. Raises DrewNumbers if they must not.
        """
        if key not in self._transformed:
            (X, y), given = self.rows(pipeline)
            made = transform(pipeline, X, y, given)
            self._transformed[key] = made
            self.n_numbers += _size(made.arguments.get("X"))
        made = self._transformed[key]
        pipeline.steps = [*made.steps, pipeline.steps[-1]]
        return made

    def release(self) -> None:
        """Drop the rows; they are cut out again where they are needed again."""
        self._rows.clear()
        self._transformed.clear()
        self.n_numbers = 0


def transform(pipeline: Any, X: Any, y: Any, fit_params: Mapping[str, Any]) -> Transformed:
    """Fit a pipeline but for its last step, whose `fit` only notes what it is called with."""
    arguments: dict[str, Any] = {}
    error: Exception | None = None
    network = pipeline.steps[-1][1]

    def note(X: Any, y: Any = None, **given: Any) -> Any:
        arguments.update(X=X, y=y, **given)
        return network

    before = _state_of_numpy()
    network.fit = note
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            pipeline.fit(X, y, **fit_params)
        except Exception as raised:
            error = raised
        finally:
            del network.fit
    seconds = time.perf_counter() - start
    if _state_of_numpy() != before:
        np.random.set_state(pickle.loads(before))  # noqa: NPY002  # the one that steps draw from
        raise DrewNumbers
    return Transformed(pipeline.steps[:-1], arguments, caught, error, seconds)


def _state_of_numpy() -> bytes:
    return pickle.dumps(np.random.get_state(legacy=False))  # noqa: NPY002


def _size(X: Any) -> int:
    """How many numbers the rows hold; of sparse rows those that are not 0."""
    return int(getattr(X, "size", 0))
