"""`engine compare`: how it times, what it counts, when a time is void, and what it prints."""

import io
import json
import math
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from engine.comparison import (
    jobs,
    libraries,
    machine,
    measuring_process,
    memory_peaks,
    pass_tables,
    pass_timings,
    resident_memory,
    startup_and_memory_tables,
    startup_timings,
    timing,
    training_tables,
    training_timings,
)
from engine.comparison.jobs import KNOWN, OURS, PEERS, Job
from engine.comparison.libraries import available_libraries
from engine.comparison.problems import NAMED, SUITES, Problem, TrainingTask, draw, parse_shape
from engine.comparison.report import figures_file
from engine.equations.backends import BACKENDS
from tests.processes import engine, run
from tests.test_public_names import modules_after

DTYPES = ("float32", "float64")
SMALL = Problem((3, 4, 1), 40, 16)
KINDS = (
    SMALL,  # a short last batch
    Problem((3, 4, 2, 3), 30, 10, "softmax", "relu"),
    Problem((3, 5, 2), 24, 100, "identity"),  # a batch larger than the data
    Problem((2, 3, 1), 1, 1, "identity"),
    Problem((4, 1), 20, 6),
)


# The rules of timing.


class FakeClock:
    """Time passes only when an act says so; remembers who acted."""

    def __init__(self):
        self.now = 0.0
        self.order = []

    def __call__(self):
        return self.now

    def act(self, name, durations):
        left = iter(durations)

        def run():
            self.order.append(name)
            self.now += next(left)

        return run


def test_contenders_act_in_turns_and_each_act_is_timed_by_itself():
    clock = FakeClock()
    acts = {"a": clock.act("a", [1.0, 2.0]), "b": clock.act("b", [4.0, 8.0])}
    assert timing.in_turns(acts, rounds=2, clock=clock) == {"a": [1.0, 2.0], "b": [4.0, 8.0]}
    assert clock.order == ["a", "b", "a", "b"]


def test_a_ratio_is_the_median_of_the_rounds_ratios_and_not_a_ratio_of_medians():
    ours, theirs = [1.0, 10.0, 2.0], [3.0, 20.0, 8.0]  # ratios 3, 2, 4; medians 2 and 8
    assert timing.ratio(theirs, to=ours) == (3.0, 2.5, 3.5)


def test_a_drift_that_both_meet_cancels_out():
    drift = np.linspace(1, 2, 7)
    assert timing.ratio(list(3 * drift), to=list(drift)) == pytest.approx((3.0, 3.0, 3.0))


def test_a_ratio_needs_as_many_rounds_of_both():
    with pytest.raises(ValueError, match="zip"):
        timing.ratio([1.0, 2.0], to=[1.0])


def test_differences_are_taken_round_by_round():
    assert timing.difference([3.0, 30.0, 5.0], [1.0, 10.0, 4.0]).median == 2.0


def test_the_geometric_mean_of_inverse_ratios_is_the_inverse():
    values = [0.5, 3.0, 7.0]
    mean = timing.geometric_mean(values)
    assert mean == pytest.approx((0.5 * 3 * 7) ** (1 / 3))
    assert timing.geometric_mean([1 / value for value in values]) == pytest.approx(1 / mean)


@pytest.mark.parametrize(("once", "times"), [(0.02, 3), (0.05, 1), (0.06, 1), (10.0, 1)])
def test_what_is_short_is_repeated_and_what_is_long_is_done_once(once, times):
    assert timing.repeats(once, wanted=0.05) == times


# Problems.


@pytest.mark.parametrize(
    ("sizes", "flops"),
    [
        ((2, 1), 2 * 2 * 2),
        ((2, 4, 1), 2 * (2 * 8 + 3 * 4)),
        ((20, 100, 1), 8600),
        ((784, 128, 10), 2 * (2 * 100_352 + 3 * 1280)),
        ((4, 32, 16, 4), 2 * (2 * 128 + 3 * (512 + 64))),
    ],
)
def test_flops_are_those_counted_by_hand(sizes, flops):
    assert Problem(sizes, 10, 5, "identity").flops_per_sample == flops


@pytest.mark.parametrize(("m", "batch", "steps"), [(40, 16, 3), (32, 16, 2), (5, 100, 1)])
def test_a_short_last_batch_is_a_step(m, batch, steps):
    assert Problem((3, 1), m, batch).steps_per_epoch == steps


def test_a_shape_is_read_from_text():
    assert parse_shape("20-100-1") == (20, 100, 1)


@pytest.mark.parametrize("text", ["20", "", "20x100", "20-0-1", "20--1", "-1-2", "2.5-1"])
def test_another_text_is_no_shape(text):
    with pytest.raises(ValueError, match=r"--shape must be .* such as 20-100-1; got"):
        parse_shape(text)


def test_outputs_that_a_peer_cannot_have_are_refused():
    with pytest.raises(ValueError, match="a sigmoid output has one unit here; 3-2 has 2"):
        Problem((3, 2), 10, 5)
    with pytest.raises(ValueError, match=r"at least three units .* 3-2 has 2 units for 10 samples"):
        Problem((3, 2), 10, 5, "softmax")
    with pytest.raises(ValueError, match="3-5 has 5 units for 4 samples"):
        Problem((3, 5), 4, 2, "softmax")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "problem", [*KINDS, Problem((3, 7), 7, 4, "softmax")], ids=lambda problem: problem.name
)
def test_data_fit_the_network_and_leave_no_class_out(problem, dtype):
    rows, targets = draw(problem, dtype)
    assert (rows.shape, rows.dtype) == ((problem.n_samples, problem.sizes[0]), dtype)
    if problem.output == "identity":
        assert targets.dtype == dtype
        assert targets.size == problem.n_samples * problem.sizes[-1]
    else:
        n_classes = max(2, problem.sizes[-1])
        assert sorted(set(targets.tolist())) == list(range(n_classes))
    again = draw(problem, dtype)
    np.testing.assert_array_equal(again.rows, rows)
    np.testing.assert_array_equal(again.targets, targets)


def test_the_cost_of_parameters_is_computed_in_float64_whoever_found_them():
    task = TrainingTask(SMALL, "float32")
    X = task.data.rows.T.astype(np.float64)
    A = task.network.forward(task.theta.astype(np.float64), X)[0]
    y = task.data.targets
    expected = -np.mean(y * np.log(A) + (1 - y) * np.log(1 - A))
    assert task.cost(task.theta) == pytest.approx(expected, rel=1e-12)


def test_the_suites_cover_what_they_are_for():
    reach = SUITES["reach"]
    assert {(2, 4, 1), (784, 128, 1), (1000, 400, 1)} <= {p.sizes for p in reach}
    assert (min(p.batch_size for p in reach), max(p.batch_size for p in reach)) == (16, 256)
    assert {p.output for p in reach} == {"sigmoid", "softmax", "identity"}
    odd = SUITES["odd"]
    assert any(p.batch_size > p.n_samples for p in odd)
    assert any(p.batch_size == 1 for p in odd)
    assert any(p.n_samples == 1 for p in odd)
    assert max(len(p.sizes) - 2 for p in odd) == 5
    assert max(p.sizes[0] for p in odd) == 2000
    for suite in SUITES.values():
        assert len(set(suite)) == len(suite)


# Contenders do the same work.


class ReferenceJob:
    """Adam spelled out, in plain NumPy around J and its gradient."""

    def __init__(self, task, learning_rate=1e-3):
        self.task = task
        self.learning_rate = learning_rate

    def prepare(self, epochs, shuffle):
        return lambda: self.theta_after(epochs, shuffle)

    def parameters(self, result):
        return result

    def theta_after(self, epochs, shuffle):
        task, (rows, targets) = self.task, self.task.data
        generator = np.random.default_rng(5)
        theta = task.theta.astype(np.float64)
        m, v, t = np.zeros_like(theta), np.zeros_like(theta), 0
        for _ in range(epochs):
            order = np.arange(len(rows))
            if shuffle:
                generator.shuffle(order)
            for start in range(0, len(rows), task.problem.batch_size):
                batch = order[start : start + task.problem.batch_size]
                X, Y = rows[batch].T.astype(np.float64), targets[batch].T
                _, g = task.network.cost_and_gradient(theta, X, Y, backend="numpy")
                t += 1
                m = 0.9 * m + 0.1 * g
                v = 0.999 * v + 0.001 * g * g
                rate = self.learning_rate * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
                theta = theta - rate * m / (np.sqrt(v) + 1e-8)
        return theta


def trained_cost(task: TrainingTask, job: Job, epochs: int, shuffle: bool) -> float:
    theta = job.parameters(job.prepare(epochs, shuffle)())
    assert theta.shape == task.theta.shape
    return task.cost(theta)


@pytest.mark.filterwarnings("default")  # the peers' own
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", KINDS, ids=lambda problem: problem.name)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.proof] if name == "torch-compiled" else [])
        for name in PEERS
    ],
)
def test_a_peer_takes_the_steps_of_the_reference(name, problem, dtype):
    pytest.importorskip(PEERS[name].imports)
    task = TrainingTask(problem, dtype)
    start = task.cost(task.theta)
    job = jobs.job(name, task)
    expected = trained_cost(task, ReferenceJob(task), 10, False)
    allowed = 1e-4 if name == "torch" or dtype == "float32" else 1e-11
    assert trained_cost(task, job, 10, False) == pytest.approx(expected, rel=allowed)
    assert expected < start
    # A call starts anew; shuffled, it takes other batches to nearly the same cost.
    assert trained_cost(task, job, 10, False) == pytest.approx(expected, rel=allowed)
    shuffled = trained_cost(task, job, 10, True)
    assert abs(shuffled - expected) <= 0.1 * (start - expected) + 0.01 * start
    if problem.steps_per_epoch > 1:
        assert shuffled != pytest.approx(expected, rel=allowed)


@pytest.mark.parametrize("name", list(BACKENDS))
def test_this_package_takes_the_steps_of_the_reference(name):
    task = TrainingTask(SMALL, "float64")
    job = jobs.job(name, task)
    try:
        cost = trained_cost(task, job, 10, False)
    except NotImplementedError as error:
        pytest.skip(str(error))
    assert cost == pytest.approx(trained_cost(task, ReferenceJob(task), 10, False), rel=1e-10)


# Who takes part.


def without(monkeypatch, *missing):
    monkeypatch.setattr(
        libraries, "installed_version", lambda name: None if name in missing else "1.0"
    )
    monkeypatch.setattr(libraries, "own_python", lambda name: None)


def test_everybody_who_is_installed_takes_part_in_a_fixed_order(monkeypatch):
    without(monkeypatch)
    ours = [name for name in OURS if name in BACKENDS]
    assert available_libraries() == ([*ours, "sklearn", "torch", "torch-compiled", "jax"], [])


def test_a_missing_peer_is_named_in_one_line_with_the_command(monkeypatch):
    without(monkeypatch, "torch", "scikit-learn")
    names, absent = available_libraries(["jax", "torch", "sklearn"])
    assert names == ["jax"]
    assert absent == [
        "torch is not installed: pip install torch, or engine compare environments torch",
        "sklearn is not installed: pip install scikit-learn, or "
        "engine compare environments scikit-learn",
    ]


def test_nobody_to_compare_is_refused(monkeypatch):
    without(monkeypatch, "jax")
    with pytest.raises(ValueError, match="nobody to compare: jax is not installed: pip install"):
        available_libraries(["jax"])


def test_an_unknown_contender_is_refused():
    with pytest.raises(ValueError, match=r"--contenders must be of tiled, .*, jax; got 'tensor'"):
        available_libraries(["jax", "tensor"])


def test_a_backend_that_is_not_there_is_named_only_if_asked_for(monkeypatch):
    monkeypatch.setattr(libraries, "BACKENDS", {"numpy": None})
    without(monkeypatch)
    assert available_libraries(["tiled", "numpy"]).absent == [
        "tiled is not a backend of this version"
    ]
    assert available_libraries().names[:2] == ["numpy", "sklearn"]
    assert available_libraries().absent == []


@pytest.mark.proof
@pytest.mark.compiled
def test_no_peer_is_imported_to_find_out_who_is_there():
    loaded = modules_after(
        "from engine.comparison import libraries; libraries.available_libraries()"
    )
    assert loaded & {"jax", "sklearn", "torch"} == set()


# Void rows.


def costs(**of_names):
    return {
        name: training_timings.TrainingEntry(cost=cost, cost_shuffled=shuffled, first_call=0.0)
        for name, (cost, shuffled) in of_names.items()
    }


def void_names(entries, dtype="float64"):
    training_timings.mark_void(entries, "tiled", start=0.7, dtype=dtype)
    return {name for name, entry in entries.items() if "void" in entry}


def test_costs_that_agree_make_no_row_void():
    entries = costs(tiled=(0.5, 0.51), jax=(0.5 + 1e-10, 0.515), torch=(0.5003, 0.505))
    assert void_names(entries) == set()


def test_a_cost_that_disagrees_makes_a_time_void():
    entries = costs(tiled=(0.5, 0.5), jax=(0.5 + 1e-7, 0.5), torch=(0.502, 0.5))
    assert void_names(entries) == {"jax", "torch"}
    assert entries["torch"]["void"] == "cost 0.502, not 0.5"


def test_float32_may_differ_by_more():
    assert void_names(costs(tiled=(0.5, 0.5), jax=(0.5 + 1e-6, 0.5)), "float32") == set()
    assert void_names(costs(tiled=(0.5, 0.5), jax=(0.5 + 1e-3, 0.5)), "float32") == {"jax"}


def test_a_cost_with_shuffles_that_is_off_makes_a_time_void():
    assert void_names(costs(tiled=(0.5, 0.5), jax=(0.5, 0.526))) == set()  # 0.02 + 0.007 allowed
    entries = costs(tiled=(0.5, 0.5), jax=(0.5, 0.528))
    assert void_names(entries) == {"jax"}
    assert entries["jax"]["void"] == "cost 0.528 shuffled, not 0.5"


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_cost_that_is_not_finite_makes_a_time_void(broken):
    assert void_names(costs(tiled=(0.5, 0.5), jax=(broken, 0.5))) == {"jax"}
    assert void_names(costs(tiled=(0.5, 0.5), jax=(0.5, broken))) == {"jax"}


def test_a_cost_that_is_nearly_nothing_need_not_agree_in_its_digits():
    assert void_names(costs(tiled=(1e-20, 1e-20), jax=(2e-20, 2e-20))) == set()


class BrokenJob(ReferenceJob):
    def prepare(self, epochs, shuffle):
        raise RuntimeError("it is\nbroken")


class DivergedJob(ReferenceJob):
    def parameters(self, result):
        return result * math.nan


JOBS = {
    "tiled": ReferenceJob,
    "loops": DivergedJob,
    "numpy": BrokenJob,
    "sklearn": ReferenceJob,
    "jax": lambda task: ReferenceJob(task, learning_rate=2e-3),
}


@pytest.fixture
def fake_jobs(monkeypatch):
    monkeypatch.setattr(training_timings, "job", lambda name, task: JOBS[name](task))
    monkeypatch.setattr(training_timings, "CHECKED_STEPS", 12)
    monkeypatch.setattr(training_timings, "SECONDS_PER_TIMING", 1e-9)
    monkeypatch.setattr(training_timings, "EPOCHS_PER_TIMING", 1e-9)


def test_a_comparison_times_only_those_whose_costs_agree(fake_jobs):
    row = training_timings.compare(SMALL, "float64", list(JOBS), rounds=2, n_threads=1)
    entries = row["entries"]
    assert row["base"] == "tiled"
    assert row["checked_steps"] == 12
    assert entries["numpy"] == {"failed": "it is broken"}
    assert {name for name in entries if "ratio" in entries[name]} == {"tiled", "sklearn"}
    assert {name for name in entries if "void" in entries[name]} == {"loops", "jax"}
    assert entries["tiled"]["ratio"] == (1.0, 1.0, 1.0)


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("seconds", "took", "epochs"),
    [
        (0.1, 1e9, (20, 2)),
        (1.0, 1e9, (100, 10)),
        (1.0, 0.1, (2000, 100)),  # the epochs checked took ten times as long, each, as more do
        (3.0, 1e9, (200, 30)),  # no more in a call
    ],
)
def test_a_timing_takes_many_epochs_of_the_first_or_as_long(
    seconds, took, epochs, fake_jobs, monkeypatch
):
    check, per_epoch = training_timings._check, {"tiled": 0.01, "sklearn": 0.1}
    in_order = iter(per_epoch.values())

    def taking_so_long(*arguments):
        return {**check(*arguments), "seconds_per_epoch": next(in_order)}

    def in_turns(acts, rounds):
        return {name: [0.5] * rounds for name in acts}

    def seconds_of(act):
        act()
        return took

    monkeypatch.setattr(training_timings, "_check", taking_so_long)
    monkeypatch.setattr(timing, "seconds", seconds_of)
    monkeypatch.setattr(training_timings, "EPOCHS_PER_TIMING", 20)
    monkeypatch.setattr(training_timings, "SECONDS_PER_TIMING", seconds)
    monkeypatch.setattr(timing, "in_turns", in_turns)
    row = training_timings.compare(SMALL, "float64", list(per_epoch), rounds=2, n_threads=1)
    assert tuple(row["entries"][name]["epochs"] for name in per_epoch) == epochs


def test_several_calls_of_an_act_take_what_each_of_them_says():
    said = iter([0.5, 0.25, 1.0])

    class Remote:
        def seconds(self):
            return next(said)

        def __call__(self):
            pytest.fail("its own clock says what it takes")

    assert timing.seconds(timing.several(Remote(), 3)) == 1.75


def test_where_the_first_does_not_run_the_next_is_compared_with(fake_jobs):
    names = ["numpy", "loops", "sklearn"]
    row = training_timings.compare(SMALL, "float32", names, rounds=1, n_threads=1)
    assert row["base"] == "sklearn"
    nobody = training_timings.compare(SMALL, "float32", ["numpy"], rounds=1, n_threads=1)
    assert (nobody["base"], nobody["rates"]) == (None, None)


def test_rates_are_worked_out_as_by_hand(fake_jobs, monkeypatch):
    def in_turns(acts, rounds):  # in seconds
        assert list(acts) == ["tiled", "sklearn", "gemm"]
        return {"tiled": [0.004] * rounds, "sklearn": [0.02] * rounds, "gemm": [0.01] * rounds}

    monkeypatch.setattr(timing, "in_turns", in_turns)
    row = training_timings.compare(SMALL, "float64", ["tiled", "sklearn"], rounds=3, n_threads=1)
    tiled, sklearn = row["entries"]["tiled"], row["entries"]["sklearn"]
    assert (tiled["epochs"], sklearn["epochs"]) == (1, 1)
    assert tiled["us_per_step"] == pytest.approx(4000 / 3)  # three steps an epoch
    assert sklearn["ratio"] == pytest.approx((5.0, 5.0, 5.0))
    flops = 40 * 2 * (2 * 12 + 3 * 4)
    gflops, gemm_gflops = flops / 0.004 / 1e9, 2 * 1024**3 / 0.01 / 1e9
    assert row["rates"] is not None
    assert row["rates"]["gflops"] == pytest.approx(gflops)
    assert row["rates"]["gemm_gflops"] == pytest.approx(gemm_gflops)
    assert row["rates"]["share_of_gemm"] == pytest.approx(gflops / gemm_gflops)


def test_a_contender_that_trains_for_more_epochs_is_compared_by_the_sample(fake_jobs, monkeypatch):
    def in_turns(acts, rounds):
        return {"tiled": [0.004], "sklearn": [0.02], "gemm": [0.01]}

    monkeypatch.setattr(timing, "in_turns", in_turns)
    epochs = iter([10, 5])
    monkeypatch.setattr(timing, "repeats", lambda once, wanted: next(epochs))
    row = training_timings.compare(SMALL, "float64", ["tiled", "sklearn"], rounds=1, n_threads=1)
    assert row["entries"]["sklearn"]["ratio"] == pytest.approx((10.0, 10.0, 10.0))


# What is printed.


def page(show, *arguments, width=120):
    file = io.StringIO()
    show(Console(file=file, width=width, highlight=False), *arguments)
    return file.getvalue()


ABOUT = machine.About(
    processor="A Processor", system="A System", cores=[3], threads=1, versions={"numpy": "2.0"}
)


def timed(us, *ratio, **more):
    return {"cost": 0.5, "first_call": 0.25, "us_per_step": us, "ratio": ratio, **more}


def training_row(name="20-100-1", dtype="float32", base="tiled", **entries):
    return {
        "problem": name,
        "output": "softmax",
        "hidden": "relu",
        "n_samples": 5000,
        "batch_size": 128,
        "dtype": dtype,
        "checked_steps": 120,
        "base": base,
        "rates": {"gflops": 50.0, "gemm_gflops": 100.0, "share_of_gemm": 0.5} if base else None,
        "entries": entries,
    }


def training_found(*rows, absent=()):
    return {"about": ABOUT, "rounds": 7, "absent": list(absent), "rows": list(rows)}


WON_AND_LOST = training_found(
    training_row(tiled=timed(33.0, 1.0, 1.0, 1.0), jax=timed(132.0, 4.0, 3.9, 4.2)),
    training_row("784-128-1", tiled=timed(700.0, 1.0, 1.0, 1.0), jax=timed(560.0, 0.8, 0.79, 0.81)),
)


def test_the_table_says_its_direction_and_divides_the_peer_s_time_by_ours():
    text = page(training_tables.show, "engine compare training", WON_AND_LOST)
    assert "Time a sample / tiled's (higher: tiled is faster); below it the quartiles" in text
    row = next(line for line in text.splitlines() if line.startswith(" 20-100-1"))
    assert row.split() == ["20-100-1", "float32", "33.0", "50.0", "0.5000", "4.00"]
    assert "3.90-4.20" in text
    assert "Geometric mean of time / tiled's (higher: tiled is faster)" in text
    (mean,) = re.findall(r"^ jax +([\d.]+) +([\d.]+) +(\d) +0.25 s", text, flags=re.MULTILINE)
    assert mean == ("1.79", "0.80", "2")  # sqrt(4 x 0.8)


def test_a_loss_is_printed_as_plainly_as_a_win():
    text = page(training_tables.show, "c", WON_AND_LOST)
    row = next(line for line in text.splitlines() if line.startswith(" 784-128-1"))
    assert row.split()[-1] == "0.80"
    # Half of gemm's rate, at 0.8 of our time: gemm would need 0.5 / 0.8 of JAX's time.
    assert (
        "tiled is behind jax on 784-128-1 float32: 0.80 (the arithmetic at gemm's rate takes 62% "
        "of jax's time)" in text
    )
    assert "behind jax on 20-100-1" not in text


def test_a_table_without_a_loss_says_so():
    found = training_found(WON_AND_LOST["rows"][0])
    assert "tiled is behind nobody on any row that counts." in page(
        training_tables.show, "c", found
    )


def test_a_void_or_failed_entry_is_printed_as_such_and_counts_for_nothing():
    rows = [
        training_row(
            name,
            tiled=timed(33.0, 1.0, 1.0, 1.0),
            jax={"cost": 0.6, "first_call": 0.0, "void": "cost 0.6, not 0.5"},
            torch={"failed": "no memory"},
            sklearn=timed(300.0, 9.0, 9.0, 9.0),
        )
        for name in ("2-4-1", "20-100-1")
    ]
    text = page(training_tables.show, "c", training_found(*rows))
    assert re.search(r"^ 2-4-1 .* void +failed +9.00 *$", text, flags=re.MULTILINE)
    assert "jax void: cost 0.6, not 0.5  (all problems)" in text
    assert "torch failed: no memory  (all problems)" in text
    assert re.search(r"^ sklearn +9.00 ", text, flags=re.MULTILINE)
    assert not re.search(r"^ (jax|torch) +\d", text, flags=re.MULTILINE)


def test_a_row_in_which_ours_did_not_run_shows_no_ratio_to_another():
    rows = [
        training_row(tiled=timed(33.0, 1.0, 1.0, 1.0), jax=timed(66.0, 2.0, 2.0, 2.0)),
        training_row("9-9-1", base="jax", tiled={"failed": "oh"}, jax=timed(9.0, 1.0, 1.0, 1.0)),
    ]
    text = page(training_tables.show, "c", training_found(*rows))
    (row,) = [line for line in text.splitlines() if line.startswith(" 9-9-1")]
    assert row.split() == ["9-9-1", "float32", "failed"]
    assert re.search(r"^ jax +2.00 +2.00 +1 ", text, flags=re.MULTILINE)


def test_a_run_without_anybody_prints_why():
    found = training_found(training_row(base=None, tiled={"failed": "not there"}))
    assert "tiled failed: not there  (all problems)" in page(training_tables.show, "c", found)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_widest_table_is_not_cut_at_any_usual_width(width):
    entries = {name: timed(12345.0, 123.4, 120.1, 130.2) for name in KNOWN}
    rows = [training_row("10-20-20-20-20-20-1", dtype, **entries) for dtype in DTYPES]
    text = page(training_tables.show, "c", training_found(*rows), width=width)
    assert "…" not in text
    assert text.count("120-130") == 2 * (len(KNOWN) - 1)


def test_the_top_names_the_command_machine_versions_threads_and_who_is_absent():
    found = training_found(*WON_AND_LOST["rows"], absent=["torch is not installed: pip ..."])
    text = page(training_tables.show, "engine compare training --dtype float32", found)
    assert text.splitlines()[:6] == [
        "engine compare training --dtype float32",
        "A Processor",
        "A System",
        "numpy 2.0",
        "1 thread, kept to core 3; 7 rounds, contenders in turns",
        "torch is not installed: pip ...",
    ]
    assert "epsilon stands outside the bias correction" in " ".join(text.split())


# Where it is measured.


def test_a_process_is_held_to_its_threads():
    one, two = measuring_process.fixed_threads(1), measuring_process.fixed_threads(2)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        assert (one[name], two[name]) == ("1", "2")
    assert "multi_thread_eigen=false" in one["XLA_FLAGS"]
    assert "intra_op_parallelism_threads=2" in two["XLA_FLAGS"]


def test_more_threads_than_cores_are_refused(monkeypatch):
    monkeypatch.setattr(measuring_process, "usable_cores", lambda: [2, 5, 7])
    assert measuring_process.cores_for(2) == [5, 7]
    for count in (0, 4):
        with pytest.raises(ValueError, match=f"--threads must be from 1 to 3, .* got {count}"):
            measuring_process.cores_for(count)


def test_this_process_stays_as_it_was(monkeypatch):
    seen = []

    def run_nothing(arguments, env, **_):
        seen.append(env)
        Path(arguments[-1]).write_text('{"found": 5}')
        return SimpleNamespace(returncode=0)

    before = dict(os.environ)
    monkeypatch.setattr("subprocess.run", run_nothing)
    assert measuring_process.measured("training", 1) == 5
    assert seen[0]["OMP_NUM_THREADS"] == "1"
    assert dict(os.environ) == before


@pytest.mark.compiled
def test_a_measuring_process_that_dies_is_told_of(monkeypatch, capfd):
    monkeypatch.setattr(measuring_process, "WORKER", "engine.comparison.no_such_worker")
    with pytest.raises(ChildProcessError, match=r"ended with status 1 and no answer; .* Try"):
        measuring_process.measured("training", 1)
    assert "no_such_worker" in capfd.readouterr().err


@pytest.mark.proof
@pytest.mark.compiled
def test_what_the_measuring_process_refuses_is_refused_here():
    with pytest.raises(ValueError, match="a sigmoid output has one unit here"):
        measuring_process.measured(
            "training",
            1,
            problems=[{"sizes": [2, 2], "n_samples": 4, "batch_size": 2}],
            dtypes=["float32"],
            contenders=["sklearn"],
            rounds=1,
        )


def test_the_yardstick_multiplies_in_the_dtype_that_is_asked_for():
    products: list[Any] = [machine.gemm(dtype)() for dtype in DTYPES]
    assert [product.dtype for product in products] == list(DTYPES)
    assert {product.shape for product in products} == {(1024, 1024)}


# The other parts, on little.


def test_gradients_of_the_backends_agree_and_are_timed(monkeypatch):
    monkeypatch.setattr(pass_timings, "SECONDS_PER_GRADIENT", 1e-9)
    row = pass_timings.compare(TrainingTask(Problem((3, 4, 1), 300, 300), "float64"), rounds=2)
    for name in BACKENDS:
        entry = row["entries"][name]
        assert set(entry) == {"n_samples", "ns_per_sample", "gflops", "share_of_gemm", "ratio"}
        assert entry["gflops"] == pytest.approx(72 / entry["ns_per_sample"])
    text = page(pass_tables.show_gradient, "c", {"about": ABOUT, "rounds": 2, "rows": [row]})
    assert f"time a sample / {row['base']}'s (higher: {row['base']} is faster)" in text
    assert re.search(r"float64: geometric mean over 1 shapes .* of gemm's rate", text)


def test_a_gradient_that_disagrees_is_void(monkeypatch):
    evaluation = pass_timings.evaluation
    name = next(iter(set(BACKENDS) - {"numpy"}))

    def off(task, backend, n_samples=None):
        J, dtheta = evaluation(task, backend, n_samples)()
        return lambda: (J, dtheta * (1.001 if backend == name else 1))

    monkeypatch.setattr(pass_timings, "evaluation", off)
    row = pass_timings.compare(TrainingTask(SMALL, "float64"), rounds=1)
    assert row["entries"][name] == {"void": "its gradient is off by 1.0e-03"}
    found = {"about": ABOUT, "rounds": 1, "rows": [row]}
    text = page(pass_tables.show_gradient, "c", found)
    assert f"{name} void on 3-4-1 float64: its gradient is off by 1.0e-03" in text


def test_a_slow_backend_gets_fewer_samples(monkeypatch):
    monkeypatch.setattr(pass_timings, "SECONDS_PER_GRADIENT", 1e-9)
    monkeypatch.setattr(pass_timings, "LONGEST_TIMING", 1e-9)
    _, n_samples = pass_timings.act_to_time(
        TrainingTask(Problem((3, 4, 1), 300, 300), "float64"), "numpy"
    )
    assert n_samples == pass_timings.FEW_SAMPLES


@pytest.mark.parametrize(("most", "counts"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6])])
def test_thread_counts_double_up_to_the_most(most, counts):
    assert pass_timings.thread_counts(most) == counts


def test_threads_are_compared_with_gemm_s_own_speed_up(monkeypatch):
    monkeypatch.setattr(pass_timings, "_evaluation", lambda *_: lambda: (1.0, np.zeros(2)))
    monkeypatch.setattr(pass_timings, "_calls", lambda act: 10)

    def in_turns(acts, rounds):
        seconds = {
            "gradient 1": 0.30,
            "gradient 2": 0.20,
            "gemm 1 blas": 0.2,
            "gemm 2 blas": 0.16,
            "gemm 2 rows": 0.125,
        }
        assert set(acts) == set(seconds)
        return {name: [time] * rounds for name, time in seconds.items()}

    monkeypatch.setattr(timing, "in_turns", in_turns)
    row = pass_timings.scaling(TrainingTask(SMALL, "float32"), "numpy", [1, 2], rounds=3)
    assert row["ms_on_one"] == pytest.approx(30)
    assert row["speed_up"]["2"].median == pytest.approx(1.5)
    assert row["gemm_speed_up"]["2"] == pytest.approx(1.6)  # the better way
    assert row["of_gemm"]["2"] == pytest.approx(1.5 / 1.6)
    assert row["same_bits"]


def test_other_bits_on_more_threads_are_seen(monkeypatch):
    def evaluation(task, backend, n_threads):
        return lambda: (1.0, np.full(2, 1 + n_threads * 1e-16 * 2))

    monkeypatch.setattr(pass_timings, "_evaluation", evaluation)
    monkeypatch.setattr(pass_timings, "SECONDS_PER_TIMING", 1e-9)
    row = pass_timings.scaling(TrainingTask(SMALL, "float32"), "numpy", [1, 2], rounds=1)
    assert not row["same_bits"]


def test_threads_are_shown_with_their_direction(monkeypatch):
    monkeypatch.setattr(pass_timings, "SECONDS_PER_TIMING", 1e-9)
    task = TrainingTask(SMALL, "float32")
    large = pass_timings.scaling(task, "numpy", [1, 2], rounds=1)
    small = pass_timings.by_default(task, "numpy", rounds=1)
    found = {
        "about": ABOUT,
        "rounds": 1,
        "backend": "numpy",
        "counts": [1, 2],
        "large": [large, pass_timings.scaling(task, "numpy", [1], rounds=1)],
        "small": [small],
    }
    if "failed" not in large:
        found["large"] = [large]
        assert large["same_bits"]
    else:
        found["large"] = [large]
        assert "n_threads=2 is not available yet" in page(pass_tables.show_threads, "c", found)
    text = page(pass_tables.show_threads, "c", found)
    assert "time on one thread / time (higher: threads gain more)" in text
    assert "(below 1: worse than one thread)" in text


def test_gemm_gives_the_same_product_whoever_splits_it():
    acts = pass_timings.gemms("float64", [1, 2])
    assert set(acts) == {"gemm 1 blas", "gemm 2 blas", "gemm 2 rows"}
    for act in acts.values():
        act()


@pytest.mark.proof
@pytest.mark.compiled
def test_start_up_is_told_in_imports_of_numba(monkeypatch):
    monkeypatch.setattr(startup_timings, "XNOR", "pass  # {solver!r}")
    found = startup_timings.measure_startup(rounds=1, n_threads=1, solver="gd")
    entries = found["entries"]
    assert entries[startup_timings.NUMBA]["in_numba_imports"] == (1.0, 1.0, 1.0)
    assert entries[startup_timings.BARE]["over_bare"] == 0
    assert (
        entries[startup_timings.NUMBA]["over_bare"] > entries[startup_timings.ENGINE]["over_bare"]
    )
    text = page(startup_and_memory_tables.show_startup, "c", found)
    assert "(lower is better)" in text
    assert re.search(r"^ import numba .* 1.00 *$", text, flags=re.MULTILINE)


@pytest.mark.proof
@pytest.mark.compiled
def test_the_program_that_start_up_times_works():
    done = run("-c", startup_timings.XNOR.format(solver="gd"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.compiled
def test_a_fresh_process_that_fails_is_no_measurement():
    with pytest.raises(ValueError, match=r"a fresh process that was timed failed: .*no_such"):
        startup_timings.answer_of("import no_such_module")


@pytest.mark.proof
@pytest.mark.compiled
@pytest.mark.parametrize(("output", "n_out"), [("sigmoid", 1), ("softmax", 10)])
def test_memory_is_what_training_adds_to_its_data(output, n_out):
    problem = Problem((20, 4, n_out), 20_000, 256, output)
    row = memory_peaks.probe(problem, "float32", "gd", 1)
    assert row["data"] == 20_000 * (80 + (8 if output == "softmax" else 4))
    assert 0 <= row["extra"] < 16e6


@pytest.mark.proof
@pytest.mark.compiled
def test_a_run_that_fails_in_its_own_process_is_told_of():
    with pytest.raises(ValueError, match=r"process that trains on 50 samples: .*solver"):
        memory_peaks.probe(Problem((3, 1), 50, 10), "float32", "newton", 1)


def test_a_peak_is_seen_after_what_caused_it_is_gone():
    before = resident_memory.start_counting()
    np.ones(8_000_000)  # 64 MB
    assert resident_memory.peak() - before > 60e6


def test_memory_is_told_by_the_sample_and_as_a_fixed_part():
    rows = [
        {**row, "problem": "p", "output": "o", "dtype": "d", "data": 10**6}
        for row in ({"n_samples": n, "extra": 12 * n + 3_000_000} for n in (10**5, 3 * 10**5))
    ]
    assert memory_peaks.line(rows) == pytest.approx((12, 3e6))
    text = page(
        startup_and_memory_tables.show_memory, "c", {"about": ABOUT, "solver": "gd", "rows": rows}
    )
    assert "p d: 12.0 bytes a sample and 3.0 MB" in text
    assert "(lower is better)" in text


# The command.


TINY = ["--shape", "3-4-1", "--samples", "24", "--batch", "10", "--rounds", "1"]


@pytest.mark.proof
@pytest.mark.compiled
def test_training_is_compared_by_the_command_and_kept_in_a_file(tmp_path):
    arguments = ["compare", "training", *TINY, "--contenders", "numpy,sklearn", "--json", "f.json"]
    done = engine(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"engine {' '.join(arguments)}\n")
    assert done.stdout.endswith("\nFigures: f.json\n")
    kept = json.loads((tmp_path / "f.json").read_text())
    assert kept["command"] == f"engine {' '.join(arguments)}"
    assert kept["about"]["threads"] == len(kept["about"]["cores"]) == 1
    assert [row["dtype"] for row in kept["rows"]] == list(DTYPES)
    for row in kept["rows"]:
        assert row["base"] in ("numpy", "sklearn")
        assert row["rates"]["gflops"] > 0
        assert "us_per_step" in row["entries"]["sklearn"]


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["training", "--suite", "huge"], "--suite must be 'small', 'reach', 'sizes' or 'odd'"),
        (
            ["training", "--suite", "odd", *TINY],
            "--suite, --problem and --shape exclude",
        ),
        (["training", "--shape", "3x4"], "--shape must be layer sizes"),
        (["training", *TINY, "--output", "exp"], "--output must be"),
        (["training", *TINY, "--hidden", "sin"], "--hidden must be"),
        (["training", *TINY, "--contenders", "tensor"], "--contenders must be of"),
        (["training", "--dtype", "float16"], "--dtype must be 'float32', 'float64' or 'both'"),
        (["training", *TINY, "--threads", "4096"], "--threads must be from 1 to"),
        (
            ["training", *TINY, "--json", "no/such/folder"],
            "no/such/folder cannot be written: No",
        ),
        (["training", "--rounds", "0"], "'--rounds'"),
        (["memory", "--samples", "1e5"], "--samples must be whole numbers above 0, .* got '1e5'"),
        (["startup", "--solver", "newton"], "--solver must be"),
        (["estimators", "--part", "all"], "--part must be 'fits', 'calls' or 'both'; got 'all'"),
        (["estimators", "--data", "iris,cars"], "--data must be 'iris', .*; got 'cars'"),
        (["many", "--part", "jax"], "--part must be 'networks', .* or 'all'; got 'jax'"),
        (["second-order", "--part", "lm"], "--part must be 'goals', .* or 'all'; got 'lm'"),
        (["nope"], "No such command 'nope'"),
    ],
)
def test_wrong_use_is_one_line(tmp_path, arguments, message):
    done = engine("compare", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"engine: .*{message}.*\n", done.stderr), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.compiled
@pytest.mark.parametrize(
    "part",
    [
        "estimators",
        "training",
        "second-order",
        "many",
        "gradient",
        "threads",
        "startup",
        "loading",
        "memory",
    ],
)
def test_every_option_of_a_comparison_is_explained(part, tmp_path):
    done = engine("compare", part, "--help", cwd=tmp_path)
    rows = re.findall(r"^\W*(--[a-z]+) .*", done.stdout, flags=re.MULTILINE)
    assert {"--json", "--help"} < set(rows)
    for option in rows:
        assert re.search(rf"{option} .*  [A-Za-z][a-z0-9]+.*\.", done.stdout), option


@pytest.mark.compiled
def test_listing_the_comparisons_loads_nothing_that_takes_time():
    code = "import sys; sys.argv[1:] = ['compare', '--help']\nfrom engine.cli import main\n"
    loaded = modules_after(f"{code}try: main.main()\nexcept SystemExit: pass")
    assert loaded & {"jax", "numba", "numpy", "sklearn", "torch"} == set()


@pytest.mark.proof
@pytest.mark.compiled
def test_a_whole_comparison_is_kept_as_figures_that_make_its_page(tmp_path):
    figures, page = tmp_path / "figures.json", tmp_path / "page.html"
    done = engine(
        "compare",
        "report",
        *("--quick", "--rounds", "1", "--threads", "1", "--contenders", "numpy,sklearn"),
        *("--json", figures, "--page", page),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = figures_file.read(figures)
    assert list(found["contenders"]) == ["numpy", "sklearn"]
    assert {"training", "sizes", "start_up", "curves", "memory"} <= set(found)
    for row in (*found["training"], *found["sizes"]):
        assert row["base"] == "numpy", row["entries"]
        assert row["entries"]["sklearn"]["ratio"][0] > 0
    costs = [one["costs"] for one in found["curves"][0]["entries"].values()]
    assert costs[0] == pytest.approx(costs[1], rel=0.05)
    assert costs[0][-1] < costs[0][0]
    for entry in found["memory"][0]["entries"].values():
        assert entry["peak"] > entry["imports"] > 1e7
    for one in found["start_up"].values():
        assert one["empty_cache"][0] > one["epoch"][0]
    assert "scikit-learn" in page.read_text(encoding="utf-8")
    assert "higher: numpy is faster" in done.stdout


@pytest.mark.parametrize("name", NAMED)
def test_a_problem_by_name_is_scikit_learns_data_standardised(name):
    problem = NAMED[name]
    rows, targets = draw(problem, "float32")
    assert rows.shape == (problem.n_samples, problem.sizes[0])
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    if name != "xnor":
        np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-5)
        assert rows.std(axis=0).max() == pytest.approx(1, rel=1e-4)
    if problem.output == "softmax":
        assert set(targets) == set(range(problem.sizes[-1]))
    assert problem.name.startswith(f"{name} ")
