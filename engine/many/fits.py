"""Fits side by side: each estimator ends as its own `fit` alone would leave it."""

import math
import warnings
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from engine.estimators.base import MultilayerPerceptron
from engine.estimators.caught_warnings import caught_warnings
from engine.estimators.parameters import hidden_sizes
from engine.estimators.progress_bar import progress_bar
from engine.many.fits_at_work import FitsAtWork
from engine.sums.blas import one_blas_thread
from engine.sums.thread_count import most_threads

# The parameters in which networks are equal that are trained side by side.
OF_ONE_KIND = attrgetter(
    "hidden_layer_sizes",
    "activation",
    "solver",
    "batch_size",
    "learning_rate",
    "shuffle",
    "nesterovs_momentum",
    "early_stopping",
    "n_iter_no_change",
    "backend",
)


# Multiply-adds of a fit, on average, from which threads pay: about a quarter of a millisecond of
# steps, as long as all else of a short fit takes.
MULTIPLY_ADDS_FOR_THREADS = 10_000_000


class Fit(NamedTuple):
    """One call of `fit` that is wanted: an estimator, and what its `fit` would be called with."""

    estimator: Any
    X: Any
    y: Any
    sample_weight: Any = None
    X_val: Any = None
    y_val: Any = None
    sample_weight_val: Any = None

    @property
    def is_ours(self) -> bool:
        """Whether it is the `fit` of our estimators, and nobody asks to be called back."""
        own_fit = type(self.estimator).fit is MultilayerPerceptron.fit
        return own_fit and not getattr(self.estimator, "_skl_callbacks", [])

    @property
    def given(self) -> dict[str, Any]:
        """The further arguments that are not None: a subclass's `fit` may not take the others."""
        further = zip(self._fields[3:], self[3:], strict=True)
        return {name: value for name, value in further if value is not None}

    @property
    def group(self) -> Hashable:
        """Equal for fits whose networks may be trained side by side, by their parameters."""
        estimator = self.estimator
        try:
            values = repr((getattr(estimator, "loss", None), *OF_ONE_KIND(estimator)))
            has_momentum = bool(estimator.momentum)
            of_steps = (
                bool(estimator.weight_decay),
                estimator.average is None,
                estimator.clip_norm is None,
                repr(getattr(estimator, "label_smoothing", 0)),
                repr(estimator.max_iter if estimator.learning_rate == "cosine" else 0),
            )
        except AttributeError:  # it is not ours
            return id(estimator)
        return type(estimator), getattr(self.X, "shape", None), has_momentum, of_steps, values

    @property
    def multiply_adds(self) -> float:
        """About as many as the fit can take; infinitely many if that cannot be told."""
        shape: tuple[int, ...] = getattr(self.X, "shape", ())
        if not self.is_ours or len(shape) != 2:
            return math.inf
        try:  # parameters may be invalid
            sizes = [*shape[1:], *hidden_sizes(self.estimator.hidden_layer_sizes), 1]
            epochs = float(self.estimator.max_iter)
        except (TypeError, ValueError):
            return math.inf
        n_rows, _ = shape
        return 3.0 * n_rows * epochs * sum(above * below for below, above in pairwise(sizes))


class Outcome(NamedTuple):
    """How a fit ended.

    Attributes
    ----------
    error : BaseException or None
        What its `fit` would have raised; KeyboardInterrupt if Ctrl-C came before its first step.
        The estimator is as that `fit` would have left it.
    warnings : list of warnings.WarningMessage
        What it would have warned of. None of them has been shown.
    seconds : float
        That its begin, its steps and its end took. Fits side by side share the seconds of their
        steps.
    stopped : str
        Why training ended, as `engine.estimators.training.Trained` has it. Empty if the fit failed,
        or is not ours.
    """

    error: BaseException | None
    warnings: list[warnings.WarningMessage]
    seconds: float
    stopped: str = ""

    @property
    def was_interrupted(self) -> bool:
        """Whether Ctrl-C came before the fit had ended by itself."""
        return isinstance(self.error, KeyboardInterrupt) or self.stopped == "interrupted"


def fit_all(fits: Sequence[Fit], n_threads: int | None = None) -> list[Outcome]:
    """Make fits, on so many threads; None: as many as pay.

    If one of them asks for a bar, there is one for all. Ctrl-C ends all fits, which keep what they
    have reached.

    Returns
    -------
    list of Outcome
        In the order of the fits.
    """
    chains = in_chains(fits)
    number = min(len(chains), threads_for(fits, n_threads))
    at_work = FitsAtWork(fits, chains, alone=number == 1)
    # BLAS would start threads in each of ours.
    with bar_for(fits, at_work), one_blas_thread(), caught_warnings():
        at_work.run(number)
    never = KeyboardInterrupt("Ctrl-C came before this fit.")
    return [
        Outcome(never, [], 0.0)
        if begun is None
        else Outcome(begun.error, begun.said, begun.seconds, begun.stopped)
        for begun in at_work.ended
    ]


@contextmanager
def bar_for(fits: Sequence[Fit], at_work: FitsAtWork) -> Iterator[None]:
    """A bar for all fits, if one of them asks for it."""
    wanted = any(getattr(fit.estimator, "progress", False) for fit in fits)
    done: list[int] = []
    with progress_bar(len(fits), wanted, "Networks") as bar:

        def show() -> None:
            loss = getattr(fits[done[-1]].estimator, "loss_", None)
            bar.update(len(done), math.nan if loss is None else float(loss))

        def tell(number: int) -> None:  # from any thread
            done.append(number)
            show()

        at_work.tell, bar.outlook = tell, at_work.outlook
        yield
        if done:
            show()  # two threads may have come at once


def threads_for(fits: Sequence[Fit], n_threads: int | None = None) -> int:
    """The threads that `fit_all` takes for fits which need not follow each other."""
    return min(len(fits), n_threads or threads_that_pay(fits))


def threads_that_pay(fits: Sequence[Fit]) -> int:
    """As many threads as there are cores; one if the fits are so short that threads would wait.

    They would wait for Python's lock, which a fit holds before its first step and after its last.
    """
    work = sum(min(fit.multiply_adds, 10 * MULTIPLY_ADDS_FOR_THREADS) for fit in fits)
    return most_threads() if work >= MULTIPLY_ADDS_FOR_THREADS * len(fits) else 1


def in_chains(fits: Sequence[Fit]) -> list[list[int]]:
    """The numbers of fits that have to follow each other, since they draw from one generator.

    That is the generator that several of them were given as `random_state`, or NumPy's own if they
    were given none. All other fits are chains of one; those that look alike follow each other.
    """
    chains: dict[Hashable, list[int]] = {}
    alike: dict[Hashable, list[list[int]]] = {}
    for number, fit in enumerate(fits):
        state = getattr(fit.estimator, "random_state", None)
        if state is None or isinstance(state, np.random.RandomState):
            # A RandomState may draw from the bits of another one, or of NumPy's own.
            key: Hashable = ("generator", id(check_random_state(state)._bit_generator))
        else:
            key = fit.group
            alike.setdefault(key, []).append([number])
            continue
        chains.setdefault(key, []).append(number)
    return [*chains.values(), *(chain for group in alike.values() for chain in group)]
