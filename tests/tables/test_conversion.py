"""Tables become arrays on disk: what is in them, what is refused, and that nothing half stays."""

import errno
import io
import json
import os
import signal
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from engine import convert_table, open_table
from engine.tables import converted_table, fitting
from engine.tables import table_files as tables_table_files
from engine.tables.column_statistics import Moments, TableStatistics
from engine.tables.csv_and_parquet import MISSING, LoadedTable, read_table
from engine.tables.fitting_on_disk import trained_on_disk
from engine.tables.learnt_columns import LearntColumns
from engine.tables.metadata import PARTS
from engine.tables.network_inputs import NetworkInputs
from engine.tables.table_files import table_files
from engine.tables.target import target_of
from tests import grid_sample
from tests.processes import environment

pytestmark = pytest.mark.compiled

N_ROWS = 3000


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    """Several batches of small tables; many for the proofs."""
    many = grid_sample.size_of_sample() is None
    monkeypatch.setattr(tables_table_files, "PART_BYTES", 10_000 if many else 50_000)
    monkeypatch.setattr(tables_table_files, "CELLS", 700 if many else 7_000)


def frame(n_rows=N_ROWS, seed=0):
    """Of every kind of column, with gaps."""
    g = np.random.default_rng(seed)

    def gaps(values, share):
        missing = g.random(n_rows) < share
        return [None if gone else value for gone, value in zip(missing, values)]

    area = g.normal(80, 30, n_rows).round(2)
    return pl.DataFrame(
        {
            "number": range(1, n_rows + 1),
            "area": gaps(area.tolist(), 0.05),
            "rooms": g.integers(1, 6, n_rows),
            "town": gaps([f"town, {k}" for k in g.geometric(0.02, n_rows)], 0.02),
            "floor": gaps([["ground", "upper"][k] for k in g.integers(0, 2, n_rows)], 0.1),
            "balcony": gaps((g.random(n_rows) < 0.3).tolist(), 0.1),
            "listed": [f"2025-{1 + k % 12:02}-01" for k in range(n_rows)],
            "same": ["x"] * n_rows,
            "rent": gaps((10 * area + g.normal(0, 20, n_rows)).round(1).tolist(), 0.01),
            "kind": [["flat", "house", "hut"][k] for k in g.integers(0, 3, n_rows)],
        }
    )


def written(table, folder, ending):
    path = folder / f"table{ending}"
    if ending == ".csv":
        table.write_csv(path)
    else:
        table.write_parquet(path, row_group_size=1111)
    return path


def rows_of(converted):
    """All parts as one, in the order of the parts."""
    found = [part for part in map(converted.part, PARTS) if part is not None]
    return np.concatenate([part.X for part in found]), np.concatenate([part.y for part in found])


def part_of(converted, name):
    found = converted.part(name)
    assert found is not None
    return found


def decided(table, target):
    return TableStatistics.of_frame(table, target).chosen()


def parts_of(table, target, shares=(0.2, 0.08), seed=0):
    """The part of each row: written a second time, from the docstring of convert_table."""
    drawn = np.random.Generator(np.random.PCG64(seed)).random(table.height)
    part = np.where(drawn < shares[0], 2, np.where(drawn < sum(shares), 1, 0))
    part[table[target].is_null().to_numpy()] = -1
    return part


@pytest.mark.sample(1)
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("target", ["rent", "kind"])
def test_inputs_are_those_of_a_table_in_memory(tmp_path, ending, target):
    table = frame()
    path = written(table, tmp_path, ending)
    converted = convert_table(path, tmp_path / "folder", target)
    plan = fitting.prepared(LoadedTable(path, table), target)
    part = parts_of(table, target)
    known = part[part >= 0]
    training = plan.inputs.filter(known == 0)
    statistics = TableStatistics.of_frame(training, None, {"town": "category"})
    learnt = LearntColumns.of(plan.columns, statistics, plan.translation, [])
    columns, numbers = learnt.encoding.columns, learnt.numbers
    assert converted.learnt.encoding.columns == columns
    assert converted.facts["inputs"] == [column.name for column in columns]
    for one, other in zip(vars(converted.learnt.numbers).values(), vars(numbers).values()):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
    inputs = NetworkInputs.fitted(columns, numbers, 48, 16, 8)
    for number, name in enumerate(PARTS):
        rows = learnt.encoding.encode_translated(plan.inputs.filter(known == number))
        np.testing.assert_allclose(
            part_of(converted, name).X, inputs.of(rows), rtol=1e-5, atol=1e-6
        )
    for one, other in zip(converted.embeddings(), inputs.embeddings, strict=True):
        assert type(one) is type(other)


def test_a_regression_target_is_standardised_by_the_rows_to_learn_from(tmp_path):
    table = frame()
    converted = convert_table(written(table, tmp_path, ".csv"), tmp_path / "folder", "rent")
    part, rent = parts_of(table, "rent"), table["rent"].to_numpy()
    learnt = rent[part == 0]
    known = converted.facts["target"]
    np.testing.assert_allclose(known["mean"], learnt.mean())
    np.testing.assert_allclose(known["standard deviation"], learnt.std())
    for number, name in enumerate(PARTS):
        expected = (rent[part == number] - learnt.mean()) / learnt.std()
        np.testing.assert_allclose(part_of(converted, name).y, expected, rtol=1e-5, atol=1e-6)
        assert part_of(converted, name).y.dtype == np.float32
    assert converted.facts["notes"] == [
        f"{table['rent'].null_count()} rows without a target left out."
    ]


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["b", "a", "c"], ["a", "b", "c"]),
        ([True, False, True], [False, True]),
        ([7, 3, 7], [3, 7]),
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_classes_are_numbered(tmp_path, labels, classes, ending):
    table = frame().with_columns(kind=pl.Series((labels * N_ROWS)[:N_ROWS]))
    converted = convert_table(written(table, tmp_path, ending), tmp_path / "folder", "kind")
    assert converted.classes == classes
    part, kind = parts_of(table, "kind"), table["kind"].to_list()
    expected = [classes.index(kind[row]) for row in np.flatnonzero(part == 0)]
    np.testing.assert_array_equal(converted.training.y, expected)
    assert converted.training.y.dtype == np.int32


@pytest.mark.proof
def test_columns_and_target_are_decided_as_in_memory(tmp_path):
    table = frame().with_columns(opened=pl.lit("31.1.2024"), fee=pl.lit("1,50 €"))
    converted = convert_table(written(table, tmp_path, ".csv"), tmp_path / "folder", "rent")
    expected = fitting.prepared(read_table(tmp_path / "table.csv"), "rent").columns
    assert [(c.name, c.kind, c.note) for c in converted.columns] == [
        (c.name, c.kind, c.note) for c in expected.used
    ]
    assert converted.facts["left out"] == [[c.name, c.note] for c in expected.left_out]
    assert ["opened", "is '31.1.2024' everywhere"] in converted.facts["left out"]
    assert ["fee", "is '1,50 €' everywhere"] in converted.facts["left out"]
    facts = TableStatistics.of_frame(table, "rent").columns["rent"].facts()
    assert converted.target == target_of(facts, None)


@pytest.mark.sample(2)
@pytest.mark.parametrize("first", [0, 105])
@pytest.mark.parametrize("n_distinct", [110, 40, 15])
def test_words_among_numbers_are_said_or_learnt_from_as_in_memory(
    tmp_path, monkeypatch, first, n_distinct
):
    for size in (300, 1 << 20):
        monkeypatch.setattr(tables_table_files, "PART_BYTES", size)
        values = [str(k % n_distinct + 0.5) for k in range(120)]
        values[first : first + 10] = ["none"] * 10
        table = pl.DataFrame({"x": values, "z": ["ab"[k % 2] for k in range(120)], "y": range(120)})
        path = written(table, tmp_path, ".csv")
        converted = convert_table(path, tmp_path / f"{size}", "y")
        expected = decided(table, "y")
        assert [c.name for c in converted.columns] == [c.name for c in expected.used]
        assert converted.facts["left out"] == [[c.name, c.note] for c in expected.left_out]


@pytest.mark.sample(1)
@pytest.mark.parametrize("word", ["NAN", "-nan", "Nan"])
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_not_a_number_in_another_spelling_is_a_word(tmp_path, word, ending):
    values = [str(k * 1.5) if k % 50 else word for k in range(N_ROWS)]
    table = frame().with_columns(area=pl.Series(values))
    path = written(table, tmp_path, ending)
    converted = convert_table(path, tmp_path / "folder", "rent")
    (note,) = (note for name, note in converted.facts["left out"] if name == "area")
    assert note.startswith(f"holds numbers, but also {word!r}: ")
    assert [note] == [c.note for c in decided(table, "rent").left_out if c.name == "area"]
    if ending == ".csv":
        converted = convert_table(path, tmp_path / "other", "rent", missing=[word])
        (area,) = (column for column in converted.columns if column.name == "area")
        assert (area.kind, area.n_missing > 0) == ("number", True)


@pytest.mark.sample(1)
@pytest.mark.parametrize("fractions", [True, False])
def test_numbers_told_to_be_categories_are_written_alike_in_all_batches(tmp_path, fractions):
    size = [k % 3 + (0.5 if fractions and k > 2900 else 0) for k in range(N_ROWS)]
    table = frame().with_columns(size=pl.Series(size, dtype=pl.Float64))
    converted = convert_table(
        written(table, tmp_path, ".parquet"), tmp_path / "folder", "rent",
        columns={"size": "category"},
    )  # fmt: skip
    (column,) = (column for column in converted.columns if column.name == "size")
    whole = ("0", "0.5", "1", "1.5", "2", "2.5") if fractions else ("0", "1", "2")
    assert column.categories == whole
    place = converted.facts["inputs"].index("size")
    encoded = converted.learnt.encoding.columns[place]
    assert {*encoded.known} == {*whole}
    assert converted.training.X[:, place].min() == 1


def test_columns_can_be_left_out_by_hand(tmp_path):
    path = written(frame(), tmp_path, ".csv")
    converted = convert_table(path, tmp_path / "folder", "rent", columns={"area": "out"})
    assert ["area", "is left out as you asked"] in converted.facts["left out"]


@pytest.mark.proof
def test_several_files_and_a_folder_of_them_are_one_table(tmp_path):
    table = frame()
    (tmp_path / "parts").mkdir()
    paths = [tmp_path / "parts" / f"part-{k}.parquet" for k in range(3)]
    for k, path in enumerate(paths):
        table.slice(1000 * k, 1000).write_parquet(path)
    whole = convert_table(written(table, tmp_path, ".parquet"), tmp_path / "whole", "rent")
    for name, source in (("files", paths), ("folder", tmp_path / "parts")):
        converted = convert_table(source, tmp_path / name, "rent")
        for one, other in zip(rows_of(converted), rows_of(whole)):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("quoted", [False, True])
def test_rows_are_the_same_however_the_file_is_cut(tmp_path, monkeypatch, quoted):
    table = frame(400)
    if quoted:
        texts = [f'{"a" * (k % 40)}\n"said", {k % 7}' for k in range(400)]
        table = table.with_columns(floor=pl.Series(texts))
    path = written(table, tmp_path, ".csv")
    found = []
    for size in (300, 1001, 1 << 20):
        monkeypatch.setattr(tables_table_files, "PART_BYTES", size)
        batches = list(table_files(path, MISSING).batches())
        assert [b.first_row for b in batches] == list(
            1 + np.cumsum([0, *(b.frame.height for b in batches[:-1])])
        )
        found.append(pl.concat(b.frame for b in batches))
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])
    assert found[0]["floor"].to_list()[5] == table["floor"].to_list()[5]


@pytest.mark.proof
def test_parts_of_a_file_grow_with_its_columns(tmp_path, monkeypatch):
    monkeypatch.setattr(tables_table_files, "PART_BYTES", 2000)
    path = tmp_path / "table.csv"
    n_rows, found = 100, {}
    for n_columns in (10, 1000):
        lines = [",".join(f"x{k}" for k in range(n_columns)), *[",".join("1" * n_columns)] * n_rows]
        path.write_text("\n".join(lines))
        batches = list(table_files(path, MISSING).batches())
        assert sum(batch.frame.height for batch in batches) == n_rows
        found[n_columns] = max(batch.frame.height * 2 * n_columns for batch in batches)
    assert found[10] <= 2000
    assert 2000 < found[1000] <= 2000 * (1 + 1000 // tables_table_files.COLUMNS)


def test_empty_rows_are_left_out_and_counted(tmp_path):
    path = tmp_path / "table.csv"
    lines = ["x,y", *(f"{k},{k % 2}" if k % 10 else "," for k in range(1000))]
    path.write_text("\n".join(lines))
    converted = convert_table(path, tmp_path / "folder", "y")
    assert "100 empty rows left out." in converted.facts["notes"]
    assert sum(converted.facts["rows"].values()) == 900


def test_pieces_of_many_rows_are_those_of_a_sample(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.tables.column_statistics.SAMPLE_ROWS", 500)
    table = frame()
    converted = convert_table(written(table, tmp_path, ".parquet"), tmp_path / "folder", "rent")
    learnt = table.filter(parts_of(table, "rent") == 0)["area"].drop_nulls().to_numpy()
    numbers = converted.learnt.numbers
    place = converted.facts["inputs"].index("area")
    assert len(numbers.sample) == 500
    assert numbers.centre[place] == pytest.approx(learnt.mean())
    median = np.nanmedian(numbers.sample[:, place]) * numbers.scale[place] + numbers.centre[place]
    assert median != np.median(learnt)
    assert abs((learnt < median).mean() - 0.5) < 4 * np.sqrt(0.25 / 500)


def test_a_sample_is_drawn_over_all_rows_and_holds_each_once(monkeypatch):
    monkeypatch.setattr("engine.tables.column_statistics.SAMPLE_ROWS", 500)
    survey = TableStatistics("y", {}, 3, np.random.default_rng(0))
    sizes = [1, 300, 250, 2, 4000, 7]
    rows = np.split(np.arange(float(sum(sizes))), np.cumsum(sizes)[:-1])
    for numbers in rows:
        learnt = numbers % 3 > 0
        survey._keep_sample({"x": numbers, "z": -numbers}, learnt)
    sample = survey.sample["x"]
    np.testing.assert_array_equal(sample, -survey.sample["z"])
    assert len(np.unique(sample)) == 500
    assert (sample % 3 > 0).all()
    chosen = np.random.default_rng(0)  # the rows of the 500 lowest keys
    keys = np.concatenate([chosen.random(n) for n in sizes])
    keys[::3] = 2
    assert set(sample) == set(np.argsort(keys)[:500])
    survey._keep_sample({"x": np.zeros(3)}, np.ones(3, bool))
    assert list(survey.sample) == ["x"]  # z was numbers no longer


def test_moments_of_batches_are_those_of_the_whole():
    values = np.random.default_rng(0).normal(1e6, 1.0, 1000)
    moments = Moments()
    for part in np.split(values, [1, 1, 300, 999]):
        moments.add(part)
    np.testing.assert_allclose(moments.mean, values.mean(), rtol=1e-14)
    np.testing.assert_allclose(moments.squares / moments.n, values.var(), rtol=1e-6)


def test_classes_that_no_row_to_learn_from_has_are_left_out_and_said(tmp_path):
    table = frame()
    part = parts_of(table, "kind")
    rare = int(np.flatnonzero(part == 2)[0])
    kind = table["kind"].to_list()
    kind[rare] = "castle"
    path = written(table.with_columns(kind=pl.Series(kind)), tmp_path, ".csv")
    converted = convert_table(path, tmp_path / "folder", "kind")
    assert converted.classes == ["flat", "house", "hut"]
    assert converted.facts["rows"]["held-out"] == (part == 2).sum() - 1
    assert converted.facts["notes"] == [
        "1 row left out, of 1 class of which no row is learnt from."
    ]


# What is refused; nothing is left then.


def nothing_left(folder):
    return not [path for path in folder.iterdir() if "folder" in path.name]


def refused(message, source, tmp_path, target="y", error=ValueError, **given):
    with pytest.raises(error, match=message):
        convert_table(source, tmp_path / "folder", target, **given)
    assert nothing_left(tmp_path)


def lines_of(n_rows=3000):
    return ["x,z,y", *(f"{k % 17},{k % 5}.5,{k % 2}" for k in range(n_rows))]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("1,2,3,4", r"table.csv cannot be read as CSV, line 2,502: 4 fields, and the header has 3"),
        ("1,2,3,4", r"has 3\. Is there a ',' in a text without quotes around it"),
        ('1,"2,3', r"table.csv cannot be read as CSV, .*line"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path, wrong, message):
    lines = lines_of()
    lines.insert(2501, wrong)
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines))
    refused(message, path, tmp_path)


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "engine.tables.csv_and_parquet.HEADER_BYTES", 1000
    )  # that are looked at first
    lines = lines_of()
    lines.insert(2501, "1,\xe9,3")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines), encoding="latin-1")
    refused(r"table.csv cannot be read as CSV, line 2,502: it is not UTF-8 text", path, tmp_path)


def test_a_quotation_mark_that_is_never_closed_does_not_take_the_whole_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tables_table_files, "MOST_ROW_BYTES", 20_000)
    lines = lines_of(20_000)
    lines.insert(2501, '1,"2,3')
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines))
    refused("a row of more than 0 MB. Is a quotation mark opened", path, tmp_path)


def test_a_word_among_numbers_is_named_with_its_row(tmp_path):
    lines = lines_of()
    lines[2501] = lines[2502] = lines[2999] = "oops,1,1"
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines))
    # Not how many more.
    message = r"Column 'x' must hold numbers; came 'oops' in row 2,501\. Mend the values, or leave "
    refused(message, path, tmp_path, columns={"x": "number"})


def test_a_number_out_of_range_is_named_with_its_row(tmp_path):
    lines = lines_of()
    lines[2501] = "1e200,1,1"
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines))
    refused(r"Column 'x' is 1e\+200 in row 2,501; numbers must be at most", path, tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"target": "yy"}, "target: the table has no column 'yy'. Did you mean 'y'"),
        ({"columns": {"q": "number"}}, "the table has no column 'q'"),
        ({"columns": {"y": "number"}}, "'y' is the target; its kind goes by the task"),
        ({"columns": {"x": "text"}}, "the kind of 'x' must be 'number', 'category'"),
        ({"task": "ranking"}, "task must be 'classification' or 'regression'; got 'ranking'"),
        ({"test_fraction": 1.0}, "test_fraction must be at least 0 and below 1"),
        ({"validation_fraction": -1}, "validation_fraction must be finite and at least 0"),
        ({"test_fraction": 0.999, "validation_fraction": 0.99}, "too few to learn from"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, given, message):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines_of(300)))
    refused(message, path, tmp_path, **{"target": "y", **given})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\r1,2\r3,4\r", ": its lines end with CR; save it with LF"),
        ('x,"y\n1,2\n3,4\n', ", line 1: a quotation mark in the header is not closed"),
        (
            'x,"z"a,y\n1,2,3\n',
            ", line 1: a quotation mark in the header is not closed, or text foll",
        ),
        (f"{'x,' * 2000}y\n1,2\n", ": its header is longer than 0 MB"),
    ],
)
def test_a_header_that_cannot_be_read_is_said(tmp_path, monkeypatch, text, message):
    monkeypatch.setattr("engine.tables.csv_and_parquet.HEADER_BYTES", 100)
    monkeypatch.setattr("engine.tables.csv_and_parquet.MOST_ROW_BYTES", 1000)
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode())
    refused(rf"table.csv cannot be read as CSV{message}", path, tmp_path)


@pytest.mark.parametrize("name", ["a\u2028b", "a\x0cb", "a\x85b", "a;b", '"a\nb"'])
def test_a_header_ends_where_a_line_of_a_file_ends(tmp_path, name):
    path = tmp_path / "table.csv"
    path.write_text("\n".join([f"{name},z,y", *lines_of(300)[1:]]), encoding="utf-8")
    converted = convert_table(path, tmp_path / "folder", "y")
    assert [column.name for column in converted.columns] == [name.strip('"'), "z"]
    assert read_table(path).frame.columns == [name.strip('"'), "z", "y"]


def test_a_table_of_very_many_columns_with_long_names_is_read(tmp_path):
    names = [f"a column that has number {k}" for k in range(6000)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join([",".join([*names, "y"]), ",".join("1" * 6001)]))
    assert table_files(path, MISSING).names == [*names, "y"]
    assert len(path.read_text().split("\n")[0]) > 131_072  # of csv's fields


def test_a_folder_with_folders_in_it_is_refused_but_for_what_was_converted(tmp_path):
    tables = tmp_path / "tables"
    (tables / "2024").mkdir(parents=True)
    (tables / "a.csv").write_text("\n".join(lines_of(300)))
    refused("tables has folders in it, '2024', which are not looked into", tables, tmp_path)
    (tables / "2024").rmdir()
    convert_table(tables, tables / "arrays", "y")
    assert table_files(tables, MISSING).paths == [tables / "a.csv"]


def far_out(tmp_path, name, part):
    """A table with one number that is far out, in a row of that part; and its row."""
    table = frame()
    row = int(np.flatnonzero(parts_of(table, "rent") == part)[3])
    values = table[name].to_list()
    values[row] = 1e100
    return written(table.with_columns(pl.Series(name, values)), tmp_path, ".csv"), row + 1


@pytest.mark.proof
@pytest.mark.parametrize("part", [1, 2])
def test_a_target_too_far_out_is_refused_with_its_row(tmp_path, part):
    path, row = far_out(tmp_path, "rent", part)
    message = f"Column 'rent' is .* standard deviations from its mean in row {row:,}, too far for"
    refused(message, path, tmp_path, "rent")


@pytest.mark.sample(1)
@pytest.mark.parametrize("part", [0, 1, 2, -1])
def test_an_input_far_out_is_taken_as_nearer(tmp_path, part):
    path, _ = far_out(tmp_path, "area", part)
    converted = convert_table(path, tmp_path / "folder", "rent")
    assert not any(np.isinf(array).any() for array in rows_of(converted))


@pytest.mark.parametrize("factor", [1e40, 1e-45])
def test_a_target_may_be_huge_or_tiny(tmp_path, factor):
    table = frame(600).with_columns(pl.col("rent") * factor)
    path = written(table, tmp_path, ".parquet")
    converted = convert_table(path, tmp_path / "folder", "rent")
    trained = trained_on_disk(converted, {"n_members": 1, "max_iter": 1})
    assert trained.scores["training"]["RMSE"] < 1e5 * factor


def test_files_of_other_columns_are_refused(tmp_path):
    one, other = tmp_path / "a.csv", tmp_path / "b.csv"
    one.write_text("\n".join(lines_of(300)))
    other.write_text("x,y\n1,1\n")
    refused(
        r"b.csv has other columns than .*a.csv: only one of them has 'z'", [one, other], tmp_path
    )


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_files_that_are_no_tables_are_refused(tmp_path, ending):
    path = tmp_path / f"table{ending}"
    path.write_bytes(b"PAR1" + bytes(3000))
    refused("is no Parquet file|is no CSV file", path, tmp_path)
    path.write_bytes(b"")
    refused("is empty", path, tmp_path)
    (tmp_path / "empty").mkdir()
    refused("is a folder without tables", tmp_path / "empty", tmp_path)


def test_a_column_of_parquet_without_a_name_is_refused(tmp_path):
    path = written(frame(300).rename({"area": ""}), tmp_path, ".parquet")
    refused("table.parquet: its column 2 has no name; give it one", path, tmp_path, "rent")
    with pytest.raises(ValueError, match="its column 2 has no name; give it one"):
        read_table(path)


def test_a_header_without_rows_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("x,y\n")
    refused("a header and no rows", path, tmp_path)


def test_a_folder_that_exists_is_left_as_it_is(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines_of(300)))
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="kept exists already, and nothing in it was changed"):
        convert_table(path, kept, "y")
    assert [found.name for found in kept.iterdir()] == ["mine.txt"]
    assert sorted(found.name for found in tmp_path.iterdir()) == ["kept", "table.csv"]


def test_a_table_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines_of(3000)))

    def survey(what, rows):
        if what == "survey" and rows == 3000:
            with path.open("a") as file:
                file.write("\n1,1,1\n")

    refused("was changed while it was read; nothing was written", path, tmp_path, progress=survey)


@pytest.mark.parametrize("late", [False, True])
def test_a_full_disk_is_said_and_nothing_is_left(tmp_path, monkeypatch, late):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines_of(3000)))
    if late:

        def write(writer, part, X, y):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(converted_table.ArrayWriter, "write", write)
        refused("The disk is full. What was written is removed", path, tmp_path, error=OSError)
    else:
        monkeypatch.setattr("shutil.disk_usage", lambda folder: _Free(1000))
        refused("are free. Nothing was written", path, tmp_path, error=OSError)


class _Free:
    def __init__(self, free):
        self.free = free


@pytest.mark.parametrize("when", ["survey", "write"])
def test_ctrl_c_leaves_nothing(tmp_path, when):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines_of(3000)))

    def stop(what, rows):
        if what == when and rows > 1000:
            raise KeyboardInterrupt

    refused(None, path, tmp_path, error=KeyboardInterrupt, progress=stop)


@pytest.mark.proof
def test_a_process_that_is_killed_leaves_nothing_that_looks_finished(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines_of(3000)))
    code = (
        "import sys, time\n"
        "from engine import convert_table\n"
        "from engine.tables import table_files\n"
        "table_files.PART_BYTES = 10_000\n"
        "def wait(what, rows):\n"
        "    if what == 'write':\n"
        "        print('writing', flush=True)\n"
        "        time.sleep(60)\n"
        "convert_table(sys.argv[1], sys.argv[2], 'y', progress=wait)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(tmp_path / "folder")],
        env=environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    process.stdout.close()
    assert not (tmp_path / "folder").exists()
    (left,) = (found for found in tmp_path.iterdir() if found.name != "table.csv")
    assert left.name.startswith(".folder.")
    assert left.name.endswith(".unfinished")
    with pytest.raises(ValueError, match="is not what `engine convert` has written"):
        open_table(left)
    convert_table(path, tmp_path / "folder", "y")  # and once more


# Folders that are opened.


def an_archive():
    file = io.BytesIO()
    np.savez(file, a=[1])
    return file.getvalue()


def rewritten(folder, change):
    path = folder / "training-inputs.npy"
    np.save(path, change(np.load(path)))


@pytest.fixture
def converted(tmp_path):
    return convert_table(written(frame(600), tmp_path, ".csv"), tmp_path / "folder", "rent")


def test_a_converted_table_is_opened_as_it_was_written(converted):
    again = open_table(str(converted.folder))
    assert again == converted
    for one, other in zip(rows_of(again), rows_of(converted)):
        np.testing.assert_array_equal(one, other)
    assert isinstance(again.training.X, np.memmap)
    assert not again.training.X.flags.writeable


def test_the_same_table_and_seed_give_the_same_bytes(converted, tmp_path):
    again = convert_table(tmp_path / "table.csv", tmp_path / "again", "rent")
    for name in os.listdir(converted.folder):
        if name.endswith(".npy"):
            assert (again.folder / name).read_bytes() == (converted.folder / name).read_bytes()


def test_the_same_call_may_open_what_it_has_made(converted, tmp_path):
    source, given = tmp_path / "table.csv", {"reuse": True}
    before = {path.name: path.stat().st_mtime_ns for path in converted.folder.iterdir()}
    again = convert_table(source, converted.folder, "rent", **given)
    assert again == converted
    assert before == {path.name: path.stat().st_mtime_ns for path in converted.folder.iterdir()}
    first = convert_table(source, tmp_path / "other", "rent", **given)  # where there is none yet
    assert first.facts["inputs"] == converted.facts["inputs"]
    with pytest.raises(ValueError, match="folder exists already, and nothing in it was changed"):
        convert_table(source, converted.folder, "rent")


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"target": "area"}, "target is 'area' and was 'rent'"),
        ({"task": "regression"}, "task is 'regression' and was None"),
        ({"columns": {"area": "out"}}, r"columns is {'area': 'out'} and was {}"),
        ({"missing": ["x"]}, r"missing is \['x'\] and was \['\?', .*'\]"),
        ({"test_fraction": 0.1}, "test_fraction is 0.1 and was 0.2"),
        ({"validation_fraction": 0.1}, "validation_fraction is 0.1 and was None"),
        ({"seed": 1}, "seed is 1 and was 0"),
    ],
)
def test_another_call_does_not_open_it_and_says_what_differs(converted, tmp_path, given, message):
    given = {"target": "rent", "reuse": True, **given}
    with pytest.raises(ValueError, match=f"was converted otherwise: {message}. Nothing in it was"):
        convert_table(tmp_path / "table.csv", converted.folder, **given)


def test_what_was_made_of_a_table_that_has_changed_is_not_opened(converted, tmp_path):
    with (tmp_path / "table.csv").open("a") as file:
        file.write(",".join("1" * 10) + "\n")
    with pytest.raises(ValueError, match="otherwise: the tables are others, or have changed"):
        convert_table(tmp_path / "table.csv", converted.folder, "rent", reuse=True)


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "columns.json").write_text("{"), "columns.json is damaged"),
        (lambda folder: (folder / "columns.json").write_text("[" * 100_000), "is damaged"),
        (lambda folder: (folder / "training-inputs.npy").write_bytes(an_archive()), "no array"),
        (
            lambda folder: rewritten(folder, lambda X: X.astype(float)),
            r"holds float64 of shape \(.*\), and columns.json says float32 of shape",
        ),
        (lambda folder: rewritten(folder, lambda X: X.astype(">f4")), "holds >f4 of shape"),
        (lambda folder: rewritten(folder, lambda X: X[1:]), "holds float32 of shape"),
        (lambda folder: (folder / "columns.json").write_text("{}"), "columns.json is damaged"),
        (lambda folder: (folder / "columns.json").unlink(), "has no columns.json"),
        (lambda folder: os.truncate(folder / "training-inputs.npy", 5000), "is damaged"),
        (lambda folder: (folder / "training-targets.npy").write_bytes(b""), "is damaged"),
    ],
)
def test_a_damaged_folder_is_refused(converted, damage, message):
    damage(converted.folder)
    with pytest.raises(ValueError, match=message):
        open_table(converted.folder)


def test_a_folder_of_another_format_is_refused(converted):
    path = converted.folder / "columns.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 1}))
    with pytest.raises(ValueError, match="has format 1, and this version of mlp-engine reads"):
        open_table(converted.folder)


@pytest.fixture
def converted_classes(tmp_path):
    return convert_table(written(frame(600), tmp_path, ".csv"), tmp_path / "folder", "kind")


def places(facts, place=()):
    """All that `open_table` is to look at: the places of values, and of mappings and lists."""
    yield place
    if isinstance(facts, dict):
        for name in facts:
            if name not in ("mlp-engine", "numbers", "asked", "n_distinct", "target_reading"):
                yield from places(facts[name], (*place, name))
    if isinstance(facts, list) and facts:
        yield from places(facts[0], (*place, 0))


@pytest.mark.parametrize("kind", ["converted", "converted_classes"])
def test_facts_that_lack_anything_or_hold_another_type_are_refused(request, kind):
    table = request.getfixturevalue(kind)
    path = table.folder / "columns.json"
    whole = path.read_text()
    damaged = 0
    for place in list(places(table.facts))[1:]:
        values: tuple[object, ...] = (None, 1.5, {}, "(nothing)")
        for value in values:
            facts = json.loads(whole)
            *above, last = place
            if value == "(nothing)" and last == "reading":
                continue  # a column that stands there as programs write it need not have one
            inner = facts
            for name in above:
                inner = inner[name]
            if value == "(nothing)" and isinstance(inner, dict):
                del inner[last]
            elif value == "(nothing)" or type(inner[last]) in (type(value), float):
                continue
            else:
                inner[last] = value
            path.write_text(json.dumps(facts))
            with pytest.raises(ValueError, match=r"is damaged|has format"):
                open_table(table.folder)
            damaged += 1
    assert damaged > 100
    path.write_text(whole)
    assert open_table(table.folder) == table


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda facts: facts["rows"].update(training=0), "rows are {'training': 0"),
        (lambda facts: facts["rows"].update({"held-out": -1}), "rows are"),
        (lambda facts: facts.update(columns=[]), "it has no columns, or no inputs"),
        (lambda facts: facts["left out"][0].pop(), "a column is left out without a reason"),
        (lambda facts: facts["target"].update(task="guessing"), "target task is 'guessing'"),
        (lambda facts: facts["target"]["classes"].pop(), "each class needs its count"),
        (lambda facts: facts["target"].update(classes=["a", "a", "b"]), "not two or more diff"),
        (lambda facts: facts["target"].update(classes=["a", 1, "b"]), "different ones of a type"),
        (lambda facts: facts["target"]["counts"].__setitem__(0, 0), "each class needs its count"),
        (lambda facts: facts["target"]["counts"].__setitem__(0, 1), "the classes have"),
    ],
)
def test_facts_that_do_not_fit_each_other_are_refused(converted_classes, change, message):
    path = converted_classes.folder / "columns.json"
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=f"columns.json is damaged: .*{message}"):
        open_table(converted_classes.folder)


@pytest.mark.sample(1)
@pytest.mark.parametrize("value", [float("nan"), 0, -1.0])
def test_a_target_without_a_standard_deviation_is_refused(converted, value):
    path = converted.folder / "columns.json"
    facts = json.loads(path.read_text())
    facts["target"]["standard deviation"] = value
    path.write_text(json.dumps(facts))
    with pytest.raises(ValueError, match="the target's mean and standard deviation are none"):
        open_table(converted.folder)


def renumbered(folder, change):
    np.save(folder / "numbers.npy", change(np.load(folder / "numbers.npy")))


def replaced_codes(folder, change, part="training"):
    path = folder / f"{part}-targets.npy"
    np.save(path, change(np.load(path)).astype(np.int32))


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: replaced_codes(f, lambda y: y + 1), "training-targets.npy is damaged: its cl"),
        (lambda f: replaced_codes(f, lambda y: y - 1), "training-targets.npy is damaged: its cl"),
        (lambda f: replaced_codes(f, lambda y: y * 0), "training-targets.npy is damaged: its cl"),
        (lambda f: replaced_codes(f, lambda y: y + 3, "held-out"), "held-out-targets.npy is dam"),
        (lambda f: (f / "numbers.npy").write_bytes(b"x"), "numbers.npy is damaged"),
        (lambda f: (f / "numbers.npy").unlink(), "numbers.npy is missing"),
        (lambda f: renumbered(f, lambda rows: rows[:, 1:]), "numbers.npy is damaged: it is of sh"),
        (lambda f: renumbered(f, lambda rows: rows[:1]), "numbers.npy is damaged: it is of shape"),
        (lambda f: renumbered(f, lambda rows: rows * 0), "numbers.npy is damaged: its numbers ha"),
        (lambda f: renumbered(f, lambda rows: rows + np.inf), "numbers.npy is damaged: its numb"),
        (
            lambda f: (f / "columns.json").write_text(
                (f / "columns.json").read_text().replace('"name": "floor"', '"name": "other"', 1)
            ),
            "columns are made of others than it says",
        ),
    ],
)
def test_what_is_damaged_is_found_before_training(converted_classes, monkeypatch, damage, message):
    damage(converted_classes.folder)
    monkeypatch.setattr("engine.tables.member_fits.fit_all", None)
    monkeypatch.setattr("engine.tables.converted_table.CODES_AT_A_TIME", 100)
    with pytest.raises(ValueError, match=message):
        trained_on_disk(open_table(converted_classes.folder), {})


@pytest.mark.proof
def test_rows_to_stop_by_are_used_as_asked(tmp_path):
    path = written(frame(600), tmp_path, ".csv")
    without = convert_table(path, tmp_path / "without", "kind", validation_fraction=0)
    with pytest.raises(ValueError, match="without was converted without any, or with one"):
        trained_on_disk(without, {}, early_stopping=True)
    table = convert_table(path, tmp_path / "with", "kind")
    n_rows = table.facts["rows"]["validation"]
    settings = {"max_iter": 2, "random_state": 0}
    for asked, stops in ((None, True), (True, True), (False, False)):
        trained = trained_on_disk(table, settings, asked)
        assert {network.early_stopping for network in trained.networks} == {stops}
        assert trained.model.training["validation rows"] == [n_rows * stops] * len(trained.networks)


@pytest.mark.proof
def test_one_row_is_none_to_stop_by(tmp_path):
    table = frame(60)
    seeds = (seed for seed in range(100) if (parts_of(table, "rent", seed=seed) == 1).sum() == 1)
    path = written(table, tmp_path, ".csv")
    converted = convert_table(
        path, tmp_path / "one", "rent", seed=next(seeds), validation_fraction=0.1
    )
    assert converted.facts["rows"]["validation"] == 1
    trained = trained_on_disk(converted, {"max_iter": 2, "random_state": 0})
    assert not any(network.early_stopping for network in trained.networks)
    assert not any("R^2" in message for message in trained.warnings)


def test_all_files_are_closed_where_one_cannot_be(tmp_path):
    writer = converted_table.ArrayWriter(
        tmp_path, {"training": 2, "held-out": 2}, 3, (np.float32, np.int32)
    )
    files = [file for file, _ in writer._files.values() if file is not None]

    class Full:
        def __exit__(self, *error):
            raise OSError(errno.ENOSPC, "No space left on device")

        def __enter__(self):
            return self

    writer._open.enter_context(Full())
    with pytest.raises(OSError, match="No space left"):
        writer.close()
    assert len(files) == 4
    assert all(file.closed for file in files)


@pytest.mark.parametrize("what", ["write_numbers", "write_metadata"])
def test_a_disk_that_is_full_at_the_end_is_said_too(tmp_path, monkeypatch, what):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"engine.tables.conversion.{what}", full)
    path = written(frame(600), tmp_path, ".csv")
    refused("The disk is full. What was written is removed", path, tmp_path, "rent", OSError)


def test_one_text_for_several_missing_ones_is_refused(tmp_path):
    path = written(frame(600), tmp_path, ".csv")
    message = r"missing must list texts; got 'NA': pass \['NA'\]"
    refused(message, path, tmp_path, "rent", TypeError, missing="NA")
