"""A model as it is read from a .safetensors file: predictions without scikit-learn and Numba.

The forward pass stands here once more, in NumPy alone:

    F1  Z = W A_prev + b
    F2 ... F7  A = g(Z), as in engine/equations/activations.py

`engine.equations` has it three times, but its modules load Numba, and that takes longer than all
else between the start of a process and its first prediction. A test checks that this one has the
bits of `backend="numpy"`.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine import __version__
from engine.model_files.description import (
    BINARY,
    CLASSIFIER,
    MULTICLASS,
    MULTILABEL,
    NETWORK,
    Description,
)
from engine.model_files.errors import ModelFileError, damaged
from engine.model_files.stored_embeddings import embedded
from engine.model_files.stored_network import (
    StoredNetwork,
    embedding_parts,
    layers_of,
    network_of,
    require_inputs,
)

if TYPE_CHECKING:
    from engine.network import Network


ROWS_AT_A_TIME = 4096


class Model:
    """A network with its parameters, read from a .safetensors file by `engine.load`.

    It predicts without scikit-learn, and by default without Numba.

    Attributes
    ----------
    theta : ndarray (n_parameters,)
        The parameters, float32 or float64.
    classes : ndarray (n_classes,) or None
        The labels of a classifier.
    feature_names : tuple of str
        Names of the inputs, where the model was trained with any.
    header : dict of str
        All that the file says of the model; docs/model-files.md lists it.

    Notes
    -----
    **Bits.** By default predictions are computed by NumPy's matrix algebra, which loads fast.
    They equal those of the fitted model up to rounding. `backend="tiled"`, `predictor()` and
    `estimator()` give exactly its bits, on processors of the class that it was trained on; they
    load Numba and kernels, once.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from engine import MLPClassifier, load, save
    >>> flower = MLPClassifier((4,), solver="lbfgs", random_state=0)
    >>> flower = flower.fit([[0, 0], [0, 1], [1, 0], [1, 1]], ["same", "other", "other", "same"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(folder + "/flower.safetensors", flower)
    ...     model = load(folder + "/flower.safetensors")
    >>> model
    <Model: classifier, 2-4-1: relu hidden units, sigmoid output, float64>
    >>> model.predict([[1.0, 1.0]])
    array(['same'], dtype='<U5')
    """

    def __init__(self, stored: StoredNetwork, path: Path) -> None:
        self._stored = stored
        self._path = path

    def __repr__(self) -> str:
        return f"<Model: {self._about.kind}, {self._about.in_words}>"

    @property
    def _about(self) -> Description:
        return self._stored.description

    @property
    def theta(self) -> NDArray[Any]:
        return self._stored.theta

    @property
    def classes(self) -> NDArray[Any] | None:
        return self._about.classes

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self._about.feature_names

    @property
    def header(self) -> dict[str, str]:
        return dict(self._stored.metadata)

    @functools.cached_property
    def network(self) -> "Network":
        """The `engine.Network` that `theta` belongs to; loads Numba."""
        return network_of(self._about)

    @functools.cached_property
    def layers(self) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """W (n_out, n_in) and b (n_out,) of each layer, as views of theta."""
        return layers_of(self.theta, self._about.shapes)

    def outputs(self, X: Any, *, backend: str | None = None) -> NDArray[Any]:
        """Activations of the output layer, for rows of inputs.

        Parameters
        ----------
        X : array_like (n_samples, n_features), or a table with the columns of `feature_names`
        backend : "numpy", "loops", "tiled" or None
            None is "numpy"; the class says what that means for bits.

        Returns
        -------
        A : ndarray (n_samples, n_outputs)
            Of the dtype of theta.

        Raises
        ------
        ValueError
            For another shape, other columns, and for NaN or infinity.
        """
        rows = self._rows(X)
        if backend not in (None, "numpy"):
            return np.ascontiguousarray(self.network.forward(self.theta, rows.T, backend).T)
        A = np.empty((len(rows), self._about.sizes[-1]), self.theta.dtype)
        for start in range(0, len(rows), ROWS_AT_A_TIME):
            block = rows[start : start + ROWS_AT_A_TIME].T
            A[start : start + ROWS_AT_A_TIME] = outputs_of(self._about, self.theta, block).T
        return A

    def predict(self, X: Any, *, backend: str | None = None) -> NDArray[Any]:
        """Labels of a classifier; otherwise the outputs, (n_samples,) if there is one per row.

        X and `backend` as for `outputs`. A multilabel classifier gives rows of 0 and 1. Several
        quantiles of a row are in order.
        """
        A = self.outputs(X, backend=backend)
        if self._about.kind == CLASSIFIER:
            return decoded(self._about, A)
        if self._about.n_levels:
            return np.sort(A, axis=1)
        return A[:, 0] if A.shape[1] == 1 else A

    def predict_proba(self, X: Any, *, backend: str | None = None) -> NDArray[Any]:
        """The probability of each class, in the order of `classes`, (n_samples, n_classes).

        X and `backend` as for `outputs`. AttributeError where the model is no classifier.
        """
        self._require_classifier()
        return probabilities(self._about, self.outputs(X, backend=backend))

    def predictor(self) -> "OneRowModel":
        """The model for one row at a time, in microseconds, with the bits of the fitted model."""
        return OneRowModel(self)

    def estimator(self) -> Any:
        """The scikit-learn estimator that was saved: its predictions have the same bits.

        It can be cloned, pickled and trained further. `warm_start` and `partial_fit` continue
        from these parameters, but with a new optimiser and new random numbers: to end with the bits
        of an uninterrupted fit, use a checkpoint.

        Raises
        ------
        AttributeError
            If a network was saved, and no estimator.
        ModelFileError
            If what the file says of it makes no estimator.
        """
        if self._about.kind == NETWORK:
            raise AttributeError(
                f"{self._path} holds a network, and no estimator; use predict, or network and "
                "theta."
            )
        from engine.model_files.estimator_state import estimator_of

        try:
            return estimator_of(self._stored)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            wrote = self._about.versions.get("mlp-engine", "another version")
            if wrote == __version__:
                raise damaged(self._path, error) from error
            raise ModelFileError(
                f"{self._path} was written by mlp-engine {wrote:.40}, and this is {__version__}: "
                f"its estimator cannot be made here ({error}). The model predicts; for its "
                "estimator install that version, or train again."
            ) from error

    def _require_classifier(self) -> None:
        if self._about.kind != CLASSIFIER:
            raise AttributeError(
                f"A {self._about.kind} has no probabilities of classes; use predict."
            )

    def _rows(self, X: Any) -> NDArray[Any]:
        """X as finite numbers (n_samples, n_features) of the dtype of theta."""
        columns = getattr(X, "columns", None)
        if columns is not None and self.feature_names:
            actual = tuple(map(str, columns))
            if actual != self.feature_names:
                raise ValueError(
                    f"The columns must be those that the model was trained on, in that order: "
                    f"{_listed(self.feature_names)}; got {_listed(actual)}."
                )
        if hasattr(X, "toarray"):
            X = X.toarray()
        rows = np.asarray(X)
        n_features = self._about.sizes[0]
        if rows.ndim != 2 or rows.shape[1] != n_features:
            advice = " For one row, pass [row]." if rows.ndim == 1 else ""
            raise ValueError(
                f"X must have shape (n_samples, {n_features}), a row for each sample; got shape "
                f"{rows.shape}.{advice}"
            )
        if rows.dtype.kind not in "biuf" + "O" * (columns is not None):
            raise TypeError(f"X must hold numbers; got dtype {rows.dtype}.")
        with np.errstate(over="ignore"):
            numbers: NDArray[Any] = rows.astype(self.theta.dtype, copy=False)
        require_inputs(numbers, self._about)
        return numbers


class OneRowModel:
    """A model for one row at a time: what `Model.predictor()` gives.

    Any number of threads may call it; they take turns.
    """

    def __init__(self, model: Model) -> None:
        from engine.sums.one_row import OneRow

        self._model = model
        self._about = model._about
        self._forward = OneRow(model.network.layers, model.theta)

    def __repr__(self) -> str:
        return f"<OneRowModel of {self._model}>"

    def predict(self, row: ArrayLike) -> Any:
        """The label, the number, or the (n_outputs,) of them, for one row (n_features,)."""
        A = self._forward(row)
        if self._about.kind == CLASSIFIER:
            return decoded(self._about, A[np.newaxis])[0]
        if self._about.n_levels:
            return np.sort(A)
        return A[0] if len(A) == 1 else A

    def predict_proba(self, row: ArrayLike) -> NDArray[Any]:
        """The probability of each class (n_classes,) for one row (n_features,)."""
        self._model._require_classifier()
        found: NDArray[Any] = probabilities(self._about, self._forward(row)[np.newaxis])[0]
        return found


def decoded(about: Description, A: NDArray[Any]) -> NDArray[Any]:
    """The labels of activations (m, n_L), as the estimators give them."""
    assert about.classes is not None
    if about.labels == MULTILABEL:
        return (A > 0.5).astype(int)
    if about.labels == MULTICLASS:
        labels: NDArray[Any] = about.classes[A.argmax(axis=1)]
        return labels
    above = (A[:, 0] > 0.5).astype(np.int64)
    found: NDArray[Any] = about.classes[np.minimum(above, len(about.classes) - 1)]
    return found


def probabilities(about: Description, A: NDArray[Any]) -> NDArray[Any]:
    """The probabilities of classes from activations (m, n_L), as the estimators give them."""
    if about.labels != BINARY:
        return A
    both = np.empty((len(A), 2), A.dtype)
    both[:, 1] = A[:, 0]
    both[:, 0] = 1 - A[:, 0]
    return both


def _listed(names: Sequence[str], most: int = 6) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


# The forward pass, in NumPy alone.

Parameters = Sequence[tuple[NDArray[Any], NDArray[Any]]]  # (W, b) of each layer


def outputs_of(about: Description, theta: NDArray[Any], X: NDArray[Any]) -> NDArray[Any]:
    """A[L] (n_L, m) of X (n_0, m), which may be embedded first."""
    if about.embeddings is not None:
        X = embedded(about.embeddings, embedding_parts(theta, about), X)
    return forward(layers_of(theta, about.shapes), about.units, X)


def forward(layers: Parameters, units: Sequence[str], X: NDArray[Any]) -> NDArray[Any]:
    """A[L] (n_L, m) of X (n_0, m), all of one dtype.  sum_l n_l n_{l-1} multiply-adds a sample."""
    A = X
    with np.errstate(all="ignore"):  # what overflows is inf or NaN, and says so itself
        for (W, b), unit in zip(layers, units, strict=True):
            Z = np.matmul(W, A)
            Z += b[:, np.newaxis]  # as F1
            activate(unit, Z)
            A = Z
    return A


def activate(unit: str, Z: NDArray[Any]) -> None:
    """A = g(Z) for a layer of `unit` units, in place."""
    if unit == "tanh":
        np.tanh(Z, out=Z)  # as F2
    elif unit == "sigmoid":
        e = np.exp(-np.abs(Z))
        np.divide(np.where(Z < 0, e, 1), 1 + e, out=Z)  # as F3
    elif unit == "relu":
        np.maximum(0, Z, out=Z)  # as F4
    elif unit == "softmax":
        e = np.exp(Z - Z.max(axis=0))
        np.divide(e, e.sum(axis=0), out=Z)  # as F6
    elif unit == "exp":
        np.exp(Z, out=Z)  # as F7
    # as F5  of identity units: nothing to do, A = Z
