"""The column to be predicted: whether it can be, and by classification or by regression."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.boundary import remedies
from engine.boundary.samples import outside
from engine.losses import Loss
from engine.tables import column_kinds
from engine.tables.column_kinds import CATEGORY, DATE, EMPTY, NUMBER, OTHER
from engine.tables.csv_and_parquet import MissingTexts
from engine.tables.messages import count_as_missing, counted

CLASSIFICATION, REGRESSION = "classification", "regression"
TASKS = (CLASSIFICATION, REGRESSION)
MOST_CLASSES_OF_NUMBERS = 20  # distinct whole numbers that are taken for classes
MOST_DISTINCT = 10_000  # values of a column that are counted, if it comes in batches
ROWS_A_CLASS = 5  # on average, for numbers to be taken for classes


@dataclass(frozen=True)
class Target:
    """What is predicted."""

    name: str
    kind: str
    task: str
    reason: str = ""


@dataclass(frozen=True)
class TargetFacts:
    """Facts about a whole column as a target, with its values as its kind.

    `words` are those of a CSV file that count as missing. `n_distinct` is None if there are more
    than `MOST_DISTINCT`, as far as they are counted.
    """

    name: str
    kind: str
    n_present: int
    n_missing: int
    n_distinct: int | None
    a_value: object = None
    all_whole: bool = False
    beyond_largest: bool = False
    words: MissingTexts = field(default_factory=dict)
    no_spread: str = ""

    @property
    def how_many(self) -> str:
        """How many distinct values it has, in words."""
        return f"more than {MOST_DISTINCT:,}" if self.n_distinct is None else f"{self.n_distinct:,}"


def target_of(facts: TargetFacts, task: str | None) -> Target:
    """What kind of target a column is; ValueError, with advice, where it cannot be one."""
    name, kind = facts.name, facts.kind
    refuse_what_is_no_target(name, kind, facts.words)
    if facts.n_distinct == 1:
        raise ValueError(
            f"The target {name!r} is {facts.a_value!r} in every row"
            f"{_but_for(facts.words, ' that has a value: ')}; there is nothing to learn. "
            "Name another column, or add rows with other values."
        )
    _refuse_many_missing(facts)
    if facts.beyond_largest:
        raise ValueError(
            f"The target {name!r} is beyond {column_kinds.LARGEST:g} in some rows; mend or remove "
            "them."
        )
    inferred, reason = _inferred(facts)
    if (task or inferred) == REGRESSION and facts.no_spread:
        raise ValueError(f"The target {name!r} {facts.no_spread}, or name another column.")
    target = Target(name, kind, task or inferred, "as you asked" if task else reason)
    if target.task == CLASSIFICATION and kind == NUMBER and not facts.all_whole:
        target = replace(target, kind=CATEGORY)  # scikit-learn accepts no fractions as classes
    if target.task == REGRESSION and kind != NUMBER:
        raise ValueError(
            f"The target {name!r} holds {column_kinds.IN_WORDS[kind]}; regression needs numbers. "
            f"{remedies.NO_REGRESSION()}, or name another column."
        )
    if target.task == CLASSIFICATION:
        _refuse_almost_all_distinct(facts)
    return target


def refuse_outside(target: Target, smallest: float, loss: Loss) -> None:
    """ValueError if the loss does not take the smallest value of the target."""
    if outside(np.array([smallest]), loss.row) is None:
        return
    wanted = "0 or more" if loss.row.low_included else "above 0"
    raise ValueError(
        f"--loss {loss.name} needs a target that is {wanted}, and the smallest {target.name!r} is "
        f"{smallest:g}. Choose another loss, or leave those rows out."
    )


def left_out(n_unknown: int, words: MissingTexts, how: str = "") -> list[str]:
    """A note about rows whose target is missing."""
    if not n_unknown:
        return []
    why = f": {count_as_missing(words, how)}" if words else ""
    return [f"{counted(n_unknown, 'row')} without a target left out{why}."]


def _but_for(words: MissingTexts, joined_by: str) -> str:
    return f"{joined_by}{count_as_missing(words)}" if words else ""


def values_of(series: pl.Series, target: Target) -> NDArray[Any]:
    """The target without missing values: classes as int, float, bool or str, or float64 numbers."""
    converted = column_kinds.as_kind(series, target.kind)
    if len(converted.wrong):
        row = int(converted.wrong[0])
        raise ValueError(
            f"The target {target.name!r} must hold {column_kinds.IN_WORDS[target.kind]}; came "
            f"{series[row]!r} in row {row + 1}."
        )
    values = converted.values
    if target.kind == CATEGORY:
        return np.array(values.to_list(), dtype=str)
    numbers = values.to_numpy()
    if target.task == CLASSIFICATION and target.kind == NUMBER and all_whole(values):
        return numbers.astype(np.int64)
    return numbers


def refuse_what_is_no_target(name: str, kind: str, words: MissingTexts) -> None:
    """ValueError for a kind that cannot be predicted."""
    if kind == EMPTY:
        raise ValueError(
            f"The target {name!r} has no values{_but_for(words, ': ')}; name another column."
        )
    if kind in (DATE, OTHER):
        raise ValueError(
            f"The target {name!r} holds {column_kinds.IN_WORDS[kind]}, which cannot be predicted; "
            "turn it into a number, such as days since a date, or name another column."
        )


def _refuse_many_missing(facts: TargetFacts) -> None:
    n_rows = facts.n_present + facts.n_missing
    if facts.n_missing > n_rows // 2:
        raise ValueError(
            f"The target {facts.name!r} is missing in {facts.n_missing:,} of {n_rows:,} "
            f"rows, more than half{_but_for(facts.words, ': ')}. Fill it in, or keep only the "
            "rows that have it if that is meant."
        )


def _refuse_almost_all_distinct(facts: TargetFacts) -> None:
    n_distinct = MOST_DISTINCT + 1 if facts.n_distinct is None else facts.n_distinct
    if n_distinct <= max(2, facts.n_present // 2):
        return
    is_text = facts.kind == CATEGORY
    advice = (
        "Is it a name or an identifier? Name a column with few distinct values."
        if is_text
        else f"{remedies.AS_NUMBERS()}."
    )
    raise ValueError(
        f"The target {facts.name!r} is {'text' if is_text else 'a number'} that is almost always "
        f"another: {facts.how_many} distinct values in {counted(facts.n_present, 'row')}, and "
        f"a class needs several rows to be learnt from. {advice}"
    )


def _inferred(facts: TargetFacts) -> tuple[str, str]:
    n_distinct = facts.n_distinct
    if facts.kind != NUMBER:
        return CLASSIFICATION, (
            f"the target is {'text' if facts.kind == CATEGORY else 'true or false'}"
        )
    if not facts.all_whole:
        return REGRESSION, "the target has numbers with fractions"
    reason = f"the target has {facts.how_many} distinct whole numbers"
    if n_distinct is None or n_distinct > MOST_CLASSES_OF_NUMBERS:
        return REGRESSION, reason
    few = n_distinct == 2 or facts.n_present >= ROWS_A_CLASS * n_distinct
    return CLASSIFICATION if few else REGRESSION, reason


def all_whole(values: pl.Series) -> bool:
    """Whether numbers have no fractions, as far as float64 can tell."""
    return bool(((values == values.round()) & (values.abs() < 2**53)).all())
