"""engine/cli/output_files.py: what a user has is not replaced, unless the user says so."""

import json
import os

import numpy as np
import pytest

from engine import MLPRegressor, save
from engine.cli import main, training
from engine.cli.output_files import ModelPlace
from engine.examples import breast_cancer, xnor
from engine.model_files import skops_file
from engine.tables import fitting
from engine.tables.model import read
from tests import report_figures

KEPT = "the only copy of something else"
TABLE = "x,y\n" + "".join(f"{i % 9},{2 * (i % 9) + 0.5}\n" for i in range(100))
TRAIN = ("train", "t.csv", "--target", "y", "--max-iter", "2", "--hidden", "2")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(TABLE)
    return tmp_path


def ended(*arguments) -> int:
    with pytest.raises(SystemExit) as end:
        main.main([str(one) for one in arguments])
    return int(end.value.code or 0)


def fail(*_, **__):
    raise ArithmeticError("the work has begun")


@pytest.fixture
def no_work(monkeypatch):
    """Any work is an error, of another status than that of a wrong argument."""
    for place, name in (
        (fitting, "prepared"),
        (breast_cancer, "fit"),
        (xnor, "fit"),
        (training, "show_plan"),
    ):
        monkeypatch.setattr(place, name, fail)
    monkeypatch.setattr("engine.comparison.measuring_process.measured", fail)
    monkeypatch.setattr("engine.comparison.report.page.render", fail)


TINY = ("--shape", "3-4-1", "--samples", "24", "--batch", "10", "--rounds", "1")
REFUSED = {
    "train, by default": (TRAIN, "t.skops", "--model"),
    "train --model": ((*TRAIN, "--model", "thesis.skops"), "thesis.skops", "--model"),
    "train --pictures": ((*TRAIN, "--pictures", "p"), "p/residuals.png", "--pictures"),
    "demo": (("demo", "--picture", "a.png"), "a.png", "--picture"),
    "xnor": (("xnor", "--picture", "a.png"), "a.png", "--picture"),
    "compare training": (("compare", "training", *TINY, "--json", "a.json"), "a.json", "--json"),
    "compare gradient": (("compare", "gradient", "--json", "a.json"), "a.json", "--json"),
    "compare estimators": (("compare", "estimators", "--json", "a.json"), "a.json", "--json"),
    "compare second-order": (
        ("compare", "second-order", "--json", "a.json"),
        "a.json",
        "--json",
    ),
    "compare many": (("compare", "many", "--json", "a.json"), "a.json", "--json"),
    "compare tables": (("compare", "tables", "--json", "a.json"), "a.json", "--json"),
    "compare threads": (("compare", "threads", "--json", "a.json"), "a.json", "--json"),
    "compare startup": (("compare", "startup", "--json", "a.json"), "a.json", "--json"),
    "compare loading": (("compare", "loading", "--json", "a.json"), "a.json", "--json"),
    "compare memory": (("compare", "memory", "--json", "a.json"), "a.json", "--json"),
    "report --json": (("compare", "report", "--json", "a.json"), "a.json", "--json"),
    "report --page": (("compare", "report", "--page", "a.html"), "a.html", "--page"),
    "page": (("compare", "page", "f.json", "--output", "a.html"), "a.html", "--output"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_is_there_is_refused_before_the_work_and_given_up_with_force(
    case, here, no_work, capsys
):
    arguments, file, option = REFUSED[case]
    (here / "f.json").write_text(json.dumps(report_figures.figures()))
    (here / file).parent.mkdir(exist_ok=True)
    (here / file).write_text(KEPT)
    assert ended(*arguments) == main.WRONG_USE
    assert capsys.readouterr().err == (
        f"engine: {file} is there already. Add --force to replace it, or name another one with "
        f"{option}.\n"
    )
    assert (here / file).read_text() == KEPT
    assert ended(*arguments, "--force") == 1  # it was about to begin
    assert "the work has begun" in capsys.readouterr().err
    assert (here / file).read_text() == KEPT


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (("predict", "m.skops", "t.csv", "--output", "a.csv"), "a.csv"),
        (("predict", "m.skops", "t.csv", "--output", "t.csv"), "t.csv"),
        (("evaluate", "m.skops", "t.csv", "--picture", "a.png"), "a.png"),
    ],
)
def test_so_are_those_of_commands_that_take_a_model(arguments, file, here, capsys):
    (here / "a.csv").write_text(KEPT)
    (here / "a.png").write_text(KEPT)
    before = (here / file).read_text()
    assert ended(*arguments) == main.WRONG_USE
    assert f"engine: {file} is there already. Add --force" in capsys.readouterr().err
    ended(*arguments, "--force")
    assert "m.skops: No such file" in capsys.readouterr().err
    assert (here / file).read_text() == before


@pytest.mark.parametrize(
    ("arguments", "file"),
    [(("demo",), "engine-demo.png"), (("xnor",), "engine-xnor.png")],
)
def test_pictures_under_the_name_that_a_command_gives_are_replaced(
    arguments, file, here, no_work, capsys
):
    (here / file).write_text(KEPT)
    assert ended(*arguments) == 1
    assert "the work has begun" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_a_device_is_no_place_for_a_file(here, capsys):
    for arguments in (("predict", "m.skops", "t.csv", "--output", "pipe.csv"),):
        os.mkfifo(here / "pipe.csv")
        assert ended(*arguments, "--force") == main.WRONG_USE
        said = capsys.readouterr().err
        assert "pipe.csv is no ordinary file; name another one with --output." in said


# With a checkpoint.


@pytest.mark.proof
@pytest.mark.compiled
def test_the_same_command_with_a_checkpoint_replaces_the_model_that_it_saved(here, capsys):
    kept = ("--checkpoint", "run.ckpt", "--pictures", "p")
    assert ended(*TRAIN, *kept) == 0
    first = read(here / "t.skops")
    assert first.training["checkpoint"] == "run.ckpt"
    assert ended(*TRAIN, *kept) == 0  # once more: it has ended, and ends as before
    assert read(here / "t.skops").training["scores"] == first.training["scores"]
    assert not (here / "t.previous.skops").exists()
    saved = (here / "t.skops").read_bytes()
    assert ended(*TRAIN) == 0  # without the checkpoint it is a run of its own
    assert "The model that was there is kept as t.previous.skops." in capsys.readouterr().out
    assert (here / "t.previous.skops").read_bytes() == saved


@pytest.mark.compiled
def test_a_model_that_is_there_is_read_once_before_the_training(here, monkeypatch):
    kept = ("--checkpoint", "run.ckpt")
    assert ended(*TRAIN, *kept) == 0
    opened, read_model = [], skops_file.read_model

    def counted(path):
        opened.append(path)
        return read_model(path)

    monkeypatch.setattr(skops_file, "read_model", counted)
    for checkpoint in ("run.ckpt", "another.ckpt"):
        ModelPlace(here / "t.skops", "y", force=False, checkpoint=here / checkpoint)
    assert opened == [here / "t.skops"] * 2


@pytest.mark.compiled
def test_a_model_that_is_there_is_kept_beside_and_given_up_with_force(here, capsys):
    previous = here / "t.previous.skops"
    models = []
    for seed in (1, 2, 3):
        assert ended(*TRAIN, "--seed", seed) == 0
        models.append((here / "t.skops").read_bytes())
        kept = "The model that was there is kept as t.previous.skops." in capsys.readouterr().out
        assert kept == (seed > 1)
        if kept:
            assert previous.read_bytes() == models[-2]
    assert ended(*TRAIN, "--force") == 0
    assert "previous" not in capsys.readouterr().out
    assert previous.read_bytes() == models[1]
    previous.write_text(KEPT)
    assert ended(*TRAIN) == main.WRONG_USE
    assert "t.previous.skops is no model, and t.skops would be kept" in capsys.readouterr().err
    assert previous.read_text() == KEPT


@pytest.mark.compiled
def test_a_model_of_another_target_is_refused_before_the_training(here, monkeypatch, capsys):
    assert ended(*TRAIN) == 0
    model = (here / "t.skops").read_bytes()
    monkeypatch.setattr(fitting, "prepared", fail)
    of_x = ("train", "t.csv", "--target", "x")
    assert ended(*of_x) == main.WRONG_USE
    assert capsys.readouterr().err == (
        "engine: t.skops is a model of 'y', and a model of 'x' would take its place. Name another "
        "file, such as --model t-x.skops, or add --force to replace it.\n"
    )
    assert ended(*of_x, "--force") == 1  # the work has begun
    assert (here / "t.skops").read_bytes() == model


@pytest.mark.compiled
def test_a_kept_model_of_another_target_is_not_replaced_either(here, capsys):
    assert ended(*TRAIN) == 0
    os.rename(here / "t.skops", here / "t.previous.skops")
    assert ended("train", "t.csv", "--target", "x", *TRAIN[4:]) == 0
    with pytest.raises(ValueError, match=r"previous\.skops is a model of 'y', and a model of 'x'"):
        ModelPlace(here / "t.skops", "x", force=False)
    assert (here / "t.previous.skops").exists()


@pytest.mark.compiled
def test_a_model_that_python_saved_is_not_replaced(here):
    X = np.arange(20.0).reshape(-1, 1)
    network = MLPRegressor(hidden_layer_sizes=(2,), solver="lbfgs", random_state=0)
    save(here / "t.skops", network.fit(X, X[:, 0]))
    with pytest.raises(ValueError, match="a model that engine train has not saved"):
        ModelPlace(here / "t.skops", "y", force=False)


@pytest.mark.proof
@pytest.mark.compiled
def test_pictures_of_an_earlier_training_are_drawn_again(here):
    for _ in range(2):
        assert ended(*TRAIN, "--pictures", "p") == 0


@pytest.mark.parametrize("content", [b"", KEPT.encode(), None])
def test_a_model_of_another_run_is_refused_with_a_checkpoint_too(here, content, no_work, capsys):
    model = here / "t.skops"
    if content is None:
        model.mkdir()
    else:
        model.write_bytes(content)
    (here / "run.ckpt").write_text("begun")
    assert ended(*TRAIN, "--checkpoint", "run.ckpt") == main.WRONG_USE
    assert "t.skops is" in capsys.readouterr().err
