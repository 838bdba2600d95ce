"""Predictions: of many rows in blocks of bounded size, and of one row in microseconds."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.equations.backends import TILED, Backend
from engine.estimators.input_validation import inputs_of
from engine.estimators.labels import Labels
from engine.network import Network
from engine.sums.objective import forward
from engine.sums.one_row import OneRow, RowOfNetworks
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
        return self.of_outputs(self._forward(row)[np.newaxis])[0]

    def of_outputs(self, A: NDArray[Any]) -> NDArray[Any]:
        """Predictions of activations A[L] (m, n_L): (m,), or (m, n_L) of several outputs."""
        return A[:, 0] if A.shape[1] == 1 else self._network.loss.predictions(A)


class RowClassifier(RowPredictor):
    """A fitted MLPClassifier for one row at a time."""

    def __init__(self, network: Network, theta: NDArray[Any], labels: Labels) -> None:
        super().__init__(network, theta)
        self._labels = labels

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
        found: NDArray[Any] = self.of_outputs(self._forward(row)[np.newaxis])[0]
        return found

    def of_outputs(self, A: NDArray[Any]) -> NDArray[Any]:
        """Probabilities (m, n_classes) of activations A[L] (m, n_L)."""
        if A.shape[1] > 1:
            return A
        both = np.empty((len(A), 2), A.dtype)
        both[:, 1] = A[:, 0]
        both[:, 0] = 1 - A[:, 0]
        return both

    def predict(self, row: ArrayLike) -> Any:
        """The label for one row of features, or (n_labels,) of them; `row` as for predict_proba."""
        labels = self._labels.decode(self._forward(row)[None, :])
        return labels[0]


def together(predictors: Sequence[RowPredictor]) -> RowOfNetworks:
    """The function that gives A[L] of several networks, whose layers and inputs are alike."""
    thetas = np.array([one._forward.theta for one in predictors])
    return RowOfNetworks(predictors[0]._forward.layers, thetas)


# Rows that go through the network at a time, so that memory stays bounded.
ROWS_AT_A_TIME = 65536
# Of more, `OneRow` takes longer to make than the pass of a row does.
FEW_PARAMETERS = 20_000


def blocks_of(
    network: Network, theta: NDArray[Any], X: Any, backend: Backend, n_threads: int | None
) -> Iterator[NDArray[Any]]:
    """A[L] (rows, n_outputs) of block after block of checked rows X (m, n_features)."""
    is_small = theta.size <= FEW_PARAMETERS
    if X.shape[0] == 1 and is_small and backend is TILED and isinstance(X, np.ndarray):
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
