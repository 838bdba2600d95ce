"""engine/statistics/: what is inferred from fitted parameters, against the delta method in NumPy.

Regressions beside statsmodels: tests/solvers/test_lm_regressions.py.
"""

import pickle
import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.special import gammaln
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import engine
from engine import Inference, MLPClassifier, MLPRegressor, Network, inference, losses, train
from tests.gauss_newton_oracle import Model
from tests.sums.test_normal_equations import KINDS, TWEEDIE, drawn

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::engine.TrainingWarning"
)
M = 90
WEIGHTS = np.random.default_rng(3).uniform(0.2, 2, M)
WEIGHTS[::9] = 0


def inferred(kind, sizes=(2, 3, 1), alpha=0.0, weights=None):
    """What is inferred from some parameters, the oracle's model, and the parameters.

    They are no minimum, where some may be of no use: each of N6 and N7 holds all the same.
    """
    hidden, output, loss, targets = KINDS[kind]
    random = np.random.default_rng([7, *sizes])
    network = Network(sizes, hidden=hidden, output=output, loss=loss)
    X = random.normal(size=(sizes[0], M))
    Y = drawn(targets, (sizes[-1], M), random)
    theta = random.normal(size=network.n_parameters)
    found = inference(network, theta, X, Y, alpha=alpha, sample_weight=weights)
    name = "" if loss is None else network.loss.name
    return found, Model(sizes, hidden, output, X, Y, alpha, weights, name, TWEEDIE), theta


def at_a_minimum():
    """The same after training, on targets of such a network with noise."""
    random = np.random.default_rng(2)
    X = random.normal(size=(2, M))
    model = Model((2, 2, 1), "tanh", "identity", X, np.zeros((1, M)))
    teacher = np.array([1.0, -0.5, 0.3, 1.2, 0.2, -0.4, 1.5, -1.0, 0.3])
    model.Y = model.logits(teacher) + 0.1 * random.normal(size=(1, M))
    network = Network((2, 2, 1), output="identity")
    theta = train(network, X, model.Y, solver="lm", theta=teacher + 0.1, max_iter=500).theta
    return inference(network, theta, X, model.Y), model, theta


def expected_of(model, theta, kind):
    """Covariance, dispersion and gamma by N6 and N7, in NumPy."""
    G = model.G(theta)
    whole = G + model.alpha * np.diag(model.R)
    matrix = np.linalg.pinv(whole, rcond=1e-13, hermitian=True)
    gamma = np.linalg.matrix_rank(whole, tol=1e-10, hermitian=True)
    gamma -= model.alpha * np.trace(model.R[:, np.newaxis] * matrix)
    n = np.count_nonzero(model.s) * model.sizes[-1]
    A, dispersion = model.outputs(theta), 1.0
    power = {"squared error": 0.0, "gamma": 2.0, "tweedie": TWEEDIE}.get(kind)
    if power is not None:
        dispersion = float(np.sum(model.s * (model.Y - A) ** 2 / A**power) / (n - gamma))
    return dispersion * matrix @ G @ matrix, dispersion, gamma, matrix


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("kind", KINDS)
def test_covariance_is_a_sandwich(kind, weights):
    """N7, with a penalty, as nothing else identifies each parameter."""
    n_outputs = 3 if kind == "softmax" else 1
    found, model, theta = inferred(kind, (2, 3, n_outputs), alpha=0.5, weights=weights)
    covariance, dispersion, gamma, matrix = expected_of(model, theta, kind)
    identified = matrix @ (model.G(theta) + model.alpha * np.diag(model.R))  # a projection
    assert found.effective_parameters == pytest.approx(gamma, rel=1e-6)
    assert found.residual_variance == pytest.approx(dispersion, rel=1e-6)
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    ours = identified @ found.covariance @ identified
    np.testing.assert_allclose(ours / scale, covariance / scale, rtol=0, atol=1e-6)
    lost = np.diag(identified) < 1 - 1e-6
    np.testing.assert_array_equal(found.unidentified, lost)
    errors = np.where(lost, np.nan, np.sqrt(np.diag(covariance)))
    np.testing.assert_allclose(found.standard_errors, errors, rtol=1e-6)
    J, H = model.jacobian(theta), model.curvatures(model.logits(theta))
    leverage = np.einsum("i,jip,pq,kiq,ijk->i", model.s, J, matrix, J, H)
    np.testing.assert_allclose(found.leverage, leverage, rtol=1e-6, atol=1e-12)


def test_covariance_without_a_penalty_is_the_inverse_of_the_curvature():
    """N7."""
    found, model, theta = at_a_minimum()
    covariance, dispersion, _, _ = expected_of(model, theta, "squared error")
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-9, atol=1e-12)
    assert found.residual_variance == pytest.approx(dispersion, rel=1e-10)
    assert found.degrees_of_freedom == M - theta.size
    assert found.leverage.sum() == pytest.approx(theta.size, rel=1e-9)
    assert found.rank == theta.size == found.effective_parameters


@pytest.mark.parametrize("kind", KINDS)
def test_errors_of_predictions_are_the_delta_methods(kind):
    """The Jacobian of the outputs by complex steps, those of softmax units by all of them."""
    n_outputs = 3 if kind == "softmax" else 2
    found, model, theta = inferred(kind, (2, 3, n_outputs), alpha=0.5)
    new = np.random.default_rng(9).normal(size=(2, 700))
    covariance = expected_of(model, theta, kind)[0]
    J = model.jacobian(theta, new, of="outputs")
    expected = np.sqrt(np.einsum("jip,pq,jiq->ji", J, covariance, J))
    mean, std = found.predict(new, return_std=True)
    np.testing.assert_allclose(mean, model.outputs(theta, new), rtol=1e-10)
    np.testing.assert_allclose(std, expected, rtol=1e-6)
    np.testing.assert_array_equal(found.predict(new), mean)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", KINDS)
def test_intervals_hold_the_level_and_stay_in_range(kind, level):
    n_outputs = 3 if kind == "softmax" else 2
    found, model, theta = inferred(kind, (2, 3, n_outputs), alpha=0.5)
    new = 3 * np.random.default_rng(9).normal(size=(2, 50))
    mean, std = found.predict(new, return_std=True)
    low, high = found.interval(new, level)
    quantile = stats.t.ppf(0.5 + level / 2, found.degrees_of_freedom)
    if model.output in ("sigmoid", "exp"):  # around z, where the distribution is more normal
        J = model.jacobian(theta, new)
        covariance = expected_of(model, theta, kind)[0]
        half = quantile * np.sqrt(np.einsum("jip,pq,jiq->ji", J, covariance, J))
        to_output = np.exp if model.output == "exp" else lambda z: 1 / (1 + np.exp(-z))
        z = model.logits(theta, new)
        expected = to_output(z - half), to_output(z + half)
    else:
        expected = mean - quantile * std, mean + quantile * std
    if model.output == "softmax":
        expected = np.maximum(expected[0], 0), np.minimum(expected[1], 1)
    np.testing.assert_allclose(low, expected[0], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(high, expected[1], rtol=1e-6, atol=1e-12)
    assert (low <= mean).all()
    assert (mean <= high).all()


def test_intervals_of_probabilities_near_1_are_no_nan():
    network = Network((1, 1))
    found = inference(network, [30.0, 0.0], [[-1.0, 0, 1, 0.01]], [0.0, 1, 1, 0], alpha=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        low, high = found.interval([[-100.0, -2, 0, 2, 100]], 0.9)
    assert ((low >= 0) & (low <= high) & (high <= 1)).all()


# What is not identified


def test_two_units_alike_are_not_identified_and_said_so():
    random = np.random.default_rng(0)
    X = random.normal(size=(1, 60))
    network = Network((1, 2, 1), output="identity")
    model = Model((1, 2, 1), "tanh", "identity", X, np.zeros((1, 60)))
    theta = np.array([0.8, 0.8, 0.3, 0.3, 0.5, 0.5, -0.2])
    Y = model.logits(theta) + 0.1 * random.normal(size=(1, 60))
    found = inference(network, theta, X, Y)
    assert found.rank == 4
    assert found.unidentified.tolist() == [True] * 6 + [False]
    assert found.effective_parameters == 4
    assert np.isnan(found.standard_errors).tolist() == found.unidentified.tolist()
    note = next(note for note in found.notes if "not identified" in note)
    assert note.startswith("6 parameters are not identified: W1[1,1]")
    assert note.endswith("a standard error: use fewer units, or a penalty (alpha).")
    assert np.isfinite(found.covariance).all()
    alone = inference(  # one unit of twice the output: the same function
        Network((1, 1, 1), output="identity"), [0.8, 0.3, 1.0, -0.2], X, Y
    )
    new = random.normal(size=(1, 5))
    np.testing.assert_allclose(
        found.predict(new, return_std=True)[1], alone.predict(new, return_std=True)[1], rtol=1e-6
    )


def test_a_dead_unit_is_not_identified():
    random = np.random.default_rng(0)
    X = random.uniform(size=(1, 60))
    network = Network((1, 2, 1), hidden="relu", output="identity")
    theta = np.array([1.0, -1.0, 0.5, -0.5, 1.5, 1.0, 0.1])  # the second unit is 0 of each sample
    found = inference(network, theta, X, X[0] + random.normal(size=60))
    assert found.unidentified.tolist()[1::2] == [True, True, True]
    assert np.isnan(found.standard_errors).tolist()[1::2] == [True, True, True]
    assert "W1[2,1]" in "".join(found.notes)
    theta[2] = -0.5  # the first unit is on for half of the samples
    note = inference(network, theta, X, X[0], alpha=0.1).notes[1]
    assert note.startswith("A parameter is not identified: b1[2]")
    assert note.endswith("a standard error: use fewer units.")


def test_a_feature_twice_is_not_identified():
    found = inference(
        Network((2, 1), output="identity"), [0.5, 0.5, 0.0], [[0.0, 1, 2]] * 2, [0.0, 1, 3]
    )
    assert found.notes[-1].endswith("leave out redundant inputs, or a penalty (alpha).")


def test_fewer_residuals_than_parameters_are_refused_without_a_penalty():
    network, x = Network((1, 5, 1), output="identity"), np.linspace(-1, 1, 8)
    theta = train(network, [x], np.sin(x), solver="lm", max_iter=500).theta
    with pytest.raises(
        ValueError,
        match=r"16 parameters are not identified by 8 residuals. Pass "
        r"the alpha .*, or use fewer units",
    ):
        inference(network, theta, [x], np.sin(x))
    found = inference(network, theta, [x], np.sin(x), alpha=0.01)
    assert found.effective_parameters < 8
    assert np.isfinite(found.standard_errors).all()


def test_as_many_residuals_as_parameters_leave_no_variance():
    network = Network((1, 1), output="identity")
    with pytest.raises(ValueError, match="2 residuals and 2 parameters leave nothing to estimate"):
        inference(network, [1.0, 0.0], [[0.0, 1.0]], [0.0, 1.0])


def test_softmax_counts_a_class_less():
    """5 samples of 3 classes are 10 residuals, for 6 differences."""
    network, labels = Network((2, 3), output="softmax"), [0, 1, 2, 0, 1]
    X = np.random.default_rng(0).normal(size=(2, 5))
    found = inference(network, np.zeros(9), X, labels)
    assert (found.n_observations, found.rank) == (5, 6)
    with pytest.raises(ValueError, match="6 parameters are not identified by 4 residuals"):
        inference(network, np.zeros(9), X[:, :2], labels[:2])


def test_parameters_that_are_no_minimum_are_said_to_be_none():
    found, model, theta = at_a_minimum()
    assert not any("minimum:" in note for note in found.notes)
    other = inference(found.network, theta + 0.1, model.X, model.Y)
    assert "The parameters are not at a minimum: a Gauss-Newton step would" in other.notes[0]
    assert "Train on with solver='lm', more iterations and tol=0; if that" in other.notes[0]


def test_evidence_far_from_a_minimum_is_warned_of():
    """The number is there all the same; near a minimum nothing is said."""
    random = np.random.default_rng(0)
    X, network = random.normal(size=(3, M)), Network((3, 1), output="identity")
    y = X[0] - X[1] + random.normal(size=M)
    theta = train(network, X, y, solver="lm", alpha=0.7).theta
    at_minimum = inference(network, theta, X, y, alpha=0.7).log_evidence
    near, far = (inference(network, theta + d, X, y, alpha=0.7) for d in (0.003, 0.1))
    assert near.log_evidence == pytest.approx(at_minimum, rel=1e-3)
    assert "not at a minimum" in near.notes[0]
    with pytest.warns(UserWarning, match="log_evidence means nothing here: .* far from a minimum"):
        assert far.log_evidence < at_minimum - 0.1
    assert far.notes[0].endswith("The log evidence means nothing here.")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = train(network, X, y, solver="lm", alpha="evidence", max_iter=1)
    assert np.isfinite(result.log_evidence)


@pytest.mark.parametrize("loss", ["absolute_error", "huber", losses.Quantile([0.2])])
def test_losses_without_a_distribution_are_refused(loss):
    network = Network((1, 1), output="identity", loss=loss)
    name = getattr(loss, "name", loss)
    with pytest.raises(
        ValueError,
        match=f"The loss '{name}' has no standard errors: standard errors need a loss that is the "
        "likelihood of a distribution. Fit with squared error",
    ):
        inference(network, [1.0, 0.0], [[0.0, 1, 2]], [0.0, 1, 2])


def own_loss(z, y):
    return 0.5 * (z - y) ** 2, z - y, 1.0


def test_a_loss_of_ones_own_is_refused():
    network = Network((1, 1), output="identity", loss=losses.Compiled(own_loss))
    with pytest.raises(ValueError, match="The loss 'own_loss' has no standard errors"):
        inference(network, [1.0, 0.0], [[0.0, 1, 2]], [0.0, 1, 2])


@pytest.mark.parametrize(
    "loss", ["absolute_error", "huber", losses.Quantile(0.2), losses.Compiled(own_loss)]
)
def test_losses_that_are_no_likelihood_have_no_evidence(loss):
    """Here it is a number of no meaning, however the alpha was found."""
    x = np.linspace(-1, 1, 30)
    network = Network((1, 1), output="identity", loss=loss)
    result = train(network, [x], x**3, solver="lm", alpha="evidence")
    assert result.alpha > 0
    assert np.isfinite(result.effective_parameters)
    assert np.isnan(result.log_evidence)


def test_what_it_takes_is_said():
    network = Network((1, 1), output="identity")
    with pytest.raises(TypeError, match="takes theta, X and Y; got 2 arrays"):
        inference(network, [[0.0]], [0.0])
    with pytest.raises(TypeError, match=r"inference takes an engine\.Network"):
        inference("model", [[0.0]], [0.0])
    with pytest.raises(ValueError, match="level must be above 0 and below 1; got 1"):
        inference(network, [1.0, 0.0], [[0.0, 1, 2]], [0.0, 1, 3]).interval([[0.0]], 1.0)
    with pytest.raises(ValueError, match="alpha"):
        inference(network, [1.0, 0.0], [[0.0, 1, 2]], [0.0, 1, 2], alpha=-1.0)


def test_parameters_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"theta must be finite, but 1 of its 2 .* theta\[1\]"):
        inference(Network((1, 1), output="identity"), [1.0, np.nan], [[0.0, 1, 2]], [0.0, 1, 2])


def test_models_of_other_kinds_are_refused_with_what_to_pass(tmp_path):
    x, y = X3[:, :1], Y3
    fitted = MLPRegressor(**LINEAR).fit(x, y)
    engine.save(tmp_path / "model.safetensors", fitted)
    said = {
        r"the class MLPRegressor. Fit one first: pass MLPRegressor\(\).fit": MLPRegressor,
        r"a Pipeline. Pass its last step, model\[-1\], with model\[:-1\].transform\(X\) and y":
            make_pipeline(StandardScaler(), MLPRegressor(**LINEAR)).fit(x, y),
        r"a Model. Pass model.estimator\(\), X and y; if it holds a network alone, pass "
        "model.network, model.theta, X and Y": engine.load(tmp_path / "model.safetensors"),
        "got a LinearRegression.$": LinearRegression(),
    }  # fmt: skip
    for message, model in said.items():
        with pytest.raises(TypeError, match=message):
            inference(model, x, y)


def test_results_do_not_change_with_the_callers_theta():
    found, model, theta = at_a_minimum()
    expected = found.predict(model.X[:, :3])
    theta[:] = 0
    np.testing.assert_array_equal(found.predict(model.X[:, :3]), expected)


def test_what_train_returned_brings_its_alpha():
    network = Network((3, 1), output="identity")
    result = train(network, X3.T, Y3, solver="lm", alpha=2.5)
    for alpha in (None, 0.0):
        found = inference(network, result, X3.T, Y3, alpha=alpha)
        used = 2.5 if alpha is None else alpha
        expected = inference(network, result.theta, X3.T, Y3, alpha=used)
        np.testing.assert_array_equal(found.covariance, expected.covariance)


@pytest.mark.parametrize("noise", [[1, 1.2], [0.01, 1, 10]])
def test_outputs_of_unequal_noise_are_said_to_share_a_variance(noise):
    random = np.random.default_rng(0)
    Y = np.array(noise)[:, np.newaxis] * random.normal(size=(len(noise), 80))
    network = Network((3, len(noise)), output="identity")
    found = inference(network, train(network, X3.T, Y, solver="lm"), X3.T, Y)
    own = [np.sum((row - found.predict(X3.T)[k]) ** 2) / (80 - 4) for k, row in enumerate(Y)]
    assert found.residual_variance == pytest.approx(np.mean(own))
    if len(noise) == 2:
        assert found.notes == []
        return
    assert found.notes == [
        f"One residual variance is taken for all outputs, but their own ones go from {own[0]:.3g} "
        f"(output 1) to {own[2]:.3g} (output 3): scale the outputs to equal noise, or fit each "
        "alone."
    ]
    assert "One residual variance" in found.summary()
    assert "Observations:             240 (80 rows x 3 outputs)" in found.summary()


def test_it_is_a_public_type_that_can_be_pickled():
    found, _, _ = at_a_minimum()
    assert type(found) is Inference
    assert "Inference" in engine.__all__
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.covariance, found.covariance)
    assert again.summary() == found.summary()
    assert repr(found).startswith("<Inference: 9 parameters, 90 observations, residual variance 0.")


@pytest.mark.filterwarnings("ignore:log_evidence means nothing here")
def test_same_numbers_whatever_the_number_of_samples_at_a_time(monkeypatch):
    """Blocks of samples are decomposed one after the other."""
    found, model, theta = inferred("softmax", (2, 3, 3), alpha=0.5)
    expected = found.covariance, found.leverage, found.log_evidence
    monkeypatch.setattr("engine.statistics.curvature.ROWS_AT_A_TIME", 7)
    codes = model.Y.argmax(axis=0)
    again = inference(found.network, theta, model.X, codes, alpha=0.5)
    np.testing.assert_allclose(again.covariance, expected[0], rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(again.leverage, expected[1], rtol=1e-9)
    assert again.log_evidence == pytest.approx(expected[2], rel=1e-9)


def test_digits_are_not_lost_to_a_square():
    """Columns that agree to 1e-9: their product would have no digit of the difference."""
    x = np.linspace(0, 1, 30)
    X = np.stack([x, x + 1e-9 * np.cos(40 * x)])
    y = x + np.random.default_rng(0).normal(size=30)
    found = inference(Network((2, 1), output="identity"), [1.0, 0.0, 0.0], X, y)
    assert found.rank == 3
    rows = np.vstack([X, np.ones(30)]).T
    _, R = np.linalg.qr(rows)
    errors = np.linalg.norm(np.linalg.inv(R), axis=1)
    ours = found.standard_errors / np.sqrt(found.residual_variance)
    np.testing.assert_allclose(ours, errors, rtol=1e-5)


# The evidence


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
def test_log_evidence_is_the_exact_one_of_a_linear_model(weights):
    """N6: targets, weights and a flat bias integrated out of a Gaussian distribution."""
    random = np.random.default_rng(0)
    X, s = random.normal(size=(3, M)), np.ones(M) if weights is None else weights
    y = X[0] - X[1] + random.normal(size=M)
    network, alpha = Network((3, 1), output="identity"), 0.7
    theta = train(network, X, y, solver="lm", alpha=alpha, sample_weight=weights).theta
    found = inference(network, theta, X, y, alpha=alpha, sample_weight=weights)
    there = s > 0
    variance, X, y, s = found.residual_variance, X[:, there], y[there], s[there]
    C = np.diag(variance / s) + X.T @ X * variance / alpha
    one, inverse = np.ones(len(y)), np.linalg.inv(C)
    precision = one @ inverse @ one
    residual = y - one @ inverse @ y / precision
    density = -0.5 * (np.linalg.slogdet(2 * np.pi * C)[1] + residual @ inverse @ residual)
    assert found.log_evidence == pytest.approx(
        density + 0.5 * np.log(2 * np.pi / precision), rel=1e-11
    )


@pytest.mark.filterwarnings("ignore:log_evidence means nothing here")
@pytest.mark.parametrize("kind", ["sigmoid", "poisson", "softmax", "squared error"])
def test_log_evidence_is_laplaces_approximation(kind):
    """N6: the Gaussian integral around the minimum, from its definition."""
    sizes = (2, 3, 3 if kind == "softmax" else 1)
    found, model, theta = inferred(kind, sizes, alpha=0.5)
    A, variance = model.outputs(theta), found.residual_variance
    logs = {
        "sigmoid": lambda: np.where(model.Y > 0, np.log(A), np.log1p(-A)),
        "softmax": lambda: model.Y * np.log(A),
        "poisson": lambda: model.Y * np.log(A) - A - gammaln(model.Y + 1),
        "squared error": lambda: stats.norm.logpdf(model.Y, A, np.sqrt(variance)),
    }[kind]()
    weights = theta[model.R > 0]
    prior = stats.norm.logpdf(weights, 0, np.sqrt(variance / 0.5)).sum()
    matrix = (model.G(theta) + 0.5 * np.diag(model.R)) / variance
    fixed = found.unidentified & (np.arange(theta.size) < theta.size - sizes[-1])
    matrix = matrix[~fixed][:, ~fixed]  # a relu unit that is on for all samples
    values = np.linalg.eigvalsh(matrix)
    values = values[
        values > 1e-10 * values[-1]
    ]  # of softmax, a shift of all biases changes nothing
    expected = logs.sum() + prior + 0.5 * np.sum(np.log(2 * np.pi / values))
    assert found.rank == len(values)
    assert found.log_evidence == pytest.approx(expected, rel=1e-7)


def test_log_evidence_needs_a_prior():
    assert np.isnan(inferred("squared error", (2, 2, 1))[0].log_evidence)
    assert np.isnan(inferred("gamma", (2, 2, 1), alpha=0.5)[0].log_evidence)


# The table

X3 = np.random.default_rng(0).normal(size=(80, 3))
Y3 = 2 * X3[:, 0] + np.random.default_rng(1).normal(size=80)
LINEAR = {"hidden_layer_sizes": (), "solver": "lm", "alpha": 0.0}


def table_of(found):
    """The rows of numbers of a summary, by name, and its notes."""
    text = found.summary()
    assert all(len(line) <= 78 for line in text.splitlines())
    frame, rule = [place for place, line in enumerate(text.splitlines()) if line[0] == "="], "-"
    lines = text.splitlines()
    inside = lines[frame[0] : frame[1]]
    start = max(place for place, line in enumerate(inside) if line.startswith(rule))
    rows = {line[:26].strip(): line[26:].split() for line in inside[start + 1 :]}
    return rows, " ".join(lines[frame[1] + 1 :])


def test_summary_has_the_estimates_with_their_errors():
    import pandas as pd

    frame = pd.DataFrame(X3, columns=["age", "income of the household, yearly", "z"])
    model = MLPRegressor(**LINEAR).fit(frame, Y3)
    found = inference(model, frame, Y3)
    rows, notes = table_of(found)
    assert list(rows) == ["age", "income of the househol...", "z", "intercept"]
    assert notes == ""
    ratios = found.theta / found.standard_errors
    p = 2 * stats.t.sf(np.abs(ratios), 76)
    for number, row in enumerate(rows.values()):
        expected = found.theta[number], found.standard_errors[number], ratios[number], p[number]
        np.testing.assert_allclose([float(one) for one in row], expected, rtol=1e-5, atol=6e-4)


def test_summary_of_classes_shows_differences_from_the_first():
    labels = np.array(["a", "b", "c"])[np.digitize(Y3, [-1, 1])]
    found = inference(MLPClassifier(**LINEAR).fit(X3, labels), X3, labels)
    rows, notes = table_of(found)
    assert list(rows) == [f"{c}: {x}" for c in "bc" for x in ("x0", "x1", "x2", "intercept")]
    assert "only differences between classes are identified" in notes
    difference = found.theta[3] - found.theta[0]
    contrast = np.zeros(12)
    contrast[[3, 0]] = 1, -1
    error = np.sqrt(contrast @ found.covariance @ contrast)
    shown = [float(one) for one in rows["b: x0"][:3]]
    np.testing.assert_allclose(shown, [difference, error, difference / error], rtol=1e-4)


def test_summary_leaves_out_what_is_not_identified():
    """A unit that the penalty has switched off has no t, however small its weights' errors are."""
    x = np.linspace(-1, 1, 60)[np.newaxis]
    y = np.sin(np.pi * x[0]) + 0.2 * np.random.default_rng(0).normal(size=60)
    network = Network((1, 6, 1), output="identity")
    result = train(network, x, y, solver="lm", alpha="evidence", max_iter=1000)
    found = inference(network, result.theta, x, y, alpha=result.alpha)
    rows, notes = table_of(found)
    assert found.by_penalty.any()
    assert found.unidentified.any()
    assert "set by the penalty, and not by the data" in notes
    for number, row in enumerate(rows.values()):
        hidden = found.by_penalty[number] or found.unidentified[number]
        assert (row[1:] == ["-", "-", "-"]) == hidden


# alpha of a fit


def test_alpha_is_that_of_the_fit_and_not_what_was_set_later():
    before = {"alpha": 0.5, "batch_size": 20, "solver": "adam"}
    model = MLPRegressor(hidden_layer_sizes=(), max_iter=5, **before).fit(X3, Y3)
    expected = inference(model._network, model._theta(), X3.T, Y3, alpha=0.5 * 80 / 20)
    after = {"alpha": 0, "batch_size": 7, "solver": "lm"}
    for later in (before, {"alpha": "evidence"}, after):
        found = inference(model.set_params(**later), X3, Y3)
        np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-12)
    model.set_params(**before)
    del model._penalty  # as in the estimator of a model file
    found = inference(model, X3, Y3)
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-12)


def test_alpha_of_the_evidence_outlives_its_parameter():
    model = MLPRegressor(**{**LINEAR, "alpha": "evidence"}).fit(X3, Y3)
    expected = inference(model, X3, Y3).covariance
    found = inference(model.set_params(alpha=7.0), X3, Y3)
    np.testing.assert_array_equal(found.covariance, expected)


def test_a_fit_by_rows_so_far_has_the_penalty_of_its_batches():
    """partial_fit of 40 rows takes batches of 40; on 80 rows the penalty counts twice."""
    model = MLPRegressor(hidden_layer_sizes=(), alpha=0.5).partial_fit(X3[:40], Y3[:40])
    model.partial_fit(X3[40:], Y3[40:])
    expected = inference(model._network, model._theta(), X3.T, Y3, alpha=1.0)
    np.testing.assert_allclose(inference(model, X3, Y3).covariance, expected.covariance, rtol=1e-12)
