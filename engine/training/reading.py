"""Reading ahead: inputs that are shuffled by blocks and mapped from a file, a buffer early.

What a buffer of blocks holds is known once an epoch's order has been drawn. While steps go through
one buffer, the system is asked for the blocks of the next. Nothing that is computed depends on it.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.mapped_files import address_of, ask_for, can_ask, mapping_of
from engine.samples import Inputs
from engine.training.batches import BUFFER_BLOCKS


class ReadAhead:
    """The requests for one array of inputs (n_0, m), whose samples lie one after the other."""

    def __init__(self, X: NDArray[Any], block: int) -> None:
        self._address = address_of(X)
        self._sample_bytes = X.strides[1]
        self._n_samples = X.shape[1]
        self._block = block
        self._asked = (-1, -1)  # buffers: the one that steps are in, and its epoch

    @classmethod
    def of(cls, X: Inputs, block: int) -> Self | None:
        """None where there is nothing to ask for."""
        if not block or not isinstance(X, np.ndarray) or not can_ask() or mapping_of(X) is None:
            return None
        in_rows = X.strides[0] == X.itemsize and X.strides[1] == X.shape[0] * X.itemsize
        return cls(X, block) if in_rows else None

    def follow(self, order: NDArray[Any], position: int, epoch: int) -> None:
        """Ask for the buffer after that of `position`, once; at an epoch's start for both."""
        buffer = position // (BUFFER_BLOCKS * self._block)
        if self._asked == (buffer, epoch) or position == 0:  # the order is that of the last epoch
            return
        first_in_epoch = self._asked[1] != epoch
        self._asked = buffer, epoch
        for number in (buffer, buffer + 1) if first_in_epoch else (buffer + 1,):
            self._ask(order, number)

    def _ask(self, order: NDArray[Any], buffer: int) -> None:
        # A short block in a buffer moves all later ones forward a little: the blocks at the ends
        # may be asked for twice, or belong to a neighbour.
        size = BUFFER_BLOCKS * self._block
        samples = order[buffer * size : (buffer + 1) * size]
        for block in np.unique(samples // self._block).tolist():
            first = block * self._block
            n = min(self._block, self._n_samples - first)
            ask_for(self._address + first * self._sample_bytes, n * self._sample_bytes)
