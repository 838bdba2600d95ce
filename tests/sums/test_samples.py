"""Sparse inputs give what dense ones give, whether blocks of them are made dense or not."""

import numpy as np
import pytest
import scipy.sparse

from engine import Network
from engine.equations.backends import BACKENDS
from engine.solvers.descent import steps_of
from engine.solvers.solver import Problem
from engine.solvers.state import ADAM, Settings, new_state
from engine.sums.chunks import ChunkSums
from engine.sums.objective import Objective
from engine.sums.samples import Samples, SparseColumns, columns_of

N_FEATURES, N_SAMPLES = 13, 41


def sparse_and_dense(dtype, density=0.2):
    generator = np.random.default_rng(5)
    rows = scipy.sparse.random(
        N_SAMPLES, N_FEATURES, density, format="csr", dtype=dtype, random_state=generator
    )
    # An entry that stands there twice, which counts as the sum.
    features = np.append(rows.indices, rows.indices[-1]).astype(np.int32)
    values = np.append(rows.data, dtype(0.5))
    starts = rows.indptr.astype(np.int64)
    starts[starts == rows.nnz] += 1
    dense = rows.toarray()
    last = int(np.flatnonzero(np.diff(rows.indptr))[-1])
    dense[last, rows.indices[-1]] += dtype(0.5)
    return SparseColumns(values, features, starts, N_FEATURES), np.ascontiguousarray(dense.T)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_columns_of_sparse_inputs_are_the_dense_ones(dtype):
    sparse, dense = sparse_and_dense(dtype)
    assert sparse.shape == dense.shape
    assert sparse.dtype == dense.dtype
    some = np.array([40, 3, 3, 0])
    np.testing.assert_array_equal(columns_of(sparse, some), dense[:, some])
    np.testing.assert_array_equal(columns_of(sparse, slice(5, 30)), dense[:, 5:30])
    np.testing.assert_array_equal(columns_of(dense, some), dense[:, some])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cost_and_gradient_of_sparse_inputs_have_the_bits_of_dense_ones(backend, dtype):
    sparse, dense = sparse_and_dense(dtype)
    network = Network((N_FEATURES, 5, 3), output="softmax")
    codes = (np.arange(N_SAMPLES) % 3).astype(np.int32)
    theta = network.initial_parameters(seed=1, dtype=dtype)
    cost, dtheta = Objective(
        BACKENDS[backend], network.layers, Samples(sparse, codes=codes)
    ).cost_and_gradient(theta)
    expected, expected_gradient = Objective(
        BACKENDS[backend], network.layers, Samples(dense, codes=codes)
    ).cost_and_gradient(theta)
    assert cost == expected
    np.testing.assert_array_equal(dtheta, expected_gradient)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(N_FEATURES, 5, 4, 3), (N_FEATURES, 5, 3), (N_FEATURES, 3)])
def test_F1_B1_B2_over_few_entries_are_those_over_all_inputs(sizes, backend, dtype):
    sparse, dense = sparse_and_dense(dtype, density=0.02)
    assert sparse.has_few_entries
    assert not sparse_and_dense(dtype)[0].has_few_entries
    network = Network(sizes, hidden="relu", output="softmax")
    codes = (np.arange(N_SAMPLES) % 3).astype(np.int32)
    weights = np.linspace(0, 2, N_SAMPLES).astype(dtype)
    theta = network.initial_parameters(seed=1, dtype=dtype)
    found = []
    for X in (sparse, dense):
        samples = Samples(X, codes=codes, weights=weights)
        cost, dtheta = Objective(BACKENDS[backend], network.layers, samples).cost_and_gradient(
            theta
        )
        sums = ChunkSums(BACKENDS[backend], network.layers, samples)
        found.append((cost, dtheta, sums.forward(theta)))
    tolerance = 100 * np.finfo(dtype).eps
    for one, other in zip(*found):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("backend", ["tiled", "numpy"])
def test_minibatches_of_few_entries_are_those_of_all_inputs(backend):
    sparse, dense = sparse_and_dense(np.float64, density=0.02)
    network = Network((N_FEATURES, 4, 1))
    targets = (np.arange(N_SAMPLES) % 2).astype(float)[None, :]
    found = []
    for X in (sparse, dense):
        settings = Settings(ADAM, 7, 1, 0.01, 0.0, 0.9, 0.999, 1e-8, 0.1)
        state = new_state(network.initial_parameters(seed=2), settings, N_SAMPLES, seed=3)
        problem = Problem(BACKENDS[backend], network.layers, Samples(X, targets), 0.1, 1)
        history = np.zeros((3, 2))
        steps_of(problem, settings).advance(state, settings, 18, 3, history)
        found.append((state.theta, history))
    for one, other in zip(*found):
        np.testing.assert_allclose(one, other, rtol=1e-10)


def test_inputs_without_any_entry_are_zeros():
    empty = SparseColumns(np.empty(0), np.empty(0, np.int32), np.zeros(4, np.int64), N_FEATURES)
    np.testing.assert_array_equal(columns_of(empty, slice(None)), np.zeros((N_FEATURES, 3)))
    network = Network((N_FEATURES, 1))
    theta = network.initial_parameters(seed=1)
    zeros = np.zeros((N_FEATURES, 3))
    targets = np.array([[0.0, 1.0, 1.0]])
    costs = [
        Objective(BACKENDS["tiled"], network.layers, Samples(X, targets)).cost(theta)
        for X in (empty, zeros)
    ]
    assert costs[0] == costs[1]
