"""Example rows of a pipeline, which may be a table of numbers and text, as JSON.

Numbers are written so that they are read back with the same bits: as Python's shortest decimal of a
float64, or of the float64 that equals a float32. NaN and infinity are written as {"float": "nan"}.
"""

import json
import math
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.model_files.safe_reading import parsed
from engine.model_files.stored_network import N_EXAMPLES, drawn_rows, spread_rows

ARRAY, PANDAS, POLARS = "array", "pandas", "polars"
KINDS = (
    *("float64", "float32", "int64", "int32", "int16", "int8"),
    *("uint64", "uint32", "uint16", "uint8", "bool", "text", "object"),
)
PROBABILITIES, PREDICTIONS = "predict_proba", "predict"
WIDEST = 32  # letters of a text in an array of texts, each of which takes as much as the longest


class TableExamples(NamedTuple):
    """Rows for a pipeline, and what it gave for them.

    Attributes
    ----------
    table : str
        Of what they were: "array", "pandas" or "polars".
    names : list of str
        Of the columns of a table; empty for an array.
    columns : list of ndarray (n_rows,)
    method : str
        Which method gave the outputs: "predict_proba" or "predict".
    outputs : ndarray (n_rows,) or (n_rows, n_outputs)
    drawn : bool
        Whether the rows are made up, and not the user's: of an array, standard normal numbers.
    """

    table: str
    names: list[str]
    columns: list[NDArray[Any]]
    method: str
    outputs: NDArray[Any]
    drawn: bool

    def rows(self) -> Any:
        """The rows as the pipeline takes them. ImportError where there is no library for tables."""
        if self.table == ARRAY:
            return np.column_stack(self.columns)
        return table_of(self.table, dict(zip(self.names, self.columns, strict=True)))


def examples_of(model: Any, X: Any, made_up: bool = False) -> TableExamples:
    """At most eight of the rows X, or rows drawn for it, and what the model gives for them.

    `made_up` says that the rows of X are made up too.
    Raises ValueError where the model gives nothing finite for them.
    """
    if X is None and hasattr(model, "made_up_rows"):  # an estimator of tables
        X, made_up = model.made_up_rows(), True
    drawn = X is None
    if drawn and hasattr(model, "feature_names_in_"):
        raise ValueError(
            "This model takes the columns of a table by name, so that rows cannot be drawn for it; "
            "pass some of its table: save(path, model, X=table). At most eight go into the file."
        )
    rows = drawn_rows(model.n_features_in_) if drawn else _some_rows(X)
    table, names, columns = _taken_apart(rows)
    method = PROBABILITIES if hasattr(model, PROBABILITIES) else PREDICTIONS
    examples = TableExamples(table, names, columns, method, np.empty(0), drawn or made_up)
    try:
        outputs = np.asarray(getattr(model, method)(examples.rows()))
    except (TypeError, ValueError) as error:
        if not drawn:
            raise
        raise ValueError(
            f"The model does not take rows of standard normal numbers ({error}). Pass rows that it "
            "does take: save(path, model, X=rows)."
        ) from error
    if outputs.dtype.kind not in "fiu" or not np.isfinite(outputs).all():
        raise ValueError(
            "The model gives NaN, infinity or text for the rows that it was to be tried on; pass "
            "rows like those that it was trained on: save(path, model, X=rows)."
        )
    return examples._replace(outputs=outputs)


def written(examples: TableExamples) -> bytes:
    """Those examples as JSON."""
    columns = [
        {"name": name, "kind": _kind_of(column), "values": [_plain(one) for one in column.tolist()]}
        for name, column in zip(
            examples.names or [""] * len(examples.columns), examples.columns, strict=True
        )
    ]
    value = {
        "table": examples.table,
        "drawn": examples.drawn,
        "columns": columns,
        "method": examples.method,
        "outputs": {
            "kind": examples.outputs.dtype.name,
            "values": [[_plain(one) for one in row] for row in _rows_of(examples.outputs)],
            "shape": list(examples.outputs.shape),
        },
    }
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def read(content: bytes) -> TableExamples:
    """Examples from JSON; ValueError, KeyError or TypeError where it makes none."""
    value = parsed(content)
    columns = [_array(column["kind"], column["values"]) for column in value["columns"]]
    names = [column["name"] for column in value["columns"]]
    outputs = value["outputs"]
    shape = tuple(outputs["shape"])
    found = _array(outputs["kind"], [one for row in outputs["values"] for one in row])
    examples = TableExamples(
        value["table"],
        [] if value["table"] == ARRAY else names,
        columns,
        value["method"],
        found.reshape(shape),
        value["drawn"] is True,
    )
    lengths = {len(column) for column in columns} | {len(examples.outputs)}
    if (
        examples.table not in (ARRAY, PANDAS, POLARS)
        or examples.method not in (PROBABILITIES, PREDICTIONS)
        or not all(isinstance(name, str) for name in names)
        or len(lengths) != 1
        or not 0 < len(examples.outputs) <= N_EXAMPLES
        or len(shape) not in (1, 2)
        or found.dtype.kind not in "fiu"
        or not np.isfinite(found).all()
    ):
        raise ValueError("the examples make no sense")
    return examples


def json_of_array(values: NDArray[Any]) -> dict[str, Any]:
    """An array (n,) of numbers, truth values or texts as JSON holds it."""
    return {"kind": _kind_of(values), "values": [_plain(one) for one in values.tolist()]}


def array_of_json(kind: str, values: Sequence[Any]) -> NDArray[Any]:
    """The array; ValueError or TypeError for what is none of that kind."""
    return _array(kind, values)


def table_of(library: str, columns: dict[str, NDArray[Any]]) -> Any:
    """A table of that library, or of the other one where only that is there."""
    there = [name for name in (library, PANDAS, POLARS) if find_spec(name) is not None]
    if not there:
        raise ImportError(
            "This model takes tables, and neither pandas nor polars is installed: "
            f"pip install {library}"
        )
    if there[0] == PANDAS:
        import pandas

        return pandas.DataFrame(columns)
    import polars

    return polars.DataFrame(
        {
            name: polars.Series(name, column.tolist()) if column.dtype == object else column
            for name, column in columns.items()
        }
    )


def _some_rows(X: Any) -> Any:
    """At most eight of the rows, evenly spread."""
    numbers = spread_rows(X.shape[0] if hasattr(X, "shape") else len(X))
    if hasattr(X, "tocsr"):
        return X.tocsr()[numbers].toarray()
    if hasattr(X, "iloc"):
        return X.iloc[numbers]
    if hasattr(X, "columns"):
        return X[numbers.tolist()]
    return np.asarray(X)[numbers]


def _taken_apart(rows: Any) -> tuple[str, list[str], list[NDArray[Any]]]:
    """Library, names and columns of rows."""
    if not hasattr(rows, "columns"):
        if rows.ndim != 2 or len(rows) == 0:
            raise ValueError(
                f"X must have shape (n_samples, n_features), a row for each sample; got shape "
                f"{rows.shape}."
            )
        return ARRAY, [], [_column(f"column {k}", rows[:, k]) for k in range(rows.shape[1])]
    library = PANDAS if hasattr(rows, "iloc") else POLARS
    names = [str(name) for name in rows.columns]
    return library, names, [_column(name, rows[name].to_numpy()) for name in rows.columns]


def _column(name: Any, values: Any) -> NDArray[Any]:
    column = np.asarray(values)
    if column.dtype.kind not in "biufUO":
        column = np.asarray(column, dtype=object)
    if column.dtype.kind == "O":
        # What stands for a missing text is None, or NaN.
        column = np.array([None if _is_missing(one) else one for one in column], dtype=object)
        strange = {type(one).__name__ for one in column if not _is_plain(one)}
        if strange:
            raise TypeError(
                f"X, {name!r}: values of type {', '.join(sorted(strange))} cannot go into a file "
                "as an example; pass numbers, texts, or True and False."
            )
    return column


def _is_missing(value: Any) -> bool:
    return type(value).__name__ in ("NAType", "NaTType")


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | bool | int | float | np.number | np.bool_)


def _kind_of(column: NDArray[Any]) -> str:
    names = {"U": "text", "O": "object"}
    return names.get(column.dtype.kind, column.dtype.name)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    return value


def _rows_of(outputs: NDArray[Any]) -> list[list[Any]]:
    rows: list[list[Any]] = outputs.reshape(len(outputs), -1).tolist()
    return rows


def _array(kind: str, values: Sequence[Any]) -> NDArray[Any]:
    if kind not in KINDS or not isinstance(values, list):
        raise ValueError(f"values of kind {kind!r:.40}")
    plain = [float(one["float"]) if isinstance(one, dict) else one for one in values]
    if any(isinstance(one, list) for one in plain):
        raise ValueError("a list among values")
    if kind in ("text", "object"):
        if kind == "text" and not all(isinstance(one, str) for one in plain):
            raise ValueError("a number among texts")
        if kind == "text" and max((len(str(one)) for one in plain), default=0) <= WIDEST:
            return np.array(plain, dtype=str)
        return np.array(plain, dtype=object)
    wanted = {"b": (bool,), "f": (int, float)}.get(np.dtype(kind).kind, (int,))
    if not all(type(one) in wanted for one in plain):
        raise ValueError(f"what is no {kind} among them")
    return np.array(plain, dtype=kind)
