"""`engine compare second-order`: what each loss costs, and what is not the equations.

An epoch of minibatch Adam with each loss, beside the loss that is the default of its output units;
a loss of the user's own beside a built-in one of the same arithmetic; and the microseconds of a
call of `train`, and of a step that a callback is told.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypedDict

import numpy as np

from engine.comparison import timing
from engine.comparison.problems import Problem, draw
from engine.comparison.timing import announced
from engine.losses import Compiled, Huber, Loss, Quantile, Tweedie
from engine.network import Network
from engine.training.result import TrainResult
from engine.training.trainer import train

SECONDS_PER_TIMING = 0.02
PROBLEM = Problem((20, 16, 1), 1000, 200, "identity")
EPOCHS = 200  # in a call; beside them what a call does once is little
SAME_COST = {"float32": 1e-4, "float64": 1e-10}  # relative, of the built-in loss and its copy


def huber(z: float, y: float) -> tuple[float, float]:
    """Huber's loss with delta 1, as a user would write it: the cost, and its derivative."""
    e = z - y
    if abs(e) <= 1:
        return 0.5 * e * e, e
    return abs(e) - 0.5, 1.0 if e > 0 else -1.0


BUILT_IN, COPY = "huber", "Compiled (huber)"


def losses_of(output: str) -> dict[str, Loss]:
    """By name, the default of these output units first."""
    if output == "exp":
        return {"poisson": Loss("poisson"), "gamma": Loss("gamma"), "tweedie": Tweedie(1.5)}
    return {
        "squared_error": Loss("squared_error"),
        "absolute_error": Loss("absolute_error"),
        BUILT_IN: Huber(1.0),
        COPY: Compiled(huber),
        "quantile": Quantile(0.9),
    }


class LossEntry(TypedDict, total=False):
    """One loss."""

    us: timing.Spread  # an epoch
    ratio: timing.Spread  # its time / that of the base
    to_built_in: timing.Spread  # of the user's own: its time / that of the built-in one
    void: str


class LossRow(TypedDict):
    """The losses of one kind of output units in one dtype; `base` is their default."""

    output: str
    dtype: str
    base: str
    entries: dict[str, LossEntry]


def time_losses(
    dtypes: Sequence[str], outputs: Sequence[str], rounds: int, n_threads: int
) -> list[LossRow]:
    """All losses of the output units, in turns, in every dtype."""
    wanted = [(f"losses: {o} {dtype}", (o, dtype)) for o in outputs for dtype in dtypes]
    return [
        compare_losses(losses_of(output), output, dtype, rounds, n_threads)
        for output, dtype in announced(wanted)
    ]


def compare_losses(
    losses: dict[str, Loss], output: str, dtype: str, rounds: int, n_threads: int
) -> LossRow:
    """An epoch of each; the user's own counts only if it comes to the built-in one's cost."""
    rows, answers = draw(PROBLEM, dtype)
    y = np.exp(answers) if output == "exp" else answers
    acts = {
        name: partial(
            train,
            Network(PROBLEM.sizes, output=output, loss=loss),
            rows.T,
            y,
            solver="adam",
            batch_size=PROBLEM.batch_size,
            max_iter=EPOCHS,
            n_threads=n_threads,
        )
        for name, loss in losses.items()
    }
    costs = {name: act().cost for name, act in acts.items()}
    calls = timing.repeats(min(map(timing.seconds, acts.values())), SECONDS_PER_TIMING)
    several = {name: timing.several(act, calls) for name, act in acts.items()}
    seconds = timing.in_turns(several, rounds)
    base = next(iter(losses))
    entries = {
        name: LossEntry(
            us=timing.spread(timing.per_unit(times, 1e-6 * calls * EPOCHS)),
            ratio=timing.ratio(times, to=seconds[base]),
        )
        for name, times in seconds.items()
    }
    if COPY in entries:
        off = abs(costs[COPY] - costs[BUILT_IN])
        if off <= SAME_COST[dtype] * costs[BUILT_IN]:
            entries[COPY]["to_built_in"] = timing.ratio(seconds[COPY], to=seconds[BUILT_IN])
        else:
            reason = f"cost {costs[COPY]:.6g}, not {costs[BUILT_IN]:.6g}"
            entries[COPY] = LossEntry(void=reason)
    return LossRow(output=output, dtype=dtype, base=base, entries=entries)


SOLVERS = ("lm", "adam", "gd")
STEPS = 200


class CallRow(TypedDict):
    """A solver's calls on 1-5-1 with 41 samples, in microseconds."""

    solver: str
    steps: int  # of the long calls
    one_step: timing.Spread  # a call of one step
    step: timing.Spread  # a further step
    told: timing.Spread  # a further step, of which a callback is told


def compare_call(solver: str, rounds: int, n_threads: int) -> CallRow:
    """A call of one step, and longer calls with and without a callback, in turns.

    What a further step takes is the difference to the call of one step, in the same round.
    """
    X = np.linspace(-1, 1, 41)[np.newaxis]
    network = Network((1, 5, 1), output="identity")
    # Noise, so that "lm" does not run into a minimum where it would stop.
    y = np.sin(3 * X[0]) + 0.1 * np.random.default_rng(0).standard_normal(41)
    theta = network.initial_parameters(0)
    call: Callable[..., TrainResult] = partial(
        train, network, X, y, solver=solver, theta=theta, n_threads=n_threads
    )
    n_steps = call(max_iter=STEPS).n_iter

    def ignore(iteration: Any) -> None:
        pass

    acts: dict[str, Callable[[], Any]] = {
        "one": partial(call, max_iter=1),
        "many": partial(call, max_iter=n_steps),
        "told": partial(call, max_iter=n_steps, callback=ignore),
    }
    calls = {}
    for name, act in acts.items():
        act()
        calls[name] = timing.repeats(timing.seconds(act), SECONDS_PER_TIMING)
    several = {name: timing.several(act, calls[name]) for name, act in acts.items()}
    found = timing.in_turns(several, rounds)
    us = {name: timing.per_unit(times, 1e-6 * calls[name]) for name, times in found.items()}
    return CallRow(
        solver=solver,
        steps=n_steps,
        one_step=timing.spread(us["one"]),
        step=_further(us["many"], us["one"], n_steps),
        told=_further(us["told"], us["one"], n_steps),
    )


def _further(many: Sequence[float], one: Sequence[float], n_steps: int) -> timing.Spread:
    extra = [more - less for more, less in zip(many, one, strict=True)]
    return timing.spread(timing.per_unit(extra, n_steps - 1))
