"""engine/many/pace.py: how long fits side by side will take at most."""

from types import SimpleNamespace

from engine import MLPRegressor
from engine.estimators.progress_bar import Outlook
from engine.many.pace import PaceOfFits


def fits(*solvers, max_iter=10):
    return [
        SimpleNamespace(
            estimator=MLPRegressor(max_iter=max_iter, solver=solver), multiply_adds=1000.0
        )
        for solver in solvers
    ]


def watch(n_iter, each=2.0, max_iter=10):
    known = each if n_iter else None
    return SimpleNamespace(
        n_iter=n_iter,
        seconds_each=known,
        seconds_until=lambda n: None if known is None else each * (n - n_iter),
    )


def test_nothing_is_known_of_the_time_before_an_epoch_has_ended():
    pace = PaceOfFits(fits("adam", "adam"))
    assert pace.outlook({}, [0, 1]) == Outlook()
    assert pace.outlook({0: watch(0)}, [1]) == Outlook(0.0, "epoch 1 of 10", None)


def test_those_that_wait_take_as_long_as_the_slowest_so_far_as_many_at_once():
    pace = PaceOfFits(fits(*["adam"] * 5))
    both = {0: watch(3), 1: watch(5)}
    assert pace.outlook(both, [2, 3, 4]) == Outlook(0.8, "epoch 4 to 6 of 10", 14 + 2 * 20.0)
    assert pace.outlook({0: watch(3)}, []).seconds_left == 14
    unequal = {0: watch(9, each=1.0), 1: watch(9, each=3.0)}
    assert pace.outlook(unequal, [2]).seconds_left == 3 + 30.0


def test_those_that_wait_take_no_longer_than_their_max_time():
    waiting = fits("adam", "adam", "adam")
    for fit in waiting[1:]:
        fit.estimator.max_time = 5
    assert PaceOfFits(waiting).outlook({0: watch(3)}, [1, 2]).seconds_left == 14 + 2 * 5


def test_the_pace_is_known_while_the_next_one_has_not_ended_an_epoch():
    pace = PaceOfFits(fits("adam", "adam"))
    pace.outlook({0: watch(9)}, [1])
    assert pace.outlook({1: watch(0)}, []) == Outlook(0.0, "epoch 1 of 10", 20.0)


def test_the_pace_of_one_solver_says_nothing_of_another():
    assert PaceOfFits(fits("adam", "lm")).outlook({0: watch(3)}, [1]).seconds_left is None
