"""A third neural network: the tables of EQUATIONS.md, literally, at 40 digits and more.

The careful formulas of the package and of ``oracle`` exist because float64 rounds.  Here nothing
rounds that matters, so the formulas are the naive ones: the cost of a unit comes from its a, by
logs, and the derivative is a difference quotient.  Whoever reads this beside the table can see
that they agree; the tests then compare the careful formulas with this.  It imports nothing from
the package ``engine``, nor from ``oracle``.

Precision.  A sigmoid unit at z = 100 has 1 - a = 4e-44, which 40 digits round to 0.  So the digits
worked with are 50 and as many more as the largest |z| in the network can cancel, 2 |z| / log 10:
8736 digits for |z| = 1e4, which takes hundredths of a second per unit; |z| = 1e5 takes a second.

Layout: X is n_0 rows of m numbers, one sample per column, Y n_L rows of m; theta is flat, layer by
layer, W row by row and then b.  Arguments are only iterated, so lists and numpy arrays both do;
each number must convert to float, and that float is taken exactly.  The results are mpf of 40
digits; arithmetic on them is done in the caller's precision (15 digits unless set), but a
difference of two of them, or of one and a float, is exact before it is rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from mpmath import mp

Vector = Iterable[float]
Matrix = Iterable[Iterable[float]]
Number = Any  # an mpf: mpmath has no type annotations
Numbers = list[Number]
Loss = tuple[str, Sequence[float]]  # its name and its numbers

DIGITS = 40  # of a result
WORKING_DIGITS = 50  # with no unit saturated
STEP_DIGITS = 12  # the step of a difference is 10^-12


def _numbers(vector: Vector) -> Numbers:
    """The numbers of a vector, each float exactly (53 bits are fewer than 50 digits)."""
    return [mp.mpf(float(number)) for number in vector]


def _columns(rows: Matrix, n: int) -> list[Numbers]:
    """The columns of a matrix of n rows."""
    matrix = [_numbers(row) for row in rows]
    if len(matrix) != n:
        raise ValueError(f"expected {n} rows, not {len(matrix)}")
    return [list(column) for column in zip(*matrix, strict=True)]


def _hidden_unit(name: str, z: Number) -> Number:
    """g(z), first table."""
    if name == "tanh":
        return mp.tanh(z)
    if name == "sigmoid":
        return 1 / (1 + mp.exp(-z))
    if name == "relu":
        return max(mp.zero, z)
    if name == "identity":
        return z
    raise ValueError(f"unknown hidden activation {name}")


def _output_units(name: str, z: Numbers) -> Numbers:
    """a of the output units of a sample; mpf has room for e^(1e4), so nothing is taken out."""
    if name == "softmax":
        total = mp.fsum(mp.exp(z_j) for z_j in z)
        return [mp.exp(z_j) / total for z_j in z]
    if name == "sigmoid":
        return [1 / (1 + mp.exp(-z_j)) for z_j in z]
    if name == "exp":
        return [mp.exp(z_j) for z_j in z]
    if name == "identity":
        return z
    raise ValueError(f"unknown output {name}")


DEFAULT = {
    "sigmoid": "cross_entropy",
    "softmax": "softmax",
    "identity": "squared_error",
    "exp": "poisson",
}


def unit_cost(name: str, number: Number, a: Number, y: Number, width: Number = mp.zero) -> Number:
    """One unit's term of J_i, second and third table, by the name of its loss.

    A term with the factor y = 0 is 0, whatever log a.  Within `width` of the target, a kink is the
    parabola that meets both of its lines at their slopes.
    """
    e = a - y
    if name in ("absolute_error", "quantile"):
        above, below = (mp.one, mp.one) if name == "absolute_error" else (1 - number, number)
        if abs(e) < width:
            steep, tilt = (above + below) / (4 * width), (above - below) / 2
            return steep * e**2 + tilt * e + (above * width - steep * width**2 - tilt * width)
        return above * e if e > 0 else -below * e
    if name == "huber":
        return e**2 / 2 if abs(e) <= number else number * (abs(e) - number / 2)
    if name == "gamma":
        return y / a - mp.log(y / a) - 1
    if name == "tweedie":
        p = number
        of_y = y ** (2 - p) / ((1 - p) * (2 - p)) - y * a ** (1 - p) / (1 - p) if y != 0 else 0
        return of_y + a ** (2 - p) / (2 - p)
    if name == "cross_entropy":
        lit = y * mp.log(a) if y != 0 else mp.zero
        unlit = (1 - y) * mp.log(1 - a) if y != 1 else mp.zero
        return -(lit + unlit)
    if name == "softmax":
        return -y * mp.log(a) if y != 0 else mp.zero
    if name == "squared_error":
        return e**2 / 2
    if name != "poisson":
        raise ValueError(f"unknown loss {name}")
    return (y * mp.log(y / a) if y != 0 else mp.zero) - y + a


def unit_slope(name: str, number: Number, a: Number, y: Number, width: Number = mp.zero) -> Number:
    """One unit's dz, third table, by the name of its loss."""
    e = a - y
    if name in ("absolute_error", "quantile"):
        above, below = (mp.one, mp.one) if name == "absolute_error" else (1 - number, number)
        if abs(e) < width:
            return (above + below) / 2 * e / width + (above - below) / 2
        return mp.zero if e == 0 else (above if e > 0 else -below)
    if name == "huber":
        return max(-number, min(number, e))
    if name == "gamma":
        return 1 - y / a
    if name == "tweedie":
        return a ** (2 - number) - (y * a ** (1 - number) if y != 0 else 0)
    return e


def unit_curvature(
    name: str, number: Number, a: Number, y: Number, width: Number = mp.zero
) -> Number:
    """One unit's h, third table, by the name of its loss; "softmax" has a."""
    size = abs(a - y)
    return {
        "absolute_error": lambda: 1 / max(size, width),
        "quantile": lambda: mp.one / 2 / max(size, width),
        "huber": lambda: mp.one if size <= number else number / size,
        "gamma": lambda: mp.one,
        "tweedie": lambda: a ** (2 - number),
        "cross_entropy": lambda: a * (1 - a),
        "softmax": lambda: a,
        "squared_error": lambda: mp.one,
        "poisson": lambda: a,
    }[name]()


class _Network:
    """The arguments of ``cost``, as mpf; theta alone is still to vary."""

    def __init__(
        self,
        sizes: Sequence[int],
        hidden: Sequence[str],
        output: str,
        X: Matrix,
        Y: Matrix,
        sample_weight: Vector | None,
        alpha: float,
        loss: Loss | None,
    ) -> None:
        if len(hidden) != len(sizes) - 2:
            raise ValueError(f"sizes {tuple(sizes)} take {len(sizes) - 2} hidden activations")
        self.sizes, self.hidden, self.output = sizes, hidden, output
        self.inputs = _columns(X, sizes[0])
        rows = [list(row) for row in Y]  # a single row is the target of every output unit
        self.targets = _columns(rows * sizes[-1] if len(rows) == 1 else rows, sizes[-1])
        self.loss, given = (DEFAULT[output], ()) if loss is None else loss
        numbers = _numbers(given) or [mp.zero]
        self.numbers = numbers if len(numbers) == sizes[-1] else numbers * sizes[-1]
        m = len(self.inputs)
        self.weights = [mp.one] * m if sample_weight is None else _numbers(sample_weight)
        self.alpha = mp.mpf(float(alpha))
        if not m == len(self.targets) == len(self.weights):
            raise ValueError("X, Y and sample_weight differ in their number of samples")

    def pre_activations(self, theta: Numbers, x: Numbers) -> list[Numbers]:
        """z of every layer for one sample."""
        n_parameters = sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.sizes))
        if len(theta) != n_parameters:
            raise ValueError(f"sizes take {n_parameters} parameters, theta has {len(theta)}")
        z_of_layers: list[Numbers] = []
        a = x
        p = 0
        for index, n_out in enumerate(self.sizes[1:]):
            n_in = len(a)
            b = theta[p + n_out * n_in : p + n_out * n_in + n_out]
            z = [b[j] + mp.fdot(theta[p + j * n_in : p + (j + 1) * n_in], a) for j in range(n_out)]
            p += n_out * n_in + n_out
            z_of_layers.append(z)
            if index < len(self.hidden):
                a = [_hidden_unit(self.hidden[index], z_j) for z_j in z]
        return z_of_layers

    def squared_weights(self, theta: Numbers) -> Number:
        """sum_l ||W[l]||^2."""
        total = mp.zero
        p = 0
        for n_in, n_out in pairwise(self.sizes):
            total += mp.fsum(theta[p : p + n_out * n_in], squared=True)
            p += n_out * n_in + n_out
        return total

    def cost(self, theta: Numbers) -> Number:
        """J, in whatever precision is set."""
        total = mp.zero
        for x, y, s in zip(self.inputs, self.targets, self.weights):
            a = _output_units(self.output, self.pre_activations(theta, x)[-1])
            of_units = zip(self.numbers, a, y, strict=True)
            total += s * mp.fsum(unit_cost(self.loss, *each) for each in of_units)
        return (total + self.alpha / 2 * self.squared_weights(theta)) / mp.fsum(self.weights)

    def digits(self, theta: Numbers) -> int:
        """The digits to work with: enough for 1 - a = e^-2|z| to have WORKING_DIGITS of its own."""
        layers = [z for x in self.inputs for z in self.pre_activations(theta, x)]
        largest = max(abs(z_j) for z in layers for z_j in z)
        return WORKING_DIGITS + int(mp.ceil(2 * largest / mp.log(10)))


def _rounded(number: Number) -> Number:
    """The number to DIGITS digits."""
    with mp.workdps(DIGITS):
        return +number


def cost(
    theta: Vector,
    sizes: Sequence[int],
    hidden: Sequence[str],
    output: str,
    X: Matrix,
    Y: Matrix,
    sample_weight: Vector | None = None,
    alpha: float = 0,
    loss: Loss | None = None,
) -> Number:
    """J as an mpf of 40 digits."""
    with mp.workdps(WORKING_DIGITS):
        point = _numbers(theta)
        network = _Network(sizes, hidden, output, X, Y, sample_weight, alpha, loss)
        digits = network.digits(point)
    with mp.workdps(digits):
        return _rounded(network.cost(point))


def directional_derivative(
    theta: Vector,
    direction: Vector,
    sizes: Sequence[int],
    hidden: Sequence[str],
    output: str,
    X: Matrix,
    Y: Matrix,
    sample_weight: Vector | None = None,
    alpha: float = 0,
    loss: Loss | None = None,
) -> Number:
    """d/dt J(theta + t direction) at t = 0, as an mpf.  (The direction is not normalised.)

    The four-point central difference with h = 1e-12.  Its error is h^4/30 times the fifth
    derivative along the direction, 3e-50 of that, and rounding, 10^-WORKING_DIGITS of J since
    12 more digits are worked with: for numbers of ordinary size far below the 40 digits returned.

    Not at a relu's kink: with a z within 2e-12 of 0 the quotient mixes the two slopes, and at z = 0
    exactly (a zero bias and a zero input, say) gives their mean where the equations take 0.
    """
    with mp.workdps(WORKING_DIGITS):
        point, along = _numbers(theta), _numbers(direction)
        if len(point) != len(along):
            raise ValueError(f"direction has {len(along)} components, theta {len(point)}")
        network = _Network(sizes, hidden, output, X, Y, sample_weight, alpha, loss)
        digits = network.digits(point) + STEP_DIGITS
    with mp.workdps(digits):
        h = mp.mpf(10) ** -STEP_DIGITS

        def at(steps: int) -> Number:
            return network.cost([t + steps * h * d for t, d in zip(point, along)])

        return _rounded((8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h))
