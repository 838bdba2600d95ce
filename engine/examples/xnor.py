"""XNOR: the data, the gates that build it by hand, and networks that learn it, or cannot.

No line in the x1-x2 plane separates the inputs with output 1 from those with output 0, so logistic
regression can do no better than y = 1/2 everywhere, J = log 2. Two layers can: y = a1 OR a2 with
a1 = x1 AND x2 and a2 = NOT x1 AND NOT x2. Each of these gates is one sigmoid unit.

>>> from engine.examples import xnor
>>> print(xnor.XNOR)
x1  x2  x1 AND x2  NOT x1 AND NOT x2  a1 OR a2
 0   0          0                  1         1
 0   1          0                  0         0
 1   0          0                  0         0
 1   1          1                  0         1
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.examples import unless_interrupted
from engine.network import Network
from engine.training.result import TrainResult
from engine.training.trainer import train

# The four samples, as columns, in the order of the truth table.
X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
Y = np.array([[1.0, 0.0, 0.0, 1.0]])
X.flags.writeable = Y.flags.writeable = False

# What the trained networks of this example have in common.
LEARNING_RATE = 0.5
ITERATIONS = 5000
LEARNED = 0.05  # a cost below this counts as having learned XNOR


@dataclass(frozen=True, eq=False)
class HandSet:
    """A network whose parameters were set by hand; printing it prints its truth table.

    Attributes
    ----------
    network : Network
        Of sigmoid units, with two inputs and one output.
    theta : ndarray (n_parameters,)
    columns : tuple of str
        What each hidden unit, and last the output, computes.
    """

    network: Network
    theta: NDArray[np.float64]
    columns: tuple[str, ...]

    def outputs(self, X: NDArray[Any] = X) -> NDArray[np.float64]:
        """The output unit (m,) for inputs X (2, m)."""
        activations: NDArray[np.float64] = self.network.forward(self.theta, X)[0]
        return activations

    def __str__(self) -> str:
        rows = [*X]
        if self.network.hidden:
            first_layer = Network(self.network.sizes[:2], output="sigmoid")
            rows += [*first_layer.forward(self.theta[: first_layer.n_parameters], X)]
        rows.append(self.outputs())
        titles = ("x1", "x2", *self.columns)
        lines = ["  ".join(titles)]
        for sample in np.round(rows).astype(int).T:
            lines.append("  ".join(f"{a:>{len(t)}}" for t, a in zip(titles, sample, strict=True)))
        return "\n".join(lines)


def gate(column: str, w1: float, w2: float, b: float) -> HandSet:
    """One sigmoid unit a = sigmoid(w1 x1 + w2 x2 + b)."""
    return HandSet(Network((2, 1)), np.array([w1, w2, b], dtype=np.float64), (column,))


AND = gate("x1 AND x2", 20, 20, -30)
NOR = gate("NOT x1 AND NOT x2", -20, -20, 10)
OR = gate("x1 OR x2", 20, 20, -10)

# W[1] has the rows of AND and NOR, W[2] is OR's row. In theta: W[1], b[1], W[2], b[2].
XNOR = HandSet(
    network=Network((2, 2, 1), hidden="sigmoid"),
    theta=np.concatenate(
        [AND.theta[:2], NOR.theta[:2], AND.theta[2:], NOR.theta[2:], OR.theta[:2], OR.theta[2:]]
    ),
    columns=(*AND.columns, *NOR.columns, "a1 OR a2"),
)

TRAINED_NETWORK = Network((2, 4, 1), hidden="tanh", output="sigmoid")
LOGISTIC_REGRESSION = Network((2, 1), output="sigmoid")


def fit(network: Network, seed: int = 0, backend: str | None = None) -> TrainResult:
    """Train a network on XNOR from random values: gradient descent, rate 0.5, 5000 iterations.

    >>> fit(TRAINED_NETWORK).cost < LEARNED
    True
    >>> abs(fit(LOGISTIC_REGRESSION).cost - np.log(2)) < 1e-12
    np.True_
    """
    result = train(
        network,
        X,
        Y,
        solver="gd",
        learning_rate=LEARNING_RATE,
        max_iter=ITERATIONS,
        seed=seed,
        backend=backend,
    )
    return unless_interrupted(result)


def seeds_that_learn(n_seeds: int) -> int:
    """How many of the seeds 0 ... n_seeds - 1 take the 2-4-1 network below J = 0.05."""
    return sum(fit(TRAINED_NETWORK, seed).cost < LEARNED for seed in range(n_seeds))
