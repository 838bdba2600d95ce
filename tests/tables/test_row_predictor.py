"""A row alone has the bits of a table with this row, and needs no table unless it is unusual."""

import datetime
import pickle
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest

from engine import TableClassifier, TableRegressor, losses
from engine.tables.table_encoding import TableEncoding

N = 120
random = np.random.default_rng(0)
MOMENTS = [
    datetime.datetime(1960, 2, 29, 1, 2, 3, 456789) + k * datetime.timedelta(333, 7_777, 13)
    for k in range(N)
]
AMOUNTS = random.uniform(-5000, 5000, N)
TABLE = {
    "area": random.normal(size=N),
    "side": random.choice(["north", "south", "east"], N).tolist(),
    "new": (random.random(N) < 0.5).tolist(),
    "when": MOMENTS,
    "day": [moment.strftime("%d.%m.%Y") for moment in MOMENTS],
    "clock": [moment.strftime("%H:%M:%S") for moment in MOMENTS],
    "lasts": [datetime.timedelta(hours=k) for k in range(N)],
    "price": [f"${amount:,.2f}" for amount in AMOUNTS],
    "share": [f"{amount:.1f} %".replace(".", ",") for amount in AMOUNTS],
    "gap": [None if k % 3 == 0 else moment.date() for k, moment in enumerate(MOMENTS)],
}
Y = TABLE["area"] + AMOUNTS / 1000
CLASSES = np.where(Y > 0, "dear", "cheap")
SMALL = {"n_members": 2, "max_iter": 2, "random_state": 0, "columns": {"day": "date"}}
ROW = {name: values[5] for name, values in TABLE.items()}
MODEL = TableRegressor(**SMALL).fit(TABLE, Y)
OF_TYPES = pd.DataFrame(TABLE).astype({"when": "M8[ns]", "lasts": "m8[ns]", "gap": "M8[s]"})


def of_table(row, model=MODEL):
    return model.predict({name: [value] for name, value in row.items()})[0]


@pytest.fixture
def no_table(monkeypatch):
    """Afterwards a row that needs a table is an error."""
    expected = {"rows": [of_table(row) for row in rows()]}

    def refuse(*arguments, **settings):
        raise AssertionError("a table was made of a row")

    monkeypatch.setattr(TableEncoding, "encode", refuse)
    return expected


def rows():
    return [{name: values[k] for name, values in TABLE.items()} for k in range(0, N, 12)]


def test_dates_and_written_numbers_are_read_without_a_table(no_table):
    predict = pickle.loads(pickle.dumps(MODEL.predictor())).predict
    got = [predict(row) for row in rows()]
    assert np.array_equal(got, no_table["rows"])


def test_rows_of_pandas_with_timestamps_and_missing_dates_need_no_table(no_table):
    predict = MODEL.predictor().predict
    got = [predict(row) for row in OF_TYPES.iloc[::12].to_dict("records")]
    assert np.array_equal(got, no_table["rows"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("when", datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)),
        ("when", np.datetime64("1969-12-31T23:59:59.999999999", "ns")),
        ("when", "2024-02-29T12:00:00+02:00"),
        ("when", "29.2.2024 14:00"),
        ("when", "Feb 29, 2024"),
        ("when", pd.NA),
        ("when", 5),
        ("day", "12/31/2024"),
        ("clock", datetime.time(23, 59)),
        ("clock", "6:45 pm"),
        ("lasts", "3 days, 1:00:00"),
        ("lasts", np.timedelta64(90, "m")),
        ("price", "-$7"),
        ("price", 7),
        ("price", "7 EUR"),
        ("share", "(0,5 %)"),
        ("share", 1e300),
        ("gap", "1960-02-29"),
        ("area", "1.5e1"),
        ("area", "1.5.1"),
        ("area", datetime.date(2024, 1, 1)),
        ("area", np.timedelta64(5, "ns")),
        ("area", np.timedelta64(5, "D")),
        ("new", np.timedelta64(1, "D")),
        ("price", np.timedelta64("NaT")),
        ("side", " north\u3000"),
        ("side", "north\x1c"),
    ],
)
def test_a_row_alone_is_read_as_a_table_of_it(name, value):
    row = ROW | {name: value}
    predict = MODEL.predictor().predict
    try:
        expected = of_table(row)
    except (TypeError, ValueError) as error:
        with pytest.raises(type(error), match=re.escape(str(error))):
            predict(row)
    else:
        assert predict(row) == expected


def test_a_later_fit_does_not_change_a_predictor():
    model = TableRegressor(**SMALL).fit(TABLE, Y)
    one_row = model.predictor()
    before = one_row.predict(ROW)
    model.fit(TABLE, 1000 * Y + 5)
    assert one_row.predict(ROW) == before


def test_an_unusual_value_goes_through_a_table(no_table):
    with pytest.raises(AssertionError, match="a table was made"):
        MODEL.predictor().predict(ROW | {"when": pd.NA})


@pytest.mark.parametrize("row", [[1, 2], np.zeros(10), "row", 5, None, (1,)])
def test_a_row_that_is_no_dict_is_refused_in_words(row):
    message = f"A row must be a dict, .* got one of type {type(row).__name__}"
    with pytest.raises(TypeError, match=message):
        MODEL.predictor().predict(row)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_a_frame_for_a_row_is_refused_with_what_takes_it(frame):
    with pytest.raises(TypeError, match=r"got a frame. `estimator.predict\(frame\)` takes all"):
        MODEL.predictor().predict(frame([ROW]))


def test_a_row_that_lacks_a_column_is_refused_in_words():
    with pytest.raises(ValueError, match="The row lacks 'when'"):
        MODEL.predictor().predict({name: ROW[name] for name in ROW if name != "when"})


def test_words_of_a_file_stand_for_missing_dates_and_numbers(tmp_path):
    path = tmp_path / "table.csv"
    pd.DataFrame(TABLE).drop(columns="lasts").to_csv(path, index=False)
    model = TableRegressor(**SMALL).fit(path, Y)
    predict = model.predictor().predict
    row = {name: str(value) for name, value in ROW.items() if name != "lasts"}
    for name in ("when", "clock", "price", "share", "area", "side"):
        for word in ("NA", "", " NaN ", None):
            changed = row | {name: word}
            assert predict(changed) == of_table(changed, model)


@pytest.mark.parametrize("loss", ["squared_error", losses.Quantile([0.1, 0.9])])
def test_a_regressors_rows_have_the_bits_of_a_table(loss):
    model = TableRegressor(loss, **SMALL).fit(TABLE, Y)
    got = [model.predictor().predict(row) for row in rows()[:5]]
    assert np.array_equal(got, [of_table(row, model) for row in rows()[:5]])


def test_a_classifiers_rows_have_the_bits_of_a_table():
    model = TableClassifier(**SMALL, class_weight="balanced").fit(TABLE, CLASSES)
    one_row, expected = model.predictor(), model.predict_proba(TABLE)
    for k in range(0, N, 10):
        row = {name: values[k] for name, values in TABLE.items()}
        assert np.array_equal(one_row.predict_proba(row), expected[k])
        assert one_row.predict(row) == model.classes_[expected[k].argmax()]
