"""A second neural network, written only to be compared with the first.

The tests ask whether the package computes what EQUATIONS.md says.  An answer is worth
something only if the thing asked is independent of the thing tested, so this module

* imports nothing from the package ``engine``, and no numpy: stdlib ``math`` and Python floats;
* takes one number at a time, one sample at a time (the package works on whole matrices);
* gets its gradient twice, neither time from hand-derived backward equations: by reverse-mode
  automatic differentiation of a graph of scalars (``gradient``), and by differences of any
  cost function at all (``gradient_by_differences``).

Speed is no aim.  Accuracy is: sums are rounded once (``math.fsum``), costs come from the
pre-activations z, and the slope of a saturated unit is computed without the cancellation of
1 - a^2 or a (1 - a), so numbers keep their relative accuracy in the tails.

Layout, as everywhere in the project: X is n_0 rows of m numbers, one sample per column; Y is
n_L rows of m; theta is flat, layer by layer, W row by row (n_out x n_in) and then b.
Arguments are only iterated, so numpy arrays do as well as lists.  A loss is its name and its
numbers, such as ("huber", [1.5]) or ("quantile", [0.1, 0.9]), one number for all output units or
one for each; ``None`` is the loss that belongs to the output unit.  Several output units with one
row of targets share it.  Indices: i a sample, j a unit
of the layer, k a unit of the layer below.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, count, pairwise
from typing import TypeVar

Vector = Iterable[float]
Matrix = Iterable[Iterable[float]]
T = TypeVar("T")
Layers = list[tuple[list[list[T]], list[T]]]

Loss = tuple[str, Sequence[float]]

HIDDEN = ("tanh", "sigmoid", "relu", "identity")
OUTPUT = ("sigmoid", "softmax", "identity", "exp")
# The losses of each output unit, the one that belongs to it first.
LOSSES = {
    "sigmoid": ("cross_entropy",),
    "softmax": ("cross_entropy",),
    "identity": ("squared_error", "absolute_error", "huber", "quantile"),
    "exp": ("poisson", "gamma", "tweedie"),
}


# Numbers


def _exp(z: float) -> float:
    """e^z, with inf where math.exp raises."""
    try:
        return math.exp(z)
    except OverflowError:
        return math.inf


def _sum(terms: Iterable[float]) -> float:
    """The sum rounded once; inf or nan, as plain addition has it, where math.fsum raises."""
    terms = list(terms)
    try:
        return math.fsum(terms)
    except (OverflowError, ValueError):
        return sum(terms)


def _times(factor: float, number: float) -> float:
    """The product, with 0 x inf = 0: a term that does not count does not make the sum nan."""
    return factor * number if factor else 0.0


def _sigmoid(z: float) -> float:
    """1 / (1 + e^-z), relatively accurate in both tails."""
    small = math.exp(-abs(z))
    return (1.0 if z >= 0.0 else small) / (1.0 + small)


def _softplus(z: float) -> float:
    """log(1 + e^z): what a sigmoid unit costs when the answer is 0; of -z when it is 1."""
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


# Parameters and data


def unpack(theta: Vector, sizes: Sequence[int]) -> Layers[float]:
    """The (W, b) of each layer, as nested lists, from the flat theta."""
    return _lay_out([float(number) for number in theta], sizes)


def _lay_out(flat: Sequence[T], sizes: Sequence[int]) -> Layers[T]:
    """``unpack`` for a flat sequence of anything."""
    layers: Layers[T] = []
    start = 0
    for n_in, n_out in pairwise(sizes):
        end_of_W = start + n_out * n_in
        W = [list(flat[row : row + n_in]) for row in range(start, end_of_W, n_in)]
        b = list(flat[end_of_W : end_of_W + n_out])
        layers.append((W, b))
        start = end_of_W + n_out
    if start != len(flat):
        raise ValueError(f"sizes {tuple(sizes)} take {start} parameters, theta has {len(flat)}")
    return layers


def _samples(rows: Matrix, n: int) -> list[list[float]]:
    """The columns of a matrix of n rows: the numbers of one sample each."""
    columns = [[float(number) for number in column] for column in zip(*rows, strict=True)]
    if any(len(column) != n for column in columns):
        raise ValueError(f"expected {n} rows")
    return columns


def _weights(sample_weight: Vector | None, m: int) -> list[float]:
    """s_i, all 1 if there are none."""
    if sample_weight is None:
        return [1.0] * m
    weights = [float(number) for number in sample_weight]
    if len(weights) != m:
        raise ValueError(f"{len(weights)} weights for {m} samples")
    return weights


def _check_names(sizes: Sequence[int], hidden: Sequence[str], output: str) -> None:
    """A test with a misspelt name must fail, not compute something else."""
    if len(hidden) != len(sizes) - 2:
        raise ValueError(f"sizes {tuple(sizes)} take {len(sizes) - 2} hidden activations")
    if not set(hidden) <= set(HIDDEN) or output not in OUTPUT:
        raise ValueError(f"unknown activation among {tuple(hidden)}, {output}")


def _loss_of(output: str, loss: Loss | None, n_out: int) -> tuple[str, list[float]]:
    """The name of the loss, and its number for each output unit (0 where it has none)."""
    name, given = (LOSSES[output][0], ()) if loss is None else loss
    if name not in LOSSES[output]:
        raise ValueError(f"{output} units have no loss {name}")
    numbers = [float(number) for number in given]
    if len(numbers) != n_out:
        numbers = (numbers or [0.0]) * n_out
    if len(numbers) != n_out:
        raise ValueError(f"{n_out} output units, {len(numbers)} numbers")
    return name, numbers


def _targets(rows: Matrix, n: int) -> list[list[float]]:
    """The targets of each sample; a single row is the target of every output unit."""
    rows = [list(row) for row in rows]
    return _samples(rows * n if len(rows) == 1 else rows, n)


def initial_radius(n_in: int, n_out: int, activation: str) -> float:
    """The r of U(-r, r), from which a layer of units with this activation is drawn."""
    if activation not in HIDDEN + OUTPUT:
        raise ValueError(f"unknown activation {activation}")
    factor = 2.0 if activation == "sigmoid" else 6.0
    return math.sqrt(factor / (n_in + n_out))


# Forward


def _activation(name: str, z: float) -> float:
    """g(z) of a hidden unit."""
    if name == "tanh":
        return math.tanh(z)
    if name == "sigmoid":
        return _sigmoid(z)
    if name == "relu":
        return max(0.0, z)
    return z


def _output_activations(name: str, z: Sequence[float]) -> list[float]:
    """The a of a sample's output units from their z."""
    if name == "softmax":
        largest = max(z)
        shares = [math.exp(z_j - largest) for z_j in z]
        return [share / _sum(shares) for share in shares]
    if name == "sigmoid":
        return [_sigmoid(z_j) for z_j in z]
    if name == "exp":
        return [_exp(z_j) for z_j in z]
    return list(z)


def _output_z(layers: Layers[float], hidden: Sequence[str], x: Sequence[float]) -> list[float]:
    """The pre-activations z of the output units for one sample x."""
    a = list(x)
    z: list[float] = []
    for index, (W, b) in enumerate(layers):
        z = [_sum([b_j, *(W_jk * a_k for W_jk, a_k in zip(W_j, a))]) for W_j, b_j in zip(W, b)]
        if index < len(hidden):
            a = [_activation(hidden[index], z_j) for z_j in z]
    return z


def forward(
    theta: Vector, sizes: Sequence[int], hidden: Sequence[str], output: str, X: Matrix
) -> list[list[float]]:
    """A[L], n_L rows of m."""
    _check_names(sizes, hidden, output)
    layers = unpack(theta, sizes)
    columns = [
        _output_activations(output, _output_z(layers, hidden, x)) for x in _samples(X, sizes[0])
    ]
    return [[column[j] for column in columns] for j in range(sizes[-1])]


# Cost


def _sample_cost(
    output: str, loss: tuple[str, list[float]], z: Sequence[float], y: Sequence[float]
) -> float:
    """J_i of one sample, from z."""
    if output == "softmax":
        return _softmax_cost(z, y)
    name, numbers = loss
    return _sum(unit_cost(name, number, z_j, y_j) for number, z_j, y_j in zip(numbers, z, y))


def unit_cost(name: str, number: float, z: float, y: float) -> float:
    """The cost of one output unit that is not softmax."""
    if name == "cross_entropy":
        return _sigmoid_cost(z, y)
    if name == "squared_error":
        return _squared_error(z, y)
    if name == "absolute_error":
        return abs(z - y)
    if name == "huber":
        e = abs(z - y)
        return 0.5 * e * e if e <= number else number * (e - 0.5 * number)
    if name == "quantile":
        return max(number * (y - z), (number - 1.0) * (y - z))
    if name == "poisson":
        return _half_deviance(z, y)
    if name == "gamma":
        return _above_its_tangent(math.log(y) - z)
    return _tweedie(number, z, y)


def _above_its_tangent(d: float) -> float:
    """e^d - 1 - d, which is never negative: to full accuracy for any d."""
    if d > 1.0:
        return _exp(d) - (1.0 + d)
    if d < -1.0:
        return math.expm1(d) - d
    return _sum(d**n / math.factorial(n) for n in range(2, 20))


def _tweedie(p: float, z: float, y: float) -> float:
    """y^(2-p)/((1-p)(2-p)) - y a^(1-p)/(1-p) + a^(2-p)/(2-p) for a = e^z.

    With d = z - log y it is y^(2-p) times the sum of t((2-p) d)/(2-p) and t(-(p-1) d)/(p-1), for
    t(x) = e^x - 1 - x: neither is negative.  Far away they may overflow where the sum does not:
    there the terms of the definition differ by much, and nothing cancels.
    """
    if y == 0.0:
        return _exp((2.0 - p) * z) / (2.0 - p)
    d = z - math.log(y)
    if abs(d) > 30.0:
        of_y = -math.pow(y, 2.0 - p) / ((p - 1.0) * (2.0 - p))
        return _sum([of_y, y * _exp(-(p - 1.0) * z) / (p - 1.0), _exp((2.0 - p) * z) / (2.0 - p)])
    above, below = _above_its_tangent((2.0 - p) * d), _above_its_tangent(-(p - 1.0) * d)
    return math.pow(y, 2.0 - p) * (above / (2.0 - p) + below / (p - 1.0))


def _sigmoid_cost(z: float, y: float) -> float:
    """max(z, 0) - y z + log1p(e^-|z|), put together so that for 0 <= y <= 1 nothing cancels.

    The differences (max(z, 0) - y z) of the usual form lose digits for a y that is near 1 but is
    not 1.  Here -log a = softplus(-z) and -log(1-a) = softplus(z) are both positive.
    """
    return _times(y, _softplus(-z)) + _times(1.0 - y, _softplus(z))


def _softmax_cost(z: Sequence[float], y: Sequence[float]) -> float:
    """-sum_j y_j log a_j.

    The largest z is left out of the sum of exponentials, being the 1 of log1p: a cost of 1e-30 is
    right to all its digits, where the log of a rounded sum 1 + 1e-30 is 0.
    """
    top = max(range(len(z)), key=lambda j: z[j])
    others = _sum(math.exp(z_j - z[top]) for j, z_j in enumerate(z) if j != top)
    log_others = math.log1p(others)
    return _sum(_times(y_j, (z[top] - z_j) + log_others) for z_j, y_j in zip(z, y))


def _squared_error(z: float, y: float) -> float:
    """Half the square of the error, a being z."""
    return 0.5 * (z - y) * (z - y)


def _half_deviance(z: float, y: float) -> float:
    """y log(y/a) - y + a for a = e^z; 0 log 0 is 0.

    With d = z - log y = log(a/y) it is y (e^d - 1 - d).  Near a = y its terms cancel, and a series
    does not; far above, e^d can overflow though a = y e^d does not.
    """
    if y == 0.0:
        return _exp(z)
    d = z - math.log(y)
    if d > 1.0:
        return _exp(z) - y * (1.0 + d)
    if d < -1.0:
        return y * (math.expm1(d) - d)
    return y * _sum(d**n / math.factorial(n) for n in range(2, 20))


def cost(
    theta: Vector,
    sizes: Sequence[int],
    hidden: Sequence[str],
    output: str,
    X: Matrix,
    Y: Matrix,
    sample_weight: Vector | None = None,
    alpha: float = 0.0,
    loss: Loss | None = None,
) -> float:
    """J: the weighted mean of the costs plus the L2 penalty, with one division by sum s."""
    _check_names(sizes, hidden, output)
    of_units = _loss_of(output, loss, sizes[-1])
    layers = unpack(theta, sizes)
    samples = _samples(X, sizes[0])
    weights = _weights(sample_weight, len(samples))
    costs = [
        _times(s, _sample_cost(output, of_units, _output_z(layers, hidden, x), y))
        for x, y, s in zip(samples, _targets(Y, sizes[-1]), weights, strict=True)
    ]
    squares = [W_jk * W_jk for W, _ in layers for W_jk in chain.from_iterable(W)]
    return _sum([*costs, _times(0.5 * float(alpha), _sum(squares))]) / _sum(weights)


# Gradient, numerically

STEP = 2.0**-12  # 2.4e-4


def gradient_by_differences(
    cost_function: Callable[[list[float]], float], theta: Vector, step: float = STEP
) -> list[float]:
    """The gradient of any function of a flat list, by central differences at h and 2 h.

    h is step * max(1, |theta_p|), rounded to a power of two.  The two differences are combined
    (Richardson) so that the h^2 error drops out: what is left is h^4/30 times the fifth derivative
    and rounding, about 1e-16 J / h.  The default balances the two.

    Measured on 1136 random networks of up to 3 hidden layers (theta from U(-1, 1), 4 samples, every
    activation and output, each component compared with one good to 5e-16): |error| / max(1,
    |component|) is at most 7e-12, median 2e-13.  A step of 2^-20 leaves 1e-9 and 5e-11.

    Where a step moves some z across the kink of its relu, the difference mixes the two slopes and
    is no use as a reference; at z = 0 it gives their mean where the equations say 0.  A smaller
    step makes that rarer.
    """
    point = [float(number) for number in theta]

    def difference(p: int, h: float) -> float:
        above, below = point.copy(), point.copy()
        above[p] += h
        below[p] -= h
        # Not 2 h: the step that was taken is what rounding has left of it.
        return (cost_function(above) - cost_function(below)) / (above[p] - below[p])

    slopes = []
    for p, number in enumerate(point):
        h = 2.0 ** round(math.log2(step * max(1.0, abs(number))))
        slopes.append((4.0 * difference(p, h) - difference(p, 2.0 * h)) / 3.0)
    return slopes


# Gradient, by automatic differentiation

_numbers = count()


class Value:
    """A number that remembers what it was computed from, and its slope in each of those.

    ``parents`` holds pairs (value, slope).  ``serial`` counts up, so a value always has a larger
    one than its parents: descending serials are an order in which to go back.
    """

    __slots__ = ("data", "parents", "serial")

    def __init__(self, data: float, parents: Sequence[tuple[Value, float]] = ()) -> None:
        self.data = data
        self.parents = parents
        self.serial = next(_numbers)

    def __mul__(self, other: Value | float) -> Value:
        if isinstance(other, Value):
            return Value(self.data * other.data, [(self, other.data), (other, self.data)])
        return Value(self.data * other, [(self, other)])

    def __add__(self, other: float) -> Value:
        return Value(self.data + other, [(self, 1.0)])

    def __neg__(self) -> Value:
        return self * -1.0

    def __sub__(self, other: Value) -> Value:
        return Value(self.data - other.data, [(self, 1.0), (other, -1.0)])

    def exp(self) -> Value:
        e = _exp(self.data)
        return Value(e, [(self, e)])

    def log1p(self) -> Value:
        return Value(math.log1p(self.data), [(self, 1.0 / (1.0 + self.data))])

    def softplus(self) -> Value:
        return Value(_softplus(self.data), [(self, _sigmoid(self.data))])

    def tanh(self) -> Value:
        # 1 / cosh^2, which 1 - tanh^2 rounds to 0 from |z| = 19 on.
        small = math.exp(-2.0 * abs(self.data))
        return Value(math.tanh(self.data), [(self, 4.0 * small / ((1.0 + small) * (1.0 + small)))])

    def sigmoid(self) -> Value:
        # The slope is even in z; a (1 - a) rounds to 0 on one side only.
        small = math.exp(-abs(self.data))
        return Value(_sigmoid(self.data), [(self, small / ((1.0 + small) * (1.0 + small)))])

    def relu(self) -> Value:
        return Value(max(0.0, self.data), [(self, 1.0 if self.data > 0.0 else 0.0)])

    def identity(self) -> Value:
        return self

    def magnitude(self) -> Value:
        """|x|, of slope 0 at 0."""
        sign = 0.0 if self.data == 0.0 else math.copysign(1.0, self.data)
        return Value(abs(self.data), [(self, sign)])

    def larger(self, other: Value) -> Value:
        """The larger of two; where they are equal, neither has a say in the slope."""
        if self.data == other.data:
            return Value(self.data)
        return self if self.data > other.data else other


def _total(values: Sequence[Value]) -> Value:
    """The sum of values, as one node."""
    return Value(_sum(value.data for value in values), [(value, 1.0) for value in values])


def _derivatives(result: Value, variables: Sequence[Value]) -> list[float]:
    """d result / d variable, for each variable, by one sweep back over the graph."""
    nodes = {result.serial: result}
    waiting = [result]
    while waiting:
        for parent, _ in waiting.pop().parents:
            if parent.serial not in nodes:
                nodes[parent.serial] = parent
                waiting.append(parent)
    contributions: defaultdict[int, list[float]] = defaultdict(list)
    contributions[result.serial].append(1.0)
    for serial in sorted(nodes, reverse=True):
        so_far = _sum(contributions[serial])
        for parent, slope in nodes[serial].parents:
            contributions[parent.serial].append(slope * so_far)
    return [_sum(contributions[variable.serial]) for variable in variables]


def _hidden_value(name: str, z: Value) -> Value:
    """g(z) of a hidden unit."""
    return {"tanh": z.tanh, "sigmoid": z.sigmoid, "relu": z.relu, "identity": z.identity}[name]()


def _output_values(
    layers: Layers[Value], hidden: Sequence[str], x: Iterable[Value | float]
) -> list[Value]:
    """The z of the output units for one sample x, as nodes of the graph."""
    a = [x_k if isinstance(x_k, Value) else Value(x_k) for x_k in x]
    for index, (W, b) in enumerate(layers):
        z = [_total([b_j, *(w * a_k for w, a_k in zip(W_j, a))]) for W_j, b_j in zip(W, b)]
        a = [_hidden_value(hidden[index], z_j) for z_j in z] if index < len(hidden) else z
    return a


def _sample_cost_terms(
    output: str, loss: tuple[str, list[float]], z: Sequence[Value], y: Sequence[float]
) -> list[Value]:
    """Nodes that add up to J_i, but for what does not depend on z."""
    if output == "softmax":
        top = max(range(len(z)), key=lambda j: z[j].data)
        others = [(z_j - z[top]).exp() for j, z_j in enumerate(z) if j != top]
        log_others = _total(others).log1p()
        terms = [(z[top] - z_j) * y_j for z_j, y_j in zip(z, y)]
        return [*terms, log_others * _sum(y)]
    name, numbers = loss
    of_units = [_unit_cost_terms(name, *each) for each in zip(numbers, z, y)]
    return list(chain.from_iterable(of_units))


def _unit_cost_terms(name: str, number: float, z: Value, y: float) -> list[Value]:
    """Nodes that add up to the cost of one output unit, but for what does not depend on z."""
    if name == "cross_entropy":
        return [(-z).softplus() * y, z.softplus() * (1.0 - y)]
    if name == "poisson":
        return [z.exp(), z * -y]
    if name == "gamma":
        return [(-z).exp() * y, z]
    if name == "tweedie":
        of_y = [(z * (1.0 - number)).exp() * (y / (number - 1.0))] if y else []
        return [*of_y, (z * (2.0 - number)).exp() * (1.0 / (2.0 - number))]
    e = z + -y
    if name == "squared_error":
        return [e * e * 0.5]
    if name == "absolute_error":
        return [e.magnitude()]
    if name == "huber":
        inside = abs(e.data) <= number
        return [e * e * 0.5] if inside else [e.magnitude() * number]
    return [(e * -number).larger(e * (1.0 - number))]


def unit_slope(name: str, number: float, z: float, y: float) -> float:
    """The derivative by z of what one output unit costs."""
    at = Value(z)
    return _derivatives(_total(_unit_cost_terms(name, number, at, y)), [at])[0]


def unit_curvature(name: str, number: float, z: float, y: float, width: float = 0.0) -> float:
    """h of one output unit that is not softmax, by the table of EQUATIONS.md."""
    e = abs(z - y)
    if name == "cross_entropy":
        small = math.exp(-abs(z))
        return small / ((1.0 + small) * (1.0 + small))
    if name == "poisson":
        return _exp(z)
    if name == "tweedie":
        return _exp((2.0 - number) * z)
    if name == "huber":
        return 1.0 if e <= number else number / e
    if name == "absolute_error":
        return 1.0 / max(e, width)
    if name == "quantile":
        return 0.5 / max(e, width)
    return 1.0


def gradient(
    theta: Vector,
    sizes: Sequence[int],
    hidden: Sequence[str],
    output: str,
    X: Matrix,
    Y: Matrix,
    sample_weight: Vector | None = None,
    alpha: float = 0.0,
    loss: Loss | None = None,
) -> list[float]:
    """dJ/dtheta, flat as theta is: the chain rule applied node by node to the graph of J.

    Measured against 40 digits on the networks of ``gradient_by_differences``: |error| / max(1,
    |component|) at most 5e-16; of a saturated unit's tiny slope, the relative error is as small.

    A sum over samples in which an infinite slope (exp output, z > 709) meets an a of 0 is nan, as
    it is in any floating-point backpropagation.
    """
    _check_names(sizes, hidden, output)
    of_units = _loss_of(output, loss, sizes[-1])
    parameters = [Value(float(number)) for number in theta]
    layers = _lay_out(parameters, sizes)
    samples = _samples(X, sizes[0])
    weights = _weights(sample_weight, len(samples))
    terms: list[Value] = []
    for x, y, s in zip(samples, _targets(Y, sizes[-1]), weights, strict=True):
        if s:
            z = _output_values(layers, hidden, x)
            terms += [term * s for term in _sample_cost_terms(output, of_units, z, y)]
    for W, _ in layers:
        terms += [w * w * (0.5 * float(alpha)) for w in chain.from_iterable(W)]
    # Divided after the sweep, as a product with a rounded 1 / sum s would be off by one rounding.
    total = _sum(weights)
    return [slope / total for slope in _derivatives(_total(terms), parameters)]
