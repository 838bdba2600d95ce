"""cross_validate and cross_val_score give scikit-learn's bits."""

import weakref

import numpy as np
import pytest
from sklearn import model_selection
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, LeaveOneOut, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from engine import MLPClassifier, MLPRegressor
from engine.many.fits import fit_all
from engine.model_selection import cross_val_score, cross_validate, parallel_fits
from engine.model_selection.folds import Fold
from tests.model_selection.searches import (
    X_REGRESSION,
    Y_REGRESSION,
    X,
    Y,
    assert_same_tables,
    quiet,
)

pytestmark = quiet

NETWORK = MLPClassifier((4,), max_iter=5, random_state=0)


@pytest.fixture
def fitted(monkeypatch):
    """How many fits were made side by side, call by call."""
    numbers = []

    def noted(fits, n_threads=None):
        numbers.append(len(fits))
        return fit_all(fits, n_threads)

    monkeypatch.setattr(parallel_fits, "fit_all", noted)
    return numbers


@pytest.mark.parametrize("random_state", [0, None, np.random.RandomState(1)], ids=str)
def test_scores_have_scikit_learn_s_bits(fitted, random_state):
    estimator = make_pipeline(
        StandardScaler(), clone(NETWORK).set_params(random_state=random_state)
    )
    found = []
    for function in (cross_validate, model_selection.cross_validate):
        np.random.seed(3)  # noqa: NPY002  # the generator of random_state=None
        found.append(
            function(
                estimator,
                X,
                Y,
                cv=ShuffleSplit(4),
                scoring=["accuracy", "neg_log_loss"],
                return_train_score=True,
                return_indices=True,
            )
        )
    indices = [scores.pop("indices") for scores in found]
    assert all(map(np.array_equal, indices[0]["train"], indices[1]["train"]))
    assert_same_tables(*found)
    assert fitted == ([1] * 4 if random_state is None else [4])


def test_the_estimators_that_are_returned_are_those_of_scikit_learn(fitted):
    found = [
        function(NETWORK, X, Y, cv=3, return_estimator=True)["estimator"]
        for function in (cross_validate, model_selection.cross_validate)
    ]
    assert fitted == [3]
    for mine, theirs in zip(*found):
        assert mine.fingerprint_ == theirs.fingerprint_
        assert vars(mine).keys() == vars(theirs).keys()


def test_one_score_has_scikit_learn_s_bits(fitted):
    network = MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", max_iter=20, random_state=0)
    groups = np.arange(len(Y)) % 5
    weights = np.random.default_rng(0).uniform(0.1, 2, len(Y))
    found = [
        function(
            network,
            X_REGRESSION,
            Y_REGRESSION,
            groups=groups,
            cv=GroupKFold(3),
            params={"sample_weight": weights},
            scoring="neg_mean_absolute_error",
            n_jobs=2 if function is cross_val_score else None,
        )
        for function in (cross_val_score, model_selection.cross_val_score)
    ]
    assert found[0].tobytes() == found[1].tobytes()
    assert fitted == [3]


def test_splits_are_drawn_in_scikit_learn_s_order_between_fits():
    network = clone(NETWORK).set_params(random_state=None)
    found = []
    for function in (cross_val_score, model_selection.cross_val_score):
        np.random.seed(3)  # noqa: NPY002  # the generator of random_state=None
        cv = ShuffleSplit(4)
        found.append(function(network, X, Y, cv=cv, scoring="neg_log_loss"))
    assert found[0].tobytes() == found[1].tobytes()


def test_folds_without_number_are_held_a_batch_at_a_time(fitted, monkeypatch):
    scores = cross_val_score(NETWORK, X, Y, cv=LeaveOneOut())
    assert fitted == [90]
    held: weakref.WeakSet[Fold] = weakref.WeakSet()
    most = []

    class Noted(Fold):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            held.add(self)
            most.append(len(held))

    monkeypatch.setattr(parallel_fits, "MOST_FITS", 32)
    monkeypatch.setattr(parallel_fits, "Fold", Noted)
    assert np.array_equal(cross_val_score(NETWORK, X, Y, cv=LeaveOneOut()), scores)
    assert fitted == [90, 32, 32, 26]
    assert max(most) <= 33


def test_wrong_arguments_are_refused_in_scikit_learn_s_words():
    with pytest.raises(ValueError, match="'error_score' parameter of cross_validate must be"):
        cross_validate(NETWORK, X, Y, error_score="wrong")
    with pytest.raises(ValueError, match="'scoring' parameter of cross_val_score must be"):
        cross_val_score(NETWORK, X, Y, scoring=["accuracy"])
    with pytest.raises(ValueError, match="n_jobs == 0"):
        cross_val_score(NETWORK, X, Y, n_jobs=0)


def test_scikit_learn_s_own_functions_are_as_they_were():
    code = model_selection.cross_validate.__wrapped__
    assert code.__globals__["Parallel"] is not parallel_fits.ParallelFits
    assert model_selection.cross_validate is not cross_validate
