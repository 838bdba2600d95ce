"""engine/equations/jacobians.py: dA[L]/dX and dA[L]/dtheta of each sample."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from engine import Network
from engine.equations import jacobians
from engine.equations.units import UNITS
from tests import derivatives_oracle as oracle
from tests import tiled
from tests.conftest import PASS
from tests.derivative_cases import GRID, close, network_of, problem_of

# The loss plays no part.
CASES = [case for case in GRID if case.loss in ("squared_error", "cross_entropy", "poisson")]


@functools.cache
def expected(case):
    problem = problem_of(case)
    return oracle.input_jacobian(problem), oracle.parameter_jacobian(problem)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_jacobians_equal_differences_in_fifty_digits(case, backend):
    """B11 B12 B13, against outputs that are differenced in 60 digits."""
    problem = problem_of(case)
    network = network_of(problem)
    by_inputs, by_parameters = expected(case)
    for dtype in ("float64", "float32"):
        given = problem.theta.astype(dtype), problem.X.astype(dtype), backend
        for found, right in (
            (network.input_jacobian(*given), by_inputs),
            (network.parameter_jacobian(*given), by_parameters),
        ):
            assert found.dtype == dtype
            assert found.shape == right.shape
            assert found.flags.c_contiguous
            close(found, right, dtype, units=20)


def complex_step(network, theta, X):
    """The two Jacobians by a step of 1e-200 i, which cancels no digits: tanh units alone."""

    def outputs(theta, X):
        A, start = X, 0
        for n_in, n_out in zip(network.sizes, network.sizes[1:]):
            W = theta[start : start + n_out * n_in].reshape(n_out, n_in)
            b = theta[start + n_out * n_in : start + n_out * (n_in + 1)]
            start += n_out * (n_in + 1)
            A = W @ A + b[:, None]
            if start < theta.size:
                A = np.tanh(A)
        if network.output == "softmax":
            A = np.exp(A) / np.exp(A).sum(axis=0)
        return A.T

    h = 1e-200
    by_inputs = [outputs(theta, X + 1j * h * e[:, None]).imag / h for e in np.eye(network.sizes[0])]
    by_parameters = [outputs(theta + 1j * h * e, X).imag / h for e in np.eye(theta.size)]
    return np.stack(by_inputs, -1), np.stack(by_parameters, -1)


@pytest.mark.parametrize("n_samples", [1, 8, 131, 1100])
@pytest.mark.parametrize("sizes", [(1, 2), (9, 3, 2), (17, 5, 4, 3)])
def test_jacobians_equal_complex_steps_on_any_number_of_samples(sizes, n_samples, backend):
    """Blocks that are full and not, features and parameters that fill vectors and do not."""
    if PASS == "interpreted":
        n_samples = min(n_samples, 20)
    random = np.random.default_rng(n_samples)
    for output in ("identity", "softmax"):
        network = Network(sizes, output=output)
        theta = random.normal(size=network.n_parameters)
        X = random.normal(size=(sizes[0], n_samples))
        by_inputs, by_parameters = complex_step(network, theta, X)
        close(network.input_jacobian(theta, X, backend), by_inputs)
        close(network.parameter_jacobian(theta, X, backend), by_parameters)


def test_each_output_unit_has_its_slope(backend):
    """B11 by hand: the derivative of each output by each z is that by its bias."""
    slopes: dict[str, Callable[[Any], Any]] = {
        "sigmoid": lambda a: np.diag(a * (1 - a)),
        "softmax": lambda a: np.diag(a) - np.outer(a, a),
        "identity": lambda a: np.eye(3),
        "exp": np.diag,
    }
    theta, X = np.array([0.0, 0.0, 0.0, 0.5, -1.0, 2.0]), np.zeros((1, 1))
    for output, slope in slopes.items():
        network = Network((1, 3), output=output)
        found = network.parameter_jacobian(theta, X, backend)[0, :, 3:]
        expected = slope(network.forward(theta, X)[:, 0])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15, err_msg=output)


def test_inputs_in_any_memory_order_give_the_same_bits(backend):
    network = Network((10, 4, 2), output="softmax")
    theta = network.initial_parameters(seed=0)
    X = np.random.default_rng(0).normal(size=(10, 40))
    wide = np.zeros((20, 80))
    wide[::2, ::2] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    for other in (np.asfortranarray(X), wide[::2, ::2], X[::-1][::-1], read_only, X.tolist()):
        for jacobian in (network.input_jacobian, network.parameter_jacobian):
            np.testing.assert_array_equal(
                jacobian(theta, other, backend), jacobian(theta, X, backend)
            )


def test_without_a_hidden_layer_the_jacobians_are_the_weights_and_the_inputs(backend):
    network = Network((2, 2), output="identity")
    theta, X = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), np.array([[7.0], [8.0]])
    np.testing.assert_array_equal(network.input_jacobian(theta, X, backend), [[[1, 2], [3, 4]]])
    np.testing.assert_array_equal(
        network.parameter_jacobian(theta, X, backend),
        [[[7, 8, 0, 0, 1, 0], [0, 0, 7, 8, 0, 1]]],
    )


@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
def test_slopes_of_saturated_units_keep_their_digits(output, backend):
    """B11 at z = 40, where 1 - a is 4e-18, less than a rounding of a."""
    network = Network((1, 2), output=output)
    theta = np.array([1.0, 0.0, 40.0, 0.0])
    found = network.input_jacobian(theta, np.zeros((1, 1)), backend)[0, 0, 0]
    assert found == pytest.approx(np.exp(-40) / (1 + np.exp(-40)) ** 2, rel=1e-14, abs=0)


def test_relu_has_slope_zero_at_its_kink(backend):
    network = Network((1, 1, 1), hidden="relu", output="identity")
    theta = np.array([1.0, 0.0, 1.0, 0.0])
    found = network.input_jacobian(theta, np.array([[0.0, 1.0]]), backend)
    np.testing.assert_array_equal(found.ravel(), [0, 1])


def test_what_does_not_fit_is_refused_in_plain_words():
    network = Network((2, 3, 1))
    theta = network.initial_parameters()
    for jacobian in (network.input_jacobian, network.parameter_jacobian):
        with pytest.raises(TypeError, match=r"X is a sparse csr_array; pass X.toarray\(\)"):
            jacobian(theta, scipy.sparse.csr_array(np.eye(2)))
        with pytest.raises(TypeError, match="theta has dtype float64 but X is computed in float32"):
            jacobian(theta, np.ones((2, 1), np.float32))
        with pytest.raises(ValueError, match=r"X must have shape \(2, n_samples\)"):
            jacobian(theta, np.ones((3, 1)))
        with pytest.raises(ValueError, match=r"theta must have shape \(13,\)"):
            jacobian(theta[1:], np.ones((2, 1)))
        with pytest.raises(ValueError, match="X must be finite"):
            jacobian(theta, np.full((2, 1), np.nan))
        with pytest.raises(ValueError, match="backend must be"):
            jacobian(theta, np.ones((2, 1)), "fastest")


def test_a_hidden_unit_is_no_output_unit(backend):
    Z, m = tiled.padded(np.ones((2, 4)))
    rest = (tiled.scratch(Z), m) if backend == "tiled" else (Z,)
    slopes = getattr(jacobians, f"output_slopes_{backend}")
    with pytest.raises(ValueError, match="no unit has this code"):
        slopes(UNITS["tanh"].code, Z, *rest)
