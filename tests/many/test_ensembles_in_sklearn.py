"""The ensembles keep scikit-learn's conventions."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from engine import MLPClassifier, MLPEnsembleClassifier, MLPEnsembleRegressor, MLPRegressor

pytestmark = [pytest.mark.compiled, pytest.mark.filterwarnings("ignore")]


def ensembles():
    """One of each kind of each estimator."""
    for kind in ("seeds", "bagging", "folds", "greedy"):
        for ensemble, member in (
            (MLPEnsembleClassifier, MLPClassifier),
            (MLPEnsembleRegressor, MLPRegressor),
        ):
            yield ensemble(2, kind, estimator=member(hidden_layer_sizes=20))


def fails(estimator):
    """Rows that are drawn or held out are others if a row of weight 2 stands twice."""
    if estimator.kind in ("seeds", "folds"):
        return {}
    drawn = "which rows a member has depends on their number"
    checks = ("dense_data", "sparse_data")
    return {f"check_sample_weight_equivalence_on_{check}": drawn for check in checks}


@pytest.mark.sample(40)
@parametrize_with_checks(list(ensembles()), expected_failed_checks=fails)
def test_the_checks_of_scikit_learn_pass(estimator, check):
    check(estimator)


def rows(n=120):
    X = np.random.default_rng(0).standard_normal((n, 3))
    return X, (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)


def classifier(**parameters):
    member = MLPClassifier((8,), solver="lbfgs", max_iter=30)
    return MLPEnsembleClassifier(3, estimator=member, random_state=0, **parameters)


def test_parameters_of_the_members_are_searched_through_a_pipeline():
    X, y = rows()
    pipeline = make_pipeline(StandardScaler(), classifier())
    grid = {"mlpensembleclassifier__estimator__alpha": [1e-4, 100.0]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    alphas = [one.alpha for one in search.best_estimator_[-1].members_]
    assert alphas == [1e-4] * 3
    assert search.cv_results_["mean_test_score"][0] > search.cv_results_["mean_test_score"][1]


def test_kinds_are_searched():
    X, y = rows()
    grid = {"kind": ["seeds", "bagging", "folds", "greedy"]}
    search = GridSearchCV(classifier(), grid, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_clone_has_the_same_bits():
    X, y = rows()
    ensemble = classifier(kind="bagging").fit(X, y)
    again = clone(ensemble).fit(X, y)
    ours, theirs = ([m.fingerprint_ for m in one.members_] for one in (ensemble, again))
    assert ours == theirs
    assert len(set(ours)) == 3


def test_cross_validation_takes_an_ensemble():
    assert cross_val_score(classifier(), *rows(), cv=3).mean() > 0.8
