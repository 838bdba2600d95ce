"""The file of a checkpoint: arrays and facts, with a checksum, in the safetensors format.

The facts are JSON in the file's header; every array stands there under its name. Nothing that a
file says is executed.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine import __version__
from engine.atomic_files import replace_keeping

FORMAT = 1
LENGTH_BYTES = 8  # of the header's length, which the file begins with
PREVIOUS = ".previous"  # the name of the file before goes on so

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
    import safetensors.numpy

    arrays = {name: np.ascontiguousarray(array) for name, array in saved.arrays.items()}
    facts = json.dumps({"run": saved.run, "stopped": saved.stopped, "epochs": saved.epochs})
    header = {
        "mlp-engine": f"checkpoint {FORMAT}",
        "version": __version__,
        "facts": facts,
        "sha256": _checksum(facts, arrays),
    }
    content = safetensors.numpy.save(arrays, header)
    replace_keeping(path, previous_of(path), content)


def read(path: Path) -> Saved:
    """Read a checkpoint. Raises CheckpointError for a damaged one, and OSError."""
    import safetensors.numpy

    content = path.read_bytes()
    try:
        length = int.from_bytes(content[:LENGTH_BYTES], "little")
        header = json.loads(content[LENGTH_BYTES : LENGTH_BYTES + length])["__metadata__"]
        if header["mlp-engine"] != f"checkpoint {FORMAT}":
            raise CheckpointError(
                f"{path} is a {header['mlp-engine']} of mlp-engine {header['version']}, and this "
                f"version, {__version__}, reads format {FORMAT}. Go on with mlp-engine "
                f"{header['version']}, or name another file."
            )
        arrays = safetensors.numpy.load(content)
        if _checksum(header["facts"], arrays) != header["sha256"]:
            raise ValueError("its checksum is another")
        facts = json.loads(header["facts"])
        return Saved(facts["run"], facts["stopped"], facts["epochs"], arrays)
    except CheckpointError:
        raise
    except Exception as error:  # whatever a damaged file leads the readers to
        raise CheckpointError(
            f"{path} is no checkpoint, or a damaged one ({type(error).__name__}: {error})."
        ) from error


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
