"""SciPy's L-BFGS-B, as `train` and the estimators call it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.sums.blas import hold_blas


def minimise_by_scipy(
    evaluate: Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]],
    start: NDArray[np.float64],
    after_step: Callable[[Any], bool],
    options: dict[str, Any],
) -> Any:
    """SciPy's result; `after_step` is given each step's, and ends the run by returning True.

    SciPy ends a run at a StopIteration, whoever raises it: one that `after_step` itself raises is a
    user's, and comes through as any other exception.
    """
    # Here, so that runs with other solvers need not load it.
    from scipy.optimize import minimize

    raised: StopIteration | None = None

    def cost_and_gradient(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        found = evaluate(x)
        hold_blas()  # SciPy goes on with it
        return found

    def callback(intermediate_result: Any) -> None:
        nonlocal raised
        try:
            stop = after_step(intermediate_result)
        except StopIteration as error:
            raised = error
            raise
        if stop:
            raise StopIteration
        hold_blas()

    found = minimize(
        cost_and_gradient, start, method="L-BFGS-B", jac=True, callback=callback, options=options
    )
    if raised is not None:
        raise raised
    return found
