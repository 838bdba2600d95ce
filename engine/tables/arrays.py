"""The second pass over a table: rows become inputs and targets, and go to their files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.tables import columns as of_columns
from engine.tables.dealing import OUTSIDE
from engine.tables.decisions import Decided
from engine.tables.facts import PARTS
from engine.tables.on_disk import Writer, target_dtype
from engine.tables.stream import Batch


def write_arrays(
    folder: Path,
    dealt: Iterable[tuple[Batch, NDArray[np.int8]]],
    decided: Decided,
    dtype: np.dtype[Any],
) -> None:
    """Inputs and targets of all batches, by the part of each row, to files in the folder."""
    dtypes = dtype, target_dtype(decided.target, dtype)
    writer = Writer(folder, decided.rows, len(decided.inputs), dtypes)
    try:
        for batch, parts in dealt:
            X, y = _rows(batch, decided)
            if decided.classes is not None:
                parts[y < 0] = OUTSIDE
            else:
                y = _held_in(dtypes[1], y[:, np.newaxis], [decided.target.name], batch, parts)[:, 0]
            X = _held_in(dtypes[0], X, decided.inputs, batch, parts)
            for number, part in enumerate(PARTS):
                chosen = np.flatnonzero(parts == number)
                writer.write(part, X[chosen], y[chosen])
        writer.finish()
    finally:
        writer.close()


def _held_in(
    dtype: np.dtype[Any], scaled: NDArray[Any], names: list[str], batch: Batch, parts: NDArray[Any]
) -> NDArray[Any]:
    """Standardised numbers in that dtype; ValueError if it cannot hold one that is to be written.

    All are within `kinds.LARGEST`, but some may be far from the rows to learn from.
    """
    with np.errstate(over="ignore"):
        held = scaled.astype(dtype, copy=False)
    beyond = np.isinf(held)
    if beyond.any() and len(found := np.argwhere(beyond & (parts >= 0)[:, np.newaxis])):
        row, place = found[0]
        raise ValueError(
            f"Column {names[place]!r} is {scaled[row, place]:.2g} standard deviations from its "
            f"mean in row {batch.first_row + row:,}, too far for {dtype}. Mend that, or leave the "
            "value empty if it is not known."
        )
    return held


def _rows(batch: Batch, decided: Decided) -> tuple[NDArray[Any], NDArray[Any]]:
    """Inputs and targets of a batch; a class that is not learnt, or no target, is -1."""
    target = decided.target
    inputs = of_columns.inputs(batch.frame, decided.columns.used, batch.first_row)
    X = decided.preprocessing.transform(inputs)
    values = of_columns.checked(batch.frame[target.name], target.kind, batch.first_row)
    if decided.classes is not None:
        known = pl.Series(decided.classes, dtype=values.dtype, strict=False)
        codes = values.replace_strict(
            known, pl.Series(range(len(known)), dtype=pl.Int32), default=-1, return_dtype=pl.Int32
        )
        return X, codes.fill_null(-1).to_numpy()
    numbers = values.fill_null(float("nan")).to_numpy()
    return X, (numbers - decided.mean) / decided.standard_deviation
