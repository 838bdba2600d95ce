"""A bar on standard error while a fit runs: epochs, loss, and the time left."""

import math
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.progress import Progress

# A thread of rich redraws the bar, so that the clock also runs during a long epoch.
REDRAWS_A_SECOND = 10


class Outlook(NamedTuple):
    """What is known between two reports.

    Attributes
    ----------
    part : float
        What was done since the latest report, in its unit.
    said : str
        In words.
    seconds_left : float or None
        At most; None if that is not known. Training may stop earlier.
    """

    part: float = 0.0
    said: str = ""
    seconds_left: float | None = None


class Report:
    """The latest report of a fit.

    Attributes
    ----------
    outlook : callable
        Called at each redraw.
    compiling : callable
        Says how far the compiler is; empty while nothing is compiled.
    """

    def __init__(self) -> None:
        self.latest: tuple[int, float, float | None] | None = None
        self.outlook: Callable[[], Outlook] = Outlook
        self.compiling: Callable[[], str] = str

    def update(self, epoch: int, loss: float, validation: float | None = None) -> None:
        """Store the numbers of an epoch that has ended; the next redraw shows them.

        Parameters
        ----------
        epoch : int
            Epochs done, from 1.
        loss : float
        validation : float, optional
            The validation loss or score, where there is one.
        """
        self.latest = epoch, loss, validation


_of_thread = threading.local()


@contextmanager
def without_bars() -> Iterator[None]:
    """In this thread, fits show no bar: there is one for all of them."""
    before = getattr(_of_thread, "hidden", False)
    _of_thread.hidden = True
    try:
        yield
    finally:
        _of_thread.hidden = before


@contextmanager
def progress_bar(
    total_epochs: int, enabled: bool = True, what: str = "Training"
) -> Iterator[Report]:
    """A bar for a fit, or for many of them, on standard error.

    Parameters
    ----------
    total_epochs : int
        The most epochs there can be; a fit that ends sooner leaves its bar where it stopped. For
        many fits, how many they are.
    enabled : bool
        False shows nothing, and does not import rich.
    what : str
        What the bar is called.

    If kernels have to be compiled first, a line above the bar says so, and the bar counts them.

    Yields
    ------
    report : Report
        Its `update(epoch, loss, validation=None)` is to be called after each epoch. Its `outlook`
        may be set: it says how much time is left.

    Notes
    -----
    At most ten redraws a second. On a terminal the bar is one line, which stays after the fit, also
    after an exception or Ctrl-C. A pipe or a file receives only the last line, without control
    characters. A notebook shows it like any bar of rich.

    Examples
    --------
    >>> from engine.estimators.progress_bar import progress_bar
    >>> with progress_bar(total_epochs=200, enabled=False) as progress:
    ...     progress.update(1, loss=0.693)
    """
    report = Report()
    if not enabled or getattr(_of_thread, "hidden", False):
        yield report
        return
    from engine.compiler.compilation import watching_compilation

    with watching_compilation() as watch:
        report.compiling = lambda: str(watch.compiled)
        with _bar(total_epochs, report, what) as bar, announcing_compilation(bar.console.print):
            try:
                yield report
            finally:
                bar.columns = bar.columns[:-1]  # the line that stays shows no time left


COMPILING = "Compiling kernels, which may take a minute: {}."
ONCE = "it happens once, later runs load them"
IN_EVERY_PROCESS = "there is no folder where they could be kept for later runs"

_announcing = False


@contextmanager
def announcing_compilation(say: Callable[[str], Any]) -> Iterator[None]:
    """Call `say` once, when the first kernel has to be compiled, since training waits for it.

    It is told why, if the package was installed with kernels and they cannot be used. If such
    blocks are nested, only the outer one calls its `say`.
    """
    global _announcing
    if _announcing:
        yield
        return
    from numba.core import event

    from engine.compiler.cache import CheckedCache, keeps_kernels
    from engine.compiler.carried_kernels import why_not_used

    class Announcement(event.Listener):
        made = False

        def on_start(self, begun: Any) -> None:
            is_kernel = isinstance(getattr(begun.data["dispatcher"], "_cache", None), CheckedCache)
            if is_kernel and not self.made:
                self.made = True
                why = why_not_used()
                compiling = COMPILING.format(ONCE if keeps_kernels() else IN_EVERY_PROCESS)
                say(compiling if why is None else f"{compiling} {why}")

        def on_end(self, ended: Any) -> None:
            pass

    _announcing = True
    try:
        with event.install_listener("numba:compile", Announcement()):
            yield
    finally:
        _announcing = False


def _bar(total_epochs: int, report: Report, what: str) -> "Progress":
    """A bar of rich that shows the latest report at each redraw."""
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    class Bar(Progress):
        def get_renderables(self) -> Iterator[RenderableType]:
            done, outlook = report.latest[0] if report.latest else 0, report.outlook()
            for task in self.task_ids:  # none while it is made
                self.update(
                    task,
                    completed=done + outlook.part,
                    done=done,
                    said=report.compiling() or outlook.said or _said(report),
                    left=_left(outlook.seconds_left),
                )
            yield from super().get_renderables()

    whole = Column(no_wrap=True)  # on a narrow terminal the bar shrinks, not the numbers
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[done]}/{task.total}", "progress.download", table_column=whole),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(table_column=whole),
        TextColumn("{task.fields[left]}", "progress.remaining", table_column=whole),
        console=Console(stderr=True),
        refresh_per_second=REDRAWS_A_SECOND,
        transient=False,
        # rich would send what is printed to its own console, that is to standard error.
        redirect_stdout=sys.stdout.isatty(),
    )
    bar.add_task(what, total=total_epochs, done=0, said="", left="")
    return bar


def _said(report: Report) -> str:
    if report.latest is None:
        return ""
    _, loss, validation = report.latest
    if validation is None:
        return f"loss {loss:.4g}"
    return f"loss {loss:.4g}, validation {validation:.4g}"


def _left(seconds: float | None) -> str:
    """The time left, in words; empty if it is not known.

    >>> _left(75.2), _left(None)
    ('at most 0:01:16 left', '')
    """
    if seconds is None or not math.isfinite(seconds):
        return ""
    return f"at most {timedelta(seconds=math.ceil(seconds))} left"
