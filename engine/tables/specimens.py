"""Rows that look like a table's, and are nobody's: what a model file carries to be tried on.

They are made of what the preprocessing has learnt, which the file holds anyway: numbers around the
means, by the standard deviations; categories that it knows; gaps where columns had some.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer

from engine.model_files.stored_network import drawn_rows
from engine.tables.kinds import BOOLEAN, CATEGORY, NUMBER
from engine.tables.pipeline import NO_VALUE
from engine.tables.translation import Translation


def specimens(
    preprocessing: ColumnTransformer, translation: Translation | None = None
) -> pl.DataFrame:
    """Eight rows of the columns that the fitted preprocessing takes, or its translation."""
    names = preprocessing.feature_names_in_.tolist()
    drawn = dict(zip(names, drawn_rows(len(names)).T, strict=True))
    made = {
        name: _MADE[kind](preprocessing.named_transformers_[kind], place, drawn[name])
        for kind, _, taken in preprocessing.transformers_
        if kind in _MADE
        for place, name in enumerate(taken)
    }
    rows = pl.DataFrame({name: made[name] for name in names})
    return rows if translation is None else translation.as_written(rows)


def _numbers(steps: Any, place: int, drawn: NDArray[Any]) -> NDArray[Any]:
    imputer, scaler = steps
    return _with_gap(scaler.mean_[place] + scaler.scale_[place] * drawn, imputer, place)


def _booleans(imputer: Any, place: int, drawn: NDArray[Any]) -> NDArray[Any]:
    return _with_gap((drawn > 0).astype(float), imputer, place)


def _categories(steps: Any, place: int, drawn: NDArray[Any]) -> pl.Series:
    _, encoder = steps
    known = encoder.categories_[place]
    some = [known[number % len(known)] for number in np.argsort(drawn)]
    return pl.Series([None if one == NO_VALUE else one for one in some], dtype=pl.String)


def _with_gap(values: NDArray[Any], imputer: Any, place: int) -> NDArray[Any]:
    """One value less, where the rows that were learnt from had gaps."""
    if place in imputer.indicator_.features_:
        values[place % len(values)] = np.nan
    return values


_MADE: dict[str, Callable[[Any, int, NDArray[Any]], Any]] = {
    NUMBER: _numbers,
    BOOLEAN: _booleans,
    CATEGORY: _categories,
}
