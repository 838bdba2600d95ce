"""Greedy selection, held to a loop in plain Python that shares no code with it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.many.greedy_selection import MeanTrials, SquaredErrorTrials, select


def brute_force(loss_of, n_candidates, n_rounds):
    """Caruana et al. 2004, sections 2 to 2.2: every ensemble is averaged and scored anew."""

    def best_next(members):
        return min(range(n_candidates), key=lambda k: (loss_of([*members, k]), k))

    ranked = sorted(range(n_candidates), key=lambda k: (loss_of([k]), k))[:n_rounds]
    n_first = min(range(1, len(ranked) + 1), key=lambda n: (loss_of(ranked[:n]), n))
    members: list[int] = []
    curve: list[float] = []
    for r in range(n_rounds):
        members = [*members, ranked[r] if r < n_first else best_next(members)]
        curve.append(loss_of(members))
    return members[: curve.index(min(curve)) + 1], curve


def squared_error(predictions, y, weights, members):
    """J of the average of some members, number by number."""
    total = 0.0
    for i, s in enumerate(weights):
        for j in range(len(y[i])):
            average = sum(predictions[k][i][j] for k in members) / len(members)
            total += s * 0.5 * (average - y[i][j]) ** 2
    return total / sum(weights)


def problem(seed, n_candidates=6, m=9, n_outputs=2):
    generator = np.random.default_rng(seed)
    y = generator.standard_normal((m, n_outputs))
    predictions = y + generator.standard_normal((n_candidates, m, n_outputs))
    return predictions, y, generator.integers(0, 4, m) + 0.5


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n_rounds", [1, 3, 12])
def test_the_closed_form_selects_what_brute_force_selects(seed, n_rounds):
    predictions, y, weights = problem(seed)
    found = select(lambda: SquaredErrorTrials(predictions - y, weights), n_rounds)
    selected, curve = brute_force(
        lambda members: squared_error(predictions.tolist(), y.tolist(), weights.tolist(), members),
        len(predictions),
        n_rounds,
    )
    assert found.selected == selected
    np.testing.assert_allclose(found.curve, curve, rtol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_averages_of_predictions_select_what_the_closed_form_selects(seed):
    predictions, y, weights = problem(seed, n_outputs=1)

    def loss(A):
        return float(weights @ (0.5 * (A - y) ** 2).sum(axis=1) / weights.sum())

    one = select(lambda: SquaredErrorTrials(predictions - y, weights), 10)
    other = select(lambda: MeanTrials(predictions, loss), 10)
    assert one.selected == other.selected
    np.testing.assert_allclose(one.curve, other.curve, rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_the_selection_is_never_worse_than_the_best_candidate(seed, n_candidates):
    predictions, y, _ = problem(seed, n_candidates)
    found = select(lambda: SquaredErrorTrials(predictions - y, None), 8)
    alone = [squared_error(predictions, y, [1.0] * len(y), [k]) for k in range(n_candidates)]
    assert min(found.curve) <= min(alone) * (1 + 1e-12)
    assert found.curve[len(found.selected) - 1] == min(found.curve)
    assert len(found.curve) == 8


def test_a_candidate_whose_loss_is_nan_is_never_selected():
    predictions = np.array([np.full((3, 1), np.nan), np.ones((3, 1)), np.zeros((3, 1))])
    found = select(lambda: MeanTrials(predictions, lambda A: float((A**2).mean())), 4)
    assert found.selected == [2]


def test_two_that_err_in_opposite_directions_are_both_selected():
    predictions = np.array([[[1.0]], [[-1.0]], [[0.9]]])
    found = select(lambda: SquaredErrorTrials(predictions, None), 10)
    assert set(found.selected) >= {1, 2}
    assert min(found.curve) < 0.01
