"""engine/sums/normal_equations.py: N1 and N2 over blocks and chunks, against complex steps."""

import numpy as np
import pytest

from engine import Network, losses
from engine.equations.backends import BACKENDS
from engine.sums.chunks import ChunkSums
from tests.gauss_newton_oracle import Model

TWEEDIE = 1.4
# Columns that fill a block up have weight 0, and costs that may be infinite.
INTERPRETED = pytest.mark.filterwarnings(
    "ignore:invalid value encountered", "ignore:divide by zero"
)
# hidden, output, loss, and what targets are drawn
KINDS = {
    "squared error": ("tanh", "identity", None, "numbers"),
    "sigmoid": ("sigmoid", "sigmoid", None, "yes or no"),
    "softmax": ("relu", "softmax", None, "classes"),
    "poisson": ("tanh", "exp", None, "counts"),
    "gamma": ("sigmoid", "exp", "gamma", "positive"),
    "tweedie": ("tanh", "exp", losses.Tweedie(TWEEDIE), "counts"),
}


def drawn(kind, shape, random):
    if kind == "numbers":
        return random.normal(size=shape)
    if kind == "yes or no":
        return random.integers(0, 2, shape).astype(float)
    if kind == "classes":
        return np.eye(shape[0])[:, random.integers(0, shape[0], shape[1])]
    if kind == "counts":
        return random.poisson(1.5, shape).astype(float)
    return random.gamma(2.0, size=shape)


def problem(kind, sizes, n_samples, weighted=False):
    """A network, its samples, parameters, and the oracle's model of the same."""
    hidden, output, loss, targets = KINDS[kind]
    random = np.random.default_rng([*sizes, n_samples])
    network = Network(sizes, hidden=hidden, output=output, loss=loss)
    X = random.normal(size=(sizes[0], n_samples))
    Y = drawn(targets, (sizes[-1], n_samples), random)
    s = random.uniform(0.2, 2, n_samples) * (random.uniform(size=n_samples) > 0.2)
    s[0] = 1.5
    if not weighted:
        s = None
    theta = 0.5 * random.normal(size=network.n_parameters)
    name = "" if loss is None else network.loss.name
    model = Model(sizes, hidden, output, X, Y, 0.0, s, name, TWEEDIE)
    return network, network.samples(X, Y, s), theta, model


def sums_of(network, samples, theta, backend, n_threads=1):
    """The cost, g and the whole of G."""
    sums = ChunkSums(BACKENDS[backend], network.layers, samples, n_threads)
    cost, found = sums.normal_equations(theta)
    n = theta.size
    lower = np.tril(found[n:].reshape(n, n))
    return cost, found[:n], lower + np.tril(lower, -1).T


@pytest.mark.compiled
@pytest.mark.parametrize("n_samples", [1, 63, 64, 65, 257, 1024, 1025, 2500])
@pytest.mark.parametrize("hidden", [1, 5, 9, 15, 21])
def test_every_width_and_number_of_samples(hidden, n_samples, backend):
    """Tiles of all widths, short blocks, several spans and chunks: the same sums."""
    network, samples, theta, model = problem("squared error", (4, hidden, 2), n_samples, True)
    cost, g, G = sums_of(network, samples, theta, backend)
    J = np.sqrt(model.s)[:, np.newaxis] * model.jacobian(theta)
    J = J.reshape(-1, theta.size)
    assert cost == pytest.approx(model.E(theta), rel=1e-11)
    np.testing.assert_allclose(g, model.g(theta), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(G, J.T @ J, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_threads", [2, 4])
@pytest.mark.parametrize("kind", ["squared error", "softmax"])
def test_same_bits_on_any_number_of_threads(kind, n_threads, backend):
    network, samples, theta, _ = problem(kind, (2, 3, 2), 3 * 1024 + 100, True)
    alone = sums_of(network, samples, theta, backend)
    shared = sums_of(network, samples, theta, backend, n_threads)
    assert all(np.array_equal(one, other) for one, other in zip(alone, shared))
