"""engine.verify of estimators of tables: a network of theirs, on rows as it takes them."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from engine import TableClassifier, TableRegressor, losses, verify
from engine.sums.workers import TiledWorker

pytestmark = pytest.mark.compiled

N = 80
random = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "area": np.where(random.random(N) < 0.2, np.nan, random.normal(size=N)),
        "side": random.choice(["north", "south", "east"], N),
        "built": pd.date_range("2020-01-01", periods=N, freq="9D"),
        "price": [f"${100 * k:,.2f}" for k in range(N)],
    }
)
Y = random.normal(size=N) + (TABLE["side"] == "north")
CLASSES = np.where(Y > 0, "yes", "no")
SMALL = {"n_members": 2, "max_iter": 2, "hidden_layer_sizes": 5, "random_state": 0}


@pytest.mark.parametrize(
    ("model", "y", "shape"),
    [
        (TableRegressor(**SMALL), Y, "TableRegressor 8-5-1"),
        (TableRegressor(losses.Quantile([0.1, 0.9]), **SMALL), Y, "TableRegressor 8-5-2"),
        (TableClassifier(**SMALL), CLASSES, "TableClassifier 8-5-1"),
    ],
)
def test_what_is_right_passes_before_and_after_its_fit(model, y, shape):
    before = verify(model, TABLE, y, print_report=False)
    assert before.ok, before
    assert before.model == shape
    assert not hasattr(model, "members_")
    model.fit(TABLE, y)
    state = pickle.dumps(model)
    after = verify(model, TABLE, y, print_report=False)
    assert after.ok, after
    assert after.model == shape
    assert {check.at for check in after.checks} > {"fitted values"}
    assert pickle.dumps(model) == state


@pytest.mark.parametrize("fitted", [False, True])
def test_a_wrong_gradient_of_the_networks_is_found(monkeypatch, fitted):
    model = TableRegressor(**SMALL)
    if fitted:
        model.fit(TABLE, Y)
    right = TiledWorker.run

    def run(self, *arguments):
        cost = right(self, *arguments)
        self.gradient_sum *= 1.01
        return cost

    monkeypatch.setattr(TiledWorker, "run", run)
    found = verify(model, TABLE, Y, print_report=False)
    at = {"initial values", "fitted values"} if fitted else {"initial values"}
    assert {(check.name, check.at) for check in found.failed} == {
        (name, place) for name in ("gradient", "backends") for place in at
    }


def test_a_pipeline_hands_on_its_table():
    model = make_pipeline(FunctionTransformer(lambda table: table[["area", "side"]]))
    model.steps.append(("table", TableRegressor(**SMALL)))
    assert verify(model, TABLE, Y, print_report=False).model == "TableRegressor 2-5-1"
    model.fit(TABLE, Y)
    found = verify(model, TABLE, Y, print_report=False)
    assert found.ok, found
    assert found.model == "TableRegressor 2-5-1"


def test_bad_rows_raise_the_estimators_own_errors():
    with pytest.raises(ValueError, match="y must have one entry for each of the 80 rows"):
        verify(TableRegressor(**SMALL), TABLE, Y[:5], print_report=False)
    fitted = TableRegressor(**SMALL).fit(TABLE, Y)
    with pytest.raises(ValueError, match="lacks a column that training had: 'side'"):
        verify(fitted, TABLE.drop(columns="side"), Y, print_report=False)
    with pytest.raises(ValueError, match="'width' parameter"):
        verify(TableRegressor(width=0), TABLE, Y, print_report=False)
    with pytest.raises(TypeError, match="got the class TableRegressor: pass an object"):
        verify(TableRegressor, TABLE, Y)
