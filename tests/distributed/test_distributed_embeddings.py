"""Fits on Dask of estimators with embeddings: the bits of a fit here, and rows checked as here."""

import sys

import dask.array as da
import numpy as np
import pytest
from sklearn.base import clone

from engine import MLPClassifier, MLPRegressor, distributed
from engine.embeddings import Levels, Pieces

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::engine.TrainingWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Dask's own, of processes that it ends
    pytest.mark.skipif(sys.platform == "win32", reason="processes are killed as POSIX does"),
]

EMBEDDINGS = [Pieces([-1, 0, 1], 3, missing=True), Levels(4, 2), None, Pieces([-2, 2], 1)]


def rows(m, dtype):
    random = np.random.default_rng(0)
    X = random.normal(size=(m, 4))
    X[:, 1] = random.integers(0, 4, m)
    y = np.where(X[:, 0] > 0.3, 1.0, -1.0) + (X[:, 1] == 2) + 0.3 * X[:, 2]
    X[::7, 0] = np.nan
    return X.astype(dtype), y.astype(dtype)


def asked(kind, **settings):
    usual = {"hidden_layer_sizes": (6,), "solver": "lbfgs", "max_iter": 6, "random_state": 0}
    return kind(**{**usual, "embeddings": EMBEDDINGS, **settings})


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("solver", ["lbfgs", "gd"])
@pytest.mark.parametrize("m", [500, 5000])
def test_a_fit_on_dask_has_the_bits_of_a_fit_here(client, solver, m, dtype):
    X, y = rows(m, dtype)
    labels = np.where(y > 0, "yes", "no")
    chunked = da.from_array(X, chunks=(700, 4))
    for kind, targets in ((MLPRegressor, y), (MLPClassifier, labels)):
        here = asked(kind, solver=solver).fit(X, targets)
        there = distributed.fit(
            asked(kind, solver=solver), chunked, da.from_array(targets, chunks=700), client=client
        )
        assert there.fingerprint_ == here.fingerprint_
        assert set(vars(there)) == set(vars(here))
        assert there.predict(X).tolist() == here.predict(X).tolist()


@pytest.mark.parametrize("m", [500, 5000])
@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (1, 4, r"Input 1 of X must be codes of levels, 0 to 3; sample"),
        (1, np.nan, "Input 1 of X must be codes of levels"),
        (2, np.nan, "Input 2 of X must be finite: nothing was missing in training"),
        (0, np.inf, "Input 0 of X must be finite, or NaN if it is missing|contains infinity"),
    ],
)
def test_rows_that_an_embedding_does_not_take_are_refused(client, m, place, value, message):
    X, y = rows(m, "float64")
    X[m - 10, place] = value
    model = asked(MLPRegressor)
    before = vars(clone(model)).copy()
    chunked = da.from_array(X, chunks=(700, 4)), da.from_array(y, chunks=700)
    with pytest.raises(ValueError, match=message):
        distributed.fit(model, *chunked, client=client)
    assert not hasattr(model, "coefs_")
    assert vars(model).keys() >= before.keys()
