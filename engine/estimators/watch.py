"""The watch of a fit, with scikit-learn's rules: curves, scores, printed lines, callbacks."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.solvers.solver import Diverged, Progress
from engine.training.result import DivergedError
from engine.training.watch import COST, SCORE, VALIDATION, Validation, Watch


class Epoch(NamedTuple):
    """What callbacks receive at the end of an epoch, or of an iteration of L-BFGS."""

    number: int  # from 1, in this fit
    loss: float
    validation_loss: float
    theta: NDArray[Any]


Listener = Callable[[Epoch], bool]


class FitWatch(Watch):
    """The watch of a fit.

    If there is a score of validation rows, it decides when to stop; else the training loss does.

    Parameters
    ----------
    validation : Validation or None
    best_score : float
        The best score of the earlier fits that this one continues.
    max_time : float
        Seconds after which no further step begins.
    verbose : bool
        Print a line an epoch.
    listeners : list of callables
        Each is called with every `Epoch`; if one returns True, the fit ends.
    update_bar : callable or None
        Called with the number of epochs, the loss and the validation loss.
    """

    def __init__(
        self,
        validation: Validation | None,
        best_score: float,
        max_time: float,
        verbose: bool,
        listeners: list[Listener],
        update_bar: Callable[[int, float, float | None], Any] | None,
    ) -> None:
        super().__init__(validation, max_time, -best_score)
        self._verbose = verbose
        self._listeners = listeners
        self._update_bar = update_bar
        self._rate: Callable[[], float] | None = None

    def follow(self, rate: Callable[[], float], why: str) -> None:
        """Print each change of an adaptive learning rate, and the reason for it."""
        self._rate, self._why_rate, self._last_rate = rate, why, rate()

    @property
    def losses(self) -> list[float]:
        """The training loss of each epoch."""
        losses: list[float] = self.rows[:, COST].tolist()
        return losses

    @property
    def validation_losses(self) -> list[float]:
        """The loss of the validation rows after each epoch; empty without such rows."""
        losses: list[float] = self.rows[:, VALIDATION].tolist()
        return losses if self._validation is not None else []

    @property
    def scores(self) -> list[float]:
        """The score after each epoch; empty if no score decides when to stop."""
        scores: list[float] = self.rows[:, SCORE].tolist()
        return scores if self._scored else []

    @property
    def best_score(self) -> float:
        return -self._best_value

    @property
    def judges(self) -> bool:
        return self._scored

    @property
    def wants_each_iteration(self) -> bool:
        return self._validation is not None or bool(self._listeners) or self._rate is not None

    def values(self) -> NDArray[np.float64]:
        return -self.rows[:, SCORE] if self._scored else np.empty(0)

    def place_of(self, progress: Progress) -> NDArray[Any]:
        return progress.theta

    def rows_of(self, progress: Progress) -> NDArray[np.float64]:
        if progress.cost is None:
            return progress.rows
        rows = progress.rows.copy()  # scikit-learn's curve has the loss after an iteration
        if progress.costs_after is not None:
            rows[:, COST] = progress.costs_after
        else:
            rows[:-1, COST], rows[-1, COST] = progress.rows[1:, COST], progress.cost
        return rows

    def _judge(self, progress: Progress, row: NDArray[np.float64]) -> float | None:
        if self._validation is None:
            return None
        value = None
        if self._validation.score is not None:
            row[SCORE] = self._validation.score(progress.theta)
            value = -float(row[SCORE])
            self._keep_if_best(value, progress.theta)
        row[VALIDATION] = loss = self._validation.loss(progress.theta)
        if self._validation.loss_decides:
            row[SCORE], value = -loss, loss
            self._keep_if_best(value, progress.theta)
        return value

    def _tell(self, progress: Progress, rows: NDArray[np.float64]) -> bool:
        self._print(rows)
        if self._rate is not None and self._rate() != self._last_rate:
            self._last_rate = self._rate()
            print(f"{self._why_rate} Setting learning rate to {self._last_rate:f}")
        if not len(rows):
            return False
        loss, validation_loss = float(rows[-1, COST]), float(rows[-1, VALIDATION])
        if self._update_bar is not None:
            shown = None if self._validation is None else validation_loss
            self._update_bar(self.n_iter, loss, shown)
        stop = False
        for listener in self._listeners:
            stop |= listener(Epoch(self.n_iter, loss, validation_loss, progress.theta))
        return stop

    def _print(self, rows: NDArray[np.float64]) -> None:
        if not self._verbose:
            return
        for number, row in enumerate(rows, start=self.n_iter - len(rows) + 1):
            print(f"Iteration {number}, loss = {row[COST]:.8f}")
            if self._scored:
                print(f"Validation score: {row[SCORE]:f}")

    def diverged(self, found: Diverged) -> DivergedError | ValueError:
        if found.why:
            return ValueError(found.why)
        return DivergedError(
            f"{found.cost}", found.theta, epoch=found.epoch, step=found.step, history={}
        )
