"""engine/tables/verdict.py: how clearly predictions are better than others."""

import numpy as np
import pytest

from engine import losses
from engine.tables.scores import Predicted
from engine.tables.verdict import CLEARLY, margin

DRAW = np.random.default_rng(0)
Y = DRAW.normal(size=40)
CONSTANT = Predicted(np.zeros(40))


def above(*of) -> float:
    found = margin(*of)
    assert found is not None
    return found


def classes(share_of_second, y):
    """Predictions of two classes, by the probability of the second."""
    shares = np.column_stack([1 - share_of_second, share_of_second])
    known = np.array(["a", "b"])
    return Predicted(known[shares.argmax(axis=1)], known, shares)


def test_the_mean_difference_of_squared_errors_is_compared_with_its_standard_error():
    near = Predicted(Y / 2)
    d = Y**2 - (Y / 2) ** 2
    expected = d.mean() / (d.std(ddof=1) / np.sqrt(40))
    assert above("regression", Y, near, CONSTANT) == pytest.approx(expected)
    assert above("regression", Y, CONSTANT, near) == pytest.approx(-expected)
    assert above("regression", Y, CONSTANT, CONSTANT) == 0


def test_the_loss_of_the_training_decides_for_numbers():
    off = Predicted(np.where(np.arange(40) == 0, 3.0, Y / 2))  # one large error
    assert above("regression", Y, off, CONSTANT) < CLEARLY
    assert above("regression", Y, off, CONSTANT, losses.named("absolute_error")) > CLEARLY
    levels = losses.Quantile([0.1, 0.9])
    ends = np.column_stack([Y - 0.1, Y + 0.1])
    wide = Predicted(np.tile([-1.3, 1.3], (40, 1)))
    assert above("regression", Y, Predicted(ends), wide, levels) > CLEARLY


@pytest.mark.parametrize("n_rows", [20, 40, 400])
def test_predictions_of_noise_are_hardly_ever_clearly_better_than_the_mean(n_rows):
    found = []
    for _ in range(400):
        y = DRAW.normal(size=n_rows)
        guess = Predicted(DRAW.normal(size=n_rows) / n_rows)
        found.append(above("regression", y, guess, Predicted(np.zeros(n_rows))))
    assert np.mean(np.array(found) > 0) > 0.3  # a hair better they often are
    assert np.mean(np.array(found) >= CLEARLY) <= 0.05


def test_the_better_of_log_loss_and_accuracy_decides_for_classes_and_the_balanced_one_if_weighted():
    y = np.array(["a"] * 30 + ["b"] * 10)
    plain = classes(np.full(40, 0.25), y)
    sure = classes(np.where(y == "b", 0.45, 0.05), y)  # better shares, the same classes
    assert above("classification", y, sure, plain) > CLEARLY
    assert above("classification", y, sure, plain, None, "balanced") == 0
    finds = classes(np.where(np.arange(40) >= 25, 0.99, 0.3), y)  # all of b, and 5 of a as well
    assert above("classification", y, finds, plain, None, "balanced") > CLEARLY
    unknown = np.array(["a"] * 39 + ["c"])
    assert above("classification", unknown, plain, plain) == 0  # by the accuracy alone


def test_nothing_is_compared_where_scores_are_not_defined():
    assert margin("regression", Y[:1], Predicted(Y[:1]), Predicted(Y[:1])) is None
    assert margin("regression", np.ones(40), CONSTANT, CONSTANT) is None
    assert margin("regression", Y, Predicted(np.full(40, np.inf)), CONSTANT) is None
