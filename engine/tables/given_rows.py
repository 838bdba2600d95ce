"""What users give for each row of a table, and the table itself if it is an array: checked."""

import os
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse
from numpy.typing import NDArray
from sklearn.utils import column_or_1d

from engine.tables.given_tables import of_values
from engine.tables.messages import named_column


def has_names(X: Any) -> bool:
    """Whether its columns have names of their own."""
    return hasattr(X, "columns") or isinstance(X, dict | str | os.PathLike)


def named_columns(X: Any) -> Any:
    """An array, or what can be made one, as a table with names for its columns; else X itself."""
    if scipy.sparse.issparse(X):
        raise TypeError(
            "Sparse data was passed for X, but dense data is required: a table has a value, or "
            "none, in each place. Pass X.toarray()."
        )
    if has_names(X):
        return X
    if hasattr(X, "to_frame") and hasattr(X, "index"):
        raise ValueError(
            "X must be a table: rows and columns. Got a Series. Reshape your data: "
            "frame.iloc[[0]] is a table of one row, series.to_frame() one of one column."
        )
    X = X if np.ma.isMaskedArray(X) else np.asarray(X)
    if X.ndim != 2:
        raise ValueError(
            f"X must be a table: rows and columns. Got an array of {X.ndim} dimension"
            f"{'s' * (X.ndim != 1)}. Reshape your data: X.reshape(-1, 1) is one column, "
            "X.reshape(1, -1) one row."
        )
    if X.dtype.kind == "c":
        raise ValueError("Complex data not supported: pass real numbers.")
    if X.shape[1] == 0:
        raise ValueError(f"0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")
    return {f"x{k}": X[:, k] for k in range(X.shape[1])}


def one_for_each_row(argument: str, y: Any, n_rows: int, of_table: str = "X") -> NDArray[Any]:
    """y as an array (n_rows,)."""
    if isinstance(y, str):
        raise TypeError(
            f"{argument} must have one entry for each of the {n_rows:,} rows of {of_table}; got "
            f"the text {y!r}. Pass the values of that column; `fit` takes its name as target={y!r}."
        )
    found: NDArray[Any] = np.asarray(y)
    if found.ndim == 2 and found.shape[1] == 1:
        found = column_or_1d(found, warn=True)
    if found.shape != (n_rows,):
        raise ValueError(
            f"{argument} must have one entry for each of the {n_rows:,} rows of {of_table}; got "
            f"shape {found.shape}."
        )
    return found


def rows_of(frame: pl.DataFrame, which: NDArray[np.bool_]) -> pl.DataFrame:
    """Some rows of a frame; the frame itself if these are all."""
    return frame if which.all() else frame.filter(which)


def of_rows(argument: str, given: Any, frame: pl.DataFrame, known: NDArray[np.bool_]) -> pl.Series:
    """A value for each row of the frame: its column, or what came for each row of the table."""
    if isinstance(given, str):
        return frame[named_column(given, frame.columns, argument)]
    n_rows = len(known)
    if np.shape(given) != (n_rows,):
        raise ValueError(
            f"{argument} must have one entry for each of the {n_rows:,} rows; got shape "
            f"{np.shape(given)}."
        )
    values = of_values(argument, given)
    values = values.fill_nan(None) if values.dtype.is_float() else values
    return values.filter(pl.Series(known))


def numbers_of_groups(values: pl.Series) -> NDArray[np.int64]:
    """The number of each row's group; rows without one are a group together."""
    if values.null_count() == len(values):
        raise ValueError(
            "groups has no value in any row: pass the group of each row, or leave groups out."
        )
    texts = [str(one) for one in values] if values.dtype == pl.Object else values
    texts = pl.Series(texts).cast(pl.String).fill_null("")
    numbers: NDArray[np.int64] = np.unique(texts.to_numpy(), return_inverse=True)[1]
    return numbers
