"""Minibatch descent a second time, written from EQUATIONS.md alone, to be compared with the first.

Like oracle.py it imports nothing from the package ``engine``, and no numpy: Python floats, one
parameter at a time. Cost and gradient of a batch are handed in as functions, the order of the
samples as a list for each epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Vector = list[float]
Batch = Sequence[int]

SMALLEST_RATE = 1e-6


@dataclass(frozen=True)
class Rule:
    """What the steps are, by the names in EQUATIONS.md; `update` is one of its first four."""

    update: str
    eta: float
    mu: float = 0.9
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    schedule: str = "constant"
    p: float = 0.5
    tol: float = 0.0
    patience: int = 10
    decay: float = 0.0  # lambda, for the parameters that `is_weight` names
    average: float | None = None
    clip: float | None = None


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to; theta, step and rate are those after it. theta may be an average."""

    theta: Vector
    cost: float  # the mean over the epoch's samples, each before the step of its batch
    gradient_norm: float  # of the last batch, before its step; 0 for one without weight
    step: int
    rate: float
    margin: float  # how far the cost is from the line between improved and not


class Moments:
    """The first four rows of the table in EQUATIONS.md."""

    def __init__(self, rule: Rule, n_parameters: int) -> None:
        self.rule = rule
        self.t = 0
        self.m = [0.0] * n_parameters
        self.v = [0.0] * n_parameters

    def step(
        self, theta: Vector, g: Vector, eta: float, is_weight: Sequence[bool] | None = None
    ) -> Vector:
        """theta after one step."""
        self.t += 1
        norm = math.hypot(*g)
        if self.rule.clip is not None and norm > self.rule.clip:
            g = [one * self.rule.clip / norm for one in g]
        moved = [self._moved(p, theta[p], g[p], eta) for p in range(len(theta))]
        if self.rule.decay:
            assert is_weight is not None
            for p in range(len(theta)):
                moved[p] -= eta * self.rule.decay * theta[p] * is_weight[p]
        return moved

    def _moved(self, p: int, theta: float, g: float, eta: float) -> float:
        rule, t = self.rule, self.t
        if rule.update == "gradient descent":
            return theta - eta * g
        if rule.update == "momentum":
            self.v[p] = rule.mu * self.v[p] - eta * g
            return theta + self.v[p]
        if rule.update == "nesterov":
            self.v[p] = rule.mu * self.v[p] - eta * g
            return theta + rule.mu * self.v[p] - eta * g
        if rule.update == "adam":
            self.m[p] = rule.b1 * self.m[p] + (1 - rule.b1) * g
            self.v[p] = rule.b2 * self.v[p] + (1 - rule.b2) * g * g
            corrected = eta * math.sqrt(1 - rule.b2**t) / (1 - rule.b1**t)
            return theta - corrected * self.m[p] / (math.sqrt(self.v[p]) + rule.eps)
        raise ValueError(f"unknown update {rule.update}")


def batches(order: Sequence[int], batch_size: int | None) -> list[list[int]]:
    """The order cut into batches, the last of which may be short."""
    size = len(order) if batch_size is None else batch_size
    return [list(order[first : first + size]) for first in range(0, len(order), size)]


def descent(
    rule: Rule,
    theta: Vector,
    orders: Sequence[Sequence[int]],
    batch_size: int | None,
    weights: Sequence[float],
    cost: Callable[[Vector, Batch], float],
    gradient: Callable[[Vector, Batch], Vector],
    is_weight: Sequence[bool] | None = None,
) -> list[Epoch]:
    """The epochs, one for each order, fewer if the rule of tol ends them."""
    if rule.schedule not in ("constant", "invscaling", "adaptive", "cosine"):
        raise ValueError(f"unknown schedule {rule.schedule}")
    moments, eta = Moments(rule, len(theta)), rule.eta
    lowest, failures, seen, step = math.inf, 0, 0, 0
    epochs: list[Epoch] = []
    mean_theta = theta
    n_steps = sum(len(batches(order, batch_size)) for order in orders)
    for order in orders:
        total, total_weight, norm = 0.0, 0.0, 0.0
        for batch in batches(order, batch_size):
            seen += len(batch)
            weight = math.fsum(weights[i] for i in batch)
            norm = 0.0
            if weight == 0:
                continue  # no mean, and so no step
            total += weight * cost(theta, batch)
            total_weight += weight
            g = gradient(theta, batch)
            norm = math.hypot(*g)
            if rule.schedule == "cosine":
                eta = rule.eta * (1 + math.cos(math.pi * step / n_steps)) / 2
            theta = moments.step(theta, g, eta, is_weight)
            step += 1
            if rule.average is None or step == 1:
                mean_theta = theta
            else:
                d = rule.average
                mean_theta = [d * a + (1 - d) * b for a, b in zip(mean_theta, theta)]
        mean = total / total_weight
        failed = mean > lowest - rule.tol
        margin = abs(mean - (lowest - rule.tol))
        failures = failures + 1 if failed else 0
        lowest = min(lowest, mean)
        stop = False
        if rule.schedule == "invscaling":
            eta = rule.eta / (seen + 1) ** rule.p
        if failures >= rule.patience:
            if rule.schedule == "adaptive" and eta > SMALLEST_RATE:
                eta, failures = eta / 5, 0
            else:
                stop = rule.tol > 0
        epochs.append(Epoch(mean_theta, mean, norm, step, eta, margin))
        if stop:
            break
    return epochs
