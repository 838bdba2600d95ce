"""Table estimators in model files and pickles: the same bits come back, and nothing forged does."""

import copy
import json
import pickle

import numpy as np
import polars as pl
import pytest

import engine
from engine import ModelFileError, TableClassifier, TableRegressor, losses
from engine.model_files.check_model import check_file
from engine.model_files.estimator_state import without_training_state
from engine.model_files.skops_file import StoredModel, write_model
from engine.tables import stored_estimator, table_estimator
from engine.tables.column_statistics import TableStatistics
from engine.tables.learnt_columns import LearntColumns
from engine.tables.model import read
from engine.tables.scores import scored
from engine.tables.stored_estimator import FITTED

pytestmark = pytest.mark.compiled

N = 120
draw = np.random.default_rng(0)
TABLE = pl.DataFrame(
    {
        "size": [None if k % 11 == 0 else k * 7 % 50 + 0.5 for k in range(N)],
        "colour": [["red", "blue", None][k % 3] for k in range(N)],
        "old": [k % 2 == 0 for k in range(N)],
        "day": [f"{k % 27 + 1}.{k % 12 + 1}.2024" for k in range(N)],
    }
)
SMALL = {
    "n_members": 2, "max_iter": 3, "hidden_layer_sizes": (4,), "width": 3, "level_width": 2,
    "n_pieces": 5, "dates": "day-first", "random_state": 0, "n_threads": 1,
}  # fmt: skip
SIZES = [(k * 7 % 50) / 10 for k in range(N)]
COUNTS = [float(k % 4) for k in range(N)]
MODELS = {
    "classes": lambda: TableClassifier(**SMALL).fit(TABLE, ["low", "mid", "high"] * 40),
    "two classes": lambda: TableClassifier(class_weight="balanced", **SMALL).fit(
        TABLE, [True, False, False] * 40
    ),
    "numbers": lambda: TableRegressor(**SMALL).fit(TABLE, SIZES),
    "quantiles": lambda: TableRegressor(losses.Quantile([0.1, 0.9]), **SMALL).fit(TABLE, SIZES),
    "counts": lambda: TableRegressor("poisson", **SMALL).fit(TABLE, COUNTS),
    "an array": lambda: TableRegressor(**{**SMALL, "validation_fraction": 0.0}).fit(
        draw.normal(size=(N, 2)), SIZES
    ),
}


@pytest.fixture(scope="module")
def models():
    return {name: make() for name, make in MODELS.items()}


def rows_for(model):
    return TABLE if hasattr(model, "feature_names_in_") else draw.normal(size=(5, 2))


def outputs(model, rows):
    method = getattr(model, "predict_proba", model.predict)
    return np.asarray(method(rows))


def test_a_saved_model_predicts_with_the_same_bits(models, tmp_path):
    for name, model in models.items():
        path, rows = tmp_path / "model.skops", rows_for(model)
        engine.save(path, model)
        again = engine.load(path)
        np.testing.assert_array_equal(outputs(again, rows), outputs(model, rows), err_msg=name)
        np.testing.assert_array_equal(again.predict(rows), model.predict(rows))
        assert again.get_params().keys() == model.get_params().keys()
        assert (again.recipe_, again.notes_) == (model.recipe_, model.notes_)
        assert again.columns_ == model.columns_
        again.predictor()
        engine.save(path, again)  # and once more
        assert check_file(path).ok


def test_the_same_model_gives_the_same_bytes_and_is_small(models, tmp_path):
    for name in ("one.skops", "other.skops"):
        engine.save(tmp_path / name, models["numbers"])
    one, other = ((tmp_path / name).read_bytes() for name in ("one.skops", "other.skops"))
    assert one == other
    assert len(one) < 50_000


def test_pickles_and_copies_predict_with_the_same_bits(models):
    for model in models.values():
        for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
            rows = rows_for(model)
            np.testing.assert_array_equal(outputs(again, rows), outputs(model, rows))
            assert not hasattr(again.members_[0], "_optimizer")
    unfitted = pickle.loads(pickle.dumps(TableClassifier(**SMALL)))
    assert unfitted.get_params() == TableClassifier(**SMALL).get_params()
    assert not hasattr(unfitted, "members_")


def test_examples_are_made_up_rows_of_the_table_or_some_of_the_user_s(models, tmp_path):
    path = tmp_path / "model.skops"
    engine.save(path, models["classes"])
    facts = check_file(path).facts["examples"]
    assert facts == "8, made-up rows of the table, tried by predict_proba"
    engine.save(path, models["classes"], X=TABLE)
    assert "rows of the user's (polars)" in check_file(path).facts["examples"]


@pytest.mark.parametrize("ending", [".onnx", ".safetensors"])
def test_files_of_one_network_say_where_a_table_s_model_goes(models, tmp_path, ending):
    path = tmp_path / f"flats{ending}"
    with pytest.raises(ValueError, match=f"A {ending} file holds one network, .*flats.skops"):
        engine.save(path, models["numbers"])
    assert not path.exists()


def test_a_loss_of_the_user_s_own_is_kept_by_name(tmp_path):
    def cost(z, y):
        return (z - y) ** 2 / 2, z - y

    model = TableRegressor(losses.Compiled(cost), **SMALL).fit(TABLE, SIZES)
    engine.save(tmp_path / "own.skops", model)
    again = engine.load(tmp_path / "own.skops")
    np.testing.assert_array_equal(again.predict(TABLE), model.predict(TABLE))
    assert model.loss == losses.Compiled(cost)  # which is not changed


def test_a_model_of_an_earlier_version_says_to_train_again(tmp_path):
    fitted = engine.MLPRegressor(
        hidden_layer_sizes=(2,), max_iter=2, random_state=0, solver="lbfgs", tol=1.0
    )
    fitted.fit(np.eye(3), np.arange(3.0))
    stored = StoredModel({"target": {"name": "y"}}, without_training_state(fitted))
    write_model(tmp_path / "m.skops", stored)
    with pytest.raises(ModelFileError, match=r"earlier version .* Train again: engine train TABLE"):
        read(tmp_path / "m.skops")


# Forged states.


def changed(change):
    """A change of the description, of one of its parts by `place`."""

    def of(state):
        about = json.loads(state["description"])
        change(about)
        state["description"] = json.dumps(about)

    return of


def arrays(name, change):
    def of(state):
        state["arrays"][name] = change(np.array(state["arrays"][name]))

    return of


def pieces(state, place, count, points):
    """Other breakpoints of a column."""
    counts = np.array(state["arrays"]["n_breakpoints"])
    start, end = counts[:place].sum(), counts[: place + 1].sum()
    before, after = np.split(state["arrays"]["breakpoints"], [start, end])[::2]
    counts[place] = count
    state["arrays"] |= {
        "n_breakpoints": counts,
        "breakpoints": np.concatenate([before, np.array(points, float), after]),
    }


FORGERIES = {
    "no description": lambda state: state.pop("description"),
    "no arrays": lambda state: state.update(arrays=[]),
    "no JSON": lambda state: state.update(description="{"),
    "another format": changed(lambda about: about.update(format=2)),
    "notes that are none": changed(lambda about: about.update(notes=3)),
    "names that are no texts": changed(lambda about: about.update(feature_names_in=[1, 2, 3, 4])),
    "no recipe": changed(lambda about: about.pop("recipe")),
    "layers of nothing": changed(lambda about: about["recipe"].update(hidden_layer_sizes=[0])),
    "huge layers": changed(lambda about: about["recipe"].update(hidden_layer_sizes=[2**40])),
    "other widths": changed(lambda about: about["recipe"].update(width=4)),
    "no networks": changed(lambda about: about.update(members=[])),
    "more networks": changed(lambda about: about["members"].append(about["members"][0])),
    "epochs below 0": changed(lambda about: about["members"][0]["numbers"].update(n_iter_=-1)),
    "another encoding": changed(lambda about: about["encoding"]["columns"].pop()),
    "another column": changed(lambda about: about["columns"][0].update(name="other")),
    "another kind": changed(lambda about: about["columns"][0].update(kind="date")),
    "another reading": changed(lambda about: about["columns"][0].update(reading="night")),
    "more columns in": changed(lambda about: about.update(n_features_in=9)),
    "no level counts": lambda state: state["arrays"].pop("level_counts"),
    "no theta": lambda state: state["arrays"].pop("theta_1"),
    "an array more": lambda state: state["arrays"].update(more=np.zeros(1)),
    "a short theta": arrays("theta_0", lambda theta: theta[1:]),
    "a theta of NaN": arrays("theta_0", lambda theta: theta * np.nan),
    "a theta of whole numbers": arrays("theta_0", lambda theta: theta.astype(int)),
    "a scale of 0": arrays("scale", lambda scale: scale * 0),
    "a centre of NaN": arrays("centre", lambda centre: centre * np.nan),
    "an infinite centre": arrays("centre", lambda centre: centre + np.inf),
    "a short scale": arrays("scale", lambda scale: scale[1:]),
    "lowest above highest": arrays("lowest", lambda lowest: np.full_like(lowest, np.inf)),
    "other pieces": arrays("n_breakpoints", lambda counts: counts[::-1].copy()),
    "pieces below 0": arrays("n_breakpoints", lambda counts: counts - 1),
    "lowest of NaN": arrays("lowest", lambda lowest: np.full_like(lowest, np.nan)),
    "a category in pieces": lambda state: pieces(state, 1, 2, [0.0, 1.0]),
    "gaps without pieces": lambda state: pieces(state, 0, 0, []),
    "breakpoints that fall": arrays("breakpoints", lambda points: points[::-1].copy()),
    "a curve of two dimensions": arrays("loss_curve_0", lambda curve: curve[:, np.newaxis]),
}
OF_CLASSES = {
    "no temperature": changed(lambda about: about["target"].update(temperature=0.0)),
    "one class": changed(lambda about: about["target"]["classes"].update(values=["low"])),
    "classes twice": changed(lambda about: about["target"]["classes"].update(values=["a"] * 3)),
    "classes in no order": changed(lambda about: about["target"]["classes"]["values"].reverse()),
    "codes of no class": changed(lambda about: about["members"][0].update(classes=[0, 1, 7])),
    "no codes": changed(lambda about: about["members"][0].update(classes=None)),
    "fewer codes": changed(lambda about: about["members"][0].update(classes=[0, 1])),
}
OF_NUMBERS = {
    "no scale": changed(lambda about: about["target"].update(scale=0.0)),
    "classes of numbers": changed(lambda about: about["members"][0].update(classes=[0, 1])),
    "shifts without quantiles": changed(lambda about: about["target"].update(shifts=[1.0])),
    "shifts that are texts": changed(lambda about: about["target"].update(shifts=["far"])),
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "numbers") for name in FORGERIES | OF_NUMBERS),
        *((name, "classes") for name in OF_CLASSES),
    ],
)
def test_a_forged_state_is_refused(models, name, kind):
    state = models[kind].__getstate__()
    fitted = state[FITTED] = copy.deepcopy(state[FITTED])
    {**FORGERIES, **OF_CLASSES, **OF_NUMBERS}[name](fitted)
    empty = type(models[kind]).__new__(type(models[kind]))
    with pytest.raises((KeyError, TypeError, ValueError)):
        empty.__setstate__(state)


@pytest.mark.parametrize("loss", [losses.Quantile([0.1, 0.9]), "quantile"])
def test_shifts_of_quantiles_come_back(tmp_path, loss):
    model = TableRegressor(loss, **SMALL).fit(TABLE, SIZES)
    assert model.shifts_ is not None
    engine.save(tmp_path / "m.skops", model)
    again = engine.load(tmp_path / "m.skops")
    np.testing.assert_array_equal(again.shifts_, model.shifts_)
    np.testing.assert_array_equal(again.predict(TABLE), model.predict(TABLE))
    row = {name: TABLE[name][0] for name in TABLE.columns}
    np.testing.assert_array_equal(again.predictor().predict(row), model.predict(TABLE[:1])[0])


def test_a_forged_file_is_damaged(models, tmp_path, monkeypatch):
    def forged(estimator):
        state = whole(estimator)
        state["arrays"]["scale"] = state["arrays"]["scale"] * 0
        return state

    whole = stored_estimator.fitted_state
    model = copy.deepcopy(models["numbers"])
    monkeypatch.setattr(table_estimator, "fitted_state", forged)
    with pytest.raises((ModelFileError, ValueError), match="numbers without scale"):
        engine.save(tmp_path / "m.skops", model)
    assert not (tmp_path / "m.skops").exists()


def test_attributes_beside_the_state_are_refused(models):
    state = {**models["numbers"].__getstate__(), "predict": 1}
    with pytest.raises(ValueError, match="of other parameters"):
        TableRegressor.__new__(TableRegressor).__setstate__(state)


# What the inputs are made by.


def test_numbers_of_many_rows_are_those_of_a_sample(monkeypatch):
    monkeypatch.setattr("engine.tables.column_statistics.SAMPLE_ROWS", 50)
    frame = pl.DataFrame({"x": draw.normal(5, 2, 1000)})
    statistics = TableStatistics.of_frame(frame, None)
    numbers = LearntColumns.of(statistics.chosen(), statistics, None, []).numbers
    x = frame["x"].to_numpy()
    assert numbers.sample.shape == (50, 1)
    assert (numbers.centre[0], numbers.scale[0]) == pytest.approx((x.mean(), x.std()))
    again = numbers.sample[:, 0] * numbers.scale[0] + numbers.centre[0]
    assert np.isclose(again[:, np.newaxis], x).any(axis=1).all()


def learnt_of(frame):
    statistics = TableStatistics.of_frame(frame, None)
    return LearntColumns.of(statistics.chosen(), statistics, None, [])


def test_times_of_texts_are_dates():
    days = [f"{k % 27 + 1}.{k % 12 + 1}.{2020 + k % 5}" for k in range(N)]
    table = TABLE.with_columns(day=pl.Series(days))
    model = TableRegressor(**{**SMALL, "validation_fraction": 0.25}).fit(table, SIZES, time="day")
    assert model.n_validation_rows_ == [N // 4] * 2
    with pytest.raises(ValueError, match="time: column 'colour' is 'red' in row 1"):
        TableRegressor(**SMALL).fit(TABLE, SIZES, time="colour")


def test_an_array_is_no_table_of_the_columns_that_training_named(models):
    with pytest.raises(ValueError, match="takes the columns of a table by name: pass a pandas"):
        models["numbers"].predict(TABLE.to_numpy())


@pytest.mark.parametrize(
    ("kind", "scores"), [("numbers", {"RMSE", "MAE", "R2"}), ("classes", {"accuracy"})]
)
def test_a_model_that_python_has_saved_predicts_by_command(models, kind, scores, tmp_path):
    engine.save(tmp_path / "m.skops", models[kind])
    again = read(tmp_path / "m.skops")
    found = again.predict(again.matched(TABLE).inputs)
    np.testing.assert_array_equal(found.values, models[kind].predict(TABLE))
    assert again.target.name == (models[kind].target_name_ or "y")
    y = models[kind].predict(TABLE)
    rows, _ = again.rows_with_target(TABLE.with_columns(pl.Series(again.target.name, y)))
    assert scores <= scored(again.target.task, rows.y, found, again.loss).keys()
    if models[kind].target_name_ is None:
        with pytest.raises(ValueError, match="fitted in Python to an array"):
            again.rows_with_target(TABLE)
