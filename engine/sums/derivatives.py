"""Chunks of the derivatives that few runs need: G (N1), H v (N8), and Jacobians (B12, B13).

Their kernels are loaded, and compiled, when they are first asked for.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.equations import gauss_newton, jacobians, second_derivative
from engine.equations.backends import Backend
from engine.sums.blocks import HESSIAN, INPUT_JACOBIAN, NORMAL, numbers_of_sums
from engine.sums.hessian_products import HessianWorkspace, allocate_hessian, run_chunk_hessian
from engine.sums.jacobians import (
    JacobianWorkspace,
    allocate_jacobian,
    run_chunk_input_jacobian,
    run_chunk_parameter_jacobian,
)
from engine.sums.normal_equations import (
    NormalWorkspace,
    allocate_normal,
    dense,
    run_chunk_normal,
)
from engine.sums.samples import KernelSamples, Layers


class TiledDerivatives:
    """The memory that one thread needs for them, and how the tiled kernels run a chunk.

    Parameters
    ----------
    layers : Layers
    most : int
        Samples of a span.
    """

    def __init__(self, layers: Layers, most: int) -> None:
        self._layers, self._most = layers, most
        self._normal: NormalWorkspace | None = None
        self._hessian: HessianWorkspace | None = None
        self._jacobians: dict[int, JacobianWorkspace] = {}
        self._normal_sums = self._product_sum = np.empty(0)

    def run(
        self,
        task: int,
        theta: NDArray[Any],
        data: KernelSamples,
        order: NDArray[Any],
        first: int,
        last: int,
        jacobian: NDArray[Any],
    ) -> float:
        """One chunk: its cost; its sums in `summed`, or its share of a Jacobian."""
        layers, n = self._layers, self._layers.n_parameters
        of_chunk = layers, dense(data), order, first, last
        if task == NORMAL:
            if self._normal is None:
                self._normal = allocate_normal(layers, self._most)
                self._normal_sums = np.empty(numbers_of_sums(n))
            return float(run_chunk_normal(theta, *of_chunk, self._normal, self._normal_sums))
        if task == HESSIAN:
            if self._hessian is None:
                self._hessian = allocate_hessian(layers, theta.dtype, self._most)
                self._product_sum = np.empty(n)
            both = np.split(theta, 2)
            run_chunk_hessian(*both, *of_chunk, self._most, self._hessian, self._product_sum)
            return 0.0
        of_parameters = task != INPUT_JACOBIAN
        if task not in self._jacobians:
            memory = allocate_jacobian(layers, theta.dtype, self._most, of_parameters)
            self._jacobians[task] = memory
        run = run_chunk_parameter_jacobian if of_parameters else run_chunk_input_jacobian
        run(theta, *of_chunk, self._jacobians[task], jacobian)
        return 0.0

    def summed(self, task: int) -> NDArray[np.float64]:
        """The sums of the last chunk: gradient and G, or H v."""
        return self._normal_sums if task == NORMAL else self._product_sum


class ArrayDerivatives:
    """The same for a backend whose passes take whole arrays, for one chunk, span after span."""

    def __init__(self, backend: Backend, layers: Layers) -> None:
        self._form, self._layers = backend.name, layers
        self._normal_sums = np.zeros(0)
        self._product_sum = np.zeros(layers.n_parameters)

    def run(
        self,
        task: int,
        theta: NDArray[Any],
        A: NDArray[Any],
        dZ: NDArray[Any],
        Y: NDArray[Any],
        s: NDArray[Any],
        jacobian: NDArray[Any],
    ) -> float:
        """One span: its cost; its sums are added to `summed`, or it fills its share."""
        n, n_samples = self._layers.n_parameters, A.shape[1]
        of_span, sizes, units = np.empty(n, theta.dtype), self._layers.sizes, self._layers.units
        if task == NORMAL:
            if not self._normal_sums.size:
                self._normal_sums = np.zeros(numbers_of_sums(n))
            H, rows = np.empty((Y.shape[0], n_samples)), np.empty((n, n_samples))
            G = self._normal_sums[n:].reshape(n, n)
            act = getattr(gauss_newton, f"normal_pass_{self._form}")
            cost = act(theta, *self._layers[:3], A, dZ, Y, s, of_span, H, rows, G)
            self._normal_sums[:n] += of_span
            return float(cost)
        if task == HESSIAN:
            RA, RdZ = np.empty_like(dZ), np.empty_like(dZ)
            act = getattr(second_derivative, f"hessian_pass_{self._form}")
            act(*np.split(theta, 2), *self._layers[:3], A, dZ, RA, RdZ, Y, s, of_span)
            self._product_sum += of_span
        elif task == INPUT_JACOBIAN:
            act = getattr(jacobians, f"input_jacobian_pass_{self._form}")
            act(theta, sizes, units, A, dZ, jacobian)
        else:
            rows = np.empty((n, n_samples), theta.dtype)
            act = getattr(jacobians, f"parameter_jacobian_pass_{self._form}")
            act(theta, sizes, units, A, dZ, rows, jacobian)
        return 0.0

    def summed(self, task: int) -> NDArray[np.float64]:
        """The sums of the chunk: gradient and G, or H v."""
        return self._normal_sums if task == NORMAL else self._product_sum
