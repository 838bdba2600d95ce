"""`engine.distributed.fit`: a fit on Dask that ends with the bits of a local fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from engine.estimators.base import MultilayerPerceptron
from engine.estimators.input_validation import embeddings_of
from engine.sums.chunks import chunk_samples
from engine.system.extras import installed_by

if TYPE_CHECKING:
    from distributed import Client

    from engine.distributed.cluster import ClusterError

Estimator = TypeVar("Estimator", bound=MultilayerPerceptron)


def fit(
    estimator: Estimator,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    client: "Client | None" = None,
    allow_mixed: bool = False,
) -> Estimator:
    """Train an estimator on all rows at once, on the workers of a Dask cluster.

    The result has the same bits as ``estimator.fit(X.compute(), y.compute())``, whatever the number
    of workers and partitions.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        With solver="gd" or "lbfgs"; or "adam" or "sgd" with `batch_size` at least the number of
        rows. Early stopping and callbacks need rows in this process, and are refused. This
        process writes a `checkpoint`; a local fit can resume from it, and the other way round.
        The function of a `losses.Compiled` goes to the workers as cloudpickle sends it.
    X : dask array or dataframe (n_samples, n_features)
        Never copied to this process, unless it has at most 1024 rows. Unknown lengths of
        partitions are computed.
    y : dask array, series or dataframe (n_samples,) or (n_samples, n_outputs)
        Partitions need not be those of X.
    sample_weight : dask array or series (n_samples,), optional
    client : dask.distributed.Client, optional
        None takes the active client, as Dask's own ``compute()`` does: the last one that was made
        and is open, or, in a task, that of its worker. If none is active, `fit` starts a cluster of
        processes on this machine, and ends it afterwards: one single-threaded process for each of
        the estimator's `n_threads`, or else for each usable core. A script then needs the line
        ``if __name__ == "__main__":``, as always with multiprocessing.
    allow_mixed : bool
        Accept workers with another processor or other package versions than this process. The
        result may then have other bits; a warning says so.

    Returns
    -------
    estimator
        Fitted, as by its own `fit`; `plan_` and `n_threads_` describe the workers.

    Raises
    ------
    ValueError, TypeError
        For what is not supported, for rows on another cluster than the client's, and for invalid
        data, as in a local fit; the message says which row.
    engine.distributed.cluster.ClusterError
        A RuntimeError: if workers differ, no worker is left, rows that were lost cannot be computed
        again, or the scheduler does not answer. The estimator is as it was before.
    ImportError
        Where Dask is not installed: ``pip install 'dask[array,dataframe,distributed]'``.

    Notes
    -----
    Each chunk of rows (a 64th of all, at least 1024) is at one worker. An iteration sends theta to
    each worker, and brings the sum of each chunk back, in float64: up to 64 gradients, which are
    added here in their order. What that costs, and when it pays: docs/scale.md. If a worker is
    lost, the others rebuild its chunks. Ctrl-C works as in a local fit.

    Examples
    --------
    >>> import dask.array as da
    >>> from engine import MLPRegressor, distributed
    >>> X = da.random.default_rng(0).normal(size=(3000, 4), chunks=(1000, 4))
    >>> y = X.sum(axis=1)
    >>> model = MLPRegressor(hidden_layer_sizes=5, solver="lbfgs", max_iter=1000, random_state=0)
    >>> model = distributed.fit(model, X, y)                     # doctest: +SKIP
    >>> model.fingerprint_ == model.fit(X.compute(), y.compute()).fingerprint_   # doctest: +SKIP
    True
    """
    require_dask()
    if not isinstance(estimator, MultilayerPerceptron):
        raise TypeError(
            f"estimator is a {type(estimator).__name__}; pass an MLPClassifier or MLPRegressor of "
            "mlp-engine (a pipeline's steps before it can be applied to X with map_partitions)."
        )
    estimator._validate_params()
    refuse_what_needs_rows_here(estimator)
    given = {"X": X, "y": y, "sample_weight": sample_weight}
    _train(estimator, given, client, allow_mixed)
    return estimator


def require_dask() -> None:
    """Raise an ImportError that says what to install."""
    missing = [name for name in ("dask", "distributed") if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"engine.distributed.fit needs {' and '.join(missing)}: {installed_by('distributed')}."
        )


def refuse_what_needs_rows_here(estimator: MultilayerPerceptron) -> None:
    """Refuse early stopping and callbacks, which need rows in this process."""
    if estimator._scored:
        raise ValueError(
            "early_stopping=True is not supported on Dask, where the rows that it holds out would "
            "have to be brought here; pass early_stopping=False, and max_iter or tol."
        )
    if getattr(estimator, "_skl_callbacks", []):
        raise ValueError(
            "callbacks are not supported on Dask, since they are given X and y; call "
            "set_callbacks() without any, or fit here."
        )


def refuse_batches(estimator: MultilayerPerceptron, n_rows: int) -> None:
    """Refuse minibatches: a gradient would have to be sent around for each of them."""
    if estimator._batch_size(n_rows) == n_rows:
        return
    raise ValueError(
        f"solver={estimator.solver!r} with batch_size={estimator.batch_size!r} takes "
        f"{estimator._batch_size(n_rows)} of {n_rows} rows a step, and minibatches are not "
        f"supported on Dask; pass batch_size={n_rows}, or solver='lbfgs'."
    )


def _train(
    estimator: MultilayerPerceptron,
    given: dict[str, Any],
    client: Any,
    allow_mixed: bool,
) -> None:
    from sklearn import config_context
    from sklearn.callback._callback_support import callback_management_context

    with (  # as scikit-learn's own decorator of `fit` has it
        config_context(skip_parameter_validation=True),
        callback_management_context(estimator),
        _prepared(estimator, given, client, allow_mixed) as arguments,
    ):
        estimator._fit(*arguments["rows"], rows_of=arguments["rows_of"])


@contextmanager
def _prepared(
    estimator: MultilayerPerceptron, given: dict[str, Any], client: Any, allow_mixed: bool
) -> Iterator[dict[str, Any]]:
    """Arguments of the estimator's `_fit`: rows, if they are few, else access to remote ones."""
    from sklearn.base import is_classifier

    from engine.distributed.cluster import (
        ClusterError,
        EligibleWorkers,
        WorkerLost,
        client_of,
        value_of,
    )
    from engine.distributed.partitions import collection_of
    from engine.distributed.remote_samples import RemoteFit
    from engine.distributed.training_data import TrainingData
    from engine.equations.backends import NUMPY

    if given["sample_weight"] is None:
        given = {name: given[name] for name in ("X", "y")}
    collections = [collection_of(name, rows) for name, rows in given.items()]
    for collection in collections:
        if collection.lengths is not None:
            refuse_batches(estimator, sum(collection.lengths))
    with client_of(client, given, estimator._threads_asked) as dask:
        eligible = EligibleWorkers(dask, allow_mixed, estimator._backend is NUMPY)
        embedded = embeddings_of(estimator) is not None
        data = TrainingData(dask, collections, is_classifier(estimator), embedded)
        remote = RemoteFit(dask, data, estimator, eligible)
        try:
            eligible.refuse_others()
            data.inspect()
            refuse_batches(estimator, data.n_rows)
            if data.n_rows <= chunk_samples(1):
                futures = [dask.compute(rows) for rows in given.values()]
                X, y, *weights = (value_of(dask, future, "the rows") for future in futures)
                yield {"rows": (X, y, *(weights or [None])), "rows_of": None}
            else:
                yield {"rows": (None, None, None), "rows_of": remote.rows}
        except WorkerLost as lost:
            message = ClusterError("No worker of Dask is left; the estimator is as it was.")
            raise with_notes_of(lost, message) from None
        except ClusterError as error:
            raise with_notes_of(error, ClusterError(remote.where(error))) from error.__cause__
        finally:
            remote.release()


def with_notes_of(error: BaseException, message: "ClusterError") -> "ClusterError":
    """The new error with the notes of the first, which say what a checkpoint has kept."""
    for note in getattr(error, "__notes__", []):
        message.add_note(note)
    return message
