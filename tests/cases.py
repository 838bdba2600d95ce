"""The grid of small networks and data that several test files go through.

Values are rounded to float32, so that one call of the oracle serves both dtypes.
"""

import functools
import itertools
from typing import Any, NamedTuple

import numpy as np

from engine import Network, losses
from tests import oracle

HIDDEN = ("tanh", "sigmoid", "relu", "identity")
OUTPUTS = ("sigmoid", "softmax", "identity", "exp")
DTYPES = ("float64", "float32")
N_IN = 3


class Loss(NamedTuple):
    """A loss other than the one that output units have by default: its name and its numbers."""

    name: str
    numbers: tuple[float, ...] = ()

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{number:g}" for number in self.numbers)])


# With the output units that each goes with, and how many of them there must be (0: any number).
LOSSES = {
    Loss("absolute_error"): ("identity", 0),
    Loss("huber", (0.5,)): ("identity", 0),
    Loss("quantile", (0.25,)): ("identity", 0),
    Loss("quantile", (0.1, 0.9)): ("identity", 2),
    Loss("quantile", (0.05, 0.25, 0.5, 0.75, 0.9)): ("identity", 5),
    Loss("gamma"): ("exp", 0),
    Loss("tweedie", (1.25,)): ("exp", 0),
    Loss("tweedie", (1.9,)): ("exp", 0),
}


class Case(NamedTuple):
    """A network's shape, its loss (None: that of its output units), and the number of samples."""

    sizes: tuple[int, ...]
    hidden: tuple[str, ...]
    output: str
    n_samples: int
    loss: Loss | None = None

    def __str__(self) -> str:
        shape = "-".join(str(size) for size in self.sizes)
        kinds = f"{'+'.join(self.hidden) or 'none'} {self.output}"
        loss = f" {self.loss}" if self.loss else ""
        return f"{shape} {kinds}{loss} m={self.n_samples}"


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


def grid_of_losses():
    """Each other loss: no hidden layer, or two; width 1, 2, 5; samples 1, 7."""
    for (loss, (output, units)), depth, width, n_samples in itertools.product(
        LOSSES.items(), (0, 2), (1, 2, 5), (1, 7)
    ):
        sizes = (N_IN, *[width] * depth, units or width)
        yield Case(sizes, ("tanh", "relu")[:depth], output, n_samples, loss)


# One of each, for what goes through all of them at once.
EACH_LOSS = [
    Case((N_IN, 4, units or 2), ("tanh",), output, 7, loss)
    for loss, (output, units) in LOSSES.items()
]
GRID = [*grid(), *dict.fromkeys(grid_of_losses())]
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
    loss = case.loss.name if case.loss else ""
    if case.loss and len(case.loss.numbers) > 1:
        Y = random.normal(size=(1, m))  # of all output units
    elif loss in ("gamma", "tweedie"):
        Y = random.gamma(2.0, size=(n_out, m))
        if loss == "tweedie":
            Y[:, ::3] = 0
    elif case.output == "sigmoid":
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


def described(case: Case) -> tuple[tuple[int, ...], tuple[str, ...], str]:
    """What the oracles take between the parameters and the data."""
    return case.sizes, case.hidden, case.output


@functools.cache
def expected_forward(case: Case) -> Any:
    data = data_of(case, False, 0.0)
    return np.array(oracle.forward(data.theta, case.sizes, case.hidden, case.output, data.X))


@functools.cache
def expected_cost(case: Case, weighted: bool, alpha: float) -> float:
    data = data_of(case, weighted, alpha)
    return oracle.cost(data.theta, *described(case), *data[1:], case.loss)


@functools.cache
def expected_gradient(case: Case, weighted: bool, alpha: float) -> Any:
    data = data_of(case, weighted, alpha)
    return np.array(oracle.gradient(data.theta, *described(case), *data[1:], case.loss))


def network_of(case: Case) -> Network:
    loss = loss_of(case.loss) if case.loss else None
    return Network(case.sizes, case.hidden, case.output, loss)


def loss_of(loss: Loss) -> losses.Loss:
    """The loss as a network takes it."""
    if not loss.numbers:
        return losses.Loss(loss.name)
    numbers: Any = loss.numbers if len(loss.numbers) > 1 else loss.numbers[0]
    kinds: dict[str, Any] = {
        "huber": losses.Huber,
        "quantile": losses.Quantile,
        "tweedie": losses.Tweedie,
    }
    made: losses.Loss = kinds[loss.name](numbers)
    return made


def settings():
    """Weighted or not, penalised or not, in either dtype."""
    return itertools.product((False, True), (0.0, 0.5), DTYPES)


def tolerance(case: Case, dtype: str, expected: Any) -> float:
    """A constant times epsilon, the length of the longest sum, the depth and the size."""
    terms = max(*case.sizes, case.n_samples) * len(case.sizes)
    return 2 * float(np.finfo(dtype).eps) * terms * max(1.0, float(np.max(np.abs(expected))))
