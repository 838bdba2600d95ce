"""engine/solvers/state.py: settings have one type each, whoever makes them."""

import numpy as np
import pytest

import engine
from engine import Network, train
from engine.solvers.descent import Descent
from engine.solvers.lbfgs import LBFGS
from engine.solvers.state import Settings

X = np.random.default_rng(0).normal(size=(20, 2))
WHOLE = {"alpha": 1, "tol": 0, "power_t": 1, "epsilon": 1, "momentum": 0, "beta_1": 0, "beta_2": 0}


@pytest.fixture
def settings_seen(monkeypatch):
    """The settings of each run that begins."""
    seen = []
    for kind in (Descent, LBFGS):

        def started(self, problem, state, settings, begin=kind.__init__):
            seen.append(settings)
            begin(self, problem, state, settings)

        monkeypatch.setattr(kind, "__init__", started)
    return seen


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("solver", ["gd", "sgd", "adam", "lbfgs"])
def test_each_setting_has_one_type_whoever_makes_it(settings_seen, solver):
    """A whole number where another caller passes a float would compile the kernels once more."""
    network = Network((2, 3, 1), output="identity")
    held_out = {"X_val": X.T, "Y_val": X[:, 0]}
    for more in ({}, held_out):
        train(network, X.T, X[:, 0], solver=solver, learning_rate=1, max_iter=1, **WHOLE, **more)
    if solver != "gd":
        given = {"solver": solver, "learning_rate_init": 1, "max_fun": 9, "shuffle": False, **WHOLE}
        model = engine.MLPRegressor(hidden_layer_sizes=3, max_iter=1, **given)
        for early_stopping in (False, True):
            model.set_params(early_stopping=early_stopping).fit(X, X[:, 0])
    assert len(settings_seen) == (2 if solver == "gd" else 4)
    for settings in settings_seen:
        types = {name: type(value) for name, value in settings._asdict().items()}
        assert types == Settings.__annotations__
