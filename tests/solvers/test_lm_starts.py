"""solver="lm" from 30 random starts, on problems that others have compared solvers on."""

import itertools

import numpy as np
import pytest
from scipy.optimize import least_squares

from engine import Network, train
from tests.gauss_newton_oracle import Model

pytestmark = pytest.mark.compiled

SINE_X = np.linspace(-1, 1, 41)[np.newaxis]
CORNERS = np.array(list(itertools.product((-1.0, 1.0), repeat=3))).T
GRID = np.stack(np.meshgrid(np.linspace(0, 1, 15), np.linspace(0, 1, 15))).reshape(2, -1)


def franke(x, y):
    """The surface of Franke 1979, Naval Postgraduate School report 53-79-003."""
    return (
        0.75 * np.exp(-((9 * x - 2) ** 2) / 4 - (9 * y - 2) ** 2 / 4)
        + 0.75 * np.exp(-((9 * x + 1) ** 2) / 49 - (9 * y + 1) / 10)
        + 0.5 * np.exp(-((9 * x - 7) ** 2) / 4 - (9 * y - 3) ** 2 / 4)
        - 0.2 * np.exp(-((9 * x - 4) ** 2) - (9 * y - 7) ** 2)
    )


PROBLEMS = {
    "SIN 1-5-1": ((1, 5, 1), SINE_X, np.sin(np.pi * SINE_X[0]), 0.002),
    "PARITY 3-10-10-1": ((3, 10, 10, 1), CORNERS, CORNERS.prod(axis=0), 0.001),
    "Franke 2-10-1": ((2, 10, 1), 2 * GRID - 1, franke(*GRID), 0.004),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_reaches_the_goal_from_nearly_all_starts(name):
    sizes, X, y, goal = PROBLEMS[name]
    network, n_reached = Network(sizes, output="identity"), 0
    for seed in range(30):
        result = train(
            network,
            X,
            y,
            solver="lm",
            max_iter=200,
            seed=seed,
            callback=lambda iteration: 2 * iteration.cost <= goal,
        )
        error = np.mean((network.forward(result.theta, X)[0] - y) ** 2)
        assert error == pytest.approx(2 * result.cost, rel=1e-9)
        n_reached += error <= goal
    assert n_reached >= 27


@pytest.mark.parametrize("sizes", [(1, 2, 1), (2, 3, 2)], ids=["1-2-1", "2-3-2"])
def test_minimum_is_scipys(sizes):
    """The targets are those of such a network with noise. Of some starts each finds another one."""
    random = np.random.default_rng(3)
    X = random.uniform(-2, 2, (sizes[0], 60))
    network, model = Network(sizes, output="identity"), Model(sizes, "tanh", "identity", X, [0.0])
    Y = model.logits(random.normal(size=network.n_parameters)).real
    Y += 0.1 * random.normal(size=Y.shape)

    def by_scipy(start):
        return least_squares(
            lambda theta: (model.logits(theta) - Y).ravel(),
            start,
            jac=lambda theta: model.jacobian(theta).reshape(Y.size, -1),
            method="lm",
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
        ).cost

    same = []
    for seed in range(8):
        start = network.initial_parameters(seed)
        result = train(network, X, Y, solver="lm", max_iter=1000, theta=start)
        assert result.stopped in ("gradient", "step", "cost")
        assert 60 * result.cost == pytest.approx(by_scipy(result.theta), rel=1e-8)
        same.append(60 * result.cost == pytest.approx(by_scipy(start), rel=1e-8))
    assert sum(same) >= 4
