"""Ctrl-C during fit_many: each member keeps what it has reached, as its own fit would."""

import functools
import os
import signal
import threading
import time
import warnings

import numpy as np
import pytest
from sklearn.callback import ScoringMonitor

from engine import Checkpoint, MLPRegressor, fit_many
from engine.compiler import tiles
from engine.solvers.member_descent import FEWEST_MEMBERS
from tests.many.interruptions import Interruption, interrupted, stopped_after
from tools.member_mixtures import HOW_IT_WAS_MADE
from tools.state_differences import differences

pytestmark = [pytest.mark.compiled, pytest.mark.filterwarnings("ignore")]

X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.abs(X[:, 0]) + 0.1
ROOMS = ("many", "solvers", "training", "estimators")
LONG = {"max_iter": 10**9, "tol": 0.0, "n_iter_no_change": 10**6}


def member(seed, **parameters):
    settings = {"hidden_layer_sizes": 4, "max_iter": 6 + seed, "batch_size": 8}
    return MLPRegressor(random_state=seed, **{**settings, **parameters})


MEMBERS = {
    "side by side": lambda: [member(seed) for seed in range(6)],
    "stopping early": lambda: [member(seed, early_stopping=True) for seed in range(5)],
    "by themselves": lambda: [member(0), member(1)],
}
# Ctrl-C between a score and its record: a solo fit, too, keeps the one without the other.
ROOMS_OF = {"stopping early": ("many",)}
EVERY = {"side by side": 307, "stopping early": 101, "by themselves": 71}  # lines, in the sample


def what_became(found, fresh, whole):
    """Whether a member is "whole", "unchanged" or "interrupted"; else what is wrong with it."""
    if not differences(found, whole, leave_out=HOW_IT_WAS_MADE):
        return "whole"
    if not differences(found, fresh()):
        return "unchanged"
    if not hasattr(found, "_optimizer"):
        return "neither fitted nor unchanged"
    wrong = []
    for recorded in (True, False):
        expected = stopped_after(fresh(), found._optimizer.steps, recorded, X=X, y=Y)
        wrong = differences(found, expected, leave_out=HOW_IT_WAS_MADE)
        if not wrong:
            return "interrupted"
    return "; ".join(wrong)


@functools.cache
def fitted_by_themselves(make):
    return [each.fit(X, Y) for each in make()]


def outcome_of(make, at, n_threads, rooms):
    """What became of each member if Ctrl-C comes at these lines; and if KeyboardInterrupt did."""
    members = make()
    interruption = Interruption(rooms, at)
    raised = interrupted(lambda: fit_many(members, X, Y, n_threads=n_threads), interruption)
    wholes = fitted_by_themselves(make)
    became = [
        what_became(found, lambda k=k: make()[k], whole)
        for k, (found, whole) in enumerate(zip(members, wholes, strict=True))
    ]
    return became, raised


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(
    ("name", "every"),
    [
        pytest.param(name, every, marks=[pytest.mark.proof] if every == 7 else [])
        for name in MEMBERS
        for every in (EVERY[name], 7)
    ],
)
def test_ctrl_c_at_any_line_leaves_members_whole_unchanged_or_as_their_own_interrupted_fit(
    name, every, n_threads, monkeypatch
):
    if name == "by themselves":  # else each is over after one slice
        monkeypatch.setattr("engine.training.watch.SECONDS_OF_AN_ADVANCE", 1e-4)
    make, rooms = MEMBERS[name], ROOMS_OF.get(name, ROOMS)
    counted = Interruption(rooms)
    interrupted(lambda: fit_many(make(), X, Y, n_threads=n_threads), counted)
    assert counted.count > 300
    seen = set()
    for at in range(1, counted.count, every):
        became, raised = outcome_of(make, (at,), n_threads, rooms)
        assert set(became) <= {"whole", "unchanged", "interrupted"}, (at, became)
        assert raised or "unchanged" not in became, (at, became)
        seen |= set(became)
    assert n_threads > 1 or seen == {"whole", "unchanged", "interrupted"}


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_second_ctrl_c_soon_after_the_first_loses_no_other_member(n_threads):
    make = MEMBERS["side by side"]
    counted = Interruption(ROOMS)
    interrupted(lambda: fit_many(make(), X, Y, n_threads=1), counted)
    for at in range(1500, counted.count, 997):
        became, _ = outcome_of(make, (at, at + 40, at + 43), n_threads, ROOMS)
        assert set(became) <= {"whole", "unchanged", "interrupted"}, (at, became)


def press_ctrl_c_after(seconds, begun):
    """Press Ctrl-C so long after the last of these networks has begun."""

    def press():
        while not all(hasattr(each, "coefs_") for each in begun):
            time.sleep(0.01)
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("hidden", [(4,), (300,)], ids=["side by side", "by themselves"])
def test_ctrl_c_ends_all_that_are_under_way_with_a_warning_each(n_threads, hidden):
    n_lanes = tiles.VECTOR_BYTES // X.itemsize  # of as many as fill both threads' lanes, all begin
    n_members = n_threads * (n_lanes if hidden == (4,) and n_lanes >= FEWEST_MEMBERS else 1)
    members = [member(seed, **LONG, hidden_layer_sizes=hidden) for seed in range(n_members)]
    press_ctrl_c_after(0.2, members)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fit_many(members, X, Y, n_threads=n_threads)
    assert [str(each.message) for each in said if "interrupted" in str(each.message)] == [
        f"All {n_members} estimators: Training interrupted by user."
        if n_members > 1
        else "The estimator: Training interrupted by user."
    ]
    for each in members:
        assert each.n_iter_ == len(each.loss_curve_) > 0


def test_a_member_that_has_not_begun_is_unchanged_and_keyboard_interrupt_is_raised():
    shared = np.random.RandomState(0)  # so one follows the other
    members = [member(0, **LONG).set_params(random_state=shared) for _ in range(3)]
    fresh = [dict(vars(each)) for each in members]
    press_ctrl_c_after(0.2, members[:1])
    with pytest.raises(KeyboardInterrupt):
        fit_many(members, X, Y, n_threads=2)
    assert members[0].n_iter_ > 0
    assert [vars(each) for each in members[1:]] == fresh[1:]


class OwnFit(MLPRegressor):
    def fit(self, X, y):
        return super().fit(X, y)


@pytest.mark.parametrize("kind", ["own fit", "callbacks"])
def test_ctrl_c_in_a_member_that_is_fitted_by_itself_ends_the_others_too(kind):
    if kind == "own fit":
        first = OwnFit(hidden_layer_sizes=4, random_state=0, batch_size=8, **LONG)
    else:
        first = member(0, **{**LONG, "max_iter": 10**5}).set_callbacks(ScoringMonitor(scoring="r2"))
    second = member(1)
    press_ctrl_c_after(0.4, [first])
    with pytest.raises(KeyboardInterrupt):
        fit_many([first, second], X, Y, n_threads=1)
    assert first.n_iter_ > 0
    assert not hasattr(second, "coefs_")


def test_members_resume_from_their_checkpoints_with_the_same_bits(tmp_path):
    def members(name):
        return [
            member(seed, max_iter=30, checkpoint=Checkpoint(tmp_path / f"{name}{seed}", seconds=0))
            for seed in range(3)
        ]

    def arrays_of(members):
        return [(each.fingerprint_, each.loss_curve_, each._optimizer.steps) for each in members]

    expected = arrays_of(
        each.fit(X, Y) for each in [member(seed, max_iter=30) for seed in range(3)]
    )
    rooms = ("solvers",)
    counted = Interruption(rooms)
    interrupted(lambda: fit_many(members("counted"), X, Y, n_threads=1), counted)
    for at in range(50, counted.count, counted.count // 5):
        interrupted(
            lambda at=at: fit_many(members(at), X, Y, n_threads=1), Interruption(rooms, (at,))
        )
        assert arrays_of(fit_many(members(at), X, Y)) == expected, at
