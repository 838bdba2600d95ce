"""How far from the machine's limit: our time over that of the arithmetic alone at gemm's rate.

1 is gemm's own rate; 2 is half of it.
"""

import itertools

import numpy as np

from benchmarks.cases import (
    NETWORKS,
    WIDE_SAMPLES,
    Tracked,
    assert_close,
    minibatch_adam,
    network_of,
    ratio_in_turns,
    reference_cost,
    require_backend,
    wide_gradient,
)

SIZE = 768  # of the matrices of the yardstick


def flops_of_training(sizes, samples):
    """Of a forward and a backward pass, a multiply-add being two: no dA below the first layer."""
    first, *above = (n_in * n_out for n_in, n_out in itertools.pairwise(sizes))
    return 2 * (2 * first + 3 * sum(above)) * samples


def gemm(dtype):
    """A product of two square matrices by NumPy's BLAS, on the one thread that it has here."""
    generator = np.random.default_rng(0)
    A, B = generator.standard_normal((2, SIZE, SIZE)).astype(dtype)
    C = np.empty_like(A)
    return lambda: np.matmul(A, B, out=C)


class Gradient(Tracked):
    """J and its gradient on wide layers, by the default backend."""

    params = (["784-128-10", "256-256-256-10", "1000-400-1"], ["float32", "float64"])
    param_names = ("network", "dtype")

    def setup(self, network, dtype):
        self.act = wide_gradient(network, dtype)
        self.flops = flops_of_training(tuple(map(int, network.split("-"))), WIDE_SAMPLES)

    def track_time_over_gemms(self, network, dtype):
        at_gemms_rate = self.flops / (2 * SIZE**3)  # in products of the yardstick
        return ratio_in_turns(self.act, gemm(dtype), pairs=15) / at_gemms_rate

    track_time_over_gemms.unit = "x the time at gemm's rate"


class Training(Tracked):
    """Minibatch Adam, float32: the products alone are all that counts as arithmetic."""

    params = (list(NETWORKS), ["tiled"])
    param_names = ("network", "backend")
    epochs = {"2-4-1": 200, "20-100-1": 10, "64-100-10": 3}

    def setup(self, network, backend):
        require_backend(backend)
        net, rows, codes, theta, _ = case = network_of(network)
        epochs, trained = self.epochs[network], minibatch_adam(*case)
        self.act = lambda: trained(epochs, backend)
        end = reference_cost(net, self.act().theta, rows, codes)
        assert end < reference_cost(net, theta, rows, codes)
        assert_close(trained(2, backend).theta, trained(2, "numpy").theta, "float32")
        self.flops = flops_of_training(NETWORKS[network][0], len(rows)) * epochs

    def track_time_over_gemms(self, network, backend):
        return ratio_in_turns(self.act, gemm("float32"), pairs=15) / (self.flops / (2 * SIZE**3))

    track_time_over_gemms.unit = "x the time at gemm's rate"
