"""Short calls of the estimators, beside scikit-learn's."""

import warnings

import numpy as np
import pytest
import sklearn.neural_network

import engine
from benchmarks.cases import rows_and_labels

LIBRARIES = {"engine": engine.MLPClassifier, "sklearn": sklearn.neural_network.MLPClassifier}
MANY = 10_000


@pytest.fixture(params=LIBRARIES)
def library(request):
    return request.param


def fitted(library, rows, classes, epochs=5):
    """A network 20-100-1 after a few epochs; the same numbers in both libraries."""
    settings = {"n_threads": 1} if library == "engine" else {}
    model = LIBRARIES[library](max_iter=epochs, tol=0.0, random_state=0, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the epochs are at their end
        return model.fit(rows, classes)


def about(library):
    """What its figures are of: scikit-learn computes by NumPy, in the dtype of the rows."""
    backend = "tiled" if library == "engine" else "numpy"
    return {"library": library, "backend": backend, "dtype": "float64"}


@pytest.fixture(scope="module")
def data():
    return rows_and_labels(MANY, 20, 2, "float64")


def test_fit_of_four_rows(library, data, timed, benchmark):
    benchmark.group = "fit, 4 rows, one epoch"
    rows, classes = data[0][:4], np.array([0, 1, 0, 1])
    losses = [fitted(name, rows, classes, epochs=1).loss_ for name in LIBRARIES]
    assert losses[0] == pytest.approx(losses[1], rel=1e-10)
    timed(lambda: fitted(library, rows, classes, epochs=1), 4, **about(library))


def test_partial_fit_of_200_rows(library, data, timed, benchmark):
    benchmark.group = "partial_fit, 200 rows"
    rows, classes = data[0][:200], data[1][:200]
    models = [fitted(name, rows, classes).partial_fit(rows, classes) for name in LIBRARIES]
    assert models[0].loss_ == pytest.approx(models[1].loss_, rel=1e-10)
    model = models[list(LIBRARIES).index(library)]
    timed(lambda: model.partial_fit(rows, classes), 200, **about(library))


@pytest.mark.parametrize("n_rows", [1, MANY])
@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_prediction(library, method, n_rows, data, timed, benchmark):
    benchmark.group = f"{method}, {n_rows} row{'s' if n_rows > 1 else ''}"
    rows = data[0][:n_rows]
    models = [fitted(name, data[0][:1000], data[1][:1000]) for name in LIBRARIES]
    found = [getattr(model, method)(rows) for model in models]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)
    act = getattr(models[list(LIBRARIES).index(library)], method)
    timed(lambda: act(rows), n_rows, **about(library))


def test_predictor_of_one_row(data, timed, benchmark):
    benchmark.group = "predict_proba, 1 row"
    model = fitted("engine", data[0][:1000], data[1][:1000])
    act, row = model.predictor().predict_proba, data[0][0].copy()
    np.testing.assert_allclose(act(row), model.predict_proba(data[0][:1])[0], rtol=1e-12)
    timed(lambda: act(row), 1, **about("engine"))
