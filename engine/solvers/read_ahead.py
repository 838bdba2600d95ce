"""Reading ahead: while steps go through one buffer of blocks, the next is read from the disk.

This is for inputs that are mapped from a file and shuffled by blocks. Once an epoch's order is
drawn, the blocks of each buffer are known. A thread asks the system for those of the next buffer,
since asking for many blocks takes as long as reading them. No result depends on it.
"""

from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.solvers.batches import BUFFER_BLOCKS
from engine.sums.samples import Inputs
from engine.sums.thread_team import Task, ThreadTeam
from engine.system.mapped_files import address_of, ask_for, can_ask, expect, mapping_of


class ReadAhead:
    """Requests to the system for one array of inputs (n_0, m), stored sample by sample."""

    def __init__(self, X: NDArray[Any], block: int) -> None:
        self._X = X  # which must stay mapped while it is asked for
        self._address = address_of(X)
        self._sample_bytes = X.strides[1]
        self._n_samples = X.shape[1]
        self._block = block
        self._team = ThreadTeam()
        self._asking: Task | None = None
        self._asked = (-1, -1)  # the buffer that steps are in, and its epoch

    @classmethod
    def of(cls, X: Inputs | None, block: int) -> Self | None:
        """The requests for X; None unless X is mapped from a file and shuffled by blocks."""
        if not block or not isinstance(X, np.ndarray) or not can_ask() or mapping_of(X) is None:
            return None
        in_rows = X.strides[0] == X.itemsize and X.strides[1] == X.shape[0] * X.itemsize
        return cls(X, block) if in_rows else None

    def follow(self, order: NDArray[Any], position: int, epoch: int) -> None:
        """Ask once for the buffer after that of `position`; at an epoch's start for both."""
        buffer = position // (BUFFER_BLOCKS * self._block)
        if self._asked == (buffer, epoch) or position == 0:  # the order is that of the last epoch
            return
        first_in_epoch = self._asked[1] != epoch
        self._asked = buffer, epoch
        self.wait()
        if first_in_epoch:
            expect(self._address, self._X.nbytes, at_random=True)
            self._ask(self._blocks(order, buffer))
        blocks = self._blocks(order, buffer + 1)
        (self._asking,) = self._team.hand_out([partial(self._ask, blocks)])

    def steps_left(self, position: int, batch_size: int) -> int:
        """Steps to the end of this buffer: the one after the next is not asked for yet."""
        size = BUFFER_BLOCKS * self._block
        return -(-(size - position % size) // batch_size)

    def close(self) -> None:
        """Stop reading ahead."""
        self.wait()
        expect(self._address, self._X.nbytes, at_random=False)

    def wait(self) -> None:
        """Wait until all blocks are asked for. The caller asks if no thread has begun to."""
        if self._asking is not None:
            self._asking.run()
            self._asking.finish()
            self._asking = None

    def _blocks(self, order: NDArray[Any], buffer: int) -> list[int]:
        # A short block in a buffer moves all later ones forward a little: the blocks at the ends
        # may be asked for twice, or belong to a neighbour.
        size = BUFFER_BLOCKS * self._block
        samples = order[buffer * size : (buffer + 1) * size]
        blocks: list[int] = np.flatnonzero(np.bincount(samples // self._block)).tolist()
        return blocks

    def _ask(self, blocks: list[int]) -> None:
        for block in blocks:
            first = block * self._block
            n = min(self._block, self._n_samples - first)
            ask_for(self._address + first * self._sample_bytes, n * self._sample_bytes)
