"""How far the functions of engine/equations/elementary.py are from the truth, and how fast.

    python -m tests.elementary_sweep    prints the tables of docs/elementary.md; takes minutes

Errors are in units in the last place (ulp) of the true value. For float32 the truth is NumPy's
float64, over bit patterns; for float64 it is mpmath's, at points chosen to be hard.
"""

import math
import timeit
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numba
import numpy as np
from mpmath import mp

from engine.compiler.jit import OPTIONS, jit
from engine.equations import elementary

BLOCK = 1 << 15  # numbers worked on at a time; they stay in the second-level cache
PATTERNS = 1 << 32
MP_BITS = 120


@jit
def exp_loop(x, y):
    for i in range(x.size):
        y[i] = elementary.exp(x[i])


@jit
def tanh_loop(x, y):
    for i in range(x.size):
        y[i] = elementary.tanh(x[i])


@jit
def sigmoid_loop(x, y):
    for i in range(x.size):
        y[i] = elementary.sigmoid(x[i])


@jit
def log_loop(x, y):
    for i in range(x.size):
        y[i] = elementary.log(x[i])


@jit
def log1p_loop(x, y):
    for i in range(x.size):
        y[i] = elementary.log1p(x[i])


@jit
def log1p_exp_minus_abs_loop(x, y):
    for i in range(x.size):
        y[i] = elementary.log1p_exp_minus_abs(x[i])


class Case(NamedTuple):
    """A function, and the same by NumPy and by mpmath."""

    plain: Callable[..., Any]
    loop: Any  # compiled
    numpy: Callable[..., Any]
    mpmath: Callable[..., Any]
    hardest: tuple[float, float]  # where errors are largest
    lowest: float = -math.inf  # where its domain begins
    direction: int = 1  # it rises, or falls (-1); where it is even, with |z|
    even: bool = False


CASES = {
    "exp": Case(elementary.exp, exp_loop, np.exp, mp.exp, (-1, 1)),
    "tanh": Case(elementary.tanh, tanh_loop, np.tanh, mp.tanh, (0.15, 0.6)),
    "sigmoid": Case(
        elementary.sigmoid,
        sigmoid_loop,
        lambda z: 1 / (1 + np.exp(-z)),
        lambda z: 1 / (1 + mp.exp(-z)),
        (-40, -33),
    ),
    "log": Case(elementary.log, log_loop, np.log, mp.log, (0.69, 0.72), lowest=0),
    "log1p": Case(elementary.log1p, log1p_loop, np.log1p, mp.log1p, (0.4, 0.46), lowest=0),
    "log1p_exp_minus_abs": Case(
        elementary.log1p_exp_minus_abs,
        log1p_exp_minus_abs_loop,
        lambda z: np.log1p(np.exp(-np.abs(z))),
        lambda z: mp.log1p(mp.exp(-abs(z))),
        (0.6, 0.9),
        direction=-1,
        even=True,
    ),
}


def computed(case: Case, x: Any) -> Any:
    """The function at each of many numbers, by the loop: in vectors, where it is compiled."""
    y = np.empty_like(x)
    case.loop(x, y)
    return y


class Worst(NamedTuple):
    """The largest error, in ulp, and where it is; infinite where a result should not be finite."""

    ulp: float
    x: float


def worst_of(errors: Any, x: Any) -> Worst:
    i = int(np.argmax(errors))
    return Worst(float(errors[i]), float(x[i]))


def ulps_float32(y: Any, true: Any) -> Any:
    """|y - true| in ulp, for float32 results and their true values in float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = true.astype(np.float32)
        errors = np.abs(y - true) / np.spacing(np.abs(rounded))
    beyond = ~np.isfinite(rounded)
    agree = (y == rounded) | (np.isnan(y) & np.isnan(rounded))
    errors[beyond] = np.where(agree[beyond], 0, np.inf)
    return np.where(np.isnan(errors), np.inf, errors)


def float32_blocks(case: Case, first: int, step: int, stop: int = PATTERNS) -> Iterator[Any]:
    """The float32 whose bit patterns are first, first + step, ...; the domain only, and NaNs."""
    for start in range(first, stop, step * BLOCK):
        patterns = np.arange(start, min(start + step * BLOCK, stop), step, dtype=np.uint64)
        x = patterns.astype(np.uint32).view(np.float32)
        inside = x[~(x < case.lowest)]
        if inside.size:
            yield inside


def worst_float32(case: Case, blocks: Any) -> Worst:
    """The worst error over arrays of float32."""
    worst = Worst(-1.0, math.nan)
    for x in blocks:
        with np.errstate(all="ignore"):
            # All patterns, signalling NaNs among them: plain Python warns of these.
            y, true = computed(case, x), case.numpy(x.astype(np.float64))
        worst = max(worst, worst_of(ulps_float32(y, true), x))
    return worst


def worst_float64(case: Case, x: Any) -> Worst:
    """The worst error at float64 numbers, against mpmath."""
    errors = np.zeros(x.size)
    with mp.workprec(MP_BITS):
        for i, y in enumerate(computed(case, x)):
            true = case.mpmath(mp.mpf(float(x[i])))
            nearest = float(true)
            if math.isfinite(nearest) and math.isfinite(y):
                errors[i] = float(abs(mp.mpf(float(y)) - true) / math.ulp(nearest))
            else:
                errors[i] = 0 if y == nearest else math.inf
    return worst_of(errors, x)


def neighbours(x: Any, reach: int = 3) -> Any:
    """Each number and those next to it in the dtype."""
    found = [x]
    with np.errstate(over="ignore"):
        for towards in (-np.inf, np.inf):
            near = x
            for _ in range(reach):
                near = np.nextafter(near, x.dtype.type(towards))
                found.append(near)
    return np.unique(np.concatenate(found))


def edges(case: Case, dtype: Any) -> Any:
    """Numbers around all places where the computation changes its ways, or the result its kind."""
    info = np.finfo(dtype)
    log = np.log(2.0)
    bounds = [0, 1, info.tiny, info.max, info.smallest_subnormal, np.sqrt(2) - 1, info.max / 1024]
    bounds += [10, 20, 40, info.maxexp * log, -(info.minexp - info.nmant - 1) * log]
    bounds += [-info.minexp * log, 88.72283, 709.782712893384, 105, 746]
    reductions = np.arange(1, 40) * log / 2
    roots = np.sqrt(0.5) * 2.0 ** np.arange(-30, 30)
    with np.errstate(over="ignore"):
        x = np.concatenate([bounds, reductions, roots, 2.0 ** np.arange(-30, 30)]).astype(dtype)
    x = neighbours(x)
    x = np.concatenate([x, -x])
    return x[np.isfinite(x) & (x >= case.lowest)]


def spread(case: Case, dtype: Any, count: int, seed: int) -> Any:
    """Numbers of all sizes, more of them where the function is neither flat nor straight."""
    info = np.finfo(dtype)
    rng = np.random.default_rng(seed)
    longest = (info.maxexp + info.nmant) * math.log(2)
    ranges = [case.hardest, (-3, 3), (-40, 40), (-longest, longest)]
    x = [rng.uniform(low, high, count // 5) for low, high in ranges]
    exponents = rng.uniform(info.minexp - info.nmant, info.maxexp, count // 5)
    x.append(np.exp2(exponents) * rng.choice([-1, 1], count // 5))
    numbers = np.concatenate(x).astype(dtype)
    return np.abs(numbers) if case.lowest == 0 else numbers


def wrong_way(case: Case, lower: Any, upper: Any) -> Any:
    """Those of lower <= upper between which the function goes the wrong way."""
    below, above = computed(case, lower), computed(case, upper)
    return lower[above < below if case.direction > 0 else above > below]


def c_library_loop(case: Case) -> Any:
    """The loop as Numba compiles NumPy's functions: a call of the C library for each number."""
    function = case.numpy
    if not isinstance(function, np.ufunc):
        function = numba.njit(**OPTIONS)(function)

    @numba.njit(**OPTIONS)
    def loop(x, y):
        for i in range(x.size):
            y[i] = function(x[i])

    return loop


def speed(case: Case, dtype: Any, rounds: int = 15) -> list[float]:
    """Nanoseconds a number of our loop, and how many times as long NumPy and the C library take."""
    x = np.linspace(0.01 if case.lowest == 0 else -6, 8, 4096).astype(dtype)
    y = np.empty_like(x)
    library = c_library_loop(case)
    contenders = (lambda: case.loop(x, y), lambda: case.numpy(x), lambda: library(x, y))
    for contender in contenders:
        contender()
    turns = [[timeit.timeit(f, number=200) for f in contenders] for _ in range(rounds)]
    times = np.array(turns) / 200 / x.size * 1e9
    ratios = np.median(times[:, 1:] / times[:, :1], axis=0)
    return [float(np.median(times[:, 0])), *map(float, ratios)]


def main() -> None:
    print("| function | float32: worst ulp | at | float64: worst ulp | at |")
    print("|---|---|---|---|---|")
    for name, case in CASES.items():
        single = worst_float32(case, float32_blocks(case, 0, 1))
        hard = np.concatenate([spread(case, np.float64, 500_000, 0), edges(case, np.float64)])
        double = worst_float64(case, hard)
        cells = f"{single.ulp:.2f} | {single.x:.8g} | {double.ulp:.2f} | {double.x:.6g}"
        print(f"| `{name}` | {cells} |", flush=True)
    print("\n| function | float32: ns | NumPy / ours | C / ours | float64: ns | ... | ... |")
    print("|---|---|---|---|---|---|---|")
    for name, case in CASES.items():
        found = speed(case, np.float32) + speed(case, np.float64)
        print(f"| `{name}` | {' | '.join(f'{x:.2f}' for x in found)} |", flush=True)


if __name__ == "__main__":
    main()
