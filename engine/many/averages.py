"""Averages over the members of an ensemble: of many rows, and of one row in microseconds.

    mean  = sum_k c_k p_k / sum_k c_k                                  (A1)
    std^2 = sum_k c_k (p_k - mean)^2 / sum_k c_k                       (A2)

p_k is the prediction of member k, and c_k a whole number: how many times the member counts. Sums
are taken in float64, member by member, so that a row has the same bits alone and among others.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.estimators.labels import MULTILABEL, Labels
from engine.estimators.predictor import RowClassifier, RowRegressor


def mean_and_std(
    predictions: Sequence[Any], counts: Sequence[int], *, with_std: bool = False
) -> tuple[Any, Any]:
    """A1, and A2 if that is asked for, else None; both of the dtype and shape of the predictions.

    ~2 multiply-adds a number, and 2 more for the standard deviation.
    """
    dtype, n = np.result_type(*predictions), sum(counts)
    mean: Any = sum(c * np.asarray(p, np.float64) for p, c in zip(predictions, counts, strict=True))
    mean = mean / n  # A1
    if not with_std:
        return mean.astype(dtype), None
    squares: Any = sum(c * np.square(p - mean) for p, c in zip(predictions, counts, strict=True))
    return mean.astype(dtype), np.sqrt(squares / n).astype(dtype)  # A2


def aligned(p: NDArray[Any], known: NDArray[Any], classes: NDArray[Any]) -> NDArray[Any]:
    """Probabilities (m, n_classes) of all classes, from those of a member that knows some of them.

    A class that is in none of a member's rows has probability 0 there, and a class that is in all
    of them has probability 1. Both arrays of classes are sorted.
    """
    if len(known) == len(classes) == p.shape[1]:
        return p
    found = np.zeros((len(p), len(classes)), p.dtype)
    found[:, np.searchsorted(classes, known)] = p if len(known) > 1 else 1
    return found


def decoded(p: NDArray[Any], labels: Labels) -> Any:
    """Labels of mean probabilities (m, n_classes)."""
    return labels.decode(p) if labels.kind == MULTILABEL else labels.classes[p.argmax(axis=1)]


class RowEnsemble:
    """A fitted ensemble for one row at a time: what its `predictor()` gives.

    It keeps a copy of the parameters. Any number of threads may call it, and it can be pickled.
    """

    def __init__(self, members: Sequence[Any], counts: Sequence[int]) -> None:
        self._members = list(members)
        self._counts = list(counts)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._members)} members>"


class RowEnsembleRegressor(RowEnsemble):
    """A fitted MLPEnsembleRegressor for one row at a time."""

    _members: list[RowRegressor]

    def predict(self, row: ArrayLike, return_std: bool = False) -> Any:
        """The prediction for one row of features (n_features,); with `return_std` (y, std).

        Each is a number, or (n_outputs,) of several outputs, with the bits of
        ``ensemble.predict([row])[0]``. ValueError for another shape, and for NaN or infinity.
        """
        predictions = [member.predict(row) for member in self._members]
        mean, std = mean_and_std(predictions, self._counts, with_std=return_std)
        return (mean, std) if return_std else mean


class RowEnsembleClassifier(RowEnsemble):
    """A fitted MLPEnsembleClassifier for one row at a time."""

    _members: list[RowClassifier]

    def __init__(
        self,
        members: Sequence[RowClassifier],
        counts: Sequence[int],
        labels: Labels,
        known: Sequence[NDArray[Any]],
    ) -> None:
        super().__init__(members, counts)
        self._labels = labels
        self._known = list(known)

    def predict_proba(self, row: ArrayLike, return_std: bool = False) -> Any:
        """The probability of each class (n_classes,) for one row; with `return_std` (p, std).

        They have the bits of ``ensemble.predict_proba([row])[0]``. ValueError for another shape,
        and for NaN or infinity.
        """
        predictions = [
            aligned(member.predict_proba(row)[np.newaxis], known, self._labels.classes)[0]
            for member, known in zip(self._members, self._known, strict=True)
        ]
        mean, std = mean_and_std(predictions, self._counts, with_std=return_std)
        return (mean, std) if return_std else mean

    def predict(self, row: ArrayLike) -> Any:
        """The label for one row of features, or (n_labels,) of them; `row` as for predict_proba."""
        return decoded(self.predict_proba(row)[np.newaxis], self._labels)[0]
