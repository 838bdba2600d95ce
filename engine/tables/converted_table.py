"""A table as arrays in a folder, which are mapped into memory instead of being loaded.

Each part of the rows (training, validation, held out) has two files: inputs, as the network
takes them, and targets. `columns.json` says what they are made of and is written last; the folder
takes its name once everything in it is on the disk.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.system.atomic_files import flush_folder
from engine.system.free_memory import in_words, memory_left
from engine.tables import columns as of_columns
from engine.tables.column_statistics import OUTSIDE
from engine.tables.columns import Column
from engine.tables.metadata import (
    HELD_OUT,
    METADATA_FILE,
    PARTS,
    TRAINING,
    VALIDATION,
    is_converted,
    read_metadata,
)
from engine.tables.target import CLASSIFICATION, Target

if TYPE_CHECKING:
    from engine.tables.conversion_plan import ConversionPlan
    from engine.tables.table_files import Batch


CODES_AT_A_TIME = 1 << 20
PIPELINE = "preprocessing.skops"


class RowsOnDisk(NamedTuple):
    """Some of the rows, mapped from their files: read as they are needed, and never written to.

    Attributes
    ----------
    X : ndarray (n_rows, n_inputs)
        float32 or float64; ``X.T`` is what `engine.train` takes.
    y : ndarray (n_rows,)
        Class codes, int32; or numbers of mean 0 and variance 1 in the training rows, of the
        dtype of X.
    """

    X: NDArray[Any]
    y: NDArray[Any]


@dataclass(frozen=True)
class ConvertedTable:
    """What `convert_table` wrote to a folder.

    Attributes
    ----------
    folder : Path
    target : Target
    columns : list of Column
        Those that the inputs are made of.
    facts : dict
        All that `columns.json` says: names and sizes, means, standard deviations, categories and
        what was done about missing values.
    """

    folder: Path
    target: Target
    columns: list[Column]
    facts: dict[str, Any]

    @property
    def training(self) -> RowsOnDisk:
        """The training rows."""
        part = self.part(TRAINING)
        assert part is not None
        return part

    @property
    def validation(self) -> RowsOnDisk | None:
        """The validation rows; None where none were set aside."""
        return self.part(VALIDATION)

    @property
    def held_out(self) -> RowsOnDisk | None:
        """The held-out rows; None if there are none."""
        return self.part(HELD_OUT)

    def part(self, name: str) -> RowsOnDisk | None:
        """The rows of a part, None if it has none."""
        n_rows = self.facts["rows"][name]
        if not n_rows:
            return None
        dtype = np.dtype(self.facts["about"]["dtype"])
        return RowsOnDisk(
            self._mapped(f"{name}-inputs.npy", (n_rows, len(self.facts["inputs"])), dtype),
            self._mapped(f"{name}-targets.npy", (n_rows,), target_dtype(self.target, dtype)),
        )

    @property
    def classes(self) -> list[Any] | None:
        """The class of each code; None for a regression."""
        classes: list[Any] | None = self.facts["target"].get("classes")
        return classes

    def check_codes(self) -> None:
        """Raise ValueError if targets are not codes of the classes, or their counts differ."""
        if self.classes is None:
            return
        for name in PARTS:
            part = self.part(name)
            if part is None:
                continue
            counts = _counts(part.y, len(self.classes))
            if counts is None or (name == TRAINING and counts != self.facts["target"]["counts"]):
                raise ValueError(
                    f"{self.folder / name}-targets.npy is damaged: its class codes are not those "
                    f"that {METADATA_FILE} tells of. Convert the table again."
                )

    def _mapped(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        path = self.folder / name
        try:
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (EOFError, ValueError) as error:
            raise ValueError(f"{path} is damaged: {error}. Convert the table again.") from error
        except FileNotFoundError as error:
            raise ValueError(f"{path} is missing. Convert the table again.") from error
        except OSError as error:
            if error.errno != errno.ENOMEM:
                raise
            raise MemoryError(
                f"{path} cannot be mapped: it needs {in_words(path.stat().st_size)} of address "
                "space, but hardly any memory, and this process may only have "
                f"{in_words(memory_left())} more. Raise the limit (ulimit -v)."
            ) from error
        if not isinstance(array, np.memmap):
            raise ValueError(f"{path} is damaged: it is no array. Convert the table again.")
        if (array.shape, array.dtype) != (shape, dtype):
            raise ValueError(
                f"{path} holds {array.dtype} of shape {array.shape}, and {METADATA_FILE} says "
                f"{dtype} of shape {shape}. Convert the table again."
            )
        return array


def target_dtype(target: Target, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of targets: that of the inputs for numbers, int32 for class codes."""
    return np.dtype(np.int32) if target.task == CLASSIFICATION else dtype


def _counts(codes: NDArray[np.int32], n_classes: int) -> list[int] | None:
    """How often each code occurs, counted part by part; None if there are other codes."""
    counts = np.zeros(n_classes, np.int64)
    for first in range(0, len(codes), CODES_AT_A_TIME):
        part = codes[first : first + CODES_AT_A_TIME]
        if part.min() < 0 or part.max() >= n_classes:
            return None
        counts += np.bincount(part, minlength=n_classes)
    return [int(count) for count in counts]


def open_table(folder: str | os.PathLike[str]) -> ConvertedTable:
    """Open what `convert_table` wrote.

    Parameters
    ----------
    folder : str or path

    Returns
    -------
    ConvertedTable

    Raises
    ------
    ValueError
        When it is no converted table, is damaged, or was written by a version with another format.
    OSError
        When it cannot be read.
    """
    folder = Path(folder)
    if not is_converted(folder):
        raise ValueError(
            f"{folder} is not what `engine convert` has written: it has no {METADATA_FILE}."
        )
    table = ConvertedTable(folder, *read_metadata(folder))
    for name in PARTS:
        table.part(name)  # whole, and of the right shape
    return table


class ArrayWriter:
    """The files of a folder that is being written, row after row."""

    def __init__(self, folder: Path, rows: dict[str, int], n_inputs: int, dtypes: Any) -> None:
        self._open = ExitStack()  # closes all files, even if one cannot be opened
        self._files = {}
        self._left = dict(rows)
        dtype, target_dtype = dtypes
        for part, n_rows in rows.items():
            for what, shape, kind in (
                ("inputs", (n_rows, n_inputs), dtype),
                ("targets", (n_rows,), target_dtype),
            ):
                file = None
                if n_rows:
                    file = self._open.enter_context((folder / f"{part}-{what}.npy").open("wb"))
                    np.lib.format.write_array_header_1_0(
                        file,
                        {
                            "descr": np.lib.format.dtype_to_descr(np.dtype(kind)),
                            "fortran_order": False,
                            "shape": shape,
                        },
                    )
                self._files[part, what] = (file, np.dtype(kind))

    def write(self, part: str, X: NDArray[Any], y: NDArray[Any]) -> None:
        """Write rows of a part."""
        self._left[part] -= len(X)
        if self._left[part] < 0:
            raise ValueError(CHANGED)
        for what, rows in (("inputs", X), ("targets", y)):
            file, dtype = self._files[part, what]
            if file is not None:
                file.write(np.ascontiguousarray(rows, dtype=dtype).data)

    def finish(self) -> None:
        """Flush all files to the disk."""
        if any(self._left.values()):
            raise ValueError(CHANGED)
        for file, _ in self._files.values():
            if file is not None:
                file.flush()
                os.fsync(file.fileno())
        self.close()

    def close(self) -> None:
        """Close the files."""
        self._open.close()


CHANGED = "The table was changed while it was read; nothing was written. Convert it again."


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write to, that takes the name `folder` once all that is in it is on the disk.

    If anything goes wrong before that, nothing is left of it.

    Raises
    ------
    ValueError
        When there is something of that name.
    """
    if folder.exists() or folder.is_symlink():
        raise ValueError(
            f"{folder} exists already, and nothing in it was changed; name another folder, or "
            "remove it."
        )
    parent = folder.resolve().parent
    if not parent.is_dir():
        raise ValueError(f"{folder} cannot be made: there is no folder {parent}.")
    unfinished = parent / f".{folder.name}.{uuid.uuid4().hex[:12]}.unfinished"
    unfinished.mkdir()
    try:
        yield unfinished
        flush_folder(unfinished)
        unfinished.rename(folder)  # which fails if there is one with files in it by now
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    flush_folder(parent)


def write_arrays(
    folder: Path,
    dealt: Iterable["tuple[Batch, NDArray[np.int8]]"],
    plan: "ConversionPlan",
    dtype: np.dtype[Any],
) -> None:
    """Inputs and targets of all batches, by the part of each row, to files in the folder."""
    dtypes = dtype, target_dtype(plan.target, dtype)
    writer = ArrayWriter(folder, plan.rows, len(plan.inputs), dtypes)
    try:
        for batch, parts in dealt:
            X, y = _rows(batch, plan)
            if plan.classes is not None:
                parts[y < 0] = OUTSIDE
            else:
                y = _held_in(dtypes[1], y[:, np.newaxis], [plan.target.name], batch, parts)[:, 0]
            X = _held_in(dtypes[0], X, plan.inputs, batch, parts)
            for number, part in enumerate(PARTS):
                chosen = np.flatnonzero(parts == number)
                writer.write(part, X[chosen], y[chosen])
        writer.finish()
    finally:
        writer.close()


def _held_in(
    dtype: np.dtype[Any],
    scaled: NDArray[Any],
    names: list[str],
    batch: "Batch",
    parts: NDArray[Any],
) -> NDArray[Any]:
    """Standardised numbers in that dtype; ValueError if it cannot hold one that is to be written.

    All are within `column_kinds.LARGEST`, but some may be far from the training rows.
    """
    with np.errstate(over="ignore"):
        held = scaled.astype(dtype, copy=False)
    beyond = np.isinf(held)
    if beyond.any() and len(found := np.argwhere(beyond & (parts >= 0)[:, np.newaxis])):
        row, place = found[0]
        raise ValueError(
            f"Column {names[place]!r} is {scaled[row, place]:.2g} standard deviations from its "
            f"mean in row {batch.first_row + row:,}, too far for {dtype}. Mend that, or leave the "
            "value empty if it is not known."
        )
    return held


def _rows(batch: "Batch", plan: "ConversionPlan") -> tuple[NDArray[Any], NDArray[Any]]:
    """Inputs and targets of a batch; a class that is not learnt, or no target, is -1."""
    target = plan.target
    inputs = of_columns.inputs(batch.frame, plan.columns.used, batch.first_row)
    X = plan.preprocessing.transform(inputs)
    values = of_columns.checked(batch.frame[target.name], target.kind, batch.first_row)
    if plan.classes is not None:
        known = pl.Series(plan.classes, dtype=values.dtype, strict=False)
        codes = values.replace_strict(
            known, pl.Series(range(len(known)), dtype=pl.Int32), default=-1, return_dtype=pl.Int32
        )
        return X, codes.fill_null(-1).to_numpy()
    numbers = values.fill_null(float("nan")).to_numpy()
    return X, (numbers - plan.mean) / plan.standard_deviation
