"""Workers that sum chunks of samples: the memory of one thread, and how a backend runs a chunk.

Within a chunk, spans of 1024 samples are summed in the dtype of the data, and added up in float64.
So a sum over a million float32 samples loses no more precision than a sum over one span.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiler.jit import jit
from engine.compiler.kernels import FixedTypes
from engine.compiler.subnormals import flush_subnormals, restore
from engine.equations.backends import TILED, Backend
from engine.equations.layout import parameters_of, units_of
from engine.sums.blas import hold_blas
from engine.sums.blocks import (
    COST,
    FORWARD,
    GRADIENT,
    allocate,
    block_for,
    run_blocks_tiled,
)
from engine.sums.samples import Layers, Samples, columns_of

SPAN_SAMPLES = 1024  # docs/decisions/0003-chunks.md


class TiledWorker:
    """The memory that one thread needs for chunks, and how the tiled kernels run a chunk.

    With `of_more`, there is memory for larger blocks, so that more samples can be given later.
    """

    def __init__(
        self, backend: Backend, layers: Layers, samples: Samples, of_more: bool = False
    ) -> None:
        n_parameters = layers.n_parameters
        dtype = samples.X.dtype
        self._layers = layers
        self._data = samples.for_kernels()
        # Other samples may come, and be more than these.
        most = SPAN_SAMPLES if of_more else min(samples.n_samples, SPAN_SAMPLES)
        self._block = block_for(layers, samples.X, most)
        self._workspace = allocate(layers, dtype, self._block)
        self.gradient_sum = np.empty(n_parameters)
        self._derivatives: Any = None  # made when it is needed
        self._run_in_order = FixedTypes(run_chunk_tiled)  # other orders may be int64

    def set_samples(self, samples: Samples) -> None:
        """Switch to other samples of the same dtype; the memory is reused."""
        self._data = samples.for_kernels()

    def drop_samples(self) -> None:
        """Drop the samples; call `set_samples` before the next chunk."""
        del self._data

    def run(
        self,
        task: int,
        theta: NDArray[Any],
        order: NDArray[Any],
        first: int,
        last: int,
        activations: NDArray[Any],
    ) -> float:
        """One chunk: its cost; its other sums in `summed`, or its share of `activations`.

        For HESSIAN, theta and v are one vector, and there is no cost.
        """
        if task > GRADIENT:
            if self._derivatives is None:
                from engine.sums.derivatives import TiledDerivatives

                self._derivatives = TiledDerivatives(self._layers, SPAN_SAMPLES)
            of_chunk = self._data, order, first, last
            return float(self._derivatives.run(task, theta, *of_chunk, activations))
        run_chunk = run_chunk_tiled if order.size else self._run_in_order
        return float(
            run_chunk(
                task,
                theta,
                self._layers,
                self._data,
                order,
                first,
                last,
                self._block,
                self._workspace,
                self.gradient_sum,
                activations,
            )
        )

    def summed(self, task: int) -> NDArray[np.float64]:
        """The sums of the last chunk beside its cost: its gradient, gradient and G, or H v."""
        if task > GRADIENT:
            sums: NDArray[np.float64] = self._derivatives.summed(task)
            return sums
        return self.gradient_sum


class ArrayWorker:
    """The same for a backend whose passes take whole arrays, one span of samples at a time."""

    def __init__(
        self, backend: Backend, layers: Layers, samples: Samples, of_more: bool = False
    ) -> None:
        self._backend = backend
        self._layers = layers
        self._samples = samples
        self.gradient_sum = np.empty(layers.n_parameters)
        self._loaded: tuple[int, int] | None = None
        self._derivatives: Any = None  # of the latest chunk
        self._span: Span

    def set_samples(self, samples: Samples) -> None:
        """Take other samples, of the same dtype."""
        self._samples = samples
        self._loaded = None

    def drop_samples(self) -> None:
        """Drop the samples; call `set_samples` before the next chunk."""
        del self._samples
        self._loaded = None
        self.__dict__.pop("_span", None)

    def run(
        self,
        task: int,
        theta: NDArray[Any],
        order: NDArray[Any],
        first: int,
        last: int,
        activations: NDArray[Any],
    ) -> float:
        """One chunk: its cost; its other sums in `summed`, or its share of `activations`.

        For HESSIAN, theta and v are one vector, and there is no cost.
        """
        cost = 0.0
        sizes, units, loss, embeddings = self._layers
        self.gradient_sum[:] = 0
        of_span = np.empty(self.gradient_sum.size, theta.dtype)
        if task > GRADIENT:
            from engine.sums.derivatives import ArrayDerivatives

            self._derivatives = ArrayDerivatives(self._backend, self._layers)
        for start in range(first, last, SPAN_SAMPLES):
            stop = min(start + SPAN_SAMPLES, last)
            A, dZ, Y, s, X = self._load(order, start, stop)
            hold_blas()
            if embeddings is not None:
                self._backend.embed(theta, embeddings, X, units_of(A, sizes, 0))
            if task == FORWARD:
                self._backend.forward_pass(theta, sizes, units, A)
                output = units_of(A, sizes, len(units))
                activations[:, start:stop] = output
            elif task == COST:
                cost += self._backend.cost_pass(theta, sizes, units, loss, A, Y, s)
            elif task > GRADIENT:
                cost += self._derivatives.run(task, theta, A, dZ, Y, s, activations[start:stop])
            else:
                of_pass = theta, sizes, units, loss, A, dZ, Y, s, of_span
                cost += self._backend.gradient_pass(*of_pass)
                if embeddings is not None:
                    dE, dZ_1 = units_of(dZ, sizes, 0), units_of(dZ, sizes, 1)
                    self._backend.input_gradient(parameters_of(theta, sizes, 1)[0], dZ_1, dE)
                    self._backend.embedding_gradient(embeddings, X, dE, of_span)
                self.gradient_sum += of_span
        return cost

    def summed(self, task: int) -> NDArray[np.float64]:
        """The sums of the last chunk beside its cost: its gradient, gradient and G, or H v."""
        if task > GRADIENT:
            sums: NDArray[np.float64] = self._derivatives.summed(task)
            return sums
        return self.gradient_sum

    def _load(self, order: NDArray[Any], start: int, stop: int) -> "Span":
        """Those samples in C-ordered arrays, whatever the layout of the caller's.

        A pass leaves X, Y and s as they are, so the span that was loaded last is not copied again.
        """
        if self._loaded == (start, stop) and not order.size:
            return self._span
        X, Y, codes, weights = self._samples
        count = stop - start
        chosen = order[start:stop] if order.size else slice(start, stop)
        fits = self._loaded is not None and self._span.s.size == count
        self._loaded = None  # until all is loaded: Ctrl-C may come in between
        if not fits:
            n_units, n_out = int(self._layers.sizes.sum()), int(self._layers.sizes[-1])
            A = np.zeros((n_units, count), X.dtype)
            embedded = self._layers.embeddings is not None
            self._span = Span(
                A=A,
                dZ=np.zeros((n_units, count), X.dtype),
                Y=np.empty((n_out, count), X.dtype),
                s=np.ones(count, X.dtype),
                X=np.empty((*X.shape[:1], count), X.dtype) if embedded else A[: X.shape[0]],
            )
        span = self._span
        span.X[:] = columns_of(X, chosen)
        if Y is not None:
            span.Y[:] = Y[:, chosen]
        elif codes is not None:
            span.Y[:] = 0
            span.Y[codes[chosen], np.arange(count)] = 1
        if Y is not None or codes is not None:
            _, units, loss, _ = self._layers
            self._backend.smooth_targets(loss, units[-1], span.Y, count)
        if weights is not None:
            span.s[:] = weights[chosen]
        self._loaded = (-1, -1) if order.size else (start, stop)
        return span


class Span(NamedTuple):
    """The arrays that a pass takes, with a span of samples in them."""

    A: NDArray[Any]
    dZ: NDArray[Any]
    Y: NDArray[Any]
    s: NDArray[Any]
    X: NDArray[Any]  # the first rows of A, if there are no embeddings


@jit
def run_chunk_tiled(
    task,
    theta,
    layers,
    data,
    order,
    first,
    last,
    block,
    workspace,
    gradient_sum,
    activations,
):
    """The summed cost of a chunk, and its gradient or its activations."""
    control_word = flush_subnormals()
    dtheta = workspace.dtheta
    cost = 0.0
    for p in range(gradient_sum.size if task == GRADIENT else 0):
        gradient_sum[p] = 0
    for start in range(first, last, SPAN_SAMPLES):
        stop = min(start + SPAN_SAMPLES, last)
        for p in range(dtheta.size if task == GRADIENT else 0):
            dtheta[p] = 0
        cost += run_blocks_tiled(
            task,
            theta,
            layers,
            data,
            order,
            start,
            stop,
            block,
            workspace,
            activations,
        )
        for p in range(dtheta.size if task == GRADIENT else 0):
            gradient_sum[p] += dtheta[p]
    restore(control_word)
    return cost


Worker = TiledWorker | ArrayWorker


def new_worker(backend: Backend, layers: Layers, samples: Samples, of_more: bool = False) -> Worker:
    """A worker of the kind that the backend needs."""
    kind = TiledWorker if backend is TILED else ArrayWorker
    return kind(backend, layers, samples, of_more)
