"""A run of `train` from its beginning, or from a checkpoint, to its end."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.network import Network
from engine.objective import Objective
from engine.threads import Threads
from engine.training.checkpoint import Keeper, found_by
from engine.training.checkpoint_files import Arrays
from engine.training.descent import Descent, way_of
from engine.training.full_batch import gradient_descent
from engine.training.lbfgs import minimise_lbfgs
from engine.training.monitor import Monitor
from engine.training.state import STEPS, Settings, new_state


class Run(NamedTuple):
    """How a run ended: the parameters that come back, their cost, and why it stopped."""

    theta: NDArray[Any]
    cost: float
    stopped: str

    def arrays(self) -> Arrays:
        """For a checkpoint."""
        return {"result.theta": self.theta, "result.cost": np.array([self.cost])}


def finished_before(keeper: Keeper, monitor: Monitor) -> Run:
    """The end of a run that a checkpoint was found of."""
    found = keeper.found
    assert found is not None
    assert found.stopped is not None
    monitor.go_on_from(found.arrays)
    cost = float(found.arrays["result.cost"][0])
    return Run(found.arrays["result.theta"].copy(), cost, found.stopped)


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
    if (found := found_by(keeper)) is not None:
        monitor.go_on_from(found.arrays)
        if solver == "gd":
            theta = found.arrays["theta"].copy()
    evaluations: Arrays = {}
    try:
        if solver == "lbfgs":
            log = None if keeper is None else keeper.evaluations(theta.size, theta.dtype)
            stopped = minimise_lbfgs(objective, theta, max_iter, monitor, keeper, log)
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
    if (found := found_by(keeper)) is not None:
        state = state.from_arrays(found.arrays, "state")
        monitor.go_on_from(found.arrays)
    theta = state.theta
    descent = Descent(way, state, told, monitor, keeper)
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
