"""The first pass over a table larger than memory: what each column holds, batch by batch.

What is kept of a column does not grow with its rows: whether all values are of a kind, up to 10 000
distinct ones with their counts, the moments of its numbers, and the numbers in a random sample of
the training rows, whose median is used in place of that of all rows.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.tables import column_kinds
from engine.tables import columns as of_columns
from engine.tables.column_kinds import BOOLEAN, CATEGORY, DATE, EMPTY, NUMBER
from engine.tables.columns import (
    ALMOST_ALL,
    FEW,
    OUT,
    Column,
    Columns,
    OriginalNotation,
    TranslatedColumns,
)
from engine.tables.csv_and_parquet import MissingTexts
from engine.tables.table_files import Batch
from engine.tables.target import TargetFacts

MOST_DISTINCT = 10_000  # values of a column that are counted,
MOST_TEXT = 1 << 20  # or so many bytes of text
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
    """How often each value occurs in each part, as long as the values are few and short."""

    def __init__(self, n_parts: int, most: int = MOST_DISTINCT) -> None:
        self._parts = [*range(n_parts), -1]  # the last is of no part
        self._most = most
        self._counts: pl.DataFrame | None = None
        self.too_many = False

    def add(self, values: pl.Series, parts: NDArray[np.int8]) -> None:
        """Add values, without missing ones, and the part of each."""
        if self.too_many or not len(values):
            return
        frame = pl.DataFrame({"value": values, "part": parts})
        added = frame.group_by("value").agg(
            (pl.col("part") == part).sum().cast(pl.Int64).alias(str(part)) for part in self._parts
        )
        if self._counts is not None:
            both = pl.concat([self._counts, added])
            added = both.group_by("value").agg(pl.all().sum())
        self._counts = added
        if added.height > self._most or added["value"].estimated_size() > MOST_TEXT:
            self._counts, self.too_many = None, True

    @property
    def n_distinct(self) -> int:
        """Distinct values; where there are too many, one more than are counted."""
        if self._counts is None:
            return self._most + 1 if self.too_many else 0
        return self._counts.height

    @property
    def of_parts(self) -> dict[Any, list[int]] | None:
        """How many rows of each part, and of none, have each value; None if these are too many."""
        if self._counts is None:
            return None if self.too_many else {}
        return {value: list(counts) for value, *counts in self._counts.iter_rows()}


class ColumnStatistics:
    """What is known of a column so far.

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
    ) -> None:
        self.name = name
        self.dtype = dtype
        self._given = given
        self._written = written
        text = dtype == pl.String
        self._is_checked = given not in (None, OUT) and not lenient
        self._possible = [NUMBER, BOOLEAN, DATE] if text else []
        self.n_rows = self.n_present = self.n_training = self.n_missing_training = 0
        self.counts = Counts(n_parts)
        # Of numbers that are inputs, it only matters whether there are few distinct ones.
        all_count = is_target or given == CATEGORY
        self.number_counts = Counts(n_parts, MOST_DISTINCT if all_count else FEW)
        if dtype.is_numeric() and not all_count:
            self.counts = Counts(n_parts, FEW)
        self.moments = Moments()
        self.lowest, self.highest = np.inf, -np.inf
        self.words: Counter[str] = Counter()  # that count as missing
        self.n_numbers = 0
        self.others: dict[str, None] = {}  # texts that are no numbers, the first few
        self.all_whole = True
        self.beyond: tuple[int, float] | None = None  # row and value
        self._last_number: float | None = None
        self._counts_rows = True

    def add(
        self,
        series: pl.Series,
        parts: NDArray[np.int8],
        first_row: int,
        words: MissingTexts = MappingProxyType({}),
    ) -> NDArray[np.float64] | None:
        """Add rows; return them as numbers (NaN: missing) if all values so far are numbers."""
        self.words.update(words)
        if series.dtype != self.dtype:
            raise ValueError(
                f"Column {self.name!r} is of type {series.dtype} from row {first_row:,} on, and "
                f"was {self.dtype} before; give all files the same types."
            )
        if self._is_checked and series.null_count() < len(series):
            assert self._given is not None
            of_columns.checked(series, self._given, first_row)
        present, is_training = series.is_not_null().to_numpy(), parts == 0
        self.n_rows += len(series)
        self.n_present += int(present.sum())
        self.n_training += int(is_training.sum())
        self.n_missing_training += int((is_training & ~present).sum())
        self._possible = _still_possible(self._possible, series)
        if series.dtype.is_nested():
            return None
        text = series.dtype == pl.String
        values = series.str.strip_chars() if text else series
        self.counts.add(values.filter(present), parts[present])
        if not text and not series.dtype.is_numeric():
            return None
        numbers = self._add_numbers(series, parts, is_training, first_row)
        return None if text and NUMBER not in self._possible else numbers

    def _add_numbers(
        self, series: pl.Series, parts: NDArray[np.int8], is_training: NDArray[Any], first_row: int
    ) -> NDArray[np.float64]:
        converted = column_kinds.as_kind(series, NUMBER)
        numbers = converted.values.drop_nulls()
        if len(self.others) <= FEW:
            found = series.gather(converted.wrong[: 10 * FEW]).unique(maintain_order=True)
            self.others.update(dict.fromkeys(found.to_list()))
        self.n_numbers += len(numbers)
        column: NDArray[np.float64] = converted.values.fill_null(float("nan")).to_numpy()
        is_number = ~np.isnan(column)
        self.number_counts.add(numbers, parts[is_number])
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
            return column_kinds.kind_of_type(self.dtype)
        return self._possible[0] if self._possible else CATEGORY

    def chosen(self) -> tuple[Column, bool]:
        """The column, and whether it is learnt from; as `columns.described` decides."""
        kind = self.kind
        if self._given == OUT:
            return self._column(kind, "is left out as you asked"), False
        reason = ""
        if self._given is None:
            reason = self._reason_to_leave_out(kind)
        else:
            of_columns.refuse_no_values(self.name, kind, self._given, self.words)
            kind = self._given
            spread = of_columns.no_spread(self._no_spread(), self._written)
            if self._written is not None and not self._written.is_given:
                reason = self._constant(kind) or spread
            elif kind == NUMBER:
                of_columns.refuse_as_number(self.name, spread)
        if not reason and kind == CATEGORY and self.counts.too_many:
            reason = of_columns.too_many_texts(self.name, f"more than {MOST_DISTINCT:,}, or 1 MB")
            if self._given is not None:
                raise ValueError(
                    f"Column {self.name!r} has more than {MOST_DISTINCT:,} categories, or 1 MB of "
                    "them, the most that are counted for a table on disk; merge rare ones, or "
                    "leave it out."
                )
        if reason:
            return self._column(kind, reason), False
        if kind == NUMBER and self.beyond is not None:
            row, value = self.beyond
            raise ValueError(
                f"Column {self.name!r} is {value:g} in row {row:,}; numbers must be at most "
                f"{column_kinds.LARGEST:g}. Leave the value empty if it is not known."
            )
        values = self.values(kind) or {}
        # Of numbers no more than some are counted.
        n_distinct, a_value = len(values), self._shown(values)
        column = self._column(kind, "")
        return replace(
            column, note=of_columns.remark(column, a_value, n_distinct, self.words)
        ), True

    def facts(self) -> TargetFacts:
        """The column as a target."""
        kind = self.kind
        counts = self.values(kind) if kind in (NUMBER, BOOLEAN, CATEGORY) else None
        return TargetFacts(
            self.name,
            kind,
            self.n_present,
            self.n_missing,
            MOST_DISTINCT + 1 if counts is None else len(counts),
            next(iter(counts), None) if counts else None,
            kind == NUMBER and self.all_whole,
            kind == NUMBER and self.beyond is not None,
            dict(self.words),
            self._no_spread() if kind == NUMBER else "",
        )

    def values(self, kind: str) -> dict[Any, list[int]] | None:
        """The distinct values as those of a kind, sorted, and how often each part has them.

        None where there are too many.
        """
        counts = (self.number_counts if kind == NUMBER else self.counts).of_parts
        if counts is None:
            return None
        found: dict[Any, list[int]] = {}
        dtype = pl.Float64() if kind == NUMBER else self.dtype
        keys = pl.Series(self.name, list(counts), dtype=dtype)
        converted = column_kinds.as_kind(keys, kind).values
        for value, of_parts in zip(converted, counts.values(), strict=True):
            sofar = found.get(value, [0] * len(of_parts))
            found[value] = [one + other for one, other in zip(sofar, of_parts, strict=True)]
        return dict(sorted(found.items()))

    def _column(self, kind: str, note: str) -> Column:
        return Column(self.name, kind, self.n_missing, note)

    def _no_spread(self) -> str:
        if self.beyond is not None:
            return ""  # which is refused
        found = self.moments
        variance = found.squares / max(1, found.n)
        return column_kinds.no_spread(found.n, self.highest - self.lowest, found.mean, variance)

    def _constant(self, kind: str) -> str:
        values = self.values(kind) or {}
        constant = len(values) == 1 and not self.n_missing
        return of_columns.constant(self._shown(values)) if constant else ""

    def _shown(self, values: Iterable[Any]) -> Any:
        """The first value; as the table writes it, if the column is translated."""
        return next(iter(values), None) if self._written is None else self._written.example

    def _reason_to_leave_out(self, kind: str) -> str:
        if kind not in (NUMBER, BOOLEAN, CATEGORY):
            return of_columns.not_learnt_from(kind, self.dtype, self.words)
        if reason := self._constant(kind):
            return reason
        if kind == NUMBER and (reason := self._no_spread()):
            return reason
        if kind == NUMBER and self._counts_rows and self.n_missing == 0 and self.n_rows >= 3:
            return of_columns.numbers_the_rows(self.name)
        if kind != CATEGORY:
            return ""
        almost = self.n_numbers >= ALMOST_ALL * self.n_present
        if self.dtype == pl.String and almost and self.number_counts.n_distinct > FEW:
            return of_columns.almost_numbers(list(self.others))
        n_distinct = self.counts.n_distinct
        if not self.counts.too_many and n_distinct > max(FEW, self.n_present // 2):
            how_many = f"{n_distinct:,} of {self.n_present:,}"
            return of_columns.too_many_texts(self.name, how_many)
        return ""


def _still_possible(kinds_so_far: list[str], series: pl.Series) -> list[str]:
    """The kinds that also fit all of these texts."""
    if not kinds_so_far or series.null_count() == len(series):
        return kinds_so_far
    if column_kinds.all_are(series, NUMBER):  # which are none of the others
        return [kind for kind in kinds_so_far if kind == NUMBER]
    return [kind for kind in kinds_so_far if kind != NUMBER and column_kinds.all_are(series, kind)]


@dataclass
class TableStatistics:
    """All columns of a table, and a sample of the numbers in the training rows.

    Parts are numbered from 0, the training rows; a row of no part has a negative number. A lenient
    survey accepts text in columns that a user gave as numbers, as it may be translated to numbers.
    """

    target: str
    given: dict[str, str]
    n_parts: int
    generator: np.random.Generator
    lenient: bool = False
    translated: TranslatedColumns = of_columns.NOT_TRANSLATED
    columns: dict[str, ColumnStatistics] = field(default_factory=dict)
    rows_of_parts: list[int] = field(default_factory=list)
    sample: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    _keys: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def add(self, batch: Batch, parts: NDArray[np.int8]) -> None:
        """Add a batch, and the part of each of its rows."""
        frame = batch.frame
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
                )
                for series in frame
            }
            self.rows_of_parts = [0] * self.n_parts
        for part in range(self.n_parts):
            self.rows_of_parts[part] += int((parts == part).sum())
        numbers = {}
        for name, column_statistics in self.columns.items():
            words = batch.words.get(name, {})
            found = column_statistics.add(frame[name], parts, batch.first_row, words)
            if found is not None:
                numbers[name] = found
        self._keep_sample(numbers, parts == 0)

    def chosen(self) -> Columns:
        """Which columns are learnt from."""
        found = Columns([], [])
        for name, column_statistics in self.columns.items():
            if name != self.target:
                column, is_used = column_statistics.chosen()
                (found.used if is_used else found.left_out).append(column)
        found = of_columns.without_orphans(found, self.translated)
        of_columns.refuse_nothing_to_learn_from(found, self.target)
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
