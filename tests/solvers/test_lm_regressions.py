"""Networks without a hidden layer are regressions: solver="lm" and inference give statsmodels'."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import linprog

from engine import Network, inference, losses, train

N_ROWS = 60


def random_numbers():
    return np.random.default_rng(0)


X = random_numbers().normal(size=(N_ROWS, 3))
WITH_ONE = np.c_[X, np.ones(N_ROWS)]  # in theta's order: W, then b
WEIGHTS = np.random.default_rng(1).uniform(0.1, 3, N_ROWS)
LINE = X @ [1.0, 2.0, 3.0]


def relative(found, expected):
    """The largest relative difference."""
    return float(np.max(np.abs(np.asarray(found) / np.asarray(expected) - 1)))


def fitted(y, output="identity", loss=None, weights=None, n_outputs=1, **others):
    """The result of training, and what is inferred from it."""
    network = Network((3, n_outputs), output=output, loss=loss)
    result = train(network, X.T, y, solver="lm", sample_weight=weights, max_iter=500, **others)
    return result, inference(network, result.theta, X.T, y, sample_weight=weights)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
def test_squared_error_is_least_squares_in_two_steps(weights):
    y = LINE + random_numbers().normal(size=N_ROWS)
    network = Network((3, 1), output="identity")
    result = train(network, X.T, y, solver="lm", sample_weight=weights, max_iter=2)
    found = inference(network, result.theta, X.T, y, sample_weight=weights)
    expected = sm.WLS(y, WITH_ONE, weights=np.ones(N_ROWS) if weights is None else weights).fit()
    assert relative(result.theta, expected.params) < 1e-12
    assert relative(found.standard_errors, expected.bse) < 1e-9
    assert relative(found.covariance, expected.cov_params()) < 1e-9
    assert found.residual_variance == pytest.approx(expected.mse_resid, rel=1e-9)
    assert found.degrees_of_freedom == expected.df_resid
    rows = WITH_ONE if weights is None else WITH_ONE * np.sqrt(weights)[:, np.newaxis]
    hat = np.diag(rows @ np.linalg.solve(rows.T @ rows, rows.T))
    assert relative(found.leverage, hat) < 1e-9
    new = np.c_[random_numbers().normal(size=(7, 3)), np.ones(7)]
    predicted = expected.get_prediction(new)
    mean, std = found.predict(new[:, :3].T, return_std=True)
    assert relative(mean[0], predicted.predicted_mean) < 1e-9
    assert relative(std[0], predicted.se_mean) < 1e-9
    limits = np.stack(found.interval(new[:, :3].T, level=0.8))[:, 0].T
    assert relative(limits, predicted.conf_int(alpha=0.2)) < 1e-9


def test_first_step_is_enough_for_least_squares():
    y = LINE + random_numbers().normal(size=N_ROWS)
    network = Network((3, 1), output="identity")
    result = train(network, X.T, y, solver="lm", max_iter=1)
    assert relative(result.theta, np.linalg.lstsq(WITH_ONE, y)[0]) < 1e-11


def test_several_outputs_are_as_many_regressions():
    """One residual variance is shared by all outputs."""
    random = random_numbers()
    Y = np.stack([LINE, X[:, 0] - X[:, 1]]) + random.normal(size=(2, N_ROWS))
    result, found = fitted(Y, n_outputs=2)
    W, b = result.theta[:6].reshape(2, 3), result.theta[6:]
    alone = [sm.OLS(y, WITH_ONE).fit() for y in Y]
    assert relative(np.c_[W, b], [one.params for one in alone]) < 1e-10
    shared = sum(one.ssr for one in alone) / (2 * N_ROWS - 8)
    assert found.residual_variance == pytest.approx(shared, rel=1e-10)
    errors = [one.bse * np.sqrt(shared / one.mse_resid) for one in alone]
    of_W, of_b = found.standard_errors[:6].reshape(2, 3), found.standard_errors[6:]
    assert relative(np.c_[of_W, of_b], errors) < 1e-9
    hat = np.diag(WITH_ONE @ np.linalg.solve(WITH_ONE.T @ WITH_ONE, WITH_ONE.T))
    assert relative(found.leverage, 2 * hat) < 1e-9


def test_sigmoid_is_logit():
    random = random_numbers()
    y = (random.uniform(size=N_ROWS) < 1 / (1 + np.exp(-X[:, 0]))).astype(float)
    result, found = fitted(y, output="sigmoid")
    expected = sm.Logit(y, WITH_ONE).fit(disp=0, tol=1e-14, maxiter=100)
    assert relative(result.theta, expected.params) < 1e-7
    assert relative(found.standard_errors, expected.bse) < 1e-7
    assert (found.residual_variance, found.degrees_of_freedom) == (1, np.inf)
    at = sm.GLM(y, WITH_ONE, family=sm.families.Binomial()).fit(tol=1e-14)
    assert relative(found.leverage, at.get_hat_matrix_diag()) < 1e-7
    predicted = at.get_prediction(WITH_ONE[:5])
    mean, std = found.predict(X[:5].T, return_std=True)
    assert relative(mean[0], predicted.predicted_mean) < 1e-7
    assert relative(std[0], predicted.se_mean) < 1e-7
    limits = np.stack(found.interval(X[:5].T, level=0.95))[:, 0].T
    assert relative(limits, predicted.conf_int(alpha=0.05)) < 1e-7  # by z, within (0, 1)


def test_softmax_is_mnlogit():
    """Its parameters are those of a class less those of the first one."""
    random = random_numbers()
    labels = np.argmax(X @ random.normal(size=(3, 3)) + random.gumbel(size=(N_ROWS, 3)), axis=1)
    result, found = fitted(labels, output="softmax", n_outputs=3)
    expected = sm.MNLogit(labels, WITH_ONE).fit(disp=0, method="newton", maxiter=200, tol=1e-14)
    contrast = np.zeros((8, 12))
    for row in range(8):
        other, k = divmod(row, 4)
        places = [3 * c + k if k < 3 else 9 + c for c in range(3)]
        contrast[row, places[other + 1]], contrast[row, places[0]] = 1, -1
    errors = np.sqrt(np.diag(contrast @ found.covariance @ contrast.T))
    assert found.rank == 8
    assert relative(contrast @ result.theta, expected.params.T.ravel()) < 1e-7
    assert relative(errors, expected.bse.T.ravel()) < 1e-7
    probability, std = found.predict(X[:4].T, return_std=True)
    assert relative(probability.T, expected.predict(WITH_ONE[:4])) < 1e-7
    cov, b = expected.cov_params(), expected.params.T.ravel()
    for i in range(4):  # the delta method, by differences
        moved = [
            [
                expected.model.cdf(WITH_ONE[i : i + 1] @ at.reshape(2, 4).T)[0]
                for at in (b + d, b - d)
            ]
            for d in 1e-5 * np.eye(8)
        ]
        slopes = np.array([(one - other) / 2e-5 for one, other in moved])
        assert relative(std[:, i] ** 2, np.diag(slopes.T @ cov @ slopes)) < 1e-6


def counts(random):
    return random.poisson(np.exp(0.3 * X[:, 0] + 0.2)).astype(float)


def positive(random):
    return random.gamma(2, np.exp(0.3 * X[:, 0]) / 2)


def zeros_and_more(random):
    drawn = random.gamma(2, np.exp(0.3 * X[:, 1]) / 2)
    return np.where(random.uniform(size=N_ROWS) < 0.3, 0, drawn)


LOG = sm.families.links.Log()
GLMS = {
    "poisson": ("poisson", counts, sm.families.Poisson()),
    "gamma": ("gamma", positive, sm.families.Gamma(LOG)),
    "tweedie 1.2": (losses.Tweedie(1.2), zeros_and_more, sm.families.Tweedie(LOG, var_power=1.2)),
    "tweedie 1.5": (losses.Tweedie(1.5), zeros_and_more, sm.families.Tweedie(LOG, var_power=1.5)),
    "tweedie 1.9": (losses.Tweedie(1.9), zeros_and_more, sm.families.Tweedie(LOG, var_power=1.9)),
}


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("name", GLMS)
def test_generalised_linear_models(name, weights):
    """Weights are statsmodels' var_weights: its dispersion divides by rows less parameters."""
    loss, draw, family = GLMS[name]
    y = draw(random_numbers())
    result, found = fitted(y, output="exp", loss=loss, weights=weights)
    model = sm.GLM(y, WITH_ONE, family=family, var_weights=weights)
    expected = model.fit(tol=1e-14, maxiter=500)
    assert relative(result.theta, expected.params) < 1e-6
    assert found.residual_variance == pytest.approx(expected.scale, rel=1e-6)
    assert relative(found.standard_errors, expected.bse) < 1e-6
    predicted = expected.get_prediction(WITH_ONE[:5])
    mean, std = found.predict(X[:5].T, return_std=True)
    assert relative(mean[0], predicted.predicted_mean) < 1e-6
    assert relative(std[0], predicted.se_mean) < 1e-6
    low, high = found.interval(X[:5].T, level=0.95)
    by_normal = predicted.conf_int(alpha=0.05)
    if name == "poisson":  # statsmodels' are normal, where ours have Student's t
        assert relative(np.c_[low[0], high[0]], by_normal) < 1e-6
    else:
        assert ((low[0] < by_normal[:, 0]) & (by_normal[:, 1] < high[0])).all()
    if weights is None:
        assert relative(found.leverage, expected.get_hat_matrix_diag(observed=False)) < 1e-6


# Quantiles

ENGEL = sm.datasets.engel.load_pandas().data
INCOME, FOOD = ENGEL["income"].to_numpy(), ENGEL["foodexp"].to_numpy()
# Intercept and slope, as R's quantreg prints them. Its data have two digits less than these.
PUBLISHED = {
    0.05: (124.88004, 0.34336),
    0.25: (95.48354, 0.47410),
    0.5: (81.48225, 0.56018),
    0.75: (62.39659, 0.64401),
    0.95: (64.10396, 0.70907),
}
STANDARDISED = (INCOME - INCOME.mean()) / INCOME.std()
SCALED = FOOD / FOOD.std()


def in_its_units(slope, intercept):
    slope = slope * FOOD.std() / INCOME.std()
    return intercept * FOOD.std() - slope * INCOME.mean(), slope


def by_linear_program(level):
    """Slope and intercept of the quantile regression: the exact minimum."""
    n = len(SCALED)
    costs = np.r_[np.zeros(2), level * np.ones(n), (1 - level) * np.ones(n)]
    rows = np.hstack([np.c_[STANDARDISED, np.ones(n)], np.eye(n), -np.eye(n)])
    bounds = [(None, None)] * 2 + [(0, None)] * (2 * n)
    return linprog(costs, A_eq=rows, b_eq=SCALED, bounds=bounds, method="highs").x[:2]


@pytest.mark.compiled
@pytest.mark.parametrize("solver", ["lbfgs", "lm"])
@pytest.mark.parametrize("level", PUBLISHED)
def test_engels_quantiles_are_published(level, solver):
    network = Network((1, 1), output="identity", loss=losses.Quantile(level))
    result = train(network, STANDARDISED[np.newaxis], SCALED, solver=solver, max_iter=5000)
    np.testing.assert_allclose(in_its_units(*result.theta), PUBLISHED[level], rtol=0, atol=5e-5)
    np.testing.assert_allclose(result.theta, by_linear_program(level), rtol=0, atol=1e-7)


@pytest.mark.compiled
@pytest.mark.parametrize("solver", ["lbfgs", "lm"])
def test_engels_five_quantiles_at_once_are_published(solver):
    network = Network((1, 5), output="identity", loss=losses.Quantile(list(PUBLISHED)))
    result = train(network, STANDARDISED[np.newaxis], SCALED, solver=solver, max_iter=20000)
    lines = result.theta.reshape(2, 5).T
    for line, (level, published) in zip(lines, PUBLISHED.items()):
        np.testing.assert_allclose(in_its_units(*line), published, rtol=0, atol=5e-5)
        np.testing.assert_allclose(line, by_linear_program(level), rtol=0, atol=1e-7)


@pytest.mark.compiled
@pytest.mark.parametrize("solver", ["lbfgs", "lm"])
def test_absolute_error_is_the_median(solver):
    network = Network((1, 1), output="identity", loss="absolute_error")
    result = train(network, STANDARDISED[np.newaxis], SCALED, solver=solver, max_iter=5000)
    np.testing.assert_allclose(result.theta, by_linear_program(0.5), rtol=0, atol=1e-7)
