"""An estimator and a user's data, as the checks take them; neither is changed."""

import inspect
import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from engine.boundary.samples import weights as checked_weights
from engine.equations.backends import Backend
from engine.estimators.base import MultilayerPerceptron, with_function
from engine.estimators.draws import Draws
from engine.estimators.input_validation import Rows, require_embeddable
from engine.network import Network
from engine.sums.objective import Objective
from engine.sums.samples import Samples

INITIAL, FITTED = "initial values", "fitted values"


class CheckProblem(NamedTuple):
    """A model and data to check.

    Attributes
    ----------
    kind : str
        What the estimator is called.
    blank : estimator
        A copy that was never fitted; of a table's estimator, of one of its networks.
    network : Network
    rows : Rows
        All of the user's, those that are sparse as CSR.
    points : dict
        Parameters to check at, in the estimator's dtype, by what they are called.
    """

    kind: str
    blank: Any
    network: Network
    rows: Rows
    points: dict[str, NDArray[Any]]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.points[INITIAL].dtype

    @property
    def backend(self) -> Backend:
        """The one that the estimator trains with."""
        backend: Backend = self.blank._backend
        return backend

    def objective(self, samples: Samples, backend: Backend, n_threads: int = 1) -> Objective:
        """J of samples, with the estimator's penalty."""
        alpha = float(self.blank.alpha)
        return Objective(backend, self.network.layers, samples, alpha, n_threads)


def problem_of(estimator: Any, X: Any, y: Any, sample_weight: Any) -> CheckProblem:
    """The problem of an estimator, fitted or not, and its data."""
    require_ours(estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator)
    if isinstance(estimator, Pipeline):
        estimator, X = _last_step(estimator, X, y)
    kind = type(estimator).__name__
    if is_of_tables(estimator):
        estimator, (X, y, sample_weight) = estimator.network_and_rows(X, y, sample_weight)
    blank = clone(estimator)
    blank.__dict__.pop("_skl_callbacks", None)
    if blank.random_state is None:
        blank.random_state = 0  # NumPy's own generator is the user's
    copy = clone(blank)
    copy._validate_params()
    fitted = hasattr(estimator, "coefs_")
    if fitted:
        names = ("y", "the y of fit")
        rows = estimator._validation_rows(X, y, sample_weight, names)
        network = with_function(estimator._network, estimator._chosen_loss)
        require_embeddable(network.embeddings, rows.X)  # also if others have been set since
        dtype = estimator.coefs_[0].dtype
    else:
        rows = copy._checked_rows(X, y, sample_weight, incremental=False, reset=True)
        network, dtype = copy._network_for(rows), rows.X.dtype
    checked_weights(rows.weights, rows.n_rows, dtype)
    if hasattr(rows.X, "tocsr"):
        rows = Rows(rows.X.tocsr(), rows.targets, rows.weights, rows.n_outputs)
    copy._draws = Draws(copy.random_state)
    copy._begin(network, dtype)
    copy._start_near(rows.samples(dtype))
    points = {INITIAL: with_output_layer(network, copy._theta())}
    if fitted:
        points[FITTED] = estimator._theta()
    _keep_labels(blank, estimator if fitted else copy)
    return CheckProblem(kind, blank, network, rows, points)


def has_no_output_layer(network: Network) -> bool:
    """Whether weights of the output layer are 0 at first (equation I4)."""
    return network.embeddings is not None and bool(network.hidden)


def with_output_layer(network: Network, theta: NDArray[Any]) -> NDArray[Any]:
    """Initial values whose output weights are not 0: else no gradient reaches the other layers."""
    if has_no_output_layer(network):
        W = network.views(theta)[-1][0]
        r = W.shape[1] ** -0.5
        W[:] = np.random.default_rng(0).uniform(-r, r, W.shape)
    return theta


def require_ours(estimator: Any) -> None:
    """Refuse anything but an estimator of the engine that is or has networks that train alone."""
    if isinstance(estimator, MultilayerPerceptron) or is_of_tables(estimator):
        return
    wanted = (
        "verify takes an MLPClassifier, MLPRegressor, TableClassifier or TableRegressor of engine, "
        "fitted or not, or a Pipeline that ends in one"
    )
    if inspect.isclass(estimator):
        name = estimator.__name__
        raise TypeError(f"{wanted}; got the class {name}: pass an object of it, {name}().")
    kind = type(estimator)
    if kind.__module__.startswith("sklearn.neural_network.") and kind.__name__.startswith("MLP"):
        raise TypeError(
            f"{wanted}; got scikit-learn's {kind.__name__}, which has no second backend and no "
            f"threads to compare. Make one of the engine's with the same parameters: "
            f"engine.{kind.__name__}(**estimator.get_params())."
        )
    inner = [name for name in ("best_estimator_", "estimator") if hasattr(estimator, name)]
    advice = f" Pass its {inner[0]}." if inner else ""
    raise TypeError(f"{wanted}; got {kind.__name__}.{advice}")


def is_of_tables(estimator: Any) -> bool:
    """Whether it takes tables, and says what its networks take."""
    return hasattr(estimator, "network_and_rows") and not inspect.isclass(estimator)


def _last_step(pipeline: Any, X: Any, y: Any) -> tuple[Any, Any]:
    """The last step of a pipeline, and X as the steps before hand it on."""
    last = pipeline.steps[-1][1]
    if len(pipeline.steps) == 1:
        return last, X
    before = pipeline[:-1]
    if hasattr(last, "coefs_") or hasattr(last, "members_"):
        return last, before.transform(X)
    return last, clone(before).fit_transform(X, y)


def _keep_labels(blank: Any, estimator: Any) -> None:
    """What turns targets back into labels, for training on some of the rows."""
    if hasattr(estimator, "_labels"):
        blank._labels, blank.classes_ = estimator._labels, estimator.classes_


def evenly_spread(rows: Rows, count: int) -> Rows:
    """At most so many rows, evenly spread: one from each of as many equal stretches.

    Which one of a stretch is drawn, always alike: rows at equal distances might all be of one class
    where the classes take turns. Rows of weight 0 are left out where not all rows are taken.
    """
    if count >= rows.n_rows:
        return rows
    taken = np.arange(rows.n_rows) if rows.weights is None else np.flatnonzero(rows.weights > 0)
    count = min(count, len(taken))
    within = np.random.default_rng(0).random(count)
    return rows.chosen(taken[((np.arange(count) + within) * len(taken) / count).astype(np.int64)])


class Part(NamedTuple):
    """An array of parameters: entries first ... first + size - 1 of theta."""

    name: str
    first: int
    size: int
    n_in: int  # of a weight matrix, which users see transposed; else 0
    n_columns: int = 0  # of the matrix of an embedding; else 0

    @property
    def entries(self) -> slice:
        return slice(self.first, self.first + self.size)

    def entry(self, p: int) -> str:
        """What users call entry p of theta.

        >>> Part("coefs_[0]", first=0, size=6, n_in=3).entry(4)
        'coefs_[0][1, 1]'
        """
        if self.n_columns:
            row, column = divmod(p - self.first, self.n_columns)
            return f"{self.name}[{row}, {column}]"
        if not self.n_in:
            return f"{self.name}[{p - self.first}]"
        j, k = divmod(p - self.first, self.n_in)
        return f"{self.name}[{k}, {j}]"


def parts_of(network: Network) -> list[Part]:
    """All parts, in the order of theta."""
    parts, first = [], 0
    for l, (n_in, n_out) in enumerate(itertools.pairwise(network.dense_sizes)):
        parts.append(Part(f"coefs_[{l}]", first, n_out * n_in, n_in))
        first += n_out * n_in
        parts.append(Part(f"intercepts_[{l}]", first, n_out, 0))
        first += n_out
    for f, entry in enumerate(network.embeddings or ()):
        shapes = () if entry is None else entry.shapes
        for number, shape in enumerate(shapes):
            name = f"embeddings_[{f}]" + f"[{number}]" * (len(shapes) > 1)
            size, n_columns = math.prod(shape), shape[1] if len(shape) > 1 else 0
            if size:
                parts.append(Part(name, first, size, 0, n_columns))
            first += size
    return parts
