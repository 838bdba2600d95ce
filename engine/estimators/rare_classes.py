"""Classes that a fitted classifier hardly ever predicts, though it tells them from the others.

Where the thresholds come from: docs/decisions/0016-diagnosis.md.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from engine.estimators.remedies import Finding

# A class is rare if it has less than this share of what each class would have if all were equal.
SHARE = 0.5
# The rarest classes are judged, so many of them, if they have so many rows, by a part of these.
MOST_CLASSES, FEWEST_ROWS, ROWS_OF_A_CLASS = 5, 20, 100
# They are compared with so many rows of all classes.
ROWS_OF_ALL = 300
# All these rows are made dense at once: with more features they would take too much memory.
MOST_FEATURES = 5000
# A class is hardly ever predicted if its recall is below this.
RECALL = 0.1
# It can be told from the others if one of its rows ranks above another row this often (by chance
# 0.5 of the time).
RANKED = 0.7

# From the numbers of rows to X (n_0, m), probabilities (m, n_columns), and what is predicted.
Predict = Callable[[NDArray[np.int64]], tuple[NDArray[Any], ...]]


class RareClass(NamedTuple):
    """A rare class, or label of several; its column, and the numbers of its rows."""

    label: Any
    column: int
    rows: NDArray[np.int64]


def rare_classes(
    targets: NDArray[Any], classes: NDArray[Any], weights: NDArray[Any] | None = None
) -> list[RareClass]:
    """The rarest classes that have enough rows to be judged; rows of weight 0 do not count.

    `targets` are codes (m,) or (m, 1), or columns (m, n_labels) of 0 and 1.
    """
    several = targets.ndim == 2 and targets.shape[1] > 1
    codes = targets if several else targets.reshape(-1)
    counted = np.arange(len(codes)) if weights is None else np.flatnonzero(weights > 0)
    codes = codes[counted]
    if several:
        counts = np.count_nonzero(codes, axis=0)
    else:
        counts = np.bincount(codes, minlength=len(classes))
    most = SHARE * len(codes) / (2 if several else max(2, len(classes)))
    columns = np.flatnonzero((counts >= FEWEST_ROWS) & (counts < most))
    rarest = columns[np.argsort(counts[columns], kind="stable")][:MOST_CLASSES]
    return [
        RareClass(
            classes[k : k + 1].tolist()[0],
            int(k),
            counted[codes[:, k] != 0 if several else codes == k],
        )
        for k in rarest
    ]


def hardly_ever_predicted(
    rare: list[RareClass], n_rows: int, predict: Predict, what: str
) -> list[Finding]:
    """A finding for each class that could be told from the others, but is hardly ever predicted.

    `what` is "class" or "label".
    """
    if not rare:
        return []
    of_all = _evenly_spread(np.arange(n_rows), ROWS_OF_ALL)
    chosen = [_evenly_spread(one.rows, ROWS_OF_A_CLASS) for one in rare]
    X, probabilities, predicted = predict(np.concatenate([of_all, *chosen]))
    found, start = [], len(of_all)
    for one, rows in zip(rare, chosen, strict=True):
        end = start + len(rows)
        n_found = int(np.count_nonzero(predicted[start:end, one.column]))
        others = np.flatnonzero(~np.isin(of_all, one.rows))
        ranked = np.concatenate([others, np.arange(start, end)])
        score, start = probabilities[ranked, one.column], end
        if n_found >= RECALL * len(rows):
            continue
        is_rare = np.arange(len(ranked)) >= len(others)
        if not _ranks_high(is_rare, score) or not _ranks_high(
            is_rare, scores_by_other_rows(X[:, ranked], is_rare)
        ):
            continue  # nothing that weights could bring out
        share = 100 * len(one.rows) / n_rows
        found.append(
            Finding(
                f"The network hardly ever predicts {what} {{label}}, {share:.2g}% of the training "
                f"rows: it finds {n_found} of {len(rows)} of them"
                f"{'' if len(rows) == len(one.rows) else ' that were looked at'} (recall "
                f"{n_found / len(rows):.0%}), though it ranks them above most others.",
                "weigh the classes",
                {"label": one.label},
            )
        )
    return found


def scores_by_other_rows(
    X: NDArray[np.floating], is_rare: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """A score for each of the samples X (n_0, m): high if it looks rare to the other samples.

    Kernel ridge regression on squares and products of the standardised features; the score of a
    sample comes from a fit that leaves this sample out. A network that has learnt noise by heart
    ranks its own training rows well; these scores do not.
    """
    with np.errstate(all="ignore"):
        rows = X.T.astype(np.float64)
        rows -= rows.mean(axis=0)
        spread = rows.std(axis=0)
        rows /= np.where(spread > 0, spread, 1) * np.sqrt(X.shape[0])
        K = (1 + rows @ rows.T) ** 2
    if not np.isfinite(K).all():
        return np.zeros(len(K))
    inverse = np.linalg.inv(K + np.eye(len(K)))
    y = is_rare.astype(np.float64)
    left_out: NDArray[np.float64] = y - inverse @ y / np.diag(inverse)
    return left_out


def _ranks_high(is_rare: NDArray[np.bool_], score: NDArray[Any]) -> bool:
    return bool(np.isfinite(score).all() and roc_auc_score(is_rare, score) >= RANKED)


def _evenly_spread(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most `most` of the rows, evenly spread."""
    return rows[:: -(-len(rows) // most)]
