"""engine/statistics/curvature.py: what is identified, whatever the units of inputs and targets."""

import mpmath
import numpy as np
import pytest
import statsmodels.api as sm

from engine import MLPRegressor, Network, inference
from tests.gauss_newton_oracle import Model

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::engine.TrainingWarning"
)
RANDOM = np.random.default_rng(0)
N_ROWS = 100
NOISE = RANDOM.normal(size=N_ROWS)
U = RANDOM.normal(size=N_ROWS)
ALPHA = 1e-4  # the default of the estimators


def linear(X, y, alpha=0.0):
    """What is inferred of least squares, and statsmodels' of the same: slopes, then intercept."""
    X = np.atleast_2d(X)
    expected = sm.OLS(y, np.c_[X.T, np.ones(len(y))]).fit()
    found = inference(Network((len(X), 1), output="identity"), expected.params, X, y, alpha=alpha)
    return found, expected


def sandwich(J, R, alpha):
    """M G M and tr(M G) of N7 in fifty digits, for rows J of the Jacobian."""
    with mpmath.workdps(50):
        rows = mpmath.matrix(J.tolist())
        G = rows.T * rows
        M = (G + alpha * mpmath.diag(R.tolist())) ** -1
        return np.array((M * G * M).tolist(), float), float(
            sum((M * G)[p, p] for p in range(len(R)))
        )


# Units of inputs


def test_inputs_far_from_0_lose_no_parameter_to_a_penalty():
    x = 20000 + 10 * U
    found, expected = linear(x, 3 * (x - 20000) + 1 + NOISE, ALPHA)
    assert found.rank == 2
    assert not found.unidentified.any()
    np.testing.assert_allclose(found.standard_errors, expected.bse, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e6, 1e9])
def test_large_inputs_lose_no_parameter_to_a_penalty(scale):
    X, y = (scale * U)[:, np.newaxis], 3 * U + 1 + NOISE
    model = MLPRegressor(hidden_layer_sizes=(), solver="lm").fit(X, y)
    found = inference(model, X, y)
    assert model.alpha == ALPHA
    assert found.rank == 2
    expected = sm.OLS(y, np.c_[X, np.ones(N_ROWS)]).fit()
    np.testing.assert_allclose(found.standard_errors, expected.bse, rtol=1e-9)


def test_longley_with_a_penalty_is_the_sandwich_in_fifty_digits():
    """N7: its columns agree to five digits, and go from 1e0 to 1e6."""
    data = sm.datasets.longley.load_pandas()
    X, y = data.exog.to_numpy(), data.endog.to_numpy()
    found, least_squares = linear(X.T, y, ALPHA)
    assert found.rank == 7
    rows = np.c_[X, np.ones(len(y))]
    covariance, gamma = sandwich(rows, np.array([1.0] * 6 + [0.0]), ALPHA)
    variance = least_squares.ssr / (len(y) - gamma)
    np.testing.assert_allclose(
        found.standard_errors, np.sqrt(variance * np.diag(covariance)), rtol=1e-8
    )
    assert found.effective_parameters == pytest.approx(gamma, rel=1e-9)


def test_errors_of_predictions_keep_their_digits_far_from_0():
    """Seconds since 1970: intercept and slope cancel but for a part in 1e8."""
    network, x, y = Network((1, 1), output="identity"), 1000 * U, 3 * U + 1 + NOISE
    std = []
    for offset in (0.0, 1.6e9):
        theta = [0.003, 1 - 0.003 * offset]
        found = inference(network, theta, [x + offset], y, alpha=ALPHA)
        std.append(found.predict([x[:5] + offset], return_std=True)[1])
    np.testing.assert_allclose(std[1], std[0], rtol=1e-5)


@pytest.mark.parametrize("of_inputs", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("of_targets", [1e-8, 1.0, 1e8])
def test_units_change_nothing_but_the_units(of_inputs, of_targets):
    """Of a network, without a penalty, and with one that is next to nothing in any unit."""
    network, x = Network((1, 2, 1), output="identity"), np.linspace(-1, 1, 60)
    theta = np.array([2.0, -1.5, 0.5, 1.0, 1.0, 0.8, 0.1])
    model = Model((1, 2, 1), "tanh", "identity", x, np.zeros(60))
    y = model.logits(theta)[0] + 0.1 * NOISE[:60]
    expected = inference(network, theta, [x], y).standard_errors
    units = np.array([1 / of_inputs, 1 / of_inputs, 1, 1, of_targets, of_targets, of_targets])
    for alpha in (0.0, 1e-60):
        found = inference(network, theta * units, [x * of_inputs], y * of_targets, alpha=alpha)
        assert found.rank == 7
        np.testing.assert_allclose(found.standard_errors / units, expected, rtol=1e-8)


# Fewer directions than parameters


@pytest.mark.parametrize("alpha", [0.0, 1e-40])
def test_combinations_that_are_identified_have_the_errors_of_least_squares(alpha):
    """Of b only the sum is known; its columns are a million times as long as that of a."""
    a, b = RANDOM.normal(size=(2, N_ROWS))
    y = a + b + NOISE
    expected = sm.OLS(y, np.c_[a, b, np.ones(N_ROWS)]).fit()
    of_a, of_b, intercept = expected.params
    theta = [of_a * 1e12, 0.5 * of_b / 1e6, 0.5 * of_b / 1.1e6, intercept]
    X = np.stack([a * 1e-12, b * 1e6, b * 1.1e6])
    found = inference(Network((3, 1), output="identity"), theta, X, y, alpha=alpha)
    assert found.rank == 3
    assert found.unidentified.tolist() == [False, True, True, False]
    assert np.isnan(found.standard_errors).tolist() == [False, True, True, False]
    combinations = np.array([[1e-12, 0, 0, 0], [0, 1e6, 1.1e6, 0], [0, 0, 0, 1]])
    covariance = combinations @ found.covariance @ combinations.T
    np.testing.assert_allclose(covariance, expected.cov_params(), rtol=1e-9, atol=1e-12)
    std = found.predict(X[:, :5], return_std=True)[1][0]
    np.testing.assert_allclose(std, expected.get_prediction().se_mean[:5], rtol=1e-9)
    assert found.effective_parameters == pytest.approx(3, rel=1e-9)


def test_differences_of_classes_have_the_errors_of_logit_with_a_feature_twice():
    """Softmax has a class too many, and here a feature, too: of its slopes only a sum is known."""
    codes = RANDOM.integers(0, 3, N_ROWS)
    expected = sm.MNLogit(codes, np.c_[U, np.ones(N_ROWS)]).fit(disp=0, method="newton", tol=1e-14)
    (_, slope_1, slope_2), (_, *biases) = np.c_[np.zeros(2), expected.params]
    halves = [half for slope in (0, slope_1, slope_2) for half in (slope / 2, slope / 2e6)]
    network = Network((2, 3), output="softmax")
    found = inference(network, [*halves, 0, *biases], [U, 1e6 * U], codes)
    assert found.rank == 4
    assert np.isnan(found.standard_errors).all()
    slope, bias = np.array([[-1, 0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, -1, 1, 0]], float)
    slope += 1e6 * np.roll(slope, 1)
    for combination, error in ((slope, expected.bse[0, 0]), (bias, expected.bse[1, 0])):
        variance = combination @ found.covariance @ combination
        assert np.sqrt(variance) == pytest.approx(error, rel=1e-8)
    rows = [line.split() for line in found.summary().splitlines() if line[:2] in ("W1", "b1")]
    shown = {name: float("nan") if error == "-" else float(error) for name, _, error, *_ in rows}
    np.testing.assert_allclose([shown["b1[2]"], shown["b1[3]"]], expected.bse[1], rtol=1e-5)
    without = [name for name, error in shown.items() if np.isnan(error)]
    assert without == ["W1[2,1]", "W1[2,2]", "W1[3,1]", "W1[3,2]"]


# Biases of units that a penalty has switched off

TEACHER = np.array([2.0, 0.5, 1.0, 0.1])  # a unit of tanh and an output


def with_a_unit_more(w, b, v):
    """The teacher with a second hidden unit: weight, bias, and weight of the output."""
    return np.array([TEACHER[0], w, TEACHER[1], b, TEACHER[2], v, TEACHER[3]])


@pytest.mark.parametrize("of_inputs", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("of_targets", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("smallness", [0.0, 1e-9, 1e-5])
def test_the_bias_of_a_unit_switched_off_is_not_identified(of_inputs, of_targets, smallness):
    """All others have the errors that they have if it cannot change, whatever the units."""
    x = np.linspace(-1, 1, 60) * of_inputs
    y = (np.tanh(2 * x / of_inputs + 0.5) + 0.1 + 0.1 * NOISE[:60]) * of_targets
    units = np.array([1 / of_inputs, 1 / of_inputs, 1, 1, of_targets, of_targets, of_targets])
    theta = with_a_unit_more(smallness, 0.3, smallness) * units
    found = inference(Network((1, 2, 1), output="identity"), theta, [x], y, alpha=1e-3)
    assert found.unidentified.tolist() == [False] * 3 + [True] + [False] * 3
    assert found.rank == 6
    model, others = Model((1, 2, 1), "tanh", "identity", x, y), [0, 1, 2, 4, 5, 6]
    covariance, gamma = sandwich(model.jacobian(theta)[0][:, others], model.R[others], 1e-3)
    variance = np.sum((y - model.logits(theta)) ** 2) / (60 - gamma)
    of_the_unit_that_is_on = np.diag(covariance)[[0, 2, 3, 5]]
    errors = np.sqrt(variance * of_the_unit_that_is_on)
    np.testing.assert_allclose(found.standard_errors[[0, 2, 4, 6]], errors, rtol=1e-6)


def test_a_unit_of_a_lower_layer_may_be_switched_off():
    x = np.linspace(-1, 1, 60)
    theta = np.array([2.0, 1e-8, 0.5, 0.3, 1.0, 1e-8, 0.2, 1.0, 0.1])  # 1-2-1-1
    found = inference(
        Network((1, 2, 1, 1), output="identity"), theta, [x], np.sin(x) + 0.1 * NOISE[:60],
        alpha=ALPHA,
    )  # fmt: skip
    assert found.unidentified.tolist() == [False] * 3 + [True] + [False] * 5


def test_biases_that_do_the_same_are_not_identified():
    """A relu unit that is on for all samples moves its bias as the output moves its own."""
    x = np.linspace(0.5, 2, 60)
    found = inference(
        Network((1, 1, 1), hidden="relu", output="identity"), [1.0, 1.0, 2.0, 0.1], [x],
        2 * x + NOISE[:60], alpha=ALPHA,
    )  # fmt: skip
    assert found.unidentified.tolist() == [False, True, False, True]


def test_biases_of_units_alike_are_not_identified_beside_a_penalty():
    """Of their weights the penalty prefers equal ones."""
    x = np.linspace(-1, 1, 60)
    y = np.tanh(2 * x + 0.5) + 0.1 + 0.1 * NOISE[:60]
    theta = np.array([2.0, -2, 0.5, -0.5, 0.5, -0.5, 0.1])
    for difference in (0.0, 1e-9):
        theta[3] += difference
        found = inference(Network((1, 2, 1), output="identity"), theta, [x], y, alpha=ALPHA)
        assert found.unidentified.tolist() == [False, False, True, True, False, False, False]


@pytest.mark.parametrize("output", ["exp", "sigmoid"])
def test_biases_of_outputs_are_not_compared(output):
    """Their columns differ as their means do: here by a factor of a million."""
    network, x = Network((1, 2), output=output), np.linspace(-1, 1, 60)
    y = np.stack([np.full(60, 0.5), np.tile([0.0, 1e-9], 30)])
    theta = np.array([0.1, 0.2, 0.0, np.log(1e-13)])
    found = inference(network, theta, [x], y, alpha=1e-20)
    assert found.rank == 4
    assert not found.unidentified.any()


def test_derivatives_that_are_not_finite_are_refused():
    network = Network((1, 1), output="exp")
    with pytest.raises(ValueError, match=r"derivatives of the outputs by theta are not finite"):
        inference(network, [800.0, 0.0], [[0.0, 0.5, 1.0]], [1.0, 1, 1], alpha=1.0)
