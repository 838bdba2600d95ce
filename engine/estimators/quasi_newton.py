"""The solver "lbfgs": SciPy's L-BFGS-B with scikit-learn's rules for when to stop."""

from typing import Any, NamedTuple

import numpy as np
import scipy.optimize  # noqa: F401  # brings a BLAS of its own, to be held too
from numpy.typing import NDArray

from engine.estimators.watch import Mark, Watch
from engine.sums.blas import one_blas_thread
from engine.sums.objective import Objective
from engine.training.checkpoint import Keeper
from engine.training.checkpoint_files import Arrays, CheckpointError
from engine.training.expected_arrays import Expected
from engine.training.scipy_lbfgs import minimise_by_scipy


class Minimised(NamedTuple):
    """How a minimisation ended.

    `stopped` is "converged" (SciPy's own rules: `result` says which), "callback", "max_time" or
    "interrupted".
    """

    theta: NDArray[Any]
    loss: float
    n_iter: int
    stopped: str
    result: Any


def minimise(
    objective: Objective,
    theta: NDArray[Any],
    watch: Watch,
    *,
    max_iter: int,
    max_fun: int,
    tol: float,
    keeper: Keeper | None = None,
) -> Minimised:
    """Lower the objective from theta on; Ctrl-C is an outcome, not an error.

    A minimisation that is resumed starts from the same theta and takes its steps again, from the
    evaluations that its checkpoint holds.
    """
    reached, n_iter, stopped = theta.copy(), 0, "converged"
    to_repeat, ended_before, verifier = 0, None, None
    if keeper is not None and keeper.found is not None:
        verifier, ended_before = keeper.verifier, keeper.found.stopped
        to_repeat = keeper.found.epochs
        evaluations = {"evaluations": Expected(np.int64, (1,), low=to_repeat + 1)}
        arrays_found = keeper.take({**watch.expected(to_repeat, theta), **evaluations})
        can_be = to_repeat > 0 or ended_before in (None, "converged")
        verifier.require(can_be, "its run ended before it began")
    log = None if keeper is None else keeper.evaluations(theta.size, theta.dtype)
    if log is not None and log.to_replay > max_fun:
        raise CheckpointError(
            f"{keeper} holds {log.to_replay} evaluations, and max_fun is {max_fun}. Nothing was "
            "changed. Raise max_fun, name another file, or delete it."
        )
    if verifier is not None:
        watch.go_on_from(arrays_found, verifier)

    def evaluate(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        point = x.astype(theta.dtype)
        if log is None:
            cost, dtheta = objective.cost_and_gradient(point)
        else:
            cost, dtheta = log.evaluated(point, objective.cost_and_gradient)
        return cost, dtheta.astype(np.float64)

    def arrays(mark: Mark, n_evaluations: int) -> Arrays:
        return {"evaluations": np.array([n_evaluations]), **watch.arrays_at(mark)}

    def after_iteration(at: Any) -> bool:
        nonlocal n_iter, stopped
        reached[:] = at.x
        n_iter += 1
        if n_iter <= to_repeat:
            assert verifier is not None
            same = watch.losses[n_iter - 1] == at.fun
            verifier.require(same, "watch.losses are not those of its evaluations")
            if n_iter == to_repeat:
                watch.verify(reached, verifier)
                if ended_before == "callback":
                    stopped = ended_before
                    return True
            return False
        reason = watch.record(np.array([[at.fun, np.nan]]), np.nan, reached, n_iter)
        if reason is not None:
            stopped = reason
            return True
        if keeper is not None and log is not None:
            mark, count = watch.mark(), log.count
            keeper.reached(n_iter, lambda: arrays(mark, count))
        return False

    options = {"maxfun": max_fun, "maxiter": max_iter, "gtol": tol}
    result = None
    with one_blas_thread():
        try:
            start = theta.astype(np.float64)
            result = minimise_by_scipy(evaluate, start, after_iteration, options)
        except KeyboardInterrupt:
            if n_iter <= to_repeat:
                raise  # nothing was reached that could be kept
            if keeper is not None:
                keeper.interrupted()
            stopped = "interrupted"
    if verifier is not None:
        led = n_iter >= to_repeat
        verifier.require(led, "its evaluations do not lead to as many iterations")
    if keeper is not None and log is not None and stopped != "interrupted":
        mark, count = watch.mark(), log.count
        keeper.ended(n_iter, stopped, lambda: arrays(mark, count))
    if stopped == "converged":
        assert result is not None
        reached[:] = result.x
        return Minimised(reached, float(result.fun), n_iter, stopped, result)
    return Minimised(reached, watch.losses[-1], n_iter, stopped, None)
