"""engine/equations/forward.py and activations.py: from inputs to the output layer."""

import numpy as np
import pytest

from engine import Network
from engine.equations import activations, forward, units
from tests import cases, tiled

UNITS = {unit.name: unit.code for unit in units.UNITS.values()}


def activate_tiled(unit, Z, A):
    """The tiled form with the arguments of the others."""
    padded, m = tiled.padded(Z)
    activations.activate_tiled(unit, padded, tiled.scratch(padded), m)
    A[:] = padded[:, : Z.shape[1]]


def affine_tiled(W, b, A_prev, Z):
    """The tiled form with the arguments of the others."""
    below, m = tiled.padded(A_prev)
    above, _ = tiled.padded(Z)
    forward.affine_tiled(W, b, below, above, m)
    Z[:] = above[:, : Z.shape[1]]


ACTIVATE = {
    "numpy": activations.activate_numpy,
    "loops": activations.activate_loops,
    "tiled": activate_tiled,
}
AFFINE = {"numpy": forward.affine_numpy, "loops": forward.affine_loops, "tiled": affine_tiled}


@pytest.mark.parametrize("case", cases.GRID, ids=str)
def test_output_equals_the_oracle(case, backend):
    """F1 F2 F3 F4 F5 F6 F7 through any number of layers."""
    data, expected = cases.data_of(case, False, 0.0), cases.expected_forward(case)
    for dtype in cases.DTYPES:
        output = cases.network_of(case).forward(
            data.theta.astype(dtype), data.X.astype(dtype), backend=backend
        )
        assert output.dtype == dtype
        np.testing.assert_allclose(
            output, expected, rtol=0, atol=cases.tolerance(case, dtype, expected)
        )


def test_pre_activation_is_the_weighted_sum_plus_the_bias(backend):
    """F1 by hand: two units, three inputs, two samples."""
    W = np.array([[1.0, 2.0, 3.0], [-1.0, 0.0, 0.5]])
    b = np.array([10.0, 20.0])
    A_prev = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 4.0]])
    Z = np.full((2, 2), np.nan)
    AFFINE[backend](W, b, A_prev, Z)
    np.testing.assert_array_equal(Z, [[17.0, 24.0], [20.0, 22.0]])


@pytest.mark.parametrize(
    ("unit", "z", "a"),
    [
        ("tanh", 0.5, 0.46211715726000975),
        ("tanh", -1e4, -1.0),
        ("sigmoid", 0.5, 0.6224593312018546),
        ("sigmoid", -0.5, 0.3775406687981454),
        ("sigmoid", 1e4, 1.0),
        ("sigmoid", -1e4, 0.0),
        ("sigmoid", -700.0, 9.859676543759770e-305),
        ("relu", 2.5, 2.5),
        ("relu", -2.5, 0.0),
        ("relu", -np.inf, 0.0),
        ("identity", -2.5, -2.5),
        ("exp", 0.5, 1.6487212707001282),
        ("exp", -1e4, 0.0),
        ("softmax", 1e4, 1.0),  # a single unit: all the probability, whatever z
    ],
)
def test_activation_of_one_number(unit, z, a, backend):
    """F2 F3 F4 F5 F6 F7 at single points, saturated ones among them."""
    A = np.array([[z]])
    ACTIVATE[backend](UNITS[unit], A, A)
    np.testing.assert_allclose(A, [[a]], rtol=1e-15)


def test_softmax_columns_are_probabilities_at_any_size_of_z(backend):
    """F6: no overflow, sums of one, the same after a shift of a column."""
    Z = np.array([[1e4, -1e4, 0.0, 3.0], [1e4 - 1, -1e4, 0.0, 1.0], [-1e4, 1e4, 0.0, 2.0]])
    A = np.empty_like(Z)
    ACTIVATE[backend](UNITS["softmax"], Z, A)
    np.testing.assert_allclose(A.sum(axis=0), 1, rtol=1e-15)
    np.testing.assert_allclose(A[:2, 0], [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))], rtol=1e-15)
    np.testing.assert_array_equal(A[:, 1], [0, 0, 1])
    np.testing.assert_allclose(A[:, 2], 1 / 3, rtol=1e-15)


@pytest.mark.parametrize("unit", UNITS)
def test_nan_stays_nan(unit, backend):
    """A NaN that became a number here would hide that training has diverged."""
    A = np.array([[np.nan, 1.0], [1.0, 1.0]])
    with np.errstate(invalid="ignore"):
        ACTIVATE[backend](UNITS[unit], A, A)
    assert np.isnan(A[0, 0])
    assert np.isfinite(A[:, 1]).all()


def test_one_layer_alone_is_the_equation_it_looks_like(backend):
    """F1 F3: an AND gate of the seed, sigmoid(20 x1 + 20 x2 - 30)."""
    X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
    a = Network((2, 1)).forward(np.array([20.0, 20.0, -30.0]), X, backend=backend)
    np.testing.assert_allclose(a[0], 1 / (1 + np.exp([30.0, 10.0, 10.0, -10.0])), rtol=1e-15)
