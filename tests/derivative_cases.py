"""The grid of small networks, losses and data for Jacobians and second derivatives."""

import functools
import itertools
from typing import Any, NamedTuple

import numpy as np

from engine import Network, losses
from tests.cases import HIDDEN, float32_values
from tests.derivatives_oracle import Problem


class Case(NamedTuple):
    """What differs from case to case."""

    hidden: str
    depth: int
    output: str
    loss: str
    number: float
    n_out: int
    weighted: bool
    alpha: float

    def __str__(self) -> str:
        kinds = f"{self.depth} {self.hidden} {self.n_out} {self.output} {self.loss}"
        return f"{kinds}{' weighted' * self.weighted}{' alpha' * bool(self.alpha)}"


LOSSES = [
    ("identity", "squared_error", 0.0),
    ("identity", "huber", 0.5),
    ("sigmoid", "cross_entropy", 0.0),
    ("softmax", "cross_entropy", 0.0),
    ("exp", "poisson", 0.0),
    ("exp", "gamma", 0.0),
    ("exp", "tweedie", 1.25),
]
WIDTHS = (4, 2, 3)
N_IN, N_SAMPLES = 3, 5


def grid():
    """Each unit, loss and depth from 0 to 3; one output or three, weights, penalty in turn."""
    number = itertools.count()
    for hidden, depth, (output, loss, parameter) in itertools.product(HIDDEN, range(4), LOSSES):
        for n_out in (1, 3):
            if depth or hidden == HIDDEN[0]:
                turn = next(number)
                weighted, alpha = turn % 2 == 0, 0.5 * (turn // 2 % 2)
                yield Case(hidden, depth, output, loss, parameter, n_out, weighted, alpha)


GRID = list(grid())


def targets(case: Case, random: Any) -> Any:
    n_out = case.n_out
    if case.loss == "cross_entropy" and case.output == "softmax":
        Y = np.zeros((n_out, N_SAMPLES))
        Y[random.integers(0, n_out, N_SAMPLES), np.arange(N_SAMPLES)] = 1
        Y[:, 0] = [2.0**-j for j in range(1, n_out)] + [2.0 ** (1 - n_out)]
    elif case.loss == "cross_entropy":
        Y = random.uniform(0.1, 0.9, (n_out, N_SAMPLES))
    elif case.output == "exp":
        Y = random.gamma(2.0, size=(n_out, N_SAMPLES))
        Y[:, 0] = Y[:, 0] if case.loss == "gamma" else 0
    else:
        Y = random.normal(size=(n_out, N_SAMPLES))
    return float32_values(Y)


@functools.cache
def problem_of(case: Case) -> Problem:
    """Random parameters and data, in numbers that float32 holds."""
    random = np.random.default_rng([case.depth, case.n_out])
    sizes = (N_IN, *WIDTHS[: case.depth], case.n_out)
    theta = float32_values(random.uniform(-1, 1, Network(sizes).n_parameters))
    X = float32_values(random.normal(size=(N_IN, N_SAMPLES)))
    weights = random.uniform(0.5, 2, N_SAMPLES) if case.weighted else np.ones(N_SAMPLES)
    return Problem(
        sizes,
        (case.hidden,) * case.depth,
        case.output,
        case.loss,
        case.number,
        theta,
        X,
        targets(case, random),
        float32_values(weights),
        case.alpha,
    )


def network_of(problem: Problem) -> Network:
    kinds: dict[str, Any] = {"huber": losses.Huber, "tweedie": losses.Tweedie}
    loss: Any = problem.loss
    if loss in kinds:
        loss = kinds[loss](problem.number)
    return Network(problem.sizes, problem.hidden, problem.output, loss)


def objective_of(problem: Problem, backend: str | None = None, dtype: str = "float64") -> Any:
    """The objective of that network on those data."""
    return network_of(problem).objective(
        problem.X.astype(dtype),
        problem.Y.astype(dtype),
        sample_weight=problem.weights,
        alpha=problem.alpha,
        backend=backend,
    )


def close(found: Any, expected: Any, dtype: str = "float64", units: float = 100) -> None:
    """Equal to so many units of rounding of the largest number, at least of 1."""
    scale = max(1.0, float(np.max(np.abs(expected))))
    atol = units * float(np.finfo(dtype).eps) * scale
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)
