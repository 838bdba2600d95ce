"""What a file of a network holds: its parameters, and examples that it is checked on."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.boundary import arrays
from engine.boundary.embedded_inputs import refuse_wrong_inputs
from engine.model_files import stored_embeddings
from engine.model_files.description import Description

if TYPE_CHECKING:
    from engine.network import Network


N_EXAMPLES = 8
DRAWN = (
    "standard normal numbers, row by row, from NumPy's PCG64 with seed 0, rounded to the dtype "
    "that the model takes"
)
DRAWN_EMBEDDED = (
    f"{DRAWN}; of inputs in levels the number of the row, from 0, modulo the levels; of inputs "
    "that may be missing NaN in the last row"
)
GIVEN = "rows of the user's"


def drawn_in_words(about: Description) -> str:
    """Where the rows come from that are drawn for a network."""
    return DRAWN if about.embeddings is None else DRAWN_EMBEDDED


class Examples(NamedTuple):
    """Inputs (rows, n_0), and the activations of the output layer (rows, n_L) for them."""

    X: NDArray[Any]
    outputs: NDArray[Any]


def drawn_rows(n_features: int) -> NDArray[np.float64]:
    """Eight rows of numbers: `numpy.random.Generator(PCG64(0)).standard_normal`."""
    return np.random.Generator(np.random.PCG64(0)).standard_normal((N_EXAMPLES, n_features))


def spread_rows(n_rows: int) -> NDArray[np.int64]:
    """Numbers of at most eight rows, evenly spread."""
    numbers = np.linspace(0, n_rows - 1, min(n_rows, N_EXAMPLES)).round().astype(np.int64)
    return numbers


def last_place(*outputs: NDArray[Any]) -> float:
    """The unit in the last place of the largest number of all, which must be of one dtype.

    Rounding errors are measured in this unit: a probability of 1e-9 beside one of 0.9 is only as
    exact as the sums that both come from. Numbers that are not finite do not count, nor do
    subnormal ones, which kernels treat as 0.

    Examples
    --------
    >>> last_place(np.array([0.5, 1.0])) == 2**-52
    True
    """
    dtype = outputs[0].dtype
    finite = [np.abs(array[np.isfinite(array)]).max(initial=0) for array in outputs]
    return float(np.spacing(max(*finite, np.finfo(dtype).tiny), dtype=dtype))


def largest_difference(expected: NDArray[Any], actual: NDArray[Any]) -> float:
    """The largest difference; infinite for another shape, and where one is not finite.

    Examples
    --------
    >>> largest_difference(np.array([0.5, 1.0]), np.array([0.5, 0.75]))
    0.25
    """
    if expected.shape != actual.shape:
        return math.inf
    with np.errstate(all="ignore"):
        found = np.abs(expected.astype(np.float64) - actual.astype(np.float64)).max(initial=0)
    return float(found) if np.isfinite(found) else math.inf


class StoredNetwork(NamedTuple):
    """A network, its parameters, examples, and the curves of its training.

    Attributes
    ----------
    description : Description
    theta : ndarray (n_parameters,)
    examples : Examples
    curves : dict of float64 arrays
        By the names of the estimators' attributes.
    metadata : dict of str
        All that the file says; empty before it is written.
    """

    description: Description
    theta: NDArray[Any]
    examples: Examples
    curves: dict[str, NDArray[Any]]
    metadata: dict[str, str]


def layers_of(
    theta: NDArray[Any], shapes: Sequence[tuple[int, int]]
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """W and b of each layer as views of theta: W[1] row by row, b[1], W[2] row by row, ..."""
    found, start = [], 0
    for n_out, n_in in shapes:
        middle = start + n_out * n_in
        W, b = theta[start:middle].reshape(n_out, n_in), theta[middle : middle + n_out]
        found.append((W, b))
        start = middle + n_out
    return found


def embedding_parts(theta: NDArray[Any], about: Description) -> dict[str, NDArray[Any]]:
    """The arrays of the embeddings' parameters by name, as views of theta."""
    n_dense = sum(n_out * (n_in + 1) for n_out, n_in in about.shapes)
    return stored_embeddings.parts_of(theta, about.embeddings, n_dense)


def arrays_of(theta: NDArray[Any], about: Description) -> list[NDArray[Any]]:
    """Each W and b, and each array of the embeddings, in the order of theta."""
    layers = layers_of(theta, about.shapes)
    return [*(part for layer in layers for part in layer), *embedding_parts(theta, about).values()]


def require_inputs(X: NDArray[Any], about: Description) -> None:
    """ValueError for rows X (m, n_0) with NaN, infinity, or codes that no embedding takes."""
    if about.embeddings is None:
        if not np.isfinite(X).all():
            raise ValueError("X must be finite, but holds NaN or infinity; fill those in.")
    else:
        refuse_wrong_inputs("X", X.T, *stored_embeddings.levels_and_missing(about.embeddings))


def network_of(about: Description) -> "Network":
    """The network that a file describes; loads Numba."""
    from engine.losses import of_json
    from engine.network import Network

    loss = None if about.loss is None else of_json(about.loss)
    embeddings = stored_embeddings.made(about.embeddings)
    return Network(about.sizes, about.hidden, about.output, loss, embeddings)


# From what a user saves.

ESTIMATORS = (
    "engine.estimators.classifier.MLPClassifier",
    "engine.estimators.regressor.MLPRegressor",
)
ENSEMBLES = "engine.many.ensembles."
LOADED = "engine.model_files.model.Model"


def stored_model(model: Any, theta: Any, X: Any) -> StoredNetwork:
    """What is to be written of a Network with parameters, or of a fitted estimator.

    TypeError for anything else.
    """
    from engine.network import Network

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
    if kind.startswith(ENSEMBLES):
        raise TypeError(
            f"A {type(model).__name__} goes into a .skops file as a whole. Its members go into "
            'files of this kind one by one: save(f"member-{k}.onnx", ensemble.members_[k]), or '
            ".safetensors; predictions are their mean, weighted by ensemble.weights_."
        )
    if kind not in ESTIMATORS:
        raise TypeError(
            f"A {type(model).__name__} cannot be written to this kind of file, which holds a "
            "network, an MLPClassifier or an MLPRegressor. Scikit-learn pipelines go into .skops "
            "files; with the result of training, save(path, network, result)."
        )
    return stored_estimator(model, X)


def stored_network(network: "Network", theta: Any, X: Any) -> StoredNetwork:
    """A network with its parameters, or with the TrainResult that has them; ready to be written."""
    values = arrays.theta_of(theta)
    if values is None:
        raise TypeError(
            "A Network has no parameters of its own; pass them, too: save(path, network, theta), "
            "or save(path, network, result) with what train returned."
        )
    array = np.asarray(values)
    dtype = array.dtype if array.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    theta = arrays.parameters(array, network.n_parameters, dtype, cast=True)
    about = Description(
        network.sizes,
        network.hidden,
        network.output,
        dtype.name,
        loss=loss_of(network),
        embeddings=stored_embeddings.as_json(network.embeddings),
    )
    return StoredNetwork(about, theta, examples_of(network, theta, X, None), {}, {})


def stored_estimator(estimator: Any, X: Any) -> StoredNetwork:
    """A fitted MLPClassifier or MLPRegressor; ready to be written."""
    from engine.model_files.estimator_state import curves_of, description_of

    about = description_of(estimator)
    theta = estimator._theta()
    examples = examples_of(estimator._network, theta, X, estimator.backend)
    return StoredNetwork(about, theta, examples, curves_of(estimator), {})


def loss_of(network: "Network") -> dict[str, Any] | None:
    """What a file says of the loss; None for the one that belongs to the output."""
    from engine.losses import default_for

    return None if network.loss == default_for(network.output) else network.loss.as_json


def examples_of(network: "Network", theta: NDArray[Any], X: Any, backend: str | None) -> Examples:
    """At most eight of the rows X, or rows drawn for it, and what the network gives for them."""
    if not np.isfinite(theta).all():
        raise ValueError(
            "The parameters must be finite to be saved, but hold NaN or infinity; train again, "
            "with a smaller learning rate."
        )
    n_features = network.sizes[0]
    entries = stored_embeddings.as_json(network.embeddings)
    drawn = stored_embeddings.drawn(drawn_rows(n_features), entries)
    rows = drawn if X is None else some_rows(X)
    if rows.ndim != 2 or rows.shape[1] != n_features or len(rows) == 0:
        raise ValueError(
            f"X must have shape (n_samples, {n_features}), a row for each sample, as this model "
            f"has {n_features} inputs; got shape {np.shape(X)}."
        )
    finite = entries is None
    inputs = arrays.float_array("X", np.ascontiguousarray(rows), theta.dtype, finite=finite)
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
        X = X.tocsr()[spread_rows(X.shape[0])].toarray()
    rows = np.asarray(X)
    return rows[spread_rows(len(rows))] if rows.ndim == 2 else rows
