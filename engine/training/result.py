"""What training passes to the caller: iterations for the callback, the result, or the error."""

import functools
import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engine.network import Network


History = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Plan:
    """What was chosen for a training run, and why.

    Attributes
    ----------
    backend : str
    n_threads : int
    chunk_samples : int
        Samples summed at a time.
    n_chunks : int
    why : str
        The reasons, in a sentence or two.
    """

    backend: str
    n_threads: int
    chunk_samples: int
    n_chunks: int
    why: str


@dataclass(frozen=True, init=False)
class Iteration:
    """What a callback receives after each iteration.

    An iteration is a step of "gd", "lm" and "lbfgs", and an epoch of "sgd" and "adam".

    Attributes
    ----------
    step : int
        Steps taken so far, from 1.
    cost : float
        J before the step; over an epoch, the mean of the batches' costs, each before its step.
    cost_after : float
        J after the step, at `theta`: of "lm" and "lbfgs"; NaN of the others, which do not know it.
    gradient_norm : float
        Euclidean norm of dJ/dtheta before the step; of an epoch, before its last step.
    validation_cost : float
        Mean cost of the validation data, NaN where there are none: after the epoch of "sgd" and
        "adam", before the step of the others.
    seconds : float
        Since training began.
    theta : ndarray (n_parameters,)
        After the step: a read-only view that the next step changes. Keep it with ``.copy()``.
    epoch : int
        Passes over the samples so far; for "gd", "lm" and "lbfgs" as many as steps.
    """

    step: int
    cost: float
    cost_after: float
    gradient_norm: float
    validation_cost: float
    seconds: float
    theta: NDArray[Any]
    epoch: int

    def __init__(
        self,
        step: int,
        cost: float,
        cost_after: float,
        gradient_norm: float,
        validation_cost: float,
        seconds: float,
        theta: NDArray[Any],
        epoch: int,
    ) -> None:
        # At once: a frozen dataclass sets one attribute after the other, which takes twice as long.
        self.__dict__.update(
            step=step,
            cost=cost,
            cost_after=cost_after,
            gradient_norm=gradient_norm,
            validation_cost=validation_cost,
            seconds=seconds,
            theta=theta,
            epoch=epoch,
        )


@dataclass(frozen=True, eq=False)
class TrainResult:
    """The parameters of a trained network, and how the training went.

    Attributes
    ----------
    theta : ndarray (n_parameters,)
        Of the dtype of X (float32) or float64.
    history : dict of float64 arrays (n_iter,)
        One entry a step of "gd", "lm" and "lbfgs", or an epoch of the others. "cost": J before the
        step, or the mean over the epoch's batches, each before its step. "gradient_norm": of the
        mean gradient before the (last) step. "seconds": since training began, at the end.
        "validation_cost": before the step, or after the epoch; empty where there are no validation
        data.
    n_iter : int
        Steps of "gd", "lm" and "lbfgs", epochs of the others.
    stopped : str
        "max_iter", "tol", "callback", "max_time", "interrupted"; by "lbfgs" alone "converged": its
        line search found no lower cost; by "lm" alone "gradient", "step" or "cost": what has become
        too small to go on.
    plan : Plan
    fingerprint : str
        SHA-256 of the shapes, dtypes and little-endian bytes of the parameters: two runs with the
        same fingerprint ended with the same bits.
    cost : float
        J at `theta`, on the training data, penalty included.
    alpha : float
        Strength of the penalty: as passed, or found by the evidence.
    effective_parameters, log_evidence : float or None
        With ``alpha="evidence"``: how many parameters the data determine, and the logarithm of the
        probability of the targets (N6); NaN for losses that are no likelihood.
    """

    theta: NDArray[Any]
    history: History
    n_iter: int
    stopped: str
    plan: Plan
    fingerprint: str
    cost: float
    alpha: float = 0.0
    effective_parameters: float | None = None
    log_evidence: float | None = None

    def __repr__(self) -> str:
        steps = f"{self.n_iter} step{'s' * (self.n_iter != 1)}"
        return (
            f"<TrainResult: cost {self.cost:.6g} after {steps}, stopped by {self.stopped}, "
            f"backend {self.plan.backend}>"
        )


class DivergedError(ArithmeticError):
    """The cost stopped being finite.

    Attributes
    ----------
    theta : ndarray (n_parameters,)
        The last parameters whose cost was finite.
    epoch : int
        Epochs begun; for "gd" and "lbfgs" this is `step`.
    step : int
        The step, from 1, that led to a cost that is not finite.
    history : dict of float64 arrays
        Of the steps before, as in `TrainResult`.
    """

    def __init__(
        self, message: str, theta: NDArray[Any], epoch: int, step: int, history: History
    ) -> None:
        super().__init__(message)
        self.theta = theta
        self.epoch = epoch
        self.step = step
        self.history = history

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.theta, self.epoch, self.step, self.history)


def fingerprint(network: "Network", theta: NDArray[Any]) -> str:
    """SHA-256 of the shapes, dtypes and little-endian bytes of the parameters.

    The same as `fingerprint_of` their views, which take longer to make than to hash.
    """
    theta = _little_endian(theta)
    digest = hashlib.sha256()
    for heading, place in _parts_of(network.dense_sizes, theta.dtype):
        digest.update(heading)
        digest.update(theta[place].data)
    for part in network.embedding_parts(theta):
        digest.update(_heading(part.shape, part.dtype))
        digest.update(part.tobytes())
    return digest.hexdigest()


@functools.lru_cache(maxsize=64)
def _parts_of(sizes: tuple[int, ...], dtype: np.dtype[Any]) -> list[tuple[bytes, slice]]:
    """The heading and the place in theta of each W and b."""
    parts, first = [], 0
    for n_below, n in pairwise(sizes):
        for shape in ((n, n_below), (n,)):
            last = first + math.prod(shape)
            parts.append((_heading(shape, dtype), slice(first, last)))
            first = last
    return parts


def fingerprint_of(parameters: Iterable[NDArray[Any]]) -> str:
    """SHA-256 of shapes, dtypes and little-endian bytes, array by array.

    Examples
    --------
    >>> import numpy as np
    >>> fingerprint_of([np.array([1.0, 2.0])])[:16]
    '9f2be41266ce9e55'
    """
    digest = hashlib.sha256()
    for array in parameters:
        array = _little_endian(array)
        digest.update(_heading(array.shape, array.dtype))
        digest.update(array.tobytes())
    return digest.hexdigest()


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _heading(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """What is hashed before the numbers of an array."""
    return f"{shape} {dtype.str} ".encode()
