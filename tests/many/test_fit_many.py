"""fit_many: each estimator ends with what its own fit gives, to the bit."""

import contextlib
import copy
import multiprocessing
import pickle
import re
import threading
import time
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.neural_network import MLPRegressor as SklearnRegressor
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_info, threadpool_limits

from engine import (
    Checkpoint,
    MLPClassifier,
    MLPEnsembleRegressor,
    MLPRegressor,
    TrainingWarning,
    fit_many,
)
from engine.estimators.input_validation import Rows
from engine.many import many_estimators
from engine.many.fits import Fit, fit_all, in_chains, threads_that_pay
from engine.many.fits_at_work import FitsAtWork
from engine.solvers.member_descent import MemberDescents
from engine.sums.thread_count import choose
from tools import fuzz_many
from tools.member_mixtures import (
    HOW_IT_WAS_MADE,
    Mixture,
    differences_of,
    fitted_in_a_loop,
    mixture,
    outcomes_of_fit_many,
)
from tools.state_differences import differences

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::engine.TrainingWarning"),
]

X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.abs(X[:, 0]) + 0.1
LABELS = np.where(X[:, 0] > 0, "yes", "no")


def member(seed=0, **parameters):
    settings = {"hidden_layer_sizes": 4, "max_iter": 6, "batch_size": 8, "random_state": seed}
    return MLPRegressor(**{**settings, **parameters})


def require_same(make, n_threads=(1, 2, 3), **rows):
    assert differences_of(Mixture(0, make, {"X": X, "y": Y, **rows}), n_threads) == []


def unlike(members, others):
    pairs = zip(members, others, strict=True)
    return [differences(*pair, leave_out=HOW_IT_WAS_MADE) for pair in pairs]


# The same bits.


@pytest.mark.parametrize("first", range(0, 32, 4))
def test_random_mixtures_have_the_bits_warnings_and_errors_of_a_loop(first):
    for seed in range(first, first + 4):
        assert differences_of(mixture(seed), (1, 2, 3)) == [], seed


@pytest.mark.proof
@pytest.mark.parametrize("first", range(100, 500, 50))
def test_hundreds_of_random_mixtures_have_the_bits_warnings_and_errors_of_a_loop(first):
    for seed in range(first, first + 50):
        assert differences_of(mixture(seed), (1, 2, 3)) == [], seed


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("schedule", ["constant", "invscaling", "adaptive"])
def test_members_that_diverge_in_the_middle_of_others_end_as_by_themselves(
    schedule, early_stopping
):
    def make():
        return [
            member(
                seed,
                solver="sgd",
                learning_rate=schedule,
                learning_rate_init=rate,
                activation="identity",
                max_iter=60,
                early_stopping=early_stopping,
                n_iter_no_change=4,
                momentum=0.0,
                batch_size="auto",
            )
            for seed in range(4)
            for rate in (0.5, 2.0, 3.0, 1e30)
        ]

    loop = fitted_in_a_loop(make(), {"X": X, "y": Y})
    said = [text for each in loop.warnings for _, text in each]
    failed = [error for error in loop.errors if error is not None]
    assert len(failed) >= (0 if early_stopping else 4)
    assert early_stopping == any("The loss stopped being finite" in text for text in said)
    require_same(make)


def calls_of(name, monkeypatch):
    """A list that gets an entry with each call of this method of MemberDescents."""
    calls = []
    method = getattr(MemberDescents, name)

    def noted(*arguments):
        calls.append(arguments[1:])
        return method(*arguments)

    monkeypatch.setattr(MemberDescents, name, noted)
    return calls


def test_members_that_stop_early_leave_their_place_to_others(monkeypatch):
    joined = calls_of("join", monkeypatch)
    left = calls_of("leave", monkeypatch)

    def make():
        return [member(seed, max_iter=1 + seed % 7, batch_size="auto") for seed in range(60)]

    fit_many(make(), X, Y, n_threads=1)
    assert len(joined) >= 50  # nearly all were trained side by side
    assert len(left) >= len(joined) - 2
    require_same(make)


def test_members_of_another_kind_do_not_keep_the_others_from_being_side_by_side(monkeypatch):
    joined = calls_of("join", monkeypatch)
    kinds: list[dict[str, Any]] = [
        {"learning_rate": rate} for rate in ("constant", "invscaling", "adaptive")
    ]
    kinds += [{"nesterovs_momentum": False}, {"n_iter_no_change": 3}, {"shuffle": False}]
    make = [member(seed, solver="sgd", **kind) for seed in range(8) for kind in kinds]
    fit_many(make, X, Y, n_threads=1)
    assert len(joined) == len(make)


def test_a_first_member_of_two_leaves_the_second_to_another_thread():
    members = [member(seed, max_iter=10**6, max_time=0.5, tol=0.0) for seed in range(2)]
    members = [each.set_params(n_iter_no_change=10**6) for each in members]
    start = time.perf_counter()
    with pytest.warns(ConvergenceWarning, match="max_time"):
        fit_many(members, X, Y, n_threads=2)
    assert time.perf_counter() - start < 0.9


def test_members_that_draw_from_one_generator_follow_each_other():
    shared = np.random.RandomState(5)
    twin = np.random.RandomState(shared._bit_generator)
    states = [None, 1, shared, np.random.mtrand._rand, 2, twin, shared, None]
    chains = in_chains([Fit(member(state), X, Y) for state in states])
    assert [0, 3, 7] in chains
    assert [2, 5, 6] in chains
    assert sorted(map(len, chains)) == [1, 1, 3, 3]


def test_numpys_own_generator_gives_the_numbers_of_a_loop_under_either_name():
    def make():
        return [member(state) for state in (None, np.random.mtrand._rand, None, 3) * 3]

    require_same(make)


# Warnings and errors.


def fails(seed=0):
    return member(seed, solver="sgd", learning_rate_init=1e30, activation="identity")


def raised_by_fit(estimator, X=X, y=Y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="") as raised:
            estimator.fit(X, y)
    return raised.value


@pytest.mark.parametrize("n_threads", [1, 2])
def test_members_that_fail_do_not_stop_the_others_and_the_first_error_names_all(n_threads):
    members = [member(0), fails(1), member(2), fails(3), member(4, early_stopping=True)]
    expected = raised_by_fit(fails(1))
    with pytest.raises(ValueError, match="finite") as raised:
        fit_many(members, X, Y, n_threads=n_threads)
    assert str(raised.value) == str(expected)
    assert raised.value.__notes__ == [
        "2 of 5 estimators (1, 3) failed (2 ValueError). The others are fitted."
    ]
    ours = [members[k] for k in (0, 2, 4)]
    assert not any(unlike(ours, [clone(each).fit(X, Y) for each in ours]))


def test_a_note_lists_at_most_ten_members():
    members = [*(member(k) for k in range(12)), MLPClassifier(max_iter=1, random_state=0)]
    with pytest.raises(TypeError) as raised:
        fit_many(members, X, LABELS)
    assert raised.value.__notes__ == [
        "12 of 13 estimators (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...) failed (12 TypeError). "
        "The others are fitted."
    ]


def test_y_that_does_not_fit_one_member_leaves_it_unchanged_and_fits_the_others():
    members = [member(0), member(1, loss="gamma"), member(2)]
    with pytest.raises(ValueError, match="'gamma' needs y above 0") as raised:
        fit_many(members, X, Y - 0.5)
    assert raised.value.__notes__ == [
        "Estimator 1 of 3 failed (1 ValueError). The others are fitted."
    ]
    assert differences(members[1], member(1, loss="gamma")) == []
    assert members[2].n_iter_ == 6


def test_each_kind_of_warning_is_given_once_with_the_numbers_of_its_members():
    with pytest.warns(ConvergenceWarning) as said:
        fit_many([member(0), member(1, max_iter=500, tol=1.0), member(2)], X, Y)
    of_limit = [str(each.message) for each in said if "Maximum iterations" in str(each.message)]
    assert len(of_limit) == 1
    assert of_limit[0].startswith("2 of 3 estimators (0, 2): Stochastic Optimizer: Maximum")
    assert {each.filename for each in said} == {__file__}


def test_a_warning_of_the_checks_names_all_members_though_the_rows_are_checked_once():
    with pytest.warns(DataConversionWarning, match="^All 3 estimators: A column-vector y"):
        fit_many([member(seed) for seed in range(3)], X, Y[:, None])


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_filter_that_makes_errors_of_warnings_loses_nothing(n_threads):
    members = [member(0), member(1), fails(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="finite") as raised:
            fit_many(members, X, Y, n_threads=n_threads)
        assert isinstance(raised.value.__context__, ConvergenceWarning | TrainingWarning)
        with pytest.raises((ConvergenceWarning, TrainingWarning)):
            fit_many(fresh := [member(0), member(1)], X, Y, n_threads=n_threads)
    assert not any(unlike(members[:2], [member(seed).fit(X, Y) for seed in range(2)]))
    assert not any(unlike(fresh, members[:2]))


def test_warnings_of_other_threads_are_shown_as_ever():
    stop = threading.Event()

    def warn():
        while not stop.wait(0.01):
            warnings.warn("from another thread", RuntimeWarning, stacklevel=1)

    other = threading.Thread(target=warn)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        other.start()
        fit_many([member(seed, max_iter=400) for seed in range(30)], X, Y)
        stop.set()
        other.join()
    assert "from another thread" in [str(each.message) for each in said]
    assert not [each for each in said if re.search("estimators: from another", str(each.message))]


def scored_in_silence(network, X, y):
    """A scorer that silences warnings. Python has one place for those of all threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        time.sleep(0.001)
        return float(network.predict(X).mean())


@pytest.mark.parametrize("n_threads", [1, 2])
def test_scorers_that_silence_warnings_hide_none_of_other_members(n_threads):
    members = [
        member(seed, max_iter=4, early_stopping=True, scoring=scored_in_silence)
        for seed in range(12)
    ]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fit_many(members, X, Y, n_threads=n_threads)
    told = [str(each.message) for each in said if each.category is ConvergenceWarning]
    assert len(told) == 1
    assert told[0].startswith("All 12 estimators: Stochastic Optimizer")


def test_calls_that_overlap_catch_their_warnings_and_leave_the_filters_as_they_were():
    second_runs, first_has_ended = threading.Event(), threading.Event()

    def waits_for_second(network, X, y):
        assert second_runs.wait(10)
        return 0.5

    def waits_for_first(network, X, y):
        second_runs.set()
        assert first_has_ended.wait(10)
        warnings.warn("later", RuntimeWarning, stacklevel=1)
        return 0.5

    def fit(scoring):
        fit_many([member(0, max_iter=1, early_stopping=True, scoring=scoring)], X, Y)

    def first():
        fit(waits_for_second)
        first_has_ended.set()

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        before = warnings.showwarning, list(warnings.filters)
        threads = [threading.Thread(target=first)]
        threads[0].start()
        while warnings.showwarning is before[0]:
            time.sleep(0.001)
        threads.append(threading.Thread(target=fit, args=(waits_for_first,)))
        threads[1].start()
        for thread in threads:
            thread.join()
        assert (warnings.showwarning, list(warnings.filters)) == before
    assert "The estimator: later" in [str(each.message) for each in said]


def test_a_warning_of_a_class_that_takes_more_than_a_text_is_given_as_another():
    class Elaborate(UserWarning):
        def __init__(self, text, more):
            super().__init__(text)

    def scored(network, X, y):
        warnings.warn(Elaborate("look", 1), stacklevel=1)
        return 0.5

    with pytest.warns(UserWarning, match="^The estimator: look"):
        fit_many([member(0, early_stopping=True, scoring=scored)], X, Y)


# Errors of our own.


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_error_of_networks_side_by_side_leaves_each_to_itself(n_threads, monkeypatch):
    advance, calls = MemberDescents.advance, []

    def fails_once(self, budgets):
        calls.append(1)
        if len(calls) == 2:
            raise MemoryError("too little memory left to load a kernel")
        return advance(self, budgets)

    monkeypatch.setattr(MemberDescents, "advance", fails_once)
    members = [member(seed, max_iter=5 + seed) for seed in range(8)]
    fit_many(members, X, Y, n_threads=n_threads)
    assert len(calls) >= 2
    assert not any(
        unlike(members, [member(seed, max_iter=5 + seed).fit(X, Y) for seed in range(8)])
    )


@pytest.mark.parametrize("what", ["kind_of", "MemberDescents"])
def test_where_memory_for_lanes_is_lacking_each_is_trained_alone(what, monkeypatch):
    def lacks(*arguments):
        raise MemoryError

    monkeypatch.setattr(f"engine.many.fits_at_work.{what}", lacks)
    members = fit_many([member(seed) for seed in range(5)], X, Y)
    assert not any(unlike(members, [member(seed).fit(X, Y) for seed in range(5)]))


def test_an_error_of_another_thread_is_raised(monkeypatch):
    next_chain = FitsAtWork._next_chain

    def fails_elsewhere(self):
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("of another thread")
        time.sleep(0.01)
        return next_chain(self)

    monkeypatch.setattr(FitsAtWork, "_next_chain", fails_elsewhere)
    with pytest.raises(RuntimeError, match="of another thread"):
        fit_many([member(seed, alpha=seed) for seed in range(4)], X, Y, n_threads=2)


def test_each_of_two_threads_and_blas_in_them_take_one_core():
    seen = []

    def scored(network, X, y):
        blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
        seen.append((choose(None, 10**12, 9).number, max(blas)))
        return 0.5

    networks = [member(seed, early_stopping=True, scoring=scored) for seed in range(4)]
    with threadpool_limits(4):
        fit_many(networks, X, Y, n_threads=2)
    assert set(seen) == {(1, 1)}


# What is refused.


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (lambda: [], ValueError, "estimators is empty; pass one MLPClassifier"),
        (
            lambda: [member(), MLPRegressor],
            TypeError,
            r"number 1 is the class engine.MLPRegressor, not",
        ),
        (lambda: [SklearnRegressor()], TypeError, r"0 is sklearn.neural_network.MLPRegressor\.$"),
        (lambda: [make_pipeline(member())], TypeError, "is sklearn.pipeline.Pipeline. Fit its"),
        (lambda: [MLPEnsembleRegressor()], TypeError, "engine.MLPEnsembleRegressor. Fit an ens"),
        (lambda: member(), TypeError, "must be a list .* To fit one of them, call its fit"),
        (lambda: [member()] * 2, ValueError, "same object twice, as numbers 0 and 1; pass skl"),
        (lambda: [member(), member(alpha=-1)], ValueError, "'alpha' parameter .* Got -1 instead"),
        (lambda: [member(), member(loss="hinge")], ValueError, "'loss' parameter of MLPRegr"),
        (lambda: [member(), member(hidden_layer_sizes=(0,))], ValueError, "must be > 0, got"),
        (lambda: [member(), member(activation=["relu", "tanh"])], ValueError, "lists 2 names"),
        (lambda: [member(), member(activation=["foo"])], ValueError, "must name 'tanh', 'log"),
        (lambda: [member(), member(alpha="evidence")], ValueError, "needs solver='lm'; got"),
    ],
)
def test_what_cannot_be_fitted_is_refused_before_anything_is_trained(given, error, message):
    members = given()
    listed = members if isinstance(members, list) else [members]
    ours = [each for each in listed if isinstance(each, MLPRegressor)]
    before = [dict(vars(each)) for each in ours]
    with pytest.raises(error, match=message):
        fit_many(members, X, Y)
    assert [vars(each) for each in ours] == before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("fit.ckpt", Path("fit.ckpt")),
        (Path("fit.ckpt"), Checkpoint("fit.ckpt")),
        (Checkpoint("fit.ckpt"), "below/../fit.ckpt"),
    ],
)
def test_a_checkpoint_that_two_members_share_is_refused(tmp_path, monkeypatch, one, other):
    monkeypatch.chdir(tmp_path)
    members = [member(0, checkpoint=one), member(1), member(2, checkpoint=other)]
    with pytest.raises(ValueError, match=r"estimators 0 and 2 have the same checkpoint, .*give"):
        fit_many(members, X, Y)
    assert list(tmp_path.iterdir()) == []
    assert not any(hasattr(each, "coefs_") for each in members)


def test_a_note_says_which_estimator_has_an_invalid_parameter():
    with pytest.raises(ValueError, match="Got -1 instead") as raised:
        fit_many([member(), member(alpha=-1)], X, Y)
    assert raised.value.__notes__ == ["Estimator 1 of 2 has this parameter."]


def test_zero_threads_are_refused():
    with pytest.raises(ValueError, match="n_threads must be at least 1; got 0"):
        fit_many([member()], X, Y, n_threads=0)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"X": np.where(X > 2, np.nan, X)}, "Input X contains NaN"),
        ({"X_val": X}, "X_val, y_val and sample_weight_val go together"),
        ({"y": Y[1:]}, "inconsistent numbers of samples"),
        ({"sample_weight": -np.ones(40)}, "sample_weight"),
    ],
)
def test_rows_that_no_member_can_take_change_no_member(rows, message):
    members = [member(0), member(1), member(2, solver="lbfgs")]
    before = [copy.deepcopy(each) for each in members]
    with pytest.raises(ValueError, match=message) as raised:
        fit_many(members, **{"X": X, "y": Y, **rows})
    assert raised.value.__notes__ == ["All 3 estimators failed (3 ValueError)."]
    assert not any(unlike(members, before))


# Members with a code of their own.


class OwnFit(MLPRegressor):
    def fit(self, X, y):
        super().fit(X, y)
        self.fitted_by_ = "its own fit"
        return self


class OwnPredict(MLPRegressor):
    def predict(self, X):
        return np.zeros(len(X))


class SetsParameters(MLPRegressor):
    def fit(self, X, y):
        return self.set_params(alpha=-1).fit_anyway(X, y)

    def fit_anyway(self, X, y):
        return super().fit(X, y)


def test_a_subclass_keeps_its_own_fit_and_predict():
    def make():
        kinds = (OwnFit, OwnPredict, MLPRegressor)
        settings = {"hidden_layer_sizes": 4, "max_iter": 5, "early_stopping": True}
        return [kind(random_state=seed, **settings) for seed in range(4) for kind in kinds]

    require_same(make)
    fitted = fit_many(make(), X, Y)
    assert fitted[0].fitted_by_ == "its own fit"
    assert not fitted[1].predict(X).any()


def test_parameters_that_a_fit_of_its_own_sets_are_validated():
    with pytest.raises(ValueError, match="'alpha' parameter of SetsParameters"):
        fit_many([SetsParameters(max_iter=2, random_state=0)], X, Y)


class Listener:
    """A callback that notes the losses of the epochs."""

    def __init__(self):
        self.losses = []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch":
            self.losses.append(fitted_estimator.loss_)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_members_with_callbacks_are_called_back_in_each_epoch(n_threads):
    listeners = [Listener() for _ in range(3)]
    called = [member(seed).set_callbacks(listener) for seed, listener in enumerate(listeners)]
    fit_many([*called, member(9)], X, Y, n_threads=n_threads)
    for seed, (each, listener) in enumerate(zip(called, listeners, strict=True)):
        alone = member(seed).fit(X, Y)
        assert each.fingerprint_ == alone.fingerprint_
        assert listener.losses == alone.loss_curve_


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_scorer_that_raises_fails_its_own_member_alone(n_threads):
    def scorer(estimator, X, y):
        raise LookupError("no score today")

    members = [member(0), member(1, early_stopping=True, scoring=scorer), member(2)]
    with pytest.raises(LookupError, match="no score today") as raised:
        fit_many(members, X, Y, n_threads=n_threads)
    assert "Estimator 1 of 3 failed" in raised.value.__notes__[0]
    assert not any(unlike(members[::2], [member(seed).fit(X, Y) for seed in (0, 2)]))
    assert not hasattr(members[1], "coefs_")


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_scorer_sees_the_callers_configuration_of_scikit_learn(n_threads):
    seen = []

    def scorer(estimator, X, y):
        seen.append(sklearn.get_config()["display"])
        return 0.0

    with sklearn.config_context(display="text"):
        fit_many(
            [member(k, early_stopping=True, scoring=scorer) for k in range(4)],
            X,
            Y,
            n_threads=n_threads,
        )
        assert sklearn.get_config()["skip_parameter_validation"] is False
    assert set(seen) == {"text"}


# Time, what is shown, and memory.


def test_max_time_ends_a_member_and_not_the_others():
    limited = member(0, max_iter=10**6, tol=0.0, n_iter_no_change=10**6, max_time=0.2)
    others = [member(seed, max_iter=20) for seed in range(1, 5)]
    with pytest.warns(ConvergenceWarning, match=r"^Estimator 0 of 5: max_time=0.2 seconds"):
        fit_many([limited, *others], X, Y)
    assert limited.n_iter_ > 20
    assert not any(unlike(others, [clone(each).fit(X, Y) for each in others]))


def test_max_time_does_not_count_the_time_that_a_member_waits_for_others():
    # The last two of a group go on by themselves, one after the other.
    long = {"max_iter": 10**6, "tol": 0.0, "n_iter_no_change": 10**6, "max_time": 0.3}
    members = [member(0, **{**long, "max_iter": 6}), member(1, **long), member(2, **long)]
    start = time.perf_counter()
    fit_many(members, X, Y, n_threads=1)
    assert time.perf_counter() - start > 0.55


@pytest.mark.parametrize("n_threads", [1, 2])
def test_verbose_members_print_their_own_lines(capsys, n_threads):
    members = [member(seed, verbose=seed != 1) for seed in range(4)]
    fit_many(members, X, Y, n_threads=n_threads)
    together = sorted(capsys.readouterr().out.splitlines())
    for seed in (0, 2, 3):
        member(seed, verbose=True).fit(X, Y)
    assert together == sorted(capsys.readouterr().out.splitlines())


def test_progress_shows_one_bar_for_all_members(capsys):
    members = [member(0, progress=True), member(1), OwnFit(max_iter=3, random_state=0)]
    fit_many([*members[:2], members[2].set_params(progress=True)], X, Y, n_threads=2)
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert re.match(r"Networks [━╸╺ ]* +3/3 loss 0\.\d+ 0:00:0\d", err)


def test_what_is_derived_from_rows_is_derived_once_whichever_threads_ask():
    rows, made = Rows(X, Y, None), []

    def make():
        time.sleep(0.05)
        made.append(1)
        return len(made)

    threads = [threading.Thread(target=rows.derived, args=("slow", make)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_x_is_held_once_whatever_the_number_of_members():
    rows = np.random.default_rng(1).normal(size=(50_000, 12)).astype(int).tolist()
    y = np.arange(len(rows)) / len(rows)

    def peak(n_members):
        members = [
            member(seed, max_iter=1, batch_size=200, hidden_layer_sizes=2)
            for seed in range(n_members)
        ]
        tracemalloc.start()
        fit_many(members, rows, y, n_threads=2)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(3)
    of_X = 50_000 * 12 * 8
    assert peak(3) > of_X  # so that copies are seen
    assert peak(24) < peak(3) + of_X


def test_validation_rows_are_checked_once():
    checked = []

    class Counted:
        """Rows that tell how often they are read."""

        shape = X.shape

        def __array__(self, dtype=None, copy=None):
            checked.append(1)
            return np.asarray(X, dtype)

        def __len__(self):
            return len(X)

    fit_many([member(seed) for seed in range(5)], X, Y, X_val=Counted(), y_val=Y)
    of_five = len(checked)
    fit_many([member(0)], X, Y, X_val=Counted(), y_val=Y)
    assert 0 < of_five == len(checked) - of_five


def test_validation_rows_warn_each_member():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        members = [member(seed) for seed in range(5)]
        fit_many(members, X, Y, X_val=X, y_val=Y[:, np.newaxis])
    told = [str(each.message) for each in said if each.category is DataConversionWarning]
    assert [text[:18] for text in told] == ["All 5 estimators: "]


# Later.


def test_classes_that_a_user_changes_are_those_of_one_member():
    networks = [MLPClassifier(3, max_iter=2, random_state=seed) for seed in range(2)]
    fit_many(networks, X, Y.mean() < Y)
    networks[0].classes_[:] = True
    np.testing.assert_array_equal(networks[1].classes_, [False, True])


def refit(member):
    return member.partial_fit(X, Y).fingerprint_


def test_fitted_members_survive_a_pickle_a_copy_and_a_clone():
    members = fit_many([member(seed) for seed in range(5)], X, Y)
    expected = [refit(copy.deepcopy(each)) for each in members]
    assert [refit(pickle.loads(pickle.dumps(each))) for each in members] == expected
    again = fit_many([clone(each) for each in members], X, Y)
    assert not any(unlike(again, members))
    assert [refit(each) for each in members] == expected


def test_members_do_not_share_arrays_that_a_later_fit_changes():
    members = fit_many([member(seed, warm_start=True) for seed in range(4)], X, Y)
    before = [copy.deepcopy(each) for each in members[1:]]
    members[0].fit(X[:, ::-1], Y)
    for array in (*members[0].coefs_, *members[0].intercepts_, members[0]._optimizer.first):
        array[:] = 7
    assert not any(unlike(members[1:], before))


def fitted_in_child(connection):
    members = fit_many([member(seed) for seed in range(5)], X, Y, n_threads=2)
    connection.send([each.fingerprint_ for each in members])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_fits_as_its_parent():
    expected = [each.fingerprint_ for each in fit_many([member(s) for s in range(5)], X, Y)]
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=fitted_in_child, args=(theirs,))
    child.start()
    assert ours.poll(60)
    assert ours.recv() == expected
    child.join()


def test_the_same_list_in_the_same_order_comes_back():
    members = tuple(member(seed) for seed in range(3))
    found = fit_many(iter(members), X, Y)
    assert isinstance(found, list)
    assert all(one is other for one, other in zip(found, members, strict=True))
    assert all(type(each.loss_) is float for each in found)


# The comparison itself, and the tool.


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda m: setattr(m, "loss_", np.float64(m.loss_)), ".loss_: a float, and a float64"),
        (lambda m: m.coefs_[0].__setitem__((0, 1), 9.0), ".coefs_[0]: 1 of 12 entries, the fir"),
        (lambda m: m._optimizer.first.__setitem__(0, 0), "._optimizer.first: 1 of 21 entries"),
        (lambda m: m._draws.draw(lambda g: g.uniform(size=1)), "._draws.words(): 1 of 625 entri"),
        (lambda m: m.loss_curve_.append(0.0), ".loss_curve_: 6 entries, and 7"),
        (lambda m: setattr(m, "extra_", 1), ".extra_: only the second has it"),
    ],
)
def test_the_comparison_names_what_differs(change, line):
    one, other = member().fit(X, Y), member().fit(X, Y)
    assert differences(one, other) == []
    change(other)
    assert differences(one, other)[0].startswith(line)


def test_the_tool_counts_mixtures_and_ends_with_1_if_one_differs(capsys, monkeypatch):
    assert fuzz_many.main(["--mixtures", "2", "--seed", "3", "--threads", "2"]) == 0
    assert re.search(
        r"2 mixtures of \d+ members, seeds from 3, on 2 threads: 0 differ", capsys.readouterr().out
    )

    def wrong(*arguments):
        for outcome in (made := fit_all(*arguments)):
            outcome.warnings.clear()
        return made

    monkeypatch.setattr(many_estimators, "fit_all", wrong)
    assert fuzz_many.main(["--mixtures", "1", "--seed", "4", "--verbose"]) == 1
    assert "DIFFERENCE in the mixture of seed 4" in capsys.readouterr().out


def test_outcomes_are_noted_of_one_call_of_fit_many():
    with outcomes_of_fit_many() as outcomes, contextlib.suppress(ValueError):
        fit_many([member(0), fails(1)], X, Y)
    assert [outcome.error is None for outcome in outcomes] == [True, False]


@pytest.mark.parametrize(
    ("shape", "parameters", "n_threads"),
    [
        ((200, 2), {"hidden_layer_sizes": 4, "max_iter": 20}, 1),
        ((1000, 20), {"hidden_layer_sizes": (100,), "max_iter": 10}, 2),
        ((1000, 20), {"hidden_layer_sizes": "wide"}, 2),
    ],
)
def test_threads_are_for_fits_that_are_long_enough(shape, parameters, n_threads, monkeypatch):
    monkeypatch.setattr("engine.many.fits.most_threads", lambda: 2)
    estimator = MLPRegressor().set_params(**parameters)
    wanted = [Fit(estimator, np.zeros(shape), None)] * 8
    assert threads_that_pay(wanted) == n_threads
