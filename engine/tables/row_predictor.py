"""A fitted table estimator for one row at a time, in microseconds: what its `predictor()` gives."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.estimators.predictor import together
from engine.tables.row_values import RowValues
from engine.tables.table_encoding import TableEncoding


class RowPredictor:
    """Predictions for one row at a time.

    It is a copy of the fitted estimator: a later fit does not change it. Any number of threads may
    call it, and it can be pickled.
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = _as_it_is(estimator)
        self._encoding: TableEncoding = estimator.encoding_
        self._inputs = estimator.inputs_
        self._members = [member.predictor() for member in estimator.members_]
        self._names = self._encoding.sources
        self._values = RowValues(self._encoding)
        # All networks have the same inputs; but one may know fewer classes than the others.
        n_classes = {len(getattr(one, "classes_", ())) for one in (estimator, *estimator.members_)}
        self._together = together(self._members) if len(n_classes) == 1 else None

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
        except (IndexError, TypeError):
            raise TypeError(
                "A row must be a dict, from names of columns to values; got one of type "
                f"{type(row).__name__}."
            ) from None
        numbers = self._values(values)
        if numbers is None:
            if hasattr(row, "columns"):
                raise TypeError(
                    "A row must be a dict, from names of columns to values; got a frame. "
                    "`estimator.predict(frame)` takes all its rows at once."
                )
            columns = {name: [value] for name, value in zip(self._names, values, strict=True)}
            matrix = self._encoding.encode(columns)
        else:
            matrix = np.array([numbers], np.float64)
        inputs: NDArray[np.float32] = self._inputs.of(matrix)[0]
        return inputs

    def _averaged(self, row: Mapping[str, Any]) -> NDArray[np.float64]:
        inputs = self._inputs_of(row)
        if self._together is None:
            found = [
                self._estimator._output_of_row(member, predictor, inputs)
                for member, predictor in zip(self._estimator.members_, self._members, strict=True)
            ]
        else:
            found = self._members[0].of_outputs(self._together(inputs)).astype(np.float64)
        total: Any = 0.0
        for output in found:
            total = total + output
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


def _as_it_is(estimator: Any) -> Any:
    """A copy that shares what the fit has found: a later fit puts other objects in its place."""
    copied = object.__new__(type(estimator))
    vars(copied).update(vars(estimator))
    return copied
