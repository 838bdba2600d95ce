"""Embeddings against PyTorch: "version B" of piecewise linear embeddings, forward and backward.

The code here is PyTorch's own way to write it, by whole tables of pieces and by `Embedding`, as the
package rtdl_num_embeddings has it.
"""

import numpy as np
import pytest

from tests import embedding_cases as cases
from tests.embedding_cases import INPUTS, EmbeddedCase

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.compiled


def tensor(array):
    return torch.tensor(np.asarray(array, float), dtype=torch.float64, requires_grad=True)


class PiecewiseLinear:
    """Encode by pieces, multiply by the weights of each piece, add a linear layer."""

    def __init__(self, breakpoints, views):
        edges = torch.tensor(breakpoints, dtype=torch.float64)
        self.low, self.width = edges[:-1], edges[1:] - edges[:-1]
        self.c, self.w, self.u, self.V = map(tensor, views)

    def parts(self):
        return [part for part in (self.c, self.w, self.u, self.V) if part.numel()]

    def __call__(self, x):
        missing = torch.isnan(x)[:, None]
        known = torch.where(missing[:, 0], torch.zeros_like(x), x)[:, None]
        encoded = (known - self.low) / self.width
        n = encoded.shape[1]
        columns = []
        for t in range(n):
            column = encoded[:, t : t + 1]
            if t > 0:
                column = column.clamp_min(0.0)
            if t < n - 1:
                column = column.clamp_max(1.0)
            columns.append(column)
        encoded = torch.where(missing, torch.zeros(()), torch.cat(columns, 1))
        linear = self.c + torch.where(missing, torch.zeros(()), known * self.w)
        if self.u.numel():
            linear = linear + missing * self.u
        return linear + encoded @ self.V


def network_of(case, theta):
    """A function of X (m, n) in PyTorch, and its parameters in the order of theta."""
    network = case.network
    layers = [(tensor(W), tensor(b)) for W, b in network.views(theta)]
    columns, own = [], []
    for entry, views in zip(INPUTS[case.inputs], network.embedding_views(theta), strict=True):
        if entry[0] == "pieces":
            module = PiecewiseLinear(entry[1], views)
            columns.append(module)
            own += module.parts()
        elif entry[0] == "levels":
            table = tensor(views)
            columns.append(lambda x, table=table: torch.nn.functional.embedding(x.long(), table))
            own.append(table)
        else:
            columns.append(lambda x: x[:, None])
    units = {"tanh": torch.tanh, "relu": torch.relu}

    def outputs(X):
        A = torch.cat([column(X[:, f]) for f, column in enumerate(columns)], 1)
        for (W, b), unit in zip(layers, [*case.hidden, None], strict=True):
            A = A @ W.T + b
            A = A if unit is None else units[unit](A)
        return A

    return outputs, layers, [*(part for layer in layers for part in layer), *own]


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("first", [3, 40])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_cost_gradient_and_steps_are_those_of_pytorch(inputs, first, depth, backend):
    """E2 E3 E4 E5, to 1e-12 of float64; then ten steps of gradient descent."""
    case = EmbeddedCase(inputs, first, depth, n_samples=50)
    data = cases.data_of(case)
    theta = data.theta.copy()
    outputs, layers, parameters = network_of(case, theta)
    X, Y = torch.tensor(data.X.T.copy()), torch.tensor(data.Y.T.copy())
    alpha, rate = 0.25, 0.001
    objective = case.network.objective(data.X, data.Y, alpha=alpha, backend=backend)
    for _ in range(10):
        penalty = alpha / 2 * sum((W**2).sum() for W, _ in layers)
        loss = (((outputs(X) - Y) ** 2).sum() / 2 + penalty) / len(X)
        loss.backward()
        expected = np.concatenate([part.grad.numpy().ravel() for part in parameters])
        cost, gradient = objective.cost_and_gradient(theta)
        np.testing.assert_allclose(cost, loss.item(), rtol=1e-12)
        atol = 1e-12 * max(1, np.abs(expected).max())
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=atol)
        theta -= rate * gradient
        with torch.no_grad():
            for part in parameters:
                part -= rate * part.grad
                part.grad = None
    moved = np.concatenate([part.detach().numpy().ravel() for part in parameters])
    np.testing.assert_allclose(theta, moved, rtol=0, atol=1e-12 * np.abs(moved).max())
