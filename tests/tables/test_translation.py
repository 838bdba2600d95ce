"""Models of tables whose dates and numbers are written for people: in memory, on disk, in files."""

import datetime
import json
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest

import engine
from engine import ModelFileError, convert_table
from engine.model_files import estimator_checks, skops_archive
from engine.tables import fitting, table_files, translation
from engine.tables.csv_and_parquet import read_table
from engine.tables.fitting_on_disk import trained_on_disk
from engine.tables.model import read
from engine.tables.translation import Translation

pytestmark = pytest.mark.compiled

N = 80
INSTANTS = [datetime.datetime(2020, 1, 1) + datetime.timedelta(hours=207 * i) for i in range(N)]
PRICES = [i * 31.5 for i in range(N)]
SETTINGS = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}


def as_written():
    """A table as a spreadsheet of a European writes it."""
    return pl.DataFrame(
        {
            "price": [f"{price:.2f} €".replace(".", ",") for price in PRICES],
            "when": [f"{at.day}.{at.month}.{at.year} {at:%H:%M}" for at in INSTANTS],
            "letter": ["ab"[i % 2] for i in range(N)],
            "y": [f"{i % 7},5" for i in range(N)],
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("translation")
    as_written().write_csv(folder / "table.csv")
    plan = fitting.prepared(read_table(folder / "table.csv"), "y")
    rows = fitting.split(plan, 0.2, 0)
    told = {"missing": ["NA"]}
    fitting.trained(plan, rows, SETTINGS, told).model.write(folder / "table.skops")
    return folder


@pytest.fixture(scope="module")
def path(folder):
    return folder / "table.skops"


def predicted(path, frame):
    model = read(path)
    return model.predict(model.matched(frame).inputs).values


def pandas_frame(**columns):
    return as_written().to_pandas().assign(**columns)


OBJECTS = pd.Series(INSTANTS, dtype=object)
FRAMES = {
    "polars": as_written(),
    "polars, dates": as_written().with_columns(when=pl.Series(INSTANTS)),
    "polars, milliseconds": as_written().with_columns(
        when=pl.Series(INSTANTS).cast(pl.Datetime("ms"))
    ),
    "pandas": pandas_frame(),
    "objects": pandas_frame().astype(object),
    "categories": pandas_frame(price=lambda frame: frame["price"].astype("category")),
    "polars, categories": as_written().with_columns(pl.col("price", "letter").cast(pl.Categorical)),
    "datetime64": pandas_frame(when=pd.to_datetime(pd.Series(INSTANTS))),
    "zone": pandas_frame(
        when=pd.to_datetime(pd.Series(INSTANTS)).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    ),
    "dates as objects": pandas_frame(when=OBJECTS),
    "ISO": pandas_frame(when=[str(at) for at in INSTANTS]),
    "numbers": pandas_frame(price=PRICES),
    "another index": pandas_frame().set_index(pd.Index(range(7, 7 + N))),
}


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", FRAMES)
def test_a_loaded_model_predicts_as_the_command_in_whatever_form_values_come(path, name):
    expected = predicted(path, as_written())
    np.testing.assert_array_equal(engine.load(path).predict(FRAMES[name]), expected)


@pytest.mark.sample(3)
@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, "", " ", "NA"])
def test_missing_values_are_imputed_in_whatever_form_they_come(path, missing):
    empty = as_written().with_columns(price=pl.lit(None, pl.String), when=pl.lit(None, pl.String))
    frame = pandas_frame(price=[missing] * N, when=[missing] * N)
    np.testing.assert_array_equal(engine.load(path).predict(frame), predicted(path, empty))
    if isinstance(missing, str):
        for dtype in (pl.String, pl.Categorical):
            in_polars = pl.from_pandas(frame).with_columns(pl.col("price", "when").cast(dtype))
            found = engine.load(path).predict(in_polars)
            np.testing.assert_array_equal(found, predicted(path, empty))


REFUSED = {
    "when": ([20_000 + i for i in range(N)], "Column 'when' must hold dates; came 20000"),
    "price": (["12,5 $"] * N, "must hold numbers with a decimal comma in €; came '12,5 $' in row"),
    "letter": (None, "The table lacks a column that training had: 'letter'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_written_otherwise_than_in_training_is_refused(path, name):
    values, message = REFUSED[name]
    frame = pandas_frame()
    frame = frame.drop(columns=name) if values is None else frame.assign(**{name: values})
    with pytest.raises(ValueError, match=re.escape(message)):
        engine.load(path).predict(frame)
    if values is not None:
        with pytest.raises(ValueError, match=re.escape(message)):
            predicted(path, pl.from_pandas(frame))
    with pytest.raises(ValueError, match="pass a pandas or polars DataFrame; got ndarray"):
        engine.load(path).predict(frame.to_numpy())


def test_new_rows_are_read_as_the_model_s_table_was(path):
    rows = as_written().with_columns(price=pl.lit("1.234,50 €"), when=pl.lit("3.4.2020"))
    others = as_written().with_columns(
        price=pl.lit(1234.5), when=pl.lit(datetime.datetime(2020, 4, 3))
    )
    np.testing.assert_array_equal(predicted(path, rows), predicted(path, others))
    with pytest.raises(ValueError, match=r"came '1,234\.50 €' in row 1"):
        predicted(path, rows.with_columns(price=pl.lit("1,234.50 €")))


def test_a_part_of_a_date_that_says_nothing_is_no_column_of_the_table(tmp_path):
    at = [datetime.datetime(2024, 1, 1) + datetime.timedelta(hours=12 * (i % 9)) for i in range(N)]
    table = as_written().with_columns(when=pl.Series(map(str, at)))  # the sine is always 0
    table.write_csv(tmp_path / "table.csv")
    plan = fitting.prepared(read_table(tmp_path / "table.csv"), "y")
    assert [column.name for column in plan.columns.used if column.reading == "part"] == [
        "when, time of day (cosine)"
    ]
    fitted = fitting.trained(plan, fitting.split(plan, 0, 0), SETTINGS, {})
    assert fitted.model.matched(table).notes == []


def test_a_name_may_look_like_a_pattern_for_names(tmp_path):
    names = {"price": "*", "when": "^.*$"}
    path = tmp_path / "table.csv"
    as_written().rename(names).write_csv(path)
    plan = fitting.prepared(read_table(path), "y")
    model = fitting.trained(plan, fitting.split(plan, 0, 0), SETTINGS, {"missing": ["NA"]}).model
    model.write(tmp_path / "table.skops")
    for frame in (as_written().rename(names), as_written().rename(names).to_pandas()):
        found = engine.load(tmp_path / "table.skops").predict(frame)
        np.testing.assert_array_equal(found, model.predict(plan.inputs).values)
    table = convert_table(path, tmp_path / "f", "y", test_fraction=0, validation_fraction=0)
    assert [column.name for column in table.columns][:3] == ["*", "^.*$", "letter"]


@pytest.mark.parametrize("n", [10, 100])
def test_the_names_of_columns_are_asked_for_once_however_many_there_are(monkeypatch, n):
    asked = []
    names = pl.DataFrame.columns.__get__

    def counted(frame):
        asked.append(frame)
        return names(frame)

    frame = pl.DataFrame({f"c{i}": ["1,5"] for i in range(n)})
    reading = {"kind": "number", "decimal": "comma", "mark": ""}
    step = Translation(dict.fromkeys(frame.columns, reading)).fit(frame)
    monkeypatch.setattr(pl.DataFrame, "columns", property(counted))
    step.transform(frame)
    assert len(asked) < 10


def test_the_target_is_judged_as_it_is_written(path):
    rows, _ = read(path).rows_with_target(as_written())
    assert rows.y[:3].tolist() == [0.5, 1.5, 2.5]
    with pytest.raises(
        ValueError, match=r"'y' must hold numbers with a decimal comma; came '1\.5'"
    ):
        read(path).rows_with_target(as_written().with_columns(y=pl.lit("1.5")))


def test_the_model_file_says_what_was_read(path):
    columns = {column.name: column for column in read(path).columns}
    assert columns["price"].note == "numbers with a decimal comma in €: '1008,00 €' is 1008"
    assert columns["when"].reading == "date"
    assert columns["when, time of day (sine)"].reading == "part"


@pytest.mark.proof
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_on_disk_is_translated_as_in_memory(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(table_files, "PART_BYTES", 500)  # several batches
    monkeypatch.setattr(table_files, "CELLS", 60)
    frame = as_written().with_columns(
        price=pl.when(pl.arange(N) % 9 > 0).then("price"),
        when=pl.when(pl.arange(N) % 7 > 0).then("when"),
    )
    if ending == ".parquet":
        frame = frame.with_columns(when=pl.Series(INSTANTS))
    source = tmp_path / f"table{ending}"
    frame.write_csv(source) if ending == ".csv" else frame.write_parquet(source)
    table = convert_table(source, tmp_path / "table", "y", test_fraction=0)
    plan = fitting.prepared(read_table(source), "y")
    assert table.target == plan.target
    assert [(c.name, c.kind, c.reading, c.note) for c in table.columns] == [
        (c.name, c.kind, c.reading, c.note) for c in plan.columns.used
    ]
    assert plan.notes[-1] in table.facts["notes"]
    model = trained_on_disk(table, SETTINGS).model
    model.write(tmp_path / "model.skops")
    kept = read(tmp_path / "model.skops")
    inputs = kept.estimator._inputs_of_translated(plan.inputs)
    parts = [part for part in (table.training, table.validation) if part is not None]
    rows = np.concatenate([part.X for part in parts])
    np.testing.assert_allclose(np.sort(inputs, axis=0), np.sort(rows, axis=0), atol=1e-5)
    np.testing.assert_array_equal(
        engine.load(tmp_path / "model.skops").predict(frame),
        predicted(tmp_path / "model.skops", frame),
    )


@pytest.mark.proof
def test_one_late_value_decides_on_disk_too(tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "PART_BYTES", 500)
    x = [f"{i + 1},{i * 7 % 1000:03}" for i in range(N)]
    dates = [f"{i % 12 + 1}/{i % 11 + 1}/2024" for i in range(N)]

    def first_numbers(number, date, **given):
        rows = pl.DataFrame(
            {"x": [*x[:-1], number], "d": [*dates[:-1], date], "y": [i + 0.5 for i in range(N)]}
        )
        rows.write_csv(tmp_path / "table.csv")
        folder = tmp_path / f"table{len(list(tmp_path.iterdir()))}"
        table = convert_table(tmp_path / "table.csv", folder, "y", **given)
        numbers = table.learnt.numbers
        medians = np.nanmedian(numbers.sample, axis=0) * numbers.scale + numbers.centre
        places = [table.facts["inputs"].index(name) for name in "xd"]
        return pytest.approx(medians[places].tolist())

    first, day = first_numbers("3,5", "13/1/2024").expected
    assert first < 100
    assert first_numbers("1,234,567", "1/13/2024").expected[0] > 1000
    assert first_numbers("1,234", "1/1/2024", decimal="comma", dates="day-first") == [first, day]
    for given, message in (
        ({}, 'decimal="comma"'),
        ({"decimal": "point"}, 'dates="day-first"'),
    ):
        with pytest.raises(ValueError, match=message):
            first_numbers("1,234", "1/1/2024", **given)
    with pytest.raises(ValueError, match="Column 'x' must hold dates; came '1,000' in row 1"):
        first_numbers("3,5", "13/1/2024", columns={"x": "date"})
    with pytest.raises(ValueError, match="must hold numbers with a decimal comma; came 'a' in row"):
        first_numbers("a", "13/1/2024", decimal="comma", columns={"x": "number"})


# Files that someone forged.


@pytest.mark.parametrize(
    "readings",
    [
        None,
        [],
        {"price": None},
        {"price": {"kind": "number"}},
        {"price": {"kind": "number", "decimal": "both", "mark": ""}},
        {"price": {"kind": "number", "decimal": "comma", "mark": "x" * 1000}},
        {"price": {"kind": "number", "decimal": "comma", "mark": 3}},
        {"price": {"kind": "number", "decimal": "comma", "mark": "", "more": 1}},
        {"price": {"kind": "date", "order": "year-first", "parts": []}},
        {"price": {"kind": "date", "order": "day-first", "parts": ["time of day"] * 1000}},
        {"price": {"kind": "date", "order": "day-first", "parts": "time of day"}},
        {"price": {"kind": "date", "order": "day-first", "parts": ["night"]}},
        {"price": {"kind": "code"}},
        {"another": {"kind": "text"}},
    ],
)
def test_readings_that_no_table_has_are_refused(readings):
    sound = {"price": {"kind": "number", "decimal": "comma", "mark": "€"}}
    step = Translation(sound).of_columns(["price", "letter"])
    estimator_checks.check_transformer(step, 10**6)
    step.readings = readings
    with pytest.raises((AttributeError, KeyError, TypeError, ValueError)):
        estimator_checks.check_transformer(step, 10**6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("target_reading", "comma"),
        ("readings", "comma"),
        ("readings", {"price": {"kind": "code"}}),
        ("readings", {"another": {"kind": "text"}}),
        ("missing", [1]),
    ],
)
def test_a_forged_translation_is_damaged(path, name, value):
    parts = skops_archive.parts_of(path, path.read_bytes())
    schema = json.loads(parts[skops_archive.SCHEMA])
    nodes = [*skops_archive.nodes_of(schema)]
    texts = [one for one in nodes if isinstance(one.get("content"), str)]
    node = next(one for one in texts if "target_reading" in one["content"])
    described = json.loads(json.loads(node["content"]))
    described["encoding"][name] = value
    node["content"] = json.dumps(json.dumps(described))
    forged = path.with_name("forged.skops")
    made = {**parts, skops_archive.SCHEMA: json.dumps(schema).encode()}
    forged.write_bytes(skops_archive.archive_of(made))
    with pytest.raises(ModelFileError, match="damaged"):
        engine.load(forged)
    forged.unlink()


@pytest.mark.parametrize(
    ("old", "new"), [('"reading": "part"', '"reading": ""'), ('"reading": "date"', '"reading": 1')]
)
def test_a_description_that_does_not_fit_the_translation_is_damaged(path, old, new):
    parts = skops_archive.parts_of(path, path.read_bytes())
    changed = parts[skops_archive.HEADER].decode().replace(old, new)
    forged = path.with_name("described.skops")
    forged.write_bytes(skops_archive.archive_of({**parts, skops_archive.HEADER: changed.encode()}))
    with pytest.raises(ModelFileError, match="damaged"):
        read(forged)


def test_a_translation_says_what_it_makes():
    step = Translation(
        {"d": {"kind": "date", "order": "day-first", "parts": ["time of day"]}}
    ).of_columns(["d", "e"])
    rows = step.transform(pl.DataFrame({"d": ["1.1.1970 6:00"], "e": [1]}))
    assert rows.columns == ["d", "e", *step.source_of()]
    assert step.n_features_out(2) == rows.width
    assert step.as_written(rows)["d"].to_list() == ["1970-01-01T06:00:00"]
    assert translation.stored_form(translation.reading_of(step.readings["d"])) == step.readings["d"]


def test_a_number_is_said_as_the_table_would_write_it():
    readings = {
        "rate": {"kind": "number", "decimal": "", "mark": "%"},
        "price": {"kind": "number", "decimal": "comma", "mark": "€"},
        "listed": {"kind": "date", "order": "", "parts": []},
        "time": {"kind": "time", "order": "", "parts": []},
        "city": {"kind": "text"},
    }
    said = Translation(readings).in_words
    assert said("rate", 12.0) == "12 %"
    assert said("price", 123.5) == "123,5 €"
    assert said("listed", 20089.9999999999) == "2025-01-02"  # rounding is no other day
    assert said("listed", 20089.5) == "2025-01-01T12:00:00"
    assert said("time", 12.5) == "12:30:00"
    assert said("city", 3.0) == said("another", 3.0) == "3"
