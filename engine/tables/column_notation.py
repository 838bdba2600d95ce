"""How the columns of a table are written: all values of a column decide, or the user does.

A column of plain numbers, as programs write them, needs no decision. A column of dates, or of
numbers written for people, is read if there is one way to read it. If there are two, and they give
different numbers, the table is refused with the option that decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import polars as pl

from engine.boundary import remedies
from engine.tables import column_kinds, dates, number_notation, translation
from engine.tables import columns as of_columns
from engine.tables.column_kinds import BOOLEAN, CATEGORY, DATE, NUMBER, kind_of_type, present
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
from engine.tables.messages import quoted
from engine.tables.target import CLASSIFICATION, refuse_what_is_no_target
from engine.tables.translation import PART, Reading, Translation

SHORTEST_CODE = 3  # digits: those of all values, if these are codes and not numbers
MOST_STRAYS = 4  # words among numbers that no level of a category is learnt from


class TableNotation(NamedTuple):
    """How a table is written, as decided by all of its rows.

    Attributes
    ----------
    translation : Translation or None
        Turns the table into numbers and categories; None if it needs no translation.
    kinds : dict of str to str
        The kinds of the columns that the user gave, or that are translated or left out.
    translated : TranslatedColumns
        How the table writes the translated columns, and which columns are made of dates.
    notes : list of str
        Remarks on the target.
    remarks : dict of str to str
        Remarks on columns that are used.
    reasons : dict of str to str
        Why columns are left out.
    doubts : dict of str to Reason
        What a user may want to mend in other columns, and whether it changes what is learnt.
    """

    translation: Translation | None
    kinds: dict[str, str]
    translated: TranslatedColumns
    notes: list[str]
    remarks: dict[str, str]
    reasons: dict[str, str]
    doubts: dict[str, Reason]

    def translate(
        self, frame: pl.DataFrame, target: str | None, first_row: int | None = None
    ) -> pl.DataFrame:
        """The translated table; the same table if it needs no translation."""
        if self.translation is None:
            return frame
        return self.translation.with_target(frame, target, first_row)

    def with_notes(self, found: Columns) -> Columns:
        """The columns with the remarks, and the reasons for leaving them out, as their notes."""
        kinds, parts = {}, set()
        if self.translation is not None:
            kinds = {name: stored["kind"] for name, stored in self.translation.readings.items()}
            parts = {*self.translated.source_of}
        used = [
            replace(
                column,
                note="; ".join(filter(None, (column.note, self._remark(column.name)))),
                reading=PART
                if column.name in parts
                else kinds.get(column.name, "").replace(translation.TEXT, ""),
            )
            for column in found.used
        ]
        reasons = {**self.reasons}
        for column in found.left_out:  # a text that is almost all distinct, by its doubt
            if column.kind == CATEGORY and column.name in self.doubts:
                reasons.setdefault(column.name, self.doubts[column.name].words)
        left_out = [
            replace(column, note=reasons.get(column.name, column.note))
            for column in found.left_out
            if column.name not in parts
        ]
        doubts = {**found.doubts, **dict.fromkeys(reasons, True)}
        of_used = {column.name: self.doubts.get(column.name) for column in used}
        doubts |= {name: doubt.to_mend for name, doubt in of_used.items() if doubt is not None}
        return Columns(used, left_out, doubts)

    def _remark(self, name: str) -> str:
        """The remark on a column that is used."""
        return self.doubts[name].words if name in self.doubts else self.remarks.get(name, "")

    def step_of_model(self, columns: list[Column]) -> Translation | None:
        """The translation of the model's columns; None if none of them needs one."""
        if self.translation is None:
            return None
        taken = [column.name for column in columns if column.reading != PART]
        of_all = self.translation.readings
        readings = {name: of_all[name] for name in taken if name in of_all}
        if not readings and self.translation.target is None:
            return None
        made = {column.name for column in columns if column.reading == PART}
        for name in [*readings]:  # a part of a date that does not vary is left out
            readings[name] = _with_parts(name, readings[name], made)
        return Translation(readings, self.translation.target).of_columns(taken)


class Refused(NamedTuple):
    """Why a column cannot be read as what it seems to hold.

    If `is_error`, the table is refused; if not, the column is left out.
    """

    reason: str
    is_error: bool = False


@dataclass
class NotationSurvey:
    """Looks at a table, batch by batch, to decide how its columns are written.

    Parameters
    ----------
    target : str or None
    given : mapping of str to str
        The kinds of some columns, as the user gave them.
    task : str, optional
        As the user gave it.
    decimal : "comma" or "point", optional
        Decides if all numbers of a column fit both.
    order : "day-first" or "month-first", optional
        Decides if all dates of a column fit both.
    """

    target: str | None
    given: Mapping[str, str]
    task: str | None = None
    decimal: str | None = None
    order: str | None = None
    _columns: dict[str, "_ColumnNotation"] = field(default_factory=dict)
    _names: list[str] = field(default_factory=list)

    def add(self, frame: pl.DataFrame) -> None:
        """Look at more rows."""
        self._names = frame.columns
        for series in frame:
            if self._is_looked_at(series):
                column = self._columns.setdefault(series.name, _ColumnNotation(series.dtype))
                column.add(series)

    def notation(self) -> TableNotation:
        """How the table is written; ValueError, with the option that decides, if it is unclear."""
        readings: dict[str, Reading] = {}
        reasons: dict[str, str] = {}
        remarks: dict[str, str] = {}
        doubts: dict[str, Reason] = {}
        for name, column in self._columns.items():
            found = self._found(name, column)
            if isinstance(found, Refused):
                if name == self.target or found.is_error:
                    raise ValueError(f"{self._called(name)} {found.reason}.")
                reasons[name] = found.reason
            elif found is not None:
                readings[name] = found
                remarks[name] = column.in_words(found)
            elif name != self.target:
                if remark := column.remark():
                    remarks[name] = remark
                if name not in self.given and (doubt := column.doubt(name)):
                    doubts[name] = doubt
        self._refuse_doubtful(readings)
        return self._table(readings, reasons, remarks, doubts)

    def _table(
        self,
        readings: dict[str, Reading],
        reasons: dict[str, str],
        remarks: dict[str, str],
        doubts: dict[str, Reason],
    ) -> TableNotation:
        kinds = {name: kind for name, kind in self.given.items() if kind != DATE}
        kinds |= dict.fromkeys(reasons, OUT)
        of_target, notes = None, []
        if self.target is not None and self.target in readings:
            of_target = readings.pop(self.target)
            notes.append(f"The target {self.target!r} holds {remarks.pop(self.target)}.")
        for name, reading in readings.items():
            kinds[name] = CATEGORY if isinstance(reading, str) else NUMBER
        step = None
        if readings or of_target is not None:
            stored = {name: translation.stored_form(one) for name, one in readings.items()}
            target = None if of_target is None else translation.stored_form(of_target)
            step = Translation(stored, target)
            self._refuse_taken_names(step)
        source_of = {} if step is None else step.source_of()
        written = {
            name: OriginalNotation(
                self._columns[name].example,
                is_given=name in self.given,
                dated=reading.in_words if isinstance(reading, dates.DateReading) else "",
            )
            for name, reading in readings.items()
            if not isinstance(reading, str)
        }
        return TableNotation(
            step, kinds, TranslatedColumns(written, source_of), notes, remarks, reasons, doubts
        )

    def _refuse_taken_names(self, step: Translation) -> None:
        taken = sorted(step.source_of().keys() & {*self._names})
        if taken:
            raise ValueError(
                f"The table has columns called {quoted(taken)}, which would be made of a date; "
                "rename them."
            )

    def _is_looked_at(self, series: pl.Series) -> bool:
        given, kind = self.given.get(series.name), kind_of_type(series.dtype)
        if given == DATE and kind not in (DATE, CATEGORY) and series.null_count() < len(series):
            raise ValueError(
                f"Column {series.name!r} must hold dates; came {series.dtype}. Write them as dates "
                "in the table."
            )
        if series.name == self.target and self.task == CLASSIFICATION:
            return False
        if given == CATEGORY:
            return kind == DATE
        return kind in (DATE, CATEGORY) and given not in (OUT, BOOLEAN)

    def _called(self, name: str) -> str:
        return f"The target {name!r}" if name == self.target else f"Column {name!r}"

    def _found(self, name: str, column: "_ColumnNotation") -> Reading | Refused | None:
        given = self.given.get(name)
        if not column.n_present:
            return None
        if kind_of_type(column.dtype) == DATE:
            if name == self.target:
                return None  # the target is refused later, as a date
            return (
                translation.TEXT
                if given == CATEGORY
                else column.as_dates.reading(column.dtype, self.order)
            )
        if given != DATE:
            found = self._as_numbers(name, column, given)
            if found is not None or column.as_numbers.plain or given == NUMBER:
                return found
        return self._as_dates(name, column, given) or self._as_odd(name, column)

    def _as_numbers(
        self, name: str, column: "_ColumnNotation", given: str | None
    ) -> Reading | Refused | None:
        numbers = column.as_numbers
        if numbers.plain:
            reads_commas = numbers.ambiguous and self.decimal == number_notation.COMMA
            return number_notation.NumberReading(number_notation.COMMA) if reads_commas else None
        if numbers.n_either == column.n_present:
            if numbers.mixed:
                advice = "write them all alike"
                if name != self.target:
                    advice += f" ({remedies.OVERRULE(name, CATEGORY)})"
                return Refused(f"{numbers.mixed}: {advice}", is_error=given == NUMBER)
            if numbers.ambiguous and self.decimal is None:
                return Refused(_which_decimal(numbers.examples[""]), is_error=True)
            return number_notation.NumberReading(numbers.decimal(self.decimal), numbers.mark)
        if given == NUMBER:  # the reading will name the value that is no number
            return number_notation.NumberReading(numbers.decimal(self.decimal), numbers.mark)
        if numbers.n_either >= ALMOST_ALL * column.n_present and len(numbers.distinct) > FEW:
            others = list(numbers.others)
            return Refused(of_columns.almost_numbers(name, others, name == self.target))
        return None

    def _as_dates(
        self, name: str, column: "_ColumnNotation", given: str | None
    ) -> Reading | Refused | None:
        found = column.as_dates
        if found.n_present == column.n_present == found.n_of_kind:
            if name == self.target:
                refuse_what_is_no_target(name, DATE, {})
            if found.ambiguous and found.n_dates and self.order is None:
                return Refused(
                    f"holds dates such as {found.examples['two']!r}, in which the day or the month "
                    f"comes first. {remedies.WHICH_ORDER()}",
                    is_error=True,
                )
            return found.reading(column.dtype, self.order)
        if given == DATE:
            return found.reading(column.dtype, self.order)
        if found.n_present < column.n_present:
            return None
        if found.mixed:
            return Refused(
                f"holds dates of which some have the day and some the month first, such as "
                f"{found.examples['two']!r}: write them all alike"
                if "two" in found.examples
                else "holds dates of which some have the day and some the month first: write them "
                "all alike"
            )
        almost = max(found.n_dates, found.n_times) >= ALMOST_ALL * column.n_present
        if almost and len(found.distinct) > FEW and found.others:
            others = list(found.others)
            return Refused(
                f"holds dates, but also {quoted(others)}: mend that, or, if it stands for a "
                f"missing value, {remedies.COUNT_AS_MISSING(others[0])}"
            )
        return None

    def _as_odd(self, name: str, column: "_ColumnNotation") -> Refused | None:
        """Refuse numbers with units, and dates with short years, if there are too many."""
        if not column.odd or (len(column.distinct) <= FEW and name != self.target):
            return None
        return Refused(f"{column.remark()}{of_columns.or_as_they_are(name, name == self.target)}")

    def _refuse_doubtful(self, readings: Mapping[str, Reading]) -> None:
        """ValueError for a plain 1.234 beside a column with decimal commas: it may be 1234."""
        commas = [
            name
            for name, reading in readings.items()
            if isinstance(reading, number_notation.NumberReading)
            and self._columns[name].as_numbers.comma_only
        ]
        if self.decimal is not None or not commas:
            return
        for name, column in self._columns.items():
            if name not in readings and column.as_numbers.plain and column.as_numbers.ambiguous:
                doubt = _which_decimal(column.as_numbers.examples[""])
                raise ValueError(f"Column {commas[0]!r} has decimal commas, and {name!r} {doubt}.")


@dataclass
class _ColumnNotation:
    """How a column is written, by the values seen so far."""

    dtype: pl.DataType
    n_present: int = 0
    as_numbers: number_notation.NumberSurvey = field(default_factory=number_notation.NumberSurvey)
    as_dates: dates.DateSurvey = field(default_factory=dates.DateSurvey)
    distinct: set[str] = field(default_factory=set)
    _units: set[str] | None = field(default_factory=set)  # None if some values have none
    _short: bool = True
    _example: str = ""

    def add(self, series: pl.Series) -> None:
        """Look at more values."""
        values = present(series)
        if not len(values):
            return
        self.n_present += len(values)
        if kind_of_type(self.dtype) == DATE:
            self.as_dates.add(values)
            return
        texts = values.cast(pl.String)
        if not column_kinds.have_digits(texts):
            self.as_numbers.add_no_numbers(len(texts))
            self.as_dates.add_no_dates(len(texts))
            self._units, self._short = None, False
            return
        self.as_numbers.add(texts)
        if self.as_numbers.plain:
            self._units, self._short = None, False
            return
        self.as_dates.add(texts)
        if self._units is not None:
            self._units = number_notation.units_of(texts, self._units)
        self._short = self._short and dates.two_digits(texts)
        if self.odd:
            self._example = self._example or texts[0]
            if len(self.distinct) <= FEW:
                self.distinct.update(texts.unique().head(FEW + 1).to_list())

    @property
    def odd(self) -> bool:
        """Whether it holds numbers with units, or dates with short years, which are not read."""
        is_one_unit = self._units is not None and len(self._units) == 1
        return self.n_present > 0 and (is_one_unit or self._short)

    @property
    def example(self) -> str:
        """One of the values."""
        numbers, dates = self.as_numbers.examples, self.as_dates.examples
        return numbers.get("any") or numbers.get("") or dates.get("any", "")

    def remark(self) -> str:
        """A remark on a column that is taken for text."""
        if not self.odd or kind_of_type(self.dtype) == DATE or self.as_numbers.plain:
            return ""
        if not self._short:
            return (
                f"holds numbers with a unit, such as {self._example!r}: write the numbers alone to "
                "have them as such"
            )
        return (
            f"holds dates with years of two digits, such as {self._example!r}: write years of four "
            "digits to have them as dates"
        )

    def doubt(self, name: str) -> Reason | None:
        """What a user may want to mend in a column of text that is not read in any way."""
        numbers = self.as_numbers
        if self.dtype != pl.String:
            return None
        if numbers.plain:
            zeros = numbers.examples.get("zeros")
            is_code = numbers.shortest == numbers.longest >= SHORTEST_CODE
            return Reason(of_columns.leading_zeros(name, zeros), is_code) if zeros else None
        n_others = self.n_present - numbers.n_either
        if numbers.others and n_others <= numbers.n_either:
            changes_much = n_others <= MOST_STRAYS or len(numbers.distinct) > FEW
            return Reason(of_columns.almost_numbers(name, list(numbers.others)), changes_much)
        units = sorted(self._units or ())
        if len(units) > 1 and max(map(len, units)) > 1:  # else codes such as 12a and 12b
            return Reason(of_columns.several_units(name, units), to_mend=False)
        return None

    def in_words(self, reading: Reading) -> str:
        """A remark on how the column is read, with an example."""
        if isinstance(reading, number_notation.NumberReading):
            value = number_notation.numbers(pl.Series([self.example]), reading)[0]
            said = f": {self.example!r} is {value:.12g}" if value is not None else ""
            return f"{reading.in_words}{said}"
        if isinstance(reading, str):
            return ""
        parts = "".join(f", {part}" for part in reading.parts)
        order = ""
        if self.as_dates.n_of_order[dates.DAY_FIRST] != self.as_dates.n_of_order[
            dates.MONTH_FIRST
        ] or (self.as_dates.differ):
            order = f", the {reading.order.replace('-', ' ')}"
        return f"{reading.in_words}, such as {self.example!r}{order}: {reading.unit}{parts}"


def _which_decimal(example: str) -> str:
    """A message that a number fits both readings, and which option decides."""
    text = pl.Series([example])
    comma, point = (
        number_notation.numbers(
            text, number_notation.NumberReading(decimal, number_notation.mark_of(example))
        )[0]
        for decimal in number_notation.DECIMALS
    )
    return (
        f"holds numbers such as {example!r}, which is {comma:.12g} or {point:.12g}. "
        f"{remedies.WHICH_DECIMAL()}"
    )


def _with_parts(name: str, stored: dict[str, object], made: set[str]) -> dict[str, object]:
    """A stored reading with only those parts of a date that the model uses."""
    reading = translation.reading_of(stored)
    if not isinstance(reading, dates.DateReading):
        return stored
    parts = tuple(
        part
        for part in reading.parts
        if made.intersection(dates.names_of_derived(name, reading._replace(parts=(part,))))
    )
    return translation.stored_form(reading._replace(parts=parts))
