"""What `engine train` saved, given rows as files and as frames of pandas and polars: one answer."""

import csv
import io

import numpy as np
import pandas as pd
import polars as pl
import pytest

import engine
from engine.cli import main
from engine.tables.model import read

pytestmark = pytest.mark.compiled

QUICK = ("--max-iter", "20", "--hidden", "8", "--learning-rate", "0.02")
NEW = "area,side,lift,shop\n30,north,true,1\n,,,\n55,east,false,9\nNA,NA,,NA\n60,south,,2\n"


def command(*arguments):
    with pytest.raises(SystemExit) as end:
        main.main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table with gaps and codes, and a model of each task."""
    folder = tmp_path_factory.mktemp("frames")
    draw = np.random.default_rng(0)
    lines = ["area,side,lift,shop,rent,dear"]
    for _ in range(200):
        area, shop = draw.integers(20, 90), draw.integers(1, 4)
        side, lift = draw.choice(["north", "south", ""]), draw.choice(["true", "false", ""])
        rent = 9 * area + 200 * (side == "north") + 30 * shop + 50 * (lift == "true")
        written = "" if draw.random() < 0.1 else area
        lines.append(f"{written},{side},{lift},{shop},{rent},{'hi' if rent > 600 else 'lo'}")
    (folder / "flats.csv").write_text("\n".join(lines))
    (folder / "new.csv").write_text(NEW)
    for target, other in (("rent", "dear"), ("dear", "rent")):
        model = folder / f"{target}.skops"
        told = ("--column", f"{other}=out", "--column", "shop=category", "--model", model)
        assert command("train", folder / "flats.csv", "--target", target, *told, *QUICK) == 0
    return folder


@pytest.fixture
def predicted(folder, capsys, tmp_path):
    """Of a table what `engine predict` prints, as columns."""

    def of(target, table, ending=".csv"):
        path = table
        if not hasattr(table, "exists"):
            path = tmp_path / f"table{ending}"
            path.write_text(table)
        capsys.readouterr()
        assert command("predict", folder / f"{target}.skops", path) == 0
        out, of.__dict__["notes"] = capsys.readouterr()
        rows = list(csv.DictReader(out.splitlines()))
        return {name: [row[name] for row in rows] for name in rows[0]}

    return of


TEXT = pd.read_csv(io.StringIO(NEW))
GAPS = TEXT.isna()
CODES = ["1.0", None, "9.00", "NA", "2.0"]  # of shops, in another spelling
PL = pl.read_csv(io.StringIO(NEW), null_values=["NA"])
FRAMES = {
    "as read_csv gives it": TEXT,
    "object": TEXT.astype(object),
    "None": TEXT.astype(object).mask(GAPS, None),
    "pd.NA": TEXT.astype(object).mask(GAPS, pd.NA),
    "NaT": TEXT.astype(object).mask(GAPS, pd.NaT),
    "nullable": TEXT.astype(
        {"area": "Int64", "side": "string", "lift": "boolean", "shop": "Int64"}
    ),
    "category": TEXT.astype({"side": "category", "lift": "category", "shop": "category"}),
    "text": pd.read_csv(io.StringIO(NEW), dtype=str),
    "text, gaps as nothing": pd.read_csv(io.StringIO(NEW), dtype=str, keep_default_na=False),
    "text, codes with a point": TEXT.assign(shop=CODES),
    "another order, and more": TEXT[TEXT.columns[::-1]].assign(more=1).set_index("more"),
    "polars": PL,
    "polars, NA as a text": pl.read_csv(io.StringIO(NEW)),
    "polars, all text": pl.read_csv(io.StringIO(NEW), infer_schema=False),
    "polars, floats with NaN": PL.with_columns(
        pl.col("area", "shop").cast(pl.Float64).fill_null(float("nan"))
    ),
    "polars, categorical": PL.with_columns(pl.col("side").cast(pl.Categorical)),
    "polars, categorical, NA as a text": pl.read_csv(io.StringIO(NEW)).with_columns(
        pl.col("side").cast(pl.Categorical)
    ),
    "polars, codes with a point": PL.with_columns(shop=pl.Series(CODES)),
}


@pytest.mark.sample(1)
@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_loaded_model_gives_for_frames_what_engine_predict_gives_for_the_file(
    folder, predicted, frame
):
    regressor, classifier = (engine.load(folder / f"{name}.skops") for name in ("rent", "dear"))
    rents = [float(rent) for rent in predicted("rent", NEW)["predicted_rent"]]
    assert len(rents) == 5
    np.testing.assert_allclose(regressor.predict(frame), rents, rtol=1e-9)
    found = predicted("dear", NEW)
    assert classifier.predict(frame).tolist() == found["predicted_dear"]
    shares = np.array([found["probability_hi"], found["probability_lo"]], dtype=float).T
    np.testing.assert_allclose(classifier.predict_proba(frame), shares, rtol=1e-9)
    assert regressor.score(frame, rents) == pytest.approx(1)
    assert classifier.score(frame, pd.Series(found["predicted_dear"])) == 1


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (TEXT.to_numpy(dtype=object), "pass a pandas or polars DataFrame; got ndarray"),
        (TEXT.drop(columns="side"), "The table lacks a column that training had: 'side'"),
        (TEXT.assign(area="wide"), "Column 'area' must hold numbers, as in training; came 'wide'"),
        (TEXT.assign(lift=7), "Column 'lift' must hold true and false, as in training; came 7"),
        (TEXT.assign(side=pd.Timestamp(0)), "'side' is of another type: .* and dates came"),
        (TEXT.assign(side=[[1]] * 5), "Column 'side' must hold .*, as in training; came"),
        (TEXT.assign(area=np.inf), "Column 'area' is inf in row 1"),
        (PL.with_columns(area=pl.lit("wide")), "Column 'area' must hold numbers"),
    ],
)
def test_a_frame_of_other_columns_is_refused_in_words(folder, frame, message):
    with pytest.raises(ValueError, match=message):
        engine.load(folder / "rent.skops").predict(frame)


def test_predictions_are_one_to_one_with_rows(folder, predicted, tmp_path, capsys):
    table = "area,side,lift,shop\n30,north,true,1\n,,,\nNA,NA,NA,NA\n\n60,south,,2\n\n"
    rents = predicted("rent", table)["predicted_rent"]
    assert len(rents) == 4
    assert rents[1] == rents[2]
    assert predicted("rent", table.replace(",", "\t"), ".tsv")["predicted_rent"] == rents
    frame = pl.read_csv(io.StringIO(table.replace("\n\n", "\n")), null_values=["NA"])
    frame.write_parquet(tmp_path / "table.parquet")
    assert predicted("rent", tmp_path / "table.parquet")["predicted_rent"] == rents
    for ending in (".csv", ".parquet"):
        output = tmp_path / f"found{ending}"
        (tmp_path / "in.csv").write_text(table)
        arguments = ("predict", folder / "rent.skops", tmp_path / "in.csv", "--output", output)
        assert command(*arguments) == 0
        found = pl.read_csv(output) if ending == ".csv" else pl.read_parquet(output)
        assert [str(one) for one in found["predicted_rent"]] == rents
    assert "1 blank line (line 5) is no row, and has no prediction." in capsys.readouterr().err


def test_codes_are_known_in_whichever_spelling(predicted):
    head, codes = "area,side,lift,shop\n", ("1", "2", "3", "9")

    def rents(*shops):
        return predicted("rent", head + "".join(f"50,north,true,{shop}\n" for shop in shops))

    assert rents(*codes) == rents("1.0", "2.00", "3.", "9.0") == rents("1", "2.0", "3.0", "new")
    assert rents("1") == rents("1.0")
    assert predicted.notes == ""
    assert rents("9") == rents("9.0")  # a code that is not known, alone


@pytest.mark.sample(1)
@pytest.mark.parametrize("beside", ["", "three"])
def test_classes_are_known_in_whichever_spelling(folder, tmp_path, capsys, beside):
    def rows(one, two):
        labels = (two if k % 9 > 4 else beside if beside and k % 9 == 0 else one for k in range(90))
        return "a,kind\n" + "\n".join(f"{k % 9},{label}" for k, label in enumerate(labels))

    (tmp_path / "codes.csv").write_text(rows("1", "2"))
    model = tmp_path / "codes.skops"
    assert (
        command("train", tmp_path / "codes.csv", "--target", "kind", "--model", model, *QUICK) == 0
    )
    (tmp_path / "floats.csv").write_text(rows("1.0", "2.0"))
    pl.read_csv(tmp_path / "floats.csv").write_parquet(tmp_path / "floats.parquet")
    capsys.readouterr()
    said = []
    for name in ("codes.csv", "floats.csv", "floats.parquet"):
        assert command("evaluate", model, tmp_path / name) == 0
        out, err = capsys.readouterr()
        assert "had not seen" not in err
        said.append(out.partition("\n")[2])
    assert said[0] == said[1] == said[2]


def test_a_word_that_is_said_to_be_a_value_is_one_in_predictions_too(folder, tmp_path, capsys):
    rows = [f"{k % 9},{'NA' if k % 9 > 4 else 'EU'}" for k in range(90)]
    table, model = tmp_path / "areas.csv", tmp_path / "areas.skops"
    table.write_text("a,area\n" + "\n".join(rows))
    arguments = ("train", table, "--target", "area", "--model", model, *QUICK)
    assert command(*arguments) == 2
    assert "'NA' counts as missing in 40 rows (--not-missing 'NA'" in capsys.readouterr().err
    assert command(*arguments, "--not-missing", "NA") == 0
    assert "NA" not in read(model).missing
    capsys.readouterr()
    assert command("evaluate", model, table) == 0
    out, err = capsys.readouterr()
    assert "90 rows, classification of 'area'" in out
    assert "missing" not in err
