"""Scores that are not defined, and files that would not be read back."""

import json
import math
import random
import zipfile

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from engine import MLPClassifier, MLPRegressor, ModelFileError, load, save
from engine.cli import main
from engine.comparison.tables import as_json
from engine.model_files import onnx_file, safetensors_file, skops_archive, skops_file
from engine.model_files.skops_file import StoredModel, read_model, write_model
from engine.tables import metadata
from engine.tables.columns import Column
from engine.tables.model import TableModel, read
from engine.tables.scores import (
    Predicted,
    baseline,
    baseline_predictions,
    check_scores,
    scored,
)
from engine.tables.target import CLASSIFICATION, REGRESSION, Target
from tests.processes import complaints

NAN, INF = float("nan"), float("inf")
NO_JSON = {"NaN", "Infinity", "-Infinity"}


def refuse(name):
    raise AssertionError(f"{name} in a file of JSON")


def strict(text):
    """A value of JSON as every program reads it."""
    return json.loads(text, parse_constant=refuse)


# Scores.


def numbers(*values):
    return np.array(values, float)


@pytest.mark.parametrize(
    ("y", "predicted", "missing"),
    [
        (numbers(1, 2, 4), numbers(1, 2, 3), set()),
        (numbers(3, 3, 3), numbers(1, 2, 3), {"R2"}),
        (numbers(3), numbers(1), {"R2"}),
        (numbers(1, 2), numbers(1e200, 1), {"RMSE", "R2"}),
        (numbers(1, 2), numbers(NAN, 1), {"RMSE", "MAE", "R2"}),
        (numbers(1, 2), numbers(INF, 1), {"RMSE", "MAE", "R2"}),
    ],
)
def test_a_score_of_numbers_that_is_not_defined_or_infinite_is_none(y, predicted, missing):
    scores = scored(REGRESSION, y, Predicted(predicted))
    assert {name for name, value in scores.items() if value is None} == missing
    assert all(math.isfinite(value) for value in scores.values() if value is not None)


@pytest.mark.parametrize("y", [["a"], ["a", "a"], ["a", "b"], ["a", "c"], ["c"]])
def test_the_log_loss_of_a_class_that_was_not_learnt_is_none(y):
    known = baseline(CLASSIFICATION, np.array(["a", "a", "b"]))
    scores = scored(CLASSIFICATION, np.array(y), baseline_predictions(known, len(y)))
    assert (scores["log loss"] is None) == ("c" in y)
    assert scores["accuracy"] == y.count("a") / len(y)


@pytest.mark.parametrize(
    "said",
    [
        {"held_out": {}},
        {"held_out": {"RMSE": 1.0, "MAE": 1.0}},
        {"held_out": {"RMSE": 1.0, "MAE": 1.0, "R2": "[2J"}},
        {"held_out": {"RMSE": 1.0, "MAE": True, "R2": 1.0}},
        {"held_out": {"RMSE": 1.0, "MAE": 1.0, "R2": NAN}},
    ],
)
def test_what_a_file_says_of_scores_is_checked(said):
    with pytest.raises(ValueError, match="scores"):
        check_scores(REGRESSION, said)
    check_scores(REGRESSION, {"held_out": {"RMSE": 1, "MAE": 0.5, "R2": None}})


# What is written.


def scaler():
    return StandardScaler().fit([[1.0], [2.0]])


def test_numbers_that_json_has_not_become_null_in_a_model_file(tmp_path):
    path = tmp_path / "model.skops"
    odd = {"training": {"score": NAN, "scores": [INF, -INF, 1.5], "more": {"x": (NAN, "NaN")}}}
    write_model(path, StoredModel(odd, scaler()))
    found = read_model(path).header["training"]
    assert found == {"score": None, "scores": [None, None, 1.5], "more": {"x": [None, "NaN"]}}
    with zipfile.ZipFile(path) as parts:
        strict(parts.read(skops_archive.HEADER))


def test_facts_of_a_converted_table_and_figures_of_a_comparison_are_json(tmp_path):
    target = Target("y", "number", REGRESSION)
    with pytest.raises(ValueError, match="JSON"):
        metadata.write_metadata(
            tmp_path, target, [Column("x", "number")], {"target": {"mean": NAN}}
        )
    found = strict(as_json("engine compare", {"cost": INF, "costs": [1.0, NAN], "of": {"x": NAN}}))
    assert found == {"command": "engine compare", "costs": [1.0, None], "of": {}}


X, Y = np.arange(24.0).reshape(12, 2) / 12, np.arange(12) % 2
QUICK = {"hidden_layer_sizes": (2,), "max_iter": 2, "random_state": 0, "backend": "numpy"}


def undefined_score(estimator, X, y):
    return NAN


def infinite_score(estimator, X, y):
    return INF


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", [".safetensors", ".skops", ".onnx"])
@pytest.mark.parametrize("scoring", [undefined_score, infinite_score])
def test_an_estimator_whose_scores_are_not_defined_is_saved_and_loads(tmp_path, ending, scoring):
    path = tmp_path / f"m{ending}"
    fitted = MLPClassifier(**QUICK, early_stopping=True, scoring=scoring).fit(X, Y)
    assert not math.isfinite(fitted.best_validation_score_)
    save(path, fitted)
    if ending != ".onnx":
        loaded = load(path)
        again = loaded.estimator() if ending == ".safetensors" else loaded
        np.testing.assert_array_equal(again.validation_scores_, fitted.validation_scores_)
        assert again.best_validation_score_ == fitted.best_validation_score_


# What is read back.


def cut(content):
    """The bytes of a disk that has lost the last of them."""
    return content[:-9]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", [".safetensors", ".skops", ".onnx"])
def test_a_file_that_cannot_be_read_back_is_an_error_and_the_one_before_stays(
    tmp_path, monkeypatch, ending
):
    path = tmp_path / f"m{ending}"
    fitted = MLPRegressor(**QUICK).fit(X, Y)
    save(path, fitted)
    before = path.read_bytes()
    for module, name in (
        (safetensors_file, "network_bytes"),
        (skops_file, "archive_of"),
        (onnx_file, "network_bytes"),
    ):
        right = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, _right=right, **k: cut(_right(*a, **k)))
    with pytest.raises(ModelFileError, match="the model would not load, and was not saved: "):
        save(path, fitted)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.filterwarnings("ignore")
def test_an_estimator_that_could_not_be_made_again_is_not_saved(tmp_path, monkeypatch):
    fitted = MLPRegressor(**QUICK).fit(X, Y)
    fitted.hidden_layer_sizes = (7,)  # other than it was fitted with
    with pytest.raises(ModelFileError, match="would not load, and was not saved"):
        save(tmp_path / "m.safetensors", fitted)
    assert list(tmp_path.iterdir()) == []


# The commands.


def ended(*arguments):
    with pytest.raises(SystemExit) as end:
        main.main([str(one) for one in arguments])
    return int(end.value.code or 0)


@pytest.fixture
def done(capsys, monkeypatch, tmp_path):
    """Run a command in an own folder; what it printed, where it ended well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run_command(*arguments):
        capsys.readouterr()
        status = ended(*arguments)
        out, err = capsys.readouterr()
        assert status == 0, err
        return out, complaints(err)

    return run_command


def grades(folder):
    """A class that has one row."""
    draw = random.Random(77)
    rows = [f"{draw.gauss(0, 1):.2f},{draw.randint(1, 9)},{draw.choice('ABCD')}" for _ in range(60)]
    rows[30] = f"{rows[30][:-1]}E"
    (folder / "grades.csv").write_text("score,age,grade\n" + "\n".join(rows) + "\n")


def claims(folder):
    """An amount that is 0 in nearly every row."""
    rows = [f"{i % 7},{i % 5},{2.5 if i % 40 == 0 else 0}" for i in range(120)]
    (folder / "claims.csv").write_text("u,v,claim\n" + "\n".join(rows) + "\n")


SMALL = ("--max-iter", "2", "--hidden", "2", "--model", "m.skops", "--force")


def seed_for(folder, name):
    """A seed that holds out what leaves a score undefined."""
    from engine.tables import fitting
    from engine.tables.csv_and_parquet import read_table

    plan = fitting.prepared(read_table(folder / f"{name}.csv"), name[:-1])
    for seed in range(200):
        held_out = fitting.split(plan, 0.2, seed).held_out
        assert held_out is not None
        if ("E" in held_out.y) if name == "grades" else not np.ptp(held_out.y):
            return seed
    raise AssertionError("no such seed")


@pytest.mark.sample(1)
@pytest.mark.compiled
@pytest.mark.parametrize(
    ("name", "score", "why"),
    [
        ("grades", "log loss", "these rows have a class that the training rows lack"),
        ("claims", "R2", "the target is the same in all of these rows"),
    ],
)
def test_a_model_whose_held_out_scores_are_not_defined_loads_and_says_so(
    done, tmp_path, name, score, why
):
    (grades if name == "grades" else claims)(tmp_path)
    table, seed = f"{name}.csv", seed_for(tmp_path, name)
    out, _ = done("train", table, "--target", name[:-1], "--seed", seed, *SMALL)
    assert f"{score} is not defined for 'held-out', 'linear, held-out', 'always " in out
    assert f": {why}.\n" in out
    model = read(tmp_path / "m.skops")
    assert model.training["scores"]["held_out"][score] is None
    assert model.training["scores"]["training"][score] is not None
    out, _ = done("check-model", "m.skops")
    assert f"{score} not defined" in out
    out, _ = done("evaluate", "m.skops", table)
    assert f"{score} is not defined for " in out
    assert "'held-out, in training'" in out
    done("predict", "m.skops", table)


@pytest.mark.proof
@pytest.mark.compiled
def test_rows_that_leave_scores_undefined_are_evaluated(done, tmp_path):
    grades(tmp_path)
    claims(tmp_path)
    done("train", "claims.csv", "--target", "claim", *SMALL)
    for rows in ("1,2,0", "1,2,0\n2,3,0", "1,2,0\n2,3,\n"):
        (tmp_path / "new.csv").write_text(f"u,v,claim\n{rows}\n")
        out, _ = done("evaluate", "m.skops", "new.csv", "--picture", "p.png", "--force")
        assert "R2 is not defined for 'model', 'always " in out
    done("train", "grades.csv", "--target", "grade", *SMALL)
    for rows in ("1,2,A", "1,2,A\n2,3,A", "1,2,Z", "1,2,A\n2,3,Z"):
        (tmp_path / "new.csv").write_text(f"score,age,grade\n{rows}\n")
        out, _ = done("evaluate", "m.skops", "new.csv", "--picture", "p.png", "--force")
        assert ("log loss is not defined for" in out) == ("Z" in rows)


@pytest.mark.compiled
def test_so_is_a_model_of_a_converted_table(done, tmp_path):
    rows = [f"{i % 7},{i % 5},{2.5 if i % 10 == 3 and i < 200 else 0}" for i in range(220)]
    (tmp_path / "claims.csv").write_text("u,v,claim\n" + "\n".join(rows) + "\n")
    for seed in range(30):
        told = ("claims.csv", "--target", "claim", "--test-fraction", "0.02", "--seed", seed)
        done("convert", *told, "--to", f"of-{seed}")
        y = np.load(tmp_path / f"of-{seed}" / "held-out-targets.npy")
        if len(y) and not np.ptp(y):
            break
    out, _ = done("train", f"of-{seed}", *SMALL)
    assert "R2 is not defined for 'held-out', 'linear, held-out', 'always " in out
    assert read(tmp_path / "m.skops").training["scores"]["held_out"]["R2"] is None
    out, _ = done("evaluate", "m.skops", "claims.csv")
    assert "R2 is not defined for 'held-out, in training'" in out


@pytest.mark.compiled
def test_a_model_that_says_nonsense_is_not_saved_over_the_one_before(done, tmp_path, capsys):
    claims(tmp_path)
    done("train", "claims.csv", "--target", "claim", *SMALL)
    before = (tmp_path / "m.skops").read_bytes()
    model = read(tmp_path / "m.skops")
    model.training["scores"]["held_out"]["R2"] = "high"
    with pytest.raises(ModelFileError, match=r"would not load, and was not saved: .*cannot be und"):
        model.write(tmp_path / "m.skops")
    assert (tmp_path / "m.skops").read_bytes() == before
    assert isinstance(model, TableModel)
