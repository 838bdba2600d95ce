"""solver="lm" and alpha="evidence" of the estimators, and what is inferred from them."""

import math
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from engine import Checkpoint, MLPClassifier, MLPRegressor, Network, inference, load, save, train
from engine.solvers.solver import SOLVERS

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings(
        "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::engine.TrainingWarning"
    ),
]
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(80, 3))
Z = np.sin(X[:, 0]) + X[:, 1] * X[:, 2]
NUMBERS = Z + 0.2 * RANDOM.normal(size=80)
YES = np.where(NUMBERS > 0, "yes", "no")
CLASSES = np.digitize(NUMBERS, [-0.7, 0.7])
LABELS = np.c_[NUMBERS > 0, X[:, 0] > NUMBERS].astype(int)
WEIGHTS = RANDOM.uniform(0.2, 2, 80)
SETTINGS: dict[str, Any] = {
    "hidden_layer_sizes": (3,),
    "activation": "tanh",
    "solver": "lm",
    "max_iter": 12,
    "random_state": 0,
}


def regressor(**others):
    return MLPRegressor(**{**SETTINGS, **others})


def classifier(**others):
    return MLPClassifier(**{**SETTINGS, **others})


def start_of(model, X, y):
    """The parameters that a fit begins with."""
    start = clone(model).set_params(solver="gd", learning_rate_init=1e-300, max_iter=1, alpha=0.0)
    return start.fit(X, y)._theta()


TARGETS = {
    "numbers": (regressor, NUMBERS, NUMBERS, "identity"),
    "two columns": (regressor, np.c_[NUMBERS, Z], np.c_[NUMBERS, Z].T, "identity"),
    "yes or no": (classifier, YES, YES == "yes", "sigmoid"),
    "classes": (classifier, CLASSES, CLASSES, "softmax"),
    "labels": (classifier, LABELS, LABELS.T, "sigmoid"),
}


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("name", TARGETS)
def test_a_fit_is_that_of_train(name, weights):
    make, y, Y, output = TARGETS[name]
    model = make(alpha=0.05, tol=0.0).fit(X, y, sample_weight=weights)
    n_outputs = {"two columns": 2, "classes": 3, "labels": 2}.get(name, 1)
    network = Network((3, 3, n_outputs), output=output)
    result = train(
        network,
        X.T,
        Y,
        solver="lm",
        max_iter=12,
        alpha=0.05,
        sample_weight=weights,
        theta=start_of(model, X, y),
    )
    np.testing.assert_allclose(model._theta(), result.theta, rtol=1e-9, atol=1e-10)
    after = np.append(result.history["cost"][1:], result.cost)  # the loss after each iteration
    np.testing.assert_allclose(model.loss_curve_, after, rtol=1e-9)
    assert model.loss_ == model.loss_curve_[-1]
    assert model.n_iter_ == 12


def test_early_stopping_keeps_the_best_score():
    model = regressor(early_stopping=True, max_iter=300, n_iter_no_change=5).fit(X, NUMBERS)
    assert model.n_iter_ < 300
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert len(model.validation_scores_) == model.n_iter_


@pytest.mark.parametrize("alpha", [1e-4, "evidence"])
def test_warm_start_is_as_if_all_iterations_were_asked_for_at_once(alpha):
    asked = {"tol": 0.0, "n_iter_no_change": 1000, "alpha": alpha}
    whole = regressor(max_iter=11, **asked).fit(X, NUMBERS)
    parts = regressor(max_iter=4, warm_start=True, **asked).fit(X, NUMBERS)
    parts.set_params(max_iter=7).fit(X, NUMBERS)
    assert parts.fingerprint_ == whole.fingerprint_
    assert parts.loss_curve_ == whole.loss_curve_


def test_warm_start_from_float32_goes_on_in_float64():
    model = regressor(solver="adam", warm_start=True).fit(X.astype("float32"), NUMBERS)
    assert model.coefs_[0].dtype == np.float32
    before = model.loss_
    model.set_params(solver="lm").fit(X.astype("float32"), NUMBERS)
    assert model.coefs_[0].dtype == np.float64
    assert model.loss_ < before
    assert "float32 data are trained in float64" in model.plan_.why


def test_float32_is_trained_in_float64_and_said_so():
    model = regressor().fit(X.astype("float32"), NUMBERS)
    exact = regressor().fit(X.astype("float32").astype(float), NUMBERS)
    assert model.fingerprint_ == exact.fingerprint_
    assert "float32 data are trained in float64" in model.plan_.why
    assert "float32" not in exact.plan_.why


def test_partial_fit_is_refused():
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'") as caught:
        regressor().partial_fit(X, NUMBERS)
    assert "lm is not stochastic" in str(caught.value.__cause__)


@pytest.mark.filterwarnings("default")
def test_max_iter_is_warned_of():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(3\) reached"):
        regressor(max_iter=3).fit(X, NUMBERS)


def test_an_end_at_a_minimum_is_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = regressor(max_iter=3000, alpha=0.5).fit(X, NUMBERS)
    assert model.n_iter_ < 3000


def test_searches_and_pipelines_take_it():
    search = GridSearchCV(
        make_pipeline(StandardScaler(), regressor(max_iter=50)),
        {"mlpregressor__alpha": [1e-3, "evidence"]},
        cv=3,
    )
    assert search.fit(X, NUMBERS).best_score_ > 0


CHECKPOINTS: dict[str, Any] = {
    "plain": {},
    "tol": {"tol": 1e-3, "n_iter_no_change": 3},
    "early stopping": {"early_stopping": True},
    "evidence": {"alpha": "evidence"},
    "kink": {"loss": "absolute_error"},
}


@pytest.mark.parametrize("repeated", [1, 15], ids=["one chunk", "two chunks"])
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoint_resumes_with_the_same_bits(tmp_path, name, repeated):
    rows, y = np.tile(X, (repeated, 1)), np.tile(NUMBERS, repeated)
    asked = {**CHECKPOINTS[name], "max_iter": 40}
    whole = regressor(**asked).fit(rows, y)
    asked["checkpoint"] = Checkpoint(tmp_path / "fit.ckpt", epochs=1)
    regressor(**{**asked, "max_iter": 5}).fit(rows, y)
    for _ in range(2):  # the second time, there is nothing left to do
        model = regressor(**asked).fit(rows, y)
        assert model.fingerprint_ == whole.fingerprint_
        assert model.loss_curve_ == whole.loss_curve_
        assert model.validation_scores_ == whole.validation_scores_


# The evidence


@pytest.mark.parametrize("name", TARGETS)
def test_evidence_is_that_of_train(name):
    make, y, Y, output = TARGETS[name]
    model = make(alpha="evidence", max_iter=500, n_iter_no_change=500).fit(X, y)
    n_outputs = {"two columns": 2, "classes": 3, "labels": 2}.get(name, 1)
    result = train(
        Network((3, 3, n_outputs), output=output),
        X.T,
        Y,
        solver="lm",
        max_iter=500,
        alpha="evidence",
        theta=start_of(model, X, y),
    )
    assert model.alpha_ == pytest.approx(result.alpha, rel=1e-5)
    assert model.effective_parameters_ == pytest.approx(result.effective_parameters, rel=1e-5)
    assert model.log_evidence_ == pytest.approx(result.log_evidence, rel=1e-6)


def test_evidence_needs_lm():
    for solver in set(SOLVERS) - {"lm"}:
        with pytest.raises(ValueError, match=f"needs solver='lm'; got solver='{solver}'"):
            regressor(alpha="evidence", solver=solver).fit(X, NUMBERS)


def test_loss_curve_of_the_evidence_does_not_depend_on_time():
    """The loss after an iteration has the alpha of that iteration."""
    curves = []
    for callback in (False, True):
        model = regressor(alpha="evidence")
        if callback:
            model.set_params(progress=True)
        curves.append(model.fit(X, NUMBERS).loss_curve_)
    again = regressor(alpha="evidence").fit(X, NUMBERS).loss_curve_
    assert curves[0] == curves[1] == again


def test_what_the_evidence_found_does_not_outlive_it():
    model = regressor(alpha="evidence").fit(X, NUMBERS)
    found = model.alpha_, model.effective_parameters_, model.log_evidence_
    assert all(math.isfinite(one) for one in found)
    model.set_params(alpha=0.1).fit(X, NUMBERS)
    assert not {"alpha_", "effective_parameters_", "log_evidence_"} & set(vars(model))


def test_model_files_keep_what_the_evidence_found(tmp_path):
    model = regressor(alpha="evidence", max_iter=200).fit(X, NUMBERS)
    path = tmp_path / "model.safetensors"
    save(path, model)
    loaded = load(path).estimator()
    assert loaded.alpha_ == model.alpha_
    assert loaded.log_evidence_ == model.log_evidence_
    errors = inference(loaded, X, NUMBERS).standard_errors
    np.testing.assert_array_equal(errors, inference(model, X, NUMBERS).standard_errors)


# What is inferred


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("name", TARGETS)
def test_inference_is_that_of_the_network(name, weights):
    """Rows in, rows out; alpha is the estimator's."""
    make, y, Y, _ = TARGETS[name]
    model = make(alpha=0.05, max_iter=300).fit(X, y, sample_weight=weights)
    found = inference(model, X, y, sample_weight=weights)
    expected = inference(model._network, model._theta(), X.T, Y, alpha=0.05, sample_weight=weights)
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-9)
    np.testing.assert_allclose(found.leverage, expected.leverage, rtol=1e-9)
    mean, std = found.predict(X[:5], return_std=True)
    of_columns, std_of_columns = expected.predict(X[:5].T, return_std=True)
    as_rows = (lambda a: a[0]) if len(of_columns) == 1 else np.transpose
    np.testing.assert_allclose(mean, as_rows(of_columns), rtol=1e-12)
    np.testing.assert_allclose(std, as_rows(std_of_columns), rtol=1e-9)
    for ours, theirs in zip(found.interval(X[:5], 0.8), expected.interval(X[:5].T, 0.8)):
        np.testing.assert_allclose(ours, as_rows(theirs), rtol=1e-9)
    predicted = model.predict(X[:5]) if make is regressor else model.predict_proba(X[:5])
    if name == "yes or no":
        predicted = predicted[:, 1]
    np.testing.assert_allclose(mean, predicted, rtol=1e-12)
    np.testing.assert_array_equal(found.predict(X[:5]), mean)


def test_inference_of_minibatches_takes_the_penalty_of_all_rows():
    """alpha is divided by the rows of a batch: on all rows it weighs as much as n / batch of it."""
    model = regressor(solver="adam", batch_size=20, alpha=0.05, max_iter=5).fit(X, NUMBERS)
    found = inference(model, X, NUMBERS)
    expected = inference(model._network, model._theta(), X.T, NUMBERS, alpha=0.05 * 80 / 20)
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-9)


def test_inference_can_be_pickled():
    found = inference(regressor().fit(X, NUMBERS), X, NUMBERS)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.standard_errors, found.standard_errors)
    np.testing.assert_array_equal(again.predict(X), found.predict(X))
    assert again.summary() == found.summary()


def test_wrong_rows_are_refused_as_by_predict():
    found = inference(regressor().fit(X, NUMBERS), X, NUMBERS)
    with pytest.raises(ValueError, match="2 features"):
        found.predict(X[:, :2])
    with pytest.raises(TypeError, match="takes X and y; got 1 arrays"):
        inference(regressor().fit(X, NUMBERS), X)


# When a fit ends, and where the next one begins


@pytest.mark.parametrize("before", [0.01, "evidence"])
def test_warm_start_takes_the_new_alpha(before):
    model = regressor(alpha=before, warm_start=True, tol=0, n_iter_no_change=500, max_iter=3)
    model.fit(X, NUMBERS)
    model.set_params(alpha=10.0, max_iter=500).fit(X, NUMBERS)
    squares = sum(np.sum(W**2) for W in model.coefs_)
    residuals = NUMBERS - model.predict(X)
    assert model.loss_ == pytest.approx((residuals @ residuals / 2 + 5 * squares) / 80, rel=1e-12)
    assert model.loss_ < 0.5


def test_warm_start_on_other_data_trains():
    model = regressor(warm_start=True, max_iter=200).fit(X, 0.01 * NUMBERS)
    model.fit(X, NUMBERS)
    assert model.score(X, NUMBERS) > 0.5


@pytest.mark.parametrize("scale", [1.0, 1e-2, 1e-4])
def test_tol_is_relative_to_the_loss(scale):
    model = regressor(alpha=0.0, max_iter=200).fit(X, scale * Z)
    assert model.score(X, scale * Z) > 0.9


def test_evidence_ends_where_alpha_has_settled():
    """While alpha changes, costs cannot be compared, and do not end the fit."""
    short = regressor(alpha="evidence", max_iter=2000).fit(X, NUMBERS)
    long = regressor(alpha="evidence", max_iter=2000, n_iter_no_change=1000, tol=0).fit(X, NUMBERS)
    assert short.alpha_ == pytest.approx(long.alpha_, rel=1e-6)
    assert short.log_evidence_ == pytest.approx(long.log_evidence_, rel=1e-9)


def test_evidence_refuses_early_stopping():
    with pytest.raises(ValueError, match=r"evidence.*validation data choose others"):
        regressor(alpha="evidence", early_stopping=True).fit(X, NUMBERS)


@pytest.mark.parametrize("solver", ["lm", "lbfgs"])
@pytest.mark.parametrize("max_iter", [1, 20, 2000])
def test_loss_of_a_kink_is_that_of_the_predictions(solver, max_iter):
    settings = dict(solver=solver, max_iter=max_iter, alpha=0.0, loss="absolute_error", tol=1e-9)
    model = regressor(**settings).fit(X, NUMBERS)
    assert model.loss_ == pytest.approx(np.abs(NUMBERS - model.predict(X)).mean(), rel=1e-12)
    assert model.n_iter_ <= max_iter
