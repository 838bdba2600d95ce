"""TableClassifier and TableRegressor: what they learn from a table, and what they refuse."""

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from engine import MLPRegressor, TableClassifier, TableRegressor, TrainingWarning, losses, save
from engine.tables.column_statistics import TableStatistics
from engine.tables.learnt_columns import LearntColumns
from engine.tables.model import read

SMALL = {"n_members": 2, "random_state": 0}
N = 240


def table():
    """Numbers, texts, booleans, dates and gaps, and a target that depends on each of them."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "area": generator.uniform(20, 200, N),
            "side": generator.choice(["north", "south", "east"], N),
            "lift": generator.random(N) < 0.5,
            "built": pd.date_range("1990-01-01", periods=N, freq="40D"),
            "shop": generator.choice(["a", "b"], N),
            "same": "x",
        }
    )
    frame.loc[generator.random(N) < 0.3, "shop"] = None
    y = (
        frame["area"] / 50
        + 2 * (frame["side"] == "north")
        + frame["lift"]
        + 3 * frame["shop"].isna()
        + 0.05 * generator.standard_normal(N)
    )
    return frame, y.to_numpy()


FRAME, Y = table()
CLASSES = np.where(np.median(Y) < Y, "dear", "cheap")


def regressor(**settings):
    return TableRegressor(**{**SMALL, **settings})


def classifier(**settings):
    return TableClassifier(**{**SMALL, **settings})


@pytest.fixture(scope="module")
def fitted():
    return regressor().fit(FRAME, Y)


@pytest.fixture(scope="module")
def fitted_classifier():
    return classifier().fit(FRAME, CLASSES)


# scikit-learn's conventions.

UNEQUAL = {
    "check_sample_weight_equivalence_on_dense_data": "rows are split for validation by their number"
}


@pytest.mark.compiled  # on plain Python it takes an hour
@pytest.mark.proof
@parametrize_with_checks(
    [TableRegressor(random_state=0), TableClassifier(random_state=0)],
    expected_failed_checks=lambda estimator: UNEQUAL,
)
def test_estimators_keep_the_conventions_of_scikit_learn(estimator, check):
    check(estimator)


def test_a_clone_has_the_same_parameters_and_fits_alike():
    one = regressor(max_iter=2, columns={"area": "number"})
    other = clone(one)
    assert other.get_params() == one.get_params()
    a, b = (each.fit(FRAME, Y).predict(FRAME) for each in (one, other))
    np.testing.assert_array_equal(a, b)


def test_a_cross_validation_takes_frames():
    assert cross_val_score(regressor(max_iter=30), FRAME, Y, cv=2).min() > 0


def test_a_pickle_predicts_alike(fitted):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(FRAME), fitted.predict(FRAME))


def test_an_estimator_that_is_not_fitted_says_so():
    for method in (regressor().predict, classifier().predict_proba):
        with pytest.raises(NotFittedError):
            method(FRAME)


# What is learnt.


def test_all_kinds_of_columns_are_learnt_from(fitted):
    assert fitted.score(FRAME, Y) > 0.9
    assert {column.name for column in fitted.left_out_} == {"same"}


@pytest.mark.parametrize(
    "given",
    [
        pl.from_pandas(FRAME),
        {name: FRAME[name].to_numpy() for name in FRAME},
        FRAME.astype({"side": "category"}),
    ],
    ids=["polars", "dict", "categories"],
)
def test_the_same_table_gives_the_same_bits_in_whatever_form_it_comes(given, fitted):
    np.testing.assert_array_equal(fitted.predict(given), fitted.predict(FRAME))
    one = regressor(max_iter=2).fit(FRAME, Y)
    other = regressor(max_iter=2).fit(given, Y)
    np.testing.assert_array_equal(one.predict(FRAME), other.predict(FRAME))


def test_a_file_is_a_table(tmp_path, fitted):
    path = tmp_path / "flats.csv"
    FRAME.to_csv(path, index=False)
    from_file = regressor().fit(path, Y)
    np.testing.assert_allclose(from_file.predict(path), fitted.predict(FRAME), rtol=1e-4)


def test_an_array_is_a_table_without_names():
    X = np.random.default_rng(0).standard_normal((N, 3))
    model = regressor(max_iter=5).fit(X, X[:, 0])
    assert model.n_features_in_ == 3
    assert not hasattr(model, "feature_names_in_")
    assert model.predict(X.tolist()).shape == (N,)


def test_the_target_may_be_a_column_of_the_table():
    whole = FRAME.assign(rent=Y)
    whole.loc[::10, "rent"] = None
    model = regressor(max_iter=2).fit(whole, target="rent")
    known = whole["rent"].notna()
    other = regressor(max_iter=2).fit(FRAME[known], Y[known])
    np.testing.assert_array_equal(model.predict(whole), other.predict(FRAME))


def test_a_target_of_any_size_is_learnt_as_well(fitted):
    other = regressor().fit(FRAME, 1e9 + 1e4 * Y)
    np.testing.assert_allclose((other.predict(FRAME) - 1e9) / 1e4, fitted.predict(FRAME), atol=0.05)


def test_a_category_that_training_had_not_seen_is_one_like_any_other(fitted):
    new, other = (FRAME.assign(side=side) for side in ("west", "up"))
    np.testing.assert_array_equal(fitted.predict(new), fitted.predict(other))


def test_a_gap_that_training_had_not_is_taken_for_the_mean(fitted):
    gap = fitted.predict(FRAME.assign(area=np.nan))
    mean = fitted.predict(FRAME.assign(area=FRAME["area"].mean()))
    np.testing.assert_allclose(gap, mean, rtol=1e-5)


def test_a_number_far_outside_is_taken_for_one_that_is_not_so_far(fitted):
    far, further = (fitted.predict(FRAME.assign(area=area)) for area in (1e4, 1e9))
    np.testing.assert_array_equal(far, further)


def test_columns_can_be_given_a_kind_or_left_out():
    model = regressor(max_iter=2, columns={"lift": "out", "shop": "category"}).fit(FRAME, Y)
    assert "lift" not in {column.source for column in model.encoding_.columns}


# Bits.


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads():
    one, two = (
        regressor(max_iter=3, n_members=3, n_threads=n).fit(FRAME, Y).predict(FRAME) for n in (1, 2)
    )
    np.testing.assert_array_equal(one, two)
    other = regressor(max_iter=3, n_members=3, random_state=1).fit(FRAME, Y).predict(FRAME)
    assert not np.array_equal(one, other)


def test_each_network_is_that_of_its_own_fit():
    X = np.random.default_rng(0).standard_normal((N, 3))
    model = regressor(max_iter=5, validation_fraction=0).fit(X, X[:, 0] * X[:, 1])
    inputs = model.inputs_.of(model.encoding_.encode(model._given_again(X)))
    y = model._targets(X[:, 0] * X[:, 1])
    for member in model.members_:
        alone = MLPRegressor(**member.get_params())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            alone.fit(inputs, y)
        assert alone.fingerprint_ == member.fingerprint_


def test_a_row_alone_has_the_bits_of_a_table(fitted, fitted_classifier):
    for method in ("predict", "predict_proba"):
        model = fitted if method == "predict" else fitted_classifier
        one_row = getattr(model.predictor(), method)
        rows = FRAME.head(20)
        expected = getattr(model, method)(rows)
        got = [one_row(row) for row in rows.to_dict("records")]
        np.testing.assert_array_equal(np.array(got), expected)


def test_a_row_may_lack_values_and_hold_new_categories_and_true_as_text():
    frame = FRAME.drop(columns="built")
    model = classifier(max_iter=2).fit(frame, CLASSES)
    one_row = model.predictor()
    new = {"area": None, "side": "west", "lift": "true", "shop": float("nan")}
    got = one_row.predict_proba(new)
    as_table = pd.DataFrame([{**new, "lift": True, "shop": None}])
    np.testing.assert_array_equal(got, model.predict_proba(as_table)[0])
    assert one_row.predict(new) == model.predict(as_table)[0]
    with pytest.raises(ValueError, match="The row lacks 'shop'"):
        one_row.predict({"area": 1, "side": "west", "lift": True})
    with pytest.raises(ValueError, match="Column 'area' must hold numbers"):
        one_row.predict({**new, "area": "large"})


# Losses, classes and weights.


def test_quantiles_come_in_order_and_hold_their_shares():
    model = regressor(loss=losses.Quantile([0.1, 0.9])).fit(FRAME, Y)
    low, high = model.predict(FRAME).T
    assert (low <= high).all()
    assert 0.6 < np.mean((low <= Y) & (high >= Y)) <= 1


def test_intervals_of_few_rows_hold_as_many_new_rows_as_they_say():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(1200, 4))
    y = X[:, 0] + generator.standard_normal(1200) * np.exp(0.5 * X[:, 1])
    held = {}
    for calibrate in (False, True):
        model = TableRegressor(losses.Quantile([0.1, 0.9]), calibrate=calibrate, random_state=0)
        low, high = model.fit(X[:200], y[:200]).predict(X[200:]).T
        held[calibrate] = np.mean((low <= y[200:]) & (y[200:] <= high))
    assert held[False] < 0.75 < held[True]
    assert held[True] == pytest.approx(0.8, abs=0.05)


def test_shifts_are_those_of_rows_that_the_networks_did_not_train_on():
    model = regressor(loss=losses.Quantile([0.1, 0.9]), validation_fraction=0.5).fit(FRAME, Y)
    weighted = regressor(loss=losses.Quantile([0.1, 0.9]), validation_fraction=0.5)
    weighted.fit(FRAME, Y, sample_weight=np.ones(N))
    np.testing.assert_array_equal(model.shifts_, weighted.shifts_)
    assert model.shifts_.shape == (2,)
    loose = regressor(loss=losses.Quantile([0.1, 0.9]), validation_fraction=0).fit(FRAME, Y)
    assert loose.shifts_ is None
    assert regressor(loss="absolute_error").fit(FRAME, Y).shifts_ is None


def test_the_median_by_its_name_is_shifted_as_well():
    by_name = regressor(loss="quantile").fit(FRAME, Y)
    np.testing.assert_array_equal(
        by_name.predict(FRAME), regressor(loss=losses.Quantile(0.5)).fit(FRAME, Y).predict(FRAME)
    )


def test_a_loss_that_is_set_later_counts_from_the_next_fit_on():
    model = regressor(loss=losses.Quantile([0.1, 0.9])).fit(FRAME, Y)
    predicted, score = model.predict(FRAME), model.score(FRAME, Y)
    model.set_params(loss="poisson")
    np.testing.assert_array_equal(model.predict(FRAME), predicted)
    assert model.score(FRAME, Y) == score
    assert pickle.loads(pickle.dumps(model)).score(FRAME, Y) == score
    assert model.fit(FRAME, np.exp(Y)).predict(FRAME).shape == (N,)


def test_one_row_that_counts_is_too_few():
    with pytest.raises(ValueError, match="One row of 240 counts, as the others have weight 0"):
        regressor().fit(FRAME, Y, sample_weight=np.arange(N) == 3)


def test_counts_are_learnt_as_they_are():
    counts = np.random.default_rng(0).poisson(np.exp(Y / 3))
    model = regressor(loss="poisson", max_iter=30).fit(FRAME, counts)
    predicted = model.predict(FRAME)
    assert predicted.min() > 0
    assert 0 < model.score(FRAME, counts) < 1


def test_classes_come_in_any_type(fitted_classifier):
    assert fitted_classifier.classes_.tolist() == ["cheap", "dear"]
    assert fitted_classifier.score(FRAME, CLASSES) > 0.9
    p = fitted_classifier.predict_proba(FRAME)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    numbers = classifier(max_iter=2).fit(FRAME, np.digitize(Y, [2, 4]))
    assert numbers.predict_proba(FRAME).shape == (N, 3)


def test_a_class_of_few_rows_is_known_to_all_networks():
    rare = np.where(np.arange(N) < 3, "rare", CLASSES)
    model = classifier(max_iter=2).fit(FRAME, rare)
    assert all(len(member.classes_) == 3 for member in model.members_)


def test_balanced_classes_find_a_rare_one_more_often():
    rare = np.where(np.quantile(Y, 0.95) < Y, "rare", "common")
    plain, balanced = (
        classifier(class_weight=weight, random_state=1).fit(FRAME, rare)
        for weight in (None, "balanced")
    )
    found = [(model.predict(FRAME) == "rare").sum() for model in (plain, balanced)]
    assert found[1] > found[0]


def test_weights_decide_between_rows_that_disagree():
    X = np.repeat(np.random.default_rng(0).standard_normal((N // 2, 2)), 2, axis=0)
    y = np.tile([0.0, 1.0], N // 2)
    weights = np.tile([1.0, 9.0], N // 2)
    model = regressor().fit(X, y, sample_weight=weights)
    assert abs(model.predict(X).mean() - 0.9) < 0.05


def test_own_validation_rows_stop_all_networks():
    model = regressor(max_iter=3).fit(FRAME[:200], Y[:200], X_val=FRAME[200:], y_val=Y[200:])
    scores = [member.validation_scores_ for member in model.members_]
    assert len(scores[0]) == 3
    whole = FRAME.assign(rent=Y)
    other = regressor(max_iter=3).fit(whole[:200], target="rent", X_val=whole[200:])
    np.testing.assert_array_equal(model.predict(FRAME), other.predict(FRAME))


# What else it tells.


def test_importances_name_the_columns_that_count(fitted):
    found = fitted.feature_importances(FRAME, Y)
    assert list(found) == sorted(found, key=found.get, reverse=True)
    assert {"area", "side", "shop", "lift"} == set(list(found)[:4])
    assert found["same"] == 0


def test_importances_of_classes_are_rises_of_the_log_loss(fitted_classifier):
    found = fitted_classifier.feature_importances(FRAME, CLASSES)
    assert next(iter(found)) == "area" or found["area"] > 0.05
    assert abs(found["same"]) == 0


def test_importances_need_an_exchange(fitted):
    with pytest.raises(ValueError, match="n_repeats must be"):
        fitted.feature_importances(FRAME, Y, n_repeats=0)


def test_an_unknown_level_is_the_mean_of_the_known_ones(fitted):
    columns = [column.name for column in fitted.encoding_.columns]
    side = fitted.encoding_.columns[columns.index("side")]
    assert side.counts[0] == 0
    for member in fitted.members_:
        vectors = member.embeddings_[columns.index("side")]
        share = np.array(side.counts[1:]) / sum(side.counts)
        np.testing.assert_allclose(vectors[0], share @ vectors[1:], rtol=1e-5, atol=1e-7)
    known = np.array([fitted.predict(FRAME.assign(side=one)) for one in side.known])
    unknown = fitted.predict(FRAME.assign(side="west"))
    assert np.mean((known.min(axis=0) <= unknown) & (unknown <= known.max(axis=0))) > 0.9


def test_time_that_is_over_leaves_the_best_model_so_far():
    X = np.random.default_rng(0).standard_normal((4000, 8))
    with pytest.warns(ConvergenceWarning, match=r"max_time=1e-06 seconds were over"):
        model = regressor(max_time=1e-6).fit(X, X[:, 0])
    assert np.isfinite(model.predict(X)).all()
    assert model.score(X, X[:, 0]) > -0.5


# What is refused.


@pytest.mark.parametrize(
    ("frame", "y", "message"),
    [
        (FRAME[:0], Y[:0], "The table has no rows"),
        (FRAME, np.ones(N), "The target is 1 in every row: there is nothing to learn"),
        (FRAME, [*Y[:-1], np.nan], "y must be finite"),
        (FRAME, Y[:5], "y must have one entry for each of the 240 rows of X"),
        (FRAME, CLASSES, "For classes, use a TableClassifier"),
        (FRAME, pd.date_range("2020", periods=N), "date"),
        (FRAME[["same"]], Y, "no column to learn from"),
        (pd.DataFrame({"a": [None] * N}), Y, "no column to learn from: 'a' has no values"),
        (FRAME.set_axis(["a"] * 6, axis=1), Y, "more than one column called 'a'"),
        (FRAME.assign(area=[np.inf, *Y[1:]]), Y, "Column 'area' is inf"),
    ],
    ids=range(10),
)
def test_tables_that_cannot_be_learnt_from_are_refused(frame, y, message):
    model = regressor()
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        model.fit(frame, y)
    assert not hasattr(model, "members_")


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["one"] * N, "The target is 'one' in every row"),
        ([f"c{k}" for k in range(N)], "240 classes in 240 rows"),
        ([None, *CLASSES[1:]], "y holds missing labels"),
    ],
)
def test_targets_that_are_no_classes_are_refused(y, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's remark on many classes
        with pytest.raises(ValueError, match=re.escape(message)):
            classifier().fit(FRAME, y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drop": "side"}, "lacks a column that training had: 'side'"),
        ({"area": "large"}, "Column 'area' must hold numbers"),
        ({"side": 1.5}, "Column 'side' is of another type"),
    ],
)
def test_columns_that_vanish_or_change_are_refused(change, message, fitted):
    change = dict(change)
    frame = FRAME.drop(columns=change.pop("drop")) if "drop" in change else FRAME
    with pytest.raises(ValueError, match=re.escape(message)):
        fitted.predict(frame.assign(**change))


def test_a_column_more_is_ignored(fitted):
    np.testing.assert_array_equal(fitted.predict(FRAME.assign(more=1)), fitted.predict(FRAME))


def test_the_target_is_given_once():
    with pytest.raises(ValueError, match="both came"):
        regressor().fit(FRAME, Y, target="area")
    with pytest.raises(ValueError, match="requires y to be passed"):
        regressor().fit(FRAME)


def test_a_fit_that_fails_leaves_the_estimator_as_it_was():
    model = regressor(max_iter=2).fit(FRAME, Y)
    before = model.predict(FRAME)
    with pytest.raises(ValueError, match="no rows"):
        model.fit(FRAME[:0], Y[:0])
    np.testing.assert_array_equal(model.predict(FRAME), before)


def with_gaps_in_target():
    """A table with its target, which some rows lack, and which rows have it."""
    table = FRAME.assign(y=Y)
    table.loc[::7, "y"] = np.nan
    return table, table["y"].notna().to_numpy()


@pytest.mark.parametrize("argument", ["groups", "time", "sample_weight"])
def test_what_comes_beside_a_table_is_of_its_rows_and_not_of_those_with_a_target(argument):
    table, known = with_gaps_in_target()
    values = np.random.default_rng(0).permutation(N) // 9 + 1
    model = regressor().fit(table, target="y", **{argument: values})
    alone = regressor().fit(FRAME[known], Y[known], **{argument: values[known]})
    assert np.array_equal(model.predict(FRAME), alone.predict(FRAME))


def test_weights_of_another_number_of_rows_than_the_table_are_refused():
    table, known = with_gaps_in_target()
    with pytest.raises(ValueError, match="sample_weight"):
        regressor().fit(table, target="y", sample_weight=np.ones(known.sum()))


def test_groups_and_time_do_not_go_together():
    with pytest.raises(ValueError, match="Pass groups or time"):
        regressor().fit(FRAME, Y, groups=np.arange(N) % 9, time=np.arange(N))


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA])
def test_rows_without_a_group_are_one(gap):
    groups = [f"group {k % 9}" if k % 9 else gap for k in range(N)]
    named = [f"group {k % 9}" if k % 9 else "" for k in range(N)]
    expected = regressor().fit(FRAME, Y, groups=named).predict(FRAME)
    for given in ({"X": FRAME, "groups": groups}, {"X": FRAME.assign(g=groups), "groups": "g"}):
        assert np.array_equal(regressor().fit(y=Y, **given).predict(FRAME), expected)


def test_time_may_be_dates_as_people_write_them():
    days = pd.Series(pd.date_range("2024-01-01", periods=N)).sample(frac=1, random_state=0)
    written = days.dt.strftime("%d.%m.%Y").to_numpy()
    expected = regressor().fit(FRAME, Y, time=days.to_numpy()).predict(FRAME)
    assert np.array_equal(regressor().fit(FRAME, Y, time=written).predict(FRAME), expected)


@pytest.mark.parametrize("time", [np.arange(N) * 1.0, np.arange(N).astype("datetime64[D]")])
def test_rows_without_a_time_are_refused(time):
    time[3] = "NaT" if time.dtype.kind == "M" else np.nan
    with pytest.raises(ValueError, match="time' has no value in row 4"):
        regressor().fit(FRAME, Y, time=time)


def test_own_validation_rows_have_their_target_as_the_table_writes_it(tmp_path):
    table = FRAME.assign(y=[f"{value:.3f}".replace(".", ",") for value in Y])
    own = table[:60].copy()
    own.loc[::7, "y"] = None
    known = own["y"].notna().to_numpy()
    model = regressor().fit(table, target="y", X_val=own, sample_weight_val=np.ones(60))
    y = np.round(Y, 3)
    expected = regressor().fit(FRAME, y, X_val=FRAME[:60][known], y_val=y[:60][known])
    assert model.n_validation_rows_ == [known.sum()] * 2
    assert np.array_equal(model.predict(FRAME), expected.predict(FRAME))


@pytest.mark.parametrize("values", [[0, 1], ["yes", "no"], [0.5, 1.5], [" a", "b"]])
def test_own_validation_rows_of_a_file_have_its_classes(values, tmp_path):
    path = tmp_path / "table.csv"
    table = pd.DataFrame({"area": FRAME["area"], "y": np.where(np.median(Y) < Y, *values)})
    table.to_csv(path, index=False)
    for given in (path, table):
        model = classifier(max_iter=2).fit(given, target="y", X_val=given)
        assert model.n_validation_rows_ == [N, N]


def test_weights_of_own_validation_rows_count():
    own = {"X_val": FRAME[:60], "y_val": CLASSES[:60]}
    right = np.arange(60) < 30
    model = classifier().fit(FRAME, CLASSES, **own, sample_weight_val=right * 1.0)
    own = {"X_val": FRAME[:30], "y_val": CLASSES[:30]}
    expected = classifier().fit(FRAME, CLASSES, **own)
    assert np.allclose(model.predict_proba(FRAME), expected.predict_proba(FRAME), atol=1e-4)
    with pytest.raises(ValueError, match="Negative"):
        classifier().fit(FRAME, CLASSES, **own, sample_weight_val=-np.ones(30))


def test_columns_that_are_left_out_need_no_decision_where_the_target_is_named():
    table = FRAME.assign(y=Y, code=["1,234", "2,345"] * (N // 2))
    with pytest.raises(ValueError, match="Say which"):
        regressor().fit(table, target="y")
    model = regressor(columns={"code": "out"}, max_iter=2).fit(table, target="y")
    assert "code" not in [column.name for column in model.columns_]


def test_the_target_is_no_feature():
    model = regressor(max_iter=2).fit(FRAME.assign(y=Y), target="y")
    assert model.n_features_in_ == FRAME.shape[1]
    assert [*model.feature_names_in_] == [*FRAME.columns]


def test_words_for_missing_values_of_a_file_are_such_at_prediction(tmp_path):
    path = tmp_path / "table.csv"
    FRAME.assign(y=Y, area=FRAME["area"].mask(FRAME.index % 5 == 0)).to_csv(path, na_rep="NA")
    model = regressor(max_iter=2).fit(path, target="y")
    assert np.isfinite(model.predict(path)).all()
    one_row = model.predictor()
    for word in ("", "NA", None):
        row: dict[str, object] = {name: str(value) for name, value in FRAME.iloc[0].items()}
        row = {**row, "Unnamed: 0": 0, "": "0", "shop": word, "area": word}
        expected = model.predict({name: [value] for name, value in row.items()})[0]
        assert one_row.predict(row) == expected
        assert one_row.predict({**row, "shop": None, "area": None}) == expected


def test_rows_of_weight_0_are_as_if_they_were_not_there():
    for model, y in ((regressor(), Y), (classifier(), CLASSES)):
        weights = (np.arange(N) >= N - 3) + 0.0
        model.fit(FRAME, y, sample_weight=weights)
        assert np.isfinite(model._averaged(FRAME)).all()
        counted = (np.arange(N) < 120) & (np.arange(N) % 5 > 0)
        weights = np.where(counted, 1 + np.arange(N) % 3, 0)
        table = FRAME.assign(same=np.where(counted, "x", "y"))
        table.loc[~counted, "area"] *= 9
        given = (
            {"groups": np.arange(N) % 9} if model._task == "regression" else {"time": np.arange(N)}
        )
        model.fit(table, np.where(counted, y, y[::-1]), sample_weight=weights, **given)
        given = {name: values[counted] for name, values in given.items()}
        alone = type(model)(**SMALL).fit(
            table[counted], y[counted], sample_weight=weights[counted], **given
        )
        np.testing.assert_array_equal(model._averaged(FRAME), alone._averaged(FRAME))


def test_a_target_that_only_rows_of_weight_0_have_is_no_class():
    table = FRAME.assign(y=np.where(np.arange(N) < 20, "rare", CLASSES))
    weights = (np.arange(N) >= 20) * 1.0
    for given in ({"X": table, "target": "y"}, {"X": FRAME, "y": table["y"]}):
        model = classifier(max_iter=2).fit(**given, sample_weight=weights)
        assert model.classes_.tolist() == ["cheap", "dear"]


@pytest.mark.parametrize("fraction", [0.6, 0.9])
def test_a_share_of_validation_rows_above_a_half_is_refused(fraction):
    with pytest.raises(ValueError, match=r"'validation_fraction' .* in the range \[0.0, 0.5\]"):
        regressor(validation_fraction=fraction).fit(FRAME, Y)


@pytest.mark.parametrize(
    "settings",
    [{"loss": "nonsense"}, {"n_members": -1}, {"columns": 4}, {"hidden_layer_sizes": (0,)}],
)
def test_a_fitted_model_is_pickled_with_the_parameters_of_its_fit(settings):
    model = regressor(max_iter=2, columns={"shop": "out"}).fit(FRAME, Y)
    expected = model.predict(FRAME)
    model.columns["side"] = "out"
    again = pickle.loads(pickle.dumps(model.set_params(**settings)))
    assert again.get_params() == regressor(max_iter=2, columns={"shop": "out"}).get_params()
    np.testing.assert_array_equal(again.predict(FRAME), expected)


def test_numbers_with_fractions_that_are_classes_stay_numbers():
    table = FRAME.assign(grade=np.digitize(Y, [2, 4]) / 2)
    model = classifier(max_iter=2).fit(table, target="grade", X_val=table)
    assert model.classes_.tolist() == [0.0, 0.5, 1.0]
    assert model.score(table, table["grade"]) > 0
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(table), model.predict(table))
    with pytest.raises(ValueError, match="continuous"):
        classifier().fit(FRAME, Y)


def test_a_column_of_an_array_is_no_target():
    with pytest.raises(ValueError, match="target='x1' names a column, and those of an array have"):
        regressor().fit(np.ones((N, 2)), target="x1")


def test_a_fit_of_known_columns_that_fails_leaves_the_estimator_as_it_was():
    model = regressor(max_iter=2).fit(FRAME, Y)
    before = model.predict(FRAME)
    statistics = TableStatistics.of_frame(pl.DataFrame({"a": [0.5, 2.5]}), None)
    learnt = LearntColumns.of(statistics.chosen(), statistics, None, [])
    with pytest.raises(ValueError, match="in every row"):
        model.fit_learnt(learnt, pl.DataFrame(), np.ones(N), target="y")
    assert model.target_name_ is None
    np.testing.assert_array_equal(model.predict(FRAME), before)


def test_own_validation_rows_without_a_target_are_named():
    table = FRAME.assign(rent=Y)
    with pytest.raises(ValueError, match="X_val has no row with a target: 'rent' is missing in"):
        regressor().fit(table, target="rent", X_val=table.assign(rent=None))


def test_groups_without_a_value_are_refused():
    with pytest.raises(ValueError, match="groups has no value in any row"):
        regressor().fit(FRAME, Y, groups=[None] * N)


def test_labels_of_mixed_types_are_named():
    y = np.array([1, "a"] * (N // 2), dtype=object)
    with pytest.raises(ValueError, match="y mixes texts and other labels, such as 'a' and 1"):
        classifier().fit(FRAME, y)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "y", [pd.Series([1, pd.NA] * (N // 2), dtype="Int64"), [1.0, np.nan] * 120]
)
def test_labels_that_are_missing_numbers_are_named_and_nothing_else_is_said(y):
    with pytest.raises(ValueError, match="y holds missing labels"):
        classifier().fit(FRAME, y)


@pytest.mark.parametrize(
    ("given", "what"), [({"target": "rent"}, "target"), ({"y": Y, "groups": "rent"}, "column of g")]
)
def test_a_kind_of_the_target_is_refused(given, what):
    with pytest.raises(ValueError, match=f"columns: 'rent' is the {what}"):
        regressor(columns={"rent": "out"}).fit(FRAME.assign(rent=np.arange(N) % 9), **given)


@pytest.mark.parametrize(
    ("loss", "question"),
    [("mse", " Did you mean 'squared_error'?"), ("Poison", " Did you mean 'poisson'?"), ("x", "")],
)
def test_a_loss_of_another_name_is_told_by_the_name_that_it_has_here(loss, question):
    message = (
        "loss must be 'squared_error', 'poisson', 'absolute_error', 'huber', 'quantile' or "
        f"'gamma', or one of engine.losses, such as Tweedie(power); got {loss!r}.{question}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        regressor(loss=loss).fit(FRAME, Y)


def test_a_loss_for_classes_is_none_of_a_regressor():
    with pytest.raises(ValueError, match=r"got 'cross_entropy'\.$"):
        regressor(loss="cross_entropy").fit(FRAME, Y)


def test_weights_of_unknown_classes_are_named():
    with pytest.raises(ValueError, match="class_weight has 'cheep', which is no class of y; the"):
        classifier(class_weight={"dear": 1, "cheep": 2}).fit(FRAME, CLASSES)


@pytest.mark.parametrize("weights", [{"cheap": 0, "dear": 0}, {"cheap": -1, "dear": 1}])
def test_weights_of_classes_that_give_no_probabilities_are_refused(weights):
    with pytest.raises(ValueError, match="class_weight must have numbers of 0 or more"):
        classifier(class_weight=weights).fit(FRAME, CLASSES)


def test_a_class_of_weight_0_is_never_predicted():
    model = classifier(class_weight={"cheap": 0, "dear": 1}, max_iter=2).fit(FRAME, CLASSES)
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict_proba(FRAME)[:, 1] == 1).all()


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y + 1j, "y must hold numbers"),
        (Y * 1e200, "y must be at most 1e\\+150"),
        (Y * 1e-200, "y varies by less than 1e-150"),
    ],
)
def test_numbers_that_cannot_be_scaled_are_refused(y, message):
    with pytest.raises((TypeError, ValueError), match=message):
        regressor().fit(FRAME, y)


@pytest.mark.filterwarnings("ignore:A column-vector y")
def test_scores_are_of_a_target_for_each_row(fitted, fitted_classifier):
    for model, y in ((fitted, Y), (fitted_classifier, CLASSES)):
        assert model.score(FRAME, y[:, np.newaxis]) == model.score(FRAME, y)
        for wrong in (y[:1], np.concatenate([y, y])):
            with pytest.raises(ValueError, match="y must have one entry for each of the 240 rows"):
                model.score(FRAME, wrong)
            with pytest.raises(ValueError, match="y must have one entry for each of the 240 rows"):
                model.feature_importances(FRAME, wrong)


@pytest.mark.parametrize("loss", ["poisson", losses.Quantile([0.1, 0.9])])
def test_a_copy_predicts_alike_though_its_loss_was_set_to_another_one(loss):
    model = regressor(max_iter=2).fit(FRAME, Y)
    expected = model.predict(FRAME)
    model.set_params(loss=loss)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(FRAME), expected)


@pytest.mark.parametrize(
    "value",
    [True, 2, 0.5, "1_000", "nan", " 2 ", np.float32(1.1), pd.NA, np.inf, 1e300, "x", None],
)
def test_a_row_alone_is_read_as_a_table_of_it(value):
    table = {
        "number": [k % 13 + 0.5 for k in range(N)],
        "is": [k % 3 == 0 for k in range(N)],
        "text": [("x", "1", "true", "nan")[k % 4] for k in range(N)],
    }
    model = regressor(max_iter=2).fit(table, Y)
    one_row = model.predictor()
    for name in table:
        row = {"number": 1.5, "is": True, "text": "x"} | {name: value}
        try:
            expected = model.predict({key: [one] for key, one in row.items()})[0]
        except (TypeError, ValueError) as error:
            with pytest.raises(type(error), match=re.escape(str(error))):
                one_row.predict(row)
        else:
            assert one_row.predict(row) == expected


def test_true_is_the_same_category_in_any_type():
    table = pd.DataFrame({"is": pd.Categorical([True, False, False] * (N // 3))})
    model = regressor(max_iter=2).fit(table, Y)
    expected = model.predict(table)
    assert expected[0] != expected[1]
    assert np.array_equal(model.predict(table.astype(bool)), expected)


@pytest.mark.parametrize("text", ["%d.3.2024", "2024-01-%02d", "%02d:30"])
def test_dates_as_categories_are_dates_as_texts_are(text):
    table = pd.DataFrame({"date": [text % (k % 23 + 1) for k in range(N)]})
    expected = regressor(max_iter=2).fit(table, Y).predict(table)
    for given in (table.astype("category"), pl.DataFrame(table).cast(pl.Categorical)):
        assert np.array_equal(regressor(max_iter=2).fit(given, Y).predict(given), expected)


def test_a_text_for_y_and_a_row_for_x_are_refused_with_what_to_pass(fitted):
    with pytest.raises(TypeError, match="`fit` takes its name as target='rent'"):
        regressor().fit(FRAME, "rent")
    with pytest.raises(ValueError, match=r"frame\.iloc\[\[0\]\] is a table of one row"):
        fitted.predict(FRAME.iloc[0])


@pytest.mark.parametrize("value", [1.5, "text", None])
def test_a_dict_of_single_values_is_refused_with_what_to_pass(value, fitted):
    with pytest.raises(TypeError, match=r"'area' must be a list of values.*`predictor\(\)` takes"):
        fitted.predict(dict.fromkeys(FRAME.columns, value))


def test_a_column_of_another_name_is_told_which_it_may_be(fitted):
    with pytest.raises(ValueError, match=r"'side'\. 'Side' may be 'side': rename it\. Or add it,"):
        fitted.predict(FRAME.rename(columns={"side": "Side"}))


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"X_val": FRAME[:0], "y_val": Y[:0]}, "X_val has no rows"),
        ({"X_val": FRAME[:9], "y_val": [np.nan] * 9}, "y_val must be finite"),
    ],
)
def test_faults_of_own_validation_rows_name_them(own, message):
    with pytest.raises(ValueError, match=message):
        regressor().fit(FRAME, Y, **own)


def test_a_class_of_own_validation_rows_that_training_lacks_is_named():
    with pytest.raises(ValueError, match="y_val has a class that training had not seen: 'x'"):
        classifier().fit(FRAME, CLASSES, X_val=FRAME[:9], y_val=["x"] * 9)


@pytest.mark.parametrize(
    "labels",
    [
        ("0", "1"),
        ("1.0", "2.0"),
        ("True", "False"),
        (" p", "q "),
        (1, 2),
        (1.5, 2.5),
        (True, False),
    ],
)
def test_labels_of_a_column_are_those_of_the_model_in_whatever_type_it_was_read(labels):
    table = FRAME.assign(kind=[labels[int(side == "north")] for side in FRAME["side"]])
    new, kinds = table[200:], table["kind"][200:]
    own = {"X_val": FRAME[150:200], "y_val": table["kind"][150:200]}
    model = classifier(max_iter=20).fit(table[:150], target="kind", **own)
    assert model.score(new, kinds) > 0.9
    assert model.feature_importances(new, kinds)["side"] > 0


def test_labels_that_training_had_not_are_no_score_of_0(fitted_classifier):
    with pytest.raises(ValueError, match="y has none of the classes of training, which are '"):
        fitted_classifier.score(FRAME, ["x"] * N)
    with pytest.raises(ValueError, match="y holds missing labels"):
        fitted_classifier.score(FRAME, [None, *CLASSES[1:]])


@pytest.mark.parametrize("argument", ["groups", "time"])
def test_what_chooses_validation_rows_is_not_ignored(argument):
    chosen = {argument: np.arange(N)}
    with pytest.raises(ValueError, match=f"Pass X_val or {argument}: "):
        regressor().fit(FRAME, Y, X_val=FRAME, y_val=Y, **chosen)
    with pytest.raises(ValueError, match=f"{argument} says .*validation_fraction=0 takes none"):
        regressor(validation_fraction=0).fit(FRAME, Y, **chosen)


def test_a_loss_of_ones_own_is_of_the_target_that_networks_learn():
    def huber(z, y):
        error = abs(z - y)
        inside = error <= 1
        cost = 0.5 * error**2 if inside else error - 0.5
        return cost, (z - y if inside else np.sign(z - y))

    built_in, own = (
        regressor(loss=loss, max_iter=3).fit(FRAME, 1000 * Y)
        for loss in ("huber", losses.Compiled(huber))
    )
    assert own.score(FRAME, 1000 * Y) == pytest.approx(built_in.score(FRAME, 1000 * Y), abs=1e-3)
    of_built_in, of_own = (
        model.feature_importances(FRAME, 1000 * Y)["area"] for model in (built_in, own)
    )
    assert of_own == pytest.approx(of_built_in / own.y_scale_**2, rel=1e-3)


def test_importances_refuse_weights_below_0(fitted):
    with pytest.raises(ValueError, match="Negative"):
        fitted.feature_importances(FRAME, Y, -np.ones(N))


def test_groups_that_are_the_classes_leave_no_validation_rows_and_that_is_said():
    with pytest.warns(TrainingWarning, match="2 of 2 networks have no validation rows"):
        model = classifier(max_iter=2).fit(FRAME, CLASSES, groups=CLASSES)
    assert model.n_validation_rows_ == [0, 0]


def test_advice_of_networks_is_what_can_be_done_about_a_table():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        regressor(learning_rate_init=1e9, max_iter=2).fit(FRAME, Y)
    said = [str(one.message) for one in caught]
    assert len(said) == 1
    assert said[0].endswith("are kept. Lower the rate: learning_rate_init=1e+08 in place of 1e+09.")


def test_a_word_that_is_a_level_is_no_missing_value_of_a_file(tmp_path):
    frame = FRAME.assign(code=np.where(np.arange(N) % 3 == 0, "NA", "x"))
    model = regressor(max_iter=3).fit(frame, Y + 5 * (frame["code"] == "NA"))
    new = frame[["area", "side", "lift", "shop", "built", "code"]][:20]
    new.to_csv(tmp_path / "new.csv", index=False)
    np.testing.assert_allclose(model.predict(tmp_path / "new.csv"), model.predict(new), rtol=1e-6)
    save(tmp_path / "model.skops", model)
    assert "NA" not in read(tmp_path / "model.skops").missing
    assert {"", "NA"} & {*fitted_without_levels(frame).encoding_.missing_in_files} == {"NA"}


def fitted_without_levels(frame):
    return regressor(max_iter=1).fit(frame[["area", "side"]], Y)


def test_infinity_is_no_label():
    with pytest.raises(ValueError, match="y holds infinity, which is no label"):
        classifier().fit(FRAME, np.where(CLASSES == "dear", np.inf, 1.0))


def test_masked_numbers_are_missing():
    values = np.ma.MaskedArray(FRAME[["area"]].to_numpy(), np.arange(N)[:, np.newaxis] % 4 == 0)
    as_nan = np.where(np.ma.getmaskarray(values), np.nan, np.ma.getdata(values))
    models = [regressor(max_iter=2).fit(given, Y) for given in (values, as_nan)]
    assert models[0].columns_[0].n_missing == N // 4
    np.testing.assert_array_equal(models[0].predict(values), models[1].predict(as_nan))


def test_shifts_of_shared_rows_are_those_of_the_average():
    loss = losses.Quantile([0.2, 0.5, 0.9])
    model = regressor(loss=loss, max_iter=5).fit(
        FRAME[:140], Y[:140], X_val=FRAME[140:], y_val=Y[140:]
    )
    below = (Y[140:, np.newaxis] <= model.predict(FRAME[140:])).mean(axis=0)
    np.testing.assert_allclose(below, [0.2, 0.5, 0.9], atol=0.5 / 100)


def test_columns_whose_names_are_the_same_as_texts_are_refused():
    with pytest.raises(ValueError, match="more than one column called '1'"):
        regressor().fit({1: FRAME["area"], "1": FRAME["side"]}, Y)


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA])
def test_missing_labels_of_any_kind_are_named(gap):
    y = pd.Series(CLASSES, dtype=object)
    y[3] = gap
    with pytest.raises(ValueError, match="y holds missing labels"):
        classifier().fit(FRAME, y)


@pytest.mark.parametrize("sign", [1, -1])
def test_whole_numbers_beyond_the_range_of_floats_are_refused(sign, fitted):
    row = {**FRAME.iloc[0].to_dict(), "area": sign * 10**400}
    for predict in (fitted.predictor().predict, lambda row: fitted.predict(pd.DataFrame([row]))):
        with pytest.raises(ValueError, match=r"'area' is -?inf in row 1; numbers must be at"):
            predict(row)


@pytest.mark.parametrize("name", ["area", "side", "lift"])
@pytest.mark.parametrize("value", [1j, b"1", {"a": 1}])
def test_values_that_no_column_holds_are_refused_at_prediction(name, value, fitted):
    table = FRAME.head(3).astype(object)
    table.at[1, name] = value
    with pytest.raises(ValueError, match=f"Column '{name}' must hold .*, as in training; came"):
        fitted.predict(table)


def test_scores_and_importances_by_huber_do_not_depend_on_the_unit_of_the_target():
    models = [regressor(loss="huber").fit(FRAME, scale * Y) for scale in (1.0, 1024.0)]
    scores = [model.score(FRAME, scale * Y) for model, scale in zip(models, (1, 1024), strict=True)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-3)
    found = [
        model.feature_importances(FRAME, scale * Y)["area"] / scale**2
        for model, scale in zip(models, (1, 1024), strict=True)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-3)


@pytest.mark.parametrize("values", [[0.0, 0.1, 0.2, 0.3, 0.1 + 0.2], [0.3, 0.1 + 0.2, 1.0, 2.0]])
@pytest.mark.parametrize("is_missing", [False, True])
def test_numbers_that_differ_by_rounding_make_no_piece(values, is_missing):
    x = np.random.default_rng(0).choice(values, N)
    if is_missing:
        x[::10] = np.nan
    model = regressor(max_iter=1).fit({"x": x}, np.nan_to_num(x))
    inputs = model.inputs_.of(model.encoding_.encode({"x": values}))[:, 0]
    b = model.inputs_.embeddings[0].breakpoints
    for t in (0, len(b) - 2):  # what goes on outside
        assert (np.abs(inputs - b[t]) / (b[t + 1] - b[t]) < 10).all()


def test_rows_without_a_target_are_noted():
    table, known = with_gaps_in_target()
    model = regressor(max_iter=2).fit(table, target="y")
    assert model.notes_[0].startswith(f"{N - known.sum()} rows without a target left out")
    assert regressor(max_iter=2).fit(table[known], target="y").notes_ == model.notes_[1:]
