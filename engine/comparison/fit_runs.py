"""`engine compare estimators`, fits: calls of `fit` with the defaults, scikit-learn's and ours.

The ceiling of a ratio is what the arithmetic allows: scikit-learn's time over that of the fit's
matrix products alone at the rate of this machine's gemm.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypedDict

from engine.comparison import estimator_data, measure
from engine.comparison.estimator_agreement import (
    SAME_LOSS,
    Agreement,
    Make,
    agreement,
    disagreement,
    loss,
    outcomes,
    relative,
)
from engine.comparison.estimator_data import DataSet
from engine.comparison.estimator_pair import BOTH, OURS, THEIRS, estimator, silent
from engine.comparison.machine import GEMM_FLOPS, gemm
from engine.comparison.problems import flops_per_sample
from engine.comparison.progress import announced

SECONDS_PER_TIMING = 0.05  # shorter fits are repeated
REACH, SHARE_OF_CEILING = 10.0, 0.5  # whichever is less
GEMM = "gemm"


class Times(TypedDict):
    """Of the rounds; the random state is the number of the round, the same on both sides."""

    ms: dict[str, float]  # medians, of each
    ratio: measure.Spread  # scikit-learn's time / ours
    ceiling: measure.Spread  # scikit-learn's time / that of the products at gemm's rate
    reach: float
    reached: bool
    gemm_gflops: float
    epochs: dict[str, list[int]]


class Row(TypedDict, total=False):
    """One data set in one dtype. `void` and `failed` say why there are no times."""

    data: str
    kind: str
    dtype: str
    rows: int
    features: int
    sizes: list[int]
    agreement: Agreement
    times: Times
    void: str
    failed: str


def fits(
    names: Sequence[str],
    dtypes: Sequence[str],
    rounds: int,
    seeds: int,
    n_threads: int,
    make: Make = estimator,
) -> list[Row]:
    """Every data set in every dtype."""
    wanted = [(f"fit {name} {dtype}", (name, dtype)) for name in names for dtype in dtypes]
    return [
        compare(estimator_data.load(name, dtype), rounds, seeds, n_threads, make)
        for name, dtype in announced(wanted)
    ]


def compare(data: DataSet, rounds: int, seeds: int, n_threads: int, make: Make = estimator) -> Row:
    """Outcomes on held-out rows agree, or there are no times; then `fit` on all rows, in turns."""
    m, n = data.X.shape
    row = Row(data=data.name, kind=data.kind, dtype=data.dtype, rows=m, features=n)
    try:
        row["agreement"] = agreement(outcomes(make, data, seeds, n_threads), data.kind)
        void = disagreement(row["agreement"], data.dtype)
        if void is None:
            all_rows = estimator_data.standardised(data)
            row["sizes"], row["times"], void = _time(all_rows, rounds, n_threads, make)
    except Exception as error:  # an estimator that fails is a result, not the end
        row["failed"] = " ".join(str(error).split())
        return row
    if void is not None:
        row.pop("times", None)
        row["void"] = void
    return row


class _Timed:
    """`fit` of one estimator, repeated until a timing is long enough; keeps the last one fitted."""

    def __init__(self, make: Callable[..., Any], data: DataSet) -> None:
        self._make = make
        self._data = data
        self.calls = 1
        self.model: Any = None
        self()  # compiles, or loads
        self.calls = measure.repeats(measure.seconds(self), SECONDS_PER_TIMING)

    def __call__(self, random_state: int = 0) -> None:
        for _ in range(self.calls):
            self.model = self._make(random_state=random_state).fit(self._data.X, self._data.y)


def _time(
    data: DataSet, rounds: int, n_threads: int, make: Make
) -> tuple[list[int], Times, str | None]:
    """The sizes of the network, the times, and why these do not count, if they do not."""
    with silent():
        timed = {whose: _Timed(partial(make, whose, data.kind, n_threads), data) for whose in BOTH}
        yardstick = gemm(data.dtype)
        yardstick()
        seconds: dict[str, list[float]] = {name: [] for name in (*BOTH, GEMM)}
        epochs: dict[str, list[int]] = {whose: [] for whose in BOTH}
        off = 0.0
        for number in range(rounds):
            acts: dict[str, Callable[[], Any]] = {
                whose: partial(act, number) for whose, act in timed.items()
            }
            for name, times in measure.in_turns({**acts, GEMM: yardstick}, rounds=1).items():
                seconds[name] += times
            for whose, act in timed.items():
                epochs[whose].append(int(act.model.n_iter_))
            losses = {whose: loss(act.model, data.X, data.y) for whose, act in timed.items()}
            off = max(off, relative(losses[OURS], losses[THEIRS]))
    per_fit = {whose: measure.per_unit(seconds[whose], timed[whose].calls) for whose in BOTH}
    per_flop = measure.per_unit(seconds[GEMM], GEMM_FLOPS)
    coefs = timed[THEIRS].model.coefs_
    sizes = [int(W.shape[0]) for W in coefs] + [int(coefs[-1].shape[1])]
    least = least_seconds(sizes, len(data.X), epochs[OURS], per_flop)
    void = None
    if data.dtype == "float64" and epochs[OURS] != epochs[THEIRS]:
        void = f"n_iter_ {epochs[OURS]}, not {epochs[THEIRS]}"
    elif data.dtype == "float64" and not off <= SAME_LOSS:
        void = f"the loss is off by {off:.1e}"
    return sizes, _figures(per_fit, per_flop, least, epochs), void


def least_seconds(
    sizes: Sequence[int], n_samples: int, epochs: Sequence[int], per_flop: Sequence[float]
) -> list[float]:
    """What the products of the fits alone would take at the rate of gemm, in each round.

    >>> least_seconds((20, 100, 1), 1000, epochs=[10], per_flop=[0.5])
    [43000000.0]
    """
    flops = flops_per_sample(sizes) * n_samples
    return [flops * count * each for count, each in zip(epochs, per_flop, strict=True)]


def reach(ceiling: float) -> float:
    """The ratio that is wanted: ten, or half of the ceiling where that is less.

    >>> reach(9.0), reach(35.0)
    (4.5, 10.0)
    """
    return min(REACH, SHARE_OF_CEILING * ceiling)


def _figures(
    per_fit: dict[str, list[float]],
    per_flop: list[float],
    least: list[float],
    epochs: dict[str, list[int]],
) -> Times:
    ratio = measure.ratio(per_fit[THEIRS], to=per_fit[OURS])
    ceiling = measure.ratio(per_fit[THEIRS], to=least)
    return Times(
        ms={whose: 1e3 * measure.spread(per_fit[whose]).median for whose in BOTH},
        ratio=ratio,
        ceiling=ceiling,
        reach=reach(ceiling.median),
        reached=ratio.median >= reach(ceiling.median),
        gemm_gflops=1e-9 / measure.spread(per_flop).median,
        epochs=epochs,
    )
