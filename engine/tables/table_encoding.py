"""A table's columns as one matrix of floats, for a network whose input layer does the rest.

Numbers stay as they are, with NaN where one is missing: pieces, scales and vectors of categories
are the input layer's business. Fitted on the training rows alone.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.boundary import settings
from engine.model_files.table_columns import TableColumns
from engine.tables import column_kinds
from engine.tables.column_kinds import CATEGORY, INPUT_KINDS
from engine.tables.column_statistics import TableStatistics
from engine.tables.columns import Column, too_large
from engine.tables.csv_and_parquet import MISSING, without_missing
from engine.tables.given_tables import given_table
from engine.tables.messages import counted, names_near, quoted
from engine.tables.metadata import wrong_type
from engine.tables.translation import TEXT, Translation, read

# A level of fewer training rows is called rare. Five, as a level's vector is learnt from its rows
# alone, and the vector of rare and unknown levels from all the rare ones: it needs some, too.
MIN_COUNT = 5
MOST_LEVELS = 4095  # of a category; the least frequent would make the model large, not better
PADDED = re.compile(r"0\d+$")  # codes that lose their zeros where they are read as numbers
RARE, ABSENT = "(rare or unknown)", "(missing)"
FORMAT = 1


@dataclass(frozen=True)
class EncodedColumn:
    """A column of the matrix.

    Attributes
    ----------
    name : str
    source : str
        The column of the table that it is made of: another one for the parts of a date.
    role : "number", "boolean" or "category"
    had_missing : bool
        Whether training rows lacked the value.
    n_distinct : int or None
        Distinct values in the training rows; None if there are more than 1000 numbers.
    levels : tuple of str
        Of a category: the label of each code. The first stands for rare and unknown ones; then come
        the known ones, the most frequent first; the last one stands for missing values if
        training rows lacked any.
    counts : tuple of int
        The training rows of each level.
    """

    name: str
    source: str
    role: str
    had_missing: bool
    n_distinct: int | None
    levels: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()

    @property
    def n_levels(self) -> int:
        """Of a category, how many codes it has; 0 otherwise."""
        return len(self.levels)

    @property
    def known(self) -> tuple[str, ...]:
        """The levels that are values of the table, those of the codes 1, 2, ..."""
        return self.levels[1 : len(self.levels) - self.had_missing]

    def codes(self, texts: pl.Series) -> pl.Series:
        """The code of each text; a missing one is a level of its own if training had any."""
        known = pl.Series(self.known, dtype=pl.String)
        of_known = pl.Series(np.arange(1, len(known) + 1), dtype=pl.Int64)
        found = texts.replace_strict(known, of_known, default=0, return_dtype=pl.Int64)
        return found.set(texts.is_null(), len(self.levels) - 1 if self.had_missing else 0)


@dataclass(frozen=True)
class TableEncoding:
    """What turns a table into a matrix of floats, fitted on training rows.

    Attributes
    ----------
    columns : tuple of EncodedColumn
        The columns of the matrix.
    missing : tuple of str
        Texts that stand for a missing value, as they did in the training table.
    translation : Translation or None
        How the training table wrote dates and numbers; None if it needs no translation.

    Notes
    -----
    A date is the days since 1970-01-01, and its time of year, day of the week and time of day as
    sine and cosine, as far as they vary; where it is missing, the days are NaN, and these are 0.
    Year, month and hour would say it twice: a network that cuts a number into pieces finds them
    in these.

    Examples
    --------
    >>> table = {"area": [50, 80, None, 65], "side": ["north", "north", "south", None]}
    >>> frame = given_table(table).frame
    >>> statistics = TableStatistics.of_frame(frame, None)
    >>> encoding = TableEncoding.fitted(statistics.chosen().used, statistics, min_count=2)
    >>> encoding.encode(frame)
    array([[50.,  1.],
           [80.,  1.],
           [nan,  0.],
           [65.,  2.]])
    >>> side = encoding.columns[1]
    >>> side.levels, side.counts
    (('(rare or unknown)', 'north', '(missing)'), (1, 2, 1))
    """

    columns: tuple[EncodedColumn, ...]
    missing: tuple[str, ...] = ()
    translation: Translation | None = None

    @classmethod
    def fitted(
        cls,
        columns: Sequence[Column],
        statistics: TableStatistics,
        translation: Translation | None = None,
        *,
        missing: Sequence[str] = (),
        min_count: int = MIN_COUNT,
        most_levels: int = MOST_LEVELS,
    ) -> "TableEncoding":
        """An encoding of the columns, by the training rows (part 0) of the statistics.

        Parameters
        ----------
        columns : sequence of Column
            Those that are learnt from.
        statistics : TableStatistics
            Of the translated table.
        translation : Translation, optional
        missing : sequence of str
            Texts that stand for a missing value in tables to come.
        min_count : int
            Levels of fewer training rows are rare.
        most_levels : int
            At most so many levels of a column are known, the most frequent ones.
        """
        settings.whole_number("min_count", min_count, at_least=1)
        settings.whole_number("most_levels", most_levels, at_least=1)
        sources = {} if translation is None else translation.source_of()
        encoded = []
        for column in columns:
            known = statistics.columns[column.name]
            had_missing = known.n_missing_training > 0
            n_distinct, levels, counts = None, [], []
            if column.kind == CATEGORY:
                of_levels = known.in_training(CATEGORY)
                n_distinct = len(of_levels)
                by_count = sorted(of_levels, key=lambda level: (-of_levels[level], level))
                kept = [level for level in by_count if of_levels[level] >= min_count][:most_levels]
                n_rare = sum(of_levels.values()) - sum(of_levels[level] for level in kept)
                levels = [RARE, *kept, *[ABSENT] * had_missing]
                counts = [n_rare, *(of_levels[level] for level in kept)]
                counts += [known.n_missing_training] * had_missing
            elif known.values(column.kind) is not None:
                n_distinct = len(known.in_training(column.kind))
            source = sources.get(column.name, column.name)
            encoded.append(
                EncodedColumn(
                    column.name, source, column.kind, had_missing, n_distinct, tuple(levels),
                    tuple(counts),
                )
            )  # fmt: skip
        if translation is not None:
            of_table = translation
            translation = Translation(of_table.readings, of_table.target, [*missing])
            translation.of_columns(of_table.feature_names_in_.tolist())
        return cls(tuple(encoded), tuple(missing), translation)

    @property
    def sources(self) -> list[str]:
        """The columns that a table needs."""
        return list(dict.fromkeys(column.source for column in self.columns))

    @cached_property
    def missing_in_files(self) -> tuple[str, ...]:
        """Texts that stand for a missing value in a CSV file.

        Training on a frame had none: then they are the usual ones, but for those that are levels.
        """
        levels = {level for column in self.columns for level in column.known}
        return self.missing or tuple(word for word in MISSING if word not in levels)

    def encode(self, table: Any, dtype: Any = "float64") -> NDArray[Any]:
        """The matrix of a table's rows.

        Parameters
        ----------
        table : pandas or polars DataFrame, dict of lists, or path
            Columns that were not learnt from are ignored.
        dtype : "float32" or "float64"

        Returns
        -------
        ndarray (n_rows, n_columns)

        Raises
        ------
        ValueError
            If a column is not there or holds other values than in training; the message names it.
        """
        frame = given_table(table, self.missing_in_files).frame
        self._refuse_absent(frame)
        frame = pl.DataFrame([frame[name] for name in self.sources])
        if self.translation is not None:
            frame = self.translation.transform(frame)
        return self.encode_translated(frame, dtype)

    def encode_translated(
        self,
        frame: pl.DataFrame,
        dtype: Any = "float64",
        first_row: int = 1,
        *,
        is_new: bool = True,
    ) -> NDArray[Any]:
        """The matrix of rows of a translated table; `first_row` numbers them in messages.

        Of a new table, a column is refused if none of its categories is known and they are of
        another type. A part of the training table is not new.
        """
        matrix = np.empty((frame.height, len(self.columns)), np.dtype(dtype))
        for place, column in enumerate(self.columns):
            values = self._values(column, frame[column.name], is_new)
            with np.errstate(over="ignore"):
                matrix[:, place] = values
            _refuse_too_large(column.name, values, matrix[:, place], first_row)
        return matrix

    def _values(
        self, column: EncodedColumn, series: pl.Series, is_new: bool
    ) -> NDArray[np.float64]:
        kind = column_kinds.kind_of_type(series.dtype)
        if series.dtype == pl.Object and series.null_count() < len(series):
            value = next(one for one in series if one is not None)
            raise ValueError(
                f"Column {column.name!r} must hold {column_kinds.IN_WORDS[column.role]}, as in "
                f"training; came {value!r}. Mend the values, or leave them missing."
            )
        if kind == column_kinds.OTHER and column.role == CATEGORY:
            raise ValueError(
                f"Column {column.name!r} must hold texts or numbers, as in training; it holds "
                f"{column_kinds.IN_WORDS[kind]}."
            )
        if kind == column_kinds.DATE and column.role == CATEGORY:
            series = read(series, TEXT)
        if self.missing and kind == CATEGORY:
            texts = series.cast(pl.String).str.strip_chars().to_frame()
            series = without_missing(texts, self.missing)[column.name]
        values, wrong = column_kinds.as_kind(series, column.role)
        if len(wrong):  # such as 1 for true; or refused
            step = TableColumns([column.name], [column.role], [])
            values = step.transform(series.to_frame())[column.name]
        if column.role == CATEGORY:
            values = self._codes(column, values, series, is_new)
        numbers: NDArray[np.float64] = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return numbers

    def _codes(
        self, column: EncodedColumn, texts: pl.Series, given: pl.Series, is_new: bool
    ) -> pl.Series:
        codes = column.codes(texts)
        if is_new and given.dtype.is_numeric():
            padded = next(filter(PADDED.match, column.known), None)
            if padded is not None:
                raise ValueError(
                    f"Column {column.name!r} holds numbers, and training had codes that begin with "
                    f"0, such as {padded!r}: read it as text, such as by dtype={{{column.name!r}: "
                    "str}."
                )
        if is_new and column.known and not codes.is_between(1, len(column.known)).any():
            known = column_kinds.kind_of(pl.Series(column.known, dtype=pl.String))
            kind = column_kinds.kind_of(given)
            if kind not in (known, CATEGORY, column_kinds.EMPTY):
                raise ValueError(
                    f"Column {column.name!r} is of another type: training had categories such as "
                    f"{quoted(column.known, most=3)}, and {column_kinds.IN_WORDS[kind]} came. Mend "
                    "the values, or leave them missing."
                )
        return codes

    def _refuse_absent(self, frame: pl.DataFrame) -> None:
        there = {*frame.columns}
        absent = [name for name in self.sources if name not in there]
        if absent:
            is_one = len(absent) == 1
            others = [name for name in frame.columns if name not in self.sources]
            near = [(other, name) for name in absent for other in names_near(name, others)[:1]]
            likely = "".join(f"{other!r} may be {name!r}: rename it. " for other, name in near[:5])
            raise ValueError(
                f"The table lacks {'a column' if is_one else counted(len(absent), 'column')} that "
                f"training had: {quoted(absent)}. {likely}{'Or add' if likely else 'Add'} "
                f"{'it' if is_one else 'them'}, with missing values if these are not known."
            )

    # As a model file holds it.

    def to_description(self) -> tuple[dict[str, Any], dict[str, NDArray[np.int64]]]:
        """What JSON can hold, and arrays; `from_description` makes the same encoding of them."""
        step = self.translation
        description = {
            "format": FORMAT,
            "missing": [*self.missing],
            "columns": [
                {
                    "name": column.name,
                    "source": column.source,
                    "role": column.role,
                    "had_missing": column.had_missing,
                    "n_distinct": column.n_distinct,
                    "levels": [*column.levels],
                }
                for column in self.columns
            ],
            "readings": {} if step is None else step.readings,
            "target_reading": None if step is None else step.target,
        }
        counts = [count for column in self.columns for count in column.counts]
        return description, {"level_counts": np.array(counts, np.int64)}

    @classmethod
    def from_description(
        cls, description: Any, arrays: Mapping[str, NDArray[Any]]
    ) -> "TableEncoding":
        """The encoding that `to_description` has described; ValueError if that cannot be.

        Parameters
        ----------
        description : dict
        arrays : mapping of str to ndarray
        """
        wrong = wrong_type(description, TYPES, "") or _unfit(description)
        counts = arrays.get("level_counts")
        if not wrong:
            n_levels = sum(len(column["levels"]) for column in description["columns"])
            if not isinstance(counts, np.ndarray) or counts.dtype != np.int64:
                wrong = "the counts of levels are no whole numbers"
            elif counts.shape != (n_levels,) or (counts < 0).any():
                wrong = f"the counts of levels are not {n_levels} numbers of rows"
        if wrong:
            raise ValueError(f"The description of the table's columns is damaged: {wrong}.")
        assert counts is not None
        columns, start = [], 0
        for one in description["columns"]:
            end = start + len(one["levels"])
            known = {name: one[name] for name in TYPES["columns"][0]}
            known["levels"], known["counts"] = (
                tuple(one["levels"]),
                tuple(counts[start:end].tolist()),
            )
            columns.append(EncodedColumn(**known))
            start = end
        translation = None
        if description["readings"] or description["target_reading"] is not None:
            translation = _translation(description, columns)
        return cls(tuple(columns), tuple(description["missing"]), translation)


def _refuse_too_large(
    name: str, values: NDArray[np.float64], made: NDArray[Any], first_row: int
) -> None:
    """ValueError for a number whose square is not finite, or that the dtype cannot hold."""
    with np.errstate(invalid="ignore"):
        beyond = np.flatnonzero((np.abs(values) > column_kinds.LARGEST) | np.isinf(made))
    if not len(beyond):
        return
    row, value = first_row + int(beyond[0]), float(values[beyond[0]])
    if abs(value) > column_kinds.LARGEST:
        raise too_large(name, row, value)
    raise ValueError(
        f"Column {name!r} is {value:g} in row {row:,}, too large for {made.dtype}. Mend the value, "
        "or have float64."
    )


TYPES: dict[str, Any] = {
    "format": (int,),
    "missing": [(str,)],
    "columns": [
        {
            "name": (str,),
            "source": (str,),
            "role": (str,),
            "had_missing": (bool,),
            "n_distinct": (int, type(None)),
            "levels": [(str,)],
        }
    ],
    "readings": {},
    "target_reading": (dict, type(None)),
}


def _unfit(description: dict[str, Any]) -> str:
    """What of a description does not fit the rest, in words; empty if all does."""
    if description["format"] != FORMAT:
        return f"it has format {description['format']}, and {FORMAT} is read"
    columns = description["columns"]
    names = [column["name"] for column in columns]
    if not names or len({*names}) < len(names):
        return "it has no columns, or two of one name"
    for column in columns:
        levels, said = column["levels"], f"column {column['name']!r:.40}"
        if column["role"] not in INPUT_KINDS:
            return f"{said} is of role {column['role']!r:.40}"
        if column["n_distinct"] is not None and column["n_distinct"] < 0:
            return f"{said} has {column['n_distinct']} distinct values"
        if column["role"] != CATEGORY and levels:
            return f"{said} has levels, and is no category"
        if column["role"] == CATEGORY:
            first, *known = levels or [""]
            last = known.pop() if column["had_missing"] and known else ""
            if first != RARE or (last != ABSENT and column["had_missing"]):
                return f"{said} lacks the levels of rare or missing values"
            if len({*known}) < len(known):
                return f"{said} has a level twice"
    if not description["readings"] and any(one["name"] != one["source"] for one in columns):
        return "it has parts of dates, and reads none"
    return ""


def _translation(description: dict[str, Any], columns: list[EncodedColumn]) -> Translation:
    """The translation, if training can have made it, and it makes these columns."""
    sources = list(dict.fromkeys(column.source for column in columns))
    stored = description["readings"], description["target_reading"], description["missing"]
    step = Translation(*stored).of_columns(sources)
    try:
        step.check_sound()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"The description of the table's columns is damaged: {error}.") from error
    made = step.source_of()
    if any(column.source != made.get(column.name, column.name) for column in columns):
        raise ValueError(
            "The description of the table's columns is damaged: columns are made of others than "
            "it says."
        )
    return step
