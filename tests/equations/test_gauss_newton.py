"""engine/equations/gauss_newton.py: N1 and N2 in each form, against complex steps."""

import numpy as np
import pytest

from engine.sums.normal_equations import allocate_normal, dense, sum_rows_tiled
from tests.sums.test_normal_equations import INTERPRETED, KINDS, problem, sums_of


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("shape", [((3, 2), 7), ((2, 3, 2), 1), ((2, 3, 2), 30), ((3, 4, 3, 2), 9)])
@pytest.mark.parametrize("kind", KINDS)
def test_gauss_newton_matrix_and_gradient(kind, shape, weighted, backend):
    """N1 N2: the sums of s J^T H J and s J^T dz, with J by complex steps."""
    network, samples, theta, model = problem(kind, shape[0], shape[1], weighted)
    cost, g, G = sums_of(network, samples, theta, backend)
    assert cost == pytest.approx(model.E(theta), rel=1e-12)
    np.testing.assert_allclose(g, model.g(theta), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(G, model.G(theta), rtol=1e-11, atol=1e-11)


@INTERPRETED
@pytest.mark.parametrize("n_samples", [5, 37])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_the_dual_have_the_same_products(kind, n_samples):
    """N1 N2: R R^T is G, and R rho is the gradient; of one block, and of several."""
    network, samples, theta, model = problem(kind, (2, 3, 2), n_samples, weighted=True)
    n, n_rows = theta.size, n_samples * 2
    sums = np.full(n + n_rows + n * n_rows, np.nan)
    workspace = allocate_normal(network.layers, 8)
    assert workspace.n_samples < 37
    data = dense(samples.for_kernels())
    order = np.empty(0, np.int64)
    cost = sum_rows_tiled(theta, network.layers, data, order, n_samples, workspace, sums)
    rho, R = sums[n : n + n_rows], sums[n + n_rows :].reshape(n, n_rows)
    assert cost == pytest.approx(model.E(theta), rel=1e-12)
    np.testing.assert_allclose(sums[:n], model.g(theta), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(R @ R.T, model.G(theta), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(R @ rho, model.g(theta), rtol=1e-10, atol=1e-11)


def test_parameters_that_fill_whole_tiles():
    """N1: 64 parameters leave nothing over after the transposed panels."""
    network, samples, theta, model = problem("squared error", (1, 21, 1), 9)
    _, _, G = sums_of(network, samples, theta, "tiled")
    np.testing.assert_allclose(G, model.G(theta), rtol=1e-11, atol=1e-11)
