"""Whole passes and epochs by each backend, from the same parameters in each call."""

import pytest

from benchmarks.cases import (
    BACKENDS,
    NETWORKS,
    assert_close,
    minibatch_adam,
    network_of,
    reference_cost,
)

DTYPES = ["float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("network", NETWORKS)
def test_cost_and_gradient(network, backend, dtype, timed, benchmark):
    benchmark.group = f"cost_and_gradient {network} {dtype}"
    net, rows, codes, theta, _ = network_of(network, dtype)

    def act():
        return net.cost_and_gradient(theta, rows.T, codes, backend=backend, n_threads=1)

    assert_close(act()[0], reference_cost(net, theta, rows, codes), dtype)
    timed(act, len(rows), backend=backend, dtype=dtype)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("network", NETWORKS)
def test_epoch_of_adam(network, backend, timed, benchmark):
    benchmark.group = f"two epochs of Adam {network} float32"
    case = network_of(network)
    n_samples, trained = len(case[1]), minibatch_adam(*case)
    assert_close(trained(2, backend).theta, trained(2, "numpy").theta, "float32")
    timed(lambda: trained(2, backend), 2 * n_samples, backend=backend, dtype="float32")
