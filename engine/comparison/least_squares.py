"""A network's residuals and their exact Jacobian in NumPy, and the libraries that minimise them.

    Z[l] = W[l] A[l-1] + b[l],   A[l] = tanh Z[l] below the output,   r_i = A[L]_i - y_i
    D[L] = 1,                    D[l-1] = (W[l]^T D[l]) (1 - A[l-1]^2)
    dr_i / dW[l]_jk = D[l]_ji A[l-1]_ki,   dr_i / db[l]_j = D[l]_ji

SciPy is handed what people would write for it who know their network: the forward pass and the
backward pass of all samples at once. The Jacobian takes the activations from the residuals, as
SciPy asks for both at the same point.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engine.network import Network

# SciPy and PyTorch stop where the goal is reached, or after so many steps, and not before.
MOST_STEPS = 500
NO_TOLERANCE = 1e-15


class Outcome(NamedTuple):
    """Where a library has stopped, and how many steps it took."""

    theta: NDArray[np.float64]
    steps: int


class GoalReachedError(Exception):
    """Raised through SciPy: its "lm" has no callback."""


class Residuals:
    """r(theta) of a network with tanh units below one identity output, and its Jacobian.

    Parameters
    ----------
    network : Network
    X : ndarray (n_0, m)
    y : ndarray (m,)
    goal : float
        Mean squared error for which `__call__` raises GoalReachedError.
    at_least : int
        Rows: zeros are appended to the m residuals until there are so many.
    """

    def __init__(
        self,
        network: "Network",
        X: NDArray[np.float64],
        y: NDArray[np.float64],
        goal: float = -1.0,
        at_least: int = 0,
    ) -> None:
        self._network, self._y, self._goal = network, y, goal
        self._n_rows = max(len(y), at_least)
        self._weights: list[NDArray[np.float64]] = []
        self._activations = [X]
        self.evaluations = 0
        self.theta = np.full(network.n_parameters, np.nan)  # equal to no point

    def __call__(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """r (m,), or more rows."""
        self.evaluations += 1
        self.theta[:] = theta
        del self._activations[1:]
        self._weights.clear()
        A, start = self._activations[0], 0
        last = len(self._network.sizes) - 1
        for l in range(1, last + 1):
            n, n_below = self._network.sizes[l], self._network.sizes[l - 1]
            middle, end = start + n * n_below, start + n * (n_below + 1)
            W = self.theta[start:middle].reshape(n, n_below)
            A = W @ A
            A += self.theta[middle:end, np.newaxis]
            if l < last:
                np.tanh(A, out=A)
            self._weights.append(W)
            self._activations.append(A)
            start = end
        r: NDArray[np.float64] = A[0] - self._y
        if r @ r <= self._goal * len(r):
            raise GoalReachedError
        if self._n_rows > len(r):
            r = np.concatenate([r, np.zeros(self._n_rows - len(r))])
        return r

    def jacobian(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """dr/dtheta (m, n_parameters), or more rows, at the point of the last residuals."""
        m = len(self._y)
        if not np.array_equal(theta, self.theta):
            self(theta)
        columns = np.zeros((self._network.n_parameters, self._n_rows))  # transposed: rows are long
        D = np.ones((1, m))
        end = self._network.n_parameters
        for W, A_below in zip(self._weights[::-1], self._activations[-2::-1], strict=True):
            n, n_below = W.shape
            start, middle = end - n * (n_below + 1), end - n
            of_weights = columns[start:middle].reshape(n, n_below, self._n_rows)
            np.multiply(D[:, np.newaxis], A_below, out=of_weights[..., :m])
            columns[middle:end, :m] = D
            if start > 0:
                D = W.T @ D
                D *= 1 - A_below * A_below
            end = start
        return columns.T


def by_scipy(
    network: "Network",
    X: NDArray[np.float64],
    y: NDArray[np.float64],
    goal: float,
    theta: NDArray[np.float64],
    method: str = "lm",
) -> Outcome:
    """`scipy.optimize.least_squares` until the goal is reached.

    Its "lm" wants at least as many residuals as parameters: zeros are appended where there are
    fewer, which changes neither the sum of squares nor a step.
    """
    from scipy.optimize import least_squares

    at_least = network.n_parameters if method == "lm" else 0
    residuals = Residuals(network, X, y, goal, at_least)
    try:
        found = least_squares(
            residuals,
            theta,
            residuals.jacobian,
            method=method,
            max_nfev=MOST_STEPS,
            ftol=NO_TOLERANCE,
            xtol=NO_TOLERANCE,
            gtol=NO_TOLERANCE,
        )
    except GoalReachedError:
        return Outcome(residuals.theta, residuals.evaluations - 1)
    return Outcome(found.x, residuals.evaluations - 1)


def by_torch(
    network: "Network",
    X: NDArray[np.float64],
    y: NDArray[np.float64],
    goal: float,
    theta: NDArray[np.float64],
) -> Outcome:
    """The package torch-levenberg-marquardt until the goal is reached, in float64.

    With its defaults, but for Cholesky's decomposition in place of QR: as fast on 16 parameters,
    and one and a half times as fast on 41. Its other way to the Jacobian, without `vmap`, was
    faster on 8 rows and slower on 225.
    """
    import torch
    from torch_levenberg_marquardt.training import LevenbergMarquardtModule

    layers: list[Any] = []
    for W, b in network.views(theta):
        layer = torch.nn.Linear(W.shape[1], W.shape[0], dtype=torch.float64)
        layer.weight.data = torch.from_numpy(W.copy())
        layer.bias.data = torch.from_numpy(b.copy())
        layers += [layer, torch.nn.Tanh()]
    inputs, targets = torch.from_numpy(X.T.copy()), torch.from_numpy(y[:, np.newaxis].copy())
    module = LevenbergMarquardtModule(torch.nn.Sequential(*layers[:-1]), solve_method="cholesky")
    steps = 0
    while steps < MOST_STEPS:
        _, loss, stops, _ = module.training_step(inputs, targets)
        steps += 1
        if stops or loss.item() <= goal:
            break
    return Outcome(module.flat_params.numpy().copy(), steps)
