"""PyTorch's two ways to train a task: a lean loop around autograd, and whole steps compiled.

The loop has the fused Adam. Tried and slower on every shape: nn.Sequential with
nn.BCEWithLogitsLoss (10 to 15 %), `.backward()` with `zero_grad` in place of `autograd.grad` (6 %),
Adam's foreach form (40 %), a shuffled copy of the data for an epoch (up to 15 % on wide data, equal
elsewhere).

Compiled: batches, forward passes, gradients (torch.func.grad) and Adam of up to five steps are
compiled together, by torch.compile with static shapes and a C++ wrapper; steps that are left, and a
short last batch, are compilations of their own. Tried and slower: the loss alone compiled, with
autograd and the fused Adam outside (up to three times the time on every shape); on small networks,
where calls count, a single step a call (1.7 times) and the wrapper in Python (1.2 times), and both
together still 1.2 times on wide ones; one flat vector of parameters (no faster).
mode="reduce-overhead" is for GPUs. It needs a C++ compiler.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.comparison.problems import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Problem, TrainingTask


class TorchJob:
    """Epochs of index_select, functional layers, autograd.grad and one fused step."""

    def __init__(self, task: TrainingTask) -> None:
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
