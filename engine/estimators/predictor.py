"""Predictions: of many rows in blocks of bounded size, and of one row in microseconds."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.equations.backends import TILED, Backend
from engine.estimators.input_validation import inputs_of
from engine.estimators.labels import Labels
from engine.network import Network
from engine.sums.objective import forward
from engine.sums.one_row import OneRow
from engine.sums.samples import Samples


class RowPredictor:
    """A fitted estimator for one row at a time.

    It keeps a copy of the parameters: later training does not change it. Any number of threads may
    call it, and it can be pickled.
    """

    def __init__(self, network: Network, theta: NDArray[Any]) -> None:
        self._network = network
        self._forward = OneRow(network.layers, theta)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._network}>"


class RowRegressor(RowPredictor):
    """A fitted MLPRegressor for one row at a time."""

    def predict(self, row: ArrayLike) -> Any:
        """The prediction for one row of features.

        Parameters
        ----------
        row : array_like (n_features,)
            Numbers, in the order of the training data's columns.

        Returns
        -------
        y : float, or ndarray (n_outputs,) where there are several outputs
            Several quantiles are in order.

        Raises
        ------
        ValueError
            For another shape, and for NaN or infinity.
        """
        output = self._forward(row)
        return output[0] if len(output) == 1 else self._network.loss.predictions(output)


class RowClassifier(RowPredictor):
    """A fitted MLPClassifier for one row at a time."""

    def __init__(self, network: Network, theta: NDArray[Any], labels: Labels) -> None:
        super().__init__(network, theta)
        self._labels = labels
        self._single = network.sizes[-1] == 1

    def predict_proba(self, row: ArrayLike) -> NDArray[Any]:
        """The probability of each class for one row of features.

        Parameters
        ----------
        row : array_like (n_features,)
            Numbers, in the order of the training data's columns.

        Returns
        -------
        p : ndarray (n_classes,)
            The bits of ``estimator.predict_proba([row])[0]``.

        Raises
        ------
        ValueError
            For another shape, and for NaN or infinity.
        """
        output = self._forward(row)
        if not self._single:
            return output
        both = np.empty(2, output.dtype)
        both[1] = output[0]
        both[0] = 1 - output[0]
        return both

    def predict(self, row: ArrayLike) -> Any:
        """The label for one row of features, or (n_labels,) of them; `row` as for predict_proba."""
        labels = self._labels.decode(self._forward(row)[None, :])
        return labels[0]


# Rows that go through the network at a time, so that memory stays bounded.
ROWS_AT_A_TIME = 65536


def blocks_of(
    network: Network, theta: NDArray[Any], X: Any, backend: Backend, n_threads: int | None
) -> Iterator[NDArray[Any]]:
    """A[L] (rows, n_outputs) of block after block of checked rows X (m, n_features)."""
    if X.shape[0] == 1 and backend is TILED and isinstance(X, np.ndarray):
        with np.errstate(over="ignore"):
            row = X[0].astype(theta.dtype)
        if np.isfinite(row).all() or network.embeddings is not None:
            yield OneRow(network.layers, theta)(row)[np.newaxis, :]
            return
    if hasattr(X, "tocsr"):
        X = X.tocsr()
    for start in range(0, X.shape[0], ROWS_AT_A_TIME):
        samples = Samples(inputs_of(X[start : start + ROWS_AT_A_TIME], theta.dtype))
        yield forward(backend, network.layers, samples, theta, n_threads).T
