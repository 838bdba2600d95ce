"""convert_table(): tables larger than memory become arrays in a folder, in bounded memory.

The files are read twice: a survey decides what the columns are and counts what standardising and
imputing need, then the rows are transformed and written, batch by batch.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer

from engine.boundary import settings
from engine.free_memory import in_words
from engine.model_files.pipeline_file import StoredModel, write_model
from engine.tables import columns as of_columns
from engine.tables import target as of_target
from engine.tables.asked import TABLES, asked_of, made_before
from engine.tables.columns import Column, Columns
from engine.tables.facts import PARTS, TRAINING, is_converted, write_facts
from engine.tables.kinds import CATEGORY, NUMBER
from engine.tables.learnt import LEARNT, category_counts, fitted_preprocessing, scale_of
from engine.tables.on_disk import (
    CHANGED,
    PIPELINE,
    ConvertedTable,
    Writer,
    new_folder,
    open_table,
    target_dtype,
)
from engine.tables.reading import MISSING
from engine.tables.stream import Batch, TableFiles, table_files
from engine.tables.survey import MOST_DISTINCT, SAMPLE_ROWS, Moments, Survey
from engine.tables.target import CLASSIFICATION, TASKS, Target
from engine.tables.words import counted, named_column

VALIDATION_SHARE = 0.1  # of the rows that are not held out, to stop by,
VALIDATION_ROWS = 100_000  # or, of a large table, about so many
LEAST_ROWS = 50
FARTHEST = 1e6  # standard deviations from its mean that a target may be predicted
OUTSIDE = -1  # the part of a row without a target

# Reads the name of what is done, and the rows that are done.
Progress = Callable[[str, int], Any]


class Decided(NamedTuple):
    """What the survey came to."""

    survey: Survey
    target: Target
    columns: Columns
    preprocessing: ColumnTransformer
    inputs: list[str]
    classes: list[Any] | None
    mean: float
    standard_deviation: float
    rows: dict[str, int]
    notes: list[str]


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
    dtype: str = "float32",
    reuse: bool = False,
    progress: Progress | None = None,
) -> ConvertedTable:
    """Turn a table, of whatever size, into arrays on disk that are trained on without loading them.

    Numbers are imputed (median) and standardised, categories one-hot, true and false 1 and 0, with
    an input for what is missing: as `engine train` does (docs/tables.md), and by the rows to learn
    from alone. Rows are held out, and set aside to stop by, at random, each by itself.

    Parameters
    ----------
    source : str, path, or sequence of these
        CSV or Parquet: a file, several files of the same columns, or a folder of such, which are
        read in the order of their names.
    folder : str or path
        Is made, whole or not at all; nothing may have that name, but for `reuse`.
    target : str
        The column to be predicted.
    task : "classification" or "regression", optional
        By the target if left out.
    columns : mapping of str to str, optional
        The kind of some columns: "number", "category", "boolean" or "out".
    missing : sequence of str
        What stands for a missing value in CSV, besides nothing at all.
    test_fraction : float
        Share of the rows that are held out, at least 0 and below 1.
    validation_fraction : float, optional
        Share of the others that are set aside to stop by, at least 0 and below 1. None is a tenth,
        or of a table of more than a million rows about 100 000 rows.
    seed : int
        Seed of what is drawn at random.
    dtype : "float32" or "float64"
        Of the inputs.
    reuse : bool
        Open the folder, if it is there and the same call has made it of the same files.
    progress : callable, optional
        Called with "survey" or "write" and the number of rows read.

    Returns
    -------
    ConvertedTable
        Its `training.X` and `training.y` are mapped from the folder.

    Raises
    ------
    ValueError
        For a table that cannot be understood, or nothing can be learnt of; the message names file,
        line or row, and nothing is left in `folder`.
    OSError
        For files that cannot be read or written, a full disk among them; nothing is left then.

    Notes
    -----
    Two passes over the files. Some 100 MB of memory for the batches, whatever the number of rows;
    more where a table has thousands of columns. Medians come from a random sample of 16 384 rows,
    if there are more to learn from; a column of text with more than 10 000 distinct values is left
    out.

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
    ((61, 3), ['x', 'letter_a', 'letter_b'])
    >>> network = Network((3, 8, 1), output="identity")
    >>> result = train(network, table.training.X.T, table.training.y, solver="lbfgs", max_iter=50)
    >>> result.cost < 1e-3
    True
    >>> here.cleanup()
    """
    if isinstance(missing, str):
        raise TypeError(f"missing must list texts; got {missing!r}: pass [{missing!r}].")
    paths = [Path(source)] if isinstance(source, str | os.PathLike) else [*map(Path, source)]
    files = table_files(paths[0] if len(paths) == 1 else paths, missing)
    task = None if task is None else settings.one_of("task", task, TASKS)
    settings.one_of("dtype", dtype, ("float32", "float64"))
    settings.whole_number("seed", seed, at_least=0)
    shares = _shares(files, test_fraction, validation_fraction)
    name = named_column(target, files.names, "target")
    told = _told(columns or {}, files.names, name)
    asked = asked_of(
        files,
        target=name,
        task=task,
        columns=told,
        missing=list(missing),
        test_fraction=float(test_fraction),
        validation_fraction=None if validation_fraction is None else float(validation_fraction),
        seed=int(seed),
        dtype=dtype,
    )
    if reuse and is_converted(Path(folder)):
        return made_before(Path(folder), asked)
    with new_folder(Path(folder)) as unfinished:
        survey = _surveyed(files, name, told, shares, seed, progress)
        decided = _decided(survey, task, files.notes, dtype)
        _require_space(unfinished, decided, dtype)
        with _full_disk_in_words(Path(folder)):
            _write(unfinished, files, decided, shares, seed, dtype, progress)
            if asked_of(files)[TABLES] != asked[TABLES]:
                raise ValueError(CHANGED)
            header = {"what": "from a table's columns to the inputs of a network"}
            write_model(unfinished / PIPELINE, StoredModel(header, decided.preprocessing))
            about = {
                "source": [str(path) for path in files.paths],
                "missing": list(missing),
                "dtype": dtype,
                "seed": int(seed),
                "asked": asked,
            }
            write_facts(unfinished, decided.target, _known_columns(decided), _facts(decided, about))
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


def _told(columns: Mapping[str, str], names: list[str], target: str) -> dict[str, str]:
    told = of_columns.parse_told([f"{name}={kind}" for name, kind in columns.items()], names)
    if target in told:
        raise ValueError(f"columns: {target!r} is the target; use task for it.")
    return told


def _shares(
    files: TableFiles, test_fraction: float, validation_fraction: float | None
) -> tuple[float, float]:
    """Shares of all rows: held out, and set aside to stop by."""
    held_out = settings.share("test_fraction", test_fraction)
    if validation_fraction is None:
        n_rows = files.estimated_rows() * (1 - held_out)
        aside = min(VALIDATION_SHARE, VALIDATION_ROWS / max(1.0, n_rows))
        aside *= n_rows >= LEAST_ROWS
    else:
        aside = settings.share("validation_fraction", validation_fraction)
    return held_out, (1 - held_out) * aside


class _Dealer:
    """The part of each row: a random number for each, the same ones in every pass."""

    def __init__(self, target: str, shares: tuple[float, float], seed: int) -> None:
        self._target = target
        self._bounds = np.cumsum(shares)
        self._generator = np.random.Generator(np.random.PCG64(seed))

    def parts(self, batch: Batch) -> NDArray[np.int8]:
        """Numbers of PARTS, or OUTSIDE for rows without a target."""
        drawn = self._generator.random(batch.frame.height)
        # Held out, to stop by, to learn from: in PARTS from the last to the first.
        parts = (len(PARTS) - 1 - np.searchsorted(self._bounds, drawn, side="right")).astype(
            np.int8
        )
        parts[batch.frame[self._target].is_null().to_numpy()] = OUTSIDE
        return parts


def _surveyed(
    files: TableFiles,
    target: str,
    told: dict[str, str],
    shares: tuple[float, float],
    seed: int,
    progress: Progress | None,
) -> Survey:
    generator = np.random.Generator(np.random.PCG64([seed, 1]))
    survey = Survey(target, told, len(PARTS), generator)
    dealer = _Dealer(target, shares, seed)
    for batch in _watched(files, "survey", progress):
        survey.add(batch, dealer.parts(batch))
    return survey


def _watched(files: TableFiles, what: str, progress: Progress | None) -> Iterator[Batch]:
    for batch in files.batches():
        yield batch
        if progress is not None:
            progress(what, batch.first_row + batch.frame.height - 1)


def _decided(survey: Survey, task: str | None, notes: list[str], dtype: str) -> Decided:
    of_target_column = survey.columns[survey.target]
    target = of_target.decided_by(of_target_column.facts(), task)
    columns = survey.decided()
    notes = list(notes)
    if of_target_column.n_missing:
        notes.append(f"{counted(of_target_column.n_missing, 'row')} without a target left out.")
    rows = dict(zip(PARTS, survey.rows_of_parts, strict=True))
    if rows[TRAINING] < 2:
        raise ValueError(
            f"There are {counted(sum(rows.values()), 'row')} with a target, too few to learn from "
            "with rows held out. Add rows, or hold fewer out."
        )
    classes, mean, standard_deviation = None, 0.0, 1.0
    if target.task == CLASSIFICATION:
        classes, rows = _classes(survey, target, rows, notes)
    else:
        moments = of_target_column.moments
        mean = moments.mean
        variances = np.array([moments.squares / moments.n])
        standard_deviation = float(scale_of(variances, np.array([mean]), moments.n)[0])
        _require_predictable(target.name, mean, standard_deviation, np.finfo(dtype))
    preprocessing = fitted_preprocessing(columns.used, survey)
    inputs = [str(name) for name in preprocessing.get_feature_names_out()]
    return Decided(
        survey, target, columns, preprocessing, inputs, classes, mean, standard_deviation, rows,
        notes,
    )  # fmt: skip


def _require_predictable(
    name: str, mean: float, standard_deviation: float, held: np.finfo[Any]
) -> None:
    """Predictions come in that dtype, and so many standard deviations from the mean."""
    largest = abs(mean) + FARTHEST * standard_deviation
    if not (largest <= float(held.max) and standard_deviation >= float(held.tiny)):
        raise ValueError(
            f"The target {name!r} has mean {mean:.2g} and standard deviation "
            f"{standard_deviation:.2g}, out of the range of {held.dtype}. Write it in another "
            "unit, or convert to float64 (--double)."
        )


def _classes(
    survey: Survey, target: Target, rows: dict[str, int], notes: list[str]
) -> tuple[list[Any], dict[str, int]]:
    """The classes among the rows to learn from; rows of others are of no part."""
    values = survey.columns[target.name].values(target.kind)
    if values is None:
        raise ValueError(
            f"The target {target.name!r} has more than {MOST_DISTINCT:,} classes, the most that "
            "are told apart."
        )
    classes = [value for value, counts in values.items() if counts[LEARNT]]
    if len(classes) < 2:
        raise ValueError(
            "The rows that would be learnt from have one value of the target only. Try another "
            "seed, a smaller test_fraction, or more rows."
        )
    others = [counts for counts in values.values() if not counts[LEARNT]]
    n_others = sum(sum(counts[: len(PARTS)]) for counts in others)
    if n_others:
        notes.append(
            f"{counted(n_others, 'row')} left out, of {counted(len(others), 'class')} of which no "
            "row is learnt from."
        )
    kept = {
        part: count - sum(counts[number] for counts in others)
        for number, (part, count) in enumerate(rows.items())
    }
    if target.kind == NUMBER:  # whole, as fractions are taken for text
        classes = [int(value) for value in classes]
    return classes, kept


def _require_space(folder: Path, decided: Decided, dtype: str) -> None:
    itemsize = np.dtype(dtype).itemsize
    needed = sum(decided.rows.values()) * (len(decided.inputs) * itemsize + itemsize)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"The arrays take {in_words(needed)}, and {in_words(free)} are free. Nothing was "
            "written",
            str(folder.parent),
        )


def _write(
    folder: Path,
    files: TableFiles,
    decided: Decided,
    shares: tuple[float, float],
    seed: int,
    dtype: str,
    progress: Progress | None,
) -> None:
    dtypes = np.dtype(dtype), target_dtype(decided.target, np.dtype(dtype))
    writer = Writer(folder, decided.rows, len(decided.inputs), dtypes)
    dealer = _Dealer(decided.target.name, shares, seed)
    try:
        for batch in _watched(files, "write", progress):
            parts = dealer.parts(batch)
            X, y = _rows(batch, decided)
            if decided.classes is not None:
                parts[y < 0] = OUTSIDE
            else:
                y = _held_in(dtypes[1], y[:, np.newaxis], [decided.target.name], batch, parts)[:, 0]
            X = _held_in(dtypes[0], X, decided.inputs, batch, parts)
            for number, part in enumerate(PARTS):
                chosen = np.flatnonzero(parts == number)
                writer.write(part, X[chosen], y[chosen])
        writer.finish()
    finally:
        writer.close()


def _prepared(batch: Batch, decided: Decided) -> pl.DataFrame:
    """The columns of a batch as the pipeline takes them."""
    frame, survey = batch.frame, decided.survey
    as_whole = frame.with_columns(
        survey.columns[column.name].series_as(frame[column.name], column.kind)
        for column in decided.columns.used
    )
    return of_columns.inputs(as_whole, decided.columns.used, batch.first_row)


def _held_in(
    dtype: np.dtype[Any], scaled: NDArray[Any], names: list[str], batch: Batch, parts: NDArray[Any]
) -> NDArray[Any]:
    """Standardised numbers in that dtype; ValueError if it cannot hold one that is to be written.

    All are within `kinds.LARGEST`, but some may be far from the rows to learn from.
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


def _rows(batch: Batch, decided: Decided) -> tuple[NDArray[Any], NDArray[Any]]:
    """Inputs and targets of a batch; a class that is not learnt, or no target, is -1."""
    frame, survey, target = batch.frame, decided.survey, decided.target
    X = decided.preprocessing.transform(_prepared(batch, decided))
    of_target_column = survey.columns[target.name]
    series = of_target_column.series_as(frame[target.name], target.kind)
    values = of_columns.checked(series, target.kind, batch.first_row)
    if decided.classes is not None:
        known = pl.Series(decided.classes, dtype=values.dtype, strict=False)
        codes = values.replace_strict(
            known, pl.Series(range(len(known)), dtype=pl.Int32), default=-1, return_dtype=pl.Int32
        )
        return X, codes.fill_null(-1).to_numpy()
    numbers = values.fill_null(float("nan")).to_numpy()
    return X, (numbers - decided.mean) / decided.standard_deviation


def _known_columns(decided: Decided) -> list[Column]:
    """The columns with what the rows to learn from have, as `columns.as_learnt` says it."""
    known = []
    for column in decided.columns.used:
        survey = decided.survey.columns[column.name]
        texts = tuple(category_counts(survey)) if column.kind == CATEGORY else ()
        known.append(Column(column.name, column.kind, survey.n_missing_learnt, column.note, texts))
    return known


def _facts(decided: Decided, about: dict[str, Any]) -> dict[str, Any]:
    """What stands in columns.json besides target and columns."""
    survey = decided.survey
    numbers = {
        column.name: {
            "mean": survey.columns[column.name].moments.mean,
            "standard deviation": _deviation(survey.columns[column.name].moments),
            "median": survey.median(column.name),
        }
        for column in decided.columns.used
        if column.kind == NUMBER
    }
    of_task: dict[str, Any] = {
        "mean": decided.mean,
        "standard deviation": decided.standard_deviation,
    }
    if decided.classes is not None:
        values = survey.columns[decided.target.name].values(decided.target.kind) or {}
        of_task = {
            "classes": decided.classes,
            "counts": [values[value][LEARNT] for value in decided.classes],
        }
    return {
        "about": about,
        "rows": decided.rows,
        "inputs": decided.inputs,
        "target": of_task,
        "numbers": numbers,
        "missing values": (
            "a number: the median of the rows to learn from (of a sample of "
            f"{SAMPLE_ROWS:,}, if there are more); true or false: the more frequent; a category: "
            f"one of its own; an input more says so, if rows to learn from lack any"
        ),
        "left out": [[column.name, column.note] for column in decided.columns.left_out],
        "notes": decided.notes,
    }


def _deviation(moments: Moments) -> float:
    return float(np.sqrt(moments.squares / moments.n)) if moments.n else 0.0
