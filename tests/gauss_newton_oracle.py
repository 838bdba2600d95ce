"""Gauss-Newton and Levenberg-Marquardt a second time, in plain NumPy, from EQUATIONS.md alone.

Derivatives of the outputs are taken by complex steps: f(x + ih) = f(x) + ih f'(x) + O(h^2), where
nothing cancels, so that they are exact to rounding without a backward pass. The matrices are formed
whole, and solved by LAPACK. Like the other oracles it imports nothing from the package ``engine``.

Layout: samples are columns; theta is flat, layer by layer, W row by row and then b.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

STEP = 1e-200  # of the complex variable

UNITS: dict[str, Any] = {
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "relu": lambda z: np.where(z.real > 0, z, 0),
    "identity": lambda z: z,
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=0),
    "exp": np.exp,
}


@dataclass
class Model:
    """A network with its data. `power` is Tweedie's p; gamma deviance has 2."""

    sizes: tuple[int, ...]
    hidden: str
    output: str
    X: Any
    Y: Any  # (n_L, m)
    alpha: float = 0.0
    sample_weight: Any = None
    loss: str = ""  # "" is the first of the output unit
    power: float = 1.5
    s: Any = field(init=False)
    R: Any = field(init=False)

    def __post_init__(self) -> None:
        self.X, self.Y = np.atleast_2d(self.X), np.atleast_2d(self.Y)
        m = self.X.shape[1]
        self.s = np.ones(m) if self.sample_weight is None else np.asarray(self.sample_weight)
        parts = [[1.0] * (n * k) + [0.0] * n for k, n in pairwise(self.sizes)]
        self.R = np.concatenate(parts)

    def logits(self, theta: Any, X: Any = None) -> Any:
        """z[L] (n_L, m); theta may be complex."""
        A, start = self.X if X is None else X, 0
        for layer, (n_in, n_out) in enumerate(pairwise(self.sizes), start=1):
            W = theta[start : start + n_out * n_in].reshape(n_out, n_in)
            b = theta[start + n_out * n_in : start + n_out * (n_in + 1)]
            start += n_out * (n_in + 1)
            Z = W @ A + b[:, np.newaxis]
            A = Z if layer == len(self.sizes) - 1 else UNITS[self.hidden](Z)
        return A

    def outputs(self, theta: Any, X: Any = None) -> Any:
        """a[L] (n_L, m)."""
        return UNITS[self.output](self.logits(theta, X))

    def jacobian(self, theta: Any, X: Any = None, of: str = "logits") -> Any:
        """J (n_L, m, n_parameters) of the logits or of the outputs."""
        columns = []
        for p in range(len(theta)):
            moved = theta.astype(complex)
            moved[p] += 1j * STEP
            columns.append(getattr(self, of)(moved, X).imag / STEP)
        return np.stack(columns, axis=-1)

    def costs(self, theta: Any) -> Any:
        """The cost of each sample (m,), naively."""
        Z, Y = self.logits(theta), self.Y
        if self.loss in ("gamma", "tweedie"):
            p = 2.0 if self.loss == "gamma" else self.power
            if p == 2:
                return (np.log(np.exp(Z) / Y) + Y * np.exp(-Z) - 1).sum(axis=0)
            whole = Y ** (2 - p) / ((1 - p) * (2 - p))
            return (whole - Y * np.exp((1 - p) * Z) / (1 - p) + np.exp((2 - p) * Z) / (2 - p)).sum(
                axis=0
            )
        if self.output == "identity":
            return 0.5 * ((Z - Y) ** 2).sum(axis=0)
        if self.output == "sigmoid":
            return (np.logaddexp(0, Z) - Y * Z).sum(axis=0)
        if self.output == "softmax":
            return np.log(np.exp(Z).sum(axis=0)) - (Y * Z).sum(axis=0)
        safe = np.where(Y > 0, Y, 1)
        return (np.exp(Z) - Y - Y * (Z - np.log(safe))).sum(axis=0)

    def slopes(self, Z: Any) -> Any:
        """dz[L] (n_L, m), unweighted."""
        if self.loss in ("gamma", "tweedie"):
            p = 2.0 if self.loss == "gamma" else self.power
            return np.exp((2 - p) * Z) - self.Y * np.exp((1 - p) * Z)
        return UNITS[self.output](Z) - self.Y

    def curvatures(self, Z: Any) -> Any:
        """H_i (m, n_L, n_L)."""
        A = UNITS[self.output](Z)
        m = Z.shape[1]
        if self.output == "softmax":
            return np.stack([np.diag(A[:, i]) - np.outer(A[:, i], A[:, i]) for i in range(m)])
        if self.loss in ("gamma", "tweedie"):
            p = 2.0 if self.loss == "gamma" else self.power
            h = np.exp((2 - p) * Z)  # what is expected of the second derivative
        elif self.output == "sigmoid":
            h = A * (1 - A)
        else:
            h = A if self.output == "exp" else np.ones_like(A)
        return np.stack([np.diag(h[:, i]) for i in range(m)])

    def G(self, theta: Any) -> Any:
        """N1."""
        J, H = self.jacobian(theta), self.curvatures(self.logits(theta))
        return np.einsum("i,jip,ijk,kiq->pq", self.s, J, H, J)

    def g(self, theta: Any) -> Any:
        """N2."""
        dZ = self.slopes(self.logits(theta))
        return np.einsum("i,jip,ji->p", self.s, self.jacobian(theta), dZ) + self.penalty(theta)

    def penalty(self, theta: Any) -> Any:
        return self.alpha * self.R * theta

    def E(self, theta: Any) -> float:
        """The summed cost with its penalty."""
        of_data = float(self.s @ self.costs(theta))
        return of_data + 0.5 * self.alpha * float(np.sum(self.R * theta**2))


class Damping(NamedTuple):
    """mu, below 0 until it is needed; nu; whether steps are still tried without damping."""

    mu: float = -1.0
    nu: float = 2.0
    undamped: bool = True


class Step(NamedTuple):
    """An accepted step: where it ends, the damping after it, and what was tried before."""

    theta: Any
    damping: Damping
    n_rejected: int


def accepted_step(model: Model, theta: Any, damping: Damping) -> Step:
    """N3 to N5, until a step is accepted."""
    before, g = model.E(theta), model.g(theta)
    A = model.G(theta) + np.diag(model.alpha * model.R)
    mu, nu, undamped = damping
    if mu < 0:
        mu = 1e-2 * float(np.diag(A).max())
    if undamped and np.linalg.matrix_rank(A) < len(A):
        undamped = False
    for n_rejected in range(20):
        taken = 0.0 if undamped else mu
        step = np.linalg.solve(A + taken * np.eye(len(A)), -g)  # N3
        rho = (before - model.E(theta + step)) / (step @ (taken * step - g) / 2)  # N4
        if rho > (0.75 if undamped else 0):
            if not undamped:
                mu, nu = mu * max(1 / 3, 1 - (2 * rho - 1) ** 3), 2.0  # N5
            return Step(theta + step, Damping(mu, nu, undamped), n_rejected)
        if undamped:
            undamped = False
        else:
            mu, nu = mu * nu, 2 * nu  # N5
    raise ArithmeticError("no step is accepted")


def to_the_minimum(model: Model, theta: Any, n_most: int = 1000) -> Any:
    """Accepted steps until the gradient is as good as 0."""
    damping = Damping()
    for _ in range(n_most):
        if np.abs(model.g(theta)).max() <= 1e-13 * max(1.0, model.E(theta)):
            break
        try:
            theta, damping, _ = accepted_step(model, theta, damping)
        except ArithmeticError:
            break
    return theta


def states(model: Model, theta: Any) -> Iterator[Step]:
    """Accepted steps, one after the other."""
    damping = Damping()
    while True:
        step = accepted_step(model, theta, damping)
        yield step
        theta, damping = step.theta, step.damping
