"""The file of a checkpoint: arrays and facts, with a checksum, in the safetensors format.

The facts are JSON in the file's header; every array stands there under its name. Nothing that a
file says is executed. It is written here and not by the safetensors library, which makes the whole
file in memory first, and ends the process where there is not enough: a checkpoint must not.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine import __version__
from engine.atomic_files import replace_keeping

FORMAT = 1
LENGTH_BYTES = 8  # of the header's length, which the file begins with
PREVIOUS = ".previous"  # the name of the file before goes on so,
DAMAGED = ".damaged"  # and that of one that cannot be read, once there is another to go on from

# The format's names of what runs consist of.
DTYPES = {"float64": "F64", "float32": "F32", "int64": "I64", "int32": "I32", "uint64": "U64"}

Arrays = dict[str, NDArray[Any]]


class CheckpointError(ValueError):
    """A checkpoint that this run cannot go on from, or cannot write."""


class Saved(NamedTuple):
    """What a checkpoint holds.

    `run` is what the run was told and given, `stopped` why it ended, None if it did not, and
    `epochs` how far it had come.
    """

    run: dict[str, Any]
    stopped: str | None
    epochs: int
    arrays: Arrays


def write(path: Path, saved: Saved) -> None:
    """Write a checkpoint, keeping the one before; raises OSError or MemoryError if that fails."""
    arrays = {name: np.ascontiguousarray(array) for name, array in saved.arrays.items()}
    facts = json.dumps({"run": saved.run, "stopped": saved.stopped, "epochs": saved.epochs})
    about = {
        "mlp-engine": f"checkpoint {FORMAT}",
        "version": __version__,
        "facts": facts,
        "sha256": _checksum(facts, arrays),
    }
    ordered = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # all are aligned
    header = _header(about, {name: arrays[name] for name in ordered})

    def write_to(file: BinaryIO) -> None:
        file.write(len(header).to_bytes(LENGTH_BYTES, "little") + header)
        for name in ordered:
            array = arrays[name]
            file.write(array.astype(array.dtype.newbyteorder("<"), copy=False).data)

    replace_keeping(path, previous_of(path), write_to)


def read(path: Path) -> Saved:
    """Read a checkpoint. Raises CheckpointError for a damaged one, and FileNotFoundError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        length = int.from_bytes(content[:LENGTH_BYTES], "little")
        header = json.loads(content[LENGTH_BYTES : LENGTH_BYTES + length])
        about = header.pop("__metadata__")
        if about["mlp-engine"] != f"checkpoint {FORMAT}":
            raise CheckpointError(
                f"{path} is a {about['mlp-engine']} of mlp-engine {about['version']}, and this "
                f"version, {__version__}, reads format {FORMAT}. Go on with mlp-engine "
                f"{about['version']}, or name another file."
            )
        begin = LENGTH_BYTES + length
        arrays = {name: _array(content, begin, **told) for name, told in header.items()}
        if _checksum(about["facts"], arrays) != about["sha256"]:
            raise ValueError("its checksum is another")
        facts = json.loads(about["facts"])
        return Saved(facts["run"], facts["stopped"], facts["epochs"], arrays)
    except CheckpointError:
        raise
    except Exception as error:  # whatever a damaged file leads to
        raise CheckpointError(
            f"{path} is no checkpoint, or a damaged one ({type(error).__name__}: {error})."
        ) from error


def _header(about: dict[str, str], arrays: Arrays) -> bytes:
    """What stands before the arrays, in JSON: facts, and the place of each array."""
    header: dict[str, Any] = {"__metadata__": about}
    end = 0
    for name, array in arrays.items():
        begin, end = end, end + array.nbytes
        header[name] = {
            "dtype": DTYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
    content = json.dumps(header).encode()
    return content + b" " * (-len(content) % 8)


def _array(
    content: bytes, start: int, dtype: str, shape: list[int], data_offsets: list[int]
) -> NDArray[Any]:
    """An array of a file, in memory of its own."""
    kinds = {name: np.dtype(kind).newbyteorder("<") for kind, name in DTYPES.items()}
    begin, end = data_offsets
    held = np.frombuffer(content[start + begin : start + end], kinds[dtype]).reshape(shape)
    return held.astype(held.dtype.newbyteorder("="))


def previous_of(path: Path) -> Path:
    """Where the checkpoint before is kept."""
    return path.with_name(path.name + PREVIOUS)


def _checksum(facts: str, arrays: Arrays) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.data)
    return digest.hexdigest()
