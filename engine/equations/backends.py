"""NUMPY and LOOPS: the same table of functions, filled twice. The only file that knows both."""

from collections.abc import Callable
from typing import Any, NamedTuple

from engine.equations import mean, passes, update


class Backend(NamedTuple):
    """The functions that a network is evaluated and trained with."""

    name: str
    forward_pass: Callable[..., Any]
    cost_pass: Callable[..., Any]
    gradient_pass: Callable[..., Any]
    mean_cost: Callable[..., Any]
    mean_gradient: Callable[..., Any]
    gradient_descent: Callable[..., Any]


NUMPY = Backend(
    name="numpy",
    forward_pass=passes.forward_pass_numpy,
    cost_pass=passes.cost_pass_numpy,
    gradient_pass=passes.gradient_pass_numpy,
    mean_cost=mean.mean_cost_numpy,
    mean_gradient=mean.mean_gradient_numpy,
    gradient_descent=update.gradient_descent_numpy,
)

LOOPS = Backend(
    name="loops",
    forward_pass=passes.forward_pass_loops,
    cost_pass=passes.cost_pass_loops,
    gradient_pass=passes.gradient_pass_loops,
    mean_cost=mean.mean_cost_loops,
    mean_gradient=mean.mean_gradient_loops,
    gradient_descent=update.gradient_descent_loops,
)

BACKENDS = {"numpy": NUMPY, "loops": LOOPS}

# Parameters times samples up to which a pass of the loops takes less time than NumPy's calls cost:
# docs/decisions/0004-default-backend.md.
LOOPS_PAY_UP_TO = 20_000


def fastest(n_parameters: int, n_samples: int) -> Backend:
    """The backend that takes the least time for a pass of that size."""
    return LOOPS if n_parameters * n_samples <= LOOPS_PAY_UP_TO else NUMPY
