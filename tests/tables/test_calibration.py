"""The temperature of probabilities, against scikit-learn's own."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from engine.tables.calibration import calibrated, temperature_of


def overconfident(n_classes, seed=0):
    generator = np.random.default_rng(seed)
    Z = generator.standard_normal((500, n_classes))
    codes = np.array([generator.choice(n_classes, p=p) for p in softmax(Z)])
    return softmax(3 * Z), codes


def softmax(Z):
    powers = np.exp(Z - Z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_a_temperature_gives_back_what_was_sharpened(n_classes):
    p, codes = overconfident(n_classes)
    assert temperature_of(p, codes) == pytest.approx(3, rel=0.15)
    assert log_loss(codes, calibrated(p, temperature_of(p, codes))) < log_loss(codes, p)


def test_no_other_temperature_has_a_smaller_log_loss():
    p, codes = overconfident(3)
    weights = np.random.default_rng(1).uniform(0, 2, len(codes))

    def loss(temperature):
        return log_loss(codes, calibrated(p, temperature), sample_weight=weights)

    found = temperature_of(p, codes, weights)
    assert all(loss(found) <= loss(other) for other in np.geomspace(0.2, 9, 200))


def test_the_temperature_is_that_of_scikit_learn():
    X = np.random.default_rng(0).standard_normal((400, 3))
    y = (X @ [1, 2, -1] + np.random.default_rng(1).logistic(size=400) > 0).astype(int)
    sharp = LogisticRegression().fit(X, y)
    sharp.coef_, sharp.intercept_ = 4 * sharp.coef_, 4 * sharp.intercept_
    theirs = CalibratedClassifierCV(FrozenEstimator(sharp), method="temperature").fit(X, y)
    p = sharp.predict_proba(X)
    ours = calibrated(p, temperature_of(p, y))
    np.testing.assert_allclose(ours, theirs.predict_proba(X), atol=1e-4)


def test_rows_without_a_class_leave_probabilities_as_they_are():
    assert temperature_of(np.empty((0, 2)), np.empty(0, int)) == 1


def test_probabilities_of_0_stay_finite():
    p = np.array([[1.0, 0.0], [0.5, 0.5]])
    found = calibrated(p, temperature_of(p, np.array([1, 0])))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
