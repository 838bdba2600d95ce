"""Training by each backend: the same epochs from the same parameters in each call."""

from benchmarks.cases import (
    BACKENDS,
    NETWORKS,
    Steady,
    assert_close,
    network_of,
    reference_cost,
    require_backend,
    wide_gradient,
)


class _Epochs(Steady):
    """A number of epochs that takes the fastest backend some milliseconds."""

    params = (BACKENDS, list(NETWORKS))
    param_names = ("backend", "network")
    epochs: dict[str, int]
    options: dict[str, object]
    dtype = "float32"

    def setup(self, backend, network):
        from engine import train

        require_backend(backend)
        net, rows, codes, theta, batch_size = network_of(network, self.dtype)
        options = dict(self.options, backend=backend, theta=theta, n_threads=1)
        if options["solver"] != "gd":
            options["batch_size"] = batch_size

        self.act = lambda: train(
            net, rows.T, codes, max_iter=self.epochs[network], learning_rate=1e-3, **options
        )
        result = self.act()
        start, end = (reference_cost(net, which, rows, codes) for which in (theta, result.theta))
        assert end < start, (start, end)
        by_numpy = train(
            net, rows.T, codes, max_iter=3, learning_rate=1e-3, **{**options, "backend": "numpy"}
        )
        same = train(net, rows.T, codes, max_iter=3, learning_rate=1e-3, **options)
        assert_close(same.theta, by_numpy.theta, self.dtype)

    def time_epochs(self, backend, network):
        self.act()


class MinibatchAdam(_Epochs):
    """Minibatches of 32 or 200 samples, float32."""

    epochs = {"2-4-1": 200, "20-100-1": 20, "64-100-10": 4}
    options = {"solver": "adam"}


class FullBatch(_Epochs):
    """Gradient descent on all samples at once, float64."""

    epochs = {"2-4-1": 100, "20-100-1": 8, "64-100-10": 3}
    options = {"solver": "gd"}
    dtype = "float64"


class Gradient(Steady):
    """J and its gradient on 2000 samples of a wide network, as an optimiser asks for it."""

    params = (["numpy", "tiled"], ["784-128-10", "256-256-256-10"], ["float32", "float64"])
    param_names = ("backend", "network", "dtype")

    def setup(self, backend, network, dtype):
        require_backend(backend)
        self.act = wide_gradient(network, dtype, backend)

    def time_cost_and_gradient(self, backend, network, dtype):
        self.act()
