"""engine/checks/: what is right passes, and each check goes red for what it is there to find."""

import math
import pickle
import re
import warnings
from itertools import pairwise

import numba
import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from engine import MLPClassifier, MLPRegressor, losses, verify
from engine.checks import gradient as checks_gradient
from engine.checks import kinks, rounding, threads
from engine.checks import problem as checks_problem
from engine.checks.problem import parts_of
from engine.checks.report import Check
from engine.equations import backends
from engine.estimators.input_validation import Rows
from engine.sums.chunks import ChunkSums
from engine.sums.workers import TiledWorker
from tests import own_losses

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(30, 4))
CLASSES = np.arange(30) % 3
SMALL = {"hidden_layer_sizes": (3,), "activation": "tanh", "random_state": 0, "backend": "numpy"}


def found(estimator, X=X, y=CLASSES, **more):
    return verify(estimator, X, y, print_report=False, **more)


def red(verification):
    """Which checks failed: names and what they compared."""
    return {(check.name, check.what) for check in verification.failed}


# What is right passes.

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = (IRIS - IRIS.mean(axis=0)) / IRIS.std(axis=0)
DIABETES, PROGRESS = load_diabetes(return_X_y=True)
COUNTS = np.arange(len(IRIS)) % 5
TWO_LABELS = np.column_stack([SPECIES == 0, SPECIES == 1]).astype(int)

KINDS = {
    "binary": (MLPClassifier(), IRIS[:100], SPECIES[:100], {}),
    "several classes": (MLPClassifier(), IRIS, SPECIES, {}),
    "labels that are text": (MLPClassifier(), IRIS, np.array(["a", "b", "c"])[SPECIES], {}),
    "several labels": (MLPClassifier(), IRIS, TWO_LABELS, {}),
    "regression": (MLPRegressor(), DIABETES, PROGRESS, {}),
    "several outputs": (MLPRegressor(), DIABETES, np.column_stack([PROGRESS, -PROGRESS]), {}),
    "counts": (MLPRegressor("poisson"), IRIS, COUNTS, {}),
    "absolute error": (MLPRegressor("absolute_error", solver="lbfgs"), DIABETES, PROGRESS, {}),
    "Huber": (MLPRegressor(losses.Huber(20), solver="lbfgs"), DIABETES, PROGRESS, {}),
    "quantiles": (
        MLPRegressor(losses.Quantile([0.1, 0.5]), (5,), solver="lbfgs"),
        DIABETES,
        PROGRESS,
        {"sample_weight": 1 + np.arange(len(PROGRESS)) % 3},
    ),
    "gamma": (MLPRegressor("gamma"), IRIS, COUNTS + 1, {}),
    "Tweedie": (MLPRegressor(losses.Tweedie(1.5)), IRIS.astype(np.float32), COUNTS, {}),
    "weights": (MLPClassifier(), IRIS, SPECIES, {"sample_weight": COUNTS}),
    "class weights": (MLPClassifier(class_weight="balanced"), IRIS[:120], SPECIES[:120], {}),
    "rows of CSR": (MLPClassifier(), scipy.sparse.csr_array(np.maximum(IRIS, 0)), SPECIES, {}),
    "columns of CSC": (MLPClassifier(), scipy.sparse.csc_matrix(np.maximum(IRIS, 0)), SPECIES, {}),
    "float32": (MLPClassifier(), IRIS.astype(np.float32), SPECIES, {}),
    "unscaled float32": (MLPRegressor(), (1000 * DIABETES).astype(np.float32), PROGRESS, {}),
    "lbfgs": (MLPRegressor(solver="lbfgs"), DIABETES, PROGRESS, {}),
    "plain descent": (MLPClassifier(solver="gd"), IRIS, SPECIES, {}),
    "no hidden layer": (MLPClassifier(()), IRIS, SPECIES, {}),
    "a unit for each layer": (MLPClassifier((5, 4), ["relu", "logistic"]), IRIS, SPECIES, {}),
    "early stopping": (MLPClassifier(early_stopping=True, solver="sgd"), IRIS, SPECIES, {}),
    "plain loops": (MLPClassifier((5, 4), backend="loops"), IRIS, SPECIES, {}),
    "a pipeline": (make_pipeline(StandardScaler(), MLPClassifier()), 10 * IRIS, SPECIES, {}),
}


@pytest.mark.sample(2)
@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_estimator_passes_before_and_after_its_fit(kind):
    estimator, X, y, more = KINDS[kind]
    before = found(estimator, X, y, **more)
    assert before.ok, str(before)
    assert len(before.checks) == 1 + 3 + 2
    estimator.fit(X, y, **more)
    after = found(estimator, X, y, **more)
    assert after.ok, str(after)
    assert len(after.checks) == 2 * (1 + 3 + 1) + 1
    assert {check.at for check in after.checks} == {"initial values", "fitted values", "training"}


def test_small_estimators_pass_with_numbers_that_say_something():
    verification = found(MLPClassifier(**SMALL))
    assert verification.ok
    for check in verification.checks:
        if check.name == "threads":
            assert (check.deviation, check.tolerance) == (0, 0)
        else:
            assert 0 < check.tolerance < 1e-8
            assert check.deviation < check.tolerance / 4
    assert any(check.deviation > 0 for check in verification.checks)


@pytest.mark.proof
@pytest.mark.compiled
def test_digits_take_no_more_than_seconds():
    X, y = load_digits(return_X_y=True)
    classifier = MLPClassifier(random_state=0)
    found(classifier, X, y)  # compiles
    again = found(classifier, X, y)
    assert again.ok
    assert again.seconds < 10  # 1 or 2 on a machine that is not busy


@pytest.mark.filterwarnings("ignore")
def test_fitted_values_are_those_of_the_estimator():
    """With others in their place, as a gradient of 0 shows that there is at a constant output."""
    regressor = MLPRegressor(**SMALL, max_iter=2).fit(X, np.ones(30))
    for array in (*regressor.coefs_, *regressor.intercepts_):
        array[...] = 0
    problem = checks_problem.problem_of(regressor, X, np.ones(30), None)
    assert not problem.points["fitted values"].any()
    assert problem.points["initial values"].all()


@pytest.mark.filterwarnings("ignore")
def test_a_fitted_classifier_may_be_checked_on_rows_that_lack_a_class():
    classifier = MLPClassifier(**SMALL, max_iter=2, class_weight="balanced").fit(X, CLASSES)
    few = np.flatnonzero(CLASSES < 2)
    assert found(classifier, X[few], CLASSES[few]).ok


# Faults are found, by the right check.


def backend_with(monkeypatch, name, **functions):
    broken = backends.BACKENDS[name]._replace(**functions)
    monkeypatch.setitem(backends.BACKENDS, name, broken)


def gradient_pass_with(name, fault):
    """The backend's gradient pass, with a fault in (cost, dtheta)."""
    right = backends.BACKENDS[name].gradient_pass

    def gradient_pass(theta, sizes, units, loss, A, dZ, Y, s, dtheta):
        cost = right(theta, sizes, units, loss, A, dZ, Y, s, dtheta)
        return fault(cost, dtheta)

    return gradient_pass


def wrong_sign_in_layer_1(cost, dtheta):
    dtheta[: 3 * 4] *= -1
    return cost


def one_entry_a_thousandth_too_large(cost, dtheta):
    dtheta[13] *= 1 + 1e-3
    return cost


@pytest.mark.parametrize(
    ("fault", "where"),
    [
        (wrong_sign_in_layer_1, "coefs_[0]["),
        (one_entry_a_thousandth_too_large, "intercepts_[0][1]"),
    ],
)
def test_a_wrong_gradient_of_the_estimators_backend_is_found_by_both(monkeypatch, fault, where):
    backend_with(monkeypatch, "numpy", gradient_pass=gradient_pass_with("numpy", fault))
    verification = found(MLPClassifier(**SMALL))
    assert not verification.ok
    assert red(verification) == {("gradient", "gradient"), ("backends", "gradient")}
    gradient = verification.failed[0]
    assert gradient.where.startswith(where)
    assert gradient.deviation > 10 * gradient.tolerance
    assert where.partition("[")[0] in verification.failed[1].where


def test_a_wrong_gradient_of_another_backend_is_found_by_the_comparison(monkeypatch):
    fault = gradient_pass_with("loops", wrong_sign_in_layer_1)
    backend_with(monkeypatch, "loops", gradient_pass=fault)
    verification = found(MLPClassifier(**SMALL))
    assert red(verification) == {("backends", "gradient")}
    assert "loops" in verification.failed[0].where


def test_an_error_of_a_billionth_in_the_loss_is_found(monkeypatch):
    fault = gradient_pass_with("numpy", lambda cost, dtheta: cost * (1 + 1e-9))
    backend_with(monkeypatch, "numpy", gradient_pass=fault)
    verification = found(MLPClassifier(**SMALL))
    assert red(verification) == {("backends", "loss")}


def test_a_wrong_activation_is_found(monkeypatch):
    right = backends.BACKENDS["loops"].forward_pass

    def forward_pass(theta, sizes, units, A):
        right(theta, sizes, units, A)
        A[-1] += 1e-9

    backend_with(monkeypatch, "loops", forward_pass=forward_pass)
    verification = found(MLPClassifier(**SMALL))
    assert red(verification) == {("backends", "activations")}
    assert "output 2" in verification.failed[0].where
    assert "loops" in verification.failed[0].where


@pytest.mark.filterwarnings("ignore")
def test_a_fault_at_fitted_values_alone_is_found_there(monkeypatch):
    regressor = MLPRegressor(**SMALL, max_iter=2).fit(X, X[:, 0])
    regressor.intercepts_[1][:] = 3.0
    right = backends.BACKENDS["numpy"].gradient_pass

    def gradient_pass(theta, sizes, units, loss, A, dZ, Y, s, dtheta):
        cost = right(theta, sizes, units, loss, A, dZ, Y, s, dtheta)
        dtheta[-1] += 30.0 * (theta[-1] > 2.9)
        return cost

    backend_with(monkeypatch, "numpy", gradient_pass=gradient_pass)
    verification = found(regressor, X, X[:, 0])
    assert {(check.name, check.at) for check in verification.failed} == {
        ("gradient", "fitted values"),
        ("backends", "fitted values"),
    }
    assert verification.failed[0].where == "intercepts_[1][0]"
    assert verification.failed[0].deviation == pytest.approx(1)


@pytest.mark.compiled
def test_a_wrong_sign_in_the_tiled_gradient_is_found(monkeypatch):
    right = TiledWorker.run

    def run(self, *arguments):
        cost = right(self, *arguments)
        self.gradient_sum[: 3 * 4] *= -1
        return cost

    monkeypatch.setattr(TiledWorker, "run", run)
    verification = found(MLPClassifier(**SMALL | {"backend": None}))
    assert red(verification) == {("gradient", "gradient"), ("backends", "gradient")}
    assert "tiled" in verification.failed[1].where


@pytest.mark.compiled
def test_a_relative_error_of_a_hundredth_in_float32_alone_is_found(monkeypatch):
    right = TiledWorker.run

    def run(self, task, theta, *arguments):
        cost = right(self, task, theta, *arguments)
        self.gradient_sum *= 1.01 if theta.dtype == np.float32 else 1.0
        return cost

    monkeypatch.setattr(TiledWorker, "run", run)
    relu = SMALL | {"backend": None, "activation": "relu"}
    assert red(found(MLPClassifier(**relu), X.astype(np.float32))) == {("backends", "gradient")}


def sums_that_depend_on_threads(monkeypatch, in_minibatches):
    """Several threads give the last entry of a gradient another last bit."""
    right = ChunkSums.cost_and_gradient

    def cost_and_gradient(self, theta, *order):
        cost, gradient = right(self, theta, *order)
        if self._n_threads > 1 and bool(order) == in_minibatches:
            gradient[-1] = np.nextafter(gradient[-1], np.inf)
        return cost, gradient

    monkeypatch.setattr(ChunkSums, "cost_and_gradient", cost_and_gradient)


def test_a_last_bit_that_depends_on_the_threads_is_found(monkeypatch):
    sums_that_depend_on_threads(monkeypatch, in_minibatches=False)
    verification = found(MLPClassifier(**SMALL))
    assert red(verification) == {("threads", "loss and gradient")}
    assert verification.failed[0].where.startswith("intercepts_[1], ")
    assert 0 < verification.failed[0].deviation < 1e-10


def test_training_that_depends_on_the_threads_is_found(monkeypatch):
    sums_that_depend_on_threads(monkeypatch, in_minibatches=True)
    verification = found(MLPClassifier(**SMALL, solver="sgd", learning_rate_init=0.5))
    assert red(verification) == {("threads", "coefficients")}
    assert verification.failed[0].at == "training"


def test_threads_have_something_to_share(monkeypatch):
    """Several of them work, in J and in training, however few rows there are."""
    shares = []
    right = ChunkSums._run

    def run(self, task, theta, order, n_samples, activations=None):
        shares.append((self._n_threads, n_samples))
        return right(self, task, theta, order, n_samples, activations)

    monkeypatch.setattr(ChunkSums, "_run", run)
    threads.check_threads(checks_problem.problem_of(MLPClassifier(**SMALL), X, CLASSES, None))
    shared = [n_samples for n_threads, n_samples in shares if n_threads == 2]
    assert {4096, 2048} <= set(shared)
    assert min(shared) > 1024


# Rounding.


def test_rounding_is_measured_where_terms_cancel():
    """The sum is 0, and its last place says nothing of what rounding did to its terms."""
    theta = np.ones(20)
    signs = np.repeat([1e6, -1e6], 10)
    noise = rounding.noise_of(lambda t: float(signs @ t), theta)
    assert 1e6 * 2**-52 < noise < 20e6 * 2**-52
    allowed = rounding.tolerance(
        np.zeros(1), [signs @ t for t in rounding.perturbed(theta)], 4, 2**-52
    )
    assert allowed == pytest.approx(16 * noise)


# Differences.


def slope(cost, at, noise=1e-16):
    theta = np.array([at])
    slopes = checks_gradient.slopes_of(lambda t: float(cost(t[0])), theta, np.array([0]), noise)
    assert theta == at
    return slopes.get(0)


@pytest.mark.parametrize(
    ("cost", "at", "derivative"),
    [
        (np.sin, 1.0, np.cos(1.0)),
        (np.exp, 0.0, 1.0),
        (lambda t: np.sin(300 * t), 0.3, 300 * np.cos(90)),  # needs a shorter step
        (lambda t: 0.5 * t * t, 1000.0, 1000.0),
    ],
)
def test_slopes_are_within_their_tolerances(cost, at, derivative):
    measured = slope(cost, at, noise=1e-16 * max(1, abs(cost(at))))
    assert abs(measured.value - derivative) <= measured.tolerance
    assert measured.tolerance < 1e-6 * abs(derivative)


def test_no_slope_at_a_kink():
    assert slope(abs, 0.0) is None
    assert slope(lambda t: max(t, 0.0), 0.0) is None


@pytest.mark.parametrize("share", [0.001, 0.2, 1 / 3, 0.45, 0.5, 0.55, 0.9])
@pytest.mark.parametrize("jump", [1.0, 1e-3, 1e-6])
def test_a_kink_within_the_step_makes_it_shorter(share, jump):
    kink = 1 + share * checks_gradient.STEPS[0]
    measured = slope(lambda t: np.sin(t) + jump * max(t - kink, 0.0), 1.0)
    assert measured is None or abs(measured.value - np.cos(1)) <= measured.tolerance


def test_entries_at_a_kink_are_left_out_and_counted():
    """A unit whose inputs are all 0 and whose intercept is 0 stands on its kink."""
    relu = SMALL | {"activation": "relu"}
    regressor = MLPRegressor(**relu, max_iter=1)
    with pytest.warns(ConvergenceWarning):
        regressor.fit(np.abs(X), X[:, 0])
    regressor.coefs_[0][:, 0] = 0
    regressor.intercepts_[0][0] = 0
    regressor.coefs_[1][:] = 1
    verification = found(regressor, np.abs(X), X[:, 0])
    assert verification.ok, str(verification)
    # Its four weights and its intercept.
    assert "fitted values: 5 entries left out: each step there crosses a kink" in str(
        verification
    ).replace("\n  ", " ")


def test_a_kink_excuses_no_wrong_gradient(monkeypatch):
    fault = gradient_pass_with("numpy", wrong_sign_in_layer_1)
    backend_with(monkeypatch, "numpy", gradient_pass=fault)
    relu = SMALL | {"activation": "relu"}
    assert ("gradient", "gradient") in red(found(MLPClassifier(**relu)))


def test_rows_that_stand_on_a_kink_are_no_matter_for_the_comparison():
    problem = checks_problem.problem_of(
        MLPRegressor(**SMALL | {"activation": "relu"}), X.astype(np.float32), X[:, 0], None
    )
    theta = problem.points["initial values"]
    (W, b), _ = problem.network.views(theta)
    b[:] = 1
    b[0] = -(W[0] @ problem.rows.X[7])  # row 7 is at the kink of unit 0, but for rounding
    moved = list(rounding.perturbed(theta))
    kept = kinks.off_kinks(problem, theta, problem.rows, moved)
    assert 25 <= kept.n_rows < 30
    assert not np.equal(kept.X, problem.rows.X[7]).all(axis=1).any()


LINEAR = {"hidden_layer_sizes": (), "random_state": 0, "alpha": 0.0, "backend": "numpy"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("loss", ["absolute_error", losses.Quantile([0.2, 0.5, 0.8])], ids=str)
def test_rows_whose_prediction_is_the_target_raise_no_alarm(loss):
    """The minimum of a loss with a kink goes through as many targets as there are parameters."""
    model = MLPRegressor(loss, **LINEAR, solver="adam", max_iter=1).fit(X, X[:, 0])
    design = np.column_stack([X, np.ones(30)])
    y = design @ np.linalg.solve(design[:5], X[:5, 0] + [0, 1, 2, 3, 4])
    for j in range(model.n_outputs_):
        model.coefs_[0][:, j], model.intercepts_[0][j] = X[:, 1][:4], 0.5
    y = model.predict(X).reshape(30, -1)[:, 0] + np.where(np.arange(30) < 6, 0, y)
    verification = found(model, y=y)
    assert verification.ok, str(verification)
    text = str(verification).replace("\n  ", " ")
    assert "Gradient, fitted values: 6 rows left out, whose prediction is so near" in text


def test_a_kink_of_the_loss_excuses_no_wrong_gradient(monkeypatch):
    fault = gradient_pass_with("numpy", wrong_sign_in_layer_1)
    backend_with(monkeypatch, "numpy", gradient_pass=fault)
    model = MLPRegressor("absolute_error", **SMALL)
    assert ("gradient", "gradient") in red(found(model, y=X[:, 0]))


def right(z, y):
    return (z - y) ** 2 / 2, z - y


def distance(z, y):
    return abs(z - y), (z > y) - 1.0 * (z < y)


def a_bit_wrong(z, y):
    return (z - y) ** 2 / 2, (z - y) * 1.0001


def test_a_wrong_derivative_of_a_loss_of_your_own_is_found():
    asked = {**SMALL, "backend": None}
    assert found(MLPRegressor(losses.Compiled(right), **asked), y=X[:, 0]).ok
    wrong = found(MLPRegressor(losses.Compiled(a_bit_wrong), **asked), y=X[:, 0])
    assert red(wrong) == {("own loss", "second result"), ("gradient", "gradient")}
    text = str(wrong).replace("\n", " ")
    assert "The second result of 'a_bit_wrong' is not the derivative of its first by z" in text
    assert "report it" not in text
    assert max(map(len, str(wrong).splitlines())) <= 80
    assert "…" not in str(wrong)


def wrong_sign(z, y):
    return (z - y) ** 2 / 2, y - z


def test_a_wrong_result_of_a_loss_is_named_with_numbers_to_call_it_with():
    model = MLPRegressor(losses.Compiled(wrong_sign), **SMALL | {"backend": None})
    (check,) = (one for one in found(model, y=X[:, 0]).failed if one.name == "own loss")
    z, y, returned, slope = map(float, re.findall(r"[-+.\de]*\d", check.where))
    assert returned == pytest.approx(wrong_sign(z, y)[1], abs=1e-3)
    assert slope == pytest.approx(z - y, abs=1e-3)


def with_h(h):
    """Half the squared error, and h as a third result; `h` is a function of the error."""
    compiled = numba.njit(h)

    def squared(z, y):
        return (z - y) ** 2 / 2, z - y, compiled(z - y)

    return losses.Compiled(squared)


@pytest.mark.parametrize(
    ("h", "ok"),
    [
        (lambda e: 1.0, True),
        (lambda e: 0 * e, True),
        (lambda e: -1e-17 * e * e, True),
        (lambda e: -1.0, False),
        (lambda e: 1.0 if e < 1 else -1e-3, False),
        (lambda e: 1.0 if e < 1 else math.nan, False),
        (lambda e: 1.0 if e < 1 else math.inf, False),
    ],
)
def test_a_third_result_must_be_finite_and_not_negative(h, ok):
    model = MLPRegressor(with_h(h), **SMALL | {"backend": None})
    verification = found(model, y=X[:, 0])
    assert verification.ok == ok
    assert red(verification) == (set() if ok else {("own loss", "third result")})
    text = str(verification).replace("\n", " ")
    assert ("The third result of 'squared' must be finite and not negative" in text) == (not ok)
    assert "report it" not in text
    assert "scale the inputs" not in text


@pytest.mark.parametrize("function", [own_losses.huber, own_losses.log_cosh, distance])
def test_kinks_of_a_loss_of_your_own_raise_no_alarm(function):
    model = MLPRegressor(losses.Compiled(function), **SMALL | {"backend": None, "max_iter": 20})
    for scale in (1e-6, 1.0, 1e6):
        y = scale * X[:, 0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(X, y)
        checks = [check for check in found(model, y=y).checks if check.name == "own loss"]
        assert len(checks) >= 2
        assert all(check.ok for check in checks), checks


def test_a_gradient_too_small_for_differences_is_said():
    deep = SMALL | {"hidden_layer_sizes": (3,) * 12, "activation": "logistic", "alpha": 0}
    text = str(found(MLPClassifier(**deep))).replace("\n  ", " ")
    assert "so small that differences cannot tell it from 0" in text
    assert "in coefs_[0], intercepts_[0]" in text


# What is looked at.


def test_some_entries_of_each_part_are_looked_at_always_alike():
    network = checks_problem.problem_of(
        MLPClassifier(**SMALL | {"hidden_layer_sizes": (40,)}), X, CLASSES, None
    ).network
    parts = parts_of(network)
    chosen = checks_gradient.selection(parts, 50)
    assert sum(map(len, chosen)) == 50
    for part, entries in zip(parts, chosen):
        assert len(set(entries)) == len(entries) == min(part.size, len(entries)) >= 3
        assert part.first <= min(entries)
        assert max(entries) < part.first + part.size
    for one, other in zip(chosen, checks_gradient.selection(parts, 50)):
        np.testing.assert_array_equal(one, other)
    assert sum(map(len, checks_gradient.selection(parts, 10_000))) == network.n_parameters


def test_entries_have_the_names_that_estimators_give_them():
    problem = checks_problem.problem_of(MLPClassifier(**SMALL), X, CLASSES, None)
    theta = problem.points["initial values"]
    copy = MLPClassifier(**SMALL, max_iter=1)
    with pytest.warns(ConvergenceWarning):
        copy.fit(X, CLASSES)
    copy._put(theta)
    for part in parts_of(problem.network):
        for p in range(part.first, part.first + part.size):
            assert eval(part.entry(p), {}, vars(copy)) == theta[p]


def test_rows_are_evenly_spread_but_not_at_equal_distances():
    rows = Rows(np.arange(3000)[:, None], np.arange(3000) % 3, None)
    some = checks_problem.evenly_spread(rows, 1000)  # every third would be all of one class
    assert some.n_rows == 1000
    assert set(some.targets) == {0, 1, 2}
    numbers = some.X[:, 0]
    assert all(0 < there - here < 6 for here, there in pairwise(numbers))
    assert numbers[0] < 3
    assert numbers[-1] >= 2997


def test_rows_without_weight_are_not_drawn():
    weights = np.zeros(3000)
    weights[1234] = 1
    some = checks_problem.evenly_spread(Rows(np.zeros((3000, 1)), np.zeros(3000), weights), 300)
    np.testing.assert_array_equal(some.weights, [1])


@pytest.mark.compiled
def test_of_many_rows_some_thousands_are_taken():
    many = np.random.default_rng(1).normal(size=(50_000, 3))
    verification = found(MLPRegressor(hidden_layer_sizes=5, random_state=0), many, many[:, 0])
    assert verification.ok
    assert "512 of 50000 rows, evenly spread" in str(verification).replace("\n  ", " ")
    assert "4096 of 50000 rows, evenly spread" in str(verification).replace("\n  ", " ")


# Nothing of the caller's changes.


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [0, None, np.random.RandomState(3)])
@pytest.mark.parametrize("fitted", [False, True])
def test_neither_estimator_nor_data_nor_generators_change(seed, fitted):
    classifier = MLPClassifier(**SMALL | {"random_state": seed}, max_iter=2, verbose=False)
    if fitted:
        classifier.fit(X, CLASSES)
    data = X.copy()
    before = pickle.dumps(classifier), pickle.dumps(np.random.get_state())  # noqa: NPY002
    assert found(classifier, data).ok
    after = pickle.dumps(classifier), pickle.dumps(np.random.get_state())  # noqa: NPY002
    assert after == before
    np.testing.assert_array_equal(data, X)


def test_steps_of_a_pipeline_may_draw_from_numpys_generator_which_is_put_back():
    noisy = FunctionTransformer(lambda X: X + np.random.normal(size=X.shape))  # noqa: NPY002
    before = pickle.dumps(np.random.get_state())  # noqa: NPY002
    assert found(make_pipeline(noisy, MLPClassifier(**SMALL))).ok
    assert pickle.dumps(np.random.get_state()) == before  # noqa: NPY002


def test_a_pipeline_that_is_not_fitted_stays_so():
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**SMALL))
    assert found(pipeline, 100 + X).ok
    with pytest.raises(NotFittedError):
        pipeline[:-1].transform(X)


@pytest.mark.filterwarnings("ignore")
def test_a_pipeline_hands_on_what_its_steps_make_of_X():
    scaled = make_pipeline(StandardScaler(), MLPClassifier(**SMALL, max_iter=2))
    for pipeline in (scaled, scaled.fit(100 + X, CLASSES)):
        rows = checks_problem.problem_of(pipeline, 100 + X, CLASSES, None).rows
        np.testing.assert_allclose(rows.X.mean(axis=0), 0, atol=1e-12)
    alone = make_pipeline(MLPClassifier(**SMALL))
    np.testing.assert_array_equal(checks_problem.problem_of(alone, X, CLASSES, None).rows.X, X)


@pytest.mark.parametrize("seed", [None, 0, np.random.RandomState(3)])
def test_the_same_call_gives_the_same_numbers(seed):
    classifier = MLPClassifier(**SMALL | {"random_state": seed})
    assert found(classifier).checks == found(classifier).checks


# Bad input.


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (
            sklearn.neural_network.MLPClassifier(),
            r"scikit-learn's MLPClassifier.*no second backend",
        ),
        (StandardScaler(), "Pipeline that ends in one; got StandardScaler"),
        (make_pipeline(StandardScaler()), "got StandardScaler"),
        (MLPClassifier, r"got the class MLPClassifier: pass an object of it, MLPClassifier\(\)"),
        (GridSearchCV(MLPClassifier(), {}), "got GridSearchCV. Pass its estimator"),
        (None, "got NoneType"),
    ],
)
def test_other_estimators_are_refused_in_plain_words(estimator, message):
    with pytest.raises(TypeError, match=message):
        found(estimator)


@pytest.mark.filterwarnings("ignore")
def test_bad_data_and_parameters_raise_the_estimators_own_errors():
    classifier = MLPClassifier(**SMALL)
    with pytest.raises(ValueError, match="NaN"):
        found(classifier, np.full_like(X, np.nan))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        found(classifier, X[:5])
    with pytest.raises(ValueError, match="'alpha' parameter"):
        found(MLPClassifier(alpha=-1))
    with pytest.raises(ValueError, match="Sample weights must contain"):
        found(classifier, sample_weight=np.zeros(30))
    weightless = MLPClassifier(**SMALL, class_weight=dict.fromkeys(range(3), 0))
    with pytest.raises(ValueError, match="sample_weight is 0 for every sample"):
        found(weightless, np.tile(X, (20, 1)), np.tile(CLASSES, 20))
    classifier.set_params(max_iter=2).fit(X, CLASSES)
    with pytest.raises(ValueError, match="X has 3 features"):
        found(classifier, X[:, :3])
    with pytest.raises(ValueError, match=r"y has classes that the y of fit has not: \[7\]"):
        found(classifier, X, np.where(CLASSES == 2, 7, CLASSES))
    with pytest.raises(ValueError, match=r"y has shape \(30, 3\), .* was \(n_samples,\)"):
        found(classifier, X, np.eye(3, dtype=int)[CLASSES])
    labels = MLPClassifier(**SMALL, max_iter=2).fit(X, np.eye(3, dtype=int)[CLASSES])
    with pytest.raises(ValueError, match=r"y has shape \(30, 2\), .* was \(n_samples, 3\)"):
        found(labels, X, np.eye(3, dtype=int)[CLASSES][:, :2])
    regressor = MLPRegressor(**SMALL, max_iter=2).fit(X, CLASSES)
    with pytest.raises(ValueError, match="y has 4 outputs, but the y of fit has 1"):
        found(regressor, X, X)


def test_a_loss_that_is_not_finite_is_no_success():
    verification = found(MLPRegressor("poisson", **SMALL | {"activation": "relu"}), 1e6 * X)
    assert not verification.ok
    assert {check.where for check in verification.failed} >= {"the loss is inf"}
    assert "scale the inputs" in str(verification)
    assert "report it" not in str(verification)


# The report.


def test_the_report_is_printed_unless_it_is_not_wanted(capsys):
    verification = verify(MLPClassifier(**SMALL), X, CLASSES)
    assert capsys.readouterr().out == f"{verification}\n"
    found(MLPClassifier(**SMALL))
    assert capsys.readouterr().out == ""


def test_the_report_fits_80_columns_and_names_each_check_with_its_verdict():
    verification = found(MLPClassifier(**SMALL))
    text = str(verification)
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith("Verification of MLPClassifier 4-3-3\n")
    assert "…" not in text
    lines = [line for line in text.splitlines() if line.endswith(" ok")]
    for line, check in zip(lines, verification.checks, strict=True):
        assert line.startswith(f"  {check.what}, {check.at} ")
        if check.tolerance:
            assert f"{check.deviation:.1e}" in line
            assert f"{check.tolerance:.1e}" in line
        else:
            assert "same bits" in line
    assert "All 6 checks passed" in text
    assert "all 27 entries" in text
    assert repr(verification) == "<Verification of MLPClassifier 4-3-3: all 6 checks passed>"


def test_the_report_of_a_failure_says_which_and_where(monkeypatch):
    fault = gradient_pass_with("numpy", wrong_sign_in_layer_1)
    backend_with(monkeypatch, "numpy", gradient_pass=fault)
    verification = found(MLPClassifier(**SMALL))
    text = str(verification)
    assert max(map(len, text.splitlines())) <= 80
    assert "2 of 6 checks FAILED" in text
    assert f"  gradient: gradient, initial values: {verification.failed[0].where}" in text
    assert "engine info" in text
    assert [line.endswith("FAILED") for line in text.splitlines()].count(True) == 2
    assert repr(verification).endswith("2 of 6 checks FAILED>")


@pytest.mark.parametrize(
    ("deviation", "tolerance", "ok", "excess"),
    [
        (1.0, 2.0, True, 0.5),
        (2.0, 1.0, False, 2.0),
        (0.0, 0.0, True, 0.0),
        (1e-300, 0.0, False, np.inf),
        (np.nan, 1.0, False, np.inf),
        (np.nan, np.nan, False, np.inf),
        (np.inf, 1.0, False, np.inf),
    ],
)
def test_a_check_is_judged_by_its_tolerance(deviation, tolerance, ok, excess):
    check = Check("gradient", "initial values", "gradient", deviation, tolerance, "")
    assert check.ok is ok
    assert check.excess == excess
