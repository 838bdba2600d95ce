"""`engine train`, `predict` and `evaluate`, as a user meets them."""

import gzip
import io
import os
import re
import shlex
import signal
import sys
import threading
import time
import warnings
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from sklearn import datasets

from engine import MLPRegressor, ModelFileError, TableRegressor, load, save
from engine.cli import main
from engine.cli.table_options import ON_DISK, TIMES_TRAINED, check_fits_memory
from engine.cli.table_report import COMPILED, _verdict
from engine.model_files import skops_file
from engine.tables import fitting
from engine.tables.csv_and_parquet import LoadedTable
from engine.tables.model import read
from tests.processes import ROOT, TIMEOUT, complaints, engine, interrupt_after, run, start

pytestmark = pytest.mark.compiled

QUICK = ("--networks", "2", "--max-iter", "40", "--hidden", "8", "--learning-rate", "0.02")
COMMANDS = ("train", "predict", "evaluate")


def iris_table() -> pl.DataFrame:
    data = datasets.load_iris()
    names = ("sepal length", "sepal width", "petal length", "petal width")
    columns = dict(zip(names, data.data.T, strict=True))
    return pl.DataFrame({**columns, "species": data.target_names[data.target].tolist()})


def people_table(n: int = 300, seed: int = 0) -> pl.DataFrame:
    """With missing values, commas in text, other scripts, dates, constants, numbers of rows."""
    draw = np.random.default_rng(seed)
    age = draw.integers(18, 80, n).astype(float)
    member = draw.random(n) < 0.5
    frame = pl.DataFrame(
        {
            "id": range(1, n + 1),
            "age": age,
            "city": draw.choice(["Zürich", "São Paulo, BR", 'the "Hague"', "東京"], n).tolist(),
            "member": member,
            "joined": ["2024-02-29", "2023-12-01"] * (n // 2),
            "source": ["web"] * n,
            "churn": np.where((age > 45) ^ member, "yes", "no").tolist(),
        }
    )
    holes = [
        pl.when(pl.Series(draw.random(n) < 0.1)).then(None).otherwise(pl.col(name)).alias(name)
        for name in ("age", "city", "member")
    ]
    return frame.with_columns(holes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Tables, and a model of each."""
    folder = tmp_path_factory.mktemp("tables")
    data = datasets.load_diabetes()
    iris_table().write_csv(folder / "iris.csv")
    people_table().write_csv(folder / "people.csv")
    diabetes = dict(zip(data.feature_names, data.data.T, strict=True))
    pl.DataFrame({**diabetes, "progress": data.target}).write_parquet(folder / "diabetes.parquet")
    for name, target in (
        ("iris.csv", "species"),
        ("people.csv", "churn"),
        ("diabetes.parquet", "progress"),
    ):
        table = folder / name
        command("train", table, "--target", target, "--model", table.with_suffix(".skops"), *QUICK)
    return folder


def command(*arguments) -> int:
    """Run a command in this process; its exit status."""
    with pytest.raises(SystemExit) as end:
        main.main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture
def done(capsys, monkeypatch):
    """Run a command in this process; its status, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "200")

    def run_command(*arguments):
        capsys.readouterr()
        status = command(*arguments)
        out, err = capsys.readouterr()
        return status, out, complaints(err)

    return run_command


def refused(done, *arguments) -> str:
    """The one line that a command which is refused says."""
    status, out, err = done(*arguments)
    assert status == main.WRONG_USE
    assert re.fullmatch(r"engine: \S.*\n", err)
    assert out == ""
    return str(err)


def fingerprints_of(model) -> tuple[str, ...]:
    """Of each network of a saved model."""
    return tuple(network.fingerprint_ for network in model.estimator.members_)


def predictions_of(text: str) -> pl.DataFrame:
    return pl.read_csv(io.StringIO(text))


# Training.


def test_training_says_what_it_inferred_and_how_it_did(done, folder, tmp_path):
    model = tmp_path / "iris.skops"
    options = ("--target", "species", "--model", model, *QUICK)
    status, out, _ = done("train", folder / "iris.csv", *options)
    assert status == 0
    assert "iris.csv: 150 rows, 5 columns" in out
    assert "Target 'species': classification, as the target is text (--task overrules)" in out
    assert "Learnt from 4 columns: 4 of numbers" in out
    facts = dict(re.findall(r"^(\w+) +(\S.*\S)", out, flags=re.MULTILINE))
    assert facts["rows"] == "120 training rows, 30 held out (at random, each class in its share)"
    assert facts["task"] == "classification of 'species', 3 classes"
    assert re.fullmatch(r"2, averaged, each 4-8-3 with [\d,]+ parameters", facts["networks"])
    rows = r"[\d to]+ rows, others for each network; by their loss"
    assert re.fullmatch(rows, facts["validation"])
    epochs = r"[\d to]+ of at most 40; kept: epoch \d+( to \d+)?"
    assert re.fullmatch(epochs, facts["epochs"])
    assert re.match(r"\d+\.\d\d s", facts["time"])
    header = r"^score +better +held-out +training +linear, held-out +always setosa, held-out$"
    assert re.search(header, out, re.M)
    shares = r"^accuracy +higher +([\d.]+)% +([\d.]+)% +([\d.]+)% +33\.3%$"
    accuracy = re.search(shares, out, re.M)
    assert accuracy
    assert float(accuracy[1]) > 90
    assert out.endswith(f"Model: {model}\n")


def test_training_says_which_columns_are_left_out_and_why(done, folder, tmp_path):
    model = tmp_path / "people.skops"
    arguments = ("train", folder / "people.csv", "--target", "churn", "--model", model, *QUICK)
    _, out, _ = done(*arguments)
    one_of_each = "1 of numbers, 1 of categories, 1 of true and false, 1 of dates; "
    assert f"Learnt from 4 columns: {one_of_each}" in out
    assert "Left out: 'id' numbers the rows (--column 'id=number' overrules)" in out
    assert "'joined': dates, such as '2024-02-29': days since 1970-01-01, day of the week" in out
    assert "Left out: 'source' is 'web' everywhere" in out
    _, out, _ = done(*arguments, "--column", "id=number", "--column", "city=out", "--force")
    assert "Learnt from 4 columns: 2 of numbers, 1 of true and false, 1 of dates; " in out
    assert "Left out: 'city' is left out as you asked" in out


def test_the_model_goes_beside_the_user_under_the_table_s_name(done, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done("train", folder / "iris.csv", "--target", "species", *QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["iris.skops"]


def test_the_held_out_rows_are_not_learnt_from(folder, tmp_path, done):
    """The model's numbers are those of the training rows; held-out rows may be anything."""
    model = read(folder / "people.skops")
    frame = pl.read_csv(folder / "people.csv")
    plan = fitting.prepared(LoadedTable(folder / "people.csv", frame), "churn")
    rows = fitting.split(plan, 0.2, seed=0)
    ages, of_all = plan.inputs["age"].cast(float), frame["age"].cast(float)
    ages = rows.training.inputs["age"].cast(float)
    place = [column.name for column in model.columns].index("age")
    inputs = model.estimator.inputs_
    assert inputs.centre[place] == pytest.approx(ages.mean())
    assert inputs.scale[place] == pytest.approx(ages.std(ddof=0))
    assert inputs.centre[place] != pytest.approx(of_all.mean())


def test_the_held_out_scores_are_those_of_the_saved_model_on_those_rows(folder):
    model = read(folder / "diabetes.skops")
    frame = pl.read_parquet(folder / "diabetes.parquet")
    plan = fitting.prepared(LoadedTable(folder / "diabetes.parquet", frame), "progress")
    held_out = fitting.split(plan, 0.2, seed=0).held_out
    assert held_out is not None
    errors = held_out.y - model.predict(held_out.inputs).values
    said = model.training["scores"]["held_out"]
    assert said["RMSE"] == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert said["RMSE"] < 0.9 * model.training["scores"]["baseline"]["RMSE"]


@pytest.mark.proof
def test_the_same_seed_gives_the_same_model(folder, tmp_path, done):
    models = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        path = tmp_path / f"{name}.skops"
        table = folder / "iris.csv"
        done("train", table, "--target", "species", "--model", path, "--seed", seed, *QUICK)
        models.append(fingerprints_of(read(path)))
    assert models[0] == models[1] != models[2]


@pytest.mark.proof
def test_pictures_are_saved_in_a_folder(done, folder, tmp_path):
    for table, target, second in (
        ("iris.csv", "species", "confusion-matrix.png"),
        ("diabetes.parquet", "progress", "residuals.png"),
    ):
        place, model = tmp_path / target, tmp_path / f"{target}.skops"
        options = ("--target", target, "--model", model, "--pictures", place, *QUICK)
        _, out, _ = done("train", folder / table, *options)
        assert {path.name for path in place.iterdir()} == {"learning-curve.png", second}
        assert all(path.read_bytes().startswith(b"\x89PNG") for path in place.iterdir())
        assert f"Picture: {place / second}" in out


def test_no_rows_need_be_held_out(done, tmp_path):
    table = tmp_path / "xnor.csv"
    table.write_text("a,b,y\n0,0,1\n0,1,0\n1,0,0\n1,1,1\n")
    model = tmp_path / "xnor.skops"
    options = (
        "--test-fraction",
        "0",
        "--model",
        model,
        "--learning-rate",
        "0.05",
        "--networks",
        "1",
        "--max-iter",
        "300",
    )
    status, out, _ = done("train", table, "--target", "y", *options)
    assert status == 0
    assert "4 training rows, none held out" in out
    assert "none: each network is trained for all epochs" in out
    _, out, _ = done("predict", model, table)
    assert predictions_of(out)["predicted_y"].to_list() == [1, 0, 0, 1]


@pytest.mark.proof
def test_time_that_was_spent_on_compiling_is_said_to_be_that(folder, tmp_path):
    options = ("train", folder / "iris.csv", "--target", "species", "--model", "m.skops", *QUICK)
    changes = {"NUMBA_CACHE_DIR": tmp_path / "kernels"}
    runs = [engine(*options, "--force", cwd=tmp_path, env=changes) for _ in range(2)]
    assert [run.stderr.count("Compiling kernels") for run in runs] == [1, 0]
    first, second = (run.stdout for run in runs)
    said = r"^time +[\d.]+ s, most of it to compile kernels, which the next run loads *$"
    assert re.search(said, first, re.M)
    assert re.search(r"^time +[\d.]+ s *$", second, re.M)


def test_what_the_estimator_warns_of_is_said(done, folder, tmp_path):
    options = ("--target", "species", "--model", tmp_path / "iris.skops", "--max-time", "1e-9")
    status, _, err = done("train", folder / "iris.csv", *options)
    assert status == 0
    assert "when its 1e-09 seconds were over" in err
    assert "Raise --max-time." in err


PYTHON_WORDS = re.compile(r"StandardScaler|learning_rate|make_pipeline|MLP[CR]|max_(iter|time)=")


@pytest.mark.proof
def test_a_class_that_is_never_found_is_told_of_with_the_option_that_helps(done, tmp_path):
    draw = np.random.default_rng(0)
    X = draw.normal(size=(1500, 2))
    rare = X.sum(axis=1) + 1.6 * draw.normal(size=1500) > 4.2
    frame = pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "kind": np.where(rare, "fraud", "fine")})
    frame.write_csv(tmp_path / "t.csv")
    options = ("train", tmp_path / "t.csv", "--target", "kind", "--max-iter", "40")
    for more in ((), ("--on-disk", tmp_path / "converted")):
        model = tmp_path / "m.skops"
        _, _, err = done(*options, *more, "--model", model)
        assert re.search(r"hardly ever predicts class 'fraud', 2\.\d% of the training rows", err)
        assert "Give rare classes more weight: --class-weight balanced." in err
        assert not PYTHON_WORDS.search(err)
        status, _, err = done(*options, *more, "--model", model, "--class-weight", "balanced")
        assert status == 0
        assert "fraud" not in err
        loaded = read(model)
        assert loaded.training["settings"]["class_weight"] == "balanced"
        assert np.mean(loaded.predict(frame.drop("kind")).values[rare] == "fraud") > 0.5


USELESS = "This model is useless: on the rows held out, it is no better than always "
LINEAR = "On the rows held out, this model is no better than a linear one, which is simpler."
UNCLEAR = "This model is not clearly better than "


@pytest.mark.parametrize("way", [(), ("--on-disk", "converted")])
def test_a_model_that_is_not_clearly_better_than_a_simpler_one_is_said_to_be_so(
    done, tmp_path, monkeypatch, way
):
    monkeypatch.chdir(tmp_path)
    X = np.random.default_rng(1).normal(size=(400, 2)).round(3)
    bend = np.abs(X[:, 0]) - np.abs(X[:, 1])
    noise = np.random.default_rng(2).normal(size=400)
    table = {"a": X[:, 0], "b": X[:, 1], "bend": bend, "noise": noise}
    pl.DataFrame(table).write_csv("bend.csv")
    options = ("train", "bend.csv", *way, *QUICK, "--column")
    status, out, _ = done(*options, "noise=out", "--target", "bend")
    assert status == 0
    assert not any(line in out for line in (USELESS, LINEAR, UNCLEAR))
    out = done(*options, "bend=out", "--target", "noise", "--force")[1] if not way else USELESS
    assert USELESS in out or UNCLEAR in out


@pytest.mark.parametrize(
    ("margins", "said"),
    [
        ({"baseline": 0.0, "linear": 5.0}, USELESS),
        ({"baseline": 1.9, "linear": -5.0}, f"{UNCLEAR}always no: 40 held-out rows are too few"),
        ({"baseline": 2.0, "linear": 0.0}, LINEAR),
        ({"baseline": 9.0, "linear": 0.1}, f"{UNCLEAR}a linear one, which is simpler: 40 held-out"),
        ({"baseline": 9.0, "linear": 2.1}, ""),
        ({"baseline": None, "linear": None}, ""),
        ({}, ""),
    ],
)
def test_the_verdict_has_three_grades(folder, margins, said):
    model = read(folder / "people.skops")
    found = _verdict(model, SimpleNamespace(margins=margins, n_judged=40))
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_a_compressed_table_in_another_encoding_is_trained_on_and_predicted(
    done, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{k % 50},{'Süd' if k % 3 else 'Ost'},{3 * (k % 50)}\n" for k in range(200))
    path = tmp_path / "mieten.csv.gz"
    path.write_bytes(gzip.compress(("fläche,seite,miete\n" + rows).encode("latin-1")))
    text = tmp_path / "mieten.csv"
    text.write_text("fläche,seite,miete\n" + rows)
    command = ("train", "mieten.csv.gz", "--target", "miete", *QUICK)
    error = refused(done, *command)
    assert "it is not UTF-8 text. Say which encoding it has, such as --encoding latin-1" in error
    assert "--encoding must be the name of a text encoding" in refused(
        done, *command, "--encoding", "x"
    )
    for more in ((), ("--on-disk", "f", "--model", "on-disk.skops")):
        status, out, _ = done(*command, "--encoding", "latin-1", *more)
        assert status == 0
    assert "'seite': 2 categories" in out
    plain = done("predict", "mieten.skops", "mieten.csv")
    assert plain[0] == 0
    assert done("predict", "mieten.skops", path, "--encoding", "latin-1")[1] == plain[1]
    assert done("evaluate", "mieten.skops", path, "--encoding", "latin-1")[0] == 0
    error = refused(done, "train", "f", "--encoding", "latin-1")
    assert "f is a converted table, for which --encoding cannot be given" in error
    error = refused(done, "predict", "mieten.skops", "mieten.csv", "--output", "p.csv.gz")
    assert "must end in .csv, .tsv, .parquet or .pq; got '.csv.gz'" in error


def test_large_scores_are_printed_without_exponents(done, tmp_path):
    rows = "".join(f"{k % 17},{200_000 + 31_000 * (k % 17) + k * k % 101}\n" for k in range(120))
    (tmp_path / "t.csv").write_text("x,price\n" + rows)
    model = tmp_path / "m.skops"
    _, out, _ = done("train", tmp_path / "t.csv", "--target", "price", "--model", model, *QUICK)
    assert re.search(r"^RMSE +lower +\d+\.?\d* +\d+\.?\d* +\d+\.?\d* +1\d{5}$", out, re.M)
    assert re.search(r"always 4\d{5}, held-out", out)
    _, said, _ = done("evaluate", model, tmp_path / "t.csv")
    assert "e+" not in out + said


def test_a_compressed_table_takes_as_much_memory_as_its_text(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.system.free_memory.memory_left", lambda: 25_000)
    path = tmp_path / "t.csv.gz"
    path.write_bytes(bytes(1000))
    with pytest.raises(ValueError, match="would take about 30"):
        check_fits_memory(path, TIMES_TRAINED, ON_DISK)
    path.rename(tmp_path / "t.csv")
    check_fits_memory(tmp_path / "t.csv", TIMES_TRAINED, ON_DISK)


def test_nothing_is_compared_if_no_rows_are_held_out(done, folder, tmp_path):
    options = ("--target", "species", "--test-fraction", "0", "--model", tmp_path / "m.skops")
    status, out, _ = done("train", folder / "iris.csv", *options, *QUICK)
    assert status == 0
    assert "linear" not in out


def test_weights_of_classes_are_refused_for_numbers(done, folder, tmp_path):
    table = ("train", folder / "diabetes.parquet", "--target", "progress")
    message = refused(done, *table, "--class-weight", "balanced")
    assert "--class-weight is for classes, and 'progress' is learnt as numbers" in message


def test_a_rate_that_is_too_high_is_told_of_in_options(done, tmp_path):
    iris_table()[::3].write_csv(tmp_path / "few.csv")
    options = ("--target", "petal width", "--model", tmp_path / "m.skops", "--test-fraction", "0")
    _, _, err = done("train", tmp_path / "few.csv", *options, "--learning-rate", "100")
    assert "--learning-rate 10 in place of 100" in err
    assert not PYTHON_WORDS.search(err)


def test_labels_that_look_like_markup_are_printed_as_they_are(done, tmp_path):
    table, model = tmp_path / "[red]t.csv", tmp_path / "m.skops"
    rows = [f"{i % 7},{'[red]' if i % 7 > 3 else '[/b]'}" for i in range(60)]
    table.write_text("a,[bold]\n" + "\n".join(rows))
    status, out, _ = done("train", table, "--target", "[bold]", "--model", model, *QUICK)
    assert status == 0
    assert "always [/b], held-out" in out
    status, out, _ = done("evaluate", model, table)
    assert status == 0
    assert re.search(r"^\[red\] +", out, re.M)


# Ctrl-C.


def test_ctrl_c_keeps_what_was_learnt_saves_it_and_says_so(done, folder, tmp_path, monkeypatch):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupt_after(5, monkeypatch)
    model = tmp_path / "iris.skops"
    try:
        status, out, err = done(
            "train", folder / "iris.csv", "--target", "species", "--model", model, *QUICK
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert status == main.INTERRUPTED
    assert re.fullmatch(
        r"(engine: Training interrupted by user: .*\n)?"
        r"engine: stopped by Ctrl-C in epoch \d+; what was learnt so far is saved\.\n",
        err,
    )
    assert f"Model: {model}" in out
    assert read(model).predict(read_inputs(model, folder / "iris.csv")).values.shape == (150,)


def read_inputs(model, table):
    return read(model).matched(pl.read_csv(table)).inputs


@pytest.mark.proof
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_in_a_process_saves_the_model(tmp_path):
    draw = np.random.default_rng(0)
    X = draw.normal(size=(5000, 20))
    frame = pl.DataFrame({f"x{i}": column for i, column in enumerate(X.T)})
    table = tmp_path / "table.parquet"
    frame.with_columns(pl.Series("y", X[:, 0] * X[:, 1] + X[:, 2])).write_parquet(table)
    # Python's own handler; and a word when the first epoch is over.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from engine.estimators.watch import FitWatch\n"
        "consider, said = FitWatch.consider, []\n"
        "def told(watch, solver, progress):\n"
        "    if solver.n_iter and not said: said.append(print('epoch', flush=True))\n"
        "    return consider(watch, solver, progress)\n"
        "FitWatch.consider = told\n"
        "from engine.cli.main import main; main()"
    )
    options = ("--early-stopping", "no", "--max-iter", "1000000", "--hidden", "200,200")
    arguments = ("-c", code, "train", "table.parquet", "--target", "y", *options)
    with start(*arguments, cwd=tmp_path) as process:
        watchdog = threading.Timer(TIMEOUT, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            assert any(line == "epoch\n" for line in process.stdout)
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            _, message = process.communicate(timeout=60)
        finally:
            watchdog.cancel()
            process.kill()
    assert process.returncode == main.INTERRUPTED
    assert "stopped by Ctrl-C" in message
    assert "Traceback" not in message
    assert read(tmp_path / "table.skops").target.name == "y"


# Checkpoints.


@pytest.mark.proof
def test_a_checkpoint_is_gone_on_from_and_of_one_run_alone(done, folder, tmp_path, monkeypatch):
    table = ("train", folder / "diabetes.parquet", "--target", "progress", "--early-stopping", "no")
    kept = ("--checkpoint", "run.ckpt", "--checkpoint-every", "0", "--hidden", "8")
    monkeypatch.chdir(tmp_path)
    models = [tmp_path / f"{name}.skops" for name in ("once", "begun", "resumed", "again")]
    quick = ("--networks", "2", "--max-iter", "60")

    def trained(model, *told):
        status, out, _ = done(*table, "--model", model, *quick, *told)
        assert status == 0
        epochs = re.search(r"^epochs +(.+?) *$", out, re.M)
        assert epochs
        return epochs[1]

    trained(models[0], "--hidden", "8")
    with monkeypatch.context() as stopping:
        interrupt_after(1, stopping)
        done(*table, "--model", models[1], *quick, *kept)
    file = tmp_path / "run.ckpt"
    from_there = r"; [12] of 2 networks went on from run.ckpt, epoch \d+( and the files beside it)?"
    assert re.fullmatch(f"60 of at most 60{from_there}", trained(models[2], *kept))
    before = file.read_bytes()
    trained(models[3], *kept)
    fingerprints = [fingerprints_of(read(model)) for model in models]
    assert fingerprints[0] == fingerprints[2] == fingerprints[3] != fingerprints[1]
    status, _, err = done(*table, *quick, *kept, "--learning-rate", "0.5")
    assert status == main.WRONG_USE
    assert "run.ckpt belongs to another run: --learning-rate is 0.5 and was 0." in err
    assert file.read_bytes() == before


def test_a_checkpoint_in_a_folder_that_is_not_there_is_refused_at_once(done, folder, tmp_path):
    nowhere = tmp_path / "nowhere" / "run.ckpt"
    table = ("train", folder / "iris.csv", "--target", "species")
    model = ("--model", tmp_path / "iris.skops")
    said = refused(done, *table, *model, "--checkpoint", nowhere)
    assert f"{nowhere} cannot be written: No such file or directory" in said
    assert "--checkpoint-every needs --checkpoint FILE" in refused(
        done, *table, *model, "--checkpoint-every", "5"
    )


# Predicting.


def test_predictions_are_csv_on_standard_output_with_probabilities(done, folder):
    status, out, err = done("predict", folder / "iris.skops", folder / "iris.csv")
    assert (status, err) == (0, "")
    found = predictions_of(out)
    assert found.columns == [
        "predicted_species",
        "probability_setosa",
        "probability_versicolor",
        "probability_virginica",
    ]
    assert found.height == 150
    shares = found.select(pl.exclude("predicted_species")).to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    labels = np.array(["setosa", "versicolor", "virginica"])
    assert found["predicted_species"].to_list() == labels[shares.argmax(axis=1)].tolist()


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet"])
def test_predictions_go_to_a_file_in_the_format_of_its_ending(done, folder, tmp_path, ending):
    output = tmp_path / f"found{ending}"
    arguments = ("predict", folder / "diabetes.skops", folder / "diabetes.parquet")
    status, out, err = done(*arguments, "--output", output)
    assert (status, out, err) == (0, "", f"engine: 442 predictions in {output}\n")
    separator = "\t" if ending == ".tsv" else ","
    found = (
        pl.read_parquet(output)
        if ending == ".parquet"
        else pl.read_csv(output, separator=separator)
    )
    assert found.columns == ["predicted_progress"]
    model = read(folder / "diabetes.skops")
    frame = pl.read_parquet(folder / "diabetes.parquet")
    expected = model.predict(model.matched(frame).inputs).values
    np.testing.assert_allclose(found["predicted_progress"], expected)


def test_columns_may_be_copied_beside_the_predictions(done, folder):
    _, out, _ = done("predict", folder / "people.skops", folder / "people.csv", "--keep", "id")
    assert predictions_of(out)["id"].to_list() == list(range(1, 301))
    message = refused(
        done, "predict", folder / "people.skops", folder / "people.csv", "--keep", "Idd"
    )
    assert "--keep: the table has no column 'Idd'. Did you mean 'id'?" in message


def test_a_kept_column_of_the_prediction_s_name_is_refused(done, folder, tmp_path):
    table = tmp_path / "table.csv"
    iris_table().with_columns(pl.lit(1).alias("predicted_species")).write_csv(table)
    arguments = ("predict", folder / "iris.skops", table, "--keep", "predicted_species")
    status, out, err = done(*arguments)
    assert (status, out) == (main.WRONG_USE, "")
    assert "more than one column called 'predicted_species'" in err


def test_the_order_of_columns_does_not_matter_and_parquet_is_as_good_as_csv(done, folder, tmp_path):
    _, expected, _ = done("predict", folder / "people.skops", folder / "people.csv")
    table = tmp_path / "people.parquet"
    people_table().select(reversed(people_table().columns)).write_parquet(table)
    assert done("predict", folder / "people.skops", table)[1] == expected


def changed(folder, tmp_path, *expressions, without=()):
    table = tmp_path / "changed.csv"
    frame = pl.read_csv(folder / "people.csv", infer_schema=False)
    frame.with_columns(*expressions).drop(without).head(20).write_csv(table)
    return table


def test_missing_columns_are_refused_by_name(done, folder, tmp_path):
    table = changed(folder, tmp_path, without=["age", "city"])
    message = refused(done, "predict", folder / "people.skops", table)
    assert "The table lacks 2 columns that the model takes: 'age', 'city'." in message


def test_extra_columns_are_ignored_and_said(done, folder, tmp_path):
    table = changed(folder, tmp_path, pl.lit("x").alias("shoe size"))
    status, out, err = done("predict", folder / "people.skops", table)
    assert status == 0
    assert err == (
        "engine: The table has a column that the model does not know: 'shoe size'; ignored.\n"
    )
    assert predictions_of(out).height == 20


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("age", "old", "the model expects numbers, and 'old' came in row 1 (20 rows in all)"),
        ("member", "7", "the model expects true and false, and '7' came in row 1"),
        ("city", "8.5", "the model expects categories such as 'São Paulo, BR', 'Zürich', 'the"),
    ],
)
def test_columns_of_another_type_are_refused_with_what_was_expected(
    done, folder, tmp_path, column, value, expected
):
    table = changed(folder, tmp_path, pl.lit(value).alias(column))
    message = refused(done, "predict", folder / "people.skops", table)
    assert f"Column '{column}' is of another type: {expected}" in message


def test_unknown_categories_are_counted_and_said(done, folder, tmp_path):
    city = pl.when(pl.col("id").is_in(["1", "2", "3"])).then(pl.lit("Ürümqi")).otherwise("city")
    status, out, err = done(
        "predict", folder / "people.skops", changed(folder, tmp_path, city.alias("city"))
    )
    assert status == 0
    assert "Column 'city' has 1 category that training had not seen, in 3 rows: 'Ürümqi'." in err
    assert predictions_of(out).height == 20


def test_values_that_are_missing_for_the_first_time_are_said(done, folder, tmp_path):
    table = tmp_path / "holes.csv"
    iris_table().with_columns(pl.lit(None).alias("petal width")).write_csv(table)
    status, out, err = done("predict", folder / "iris.skops", table)
    assert status == 0
    said = "Column 'petal width' has 150 missing values, and had none in training; taken for the"
    assert said in err
    assert not re.search("nan", out, re.I)


def test_numbers_far_outside_those_of_training_are_counted_and_said(done, folder, tmp_path):
    places = pl.col("id")
    age = places.replace_strict({"1": "-40", "2": "900", "3": "81"}, default=pl.col("age"))
    table = changed(folder, tmp_path, age.alias("age"))  # 81 is only a little outside
    status, _, err = done("predict", folder / "people.skops", table)
    assert status == 0
    said = r"Column 'age' is far outside the training rows \(18 to (79|78)\) in 2 rows, the "
    assert re.search(said + "furthest 900; taken for the nearest of these.", err)
    assert err.count("far outside") == 1
    assert "far outside" not in done("predict", folder / "people.skops", folder / "people.csv")[2]


# Evaluating.


def test_evaluating_scores_beside_the_baseline_and_by_class(done, folder, tmp_path):
    status, out, err = done("evaluate", folder / "iris.skops", folder / "iris.csv")
    assert status == 0
    assert "is the table that the model was trained on: it has seen 120 rows of it" in err
    assert re.search(r"^score +better +model +always setosa +held-out, in training$", out, re.M)
    assert re.search(r"^accuracy +higher +9\d\.\d% +33\.3% ", out, re.M)
    assert re.search(r"^class +precision +recall +F1 +rows$", out, re.M)
    assert re.search(r"^setosa( +[\d.]+%){3} +50$", out, re.M)
    other = tmp_path / "other.csv"
    iris_table().head(60).write_csv(other)
    assert done("evaluate", folder / "iris.skops", other)[2] == ""


def test_evaluating_numbers_tells_the_errors(done, folder, tmp_path):
    picture = tmp_path / "residuals.png"
    arguments = ("evaluate", folder / "diabetes.skops", folder / "diabetes.parquet")
    status, out, _ = done(*arguments, "--picture", picture)
    assert status == 0
    assert re.search(r"^RMSE +lower +\d+\.\d+ +77\.\d+ ", out, re.M)
    assert re.search(r"^half of the errors are below +\d", out, re.M)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_classes_that_were_not_learnt_count_as_wrong_and_are_said(done, folder, tmp_path):
    table = tmp_path / "new.csv"
    names = pl.when(pl.col("species") == "setosa").then(pl.lit("rosa")).otherwise("species")
    iris_table().with_columns(names.alias("species")).write_csv(table)
    status, out, err = done("evaluate", folder / "iris.skops", table)
    assert status == 0
    assert "1 class that training had not seen, in 50 rows, which count as wrong: 'rosa'." in err
    assert re.search(r"^log loss +lower +not defined +not defined +\d", out, re.M)
    assert "log loss is not defined for 'model', 'always setosa': these rows have a class" in out
    assert re.search(r"^rosa +0\.0% +0\.0% +0\.0% +50$", out, re.M)


def test_a_table_without_the_target_cannot_be_evaluated(done, folder, tmp_path):
    table = tmp_path / "table.csv"
    iris_table().rename({"species": "Species"}).write_csv(table)
    message = refused(done, "evaluate", folder / "iris.skops", table)
    assert "target: the table has no column 'species'. Did you mean 'Species'?" in message


# Wrong use.

TRAIN = ("train", "t.csv", "--target", "y")
SMALL = "a,y\n" + "".join(f"{i % 5},{'pq'[i % 2]}\n" for i in range(20))


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (SMALL, ("--hidden", "8,0"), "--hidden must be whole numbers above 0, joined by ','"),
        (SMALL, ("--hidden", ""), "--hidden must be whole numbers above 0"),
        (SMALL, ("--learning-rate", "0"), "--learning-rate must be above 0; got 0."),
        (SMALL, ("--max-time", "-1"), "--max-time must be above 0; got -1."),
        (SMALL, ("--test-fraction", "1"), "'--test-fraction'"),
        (SMALL, ("--task", "ranking"), "'--task'"),
        (SMALL, ("--task", "regression"), "regression needs numbers"),
        (SMALL, ("--column", "a=text"), "where KIND is number, category, boolean, date or out"),
        (SMALL, ("--column", "y=out"), "'y' is the target"),
        (SMALL, ("--column", "a=out"), "no column to learn from"),
        (SMALL, ("--model", "model.pkl"), "must end in .skops; got '.pkl'"),
        (SMALL, ("--model", "no/such/folder/m.skops"), "No such file or directory"),
        (SMALL, ("--pictures", "t.csv"), "--pictures t.csv is a file; name a folder"),
        ("a,z\n1,2\n", (), "--target: the table has no column 'y'."),
        ("a,y\n1,\n2,\n", (), "The target 'y' has no values"),
        ("a,y\n1,x\n2,x\n", (), "The target 'y' is 'x' in every row"),
        ("a,y\n" + "".join(f"{i % 3},text {i}\n" for i in range(30)), (), "almost always another"),
        ("a,y\n1,p\n2,q\n1,p\n", (), "a split needs at least 10"),
        ("a,y\n", (), "has a header and no rows"),
        ("", (), "t.csv is empty"),
        ("a,a,y\n1,2,3\n", (), "more than one column called 'a'"),
    ],
)
def test_wrong_use_of_train_is_one_line_and_leaves_nothing(
    done, tmp_path, monkeypatch, content, options, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(content)
    assert message in refused(done, *TRAIN, *options)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_rows_to_stop_by_must_be_possible(done, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("a,y\n" + "1,p\n2,q\n" * 3)
    message = refused(done, *TRAIN, "--test-fraction", "0", "--early-stopping", "yes")
    assert "--early-stopping yes needs at least 10 training rows, and there are 6." in message


@pytest.mark.parametrize(
    "arguments", [("predict", "m.skops", "t.csv"), ("evaluate", "m.skops", "t.csv")]
)
def test_a_file_that_is_no_model_is_refused(done, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(SMALL)
    (tmp_path / "m.skops").write_text("no model")
    assert "m.skops is no model file, or not the whole of one" in refused(done, *arguments)


def test_an_output_that_is_no_table_is_refused_before_the_work(done, folder, tmp_path):
    arguments = ("predict", folder / "iris.skops", folder / "iris.csv", "--output")
    assert "must end in .csv" in refused(done, *arguments, tmp_path / "found.xlsx")
    assert "No such file" in refused(done, *arguments, tmp_path / "no" / "found.csv")
    assert list(tmp_path.iterdir()) == []


# Saved models.

SPECIES = ["setosa", "versicolor", "virginica"]


@pytest.mark.parametrize(
    "changes",
    [
        {"target": {}},
        {"target": {"name": "y", "kind": "number", "task": "ranking"}},
        {"columns": []},
        {"columns": [{"name": "a", "kind": "date", "categories": []}]},
        {"columns": 3},
        {"columns": [{"name": "sepal length", "kind": "number", "categories": []}]},
        {
            "target": {"name": "species", "kind": "number", "task": "regression"},
            "training": {},
            "baseline": {"mean": 0.0},
        },
        {"baseline": {}},
        {"baseline": 3},
        {"baseline": {"mean": 0.0}},
        {"baseline": {"classes": SPECIES, "shares": [0.5, 0.5]}},
        {"baseline": {"classes": SPECIES, "shares": ["0.3", "0.3", "0.4"]}},
        {"baseline": {"classes": SPECIES, "shares": "abc"}},
        {"baseline": {"classes": [*SPECIES[:2], "rose"], "shares": [0.3, 0.3, 0.4]}},
        {"baseline": {"classes": SPECIES, "shares": [0.3, 0.3, 0.4], "mean": 1.0}},
        {"training": {"scores": [1]}},
        {"left_out": [3]},
    ],
    ids=str,
)
def test_a_header_that_makes_no_sense_is_refused(folder, tmp_path, changes):
    stored = skops_file.read_model(folder / "iris.skops")
    path = tmp_path / "model.skops"
    skops_file.write_model(path, stored._replace(header={**stored.header, **changes}))
    with pytest.raises(ModelFileError, match="what it says of the model cannot be"):
        read(path)


# Optional packages.


def without(package: str, *arguments, cwd):
    """Run a command where a package is not installed."""
    code = f"import sys; sys.modules[{package!r}] = None\nfrom engine.cli.main import main; main()"
    return run("-c", code, *arguments, cwd=cwd)


@pytest.mark.proof
@pytest.mark.parametrize("package", ["polars", "skops"])
@pytest.mark.parametrize(
    "arguments",
    [TRAIN, ("predict", "m.skops", "t.csv"), ("evaluate", "m.skops", "t.csv")],
    ids=COMMANDS,
)
def test_a_missing_package_is_said_with_the_way_to_install_it(tmp_path, package, arguments):
    (tmp_path / "t.csv").write_text(SMALL)
    finished = without(package, *arguments, cwd=tmp_path)
    assert finished.returncode == 1
    assert finished.stderr == (
        f"engine: Tables need polars and skops, and {package} is not installed: "
        "pip install polars skops\n"
    )


@pytest.mark.proof
def test_other_commands_need_no_package_for_tables(tmp_path):
    for package in ("polars", "skops"):
        finished = without(package, "xnor", cwd=tmp_path)
        assert (finished.returncode, complaints(finished.stderr)) == (0, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_the_commands_is_explained(name, tmp_path):
    text = engine(name, "--help", cwd=tmp_path).stdout
    options = re.findall(r"^\W*\*? *(--[a-z-]+) .*", text, flags=re.MULTILINE)
    assert len(options) >= 2
    for option in options:
        assert re.search(rf"{option} .*  [A-Z0-9]\S* .*\.", text), option


def test_the_help_of_the_commands_loads_no_table_library(tmp_path):
    code = (
        "import sys, engine.cli.main\n"
        "print({'polars', 'skops', 'sklearn', 'numba'} & {*sys.modules})"
    )
    assert run("-c", code, cwd=tmp_path).stdout == "set()\n"
    assert sys.modules  # this process has them


# The worked example.


def without_digits(text: str) -> list[str]:
    """Lines whose numbers may differ by the processor, and trailing blanks by the terminal."""
    text = text.replace(COMPILED, "")
    masked = re.sub(r"[-+]?\d[\d.,]*", "#", text)
    return [re.sub(r" +", " ", line).strip() for line in masked.strip().splitlines()]


@pytest.mark.proof
def test_the_worked_example_of_the_documentation_is_what_the_commands_print(
    done, tmp_path, monkeypatch
):
    document = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", document, flags=re.MULTILINE | re.DOTALL)
    assert [kind for kind, _ in blocks] == [
        *("python", "console", "text", "console", "console", "python", "console")
    ]
    monkeypatch.chdir(tmp_path)
    for kind, content in blocks:
        if kind == "python":
            exec(content, {})
        elif kind == "text":
            (tmp_path / "new.csv").write_text(content, encoding="utf-8")
        else:
            line, _, expected = content.partition("\n")
            status, out, err = done(*shlex.split(line.removeprefix("$ engine ")))
            assert status == 0
            assert without_digits(err + out) == without_digits(expected)
    scores = read(tmp_path / "flats.skops").training["scores"]
    assert scores["held_out"]["R2"] > 0.95


def test_checking_a_model_says_what_it_is_and_how_it_was_trained(done, folder, tmp_path):
    status, out, _ = done("check-model", folder / "people.skops")
    assert status == 0
    facts = {line[:20].strip(): line[20:].strip() for line in out.splitlines()}
    columns = "numbers: 'age'; categories: 'city'; true and false: 'member'; dates: 'joined'"
    assert facts["columns"] == columns
    assert facts["left out"] == "'id', 'source'"
    assert re.fullmatch(r"2, averaged, each \d+-8-1 with \d+ parameters", facts["networks"])
    assert facts["trained on"] == "240 rows of people.csv"
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d UTC, in \S+ s", facts["trained"])
    assert facts["held out"] == "at random, each class in its share"
    assert "max_iter 40" in facts["settings"]
    said = read(folder / "people.skops").training["scores"]["linear"]
    assert facts["linear, held-out"].startswith(f"accuracy {said['accuracy']:.1%}, ")


def test_a_training_that_a_file_tells_of_in_other_types_is_printed_as_it_is(done, folder, tmp_path):
    model = read(folder / "people.skops")
    known = {"table_sha256": model.training["table_sha256"]}
    known["held out"] = "none held out"
    strange = {"rows": None, "table": ["a.csv", "b.csv"], "settings": [1, {"x": None}], **known}
    model.told(strange).write(tmp_path / "m.skops")
    status, out, _ = done("check-model", tmp_path / "m.skops")
    assert status == 0
    assert re.search(r"trained on +None rows of a\.csv, b\.csv", out)
    assert re.search("settings +1, x None", out)
    assert re.search("held out +none *\n", out)
    status, _, err = done("evaluate", tmp_path / "m.skops", folder / "people.csv")
    assert status == 0
    assert "it has seen rows of it" in err


def test_a_model_that_python_has_saved_is_checked_and_predicts(done, tmp_path):
    frame = people_table(60).drop("id")
    model = TableRegressor(n_members=1, max_iter=3, hidden_layer_sizes=4, random_state=0)
    save(tmp_path / "age.skops", model.fit(frame.drop_nulls("age"), target="age"))
    frame.write_csv(tmp_path / "people.csv")
    status, out, _ = done("check-model", tmp_path / "age.skops")
    assert status == 0
    assert re.search("columns +categories: 'city'", out)
    assert "trained on" not in out
    status, out, _ = done("predict", tmp_path / "age.skops", tmp_path / "people.csv")
    assert status == 0
    assert len(pl.read_csv(io.StringIO(out))["predicted_age"]) == 60
    status, out, _ = done("evaluate", tmp_path / "age.skops", tmp_path / "people.csv")
    assert status == 0
    assert "always" not in out


# Tables that are never loaded.


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("on-disk")
    sides, rents = ("south", "north", "north"), ("lo", "hi")
    lines = [f"{k % 50},{sides[k % 3]},{rents[k % 50 > 24]}" for k in range(2000)]
    (folder / "flats.csv").write_text("\n".join(["area,side,rent", *lines]))
    return folder


@pytest.mark.proof
def test_a_converted_table_is_trained_on_and_its_model_is_as_any_other(on_disk):
    done = engine("convert", "flats.csv", "--target", "rent", "--to", "arrays", cwd=on_disk)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Target 'rent': classification, as the target is text (--task overrules)" in done.stdout
    assert "1,435 training rows, 146 validation rows, 419 held out (at random)" in done.stdout
    done = engine("train", "arrays", "--model", "flats.skops", cwd=on_disk)
    assert done.returncode == 0, done.stderr
    assert "held out; shuffled by blocks" in done.stdout
    done = engine("evaluate", "flats.skops", "flats.csv", cwd=on_disk)
    accuracy = next(line for line in done.stdout.splitlines() if line.startswith("accuracy"))
    assert float(accuracy.split()[2].rstrip("%")) > 95
    done = engine("predict", "flats.skops", "flats.csv", cwd=on_disk)
    assert done.stdout.splitlines()[0] == "predicted_rent,probability_hi,probability_lo"
    assert done.stdout.splitlines()[1].startswith("lo,")


def test_a_table_is_converted_and_trained_on_in_one(on_disk):
    done = engine(
        "train", "flats.csv", "--target", "area", "--on-disk", "others", "--model", "area.skops",
        "--max-iter", "30", cwd=on_disk,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "task        regression of 'area'" in done.stdout
    done = engine("evaluate", "area.skops", "flats.csv", cwd=on_disk)
    assert done.returncode == 0
    assert "R2" in done.stdout


def test_the_same_command_goes_on_where_it_was_stopped(on_disk, monkeypatch):
    command = (
        "train", "flats.csv", "--target", "area", "--on-disk", "kept", "--model", "kept.skops",
        "--checkpoint", "kept.ckpt", "--max-iter", "6", "--networks", "2",
    )  # fmt: skip
    with monkeypatch.context() as stopping:
        interrupt_after(8, stopping)
        assert engine(*command, cwd=on_disk).returncode == main.INTERRUPTED
    made = (on_disk / "kept" / "columns.json").stat().st_mtime_ns
    done = engine(*command, cwd=on_disk)
    assert done.returncode == 0, done.stderr
    assert "epochs      6 of at most 6" in done.stdout
    said = " ".join(done.stdout.split())
    assert re.search(r"; [12] of 2 networks went on from kept\.ckpt, epoch \d", said)
    assert {"kept.ckpt", "kept.ckpt.2"} <= {path.name for path in on_disk.iterdir()}
    assert (on_disk / "kept" / "columns.json").stat().st_mtime_ns == made
    done = engine(*command, "--test-fraction", "0.5", cwd=on_disk)
    assert done.returncode == 2
    assert "otherwise: --test-fraction is 0.5 and was 0.2. Nothing in it was changed" in done.stderr
    options = ("--model", "whole.skops", "--max-iter", "6", "--networks", "2")
    whole = engine("train", "kept", *options, cwd=on_disk)
    assert whole.returncode == 0
    models = (read(on_disk / name) for name in ("kept.skops", "whole.skops"))
    assert len({fingerprints_of(model) for model in models}) == 1


@pytest.mark.proof
def test_options_on_a_converted_table_are_obeyed_or_refused(on_disk):
    done = engine("convert", "flats.csv", "--target", "rent", "--to", "told", cwd=on_disk)
    assert done.returncode == 0
    command = ("train", "told", "--model", "told.skops", "--max-iter", "3")
    done = engine(*command, "--test-fraction", "0.2", cwd=on_disk)
    assert done.returncode == 2
    assert "for which --test-fraction cannot be given" in done.stderr
    for told, stops in (("auto", True), ("yes", True), ("no", False)):
        assert engine(*command, "--early-stopping", told, cwd=on_disk).returncode == 0
        networks = read(on_disk / "told.skops").estimator.members_
        assert all(network.early_stopping is stops for network in networks)
    done = engine("train", ".", "--max-iter", "1", cwd=on_disk / "told")
    assert done.returncode == 0, done.stderr
    assert "Model: told.skops" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "flats.csv"], "Missing option '--target': name the column"),
        (
            ["convert", "flats.csv", "--target", "rent", "--to", "."],
            ". exists already, and nothing",
        ),
        (["convert", "flats.csv", "--target", "rnt", "--to", "x"], "no column 'rnt'. Did you mean"),
        (["convert", "no.csv", "--target", "rent", "--to", "x"], "no.csv: No such file"),
        (
            ["convert", "flats.csv", "--target", "rent", "--to", "x", "--column", "area"],
            "NAME=KIND, where KIND is number, category, boolean, date or out; got 'area'",
        ),
        (
            ["convert", "flats.csv", "--target", "rent", "--to", "no/x"],
            "no/x cannot be made: there is no folder",
        ),
    ],
)
def test_what_cannot_be_converted_is_refused(on_disk, arguments, message):
    done = engine(*arguments, cwd=on_disk)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_table_too_large_for_memory_is_refused_with_advice(on_disk, monkeypatch):
    monkeypatch.setattr("engine.system.free_memory.memory_left", lambda: 10_000.0)
    with pytest.raises(ValueError, match=r"would take about .* Add --on-disk FOLDER"):
        check_fits_memory(on_disk / "flats.csv", TIMES_TRAINED, ON_DISK)
    monkeypatch.setattr("engine.system.free_memory.memory_left", lambda: 1e9)
    check_fits_memory(on_disk / "flats.csv", TIMES_TRAINED, ON_DISK)


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_predictions_of_a_table_too_large_for_memory_are_refused(
    done, folder, monkeypatch, command
):
    arguments = (command, folder / "diabetes.skops", folder / "diabetes.parquet")
    monkeypatch.setattr("engine.system.free_memory.memory_left", lambda: 10_000.0)
    assert "divide it into several files" in refused(done, *arguments)
    monkeypatch.undo()
    assert done(*arguments)[0] == 0


@pytest.mark.parametrize("ending", [".safetensors", ".skops"])
def test_a_model_that_knows_of_no_table_is_refused_as_such(done, folder, tmp_path, ending):
    path = tmp_path / f"model{ending}"
    fitted = MLPRegressor(solver="lbfgs", max_iter=50, tol=1.0, random_state=0)
    save(path, fitted.fit(np.eye(3), np.arange(3.0)))
    said = refused(done, "predict", path, folder / "diabetes.parquet")
    assert f"{path} does not say which columns of a table its model takes" in said


def test_a_folder_that_is_not_converted_is_refused_with_what_to_do(done, tmp_path):
    said = refused(done, "train", tmp_path, "--target", "y")
    assert f"engine convert {tmp_path} --target NAME --to FOLDER, then engine train" in said


# Rows in groups, and in the order of time.


def visits_table(n=400):
    draw = np.random.default_rng(5)
    person = draw.integers(0, 60, n)
    age = draw.normal(size=60)[person]
    return pl.DataFrame(
        {
            "person": [f"p{k}" for k in person],
            "age": age,
            "pulse": draw.normal(size=n),
            "day": [f"{k % 28 + 1}.{k // 28 % 12 + 1}.{2020 + k // 336}" for k in range(n)],
            "dose": age + 0.3 * draw.normal(size=n),
        }
    )


def test_rows_are_held_out_by_time_or_in_groups(done, tmp_path):
    visits_table().write_csv(tmp_path / "t.csv")
    command = ("train", tmp_path / "t.csv", "--target", "dose", "--dates", "day-first", *QUICK)
    model = ("--model", tmp_path / "m.skops")
    _, out, _ = done(*command, *model, "--time", "day")
    said = " ".join(out.split())
    assert "rows 320 training rows, 80 held out (the latest)" in said
    assert re.search(r"validation the latest \d+ training rows; by their loss", said)
    most = read(tmp_path / "m.skops").estimator.recipe_.max_iter
    assert re.search(
        rf"epochs [\d to]+ of at most {most}; best: [\d to]+, then as many on all rows", said
    )
    _, out, _ = done(*command, *model, "--groups", "person")
    said = " ".join(out.split())
    assert "held out (whole groups, at random)" in said
    assert "rows, other groups for each network; by their loss" in said
    assert "Left out: 'person' says which group a row is of" in said
    for option in ("--time", "--groups"):
        message = refused(done, *command, *model, option, "dose")
        assert f"{option}: 'dose' is the target; name another column" in message
        message = refused(done, *command, *model, option, "day", "--on-disk", tmp_path / "d")
        assert f"{option} is for tables in memory" in message


def test_a_command_s_model_is_that_of_python_on_the_same_rows(done, tmp_path):
    table = visits_table().drop("day", "person")
    table.write_parquet(tmp_path / "t.parquet")
    options = ("--target", "dose", "--test-fraction", "0", "--model", tmp_path / "m.skops", *QUICK)
    done("train", tmp_path / "t.parquet", *options)
    estimator = TableRegressor(
        n_members=2, max_iter=40, hidden_layer_sizes=(8,), learning_rate_init=0.02, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(table, target="dose")
    found = load(tmp_path / "m.skops").predict(table)
    np.testing.assert_array_equal(found, estimator.predict(table))
