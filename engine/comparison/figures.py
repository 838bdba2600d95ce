"""What a whole comparison finds, as its JSON file holds it: `engine compare report`.

The parts that measure fill it in; the page and the terminal's tables read it. A part that was not
asked for is absent. A library that is missing, failed or took too long has an entry that says so.
Seconds are wall time; a spread is a median with its quartiles, [median, low, high].
"""

from typing import NotRequired, TypedDict

from engine.comparison.goal_timings import GoalRow
from engine.comparison.libraries import Library
from engine.comparison.machine import About
from engine.comparison.timing import Spread
from engine.comparison.training_timings import TrainingRow

FORMAT = 1  # of the file: a reader refuses another


class StartUp(TypedDict, total=False):
    """From a new process to trained parameters, on `Figures.start_up_problem`."""

    failed: str
    imports: Spread  # seconds of a process that only imports it, less a bare Python's
    empty_cache: Spread  # seconds of a process that trains one epoch, nothing compiled before
    warm_cache: Spread  # the same, after a process that compiled and kept what can be kept
    epoch: Spread  # seconds of a further epoch


class Curve(TypedDict, total=False):
    """Mean cost on all training data against the seconds of training that it took."""

    failed: str
    epochs: list[int]  # from 0
    seconds: list[float]  # medians over the rounds; compiling and start-up apart
    costs: list[float]  # computed alike for all, by NumPy in float64


class Curves(TypedDict):
    """One problem's curves."""

    problem: str
    data: str  # in words
    dtype: str
    entries: dict[str, Curve]


class Memory(TypedDict, total=False):
    """Resident memory of a process that trains, in bytes."""

    failed: str
    imports: int  # once it is imported
    on_top: int  # peak while training, less what was resident with the data before
    peak: int


class Memories(TypedDict):
    """One problem's memory."""

    problem: str
    n_samples: int
    dtype: str
    data: int  # bytes of inputs and targets
    entries: dict[str, Memory]


class Scaling(TypedDict, total=False):
    """Full-batch training on more threads: time on one / time, in turns."""

    failed: str
    ms_on_one: float  # an epoch
    speed_up: dict[str, Spread]  # by number of threads, "2" and up


class Scalings(TypedDict):
    """One problem's speed-ups, and those of the machine's own matrix product."""

    problem: str
    n_samples: int
    dtype: str
    gemm: dict[str, Spread]
    entries: dict[str, Scaling]


class Figures(TypedDict):
    """The whole run."""

    format: int
    command: str
    made: str  # date and time, ISO 8601, UTC
    commit: str | None  # of the clone that was measured, if it was one; "+" where files had changed
    about: About
    rounds: int
    contenders: dict[str, Library]  # in the order of the tables; the first is the base
    unequal: list[str]  # a sentence each: what is not the same between libraries
    training: NotRequired[list[TrainingRow]]  # named problems: wins and losses
    sizes: NotRequired[
        list[TrainingRow]
    ]  # one network, wider and wider: time a sample against size
    start_up_problem: NotRequired[str]
    start_up: NotRequired[dict[str, StartUp]]
    curves: NotRequired[list[Curves]]
    goals: NotRequired[list[GoalRow]]
    memory: NotRequired[list[Memories]]
    threads: NotRequired[list[Scalings]]
