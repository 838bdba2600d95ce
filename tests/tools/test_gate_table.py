"""The gate's table: verdicts, what is said of each, and why benchmarks fail."""

import math

import pytest

from tools import asv_failures, gate
from tools.gate_table import (
    FAILED,
    FAILED_ON_BOTH,
    FASTER,
    GONE,
    NEW,
    NOT_CONFIRMED,
    REPAIRED,
    SAME,
    SLOWER,
    Comparison,
    compare,
    markdown,
)

NO_SAMPLES = (None, None)


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        (1.0, 1.0, SAME),
        (1.0, 1.29, SAME),
        (1.0, 1.31, SLOWER),
        (1.31, 1.0, FASTER),
        (math.nan, 1.0, NEW),
        (None, 1.0, REPAIRED),
        (None, None, FAILED_ON_BOTH),
        (1.0, math.nan, GONE),
        (1.0, None, FAILED),
        (math.nan, None, FAILED),
        (math.nan, math.nan, GONE),
    ],
)
def test_a_verdict_goes_by_the_ratio_and_by_what_is_missing(before, now, verdict):
    found = compare("b", "seconds", (before, NO_SAMPLES), (now, NO_SAMPLES), 1.3)
    assert found.verdict == verdict


def test_a_slow_down_within_the_samples_spread_is_none():
    wide = [1.0, 2.0, 1.2, 1.9, 1.1]
    stats = {"ci_99_a": 0.9, "ci_99_b": 2.1, "q_25": 1.0, "q_75": 2.0, "repeat": 5, "number": 1}
    before, now = (1.2, (stats, wide)), (1.7, (stats, wide[::-1]))
    assert compare("b", "seconds", before, now, 1.3).verdict == SAME


def test_a_slow_down_counts_only_if_it_is_there_again():
    one = Comparison("b", "seconds", 1.0, 2.0, SLOWER)
    assert one.confirmed_by(one).verdict == SLOWER
    assert one.confirmed_by(Comparison("b", "seconds", 1.0, 1.1, SAME)).verdict == NOT_CONFIRMED


@pytest.mark.parametrize("second", [None, Comparison("b", "seconds", 1.0, None, FAILED)])
def test_a_second_measurement_that_failed_clears_no_benchmark(second):
    one = Comparison("b", "seconds", 1.0, 2.0, SLOWER)
    assert one.confirmed_by(second).verdict == SLOWER


def test_what_is_not_slower_needs_no_second_measurement():
    failed = Comparison("b", "seconds", 1.0, None, FAILED)
    assert failed.confirmed_by(None) is failed


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        ([SAME, FASTER, NEW, GONE, NOT_CONFIRMED], 0),
        ([SAME, FAILED], 2),
        ([SAME, FAILED_ON_BOTH, REPAIRED], 0),
        ([SAME, FAILED, SLOWER], 1),
    ],
)
def test_the_status_is_that_of_the_worst(verdicts, status):
    found = [Comparison(f"b{at}", "seconds", 1.0, 1.0, one) for at, one in enumerate(verdicts)]
    assert gate.status(found) == status


def test_the_table_says_which_way_the_ratio_goes_and_names_what_counts():
    found = [
        Comparison("training.time", "seconds", 1.0, 2.0, SLOWER),
        Comparison("fits.time", "seconds", 1.0, None, FAILED, reason="ValueError: `x`"),
        Comparison("memory.peak", "bytes", 1e6, 1e6, SAME),
    ]
    table = markdown(found, "a" * 40, "b" * 40, 1.3)
    first = table.splitlines()[0]
    assert first.endswith("1 of 3 benchmarks slower by 1.3 or more, 1 fail")
    assert "now / before (above 1: slower)" in table
    assert "| **slower** | training.time | 1.00±0s | 2.00±0s | 2.00 |".replace("±0", "") in table
    assert "| **fails** | fits.time |" in table
    assert "| failed |" in table
    assert "- fits.time, fails: `` ValueError: `x` ``" in table


# Why benchmarks fail.

WROTE = {
    "plain.time": "Traceback\n  File\nValueError: no\nasv: benchmark timed out (timeout 9s)\n",
    "fits.time": "For parameters: 'a', 1\nTraceback\nKeyError: 'a'\n\nFor parameters: 'b', 1\nhm",
    "cached.time": "asv: setup_cache failed\n\nTraceback\nOSError: gone",
    "silent.time": "",
}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("plain.time", "asv: benchmark timed out (timeout 9s)"),
        ("fits.time('a', 1)", "KeyError: 'a'"),
        ("fits.time('b', 1)", "hm"),
        ("fits.time('c', 1)", asv_failures.UNKNOWN),
        ("cached.time('a')", "OSError: gone"),
        ("silent.time", asv_failures.UNKNOWN),
        ("absent.time", asv_failures.UNKNOWN),
    ],
)
def test_the_reason_of_a_failure_is_the_last_line_that_its_parameters_wrote(name, reason):
    assert asv_failures.reason(name, WROTE) == reason


def test_a_long_reason_is_cut():
    found = asv_failures.reason("b", {"b": "x" * 999})
    assert len(found) == asv_failures.LENGTH
    assert found.endswith("x...")


def test_failures_of_several_rounds_and_commits_are_kept_together(tmp_path):
    path = tmp_path / "failures.json"
    asv_failures.keep(path, "one", {})
    assert asv_failures.read(path) == {}
    for commit, failed in (("one", {"a": "x"}), ("two", {"a": "y"}), ("one", {"b": "z"})):
        asv_failures.keep(path, commit, failed)
    assert asv_failures.read(path) == {"one": {"a": "x", "b": "z"}, "two": {"a": "y"}}
