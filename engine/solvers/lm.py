"""Levenberg-Marquardt: steps of the Gauss-Newton matrix, damped as far as needed.

    N1         G = sum_i s_i J_i^T H_i J_i                    equations/gauss_newton.py
    N2         g = sum_i s_i J_i^T dz_i + alpha R theta       R: 1 for weights, 0 for biases
    N3 to N5   the step, and what becomes of it               damped_step.py

With the exact Jacobian of squared error this is Levenberg-Marquardt, and with the other costs a
generalised Gauss-Newton method. As long as the quadratic model is right, steps are tried without
damping: a linear problem is solved by the first one. If the solver can go no further, it takes up
to two undamped steps more, as long as the cost does not rise: near the minimum they double the
number of correct digits.

If there are fewer residuals than parameters, G is singular, and the step is found from a smaller
system, one row for each residual (`find_step_dual`).

An iteration is an accepted step. One compiled call makes many of them, if one thread can take all
samples at once; else each sum over samples is a call of its own. Both decide by the same functions.

Sources: Levenberg 1944; Marquardt 1963; Hagan & Menhaj 1994 (networks); Nielsen 1999 and Madsen,
Nielsen & Tingleff 2004, section 3.2 (the damping); Schraudolph 2002 (other costs).
"""

import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.boundary.embedded_inputs import require_no_embeddings
from engine.compiler.jit import in_order, jit, shared
from engine.compiler.kernels import FixedTypes
from engine.compiler.subnormals import flush_subnormals, restore
from engine.equations.backends import TILED
from engine.equations.losses import COMPILED, SQUARED_ERROR
from engine.solvers.damped_step import (
    ACCEPTED,
    E_TRIAL,
    GOES_ON,
    NO_CURVATURE,
    NORM,
    NOT_FINITE,
    REASONS,
    REJECTED,
    E,
    begin_iteration,
    equations_of,
    judge,
    penalty,
    propose,
)
from engine.solvers.solver import (
    Arrays,
    Budget,
    Confirmed,
    Diverged,
    MinimisationBase,
    Problem,
    Progress,
)
from engine.solvers.state import (
    ALPHA,
    EPOCHS,
    FAILURES,
    LOWEST,
    MOVES,
    SEEN,
    STAGNANT,
    STEPS,
    Settings,
    State,
)
from engine.solvers.stopping import count_improvement
from engine.sums.blocks import COST, block_samples, row_width, run_blocks_tiled
from engine.sums.chunks import (
    IN_ORDER,
    MOST_ASIDE,
    n_counted,
    number_of_chunks,
    sums_of,
    total_weight,
)
from engine.sums.normal_equations import allocate_normal, dense, sum_normal_tiled, sum_rows_tiled
from engine.sums.samples import Layers, Samples
from engine.sums.workers import SPAN_SAMPLES
from engine.system.free_memory import in_words, memory_left

ALWAYS_THERE = 1e8  # bytes: for so little, it is not asked how much memory is left
SECONDS_A_MULTIPLY_ADD = 2e-10  # estimated, until an iteration was timed


@in_order
def mean_of(total, weight):
    """total / weight, and not times 1 / weight, which kernels may take in its place."""
    return total / weight


@jit
def iterate_tiled(state, settings, layers, data, order, workspace, equations, weight, history):
    """Iterations until `history` is full, or the solver ends; returns what ended them.

    A row of `history` receives J and the norm of its gradient before the step, and J after it.
    `weight` is S.
    """
    control_word = flush_subnormals()
    ended = take_steps_tiled(
        state, settings, layers, data, order, workspace, equations, weight, history
    )
    restore(control_word)
    return ended


@jit
def take_steps_tiled(state, settings, layers, data, order, workspace, equations, weight, history):
    """The same, without the mode for subnormals; so it may return from several places."""
    theta, damping, n_samples = state.theta, state.first, state.order.size
    for row in range(len(history)):
        for place in range(damping.size):
            equations.damping_before[place] = damping[place]
        if equations.n_residuals > 0:
            cost_sum = sum_rows_tiled(
                theta, layers, data, order, n_samples, workspace, equations.sums
            )
        else:
            cost_sum = sum_normal_tiled(
                theta, layers, data, order, 0, n_samples, workspace, equations.sums
            )
        ended = begin_iteration(theta, layers.sizes, cost_sum, equations, damping)
        history[row, 0] = mean_of(equations.numbers[E], weight)
        history[row, 1] = mean_of(equations.numbers[NORM], weight)
        if ended == GOES_ON:
            ended = one_step_tiled(
                theta, damping, layers, data, order, n_samples, workspace, equations
            )
        if ended != ACCEPTED:
            for place in range(damping.size):
                damping[place] = equations.damping_before[place]
            return ended
        history[row, 2] = mean_of(equations.numbers[E_TRIAL], weight)
        count_iteration(state, settings, history[row, 0], history[row, 2])
        if state.counts[STAGNANT] == 1:
            return GOES_ON
    return GOES_ON


@jit
def one_step_tiled(theta, damping, layers, data, order, n_samples, workspace, equations):
    """Try points until one is accepted, or the solver ends."""
    sizes = layers.sizes
    while True:
        ended = propose(theta, sizes, equations, damping)
        if ended != GOES_ON:
            return ended
        cost_sum = run_blocks_tiled(
            COST,
            equations.trial,
            layers,
            data,
            order,
            0,
            n_samples,
            workspace.n_samples,
            workspace.block,
            workspace.block.Y,
        )
        judged = judge(theta, sizes, cost_sum, equations, damping)
        if judged != REJECTED:
            return judged


@shared
def count_iteration(state, settings, cost, cost_after):
    """Count an iteration, with J before the step and after it."""
    state.counts[STEPS] += 1
    state.counts[EPOCHS] += 1
    state.counts[SEEN] += state.order.size
    if settings.judged == 0:
        if state.first[MOVES] == 1:  # the costs before were those of another alpha
            state.sums[LOWEST], state.counts[FAILURES] = np.inf, 0
        count_improvement(state, settings, cost_after if settings.counts_after == 1 else cost)


def require_curvature(layers: Layers) -> None:
    """Refuse a loss whose curvature is not known."""
    if not layers.loss.has_curvature:
        raise ValueError(
            "solver='lm' needs the curvature of the loss: let its function return a third number "
            "h, the second derivative by z or a positive number in its place, or pass "
            "solver='lbfgs'."
        )


def rows_of_dual(problem: Problem, evidence: float) -> int:
    """The number of residuals, if there are fewer than parameters and the dual takes steps; or 0.

    The evidence needs the inverse of the whole matrix.
    """
    n_residuals = problem.samples.n_samples * int(problem.layers.sizes[-1])
    fewer = n_residuals < problem.layers.n_parameters
    return n_residuals if fewer and not evidence and is_compiled(problem) else 0


def require_memory(problem: Problem, evidence: float) -> None:
    """Refuse a network whose matrices do not fit into memory."""
    n, samples = problem.layers.n_parameters, problem.samples
    if is_compiled(problem):
        rows = rows_of_dual(problem, evidence) or n
        block = block_samples(problem.layers.sizes, np.float64, samples.n_samples)
        n_bytes = 8.0 * (rows * (n + rows) + n * row_width(np.float64, block))
    else:
        chunks = number_of_chunks(samples.n_samples)
        n_bytes = 8.0 * (3 + problem.n_threads + min(chunks, MOST_ASIDE)) * n * n
    left = memory_left() if n_bytes > ALWAYS_THERE else math.inf
    if n_bytes > left:
        raise MemoryError(
            f"solver='lm' needs {in_words(n_bytes)} for the matrices of {n:,} parameters, and "
            f"{in_words(left)} are left. Pass solver='lbfgs' or 'adam', or use fewer units."
        )


def n_of_evidence(problem: Problem) -> float:
    """`Equations.n_of_evidence` of a problem whose alpha the evidence sets."""
    if problem.layers.loss.code != SQUARED_ERROR:
        return 0.5
    return float(n_counted(problem.samples) * problem.layers.sizes[-1])


def is_compiled(problem: Problem) -> bool:
    """Whether one thread takes all samples at once, in compiled iterations."""
    few = problem.samples.n_samples <= SPAN_SAMPLES
    return problem.backend is TILED and few and isinstance(problem.samples, Samples)


class CompiledIterations:
    """Many iterations a call, on one thread: for samples of one span, by the tiled backend."""

    most = 4096  # iterations of a call

    def __init__(self, problem: Problem, evidence: float) -> None:
        self._layers, samples = problem.layers, problem.samples
        assert isinstance(samples, Samples)
        self._data = dense(samples.for_kernels())
        kind, left = (samples.n_samples, evidence), problem.sums and problem.sums.left
        if left and left[0] == kind:  # the memory of the network's last run
            _, self._workspace, self._equations, self._iterate = left
        else:
            self._iterate = FixedTypes(iterate_tiled)
            self._workspace = allocate_normal(self._layers, samples.n_samples)
            n_rows = rows_of_dual(problem, evidence)
            self._equations = equations_of(self._layers.n_parameters, evidence, n_rows)
        if problem.sums is not None:
            problem.sums.left = kind, self._workspace, self._equations, self._iterate
        self._weight = total_weight(samples)

    def advance(self, state: State, settings: Settings, history: NDArray[np.float64]) -> int:
        """Iterate until `history` is full, or the solver ends; returns what ended them."""
        return int(
            self._iterate(
                state,
                settings,
                self._layers,
                self._data,
                IN_ORDER,
                self._workspace,
                self._equations,
                self._weight,
                history,
            )
        )


class PythonIterations:
    """One iteration a call, and a call for each sum: any backend, number of threads and samples."""

    most = 1

    def __init__(self, problem: Problem, evidence: float) -> None:
        backend, self._layers, samples, _, n_threads, *_ = problem
        self._sums = sums_of(backend, self._layers, samples, n_threads)
        self._equations = equations_of(self._layers.n_parameters, evidence)
        self._weight = total_weight(samples)

    @np.errstate(all="ignore")  # what overflows shows in a cost
    def advance(self, state: State, settings: Settings, history: NDArray[np.float64]) -> int:
        """One iteration, as `take_steps_tiled`; the state changes at its end."""
        theta, damping, sizes = state.theta.copy(), state.first.copy(), self._layers.sizes
        equations, row = self._equations, history[0]
        cost_sum, equations.sums[:] = self._sums.normal_equations(theta)
        ended = begin_iteration(theta, sizes, cost_sum, equations, damping)
        row[:2] = equations.numbers[E] / self._weight, equations.numbers[NORM] / self._weight
        while ended == GOES_ON:
            ended = propose(theta, sizes, equations, damping)
            if ended == GOES_ON:
                cost_sum = self._sums.cost(equations.trial)
                judged = judge(theta, sizes, cost_sum, equations, damping)
                ended = GOES_ON if judged == REJECTED else judged
        if ended != ACCEPTED:
            return int(ended)
        row[2] = equations.numbers[E_TRIAL] / self._weight
        state.theta[:], state.first[:] = theta, damping
        count_iteration(state, settings, row[0], row[2])
        return GOES_ON


class LevenbergMarquardt(MinimisationBase):
    """Levenberg-Marquardt under way (a `Minimisation`): about 50 ms of iterations an `advance`.

    Attributes
    ----------
    ended : str or None
        "gradient", "step" or "cost": what has become too small to go on.
    """

    def __init__(self, problem: Problem, state: State, settings: Settings) -> None:
        super().__init__(state, settings)
        require_curvature(problem.layers)
        require_no_embeddings(problem.layers, "solver='lm'")
        evidence = n_of_evidence(problem) if settings.evidence else 0.0
        require_memory(problem, evidence)
        self._problem = problem
        kind = CompiledIterations if is_compiled(problem) else PythonIterations
        self._iterations = kind(problem, evidence)
        work = problem.samples.n_samples * problem.layers.n_parameters**2
        self._seconds = SECONDS_A_MULTIPLY_ADD * work  # of an iteration
        self._ended = GOES_ON  # what has ended the latest iterations
        self._cost: float | None = None  # J before the latest iterations, once known
        self._between = False  # whether the state is between two iterations, and J there finite
        # The latest iterations: how many there were before, and their rows. Set at once, for
        # Ctrl-C may come at any line.
        self._latest = self.n_iter, np.zeros((0, 3))

    @property
    def n_iter(self) -> int:
        return int(self.state.counts[EPOCHS])

    @property
    def n_steps(self) -> int:
        return int(self.state.counts[STEPS])

    def advance(self, budget: Budget) -> Progress:
        """Iterations for as long as the budget says."""
        n_iter, before = self.n_iter, self.theta.copy()
        if self._ended == GOES_ON:
            self._iterate(budget, n_iter)
        progress = self.missed(n_iter)
        n = len(progress.rows)
        if n == 0:
            self.ended = REASONS[self._ended]
        return progress._replace(before=before) if n == 1 else progress

    def _iterate(self, budget: Budget, n_iter: int) -> None:
        """The same, and what has ended them."""
        n = min(budget.iterations, int(budget.seconds / max(self._seconds, 1e-6)))
        history = np.empty((max(1, min(n, self._iterations.most)), 3))
        self._cost = self._cost_now
        self._latest, self._between = (n_iter, history), False
        start = time.perf_counter()
        ended = self._iterations.advance(self.state, self.settings, history)
        made = self.n_iter - n_iter
        self._seconds = (time.perf_counter() - start) / max(1, made)
        if ended in (NOT_FINITE, NO_CURVATURE):
            cost, at = float(history[made, 0]), self.n_iter
            why = self._no_curvature if ended == NO_CURVATURE else ""
            raise Diverged(cost, self.theta.copy(), at, at, history[:made, :2], why)
        if self._cost is None:
            self._cost = float(history[0, 0])
        self._ended, self._between = ended, True

    @property
    def _no_curvature(self) -> str:
        """What to do if G is not what it must be."""
        if self._problem.layers.loss.code == COMPILED:
            return (
                "solver='lm' needs a number of at least 0 as h, the third result of the loss, and "
                "got one that is negative or not finite. Return a positive number in its place, "
                "such as derivative / error, or pass solver='lbfgs'."
            )
        return (
            "The curvature of the cost is not finite: scale X and Y (mean 0, variance 1 for each "
            "row), or pass solver='lbfgs'."
        )

    def missed(self, n_iter: int) -> Progress:
        """The iterations after the first `n_iter`, if the latest call made them."""
        begins, history = self._latest
        rows = history[n_iter - begins : self.n_iter - begins]
        return Progress(rows[:, :2], self.theta, self.n_steps, None, self._cost_now, rows[:, 2])

    @property
    def _cost_now(self) -> float | None:
        """J at theta, once known."""
        begins, history = self._latest
        made = self.n_iter - begins
        return float(history[made - 1, 2]) if made else self._cost

    def confirmed(self) -> Confirmed | None:
        """Where it is now, if it is between two iterations, and the cost is known to be finite."""
        if not self._between:
            return None
        arrays = {name: array.copy() for name, array in self.arrays().items()}
        return Confirmed(self.n_iter, lambda: arrays)

    @property
    def alpha(self) -> float:
        """The strength of the penalty, which the evidence may have set."""
        return float(self.state.first[ALPHA])

    def cost_of(self, theta: NDArray[Any]) -> float:
        """J at the parameters to return. Raises Diverged if it is not finite."""
        known = self._cost_now
        if known is not None and theta is self.theta:
            return known
        backend, layers, samples, _, n_threads, *_ = self._problem
        cost_sum = sums_of(backend, layers, samples, n_threads).cost(theta)
        cost = (cost_sum + penalty(theta, layers.sizes, self.alpha)) / total_weight(samples)
        if not math.isfinite(cost):
            raise Diverged(cost, self.theta.copy(), self.n_iter, self.n_iter)
        return float(cost)

    def close(self) -> None:
        """Nothing to release."""

    def arrays(self) -> Arrays:
        """Its state."""
        return self.state.arrays("state")

    def arrays_at_end(self) -> Arrays:
        """The same, twice: the last state is the last one with a finite cost, too."""
        return {**self.arrays(), **self.state.arrays("finite")}

    def resume(self, last_finite: State) -> None:
        """Nothing to take back: the cost of its state is finite."""
