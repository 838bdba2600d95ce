"""What each column of a table holds, and what is decided from that.

A table comes in one batch, if it is a frame in memory, or in many, if it is larger than memory. The
statistics are gathered by `add` and the decisions follow from them alone, so that both ways decide
the same.

What is kept of a column that comes in many batches does not grow with its rows: whether all values
are of a kind, up to 10 000 distinct ones with their counts, the moments of its numbers, and the
numbers in a random sample of the training rows, whose median is used in place of that of all rows.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.tables import column_kinds
from engine.tables import columns as of_columns
from engine.tables.column_kinds import (
    CATEGORY,
    EMPTY,
    INPUT_KINDS,
    KINDS_OF_TEXT,
    NUMBER,
    kind_of_type,
)
from engine.tables.columns import (
    ALMOST_ALL,
    FEW,
    OUT,
    Column,
    Columns,
    OriginalNotation,
    Reason,
    TranslatedColumns,
)
from engine.tables.csv_and_parquet import MissingTexts
from engine.tables.target import MOST_DISTINCT, TargetFacts

NO_WORDS: MissingTexts = MappingProxyType({})
OUTSIDE = -1  # the part of a row without a target
TRAINING_PART = 0
MOST_TEXT = 1 << 20  # bytes of text that are counted, besides MOST_DISTINCT values
NUMBERS_COUNTED = 1000  # distinct numbers of an input that are counted
SAMPLE_ROWS = 1 << 14  # training rows whose numbers are kept


@dataclass
class Moments:
    """Number, mean and sum of squared deviations, updated batch by batch (Chan et al. 1983)."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Add values."""
        if len(values):
            mean = float(values.mean())
            squares = float(np.square(values - mean).sum())
            self.merge(Moments(len(values), mean, squares))

    def merge(self, other: "Moments") -> None:
        """Add what another one has counted."""
        n = self.n + other.n
        apart = other.mean - self.mean
        self.squares += other.squares + apart**2 * self.n * other.n / n
        self.mean += apart * other.n / n
        self.n = n


class Counts:
    """How often each value occurs in each part, as long as the values are few and short.

    Attributes
    ----------
    table : DataFrame or None
        A column "value", and a column for each part, by its number, with the rows that have the
        value. None before the first value, and where there are too many.
    too_many : bool
    """

    def __init__(self, n_parts: int, most: float, most_text: float = MOST_TEXT) -> None:
        self._parts = [*range(n_parts), OUTSIDE]
        self._most, self._most_text = most, most_text
        self.table: pl.DataFrame | None = None
        self.too_many = False

    def add(self, values: pl.Series, parts: NDArray[np.int8]) -> None:
        """Add values, without missing ones, and the part of each."""
        if self.too_many or not len(values):
            return
        if self.table is None and values.dtype == pl.Float64:
            self._set_numbers(values.to_numpy(), parts)
            return
        frame = pl.DataFrame({"value": values, "part": parts})
        added = frame.group_by("value").agg(
            (pl.col("part") == part).sum().cast(pl.Int64).alias(str(part)) for part in self._parts
        )
        if self.table is not None:
            added = pl.concat([self.table, added]).group_by("value").agg(pl.all().sum())
        self.table = added
        if added.height > self._most or added["value"].estimated_size() > self._most_text:
            self.table, self.too_many = None, True

    def _set_numbers(self, values: NDArray[np.float64], parts: NDArray[np.int8]) -> None:
        """The same of the first numbers: in a tenth of the time."""
        distinct, places = np.unique(values, return_inverse=True)
        if len(distinct) > self._most or distinct.nbytes > self._most_text:
            self.too_many = True
            return
        counts = {
            str(part): np.bincount(places[parts == part], minlength=len(distinct))
            for part in self._parts
        }
        self.table = pl.DataFrame({"value": distinct, **counts})

    @property
    def n_distinct(self) -> int:
        """Distinct values, as written, where these are not too many."""
        return 0 if self.table is None else self.table.height

    def as_kind(self, kind: str, dtype: pl.DataType) -> pl.DataFrame | None:
        """The table with the values as those of a kind, sorted; None where there are too many."""
        if self.too_many:
            return None
        table = self.table
        if table is None:
            table = pl.DataFrame({"value": pl.Series([], dtype=dtype)}).with_columns(
                pl.lit(0).alias(str(part)) for part in self._parts
            )
        if kind == NUMBER and table["value"].dtype == pl.Float64:  # they are distinct
            return table.sort("value")
        values = column_kinds.as_kind(table["value"], kind).values
        return table.with_columns(value=values).group_by("value").agg(pl.all().sum()).sort("value")


class ColumnStatistics:
    """What is known of a column so far, and what follows from that.

    Attributes
    ----------
    n_rows, n_present : int
    counts, number_counts : Counts
        Counts of its values as written, and of the numbers that they can be read as.
    moments : Moments
        Of the numbers in the training rows.
    n_training, n_missing_training : int
        Training rows, and how many of these lack a value.
    """

    def __init__(
        self,
        name: str,
        dtype: pl.DataType,
        given: str | None,
        n_parts: int,
        is_target: bool,
        lenient: bool = False,
        written: OriginalNotation | None = None,
        is_whole: bool = False,
    ) -> None:
        self.name = name
        self.dtype = dtype
        self._given = given
        self._written = written
        self._is_whole = is_whole
        self._is_checked = given not in (None, OUT) and not lenient
        self._possible = [*KINDS_OF_TEXT] if dtype == pl.String else []
        self.n_rows = self.n_present = self.n_training = self.n_missing_training = 0
        all_count = is_target or given == CATEGORY
        self._are_texts_counted = all_count or not dtype.is_numeric()
        most, most_text = (math.inf, math.inf) if is_whole else (MOST_DISTINCT, MOST_TEXT)
        self.counts = Counts(n_parts, most, most_text)
        self.number_counts = Counts(n_parts, most if all_count else NUMBERS_COUNTED, most_text)
        self.moments = Moments()
        self.lowest, self.highest = np.inf, -np.inf
        self.words: Counter[str] = Counter()  # that count as missing
        self.n_numbers = 0
        self.others: dict[str, None] = {}  # texts that are no numbers, the first ones
        self.all_whole = True
        self.beyond: tuple[int, float] | None = None  # row and value
        self._last_number: float | None = None
        self._counts_rows = True
        self._values: dict[str, pl.DataFrame | None] = {}  # what `values` has found

    def add(
        self,
        series: pl.Series,
        parts: NDArray[np.int8],
        first_row: int = 1,
        words: MissingTexts = NO_WORDS,
    ) -> NDArray[np.float64] | None:
        """Add rows; return them as numbers (NaN: missing) if all values so far are numbers."""
        self.words.update(words)
        self._values.clear()
        if series.dtype != self.dtype:
            raise ValueError(
                f"Column {self.name!r} is of type {series.dtype} from row {first_row:,} on, and "
                f"was {self.dtype} before; give all files the same types."
            )
        if self._is_checked and series.null_count() < len(series):
            assert self._given is not None
            of_columns.checked(series, self._given, None if self._is_whole else first_row)
        present, is_training = series.is_not_null().to_numpy(), parts == TRAINING_PART
        self.n_rows += len(series)
        self.n_present += int(present.sum())
        self.n_training += int(is_training.sum())
        self.n_missing_training += int((is_training & ~present).sum())
        self._possible = column_kinds.still_possible(self._possible, series)
        if kind_of_type(series.dtype) not in INPUT_KINDS:
            return None
        text = series.dtype == pl.String
        are_numbers = NUMBER in self._possible
        # Of a whole table, no other batch can show that numbers are texts.
        if self._are_texts_counted and (
            self._given == CATEGORY or not (self._is_whole and are_numbers)
        ):
            values = series.str.strip_chars() if text else series
            self.counts.add(values.filter(present), parts[present])
        if not text and not series.dtype.is_numeric():
            return None
        if text and not are_numbers and not column_kinds.have_digits(series):
            self._add_no_numbers(series)
            return None
        numbers = self._add_numbers(series, parts, is_training, first_row)
        return None if text and not are_numbers else numbers

    def _add_numbers(
        self, series: pl.Series, parts: NDArray[np.int8], is_training: NDArray[Any], first_row: int
    ) -> NDArray[np.float64]:
        converted = column_kinds.as_kind(series, NUMBER)
        if len(converted.wrong) and len(self.others) <= FEW:
            found = series.gather(converted.wrong[:MOST_DISTINCT]).unique(maintain_order=True)
            self.others.update(dict.fromkeys(found.to_list()))
        column: NDArray[np.float64] = column_kinds.with_nan(converted.values)
        is_number = ~np.isnan(column)
        self.n_numbers += int(is_number.sum())
        self.number_counts.add(pl.Series(column[is_number]), parts[is_number])
        with np.errstate(over="ignore", invalid="ignore"):
            too_large = np.flatnonzero(np.abs(column) > column_kinds.LARGEST)
            if len(too_large) and self.beyond is None:
                self.beyond = first_row + int(too_large[0]), float(column[too_large[0]])
            if self.beyond is None:  # else the column is refused, or left out
                self.moments.add(column[is_number & is_training])
            present = column[is_number]
            if len(present):
                self.lowest = min(self.lowest, present.min())
                self.highest = max(self.highest, present.max())
            self.all_whole &= bool(
                ((present == np.round(present)) & (np.abs(present) < 2**53)).all()
            )
        self._counts_rows &= self._goes_on_counting(column)
        return column

    def _add_no_numbers(self, texts: pl.Series) -> None:
        """The same of texts none of which is a number."""
        if len(self.others) <= FEW:
            found = texts.drop_nulls()[:MOST_DISTINCT].unique(maintain_order=True)
            self.others.update(dict.fromkeys(found.to_list()))
        self._counts_rows = False

    def _goes_on_counting(self, column: NDArray[np.float64]) -> bool:
        before = self._last_number
        self._last_number = float(column[-1])
        begins = column[0] in (0.0, 1.0) if before is None else column[0] == before + 1
        return bool(begins and (np.diff(column) == 1).all())

    # The result.

    @property
    def n_missing(self) -> int:
        return self.n_rows - self.n_present

    @property
    def kind(self) -> str:
        """By all values; the rules are those of `column_kinds.kind_of`."""
        if self.n_present == 0:
            return EMPTY
        if self.dtype != pl.String:
            return kind_of_type(self.dtype)
        return self._possible[0] if self._possible else CATEGORY

    def values(self, kind: str) -> pl.DataFrame | None:
        """The distinct values as those of a kind, sorted, with their counts as `Counts.table`.

        None where there are too many.
        """
        if kind not in self._values:
            counts = self.number_counts if kind == NUMBER else self.counts
            dtype = pl.Float64() if kind == NUMBER else self.dtype
            self._values[kind] = counts.as_kind(kind, dtype)
        return self._values[kind]

    def in_training(self, kind: str) -> dict[Any, int]:
        """The distinct values in the training rows, sorted, and how many rows have each."""
        table = self.values(kind)
        assert table is not None
        counts = table["value", str(TRAINING_PART)].filter(pl.col(str(TRAINING_PART)) > 0)
        return dict(counts.iter_rows())

    def chosen(self) -> tuple[Column, Reason | None]:
        """The column, and why it is left out; None if it is learnt from."""
        kind = self.kind
        if self._given == OUT:
            return self._left_out(kind, Reason("is left out as you asked", to_mend=False))
        reason = None
        if self._given is None:
            reason = self._reason_to_leave_out(kind)
        else:
            of_columns.refuse_no_values(self.name, kind, self._given, self.words)
            kind = self._given
            spread = of_columns.no_spread(self._no_spread(), self._written)
            if self._written is not None and not self._written.is_given:
                reason = self._constant(kind) or (Reason(spread) if spread else None)
            elif kind == NUMBER:
                of_columns.refuse_as_number(self.name, spread)
        if reason is None and kind == CATEGORY and self.counts.too_many:
            how_many = f"more than {MOST_DISTINCT:,}, or 1 MB"
            reason = Reason(of_columns.too_many_texts(self.name, how_many), to_mend=False)
            if self._given is not None:
                raise ValueError(
                    f"Column {self.name!r} has more than {MOST_DISTINCT:,} categories, or 1 MB of "
                    "them, the most that are counted for a table on disk; merge rare ones, or "
                    "leave it out."
                )
        if reason is not None:
            return self._left_out(kind, reason)
        if kind == NUMBER and self.beyond is not None:
            raise of_columns.too_large(self.name, *self.beyond)
        n_distinct, a_value = self._distinct(kind)
        column = self._column(kind, "")
        said = of_columns.remark(column, a_value, n_distinct or 0, self.words)
        return replace(column, note=said), None

    def facts(self) -> TargetFacts:
        """The column as a target."""
        kind = self.kind
        n_distinct, a_value = self._distinct(kind) if kind in INPUT_KINDS else (0, None)
        return TargetFacts(
            self.name,
            kind,
            self.n_present,
            self.n_missing,
            n_distinct,
            a_value,
            kind == NUMBER and self.all_whole,
            kind == NUMBER and self.beyond is not None,
            dict(self.words),
            self._no_spread() if kind == NUMBER else "",
        )

    def _distinct(self, kind: str) -> tuple[int | None, Any]:
        """How many distinct values there are, None for too many; and the first, as it is shown."""
        table = self.values(kind)
        if table is None:
            return None, None
        first = table["value"][0] if table.height else None
        return table.height, first if self._written is None else self._written.example

    def _left_out(self, kind: str, reason: Reason) -> tuple[Column, Reason]:
        return self._column(kind, reason.words), reason

    def _column(self, kind: str, note: str) -> Column:
        return Column(self.name, kind, self.n_missing, note)

    def _no_spread(self) -> str:
        if self.beyond is not None:
            return ""  # which is refused
        found = self.moments
        variance = found.squares / max(1, found.n)
        return column_kinds.no_spread(found.n, self.highest - self.lowest, found.mean, variance)

    def _constant(self, kind: str) -> Reason | None:
        n_distinct, a_value = self._distinct(kind)
        is_constant = n_distinct == 1 and not self.n_missing
        return Reason(of_columns.constant(a_value), to_mend=False) if is_constant else None

    def _reason_to_leave_out(self, kind: str) -> Reason | None:
        if kind not in INPUT_KINDS:
            words = of_columns.not_learnt_from(kind, self.dtype, self.words)
            return Reason(words, to_mend=kind != EMPTY)
        if reason := self._constant(kind):
            return reason
        if kind == NUMBER and (no_spread := self._no_spread()):
            return Reason(no_spread)
        if kind == NUMBER and self._counts_rows and self.n_missing == 0 and self.n_rows >= 3:
            return Reason(of_columns.numbers_the_rows(self.name), to_mend=False)
        if kind != CATEGORY:
            return None
        almost = self.n_numbers >= ALMOST_ALL * self.n_present
        many = self.number_counts.too_many or self.number_counts.n_distinct > FEW
        if self.dtype == pl.String and almost and many:
            return Reason(of_columns.almost_numbers(self.name, list(self.others)))
        n_distinct, _ = self._distinct(kind)
        if n_distinct is not None and n_distinct > max(FEW, self.n_present // 2):
            how_many = f"{n_distinct:,} of {self.n_present:,}"
            return Reason(of_columns.too_many_texts(self.name, how_many), to_mend=False)
        return None


@dataclass
class TableStatistics:
    """All columns of a table, and a sample of the numbers in the training rows.

    Parts are numbered from 0, the training rows; a row of no part has a negative number.

    Parameters
    ----------
    target : str or None
        None if the table has no column that is to be predicted.
    given : mapping of str to str
        The kinds of some columns, or that they are out.
    n_parts : int
    generator : numpy.random.Generator
        Draws the sample.
    lenient : bool
        Accept text in columns that a user gave as numbers, as it may be translated to numbers.
    translated : TranslatedColumns
    is_whole : bool
        The table is added at once, so that nothing has to be bounded.
    """

    target: str | None
    given: Mapping[str, str]
    n_parts: int
    generator: np.random.Generator
    lenient: bool = False
    translated: TranslatedColumns = of_columns.NOT_TRANSLATED
    is_whole: bool = False
    columns: dict[str, ColumnStatistics] = field(default_factory=dict)
    rows_of_parts: list[int] = field(default_factory=list)
    sample: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    _keys: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @classmethod
    def of_frame(
        cls,
        frame: pl.DataFrame,
        target: str | None,
        given: Mapping[str, str] = MappingProxyType({}),
        words: Mapping[str, MissingTexts] = MappingProxyType({}),
        translated: TranslatedColumns = of_columns.NOT_TRANSLATED,
        parts: NDArray[np.int8] | None = None,
    ) -> "TableStatistics":
        """Statistics of a table in memory; all rows with a target are of part 0 if left out.

        `words` are those of a CSV file that count as missing, by column.

        Examples
        --------
        >>> frame = pl.DataFrame({"area": [50, 80, 75], "town": ["a", "b", "a"], "rent": [5, 9, 7]})
        >>> found = TableStatistics.of_frame(frame, "rent").chosen()
        >>> [(column.name, column.kind, column.note) for column in found.used]
        [('area', 'number', ''), ('town', 'category', '2 categories')]
        """
        if parts is None:
            parts = np.zeros(frame.height, np.int8)
            if target is not None:
                parts[frame[target].is_null().to_numpy()] = OUTSIDE
        found = cls(
            target, given, max(1, int(parts.max(initial=0)) + 1),
            np.random.Generator(np.random.PCG64([0, 1])), translated=translated, is_whole=True,
        )  # fmt: skip
        found.add(frame, parts, 1, words)
        return found

    def add(
        self,
        frame: pl.DataFrame,
        parts: NDArray[np.int8],
        first_row: int = 1,
        words: Mapping[str, MissingTexts] = MappingProxyType({}),
    ) -> None:
        """Add a batch, and the part of each of its rows; `first_row` is the number of its first."""
        if not self.columns:
            self.columns = {
                series.name: ColumnStatistics(
                    series.name,
                    series.dtype,
                    self.given.get(series.name),
                    self.n_parts,
                    series.name == self.target,
                    self.lenient and self.given.get(series.name) == NUMBER,
                    self.translated.columns.get(series.name),
                    self.is_whole,
                )
                for series in frame
            }
            self.rows_of_parts = [0] * self.n_parts
        for part in range(self.n_parts):
            self.rows_of_parts[part] += int((parts == part).sum())
        numbers = {}
        for name, column_statistics in self.columns.items():
            found = column_statistics.add(frame[name], parts, first_row, words.get(name, NO_WORDS))
            if found is not None:
                numbers[name] = found
        self._keep_sample(numbers, parts == TRAINING_PART)

    def chosen(self) -> Columns:
        """Which columns are learnt from."""
        doubts: dict[str, bool] = {}
        found = Columns([], [], doubts)
        for name, column_statistics in self.columns.items():
            if name != self.target:
                column, reason = column_statistics.chosen()
                (found.used if reason is None else found.left_out).append(column)
                if reason is not None and reason.to_mend:
                    doubts[name] = True
        return of_columns.without_orphans(found, self.translated)

    def as_learnt(self, columns: list[Column]) -> list[Column]:
        """The columns with the missing values and the categories of the training rows."""
        found = []
        for column in columns:
            known = self.columns[column.name]
            texts = tuple(known.in_training(CATEGORY)) if column.kind == CATEGORY else ()
            found.append(replace(column, n_missing=known.n_missing_training, categories=texts))
        return found

    def median(self, name: str) -> float:
        """The median of the numbers in the sample, which has all training rows if they are few."""
        values = self.sample[name]
        values = values[~np.isnan(values)]
        return float(np.median(values)) if len(values) else 0.0

    def _keep_sample(
        self, numbers: dict[str, NDArray[np.float64]], is_training: NDArray[Any]
    ) -> None:
        """Keep the rows with the lowest random keys: each row is equally likely to be kept."""
        drawn = self.generator.random(len(is_training))[is_training]
        n_before = len(self._keys)
        keys = np.concatenate([self._keys, drawn])
        kept = np.arange(len(keys))
        if len(keys) > SAMPLE_ROWS:
            kept = np.argpartition(keys, SAMPLE_ROWS)[:SAMPLE_ROWS]
        stay, come = kept[kept < n_before], np.sort(kept[kept >= n_before])
        places = np.setdiff1d(np.arange(len(kept)), stay)  # of those that come
        self._keys = _lengthened(self._keys, len(kept))
        self._keys[places] = keys[come]
        rows = np.flatnonzero(is_training)[come - n_before]
        sample = {}  # of what turned out to be no numbers, no more is kept
        for name, column in numbers.items():
            sample[name] = _lengthened(self.sample.get(name, np.empty(0)), len(kept))
            sample[name][places] = column[rows]
        self.sample = sample


def _lengthened(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """The array itself, or a longer copy, filled up with NaN."""
    if len(values) == length:
        return values
    return np.concatenate([values, np.full(length - len(values), np.nan)])
