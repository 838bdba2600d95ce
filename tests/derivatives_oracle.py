"""Derivatives of a network by differences in 60 digits: an oracle for Jacobians and Hessians.

It knows the definition of the outputs and of each cost, and no derivative. It imports nothing from
the package. Steps of 1e-20 leave an error near 1e-40, and sums of mpmath round far below float64.
Results are float64 arrays, rounded once.

Layout as everywhere: X (n_0, m), one sample per column; theta layer by layer, W row by row, then b.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp

DIGITS = 60
STEP = "1e-20"
Numbers = list[Any]  # mpf: mpmath has no type annotations


class Problem(NamedTuple):
    """A network and its data, as plain arrays."""

    sizes: tuple[int, ...]
    hidden: tuple[str, ...]
    output: str
    loss: str
    number: float  # delta of Huber's loss, power of Tweedie's
    theta: Any
    X: Any
    Y: Any
    weights: Any
    alpha: float


def numbers(vector: Any) -> Numbers:
    return [mp.mpf(float(one)) for one in vector]


def hidden_unit(name: str, z: Any) -> Any:
    return {
        "tanh": lambda: mp.tanh(z),
        "sigmoid": lambda: 1 / (1 + mp.exp(-z)),
        "relu": lambda: max(mp.zero, z),
        "identity": lambda: z,
    }[name]()


def output_units(name: str, z: Numbers) -> Numbers:
    if name == "softmax":
        total = mp.fsum(mp.exp(one) for one in z)
        return [mp.exp(one) / total for one in z]
    kinds: dict[str, Callable[[Any], Any]] = {
        "sigmoid": lambda one: 1 / (1 + mp.exp(-one)),
        "identity": lambda one: one,
        "exp": mp.exp,
    }
    return [kinds[name](one) for one in z]


def cost_of_sample(problem: Problem, z: Numbers, y: Numbers) -> Any:
    """J_i, from the definitions of the losses."""
    a, p = output_units(problem.output, z), mp.mpf(problem.number)

    def cross_entropy(a: Any, y: Any) -> Any:
        if problem.output == "softmax":
            return -y * mp.log(a)
        return -(y * mp.log(a) + (1 - y) * mp.log(1 - a))

    def huber(a: Any, y: Any) -> Any:
        return (a - y) ** 2 / 2 if abs(a - y) <= p else p * (abs(a - y) - p / 2)

    def tweedie(a: Any, y: Any) -> Any:
        of_y = y ** (2 - p) / ((1 - p) * (2 - p)) - y * a ** (1 - p) / (1 - p) if y else 0
        return of_y + a ** (2 - p) / (2 - p)

    kinds: dict[str, Callable[[Any, Any], Any]] = {
        "cross_entropy": cross_entropy,
        "squared_error": lambda a, y: (a - y) ** 2 / 2,
        "huber": huber,
        "poisson": lambda a, y: (y * mp.log(y / a) if y else 0) - y + a,
        "gamma": lambda a, y: y / a - mp.log(y / a) - 1,
        "tweedie": tweedie,
    }
    return mp.fsum(kinds[problem.loss](*one) for one in zip(a, y, strict=True))


def logits(problem: Problem, theta: Numbers, x: Numbers) -> Numbers:
    """z of the output layer for one sample."""
    a, start = x, 0
    for l, (n_in, n_out) in enumerate(pairwise(problem.sizes)):
        b = theta[start + n_in * n_out : start + (n_in + 1) * n_out]
        rows = [theta[start + j * n_in : start + (j + 1) * n_in] for j in range(n_out)]
        z = [b[j] + mp.fdot(rows[j], a) for j in range(n_out)]
        if l == len(problem.hidden):
            return z
        a = [hidden_unit(problem.hidden[l], one) for one in z]
        start += (n_in + 1) * n_out
    raise ValueError(f"sizes {problem.sizes} need {len(problem.sizes) - 2} hidden units")


def mean_cost(problem: Problem, theta: Numbers) -> Any:
    """J."""
    total = mp.zero
    for i, weight in enumerate(numbers(problem.weights)):
        z = logits(problem, theta, numbers(problem.X[:, i]))
        total += weight * cost_of_sample(problem, z, numbers(problem.Y[:, i]))
    return (total + penalty(problem, theta)) / mp.fsum(numbers(problem.weights))


def penalty(problem: Problem, theta: Numbers) -> Any:
    """alpha/2 sum of the squares of the weights."""
    squares, start = mp.zero, 0
    for n_in, n_out in pairwise(problem.sizes):
        squares += mp.fsum(theta[start : start + n_in * n_out], squared=True)
        start += (n_in + 1) * n_out
    return mp.mpf(problem.alpha) / 2 * squares


def bend_of_penalty(problem: Problem, theta: Numbers, e: Sequence[Any]) -> Any:
    """Its second derivative along a direction."""
    h = mp.mpf(STEP)
    above, at, below = (penalty(problem, moved(theta, e, s * h)) for s in (1, 0, -1))
    return (above - 2 * at + below) / h**2


def moved(point: Numbers, direction: Sequence[Any], length: Any) -> Numbers:
    return [one + length * part for one, part in zip(point, direction, strict=True)]


def basis(n: int) -> Any:
    return np.eye(n).tolist()


def slopes(function: Callable[[Numbers], Numbers], point: Numbers) -> Any:
    """d function_j / d point_p, as (j, p)."""
    h = mp.mpf(STEP)
    columns = []
    for e in basis(len(point)):
        above, below = function(moved(point, e, h)), function(moved(point, e, -h))
        columns.append([(a - b) / (2 * h) for a, b in zip(above, below, strict=True)])
    return np.array(columns, dtype=object).T


def bends(function: Callable[[Numbers], Any], point: Numbers, direction: Numbers) -> Any:
    """The second derivative of a function of numbers, times a direction."""
    h = mp.mpf(STEP)
    found = []
    for e in basis(len(point)):
        at = [moved(moved(point, e, s * h), direction, t * h) for s in (1, -1) for t in (1, -1)]
        pp, pm, mp_, mm = map(function, at)
        found.append((pp - pm - mp_ + mm) / (4 * h * h))
    return np.array(found, dtype=object)


def input_jacobian(problem: Problem) -> Any:
    """dA[L]/dX (m, n_L, n_0)."""
    with mp.workdps(DIGITS):
        theta = numbers(problem.theta)

        def outputs(x: Numbers) -> Numbers:
            return output_units(problem.output, logits(problem, theta, x))

        return np.array([slopes(outputs, numbers(x)) for x in problem.X.T], dtype=float)


def parameter_jacobian(problem: Problem) -> Any:
    """dA[L]/dtheta (m, n_L, n_parameters)."""
    with mp.workdps(DIGITS):
        found = []
        for x in problem.X.T:

            def outputs(theta: Numbers, x: Any = x) -> Numbers:
                return output_units(problem.output, logits(problem, theta, numbers(x)))

            found.append(slopes(outputs, numbers(problem.theta)))
        return np.array(found, dtype=float)


def hessian_product(problem: Problem, v: Any) -> Any:
    """The second derivative of J by theta, times v."""
    with mp.workdps(DIGITS):

        def cost(theta: Numbers) -> Any:
            return mean_cost(problem, theta)

        return np.array(bends(cost, numbers(problem.theta), numbers(v)), dtype=float)


def gauss_newton(problem: Problem, curvature: Callable[[float, float], float] | None) -> Any:
    """(sum_i s_i J_i^T H_i J_i + alpha R) / S, H_i the second derivative of J_i by z.

    Or diag(curvature(z, y)), where that is not what the Gauss-Newton matrix takes.
    """
    with mp.workdps(DIGITS):
        theta = numbers(problem.theta)
        total = np.zeros((len(theta), len(theta)), dtype=object)
        for i, weight in enumerate(numbers(problem.weights)):
            x, y = numbers(problem.X[:, i]), numbers(problem.Y[:, i])
            z = logits(problem, theta, x)

            def of_z(z: Numbers, y: Numbers = y) -> Any:
                return cost_of_sample(problem, z, y)

            if curvature is None:
                H = np.array([bends(of_z, z, e) for e in basis(len(z))])
            else:
                H = np.diag([mp.mpf(1) * curvature(*one) for one in zip(z, y, strict=True)])

            def of_theta(theta: Numbers, x: Numbers = x) -> Numbers:
                return logits(problem, theta, x)

            J = slopes(of_theta, theta)
            total += weight * (J.T @ H @ J)
        total += np.diag([bend_of_penalty(problem, theta, e) for e in basis(len(theta))])
        return np.array(total / mp.fsum(numbers(problem.weights)), dtype=float)
