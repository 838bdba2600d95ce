"""The classifier's score is scikit-learn's accuracy, also where its checks are left out."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score

from engine import MLPClassifier
from engine.estimators import held_out

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::engine.TrainingWarning"),
]

X = np.random.default_rng(0).normal(size=(70, 3))
CODES = np.digitize(X[:, 0] * X[:, 1], [-0.2, 0.3])
LABELS = {
    "whole numbers": CODES,
    "two of them": (CODES > 0).astype(np.uint8),
    "bool": CODES > 0,
    "text": np.array(["no", "so", "yes"])[CODES],
    "objects": np.array(["no", "so", "yes"], dtype=object)[CODES],
    "floats": CODES.astype(float),
    "a list": CODES.tolist(),
    "a series": pd.Series(CODES),
    "a column": CODES[:, np.newaxis],
    "several": np.column_stack([CODES > 0, CODES > 1]).astype(int),
}
PLAIN = {"whole numbers", "two of them", "bool", "text"}


@pytest.mark.parametrize("weights", [None, np.arange(70.0)], ids=["", "weighted"])
@pytest.mark.parametrize("kind", LABELS)
def test_score_has_the_bits_of_accuracy_score(kind, weights, monkeypatch):
    y, calls = LABELS[kind], []

    def noted(*arguments, **given):
        calls.append(1)
        return accuracy_score(*arguments, **given)

    monkeypatch.setattr("engine.estimators.held_out.accuracy_score", noted)
    network = MLPClassifier(3, max_iter=5, random_state=0).fit(
        X, np.ravel(y) if kind == "a column" else y
    )
    found = network.score(X, y, weights)
    assert found == accuracy_score(y, network.predict(X), sample_weight=weights)
    assert type(found) is float
    assert bool(calls) is (kind not in PLAIN or weights is not None)


@pytest.mark.parametrize(
    "y",
    [CODES[1:], CODES + 0.5, np.array(["a", "b", "c"])[CODES], None],
    ids=["fewer", "between", "text", "None"],
)
def test_what_accuracy_score_refuses_is_refused_in_its_words(y):
    network = MLPClassifier(3, max_iter=5, random_state=0).fit(X, CODES)
    with pytest.raises((ValueError, TypeError)) as expected:
        accuracy_score(y, network.predict(X))
    with pytest.raises(type(expected.value)) as found:
        network.score(X, y)
    assert str(found.value) == str(expected.value)


def test_labels_that_no_fit_has_seen_count_as_wrong():
    network = MLPClassifier(3, max_iter=5, random_state=0).fit(X, CODES)
    assert network.score(X, CODES + 7) == 0
    assert not held_out.are_plain_labels(CODES, CODES.astype(str))
