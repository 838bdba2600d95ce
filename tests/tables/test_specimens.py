"""Example rows in the models of tables: such as the pipeline takes, and nobody's."""

import numpy as np
import polars as pl
import pytest

from engine.model_files.skops_file import read_model
from engine.tables import fitting
from engine.tables.column_statistics import TableStatistics
from engine.tables.csv_and_parquet import LoadedTable
from engine.tables.learnt_columns import LearntColumns
from engine.tables.network_inputs import NetworkInputs
from engine.tables.stored_estimator import made_up_rows

ROWS = 500
generator = np.random.default_rng(3)
FRAME = pl.DataFrame(
    {
        "town": [["Ayr", "Bath", "Cork"][k] for k in generator.integers(0, 3, ROWS)],
        "salary": (31_000 + 4000 * generator.standard_normal(ROWS)).round(2),
        "owner": generator.random(ROWS) < 0.5,
        "age": generator.integers(20, 70, ROWS).astype(float),
        "garden": [[None, "small", "large"][k] for k in generator.integers(0, 3, ROWS)],
        "leap": [[True, False, None][k] for k in generator.integers(0, 3, ROWS)],
    }
).with_columns(age=pl.when(pl.Series(generator.random(ROWS)) < 0.2).then(None).otherwise("age"))


@pytest.fixture(scope="module")
def made():
    statistics = TableStatistics.of_frame(FRAME, None)
    learnt = LearntColumns.of(statistics.chosen(), statistics, None, [])
    inputs = NetworkInputs.fitted(learnt.encoding.columns, learnt.numbers, 4, 3, 2)
    return made_up_rows(learnt.encoding, inputs), learnt.encoding


def test_specimens_have_the_columns_and_types_that_the_model_takes(made):
    rows, encoding = made
    assert rows.columns == FRAME.columns
    assert len(rows) == 8
    assert encoding.encode(rows).shape == (8, 6)


def test_specimens_are_like_the_rows_but_none_of_them(made):
    rows, _ = made
    for name in ("town", "garden"):
        assert set(rows[name]) == set(FRAME[name])
    for name in ("owner", "leap"):
        assert set(rows[name].drop_nulls()) == {0.0, 1.0}
    for name in ("salary", "age"):
        numbers, learnt = (frame[name].drop_nulls().to_numpy() for frame in (rows, FRAME))
        assert not {*numbers} & {*learnt}
        assert abs(numbers.mean() - learnt.mean()) < 2 * learnt.std()
        assert 0.3 * learnt.std() < numbers.std() < 3 * learnt.std()


def test_gaps_are_where_columns_had_some(made):
    rows, _ = made
    gaps = {name: rows[name].null_count() for name in ("salary", "age", "owner", "leap")}
    assert gaps == {"salary": 0, "age": 1, "owner": 0, "leap": 1}


@pytest.mark.compiled
def test_no_row_of_a_table_goes_into_its_model(tmp_path):
    y = FRAME["salary"] / 1000 + pl.Series(np.where(FRAME["owner"], 3.0, 0.0))
    table = LoadedTable(tmp_path / "table.csv", FRAME.with_columns(rent=y))
    plan = fitting.prepared(table, "rent")
    trained = fitting.trained(
        plan, fitting.split(plan, 0.2, seed=0), {"max_iter": 3, "n_members": 1}, {}
    )
    trained.model.write(tmp_path / "model.skops")
    examples = read_model(tmp_path / "model.skops").examples
    assert examples is not None
    salaries = examples.columns[examples.names.index("salary")]
    assert len(salaries) == 8
    assert not set(salaries.tolist()) & set(FRAME["salary"])
