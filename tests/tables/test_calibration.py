"""The temperature of probabilities, against scikit-learn's own; the shifts of quantiles."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, mean_pinball_loss

from engine.losses import Quantile
from engine.tables.calibration import calibrated, shifts_of, temperature_of


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


def too_narrow(n=999):
    generator = np.random.default_rng(0)
    centre = generator.normal(0, 5, n)
    return centre + generator.standard_normal(n), centre[:, np.newaxis] + [-0.3, 0.1, 0.4]


def test_as_many_rows_are_below_a_shifted_quantile_as_its_level_says():
    y, quantiles = too_narrow()
    levels = [0.05, 0.5, 0.9]
    shifted = quantiles + shifts_of(Quantile(levels), quantiles, y)
    assert np.mean(y[:, np.newaxis] <= shifted, axis=0) == pytest.approx(levels, abs=1 / 999)


def test_no_other_shift_has_a_smaller_pinball_loss():
    y, quantiles = too_narrow()
    weights = np.random.default_rng(1).uniform(0, 2, len(y))
    found = shifts_of(Quantile([0.2, 0.5, 0.7]), quantiles, y, weights)
    for k, level in enumerate((0.2, 0.5, 0.7)):

        def loss(shift, k=k, level=level):
            return mean_pinball_loss(y, quantiles[:, k] + shift, alpha=level, sample_weight=weights)

        assert all(loss(found[k]) <= loss(found[k] + step) + 1e-12 for step in (-1e-2, 1e-2, -1, 1))


def test_one_quantile_has_one_shift():
    y, quantiles = too_narrow()
    of_two = shifts_of(Quantile([0.1, 0.9]), quantiles[:, [0, 0]], y)
    np.testing.assert_array_equal(shifts_of(Quantile(0.9), quantiles[:, 0], y), of_two[1:])
