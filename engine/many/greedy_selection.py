"""Greedy selection of an ensemble from candidates, by their loss on validation rows.

With c_k the times that candidate k was added so far, n = sum_k c_k, and p_k its predictions, the
ensemble predicts sum_k c_k p_k / n. Each round adds the candidate with which the loss is lowest:

    k* = argmin_k J((sum_l c_l p_l + p_k) / (n + 1))                   (A3)

For squared error, with residuals e_k = p_k - y, and G_kl = 1/2 sum_i s_i e_ik e_il / sum_i s_i,
summed over outputs, this needs no predictions:

    J = (q + 2 g_k + G_kk) / (n + 1)^2,  q = c^T G c,  g = G c         (A4)

Candidates may be added again, and the first ones are the best by themselves, as many of them as
have the lowest loss together ("sorted initialisation"). Source: Caruana, Niculescu-Mizil, Crew and
Ksikes 2004, "Ensemble selection from libraries of models", ICML, sections 2 to 2.2.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Trials(Protocol):
    """An ensemble in the making: the losses that it would have, and what is added to it."""

    def losses(self) -> NDArray[np.float64]:
        """(K,): the loss with each of the candidates added."""

    def add(self, k: int) -> None:
        """Add candidate k."""


class Selection(NamedTuple):
    """What was selected.

    Attributes
    ----------
    selected : list of int
        Numbers of the candidates in the order in which they were added.
    curve : list of float
        The loss after each round, also of the rounds after the best one.
    """

    selected: list[int]
    curve: list[float]


def select(new_trials: Callable[[], Trials], n_rounds: int) -> Selection:
    """Add candidates in so many rounds; what was added up to the round with the lowest loss.

    A loss that is NaN counts as infinite. Of equal losses the first is taken.
    """
    order = [int(k) for k in np.argsort(_losses(new_trials()), kind="stable")[:n_rounds]]
    _, of_sorted = _added(new_trials(), order, len(order))
    selected, curve = _added(new_trials(), order[: int(np.argmin(of_sorted)) + 1], n_rounds)
    return Selection(selected[: int(np.argmin(curve)) + 1], curve)


def _added(trials: Trials, first: list[int], n_rounds: int) -> tuple[list[int], list[float]]:
    """What n rounds add, of which the first ones are given, and the loss after each."""
    selected: list[int] = []
    curve: list[float] = []
    for r in range(n_rounds):
        losses = _losses(trials)
        k = first[r] if r < len(first) else int(np.argmin(losses))  # A3
        trials.add(k)
        selected.append(k)
        curve.append(float(losses[k]))
    return selected, curve


def _losses(trials: Trials) -> NDArray[np.float64]:
    losses = trials.losses()
    return np.where(np.isnan(losses), np.inf, losses)


class SquaredErrorTrials:
    """A4: rounds of K multiply-adds, after K^2 m n_L for G.

    Parameters
    ----------
    residuals : ndarray (K, m, n_L)
    weights : ndarray (m,) or None
        Of the rows.
    """

    def __init__(self, residuals: NDArray[np.float64], weights: NDArray[np.float64] | None) -> None:
        n_candidates, m = residuals.shape[:2]
        s = np.ones(m) if weights is None else weights
        E = residuals.reshape(n_candidates, -1)
        weighted = (residuals * s[:, np.newaxis]).reshape(n_candidates, -1)
        self._G = 0.5 * weighted @ E.T / s.sum()
        self._g = np.zeros(n_candidates)
        self._q, self._n = 0.0, 0

    def losses(self) -> NDArray[np.float64]:
        """A4 for each k."""
        losses: NDArray[np.float64] = (self._q + 2 * self._g + np.diag(self._G)) / (
            self._n + 1
        ) ** 2
        return losses

    def add(self, k: int) -> None:
        """Add candidate k."""
        self._q += 2 * self._g[k] + self._G[k, k]
        self._g = self._g + self._G[:, k]
        self._n += 1


class MeanTrials:
    """A3 for any loss: rounds of K m n_L numbers, and as many losses.

    Parameters
    ----------
    predictions : ndarray (K, m, n_L)
    loss : callable
        From predictions (m, n_L) to their loss, a float.
    """

    def __init__(
        self,
        predictions: NDArray[np.float64],
        loss: Callable[[NDArray[np.float64]], float],
    ) -> None:
        self._predictions = predictions
        self._loss = loss
        self._total = np.zeros(predictions.shape[1:])
        self._n = 0

    def losses(self) -> NDArray[np.float64]:
        """J of the mean with each k."""
        n = self._n + 1
        return np.array([self._loss((self._total + p) / n) for p in self._predictions])

    def add(self, k: int) -> None:
        """Add candidate k."""
        self._total = self._total + self._predictions[k]
        self._n += 1
