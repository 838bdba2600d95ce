"""What is trained: networks, their data, and what a pass over them costs.

Rows of data are drawn from a normal distribution; a random network of the same kind answers them,
so that there is something to learn. Other libraries' processes import this module:
nothing here is imported that they do not have.
"""

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engine.network import Network


OUTPUTS = ("sigmoid", "softmax", "identity")
LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
ALPHA = 1e-4  # of the estimators, where many of them are fitted


@dataclass(frozen=True)
class Problem:
    """A network, and how many samples it is trained on.

    Attributes
    ----------
    sizes : tuple of int
    n_samples, batch_size : int
        The last batch of an epoch is short where they do not divide; nobody drops it.
    output : "sigmoid" (one unit, labels 0 and 1), "softmax" (class codes), "identity" (numbers)
    hidden : "tanh" or "relu"
    data : str
        Name of data that scikit-learn carries (data_sets.py); "" for data that are drawn.
    """

    sizes: tuple[int, ...]
    n_samples: int
    batch_size: int
    output: str = "sigmoid"
    hidden: str = "tanh"
    data: str = ""

    def __post_init__(self) -> None:
        n_out = self.sizes[-1]
        if self.output == "sigmoid" and n_out != 1:
            raise ValueError(
                f"a sigmoid output has one unit here; {self.name} has {n_out}. "
                "Pass --output softmax or --output identity."
            )
        if self.output == "softmax" and not 3 <= n_out <= self.n_samples:
            raise ValueError(
                "a softmax output has at least three units here, and a sample for each; "
                f"{self.name} has {n_out} units for {self.n_samples} samples. "
                "Pass --output sigmoid or --output identity, or more --samples."
            )

    @property
    def name(self) -> str:
        shape = "-".join(map(str, self.sizes))
        return f"{self.data} {shape}" if self.data else shape

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.n_samples / self.batch_size)

    @property
    def flops_per_sample(self) -> int:
        """Of a forward and a backward pass, a multiply-add being two."""
        return flops_per_sample(self.sizes)


def flops_per_sample(sizes: Sequence[int]) -> int:
    """Of a forward and a backward pass through layers of these sizes, a multiply-add being two.

    Each weight takes part in two products in the first layer (Z and dW), and in three above
    (dA too).

    >>> flops_per_sample((20, 100, 1))
    8600
    """
    first, *above = (n_in * n_out for n_in, n_out in itertools.pairwise(sizes))
    return 2 * (2 * first + 3 * sum(above))


def parse_shape(text: str) -> tuple[int, ...]:
    """Layer sizes from a text such as "20-100-1"."""
    parts = text.split("-")
    if len(parts) < 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(
            f"--shape must be layer sizes joined by '-', inputs first, such as 20-100-1; "
            f"got {text!r}."
        )
    return tuple(map(int, parts))


def sizes_of(name: str) -> tuple[int, ...]:
    """Layer sizes from a problem's name.

    >>> sizes_of("iris 4-16-3")
    (4, 16, 3)
    """
    return parse_shape(name.rpartition(" ")[2])


class ProblemData(NamedTuple):
    """Samples as rows; targets (m,): labels, codes or numbers, or (m, n_L) numbers."""

    rows: NDArray[Any]
    targets: NDArray[Any]


def draw(problem: Problem, dtype: str, seed: int = 0) -> ProblemData:
    """Data of a problem: C order, labels and codes int64, all else of `dtype`."""
    if problem.data:
        return ProblemData(*load(problem.data, dtype))
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal((problem.n_samples, problem.sizes[0]))
    teacher = generator.standard_normal((problem.sizes[0], problem.sizes[-1]))
    answers = np.tanh(rows @ teacher / math.sqrt(problem.sizes[0]) * 2)
    answers += 0.3 * generator.standard_normal(answers.shape)
    if problem.output == "softmax":
        codes = np.argmax(answers, axis=1)
        n_out = problem.sizes[-1]
        codes[:n_out] = np.arange(n_out)  # no class is missing
        return ProblemData(rows.astype(dtype), codes)
    if problem.output == "sigmoid":
        labels = (answers[:, 0] > 0).astype(np.int64)
        labels[:2] = (0, 1)[: len(labels)]
        return ProblemData(rows.astype(dtype), labels)
    targets = answers[:, 0] if problem.sizes[-1] == 1 else answers
    return ProblemData(rows.astype(dtype), np.ascontiguousarray(targets, dtype=dtype))


@dataclass(frozen=True)
class TrainingTask:
    """A problem with its data and its initial parameters: what every library is handed.

    `members` is the number of networks that are trained on the same data, each from the initial
    parameters that an estimator draws with its number as `random_state`; None is one network.
    """

    problem: Problem
    dtype: str
    n_threads: int = 1
    seed: int = 0
    members: int | None = None

    @cached_property
    def network(self) -> "Network":
        from engine.network import Network

        return Network(self.problem.sizes, self.problem.hidden, self.problem.output)

    @cached_property
    def data(self) -> ProblemData:
        return draw(self.problem, self.dtype, self.seed)

    @cached_property
    def theta(self) -> NDArray[Any]:
        """The initial parameters (n_parameters,); of several members (members, n_parameters)."""
        if self.members is None:
            return self.network.initial_parameters(self.seed, self.dtype)
        from engine.estimators.draws import initial_parameters

        generators = map(np.random.RandomState, range(self.members))
        drawn = (initial_parameters(self.network, one, self.dtype, "") for one in generators)
        return np.stack(list(drawn))

    @property
    def layers(self) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """(W, b) of each layer, views of the initial parameters: W (n_l, n_{l-1}), b (n_l,).

        Of several members, both have a leading axis more.
        """
        views, start = [], 0
        for n_in, n_out in itertools.pairwise(self.problem.sizes):
            middle, end = start + n_out * n_in, start + n_out * (n_in + 1)
            W, b = self.theta[..., start:middle], self.theta[..., middle:end]
            views.append((W.reshape(*W.shape[:-1], n_out, n_in), b))
            start = end
        return views

    def save(self, file: Path) -> None:
        """Write all that a library is handed, for `loaded`, in another process."""
        settings = {
            "problem": asdict(self.problem),
            "dtype": self.dtype,
            "n_threads": self.n_threads,
            "seed": self.seed,
            "members": self.members,
        }
        arrays = {"rows": self.data.rows, "targets": self.data.targets, "theta": self.theta}
        np.savez(file, allow_pickle=False, settings=np.array(json.dumps(settings)), **arrays)

    @classmethod
    def loaded(cls, file: Path) -> Self:
        """The task that `save` wrote: the same numbers, whatever this process would draw."""
        with np.load(file, allow_pickle=False) as kept:
            settings = json.loads(str(kept["settings"]))
            fields = settings.pop("problem")
            task = cls(Problem(**{**fields, "sizes": tuple(fields["sizes"])}), **settings)
            vars(task)["data"] = ProblemData(kept["rows"], kept["targets"])
            vars(task)["theta"] = kept["theta"]
        return task

    def cost(self, theta: NDArray[Any]) -> float:
        """The mean cost on all samples, by NumPy in float64, whoever found theta."""
        X, Y = self.data.rows.T.astype(np.float64), self.data.targets.T
        return self.network.objective(X, Y, backend="numpy").cost(theta.astype(np.float64))


# The rows of the table that the project began with.
_FIRST = (
    Problem((2, 4, 1), 200, 32),
    Problem((20, 16, 1), 1000, 32),
    Problem((20, 100, 1), 1000, 200),
    Problem((64, 32, 1), 1797, 64),
    Problem((100, 256, 1), 5000, 128),
    Problem((784, 128, 1), 5000, 128),
)

SUITES: dict[str, tuple[Problem, ...]] = {
    "small": _FIRST[:3],
    "reach": (
        *_FIRST,
        Problem((4, 16, 3), 150, 16, "softmax"),
        Problem((30, 16, 1), 426, 32),
        Problem((10, 50, 1), 1000, 16, "identity", "relu"),
        Problem((8, 32, 32, 1), 2000, 64, "identity"),
        Problem((100, 100, 1), 2000, 64),
        Problem((64, 100, 10), 1797, 200, "softmax", "relu"),
        Problem((784, 32, 10), 5000, 128, "softmax"),
        Problem((1000, 400, 1), 2000, 256),
    ),
    # One hidden layer, wider and wider: time a sample against size.
    "sizes": tuple(Problem((20, width, 1), 1000, 200) for width in (4, 16, 64, 256, 1024)),
    "odd": (
        Problem((37, 53, 7), 501, 33, "softmax"),
        Problem((5, 1, 1), 300, 32),
        Problem((4, 8, 1), 1, 1, "identity"),
        Problem((20, 16, 1), 50, 200),
        Problem((10, 20, 20, 20, 20, 20, 1), 1000, 64),
        Problem((2000, 8, 1), 500, 50),
        Problem((8, 16, 1), 300, 1),
        Problem((13, 9, 5), 203, 64, "identity", "relu"),
    ),
}

# By the name of their data, with networks that people would take for them.
NAMED = {
    "xnor": Problem((2, 4, 1), 4, 4, "sigmoid", "tanh", "xnor"),
    "iris": Problem((4, 16, 3), 150, 32, "softmax", "relu", "iris"),
    "wine": Problem((13, 32, 3), 178, 32, "softmax", "relu", "wine"),
    "breast-cancer": Problem((30, 16, 1), 569, 32, "sigmoid", "relu", "breast-cancer"),
    "digits": Problem((64, 100, 10), 1797, 200, "softmax", "relu", "digits"),
    "diabetes": Problem((10, 100, 1), 442, 200, "identity", "relu", "diabetes"),
}


def load(name: str, dtype: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows in C order, of mean 0 and variance 1 but for XNOR's; labels, codes or numbers.

    Targets that are numbers are standardised as well, and of `dtype`.
    """
    if name == "xnor":
        rows = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        return rows.astype(dtype), np.array([1, 0, 0, 1])
    from sklearn import datasets

    rows, targets = getattr(datasets, f"load_{name.replace('-', '_')}")(return_X_y=True)
    rows = standardised(rows).astype(dtype)
    if targets.dtype.kind == "f":
        return rows, standardised(targets).astype(dtype)
    return rows, targets.astype(np.int64)


def standardised(numbers: NDArray[Any]) -> NDArray[Any]:
    spread = numbers.std(axis=0)
    scaled: NDArray[Any] = (numbers - numbers.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return scaled
