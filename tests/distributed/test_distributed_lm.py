"""solver="lm" on Dask: the bits of a fit here, whatever the loss and the penalty."""

import numpy as np
import pytest

from engine import MLPClassifier, MLPRegressor, distributed
from tests.distributed.test_distributed import dask_of, pytestmark, rows

assert pytestmark
MODELS = {
    "squared error": (MLPRegressor(), "numbers"),
    "quantile": (MLPRegressor(loss="quantile"), "numbers"),
    "evidence": (MLPRegressor(alpha="evidence"), "outputs"),
    "sigmoid": (MLPClassifier(), "binary"),
    "softmax": (MLPClassifier(), "classes"),
    "labels": (MLPClassifier(), "labels"),
}


@pytest.mark.sample(6)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", MODELS)
def test_a_fit_on_dask_has_the_bits_of_a_fit_here(client, name, dtype):
    model, kind = MODELS[name]
    X, y, weights = rows(3000, kind=kind, dtype=dtype)
    parameters = {"hidden_layer_sizes": (4,), "activation": "tanh", "solver": "lm", "max_iter": 6}
    model.set_params(**parameters, random_state=0)
    here = type(model)(**model.get_params()).fit(X, y, sample_weight=weights)
    there = distributed.fit(
        type(model)(**model.get_params()), *dask_of(X, y, weights), client=client
    )
    assert there.fingerprint_ == here.fingerprint_
    assert there.loss_curve_ == here.loss_curve_
    assert there.coefs_[0].dtype == np.float64
    if name == "evidence":
        assert there.alpha_ == here.alpha_
