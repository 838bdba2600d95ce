"""The grid of small networks and data that several test files go through.

Values are rounded to float32, so that one call of the oracle serves both dtypes.
"""

import functools
import itertools
from typing import Any, NamedTuple

import numpy as np

from engine import Network
from tests import oracle

HIDDEN = ("tanh", "sigmoid", "relu", "identity")
OUTPUTS = ("sigmoid", "softmax", "identity", "exp")
DTYPES = ("float64", "float32")
N_IN = 3


class Case(NamedTuple):
    """A network's shape and the number of samples."""

    sizes: tuple[int, ...]
    hidden: tuple[str, ...]
    output: str
    n_samples: int

    def __str__(self) -> str:
        shape = "-".join(str(size) for size in self.sizes)
        return f"{shape} {'+'.join(self.hidden) or 'none'} {self.output} m={self.n_samples}"


class Data(NamedTuple):
    """Parameters and data of a case, float64 arrays of float32 values."""

    theta: Any
    X: Any
    Y: Any
    sample_weight: Any
    alpha: float


def grid():
    """Depth 0 to 3, activation, output, width 1, 2, 5, samples 1, 2, 7; then mixed layers."""
    for depth, width, n_samples in itertools.product(range(4), (1, 2, 5), (1, 2, 7)):
        for hidden, output in itertools.product(HIDDEN if depth else ("tanh",), OUTPUTS):
            sizes = (N_IN, *[width] * depth, width)
            yield Case(sizes, (hidden,) * depth, output, n_samples)
    for output in OUTPUTS:
        yield Case((3, 5, 1, 4, 2), ("tanh", "relu", "sigmoid"), output, 7)
        yield Case((1, 2, 3, 4, 5), ("identity", "sigmoid", "relu"), output, 2)


GRID = list(grid())
# About one case in seven, of every kind, for what takes long.
THINNED = [case for number, case in enumerate(GRID) if number % 7 == 0 or len(set(case.hidden)) > 1]


def float32_values(values: Any) -> Any:
    return np.asarray(values).astype(np.float32).astype(np.float64)


@functools.cache
def data_of(case: Case, weighted: bool, alpha: float) -> Data:
    """Random parameters and data; targets that the output unit accepts, soft ones among them."""
    random = np.random.default_rng([*case.sizes, case.n_samples])
    n_in, n_out, m = case.sizes[0], case.sizes[-1], case.n_samples
    X = float32_values(random.normal(size=(n_in, m)))
    if case.output == "sigmoid":
        Y = random.integers(0, 2, (n_out, m)).astype(float)
        Y[:, 0] = 0.25
    elif case.output == "softmax":
        Y = np.zeros((n_out, m))
        Y[random.integers(0, n_out, m), np.arange(m)] = 1
        Y[:, 0] = [2.0**-j for j in range(1, n_out)] + [2.0 ** (1 - n_out)]  # sums to 1 exactly
    elif case.output == "identity":
        Y = float32_values(random.normal(size=(n_out, m)))
    else:
        Y = random.poisson(1.0, (n_out, m)).astype(float)
    Y = float32_values(Y)
    n_parameters = Network(case.sizes).n_parameters
    theta = float32_values(random.uniform(-1, 1, n_parameters))
    weights = float32_values(random.uniform(0.5, 2, m)) if weighted else None
    return Data(theta, X, Y, weights, alpha)


@functools.cache
def expected_forward(case: Case) -> Any:
    data = data_of(case, False, 0.0)
    return np.array(oracle.forward(data.theta, case.sizes, case.hidden, case.output, data.X))


@functools.cache
def expected_cost(case: Case, weighted: bool, alpha: float) -> float:
    data = data_of(case, weighted, alpha)
    return oracle.cost(data.theta, case.sizes, case.hidden, case.output, *data[1:])


@functools.cache
def expected_gradient(case: Case, weighted: bool, alpha: float) -> Any:
    data = data_of(case, weighted, alpha)
    return np.array(oracle.gradient(data.theta, case.sizes, case.hidden, case.output, *data[1:]))


def network_of(case: Case) -> Network:
    return Network(case.sizes, hidden=case.hidden, output=case.output)


def settings():
    """Weighted or not, penalised or not, in either dtype."""
    return itertools.product((False, True), (0.0, 0.5), DTYPES)


def tolerance(case: Case, dtype: str, expected: Any) -> float:
    """A constant times epsilon, the length of the longest sum, the depth and the size."""
    terms = max(*case.sizes, case.n_samples) * len(case.sizes)
    return 2 * float(np.finfo(dtype).eps) * terms * max(1.0, float(np.max(np.abs(expected))))
