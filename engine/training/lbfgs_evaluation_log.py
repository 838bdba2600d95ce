"""A log of evaluations in a file, from which a run of SciPy's L-BFGS is replayed.

SciPy does not expose the memory of its L-BFGS. But its steps depend only on the costs and gradients
that it receives. With those of an earlier run it takes the same steps again, bit for bit and in a
small part of the time, and goes on from there.

A record is the digest of the point, the cost, dJ/dtheta, and a checksum of these. Records are only
appended; the checkpoint says how many of them count.
"""

import errno
import os
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.system.regular_files import new_regular, open_regular
from engine.training.checkpoint_files import CheckpointError

DIGEST_BYTES = 4
LOOKED_AT = 1000  # parameters in a digest: two points that differ do so nearly everywhere
COST = struct.Struct("<d")
CHECKSUM = struct.Struct("<I")
BYTES_A_WRITE = 1_000_000
MOST_WAITING = 500_000_000  # bytes of records in memory while the disk is full


class Evaluation(NamedTuple):
    """J and dJ/dtheta at a point."""

    cost: float
    dtheta: NDArray[Any]


class EvaluationLog:
    """The records of one run.

    Parameters
    ----------
    path : Path
    n_parameters : int
    dtype : dtype
        Of dJ/dtheta.
    count : int
        Records to be replayed; later ones in the file are overwritten.
    exact : bool
        Whether this machine computes the same bits. If so, the last record is computed again and
        compared, since no later point would show that it is wrong.
    """

    def __init__(
        self, path: Path, n_parameters: int, dtype: Any, count: int, exact: bool = True
    ) -> None:
        self._path = path
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._gradient_bytes = n_parameters * self._dtype.itemsize
        self._record_bytes = DIGEST_BYTES + COST.size + self._gradient_bytes + CHECKSUM.size
        self.to_replay = count
        self._exact = exact
        self.count = 0  # replayed or added
        self._waiting: list[bytes] = []  # parts of records that are not in the file yet
        self._n_waiting = 0  # their bytes
        self._lost = False
        self._process = os.getpid()
        self._bytes = count * self._record_bytes  # that are in the file
        try:
            descriptor = open_regular(path, os.O_RDWR) if count else new_regular(path)
        except FileNotFoundError:
            raise self._lost_evaluations() from None
        self._file: BinaryIO = os.fdopen(descriptor, "r+b", buffering=0)
        if os.fstat(descriptor).st_size < self._bytes:
            self._file.close()
            raise self._lost_evaluations()

    def _lost_evaluations(self) -> CheckpointError:
        return CheckpointError(
            f"{self._path} has lost evaluations: {self.to_replay} of them belong to the "
            "checkpoint. Without them the run cannot resume with the same bits; delete the "
            "checkpoint to start anew."
        )

    def evaluated(
        self, theta: NDArray[Any], evaluate: Callable[[NDArray[Any]], tuple[float, NDArray[Any]]]
    ) -> tuple[float, NDArray[Any]]:
        """J and dJ/dtheta at theta: replayed, or evaluated and added."""
        if self.replays:
            is_last = self.count + 1 == self.to_replay
            given = self.next(theta)
            if is_last and self._exact:
                computed = Evaluation(*evaluate(theta))
                if self._checked(theta, *given) != self._checked(theta, *computed):
                    raise CheckpointError(
                        f"{self._path} holds a wrong cost or gradient for evaluation "
                        f"{self.count - 1}. Delete the checkpoint to start anew."
                    )
            return given
        cost, dtheta = evaluate(theta)
        self.add(theta, cost, dtheta)
        return cost, dtheta

    @property
    def replays(self) -> bool:
        """Whether the next evaluation is replayed."""
        return self.count < self.to_replay

    def next(self, theta: NDArray[Any]) -> Evaluation:
        """The next record. Raises CheckpointError unless it is of this point and undamaged."""
        self._file.seek(self.count * self._record_bytes)
        record = self._file.read(self._record_bytes)
        checked, checksum = record[: -CHECKSUM.size], record[-CHECKSUM.size :]
        if checksum != CHECKSUM.pack(zlib.crc32(checked)):
            raise CheckpointError(
                f"{self._path} is damaged at evaluation {self.count}. Delete the checkpoint to "
                "start anew."
            )
        if checked[:DIGEST_BYTES] != _digest(theta):
            raise CheckpointError(
                f"{self._path} cannot be replayed: evaluation {self.count} was at another point. "
                "SciPy or the processor is another. Delete the checkpoint to start anew."
            )
        self.count += 1
        (cost,) = COST.unpack_from(checked, DIGEST_BYTES)
        gradient = np.frombuffer(checked, self._dtype, offset=DIGEST_BYTES + COST.size)
        return Evaluation(cost, gradient.astype(self._dtype.newbyteorder("="), copy=True))

    def add(self, theta: NDArray[Any], cost: float, dtheta: NDArray[Any]) -> None:
        """Append a record. If the disk fails, the next `flush` raises the error."""
        checked = self._checked(theta, cost, dtheta)
        self._waiting += (checked, CHECKSUM.pack(zlib.crc32(checked)))
        self._n_waiting += self._record_bytes
        self.count += 1
        if self._n_waiting >= BYTES_A_WRITE:
            with suppress(OSError):
                self._write()
            if self._n_waiting >= MOST_WAITING:
                self._forget()  # the disk has been full for long: do not fill the memory, too
                self._lost = True

    def _checked(self, theta: NDArray[Any], cost: float, dtheta: NDArray[Any]) -> bytes:
        """A record without its checksum."""
        gradient = dtheta.astype(self._dtype, copy=False)
        return b"".join((_digest(theta), COST.pack(cost), gradient.data))

    def flush(self) -> None:
        """Write all records to the disk. Raises OSError if that fails; they are kept then."""
        if self._lost:
            raise OSError(errno.ENOSPC, "evaluations were lost while the disk was full")
        self._write()
        os.fsync(self._file.fileno())

    def _write(self) -> None:
        if self._process != os.getpid():  # the file is the parent's
            self._forget()
            return
        waiting = b"".join(self._waiting)
        try:
            written = 0
            while written < len(waiting):
                written += os.pwrite(self._file.fileno(), waiting[written:], self._bytes + written)
        except OSError:
            with suppress(OSError):
                self._file.truncate(self._bytes)
            raise
        self._bytes += len(waiting)
        self._forget()

    def _forget(self) -> None:
        self._waiting.clear()
        self._n_waiting = 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _digest(theta: NDArray[Any]) -> bytes:
    looked_at = theta[:: -(-theta.size // LOOKED_AT)]
    return CHECKSUM.pack(zlib.crc32(looked_at.tobytes()))
