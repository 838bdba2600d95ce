"""The mean cost J of a network on given data, and its gradient, as functions of theta alone."""

import os
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.boundary import arrays
from engine.equations.backends import Backend
from engine.sums.chunks import (
    ChunkSums,
    DistributedSamples,
    Sums,
    chunk_bounds,
    kind_of,
    sums_of,
    total_weight,
)
from engine.sums.samples import Layers, Samples
from engine.sums.thread_count import Threads, choose


class ReusableSums:
    """The memory and threads of the last evaluation, for the next one of the same kind.

    A caller who passes the data in each call does not pay for these each time. No data are kept,
    except what the last block left in the workspace. Any number of threads may share it.
    """

    def __init__(self) -> None:
        self._kept: deque[tuple[tuple[Any, ...], ChunkSums]] = deque(maxlen=1)
        self._chosen: tuple[tuple[Any, ...], Threads] | None = None

    def choose(self, asked: int | None, multiply_adds: int, n_chunks: int) -> Threads:
        """The result of `choose`, or that of the last call if nothing has changed.

        Asking the system for the number of usable cores takes half a millisecond.
        """
        question = (asked, multiply_adds, n_chunks, os.environ.get("OMP_NUM_THREADS"))
        chosen = self._chosen
        if chosen is None or chosen[0] != question:
            chosen = self._chosen = question, choose(asked, multiply_adds, n_chunks)
        return chosen[1]

    def take(self, backend: Backend, layers: Layers, samples: Samples, n_threads: int) -> ChunkSums:
        """Sums over these samples: the spare ones if they are of the same kind, else new ones."""
        try:
            kind, sums = self._kept.pop()
        except IndexError:
            kind = ()
        if kind != kind_of(backend, samples, n_threads):
            return ChunkSums(backend, layers, samples, n_threads)
        sums.set_samples(samples)
        return sums

    def keep(self, sums: ChunkSums) -> None:
        """Take back sums, which cannot be used any more."""
        kind = sums.kind
        sums.drop_samples()
        self._kept.append((kind, sums))


class Objective:
    """J(theta) = (sum_i s_i J_i + alpha/2 sum_l ||W[l]||^2) / S on data that were checked once.

    Parameters
    ----------
    backend : Backend
    layers : Layers
    samples : Samples, or samples that other processes hold
        Not copied and never written to.
    alpha : float
        Strength of the L2 penalty.
    n_threads : int, optional
        None is as many as are worth their overhead.
    spare : ReusableSums, optional
        Where its memory and threads come from.
    sums : Sums, optional
        Those of the samples, if they exist already.

    Attributes
    ----------
    sums : Sums
    threads : Threads
        How many it uses, and why.
    """

    def __init__(
        self,
        backend: Backend,
        layers: Layers,
        samples: Samples | DistributedSamples,
        alpha: float = 0.0,
        n_threads: int | None = None,
        spare: ReusableSums | None = None,
        sums: Sums | None = None,
    ) -> None:
        self.backend = backend
        self.samples = samples
        self._sizes = layers.sizes
        self._n_parameters = layers.n_parameters
        self.threads = (choose if spare is None else spare.choose)(
            n_threads,
            layers.multiply_adds * samples.n_samples,
            len(chunk_bounds(samples.n_samples)),
        )
        if sums is None and spare is not None and isinstance(samples, Samples):
            sums = spare.take(backend, layers, samples, self.threads.number)
        self.sums = sums or sums_of(backend, layers, samples, self.threads.number)
        self._alpha = float(alpha)
        self._total_weight = total_weight(samples)

    @np.errstate(all="ignore")  # an overflow shows as inf or NaN in the result
    def cost(self, theta: ArrayLike) -> float:
        """J, by a forward pass alone.

        theta (n_parameters,) is taken in the dtype of X, whatever its own, as optimisers keep
        float64; another shape is a ValueError.
        """
        parameters = self._parameters(theta)
        return self._mean_cost(self.sums.cost(parameters), parameters)

    @np.errstate(all="ignore")
    def forward(self, theta: ArrayLike) -> NDArray[Any]:
        """A[L] (n_L, m); theta as for `cost`."""
        return self.sums.forward(self._parameters(theta))

    @np.errstate(all="ignore")
    def cost_and_gradient(self, theta: ArrayLike) -> tuple[float, NDArray[Any]]:
        """J and dJ/dtheta, the latter a new array with the dtype of X; theta as for `cost`."""
        parameters = self._parameters(theta)
        dtheta = np.empty_like(parameters)
        cost_sum, gradient_sum = self.sums.cost_and_gradient(parameters)
        self.backend.mean_gradient(
            gradient_sum, parameters, self._sizes, self._alpha, self._total_weight, dtheta
        )
        return self._mean_cost(cost_sum, parameters), dtheta

    def _parameters(self, theta: ArrayLike) -> NDArray[Any]:
        return arrays.parameters(theta, self._n_parameters, self.samples.dtype, cast=True)

    def _mean_cost(self, cost_sum: float, theta: NDArray[Any]) -> float:
        return float(
            self.backend.mean_cost(cost_sum, theta, self._sizes, self._alpha, self._total_weight)
        )


def forward(
    backend: Backend,
    layers: Layers,
    samples: Samples,
    theta: NDArray[Any],
    n_threads: int | None = None,
) -> NDArray[Any]:
    """A[L] (n_L, m) of checked data; a forward pass is a third of the work of a gradient."""
    work = layers.multiply_adds * samples.n_samples // 3
    threads = choose(n_threads, work, len(chunk_bounds(samples.n_samples)))
    return ChunkSums(backend, layers, samples, threads.number).forward(theta)
