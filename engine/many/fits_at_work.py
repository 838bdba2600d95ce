"""The threads that make fits, each alone or, if networks are small, side by side in lanes."""

import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from itertools import islice
from typing import TYPE_CHECKING, Any

from sklearn import config_context, get_config

from engine.estimators.caught_warnings import catch_warnings
from engine.estimators.outcomes import INTERRUPTED, FitEnd
from engine.estimators.progress_bar import Outlook, without_bars
from engine.estimators.shared_data import SharedData
from engine.estimators.training import FitUnderWay
from engine.many.pace import PaceOfFits
from engine.solvers.member_descent import (
    FEWEST_MEMBERS,
    Kind,
    KnownSamples,
    MemberDescents,
    kind_of,
)
from engine.solvers.solver import Diverged, Progress
from engine.sums.thread_count import one_thread_each
from engine.sums.thread_team import Task, ThreadTeam

if TYPE_CHECKING:
    from engine.many.fits import Fit


class Begun:
    """A fit that has begun.

    Attributes
    ----------
    number : int
    fit : FitUnderWay or None
        None if it has ended, or could not begin.
    has_ended : bool
    interrupted : bool
        Whether Ctrl-C came during the part that was done last.
    seconds : float
    said : list of warnings.WarningMessage
    error : BaseException or None
    stopped : str
        As in `Outcome`.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.fit: FitUnderWay[FitEnd] | None = None
        self.has_ended = self.interrupted = False
        self.seconds = 0.0
        self.said: list[warnings.WarningMessage] = []
        self.error: BaseException | None = None
        self.stopped = ""
        self._waits_since: float | None = None

    def do(self, act: Callable[[], Any]) -> None:
        """Do a part of the fit. Its error, or its result, ends it.

        If Ctrl-C comes while it waits to go on, it still waits.
        """
        start, before = time.perf_counter(), catch_warnings(self.said)
        try:
            act()
            if self.fit is not None and self.fit.has_ended:
                self._note(self.fit.result)
                self.fit = None
            self.has_ended = self.fit is None
        except BaseException as error:
            self.interrupted = isinstance(error, KeyboardInterrupt)
            if not self.interrupted or self.fit is None or self.fit.has_ended:
                self.error, self.fit, self.has_ended = error, None, True
        finally:
            catch_warnings(before)
        self.seconds += time.perf_counter() - start

    def _note(self, end: FitEnd) -> None:
        """Note how the fit ended. Lines are printed at once."""
        self.stopped = end.stopped
        for message in end.messages:
            if isinstance(message, str):
                print(message)
            else:
                self.said.append(warnings.WarningMessage(message, type(message), "", 0))

    def interrupt(self) -> None:
        """End it where it is, since Ctrl-C came."""
        if self.fit is not None:
            self.do(self.fit.interrupt)
        elif not self.has_ended:
            self.error, self.has_ended = KeyboardInterrupt(), True

    def wait(self) -> None:
        """Stop its clock until it goes on, while others are trained."""
        self._waits_since = time.perf_counter()

    def go_on(self) -> None:
        """Let it go on, if it has waited: its `max_time` does not count the time."""
        if self.run is not None and self._waits_since is not None:
            self.run.watch.put_off(time.perf_counter() - self._waits_since)
        self._waits_since = None

    @property
    def run(self) -> Any:
        """Its run, which is to be advanced; None if it has ended."""
        return None if self.fit is None else self.fit.run


class FitsAtWork:
    """Fits that are being made, by threads that take the next one as soon as they can.

    Parameters
    ----------
    fits : sequence of Fit
    chains : list of list of int
        The numbers of fits that follow each other on one thread.
    alone : bool
        Whether one thread makes them all.

    Attributes
    ----------
    tell : callable
        Called with the number of each fit that has ended.
    ended : list of Begun or None
        The fits that have ended; None if Ctrl-C came before.
    """

    def __init__(
        self,
        fits: "Sequence[Fit]",
        chains: list[list[int]],
        alone: bool,
    ) -> None:
        self._fits = fits
        self._chains = deque(chains)
        self._lock = threading.Lock()  # held to look at the next chain and take it
        self._shared = SharedData()
        self.tell: Callable[[int], Any] = lambda number: None
        self._alone = alone
        self._config = get_config()
        self._under_way: set[Begun] = set()
        self._interrupted = False
        self._groups = [fit.group for fit in fits]
        self._pace = PaceOfFits(fits)
        self.ended: list[Begun | None] = [None for _ in fits]

    def run(self, n_threads: int) -> None:
        """Make all fits, on this thread and others."""
        tasks: list[Task] = []
        try:
            tasks += ThreadTeam().hand_out([self._work] * (n_threads - 1))
            self._uninterrupted(self._work)
            self._finish(tasks)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):  # between two calls, or in the last one
                self._interrupt()
            self._uninterrupted(lambda: self._finish(tasks))
            if not isinstance(error, KeyboardInterrupt):
                raise

    def outlook(self) -> Outlook:
        """How far the fits under way are, and how long all will take at most; from any thread."""
        runs = [(begun.number, begun.run) for begun in list(self._under_way)]
        under_way = {number: run.watch for number, run in runs if run is not None}
        waiting = [number for chain in list(self._chains) for number in chain]
        return self._pace.outlook(under_way, waiting)

    def _finish(self, tasks: list[Task]) -> None:
        """Wait for the other threads, and end what Ctrl-C has left under way."""
        error = None
        while tasks:
            error = tasks[-1].finish() or error
            tasks.pop()
        while self._under_way:
            for begun in list(self._under_way):
                begun.interrupt()
                self._end(begun)
        if error is not None:
            raise error

    def _uninterrupted(self, call: Callable[[], Any]) -> None:
        """Make a call again until no Ctrl-C has come; the first one ends all fits."""
        while True:
            try:
                call()
                return
            except KeyboardInterrupt:
                self._interrupt()

    def _interrupt(self) -> None:
        self._interrupted = True
        for begun in list(self._under_way):
            if (run := begun.run) is not None:
                run.interrupted = True

    def _work(self) -> None:
        """Make one chain of fits after the other, as long as there are any."""
        limit = nullcontext() if self._alone else one_thread_each()
        config = {**self._config, "skip_parameter_validation": True}
        with limit, without_bars(), config_context(**config):
            while chain := self._next_chain():
                for number in chain:
                    if self._interrupted:
                        return
                    begun = self._begin(number)
                    samples = KnownSamples()
                    kind = self._kind_of(begun, samples) if len(chain) == 1 else None
                    if kind is None or self._n_of_group_next(number) < FEWEST_MEMBERS - 1:
                        self._to_its_end(begun)
                    else:
                        self._side_by_side(begun, kind, samples)

    def _next_chain(self) -> list[int]:
        with self._lock:
            return self._chains.popleft() if self._chains else []

    def _n_of_group_next(self, number: int) -> int:
        """How many fits of its group are next, of the few that lanes pay from."""
        with self._lock:
            following = list(islice(self._chains, FEWEST_MEMBERS - 1))
        groups = [self._groups[chain[0]] for chain in following if len(chain) == 1]
        return groups.count(self._groups[number])

    def _begin(self, number: int) -> Begun:
        """Begin a fit; one that is not ours is made at once."""
        begun, fit = Begun(number), self._fits[number]
        self._under_way.add(begun)

        def begin() -> None:
            if not fit.is_ours:
                with config_context(**self._config):
                    fit.estimator.fit(fit.X, fit.y, **fit.given)
                return
            if not self._config["skip_parameter_validation"]:
                fit.estimator._validate_params()
            validation = fit.X_val, fit.y_val, fit.sample_weight_val
            begun.fit = FitUnderWay(
                fit.estimator._fitting(
                    fit.X, fit.y, fit.sample_weight, validation=validation, shared=self._shared
                )
            )
            begun.fit.begin()

        begun.do(begin)
        if any(str(said.message) == INTERRUPTED for said in begun.said):
            self._interrupt()  # it was made at once, and has met Ctrl-C itself
        if begun.fit is None:
            self._end(begun)
        elif self._interrupted and begun.run is not None:
            begun.run.interrupted = True
        return begun

    def _to_its_end(self, begun: Begun) -> None:
        """Make a fit that has begun by itself."""
        fit = begun.fit
        if fit is None:
            return
        begun.go_on()
        begun.do(fit.to_its_end)
        self._end(begun)
        if fit.interrupted:
            self._interrupt()

    def _end(self, begun: Begun) -> None:
        """Note that a fit has ended; if it has not, Ctrl-C came, and `_finish` ends it."""
        if not begun.has_ended:
            self._interrupt()
            return
        self.ended[begun.number] = begun
        self._under_way.discard(begun)
        self.tell(begun.number)
        if isinstance(begun.error, KeyboardInterrupt):
            self._interrupt()

    # Side by side.

    @staticmethod
    def _kind_of(begun: Begun, samples: KnownSamples) -> Kind | None:
        """The kind of its descent, if it can advance beside others; else None."""
        run = begun.run
        if run is None or run.is_saved:
            return None
        try:
            return kind_of(run.solver, samples)
        except MemoryError:  # for the copies that kernels need of some arrays
            return None

    def _side_by_side(self, first: Begun, kind: Kind, samples: KnownSamples) -> None:
        """Make a fit, and those that follow and are of its kind."""
        others: list[Begun] = []
        try:
            layers = first.run.solver.problem.layers
            try:
                together = Together(MemberDescents(kind, layers, samples), self._end)
            except MemoryError:
                self._to_its_end(first)
                return
            together.join(first)
            while together.members:
                while together.has_room and not others:
                    begun = self._begin_next_of_group(first.number)
                    if begun is None:
                        break
                    if self._kind_of(begun, samples) == kind:
                        together.join(begun)
                    elif begun.fit is not None:
                        begun.wait()
                        others.append(begun)
                if self._interrupted:
                    return  # `_finish` ends them
                if len(together.members) < FEWEST_MEMBERS:
                    others += together.dissolve()
                    continue
                try:
                    together.advance()
                except Exception:  # such as a lack of memory: each by itself, and its own error
                    others += together.dissolve()
        except KeyboardInterrupt:
            self._interrupt()
        for begun in others:
            if self._interrupted:
                return
            self._to_its_end(begun)

    def _begin_next_of_group(self, number: int) -> Begun | None:
        """Begin the next fit, if it is of the group of this one, and no Ctrl-C came."""
        with self._lock:
            chain = self._chains[0] if self._chains and not self._interrupted else []
            if len(chain) != 1 or self._groups[chain[0]] != self._groups[number]:
                return None
            self._chains.popleft()
        return self._begin(chain[0])


class Together:
    """Fits whose descents advance side by side.

    Parameters
    ----------
    descents : MemberDescents
    end : callable
        Called with each fit that has ended.
    """

    def __init__(self, descents: MemberDescents, end: Callable[[Begun], None]) -> None:
        self._descents = descents
        self._end = end
        self.members: dict[Any, Begun] = {}  # by their solvers, in the order of the lanes

    @property
    def has_room(self) -> bool:
        return self._descents.has_room

    def join(self, begun: Begun) -> None:
        """Let a fit advance with the others."""
        self.members[begun.run.solver] = begun
        self._descents.join(begun.run.solver)

    def dissolve(self) -> list[Begun]:
        """Let all go, as they are; each waits."""
        members = list(self.members.values())
        self.members.clear()
        for begun in members:
            begun.wait()
        return members

    def advance(self) -> None:
        """Advance all of them, and end those that stop."""
        budgets = [self._budget_of(begun) for begun in self.members.values()]
        start = time.perf_counter()
        done = self._descents.advance(budgets)
        share = (time.perf_counter() - start) / len(done)
        interrupted = False
        for solver, progress in done:
            begun = self.members[solver]
            begun.seconds += share
            interrupted |= self._take(begun, progress)
        if interrupted:
            raise KeyboardInterrupt

    @staticmethod
    def _budget_of(begun: Begun) -> Any:
        budget = begun.run.next_budget()
        assert not isinstance(budget, str)  # a run that may take no step has been ended
        return budget

    def _take(self, begun: Begun, progress: Progress | Diverged) -> bool:
        """Record what a fit has done; end it if it stops. Returns whether Ctrl-C came."""
        fit, run = begun.fit, begun.run
        assert fit is not None

        def take() -> None:
            try:
                stopped = run.took(progress)
            except BaseException as error:
                self._leave(run)
                if isinstance(error, KeyboardInterrupt):
                    run.catch_up()
                fit.fail(error)
            else:
                if stopped is not None:
                    self._leave(run)
                    fit.end(stopped)

        begun.do(take)
        if begun.has_ended:
            self._end(begun)
        return fit.interrupted or begun.interrupted

    def _leave(self, run: Any) -> None:
        self._descents.leave(run.solver)
        del self.members[run.solver]
