"""What the report page says, before it is drawn: wins and losses, limits, break-even, memory."""

from typing import Any

import numpy as np
import pytest

from engine.comparison.report.axes import apart
from engine.comparison.report.break_even import (
    ALWAYS,
    EQUAL,
    FROM,
    NEVER,
    UNTIL,
    Training,
    break_even,
    in_words,
)
from engine.comparison.report.resource_pictures import parts
from engine.comparison.report.results import (
    distance,
    fastest,
    headline,
    losses,
    multiply_adds,
    share_of_gemm,
    standings,
)
from engine.comparison.report.results_table import row_table
from engine.comparison.timing import Spread
from tests.report_figures import BASE, LABELS, figures, two_rows


@pytest.fixture(scope="module")
def found():
    return figures()


# Who wins.


def jax_of(whole):
    return next(one for one in standings(whole) if one.name == "jax")


def test_a_standing_is_the_geometric_mean_the_wins_the_losses_and_the_extremes():
    one = jax_of(two_rows(0.5, 8.0))
    assert one.mean == pytest.approx(2.0)
    assert one.by_dtype == {"float32": pytest.approx(0.5), "float64": pytest.approx(8.0)}
    assert (one.ahead, one.behind, one.close) == (1, 1, 0)
    assert [result.ratio.median for result in one.results] == [0.5, 8.0]


def test_a_ratio_with_1_between_its_quartiles_is_too_close_to_call():
    assert jax_of(two_rows(0.98, 8.0)).close == 1


def test_losses_stand_in_the_order_of_their_ratios():
    assert [r.ratio.median for r in losses(standings(two_rows(0.9, 0.5)))] == [0.5, 0.9]


@pytest.mark.parametrize(
    ("ratios", "said"),
    [
        ((0.5, 8.0), "less time in 1 of 2 comparisons and more in 1"),
        ((2.0, 8.0), "less time in all 2 comparisons"),
        ((0.5, 0.25), "more time in all 2 comparisons"),
    ],
)
def test_the_headline_says_wins_and_losses_alike(ratios, said):
    assert said in headline(two_rows(*ratios))


def test_the_headline_says_where_nothing_can_be_compared():
    whole = two_rows(1.0, 1.0)
    for row in whole["training"]:
        del row["entries"]["jax"]["ratio"]
    assert "on no problem was there a time to compare it with" in headline(whole)


def test_a_row_whose_base_is_another_counts_in_no_mean():
    whole = two_rows(0.5, 8.0)
    whole["training"][0]["base"] = "jax"
    assert jax_of(whole).mean == pytest.approx(8.0)


def test_the_fastest_of_a_row_is_who_has_the_lowest_ratio(found):
    assert fastest(two_rows(0.5, 8.0)["training"][0]) == "jax"
    assert fastest(two_rows(0.5, 8.0)["training"][1]) == BASE
    assert fastest(found["training"][6]) is None


def test_a_reason_that_holds_for_all_others_is_said_once(found):
    table = row_table(found["training"], found["contenders"], BASE)
    (note,) = [one for one in table.notes if one.kind == "no ratio"]
    assert note.label.count(";") == 4
    assert note.where == "64-32-1 float32"


# Limits.


def test_the_share_of_gemm_is_the_time_at_gemms_rate_over_the_contenders():
    row: Any = figures()["training"][0]
    row["rates"]["gemm_us_per_sample"] = 3.0
    row["entries"]["jax"]["us_per_sample"] = Spread(6.0, 5.0, 7.0)
    assert share_of_gemm(row, "jax") == 0.5
    assert share_of_gemm(row, BASE) == row["rates"]["share_of_gemm"]


def test_the_distance_names_the_nearest_and_the_farthest_row():
    rows: Any = figures()["training"][:3]
    for row, share in zip(rows, (0.8, 0.1, 0.4)):
        row["rates"]["share_of_gemm"] = share
    said = distance(rows, BASE, "ours")
    assert "ours takes 1.25 times as long" in said
    assert "(2-4-1 in float32: 80% of gemm's rate), 10.0 times where it is farthest" in said
    assert "2.50 times on the median" in said
    assert distance([], BASE, "ours") == ""


def test_a_size_is_the_multiply_adds_of_both_passes():
    row = figures()["training"][4]
    assert (row["problem"], multiply_adds(row)) == ("20-100-1", 2 * 2000 + 3 * 100)


# Break-even.


@pytest.mark.parametrize(
    ("base", "other", "case", "epochs", "seconds"),
    [
        ((3, 1), (1, 2), FROM, 3, 5),  # 3 + 2 * 1 = 1 + 2 * 2
        ((10, 0.5), (1, 1), FROM, 19, 19),
        ((1, 2), (3, 1), UNTIL, 3, 5),
        ((1, 1), (2, 2), ALWAYS, None, None),
        ((1, 1), (1, 2), ALWAYS, None, None),
        ((1, 1), (2, 1), ALWAYS, None, None),
        ((2, 2), (1, 1), NEVER, None, None),
        ((2, 1), (1, 1), NEVER, None, None),
        ((1, 1), (1, 1), EQUAL, None, None),
    ],
)
def test_break_even_is_where_the_totals_cross(base, other, case, epochs, seconds):
    one = break_even(Training(*base), Training(*other))
    assert one.case == case
    assert (one.epochs, one.seconds) == pytest.approx((epochs, seconds))
    if epochs is not None:
        assert Training(*other).total(epochs) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("base", "other", "said"),
    [
        ((4, 1), (1, 2.4), "from epoch 4 on"),  # they cross at 3.14
        ((1, 2.4), (4, 1), "until epoch 3"),
        ((1, 1), (2, 2), "from the first epoch on"),
        ((2, 2), (1, 1), "never"),
        ((1, 1), (1, 1), "never, nor behind"),
    ],
)
def test_the_words_name_whole_epochs(base, other, said):
    assert in_words(break_even(Training(*base), Training(*other))) == said


# Memory.


def test_the_parts_of_a_bar_add_up_to_the_peak(found):
    one = found["memory"][0]
    bars = {name: bar for name in one["entries"] if (bar := parts(one, name))}
    assert set(bars) == set(LABELS) - {"torch-compiled"}
    for name, bar in bars.items():
        assert bar.peak == pytest.approx(one["entries"][name]["peak"] / 1e6)
        assert min(bar) >= 0


# Labels.


def test_labels_keep_apart_and_stay_within():
    moved = apart([5, 5, 5, 90, 99], gap=10, low=0, high=100)
    assert min(np.diff(sorted(moved))) >= 10 - 1e-9
    assert 0 <= min(moved) <= max(moved) <= 100
    assert apart([10, 50], gap=10, low=0, high=100) == [10, 50]
