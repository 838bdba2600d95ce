"""A search whose fits are spread over Dask's workers: docs/many-networks.md."""

import joblib
import numpy as np
import sklearn.model_selection
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from engine import MLPClassifier
from engine.model_selection import GridSearchCV

GRID = {"mlpclassifier__alpha": [1e-4, 1.0], "mlpclassifier__learning_rate_init": [0.01, 0.1]}


def test_a_search_on_workers_has_the_bits_of_a_search_here(client):
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), MLPClassifier((4,), random_state=0, tol=1e-2))
    here = GridSearchCV(model, GRID, cv=3).fit(X, y)
    with joblib.parallel_backend("dask", client=client):
        there = sklearn.model_selection.GridSearchCV(model, GRID, cv=3, n_jobs=-1).fit(X, y)
    for name in ("split0_test_score", "split1_test_score", "split2_test_score"):
        np.testing.assert_array_equal(there.cv_results_[name], here.cv_results_[name])
    fingerprints = [one.best_estimator_[-1].fingerprint_ for one in (here, there)]
    assert fingerprints[0] == fingerprints[1]
