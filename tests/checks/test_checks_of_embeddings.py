"""engine.verify of estimators with embeddings: what is right passes, a wrong gradient is found."""

import numpy as np
import pytest

from engine import MLPClassifier, MLPRegressor, verify
from engine.checks.problem import parts_of
from engine.embeddings import Levels, Pieces
from engine.equations import backends
from engine.network import Network

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::engine.TrainingWarning"),
]

EMBEDDINGS = [Pieces([-1, 0, 0.1, 1], 3, missing=True), Levels(4, 2), None, Pieces([-2, 2], 1)]
random = np.random.default_rng(0)
X = random.normal(size=(80, 4))
X[:, 1] = random.integers(0, 4, 80)
X[::7, 0] = np.nan
Y = np.nan_to_num(X[:, 0]) + (X[:, 1] == 2)
LABELS = np.where(Y > 0, "yes", "no")


def model(kind=MLPRegressor, **settings):
    usual = {"hidden_layer_sizes": 4, "max_iter": 20, "random_state": 0, "embeddings": EMBEDDINGS}
    return kind(**{**usual, **settings})


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", [MLPRegressor, MLPClassifier])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_what_is_right_passes_before_and_after_its_fit(kind, solver, dtype):
    y = Y if kind is MLPRegressor else LABELS
    estimator, rows = model(kind, solver=solver), X.astype(dtype)
    before = verify(estimator, rows, y, print_report=False)
    assert before.ok, before
    after = verify(estimator.fit(rows, y), rows, y, print_report=False)
    assert after.ok, after
    assert len(after.checks) > len(before.checks)


def test_losses_and_units_with_kinks_pass():
    estimator = model(loss="absolute_error", activation="relu", hidden_layer_sizes=(17, 5))
    found = verify(estimator.fit(X, Y), X, Y, print_report=False)
    assert found.ok, found


def test_many_parameters_are_looked_at_in_part():
    wide = [Pieces(np.linspace(-2, 2, 65), 64, missing=True), Levels(4, 300), None, None]
    estimator = model(embeddings=wide, hidden_layer_sizes=(100,))
    found = verify(estimator, X, Y, print_report=False)
    assert found.ok, found
    assert " of embeddings)" in str(found).replace("\n", " ").replace("  ", " ")


def test_parts_cover_theta_and_have_the_names_of_the_attributes():
    network = Network((4, 4, 1), embeddings=EMBEDDINGS)
    parts = parts_of(network)
    assert [part.first for part in parts[1:]] == [p.first + p.size for p in parts[:-1]]
    assert parts[-1].first + parts[-1].size == network.n_parameters
    fitted = model().fit(X, Y)
    for part in parts:
        for p in (part.first, part.first + part.size - 1):
            entry = eval(f"fitted.{part.entry(p)}")
            assert entry == fitted._theta()[p]


@pytest.mark.parametrize(
    ("place", "where"),
    [(0, "embeddings_[0][0][0]"), (10, "embeddings_[0][3][0, 1]"), (-1, "embeddings_[3][3][0, 0]")],
)
@pytest.mark.parametrize("fitted", [False, True])
def test_a_wrong_gradient_of_an_embedding_is_found_and_named(monkeypatch, place, where, fitted):
    real = backends.NUMPY.embedding_gradient

    def wrong(embeddings, X, dE, dtheta):
        real(embeddings, X, dE, dtheta)
        dtheta[place if place < 0 else embeddings.places[0] + place] *= 1.01

    broken = backends.NUMPY._replace(embedding_gradient=wrong)
    monkeypatch.setitem(backends.BACKENDS, "numpy", broken)
    estimator = model(backend="numpy")
    found = verify(estimator.fit(X, Y) if fitted else estimator, X, Y, print_report=False)
    assert {check.name for check in found.failed} == {"gradient", "backends"}
    assert any(check.where.startswith(where) for check in found.failed)


def test_rows_are_checked_by_what_was_fitted():
    estimator = model().fit(X, Y)
    other = X.copy()
    other[3, 1] = 99
    estimator.set_params(embeddings=[EMBEDDINGS[0], Levels(100, 2), *EMBEDDINGS[2:]])
    with pytest.raises(ValueError, match="codes of levels, 0 to 3; sample 3 has 99"):
        verify(estimator, other, Y, print_report=False)
