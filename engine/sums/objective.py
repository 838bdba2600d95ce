"""The mean cost J of a network on given data, and its gradient, as functions of theta alone."""

import os
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.boundary import arrays
from engine.boundary.derivatives import require_curvature, require_second_derivative
from engine.boundary.embedded_inputs import require_no_embeddings
from engine.equations.backends import Backend
from engine.equations.losses import COMPILED
from engine.sums.chunks import (
    ChunkSums,
    DistributedSamples,
    Sums,
    kind_of,
    number_of_chunks,
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
        self._layers = layers
        self._sizes = layers.sizes
        self._n_parameters = layers.n_parameters
        self.threads = (choose if spare is None else spare.choose)(
            n_threads,
            layers.multiply_adds * samples.n_samples,
            number_of_chunks(samples.n_samples),
        )
        if sums is None and spare is not None and isinstance(samples, Samples):
            sums = spare.take(backend, layers, samples, self.threads.number)
        self.sums = sums or sums_of(backend, layers, samples, self.threads.number)
        self._alpha = float(alpha)
        self._total_weight = total_weight(samples)
        self._in_float64: ChunkSums | None = None  # for gauss_newton, made when it is needed

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

    def hessian_product(self, theta: ArrayLike, v: ArrayLike) -> NDArray[Any]:
        """The exact second derivative of J at theta, times a vector.

        Parameters
        ----------
        theta : array_like (n_parameters,)
            As for `cost`.
        v : array_like (n_parameters,)
            Of any scale: the product is linear in it. Taken in the dtype of X, as theta is.

        Returns
        -------
        ndarray (n_parameters,)
            H v with H = d2J/dtheta2, a new array with the dtype of X. The penalty's part alpha R v
            / S is included. The same bits on any number of threads.

        Raises
        ------
        ValueError, TypeError
            For a theta or v of another shape; for a loss with a kink (absolute error, quantiles),
            and for a loss of the user's own, whose second derivative is not known.

        Notes
        -----
        At most 8/3 of the multiply-adds of a gradient, and 3/2 where nearly all weights are in
        layer 1; no matrix is formed. A relu unit has the second derivative 0, also at its kink.
        Huber's loss has 1 up to delta and 0 beyond. Equations N8, N9 and N10. Source: Pearlmutter
        1994, Neural Computation 6, section 4.

        Examples
        --------
        With no hidden layer and squared error, J is a parabola, and H the same everywhere:

        >>> import numpy as np
        >>> from engine import Network
        >>> objective = Network((1, 1), output="identity").objective([[1.0, 3.0]], [0.0, 1.0])
        >>> objective.hessian_product([0.2, 0.7], [1.0, 0.0])
        array([5., 2.])
        """
        require_second_derivative(self._layers.loss)
        require_no_embeddings(self._layers, "hessian_product")
        assert isinstance(self.sums, ChunkSums)  # not of samples in other processes
        with np.errstate(all="ignore"):
            parameters, along = self._parameters(theta), self._parameters(v, "v")
            product = np.empty_like(parameters)
            product_sum = self.sums.hessian_product(parameters, along)
            penalised = product_sum, along, self._sizes, self._alpha, self._total_weight
            self.backend.mean_gradient(*penalised, product)
        return product

    def gauss_newton(self, theta: ArrayLike) -> NDArray[np.float64]:
        """The Gauss-Newton matrix of J at theta.

        (sum_i s_i J_i^T H_i J_i + alpha R) / S: J_i = dZ[L](i)/dtheta (n_L, n_parameters); H_i has
        the loss's weights h, or is the whole matrix of softmax; R is 1 for weights and 0 for
        biases. Without a penalty it is positive semidefinite, and with squared error it is what the
        Hessian becomes as the residuals vanish.

        Parameters
        ----------
        theta : array_like (n_parameters,)
            Taken in float64, whatever the dtype of X.

        Returns
        -------
        ndarray (n_parameters, n_parameters) float64
            Symmetric to the bit, both triangles, in C order. The same bits on any number of
            threads.

        Raises
        ------
        ValueError, TypeError
            For a theta of another shape; for a loss with a kink (absolute error, quantiles), and
            for a function of the user's own that returns no curvature h, or one below 0.

        Notes
        -----
        n_L n_parameters^2 / 2 multiply-adds a sample. It is float64 throughout: float32 samples are
        converted once, at the first call, and the copies are kept. Equation N1.

        Examples
        --------
        >>> from engine import Network
        >>> objective = Network((1, 1), output="identity").objective([[1.0, 3.0]], [0.0, 1.0])
        >>> objective.gauss_newton([0.2, 0.7])
        array([[5., 2.],
               [2., 1.]])
        """
        require_curvature(self._layers.loss)
        require_no_embeddings(self._layers, "gauss_newton")
        parameters = arrays.parameters(theta, self._n_parameters, np.float64, cast=True)
        n = self._n_parameters
        with np.errstate(all="ignore"):
            _, sums = self._sums_in_float64().normal_equations(parameters)
            G = np.tril(sums[n:].reshape(n, n))
            G += np.tril(G, -1).T
            if self._layers.loss.code == COMPILED and not np.isfinite(np.trace(G)):
                raise ValueError(
                    "gauss_newton needs an h, the third result of your loss, that is finite and at "
                    "least 0 for each z and y, and got another one."
                )
            one, mean = np.zeros(n), np.empty((n, n))
            for p in range(n):  # the penalty's part of row p is that of a gradient at theta = e_p
                one[p] = 1
                penalised = G[p], one, self._sizes, self._alpha, self._total_weight
                self.backend.mean_gradient(*penalised, mean[p])
                one[p] = 0
        return mean

    def _sums_in_float64(self) -> ChunkSums:
        assert isinstance(self.sums, ChunkSums)  # not of samples in other processes
        assert isinstance(self.samples, Samples)
        if self.samples.dtype == np.float64:
            return self.sums
        if self._in_float64 is None:
            samples = self.samples.in_float64()
            self._in_float64 = ChunkSums(self.backend, self._layers, samples, self.threads.number)
        return self._in_float64

    def _parameters(self, theta: ArrayLike, argument: str = "theta") -> NDArray[Any]:
        dtype = self.samples.dtype
        return arrays.parameters(theta, self._n_parameters, dtype, argument, cast=True)

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
    threads = choose(n_threads, work, number_of_chunks(samples.n_samples))
    return ChunkSums(backend, layers, samples, threads.number).forward(theta)


def jacobian(
    backend: Backend, layers: Layers, samples: Samples, theta: NDArray[Any], of_parameters: bool
) -> NDArray[Any]:
    """dA[L]/dtheta (m, n_L, n_parameters) or dA[L]/dX (m, n_L, n_0) of checked data."""
    work = layers.multiply_adds * int(layers.sizes[-1]) * samples.n_samples // 3
    threads = choose(None, work, number_of_chunks(samples.n_samples))
    return ChunkSums(backend, layers, samples, threads.number).jacobian(theta, of_parameters)
