"""Predictions of a fitted model that show what is wrong: rare classes, unscaled targets.

Where the thresholds come from: docs/decisions/0016-diagnosis.md.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from engine.equations.losses import POISSON
from engine.estimators.findings import Finding
from engine.estimators.held_out import best_constant, cost_sums
from engine.losses import Loss

# A class is rare if it has less than this share of the rows that each of equal classes has.
SHARE = 0.5
# So many of the rarest classes are checked, if each has so many rows, on so many of its rows.
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
    """The rarest classes that have enough rows to be checked; rows of weight 0 do not count.

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
            continue  # class weights would not help
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
    sample comes from a fit that leaves this sample out. A network that has memorised noise ranks
    its own training rows well; these scores do not.
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


# A scaled target has mean 0 and standard deviation 1. A target is not scaled if its root mean
# square is above LARGE, its standard deviation below SMALL, its mean more than FAR standard
# deviations from 0, or the standard deviation of another output more than BESIDE times as large.
LARGE, SMALL, FAR, BESIDE = 10.0, 0.1, 10.0, 10.0
# A fit is poor if its R^2 is this much below that of a straight line on the same rows, or below 0;
# with exponential units, if its D^2 is this much below 0.
DEFICIT = 0.2
# A straight line is fitted only if there are so many rows for each feature.
ROWS_A_FEATURE = 3
# A target that varies by less than this share of its size is constant.
ROUNDING = 1e-9

Columns = NDArray[np.float64]


def unscaled_targets(
    X: NDArray[np.floating],
    targets: NDArray[np.floating],
    predicted: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
    loss: Loss | None = None,
) -> list[Finding]:
    """A finding if an output is not scaled, and is predicted much worse than it could be.

    Parameters
    ----------
    X : ndarray (n_0, m)
        Some of the training samples, one per column.
    targets, predicted : ndarray (m, n_outputs)
        Targets may be (m, 1) for several quantiles of one target.
    weights : ndarray (m,), optional
    loss : Loss, optional
        What was minimised, if not the squared error: then D^2 is compared, and not R^2.

    Returns
    -------
    list of Finding
        At most one, about the worst output.

    Examples
    --------
    >>> X = np.linspace(-1, 1, 50)[None, :]
    >>> price = 180_000 + 80_000 * X.T
    >>> print(*[finding.fact for finding in unscaled_targets(X, price, 0.9 * price)])
    >>> print(*[finding.fact for finding in unscaled_targets(X, price, 0.1 * price)])
    The target is not scaled: y has a mean of 1.8e+05 and a standard deviation of 4.71e+04, and R^2
    of the predictions for training rows is -11.6, where a straight line has 1.
    """
    s = _in_double(weights, len(targets))
    p = predicted.astype(np.float64)
    y = np.broadcast_to(targets.astype(np.float64), p.shape)
    with np.errstate(all="ignore"):
        size, means, spreads, off = _scales(y, s)
        if not off.any():
            return []
        if loss is None:
            misfit = np.average((y / size - p / size) ** 2, axis=0, weights=s) / spreads**2
        else:
            misfit = _misfit(loss, p, y, s)
        r2 = 1 - np.where(np.isfinite(misfit), misfit, np.inf)
        suspect = off & (r2 < 1 - DEFICIT)
        if not suspect.any():
            return []
        rows, scaled = X.T.astype(np.float64), (y / size - means) / spreads
        line = _r2_of_a_line(rows, scaled, s, suspect)
        if loss is not None:
            line = _d2_of_a_line(loss, rows, y, s, suspect & (line > 0))
        poor = suspect & (r2 < line - DEFICIT)
    if not poor.any():
        return []
    worst = int(np.where(poor, r2, np.inf).argmin())
    one_target = loss is not None and loss.n_outputs is not None
    about = slice(worst, worst + 1) if one_target else slice(None)
    means, spreads, r2, line = (one[about] for one in (means * size, spreads * size, r2, line))
    score = "R^2" if loss is None else "D^2"
    return [_finding(means, spreads, r2, line, 0 if one_target else worst, score)]


def worse_than_the_mean(
    targets: NDArray[np.floating],
    predicted: NDArray[np.floating],
    weights: NDArray[np.floating] | None,
    loss: Loss,
    solver: str,
) -> list[Finding]:
    """A finding if an output of exponential units is predicted clearly worse than by its mean.

    Parameters
    ----------
    targets, predicted : ndarray (m, n_outputs)
        Of some of the training rows.
    weights : ndarray (m,) or None
    loss : Loss
        A deviance: "poisson", "gamma" or `Tweedie`.
    solver : str

    Returns
    -------
    list of Finding
        At most one, about the worst output.

    Examples
    --------
    >>> price = np.array([[500.0], [600.0], [800.0]])
    >>> worse_than_the_mean(price, 0.9 * price, None, Loss("gamma"), "adam")
    []
    >>> found = worse_than_the_mean(price, 0.1 * price, None, Loss("gamma"), "adam")
    >>> print(found[0].fact)
    The predictions for training rows are worse than the mean of y, 633: D^2 is -352.
    """
    s = _in_double(weights, len(targets))
    y, p = targets.astype(np.float64), predicted.astype(np.float64)
    if not s.sum() > 0:
        return []
    with np.errstate(all="ignore"):
        d2 = 1 - _misfit(loss, p, y, s)
    poor = (np.ptp(y[s > 0], axis=0) > 0) & ~(d2 >= -DEFICIT)  # a NaN is poor
    if not poor.any():
        return []
    worst = int(np.where(poor, np.where(np.isnan(d2), -np.inf, d2), np.inf).argmin())
    name = "y" if y.shape[1] == 1 else f"column {worst} of y"
    remedy = "another start" if solver == "lbfgs" else "another solver"
    if loss.row.code == POISSON:  # which starts at 1, wherever y is
        remedy = "divide the target" if solver == "lbfgs" else "divide the target, or L-BFGS"
    return [
        Finding(
            f"The predictions for training rows are worse than the mean of {name}, "
            f"{np.average(y[:, worst], weights=s):.3g}: D^2 is {d2[worst]:.3g}.",
            remedy,
        )
    ]


def _in_double(weights: NDArray[np.floating] | None, n_rows: int) -> NDArray[np.float64]:
    """The weights of the rows; 1 for each if there are none."""
    return np.ones(n_rows) if weights is None else weights.astype(np.float64)


def is_off_scale(targets: NDArray[np.floating], weights: NDArray[np.floating] | None) -> bool:
    """Whether an output is not scaled, however well it is predicted."""
    s = _in_double(weights, len(targets))
    with np.errstate(all="ignore"):
        return bool(_scales(targets.astype(np.float64), s)[-1].any())


def _scales(y: Columns, s: Columns) -> tuple[Columns, Columns, Columns, NDArray[np.bool_]]:
    """The size of each output, mean and deviation in that unit, and which outputs are off scale."""
    size = np.abs(y).max(axis=0)
    size[size == 0] = 1
    if not s.sum() > 0 or not np.isfinite(y).all():
        return size, size, size, np.zeros(len(size), bool)
    means = np.average(y / size, axis=0, weights=s)  # divided, so that squares are in range
    spreads = np.sqrt(np.average((y / size - means) ** 2, axis=0, weights=s))
    varies = spreads > ROUNDING
    return size, means, spreads, varies & _off_scale(means * size, spreads * size)


def _off_scale(means: Columns, spreads: Columns) -> NDArray[np.bool_]:
    off: NDArray[np.bool_] = (
        (np.hypot(means, spreads) > LARGE)
        | (spreads < SMALL)
        | (np.abs(means) > FAR * spreads)
        | (BESIDE * spreads < spreads.max())
    )
    return off


def _r2_of_a_line(X: Columns, y: Columns, s: Columns, wanted: NDArray[np.bool_]) -> Columns:
    """The adjusted R^2 of weighted least squares for each wanted output, at least 0.

    By chance alone, a line on k features and n rows has an R^2 of about k / n.
    """
    n, k = X.shape
    line = np.zeros(y.shape[1])
    if n < ROWS_A_FEATURE * (k + 1) or not np.isfinite(X).all():
        return line
    root = np.sqrt(s)[:, None]
    scale = np.abs(X).max(axis=0)
    scale[scale == 0] = 1
    A = np.column_stack([X / scale, np.ones(n)]) * root
    B = y[:, wanted] * root
    residual = B - A @ np.linalg.lstsq(A, B, rcond=None)[0]
    left = (residual**2).sum(axis=0) / (B**2).sum(axis=0) * (n - 1) / (n - k - 1)
    line[wanted] = np.maximum(0, 1 - left)
    return line


def _misfit(loss: Loss, predicted: Columns, y: Columns, s: Columns) -> Columns:
    """The cost of predictions for each output, in that of the best constant."""
    best = [best_constant(loss, j, y[:, j], s) for j in range(y.shape[1])]
    least = cost_sums(loss, np.broadcast_to(best, y.shape), y, s)
    share: Columns = cost_sums(loss, predicted, y, s) / least
    return share


def _d2_of_a_line(
    loss: Loss, X: Columns, y: Columns, s: Columns, wanted: NDArray[np.bool_]
) -> Columns:
    """D^2 of the line of least squares, moved to where its cost is least; at least 0."""
    n, k = X.shape
    line = np.zeros(y.shape[1])
    if not wanted.any():
        return line
    scale = np.abs(X).max(axis=0)
    scale[scale == 0] = 1
    A, root = np.column_stack([X / scale, np.ones(n)]), np.sqrt(s)[:, None]
    straight = A @ np.linalg.lstsq(A * root, y * root, rcond=None)[0]
    for j in range(y.shape[1]):
        straight[:, j] += best_constant(loss, j, y[:, j] - straight[:, j], s)
    left = _misfit(loss, straight, y, s) * (n - 1) / (n - k - 1)
    line[wanted] = np.maximum(0, 1 - left[wanted])
    return line


def _finding(
    means: Columns, spreads: Columns, r2: Columns, line: Columns, worst: int, score: str
) -> Finding:
    n_outputs = len(means)
    name = "y" if n_outputs == 1 else f"column {worst} of y"
    mean = 0.0 if abs(means[worst]) < 1e-3 * spreads[worst] else means[worst]
    beside = ""
    if n_outputs > 1 and spreads[worst] * BESIDE < spreads.max():
        beside = f" beside one of {spreads.max():.3g} (column {int(spreads.argmax())})"
    straight = f", where a straight line has {line[worst]:.2g}" if line[worst] > 0 else ""
    return Finding(
        f"The target is not scaled: {name} has a mean of {mean:.3g} and a standard deviation of "
        f"{spreads[worst]:.3g}{beside}, and {score} of the predictions for training rows "
        f"is {round(float(r2[worst]), 2) + 0.0:.3g}{straight}.",
        "scale the target",
    )
