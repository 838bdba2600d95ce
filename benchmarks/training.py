"""Training by each backend: the same epochs from the same parameters in each call."""

import numpy as np

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


class SmallRuns(Steady):
    """1-5-1 on 41 samples, where what is not the equations takes longest: calls of `train` for one
    step each, and one call of many steps that tell a callback."""

    params = ["gd", "adam"]
    param_names = ("solver",)

    def setup(self, solver):
        from engine import Network, train

        net = Network((1, 5, 1), hidden="tanh", output="identity")
        X = np.linspace(-1, 1, 41)[np.newaxis]
        Y, theta, told = np.sin(3 * X), net.initial_parameters(seed=0), []

        def trained(max_iter, callback=None, backend=None):
            return train(
                net,
                X,
                Y,
                theta=theta,
                solver=solver,
                max_iter=max_iter,
                callback=callback,
                backend=backend,
            )

        self.trained = trained
        result = trained(20, told.append)
        assert [one.step for one in told] == [*range(1, 21)]
        assert result.cost < result.history["cost"][0]
        assert_close(result.theta, trained(20, backend="numpy").theta)

    def time_100_calls_of_one_step(self, solver):
        for _ in range(100):
            self.trained(1)

    def time_1000_steps_with_a_callback(self, solver):
        self.trained(1000, lambda iteration: None)


class LevenbergMarquardt(Steady):
    """Iterations of "lm" on one thread: of small networks, whose calls take as long as their sums,
    and of larger ones, whose Gauss-Newton matrix takes longest."""

    params = ["1-5-1", "2-10-1", "10-20-1", "20-30-10-3"]
    param_names = ("network",)

    def setup(self, network):
        from engine import Network, train

        try:
            from engine.solvers import lm  # noqa: F401
        except ImportError:
            raise NotImplementedError from None
        sizes = tuple(int(size) for size in network.split("-"))
        net = Network(sizes, output="identity")
        X = np.random.default_rng(0).normal(size=(sizes[0], 441))
        Y = np.sin(X.sum(axis=0)) + np.arange(sizes[-1])[:, np.newaxis]

        def trained(max_iter, backend=None):
            return train(
                net, X, Y, solver="lm", alpha=0.1, max_iter=max_iter, backend=backend, n_threads=1
            )

        self.trained = trained
        result = trained(5)
        costs = result.history["cost"]
        assert len(costs) == 5
        assert result.cost < costs[-1] < costs[0]
        assert_close(result.theta, trained(5, "numpy").theta)

    def time_20_iterations(self, network):
        self.trained(20)


class Gradient(Steady):
    """J and its gradient on 2000 samples of a wide network, as an optimiser asks for it."""

    params = (["numpy", "tiled"], ["784-128-10", "256-256-256-10"], ["float32", "float64"])
    param_names = ("backend", "network", "dtype")

    def setup(self, backend, network, dtype):
        require_backend(backend)
        self.act = wide_gradient(network, dtype, backend)

    def time_cost_and_gradient(self, backend, network, dtype):
        self.act()
