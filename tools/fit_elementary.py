"""Fit the polynomials of engine/equations/elementary.py, and write elementary_coefficients.py.

    python tools/fit_elementary.py           writes the file
    python tools/fit_elementary.py --check   only says whether it is what would be written

The method is Remez' exchange, in 40 digits: the polynomial whose largest weighted error is least is
the one whose error reaches that size, with alternating sign, at one point more than it has
coefficients (Muller, Elementary Functions, 3rd ed. 2016, chapter 3). The weight turns the error of
the polynomial into the relative error of the function it serves. Coefficients are then rounded to
the dtype one after the other, lowest power first, and after each the rest are fitted anew, so that
they make up for its rounding.

How many coefficients: the fewest that leave a relative error of about a third of 2^-24 (float32) or
2^-53 (float64), which is less than one rounding of the evaluation. In these units:

    polynomial       coefficients  error    with one less   with one more
    EXPM1  float32    5            0.35        7.6          0.01
    EXPM1  float64   10            0.35       71            0.10
    LOG1P  float32    9            0.09        0.56         0.11
    ATANH  float64    7            0.01        1.7          0.00
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp

Number = Any  # an mpf: mpmath has no type annotations
Function = Callable[[Number], Number]

TARGET = Path(__file__).parents[1] / "engine" / "equations" / "elementary_coefficients.py"
DIGITS = 40
EXCHANGES = 12  # it settles after three to six
GRID = 500  # points at which the error is looked at


class Fit(NamedTuple):
    """A polynomial for `function` on [low, high]; weight(x) times its error is what counts."""

    function: Function
    weight: Function
    low: Number
    high: Number


def grid(low: Number, high: Number) -> list[Number]:
    """Points that lie closer together towards the ends; none at 0, where quotients are 0/0."""
    angles = [mp.pi * (i + mp.mpf("0.5")) / GRID for i in range(GRID)]
    return [(low + high) / 2 - (high - low) / 2 * mp.cos(angle) for angle in angles]


def extrema(errors: list[Number], count: int) -> list[int]:
    """Where the error is largest between changes of its sign: `count` places side by side."""
    places: list[int] = []
    for i, error in enumerate(errors):
        if places and mp.sign(errors[places[-1]]) == mp.sign(error):
            if abs(error) > abs(errors[places[-1]]):
                places[-1] = i
        else:
            places.append(i)
    while len(places) > count:
        places.pop(0 if abs(errors[places[0]]) < abs(errors[places[-1]]) else -1)
    return places


def minimax(
    values: list[Number], weights: list[Number], points: list[Number], n: int
) -> list[Number]:
    """The n coefficients with the least largest weighted error."""
    places = [round((i + 0.5) * len(points) / (n + 1)) for i in range(n + 1)]
    best: list[Number] = []
    least = mp.inf
    for _ in range(EXCHANGES):
        rows = [
            [points[p] ** j for j in range(n)] + [(-1) ** i / weights[p]]
            for i, p in enumerate(places)
        ]
        solution = mp.lu_solve(mp.matrix(rows), mp.matrix([values[p] for p in places]))
        c = list(solution)[:n]
        errors = weighted_errors(c, values, weights, points)
        if max(map(abs, errors)) < least:
            best, least = c, max(map(abs, errors))
        exchanged = extrema(errors, n + 1)
        if exchanged == places:
            break
        places = exchanged
    return best


def weighted_errors(
    c: list[Number], values: list[Number], weights: list[Number], points: list[Number]
) -> list[Number]:
    """weight (polynomial - value) at each point."""
    return [
        w * (mp.polyval(c[::-1], x) - v) for x, v, w in zip(points, values, weights, strict=True)
    ]


def rounded_fit(fit: Fit, n: int, dtype: type) -> tuple[list[float], float]:
    """n coefficients, each a number of `dtype`, and the largest weighted error they leave."""
    points = grid(fit.low, fit.high)
    values = [fit.function(x) for x in points]
    weights = [fit.weight(x) for x in points]
    left, heights, rounded = values, weights, []
    for power in range(n):
        c = minimax(left, heights, points, n - power)[0]
        rounded.append(float(dtype(float(c))))
        # What is left is fitted as c_1 + c_2 x + ...: without the division by x, the signs of the
        # error would no longer alternate across 0.
        left = [(v - mp.mpf(rounded[-1])) / x for x, v in zip(points, left, strict=True)]
        heights = [w * abs(x) for x, w in zip(points, heights, strict=True)]
    errors = weighted_errors([mp.mpf(c) for c in rounded], values, weights, points)
    return rounded, float(max(map(abs, errors)))


def taken_from_expm1(r: Number) -> Number:
    """(e^r - 1 - r) / r^2"""
    return (mp.expm1(r) - r) / r**2


def taken_from_log1p(f: Number) -> Number:
    """(log(1 + f) - f + f^2/2) / f^3"""
    return (mp.log1p(f) - f + f**2 / 2) / f**3


def taken_from_atanh(w: Number) -> Number:
    """(2 atanh s - 2 s) / s^3 with s^2 = w"""
    s = mp.sqrt(w)
    return 2 * (mp.atanh(s) - s) / s**3


def fits() -> dict[str, tuple[Fit, int, type]]:
    """Each polynomial with the number of its coefficients and their dtype."""
    half_step = mp.log(2) / 2 * (1 + mp.mpf(2) ** -10)  # a little over, as k x is rounded
    low, high = mp.sqrt(0.5) - 1, mp.sqrt(2) - 1
    expm1 = Fit(taken_from_expm1, lambda r: r**2 / abs(mp.expm1(r)), -half_step, half_step)
    log1p = Fit(taken_from_log1p, lambda f: f**3 / mp.log1p(f), low, high)
    largest_w = (high / (2 + high)) ** 2
    atanh = Fit(taken_from_atanh, lambda w: w / 2, mp.zero, largest_w)
    return {
        "EXPM1_FLOAT32": (expm1, 5, np.float32),
        "EXPM1_FLOAT64": (expm1, 10, np.float64),
        "LOG1P_FLOAT32": (log1p, 9, np.float32),
        "ATANH_FLOAT64": (atanh, 7, np.float64),
    }


def ln2_in_two(dtype: type, bits: int) -> list[float]:
    """ln 2 = high + low, high with so few bits that k high is exact for every exponent k."""
    high = mp.floor(mp.log(2) * 2**bits) / mp.mpf(2) ** bits
    return [float(high), float(dtype(float(mp.log(2) - high)))]


HEADER = '''"""Numbers that engine/equations/elementary.py computes with. Generated: do not edit.

Written by `python tools/fit_elementary.py`, which says how; a test holds that it still writes this.
"""

import numpy as np
'''

MEANING = {
    "LN2": "ln 2 = high + low; k high is exact for the exponent k of any number",
    "EXPM1": "e^r - 1 = r + r^2 (c_0 + c_1 r + ...), |r| <= ln(2)/2",
    "TANH": "(1 - e^-2r)/2 = r + r^2 (c_0 + c_1 r + ...), |r| <= ln(2)/4; from EXPM1",
    "LOG1P": "log(1 + f) = f - f^2/2 + f^3 (c_0 + c_1 f + ...), 1/sqrt(2) <= 1 + f <= sqrt(2)",
    "ATANH": "2 atanh s = 2 s + s^3 (c_0 + c_1 s^2 + ...), |s| <= 3 - 2 sqrt(2)",
}


def tables() -> dict[str, tuple[list[float], type]]:
    """Name, numbers and dtype of all that is written."""
    made: dict[str, tuple[list[float], type]] = {
        "LN2_FLOAT32": (ln2_in_two(np.float32, 15), np.float32),
        "LN2_FLOAT64": (ln2_in_two(np.float64, 41), np.float64),
    }
    for name, (fit, n, dtype) in fits().items():
        made[name] = (rounded_fit(fit, n, dtype)[0], dtype)
    for suffix in ("FLOAT32", "FLOAT64"):
        c, dtype = made[f"EXPM1_{suffix}"]
        # Powers of two, so that nothing is rounded again.
        made[f"TANH_{suffix}"] = ([(-2.0) ** (n + 1) * c_n for n, c_n in enumerate(c)], dtype)
    return made


def source() -> str:
    """The text of elementary_coefficients.py."""
    made = tables()
    lines = [HEADER]
    for group, meaning in MEANING.items():
        lines.append(f"# {meaning}")
        for name in sorted(name for name in made if name.startswith(group)):
            numbers, dtype = made[name]
            call = f"np.{dtype.__name__}"
            lines.append(f"{name} = (")
            lines += [f"    {call}({dtype(number)!s})," for number in numbers]
            lines.append(")")
        lines.append("")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    with mp.workdps(DIGITS):
        text = source()
    if arguments == ["--check"]:
        return int(TARGET.read_text(encoding="utf-8") != text)
    TARGET.write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
