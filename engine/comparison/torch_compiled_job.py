"""PyTorch's compiled way to train a task: some whole steps are one compiled call.

Batches, forward passes, gradients (torch.func.grad) and Adam of up to five steps are compiled
together, by torch.compile with static shapes and a C++ wrapper; steps that are left, and a short
last batch, are compilations of their own. Tried and slower: the loss alone compiled, with autograd
and the fused Adam outside (up to three times the time on every shape); on small networks, where
calls count, a single step a call (1.7 times) and the wrapper in Python (1.2 times), and both
together still 1.2 times on wide ones; one flat vector of parameters (no faster).
mode="reduce-overhead" is for GPUs. It needs a C++ compiler.
"""

import functools
from collections.abc import Callable
from typing import Any

from engine.comparison.problems import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Problem
from engine.comparison.torch_job import TorchJob, mean_cost

MOST_STEPS_PER_CALL, STEPS_WHERE_SOME_ARE_LEFT = 5, 4
MOST_COMPILATIONS = 256


def steps_per_call(n_full: int) -> int:
    """Steps of full batches that one call takes: as many as leave none over, if there are such.

    >>> [steps_per_call(n_full) for n_full in (1, 5, 6, 28, 31)]
    [1, 5, 3, 4, 4]
    """
    fitting = max(n for n in range(1, MOST_STEPS_PER_CALL + 1) if n_full % n == 0)
    return fitting if fitting > 1 or n_full == 1 else STEPS_WHERE_SOME_ARE_LEFT


class TorchCompiledJob(TorchJob):
    """Epochs of compiled steps, with the arithmetic of this package's Adam."""

    def prepare(self, epochs: int, shuffle: bool) -> Callable[[], Any]:
        import torch

        problem, rows, targets = self._task.problem, self._rows, self._targets
        steps = compiled_steps(problem)
        n_samples = problem.n_samples
        batch_size = min(problem.batch_size, n_samples)
        n_full = n_samples // batch_size
        at_once = steps_per_call(n_full)
        n_together = n_full - n_full % at_once
        in_order = torch.arange(n_samples)

        def calls(order: Any) -> Any:
            """Samples of the batches that each call takes, a row a batch."""
            full = order[: n_full * batch_size].view(n_full, batch_size)
            yield from full[:n_together].split(at_once) if n_together else ()
            yield from full[n_together:].split(1) if n_together < n_full else ()
            if n_samples % batch_size:
                yield order[n_full * batch_size :].view(1, -1)

        def run() -> Any:
            torch.manual_seed(self._task.seed)
            parameters = [part.detach() for part in self._parameters()]
            first = [torch.zeros_like(part) for part in parameters]
            second = [torch.zeros_like(part) for part in parameters]
            t = torch.zeros((), dtype=torch.float64)
            with torch.no_grad():
                for _ in range(epochs):
                    order = torch.randperm(n_samples) if shuffle else in_order
                    for batches in calls(order):
                        steps(parameters, first, second, t, rows, targets, batches)
            return parameters

        return run


@functools.cache
def compiled_steps(problem: Problem) -> Callable[..., None]:
    """(parameters, first, second, t, rows, targets, batches): steps of Adam, all in place."""
    import torch
    from torch.nn.functional import linear

    # All problems of a process count together, each with up to three shapes. Beyond the limit
    # PyTorch would go on uncompiled; rather an error than such a time under this name.
    torch._dynamo.config.recompile_limit = MOST_COMPILATIONS
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    cost = mean_cost(problem.output, problem.sizes[-1])
    activate = torch.tanh if problem.hidden == "tanh" else torch.relu
    n_layers = len(problem.sizes) - 1

    def mean(parameters: Any, A: Any, Y: Any) -> Any:
        for l in range(n_layers - 1):
            A = activate(linear(A, parameters[2 * l], parameters[2 * l + 1]))
        return cost(linear(A, parameters[-2], parameters[-1]), Y)

    gradient_of = torch.func.grad(mean)

    def steps(
        parameters: Any, first: Any, second: Any, t: Any, rows: Any, targets: Any, batches: Any
    ) -> None:
        for number in range(batches.shape[0]):
            batch = batches[number]
            gradient = gradient_of(parameters, rows[batch], targets[batch])
            t += 1
            rate = LEARNING_RATE * torch.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
            for p, m, v, g in zip(parameters, first, second, gradient, strict=True):
                m.mul_(BETA_1).add_(g, alpha=1 - BETA_1)
                v.mul_(BETA_2).addcmul_(g, g, value=1 - BETA_2)
                p.sub_(rate.to(p.dtype) * m / (v.sqrt() + EPSILON))

    compiled: Callable[..., None] = torch.compile(
        steps, dynamic=False, options={"cpp_wrapper": True}
    )
    return compiled
