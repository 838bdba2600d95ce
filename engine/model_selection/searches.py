"""GridSearchCV, RandomizedSearchCV, and both with successive halving."""

from functools import partial
from typing import Any

from sklearn import model_selection
from sklearn.base import _fit_context
from sklearn.model_selection import _search_successive_halving as successive_halving
from sklearn.model_selection._search import BaseSearchCV

from engine.model_selection.parallel_fits import ParallelFits, bound


class SideBySideSearch(BaseSearchCV):
    """What the searches share: scikit-learn's `fit`, with the fits of our networks side by side.

    In the order of their classes it stands after scikit-learn's searches and before their base, as
    successive halving has a `fit` of its own that calls this one.
    """

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Fit all candidates on all folds, and the best one on all rows.

        Parameters
        ----------
        X : array_like or sparse matrix (n_samples, n_features)
            The rows of each fold are copied once, whatever the number of candidates.
        y : array_like (n_samples,) or (n_samples, n_outputs)
        **params
            For the estimator's `fit`, such as `sample_weight`; `groups` for the splitter.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the grid names a parameter that the estimator does not have, or if all fits fail.

        Warns
        -----
        sklearn.exceptions.FitFailedWarning
            If some fits fail. Their scores are `error_score`.
        """
        parallel = partial(ParallelFits, resource=getattr(self, "resource", None))
        return bound(BaseSearchCV.fit, Parallel=parallel)(self, X, y, **params)


class GridSearchCV(model_selection.GridSearchCV, SideBySideSearch):
    """scikit-learn's `GridSearchCV`, with the fits of our estimators side by side on threads.

    Its constructor, attributes and results are scikit-learn's, and `cv_results_` has the same bits,
    but for the times. It fits other estimators than ours exactly as scikit-learn does.

    Parameters
    ----------
    estimator : estimator
        To be faster than scikit-learn: `MLPClassifier` or `MLPRegressor` of this package, or a
        pipeline that ends with one.
    param_grid : dict or list of dict
        Values to try of each parameter.
    n_jobs : int or None, default=None
        Threads. None chooses: all cores, or one if the fits are short; -1 is all cores. (For other
        estimators: scikit-learn's jobs.)
    scoring, refit, cv, verbose, pre_dispatch, error_score, return_train_score
        As in scikit-learn.

    Attributes
    ----------
    cv_results_ : dict of ndarray (n_candidates,)
    best_estimator_, best_params_, best_score_, best_index_
    scorer_, n_splits_, refit_time_, multimetric_, classes_, n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : describes each parameter and attribute.

    Notes
    -----
    n_candidates * n_splits fits and one on all rows. It holds the rows of all folds at once, about
    n_splits times X, and drops them between fits if they take more than a quarter of the memory
    that is left. docs/searches.md says what is shared, and what scikit-learn does alone.

    Examples
    --------
    >>> from engine import MLPClassifier
    >>> from engine.model_selection import GridSearchCV
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier(
    ...     hidden_layer_sizes=10, solver="lbfgs", max_iter=1000, random_state=0
    ... )
    >>> grid = {"mlpclassifier__alpha": [0.01, 1.0, 100.0]}
    >>> search = GridSearchCV(make_pipeline(StandardScaler(), network), grid).fit(X, y)
    >>> search.cv_results_["rank_test_score"][2], search.best_score_ > 0.95
    (np.int32(3), np.True_)
    """


class RandomizedSearchCV(model_selection.RandomizedSearchCV, SideBySideSearch):
    """scikit-learn's `RandomizedSearchCV`, with the fits of our estimators side by side.

    Parameters
    ----------
    estimator, n_jobs
        As for `GridSearchCV` of this package.
    param_distributions : dict or list of dict
        Values of each parameter, or a distribution with a method `rvs`.
    n_iter : int, default=10
        Candidates.
    random_state : int, RandomState or None, default=None
        For the candidates.
    scoring, refit, cv, verbose, pre_dispatch, error_score, return_train_score
        As in scikit-learn.

    Attributes
    ----------
    cv_results_ : dict of ndarray (n_iter,)
        And all others of scikit-learn's.

    See Also
    --------
    GridSearchCV : says more.
    sklearn.model_selection.RandomizedSearchCV : describes each parameter and attribute.

    Notes
    -----
    n_iter * n_splits fits and one on all rows. J. Bergstra and Y. Bengio, Random search for
    hyper-parameter optimization, JMLR 13 (2012).

    Examples
    --------
    >>> from engine import MLPRegressor
    >>> from engine.model_selection import RandomizedSearchCV
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.preprocessing import scale
    >>> X, y = map(scale, make_regression(100, 3, random_state=0))
    >>> network = MLPRegressor(
    ...     hidden_layer_sizes=5, activation="tanh", solver="lbfgs", max_iter=1000, random_state=0
    ... )
    >>> search = RandomizedSearchCV(
    ...     network, {"alpha": loguniform(0.1, 10)}, n_iter=3, cv=2, random_state=0
    ... )
    >>> len(search.fit(X, y).cv_results_["params"])
    3
    """


class HalvingGridSearchCV(successive_halving.HalvingGridSearchCV, SideBySideSearch):
    """scikit-learn's `HalvingGridSearchCV`, with the fits of our estimators side by side.

    It needs no import of `sklearn.experimental`. With ``resource="max_iter"`` (of a pipeline
    ``"mlpclassifier__max_iter"``), a network that survives a round continues from where it is, if
    that gives the bits of a new fit: with "adam", "sgd" or "gd" and a `random_state`, without early
    stopping.

    Parameters
    ----------
    estimator, param_grid, n_jobs
        As for `GridSearchCV` of this package.
    resource : str, default="n_samples"
        What the candidates that are left get more of in each round.
    factor : float, default=3
        One of so many candidates survives a round, and gets so many times the resource.
    max_resources, min_resources, aggressive_elimination, cv, scoring, refit, error_score, \
    return_train_score, random_state, verbose
        As in scikit-learn.

    Attributes
    ----------
    cv_results_ : dict of ndarray (n_candidates of all rounds,)
        And all others of scikit-learn's.

    See Also
    --------
    GridSearchCV : says more.
    sklearn.model_selection.HalvingGridSearchCV : describes each parameter and attribute.

    Notes
    -----
    Over max_iter, n candidates cost about n * min_resources * log(n) / log(factor) epochs on each
    fold, and a third less if they continue. K. Jamieson and A. Talwalkar, Non-stochastic best arm
    identification and hyperparameter optimization, AISTATS 2016. Networks are held from one round
    to the next.

    Examples
    --------
    >>> from engine import MLPClassifier
    >>> from engine.model_selection import HalvingGridSearchCV
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier(hidden_layer_sizes=10, random_state=0)
    >>> search = HalvingGridSearchCV(
    ...     network,
    ...     {"learning_rate_init": [0.0001, 0.001, 0.01, 0.1]},
    ...     resource="max_iter",
    ...     max_resources=60,
    ...     factor=2,
    ... )
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")  # 60 epochs are few
    ...     _ = search.fit(X, y)
    >>> search.n_resources_, search.n_candidates_
    ([15, 30, 60], [4, 2, 1])
    """


class HalvingRandomSearchCV(successive_halving.HalvingRandomSearchCV, SideBySideSearch):
    """scikit-learn's `HalvingRandomSearchCV`, with the fits of our estimators side by side.

    It needs no import of `sklearn.experimental`. Survivors continue as in `HalvingGridSearchCV`.

    Parameters
    ----------
    estimator, param_distributions, n_jobs
        As for `RandomizedSearchCV` of this package.
    n_candidates : int or "exhaust", default="exhaust"
        Candidates of the first round.
    resource, factor, max_resources, min_resources, aggressive_elimination, cv, scoring, refit, \
    error_score, return_train_score, random_state, verbose
        As for `HalvingGridSearchCV`.

    Attributes
    ----------
    cv_results_ : dict of ndarray (n_candidates of all rounds,)
        And all others of scikit-learn's.

    See Also
    --------
    HalvingGridSearchCV : says more.
    sklearn.model_selection.HalvingRandomSearchCV : describes each parameter and attribute.

    Examples
    --------
    >>> from engine import MLPRegressor
    >>> from engine.model_selection import HalvingRandomSearchCV
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.preprocessing import scale
    >>> X, y = map(scale, make_regression(200, 3, random_state=0))
    >>> network = MLPRegressor(
    ...     hidden_layer_sizes=5, activation="tanh", solver="lbfgs", max_iter=1000, random_state=0
    ... )
    >>> search = HalvingRandomSearchCV(network, {"alpha": loguniform(0.1, 10)}, random_state=0)
    >>> search.fit(X, y).n_iterations_
    3
    """
