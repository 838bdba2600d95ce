"""Laws of MLPClassifier and MLPRegressor: weights, going on, permuted classes, threads."""

import copy
import io
import itertools
import pickle
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight

from engine.equations.backends import BACKENDS
from engine.solvers.mersenne import words_of
from tests.estimators.test_estimators import KINDS, assert_same, both, rows, targets

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::engine.TrainingWarning"
)
PROPERTY = settings(max_examples=40, derandomize=True, database=None)
N_ROWS = 16
X = rows(N_ROWS)
KIND = st.sampled_from([*KINDS, "two"])
COUNTS = st.lists(st.integers(0, 3), min_size=N_ROWS, max_size=N_ROWS).map(np.array)
IS_CLASSIFIER = ("binary", "labels", "multilabel")

# All samples at once in each step, however often they are repeated.
FULL_BATCH: dict[str, dict[str, Any]] = {
    "gd": {"solver": "gd", "learning_rate_init": 0.3},
    "lbfgs": {"solver": "lbfgs", "max_iter": 3},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.1},
    "sgd unshuffled": {"solver": "sgd", "learning_rate_init": 0.1, "shuffle": False},
    "adam": {"solver": "adam", "learning_rate_init": 0.05},
    "adam unshuffled": {"solver": "adam", "learning_rate_init": 0.05, "shuffle": False},
}


def estimator_for(kind, **parameters):
    """A small one, which no rounding takes to the other side of a kink."""
    common = {"activation": "tanh", "max_iter": 4, "random_state": 3, "alpha": 0.1}
    return both(kind, (3,), **{**common, **parameters})[0]


def parameters_of(estimator):
    """All parameters, flat."""
    return np.concatenate([a.ravel() for a in estimator.coefs_ + estimator.intercepts_])


def assert_close(one, other, rtol=1e-9):
    """The same fit, to rounding."""
    np.testing.assert_allclose(parameters_of(one), parameters_of(other), rtol=rtol, atol=rtol)
    np.testing.assert_allclose(one.loss_, other.loss_, rtol=rtol)
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=rtol)


def facts(estimator):
    """What a fit comes to, to the last bit: parameters, curves, and all that the next one needs."""
    arrays = [*estimator.coefs_, *estimator.intercepts_]
    found = {
        "parameters": [array.tobytes() for array in arrays],
        "dtypes": [array.dtype for array in arrays],
        "curve": list(estimator.loss_curve_),
        "loss": estimator.loss_,
        "samples": estimator.t_,
        "generator": estimator._draws.words().tobytes(),
        "scores": list(estimator.validation_scores_ or []),
        "validation losses": list(estimator.validation_loss_curve_ or []),
    }
    if hasattr(estimator, "_optimizer"):
        optimiser = estimator._optimizer
        moments = (optimiser.first.tobytes(), optimiser.second.tobytes())
        found["optimiser"] = (moments, optimiser.order.tobytes(), optimiser.learning_rate)
    return found


def keeps_all_classes(kind, y, kept):
    """Whether those rows alone make the same problem: else their network would be another."""
    return kept.any() and (kind not in IS_CLASSIFIER or set(y[kept].flat) == set(y.flat))


# Weights


@PROPERTY
@given(KIND, st.sampled_from(sorted(FULL_BATCH)), COUNTS)
def test_a_whole_weight_is_as_many_equal_rows_and_weight_zero_a_row_left_out(kind, solver, counts):
    y = targets(kind, X)
    assume(keeps_all_classes(kind, y, counts > 0))
    weighted = estimator_for(kind, **FULL_BATCH[solver]).fit(X, y, counts)
    repeated = np.repeat(np.arange(N_ROWS), counts)
    other = estimator_for(kind, **FULL_BATCH[solver]).fit(X[repeated], y[repeated])
    assert_close(weighted, other, 1e-6 if solver == "lbfgs" else 1e-9)


@PROPERTY
@given(KIND, COUNTS)
def test_a_whole_weight_is_as_many_equal_rows_for_partial_fit(kind, counts):
    y = targets(kind, X)
    assume(keeps_all_classes(kind, y, counts > 0))
    repeated = np.repeat(np.arange(N_ROWS), counts)
    weighted, other = (estimator_for(kind) for _ in range(2))
    partial_fits(weighted, X, y, 3, sample_weight=counts)
    partial_fits(other, X[repeated], y[repeated], 3)
    assert_close(weighted, other)


@PROPERTY
@given(KIND, st.booleans(), COUNTS)
def test_a_whole_weight_of_validation_data_is_as_many_equal_rows(kind, early_stopping, counts):
    y = targets(kind, X)
    assume(counts.sum() > 1 and (counts > 0).sum() > 1)
    repeated = np.repeat(np.arange(N_ROWS), counts)
    of_fits = []
    for validation in (
        {"X_val": X, "y_val": y, "sample_weight_val": counts},
        {"X_val": X[repeated], "y_val": y[repeated]},
    ):
        estimator = estimator_for(kind, early_stopping=early_stopping, learning_rate_init=0.05)
        of_fits.append(estimator.fit(X, y, **validation))
    assert_close(*of_fits)
    for curve in ("validation_loss_curve_", "validation_scores_"):
        one, other = (getattr(estimator, curve) or [] for estimator in of_fits)
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    assert len(of_fits[0].validation_loss_curve_) == 4


@pytest.mark.parametrize("kind", [*KINDS, "two"])
@pytest.mark.parametrize("batch_size", ["auto", 7])
def test_early_stopping_takes_rows_of_weight_zero_as_left_out(kind, batch_size):
    data = rows(60)
    y = targets(kind, data)
    weights = np.random.RandomState(1).choice([0, 0.5, 2], 60)
    kept = weights > 0
    parameters = {"early_stopping": True, "validation_fraction": 0.3, "batch_size": batch_size}
    with_them, without = (estimator_for(kind, **parameters) for _ in range(2))
    with_them.fit(data, y, weights)
    without.fit(data[kept], y[kept], weights[kept])
    assert facts(with_them) == facts(without)
    assert 0 < kept.sum() < 60


CLASS_WEIGHTS: dict[str, Any] = {
    "binary": {0: 3.0, 1: 0.5},
    "labels": {"no": 2.0, "yes": 0.0},
    "multilabel": [{0: 1, 1: 2}, {0: 0.5, 1: 1}, {0: 1, 1: 4}],
}


@pytest.mark.parametrize("kind", IS_CLASSIFIER)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_class_weights_are_the_sample_weights_that_they_stand_for(kind, weighted, early_stopping):
    data = rows(60)
    y = targets(kind, data)
    weights = np.random.RandomState(1).uniform(0.5, 2, 60) if weighted else np.ones(60)
    parameters = {"early_stopping": early_stopping, "batch_size": 17}
    by_class = estimator_for(kind, class_weight=CLASS_WEIGHTS[kind], **parameters)
    by_class.fit(data, y, weights if weighted else None)
    by_sample = estimator_for(kind, **parameters)
    by_sample.fit(data, y, weights * compute_sample_weight(CLASS_WEIGHTS[kind], y))
    assert facts(by_class) == facts(by_sample)
    if not early_stopping:
        unweighted = estimator_for(kind, **parameters).fit(data, y, weights)
        assert facts(by_class) != facts(unweighted)


@pytest.mark.proof
@PROPERTY
@given(st.sampled_from(IS_CLASSIFIER), COUNTS)
def test_balanced_class_weights_count_rows_by_their_weights(kind, counts):
    y = targets(kind, X)
    assume(keeps_all_classes(kind, y, counts > 0))
    repeated = np.repeat(np.arange(N_ROWS), counts)
    by_class = estimator_for(kind, class_weight="balanced").fit(X, y, counts)
    repeated_rows = estimator_for(kind, class_weight="balanced").fit(X[repeated], y[repeated])
    assert_close(by_class, repeated_rows)
    of_repeated = compute_sample_weight("balanced", y[repeated])
    by_sample = estimator_for(kind).fit(X[repeated], y[repeated], of_repeated)
    assert_close(repeated_rows, by_sample)


@pytest.mark.parametrize("kind", IS_CLASSIFIER)
def test_class_weights_of_training_data_count_for_validation_data(kind):
    data = rows(60)
    y = targets(kind, data)
    train, validation = slice(0, 40), slice(30, 50)
    by_class = estimator_for(kind, class_weight="balanced")
    by_class.fit(data[train], y[train], X_val=data[validation], y_val=y[validation])
    # Rows of the validation data that occur in the training data weigh there what they weigh here.
    columns = y[train].reshape(40, -1).T
    of_validation = np.ones(20)
    for column, values in zip(columns, y[validation].reshape(20, -1).T):
        weights = compute_sample_weight("balanced", column)
        of_class = {label: weights[column == label][0] for label in np.unique(column)}
        of_validation *= [of_class[label] for label in values]
    by_sample = estimator_for(kind)
    by_sample.fit(
        data[train],
        y[train],
        compute_sample_weight("balanced", y[train]),
        X_val=data[validation],
        y_val=y[validation],
        sample_weight_val=of_validation,
    )
    assert_close(by_class, by_sample)
    np.testing.assert_allclose(
        by_class.validation_loss_curve_, by_sample.validation_loss_curve_, rtol=1e-9
    )


# Going on

N, M = 2, 3
GOING_ON: dict[str, dict[str, Any]] = {
    "gd": {"solver": "gd", "learning_rate_init": 0.3},
    "plain": {"solver": "sgd", "momentum": 0, "learning_rate_init": 0.1},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.05},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.05},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.2},
    "adam": {"solver": "adam", "learning_rate_init": 0.05},
}
RANDOM_STATES = ("int", "generator", "none")
ENDLESS = {"tol": 0, "n_iter_no_change": np.inf, "warm_start": True, "batch_size": 7}


def new_estimator(kind, solver, random_state, **parameters):
    """One that never stops by itself; seven samples a batch, which divides no number here."""
    if random_state == "none":
        np.random.seed(11)  # noqa: NPY002
    states = {"int": 11, "generator": np.random.RandomState(11), "none": None}
    given = {**ENDLESS, **GOING_ON[solver], "random_state": states[random_state], **parameters}
    return estimator_for(kind, **given)


def fit(estimator, data, y, n_iter):
    return estimator.set_params(max_iter=n_iter).fit(data, y)


def partial_fits(estimator, data, y, n_iter, **parameters):
    if isinstance(estimator, ClassifierMixin):
        parameters["classes"] = np.unique(y) if y.ndim == 1 else np.arange(y.shape[1])
    for _ in range(n_iter):
        estimator.partial_fit(data, y, **parameters)
    return estimator


def pickled(estimator):
    return pickle.loads(pickle.dumps(estimator))


def through_joblib(estimator):
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


# The first iterations, what happens in between, the others.
WAYS: dict[str, Any] = {
    "warm start": (fit, None, fit),
    "partial fits": (partial_fits, None, partial_fits),
    "fit, then partial fits": (fit, None, partial_fits),
    "partial fits, then warm start": (partial_fits, None, fit),
    "pickle": (fit, pickled, fit),
    "pickle and partial fits": (partial_fits, pickled, partial_fits),
    "joblib": (fit, through_joblib, fit),
    "copy": (fit, copy.deepcopy, partial_fits),
}


@pytest.mark.sample(4)
@pytest.mark.compiled
@pytest.mark.parametrize("solver", GOING_ON)
@pytest.mark.parametrize("way", WAYS)
def test_n_and_then_m_iterations_are_n_plus_m_bit_for_bit(way, solver):
    begin, between, go_on = WAYS[way]
    kinds = itertools.cycle([*KINDS, "two"])
    states = itertools.cycle(RANDOM_STATES)
    settings_of_runs = itertools.product(BACKENDS, ["float64", "float32"])
    for kind, random_state, (backend, dtype) in zip(kinds, states, settings_of_runs):
        data = X.astype(dtype)
        y = targets(kind, X)
        whole = fit(new_estimator(kind, solver, random_state, backend=backend), data, y, N + M)
        expected = facts(whole)
        after = facts(fit(whole, data, y, 2))
        parts = begin(new_estimator(kind, solver, random_state, backend=backend), data, y, N)
        parts = go_on(between(parts) if between else parts, data, y, M)
        assert facts(parts) == expected
        assert len(expected["curve"]) == N + M
        assert facts(fit(parts, data, y, 2)) == after  # the next fit goes on as well


@pytest.mark.compiled
@pytest.mark.parametrize("parts", [[N + M], [N, M], [1] * (N + M)], ids=str)
@pytest.mark.parametrize("random_state", RANDOM_STATES)
def test_a_generator_is_left_where_initial_values_and_shuffles_leave_it(random_state, parts):
    estimator = new_estimator("labels", "adam", random_state)
    for n_iter in parts:
        fit(estimator, X, targets("labels", X), n_iter)
    by_hand = np.random.RandomState(11)
    by_hand.uniform(size=parameters_of(estimator).size)
    for _ in range(N + M):
        by_hand.shuffle(np.arange(N_ROWS))
    np.testing.assert_array_equal(estimator._draws.words(), words_of(by_hand))
    shared = {"generator": estimator.random_state, "none": np.random.mtrand._rand}
    if random_state in shared:  # the user's own has moved on as well
        assert shared[random_state].randint(2**31) == by_hand.randint(2**31)


@pytest.mark.compiled
@pytest.mark.parametrize("backend", ["tiled", "numpy"])
def test_large_batches_on_threads_go_on_bit_for_bit(backend):
    data = rows(2500)
    y = targets("labels", data)
    found = []
    for parts in ([4], [1, 3]):
        parameters = {"backend": backend, "n_threads": 2, "batch_size": 1100}
        estimator = new_estimator("labels", "adam", "int", **parameters)
        for n_iter in parts:
            fit(estimator, data, y, n_iter)
        found.append(facts(estimator))
    assert found[0] == found[1]


@pytest.mark.compiled
@pytest.mark.parametrize("solver", ["gd", "momentum", "adam"])
def test_a_fit_that_fails_changes_nothing_of_how_the_next_goes_on(solver):
    y = targets("labels", X)
    for fails_at in ("epoch", "end"):
        for random_state in RANDOM_STATES:
            undisturbed = fit(new_estimator("labels", solver, random_state), X, y, N)
            expected = facts(fit(undisturbed, X, y, M))
            estimator = fit(new_estimator("labels", solver, random_state), X, y, N)
            estimator.set_callbacks(Failing(fails_at))
            with pytest.raises(RuntimeError, match="out of order"):
                fit(estimator, X, y, 5)
            estimator.set_callbacks()
            assert facts(fit(estimator, X, y, M)) == expected


class Failing:
    """A callback that raises, at the end of the second epoch or of the fit."""

    def __init__(self, fails_at):
        self.fails_at = fails_at
        self.n_epochs = 0

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.n_epochs += context.task_name == "epoch"
        if context.task_name == "fit" or (self.fails_at == "epoch" and self.n_epochs == 2):
            raise RuntimeError("out of order")


@pytest.mark.proof
@pytest.mark.compiled
@settings(PROPERTY, max_examples=60)
@given(
    st.sampled_from([*KINDS, "two"]),
    st.sampled_from(sorted(set(GOING_ON) - {"gd"})),
    st.sampled_from(["int", "generator"]),
    st.booleans(),
    st.lists(st.sampled_from(["fit", "partial_fit", "longer fit"]), min_size=2, max_size=4),
)
def test_any_calls_in_scikit_learns_way_give_its_numbers(
    kind, solver, random_state, warm_start, calls
):
    """There a seed starts anew with each call, and each fit makes a new optimiser."""
    y = targets(kind, X)
    states = {"int": lambda: 11, "generator": lambda: np.random.RandomState(11)}
    ours, theirs = both(
        kind,
        (3,),
        "tanh",
        continuation="sklearn",
        warm_start=warm_start,
        batch_size=7,
        **GOING_ON[solver],
    )
    for estimator in (ours, theirs):
        estimator.set_params(random_state=states[random_state]())
        for call in calls:
            if call == "partial_fit":
                partial_fits(estimator, X, y, 1)
            else:
                fit(estimator, X, y, 2 if call == "fit" else 3)
    assert_same(ours, theirs, X, losses=kind != "two")


@pytest.mark.parametrize("solver", ["adam", "nesterov"])
def test_the_two_ways_to_go_on_differ_where_there_is_something_to_carry(solver):
    y = targets("labels", X)
    found = []
    for continuation in ("exact", "sklearn"):
        estimator = new_estimator("labels", solver, "int", continuation=continuation)
        once = facts(fit(estimator, X, y, 2))
        found.append((once["parameters"], facts(fit(estimator, X, y, 2))["parameters"]))
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


class LookingOn(Failing):
    """A callback that lets everything pass."""

    def __init__(self):
        super().__init__("never")

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.n_epochs += context.task_name == "epoch"


@pytest.mark.compiled
@pytest.mark.parametrize("solver", GOING_ON)
def test_looking_on_changes_no_bit(solver, capsys):
    y = targets("labels", X)
    parameters = facts(fit(new_estimator("labels", solver, "int"), X, y, 4))["parameters"]
    for extra in ({"verbose": True}, {"progress": True}, {"max_time": 1000.0}):
        estimator = new_estimator("labels", solver, "int", **extra)
        assert facts(fit(estimator, X, y, 4))["parameters"] == parameters
    validated = new_estimator("labels", solver, "int", max_iter=4)
    validated.fit(X, y, X_val=X[:5], y_val=y[:5])
    assert facts(validated)["parameters"] == parameters
    callback = LookingOn()
    called = new_estimator("labels", solver, "int").set_callbacks(callback)
    assert facts(fit(called, X, y, 4))["parameters"] == parameters
    assert callback.n_epochs == 4


# Permuted classes

# Adam, going on exactly, would carry moments over that belong to the classes in their old order.
PERMUTED = {
    **{name: GOING_ON[name] for name in ("gd", "plain", "momentum", "nesterov")},
    "adam": {**GOING_ON["adam"], "continuation": "sklearn"},
    "lbfgs": {"solver": "lbfgs", "max_iter": 4},
}


def begun(kind, y, **parameters):
    """An estimator that has its initial parameters, and a warm start before it."""
    start = {"solver": "sgd", "max_iter": 1, "learning_rate_init": 1e-300, "warm_start": True}
    estimator = estimator_for(kind, **start, batch_size=7).fit(X, y)
    return estimator.set_params(**{"max_iter": 4, **parameters})


@pytest.mark.proof
@PROPERTY
@given(st.sampled_from(sorted(PERMUTED)), st.permutations(range(3)), st.booleans(), st.booleans())
def test_permuting_classes_permutes_columns(solver, permutation, multilabel, replaced):
    if multilabel:
        y = targets("multilabel", X)
        other_y = y[:, permutation]
        columns = list(permutation)  # of the other, that which each column comes from
    else:
        y = np.unique(targets("labels", X), return_inverse=True)[1]
        other_y = np.array(permutation)[y]
        columns = np.argsort(permutation).tolist()
    kind = "multilabel" if multilabel else "labels"
    one = begun(kind, y, **PERMUTED[solver])
    other = begun(kind, other_y, **PERMUTED[solver])
    assert parameters_of(one).tobytes() == parameters_of(other).tobytes()
    if replaced:  # by arrays of other memory orders
        other.coefs_[-1] = np.asfortranarray(one.coefs_[-1][:, columns])
        other.intercepts_[-1] = one.intercepts_[-1][columns]
    else:
        other.coefs_[-1][:] = one.coefs_[-1][:, columns]
        other.intercepts_[-1][:] = one.intercepts_[-1][columns]
    before = one.coefs_[-1].copy()
    one.fit(X, y)
    other.fit(X, other_y)
    rtol = 1e-6 if solver == "lbfgs" else 1e-9
    for ours, theirs in (
        (one.predict_proba(X), other.predict_proba(X)),
        (one.coefs_[-1], other.coefs_[-1]),
        (one.intercepts_[-1][None, :], other.intercepts_[-1][None, :]),
    ):
        np.testing.assert_allclose(theirs, ours[:, columns], rtol=rtol, atol=rtol)
    np.testing.assert_allclose(one.coefs_[0], other.coefs_[0], rtol=rtol, atol=rtol)
    assert np.abs(one.coefs_[-1] - before).max() > 1e-3


@pytest.mark.parametrize("solver", PERMUTED)
def test_exchanging_two_classes_exchanges_columns_and_signs(solver):
    y = targets("binary", X)
    one, other = begun("binary", y, **PERMUTED[solver]), begun("binary", 1 - y, **PERMUTED[solver])
    other.coefs_[-1] *= -1
    other.intercepts_[-1] = -other.intercepts_[-1]
    one.fit(X, y)
    other.fit(X, 1 - y)
    rtol = 1e-6 if solver == "lbfgs" else 1e-9
    np.testing.assert_allclose(other.predict_proba(X), one.predict_proba(X)[:, ::-1], rtol=rtol)
    np.testing.assert_allclose(other.coefs_[-1], -one.coefs_[-1], rtol=rtol)


# Threads

THREADED: dict[str, dict[str, Any]] = {
    "gd": {"solver": "gd", "max_iter": 3},
    "adam": {"solver": "adam", "batch_size": 2600, "max_iter": 2},
    "sgd": {"solver": "sgd", "batch_size": 1100, "max_iter": 2},
    "lbfgs": {"solver": "lbfgs", "max_iter": 3},
}


@pytest.mark.sample(4)
@pytest.mark.compiled
@pytest.mark.parametrize("solver", THREADED)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_any_number_of_threads_gives_the_same_bits(solver, dtype, backend):
    data = rows(5200).astype(dtype)
    y = targets("labels", rows(5200))
    found = []
    for n_threads in (1, 2, 3, 5):
        parameters = {**THREADED[solver], "n_threads": n_threads, "backend": backend}
        estimator = estimator_for("labels", **parameters).fit(data, y)
        chunks = {"adam": 3, "sgd": 2}.get(solver, 6)  # of 1024 samples, a step
        assert estimator.n_threads_ == min(n_threads, chunks)
        found.append((facts(estimator), estimator.predict_proba(data).tobytes()))
        if solver == "lbfgs" and backend == "loops":
            assert len(estimator.loss_curve_) == 3
    assert found[0] == found[1] == found[2] == found[3]
