"""A fitted table estimator for one row at a time, in microseconds: what its `predictor()` gives."""

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.tables.column_kinds import (
    BOOLEAN,
    CATEGORY,
    DIGITS,
    LARGEST,
    TRUE_AND_FALSE,
    WHOLE,
)
from engine.tables.table_encoding import EncodedColumn, TableEncoding

WHOLE_NUMBER = re.compile(WHOLE)
NO_CATEGORY = re.compile(DIGITS)


class RowPredictor:
    """Predictions for one row at a time.

    It is a copy of the fitted estimator: a later fit does not change it. Any number of threads may
    call it, and it can be pickled.
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._encoding: TableEncoding = estimator.encoding_
        self._inputs = estimator.inputs_
        self._members = [member.predictor() for member in estimator.members_]
        self._readers: list[Callable[[Any], float | None]] | None = None
        if self._encoding.translation is None:
            missing = self._encoding.missing
            self._readers = [reader_of(column, missing) for column in self._encoding.columns]
        self._names = [column.source for column in self._encoding.columns]

    def __repr__(self) -> str:
        return f"<RowPredictor of a {type(self._estimator).__name__}>"

    def _inputs_of(self, row: Mapping[str, Any]) -> NDArray[np.float32]:
        """The row as networks take it."""
        try:
            values = [row[name] for name in self._names]
        except KeyError as error:
            raise ValueError(
                f"The row lacks {error.args[0]!r}, a column that training had. Add it, with None "
                "if its value is not known."
            ) from None
        except TypeError:
            raise TypeError(
                "A row must be a dict, from names of columns to values; got a "
                f"{type(row).__name__}."
            ) from None
        numbers: list[float | None] = [None]  # dates, and numbers written for people
        if self._readers is not None:
            numbers = [read(value) for read, value in zip(self._readers, values, strict=True)]
        if None in numbers:
            columns = {name: [row[name]] for name in self._encoding.sources}
            matrix = self._encoding.encode(columns)
        else:
            matrix = np.array([numbers], np.float64)
        inputs: NDArray[np.float32] = self._inputs.of(matrix)[0]
        return inputs

    def _averaged(self, row: Mapping[str, Any]) -> NDArray[np.float64]:
        estimator, inputs = self._estimator, self._inputs_of(row)
        total: Any = 0.0
        for member, predictor in zip(estimator.members_, self._members, strict=True):
            total = total + estimator._output_of_row(member, predictor, inputs)
        mean: NDArray[np.float64] = total / len(self._members)
        return mean

    def predict(self, row: Mapping[str, Any]) -> Any:
        """The prediction for a row, a dict from names of columns to values.

        None, NaN and absent texts are missing values. A class, a number, or (n_levels,) of several
        quantiles: the bits of ``estimator.predict`` for a table of this row.
        """
        return self._estimator._from_average(self._averaged(row)[np.newaxis])[0]

    def predict_proba(self, row: Mapping[str, Any]) -> NDArray[np.float64]:
        """The probability of each class, in the order of ``estimator.classes_``."""
        found: NDArray[np.float64] = self._estimator._probabilities(
            self._averaged(row)[np.newaxis]
        )[0]
        return found


def reader_of(
    column: EncodedColumn, missing: Collection[str] = ()
) -> Callable[[Any], float | None]:
    """The function that encodes one value of a column.

    None of a value of an unusual kind: a table decides what it is.
    """
    if column.role == CATEGORY:
        return Levels(column, missing)
    return _true_or_false if column.role == BOOLEAN else _number


def _number(value: Any) -> float | None:
    """A value as a number; NaN for a missing one."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, float | int | np.floating | np.integer):
        return None
    if isinstance(value, int | np.integer) and abs(int(value)) >= 2**63:
        return None
    number = float(value)
    return number if abs(number) <= LARGEST or math.isnan(number) else None


class Levels:
    """The code of a category."""

    def __init__(self, column: EncodedColumn, missing: Collection[str] = ()) -> None:
        self._codes = {text: float(code) for code, text in enumerate(column.known, start=1)}
        self._missing = float(column.n_levels - 1 if column.had_missing else 0)
        self._words = {*missing}

    def __call__(self, value: Any) -> float | None:
        if value is None:
            return self._missing
        if isinstance(value, str):
            return self._of_text(value.strip())
        if isinstance(value, bool | np.bool_):
            value = str(bool(value)).lower()
        elif isinstance(value, float):
            if value != value:
                return self._missing
            number = float(value)
            value = int(number) if number.is_integer() and abs(number) < 2**53 else number
        elif not isinstance(value, int | np.integer):
            return None
        return self._codes.get(str(value))

    def _of_text(self, text: str) -> float | None:
        if text in self._words:
            return self._missing
        found = self._codes.get(text) or self._codes.get(WHOLE_NUMBER.sub(r"\1\2", text))
        # A new category is rare, but a table may refuse what is no category at all.
        looks_odd = NO_CATEGORY.search(text) or text.lower() in TRUE_AND_FALSE
        return found or (None if looks_odd else 0.0)


def _true_or_false(value: Any) -> float | None:
    if isinstance(value, str):
        found = TRUE_AND_FALSE.get(value.strip().lower())
        return None if found is None else float(found)
    if value is None:
        return math.nan
    if isinstance(value, bool | np.bool_ | float | int | np.floating | np.integer):
        return float(value) if value in (0, 1) else math.nan if value != value else None
    return None
