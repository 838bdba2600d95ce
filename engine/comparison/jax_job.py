"""JAX's way to train a task: the whole fit is one compiled call, a scan over epochs and steps.

Tried and slower, or no faster: the data shuffled as a copy for an epoch in place of rows taken for
a batch (20 % on wide data), one flat vector of parameters (up to 70 %), shuffles drawn by
jax.random in the scan (up to twice the time), the older runtime, wider vectors and XLA's fast
mathematics.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.comparison.problems import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Problem, TrainingTask

UNROLL_UP_TO = 2_000_000  # flops a step: above, unrolling costs more than it gains


class JaxJob:
    """One jitted fit. Shuffles are drawn by NumPy before the clock starts, in JAX's favour."""

    def __init__(self, task: TrainingTask) -> None:
        self._task = task

    def prepare(self, epochs: int, shuffle: bool) -> Callable[[], Any]:
        import jax

        fit, rows, targets = self._compiled
        orders = self._orders(epochs, shuffle)

        def run() -> Any:
            with self._precision():
                return jax.block_until_ready(fit(self._parameters(), rows, targets, orders))

        return run

    def parameters(self, result: Any) -> NDArray[Any]:
        return np.concatenate([part for W, b in result for part in (np.asarray(W).T.ravel(), b)])

    def _orders(self, epochs: int, shuffle: bool) -> Any:
        """Samples in the order of each epoch, (epochs, m)."""
        n_samples, generator = self._task.problem.n_samples, np.random.default_rng(self._task.seed)
        orders = np.tile(np.arange(n_samples, dtype=np.int32), (epochs, 1))
        return generator.permuted(orders, axis=1) if shuffle else orders

    def _jitted(self) -> Callable[..., Any]:
        """(parameters, rows, targets, orders) -> parameters."""
        import jax

        fit: Callable[..., Any] = jax.jit(
            fit_of(self._task.problem, self._task.dtype), donate_argnums=0
        )
        return fit

    def _precision(self) -> Any:
        import jax

        return jax.enable_x64(self._task.dtype == "float64")

    def _parameters(self) -> list[tuple[Any, Any]]:
        import jax.numpy as jnp

        layers = self._task.layers
        return [(jnp.array(W.swapaxes(-1, -2)), jnp.array(b)) for W, b in layers]

    @cached_property
    def _compiled(self) -> tuple[Callable[..., Any], Any, Any]:
        import jax.numpy as jnp

        data, problem = self._task.data, self._task.problem
        targets = data.targets
        if problem.output != "softmax":
            targets = targets.reshape(len(targets), -1).astype(self._task.dtype)
        else:
            targets = targets.astype(np.int32)
        with self._precision():
            return self._jitted(), jnp.asarray(data.rows), jnp.asarray(targets)


def fit_of(problem: Problem, dtype: str, alpha: float = 0.0) -> Callable[..., Any]:
    """(parameters, rows, targets, orders) -> parameters, to be compiled."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    step = _step_of(problem, alpha)
    batch_size = min(problem.batch_size, problem.n_samples)
    n_full, n_rest = divmod(problem.n_samples, batch_size)
    few_flops = problem.flops_per_sample * batch_size <= UNROLL_UP_TO
    unroll = min(4, n_full) if few_flops else 1

    def fit(parameters: Any, rows: Any, targets: Any, orders: Any) -> Any:
        def take_step(state: Any, batch: Any) -> Any:
            return step(state, rows[batch], targets[batch]), None

        def run_epoch(state: Any, order: Any) -> Any:
            full = order[: n_full * batch_size].reshape(n_full, batch_size)
            state, _ = lax.scan(take_step, state, full, unroll=unroll)
            if n_rest:
                state, _ = take_step(state, order[-n_rest:])
            return state, None

        zeros = jax.tree.map(jnp.zeros_like, parameters)
        state = (parameters, zeros, zeros, jnp.zeros((), dtype))
        state, _ = lax.scan(run_epoch, state, orders)
        return state[0]

    return fit


def _step_of(problem: Problem, alpha: float) -> Callable[[Any, Any, Any], Any]:
    """A step of Adam, with epsilon outside the bias correction, as in this package."""
    import jax
    import jax.numpy as jnp

    gradient_of = jax.grad(_mean_cost_of(problem, alpha))

    def step(state: Any, A: Any, Y: Any) -> Any:
        parameters, m, v, t = state
        t = t + 1
        gradient = gradient_of(parameters, A, Y)
        rate = LEARNING_RATE * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, gradient)
        v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, gradient)
        parameters = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) + EPSILON), parameters, m, v
        )
        return parameters, m, v, t

    return step


def _mean_cost_of(problem: Problem, alpha: float) -> Callable[[Any, Any, Any], Any]:
    import jax
    import jax.numpy as jnp

    activate = jnp.tanh if problem.hidden == "tanh" else jax.nn.relu

    def mean_cost(parameters: Any, A: Any, Y: Any) -> Any:
        penalty = alpha / 2 * sum((W * W).sum() for W, _ in parameters) if alpha else 0.0
        *hidden, (W, b) = parameters
        for W_hidden, b_hidden in hidden:
            A = activate(A @ W_hidden + b_hidden)
        Z = A @ W + b
        if problem.output == "sigmoid":
            costs = jax.nn.softplus(Z) - Y * Z
        elif problem.output == "softmax":
            of_class = jnp.where(Y[:, None] == jnp.arange(Z.shape[1]), Z, 0).sum(axis=1)
            costs = jax.nn.logsumexp(Z, axis=1) - of_class
        else:
            costs = 0.5 * (Z - Y) ** 2
        return (costs.sum() + penalty) / len(A)

    return mean_cost
