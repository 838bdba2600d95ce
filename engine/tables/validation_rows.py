"""Which rows of a table each network is trained on, and by which it stops.

Each network holds out rows of its own, so that all rows together are learnt from.
"""

import math
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

from engine.many.member_rows import MemberRows
from engine.tables import column_kinds
from engine.tables.column_kinds import NUMBER
from engine.tables.column_notation import NotationSurvey
from engine.tables.messages import counted

LEAST_ROWS = 10  # with fewer, no rows are held out


def validation_rows(
    n_rows: int,
    n_members: int,
    fraction: float,
    seed: int,
    *,
    classes: NDArray[Any] | None = None,
    groups: NDArray[Any] | None = None,
    time: NDArray[Any] | None = None,
) -> list[MemberRows | None]:
    """The rows of each network; None of one that has no validation rows.

    Parameters
    ----------
    n_rows, n_members : int
    fraction : float
        Share of the rows that a network holds out; 0 holds none out.
    seed : int
    classes : ndarray (n_rows,), optional
        Class codes: each part has its share of each class. Rows of classes that a network
        would be validated on alone are trained on; not if that would part groups.
    groups : ndarray (n_rows,), optional
        Rows of one group are never on both sides.
    time : ndarray (n_rows,), optional
        Then all networks hold out the latest rows.

    Examples
    --------
    >>> parts = validation_rows(10, 2, 0.2, seed=0, time=np.arange(10))
    >>> parts[0].left_out
    array([8, 9])
    """
    if fraction == 0 or n_rows < LEAST_ROWS:
        return [None] * n_members
    if time is not None:
        part = latest_rows(time, min(n_rows - 1, max(1, math.ceil(fraction * n_rows))))
        return [_of_known_classes(part, classes, trained=True)] * n_members
    n_folds = min(max(2, round(1 / fraction)), n_rows)
    rows = np.arange(n_rows)
    if groups is not None:
        n_groups = len(np.unique(groups))
        if n_groups < 2:
            raise ValueError(
                "groups has one group, so that no rows can be held out; leave groups out."
            )
        splitter: Any = GroupKFold(min(n_folds, n_groups), shuffle=True, random_state=seed)
        folds = list(splitter.split(rows, groups=groups))
    elif classes is not None and np.bincount(classes).max() >= n_folds:
        splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        folds = _stratified(splitter, rows, classes)
    else:
        folds = list(KFold(n_folds, shuffle=True, random_state=seed).split(rows))
    parts = [
        _of_known_classes(MemberRows(*fold), classes, trained=groups is None) for fold in folds
    ]
    return [parts[k % len(parts)] for k in range(n_members)]


def latest_rows(time: NDArray[Any], n_latest: int) -> MemberRows:
    """The latest rows left out, so many of them, and the others as those to train on."""
    order = np.argsort(time, kind="stable")
    cut = len(order) - n_latest
    return MemberRows(np.sort(order[:cut]), np.sort(order[cut:]))


def _of_known_classes(
    part: MemberRows, classes: NDArray[Any] | None, *, trained: bool
) -> MemberRows | None:
    """Without validation rows of classes that no training row has; None if no other are left.

    Such rows are trained on, or, if they may not be, left out.
    """
    if classes is None:
        return part
    known = np.isin(classes[part.left_out], classes[part.trained])
    if not known.any():
        return None
    more = part.left_out[~known] if trained else part.left_out[:0]
    return MemberRows(np.sort(np.concatenate([part.trained, more])), part.left_out[known])


def _stratified(splitter: Any, rows: NDArray[Any], classes: NDArray[Any]) -> list[Any]:
    """Folds in which each class has its share; rows of rarer classes are always trained on."""
    counts = np.bincount(classes)
    rare = counts[classes] < splitter.get_n_splits()
    common = rows[~rare]
    return [
        (np.sort(np.concatenate([common[trained], rows[rare]])), common[left_out])
        for trained, left_out in splitter.split(common, classes[common])
    ]


def time_values(
    argument: str, column: pl.Series, decimal: str | None = None, dates: str | None = None
) -> NDArray[Any]:
    """The numbers by which rows are in the order of time: of a column of numbers or dates.

    >>> time_values("time", pl.Series("day", ["31.1.2024", "2.2.2024"]))
    array([19753., 19755.])
    """
    survey = NotationSurvey(None, {}, None, decimal, dates)
    survey.add(column.to_frame())
    translated = survey.notation().translate(column.to_frame(), None)[column.name]
    values, _ = column_kinds.as_kind(translated, NUMBER)
    n_missing = values.null_count()
    if n_missing:
        row = int(values.is_null().arg_max() or 0)
        said = "has no value" if column[row] is None else f"is {column[row]!r}"
        raise ValueError(
            f"{argument}: column {column.name!r} {said} in row {row + 1:,} "
            f"({counted(n_missing, 'such row')} in all); each row needs a number or a date. Fill "
            "it in, or leave these rows out."
        )
    return column_kinds.with_nan(values)
