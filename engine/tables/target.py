"""The column to be predicted: whether it can be, and by classification or by regression."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.tables import kinds
from engine.tables.kinds import CATEGORY, DATE, EMPTY, NUMBER, OTHER
from engine.tables.words import counted

CLASSIFICATION, REGRESSION = "classification", "regression"
TASKS = (CLASSIFICATION, REGRESSION)
MOST_CLASSES_OF_NUMBERS = 20  # distinct whole numbers that are taken for classes
ROWS_A_CLASS = 5  # on average, for that


@dataclass(frozen=True)
class Target:
    """What is predicted."""

    name: str
    kind: str
    task: str
    reason: str = ""


def decided(series: pl.Series, task: str | None) -> Target:
    """What kind of target a column is; ValueError, with advice, where it cannot be one."""
    name, kind = series.name, kinds.kind_of(series)
    _refuse_what_is_no_target(series, kind)
    values = kinds.as_kind(series, kind).values.drop_nulls()
    if values.n_unique() == 1:
        raise ValueError(
            f"The target {name!r} is {values[0]!r} in every row; there is nothing to learn. "
            "Name another column, or add rows with other values."
        )
    _refuse_many_missing(series)
    if kind == NUMBER and (values.abs() > kinds.LARGEST).any():
        raise ValueError(
            f"The target {name!r} is beyond {kinds.LARGEST:g} in some rows; mend or remove them."
        )
    inferred, reason = _inferred(values, kind)
    target = Target(name, kind, task or inferred, "as you asked" if task else reason)
    if target.task == CLASSIFICATION and kind == NUMBER and not _all_whole(values):
        target = replace(target, kind=CATEGORY)  # as scikit-learn takes fractions for no classes
    if target.task == REGRESSION and kind != NUMBER:
        raise ValueError(
            f"The target {name!r} holds {kinds.IN_WORDS[kind]}; regression needs numbers. Leave "
            "--task out, or name another column."
        )
    if target.task == CLASSIFICATION:
        _refuse_almost_all_distinct(values, target)
    return target


def left_out(known: pl.Series) -> list[str]:
    """What is to be said of rows whose target is not known."""
    n_unknown = int((~known).sum())
    return [f"{counted(n_unknown, 'row')} without a target left out."] if n_unknown else []


def values_of(series: pl.Series, target: Target) -> NDArray[Any]:
    """The target without missing values: classes as int, float, bool or str, or float64 numbers."""
    converted = kinds.as_kind(series, target.kind)
    if len(converted.wrong):
        row = int(converted.wrong[0])
        raise ValueError(
            f"The target {target.name!r} must hold {kinds.IN_WORDS[target.kind]}; came "
            f"{series[row]!r} in row {row + 1}."
        )
    values = converted.values
    if target.kind == CATEGORY:
        return np.array(values.to_list(), dtype=str)
    numbers = values.to_numpy()
    if target.task == CLASSIFICATION and target.kind == NUMBER and _all_whole(values):
        return numbers.astype(np.int64)
    return numbers


def _refuse_what_is_no_target(series: pl.Series, kind: str) -> None:
    if kind == EMPTY:
        raise ValueError(f"The target {series.name!r} has no values; name another column.")
    if kind in (DATE, OTHER):
        raise ValueError(
            f"The target {series.name!r} holds {kinds.IN_WORDS[kind]}, which cannot be predicted; "
            "turn it into a number, such as days since a date, or name another column."
        )


def _refuse_many_missing(series: pl.Series) -> None:
    if series.null_count() > len(series) // 2:
        raise ValueError(
            f"The target {series.name!r} is missing in {series.null_count():,} of {len(series):,} "
            "rows, more than half. Fill it in, or keep only the rows that have it if that is meant."
        )


def _refuse_almost_all_distinct(values: pl.Series, target: Target) -> None:
    n_distinct = values.n_unique()
    if n_distinct <= max(2, len(values) // 2):
        return
    is_text = values.dtype == pl.String
    advice = (
        "Is it a name or an identifier? Name a column with few distinct values."
        if is_text
        else "Use --task regression."
    )
    raise ValueError(
        f"The target {target.name!r} is {'text' if is_text else 'a number'} that is almost always "
        f"another: {n_distinct:,} distinct values in {counted(len(values), 'row')}, and a class "
        f"needs several rows to be learnt from. {advice}"
    )


def _inferred(values: pl.Series, kind: str) -> tuple[str, str]:
    n_distinct = values.n_unique()
    if kind != NUMBER:
        return CLASSIFICATION, f"the target is {'text' if kind == CATEGORY else 'true or false'}"
    if not _all_whole(values):
        return REGRESSION, "the target has numbers with fractions"
    few = n_distinct <= MOST_CLASSES_OF_NUMBERS and len(values) >= ROWS_A_CLASS * n_distinct
    if n_distinct == 2 or few:
        return CLASSIFICATION, f"the target has {n_distinct} distinct whole numbers"
    return REGRESSION, f"the target has {n_distinct:,} distinct whole numbers"


def _all_whole(values: pl.Series) -> bool:
    return bool(((values == values.round()) & (values.abs() < 2**53)).all())
