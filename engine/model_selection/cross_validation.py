"""cross_validate and cross_val_score."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import model_selection
from sklearn.utils._param_validation import validate_params

from engine.model_selection.parallel_fits import ParallelFits, bound


def _checked(function: Any) -> Any:
    """A decorator that checks arguments as a function of scikit-learn does."""
    constraints = function._skl_parameter_constraints
    return validate_params(constraints, prefer_skip_nested_validation=False)


_cross_validate = bound(model_selection.cross_validate, Parallel=ParallelFits)


@_checked(model_selection.cross_validate)
def cross_validate(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    groups: Any = None,
    scoring: Any = None,
    cv: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    params: dict[str, Any] | None = None,
    pre_dispatch: int | str = "2*n_jobs",
    return_train_score: bool = False,
    return_estimator: bool = False,
    return_indices: bool = False,
    error_score: Any = np.nan,
) -> dict[str, Any]:
    """scikit-learn's `cross_validate`, with the fits of our estimators side by side on threads.

    Parameters
    ----------
    estimator : estimator
        To be faster than scikit-learn: `MLPClassifier` or `MLPRegressor` of this package, or a
        pipeline that ends with one.
    X : array_like or sparse matrix (n_samples, n_features)
    y : array_like (n_samples,) or (n_samples, n_outputs)
    n_jobs : int or None, default=None
        Threads. None chooses: all cores, or one if the fits are short; -1 is all cores. (For other
        estimators: scikit-learn's jobs.)
    groups, scoring, cv, verbose, params, pre_dispatch, return_train_score, return_estimator, \
    return_indices, error_score
        As in scikit-learn. The lines that joblib prints of its jobs are not printed.

    Returns
    -------
    dict of ndarray (n_splits,)
        "test_score", or one for each of several scores, with scikit-learn's bits; "fit_time",
        "score_time"; and what else is asked for.

    Raises
    ------
    ValueError
        If all fits fail.

    See Also
    --------
    sklearn.model_selection.cross_validate : describes each parameter.

    Notes
    -----
    n_splits fits. It holds the rows of up to 256 folds at once, but no more than fit into a quarter
    of the memory that is left.

    Examples
    --------
    >>> from engine import MLPRegressor
    >>> from engine.model_selection import cross_validate
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.preprocessing import scale
    >>> X, y = map(scale, make_regression(100, 3, random_state=0))
    >>> network = MLPRegressor(
    ...     hidden_layer_sizes=5, activation="tanh", solver="lbfgs", alpha=1.0, random_state=0
    ... )
    >>> scores = cross_validate(network, X, y, cv=4, scoring=("r2", "neg_max_error"))
    >>> [(name, len(scores[name])) for name in scores if name.startswith("test")]
    [('test_r2', 4), ('test_neg_max_error', 4)]
    """
    found: dict[str, Any] = _cross_validate(**locals())
    return found


_cross_val_score = bound(model_selection.cross_val_score, cross_validate=cross_validate)


@_checked(model_selection.cross_val_score)
def cross_val_score(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    groups: Any = None,
    scoring: Any = None,
    cv: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    params: dict[str, Any] | None = None,
    pre_dispatch: int | str = "2*n_jobs",
    error_score: Any = np.nan,
) -> NDArray[np.float64]:
    """The test scores of `cross_validate`, for one score.

    Parameters
    ----------
    estimator, X, y, groups, scoring, cv, n_jobs, verbose, params, pre_dispatch, error_score
        As for `cross_validate`.

    Returns
    -------
    ndarray (n_splits,)

    Raises
    ------
    ValueError
        If all fits fail.

    See Also
    --------
    sklearn.model_selection.cross_val_score : describes each parameter.

    Examples
    --------
    >>> from engine import MLPClassifier
    >>> from engine.model_selection import cross_val_score
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier(10, solver="lbfgs", max_iter=1000, random_state=0)
    >>> cross_val_score(network, X, y, cv=3).mean() > 0.95
    np.True_
    """
    scores: NDArray[np.float64] = _cross_val_score(**locals())
    return scores
