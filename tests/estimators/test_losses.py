"""MLPRegressor(loss=...): which losses, what it predicts, its score, and what it refuses."""

import math
import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import (
    d2_absolute_error_score,
    d2_pinball_score,
    d2_tweedie_score,
    mean_pinball_loss,
    r2_score,
)
from sklearn.model_selection import GridSearchCV

import engine
from engine import MLPRegressor, Network, losses
from engine.estimators import held_out
from tests.processes import result_of

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::engine.TrainingWarning"
)
GENERATOR = np.random.default_rng(0)
X = GENERATOR.standard_normal((120, 3))
Y = np.exp(X[:, 0] / 2 + GENERATOR.standard_normal(120) * 0.3)
WEIGHTS = GENERATOR.integers(0, 3, 120).astype(float)
LEVELS = (0.1, 0.5, 0.9)


def half_square(z, y):
    return (z - y) ** 2 / 2, z - y


def scaled_log(z, y):
    """Poisson's, with the exponential of z written out."""
    return math.exp(z) - y * z, math.exp(z) - y


def cross_entropy(z, y):
    p = 1 / (1 + math.exp(-z))
    return math.log1p(math.exp(-abs(z))) + max(z, 0) - y * z, p - y


HALF_SQUARE = losses.Compiled(half_square)
SEVERAL = losses.Quantile(LEVELS)
LOSSES: dict[str, Any] = {
    "absolute": "absolute_error",
    "huber": "huber",
    "huber of 0.3": losses.Huber(0.3),
    "median": "quantile",
    "quantile": losses.Quantile(0.8),
    "quantiles": SEVERAL,
    "gamma": "gamma",
    "tweedie": losses.Tweedie(1.4),
    "compiled": HALF_SQUARE,
}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def fitted(loss, y=Y, weights=None, **settings):
    given = {"solver": "lbfgs", "max_iter": 20, "random_state": 0, **settings}
    return MLPRegressor(loss, 4, **given).fit(X, y, weights)


@each_loss
def test_a_loss_is_minimised_by_the_network_of_train(loss):
    model = fitted(loss, solver="gd", learning_rate_init=0.01, max_iter=5, alpha=0.01)
    assert model.out_activation_ == (
        "exp" if loss in ("gamma", losses.Tweedie(1.4)) else "identity"
    )
    network = Network((3, 4, model.n_outputs_), "relu", model.out_activation_, loss)
    start = fitted(loss, solver="gd", learning_rate_init=1e-300, max_iter=1)._theta()
    trained = engine.train(
        network, X.T, Y, solver="gd", learning_rate=0.01, max_iter=5, alpha=0.01, theta=start
    )
    np.testing.assert_array_equal(model._theta(), trained.theta)
    np.testing.assert_allclose(model.loss_curve_, trained.history["cost"], rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["gamma", losses.Tweedie(1.4), "poisson"], ids=str)
def test_fits_to_gamma_and_tweedie_begin_with_the_mean_of_the_targets(loss, dtype):
    y = np.stack([500 * Y, Y], axis=1)
    settings = {"solver": "gd", "learning_rate_init": 1e-300, "max_iter": 1, "random_state": 0}
    model = MLPRegressor(loss, 4, **settings).fit(X.astype(dtype), y, WEIGHTS)
    drawn = MLPRegressor("squared_error", 4, **settings).fit(X.astype(dtype), y, WEIGHTS)
    for one, other in zip(model.coefs_, drawn.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(model.intercepts_[0], drawn.intercepts_[0])
    start = drawn.intercepts_[1]
    if loss != "poisson":
        start = np.log(np.average(y, axis=0, weights=WEIGHTS))
    np.testing.assert_allclose(model.intercepts_[1], start, rtol=4 * np.finfo(dtype).eps)
    assert model.intercepts_[1].dtype == dtype


def test_targets_of_0_alone_keep_the_intercepts_that_were_drawn():
    model = fitted(losses.Tweedie(1.4), 0 * Y, solver="gd", learning_rate_init=1e-300, max_iter=1)
    assert abs(model.intercepts_[1][0]) < 2


@pytest.mark.parametrize("solver", ["adam", "lm", "lbfgs"])
@pytest.mark.parametrize("loss", ["gamma", losses.Tweedie(1.4)], ids=str)
def test_prices_far_from_1_are_learnt_from_any_seed(loss, solver):
    settings = {"solver": solver, "learning_rate_init": 0.01, "activation": "tanh"}
    for seed in range(6):
        model = fitted(loss, 600 * Y, random_state=seed, max_iter=200, **settings)
        assert model.score(X, 600 * Y) > 0.5, seed


def test_the_first_partial_fit_begins_as_a_fit():
    model = MLPRegressor("gamma", 4, random_state=0, max_iter=1, batch_size=40)
    other = clone(model).partial_fit(X, 600 * Y)
    np.testing.assert_array_equal(model.fit(X, 600 * Y)._theta(), other._theta())
    other.partial_fit(X[:40], Y[:40])
    assert other.intercepts_[1][0] > 6, "a further call goes on from there"


@each_loss
def test_it_is_cloned_pickled_and_chosen_by_a_search(loss):
    model = fitted(loss)
    assert clone(model).get_params()["loss"] == loss
    again = pickle.loads(pickle.dumps(model))
    assert again.get_params()["loss"] == loss
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    search = GridSearchCV(model, {"loss": [loss], "alpha": [0.1]}, cv=2).fit(X, Y)
    assert search.best_params_["loss"] == loss
    assert math.isfinite(search.best_score_)


def test_scikit_learn_is_told_which_losses_need_positive_targets():
    positive = {
        loss: MLPRegressor(loss).__sklearn_tags__().target_tags.positive_only
        for loss in ("squared_error", "huber", "gamma", "poisson", losses.Tweedie(1.5), "no loss")
    }
    assert [loss for loss, is_positive in positive.items() if is_positive] == [
        "gamma",
        "poisson",
        losses.Tweedie(1.5),
    ]


def test_an_unknown_loss_names_those_that_exist():
    with pytest.raises(ValueError, match=r"absolute_error.*engine\.losses\.Loss.*Got 'mse'") as one:
        MLPRegressor("mse").fit(X, Y)
    for name in ("tweedie", "cross_entropy", "compiled"):
        assert name not in str(one.value)
    for name in ("tweedie", "compiled"):
        with pytest.raises(ValueError, match="engine") as of_estimator:
            MLPRegressor(name).fit(X, Y)
        with pytest.raises(ValueError, match="engine") as of_loss:
            losses.Loss(name)
        assert str(of_estimator.value) == str(of_loss.value)
    with pytest.raises(ValueError, match="MLPClassifier"):
        MLPRegressor("cross_entropy").fit(X, Y)
    with pytest.raises(ValueError, match="MLPClassifier"):
        MLPRegressor(losses.Loss("cross_entropy")).fit(X, Y)


@pytest.mark.parametrize(
    ("loss", "y", "said"),
    [
        (
            "gamma",
            Y - Y.min(),
            "loss='gamma' needs y above 0; its smallest entry is 0. If 0 is a target, choose",
        ),
        ("gamma", -Y, r"smallest entry is -[\d.]+\.$"),
        (losses.Tweedie(1.5), Y - 9, "loss='tweedie' needs y that is not negative"),
        ("poisson", Y - 9, "loss='poisson' needs y that is not negative"),
        (SEVERAL, np.column_stack([Y, Y]), "3 quantiles needs y of one column; y has 2"),
    ],
)
def test_targets_that_a_loss_does_not_take_are_refused(loss, y, said):
    with pytest.raises(ValueError, match=said):
        fitted(loss, y)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_quantiles_are_predicted_in_order_a_column_each(early_stopping):
    settings = {"solver": "adam", "max_iter": 2, "early_stopping": early_stopping}
    model = fitted(SEVERAL, **settings)
    predicted = model.predict(X)
    assert (predicted.shape, model.n_outputs_) == ((120, 3), 3)
    assert (np.diff(model._activations(X), axis=1) < 0).any(), "no row to be put in order"
    np.testing.assert_array_equal(predicted, np.sort(model._activations(X), axis=1))
    np.testing.assert_array_equal(model.predictor().predict(X[7]), predicted[7])


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("name", [name for name in LOSSES if name not in ("quantiles", "compiled")])
def test_the_score_is_the_share_of_deviance_explained(name, n_outputs, weights):
    y = Y[:, None] if n_outputs == 1 else np.column_stack([Y, Y[::-1] * 2])
    model = fitted(LOSSES[name], y[:, 0] if n_outputs == 1 else y)
    predicted = model.predict(X).reshape(y.shape)

    def by_sklearn(y, p):
        if "huber" in name:
            return 1 - huber(p, y, weights, name) / least_huber(y, weights, name)
        score = {
            "absolute": d2_absolute_error_score,
            "median": d2_pinball_score,
            "quantile": lambda *y, **w: d2_pinball_score(*y, alpha=0.8, **w),
            "gamma": lambda *y, **w: d2_tweedie_score(*y, power=2, **w),
            "tweedie": lambda *y, **w: d2_tweedie_score(*y, power=1.4, **w),
        }[name]
        return score(y, p, sample_weight=weights)

    expected = np.mean([by_sklearn(y[:, j], predicted[:, j]) for j in range(n_outputs)])
    given = y[:, 0] if n_outputs == 1 else y
    exact = 1e-7 if "huber" in name else 1e-12  # the constant is found on a grid
    assert model.score(X, given, weights) == pytest.approx(expected, rel=exact)


def huber(predicted, y, weights, name):
    delta = 0.3 if name == "huber of 0.3" else 1.0
    e = np.abs(predicted - y)
    costs = np.where(e <= delta, e**2 / 2, delta * (e - delta / 2))
    return np.average(costs, weights=weights)


def least_huber(y, weights, name):
    constants = np.linspace(y.min(), y.max(), 20001)
    best = constants[np.argmin([huber(c, y, weights, name) for c in constants])]
    return huber(best, y, weights, name)


def test_squared_error_and_poisson_are_scored_by_r2_as_before():
    for loss in ("squared_error", "poisson", losses.Loss("squared_error")):
        model = fitted(loss)
        assert model.score(X, Y, WEIGHTS) == r2_score(Y, model.predict(X), sample_weight=WEIGHTS)


def test_the_score_of_several_quantiles_sums_over_the_levels():
    model = fitted(SEVERAL)
    predicted = model.predict(X)

    def pinball(of):
        return sum(
            mean_pinball_loss(Y, of[:, k], alpha=level, sample_weight=WEIGHTS)
            for k, level in enumerate(LEVELS)
        )

    each = [
        1 - d2_pinball_score(Y, predicted[:, k], alpha=level, sample_weight=WEIGHTS)
        for k, level in enumerate(LEVELS)
    ]
    of_constants = sum(
        mean_pinball_loss(Y, predicted[:, k], alpha=level, sample_weight=WEIGHTS) / each[k]
        for k, level in enumerate(LEVELS)
    )
    expected = 1 - pinball(predicted) / of_constants
    assert model.score(X, Y, WEIGHTS) == pytest.approx(expected, rel=1e-12)


def test_the_score_of_a_compiled_loss_is_minus_its_mean():
    model = fitted(HALF_SQUARE)
    expected = -np.average((model.predict(X) - Y) ** 2 / 2, weights=WEIGHTS)
    assert model.score(X, Y, WEIGHTS) == pytest.approx(expected, rel=1e-12)
    stopped = fitted(HALF_SQUARE, solver="adam", early_stopping=True)
    assert max(stopped.validation_scores_) < 0


def test_early_stopping_goes_by_the_score():
    rows = {"X_val": X[:40], "y_val": Y[:40], "sample_weight_val": WEIGHTS[:40]}
    for loss in LOSSES.values():
        model = MLPRegressor(loss, 4, early_stopping=True, max_iter=3, random_state=0)
        model.fit(X[40:], Y[40:], **rows)
        at_best = model.score(X[:40], Y[:40], WEIGHTS[:40])
        assert at_best == pytest.approx(max(model.validation_scores_), rel=1e-12)


def test_scores_that_are_not_defined():
    model = fitted("gamma")
    with pytest.warns(match="D\\^2 score is not well-defined"):
        assert math.isnan(model.score(X[:1], Y[:1]))
    with pytest.raises(ValueError, match=r"D\^2 is not defined for 1 held-out row"):
        MLPRegressor("gamma", early_stopping=True).fit(X, Y, X_val=X[:1], y_val=Y[:1])
    with pytest.raises(ValueError, match="needs y above 0"):
        model.score(X, -Y)
    alike, loss = np.full((5, 1), 2.0), losses.Huber()
    assert held_out.d2(loss, alike, alike, None) == 1
    assert held_out.d2(loss, alike + 1, alike, None) == 0
    assert math.isnan(held_out.d2(loss, alike * np.nan, alike, None))
    assert math.isnan(held_out.d2(loss, alike, alike, np.zeros(5)))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_does_not_continue_with_another_loss(method):
    model = fitted("quantile", solver="adam", max_iter=1, warm_start=True)
    getattr(model.set_params(loss=losses.Quantile(0.5)), method)(X, Y)
    for other in (losses.Quantile(0.6), "absolute_error", "squared_error", "gamma", SEVERAL):
        with pytest.raises(ValueError, match="leave loss, hidden_layer_sizes"):
            getattr(model.set_params(loss=other), method)(X, Y)


@pytest.mark.parametrize(
    ("function", "output", "g"),
    [
        (cross_entropy, "sigmoid", lambda z: 1 / (1 + np.exp(-z))),
        (scaled_log, "exp", np.exp),
        (half_square, "identity", lambda z: z),
    ],
)
def test_predictions_of_a_compiled_loss_are_activations(function, output, g):
    y = (Y > 1) * 1.0
    model = fitted(losses.Compiled(function, output), y)
    z = np.maximum(0, X @ model.coefs_[0] + model.intercepts_[0]) @ model.coefs_[1]
    np.testing.assert_allclose(model.predict(X), g(z + model.intercepts_[1])[:, 0], rtol=1e-12)
    assert model.score(X, y) == pytest.approx(
        -np.mean(
            [
                function(one, target)[0]
                for one, target in zip((z + model.intercepts_[1])[:, 0], y, strict=True)
            ]
        ),
        rel=1e-9,
    )


def in_words():
    some = (HALF_SQUARE, SEVERAL, losses.Huber(1 / 3), losses.Tweedie(1.4), losses.Loss("gamma"))
    return [loss.in_words for loss in some]


@pytest.mark.proof
def test_equal_losses_are_equal_in_two_processes():
    found = [result_of(in_words, env={"PYTHONHASHSEED": seed}) for seed in ("1", "2")]
    assert found == [in_words()] * 2
    assert found[0][0].startswith("Compiled(half_square, output='identity'), whose code is ")
    assert found[0][1:3] == ["quantile 0.1 0.5 0.9", "huber 0.3333333333333333"]


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (SEVERAL, losses.Quantile([0.1, 0.5, 0.8]), "'quantile 0.1 0.5 0.8' and was 'quantile 0"),
        ("huber", losses.Huber(1 + 1e-9), "'huber 1.000000001' and was 'huber 1.0'"),
        (HALF_SQUARE, losses.Compiled(lambda z, y: ((z - y) ** 2, 2 * (z - y))), "whose code is"),
    ],
)
def test_a_checkpoint_of_another_loss_is_refused(tmp_path, one, other, said):
    kept = {"solver": "adam", "max_iter": 2, "checkpoint": tmp_path / "run.ckpt"}
    first = fitted(one, **kept)
    same = losses.Huber(1.0) if one == "huber" else one
    assert fitted(same, **kept).fingerprint_ == first.fingerprint_
    with pytest.raises(engine.CheckpointError, match=f"loss is .*{said}"):
        fitted(other, **kept)


def test_a_checkpoint_of_train_is_of_its_loss(tmp_path):
    def trained(loss):
        network = Network((3, 1), output="identity", loss=loss)
        checkpoint = tmp_path / "run.ckpt"
        return engine.train(network, X.T, Y, max_iter=2, checkpoint=checkpoint).fingerprint

    assert trained(losses.Huber(0.5)) == trained(losses.Huber(0.5))
    with pytest.raises(engine.CheckpointError, match=r"loss is 'huber 0\.25' and was 'huber 0\.5'"):
        trained(losses.Huber(0.25))


def test_functions_that_use_other_numbers_are_other_losses():
    def weighted(scale):
        def loss(z, y):
            return scale[0] * (z - y) ** 2, 2 * scale[0] * (z - y)

        return losses.Compiled(loss)

    one, other = weighted(np.array([1.0])), weighted(np.array([3.0]))
    assert one != other
    costs = [
        Network((1, 1), output="identity", loss=loss).cost_and_gradient([0.0, 0.0], [[1.0]], [2.0])
        for loss in (one, other)
    ]
    assert [cost for cost, _ in costs] == [4.0, 12.0]
    with pytest.raises(TypeError, match="function of two numbers"):
        losses.Compiled(lambda z, y, scale=2.0: (z - y, scale))
