"""A linear model on the same rows: which one, on how many rows, and what it is compared by."""

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression, PoissonRegressor, QuantileRegressor, Ridge

from engine import losses
from engine.tables import linear_model
from engine.tables.linear_model import linear_predictions, linear_scores
from engine.tables.scores import scored
from engine.tables.table_encoding import EncodedColumn

N = 400


def floats(scores):
    return {name: value for name, value in scores.items() if value is not None}


draw = np.random.default_rng(0)
X = draw.normal(size=(N, 3))
Y = 5000 + 300 * X @ [2.0, -1.0, 0.5] + 40 * draw.normal(size=N)
NEW = draw.normal(size=(50, 3))


def test_numbers_are_predicted_by_ridge_regression():
    found = linear_predictions(X, Y, NEW, "regression").values
    np.testing.assert_array_equal(found, Ridge().fit(X, Y).predict(NEW))


@pytest.mark.parametrize("weight", [None, "balanced"])
def test_classes_are_predicted_by_logistic_regression(weight):
    y = np.where(X[:, 0] > 1, "high", "low")
    found = linear_predictions(X, y, NEW, "classification", class_weight=weight)
    expected = LogisticRegression(class_weight=weight).fit(X, y)
    assert found.classes is not None
    assert found.classes.tolist() == ["high", "low"]
    np.testing.assert_allclose(found.probabilities, expected.predict_proba(NEW), atol=1e-4)
    assert found.values.tolist() == expected.predict(NEW).tolist()


@pytest.mark.compiled
def test_quantiles_are_those_of_a_linear_model_of_that_loss():
    found = linear_predictions(X, Y, NEW, "regression", losses.Quantile([0.2, 0.8])).values
    expected = [
        QuantileRegressor(quantile=level, alpha=0).fit(X, Y).predict(NEW) for level in (0.2, 0.8)
    ]
    np.testing.assert_allclose(found.T, expected, atol=30)


@pytest.mark.compiled
def test_counts_are_those_of_a_log_linear_model():
    rate = np.exp(1 + X @ [0.5, -0.3, 0.1])
    y = draw.poisson(rate).astype(float)
    found = linear_predictions(X, y, NEW, "regression", losses.Loss("poisson")).values
    expected = PoissonRegressor(alpha=0, max_iter=1000).fit(X, y).predict(NEW)
    np.testing.assert_allclose(found, expected, rtol=0.01)


def test_of_many_rows_a_sample_is_learnt_from(monkeypatch):
    monkeypatch.setattr(linear_model, "MOST_ROWS", 100)
    rows = linear_model._sample(N, 3, 1)
    assert len(np.unique(rows)) == len(rows) == 100
    sampled = linear_predictions(X, Y, NEW, "regression").values
    np.testing.assert_array_equal(sampled, Ridge().fit(X[rows], Y[rows]).predict(NEW))
    monkeypatch.setattr(linear_model, "MOST_ROWS", 10**6)
    monkeypatch.setattr(linear_model, "LEAST_ROWS", 10)
    monkeypatch.setattr(linear_model, "MOST_PRODUCTS", 3 * 50)
    assert [len(linear_model._sample(N, 3, outputs)) for outputs in (1, 2)] == [50, 25]


def test_a_class_that_the_sample_lacks_has_the_probability_0(monkeypatch):
    y = np.array(["a"] * (N - 1) + ["b"])
    monkeypatch.setattr(linear_model, "MOST_ROWS", 5)
    found = linear_predictions(X, y, NEW, "classification").probabilities
    assert found is not None
    assert found.tolist() == [[1, 0]] * 50
    three = np.where(np.arange(N) == N - 1, "c", np.where(X[:, 0] > 0, "a", "b"))
    monkeypatch.setattr(linear_model, "MOST_ROWS", 50)
    found = linear_predictions(X, three, NEW, "classification").probabilities
    assert found is not None
    assert found.shape == (50, 3)
    assert not found[:, 2].any()
    np.testing.assert_allclose(found.sum(axis=1), 1)


def flats():
    town = [["a", "b", None][k % 3] for k in range(N)]
    area = [None if k % 9 == 0 else float(k * k % 89) for k in range(N)]
    rent = [3.5 * (one or 40) + 60 * (where == "a") for one, where in zip(area, town)]
    return pl.DataFrame({"town": town, "area": area, "rent": rent})


def test_a_frame_and_its_target_give_scores_of_rows_that_were_not_learnt_from():
    assert floats(linear_scores(flats(), "rent"))["R2"] > 0.9
    odd = flats().with_columns(rent=pl.lit(7.5))
    held_out = linear_scores(flats(), "rent", odd)
    assert held_out["R2"] is None  # all the same
    assert floats(held_out)["RMSE"] > 20
    classes = flats().with_columns(rent=pl.when(pl.col("rent") > 200).then(pl.lit("hi")))
    classes = classes.with_columns(pl.col("rent").fill_null("lo"))
    assert floats(linear_scores(classes, "rent"))["accuracy"] > 0.9


def test_the_scores_of_the_linear_model_are_those_of_its_predictions():
    predicted = linear_predictions(X[:300], Y[:300], X[300:], "regression")
    assert floats(scored("regression", Y[300:], predicted))["R2"] > 0.99


def test_categories_beyond_the_most_frequent_share_a_column_with_rare_ones(monkeypatch):
    monkeypatch.setattr(linear_model, "MOST_LEVELS", 2)
    known = EncodedColumn("x", "x", "category", True, 4, ("rare", "a", "b", "c", "d", "none"))
    codes = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]])
    made = linear_model.design([known], codes)
    assert made.argmax(axis=1).tolist() == [0, 1, 2, 0, 0, 3]
    assert made.sum(axis=1).tolist() == [1] * 6


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_inputs_are_made_of_few_rows_at_a_time(task, monkeypatch):
    column = EncodedColumn("shop", "shop", "category", False, 6, ("rare", *"abcdef"))
    codes = np.arange(600.0)[:, np.newaxis] % 6 + 1
    y = np.where(codes[:, 0] > 3, 2.0, 1.0)
    monkeypatch.setattr(linear_model, "MOST_ROWS", 100)
    of_all = linear_model.linear_predictions(codes, y, codes, task, columns=[column])
    made, whole = [], linear_model.design
    monkeypatch.setattr(linear_model, "ROWS_AT_A_TIME", 50)

    def counted(columns, rows):
        made.append(len(rows))
        return whole(columns, rows)

    monkeypatch.setattr(linear_model, "design", counted)
    found = linear_model.linear_predictions(codes, y, codes, task, columns=[column])
    assert max(made) == 100
    np.testing.assert_allclose(found.values, of_all.values)
    assert np.mean(np.abs(found.values - y)) < 0.1
