"""PyTorch's compiled way to train a task: a whole step is one compiled call.

Batch, forward pass, gradient (torch.func.grad) and Adam are compiled together, by torch.compile
with static shapes; a short last batch is a second compilation. Tried and slower on every shape: the
loss alone compiled, with autograd and the fused Adam outside (up to three times the time). It needs
a C++ compiler.
"""

import functools
from collections.abc import Callable
from typing import Any

from engine.comparison.problems import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Problem
from engine.comparison.torch_job import TorchJob, mean_cost


class TorchCompiledJob(TorchJob):
    """Epochs of a compiled step, with the arithmetic of this package's Adam."""

    def prepare(self, epochs: int, shuffle: bool) -> Callable[[], Any]:
        import torch

        problem, rows, targets = self._task.problem, self._rows, self._targets
        step = compiled_step(problem)
        in_order = torch.arange(problem.n_samples)

        def run() -> Any:
            torch.manual_seed(self._task.seed)
            parameters = [part.detach() for part in self._parameters()]
            first = [torch.zeros_like(part) for part in parameters]
            second = [torch.zeros_like(part) for part in parameters]
            t = torch.zeros((), dtype=torch.float64)
            with torch.no_grad():
                for _ in range(epochs):
                    order = torch.randperm(problem.n_samples) if shuffle else in_order
                    for batch in order.split(problem.batch_size):
                        step(parameters, first, second, t, rows, targets, batch)
            return parameters

        return run


@functools.cache
def compiled_step(problem: Problem) -> Callable[..., None]:
    """(parameters, first, second, t, rows, targets, batch): one step of Adam, all in place."""
    import torch
    from torch.nn.functional import linear

    cost = mean_cost(problem.output, problem.sizes[-1])
    activate = torch.tanh if problem.hidden == "tanh" else torch.relu
    n_layers = len(problem.sizes) - 1

    def mean(parameters: Any, A: Any, Y: Any) -> Any:
        for l in range(n_layers - 1):
            A = activate(linear(A, parameters[2 * l], parameters[2 * l + 1]))
        return cost(linear(A, parameters[-2], parameters[-1]), Y)

    gradient_of = torch.func.grad(mean)

    def step(
        parameters: Any, first: Any, second: Any, t: Any, rows: Any, targets: Any, batch: Any
    ) -> None:
        gradient = gradient_of(parameters, rows[batch], targets[batch])
        t += 1
        rate = LEARNING_RATE * torch.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        for p, m, v, g in zip(parameters, first, second, gradient, strict=True):
            m.mul_(BETA_1).add_(g, alpha=1 - BETA_1)
            v.mul_(BETA_2).addcmul_(g, g, value=1 - BETA_2)
            p.sub_(rate.to(p.dtype) * m / (v.sqrt() + EPSILON))

    compiled: Callable[..., None] = torch.compile(step, dynamic=False)
    return compiled
