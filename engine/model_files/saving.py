"""From what a user saves to what a file holds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.boundary import arrays
from engine.model_files.description import Description
from engine.model_files.examples import Examples, chosen, drawn_rows
from engine.model_files.stored import Stored
from engine.network import Network

ESTIMATORS = (
    "engine.estimators.classifier.MLPClassifier",
    "engine.estimators.regressor.MLPRegressor",
)
LOADED = "engine.model_files.light.Model"


def stored_model(model: Any, theta: Any, X: Any) -> Stored:
    """What is to be written of a Network with parameters, or of a fitted estimator.

    TypeError for anything else.
    """
    if isinstance(model, Network):
        return stored_network(model, theta, X)
    if theta is not None:
        raise TypeError(
            f"theta goes with a Network; a {type(model).__name__} has parameters of its own. Leave "
            "it out."
        )
    kind = f"{type(model).__module__}.{type(model).__name__}"
    if kind == LOADED:
        raise TypeError(
            "What load gave is saved again as save(path, model.estimator()), or where it was a "
            "network as save(path, model.network, model.theta)."
        )
    if kind not in ESTIMATORS:
        raise TypeError(
            f"A {type(model).__name__} cannot be written to this kind of file, which holds a "
            "network, an MLPClassifier or an MLPRegressor. Scikit-learn pipelines go into .skops "
            "files; with the result of training, save(path, network, result)."
        )
    return stored_estimator(model, X)


def stored_network(network: Network, theta: Any, X: Any) -> Stored:
    """A network with its parameters, or with the TrainResult that has them; ready to be written."""
    values = getattr(theta, "theta", theta)
    if values is None:
        raise TypeError(
            "A Network has no parameters of its own; pass them, too: save(path, network, theta), "
            "or save(path, network, result) with what train returned."
        )
    array = np.asarray(values)
    dtype = array.dtype if array.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    theta = arrays.parameters(array, network.n_parameters, dtype, cast=True)
    about = Description(network.sizes, network.hidden, network.output, dtype.name)
    return Stored(about, theta, examples_of(network, theta, X, None), {}, {})


def stored_estimator(estimator: Any, X: Any) -> Stored:
    """A fitted MLPClassifier or MLPRegressor; ready to be written."""
    from engine.model_files.conversion import curves_of, description_of

    about = description_of(estimator)
    theta = estimator._theta()
    examples = examples_of(estimator._network, theta, X, estimator.backend)
    return Stored(about, theta, examples, curves_of(estimator), {})


def examples_of(network: Network, theta: NDArray[Any], X: Any, backend: str | None) -> Examples:
    """At most eight of the rows X, or rows drawn for it, and what the network gives for them."""
    if not np.isfinite(theta).all():
        raise ValueError(
            "The parameters must be finite to be saved, but hold NaN or infinity; train again, "
            "with a smaller learning rate."
        )
    n_features = network.sizes[0]
    rows = drawn_rows(n_features) if X is None else some_rows(X)
    if rows.ndim != 2 or rows.shape[1] != n_features or len(rows) == 0:
        raise ValueError(
            f"X must have shape (n_samples, {n_features}), a row for each sample, as this model "
            f"has {n_features} inputs; got shape {np.shape(X)}."
        )
    inputs = arrays.float_array("X", np.ascontiguousarray(rows), theta.dtype)
    outputs = np.ascontiguousarray(network.forward(theta, inputs.T, backend).T)
    if not np.isfinite(outputs).all():
        raise ValueError(
            "The model gives NaN or infinity for the rows that it was to be tried on; pass rows "
            "like those that it was trained on: save(path, model, X=rows)."
        )
    return Examples(inputs, outputs)


def some_rows(X: Any) -> NDArray[Any]:
    """At most eight rows of an array, a sparse matrix or a table, evenly spread; dense."""
    if hasattr(X, "tocsr"):
        X = X.tocsr()[chosen(X.shape[0])].toarray()
    rows = np.asarray(X)
    return rows[chosen(len(rows))] if rows.ndim == 2 else rows
