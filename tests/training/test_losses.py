"""Training for each loss: regressions of other programs, losses of users, checkpoints."""

import json
import re

import numpy as np
import pytest
from sklearn.linear_model import (
    GammaRegressor,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    TweedieRegressor,
)

from engine import Checkpoint, CheckpointError, MLPRegressor, Network, losses, train
from engine.training.identity import differences, identity_of_network
from tests import own_losses

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(300, 4))
MEANS = np.exp(0.3 + ROWS @ [0.5, -0.4, 0.2, 0.0])
WEIGHTS = RANDOM.uniform(0.5, 3, 300)
COUNTS = RANDOM.poisson(MEANS).astype(float)
AMOUNTS = RANDOM.gamma(2.0, MEANS / 2)
# Rain, say: on many days none.
SUMS = np.array([RANDOM.gamma(1.5, size=number).sum() for number in RANDOM.poisson(MEANS)])
VALUES = ROWS @ [1.0, -2.0, 0.5, 0.0] + RANDOM.normal(size=300)
EXACT = {"alpha": 0, "solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1000}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
# Thousands of steps: without a compiler they would take minutes.
trains = pytest.mark.compiled


# Without a hidden layer a network is a regression: the coefficients are those of scikit-learn.


@trains
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weighted"])
@pytest.mark.parametrize(
    ("peer", "output", "loss", "targets"),
    [
        (LinearRegression(), "identity", None, VALUES),
        (PoissonRegressor(**EXACT), "exp", None, COUNTS),
        (GammaRegressor(**EXACT), "exp", "gamma", AMOUNTS),
        (TweedieRegressor(power=1.5, **EXACT), "exp", losses.Tweedie(1.5), SUMS),
        (TweedieRegressor(power=1.1, **EXACT), "exp", losses.Tweedie(1.1), SUMS),
        (TweedieRegressor(power=1.9, **EXACT), "exp", losses.Tweedie(1.9), SUMS),
    ],
    ids=["least squares", "Poisson", "gamma", "Tweedie 1.5", "Tweedie 1.1", "Tweedie 1.9"],
)
def test_coefficients_are_those_of_scikit_learns_regression(peer, output, loss, targets, weights):
    peer.fit(ROWS, targets, sample_weight=weights)
    network = Network((4, 1), output=output, loss=loss)
    result = train(
        network, ROWS.T, targets, solver="lbfgs", max_iter=2000, sample_weight=weights, seed=1
    )
    found = np.append(result.theta[:4], result.theta[4])
    np.testing.assert_allclose(found, [*peer.coef_, peer.intercept_], rtol=0, atol=1e-6)


@trains
def test_coefficients_are_those_of_logistic_regression():
    labels = (VALUES > 0).astype(float)
    peer = LogisticRegression(C=np.inf, tol=1e-12, solver="newton-cholesky", max_iter=1000)
    peer.fit(ROWS, labels, sample_weight=WEIGHTS)
    result = train(
        Network((4, 1)), ROWS.T, labels, solver="lbfgs", max_iter=2000, sample_weight=WEIGHTS
    )
    np.testing.assert_allclose(result.theta, [*peer.coef_[0], *peer.intercept_], atol=1e-6)


@trains
def test_a_large_delta_is_least_squares_and_a_small_one_is_near_the_median():
    """Where every unit is the constant b: the mean, the median."""
    nothing, y = np.zeros((1, 101)), RANDOM.exponential(size=101)
    wide = train(
        Network((1, 1), output="identity", loss=losses.Huber(1e3)), nothing, y, solver="lbfgs"
    )
    narrow = train(
        Network((1, 1), output="identity", loss=losses.Huber(1e-4)), nothing, y, solver="gd",
        learning_rate=200.0, max_iter=5000,
    )  # fmt: skip
    assert wide.theta[1] == pytest.approx(y.mean(), abs=1e-6)
    assert narrow.theta[1] == pytest.approx(np.median(y), abs=1e-3)


@trains
def test_adam_finds_quantiles_of_a_constant():
    """Several levels of one target: as many of its quantiles. Kinks do not stop Adam."""
    levels = [0.1, 0.5, 0.9]
    network = Network((1, 3), output="identity", loss=losses.Quantile(levels))
    y = RANDOM.normal(size=1001)
    result = train(network, np.zeros((1, 1001)), y, learning_rate=0.01, max_iter=3000)
    np.testing.assert_allclose(result.theta[3:], np.quantile(y, levels), atol=0.03)


# A user's own loss.

SOLVERS = {
    "adam": {"learning_rate": 0.01, "batch_size": 32},
    "sgd": {"learning_rate": 0.01, "batch_size": 32},
    "gd": {"learning_rate": 0.1},
    "lbfgs": {},
}


@trains
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_copy_of_a_loss_trains_as_the_loss_does(solver, dtype):
    """L15: identity units and exponential ones, three results, on several threads."""
    for own, built_in, targets in (
        (losses.Compiled(own_losses.huber), losses.Huber(own_losses.DELTA), VALUES),
        (losses.Compiled(own_losses.poisson, "exp"), losses.Loss("poisson"), COUNTS),
    ):
        theta = []
        for loss in (own, built_in):
            network = Network((4, 5, 1), output=loss.output, loss=loss)
            theta.append(
                train(
                    network, ROWS.T.astype(dtype), targets, solver=solver, max_iter=8, seed=3,
                    sample_weight=WEIGHTS, **SOLVERS[solver],
                ).theta
            )  # fmt: skip
        allowed = 1e-9 if dtype == "float64" else 1e-3
        np.testing.assert_allclose(*theta, rtol=0, atol=allowed)


@trains
@pytest.mark.parametrize("solver", SOLVERS)
def test_losses_of_two_results_and_of_sigmoid_units_are_trained(solver):
    labels = (VALUES > 0).astype(float)
    for loss, targets in (
        (losses.Compiled(own_losses.log_cosh), VALUES),
        (losses.Compiled(own_losses.brier, "sigmoid"), labels),
    ):
        network = Network((4, 5, 1), output=loss.output, loss=loss)
        result = train(
            network, ROWS.T, targets, solver=solver, max_iter=60, seed=1, **SOLVERS[solver]
        )
        before = network.objective(ROWS.T, targets).cost(network.initial_parameters(1))
        assert result.cost < 0.8 * before


# Checkpoints.


NETWORK = Network((4, 3, 1), output="identity", loss=losses.Huber(1.5))


def run(network, path, **others):
    return train(network, ROWS.T, VALUES, max_iter=4, batch_size=50, checkpoint=path, **others)


def refused(network, path):
    before = path.read_bytes()
    with pytest.raises(CheckpointError) as caught:
        run(network, path)
    assert path.read_bytes() == before
    return str(caught.value)


def with_loss(loss):
    return Network((4, 3, 1), output="identity", loss=loss)


@trains
def test_a_run_with_another_loss_is_refused_and_both_losses_are_named(tmp_path):
    path = tmp_path / "run.ckpt"
    run(NETWORK, path)
    for loss, message in (
        (losses.Huber(0.1), "loss is 'huber 0.1' and was 'huber 1.5'."),
        (None, "loss is 'squared_error' and was 'huber 1.5'."),
        (losses.Quantile(0.25), "loss is 'quantile 0.25' and was 'huber 1.5'."),
        ("absolute_error", "loss is 'absolute_error' and was 'huber 1.5'."),
    ):
        assert f"belongs to another run: {message}" in refused(with_loss(loss), path)


@trains
def test_a_run_with_another_function_is_refused_and_the_same_one_goes_on(tmp_path):
    path = tmp_path / "run.ckpt"

    def make(delta):
        def cost(z, y):
            return abs(z - y) * delta, delta if z > y else -delta

        return cost

    run(with_loss(losses.Compiled(make(1.0))), path)
    again = run(with_loss(losses.Compiled(make(1.0))), path)
    assert "went on" in again.plan.why
    message = refused(with_loss(losses.Compiled(make(2.0))), path)
    shown = r"\"Compiled\(cost, output='identity'\), whose code is [0-9a-f]{16}\""
    assert re.search(f"another run: loss is {shown} and was {shown}. Nothing", message)
    assert "loss is 'squared_error' and was \"Compiled(cost" in refused(with_loss(None), path)


@trains
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path):
    path = tmp_path / "run.ckpt"
    loss = losses.Compiled(own_losses.log_cosh)
    whole = run(with_loss(loss), None)

    def stop(told):
        if told.epoch == 2:
            raise KeyboardInterrupt

    kept = Checkpoint(path, epochs=1)
    assert run(with_loss(loss), kept, callback=stop).stopped == "interrupted"
    resumed = run(with_loss(losses.Compiled(own_losses.log_cosh)), kept)
    assert resumed.fingerprint == whole.fingerprint


def test_the_identity_of_a_network_has_the_name_and_the_numbers_of_its_loss():
    for loss, words in (
        (None, "squared_error"),
        ("huber", "huber 1.0"),
        (losses.Huber(0.1), "huber 0.1"),
        (losses.Quantile(0.25), "quantile 0.25"),
    ):
        assert identity_of_network(with_loss(loss))["loss"] == words
    both = losses.Quantile([0.25, 1 / 3])
    network = Network((4, 2), output="identity", loss=both)
    assert identity_of_network(network)["loss"] == "quantile 0.25 0.3333333333333333"


def test_files_from_before_losses_were_named_go_on_with_the_default_and_with_no_other():
    now = json.loads(json.dumps(identity_of_network(with_loss(None))))
    then = {name: value for name, value in now.items() if name != "loss"}
    assert differences(then, now) == []
    assert differences(then, {**now, "loss": "huber 1.0"}) == [
        "loss is 'huber 1.0' and was 'squared_error'"
    ]
    for output in (None, 3, "other", ["identity"]):  # a file may hold anything
        assert "loss is 'squared_error' and was None" in differences(
            {**then, "output": output}, now
        )


@trains
def test_an_estimators_checkpoint_names_the_loss(tmp_path):
    path = tmp_path / "fit.ckpt"
    given = {"hidden_layer_sizes": 3, "random_state": 0, "max_iter": 2, "checkpoint": path}
    MLPRegressor(**given).fit(ROWS, COUNTS)
    with pytest.raises(CheckpointError, match="loss is 'poisson' and was 'squared_error'"):
        MLPRegressor(loss="poisson", **given).fit(ROWS, COUNTS)
