"""What stands in for joblib's `Parallel` in scikit-learn's code: fits side by side.

scikit-learn's searches hand `Parallel` a call of `_fit_and_score` for each candidate and fold.
`ParallelFits` takes such calls apart. First it makes the fits of many of them at once, on threads
that share the rows. Then it calls `_fit_and_score` for each, in scikit-learn's order, with an
estimator whose `fit` only hands over the result. So scores, printed lines, warnings and errors are
those of scikit-learn's own code.
"""

import inspect
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from types import FunctionType
from typing import Any

from joblib import effective_n_jobs
from sklearn.base import clone
from sklearn.model_selection._validation import _fit_and_score
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.parallel import Parallel

from engine.many.fits import Fit, Outcome, fit_all
from engine.model_selection.eligibility import can_share, draws_from_numpy, network_of
from engine.model_selection.folds import DrewNumbers, Fold, Transformed
from engine.model_selection.resumption import Ended, Resumption, resume
from engine.system.free_memory import memory_left

# A call as joblib takes it: the function, its positional and its named arguments.
Call = tuple[Any, tuple[Any, ...], dict[str, Any]]
# Fits that are made at once, at most: fitted networks are held until they are scored.
MOST_FITS = 256
# Of the memory that is left, the share that the rows of folds may take.
SHARE = 0.25
BYTES = 8  # of a number


def bound(function: Any, **names: Any) -> Any:
    """The code of one of scikit-learn's functions, with other values for some of its globals.

    Nobody else's calls of the function change. Its decorators are left out.
    """
    inner = inspect.unwrap(function)
    inner.__globals__.setdefault("__warningregistry__", {})  # what was warned of, also elsewhere
    names = {**inner.__globals__, **names}
    same = FunctionType(inner.__code__, names, inner.__name__, inner.__defaults__)
    same.__kwdefaults__ = inner.__kwdefaults__
    return same


class Clock:
    """The `time` of scikit-learn's code: ahead by the seconds of fits that were made before."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def time(self) -> float:
        return time.time() + self.ahead


@dataclass
class Task:
    """A call of `_fit_and_score`, and the fit within it.

    `fit` is None if a step before the network failed, or if there is no epoch left to train.
    """

    estimator: Any
    call: Call
    fold: Fold
    key: Any
    fit: Fit | None
    before: Transformed | None
    resumption: Resumption | None


class ParallelFits:
    """A `Parallel` that makes the fits of our estimators side by side.

    If one of the calls is of another kind, all go to scikit-learn's `Parallel`. An instance serves
    one search.

    Parameters
    ----------
    n_jobs : int or None
        Threads; None is as many as pay. For scikit-learn's `Parallel`: jobs.
    resource : str or None
        What successive halving gives more of to the candidates that are left.
    **others
        For scikit-learn's `Parallel`.
    """

    def __init__(
        self, n_jobs: int | None = None, resource: str | None = None, **others: Any
    ) -> None:
        self._n_threads = n_jobs if n_jobs is None or n_jobs > 0 else effective_n_jobs(n_jobs)
        self._resource = resource
        self._asked = {"n_jobs": n_jobs, **others}
        self._stack = ExitStack()
        self._parallel: Any = None
        self._clock = Clock()
        self._fit_and_score = bound(_fit_and_score, _safe_split=self._split, time=self._clock)
        self._task_scored: Task  # whose call of `_fit_and_score` is under way
        # The folds and the fits of this round, and those of the last one.
        self._folds: dict[Any, tuple[Fold, Any]] = {}
        self._folds_before: list[Fold] = []
        self._ended: dict[Any, Ended] = {}
        self._ended_before: dict[Any, Ended] = {}

    def __enter__(self) -> "ParallelFits":
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stack.__exit__(*exception)

    def __call__(self, calls: Iterable[Call]) -> list[Any]:
        """The results of the calls, in their order."""
        calls = iter(calls)
        first = next(calls, None)
        if first is None:
            return []
        calls = chain([first], calls)
        if not _of_a_candidate(first):
            able = _can_be_taken_apart(first)
        elif able := network_of(first[1][0]) is not None:
            queue = deque(calls)
            able = all(map(_can_be_taken_apart, queue))
            calls = _taken_from(queue)
        del first
        self._folds_before = [fold for fold, _ in self._folds.values()]
        self._ended_before, self._folds, self._ended = self._ended, {}, {}
        return self._side_by_side(calls) if able else self._by_scikit_learn(calls)

    def _by_scikit_learn(self, calls: Iterable[Call]) -> list[Any]:
        if self._parallel is None:
            self._parallel = self._stack.enter_context(Parallel(**self._asked))
        results: list[Any] = self._parallel(calls)
        return results

    def _side_by_side(self, calls: Iterator[Call]) -> list[Any]:
        """Make the fits of many calls at once; a fit that draws from NumPy's generator alone."""
        results: list[Any] = []
        waiting: list[Task] = []
        most = SHARE * memory_left() / BYTES

        def make() -> None:
            results.extend(self._made(waiting))
            waiting.clear()
            if not _of_a_candidate(call):
                self._folds.clear()  # a split of cross_validate does not come again
            elif self._numbers_held() > most:
                for fold, _ in self._folds.values():
                    fold.release()

        for call in calls:
            try:
                task = self._task(call)
            except DrewNumbers:
                make()
                return results + self._by_scikit_learn(chain([call], calls))
            alone = draws_from_numpy(task.estimator)
            if alone:
                make()
            waiting.append(task)
            if alone or len(waiting) == MOST_FITS or self._numbers_held() > most:
                make()
        make()
        return results

    def _numbers_held(self) -> int:
        return sum(fold.n_numbers for fold, _ in self._folds.values())

    def _task(self, call: Call) -> Task:
        """A call with the fit that it is to make, on rows that are cut out and transformed."""
        _, (estimator, X, y), named = call
        splits = named["train"], named["test"]
        fold = self._fold_of(X, y, *splits, named["fit_params"])
        network = network_of(estimator)
        parameters = dict(named["parameters"] or {})
        last = "" if network is estimator else f"{estimator.steps[-1][0]}__"
        if network is estimator:
            (X, y), given = fold.rows(estimator)
            before, arguments = None, {"X": X, "y": y, **given}
        else:
            others = {name: parameters[name] for name in parameters if not name.startswith(last)}
            before = fold.transformed(key_of(others), estimator)
            arguments = before.arguments
            if before.error is not None:
                return Task(estimator, call, fold, None, None, before, None)
        key = resumption = None
        if self._resource == f"{last}max_iter":
            parameters.pop(self._resource, None)
            key = id(fold), key_of(parameters)
            resumption = resume(self._ended_before.pop(key, None), network, arguments)
        fit = Fit(network, **arguments) if resumption is None else resumption.fit
        return Task(estimator, call, fold, key, fit, before, resumption)

    def _fold_of(self, X: Any, y: Any, train: Any, test: Any, fit_params: Any) -> Fold:
        """The fold of a split: one of this round, or the same one of the last round, or a new one.

        Within a round, a split is known by its address, and held so that it keeps it.
        """
        key = id(train), id(test)
        if key not in self._folds:
            earlier = self._folds_before[len(self._folds) :][:1]
            same = [fold for fold in earlier if fold.is_of(train, test)]
            fold = same[0] if same else Fold(X, y, train, test, fit_params)
            self._folds[key] = fold, (train, test)
        return self._folds[key][0]

    def _made(self, tasks: list[Task]) -> Iterator[Any]:
        """Make the fits of these tasks at once; then their results, one after another.

        Ctrl-C ends all of them, and the search: their scores would be those of half-trained ones.
        """
        fits = [task.fit for task in tasks if task.fit is not None]
        made = fit_all(fits, self._n_threads) if fits else []
        if any(outcome.was_interrupted for outcome in made):
            raise KeyboardInterrupt
        outcomes = iter(made)
        for task in tasks:
            outcome = None if task.fit is None else next(outcomes)
            estimator = task.estimator
            if task.resumption is not None:
                outcome = task.resumption.finish(outcome, self._n_threads)
                estimator = _with_network(estimator, task.resumption.network)
            if outcome is not None and outcome.error is None and task.key is not None:
                network, parameters = network_of(estimator), task.call[2]["parameters"]
                self._ended[task.key] = Ended(network, task.fold, outcome, parameters)
            yield self._result(task, estimator, _all_of(task.before, outcome))

    def _result(self, task: Task, estimator: Any, outcome: Outcome) -> Any:
        """What `_fit_and_score` returns of an estimator that has been fitted."""

        def fit(*rows: Any, **given: Any) -> Any:
            del estimator.fit
            self._clock.ahead += outcome.seconds
            for said in outcome.warnings:
                warnings.warn(said.message, said.category, stacklevel=2)
            if outcome.error is not None:
                raise outcome.error
            return estimator

        def set_params(**parameters: Any) -> Any:
            del estimator.set_params
            return estimator

        _, (_, X, y), named = task.call
        self._task_scored = task
        estimator.fit = fit
        if _of_a_candidate(task.call):
            estimator.set_params = set_params
        trace = None if outcome.error is None else outcome.error.__traceback__
        try:
            with warnings.catch_warnings():  # each fit warns anew, as within joblib
                return self._fit_and_score(estimator, X, y, **named)
        finally:
            if outcome.error is not None:  # it may be raised for other candidates, too
                outcome.error.__traceback__ = trace

    def _split(self, estimator: Any, X: Any, y: Any, indices: Any, train: Any = None) -> Any:
        """Stands in for scikit-learn's `_safe_split`: the rows of a fit are cut out already."""
        task = self._task_scored
        if train is not None or task.call[2]["return_train_score"]:
            return _safe_split(estimator, X, y, indices, train)
        rows, _ = task.fold.rows(estimator)
        return rows


def key_of(parameters: dict[str, Any]) -> frozenset[Any]:
    """A key that two sets of parameters share only if their fits do the same.

    Objects are known by their addresses, so the parameters must be held as long as the key.
    """
    plain = (bool, int, float, str, type(None))
    return frozenset(
        (name, type(value), repr(value) if type(value) in plain else id(value))
        for name, value in parameters.items()
    )


def _taken_from(queue: deque[Call]) -> Iterator[Call]:
    """The calls of a queue, which holds none that was taken: its network goes once it is scored."""
    while queue:
        yield queue.popleft()


def _of_a_candidate(call: Call) -> bool:
    return call[2].get("parameters") is not None


def _can_be_taken_apart(call: Call) -> bool:
    """Whether the fit within a call can be made beside others. Sets the candidate's parameters."""
    function, (estimator, _, y), named = call
    if getattr(function, "function", None) is not _fit_and_score or y is None:
        return False
    if network_of(estimator) is None or getattr(named.get("caller"), "_skl_callbacks", None):
        return False
    if _of_a_candidate(call):
        estimator.set_params(**clone(named["parameters"], safe=False))
    return can_share(estimator, named["fit_params"] or {})


def _with_network(estimator: Any, network: Any) -> Any:
    """The estimator with this network: itself, or a pipeline with it as its last step."""
    if network_of(estimator) is estimator:
        return network
    estimator.steps[-1] = (estimator.steps[-1][0], network)
    return estimator


def _all_of(before: Transformed | None, outcome: Outcome | None) -> Outcome:
    """How the fit of a whole pipeline ended."""
    outcome = outcome or Outcome(None, [], 0.0)
    if before is None:
        return outcome
    return Outcome(
        before.error or outcome.error,
        [*before.warnings, *outcome.warnings],
        before.seconds + outcome.seconds,
        outcome.stopped,
    )
