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
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.embeddings import Embedding
from engine.system.atomic_files import flush_folder
from engine.system.free_memory import in_words, memory_left
from engine.tables import columns as of_columns
from engine.tables.column_statistics import OUTSIDE
from engine.tables.columns import Column
from engine.tables.learnt_columns import LearntColumns
from engine.tables.metadata import (
    HELD_OUT,
    METADATA_FILE,
    PARTS,
    TRAINING,
    VALIDATION,
    Metadata,
    is_converted,
    read_metadata,
)
from engine.tables.network_inputs import NetworkInputs, TrainingNumbers
from engine.tables.table_encoding import TableEncoding
from engine.tables.target import CLASSIFICATION, Target

if TYPE_CHECKING:
    from engine.tables.conversion_plan import ConversionPlan
    from engine.tables.table_files import Batch


CODES_AT_A_TIME = 1 << 20
NUMBERS = "numbers.npy"


class RowsOnDisk(NamedTuple):
    """Some of the rows, mapped from their files: read as they are needed, and never written to.

    Attributes
    ----------
    X : ndarray (n_rows, n_inputs)
        float32: scaled numbers, NaN for missing ones, and codes of categories. ``X.T`` is what
        `engine.train` takes, for a network with the table's `embeddings`.
    y : ndarray (n_rows,)
        Class codes, int32; or float32 numbers of mean 0 and variance 1 in the training rows.
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
    learnt : LearntColumns
        What a TableClassifier or TableRegressor knows of the columns before it is trained.
    """

    folder: Path
    target: Target
    columns: list[Column]
    facts: dict[str, Any]
    learnt: LearntColumns = field(repr=False, compare=False)

    def embeddings(
        self, n_pieces: int = 48, width: int = 16, level_width: int = 8
    ) -> list[Embedding | None]:
        """What a `Network` or an estimator takes as `embeddings`, to train on the arrays.

        Parameters
        ----------
        n_pieces : int
            Of a column of numbers, at most.
        width, level_width : int
            Numbers that a column of numbers becomes; that a category becomes, at most.
        """
        columns, numbers = self.learnt.encoding.columns, self.learnt.numbers
        return [*NetworkInputs.fitted(columns, numbers, n_pieces, width, level_width).embeddings]

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
        shape = n_rows, len(self.facts["inputs"])
        return RowsOnDisk(
            mapped(self.folder / f"{name}-inputs.npy", shape, INPUTS),
            mapped(self.folder / f"{name}-targets.npy", (n_rows,), target_dtype(self.target)),
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


INPUTS = np.dtype(np.float32)


def target_dtype(target: Target) -> np.dtype[Any]:
    """The dtype of targets: that of the inputs for numbers, int32 for class codes."""
    return np.dtype(np.int32) if target.task == CLASSIFICATION else INPUTS


def mapped(path: Path, shape: tuple[int, ...] | None, dtype: Any) -> NDArray[Any]:
    """An array, mapped from its file; ValueError if it has another shape (None: any) or dtype."""
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
    if array.dtype != dtype or shape not in (None, array.shape):
        raise ValueError(
            f"{path} holds {array.dtype} of shape {array.shape}, and {METADATA_FILE} says "
            f"{np.dtype(dtype)} of shape {shape or 'rows and columns'}. Convert the table again."
        )
    return array


def write_numbers(folder: Path, numbers: TrainingNumbers) -> None:
    """Write what is known of the training rows' numbers: centres, scales, then the sample."""
    with (folder / NUMBERS).open("wb") as file:
        np.save(file, np.vstack([numbers.centre, numbers.scale, numbers.sample]))
        file.flush()
        os.fsync(file.fileno())


def read_numbers(folder: Path, n_columns: int) -> TrainingNumbers:
    """What `write_numbers` has written; ValueError if that cannot be."""
    path = folder / NUMBERS
    rows = np.array(mapped(path, None, np.float64))
    if rows.ndim != 2 or rows.shape[1] != n_columns or len(rows) < 2:
        raise ValueError(
            f"{path} is damaged: it is of shape {rows.shape}. Convert the table again."
        )
    centre, scale, sample = rows[0], rows[1], rows[2:]
    if not (np.isfinite(rows[:2]).all() and (scale > 0).all()) or np.isinf(sample).any():
        raise ValueError(f"{path} is damaged: its numbers have no scale. Convert the table again.")
    return TrainingNumbers(centre, scale, sample)


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
    target, columns, facts = read_metadata(folder)
    table = ConvertedTable(folder, target, columns, facts, _learnt(folder, columns, facts))
    for name in PARTS:
        table.part(name)  # whole, and of the right shape
    return table


def _learnt(folder: Path, columns: list[Column], facts: Metadata) -> LearntColumns:
    """What networks know of the columns; ValueError if it does not fit the rest."""
    counts = {"level_counts": np.array(facts["level counts"], np.int64)}
    try:
        encoding = TableEncoding.from_description(facts["encoding"], counts)
    except ValueError as error:
        raise ValueError(f"{folder / METADATA_FILE}: {error} Convert the table again.") from error
    names = [column.name for column in encoding.columns]
    if not names == facts["inputs"] == [column.name for column in columns]:
        raise ValueError(
            f"{folder / METADATA_FILE} is damaged: other columns are encoded than it tells of. "
            "Convert the table again."
        )
    left_out = [Column(name, "", note=note) for name, note in facts["left out"]]
    numbers = read_numbers(folder, len(names))
    return LearntColumns(encoding, numbers, columns, left_out, facts["notes"])


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
) -> None:
    """Inputs and targets of all batches, by the part of each row, to files in the folder."""
    dtypes = INPUTS, target_dtype(plan.target)
    writer = ArrayWriter(folder, plan.rows, len(plan.names), dtypes)
    try:
        for batch, parts in dealt:
            X, y = _rows(batch, plan)
            if plan.classes is not None:
                parts[y < 0] = OUTSIDE
            else:
                y = _held_targets(y, plan.target.name, batch, parts)
            for number, part in enumerate(PARTS):
                chosen = np.flatnonzero(parts == number)
                writer.write(part, X[chosen], y[chosen])
        writer.finish()
    finally:
        writer.close()


def _held_targets(
    scaled: NDArray[Any], name: str, batch: "Batch", parts: NDArray[Any]
) -> NDArray[Any]:
    """Standardised targets in float32; ValueError if it cannot hold one that is to be written.

    All are within `column_kinds.LARGEST`, but some may be far from the training rows.
    """
    with np.errstate(over="ignore"):
        held = scaled.astype(INPUTS)
    beyond = np.flatnonzero(np.isinf(held) & (parts >= 0))
    if len(beyond):
        row = int(beyond[0])
        raise ValueError(
            f"Column {name!r} is {scaled[row]:.2g} standard deviations from its mean in row "
            f"{batch.first_row + row:,}, too far for {INPUTS}. Mend that, or leave the value empty "
            "if it is not known."
        )
    return held


def _rows(batch: "Batch", plan: "ConversionPlan") -> tuple[NDArray[Any], NDArray[Any]]:
    """Inputs and targets of a batch; a class that is not learnt, or no target, is -1."""
    target = plan.target
    inputs = of_columns.inputs(batch.frame, plan.learnt.used, batch.first_row)
    X = plan.inputs.of(plan.learnt.encoding.encode_translated(inputs, is_new=False), INPUTS)
    values = of_columns.checked(batch.frame[target.name], target.kind, batch.first_row)
    if plan.classes is not None:
        known = pl.Series(plan.classes, dtype=values.dtype, strict=False)
        codes = values.replace_strict(
            known, pl.Series(range(len(known)), dtype=pl.Int32), default=-1, return_dtype=pl.Int32
        )
        return X, codes.fill_null(-1).to_numpy()
    numbers = values.fill_null(float("nan")).to_numpy()
    return X, (numbers - plan.mean) / plan.standard_deviation
