"""Which rows each member of an ensemble is trained on, and which it is tried on."""

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.model_selection import KFold, StratifiedKFold, check_cv, train_test_split

Numbers = NDArray[np.int64]


class MemberRows(NamedTuple):
    """Numbers of rows.

    Attributes
    ----------
    trained : ndarray
        May repeat.
    left_out : ndarray
        Rows that the member has not seen.
    """

    trained: Numbers
    left_out: Numbers


def bootstrap(n_rows: int, seed: int) -> MemberRows:
    """n_rows rows drawn with replacement, and those that were not drawn (0.37 n_rows on average).

    PCG64 draws them, so that they are independent of what the member draws with the same seed.
    """
    drawn = np.random.default_rng(seed).integers(n_rows, size=n_rows)
    return MemberRows(drawn, np.setdiff1d(np.arange(n_rows), drawn))


def folds(
    cv: Any, n_members: int, X: Any, y: Any, strata: NDArray[Any] | None, seed: int
) -> list[MemberRows]:
    """The parts of a cross-validation; a number of folds is shuffled, and stratified by strata."""
    if cv is None or isinstance(cv, Integral):
        n_folds = n_members if cv is None else int(cv)
        if n_folds < 2:
            raise ValueError(
                f"kind='folds' needs 2 folds or more; got {n_folds}. Pass a larger n_members or cv."
            )
        kind = KFold if strata is None else StratifiedKFold
        splitter = kind(n_folds, shuffle=True, random_state=seed)
    else:
        splitter = check_cv(cv, y, classifier=strata is not None)
    found = [MemberRows(*parts) for parts in splitter.split(X, y if strata is None else strata)]
    if not found:
        raise ValueError(
            "cv gives no folds. A generator of folds is used up by its first use: pass a list of "
            "them, as in cv=list(GroupKFold(3).split(X, y, groups))."
        )
    for number, part in enumerate(found):
        if not len(rows_of(np.arange(X.shape[0]), part.left_out)):
            raise ValueError(f"cv leaves no rows out in fold {number}; each fold needs test rows.")
    return found


def held_out(n_rows: int, fraction: float, strata: NDArray[Any] | None, seed: int) -> MemberRows:
    """A share of the rows held out, of each stratum at least one; not of a stratum of one row."""
    rows = np.arange(n_rows)
    several, least = rows, 1
    if strata is not None:
        _, codes, sizes = np.unique(strata, return_inverse=True, return_counts=True)
        several, least = rows[sizes[codes] > 1], int((sizes > 1).sum())
    share = max(int(np.ceil(fraction * n_rows)), least)
    if not 0 < share < len(several):
        raise ValueError(
            f"kind='greedy' holds {share} rows out for the selection; n_samples={n_rows} leaves "
            "too few to train on. Pass X_val and y_val, or a smaller validation_fraction."
        )
    _, left_out = train_test_split(
        several,
        test_size=share,
        random_state=seed,
        stratify=None if strata is None else strata[several],
    )
    left_out = np.sort(left_out)
    return MemberRows(np.setdiff1d(rows, left_out), left_out)


def rows_of(array: Any, numbers: Numbers | None) -> Any:
    """Some rows of an array or a sparse matrix; of None, and with None for all rows, itself."""
    if array is None or numbers is None:
        return array
    return (array.tocsr() if scipy.sparse.issparse(array) else array)[numbers]
