"""PyTorch's way to train a task: a lean loop around autograd and the fused Adam.

Tried and slower on every shape: nn.Sequential with nn.BCEWithLogitsLoss (10 to 15 %), `.backward()`
with `zero_grad` in place of `autograd.grad` (6 %), Adam's foreach form (40 %), a shuffled copy of
the data for an epoch (up to 15 % on wide data, equal elsewhere). Compiled: torch_compiled_job.py.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.comparison.problems import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Task


class TorchJob:
    """Epochs of index_select, functional layers, autograd.grad and one fused step."""

    def __init__(self, task: Task) -> None:
        import torch

        torch.set_num_threads(task.n_threads)
        self._task = task
        self._rows = torch.from_numpy(task.data.rows)
        targets = task.data.targets
        if task.problem.output != "softmax":
            targets = targets.reshape(len(targets), -1).astype(task.dtype)
        self._targets = torch.from_numpy(targets)

    def prepare(self, epochs: int, shuffle: bool) -> Callable[[], Any]:
        import torch
        from torch.nn.functional import linear

        problem, rows, targets = self._task.problem, self._rows, self._targets
        cost = mean_cost(problem.output, problem.sizes[-1])
        activate = torch.tanh if problem.hidden == "tanh" else torch.relu
        n_layers = len(problem.sizes) - 1
        in_order = torch.arange(problem.n_samples)

        def run() -> Any:
            torch.manual_seed(self._task.seed)
            parameters = self._parameters()
            adam = torch.optim.Adam(
                parameters, lr=LEARNING_RATE, betas=(BETA_1, BETA_2), eps=EPSILON, fused=True
            )
            for _ in range(epochs):
                order = torch.randperm(problem.n_samples) if shuffle else in_order
                for batch in order.split(problem.batch_size):
                    A = rows.index_select(0, batch)
                    for l in range(n_layers - 1):
                        A = activate(linear(A, parameters[2 * l], parameters[2 * l + 1]))
                    Z = linear(A, parameters[-2], parameters[-1])
                    J = cost(Z, targets.index_select(0, batch))
                    gradients = torch.autograd.grad(J, parameters)
                    for parameter, gradient in zip(parameters, gradients, strict=True):
                        parameter.grad = gradient
                    adam.step()
            return parameters

        return run

    def parameters(self, result: Any) -> NDArray[Any]:
        return np.concatenate([part.detach().numpy().ravel() for part in result])

    def _parameters(self) -> list[Any]:
        import torch

        layers = self._task.layers
        return [
            torch.from_numpy(part.copy()).requires_grad_() for layer in layers for part in layer
        ]


def mean_cost(output: str, n_out: int) -> Callable[[Any, Any], Any]:
    from torch.nn import functional

    half = 0.5 * n_out  # mse_loss divides by the number of outputs
    costs: dict[str, Callable[[Any, Any], Any]] = {
        "sigmoid": functional.binary_cross_entropy_with_logits,
        "softmax": functional.cross_entropy,
        "identity": lambda Z, Y: half * functional.mse_loss(Z, Y),
    }
    return costs[output]
