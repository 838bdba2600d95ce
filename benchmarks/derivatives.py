"""Jacobians and Hessian products: their time, and that of a product beside a gradient."""

import numpy as np

from benchmarks.cases import Steady, Tracked, assert_close, ratio_in_turns, required

SIZES = {"20-100-1": (20, 100, 1), "8-64-64-4": (8, 64, 64, 4)}
N_SAMPLES = 1000


def problem(name):
    """The network, parameters, and an objective on one thread, float64."""
    from engine import Network

    sizes = SIZES[name]
    generator = np.random.default_rng(0)
    X, Y = (generator.standard_normal((n, N_SAMPLES)) for n in (sizes[0], sizes[-1]))
    network = Network(sizes, output="identity")
    objective = network.objective(X, Y, n_threads=1)
    if not hasattr(objective, "hessian_product"):
        raise NotImplementedError("no derivatives but the gradient")
    return network, network.initial_parameters(0), X, objective


def products(name):
    """() -> a Hessian product and () -> a gradient; the first is a difference of the second."""
    _, theta, _, objective = problem(name)
    v = np.random.default_rng(1).standard_normal(theta.size)
    step = 1e-5 * v
    above, below = (objective.cost_and_gradient(theta + h)[1] for h in (step, -step))
    assert_close(objective.hessian_product(theta, v), (above - below) / 2e-5, scale=1e8)
    return (
        lambda: objective.hessian_product(theta, v),
        lambda: objective.cost_and_gradient(theta),
    )


class Jacobians(Steady):
    """Of 1000 samples, by the inputs (ten times) and by the parameters."""

    params = (["input_jacobian", "parameter_jacobian"], list(SIZES))
    param_names = ("of", "network")

    def setup(self, of, network):
        required("engine.equations.jacobians", "input_jacobian_pass_tiled")
        net, theta, X, _ = problem(network)
        jacobian = getattr(net, of)
        assert_close(jacobian(theta, X), jacobian(theta, X, "numpy"))
        calls = range(10 if of == "input_jacobian" else 1)

        def act():
            for _ in calls:
                jacobian(theta, X)

        self.act = act

    def time_jacobians(self, of, network):
        self.act()


class HessianProducts(Steady):
    """Ten products on 1000 samples."""

    params = list(SIZES)
    param_names = ("network",)

    def setup(self, network):
        self.product, _ = products(network)

    def time_10_products(self, network):
        for _ in range(10):
            self.product()


class HessianBesideGradient(Tracked):
    """The time of a Hessian product over that of a gradient."""

    params = list(SIZES)
    param_names = ("network",)

    def setup(self, network):
        self.product, self.gradient = products(network)

    def track_gradients(self, network):
        return ratio_in_turns(self.product, self.gradient)

    track_gradients.unit = "gradients"
