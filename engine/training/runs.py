"""A run of `train` from its beginning, or from a checkpoint, to its end."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.network import Network
from engine.solvers.state import STEPS, Settings, new_state
from engine.sums.objective import Objective
from engine.sums.threads import Threads
from engine.training.checkpoint import Keeper, found_by, is_over
from engine.training.checkpoint_files import Arrays
from engine.training.descent import Descent, way_of
from engine.training.expected_arrays import Expected
from engine.training.full_batch import gradient_descent
from engine.training.lbfgs import Replayed, minimise_lbfgs
from engine.training.monitor import Monitor
from engine.training.restoration import expected_of_result, restored_descent
from engine.training.result import DivergedError


class Run(NamedTuple):
    """How a run ended: the parameters that come back, their cost, and why it stopped."""

    theta: NDArray[Any]
    cost: float
    stopped: str

    def arrays(self) -> Arrays:
        """For a checkpoint."""
        return {"result.theta": self.theta, "result.cost": np.array([self.cost])}


def check_result(
    keeper: Keeper, arrays: Arrays, theta: NDArray[Any], cost_of: Callable[[NDArray[Any]], float]
) -> None:
    """Raise CheckpointError unless the result, if there is one, is theta with its cost."""
    if "result.theta" not in arrays:
        return
    verifier = keeper.verifier
    same = np.array_equal(arrays["result.theta"], theta)
    verifier.require(same, "result.theta is not what its run gives")
    try:
        computed = cost_of(theta)
    except (DivergedError, ValueError) as error:
        raise verifier.wrong("result.theta has no finite cost") from error
    verifier.require_result("result.cost", float(arrays["result.cost"][0]), computed)


def finished_before(keeper: Keeper, theta: NDArray[Any], arrays: Arrays) -> Run:
    """The end of a run that a checkpoint was found of."""
    assert keeper.found is not None
    assert keeper.found.stopped is not None
    return Run(theta, float(arrays["result.cost"][0]), keeper.found.stopped)


def restored_full_batch(
    solver: str,
    objective: Objective,
    start: NDArray[Any],
    told: Settings,
    monitor: Monitor,
    keeper: Keeper,
) -> tuple[Arrays, Replayed]:
    """The state of a run of "gd" or "lbfgs" that the keeper has found, checked.

    The monitor takes back what it knew then.
    """
    found, verifier = keeper.found, keeper.verifier
    assert found is not None
    n_iter, ended = found.epochs, found.stopped is not None or "result.theta" in found.arrays
    latest = Expected(start.dtype, start.shape)
    evaluations = Expected(np.int64, (1,), low=n_iter + 1)
    arrays = keeper.take(
        {
            "theta": latest,
            **monitor.expected_of_full_batch(n_iter, start),
            **({"evaluations": evaluations} if solver == "lbfgs" else {}),
            **(expected_of_result(start) if ended else {}),
        }
    )
    best = monitor.go_on_from_full_batch(arrays, start, found.stopped, verifier)
    if n_iter == 0:
        same = found.stopped in (None, "converged") and np.array_equal(arrays["theta"], start)
        verifier.require(same, "theta is not where its run began")
    if solver == "gd" and best is not None and not monitor.validates:
        cost = objective.cost(arrays["monitor.best"])
        verifier.require_result("monitor.best's cost", float(arrays["monitor.numbers"][0]), cost)
    if best is not None:
        monitor.verify_best(verifier)
    returned = arrays["theta"]
    if told.tol > 0 and monitor.validates:
        returned = arrays["monitor.best"]
    check_result(keeper, arrays, returned, objective.cost)
    return arrays, Replayed(n_iter, arrays["theta"], best, verifier)


def run_full_batch(
    solver: str,
    objective: Objective,
    theta: NDArray[Any],
    told: Settings,
    max_iter: int,
    monitor: Monitor,
    keeper: Keeper | None,
) -> Run:
    """A run of "gd" or "lbfgs" from theta on, or from what the keeper has found."""
    replayed = None
    if keeper is not None and keeper.found is not None:
        arrays, replayed = restored_full_batch(solver, objective, theta, told, monitor, keeper)
        if is_over(keeper, max_iter):
            return finished_before(keeper, arrays["result.theta"], arrays)
        if solver == "gd":
            theta = arrays["theta"].copy()
    evaluations: Arrays = {}
    try:
        if solver == "lbfgs":
            log = None if keeper is None else keeper.evaluations(theta.size, theta.dtype)
            stopped = minimise_lbfgs(objective, theta, max_iter, monitor, keeper, log, replayed)
            evaluations = {} if log is None else {"evaluations": np.array([log.count])}
        else:
            stopped = gradient_descent(
                objective, theta, told.learning_rate, max_iter, monitor, keeper
            )
        cost = objective.cost(theta)
        monitor.after_last_step(theta, cost)
    except KeyboardInterrupt:
        if monitor.best is None:
            raise  # nothing was reached that could be returned
        stopped = "interrupted"
    last = theta
    if stopped == "interrupted" or (told.tol > 0 and monitor.validates):
        assert monitor.best is not None
        theta = monitor.best
        cost = objective.cost(theta)
    run = Run(theta, cost, stopped)
    if keeper is not None and stopped == "interrupted":
        keeper.interrupted()
    elif keeper is not None:
        mark = monitor.mark()
        arrays = {"theta": last, **evaluations, **monitor.arrays_at(mark), **run.arrays()}
        keeper.ended(mark.n_iter, stopped, lambda: arrays)
    return run


def run_minibatches(
    net: Network,
    objective: Objective,
    theta: NDArray[Any],
    told: Settings,
    max_iter: int,
    monitor: Monitor,
    seed: int,
    threads: Threads,
    keeper: Keeper | None,
) -> Run:
    """A run of "sgd" or "adam" from theta on, or from what the keeper has found."""
    layers, samples = net.layers, objective.samples
    way = way_of(objective.backend, layers, samples, told.batch_size, threads.number)
    state = new_state(theta, told, samples.n_samples, seed)
    last_finite, arrays = None, None
    if keeper is not None and found_by(keeper) is not None:
        result = expected_of_result(theta)
        state, last_finite, arrays = restored_descent(keeper, state, told, monitor, samples, result)
    theta = state.theta
    descent = Descent(way, state, told, monitor, keeper, last_finite)
    if keeper is not None and arrays is not None:
        returned = theta if monitor.best is None or told.tol == 0 else monitor.best
        check_result(keeper, arrays, returned, descent.final_cost)
        if is_over(keeper, max_iter):
            return finished_before(keeper, returned, arrays)
    try:
        stopped = descent.run(max_iter)
        theta = theta if monitor.best is None or told.tol == 0 else monitor.best
        run = Run(theta, descent.final_cost(theta), stopped)
        descent.keep_end(stopped, run.arrays())
        return run
    except KeyboardInterrupt:
        if state.counts[STEPS] == 0:
            raise  # nothing was reached that could be returned
        if keeper is not None:
            keeper.interrupted()
    theta = theta if monitor.best is None else monitor.best
    return Run(theta, descent.final_cost(theta), "interrupted")
