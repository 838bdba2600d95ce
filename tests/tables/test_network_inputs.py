"""What networks get of a column of numbers: pieces that have rows, and limits that have rows."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import TableRegressor
from engine.tables.network_inputs import (
    FEWEST_ROWS,
    fewest_rows,
    limits_of,
    pieces_of_column,
)
from engine.tables.table_encoding import EncodedColumn

N = 1000


COLUMN = EncodedColumn("x", "x", "number", had_missing=False, n_distinct=None)


def mostly_0(n_others):
    numbers = np.zeros(N)
    numbers[:n_others] = np.arange(1, n_others + 1)
    return numbers


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=40, max_size=400), st.integers(1, 48))
def test_each_piece_has_rows_enough(numbers, n_pieces):
    numbers = np.array(numbers, float)
    entry = pieces_of_column(numbers, COLUMN, n_pieces, 8)
    if entry is None:
        return
    points, fewest = entry.breakpoints, fewest_rows(len(numbers))
    counts = [np.sum((low < numbers) & (numbers <= high)) for low, high in pairwise(points)]
    assert min(counts) >= fewest
    assert (points[0], points[-1]) == (numbers.min(), numbers.max())


def test_a_number_that_few_rows_have_has_no_bend_of_its_own():
    assert pieces_of_column(mostly_0(15), COLUMN, 48, 8) is None
    entry = pieces_of_column(mostly_0(64), COLUMN, 48, 8)
    assert entry is not None
    assert len(entry.breakpoints) == 4


def test_values_far_outside_that_few_rows_have_are_taken_for_nearer_ones():
    assert limits_of(mostly_0(FEWEST_ROWS - 1)) == (0, 0)
    assert limits_of(-mostly_0(FEWEST_ROWS - 1)) == (0, 0)
    near = np.linspace(0, 1, N)
    assert limits_of(near) == (0, 1)


def test_a_long_tail_keeps_its_order():
    tail = np.random.default_rng(0).lognormal(0, 2, N)
    assert limits_of(tail)[1] == np.sort(tail)[-2]
    assert limits_of(-tail)[0] == -np.sort(tail)[-2]


@pytest.mark.parametrize(("n_rows", "fewest"), [(1, 1), (40, 2), (320, 16), (10**6, 16)])
def test_small_tables_have_smaller_pieces(n_rows, fewest):
    assert fewest_rows(n_rows) == fewest


@pytest.mark.compiled
def test_a_few_rows_do_not_move_predictions_far():
    generator = np.random.default_rng(0)
    x = generator.normal(size=N)
    y = x + 0.1 * generator.standard_normal(N)
    y[:10] += 5
    model = TableRegressor(random_state=0, max_iter=30).fit({"x": x, "pool": mostly_0(10)}, y)
    rows = {"x": x[500:], "pool": np.zeros(500)}
    moved = model.predict({**rows, "pool": np.full(500, 9.0)}) - model.predict(rows)
    assert np.abs(moved).max() < 0.1
