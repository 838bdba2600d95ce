"""The file of a checkpoint: arrays and facts, with a checksum, in the safetensors format.

The facts are JSON in the file's header; every array stands there under its name. Nothing that a
file says is executed. It goes to the disk array by array, without a copy in memory.
"""

import hashlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine import __version__
from engine.system.atomic_files import replace_keeping
from engine.system.regular_files import open_regular
from engine.system.tensor_layout import LENGTH_BYTES, NAMES, laid_out

FORMAT = 2
PREVIOUS = ".previous"  # ends the name of the checkpoint before
DAMAGED = ".damaged"  # ends the name of a damaged one, once it is replaced by the one before
LONGEST, LONGEST_REASON = 60, 300  # characters in a message: of a text in a file, of a reason

Arrays = dict[str, NDArray[Any]]


class CheckpointError(ValueError):
    """A checkpoint that this run cannot resume from, or cannot write.

    Attributes
    ----------
    differences : sequence of str
        How the checkpoint of another run differs, in words.
    advice : str
        What to do about the differences, as in the message.
    """

    differences: Sequence[str] = ()
    advice = ""


class DamagedCheckpoint(CheckpointError):
    """A file that is not a whole checkpoint."""


class Saved(NamedTuple):
    """What a checkpoint holds.

    `run` is the identity of the run; `stopped` is why it ended for good, None if it did not;
    `epochs` is the number of finished epochs.
    """

    run: dict[str, Any]
    stopped: str | None
    epochs: int
    arrays: Arrays


def write(path: Path, saved: Saved, aside: Path | None = None) -> None:
    """Write a checkpoint, keeping the one before; raises OSError or MemoryError if that fails.

    The one before is renamed to `aside`, or else as `previous_of` says.
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in saved.arrays.items()}
    facts = json.dumps({"run": saved.run, "stopped": saved.stopped, "epochs": saved.epochs})
    about = {
        "mlp-engine": f"checkpoint {FORMAT}",
        "version": __version__,
        "facts": facts,
        "sha256": _checksum(facts, arrays),
    }
    beginning, in_order = laid_out(about, arrays)

    def write_to(file: BinaryIO) -> None:
        file.write(beginning)
        for array in in_order:
            file.write(array.data)

    replace_keeping(path, aside or previous_of(path), write_to)


def read(path: Path) -> Saved:
    """Read a checkpoint.

    Raises DamagedCheckpoint, FileNotFoundError, CheckpointError for another format or a disk that
    fails, and MemoryError.
    """
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            return _read(path, file, os.fstat(file.fileno()).st_size)
    except (FileNotFoundError, CheckpointError):
        raise
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror}. Nothing was trained, nothing changed."
        ) from error
    except MemoryError:
        raise MemoryError(
            f"There is not enough memory to read {path}. Nothing was trained, nothing changed."
        ) from None
    except Exception as error:  # whatever a damaged file leads to
        reason = f": {error}" if _is_short(str(error), LONGEST_REASON) else ""
        raise DamagedCheckpoint(
            f"{path} is no checkpoint, or a damaged one ({type(error).__name__}{reason})."
        ) from error


def _read(path: Path, file: BinaryIO, size: int) -> Saved:
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    if length > size:
        raise ValueError("its header is longer than the file")
    header = json.loads(file.read(length))
    about = header.pop("__metadata__")
    kind, version = about["mlp-engine"], about["version"]
    if not all(isinstance(text, str) and _is_short(text) for text in (kind, version)):
        raise ValueError("its header is of no known kind")
    if kind != f"checkpoint {FORMAT}":
        raise CheckpointError(
            f"{path} is a {kind} of mlp-engine {version}, and this version, {__version__}, reads "
            f"format {FORMAT}. Go on with the mlp-engine that wrote it, or name another file."
        )
    start = LENGTH_BYTES + length
    reached = 0
    for begin, end in sorted(about_one["data_offsets"] for about_one in header.values()):
        if not begin == reached <= end:  # a gap, or bytes that belong to two arrays
            raise ValueError("its arrays are not what follows its header")
        reached = end
    if reached != size - start:
        raise ValueError("its arrays are not what follows its header")
    arrays = {name: _array(file, start, **about_one) for name, about_one in header.items()}
    if _checksum(about["facts"], arrays) != about["sha256"]:
        raise ValueError("its checksum is wrong")
    return _saved(json.loads(about["facts"]), arrays)


def _is_short(text: str, most: int = LONGEST) -> bool:
    """Whether a text can stand in a message."""
    return len(text) <= most and text.isprintable()


def _saved(facts: Any, arrays: Arrays) -> Saved:
    """Arrays and facts; only the types of the facts are checked."""
    run, stopped, epochs = facts["run"], facts["stopped"], facts["epochs"]
    if not isinstance(run, dict):
        raise ValueError("it does not say which run it is of")
    if not (stopped is None or isinstance(stopped, str)):
        raise ValueError("it does not say why its run ended")
    if type(epochs) is not int or epochs < 0:
        raise ValueError("it does not say how many epochs its run had done")
    return Saved(run, stopped, epochs, arrays)


def _array(
    file: BinaryIO, start: int, dtype: str, shape: list[int], data_offsets: list[int]
) -> NDArray[Any]:
    """An array of a file, which holds the bytes that its offsets name."""
    begin, end = data_offsets
    kinds = {name: np.dtype(kind).newbyteorder("<") for kind, name in NAMES.items()}
    count = math.prod(shape)
    if end - begin != count * kinds[dtype].itemsize:
        raise ValueError("an array has another length than its shape")
    file.seek(start + begin)
    held = np.empty(shape, kinds[dtype])
    if count and file.readinto(held.reshape(-1).view(np.uint8).data) != end - begin:  # type: ignore[attr-defined]
        raise ValueError("an array ends early")
    return held.astype(held.dtype.newbyteorder("="), copy=False)


def previous_of(path: Path) -> Path:
    """Where the checkpoint before is kept."""
    return path.with_name(path.name + PREVIOUS)


def damaged_of(path: Path) -> Path:
    """Where a damaged file is moved to."""
    return path.with_name(path.name + DAMAGED)


def _checksum(facts: str, arrays: Arrays) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.data)
    return digest.hexdigest()
