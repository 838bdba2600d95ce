"""What is decided about columns: the same, whether rows come in one batch or in many."""

import datetime

import numpy as np
import polars as pl
import pytest

from engine.tables.column_statistics import OUTSIDE, TableStatistics
from engine.tables.target import MOST_DISTINCT, target_of

N = 240


def table():
    """A column for each decision."""
    g = np.random.default_rng(0)
    numbers = g.normal(50, 9, N).round(3)
    return pl.DataFrame(
        {
            "number": numbers,
            "text": [f"{one:.3f}" for one in numbers],
            "gaps": [None if k % 7 == 0 else float(k % 11) for k in range(N)],
            "row": range(N),
            "row as text": [str(k + 1) for k in range(N)],
            "boolean": [[True, False, None][k % 3] for k in range(N)],
            "boolean as text": ["True" if k % 3 else "false" for k in range(N)],
            "town": [f" town {k % 30}" for k in range(N)],
            "codes": [["1", "1.0", "2", "x"][k % 4] for k in range(N)],
            "name": [f"person {k}" for k in range(N)],
            "words among numbers": ["none" if k % 60 == 59 else f"{k}.5" for k in range(N)],
            "constant": ["web"] * N,
            "one or none": [None if k % 2 else 7.0 for k in range(N)],
            "nothing": pl.Series([None] * N, dtype=pl.String),
            "rounding": [1e9 + min(k, 50) * 1e-7 for k in range(N)],
            "day": [datetime.date(2024, 1, 1 + k % 28) for k in range(N)],
            "nested": [[k] for k in range(N)],
            "y": [None if k % 50 == 49 else k % 3 for k in range(N)],
        }
    )


def in_batches(frame, sizes, given=None):
    statistics = TableStatistics("y", given or {}, 1, np.random.default_rng(0))
    start = 0
    for size in sizes:
        batch = frame.slice(start, size)
        parts = np.where(batch["y"].is_null().to_numpy(), OUTSIDE, 0).astype(np.int8)
        statistics.add(batch, parts, start + 1)
        start += size
        if "town" in frame.columns:
            statistics.columns["town"].values("category")  # what was found before is no answer
    assert start == frame.height
    return statistics


@pytest.mark.parametrize("sizes", [[N], [1, 100, 7, N - 108], [60] * 4])
@pytest.mark.parametrize("given", [{}, {"codes": "category", "row": "number", "text": "category"}])
def test_one_batch_and_many_decide_the_same(sizes, given):
    frame = table()
    whole, many = TableStatistics.of_frame(frame, "y", given), in_batches(frame, sizes, given)
    assert many.chosen() == whole.chosen()
    left_out = {column.name: column.note for column in whole.chosen().left_out}
    expected = {"row", "row as text", "name", "words among numbers", "constant", "nothing",
                "rounding", "day", "nested"} - {*given}  # fmt: skip
    assert left_out.keys() == expected
    for name in ("y", "number", "boolean", "codes", "words among numbers"):
        one, other = (found.columns[name].facts() for found in (whole, many))
        assert one == other
    for column in whole.chosen().used:
        one, other = (found.columns[column.name] for found in (whole, many))
        assert (one.n_missing, one.n_missing_training) == (
            other.n_missing,
            other.n_missing_training,
        )
        if column.kind == "number":
            values = [found.moments.squares / found.moments.n for found in (one, other)]
            np.testing.assert_allclose(values[0], values[1], rtol=1e-12)
            assert whole.median(column.name) == many.median(column.name)
        else:
            assert one.in_training(column.kind) == other.in_training(column.kind)


def test_counts_are_those_of_the_training_rows_in_one_spelling():
    frame = pl.DataFrame({"a": ["1", " 1.0", "x", "1", "z", "x", None], "y": [0.5] * 6 + [None]})
    parts = np.array([0, 0, 0, 1, 1, 1, -1], np.int8)
    found = TableStatistics.of_frame(frame, "y", parts=parts).columns["a"]
    assert found.in_training("category") == {"1": 2, "x": 1}
    assert (found.n_missing, found.n_missing_training, found.n_training) == (1, 0, 3)


def test_a_table_in_memory_is_counted_in_full_and_one_in_batches_up_to_a_limit():
    n = 2 * MOST_DISTINCT + 2
    frame = pl.DataFrame({"y": range(n)}).with_columns(name=pl.col("y") // 2)
    frame = frame.with_columns(name="c" + pl.col("name").cast(pl.String))
    whole, many = TableStatistics.of_frame(frame, "y"), in_batches(frame, [n // 2] * 2)
    (column,) = whole.chosen().used
    assert column.note.startswith("10,001 categories")
    (column,) = many.chosen().left_out
    assert "almost all distinct (more than 10,000, or 1 MB" in column.note
    reasons = [target_of(found.columns["y"].facts(), None).reason for found in (whole, many)]
    assert reasons == [
        "the target has 20,002 distinct whole numbers",
        "the target has more than 10,000 distinct whole numbers",
    ]


def test_a_table_without_a_target_has_all_rows_to_learn_from():
    frame = table().select("number", "town")
    found = TableStatistics.of_frame(frame, None)
    assert [column.name for column in found.chosen().used] == ["number", "town"]
    assert found.rows_of_parts == [N]
    (column,) = TableStatistics.of_frame(pl.DataFrame({"a": [1, 1]}), None).chosen().left_out
    assert column.note == "is 1 everywhere"
