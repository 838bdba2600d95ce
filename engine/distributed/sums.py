"""Sums over the chunks that Dask's workers hold, added in the order of the chunks."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.distributed.cluster import ClusterError
from engine.distributed.remote_chunks import RemoteChunks
from engine.distributed.worker_chunks import Answer
from engine.equations.backends import Backend
from engine.sums.blocks import COST, FORWARD, GRADIENT, NORMAL
from engine.sums.chunks import IN_ORDER, numbers_summed
from engine.sums.samples import Layers


class DaskSums:
    """As `engine.sums.chunks.ChunkSums`, with the same bits: cost and gradient by theta.

    Parameters
    ----------
    backend : Backend
    layers : Layers
    chunks : RemoteChunks
    begin_pass : callable
        Called before each pass.
    """

    def __init__(
        self,
        backend: Backend,
        layers: Layers,
        chunks: RemoteChunks,
        begin_pass: Callable[[], Any] = lambda: None,
    ) -> None:
        self._backend = backend
        self._layers = layers
        self._chunks = chunks
        self._begin_pass = begin_pass
        self._compiled: set[int] = set()  # tasks

    def forward(self, theta: NDArray[Any]) -> NDArray[Any]:
        """A[L] (n_L, m), all of it brought here."""
        parts: dict[int, NDArray[Any]] = {}
        for answer in self._answers(FORWARD, theta):
            alone = answer.numbers[1:] if answer.added else answer.numbers
            numbers = [*range(answer.added), *alone]
            parts |= dict(zip(numbers, answer.activations, strict=True))
        return np.concatenate([parts[number] for number in sorted(parts)], axis=1)

    def cost(self, theta: NDArray[Any]) -> float:
        """sum_i s_i J_i."""
        return self._sum(COST, theta)[0]

    def cost_and_gradient(
        self, theta: NDArray[Any], order: NDArray[Any] = IN_ORDER
    ) -> tuple[float, NDArray[np.float64]]:
        """sum_i s_i J_i and its gradient by theta, over all samples."""
        if order.size:
            raise ValueError("a pass over samples that other processes hold takes all of them")
        return self._sum(GRADIENT, theta)

    def normal_equations(self, theta: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
        """sum_i s_i J_i; its gradient by theta, and the rows of G (N1), in one vector."""
        return self._sum(NORMAL, theta)

    def _sum(self, task: int, theta: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
        """Add up the sums of the chunks in order.

        One worker may have added the chunks from 0 on already. The other chunks are added to its
        total, in float64, so the result is the same as if all chunks were added here.
        """
        rows: list[tuple[int, float, NDArray[np.float64]]] = []
        for answer in self._answers(task, theta):
            rows += zip(answer.numbers, answer.costs.tolist(), answer.gradients, strict=True)
        rows.sort(key=lambda row: row[0])
        cost, gradient = 0.0, np.zeros(numbers_summed(task, theta.size))
        with np.errstate(all="ignore"):
            for _, of_chunk, gradient_sum in rows:
                cost += of_chunk
                gradient += gradient_sum
        return cost, gradient

    def _answers(self, task: int, theta: NDArray[Any]) -> list[Answer]:
        self._begin_pass()
        asked = task, theta, self._backend.name, self._layers
        if task not in self._compiled:  # by one; the others find the machine code on their disk
            self._chunks.of_one_a_host("compile", *asked)
            self._compiled.add(task)
        answers: list[Answer] = self._chunks.each("run", *asked, threaded=True)
        for answer in answers:
            if answer.failed:
                raise ClusterError(f"a worker of Dask failed ({answer.failed})")
        return answers
