"""Training on one row at a time, in microseconds: for rows that come as a stream."""

import math
import threading
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import NotFittedError

from engine.boundary.arrays import REAL
from engine.boundary.dates import refuse_dates
from engine.estimators.input_validation import FLOATS
from engine.estimators.labels import MULTILABEL
from engine.estimators.prepared_rows import LEAST_WEIGHT, MOST_WEIGHT, PREPARED

UNTOUCHED = "Nothing was trained."


class Learner:
    """A function that trains an estimator on one row at a time.

    A call leaves the estimator as ``partial_fit`` of that row would: the same bits in `coefs_`,
    `intercepts_`, `loss_`, `t_` and all other attributes. But it changes the arrays in `coefs_` and
    `intercepts_` in place, where `partial_fit` puts new ones: copy those that are to stay.

    Between calls you may do with the estimator whatever you like: train it otherwise, set its
    parameters, change or replace `coefs_`, copy or pickle it. A call goes on from what it holds. A
    pickle of a learner holds its estimator.

    Threads may share a learner: they take turns. Do not use the estimator otherwise at the same
    time: predictions in another thread may be of parameters that are half updated.
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._lock = threading.Lock()
        self._look()

    def _look(self) -> None:
        """Note what the estimator was fitted to."""
        attributes = vars(self._estimator)
        if "coefs_" not in attributes:
            raise NotFittedError(
                f"This {type(self._estimator).__name__} is not fitted yet, and a learner goes on "
                f"from what was fitted. Call {self._first_call} or fit first."
            )
        self._network = attributes["_network"]
        self._dtype = self._estimator._dtype
        self._shape = (self._network.layers.n_inputs,)

    _first_call: str

    def __call__(self, row: ArrayLike, target: Any, sample_weight: float | None = None) -> float:
        """Train on one row.

        Parameters
        ----------
        row : array_like (n_features,)
            Finite numbers, in the order of the training data's columns. Fastest is an ndarray of
            the dtype that the estimator was trained in.
        target : label, float or array_like
            For a classifier one of `classes_`, or with several labels their 0 and 1 (n_labels,).
            For a regressor a number, or with several outputs (n_outputs,).
        sample_weight : float, optional
            Above 0.

        Returns
        -------
        loss : float
            Of this row, before the step, as `loss_`.

        Raises
        ------
        ValueError, TypeError
            For a row, a target or a weight that is none, and where `partial_fit` raises them: if
            the loss of the row is not finite, for one. Nothing has changed then.
        """
        estimator = self._estimator
        attributes = estimator.__dict__
        if attributes.get("_network") is not self._network:
            self._look()
        if type(row) is not np.ndarray or row.dtype is not self._dtype or row.shape != self._shape:
            row = self._checked_row(row)
        number = self._checked_target(target)
        prepared = PREPARED.get(id(estimator))
        if prepared is not None and sample_weight is None and row.dtype is self._dtype:
            learn = prepared.learn_quickly
            if learn is not None and (loss := learn(attributes, row, number)) is not None:
                return loss  # type: ignore[no-any-return]
        weight = 1.0 if sample_weight is None else checked_weight(sample_weight)
        if prepared is not None and LEAST_WEIGHT < weight < MOST_WEIGHT:
            loss = prepared.learn(estimator, row, number, weight)
            if loss is not None:
                return loss
        with self._lock:
            return self._train_generally(row, number, None if sample_weight is None else weight)

    def _checked_row(self, row: Any) -> NDArray[Any]:
        """The row (n_features,) in float32 or float64."""
        if "coefs_" in vars(self._estimator):  # which may be of another dtype by now
            self._dtype = self._estimator._dtype
        refuse_dates("The row", row)
        array = np.asarray(row)
        if array.dtype.kind not in REAL:
            raise TypeError(
                f"A row must hold numbers; got dtype {array.dtype}. {UNTOUCHED} Turn its entries "
                "into numbers first."
            )
        if array.shape != self._shape:
            raise ValueError(
                f"A row must have shape {self._shape}, one number per feature; got shape "
                f"{array.shape}. {UNTOUCHED} Pass rows one at a time, or several to partial_fit."
            )
        with np.errstate(over="ignore"):  # infinity is refused
            array = array.astype(np.float64) if array.dtype not in FLOATS else array
            return array.astype(np.float32) if self._dtype == np.float32 else array

    def _checked_target(self, target: Any) -> Any:
        """The target as the network takes it."""
        raise NotImplementedError

    def _as_y(self, number: Any) -> NDArray[Any]:
        """A checked target as y of one row."""
        raise NotImplementedError

    def _train_generally(self, row: NDArray[Any], number: Any, weight: float | None) -> float:
        """Train by `partial_fit`, which prepares the next calls where it can."""
        if not np.isfinite(row).all() and self._network.embeddings is None:
            raise ValueError(
                f"A row must hold finite numbers; got {row}. {UNTOUCHED} Leave the row out, or "
                "fill what is missing."
            )
        estimator, attributes = self._estimator, vars(self._estimator)
        names = attributes.pop("feature_names_in_", None)  # a row has none
        weights = None if weight is None else np.array([weight])
        try:
            with warnings.catch_warnings():
                # Of a batch size above 1.
                warnings.filterwarnings("ignore", "Got `batch_size` less than 1 or larger")
                estimator.partial_fit(row[np.newaxis], self._as_y(number), weights)
        finally:
            if names is not None:
                attributes["feature_names_in_"] = names
        self._look()
        return float(attributes["loss_"])

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._estimator,)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._network}>"


class RegressorLearner(Learner):
    """A function that trains an MLPRegressor on one row at a time."""

    _first_call = "partial_fit with a first row"

    def _look(self) -> None:
        super()._look()
        loss = self._network.loss
        most = float(np.finfo(self._dtype).max)
        low = loss.row.low if loss.row.low_included else math.nextafter(loss.row.low, math.inf)
        self._low, self._high = max(low, -most), most
        self._n_targets = 1 if loss.n_outputs else int(self._network.sizes[-1])

    def _checked_target(self, target: Any) -> Any:
        if self._n_targets > 1:
            return self._checked_vector(target)
        number = target if type(target) is float else self._number(target)
        if not self._low <= number <= self._high:
            self._refuse(target)
        return number

    def _number(self, target: Any) -> float:
        """A target that is not a float as one."""
        array = np.asarray(target)
        if array.dtype.kind not in REAL:
            raise TypeError(
                f"A target must be a number; got {target!r}. {UNTOUCHED} Turn it into a number "
                "first."
            )
        if array.shape not in ((), (1,)):
            raise ValueError(
                f"A target must be one number; got shape {array.shape}. {UNTOUCHED} Pass the "
                "target of this row alone."
            )
        return float(array.reshape(-1)[0])

    def _checked_vector(self, target: Any) -> NDArray[Any]:
        array = np.asarray(target)
        if array.dtype.kind not in REAL:
            raise TypeError(
                f"A target must hold numbers; got dtype {array.dtype}. {UNTOUCHED} Turn its "
                "entries into numbers first."
            )
        if array.shape != (self._n_targets,):
            raise ValueError(
                f"A target must have shape ({self._n_targets},), one number per output; got shape "
                f"{array.shape}. {UNTOUCHED} Pass the targets of this row alone."
            )
        if not (self._low <= array.min() and array.max() <= self._high):
            self._refuse(target)
        return array.astype(np.float64)

    def _refuse(self, target: Any) -> None:
        row = self._network.loss.row
        wanted = "finite"
        if row.low > -math.inf:
            wanted = f"finite and {'at least' if row.low_included else 'above'} {row.low:g}"
        if self._dtype == np.float32:
            wanted += " in float32"
        raise ValueError(
            f"A target must be {wanted}; got {target!r}. {UNTOUCHED} Leave the row out, or mend "
            "its target."
        )

    def _as_y(self, number: Any) -> NDArray[Any]:
        return np.array([number])


class ClassifierLearner(Learner):
    """A function that trains an MLPClassifier on one row at a time."""

    _first_call = "partial_fit with a first row and classes"

    def _look(self) -> None:
        super()._look()
        self._labels = self._estimator._labels
        known = self._labels.classes.tolist()
        self._codes = {label: code for code, label in enumerate(known)}
        self._of_several = self._labels.kind == MULTILABEL

    def _checked_target(self, target: Any) -> Any:
        if self._of_several:
            return self._checked_indicators(target)
        try:
            return self._codes[target]
        except (KeyError, TypeError):
            return self._code(target)

    def _code(self, target: Any) -> int:
        """The code of a label that is not in plain Python."""
        if isinstance(target, np.ndarray) and target.size == 1:
            label = target.item()
            if label in self._codes:
                return self._codes[label]
        classes = ", ".join(map(repr, self._codes))
        raise ValueError(
            f"A target must be one of the classes {classes}; got {target!r}. {UNTOUCHED} All "
            "classes are named in the first call, partial_fit(X, y, classes=...)."
        )

    def _checked_indicators(self, target: Any) -> NDArray[Any]:
        array = np.asarray(target)
        n_labels = len(self._codes)
        if array.shape != (n_labels,) or array.dtype.kind not in REAL:
            raise ValueError(
                f"A target must have shape ({n_labels},), a 0 or 1 for each label; got {target!r}. "
                f"{UNTOUCHED} Pass the labels of this row alone."
            )
        if not np.all((array == 0) | (array == 1)):
            raise ValueError(
                f"A target must hold a 0 or 1 for each label; got {target!r}. {UNTOUCHED} Code "
                "each label as 1 where the row has it, else as 0."
            )
        return array.astype(np.int64)

    def _as_y(self, number: Any) -> NDArray[Any]:
        if self._of_several:
            return number[np.newaxis]  # type: ignore[no-any-return]
        return self._labels.classes[number : number + 1]  # type: ignore[no-any-return]


def checked_weight(weight: Any) -> float:
    """A weight, as a number above 0."""
    array = np.asarray(weight)
    if array.dtype.kind not in REAL or array.shape not in ((), (1,)):
        raise TypeError(
            f"sample_weight must be a number; got {weight!r}. {UNTOUCHED} Pass the weight of this "
            "row alone."
        )
    number = float(array.reshape(-1)[0])
    if not 0 < number < math.inf:
        raise ValueError(
            f"sample_weight must be above 0 and finite; got {number:g}. {UNTOUCHED} Leave out a "
            "row that counts for nothing."
        )
    return number
