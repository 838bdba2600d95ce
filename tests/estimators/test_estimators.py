"""MLPClassifier and MLPRegressor give scikit-learn's numbers, with scikit-learn's interface."""

import importlib.util
import inspect
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import OptimizeResult
from sklearn import neural_network as sk
from sklearn.datasets import make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.optimize import _check_optimize_result

import engine
from engine.estimators.outcomes import of_minimum

OURS_ONLY = {
    "backend",
    "n_threads",
    "class_weight",
    "progress",
    "max_time",
    "checkpoint",
    "scoring",
    "continuation",
    "weight_decay",
    "average",
    "clip_norm",
    "label_smoothing",
    "embeddings",
}
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::engine.TrainingWarning"
)


def rows(n_samples=60, n_features=4, seed=0):
    return np.random.RandomState(seed).standard_normal((n_samples, n_features))


def targets(kind, X):
    """Targets that have to do with X."""
    z = X[:, 0] * X[:, 1] + 0.5 * X[:, 2]
    if kind == "binary":
        return (z > 0).astype(int)
    if kind == "labels":
        return np.array(["no", "maybe", "yes"])[np.digitize(z, [-0.4, 0.4])]
    if kind == "multilabel":
        return np.column_stack([z > 0, X[:, 3] > 0, X[:, 1] > 0.5]).astype(int)
    if kind == "counts":
        return np.random.RandomState(1).poisson(np.exp(0.5 * z))
    if kind == "two":
        return np.column_stack([z, X[:, 3] ** 2])
    return z


def both(kind, hidden_layer_sizes=(100,), activation="relu", **parameters):
    """The engine's estimator and scikit-learn's, of the same parameters."""
    parameters |= {"hidden_layer_sizes": hidden_layer_sizes, "activation": activation}
    name = "MLPClassifier" if kind in ("binary", "labels", "multilabel") else "MLPRegressor"
    if kind == "counts":
        parameters["loss"] = "poisson"
    ours = {key: parameters.pop(key) for key in OURS_ONLY & set(parameters)}
    return (
        getattr(engine, name)(**parameters, **ours),
        getattr(sk, name)(**parameters),
    )


def assert_same(ours, theirs, X, rtol=1e-9, losses=True):
    """Parameters, curves and predictions to rounding; integers exactly."""
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.t_ == theirs.t_
    assert ours.out_activation_ == theirs.out_activation_
    for a, b in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
    if losses:
        np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=rtol)
        if hasattr(theirs, "loss_curve_"):
            np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=rtol)
            np.testing.assert_allclose(ours.best_loss_ or 0, theirs.best_loss_ or 0, rtol=rtol)
            assert (ours.validation_scores_ is None) == (theirs.validation_scores_ is None)
            np.testing.assert_allclose(
                ours.validation_scores_ or [], theirs.validation_scores_ or [], rtol=rtol
            )
            assert ours._no_improvement_count == theirs._no_improvement_count
            np.testing.assert_allclose(
                ours._optimizer.learning_rate, theirs._optimizer.learning_rate, rtol=1e-12
            )
    if isinstance(theirs, sk.MLPClassifier):
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
        np.testing.assert_allclose(
            ours.predict_proba(X), theirs.predict_proba(X), rtol=10 * rtol, atol=rtol
        )
        with np.errstate(divide="ignore"):
            expected = theirs.predict_log_proba(X)
        np.testing.assert_allclose(ours.predict_log_proba(X), expected, rtol=10 * rtol, atol=rtol)
    else:
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=10 * rtol, atol=rtol)
    y = theirs.predict(X)
    np.testing.assert_allclose(ours.score(X, y), theirs.score(X, y), rtol=rtol)


SOLVERS = {
    "adam": {"solver": "adam", "batch_size": 17},
    "adam full batch": {"solver": "adam"},
    "adam unshuffled": {"solver": "adam", "batch_size": 25, "shuffle": False},
    "nesterov": {"solver": "sgd", "batch_size": 17, "learning_rate_init": 0.05},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.05},
    "plain": {"solver": "sgd", "momentum": 0, "batch_size": 7, "learning_rate_init": 0.1},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3},
    # Of relu units, one of the points that L-BFGS tries is where scikit-learn clips.
    "lbfgs": {"solver": "lbfgs", "activation": "tanh"},
}
KINDS = ["binary", "labels", "multilabel", "regression", "counts"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_the_same_random_state_gives_the_numbers_of_scikit_learn(solver, kind):
    X = rows()
    y = targets(kind, X)
    ours, theirs = both(kind, (5, 3), max_iter=9, random_state=3, alpha=0.01, **SOLVERS[solver])
    # L-BFGS asks the objective for more than it can hold exactly: rounding grows from step to step.
    rtol = 1e-6 if solver == "lbfgs" else 1e-9
    assert_same(ours.fit(X, y), theirs.fit(X, y), X, rtol)


def test_with_several_outputs_the_squared_error_is_the_sum_whose_gradient_both_follow():
    """scikit-learn's issue 8349: its loss is the mean over outputs, its gradient the sum's."""
    X = rows()
    y = targets("two", X)
    ours, theirs = both("two", (5,), max_iter=9, random_state=3, alpha=0, tol=0, batch_size=17)
    assert_same(ours.fit(X, y), theirs.fit(X, y), X, losses=False)
    np.testing.assert_allclose(ours.loss_curve_, 2 * np.array(theirs.loss_curve_), rtol=1e-9)


@pytest.mark.parametrize("kind", ["binary", "labels"])
def test_a_loss_that_scikit_learn_clips_is_what_it_is(kind):
    """Its probabilities end 2.2e-16 from 0 and 1, and its losses at 36; its gradients do not."""
    X = 1e3 * rows()
    y = targets(kind, rows())
    ours, theirs = both(kind, (5,), max_iter=1, random_state=3, alpha=0, batch_size=60)
    ours.fit(X, y)
    theirs.fit(X, y)
    for a, b in zip(ours.coefs_, theirs.coefs_):
        np.testing.assert_allclose(a, b, rtol=1e-9)
    before, _ = both(kind, (5,), max_iter=1, random_state=3, learning_rate_init=1e-300)
    before.fit(X, y)
    hidden = np.maximum(0, X @ before.coefs_[0] + before.intercepts_[0])
    z = hidden @ before.coefs_[1] + before.intercepts_[1]
    if kind == "binary":
        losses = np.logaddexp(0, np.where(y == 1, -1, 1) * z[:, 0])
    else:
        codes = np.searchsorted(before.classes_, y)
        losses = np.logaddexp.reduce(z, axis=1) - z[np.arange(60), codes]
    assert losses.max() > 100
    assert ours.loss_ == pytest.approx(losses.mean(), rel=1e-12)
    assert theirs.loss_ < 0.5 * ours.loss_


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("hidden", [(), 6, [4, 3, 2]])
def test_activations_and_layers_are_those_of_scikit_learn(activation, hidden):
    X = rows()
    y = targets("labels", X)
    ours, theirs = both("labels", hidden, activation, max_iter=5, random_state=0, batch_size=20)
    assert_same(ours.fit(X, y), theirs.fit(X, y), X)


@pytest.mark.parametrize("kind", ["labels", "regression"])
def test_float32_stays_float32_and_near_scikit_learn(kind):
    X = rows().astype(np.float32)
    y = targets(kind, X)
    ours, theirs = both(kind, (5,), max_iter=9, random_state=3, batch_size=17)
    assert_same(ours.fit(X, y), theirs.fit(X, y), X, rtol=2e-4)
    assert {a.dtype for a in ours.coefs_ + ours.intercepts_} == {np.dtype("float32")}
    if kind == "regression":
        assert ours.predict(X).dtype == np.float32
    else:
        assert ours.predict_proba(X).dtype == np.float32


@pytest.mark.parametrize("kind", ["binary", "labels", "multilabel", "regression"])
@pytest.mark.parametrize("weighted", [False, True])
def test_early_stopping_splits_scores_and_stops_as_scikit_learn(kind, weighted):
    X = rows(80)
    y = targets(kind, X)
    weights = np.random.RandomState(9).uniform(0.5, 2, 80) if weighted else None
    ours, theirs = both(
        kind,
        (8,),
        max_iter=40,
        random_state=5,
        early_stopping=True,
        validation_fraction=0.2,
        n_iter_no_change=3,
        learning_rate_init=0.02,
        batch_size=16,
    )
    assert_same(ours.fit(X, y, weights), theirs.fit(X, y, weights), X)
    assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_)
    assert len(ours.validation_loss_curve_) == ours.n_iter_


@pytest.mark.parametrize("solver", ["adam", "nesterov", "lbfgs"])
@pytest.mark.parametrize("kind", ["labels", "regression"])
def test_sample_weights_count_as_in_scikit_learn(kind, solver):
    X = rows()
    y = targets(kind, X)
    weights = np.random.RandomState(9).uniform(0, 3, 60)
    ours, theirs = both(kind, (5,), max_iter=9, random_state=3, **SOLVERS[solver])
    rtol = 1e-6 if solver == "lbfgs" else 1e-9
    assert_same(ours.fit(X, y, weights), theirs.fit(X, y, weights), X, rtol)


def test_an_adaptive_rate_falls_and_ends_the_fit_as_in_scikit_learn():
    X = rows()
    y = targets("binary", X)
    ours, theirs = both(
        "binary",
        (3,),
        solver="sgd",
        learning_rate="adaptive",
        learning_rate_init=0.5,
        tol=1e-2,
        n_iter_no_change=2,
        max_iter=200,
        random_state=0,
    )
    assert_same(ours.fit(X, y), theirs.fit(X, y), X)
    assert ours.n_iter_ < 200
    assert ours._optimizer.learning_rate < 1e-6


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_tolerance_ends_a_fit_where_scikit_learn_does(kind):
    X = rows()
    y = targets(kind, X)
    ours, theirs = both(kind, (5,), tol=0.02, n_iter_no_change=4, random_state=0, max_iter=300)
    assert_same(ours.fit(X, y), theirs.fit(X, y), X)
    assert ours.n_iter_ < 300


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_warm_start_in_scikit_learns_way_gives_its_numbers(solver):
    X = rows()
    y = targets("binary", X)
    ours, theirs = both(
        "binary",
        (5,),
        solver=solver,
        max_iter=4,
        random_state=0,
        warm_start=True,
        continuation="sklearn",
    )
    for _ in range(3):
        assert_same(ours.fit(X, y), theirs.fit(X, y), X, 1e-6 if solver == "lbfgs" else 1e-9)


REFITS = {
    "adam": {"learning_rate_init": 0.05},
    "batches": {"learning_rate_init": 0.02, "batch_size": 7, "n_iter_no_change": 3},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1},
    "unshuffled": {"solver": "sgd", "learning_rate": "invscaling", "shuffle": False},
}


@pytest.mark.sample(6)
@pytest.mark.parametrize("name", REFITS)
@pytest.mark.parametrize("kind", ["binary", "labels", "multilabel", "regression"])
def test_refits_with_early_stopping_in_scikit_learns_way_give_its_numbers(kind, name):
    X = rows()
    y = targets(kind, X)
    asked = {"max_iter": 30, "random_state": 0, "warm_start": True, "early_stopping": True}
    ours, theirs = both(kind, (5,), continuation="sklearn", **asked, **REFITS[name])
    assert_same(ours.fit(X, y), theirs.fit(X, y), X)
    for changed in ({"max_iter": 6}, {}, {"n_iter_no_change": 4}, {"max_iter": 12}):
        ours.set_params(**changed)
        theirs.set_params(**changed)
        assert_same(ours.fit(X, y), theirs.fit(X, y), X, rtol=1e-7)


def test_a_refit_that_does_not_beat_the_best_score_leaves_its_parameters_as_they_were():
    X = rows()
    y = X @ [1, 2, 3, 4]
    asked = {"warm_start": True, "early_stopping": True, "learning_rate_init": 0.05}
    ours, theirs = both("regression", (5,), max_iter=200, random_state=0, **asked)
    best = ours.fit(X, y).fingerprint_
    scored = ours.best_validation_score_
    other = theirs.fit(X, y).coefs_[0].copy()
    ours.set_params(max_iter=6).fit(X, y)
    theirs.set_params(max_iter=6).fit(X, y)
    assert ours.best_validation_score_ == scored == max(ours.validation_scores_)
    assert ours.fingerprint_ == best
    assert not np.array_equal(theirs.coefs_[0], other)  # as docs/estimators.md says


def test_partial_fit_in_scikit_learns_way_gives_its_numbers():
    X = rows()
    y = targets("labels", X)
    ours, theirs = both("labels", (5,), random_state=0, batch_size=17, continuation="sklearn")
    for part in (slice(0, 40), slice(20, 60), slice(0, 60), slice(0, 60)):
        ours.partial_fit(X[part], y[part], classes=np.unique(y))
        theirs.partial_fit(X[part], y[part], classes=np.unique(y))
        assert_same(ours, theirs, X)


@pytest.mark.parametrize("random_state", ["generator", None, "another bit generator"])
def test_generators_are_drawn_from_as_scikit_learn_draws(random_state):
    X = rows()
    y = targets("binary", X)
    ours, theirs = both("binary", (5,), max_iter=4, batch_size=17)
    drawn = []
    for estimator in (ours, theirs):
        generator = np.random.RandomState(11)
        if random_state == "generator":
            estimator.set_params(random_state=generator)
        elif random_state is None:
            np.random.seed(11)  # noqa: NPY002
            generator = np.random.mtrand._rand
        else:
            generator = np.random.RandomState(np.random.PCG64(11))
            estimator.set_params(random_state=generator)
        estimator.fit(X, y)
        drawn.append(generator.randint(1 << 31))
    if random_state == "another bit generator":  # which seeds one that compiled shuffles know
        assert not np.array_equal(ours.coefs_[0], theirs.coefs_[0])
        return
    assert drawn[0] == drawn[1]
    assert_same(ours, theirs, X)


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_parameters_stand_in_the_order_of_scikit_learn_with_its_defaults(name):
    ours = inspect.signature(getattr(engine, name)).parameters
    theirs = inspect.signature(getattr(sk, name)).parameters
    shared = list(theirs)
    assert list(ours)[: len(shared)] == shared
    for key in shared:
        assert ours[key].default == theirs[key].default
        assert ours[key].kind == theirs[key].kind
    assert set(ours) - set(theirs) <= OURS_ONLY


def described(estimator, section):
    """name -> lines of its description, of a section of the class's docstring."""
    text = (inspect.getdoc(estimator) or "").split(f"{section}\n{'-' * len(section)}\n")[1]
    text = re.split(r"\n\n[A-Z][^\n]*\n-+\n", text)[0]
    entries = re.split(r"(?m)^(?=\S)", text)[1:]
    return {entry.split(" : ")[0]: entry.strip() for entry in entries}


@pytest.mark.parametrize("section", ["Parameters", "Attributes"])
def test_what_both_kinds_have_is_described_alike(section):
    one, other = (described(kind, section) for kind in (engine.MLPClassifier, engine.MLPRegressor))
    shared = set(one) & set(other)
    assert len(shared) > 10
    alike = {name for name in shared if one[name] == other[name]}
    assert shared - alike <= {"scoring"}  # whose default is another score


@pytest.mark.parametrize("kind", ["labels", "regression"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_fitted_attributes_are_those_of_scikit_learn(kind, solver):
    X = rows()
    y = targets(kind, X)
    ours, theirs = both(kind, (5,), solver=solver, max_iter=3, random_state=0)
    ours.fit(X, y)
    theirs.fit(X, y)
    for name in [name for name in vars(theirs) if name.endswith("_") and name[0] != "_"]:
        # A float where scikit-learn has one of NumPy's, which is a float as well.
        assert isinstance(getattr(theirs, name), type(getattr(ours, name))), name
    assert hasattr(ours, "partial_fit") == hasattr(theirs, "partial_fit") or kind == "regression"


@pytest.mark.parametrize(
    "parameters",
    [
        {"hidden_layer_sizes": -1},
        {"hidden_layer_sizes": (5, 0)},
        {"activation": "swish"},
        {"solver": "newton"},
        {"alpha": -1},
        {"batch_size": 0},
        {"learning_rate": "linear"},
        {"learning_rate_init": 0},
        {"max_iter": 0},
        {"momentum": 2},
        {"beta_1": 1},
        {"epsilon": 0},
        {"n_iter_no_change": 0},
        {"validation_fraction": 1},
        {"shuffle": "yes"},
    ],
    ids=repr,
)
def test_a_parameter_out_of_range_is_the_error_of_scikit_learn(parameters):
    X = rows()
    y = targets("binary", X)
    ours, theirs = both("binary", **{"random_state": 0, **parameters})
    with pytest.raises(ValueError) as expected:
        theirs.fit(X, y)
    with pytest.raises(type(expected.value)) as came:
        ours.fit(X, y)
    (name,) = parameters
    beginning = str(expected.value).split(" must be ")[0]
    assert name in beginning
    assert str(came.value).startswith(beginning)


def bad_data():
    X = rows()
    y = targets("binary", X)
    with_nan, with_inf = X.copy(), X.copy()
    with_nan[3, 2], with_inf[0, 0] = np.nan, np.inf
    return {
        "NaN": (with_nan, y),
        "infinity": (with_inf, y),
        "one dimension": (X[:, 0], y),
        "three dimensions": (X[:, :, None], y),
        "lengths": (X[:-1], y),
        "no rows": (X[:0], y[:0]),
        "no columns": (X[:, :0], y),
        "text": (np.full((60, 4), "a"), y),
        "complex": (X + 1j, y),
        "y with NaN": (X, np.where(np.arange(60) == 3, np.nan, y)),
        "y is None": (X, None),
    }


@pytest.mark.parametrize("case", bad_data())
@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_bad_data_are_the_errors_of_scikit_learn_and_lose_no_earlier_fit(case, kind):
    X, y = bad_data()[case]
    good = rows()
    ours, theirs = both(kind, (3,), max_iter=2, random_state=0)
    ours.fit(good, targets(kind, good))
    before = {name: getattr(ours, name) for name in ("coefs_", "loss_curve_", "n_features_in_")}
    predicted = ours.predict(good)
    with pytest.raises((ValueError, TypeError)) as expected:
        theirs.fit(X, y)
    with pytest.raises(type(expected.value), match=re.escape(str(expected.value)[:40])):
        ours.fit(X, y)
    assert all(getattr(ours, name) is value for name, value in before.items())
    np.testing.assert_array_equal(ours.predict(good), predicted)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "predictor"])
def test_an_estimator_that_is_not_fitted_says_so(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(engine.MLPClassifier(), method)(*([] if method == "predictor" else [rows()]))
    assert not hasattr(engine.MLPClassifier(), "fingerprint_")


def test_verbose_output_is_that_of_scikit_learn(capsys):
    X = rows()
    y = targets("binary", X)
    printed = []
    adaptive = {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1}
    stopping = {"early_stopping": True, "tol": 0.5}
    for extra in ({"tol": 0.5}, stopping, adaptive, adaptive | stopping, {"solver": "lbfgs"}):
        ours, theirs = both("binary", (3,), max_iter=30, random_state=0, verbose=True, **extra)
        for estimator in (ours, theirs):
            estimator.fit(X, y)
            printed.append(capsys.readouterr().out)
    for ours, theirs in zip(printed[:8:2], printed[1:8:2]):
        assert ours == theirs
    assert "did not improve" in printed[0]
    assert "Validation score" in printed[2]
    assert "Setting learning rate to" in printed[4]
    assert "Learning rate too small" in printed[6]
    assert "Iteration 1, loss = " in printed[8]


def test_warnings_are_those_of_scikit_learn():
    X = rows()
    y = targets("binary", X)
    for parameters in ({}, {"solver": "lbfgs"}, {"batch_size": 1000}):
        told = []
        for estimator in both("binary", (3,), max_iter=2, random_state=0, **parameters):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                estimator.fit(X, y)
            told.append([(w.category, str(w.message)) for w in caught])
        assert told[0] == told[1]
        assert ConvergenceWarning in {category for category, _ in told[0]}
    with pytest.warns(ConvergenceWarning) as warned:
        engine.MLPClassifier((3,), max_iter=2).fit(X, y)
    assert warned[0].filename == __file__
    with pytest.warns(match="A column-vector y was passed when a 1d array was expected"):
        engine.MLPClassifier((3,), max_iter=2).fit(X, y[:, None])


@pytest.mark.parametrize("kind", ["counts", "regression"])
def test_a_fit_that_diverges_says_why_and_keeps_the_last_finite_parameters(kind):
    X = rows()
    y = targets(kind, X)
    ours, _ = both(kind, (5,), "identity", solver="sgd", learning_rate_init=1e3, random_state=0)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights") as told:
        ours.fit(X, y)
    assert "learning_rate_init=100 in place of 1000" in str(told.value)
    assert all(np.isfinite(array).all() for array in ours.coefs_ + ours.intercepts_)
    assert np.isnan(ours.loss_curve_[-1])


def test_multilabel_targets_may_be_sparse():
    X, y = make_multilabel_classification(n_samples=40, random_state=0)
    import scipy.sparse

    ours, theirs = both("multilabel", (5,), max_iter=3, random_state=0)
    sparse = scipy.sparse.csr_matrix(y)
    ours.fit(X, sparse)
    theirs.fit(X, sparse)
    assert scipy.sparse.issparse(ours.predict(X))
    np.testing.assert_array_equal(ours.predict(X).toarray(), theirs.predict(X).toarray())


@pytest.mark.compiled
@parametrize_with_checks([engine.MLPClassifier(), engine.MLPRegressor()])
@pytest.mark.filterwarnings("ignore")
def test_the_checks_of_scikit_learn_pass(estimator, check):
    check(estimator)


@pytest.mark.proof
@pytest.mark.compiled
def test_the_tests_of_the_installed_scikit_learn_pass_with_the_import_changed(tmp_path):
    """All but the two that call private methods."""
    found = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    assert found is not None
    assert found.origin is not None
    source = Path(found.origin).read_text()
    changed = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
    assert source.count(changed) == 1
    (tmp_path / "test_mlp.py").write_text(
        source.replace(changed, "from engine import MLPClassifier, MLPRegressor")
    )
    (tmp_path / "conftest.py").write_text(
        "import pytest\n\n@pytest.fixture\ndef global_random_seed():\n    return 42\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mlp.py"]
    skipped = ["--deselect=test_mlp.py::test_fit", "--deselect=test_mlp.py::test_gradient"]
    ended = subprocess.run(
        [*command, *skipped], cwd=tmp_path, capture_output=True, text=True, timeout=500
    )
    assert ended.returncode == 0, ended.stdout[-3000:]
    assert re.search(r"\d\d passed", ended.stdout)


def test_a_verbose_fit_that_diverges_prints_its_epochs(capsys):
    X = rows()
    model = engine.MLPRegressor(
        hidden_layer_sizes=(3,),
        solver="sgd",
        learning_rate_init=1e3,
        max_iter=30,
        random_state=0,
        verbose=True,
    )
    with pytest.raises(ValueError, match="non-finite"):
        model.fit(X, 1e100 * X[:, 0])
    assert capsys.readouterr().out.startswith("Iteration 1, loss = ")


@pytest.mark.parametrize(("status", "n_iter"), [(0, 3), (1, 7), (1, 9), (2, 3)])
def test_the_warning_of_lbfgs_is_in_scikit_learn_s_words(status, n_iter):
    result = OptimizeResult(status=status, nit=n_iter, message="ABNORMAL: ")
    with warnings.catch_warnings(record=True) as theirs:
        warnings.simplefilter("always")
        _check_optimize_result("lbfgs", result, max_iter=7)
    assert list(map(str, of_minimum(result, 7))) == [str(one.message) for one in theirs]
