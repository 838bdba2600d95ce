"""What watches over a fit, epoch by epoch: curves, scores, output, callbacks, and when to stop."""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.training.checkpoint_files import Arrays
from engine.training.expected_arrays import ANY, NOT_NAN, Expected, Verifier
from engine.training.result import DivergedError

Told = Callable[["Epoch"], bool]


class Epoch(NamedTuple):
    """What is known at the end of an epoch, or of an iteration of L-BFGS."""

    number: int  # from 1, in this fit
    loss: float
    validation_loss: float
    theta: NDArray[Any]


class Validation(NamedTuple):
    """Held-out data, as functions of theta.

    `score` is None where nobody asked for scores: higher is better.
    """

    loss: Callable[[NDArray[Any]], float]
    score: Callable[[NDArray[Any]], float] | None


class Mark(NamedTuple):
    """Where a watch stands; nothing in it changes later."""

    n_losses: int
    n_validation_losses: int
    n_scores: int
    best_score: float
    best: NDArray[Any] | None


class Watch:
    """The monitor of a descent (engine/training/descent.py), with scikit-learn's rules and words.

    Parameters
    ----------
    validation : Validation or None
    best_score : float
        The best so far, of earlier fits that this one goes on from.
    max_time : float
        Seconds after which no further step begins.
    verbose : bool
        Print a line an epoch.
    listeners : list of callables
        Each is told of every `Epoch`; one that returns True ends the fit.
    update_bar : callable or None
        Is told of epochs, loss and validation loss, now and then.
    """

    def __init__(
        self,
        validation: Validation | None,
        best_score: float,
        max_time: float,
        verbose: bool,
        listeners: list[Told],
        update_bar: Callable[[int, float, float | None], Any] | None,
    ) -> None:
        self._validation = validation
        self._scored = validation is not None and validation.score is not None
        self._max_time = max_time
        self._verbose = verbose
        self._listeners = listeners
        self._update_bar = update_bar
        self._start = time.perf_counter()
        self.losses: list[float] = []
        self.validation_losses: list[float] = []
        self.scores: list[float] = []
        self.best_score = best_score
        self.best: NDArray[Any] | None = None
        self._rate: Callable[[], float] | None = None

    def follow(self, rate: Callable[[], float], why: str) -> None:
        """Print each change of an adaptive rate, and why it was changed."""
        self._rate, self._why_rate, self._last_rate = rate, why, rate()

    @property
    def validates(self) -> bool:
        """Whether it is a score that decides."""
        return self._scored

    @property
    def wants_each_epoch(self) -> bool:
        """Whether somebody looks at the parameters after each epoch."""
        return self._validation is not None or bool(self._listeners) or self._rate is not None

    @property
    def seconds_left(self) -> float:
        """Until max_time."""
        return self._max_time - (time.perf_counter() - self._start)

    def validate(self, theta: NDArray[Any]) -> float:
        """Minus the score, since a descent looks for what is low; the best parameters are kept."""
        assert self._validation is not None
        assert self._validation.score is not None
        score = self._validation.score(theta)
        self.scores.append(score)
        if score > self.best_score:  # a NaN is not
            self.best_score, self.best = score, theta.copy()
        return -score

    def record(
        self, epochs: NDArray[np.float64], validation_cost: float, theta: NDArray[Any], step: int
    ) -> str | None:
        """Take note of epochs that ended, rows of cost and norm; the reason to stop, or None."""
        first = len(self.losses)
        self.losses.extend(epochs[:, 0].tolist())
        if self._verbose:
            for number in range(first, len(self.losses)):
                print(f"Iteration {number + 1}, loss = {self.losses[number]:.8f}")
                if self._scored:
                    print(f"Validation score: {self.scores[number]:f}")
        if self._rate is not None and self._rate() != self._last_rate:
            self._last_rate = self._rate()
            print(f"{self._why_rate} Setting learning rate to {self._last_rate:f}")
        if len(epochs):
            validation_loss = math.nan
            if self._validation is not None:
                validation_loss = self._validation.loss(theta)
                self.validation_losses.append(validation_loss)
            if self._tell(Epoch(len(self.losses), self.losses[-1], validation_loss, theta)):
                return "callback"
        return "max_time" if self.seconds_left <= 0 else None

    def _tell(self, epoch: Epoch) -> bool:
        if self._update_bar is not None:
            validation_loss = None if self._validation is None else epoch.validation_loss
            self._update_bar(epoch.number, epoch.loss, validation_loss)
        stop = False
        for listener in self._listeners:
            stop |= listener(epoch)
        return stop

    @property
    def n_recorded(self) -> int:
        """Epochs in the curves."""
        return len(self.losses)

    def record_late(self, epochs: NDArray[np.float64]) -> None:
        """Take note of epochs that ended when Ctrl-C came; of held-out rows nothing is known."""
        self.losses.extend(epochs[:, 0].tolist())
        self.fill_up()

    def fill_up(self) -> None:
        """NaN for each epoch that held-out rows were not looked at."""
        if self._validation is not None:
            missing = len(self.losses) - len(self.validation_losses)
            self.validation_losses += [math.nan] * missing
        if self._scored:
            self.scores += [math.nan] * (len(self.losses) - len(self.scores))

    def mark(self) -> Mark:
        """Where it stands now."""
        return Mark(
            len(self.losses),
            len(self.validation_losses),
            len(self.scores),
            self.best_score,
            self.best,
        )

    def arrays_at(self, mark: Mark) -> Arrays:
        """What it knew then, as a checkpoint holds it."""
        return {
            "watch.losses": np.array(self.losses[: mark.n_losses]),
            "watch.validation_losses": np.array(self.validation_losses[: mark.n_validation_losses]),
            "watch.scores": np.array(self.scores[: mark.n_scores]),
            "watch.best_score": np.array([mark.best_score]),
            "watch.best": np.empty(0) if mark.best is None else mark.best,
        }

    def expected(self, n_epochs: int, theta: NDArray[Any]) -> dict[str, Expected]:
        """Its arrays in a checkpoint, after so many epochs."""
        n_validation_losses = n_epochs if self._validation is not None else 0
        n_scores = n_epochs if self._scored else 0
        return {
            "watch.losses": Expected(np.float64, (n_epochs,), numbers=NOT_NAN),
            "watch.validation_losses": Expected(np.float64, (n_validation_losses,), numbers=ANY),
            "watch.scores": Expected(np.float64, (n_scores,), numbers=ANY),
            "watch.best_score": Expected(np.float64, (1,), numbers=ANY),
            "watch.best": Expected(theta.dtype, theta.shape, empty=True),
        }

    def go_on_from(self, arrays: Arrays, verifier: Verifier) -> None:
        """Take back what a checkpoint holds. Raises CheckpointError if that cannot be."""
        self.losses = arrays["watch.losses"].tolist()
        self.validation_losses = arrays["watch.validation_losses"].tolist()
        self.scores = arrays["watch.scores"].tolist()
        at = None
        for number, score in enumerate(self.scores):
            if score > self.best_score:
                self.best_score, at = score, number
        same = float(arrays["watch.best_score"][0]) == self.best_score
        same = same and (at is None) == (arrays["watch.best"].size == 0)
        verifier.require(same, "watch.best_score is not the best of watch.scores")
        if at is not None:
            assert self._validation is not None
            self.best = arrays["watch.best"]
            kept, computed = self.validation_losses[at], self._validation.loss(self.best)
            verifier.require_result("watch.best's loss", kept, computed)

    @property
    def watched(self) -> list[float]:
        """The numbers that are to become low, one an epoch."""
        return [-score for score in self.scores] if self._scored else self.losses

    def verify(self, theta: NDArray[Any], verifier: Verifier) -> None:
        """Raise CheckpointError unless these can be the parameters after the latest epoch."""
        if self._validation is not None:
            kept, computed = self.validation_losses[-1], self._validation.loss(theta)
            verifier.require_result("the held-out loss", kept, computed)

    def diverged(self, cost: float, theta: NDArray[Any], epoch: int, step: int) -> DivergedError:
        """The error for a cost that is not finite after so many steps; theta is before the last."""
        return DivergedError(f"{cost}", theta.copy(), epoch=epoch, step=step, history={})
