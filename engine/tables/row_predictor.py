"""A fitted table estimator for one row at a time, in microseconds: what its `predictor()` gives."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.tables.column_kinds import BOOLEAN, CATEGORY, TRUE_AND_FALSE, WHOLE
from engine.tables.table_encoding import EncodedColumn, TableEncoding

WHOLE_NUMBER = re.compile(WHOLE)


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
        self._readers: list[Callable[[Any], float]] | None = None
        if self._encoding.translation is None:
            self._readers = [reader_of(column) for column in self._encoding.columns]
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
        if self._readers is None:  # dates, and numbers written for people
            columns = {name: [row[name]] for name in self._encoding.sources}
            matrix = self._encoding.encode(columns)
        else:
            numbers = [read(value) for read, value in zip(self._readers, values, strict=True)]
            matrix = np.array([numbers])
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


def reader_of(column: EncodedColumn) -> Callable[[Any], float]:
    """The function that encodes one value of a column."""
    if column.role == CATEGORY:
        return Levels(column)
    return _true_or_false if column.role == BOOLEAN else Number(column.source)


class Number:
    """A value as a number; NaN for a missing one."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, value: Any) -> float:
        if value is None:
            return math.nan
        try:
            number = float(value)
        except (TypeError, ValueError):
            if type(value).__name__ == "NAType":
                return math.nan
            raise ValueError(
                f"Column {self._name!r} must be a number, or None if it is not known; got "
                f"{value!r}."
            ) from None
        if math.isinf(number):
            raise ValueError(f"Column {self._name!r} must be finite; got {value!r}.")
        return number


class Levels:
    """The code of a category."""

    def __init__(self, column: EncodedColumn) -> None:
        self._codes = {text: float(code) for code, text in enumerate(column.known, start=1)}
        self._missing = float(column.n_levels - 1 if column.had_missing else 0)

    def __call__(self, value: Any) -> float:
        if value is None or value != value:  # NaN
            return self._missing
        if isinstance(value, bool | np.bool_):
            value = str(bool(value)).lower()
        elif isinstance(value, float | np.floating):
            number = float(value)
            value = int(number) if number.is_integer() and abs(number) < 2**53 else number
        text = str(value).strip()
        return self._codes.get(text) or self._codes.get(WHOLE_NUMBER.sub(r"\1\2", text), 0.0)


def _true_or_false(value: Any) -> float:
    if isinstance(value, str):
        found = TRUE_AND_FALSE.get(value.strip().lower())
        if found is None:
            raise ValueError(f"true or false was expected; got {value!r}.")
        return float(found)
    return math.nan if value is None or value != value else float(bool(value))
