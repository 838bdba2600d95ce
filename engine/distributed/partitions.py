"""Dask's collections as lists of partitions: their rows, and what each worker sees in its own."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from dask.base import is_dask_collection
from dask.delayed import Delayed
from numpy.typing import NDArray
from sklearn.utils import check_array

from engine.boundary.dates import refuse_dates
from engine.estimators.input_validation import FLOATS

ADVICE = {
    "X": "pass a dask array or dataframe, such as da.from_array(X, chunks=(100_000, -1))",
    "y": "pass a dask array, series or dataframe, such as da.from_array(y, chunks=100_000)",
    "sample_weight": "pass a dask array or series, such as da.from_array(w, chunks=100_000)",
}

SHAPES = {  # by the number of dimensions that there may be
    "X": {2: "(n_samples, n_features)"},
    "y": {1: "(n_samples,)", 2: "(n_samples, n_outputs)"},
    "sample_weight": {1: "(n_samples,)"},
}


class Collection(NamedTuple):
    """A collection of rows.

    Attributes
    ----------
    name : str
        What messages call it.
    parts : list of Delayed
        Arrays, or frames of pandas, one after the other.
    lengths : list of int, or None
        Rows of each part, where they are known before anything is computed.
    like : ndarray or DataFrame or Series
        An empty example with the same type, columns and dtypes.
    """

    name: str
    parts: list[Delayed]
    lengths: list[int] | None
    like: Any


class Piece(NamedTuple):
    """Rows first ... last - 1 of a part."""

    part: int
    first: int
    last: int


def collection_of(name: str, rows: Any) -> Collection:
    """Take a dask collection apart; nothing is computed."""
    is_table = hasattr(rows, "npartitions") and hasattr(rows, "divisions")
    if not (
        is_dask_collection(rows)
        and hasattr(rows, "_meta")
        and (is_table or hasattr(rows, "numblocks"))
    ):
        came = "None" if rows is None else f"a {type(rows).__name__}"
        raise TypeError(f"{name} is {came}; {ADVICE[name]}.")
    if rows.ndim not in SHAPES[name]:
        raise ValueError(
            f"{name} has {rows.ndim} dimension{'s' * (rows.ndim != 1)}; expected shape "
            f"{' or '.join(SHAPES[name].values())}."
        )
    if is_table:
        return Collection(name, list(rows.to_delayed()), None, rows._meta)
    if scipy.sparse.issparse(rows._meta) or type(rows._meta).__module__.startswith("sparse"):
        raise TypeError(
            f"{name} has sparse blocks ({type(rows._meta).__name__}), which are not supported on "
            "Dask; make them dense, with map_blocks(lambda block: block.toarray()), or fit here."
        )
    if rows.ndim == 2 and rows.numblocks[1] > 1:
        rows = rows.rechunk({1: -1})  # the columns of a row belong together
    known = not any(np.isnan(length) for length in rows.chunks[0])
    n_columns = tuple(0 if np.isnan(width) else int(width) for width in rows.shape[1:])
    return Collection(
        name,
        list(rows.to_delayed().ravel()),
        [int(length) for length in rows.chunks[0]] if known else None,
        np.empty((0, *n_columns), rows.dtype),
    )


def pieces_of(lengths: Sequence[int], first: int, last: int) -> list[Piece]:
    """The pieces of parts that make up rows first ... last - 1 of the whole.

    >>> pieces_of([3, 0, 5], 2, 6)
    [Piece(part=0, first=2, last=3), Piece(part=2, first=0, last=3)]
    """
    found, start = [], 0
    for part, length in enumerate(lengths):
        a, b = max(first, start), min(last, start + length)
        if a < b:
            found.append(Piece(part, a - start, b - start))
        start += length
    return found


def cut(part: Any, first: int, last: int) -> Any:
    """Those rows of a part; a view, not a copy, of an array."""
    return part.iloc[first:last] if hasattr(part, "iloc") else part[first:last]


def joined(pieces: Sequence[Any]) -> Any:
    """The arrays concatenated; a single array is not copied."""
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


# The summary of each part, made by the worker that holds it, and that of all parts.

# Distinct targets to keep of a part whose targets are not labels: enough to detect that.
FEW = 10


class PartitionSummary(NamedTuple):
    """The summary of a part.

    Attributes
    ----------
    n_rows : int
    shape : tuple of int
        Of a row: () or (n_columns,).
    dtype : dtype
    bad : tuple of int, or None
        The position of the first invalid entry (not finite, or a negative weight), and its value
        as text.
    values : ndarray
        Distinct labels; or the smallest and the largest of other targets, or of weights.
    """

    n_rows: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    bad: tuple[tuple[int, ...], str] | None
    values: NDArray[Any]


def inputs_array(part: Any) -> NDArray[Any]:
    """Rows of X as scikit-learn takes them: float32 stays, all else becomes float64."""
    refuse_dates("X", part)
    return checked(part, dtype=FLOATS, input_name="X")


def numbers_array(part: Any) -> NDArray[Any]:
    """A regressor's y."""
    refuse_dates("y", part)
    array = labels_array(part)
    return array.astype(np.float64) if array.dtype.kind == "O" else array


def labels_array(part: Any) -> NDArray[Any]:
    """A classifier's y."""
    return checked(part, dtype=None, ensure_2d=False, input_name="y")


def weights_array(part: Any) -> NDArray[Any]:
    """Weights, float64 or float32."""
    refuse_dates("sample_weight", part)
    return checked(
        part, dtype=[np.float64, np.float32], ensure_2d=False, input_name="sample_weight"
    )


def checked(part: Any, **asked: Any) -> NDArray[Any]:
    """A part after scikit-learn's checks, except for NaN and infinity (see `bad_place`)."""
    array: NDArray[Any] = check_array(
        part, ensure_all_finite=False, ensure_min_samples=0, ensure_min_features=0, **asked
    )
    return array


def summary_of(part: Any, kind: str) -> PartitionSummary:
    """The summary of a part of "X", "embedded X", "numbers", "labels" or "sample_weight"."""
    array = ARRAYS[kind](part)
    bad = None if kind == EMBEDDED else bad_place(array)
    if bad is None and kind == "sample_weight" and len(array) and array.min() < 0:
        bad = (int((array < 0).argmax()),), f"{array[array < 0][0]:g}"
    values = array[:0]
    if bad is None and kind not in ("X", EMBEDDED) and len(array):
        values = distinct(array) if kind == "labels" else extremes(array)
    return PartitionSummary(len(array), array.shape[1:], array.dtype, bad, values)


# X of a network with embeddings, which may hold NaN: each chunk is checked where it is built.
EMBEDDED = "embedded X"

ARRAYS = {
    "X": inputs_array,
    EMBEDDED: inputs_array,
    "numbers": numbers_array,
    "labels": labels_array,
    "sample_weight": weights_array,
}


def bad_place(array: NDArray[Any]) -> tuple[tuple[int, ...], str] | None:
    """The first entry that is NaN, infinite or missing."""
    if array.dtype.kind == "f":
        with np.errstate(all="ignore"):
            if np.isfinite(array.sum()):
                return None
        bad = ~np.isfinite(array)
    elif array.dtype.kind == "O":
        bad = np.frompyfunc(lambda entry: entry is None or not _is_itself(entry), 1, 1)(array)
        bad = bad.astype(bool)
    else:
        return None
    if not bad.any():
        return None
    place = tuple(int(index) for index in np.argwhere(bad)[0])
    return place, str(array[place])


def _is_itself(entry: Any) -> bool:
    """False for NaN, and for what pandas has in place of missing entries."""
    try:
        return bool(entry == entry)
    except TypeError:  # pandas.NA has no truth value
        return False


def distinct(array: NDArray[Any]) -> NDArray[Any]:
    """The distinct labels; of several columns, the distinct numbers, repeated in each column."""
    values = np.unique(array)
    if array.dtype.kind == "f":
        odd = values[values != np.floor(values)]
        if odd.size:  # no labels: a few show it
            values = odd[:FEW]
    if array.ndim == 1:
        return values
    return np.repeat(values[:, None], array.shape[1], axis=1)


def extremes(array: NDArray[Any]) -> NDArray[Any]:
    """The smallest and the largest entry of each column, in two rows."""
    return np.stack([array.min(axis=0), array.max(axis=0)])


def whole_summary(name: str, summaries: Sequence[PartitionSummary]) -> PartitionSummary:
    """The summary of all parts. Raises for parts that do not fit each other, and for NaN."""
    start = 0
    shapes = {summary.shape for summary in summaries if summary.n_rows} or {summaries[0].shape}
    if len(shapes) > 1:
        listed = " and ".join(str(("n", *shape)).replace("'", "") for shape in sorted(shapes))
        raise ValueError(f"The partitions of {name} are not of one shape: {listed}.")
    for number, summary in enumerate(summaries):
        if summary.bad is not None:
            place, came = summary.bad
            where = ", ".join(map(str, (start + place[0], *place[1:])))
            if came.startswith("-") and came != "-inf" and name == "sample_weight":
                raise ValueError(
                    f"sample_weight must not be negative; sample_weight[{where}] is {came} "
                    f"(partition {number}, row {place[0]} there)."
                )
            raise ValueError(
                f"{name} must be finite and complete, but {name}[{where}] is {came} (partition "
                f"{number}, row {place[0]} there); remove those rows or fill them in."
            )
        start += summary.n_rows
    filled = [summary for summary in summaries if summary.n_rows] or list(summaries[:1])
    dtype = np.result_type(*{summary.dtype for summary in filled})
    values = np.concatenate([summary.values for summary in filled])
    return PartitionSummary(start, filled[0].shape, dtype, None, values)
