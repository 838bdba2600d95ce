"""alpha="evidence" (N6): its fixed points, against NumPy."""

import itertools
import warnings

import numpy as np
import pytest

from engine import Network, inference, train
from tests.gauss_newton_oracle import Model, to_the_minimum

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(3, 40))
Y = 0.5 * X[0] + 0.1 * X[2] + RANDOM.normal(size=40)
WEIGHTS = np.random.default_rng(1).uniform(0.2, 2, 40)
WEIGHTS[::8] = 0
X1 = np.linspace(-1, 1, 60)[np.newaxis]
Y1 = np.sin(np.pi * X1[0]) + 0.2 * np.random.default_rng(2).normal(size=60)


def by_evidence(network, X, y, **others):
    settings = {"solver": "lm", "alpha": "evidence", "max_iter": 2000, **others}
    return train(network, X, y, **settings)


def fixed_point(model, theta, squared, alpha=1.0):
    """N6: alpha, theta at the minimum of its cost, gamma; all parameters identified."""
    n = np.count_nonzero(model.s) * model.sizes[-1]
    n_biases = int(np.sum(model.R == 0))
    for _ in range(300):
        model.alpha = alpha
        theta = to_the_minimum(model, theta)
        M = np.linalg.inv(model.G(theta) + alpha * np.diag(model.R))
        gamma_W = model.R.sum() - alpha * np.sum(model.R * np.diag(M))
        E_W = np.sum(model.R * theta**2)
        E_D = np.sum(model.s * (model.Y - model.logits(theta)) ** 2)
        beta = (n - gamma_W - n_biases) / (2 * E_D) if squared else 0.5
        before, alpha = alpha, gamma_W / (2 * E_W) / beta
        if abs(alpha - before) < 1e-12 * alpha:
            break
    return alpha, theta, gamma_W + n_biases


@pytest.mark.parametrize("backend", ["tiled", "loops", "numpy"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
def test_linear_model_ends_at_the_fixed_point(weights, backend):
    """Rows of weight 0 do not count."""
    model = Model((3, 1), "tanh", "identity", X, Y, sample_weight=weights)
    alpha, theta, gamma = fixed_point(model, np.zeros(4), squared=True)
    result = by_evidence(
        Network((3, 1), output="identity"), X, Y, sample_weight=weights, backend=backend
    )
    assert result.stopped in ("gradient", "step", "cost")
    assert result.alpha == pytest.approx(alpha, rel=1e-6)
    assert result.effective_parameters == pytest.approx(gamma, rel=1e-6)
    np.testing.assert_allclose(result.theta, theta, rtol=1e-6)


@pytest.mark.parametrize("output", ["sigmoid", "exp"])
def test_other_costs_end_at_the_fixed_point_with_beta_of_one_half(output):
    random = np.random.default_rng(5)
    p = 1 / (1 + np.exp(-X[0]))
    y = (random.uniform(size=40) < p if output == "sigmoid" else random.poisson(3 * p)).astype(
        float
    )
    model = Model((3, 1), "tanh", output, X, y)
    alpha, theta, gamma = fixed_point(model, np.zeros(4), squared=False)
    result = by_evidence(Network((3, 1), output=output), X, y)
    assert result.alpha == pytest.approx(alpha, rel=1e-6)
    assert result.effective_parameters == pytest.approx(gamma, rel=1e-6)
    np.testing.assert_allclose(result.theta, theta, rtol=1e-5)


def test_a_network_ends_at_a_fixed_point():
    """One step of N6 from where it ended changes nothing."""
    network = Network((1, 3, 1), output="identity")
    result = by_evidence(network, X1, Y1, seed=1)
    model = Model((1, 3, 1), "tanh", "identity", X1, Y1, alpha=result.alpha)
    assert np.abs(model.g(result.theta)).max() < 1e-6
    M = np.linalg.inv(model.G(result.theta) + result.alpha * np.diag(model.R))
    gamma_W = 6 - result.alpha * np.sum(model.R * np.diag(M))
    E_D = np.sum((Y1 - model.logits(result.theta)) ** 2)
    alpha = gamma_W / np.sum(model.R * result.theta**2) * E_D / (60 - gamma_W - 4)
    assert result.alpha == pytest.approx(alpha, rel=1e-6)
    assert result.effective_parameters == pytest.approx(gamma_W + 4, rel=1e-6)


def test_its_alpha_is_the_most_probable_one():
    """Without a hidden layer, the evidence is exact, and highest there."""
    network = Network((3, 1), output="identity")
    result = by_evidence(network, X, Y)
    evidence = [result.log_evidence]
    variance = inference(network, result.theta, X, Y, alpha=result.alpha).residual_variance
    for factor in (0.5, 0.9, 1.1, 2.0):
        C = variance * (np.eye(40) + X.T @ X / (factor * result.alpha))
        inverse = np.linalg.inv(C)
        one = np.ones(40)
        precision = one @ inverse @ one
        residual = Y - one @ inverse @ Y / precision
        evidence.append(
            -0.5 * (np.linalg.slogdet(2 * np.pi * C)[1] + residual @ inverse @ residual)
            + 0.5 * np.log(2 * np.pi / precision)
        )
    assert max(evidence) == evidence[0]


@pytest.mark.compiled
def test_equal_minima_have_equal_evidence_also_with_units_switched_off():
    """The bias of such a unit wanders without end, and may not count."""
    network, runs = Network((1, 10, 1), output="identity"), []
    for seed in range(12):
        result = by_evidence(network, X1, Y1, seed=seed)
        assert np.isfinite([result.log_evidence, result.effective_parameters]).all()
        assert 3 < result.effective_parameters < 15
        runs.append(result)
    n_pairs = 0
    for one, other in itertools.combinations(runs, 2):
        settled = one.stopped != "max_iter" != other.stopped
        if settled and one.cost == pytest.approx(other.cost, rel=1e-7):
            n_pairs += 1
            assert one.effective_parameters == pytest.approx(other.effective_parameters, rel=1e-3)
            assert one.log_evidence == pytest.approx(other.log_evidence, abs=1e-2)
    assert n_pairs >= 3


@pytest.mark.compiled
def test_it_generalises_where_no_penalty_fits_the_noise():
    network = Network((1, 15, 1), output="identity")
    grid = np.linspace(-1, 1, 500)[np.newaxis]
    errors = []
    for alpha in (0.0, "evidence"):
        theta = by_evidence(network, X1[:, ::2], Y1[::2], alpha=alpha, seed=0, max_iter=500).theta
        errors.append(np.mean((network.forward(theta, grid)[0] - np.sin(np.pi * grid[0])) ** 2))
    assert errors[1] < 0.05
    assert errors[1] < errors[0]


@pytest.mark.compiled
def test_fewer_residuals_than_parameters():
    network = Network((1, 10, 1), output="identity")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        result = by_evidence(network, X1[:, ::8], Y1[::8], seed=0)
    assert result.alpha > 0
    assert result.effective_parameters <= 7
    assert np.isfinite([result.cost, result.log_evidence]).all()


def test_more_effective_parameters_than_residuals_are_warned_of():
    network = Network((1, 10, 1), output="identity")
    theta = network.initial_parameters(0)
    found = inference(network, theta, X1[:, ::8], Y1[::8], alpha=1e-9)
    with pytest.warns(
        UserWarning, match=r"determine .* parameters, but there are only 8 residuals"
    ):
        assert found.effective_parameters == 7
    assert np.isfinite(found.residual_variance)


def test_result_says_what_was_found():
    result = by_evidence(Network((3, 1), output="identity"), X, Y)
    known = inference(Network((3, 1), output="identity"), result.theta, X, Y, alpha=result.alpha)
    assert result.log_evidence == pytest.approx(known.log_evidence, rel=1e-12)
    assert result.effective_parameters == pytest.approx(known.effective_parameters, rel=1e-12)
    plain = train(Network((3, 1), output="identity"), X, Y, solver="lm", alpha=0.5)
    assert (plain.alpha, plain.log_evidence, plain.effective_parameters) == (0.5, None, None)
    cost = np.sum((result.theta[:3] @ X + result.theta[3] - Y) ** 2) / 2
    cost += result.alpha * np.sum(result.theta[:3] ** 2) / 2
    assert result.cost == pytest.approx(cost / 40, rel=1e-12)


def test_targets_without_noise_or_weights_of_0_end_well():
    exact = by_evidence(Network((3, 1), output="identity"), X, 2 * X[0])
    np.testing.assert_allclose(exact.theta, [2, 0, 0, 0], atol=1e-6)
    constant = by_evidence(Network((3, 1), output="identity"), X, np.full(40, 3.0))
    np.testing.assert_allclose(constant.theta, [0, 0, 0, 3], atol=1e-6)
