"""Rows of users' data: scikit-learn's checks, then samples as columns, without copies."""

import math
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.validation import _check_sample_weight, validate_data

from engine.boundary.arrays import REAL, float_array, non_finite
from engine.boundary.dates import refuse_dates
from engine.boundary.embedded_inputs import refuse_wrong_inputs
from engine.boundary.samples import weights as checked_weights
from engine.embeddings import AS_IT_IS, checked
from engine.equations.embeddings import LEVELS
from engine.sums.samples import Inputs, Samples, SparseColumns
from engine.system.mapped_files import (
    check_copy_fits,
    check_not_truncated,
    check_usable_in_place,
    conversion_advice,
)

# Entries of a sparse matrix that are made dense at a time, at most: 32 MB.
MOST_DENSE_ENTRIES = 4_000_000

Derived = TypeVar("Derived")

FLOATS = (np.dtype(np.float64), np.dtype(np.float32))
PLAIN_TARGETS = (*FLOATS, np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.bool_))


def is_plain(array: Any, ndim: int, dtypes: tuple[Any, ...]) -> bool:
    """Whether this is a plain NumPy array of one of the dtypes, not empty, and finite."""
    if type(array) is not np.ndarray or array.ndim != ndim or array.dtype not in dtypes:
        return False
    if array.size == 0:
        return False
    if array.dtype.kind != "f":
        return True
    with np.errstate(all="ignore"):
        return math.isfinite(array.sum())


def validated(estimator: Any, X: Any, y: Any, *, reset: bool, **checks: Any) -> tuple[Any, Any]:
    """X and y, checked by scikit-learn. Plain arrays skip the checks, which would not change them.

    With `reset`, the estimator stores the features; else they must be those that it has stored.
    """
    X, y = _view(X, "X"), _view(y, "y")
    plain = is_plain(X, 2, FLOATS) and is_plain(y, 1, PLAIN_TARGETS) and len(X) == len(y)
    embedded = embeddings_of(estimator)
    if plain and reset and embedded is None:
        estimator.n_features_in_ = X.shape[1]
        vars(estimator).pop("feature_names_in_", None)
        return X, y
    refuse_dates("X", X)
    if checks.get("y_numeric"):
        refuse_dates("y", y)
    if isinstance(X, np.ndarray) and X.dtype not in FLOATS:
        check_copy_fits("X", X, np.float64, conversion_advice("X", X.dtype))
    with _naming_the_row(X, y):
        X, y = validate_data(
            estimator,
            X,
            y,
            accept_sparse=False if embedded else ["csr", "csc"],
            ensure_all_finite="allow-nan" if embedded else True,
            multi_output=True,
            dtype=FLOATS,
            reset=reset,
            **checks,
        )
    require_embeddable(embedded, X)
    if checks.get("y_numeric"):
        _require_numbers(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    return X, y


def _require_numbers(y: NDArray[Any]) -> None:
    """Refuse text, and None among objects, which scikit-learn's checks let through."""
    if y.dtype.kind not in REAL:
        raise TypeError(
            f"y has dtype {y.dtype}; expected real numbers. If its entries are numbers, pass "
            "np.asarray(y, dtype=float). If they are labels, an MLPClassifier learns them."
        )
    if y.dtype.kind == "f":
        float_array("y", y, y.dtype)


def validated_inputs(estimator: Any, X: Any, dtype: Any) -> Any:
    """X, checked for predictions. Plain arrays skip the checks, which take longer than a look."""
    X = _view(X, "X")
    plain = is_plain(X, 2, (dtype,)) and X.shape[1] == estimator.n_features_in_
    fitted = vars(estimator).get("_network")  # an ensemble has none, but its members have
    embedded = embeddings_of(estimator if fitted is None else fitted)
    if plain and embedded is None and not hasattr(estimator, "feature_names_in_"):
        return X
    refuse_dates("X", X)
    if embedded is None:
        with _naming_the_row(X, None):
            return validate_data(estimator, X, accept_sparse=["csr", "csc"], reset=False)
    X = validate_data(estimator, X, ensure_all_finite="allow-nan", dtype=FLOATS, reset=False)
    require_embeddable(embedded, X)
    return X


def embeddings_of(model: Any) -> Any:
    """The embeddings of an estimator or a network; None if all features are as they are."""
    given = getattr(model, "embeddings", None)
    return None if given is None or all(entry is None for entry in given) else given


def require_embeddable(embeddings: Any, X: Any) -> None:
    """ValueError if rows X (m, n_features) have entries that their embeddings do not take."""
    if embeddings is not None:
        entries = [entry or AS_IT_IS for entry in checked(embeddings, X.shape[1]) or ()]
        levels = [entry.count if entry.kind == LEVELS else 0 for entry in entries]
        refuse_wrong_inputs("X", X.T, levels, [entry.missing for entry in entries])


def validated_weights(sample_weight: Any, X: Any) -> Any:
    """Weights of the rows X by scikit-learn's checks; None stays None."""
    if sample_weight is None:
        return None
    refuse_dates("sample_weight", sample_weight)
    return _check_sample_weight(sample_weight, X)


def _view(array: Any, argument: str) -> Any:
    """An array that is mapped from a file, as a plain one of the same memory; all else as it is."""
    if not isinstance(array, np.ndarray):
        return array
    check_not_truncated(argument, array)
    return array.view(np.ndarray) if type(array) is np.memmap else array


@contextmanager
def _naming_the_row(X: Any, y: Any) -> Iterator[None]:
    """Add the row to scikit-learn's message that an array has a NaN or infinity."""
    try:
        yield
    except ValueError as error:
        for name, array in (("X", X), ("y", y)):
            if str(error).startswith(f"Input {name} contains"):
                raise ValueError(f"{error}{_first_bad(name, array)}") from None
        raise


def _first_bad(name: str, array: Any) -> str:
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        return ""
    count, place = non_finite(array)
    if place is None:
        return ""
    many = "1 entry is" if count == 1 else f"{count} entries are"
    return (
        f"\n{many} NaN or infinite, the first {array[place]} at "
        f"{name}[{', '.join(str(index) for index in place)}]."
    )


@dataclass(frozen=True, eq=False)
class Rows:
    """Checked rows of users' data: inputs, targets and weights.

    Fits may share them: what is derived from them is derived once.

    Attributes
    ----------
    X : ndarray or sparse matrix (m, n_0)
    targets : ndarray
        Class codes (m,) int32 for a softmax output, else numbers (m, n_outputs).
    weights : ndarray (m,) or None
    n_outputs : int or None
        How many output units have the same target, of one column; None if each has its own.
    """

    X: Any
    targets: NDArray[Any]
    weights: NDArray[Any] | None
    n_outputs: int | None = None
    _derived: dict[Hashable, Any] = field(default_factory=dict, repr=False)
    _lock: Any = field(default_factory=threading.RLock, repr=False)

    @property
    def n_rows(self) -> int:
        return int(self.X.shape[0])

    def chosen(self, numbers: NDArray[Any]) -> "Rows":
        """The rows with these numbers, which may repeat."""
        weights = None if self.weights is None else self.weights[numbers]
        return Rows(self.X[numbers], self.targets[numbers], weights, self.n_outputs)

    def derived(self, name: Hashable, make: Callable[[], Derived]) -> Derived:
        """What `make` derives from the rows, under this name: made once."""
        with self._lock:  # a copy of X is made once, also if two threads ask for it
            if name not in self._derived:
                self._derived[name] = make()
            found: Derived = self._derived[name]
        return found

    def samples(self, dtype: Any) -> Samples:
        """The rows as samples in columns, in float32 or float64."""

        def make() -> Samples:
            weights = checked_weights(self.weights, self.n_rows, dtype)
            return samples_of(self.X, self.targets, weights, dtype, self.n_outputs)

        return self.derived(("samples", np.dtype(dtype)), make)

    def sample(
        self, most: int, dtype: Any
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
        """At most so many rows, evenly spread: X as columns, targets and weights."""
        step = spread_step(self.n_rows, self.X.shape[1], most)
        weights = None if self.weights is None else self.weights[::step]
        return self.evenly_spread(most, dtype), self.targets[::step], weights

    def evenly_spread(self, most: int, dtype: Any) -> NDArray[Any]:
        """At most so many rows, evenly spread: X as columns."""
        name = "spread", most, np.dtype(dtype)
        return self.derived(name, lambda: evenly_spread(self.X, most, dtype))


def samples_of(
    X: Any,
    targets: NDArray[Any],
    weights: NDArray[Any] | None,
    dtype: Any,
    n_outputs: int | None = None,
) -> Samples:
    """Rows as samples in columns, in float32 or float64; the weights are checked already."""
    inputs = inputs_of(X, dtype)
    if targets.ndim == 1:
        return Samples(inputs, None, targets, weights)
    Y = float_array("y", targets, dtype).T
    if n_outputs is not None:
        Y = np.broadcast_to(Y, (n_outputs, Y.shape[1]))
    return Samples(inputs, Y, None, weights)


def inputs_of(X: Any, dtype: Any) -> Inputs:
    """X (m, n_0), dense or sparse, as (n_0, m).

    A sparse X is not made dense. CSC is converted to CSR, which has the same size and keeps the
    numbers of a sample together.
    """
    if scipy.sparse.issparse(X):
        rows = X.tocsr()
        return SparseColumns(
            np.ascontiguousarray(rows.data, dtype=dtype),
            np.ascontiguousarray(rows.indices, dtype=np.int32),
            np.ascontiguousarray(rows.indptr, dtype=np.int64),
            int(rows.shape[1]),
        )
    check_usable_in_place("X", X)
    if min(X.strides) < 0:
        X = np.ascontiguousarray(X)  # once, not in each thread
    with np.errstate(over="ignore"):
        columns: NDArray[Any] = X.T.astype(dtype, copy=False)
    return columns


def spread_step(n_rows: int, n_features: int, most: int) -> int:
    """The step between rows, so that at most `most` are taken, and fewer if they are very long."""
    return -(-n_rows // min(most, max(1, MOST_DENSE_ENTRIES // n_features)))


def evenly_spread(X: Any, most: int, dtype: Any) -> NDArray[Any]:
    """At most so many of the rows of X, dense, as columns."""
    rows = X[:: spread_step(X.shape[0], X.shape[1], most)]
    dense = rows.toarray() if scipy.sparse.issparse(rows) else rows
    columns: NDArray[Any] = dense.T.astype(dtype, copy=False)
    return columns
