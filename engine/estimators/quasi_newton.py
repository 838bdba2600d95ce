"""The solver "lbfgs": SciPy's L-BFGS-B with scikit-learn's rules for when to stop."""

from typing import Any, NamedTuple

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from engine.estimators.watch import Watch
from engine.objective import Objective
from engine.training.blas import one_blas_thread


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
) -> Minimised:
    """Lower the objective from theta on; Ctrl-C is an outcome, not an error."""
    reached, n_iter, stopped = theta.copy(), 0, "converged"

    def evaluate(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        cost, dtheta = objective.cost_and_gradient(x)
        return cost, dtheta.astype(np.float64)

    def after_iteration(intermediate_result: Any) -> None:
        nonlocal n_iter, stopped
        reached[:] = intermediate_result.x
        n_iter += 1
        row = np.array([[intermediate_result.fun, np.nan]])
        reason = watch.record(row, np.nan, reached, n_iter)
        if reason is not None:
            stopped = reason
            raise StopIteration

    result = None
    with one_blas_thread():
        try:
            result = scipy.optimize.minimize(
                evaluate,
                theta.astype(np.float64),
                method="L-BFGS-B",
                jac=True,
                callback=after_iteration,
                options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
            )
        except KeyboardInterrupt:
            if n_iter == 0:
                raise  # nothing was reached that could be kept
            stopped = "interrupted"
    if stopped == "converged":
        assert result is not None
        reached[:] = result.x
        return Minimised(reached, float(result.fun), n_iter, stopped, result)
    return Minimised(reached, watch.losses[-1], n_iter, stopped, None)
