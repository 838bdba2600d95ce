"""convert_table(): tables larger than memory become arrays in a folder, in bounded memory.

The files are read twice: the first pass decides what the columns are and samples the
numbers of the training rows; the second encodes the rows and writes them, batch by batch.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.boundary import settings
from engine.boundary.settings import listed
from engine.system.free_memory import in_words
from engine.tables import columns as of_columns
from engine.tables.column_kinds import DATE
from engine.tables.column_notation import NotationSurvey, TableNotation
from engine.tables.column_statistics import OUTSIDE, TableStatistics
from engine.tables.columns import TranslatedColumns
from engine.tables.conversion_plan import (
    ConversionPlan,
    columns_of,
    metadata_of,
    plan_conversion,
)
from engine.tables.converted_table import (
    CHANGED,
    ConvertedTable,
    new_folder,
    open_table,
    write_arrays,
    write_numbers,
)
from engine.tables.csv_and_parquet import MISSING, is_parquet
from engine.tables.dates import ORDERS
from engine.tables.messages import named_column
from engine.tables.metadata import PARTS, Metadata, is_converted, write_metadata
from engine.tables.number_notation import DECIMALS
from engine.tables.table_files import Batch, TableFiles, table_files
from engine.tables.target import TASKS
from engine.tables.text_files import UTF_8, checked_encoding
from engine.training.identity import differences

# Called with the name of the pass, and the number of rows read.
Progress = Callable[[str, int], Any]


def convert_table(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    target: str,
    *,
    task: str | None = None,
    columns: Mapping[str, str] | None = None,
    missing: Sequence[str] = MISSING,
    test_fraction: float = 0.2,
    validation_fraction: float | None = None,
    seed: int = 0,
    decimal: str | None = None,
    dates: str | None = None,
    encoding: str = UTF_8,
    reuse: bool = False,
    progress: Progress | None = None,
) -> ConvertedTable:
    """Turn a table, of whatever size, into arrays on disk that are trained on without loading them.

    Numbers are scaled to mean 0 and variance 1, with NaN for missing ones; categories become codes,
    and true and false are numbers too: what the networks of `engine train` take (docs/tables.md),
    and any `Network` with the table's `embeddings`. All of this is fitted on the training rows
    alone. Rows are held out, and set aside for validation, at random, each independently.

    Parameters
    ----------
    source : str, path, or sequence of these
        CSV (also compressed: .csv.gz) or Parquet: a file, several files of the same columns, or a
        folder of such, which are read in the order of their names.
    folder : str or path
        Is made completely or not at all; it must not exist, except with `reuse`.
    target : str
        The column to be predicted.
    task : "classification" or "regression", optional
        Inferred from the target if left out.
    columns : mapping of str to str, optional
        The kind of some columns: "number", "category", "boolean", "date" or "out".
    missing : sequence of str
        Texts that stand for a missing value in CSV, besides an empty field.
    test_fraction : float
        Share of the rows that are held out, at least 0 and below 1.
    validation_fraction : float, optional
        Share of the others that are set aside for validation, at least 0 and below 1. None is a
        tenth, or of a table of more than a million rows about 100 000 rows.
    seed : int
        Seed of what is drawn at random.
    decimal : "comma" or "point", optional
        How to read numbers such as 1,234, if all values of a column fit both.
    dates : "day-first" or "month-first", optional
        How to read dates such as 3/4/2024, if all values of a column fit both.
    encoding : str
        Of CSV files, such as "latin-1".
    reuse : bool
        Open the folder if it exists and the same call has made it from the same files.
    progress : callable, optional
        Called with "survey" or "write" and the number of rows read.

    Returns
    -------
    ConvertedTable
        Its `training.X` and `training.y` are mapped from the folder.

    Raises
    ------
    ValueError
        For a table that cannot be understood, or that has nothing to learn from; the message names
        file, line or row, and nothing is left in `folder`.
    OSError
        For files that cannot be read or written, a full disk among them; nothing is left then.

    Notes
    -----
    The files are read twice, or three times if there are dates, or numbers that are written for
    people (1.234,50; 12 %), which are recognised once all values have been seen. The batches take
    about 100 MB of memory, whatever the number of rows; more if a table has thousands of columns.
    Pieces of numbers come from a random sample of 16 384 training rows, if there are more. A column
    of text with more than 10 000 distinct values is left out.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from engine import Network, convert_table, train
    >>> here = tempfile.TemporaryDirectory()
    >>> rows = [f"{i % 7},{'ab'[i % 2]},{3 * (i % 7) + 5 * (i % 2)}" for i in range(70)]
    >>> source = Path(here.name, "table.csv")
    >>> _ = source.write_text("\\n".join(["x,letter,y", *rows]))
    >>> table = convert_table(source, Path(here.name, "table"), "y", test_fraction=0)
    >>> table.training.X.shape, table.facts["inputs"]
    ((61, 2), ['x', 'letter'])
    >>> network = Network((2, 8, 1), output="identity", embeddings=table.embeddings())
    >>> X, y = table.training
    >>> result = train(network, X.T, y, solver="lbfgs", max_iter=200)
    >>> result.cost < 1e-3
    True
    >>> here.cleanup()
    """
    if isinstance(missing, str):
        raise TypeError(f"missing must list texts; got {missing!r}: pass [{missing!r}].")
    paths = [Path(source)] if isinstance(source, str | os.PathLike) else [*map(Path, source)]
    encoding = checked_encoding(encoding)
    files = table_files(paths[0] if len(paths) == 1 else paths, missing, encoding)
    task = None if task is None else settings.one_of("task", task, TASKS)
    settings.whole_number("seed", seed, at_least=0)
    decimal = None if decimal is None else settings.one_of("decimal", decimal, DECIMALS)
    dates = None if dates is None else settings.one_of("dates", dates, ORDERS)
    shares = split_shares(files, test_fraction, validation_fraction)
    name = named_column(target, files.names, "target")
    given_kinds = _checked_kinds(columns or {}, files.names, name)
    request = request_of(
        files,
        target=name,
        task=task,
        columns=given_kinds,
        missing=list(missing),
        test_fraction=float(test_fraction),
        validation_fraction=None if validation_fraction is None else float(validation_fraction),
        seed=int(seed),
        decimal=decimal,
        dates=dates,
        **({} if encoding == UTF_8 else {"encoding": encoding}),
    )
    if reuse and is_converted(Path(folder)):
        return existing_conversion(Path(folder), request)
    with new_folder(Path(folder)) as unfinished:
        statistics, notation = _statistics_of(
            files, NotationSurvey(name, given_kinds, task, decimal, dates), shares, seed, progress
        )
        texts = [] if is_parquet(files.paths[0]) else ["", *missing]
        plan = plan_conversion(statistics, task, notation, texts, files.notes)
        _require_space(unfinished, plan)
        with _full_disk_in_words(Path(folder)):
            dealt = _split_batches(files, "write", name, shares, seed, progress, notation)
            write_arrays(unfinished, dealt, plan)
            if request_of(files)[TABLES] != request[TABLES]:
                raise ValueError(CHANGED)
            write_numbers(unfinished, plan.learnt.numbers)
            about = {
                "source": [str(path) for path in files.paths],
                "missing": list(missing),
                "seed": int(seed),
                "asked": request,
            }
            write_metadata(unfinished, plan.target, columns_of(plan), metadata_of(plan, about))
    return open_table(folder)


@contextmanager
def _full_disk_in_words(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OSError(
            errno.ENOSPC, "The disk is full. What was written is removed", str(folder)
        ) from error


def _checked_kinds(columns: Mapping[str, str], names: list[str], target: str) -> dict[str, str]:
    for name, kind in columns.items():
        named_column(name, names, "columns")
        if kind not in of_columns.KINDS_TO_GIVE:
            raise ValueError(
                f"columns: the kind of {name!r} must be {listed(of_columns.KINDS_TO_GIVE)}; "
                f"got {kind!r}."
            )
    if target in columns:
        raise ValueError(f"columns: {target!r} is the target; its kind goes by the task.")
    return dict(columns)


def _statistics_of(
    files: TableFiles,
    survey: NotationSurvey,
    shares: tuple[float, float],
    seed: int,
    progress: Progress | None,
) -> tuple[TableStatistics, TableNotation]:
    """Statistics of the table; if it must be translated, of the translation, in a second pass."""
    name, given_kinds = survey.target, survey.given
    assert name is not None

    def new(
        given_kinds: Mapping[str, str], lenient: bool, translated: TranslatedColumns
    ) -> TableStatistics:
        generator = np.random.Generator(np.random.PCG64([seed, 1]))
        return TableStatistics(name, dict(given_kinds), len(PARTS), generator, lenient, translated)

    undated = {column: kind for column, kind in given_kinds.items() if kind != DATE}
    statistics = new(undated, lenient=True, translated=of_columns.NOT_TRANSLATED)
    for batch, parts in _split_batches(files, "survey", name, shares, seed, progress):
        statistics.add(batch.frame, parts, batch.first_row, batch.words)
        survey.add(batch.frame)
    notation = survey.notation()
    if notation.translation is None and notation.kinds == statistics.given:
        return statistics, notation
    statistics = new(notation.kinds, lenient=False, translated=notation.translated)
    for batch, parts in _split_batches(files, "survey", name, shares, seed, progress, notation):
        statistics.add(batch.frame, parts, batch.first_row, batch.words)
    return statistics, notation


def _split_batches(
    files: TableFiles,
    what: str,
    target: str,
    shares: tuple[float, float],
    seed: int,
    progress: Progress | None,
    notation: TableNotation | None = None,
) -> Iterator[tuple[Batch, NDArray[np.int8]]]:
    """All batches, translated, and the part of each row: the same in every pass."""
    dealer = RowSplit(target, shares, seed)
    for batch in files.batches():
        parts = dealer.parts(batch)
        if notation is not None:
            frame = notation.translate(batch.frame, target, batch.first_row)
            batch = batch._replace(frame=frame)
        yield batch, parts
        if progress is not None:
            progress(what, batch.first_row + batch.frame.height - 1)


def _require_space(folder: Path, plan: ConversionPlan) -> None:
    needed = sum(plan.rows.values()) * (len(plan.names) + 1) * np.dtype(np.float32).itemsize
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"The arrays take {in_words(needed)}, and {in_words(free)} are free. Nothing was "
            "written",
            str(folder.parent),
        )


# The request is kept in the folder, so that the same call finds its conversion again.

TABLES = "tables"


class OtherConversion(ValueError):
    """A folder that a conversion with other arguments has made."""

    def __init__(self, folder: Path, differences: list[str]) -> None:
        super().__init__(
            f"{folder} exists already, and was converted otherwise: {'; '.join(differences)}. "
            "Nothing in it was changed; name another folder, or train on it as it is."
        )
        self.differences = differences


def request_of(files: TableFiles, **given: Any) -> Metadata:
    """The tables, with size and time of each, and the arguments, as JSON holds them."""
    stamps = zip(files.paths, files.stamps(), strict=True)
    return {TABLES: [[str(path.resolve()), *stamp] for path, stamp in stamps], **given}


def existing_conversion(folder: Path, request: Metadata) -> ConvertedTable:
    """The table in the folder, if that is what was asked for.

    Raises
    ------
    ValueError
        If not, with what differs, or for a folder that is damaged.
    """
    table = open_table(folder)
    then = table.facts["about"]["asked"]
    differ = differences({**then, TABLES: None}, {**request, TABLES: None})
    if then.get(TABLES) != request[TABLES]:
        differ.insert(0, "the tables are others, or have changed")
    if differ:
        raise OtherConversion(folder, differ)
    return table


# The random split of rows: training, validation or held out; each row by itself.

VALIDATION_SHARE = 0.1  # of the rows that are not held out, for validation,
VALIDATION_ROWS = 100_000  # or, of a large table, about so many
LEAST_ROWS = 50


def split_shares(
    files: TableFiles, test_fraction: float, validation_fraction: float | None
) -> tuple[float, float]:
    """Shares of all rows: held out, and set aside for validation."""
    held_out = settings.share("test_fraction", test_fraction)
    if validation_fraction is None:
        n_rows = files.estimated_rows() * (1 - held_out)
        aside = min(VALIDATION_SHARE, VALIDATION_ROWS / max(1.0, n_rows))
        aside *= n_rows >= LEAST_ROWS
    else:
        aside = settings.share("validation_fraction", validation_fraction)
    return held_out, (1 - held_out) * aside


class RowSplit:
    """The part of each row: a random number for each, the same ones in every pass."""

    def __init__(self, target: str, shares: tuple[float, float], seed: int) -> None:
        self._target = target
        self._bounds = np.cumsum(shares)
        self._generator = np.random.Generator(np.random.PCG64(seed))

    def parts(self, batch: Batch) -> NDArray[np.int8]:
        """Numbers of PARTS, or OUTSIDE for rows without a target."""
        drawn = self._generator.random(batch.frame.height)
        # Held out, validation, training: in PARTS from the last to the first.
        parts = (len(PARTS) - 1 - np.searchsorted(self._bounds, drawn, side="right")).astype(
            np.int8
        )
        parts[batch.frame[self._target].is_null().to_numpy()] = OUTSIDE
        return parts
