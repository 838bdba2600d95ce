"""`engine compare estimators`: the same work, its times, its ceiling, and what is printed."""

import io
import json
import re
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from engine.comparison import estimator_agreement, estimator_tables, estimator_timings, timing
from engine.comparison.estimator_agreement import (
    BOTH,
    CLASSIFIER,
    KINDS,
    OURS,
    REGRESSOR,
    THEIRS,
    FitOutcome,
    agreement,
    disagreement,
    estimator,
    silent,
)
from engine.comparison.machine import About
from tests.processes import engine

DTYPES = ("float64", "float32")


# The data, and who is compared.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KINDS)
def test_inputs_and_numbers_to_predict_are_standardised_over_the_training_rows(name, dtype):
    from sklearn import datasets

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    training = np.arange(0, len(X), 2)
    data = estimator_agreement.standardised(
        estimator_agreement.load_data_set(name, dtype), training
    )
    assert data.X.dtype == dtype
    numbers = [(data.X, X)]
    if data.kind == REGRESSOR:
        assert data.y.dtype == dtype
        numbers.append((data.y, y))
    else:
        np.testing.assert_array_equal(data.y, y)
    for scaled, as_it_comes in numbers:
        spread = as_it_comes[training].std(axis=0)
        expected = (as_it_comes - as_it_comes[training].mean(axis=0)) / np.where(spread, spread, 1)
        np.testing.assert_allclose(scaled, expected, rtol=1e-5, atol=1e-5)


def test_held_out_rows_take_no_part_in_the_scaling(monkeypatch):
    iris = estimator_agreement.load_data_set("iris", "float64")
    seen = []

    class Model:
        n_iter_ = 1

        def fit(self, X, y):
            seen.append(X)

        def score(self, X, y):
            seen.append(X)
            return 0.5

    monkeypatch.setattr(estimator_agreement, "loss", lambda model, X, y: 0.5)
    estimator_agreement.outcomes(lambda *a, **named: Model(), iris, 1, 1)
    training, test = seen[:2]
    assert (len(training), len(test)) == (112, 38)
    np.testing.assert_allclose(training.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(training.std(axis=0), 1)
    assert np.abs(test.mean(axis=0)).max() > 1e-3


@pytest.mark.parametrize(("kind", "name"), [(CLASSIFIER, "Classifier"), (REGRESSOR, "Regressor")])
def test_both_estimators_have_the_defaults_but_for_what_is_given(kind, name):
    theirs, ours = (estimator(whose, kind, random_state=3) for whose in BOTH)
    assert (type(theirs).__name__, type(ours).__name__) == (f"MLP{name}", f"MLP{name}")
    assert theirs.get_params() == type(theirs)(random_state=3).get_params()
    common = {key: value for key, value in ours.get_params().items() if key in theirs.get_params()}
    assert common == theirs.get_params()


# The same work.


def outcomes(ours, theirs=((10, 0.5, 0.9), (12, 0.4, 0.8))):
    return {OURS: [FitOutcome(*one) for one in ours], THEIRS: [FitOutcome(*one) for one in theirs]}


def reason(ours, kind=CLASSIFIER, dtype="float64"):
    return disagreement(agreement(outcomes(ours), kind), dtype)


def test_equal_outcomes_agree_and_rounding_of_the_loss_is_allowed():
    assert reason([(10, 0.5, 0.9), (12, 0.4, 0.8)]) is None
    assert reason([(10, 0.5 * (1 + 1e-9), 0.9), (12, 0.4, 0.8)]) is None


@pytest.mark.parametrize("dtype", DTYPES)
def test_in_float64_one_seed_that_differs_makes_times_void_and_in_float32_not(dtype):
    for ours, why in (
        ([(10, 0.5, 0.9), (13, 0.4, 0.8)], "n_iter_ differs with 1 of 2 seeds"),
        ([(10, 0.5, 0.9), (12, 0.4001, 0.8)], "the loss is off by 2.5e-04"),
        ([(10, 0.5, 0.9), (12, np.nan, 0.8)], "the loss is off by inf"),
        ([(10, 0.5, 0.9), (12, 0.4, 0.85)], "test scores differ with 1 of 2 seeds"),
    ):
        assert reason(ours, dtype=dtype) == (why if dtype == "float64" else None)


def test_in_float32_a_mean_score_outside_scikit_learn_s_range_makes_times_void():
    assert reason([(1, 9.9, 0.8), (1, 9.9, 0.98)], dtype="float32") is None  # mean 0.89
    for low, mean in ((0.78, "0.790"), (0.95, "0.960")):
        said = reason([(1, 9.9, low), (1, 9.9, low + 0.02)], dtype="float32")
        assert said == f"mean test score {mean}, not from 0.800 to 0.900"
    assert reason([(1, 9.9, np.nan)] * 2, dtype="float32") is not None


def test_a_regressor_s_score_may_differ_by_rounding_and_a_classifier_s_not():
    nearly = [(10, 0.5, 0.9 + 1e-9), (12, 0.4, 0.8)]
    assert reason(nearly, REGRESSOR) is None
    assert reason(nearly, CLASSIFIER) == "test scores differ with 1 of 2 seeds"
    assert reason([(10, 0.5, 0.9001), (12, 0.4, 0.8)], REGRESSOR) is not None


def test_losses_are_those_of_the_predictions_whatever_the_estimator_says():
    iris = estimator_agreement.standardised(estimator_agreement.load_data_set("iris", "float64"))
    model = estimator(THEIRS, CLASSIFIER, random_state=0, max_iter=30)
    with silent():
        model.fit(iris.X, iris.y)
    model.loss_ = 7.0
    right = model.predict_proba(iris.X)[np.arange(150), iris.y]
    expected = -np.log(right).mean()
    assert estimator_agreement.loss(model, iris.X, iris.y) == pytest.approx(expected)
    model.coefs_[0][0, 0] = np.nan
    assert estimator_agreement.loss(model, iris.X, iris.y) == np.inf
    diabetes = estimator_agreement.standardised(
        estimator_agreement.load_data_set("diabetes", "float64")
    )
    model = estimator(THEIRS, REGRESSOR, random_state=0, max_iter=2)
    with silent():
        model.fit(diabetes.X, diabetes.y)
    expected = np.square(model.predict(diabetes.X) - diabetes.y).mean()
    assert estimator_agreement.loss(model, diabetes.X, diabetes.y) == pytest.approx(expected)


# The ceiling.


def test_the_least_time_counts_each_product_of_a_fit_once():
    # Of each sample: first layer Z and dW, second layer Z, dW and dA; two flops each.
    flops = 2 * (2 * 4 * 100 + 3 * 100 * 3)
    assert estimator_timings.least_seconds(
        (4, 100, 3), 150, [200, 50], [1e-9, 2e-9]
    ) == pytest.approx([flops * 150 * 200 * 1e-9, flops * 150 * 50 * 2e-9])


@pytest.mark.parametrize(("ceiling", "wanted"), [(9.0, 4.5), (20.0, 10.0), (47.0, 10.0)])
def test_the_reach_is_ten_or_half_the_ceiling_where_that_is_less(ceiling, wanted):
    assert estimator_timings.reach(ceiling) == wanted


# Times of fits.


class Fake:
    """An estimator that keeps a record of how it was made and fitted."""

    made: list[tuple[str, int]]

    def __init__(self, whose, random_state, epochs, loss):
        self.whose, self.random_state = whose, random_state
        self.n_iter_, self.loss = epochs, loss

    def fit(self, X, y):
        Fake.made.append((self.whose, self.random_state))
        self.coefs_ = [np.zeros((X.shape[1], 5)), np.zeros((5, 3))]
        return self

    def score(self, X, y):
        return 0.5


def maker(**of_ours):
    """Fakes whose epochs and loss follow the seed; ours as told where that differs."""

    def make(whose, kind, n_threads, random_state):
        assert (kind, n_threads) == (CLASSIFIER, 1)
        told = {"epochs": 10 + random_state, "loss": 0.5}
        if whose == OURS:
            told |= of_ours
        return Fake(whose, random_state, **told)

    Fake.made = []
    return make


@pytest.fixture
def stubbed_clock(monkeypatch):
    """Theirs 0.3 s a fit, ours 0.03 s, gemm 0.02 s, whatever was done."""

    def in_turns(acts, rounds):
        assert rounds == 1
        for act in acts.values():
            act()
        return {
            name: [{THEIRS: 0.3, OURS: 0.03, estimator_timings.GEMM: 0.02}[name]] for name in acts
        }

    monkeypatch.setattr(timing, "in_turns", in_turns)
    monkeypatch.setattr(timing, "repeats", lambda once, wanted: 1)
    monkeypatch.setattr(estimator_timings, "gemm", lambda dtype: lambda: None)
    for module in (estimator_timings, estimator_agreement):
        monkeypatch.setattr(module, "loss", lambda model, X, y: model.loss)


def row_of(make: Any, dtype="float64", rounds=2, seeds=1):
    return estimator_timings.compare_fit(
        estimator_agreement.load_data_set("iris", dtype), rounds, seeds, 1, make
    )


def test_fits_take_turns_and_a_round_has_the_same_random_state_on_both_sides(stubbed_clock):
    row_of(maker(), rounds=3)
    assert Fake.made[-6:] == [(whose, number) for number in range(3) for whose in BOTH]


def test_a_ratio_stands_beside_the_ceiling_worked_out_by_hand(stubbed_clock):
    row = row_of(maker(), rounds=1)
    times = row["times"]
    assert row["sizes"] == [4, 5, 3]
    assert times["ratio"] == pytest.approx((10.0, 10.0, 10.0))
    assert times["ms"] == pytest.approx({THEIRS: 300, OURS: 30})
    assert times["gemm_gflops"] == pytest.approx(2 * 1024**3 / 0.02 / 1e9)
    flops = 2 * (2 * 4 * 5 + 3 * 5 * 3) * 150 * 10
    assert times["ceiling"].median == pytest.approx(0.3 / (flops * 0.02 / (2 * 1024**3)))
    assert (times["reach"], times["reached"]) == (10.0, True)


def test_a_fit_that_was_repeated_is_timed_by_the_fit(stubbed_clock, monkeypatch):
    repeats = iter([1, 5])  # of theirs, of ours
    monkeypatch.setattr(timing, "repeats", lambda once, wanted: next(repeats))
    assert row_of(maker(), rounds=1)["times"]["ratio"].median == pytest.approx(50.0)


def test_a_row_whose_losses_disagree_is_void_and_has_no_times(stubbed_clock):
    row = row_of(maker(loss=0.5001))
    assert "times" not in row
    assert row["void"] == "the loss is off by 2.0e-04"
    text = page(found([row]))
    assert re.search(r"^ iris float64 +void *$", text, flags=re.MULTILINE)
    assert "iris float64 void: the loss is off by 2.0e-04" in text
    assert "0 of 1 row reached; not iris float64" in text


def test_a_round_with_other_epochs_or_another_loss_makes_a_row_void(stubbed_clock):
    # With seed 0, the only one of the held-out runs, all is equal; with round 1 it is not.
    assert row_of(maker(epochs=10))["void"] == "n_iter_ [10, 10], not [10, 11]"
    assert "times" in row_of(maker(epochs=10), dtype="float32")

    def make(whose, kind, n_threads, random_state):
        return Fake(whose, random_state, 10, 0.5 + 0.1 * random_state * (whose == OURS))

    row = row_of(make)
    assert (row["void"], "times" in row) == ("the loss is off by 2.0e-01", False)


def test_an_estimator_that_fails_is_a_result(stubbed_clock):
    def make(whose, kind, n_threads, random_state):
        if whose == OURS:
            raise NotImplementedError("not\nyet")
        return Fake(whose, random_state, 10, 0.5)

    row = row_of(make)
    assert row["failed"] == "not yet"
    assert "iris float64 failed: not yet" in page(found([row]))


# Calls.


def call(ours, theirs, reach=None):
    acts = {OURS: ours, THEIRS: theirs}
    return estimator_timings.Call("a call", lambda whose: acts[whose], reach)


@pytest.fixture
def calls_in_turns(monkeypatch):
    monkeypatch.setattr(timing, "repeats", lambda once, wanted: 10)
    monkeypatch.setattr(
        timing,
        "in_turns",
        lambda acts, rounds: {THEIRS: [0.004] * rounds, OURS: [0.00004] * rounds},
    )


def test_a_call_is_timed_in_microseconds_beside_scikit_learn_s(calls_in_turns):
    row = estimator_timings.compare_call(
        call(lambda: [0.1, 0.9], lambda: [0.1, 0.9], 5.0), "float64", 3
    )
    assert row["us"][OURS].median == pytest.approx(4)
    assert row["us"][THEIRS].median == pytest.approx(400)
    assert row["ratio"].median == pytest.approx(100)
    text = page(found(calls=[row]))
    assert re.search(r"^ a call +400 +4.00 +100 +5.00 *$", text, flags=re.MULTILINE)
    assert re.search(r"^ float64 .* yes *$", text, flags=re.MULTILINE)
    slow = page(found(calls=[{**row, "reach": 3.9}]))
    assert re.search(r"^ float64 .* NO *$", slow, flags=re.MULTILINE)


@pytest.mark.parametrize("other", [[0.1, 0.8], [[0.1, 0.9]], [0.1, np.nan]])
def test_a_call_that_returns_something_else_is_void(other, calls_in_turns):
    row = estimator_timings.compare_call(call(lambda: other, lambda: [0.1, 0.9]), "float64", 1)
    assert row["void"] == "it returns something else than scikit-learn's"
    assert "us" not in row
    assert "a call float64 void: it returns" in page(found(calls=[row]))


def test_a_call_that_fails_is_a_result():
    row = estimator_timings.compare_call(call(lambda: 1 / 0, lambda: 1.0), "float64", 1)
    assert row["failed"] == "division by zero"


def test_calls_are_a_short_fit_predictions_and_the_predictor(monkeypatch):
    monkeypatch.setattr(estimator_timings, "SECONDS_PER_TIMING", 1e-9)
    monkeypatch.setattr(estimator_timings, "MANY_ROWS", 1000)

    class WithPredictor:
        def __init__(self, model):
            self.model = model

        def predict_proba(self, row):
            assert row.shape == (20,)
            return self.model.predict_proba(row.reshape(1, -1))[0]

    def make(whose, kind, n_threads, **settings):
        model = estimator(THEIRS, kind, n_threads, **settings)
        model.predictor = lambda: WithPredictor(model)
        return model

    rows = estimator_timings.time_calls(DTYPES, 1, 1, make)
    assert [row["dtype"] for row in rows] == ["float64"] * 4 + ["float32"] * 4
    assert len({row["call"] for row in rows}) == 4
    for row in rows:
        assert row["ratio"].median > 0
    assert [row["reach"] for row in rows[:4]] == [None, None, None, 5.0]


# What is printed.

ABOUT = About(
    processor="A Processor",
    system="A System",
    cores=[3],
    threads=1,
    versions={"numpy": "2.0", "scikit-learn": "1.9"},
)


def found(fits=(), calls=()):
    return {"about": ABOUT, "rounds": 7, "fits": list(fits), "calls": list(calls)}


def page(measured, width=80):
    file = io.StringIO()
    console = Console(file=file, width=width, highlight=False)
    estimator_tables.show(console, "engine compare estimators", measured)
    return file.getvalue()


def fit_row(name="iris", dtype="float64", ratio=12.0, ceiling=47.0):
    scores = {OURS: [0.9, 0.5, -13.6], THEIRS: [0.9, 0.8, -13.5]}
    epochs = {OURS: [200, 107], THEIRS: [200, 107]}
    wanted = estimator_timings.reach(ceiling)
    return {
        "data": name,
        "kind": KINDS[name],
        "dtype": dtype,
        "rows": 1797,
        "features": 64,
        "sizes": [64, 100, 10],
        "agreement": {
            "seeds": 20,
            "same_epochs": 19,
            "same_scores": 18,
            "loss_off": 3e-12,
            "scores": scores,
        },
        "times": {
            "ms": {THEIRS: 1234.0, OURS: 102.8},
            "ratio": (ratio, ratio - 0.1, ratio + 0.1),
            "ceiling": (ceiling, ceiling, ceiling),
            "reach": wanted,
            "reached": ratio >= wanted,
            "gemm_gflops": 42.5,
            "epochs": epochs,
        },
    }


def test_the_table_says_its_direction_and_what_was_not_reached():
    text = page(found([fit_row(), fit_row("digits", "float32", 2.0, 5.4)]))
    assert "fit: scikit-learn takes so many times as long (higher: engine is faster)" in text
    won, lost = (re.search(rf"^ {name} .*\n.*$", text, re.MULTILINE) for name in ("iris", "digits"))
    assert won is not None
    assert lost is not None
    first, second = won[0].splitlines()
    assert first.split() == ["iris", "float64", "107-200", "1234", "12.0", "47.0", "10.0"]
    assert second.split()[3:] == ["103", "11.9-12.1", "42.5", "GF/s", "yes"]
    first, second = lost[0].splitlines()
    assert first.split()[4:] == ["2.00", "5.40", "2.70"]
    assert second.split()[-1] == "NO"
    assert "1 of 2 rows reached; not digits float32" in text
    assert re.search(r"^ iris +3e-12 +19 of 20 +0.8000 +0.5000 *$", text, re.MULTILINE)


@pytest.mark.parametrize("width", [80, 132])
def test_no_table_is_cut_at_any_usual_width(width):
    us = {whose: (123456.0, 123456.0, 123456.0) for whose in BOTH}
    names = ["fit, 4 rows, max_iter=1", "predict_proba, 100000 rows"]
    calls = [
        {"call": name, "dtype": "float32", "us": us, "ratio": (123.0, 120.0, 130.0), "reach": 5.0}
        for name in names
    ]
    text = page(found([fit_row("breast_cancer")], calls), width)
    assert "…" not in text
    assert text.count("123456-123456") == 4


def test_the_summary_has_a_row_for_each_data_set_and_names_command_and_machine():
    void = {key: value for key, value in fit_row(dtype="float32").items() if key != "times"}
    rows = [
        fit_row("breast_cancer", ratio=12.34, ceiling=47.0),
        fit_row("breast_cancer", "float32", ratio=20.0, ceiling=90.0),
        fit_row("diabetes"),
        {**void, "data": "diabetes", "void": "oh"},
    ]
    lines = estimator_tables.summary("engine compare estimators", found(rows)).splitlines()
    assert lines[2:] == [
        "| breast cancer | 1797 x 64 | 0.800 | 0.500 | 1234 | 103 | **12.3** | **20.0** | 47.0 | "
        "90.0 |",
        "| diabetes | 1797 x 64 | R2 0.800 | R2 0.500 | 1234 | 103 | **12.0** | void | 47.0 |  |",
        "",
        "`engine compare estimators`, A Processor, 1 thread, 7 rounds, 20 splits; "
        "scikit-learn 1.9.",
    ]


# The command.


@pytest.mark.proof
@pytest.mark.compiled
def test_estimators_are_compared_by_the_command_and_kept_in_a_file(tmp_path):
    options = ["--data", "iris", "--dtype", "float64", "--rounds", "1", "--seeds", "1"]
    arguments = ["compare", "estimators", "--part", "fits", *options, "--json", "f.json"]
    done = engine(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"engine {' '.join(arguments)}\n")
    kept = json.loads((tmp_path / "f.json").read_text())
    assert (kept["calls"], kept["about"]["threads"]) == ([], 1)
    (row,) = kept["fits"]
    assert row["sizes"] == [4, 100, 3]
    assert row["agreement"]["same_scores"] == row["agreement"]["seeds"] == 1
    assert row["times"]["ratio"][0] > 0
