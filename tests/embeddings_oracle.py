"""Embeddings of inputs once more, number by number, to be compared with the package's.

Like tests/oracle.py, which computes the network above them, this module imports nothing from the
package and no numpy. It goes by the definition: it adds up all pieces of a number, one after the
other, and makes no tables. The gradient comes from automatic differentiation, or from differences
of the cost.

An input is described by a tuple: ("plain",), ("pieces", breakpoints, width, missing) or
("levels", n_levels, width). theta holds the layers first, as in tests/oracle.py, then the
parameters of each input: c, w, u if it may be missing, V piece by piece; V level by level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any

from tests import oracle
from tests.oracle import Value

Input = tuple[Any, ...]


def width_of(entry: Input) -> int:
    """How many numbers an input becomes."""
    return 1 if entry[0] == "plain" else int(entry[2])


def n_parameters_of(entry: Input) -> int:
    if entry[0] == "plain":
        return 0
    if entry[0] == "levels":
        return int(entry[1] * entry[2])
    _, breakpoints, width, missing = entry
    return int(width * (2 + bool(missing) + len(breakpoints) - 1))


def piece(x: float, low: float, high: float, is_first: bool, is_last: bool) -> float:
    """How far x has come from one breakpoint to the next: 0 at the lower, 1 at the upper."""
    share = (x - low) / (high - low)
    if share < 0 and not is_first:
        return 0.0
    if share > 1 and not is_last:
        return 1.0
    return share


def pieces(x: float, breakpoints: Sequence[float]) -> list[float]:
    last = len(breakpoints) - 2
    return [
        piece(x, breakpoints[t], breakpoints[t + 1], t == 0, t == last) for t in range(last + 1)
    ]


def embedding(entry: Input, own: Sequence[Any], x: float) -> list[Any]:
    """The numbers that x becomes; `own` are the input's parameters, floats or nodes of a graph."""
    if entry[0] == "plain":
        return [x]
    if entry[0] == "levels":
        width, code = entry[2], int(x)
        return list(own[code * width : (code + 1) * width])
    _, breakpoints, width, missing = entry
    c, w = own[:width], own[width : 2 * width]
    u = own[2 * width : 3 * width] if missing else []
    V = own[(3 if missing else 2) * width :]
    if math.isnan(x):
        return [_total([c[j], u[j]]) for j in range(width)]
    steps = pieces(x, breakpoints)
    return [
        _total([c[j], w[j] * x, *(V[t * width + j] * step for t, step in enumerate(steps))])
        for j in range(width)
    ]


def _total(terms: Sequence[Any]) -> Any:
    if isinstance(terms[0], Value):
        return oracle._total(terms)
    return math.fsum(terms)


def embedded(inputs: Sequence[Input], own: Sequence[Any], x: Sequence[float]) -> list[Any]:
    """The numbers that a sample becomes, those of all inputs one after the other."""
    found: list[Any] = []
    start = 0
    for entry, number in zip(inputs, x, strict=True):
        stop = start + n_parameters_of(entry)
        found += embedding(entry, own[start:stop], number)
        start = stop
    if start != len(own):
        raise ValueError(f"{len(own)} parameters, where the inputs have {start}")
    return found


def dense_sizes(inputs: Sequence[Input], sizes: Sequence[int]) -> tuple[int, ...]:
    """The sizes of the network above the embeddings."""
    return sum(map(width_of, inputs)), *sizes[1:]


def n_dense(inputs: Sequence[Input], sizes: Sequence[int]) -> int:
    """The length of the parameters of the layers."""
    wide = dense_sizes(inputs, sizes)
    return sum(n * (below + 1) for below, n in pairwise(wide))


def parts(inputs: Sequence[Input], sizes: Sequence[int], theta: Any) -> tuple[list[Any], list[Any]]:
    flat = [float(number) for number in theta]
    n = n_dense(inputs, sizes)
    return flat[:n], flat[n:]


def embedded_rows(inputs: Sequence[Input], own: Sequence[float], X: Any) -> list[list[float]]:
    """What X becomes: a row for each number, a column for each sample."""
    samples = [embedded(inputs, own, x) for x in oracle._samples(X, len(inputs))]
    return [list(row) for row in zip(*samples, strict=True)]


def forward(theta: Any, inputs: Any, sizes: Any, hidden: Any, output: str, X: Any) -> Any:
    """A[L], n_L rows of m."""
    layers, own = parts(inputs, sizes, theta)
    E = embedded_rows(inputs, own, X)
    return oracle.forward(layers, dense_sizes(inputs, sizes), hidden, output, E)


def cost(
    theta: Any,
    inputs: Any,
    sizes: Any,
    hidden: Any,
    output: str,
    X: Any,
    Y: Any,
    sample_weight: Any = None,
    alpha: float = 0.0,
) -> float:
    """J; the penalty is of the layers' weights alone."""
    layers, own = parts(inputs, sizes, theta)
    E = embedded_rows(inputs, own, X)
    wide = dense_sizes(inputs, sizes)
    return oracle.cost(layers, wide, hidden, output, E, Y, sample_weight, alpha)


def gradient(
    theta: Any,
    inputs: Any,
    sizes: Any,
    hidden: Any,
    output: str,
    X: Any,
    Y: Any,
    sample_weight: Any = None,
    alpha: float = 0.0,
) -> list[float]:
    """dJ/dtheta, by automatic differentiation of the scalar cost."""
    parameters = [Value(float(number)) for number in theta]
    n, wide = n_dense(inputs, sizes), dense_sizes(inputs, sizes)
    layers, own = oracle._lay_out(parameters[:n], wide), parameters[n:]
    samples, targets = oracle._samples(X, len(inputs)), oracle._targets(Y, sizes[-1])
    weights = oracle._weights(sample_weight, len(samples))
    loss = oracle._loss_of(output, None, sizes[-1])
    terms: list[Value] = []
    for x, y, s in zip(samples, targets, weights, strict=True):
        z = oracle._output_values(layers, hidden, embedded(inputs, own, x))
        terms += [term * s for term in oracle._sample_cost_terms(output, loss, z, y)]
    for W, _ in layers:
        terms += [w * w * (0.5 * float(alpha)) for w in chain.from_iterable(W)]
    slopes = oracle._derivatives(oracle._total(terms), parameters)
    return [slope / sum(weights) for slope in slopes]
