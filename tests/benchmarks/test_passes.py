"""Whole passes and epochs by each backend, from the same parameters in each call."""

import pytest

from benchmarks.cases import BACKENDS, NETWORKS, assert_close, network_of, reference_cost
from engine import train

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
    net, rows, codes, theta, batch_size = network_of(network)

    def by(backend):
        return train(
            net,
            rows.T,
            codes,
            theta=theta,
            batch_size=batch_size,
            max_iter=2,
            backend=backend,
            n_threads=1,
        )

    assert_close(by(backend).theta, by("numpy").theta, "float32")
    timed(lambda: by(backend), 2 * len(rows), backend=backend, dtype="float32")
