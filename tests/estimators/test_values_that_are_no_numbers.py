"""engine/boundary/dates.py: dates, times and records are refused wherever numbers are expected."""

import datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pytest

from engine import MLPClassifier, MLPRegressor, Network, train, verify

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N = 12
NUMBERS = np.arange(N) / N
X = np.c_[NUMBERS, NUMBERS[::-1]]
DAYS = np.datetime64("2020-01-01") + np.arange(N)
LENGTHS = DAYS - DAYS[0]
PYTHON_DAYS = DAYS.tolist()
PANDAS_DAYS = pd.Series(DAYS).astype("datetime64[us]")
RECORDS = np.array([(1.0, 2)] * N, dtype=[("a", float), ("b", int)])


def beside_numbers(column: Any, library: Any = pd.DataFrame) -> Any:
    return library({"size": NUMBERS, "odd": column})


FRAMES = {
    "pandas dates": (pd.DataFrame({"odd": PANDAS_DAYS}), "column 'odd' holds dates"),
    "pandas, beside numbers": (beside_numbers(PANDAS_DAYS), "column 'odd' holds dates"),
    "pandas, with a time zone": (
        beside_numbers(PANDAS_DAYS.dt.tz_localize("UTC")),
        "column 'odd' holds dates",
    ),
    "pandas differences": (beside_numbers(pd.Series(LENGTHS)), "column 'odd' holds time diff"),
    "pandas periods": (beside_numbers(PANDAS_DAYS.dt.to_period("D")), "'odd' holds periods"),
    "pandas intervals": (beside_numbers(pd.interval_range(0, N)), "'odd' holds intervals"),
    "pandas objects": (beside_numbers(PYTHON_DAYS), "column 'odd' holds dates .datetime.date"),
    "pandas objects of NumPy": (
        beside_numbers(pd.Series(list(LENGTHS), dtype=object)),
        "column 'odd' holds time differences",
    ),
    "pandas categories": (beside_numbers(pd.Categorical(PANDAS_DAYS)), "'odd' holds dates"),
    "pandas of Arrow": (
        beside_numbers(pd.array(PYTHON_DAYS, dtype=pd.ArrowDtype(pa.date32()))),
        "column 'odd' holds dates",
    ),
    "polars dates": (beside_numbers(PYTHON_DAYS, pl.DataFrame), "column 'odd' holds dates"),
    "polars datetimes": (
        beside_numbers(DAYS.astype("datetime64[us]"), pl.DataFrame),
        "column 'odd' holds dates",
    ),
    "polars durations": (
        beside_numbers(LENGTHS.astype("timedelta64[us]"), pl.DataFrame),
        "'odd' holds time differences",
    ),
    "polars times": (
        beside_numbers([datetime.time(1, k) for k in range(N)], pl.DataFrame),
        "column 'odd' holds times of day",
    ),
    "Arrow": (pa.table({"odd": PYTHON_DAYS}), "column 'odd' holds dates"),
    "NumPy dates": (np.c_[DAYS, DAYS], r"X holds dates \(datetime64.D.\)"),
    "NumPy differences": (np.c_[LENGTHS, LENGTHS], "X holds time differences"),
    "NumPy objects": (
        np.array([[1.0, day] for day in DAYS], dtype=object),
        r"X\[:, 1\] holds dates",
    ),
    "lists": ([[day, day] for day in DAYS], "X holds dates"),
    "records": (RECORDS[:, None], "X holds records"),
}
VECTORS = {
    "NumPy dates": DAYS,
    "NumPy differences": LENGTHS,
    "objects": np.array(list(LENGTHS), dtype=object),
    "list": PYTHON_DAYS,
    "pandas": PANDAS_DAYS,
    "polars": pl.Series(PYTHON_DAYS),
}


def regressor() -> MLPRegressor:
    return MLPRegressor(hidden_layer_sizes=3, solver="lbfgs", max_iter=1, random_state=0)


@pytest.fixture(scope="module")
def fitted() -> Any:
    return regressor().fit(X, NUMBERS)


@pytest.mark.parametrize("name", FRAMES)
def test_inputs_that_are_no_numbers_are_refused_by_column(name):
    rows, words = FRAMES[name]
    message = rf"{words}.*expected numbers\. Turn them into numbers first, such as"
    with pytest.raises(TypeError, match=message):
        regressor().fit(rows, NUMBERS)
    with pytest.raises(TypeError, match=message):
        MLPClassifier(3, max_iter=1).partial_fit(rows, NUMBERS > 0.5, classes=[False, True])


@pytest.mark.parametrize("name", ["pandas dates", "polars durations", "NumPy dates"])
def test_predictions_refuse_them_too(name, fitted):
    rows, words = FRAMES[name]
    for call in (fitted.predict, lambda rows: fitted.score(rows, NUMBERS)):
        with pytest.raises(TypeError, match=words):
            call(rows)
    with pytest.raises(TypeError, match=words):
        verify(fitted, rows, NUMBERS)


@pytest.mark.parametrize("name", VECTORS)
def test_targets_and_weights_that_are_no_numbers_are_refused(name, fitted):
    values = VECTORS[name]
    with pytest.raises(TypeError, match=r"y holds (dates|time differences)"):
        regressor().fit(X, values)
    with pytest.raises(TypeError, match=r"y holds (dates|time differences)"):
        fitted.score(X, values)
    with pytest.raises(TypeError, match=r"sample_weight holds (dates|time differences)"):
        regressor().fit(X, NUMBERS, values)
    with pytest.raises(TypeError, match=r"y holds (dates|time differences)"):
        MLPRegressor(early_stopping=True).fit(X, NUMBERS, X_val=X, y_val=values)


@pytest.mark.parametrize("row", [DAYS[:2], list(LENGTHS[:2]), np.array([1j, 2j]), RECORDS[:2]])
def test_a_row_of_a_predictor_must_be_numbers(row, fitted):
    with pytest.raises(TypeError, match="A row must hold numbers; got"):
        fitted.predictor().predict(row)


@pytest.mark.parametrize("name", ["pandas, beside numbers", "polars dates", "NumPy dates"])
def test_networks_refuse_them_too(name):
    network = Network((2, 1))
    rows, words = FRAMES[name]
    rows = rows.T if isinstance(rows, np.ndarray) else rows
    with pytest.raises(TypeError, match=words):
        network.forward(network.initial_parameters(), rows)
    with pytest.raises(TypeError, match=words):
        train(network, rows, NUMBERS)
    with pytest.raises(TypeError, match="Y holds dates"):
        train(network, X.T, DAYS)


def test_numbers_of_every_kind_and_labels_that_are_dates_are_taken():
    rows = pd.DataFrame({"a": NUMBERS > 0.5, "b": range(N), "c": pd.array(range(N), "Int64")})
    settings = {"max_iter": 1, "solver": "lbfgs", "random_state": 0}
    regressor().fit(rows, NUMBERS > 0.5)
    model = MLPClassifier(3, **settings).fit(X, np.repeat(DAYS[:2], N // 2))
    assert model.classes_.dtype == DAYS.dtype


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "lm"])
@pytest.mark.parametrize("text", [["a"] * N, ["1.5"] * N, np.array([b"a"] * N), [["a", "b"]] * N])
def test_a_regressor_refuses_text_as_targets(solver, text):
    said = r"y has dtype .*; expected real numbers.*an MLPClassifier learns them"
    for model in (MLPRegressor(solver=solver), MLPRegressor("gamma", solver=solver)):
        with pytest.raises(TypeError, match=said):
            model.fit(X, text)
        assert not hasattr(model, "coefs_")
    fitted = MLPRegressor("huber", 2, solver=solver, max_iter=1, random_state=0).fit(X, NUMBERS)
    with pytest.raises(TypeError, match=said):
        fitted.score(X, text)


def test_a_regressor_refuses_a_target_that_is_none():
    y = np.array([None, *NUMBERS[1:]], object)
    with pytest.raises(ValueError, match=r"1 of its 12 entries are NaN or inf, .* at y\[0\]"):
        MLPRegressor(max_iter=1).fit(X, y)
