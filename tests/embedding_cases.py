"""Networks with embeddings, and data for them, that several test files go through."""

import functools
import itertools
from typing import Any, NamedTuple

import numpy as np

from engine import Network
from engine.embeddings import Embedding, Levels, Pieces
from tests import cases, embeddings_oracle

# Quarters: exact in either dtype, so that a number on a breakpoint is on it in both.
B = (-1.0, -0.25, 0.25, 0.5, 1.5, 2.0)
INPUTS = {
    "one number": (("pieces", B[:2], 1, False),),
    "one number, maybe missing": (("pieces", B[:3], 3, True),),
    "one category": (("levels", 4, 3),),
    "one level": (("levels", 1, 1), ("plain",)),
    "wide": (("pieces", B, 17, True), ("levels", 5, 17)),
    "all kinds": (
        ("plain",),
        ("pieces", B, 3, False),
        ("levels", 3, 1),
        ("pieces", B[:3], 1, True),
        ("plain",),
        ("pieces", B[2:4], 17, True),
        ("levels", 2, 3),
    ),
}
UNITS = (1, 3, 17, 40)  # of the first layer


class EmbeddedCase(NamedTuple):
    """A network with embeddings, and how many samples it sees."""

    inputs: str
    first: int
    depth: int
    output: str = "identity"
    n_samples: int = 5
    weighted: bool = False
    alpha: float = 0.0

    @property
    def described(self) -> tuple[Any, tuple[int, ...], tuple[str, ...], str]:
        """What the oracle takes after theta."""
        return INPUTS[self.inputs], self.sizes, self.hidden, self.output

    @property
    def sizes(self) -> tuple[int, ...]:
        above = {0: (), 1: (2,), 2: (3, 2)}[self.depth]
        return len(INPUTS[self.inputs]), self.first, *above

    @property
    def hidden(self) -> tuple[str, ...]:
        return ("tanh", "relu")[: self.depth]

    @property
    def network(self) -> Network:
        embeddings = [made(entry) for entry in INPUTS[self.inputs]]
        return Network(self.sizes, self.hidden, self.output, embeddings=embeddings)

    def __str__(self) -> str:
        shape = "-".join(map(str, self.sizes))
        rest = " weighted" * self.weighted + f" alpha={self.alpha:g}" * (self.alpha > 0)
        return f"{self.inputs} {shape} {self.output} m={self.n_samples}{rest}"


def made(entry: Any) -> Embedding | None:
    """What the package takes for an input as the oracle describes it."""
    if entry[0] == "plain":
        return None
    kind = Pieces if entry[0] == "pieces" else Levels
    return kind(*entry[1:])


def grid():
    """Inputs, width of the first layer, depth; the rest in turns."""
    rest = itertools.cycle(itertools.product(("identity", "sigmoid", "softmax"), (5, 1)))
    settings = itertools.cycle(((False, 0.0), (True, 0.0), (False, 0.5), (True, 0.5), (True, 2.0)))
    for inputs, first, depth in itertools.product(INPUTS, UNITS, range(3)):
        yield EmbeddedCase(inputs, first, depth, *next(rest), *next(settings))


GRID = list(grid())
SMALL = [case for case in GRID if case.first <= 3 and case.inputs != "wide"]


class Data(NamedTuple):
    theta: Any
    X: Any
    Y: Any
    sample_weight: Any
    alpha: float


def column_of(entry: Any, m: int, random: Any) -> Any:
    """Inputs of one kind: also at breakpoints, outside them, and missing ones; each level."""
    if entry[0] == "plain":
        return random.normal(size=m)
    if entry[0] == "levels":
        return random.permutation(np.arange(m) % entry[1])
    _, breakpoints, _, missing = entry
    special = [*breakpoints, breakpoints[0] - 1.5, breakpoints[-1] + 2.25]
    drawn = random.uniform(breakpoints[0] - 1, breakpoints[-1] + 1, m)
    x = np.where(random.random(m) < 0.5, drawn, random.choice(special, m))
    if missing:
        x[random.random(m) < 0.25] = np.nan
    return x


@functools.cache
def data_of(case: EmbeddedCase) -> Any:
    """Random parameters and data, of float32 values."""
    random = np.random.default_rng([case.first, case.depth, case.n_samples, len(case.inputs)])
    m, n_out = case.n_samples, case.sizes[-1]
    X = np.array([column_of(entry, m, random) for entry in INPUTS[case.inputs]], float)
    if case.output == "identity":
        Y = random.normal(size=(n_out, m))
    elif case.output == "sigmoid":
        Y = random.integers(0, 2, (n_out, m)).astype(float)
    else:
        Y = np.eye(n_out)[:, random.integers(0, n_out, m)]
    theta = random.uniform(-1, 1, case.network.n_parameters)
    weights = cases.float32_values(random.uniform(0.5, 2, m)) if case.weighted else None
    values = cases.float32_values
    return Data(values(theta), values(X), values(Y), weights, case.alpha)


@functools.cache
def expected_gradient(case: EmbeddedCase) -> Any:
    data = data_of(case)
    return np.array(embeddings_oracle.gradient(data.theta, *case.described, *data[1:]))


def tolerance(case: EmbeddedCase, dtype: str, expected: Any) -> float:
    """A constant times epsilon, the length of the longest sum, the depth and the size."""
    wide = embeddings_oracle.dense_sizes(INPUTS[case.inputs], case.sizes)
    terms = max(*wide, case.n_samples) * (len(case.sizes) + 1)
    return 2 * float(np.finfo(dtype).eps) * terms * max(1.0, float(np.max(np.abs(expected))))
