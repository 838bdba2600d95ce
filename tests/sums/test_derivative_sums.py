"""engine/sums/hessian_products.py and jacobians.py: blocks, spans, chunks and threads."""

from typing import Any

import numpy as np
import pytest

from engine import Network, train
from engine.equations.backends import BACKENDS
from engine.sums import hessian_products, jacobians
from engine.sums.blocks import HESSIAN
from engine.sums.chunks import IN_ORDER, ChunkSums
from engine.sums.samples import Samples, SparseColumns
from engine.sums.workers import new_worker
from tests.conftest import PASS
from tests.processes import result_of

NETWORK = Network((2, 3, 2), output="softmax")
# More than one chunk; four where it does not take long.
N_SAMPLES = 1100 if PASS == "interpreted" else 3500


def data(dtype="float64"):
    random = np.random.default_rng(0)
    X = random.normal(size=(2, N_SAMPLES)).astype(dtype)
    return X, random.integers(0, 2, N_SAMPLES), random.uniform(0, 2, N_SAMPLES)


def vectors(dtype="float64"):
    theta = NETWORK.initial_parameters(seed=0, dtype=dtype)
    return theta, np.random.default_rng(1).normal(size=theta.size).astype(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_sums_have_the_same_bits_on_any_number_of_threads(dtype, backend):
    X, codes, weights = data(dtype)
    theta, v = vectors(dtype)
    found = []
    for n_threads in (1, 2, 5):
        objective = NETWORK.objective(
            X, codes, sample_weight=weights, alpha=0.1, backend=backend, n_threads=n_threads
        )
        found.append((objective.hessian_product(theta, v), objective.gauss_newton(theta)))
        for one, other in zip(found[-1], found[0]):
            np.testing.assert_array_equal(one, other)


def test_jacobians_have_the_same_bits_on_any_number_of_threads(backend):
    X, _, _ = data()
    theta, _ = vectors()
    for of_parameters in (False, True):
        found = [
            ChunkSums(BACKENDS[backend], NETWORK.layers, Samples(X), n_threads).jacobian(
                theta, of_parameters
            )
            for n_threads in (1, 3)
        ]
        np.testing.assert_array_equal(*found)


def test_the_sums_of_one_object_do_not_disturb_each_other(backend):
    """Gradient, matrix, product and Jacobians in turn, and the first of them once more."""
    X, codes, weights = data()
    theta, v = vectors()
    samples = Samples(X, codes=codes.astype(np.int32), weights=weights)

    def sums():
        return ChunkSums(BACKENDS[backend], NETWORK.layers, samples)

    calls = [
        lambda of: of.cost_and_gradient(theta)[1],
        lambda of: of.hessian_product(theta, v),
        lambda of: of.jacobian(theta, True),
        lambda of: of.normal_equations(theta)[1],
        lambda of: of.jacobian(theta, False),
    ]
    shared = sums()
    for call in (*calls, *calls):
        np.testing.assert_array_equal(call(shared), call(sums()))


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_sparse_columns_give_what_dense_ones_give(share, backend):
    random = np.random.default_rng(0)
    n_samples = 140
    network = Network((40, 2, 2), output="identity")
    X = random.normal(size=(40, n_samples)) * (random.uniform(size=(40, n_samples)) < share)
    features, starts = [], [0]
    for column in X.T:
        features += np.flatnonzero(column).tolist()
        starts.append(len(features))
    values = X.T[X.T != 0]
    sparse = SparseColumns(values, np.array(features, np.int32), np.array(starts), 40)
    assert sparse.has_few_entries == (share < 0.1)
    Y = random.normal(size=(2, n_samples))
    theta, v = network.initial_parameters(seed=0), random.normal(size=network.n_parameters)
    one, other = (
        ChunkSums(BACKENDS[backend], network.layers, Samples(inputs, Y)) for inputs in (sparse, X)
    )
    np.testing.assert_array_equal(one.hessian_product(theta, v), other.hessian_product(theta, v))
    np.testing.assert_array_equal(one.jacobian(theta, False), other.jacobian(theta, False))
    single = Samples(sparse._replace(values=np.float32(values)), np.float32(Y))
    double = single.in_float64()
    assert isinstance(double.X, SparseColumns)
    assert isinstance(double.Y, np.ndarray)
    assert {double.dtype, double.Y.dtype} == {np.dtype("float64")}
    np.testing.assert_array_equal(double.X.dense(np.arange(n_samples)), np.float32(X))


def test_the_matrix_of_float32_samples_is_that_of_the_same_numbers_in_float64(backend):
    """To the bit, and theta is not rounded to float32."""
    X, codes, weights = data("float32")
    theta, _ = vectors()
    given = {"alpha": 0.1, "backend": backend}
    single = NETWORK.objective(X, codes, sample_weight=np.float32(weights), **given)
    double = NETWORK.objective(
        X.astype(float), codes, sample_weight=np.float32(weights).astype(float), **given
    )
    for _ in range(2):  # the second time with the copies of the first
        np.testing.assert_array_equal(single.gauss_newton(theta), double.gauss_newton(theta))
    assert single.hessian_product(theta, theta).dtype == np.float32


def test_spans_of_float32_are_added_in_float64(backend):
    """One sample of 2^24, and ones in the spans after it, which float32 would lose beside it."""
    X = np.zeros((1, 4096), np.float32)
    X[0, 0], X[0, 1024::1024] = 4096, 1
    network = Network((1, 1), output="identity")
    samples = Samples(X, np.zeros((1, 4096), np.float32))
    worker = new_worker(BACKENDS[backend], network.layers, samples)
    both = np.array([0, 0, 1, 0], np.float32)  # theta, v
    worker.run(HESSIAN, both, IN_ORDER, 0, 4096, np.empty((0, 0), np.float32))
    assert worker.summed(HESSIAN).tolist() == [2**24 + 3, 4096 + 3]


def kernels_compiled_by_a_fit():
    """How many variants of the kernels of this room a training run compiles."""
    for solver in ("adam", "lbfgs"):
        train(Network((2, 3, 1)), np.ones((2, 40)), np.ones(40), solver=solver, max_iter=2)
    kernels: tuple[Any, ...] = (
        hessian_products.run_chunk_hessian,
        jacobians.run_chunk_input_jacobian,
        jacobians.run_chunk_parameter_jacobian,
    )
    return [len(kernel.signatures) for kernel in kernels]


@pytest.mark.compiled
def test_a_fit_compiles_none_of_these_kernels():
    assert result_of(kernels_compiled_by_a_fit) == [0, 0, 0]
