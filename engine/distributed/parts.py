"""Dask's collections as lists of parts: the rows of each, and which of them a chunk is made of."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from dask.base import is_dask_collection
from dask.delayed import Delayed

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
        Without rows: its kind, columns and dtypes.
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
    """What rows first ... last - 1 of the whole are made of.

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
    """Those rows of a part, where it lies: of an array no copy."""
    return part.iloc[first:last] if hasattr(part, "iloc") else part[first:last]


def joined(pieces: Sequence[Any]) -> Any:
    """Arrays one below the other; of one alone no copy."""
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
