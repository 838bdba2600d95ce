"""Halving over max_iter: survivors continue, with the bits of a new fit."""

import re
import time
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.stats import randint
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from engine import MLPClassifier, MLPRegressor
from engine.many.fits import Outcome
from engine.model_selection import HalvingGridSearchCV, HalvingRandomSearchCV
from engine.model_selection.resumption import KNOWN, Ended, _continues, resume
from tests.model_selection.searches import X_REGRESSION, Y_REGRESSION, X, Y, both, quiet

pytestmark = quiet

CLASSIFIER = MLPClassifier((5,), random_state=0)
REGRESSOR = MLPRegressor(hidden_layer_sizes=(5,), random_state=0)
RATES = {"learning_rate_init": [1e-4, 1e-3, 1e-2, 0.1]}
# Rounds of 4, 2 and 1 candidates, with 5, 10 and 20 epochs.
HALVING = {"resource": "max_iter", "factor": 2, "min_resources": 5, "max_resources": 20, "cv": 3}
CONTINUED = [[5] * 12, [5] * 6, [10] * 3]
ANEW = [[5] * 12, [10] * 6, [20] * 3]

# Attributes whose repr says where they are, and not what they are.
OBJECTS = {"_draws", "_labels", "_network", "random_state"}

same_after_rounds = pytest.mark.parametrize(
    "settings",
    [
        {},
        {"solver": "gd"},
        {"solver": "sgd", "learning_rate": "invscaling", "shuffle": False},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 1e-2, "n_iter_no_change": 1},
        {"solver": "sgd", "nesterovs_momentum": False, "batch_size": 16},
        {"shuffle": "blocks", "beta_1": 0.5, "alpha": 1.0, "n_iter_no_change": np.inf},
        {"average": 0.9, "weight_decay": 0.5, "clip_norm": 0.1},
        {"solver": "gd", "average": 0.5, "clip_norm": 0.1},
        {"warm_start": True, "continuation": "sklearn"},
        {"random_state": np.random.RandomState(4), "activation": "tanh"},
    ],
    ids=lambda settings: ",".join(f"{name}={settings[name]}" for name in settings)[:60],
)


@same_after_rounds
@pytest.mark.parametrize("network", [CLASSIFIER, REGRESSOR], ids=["classifier", "regressor"])
def test_survivors_continue_with_the_bits_of_a_new_fit(network, settings):
    network = clone(network).set_params(**settings)
    data = (X, Y) if isinstance(network, MLPClassifier) else (X_REGRESSION, Y_REGRESSION)
    ran, theirs = both(HalvingGridSearchCV, network, RATES, data=data, **HALVING)
    assert len(ran.fits[0]) == 12
    assert sum(map(sum, ran.fits)) <= sum(map(sum, CONTINUED))
    assert sorted(ran.warnings, key=str) == sorted(theirs.warnings, key=str)


@same_after_rounds
def test_a_survivor_has_all_attributes_of_a_new_fit(settings):
    seen: tuple[list[dict[str, Any]], ...] = [], []

    def score_into(states):
        def score(estimator, X, y):
            states.append(dict(vars(estimator)))
            return estimator.score(X, y)

        return score

    network = clone(CLASSIFIER).set_params(**settings)
    for search, states in zip((HalvingGridSearchCV, HalvingGridSearchCV.__mro__[1]), seen):
        search(network, RATES, **HALVING, scoring=score_into(states), return_train_score=False).fit(
            X, Y
        )
    assert len(seen[0]) == len(seen[1]) == 3 * (4 + 2 + 1)
    for mine, theirs in zip(*seen):
        assert mine.keys() == theirs.keys()
        for name in mine.keys() - OBJECTS:
            assert repr(mine[name]) == repr(theirs[name]), name
        assert repr(mine["_optimizer"]) == repr(theirs["_optimizer"])


@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "lbfgs"},
        {"solver": "lm", "activation": "tanh"},
        {"early_stopping": True, "n_iter_no_change": 100},
        {"random_state": None},
        {"learning_rate": "cosine", "average": 0.9},
    ],
    ids=["lbfgs", "lm", "early stopping", "NumPy's generator", "cosine"],
)
def test_other_survivors_are_fitted_anew(settings):
    network = clone(CLASSIFIER).set_params(**settings)
    ran, _ = both(HalvingGridSearchCV, network, {"alpha": [1e-4, 1e-3, 0.1, 1.0]}, **HALVING)
    assert sum(map(sum, ran.fits)) == sum(map(sum, ANEW))


def test_a_fit_that_had_stopped_by_itself_is_kept_as_it_is():
    network = clone(CLASSIFIER).set_params(tol=10.0, n_iter_no_change=1)
    ran, theirs = both(HalvingGridSearchCV, network, RATES, **HALVING)
    assert ran.fits == [[5] * 12]
    assert ran.warnings == theirs.warnings
    early = clone(network).set_params(early_stopping=True)
    ran, _ = both(HalvingGridSearchCV, early, RATES, **HALVING)
    assert ran.fits == [[5] * 12]


def test_rounds_with_the_same_resource_take_the_same_fits():
    options = {**HALVING, "max_resources": 10, "aggressive_elimination": True}
    ran, _ = both(HalvingGridSearchCV, CLASSIFIER, RATES, **options)
    assert ran.search.n_resources_ == [5, 5, 10]
    assert ran.fits == [[5] * 12, [5] * 3]


def test_a_survivor_in_a_pipeline_continues_too():
    pipeline = Pipeline([("scaler", StandardScaler()), ("mlp", clone(CLASSIFIER))])
    grid = {"mlp__learning_rate_init": [1e-3, 1e-2], "scaler__with_mean": [True, False]}
    options = {**HALVING, "resource": "mlp__max_iter"}
    weights = np.random.default_rng(0).uniform(0.1, 2, len(Y))
    ran, _ = both(
        HalvingGridSearchCV, pipeline, grid, fit_params={"mlp__sample_weight": weights}, **options
    )
    assert ran.fits == CONTINUED


def test_candidates_drawn_at_random_continue_too():
    found = {"learning_rate_init": [1e-4, 1e-3, 1e-2, 0.1], "activation": ["tanh", "relu"]}
    given = {"sample_weight": np.ones(len(Y)), "groups": np.arange(len(Y)) % 5}
    options = {**HALVING, "cv": GroupKFold(3), "random_state": 1, "n_candidates": 4}
    ran, _ = both(HalvingRandomSearchCV, CLASSIFIER, found, fit_params=given, **options)
    assert ran.fits == CONTINUED


def test_a_survivor_that_diverges_later_fails_with_the_error_of_a_new_fit():
    # The higher rate makes the loss grow, until it is not finite after 372 to 538 epochs.
    network = clone(REGRESSOR).set_params(solver="sgd", momentum=0.0, hidden_layer_sizes=())
    network.set_params(n_iter_no_change=10_000, batch_size=60)
    rates = {"learning_rate_init": [1e-3, 2.0]}
    options = {**HALVING, "min_resources": 320, "max_resources": 700, "factor": 1.9}
    data = (X_REGRESSION, Y_REGRESSION)
    ran, theirs = both(HalvingGridSearchCV, network, rates, data=data, refit=False, **options)
    texts = [
        [text for kind, text in search.warnings if kind is FitFailedWarning]
        for search in (ran, theirs)
    ]
    assert [len(text) for text in texts] == [1, 1]
    found = [re.findall(r"\d+ fits failed with|in epoch \d+", text) for (text,) in texts]
    assert found[0] == found[1]
    assert found[0][:2] == ["1 fits failed with", "in epoch 523"]
    assert [len(fits) for fits in ran.fits] == [6, 6, 1, 1, 1]  # and anew, for their errors


def test_a_candidate_that_failed_is_fitted_anew():
    ran, _ = both(
        HalvingGridSearchCV, CLASSIFIER, {"alpha": [1e-4, -1.0]}, **{**HALVING, "factor": 1.9}
    )
    assert [len(fits) for fits in ran.fits] == [6, 6]


@pytest.mark.parametrize(("stopped", "fits"), [("max_iter", True), ("tol", False)])
def test_only_a_fit_that_max_iter_ended_trains_on(stopped, fits):
    network = clone(CLASSIFIER).set_params(max_iter=5).fit(X, Y)
    ended = Ended(network, None, Outcome(None, [], 0.0, stopped), None)
    more, fewer = (clone(CLASSIFIER).set_params(max_iter=number) for number in (10, 4))
    resumption = resume(ended, more, {"X": X, "y": Y})
    assert resumption is not None
    assert (resumption.fit is not None) is fits
    assert resume(ended, fewer, {"X": X, "y": Y}) is None


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_candidates_with_equal_parameters_do_not_share_a_network(n_jobs):
    rates = {"learning_rate_init": [1e-3, 1e-2, 1e-2, 1e-2, 1e-4, 1e-4, 1e-4, 1e-4]}
    both(HalvingGridSearchCV, CLASSIFIER, rates, n_jobs=n_jobs, **HALVING)
    sizes = {"hidden_layer_sizes": randint(6, 8), "learning_rate_init": [1e-2]}
    options = {**HALVING, "n_candidates": 9, "random_state": 0, "n_jobs": n_jobs}
    both(HalvingRandomSearchCV, CLASSIFIER, sizes, **options)


def test_halving_does_not_go_by_warnings_which_other_threads_may_hide():
    def scored(network, X, y):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            time.sleep(0.001)
            return network.score(X, y)

    network = clone(CLASSIFIER).set_params(early_stopping=True, scoring=scored)
    both(HalvingGridSearchCV, network, RATES, n_jobs=2, **HALVING)


def test_a_schedule_or_a_parameter_that_nobody_knows_is_fitted_anew(monkeypatch):
    network = clone(CLASSIFIER).set_params(learning_rate="cosine")
    assert not _continues(network)
    assert _continues(clone(CLASSIFIER))
    monkeypatch.setattr("engine.model_selection.resumption.KNOWN", KNOWN - {"alpha"})
    assert _continues(clone(CLASSIFIER))
    assert not _continues(clone(CLASSIFIER).set_params(alpha=1.0))


@pytest.mark.parametrize("network", [CLASSIFIER, REGRESSOR], ids=["classifier", "regressor"])
def test_each_parameter_of_the_estimators_has_been_thought_of(network):
    unknown = network.get_params().keys() - KNOWN
    # Parameters that were added since: a fit continues only if they have their defaults. Add them
    # to KNOWN and to `same_after_rounds` if n and m more epochs with them have the bits of n + m.
    assert unknown == set()
