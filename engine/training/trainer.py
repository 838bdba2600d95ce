"""train(): from data to trained parameters."""

import math
from contextlib import nullcontext
from typing import Any

from numpy.typing import ArrayLike, NDArray

from engine.boundary import arrays, settings
from engine.chunks import CHUNK_SAMPLES, chunk_bounds
from engine.equations.backends import LOOPS_PAY_UP_TO, NUMPY
from engine.network import Network
from engine.objective import Objective
from engine.training.blas import one_blas_thread
from engine.training.descent import gradient_descent
from engine.training.monitor import Callback, Monitor, Stagnation
from engine.training.result import Plan, TrainResult, fingerprint

SOLVERS = ("gd", "sgd", "adam", "lbfgs")
SCHEDULES = ("constant", "invscaling", "adaptive")


def train(
    net: Network,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    solver: str = "adam",
    learning_rate: float = 1e-3,
    batch_size: int | None = None,
    max_iter: int = 200,
    tol: float = 0.0,
    n_iter_no_change: int = 10,
    alpha: float = 0.0,
    sample_weight: ArrayLike | None = None,
    X_val: ArrayLike | None = None,
    Y_val: ArrayLike | None = None,
    theta: ArrayLike | None = None,
    schedule: str = "constant",
    power_t: float = 0.5,
    momentum: float = 0.9,
    nesterov: bool = True,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    shuffle: bool = True,
    seed: int = 0,
    backend: str | None = None,
    n_threads: int | None = None,
    callback: Callback | None = None,
    max_time: float | None = None,
    checkpoint: str | None = None,
) -> TrainResult:
    """Train a network: minimise J over its parameters.

    Parameters
    ----------
    net : Network
    X : array_like (n_0, m)
        Inputs, one sample per column, any memory order (``rows.T`` is fine). float32 is trained in
        float32, all else in float64. Not copied: the data must not change while training lasts.
    Y : array_like (n_L, m), or (m,)
        Targets, as in `Network.cost_and_gradient`.
    solver : "gd"
        Full-batch gradient descent, theta <- theta - eta dJ/dtheta (equation U1). "sgd", "adam"
        (the default to be) and "lbfgs" are not available yet.
    learning_rate : float
        eta, above 0.
    batch_size : int, optional
        Not used by "gd", which takes all samples at once.
    max_iter : int
        Iterations, at least 1.
    tol : float
        Stop once the cost has failed to improve on the lowest so far by `tol` for
        `n_iter_no_change` iterations running. 0 never stops early.
    n_iter_no_change : int
        At least 1.
    alpha : float
        Strength of the L2 penalty on the weights, at least 0.
    sample_weight : array_like (m,), optional
    X_val, Y_val : array_like, optional
        Validation data, shaped as X and Y. Their mean cost, without penalty, goes into the
        history. With `tol` above 0 it is this cost that must improve, and the parameters that come
        back are those for which it was lowest.
    theta : array_like (n_parameters,), optional
        Parameters to start from, of the dtype that X is trained in; they are copied. Drawn from
        `seed` where not given.
    schedule : "constant"
        "invscaling" and "adaptive" come with the minibatch solvers.
    power_t, momentum, nesterov, beta_1, beta_2, epsilon, shuffle
        For the minibatch solvers; not used by "gd".
    seed : int
        Seed of the initial parameters. The same seed and data give the same bits on one kind of
        processor, whatever the number of threads that BLAS may use.
    backend : "numpy", "loops" or None
        None is the faster one for this network and this many samples.
    n_threads : int, optional
        More than one is not available yet.
    callback : callable, optional
        Called with an `Iteration` after each step; return True to stop.
    max_time : float, optional
        Seconds after which no further step begins, compile time included.
    checkpoint : str, optional
        Not available yet.

    Returns
    -------
    TrainResult
        theta, history, n_iter, stopped, plan, fingerprint, cost. On Ctrl-C, the best parameters
        so far, with ``stopped="interrupted"``: a loop over many runs has to look at it.

    Raises
    ------
    DivergedError
        When the cost stops being finite; `.theta` holds the last parameters whose cost was.
    ValueError, TypeError
        For arguments out of range, and for data that do not fit the network.
    NotImplementedError
        For what is not available yet.

    Notes
    -----
    Two to three sum_l n_l n_{l-1} multiply-adds a sample and iteration (two for the first layer,
    whose inputs need no gradient), and one a validation sample. The arguments are never written to.
    While it runs with NumPy, BLAS is held at one thread in the whole process.

    Examples
    --------
    >>> import numpy as np
    >>> from engine import Network, train
    >>> X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])  # XNOR: four samples, as columns
    >>> Y = np.array([1, 0, 0, 1])
    >>> network = Network((2, 4, 1))
    >>> result = train(network, X, Y, solver="gd", learning_rate=0.5, max_iter=5000)
    >>> network.forward(result.theta, X).round()
    array([[1., 0., 0., 1.]])
    """
    if not isinstance(net, Network):
        raise TypeError(f"net must be an engine.Network; got {type(net).__name__}.")
    _refuse_what_is_not_available(solver, schedule, checkpoint)
    learning_rate = settings.real_number("learning_rate", learning_rate, low=0, low_included=False)
    settings.whole_number("seed", seed, at_least=0)
    max_iter = settings.whole_number("max_iter", max_iter, at_least=1)
    tol = settings.real_number("tol", tol, low=0)
    patience = settings.whole_number("n_iter_no_change", n_iter_no_change, at_least=1)
    if max_time is not None:
        max_time = settings.real_number("max_time", max_time, low=0, low_included=False)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function of one Iteration; got {callback!r}.")

    objective = net.objective(
        X, Y, sample_weight=sample_weight, alpha=alpha, backend=backend, n_threads=n_threads
    )
    dtype = objective.samples.X.dtype
    settings.representable("learning_rate", learning_rate, dtype)
    start = _starting_parameters(net, theta, seed, dtype)
    validation = _validation_objective(net, X_val, Y_val, dtype, backend)
    monitor = Monitor(
        validation_cost=None if validation is None else validation.cost,
        stagnation=Stagnation(tol, patience),
        max_time=math.inf if max_time is None else max_time,
        callback=callback,
        learning_rate=learning_rate,
    )
    trained = start.copy()
    uses_blas = NUMPY in (objective.backend, validation.backend if validation else None)
    with one_blas_thread() if uses_blas else nullcontext():
        try:
            stopped = gradient_descent(objective, trained, learning_rate, max_iter, monitor)
            cost = objective.cost(trained)
            monitor.after_last_step(trained, cost)
        except KeyboardInterrupt:
            if monitor.best is None:
                raise  # nothing was reached that could be returned
            stopped = "interrupted"
        if stopped == "interrupted" or (tol > 0 and validation is not None):
            assert monitor.best is not None
            trained = monitor.best
            cost = objective.cost(trained)
    return TrainResult(
        theta=trained,
        history=monitor.history,
        n_iter=monitor.n_iter,
        stopped=stopped,
        plan=_plan(net, objective, backend),
        fingerprint=fingerprint(net, trained),
        cost=cost,
    )


def _refuse_what_is_not_available(solver: str, schedule: str, checkpoint: str | None) -> None:
    if settings.one_of("solver", solver, SOLVERS) != "gd":
        raise NotImplementedError(
            f"solver={solver!r} is not available yet; pass solver='gd', full-batch gradient "
            "descent, with a learning_rate such as 0.5."
        )
    if settings.one_of("schedule", schedule, SCHEDULES) != "constant":
        raise NotImplementedError(
            f"schedule={schedule!r} is not available yet; pass schedule='constant'."
        )
    if checkpoint is not None:
        raise NotImplementedError("checkpoint is not available yet; pass checkpoint=None.")


def _starting_parameters(
    net: Network, theta: ArrayLike | None, seed: int, dtype: Any
) -> NDArray[Any]:
    if theta is None:
        return net.initial_parameters(seed, dtype)
    start = arrays.parameters(theta, net.n_parameters, dtype)
    return arrays.float_array("theta", start, dtype, advice="")


def _validation_objective(
    net: Network,
    X_val: ArrayLike | None,
    Y_val: ArrayLike | None,
    dtype: Any,
    backend: str | None,
) -> Objective | None:
    if X_val is None and Y_val is None:
        return None
    if X_val is None or Y_val is None:
        raise ValueError("X_val and Y_val go together: pass both, or neither.")
    X_as_trained = arrays.inputs(X_val, net.sizes[0], "X_val", dtype)
    return net.objective(X_as_trained, Y_val, backend=backend, names=("X_val", "Y_val"))


def _plan(net: Network, objective: Objective, backend: str | None) -> Plan:
    name = objective.backend.name
    n_samples = objective.samples.n_samples
    if backend is not None:
        chosen = "as asked"
    else:
        work = net.n_parameters * n_samples
        chosen = (
            f"the faster one for {net.n_parameters} parameters times {n_samples} samples = {work} "
            f"(loops pay up to {LOOPS_PAY_UP_TO})"
        )
    return Plan(
        backend=name,
        n_threads=1,
        chunk_samples=CHUNK_SAMPLES,
        n_chunks=len(chunk_bounds(n_samples)),
        why=(
            f"backend {name}: {chosen}; one thread: these backends have no other way; samples "
            f"{CHUNK_SAMPLES} at a time"
        ),
    )
