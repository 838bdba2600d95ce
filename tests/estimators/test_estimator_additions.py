"""What the estimators do that scikit-learn's do not."""

import itertools
import math
import os
import signal
import threading
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

import engine
from engine import MLPClassifier, MLPRegressor, Network
from engine.solvers.descent import CompiledSteps
from engine.sums.chunks import ChunkSums
from engine.sums.objective import Objective
from tests.estimators.test_estimators import rows, targets

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::engine.TrainingWarning"
)


def assert_same_bits(one, other):
    for a, b in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_):
        np.testing.assert_array_equal(a, b)
    assert one.fingerprint_ == other.fingerprint_


# Solver "gd", and activations by layer.


@pytest.mark.parametrize("backend", ["tiled", "loops", "numpy"])
def test_gd_follows_train(backend):
    X = rows()
    y = targets("labels", X)
    model = MLPClassifier(
        (5,),
        "tanh",
        solver="gd",
        learning_rate_init=0.3,
        max_iter=7,
        alpha=0.01,
        random_state=0,
        backend=backend,
    ).fit(X, y)
    network = Network((4, 5, 3), "tanh", "softmax")
    start = MLPClassifier((5,), "tanh", solver="gd", learning_rate_init=1e-300, max_iter=1)
    start.set_params(random_state=0).fit(X, y)
    theta = np.concatenate(
        [part.ravel() for W, b in zip(start.coefs_, start.intercepts_) for part in (W.T, b)]
    )
    codes = np.searchsorted(model.classes_, y)
    trained = engine.train(
        network, X.T, codes, solver="gd", learning_rate=0.3, max_iter=7, alpha=0.01, theta=theta
    )
    np.testing.assert_allclose(model.loss_curve_, trained.history["cost"], rtol=1e-12)
    np.testing.assert_allclose(model.coefs_[0], network.views(trained.theta)[0][0].T, rtol=1e-12)


def test_activations_by_layer_are_those_of_the_network():
    X = rows()
    y = targets("binary", X)
    model = MLPClassifier((5, 4), ["tanh", "relu"], max_iter=3, random_state=0).fit(X, y)
    A1 = np.tanh(X @ model.coefs_[0] + model.intercepts_[0])
    A2 = np.maximum(0, A1 @ model.coefs_[1] + model.intercepts_[1])
    z = A2 @ model.coefs_[2] + model.intercepts_[2]
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], 1 / (1 + np.exp(-z[:, 0])), rtol=1e-9)


def test_one_name_listed_for_each_layer_is_the_same_as_the_name():
    X = rows()
    y = targets("binary", X)
    for name in ("logistic", "relu"):
        one = MLPClassifier((5, 4), name, max_iter=3, random_state=0).fit(X, y)
        listed = MLPClassifier((5, 4), [name, name], max_iter=3, random_state=0).fit(X, y)
        assert_same_bits(one, listed)


@pytest.mark.parametrize(
    ("activation", "message"),
    [(["tanh"], "lists 1 names, but there are 2 hidden layers"), (["tanh", "swish"], "'swish'")],
)
def test_activations_that_do_not_fit_the_layers_are_refused(activation, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier((5, 4), activation).fit(rows(), targets("binary", rows()))


# Weights of classes.


@pytest.mark.parametrize("class_weight", ["balanced", {0: 1.0, 1: 3.0}])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_are_sample_weights(class_weight, weighted):
    X = rows()
    y = (X[:, 0] > 0.7).astype(int)
    weights = np.linspace(0.5, 2, 60) if weighted else np.ones(60)
    by_class = MLPClassifier((5,), max_iter=5, random_state=0, class_weight=class_weight)
    by_class.fit(X, y, weights if weighted else None)
    by_sample = MLPClassifier((5,), max_iter=5, random_state=0)
    of_classes = compute_class_weight(
        class_weight, classes=np.array([0, 1]), y=y, sample_weight=weights
    )
    by_sample.fit(X, y, weights * of_classes[y])
    assert_same_bits(by_class, by_sample)


def test_class_weights_of_labels_and_of_several_labels():
    X = rows()
    y = targets("labels", X)
    model = MLPClassifier((5,), max_iter=2, random_state=0, class_weight={"yes": 5.0})
    weights = np.where(y == "yes", 5.0, 1.0)
    assert_same_bits(
        model.fit(X, y), MLPClassifier((5,), max_iter=2, random_state=0).fit(X, y, weights)
    )
    Y = targets("multilabel", X)
    balanced = MLPClassifier((5,), max_iter=2, random_state=0, class_weight="balanced").fit(X, Y)
    weights = compute_sample_weight("balanced", Y)
    assert_same_bits(balanced, MLPClassifier((5,), max_iter=2, random_state=0).fit(X, Y, weights))


def test_balanced_classes_need_all_of_y():
    X = rows()
    with pytest.raises(ValueError, match=r"not supported for partial_fit.*pass them as a dict"):
        MLPClassifier(class_weight="balanced").partial_fit(X, targets("binary", X), classes=[0, 1])
    model = MLPClassifier(class_weight={0: 1, 1: 2}, random_state=0)
    other = MLPClassifier(random_state=0)
    y = targets("binary", X)
    model.partial_fit(X, y, classes=[0, 1])
    other.partial_fit(X, y, sample_weight=np.where(y, 2.0, 1.0), classes=[0, 1])
    assert_same_bits(model, other)


# Held-out rows.


@pytest.mark.parametrize("solver", ["adam", "sgd", "gd", "lbfgs"])
def test_the_loss_of_held_out_rows_stands_beside_the_training_loss(solver):
    X = rows(90)
    y = targets("labels", X)
    model = MLPClassifier((5,), solver=solver, max_iter=6, random_state=0, alpha=1)
    model.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    assert len(model.validation_loss_curve_) == model.n_iter_ == 6
    assert model.validation_scores_ is None
    expected = log_loss(y[60:], model.predict_proba(X[60:]), labels=model.classes_)
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-9)
    alone = MLPClassifier((5,), solver=solver, max_iter=6, random_state=0, alpha=1)
    assert_same_bits(model, alone.fit(X[:60], y[:60]))
    assert alone.validation_loss_curve_ is None


def test_early_stopping_takes_the_users_own_rows():
    X = rows(90)
    y = targets("regression", X)
    weights = np.linspace(0, 2, 30)
    model = MLPRegressor(
        hidden_layer_sizes=20,
        learning_rate_init=0.1,
        early_stopping=True,
        max_iter=60,
        n_iter_no_change=5,
        random_state=0,
    )
    model.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:], sample_weight_val=weights)
    assert model.n_iter_ < 60
    assert model.best_validation_score_ == max(model.validation_scores_)
    score = model.score(X[60:], y[60:], weights)
    assert model.best_validation_score_ == pytest.approx(score, rel=1e-12)


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        ({"X_val": rows(5)}, "go together"),
        ({"y_val": [0, 1]}, "go together"),
        ({"sample_weight_val": [1, 1]}, "go together"),
        ({"X_val": rows(5), "y_val": [0, 1, 2, 1, 1]}, r"y_val has classes that y has not: \[2\]"),
        ({"X_val": rows(5)[:, :3], "y_val": [0, 1, 0, 1, 1]}, "X has 3 features, but"),
        ({"X_val": rows(5), "y_val": [0, 1]}, "inconsistent numbers of samples"),
    ],
)
def test_held_out_rows_that_do_not_fit_are_refused(held_out, message):
    X = rows()
    with pytest.raises(ValueError, match=message):
        MLPClassifier((3,)).fit(X, targets("binary", X), **held_out)


@pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss", "callable"])
def test_any_scorer_decides_on_early_stopping(scoring):
    X = rows(120)
    y = targets("binary", X)
    told = []

    def scorer(estimator, X, y, sample_weight=None):
        told.append(sample_weight)
        return -log_loss(y, estimator.predict_proba(X), sample_weight=sample_weight)

    model = MLPClassifier(
        (8,),
        learning_rate_init=0.1,
        early_stopping=True,
        max_iter=50,
        tol=0.02,
        n_iter_no_change=3,
        random_state=0,
        scoring=scorer if scoring == "callable" else scoring,
    )
    model.fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:], sample_weight_val=np.ones(40))
    p = model.predict_proba(X[80:])
    expected = roc_auc_score(y[80:], p[:, 1]) if scoring == "roc_auc" else -log_loss(y[80:], p)
    assert model.best_validation_score_ == pytest.approx(expected)
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.n_iter_ < 50
    if scoring == "callable":
        assert len(told) == model.n_iter_
        np.testing.assert_array_equal(told[0], np.ones(40))


def test_an_unknown_scorer_is_refused():
    X = rows()
    with pytest.raises(ValueError, match="'speed' is not a valid scoring value"):
        MLPClassifier(early_stopping=True, scoring="speed").fit(X, targets("binary", X))


# Limits, interruption, output.


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_time_limit_ends_a_fit_and_says_so(solver):
    X = rows({"adam": 400, "lbfgs": 4000}[solver])  # what L-BFGS does not finish in that time
    y = targets("regression", X)
    model = MLPRegressor(
        solver=solver,
        max_iter=10**9,
        max_fun=10**9,
        max_time=0.1,
        tol=0,
        n_iter_no_change=np.inf,
        random_state=0,
    )
    start = time.perf_counter()
    with pytest.warns(ConvergenceWarning, match=r"max_time=0.1 seconds were over after \d+ iter"):
        model.fit(X, y)
    assert time.perf_counter() - start < 60
    assert model.n_iter_ == len(model.loss_curve_) > 0
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.compiled
def test_ctrl_c_ends_a_descent_with_a_warning_and_keeps_what_was_reached():
    X = rows(2000)
    y = targets("regression", X)
    parameters = {"tol": 0, "n_iter_no_change": np.inf, "random_state": 0}
    MLPRegressor(max_iter=2, **parameters).fit(X, y)  # compiles
    model = MLPRegressor(max_iter=10**9, **parameters)
    timer = threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(X, y)
    timer.join()
    assert model.n_iter_ == len(model.loss_curve_) > 1
    assert model.loss_ < model.loss_curve_[0]
    assert model.t_ == len(X) * model.n_iter_  # no epoch is lost, wherever the signal came


@pytest.mark.compiled
def test_ctrl_c_ends_a_minimisation_with_a_warning_and_keeps_what_was_reached(monkeypatch):
    """At its 40th evaluation: by the clock it may come when L-BFGS has ended by itself."""
    evaluate, calls = Objective.cost_and_gradient, itertools.count(1)

    def pressed(objective, theta):
        if next(calls) == 40:
            os.kill(os.getpid(), signal.SIGINT)
        return evaluate(objective, theta)

    monkeypatch.setattr(Objective, "cost_and_gradient", pressed)
    X = rows(2000)
    model = MLPRegressor(solver="lbfgs", max_iter=10**9, tol=0, random_state=0)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(X, targets("regression", X))
    assert 1 < model.n_iter_ == len(model.loss_curve_) < 40
    assert model.loss_ == model.loss_curve_[-1] < model.loss_curve_[0]


def test_epochs_that_ended_when_ctrl_c_came_are_in_the_curve(monkeypatch):
    X = rows()
    model = MLPClassifier((3,), max_iter=50, random_state=0)
    advance, calls = CompiledSteps.advance, []

    def interrupted(*arguments):
        ended = advance(*arguments)
        calls.append(ended)
        if len(calls) == 1:  # behind the compiled slice, before anybody has seen its epochs
            raise KeyboardInterrupt
        return ended

    monkeypatch.setattr(CompiledSteps, "advance", interrupted)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(X, targets("binary", X))
    assert model.n_iter_ == len(model.loss_curve_) == model.t_ / 60 > 1
    assert np.isfinite(model.loss_curve_).all()


def test_ctrl_c_before_a_step_leaves_the_estimator_as_it_was(monkeypatch):
    X = rows()
    y = targets("binary", X)
    model = MLPClassifier((3,), max_iter=2, random_state=0, warm_start=True).fit(X, y)
    before = model.fingerprint_, model.loss_, model.n_iter_

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(CompiledSteps, "advance", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert (model.fingerprint_, model.loss_, model.n_iter_) == before


def test_ctrl_c_with_early_stopping_keeps_the_best_so_far():
    X = rows(90)
    y = targets("binary", X)
    seen = []

    def scorer(estimator, X, y):
        seen.append([array.copy() for array in estimator.coefs_])
        if len(seen) == 6:
            raise KeyboardInterrupt
        return [0.1, 0.5, 0.9, 0.3, 0.2][len(seen) - 1]

    model = MLPClassifier((4,), early_stopping=True, scoring=scorer, random_state=0)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(X, y)
    assert model.best_validation_score_ == 0.9
    np.testing.assert_array_equal(model.coefs_[0], seen[2][0])


def test_a_bar_shows_the_epochs_on_standard_error(capsys):
    X = rows()
    MLPClassifier((3,), max_iter=5, random_state=0, progress=True).fit(X, targets("binary", X))
    printed = capsys.readouterr()
    assert "5/5" in printed.err
    assert printed.out == ""


def test_the_plan_says_how_many_threads_and_why():
    X = rows()
    model = MLPClassifier((3,), max_iter=2, n_threads=3).fit(X, targets("binary", X))
    assert model.n_threads_ == model.plan_.n_threads == 1
    assert "3 asked for, and no layer has units for more than 1" in model.plan_.why
    assert model.plan_.backend == "tiled"


@pytest.mark.parametrize("backend", ["loops", "numpy"])
def test_backends_agree(backend):
    X = rows()
    y = targets("labels", X)
    one = MLPClassifier((5,), max_iter=4, batch_size=17, random_state=0).fit(X, y)
    other = MLPClassifier((5,), max_iter=4, batch_size=17, random_state=0, backend=backend)
    other.fit(X, y)
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-12)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), rtol=1e-10)


def test_what_is_written_to_the_coefficients_counts():
    X = rows()
    y = targets("regression", X)
    model = MLPRegressor(hidden_layer_sizes=3, max_iter=3, random_state=0).fit(X, y)
    before = model.predict(X)
    model.intercepts_[-1][:] += 1
    np.testing.assert_allclose(model.predict(X), before + 1, rtol=1e-12)
    model.coefs_ = [np.zeros(coef.shape) for coef in model.coefs_]
    np.testing.assert_array_equal(model.predict(X), np.full(60, model.intercepts_[-1][0]))


def test_other_layers_cannot_go_on_from_an_earlier_fit():
    X = rows()
    y = targets("binary", X)
    model = MLPClassifier((3,), max_iter=2, warm_start=True).fit(X, y)
    model.set_params(hidden_layer_sizes=(4,))
    with pytest.raises(ValueError, match=r"fitted as <Network 4-3-1.*continue as <Network 4-4-1"):
        model.fit(X, y)
    assert model.coefs_[0].shape == (4, 3)


def test_a_new_random_state_is_a_new_generator_for_a_fit_that_goes_on():
    X = rows()
    y = targets("binary", X)

    def fitted(second, **parameters):
        model = MLPClassifier((3,), batch_size=10, max_iter=2, warm_start=True, **parameters)
        return model.fit(X, y).set_params(random_state=second).fit(X, y)

    assert (
        fitted(0, random_state=0).fingerprint_ == fitted(np.int64(0), random_state=0).fingerprint_
    )
    assert fitted(0, random_state=0).fingerprint_ != fitted(1, random_state=0).fingerprint_


@pytest.mark.parametrize("schedule", ["invscaling", "adaptive"])
def test_another_schedule_begins_anew(schedule):
    X = rows()
    y = targets("binary", X)
    model = MLPClassifier(
        (3,),
        solver="sgd",
        learning_rate=schedule,
        learning_rate_init=0.1,
        tol=0.5,
        n_iter_no_change=1,
        max_iter=20,
        warm_start=True,
        random_state=0,
    )
    assert model.fit(X, y)._optimizer.rate < 0.1
    assert model.set_params(learning_rate="constant").fit(X, y)._optimizer.rate == 0.1


def test_a_network_without_its_state_of_training_goes_on_with_a_new_one():
    """As model files keep it: no optimiser, no generator, curves as arrays."""
    X = rows()
    y = targets("binary", X)
    model = MLPClassifier((3,), max_iter=3, warm_start=True, random_state=0).fit(X, y)
    del model._optimizer, model._draws
    model.loss_curve_ = np.array(model.loss_curve_)
    model.fit(X, y)
    assert model._optimizer.steps == 3
    assert len(model.loss_curve_) == 6
    assert isinstance(model.loss_curve_, list)


def test_adam_after_lbfgs_begins_without_moments():
    X = rows()
    y = targets("binary", X)
    model = MLPClassifier((3,), max_iter=3, warm_start=True, random_state=0).fit(X, y)
    model.set_params(solver="lbfgs").fit(X, y).set_params(solver="adam").fit(X, y)
    assert model._optimizer.steps == 3


def test_without_shuffles_rows_come_in_their_order_after_a_shuffled_fit_too():
    X = rows()
    y = targets("binary", X)
    model = MLPClassifier((3,), batch_size=7, max_iter=2, warm_start=True, random_state=0)
    model.fit(X, y).set_params(shuffle=False).fit(X, y)
    np.testing.assert_array_equal(model._optimizer.order, np.arange(60))


def test_early_stopping_switched_on_again_knows_no_earlier_score():
    X = rows(80)
    y = targets("binary", X)
    model = MLPClassifier((8,), max_iter=30, warm_start=True, early_stopping=True, random_state=0)
    model.fit(X, y)
    model.set_params(early_stopping=False, learning_rate_init=1.0).fit(X, y)
    assert model.validation_scores_ is None
    assert model.best_validation_score_ is None
    assert model.best_loss_ is not None
    model.set_params(early_stopping=True, learning_rate_init=0.001).fit(X, y)
    assert len(model.validation_scores_) == model.n_iter_
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.best_loss_ is None


@pytest.mark.parametrize("going_on", ["partial_fit", "fit"])
@pytest.mark.parametrize("first", ["binary", "labels", "multilabel"])
def test_labels_of_another_kind_cannot_go_on(first, going_on):
    X = rows()
    y = targets(first, X)
    model = MLPClassifier((3,), max_iter=1, warm_start=going_on == "fit", random_state=0).fit(X, y)
    other = np.array([0, 1] * 30) if first == "multilabel" else targets("multilabel", X)
    with pytest.raises(ValueError, match=r"y has shape \(60.*that of the y of the last fit was"):
        getattr(model, going_on)(X, other)


def test_partial_fit_takes_sparse_labels():
    X = rows()
    Y = targets("multilabel", X)
    dense, sparse = (MLPClassifier((3,), random_state=0) for _ in range(2))
    dense.partial_fit(X, Y, classes=[0, 1, 2])
    sparse.partial_fit(X, scipy.sparse.csr_matrix(Y), classes=[0, 1, 2])
    assert_same_bits(dense, sparse)


@pytest.mark.parametrize("backend", ["tiled", "numpy"])
def test_coefficients_of_whole_numbers_are_numbers(backend):
    X = rows()
    model = MLPRegressor(hidden_layer_sizes=3, max_iter=1, random_state=0, backend=backend)
    model.fit(X, targets("regression", X))
    model.coefs_ = [np.ones((4, 3), int), np.ones((3, 1), int)]
    hidden = np.maximum(0, X @ model.coefs_[0] + model.intercepts_[0])
    expected = (hidden @ model.coefs_[1])[:, 0] + model.intercepts_[1]
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-12)


def test_curves_of_a_diverged_fit_are_of_one_length():
    X = rows(80)
    y = targets("regression", X)
    model = MLPRegressor(
        activation="identity",
        solver="sgd",
        learning_rate_init=1e3,
        early_stopping=True,
        random_state=0,
    )
    with pytest.warns(engine.TrainingWarning, match="The loss stopped being finite"):
        model.fit(X, y)
    lengths = {
        len(curve)
        for curve in (model.loss_curve_, model.validation_loss_curve_, model.validation_scores_)
    }
    assert lengths == {model.n_iter_}


@pytest.mark.compiled
def test_predicting_labels_takes_no_memory_for_all_activations():
    X = np.zeros((400_000, 2))
    y = np.arange(60) % 30
    model = MLPClassifier((2,), max_iter=1, random_state=0).fit(rows(60, 2), y)
    model.predict(X[:70_000])  # compiles
    tracemalloc.start()
    model.predict(X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 400_000 * 30 * 8 / 2


def test_many_rows_go_through_in_blocks_with_the_same_bits(monkeypatch):
    X = rows(50)
    model = MLPClassifier((3,), max_iter=2, random_state=0).fit(X, targets("binary", X))
    at_once = model.predict_proba(X)
    seen = []
    forward = ChunkSums.forward

    def counted(sums, theta):
        seen.append(sums)
        return forward(sums, theta)

    monkeypatch.setattr(ChunkSums, "forward", counted)
    monkeypatch.setattr("engine.estimators.predictor.ROWS_AT_A_TIME", 7)
    np.testing.assert_array_equal(model.predict_proba(X), at_once)
    assert len(seen) == 8
    np.testing.assert_array_equal(model.predict(X), model.classes_[at_once.argmax(axis=1)])


# One row at a time.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["binary", "labels", "multilabel", "regression", "two"])
def test_one_row_has_the_bits_of_many(kind, dtype):
    X = rows().astype(dtype)
    estimator = MLPRegressor if kind in ("regression", "two") else MLPClassifier
    model = estimator(hidden_layer_sizes=(9, 5), max_iter=2, random_state=0)
    model.fit(X, targets(kind, X))
    predictor: Any = model.predictor()
    np.testing.assert_array_equal([predictor.predict(row) for row in X], model.predict(X))
    if estimator is MLPClassifier:
        singly = np.array([predictor.predict_proba(row) for row in X])
        assert singly.dtype == dtype
        np.testing.assert_array_equal(singly, model.predict_proba(X))


def test_a_predictor_is_a_copy_that_takes_lists_and_refuses_what_is_no_row():
    X = rows()
    model = MLPRegressor(hidden_layer_sizes=3, max_iter=2, random_state=0)
    model.fit(X, targets("regression", X))
    predictor = model.predictor()
    before = predictor.predict(X[0])
    model.coefs_[0][:] = 0
    assert predictor.predict(X[0].tolist()) == before
    assert predictor.predict(X[:1].T[:, 0]) == before
    assert math.isfinite(predictor.predict(np.zeros(4, np.int8)))
    with pytest.raises(ValueError, match=r"must have shape \(4,\), one number per feature; got"):
        predictor.predict(X[:1])
    with pytest.raises(ValueError, match="must be finite, but holds NaN"):
        predictor.predict([0, 0, np.nan, 0])
    assert predictor.predict(X[0]) == before
