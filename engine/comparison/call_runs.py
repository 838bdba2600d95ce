"""`engine compare estimators`, calls: what one costs where the arithmetic is next to nothing."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np

from engine.comparison import measure
from engine.comparison.estimator_agreement import Make
from engine.comparison.estimator_data import CLASSIFIER
from engine.comparison.estimator_pair import BOTH, OURS, THEIRS, estimator, silent
from engine.comparison.progress import announced

SECONDS_PER_TIMING = 0.05
MANY_ROWS = 100_000
SAME = {"float32": 1e-4, "float64": 1e-10}  # of a loss, or of probabilities
PREDICTOR_REACH = 5.0  # microseconds


class Call(NamedTuple):
    """What is called. `prepare` makes, for either side, the act that is timed."""

    name: str
    prepare: Callable[[str], Callable[[], Any]]
    reach: float | None = None  # microseconds


class Row(TypedDict, total=False):
    """One call in one dtype. `void` and `failed` stand in place of times."""

    call: str
    dtype: str
    us: dict[str, measure.Spread]
    ratio: measure.Spread  # scikit-learn's time / ours
    reach: float | None
    void: str
    failed: str


def calls(dtypes: Sequence[str], rounds: int, n_threads: int, make: Make = estimator) -> list[Row]:
    """Every call in every dtype."""
    return [
        compare(call, dtype, rounds)
        for dtype in announced([(f"calls {dtype}", dtype) for dtype in dtypes])
        for call in kinds(dtype, n_threads, make)
    ]


def kinds(dtype: str, n_threads: int, make: Make) -> list[Call]:
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


def compare(call: Call, dtype: str, rounds: int) -> Row:
    """What both return agrees, or there are no times; then time in turns."""
    row = Row(call=call.name, dtype=dtype, reach=call.reach)
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
            counts[whose] = measure.repeats(measure.seconds(act), SECONDS_PER_TIMING)
            several[whose] = measure.several(act, counts[whose])
        seconds = measure.in_turns(several, rounds)
    each = {whose: measure.per_unit(seconds[whose], counts[whose]) for whose in BOTH}
    row["us"] = {whose: measure.spread(measure.per_unit(each[whose], 1e-6)) for whose in BOTH}
    row["ratio"] = measure.ratio(each[THEIRS], to=each[OURS])
    return row


def _same(ours: Any, theirs: Any, allowed: float) -> bool:
    return ours.shape == theirs.shape and bool(np.abs(ours - theirs).max() <= allowed)
