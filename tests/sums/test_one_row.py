"""One row alone has the bits of a pass over many, whatever its network is like."""

import numpy as np
import pytest

from engine.embeddings import Levels, Pieces
from engine.equations.backends import TILED
from engine.network import Network
from engine.sums.objective import forward
from engine.sums.one_row import OneRow, RowOfNetworks
from engine.sums.samples import Samples

EMBEDDINGS = [Pieces([-1.0, 0.0, 0.5, 1.0], 3, missing=True), Levels(4, 2), None]
SHAPES = [(3, 1), (3, 2), (3, 1, 1), (3, 5, 3), (3, 17, 33, 2), (3, 96, 8, 8, 1), (3, 600, 3)]


@pytest.mark.parametrize("embeddings", [None, EMBEDDINGS])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("output", ["identity", "softmax", "sigmoid", "exp"])
@pytest.mark.parametrize("unit", ["tanh", "relu", "sigmoid", "identity"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_has_the_bits_of_a_pass_over_many(shape, unit, output, dtype, embeddings):
    loss = {"identity": "squared_error", "exp": "poisson"}.get(output, "cross_entropy")
    network = Network(shape, hidden=unit, output=output, loss=loss, embeddings=embeddings)
    generator = np.random.default_rng(0)
    thetas = generator.normal(scale=0.3, size=(3, network.n_parameters)).astype(dtype)
    X = generator.normal(size=(5, 3)).astype(dtype)
    if embeddings is not None:
        X[:, 1] = [0, 1, 2, 3, 1]
        X[2, 0] = np.nan
    together = RowOfNetworks(network.layers, thetas)
    for k, theta in enumerate(thetas):
        expected = forward(TILED, network.layers, Samples(X.T), theta, 1).T
        one_row = OneRow(network.layers, theta)
        assert np.array_equal([one_row(row) for row in X], expected)
        assert np.array_equal([together(row)[k] for row in X], expected)
