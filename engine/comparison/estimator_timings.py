"""`engine compare estimators`: fits with the defaults and short calls, beside scikit-learn's.

The ceiling of a ratio is what the arithmetic allows: scikit-learn's time over that of the fit's
matrix products alone at the rate of this machine's gemm. Of short calls, one costs something where
the arithmetic is next to nothing.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypedDict

import numpy as np

from engine.comparison import estimator_agreement, timing
from engine.comparison.estimator_agreement import (
    BOTH,
    CLASSIFIER,
    OURS,
    SAME_LOSS,
    THEIRS,
    Agreement,
    DataSet,
    Make,
    agreement,
    disagreement,
    estimator,
    loss,
    outcomes,
    relative,
    silent,
)
from engine.comparison.machine import GEMM_FLOPS, About, about, gemm
from engine.comparison.problems import flops_per_sample
from engine.comparison.timing import announced

SECONDS_PER_TIMING = 0.05  # shorter fits are repeated
REACH, SHARE_OF_CEILING = 10.0, 0.5  # whichever is less
GEMM = "gemm"


class Times(TypedDict):
    """Of the rounds; the random state is the number of the round, the same on both sides."""

    ms: dict[str, float]  # medians, of each
    ratio: timing.Spread  # scikit-learn's time / ours
    ceiling: timing.Spread  # scikit-learn's time / that of the products at gemm's rate
    reach: float
    reached: bool
    gemm_gflops: float
    epochs: dict[str, list[int]]


class FitRow(TypedDict, total=False):
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


def time_fits(
    names: Sequence[str],
    dtypes: Sequence[str],
    rounds: int,
    seeds: int,
    n_threads: int,
    make: Make = estimator,
) -> list[FitRow]:
    """Every data set in every dtype."""
    wanted = [(f"fit {name} {dtype}", (name, dtype)) for name in names for dtype in dtypes]
    return [
        compare_fit(estimator_agreement.load_data_set(name, dtype), rounds, seeds, n_threads, make)
        for name, dtype in announced(wanted)
    ]


def compare_fit(
    data: DataSet, rounds: int, seeds: int, n_threads: int, make: Make = estimator
) -> FitRow:
    """Outcomes on held-out rows agree, or there are no times; then `fit` on all rows, in turns."""
    m, n = data.X.shape
    row = FitRow(data=data.name, kind=data.kind, dtype=data.dtype, rows=m, features=n)
    try:
        row["agreement"] = agreement(outcomes(make, data, seeds, n_threads), data.kind)
        void = disagreement(row["agreement"], data.dtype)
        if void is None:
            all_rows = estimator_agreement.standardised(data)
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
        self.calls = timing.repeats(timing.seconds(self), SECONDS_PER_TIMING)

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
            for name, times in timing.in_turns({**acts, GEMM: yardstick}, rounds=1).items():
                seconds[name] += times
            for whose, act in timed.items():
                epochs[whose].append(int(act.model.n_iter_))
            losses = {whose: loss(act.model, data.X, data.y) for whose, act in timed.items()}
            off = max(off, relative(losses[OURS], losses[THEIRS]))
    per_fit = {whose: timing.per_unit(seconds[whose], timed[whose].calls) for whose in BOTH}
    per_flop = timing.per_unit(seconds[GEMM], GEMM_FLOPS)
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
    ratio = timing.ratio(per_fit[THEIRS], to=per_fit[OURS])
    ceiling = timing.ratio(per_fit[THEIRS], to=least)
    return Times(
        ms={whose: 1e3 * timing.spread(per_fit[whose]).median for whose in BOTH},
        ratio=ratio,
        ceiling=ceiling,
        reach=reach(ceiling.median),
        reached=ratio.median >= reach(ceiling.median),
        gemm_gflops=1e-9 / timing.spread(per_flop).median,
        epochs=epochs,
    )


MANY_ROWS = 100_000
SAME = {"float32": 1e-4, "float64": 1e-10}  # of a loss, or of probabilities
PREDICTOR_REACH = 5.0  # microseconds


class Call(NamedTuple):
    """What is called. `prepare` makes, for either side, the act that is timed."""

    name: str
    prepare: Callable[[str], Callable[[], Any]]
    reach: float | None = None  # microseconds


class CallRow(TypedDict, total=False):
    """One call in one dtype. `void` and `failed` stand in place of times."""

    call: str
    dtype: str
    us: dict[str, timing.Spread]
    ratio: timing.Spread  # scikit-learn's time / ours
    reach: float | None
    void: str
    failed: str


def time_calls(
    dtypes: Sequence[str], rounds: int, n_threads: int, make: Make = estimator
) -> list[CallRow]:
    """Every call in every dtype."""
    return [
        compare_call(call, dtype, rounds)
        for dtype in announced([(f"calls {dtype}", dtype) for dtype in dtypes])
        for call in calls_of(dtype, n_threads, make)
    ]


def calls_of(dtype: str, n_threads: int, make: Make) -> list[Call]:
    """A fit of four rows; predictions of one row and of many, by a network of 20-100-1."""
    few, labels = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype), np.array([1, 0, 0, 1])
    many = np.random.default_rng(0).standard_normal((MANY_ROWS, 20)).astype(dtype)
    train_rows = many[:1000]
    train_labels = (train_rows[:, 0] > 0).astype(int)

    def fitted(whose: str) -> Any:
        model = make(whose, CLASSIFIER, n_threads, max_iter=5, random_state=0)
        return model.fit(train_rows, train_labels)

    def short_fit(whose: str) -> Callable[[], Any]:
        def act() -> Any:
            model = make(whose, CLASSIFIER, n_threads, max_iter=1, random_state=0)
            return model.fit(few, labels).loss_

        return act

    def prediction(rows: Any) -> Callable[[str], Callable[[], Any]]:
        def prepare(whose: str) -> Callable[[], Any]:
            predict_proba = fitted(whose).predict_proba
            return lambda: predict_proba(rows)

        return prepare

    def one_row(whose: str) -> Callable[[], Any]:
        row, model = many[0], fitted(whose)
        if whose == THEIRS:
            return lambda: model.predict_proba(row.reshape(1, -1))[0]
        predict_proba = model.predictor().predict_proba
        return lambda: predict_proba(row)

    return [
        Call("fit, 4 rows, max_iter=1", short_fit),
        Call("predict_proba, 1 row", prediction(many[:1])),
        Call(f"predict_proba, {MANY_ROWS} rows", prediction(many)),
        Call("predictor(), 1 row", one_row, PREDICTOR_REACH),
    ]


def compare_call(call: Call, dtype: str, rounds: int) -> CallRow:
    """What both return agrees, or there are no times; then time in turns."""
    row = CallRow(call=call.name, dtype=dtype, reach=call.reach)
    with silent():
        try:
            acts = {whose: call.prepare(whose) for whose in BOTH}
            returned = {whose: np.asarray(act()) for whose, act in acts.items()}
        except Exception as error:  # a call that fails is a result, not the end
            row["failed"] = " ".join(str(error).split())
            return row
        if not _same(returned[OURS], returned[THEIRS], SAME[dtype]):
            row["void"] = "it returns something else than scikit-learn's"
            return row
        several, counts = {}, {}
        for whose, act in acts.items():
            counts[whose] = timing.repeats(timing.seconds(act), SECONDS_PER_TIMING)
            several[whose] = timing.several(act, counts[whose])
        seconds = timing.in_turns(several, rounds)
    each = {whose: timing.per_unit(seconds[whose], counts[whose]) for whose in BOTH}
    row["us"] = {whose: timing.spread(timing.per_unit(each[whose], 1e-6)) for whose in BOTH}
    row["ratio"] = timing.ratio(each[THEIRS], to=each[OURS])
    return row


def _same(ours: Any, theirs: Any, allowed: float) -> bool:
    return ours.shape == theirs.shape and bool(np.abs(ours - theirs).max() <= allowed)


FITS, CALLS = "fits", "calls"
PARTS = (FITS, CALLS)


class EstimatorFound(TypedDict):
    """The whole run. What was not asked for is empty."""

    about: About
    rounds: int
    fits: list[FitRow]
    calls: list[CallRow]


def measure_all(
    parts: Sequence[str],
    data: Sequence[str],
    dtypes: Sequence[str],
    rounds: int,
    seeds: int,
    n_threads: int,
) -> EstimatorFound:
    """Measure the parts that are asked for."""
    fits = time_fits(data, dtypes, rounds, seeds, n_threads) if FITS in parts else []
    calls = time_calls(dtypes, rounds, n_threads) if CALLS in parts else []
    described = about(n_threads, ["scikit-learn", "scipy"])
    return EstimatorFound(about=described, rounds=rounds, fits=fits, calls=calls)
