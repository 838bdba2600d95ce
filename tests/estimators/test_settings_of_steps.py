"""The estimators' weight decay, average, clipping, cosine and smoothed labels."""

import itertools
import re
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss

from engine import MLPClassifier, MLPEnsembleClassifier, MLPRegressor, fit_many, train
from engine.model_selection import GridSearchCV
from engine.solvers.member_descent import MemberDescents

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::engine.TrainingWarning"
)
RNG = np.random.default_rng(2)
X = RNG.normal(size=(90, 3))
CLASSES = np.array(["a", "b", "c"])[RNG.integers(0, 3, 90)]
Y = {
    "binary": CLASSES == "a",
    "classes": CLASSES,
    "labels": np.array([CLASSES == "a", X[:, 0] > 0]).T.astype(int),
    "numbers": X.sum(axis=1),
}
STEPS: dict[str, Any] = {"average": 0.75, "clip_norm": 0.0625}
ADAMW: dict[str, Any] = {**STEPS, "weight_decay": 0.5}
GIVEN: dict[str, dict[str, Any]] = {
    "adam": {"batch_size": 32, **ADAMW},
    "adam, cosine": {"batch_size": 32, "learning_rate": "cosine", **ADAMW},
    "sgd": {"solver": "sgd", "batch_size": 32, "learning_rate_init": 0.1, **STEPS},
    "sgd, cosine": {"solver": "sgd", "batch_size": 32, "learning_rate": "cosine", **STEPS},
    "gd": {"solver": "gd", "learning_rate_init": 0.1, **STEPS},
}
CONTINUED = [name for name in GIVEN if "cosine" not in name]


def classifier(**given):
    return MLPClassifier(
        **{"hidden_layer_sizes": (4,), "random_state": 0, "max_iter": 6, "tol": 0.0, **given}
    )


def bits(model):
    return model.fingerprint_, np.array(model.loss_curve_).tobytes(), model.n_iter_


@pytest.mark.parametrize("name", GIVEN)
def test_a_fit_is_the_run_of_train(name):
    """With the order of the rows left as it is, which the two draw in different ways."""
    given = {"alpha": 0.0, "shuffle": False, "label_smoothing": 0.125, **GIVEN[name]}
    model = classifier(**given).fit(X, CLASSES)
    start = classifier(**{**given, "max_iter": 1, "learning_rate_init": 1e-30}).fit(X, CLASSES)
    names = {"learning_rate_init": "learning_rate", "learning_rate": "schedule"}
    of_run = {names.get(key, key): value for key, value in given.items()}
    theta = model._network.initial_parameters(0)
    theta[:] = np.concatenate(
        [
            part.ravel()
            for W, b in zip(start.coefs_, start.intercepts_, strict=True)
            for part in (W.T, b)
        ]
    )
    codes = np.searchsorted(model.classes_, CLASSES)
    result = train(model._network, X.T, codes, theta=theta, max_iter=6, **of_run)
    np.testing.assert_allclose(model._theta(), result.theta, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shuffle", [True, "blocks"])
@pytest.mark.parametrize("name", CONTINUED)
def test_so_many_epochs_and_then_more_are_all_of_them_at_once(name, shuffle, backend):
    """Although coefs_ hold the average, training goes on from the parameters themselves."""
    given = {**GIVEN[name], "shuffle": shuffle, "label_smoothing": 0.1, "backend": backend}
    at_once = classifier(**given).fit(X, CLASSES)
    parts = classifier(**given, warm_start=True)
    for n in (2, 1, 3):
        parts.set_params(max_iter=n).fit(X, CLASSES)
    assert parts.fingerprint_ == at_once.fingerprint_
    assert parts.loss_curve_ == at_once.loss_curve_
    if name != "gd":
        by_epoch = classifier(**given)
        for _ in range(6):
            by_epoch.partial_fit(X, CLASSES, classes=np.unique(CLASSES))
        assert by_epoch.loss_curve_ == at_once.loss_curve_
        assert by_epoch.fingerprint_ == at_once.fingerprint_


def test_a_fit_that_continues_does_not_change_what_it_continues():
    model = classifier(**GIVEN["adam"], warm_start=True).fit(X, CLASSES)
    kept = model.coefs_[0].copy(), model._optimizer.theta.copy(), model._optimizer.average.copy()
    twin = clone(model).fit(X, CLASSES)
    coefs, optimiser = model.coefs_[0], model._optimizer
    model.fit(X, CLASSES)
    np.testing.assert_array_equal(coefs, kept[0])
    np.testing.assert_array_equal(optimiser.theta, kept[1])
    np.testing.assert_array_equal(optimiser.average, kept[2])
    assert twin.fit(X, CLASSES).fingerprint_ == model.fingerprint_


def test_coefs_that_were_changed_are_what_the_next_fit_begins_with():
    model = classifier(**GIVEN["adam"], warm_start=True).fit(X, CLASSES)
    for coef in model.coefs_:
        coef[:] = 0
    model.set_params(learning_rate_init=1e-30, weight_decay=0.0).fit(X, CLASSES)
    assert all(np.abs(coef).max() < 1e-20 for coef in model.coefs_)


def test_an_average_may_be_switched_on_and_off():
    """On: it begins with coefs_. Off: training goes on from the average."""
    model = classifier(batch_size=32, warm_start=True).fit(X, CLASSES)
    before = model._theta()
    steps = model._optimizer.steps
    model.set_params(average=0.75, max_iter=1, batch_size=90).fit(X, CLASSES)
    assert model._optimizer.steps == steps + 1
    expected = 0.75 * before + 0.25 * model._optimizer.theta
    np.testing.assert_allclose(model._theta(), expected, rtol=1e-12)
    averaged = model._theta()
    model.set_params(average=None, learning_rate_init=1e-30).fit(X, CLASSES)
    np.testing.assert_allclose(model._theta(), averaged, rtol=1e-12)
    assert model._optimizer.average is None


@pytest.mark.parametrize("name", ["adam, cosine", "sgd, cosine"])
def test_each_fit_has_a_cosine_of_its_own(name):
    """A warm start begins again at learning_rate_init; partial_fit would never end."""
    given = {**GIVEN[name], "average": None}
    model = classifier(**given, warm_start=True).fit(X, CLASSES)
    assert 0 < model._optimizer.rate < 0.1 * model.learning_rate_init
    before = model._theta()
    model.fit(X, CLASSES)
    assert np.abs(model._theta() - before).max() > 1e-4
    with pytest.raises(ValueError, match="partial_fit does not support learning_rate='cosine'"):
        model.partial_fit(X, CLASSES)
    with pytest.raises(ValueError, match="partial_fit does not support learning_rate='cosine'"):
        classifier(**given).partial_fit(X, CLASSES, classes=np.unique(CLASSES))


@pytest.mark.parametrize("name", GIVEN)
def test_the_end_of_a_cosine_is_no_lack_of_convergence(name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        classifier(**GIVEN[name]).fit(X, CLASSES)
    unconverged = [one for one in caught if one.category is ConvergenceWarning]
    assert len(unconverged) == ("cosine" not in name)


@pytest.mark.parametrize("name", GIVEN)
def test_early_stopping_scores_and_keeps_the_average(name):
    model = classifier(**GIVEN[name], early_stopping=True, max_iter=12).fit(
        X, CLASSES, X_val=X[:40], y_val=CLASSES[:40]
    )
    assert model.score(X[:40], CLASSES[:40]) == max(model.validation_scores_)
    last = classifier(**GIVEN[name], max_iter=12).fit(X, CLASSES, X_val=X[:40], y_val=CLASSES[:40])
    of_average = log_loss(CLASSES[:40], last.predict_proba(X[:40]))
    assert last.validation_loss_curve_[-1] == pytest.approx(of_average, rel=1e-10)
    again = clone(model).set_params(warm_start=True)
    for _ in range(2):
        again.fit(X, CLASSES, X_val=X[:40], y_val=CLASSES[:40])
    assert again.score(X[:40], CLASSES[:40]) == max(again.validation_scores_)


@pytest.mark.parametrize("targets", ["binary", "classes", "labels"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs", "lm"])
def test_the_training_loss_is_that_of_smoothed_labels_and_scores_are_not(targets, solver):
    y = Y[targets]
    given: dict[str, Any] = {"solver": solver, "alpha": 0.0, "max_iter": 3, "activation": "tanh"}
    if solver == "adam":  # whose loss is that before the step
        given["learning_rate_init"] = 1e-30
    model = classifier(**given, label_smoothing=0.25).fit(X, y, X_val=X, y_val=y)
    p = model.predict_proba(X)
    if targets == "classes":
        labels = y[:, np.newaxis] == model.classes_
        costs = -(labels * np.log(p)).sum(axis=1)
        smoothed = -((0.75 * labels + 0.25 / 3) * np.log(p)).sum(axis=1)
    else:
        p = p[:, 1:] if targets == "binary" else p
        labels = y.reshape(len(X), -1)

        def cost(t):
            return -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum(axis=1)

        costs, smoothed = cost(labels), cost(0.75 * labels + 0.125)
    assert model.validation_loss_curve_[-1] == pytest.approx(costs.mean(), rel=1e-8)
    assert model.loss_ == pytest.approx(smoothed.mean(), rel=1e-8)


def grid():
    """Fits of several kinds, with values of their own."""
    values = itertools.product(
        [0.0, 0.1, 0.5], [None, 0.5, 0.9], [None, 0.05, 1e9], ["constant", "cosine"], [0.0, 0.1]
    )
    return [
        classifier(
            weight_decay=decay,
            average=average,
            clip_norm=clip,
            learning_rate=rate,
            label_smoothing=smoothing,
            batch_size=16,
            random_state=number,
            learning_rate_init=0.01,
        )
        for number, (decay, average, clip, rate, smoothing) in enumerate(values)
    ]


def test_fits_of_many_have_the_bits_of_each_alone(monkeypatch):
    """Side by side in lanes, as many as are of one kind."""
    joined = []

    def join(self, descent, own=MemberDescents.join):
        joined.append(descent)
        own(self, descent)

    monkeypatch.setattr(MemberDescents, "join", join)
    alone = [model.fit(X, CLASSES) for model in grid()]
    assert not joined
    together = fit_many(grid(), X, CLASSES)
    assert len(joined) > len(together) / 2
    for one, other in zip(alone, together, strict=True):
        assert bits(one) == bits(other)
        for name in ("first", "second", "theta", "average"):
            np.testing.assert_array_equal(
                getattr(one._optimizer, name), getattr(other._optimizer, name)
            )


@pytest.mark.parametrize("name", CONTINUED)
def test_fits_of_many_continue_too(name):
    given = {**GIVEN[name], "warm_start": True}
    at_once = [classifier(**{**given, "random_state": n}).fit(X, CLASSES) for n in range(5)]
    parts = [classifier(**{**given, "random_state": n}) for n in range(5)]
    for epochs in (2, 4):
        fit_many([model.set_params(max_iter=epochs) for model in parts], X, CLASSES)
    assert [one.fingerprint_ for one in parts] == [one.fingerprint_ for one in at_once]


def test_an_ensemble_and_a_search_take_them():
    member = classifier(**GIVEN["adam"], label_smoothing=0.1)
    ensemble = MLPEnsembleClassifier(3, estimator=member, random_state=0).fit(X, CLASSES)
    alone = [clone(one).fit(X, CLASSES) for one in ensemble.members_]
    assert [one.fingerprint_ for one in ensemble.members_] == [one.fingerprint_ for one in alone]
    found = GridSearchCV(member, {"weight_decay": [0.0, 0.5], "average": [None, 0.9]}, cv=3)
    by_hand = GridSearchCV.__mro__[1](member, found.param_grid, cv=3).fit(X, CLASSES)
    found.fit(X, CLASSES)
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], by_hand.cv_results_["mean_test_score"]
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weight_decay": -0.1}, "The 'weight_decay' parameter of MLPClassifier must be a float"),
        ({"average": 1.0}, "The 'average' parameter of MLPClassifier must be a float in the range"),
        ({"clip_norm": 0}, "The 'clip_norm' parameter of MLPClassifier must be a float in the"),
        ({"label_smoothing": 1}, "The 'label_smoothing' parameter of MLPClassifier must be a"),
        ({"solver": "sgd", "weight_decay": 0.1}, "weight_decay=0.1 needs solver='adam'; got"),
        ({"solver": "lbfgs", "average": 0.5}, "average=0.5 needs solver='adam', 'sgd' or 'gd'"),
        ({"solver": "lm", "clip_norm": 0.5}, "clip_norm=0.5 needs solver='adam', 'sgd' or 'gd'"),
        (
            {"solver": "gd", "learning_rate": "cosine"},
            "learning_rate='cosine' needs solver='adam' or 'sgd'; got solver='gd'. Pass "
            "learning_rate='constant'.",
        ),
        (
            {"solver": "lm", "alpha": "evidence", "label_smoothing": 0.1},
            "alpha='evidence' takes the labels as they are",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(given, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        classifier(**given).fit(X, CLASSES)


def test_a_regressor_has_no_labels_to_smooth():
    assert "label_smoothing" not in MLPRegressor().get_params()
    for solver in ("adam", "sgd", "gd"):
        model = MLPRegressor(
            hidden_layer_sizes=(), solver=solver, random_state=0, average=0.5, clip_norm=1.0
        )
        assert np.isfinite(model.fit(X, Y["numbers"]).coefs_[0]).all()
