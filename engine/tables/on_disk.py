"""A table as arrays in a folder, which are mapped into memory and not read into it.

Each part of the rows (to learn from, to stop by, held out) has two files: inputs, as the network
takes them, and targets. `columns.json` says what they are made of and is written last; the folder
takes its name once everything in it is on the disk.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine import __version__
from engine.atomic_files import flush_folder
from engine.tables.columns import Column
from engine.tables.target import Target

FORMAT = 1
FACTS = "columns.json"
PIPELINE = "preprocessing.skops"
EXAMPLES, MOST_EXAMPLES = "examples.parquet", 8  # rows of the table, which models are tried on
TRAINING, VALIDATION, HELD_OUT = PARTS = ("training", "validation", "held-out")


class OnDisk(NamedTuple):
    """Some of the rows, mapped from their files: read as they are needed, and never written to.

    Attributes
    ----------
    X : ndarray (n_rows, n_inputs)
        float32 or float64; ``X.T`` is what `engine.train` takes.
    y : ndarray (n_rows,)
        Class codes, int32; or numbers of mean 0 and variance 1 in the rows to learn from, of the
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
    def training(self) -> OnDisk:
        """The rows to learn from."""
        part = self.part(TRAINING)
        assert part is not None
        return part

    @property
    def validation(self) -> OnDisk | None:
        """The rows to stop by; None where none were set aside."""
        return self.part(VALIDATION)

    @property
    def held_out(self) -> OnDisk | None:
        """The rows to be judged by; None where none were held out."""
        return self.part(HELD_OUT)

    def part(self, name: str) -> OnDisk | None:
        """The rows of a part, None if it has none."""
        n_rows = self.facts["rows"][name]
        if not n_rows:
            return None
        shapes = {"inputs": (n_rows, len(self.facts["inputs"])), "targets": (n_rows,)}
        return OnDisk(
            *(self._mapped(f"{name}-{what}.npy", shape) for what, shape in shapes.items())
        )

    @property
    def classes(self) -> list[Any] | None:
        """The class of each code; None for a regression."""
        classes: list[Any] | None = self.facts["target"].get("classes")
        return classes

    def _mapped(self, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        path = self.folder / name
        try:
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (EOFError, ValueError) as error:
            raise ValueError(f"{path} is damaged: {error}. Convert the table again.") from error
        if array.shape != shape:
            raise ValueError(
                f"{path} has shape {array.shape}, and {FACTS} says {shape}. Convert the table "
                "again."
            )
        return array


def is_converted(folder: Path) -> bool:
    """Whether a folder is what `convert_table` has written."""
    return (folder / FACTS).is_file()


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
        When the folder is not such, is damaged, or was written by a version with another format.
    OSError
        When it cannot be read.
    """
    folder = Path(folder)
    if not is_converted(folder):
        raise ValueError(f"{folder} is not what `engine convert` has written: it has no {FACTS}.")
    path = folder / FACTS
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["format"] != FORMAT:
            raise ValueError(
                f"{folder} has format {facts['format']}, and this version of mlp-engine reads "
                f"format {FORMAT}; convert the table again."
            )
        target = Target(**{name: facts["target"][name] for name in Target.__annotations__})
        columns = [
            Column(**{**column, "categories": tuple(column["categories"])})
            for column in facts["columns"]
        ]
        table = ConvertedTable(folder, target, columns, facts)
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error!r}); convert the table again.") from error
    for name in PARTS:
        table.part(name)  # whole, and of the right shape
    return table


class Writer:
    """The files of a folder that is being written, row after row."""

    def __init__(self, folder: Path, rows: dict[str, int], n_inputs: int, dtypes: Any) -> None:
        self._files = {}
        self._left = dict(rows)
        dtype, target_dtype = dtypes
        for part, n_rows in rows.items():
            for what, shape, kind in (
                ("inputs", (n_rows, n_inputs), dtype),
                ("targets", (n_rows,), target_dtype),
            ):
                file = (folder / f"{part}-{what}.npy").open("wb") if n_rows else None
                if file is not None:
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
        """Rows more of a part."""
        self._left[part] -= len(X)
        if self._left[part] < 0:
            raise ValueError(CHANGED)
        for what, rows in (("inputs", X), ("targets", y)):
            file, dtype = self._files[part, what]
            if file is not None:
                file.write(np.ascontiguousarray(rows, dtype=dtype).data)

    def finish(self) -> None:
        """Everything on the disk."""
        if any(self._left.values()):
            raise ValueError(CHANGED)
        for file, _ in self._files.values():
            if file is not None:
                file.flush()
                os.fsync(file.fileno())
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        for file, _ in self._files.values():
            if file is not None:
                file.close()


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
    unfinished = Path(tempfile.mkdtemp(dir=parent, prefix=f".{folder.name}.", suffix=".unfinished"))
    try:
        yield unfinished
        flush_folder(unfinished)
        mask = os.umask(0)
        os.umask(mask)
        unfinished.chmod(0o777 & ~mask)
        unfinished.rename(folder)  # which fails if there is one with files in it by now
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    flush_folder(parent)


def write_facts(folder: Path, target: Target, columns: list[Column], facts: dict[str, Any]) -> None:
    """What the files hold, for people and for `open_table`."""
    all_facts = {
        "format": FORMAT,
        "mlp-engine": __version__,
        **facts,
        "target": {**asdict(target), **facts["target"]},
        "columns": [asdict(column) for column in columns],
    }
    with (folder / FACTS).open("w", encoding="utf-8") as file:
        json.dump(all_facts, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
