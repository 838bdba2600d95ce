"""Fits side by side: each estimator ends as its own `fit` alone would leave it."""

import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np
from sklearn import config_context, get_config

from engine.estimators.base import MultilayerPerceptron
from engine.estimators.shared_data import SharedData
from engine.estimators.training import FitUnderWay
from engine.sums.blas import one_blas_thread
from engine.sums.thread_count import most_threads, one_thread_each
from engine.sums.thread_team import ThreadTeam


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
        That its begin, its steps and its end took.
    """

    error: BaseException | None
    warnings: list[warnings.WarningMessage]
    seconds: float


Ended = Callable[[int], Any]


def fit_all(
    fits: Sequence[Fit],
    n_threads: int | None = None,
    shared: SharedData | None = None,
    ended: Ended = lambda number: None,
) -> list[Outcome]:
    """Make fits, on so many threads; None: as many as pay.

    Their parameters are taken to be valid. After each fit `ended` is called with its number, from
    any thread. Ctrl-C ends all fits, which keep what they have reached.

    Returns
    -------
    list of Outcome
        In the order of the fits.
    """
    chains = list(in_chains(fits))
    number = min(len(chains), n_threads or most_threads())
    at_work = AtWork(fits, chains, shared or SharedData(), ended, alone=number == 1)
    with one_blas_thread(), caught_warnings():  # BLAS would start threads in each of ours
        at_work.run(number)
    return at_work.outcomes


def in_chains(fits: Sequence[Fit]) -> Iterator[list[int]]:
    """The numbers of fits that have to follow each other, since they draw from one generator.

    That is the generator that several of them were given as `random_state`, or NumPy's own if they
    were given none. All other fits are chains of one.
    """
    chains: dict[Any, list[int]] = {}
    for number, fit in enumerate(fits):
        state = getattr(fit.estimator, "random_state", None)
        drawn_by_others = state is None or isinstance(state, np.random.RandomState)
        key = ("generator", id(state)) if drawn_by_others else number
        chains.setdefault(key, []).append(number)
    return iter(chains.values())


class AtWork:
    """Fits that are being made.

    Parameters
    ----------
    fits : sequence of Fit
    chains : list of list of int
        The numbers of fits that follow each other.
    shared : SharedData
    ended : callable
        Called with the number of each fit that has ended.
    alone : bool
        Whether one thread makes them all.
    """

    def __init__(
        self,
        fits: Sequence[Fit],
        chains: list[list[int]],
        shared: SharedData,
        ended: Ended,
        alone: bool,
    ) -> None:
        self._fits = fits
        self._chains = deque(chains)
        self._shared = shared
        self._ended = ended
        self._alone = alone
        self._config = get_config()
        self._under_way: set[FitUnderWay[Any]] = set()
        self._interrupted = False
        never = KeyboardInterrupt("Ctrl-C came before this fit.")
        self.outcomes = [Outcome(never, [], 0.0) for _ in fits]

    def run(self, n_threads: int) -> None:
        """Make all fits, on this thread and others."""
        team = ThreadTeam()
        tasks = team.hand_out([self._work] * (n_threads - 1))
        self._uninterrupted(self._work)
        for task in tasks:
            error = self._uninterrupted(task.finish)
            if isinstance(error, BaseException):
                raise error

    def _uninterrupted(self, call: Callable[[], Any]) -> Any:
        """Make a call again until no Ctrl-C has come; the first one ends all fits."""
        while True:
            try:
                return call()
            except KeyboardInterrupt:
                self._interrupt()

    def _interrupt(self) -> None:
        self._interrupted = True
        for fit in list(self._under_way):
            if (run := fit.run) is not None:
                run.interrupted = True

    def _work(self) -> None:
        """Make one chain of fits after the other, as long as there are any."""
        limit = nullcontext() if self._alone else one_thread_each()
        with limit, config_context(**{**self._config, "skip_parameter_validation": True}):
            while not self._interrupted:
                try:
                    chain = self._chains.popleft()
                except IndexError:
                    return
                for number in chain:
                    if not self._interrupted:
                        self._make(number)

    def _make(self, number: int) -> None:
        """Make a fit, and store its outcome."""
        start, error = time.perf_counter(), None
        with warnings_of_this_thread() as said:
            try:
                self._fit(self._fits[number])
            except BaseException as raised:
                error = raised
        self.outcomes[number] = Outcome(error, said, time.perf_counter() - start)
        self._ended(number)
        if isinstance(error, KeyboardInterrupt):
            self._interrupt()

    def _fit(self, fit: Fit) -> None:
        if not fit.is_ours:
            fit.estimator.fit(fit.X, fit.y, **fit.given)
            return
        validation = fit.X_val, fit.y_val, fit.sample_weight_val
        under_way = FitUnderWay(
            fit.estimator._fitting(
                fit.X, fit.y, fit.sample_weight, validation=validation, shared=self._shared
            )
        )
        self._under_way.add(under_way)
        try:
            if under_way.run is not None:
                under_way.run.interrupted = self._interrupted
            under_way.to_its_end()
        finally:
            self._under_way.discard(under_way)
            if under_way.interrupted:
                self._interrupt()
        for say in under_way.result:
            say()


# Warnings of fits in threads: Python has one place for those of all threads.

_catching = threading.local()


@contextmanager
def caught_warnings() -> Iterator[None]:
    """Let each thread catch its own warnings, by `warnings_of_this_thread`."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        show = warnings.showwarning

        def catch_or_show(message: Any, category: Any, *where: Any) -> None:
            said = getattr(_catching, "said", None)
            if said is None:
                show(message, category, *where)
            else:
                said.append(warnings.WarningMessage(message, category, *where))

        warnings.showwarning = catch_or_show  # type: ignore[assignment]
        yield


@contextmanager
def warnings_of_this_thread() -> Iterator[list[warnings.WarningMessage]]:
    """Catch the warnings of this thread."""
    said: list[warnings.WarningMessage] = []
    _catching.said = said
    try:
        yield said
    finally:
        _catching.said = None
