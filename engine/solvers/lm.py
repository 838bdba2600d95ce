"""Levenberg-Marquardt: steps of the Gauss-Newton matrix, damped as far as needed.

    N1  G = sum_i s_i J_i^T H_i J_i                           equations/gauss_newton.py
    N2  g = sum_i s_i J_i^T dz_i + alpha R theta              R: 1 for weights, 0 for biases
    N3  (G + alpha R + mu I) step = -g                        equations/linear_systems.py
    N4  rho = (E(theta) - E(theta + step)) / (step^T (mu step - g) / 2)
    N5  rho > 0: accept the step, mu <- mu max(1/3, 1 - (2 rho - 1)^3), nu <- 2
        else:    mu <- mu nu, nu <- 2 nu

E is the summed cost with its penalty. With the exact Jacobian of squared error this is
Levenberg-Marquardt, and with the other costs a generalised Gauss-Newton method. As long as the
quadratic model is right, steps are tried without damping: a linear problem is solved by the first
one. If the solver can go no further, it takes up to two undamped steps more, as long as the
cost does not rise: near the minimum they double the number of correct digits.

If there are fewer residuals than parameters, G is singular, and the step is found from a smaller
system, one row for each residual (`propose_dual`).

An iteration is an accepted step. One compiled call makes many of them, if one thread can take all
samples at once; else each sum over samples is a call of its own. Both decide by the same functions.

Sources: Levenberg 1944; Marquardt 1963; Hagan & Menhaj 1994 (networks); Nielsen 1999 and Madsen,
Nielsen & Tingleff 2004, section 3.2 (the damping); Schraudolph 2002 (other costs).
"""

import math
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiler.jit import compiled_once, jit, shared
from engine.compiler.subnormals import flush_subnormals, restore
from engine.compiler.views import matrix_at, vector_at
from engine.equations.backends import TILED
from engine.equations.layout import parameters_of_loops
from engine.equations.linear_systems import dot, factorise, solve_factorised
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
    CLOSING,
    EPOCHS,
    MU,
    NU,
    REASON,
    SEEN,
    STAGNANT,
    STEPS,
    UNDAMPED,
    Settings,
    State,
)
from engine.solvers.stopping import count_improvement
from engine.sums.blocks import COST, run_blocks_tiled
from engine.sums.chunks import IN_ORDER, DistributedSamples, sums_of, total_weight
from engine.sums.normal_equations import allocate_normal, dense, sum_normal_tiled, sum_rows_tiled
from engine.sums.objective import Objective
from engine.sums.samples import Layers, Samples
from engine.sums.workers import SPAN_SAMPLES

# What the functions below decide. The last four are reasons to end.
GOES_ON, ACCEPTED, REJECTED, NOT_FINITE, GRADIENT, STEP, LOWEST, DAMPED_OUT = range(8)
REASONS = {GRADIENT: "gradient", STEP: "step", LOWEST: "cost", DAMPED_OUT: "cost"}

# The first mu, as a share of the largest diagonal entry of G, and the largest one.
FIRST_MU, LARGEST_MU = 1e-3, 1e10
# An undamped step was good, and another one is tried, from this rho on.
GOOD_RHO = 0.75
# Ends: |g_p| / sqrt(2 E G_pp), the cosine between the residuals and a column of the Jacobian;
# the length of a step beside that of theta; the decrease of the cost beside the cost.
GRADIENT_TOLERANCE, STEP_TOLERANCE, COST_TOLERANCE = 1e-12, 1e-12, 1e-15
CLOSING_STEPS = 2
MOST_ROWS = 4096  # iterations of an `advance`
# A closing step may raise the cost by rounding alone, and be no longer than this share of theta.
CLOSING_RISE, CLOSING_LENGTH = 1e-14, 1e-4


class Equations(NamedTuple):
    """What an iteration works with.

    Attributes
    ----------
    sums : ndarray
        The gradient g (n_parameters,), and G row by row; or, if there are fewer residuals than
        parameters, g, rho (n_residuals,) and R (n_parameters, n_residuals) (`rows_pass_tiled`).
    factor : ndarray (n, n)
        n is the number of parameters or, if that is less, of residuals.
    diagonal, step, trial : ndarray (n_parameters,)
        `diagonal` is that of G + alpha R.
    solution : ndarray (n,)
    numbers : ndarray (N_NUMBERS,)
    n_residuals : int
        0 if there are at least as many residuals as parameters.
    """

    sums: NDArray[np.float64]
    factor: NDArray[np.float64]
    diagonal: NDArray[np.float64]
    step: NDArray[np.float64]
    trial: NDArray[np.float64]
    solution: NDArray[np.float64]
    numbers: NDArray[np.float64]
    n_residuals: int


# Places in `Equations.numbers`: E at theta and at the trial point, the predicted decrease, the
# largest diagonal entry of G, the norm of g.
E, E_TRIAL, GAIN, LARGEST, NORM, N_NUMBERS = range(6)


def equations_of(n_parameters: int, n_residuals: int = 0) -> Equations:
    """The memory that the solver needs."""
    n = n_residuals or n_parameters
    n_sums = n_parameters + (n_residuals > 0) * n_residuals + n_parameters * n
    return Equations(
        np.empty(n_sums),
        np.empty((n, n)),
        *(np.empty(n_parameters) for _ in range(3)),
        np.empty(n),
        np.zeros(N_NUMBERS),
        n_residuals,
    )


@jit
def penalty(theta, sizes, alpha):
    """alpha/2 sum_l ||W[l]||^2."""
    total = 0.0
    for l in range(1, len(sizes) if alpha > 0 else 0):
        W, _ = parameters_of_loops(theta, sizes, l)
        for j in range(W.shape[0]):
            for k in range(W.shape[1]):
                total += W[j, k] ** 2
    return 0.5 * alpha * total


@compiled_once
def add_penalty(theta, sizes, alpha, g, diagonal):
    """Add the penalty's part to the gradient and to the diagonal of G."""
    p = 0
    for l in range(1, len(sizes)):
        n_out, n_in = sizes[l], sizes[l - 1]
        for _ in range(n_out * n_in):
            g[p] += alpha * theta[p]  # N2
            diagonal[p] += alpha  # N3
            p += 1
        p += n_out


@compiled_once
def begin_iteration(theta, sizes, alpha, cost_sum, equations, damping):
    """Complete the sums at theta; whether the gradient says that this is a minimum."""
    n, n_residuals, numbers = theta.size, equations.n_residuals, equations.numbers
    g, diagonal = vector_at(equations.sums, 0, n), equations.diagonal
    numbers[E] = cost_sum + penalty(theta, sizes, alpha)
    if not np.isfinite(numbers[E]):
        return NOT_FINITE
    if n_residuals > 0:
        damping[UNDAMPED] = 0
        for p in range(n):
            row = vector_at(equations.sums, n + n_residuals + p * n_residuals, n_residuals)
            diagonal[p] = dot(row, row)
    else:
        for p in range(n):
            diagonal[p] = equations.sums[n + p * n + p]
    add_penalty(theta, sizes, alpha, g, diagonal)
    largest, cosine = 0.0, 0.0
    for p in range(n):
        largest = max(largest, diagonal[p])
        if diagonal[p] > 0:
            cosine = max(cosine, abs(g[p]) / np.sqrt(diagonal[p]))
    numbers[LARGEST], numbers[NORM] = largest, np.sqrt(dot(g, g))
    if damping[MU] < 0:
        damping[MU] = FIRST_MU * largest
    if damping[REASON] == GOES_ON and cosine <= GRADIENT_TOLERANCE * np.sqrt(2 * numbers[E]):
        end_after_closing_steps(damping, GRADIENT)
    if damping[REASON] != GOES_ON and (damping[CLOSING] == 0 or n_residuals > 0):
        return np.int64(damping[REASON])
    return GOES_ON


@jit
def end_after_closing_steps(damping, reason):
    """End for that reason, once the closing steps are taken."""
    damping[REASON], damping[CLOSING] = reason, CLOSING_STEPS


@compiled_once
def find_step(theta, equations, mu):
    """Fill in the step; whether the matrix is positive definite."""
    n = theta.size
    G, factor, step = matrix_at(equations.sums, n, n, n), equations.factor, equations.step
    for p in range(n):
        for q in range(p):
            factor[p, q] = G[p, q]
        factor[p, p] = equations.diagonal[p] + mu
    if not factorise(factor):
        return False
    for p in range(n):
        step[p] = -equations.sums[p]
    solve_factorised(factor, step)  # N3
    return True


@compiled_once
def find_step_dual(theta, sizes, alpha, equations, mu):
    """The same from a system with a row for each residual, as there are fewer of these.

    With G = R R^T, D = alpha R + mu I and v = alpha R theta, the penalty's gradient,

        step = -D^-1 (v + R x),   (I + R^T D^-1 R) x = rho - R^T D^-1 v

    n_residuals^2 n_parameters / 2 multiply-adds.
    """
    n, n_residuals = theta.size, equations.n_residuals
    factor, x, step = equations.factor, equations.solution, equations.step
    for a in range(n_residuals):
        x[a] = equations.sums[n + a]
        for b in range(a):
            factor[a, b] = 0.0
        factor[a, a] = 1.0
    p = 0
    for l in range(1, len(sizes)):
        n_weights = sizes[l] * sizes[l - 1]
        for of_layer in range(n_weights + sizes[l]):
            decay = alpha if of_layer < n_weights else 0.0
            by_D, v = 1 / (decay + mu), decay * theta[p]
            row = vector_at(equations.sums, n + n_residuals + p * n_residuals, n_residuals)
            for a in range(n_residuals):
                x[a] -= row[a] * by_D * v
                scaled, known = row[a] * by_D, vector_at(factor, a * n_residuals, a + 1)
                for b in range(a + 1):
                    known[b] += scaled * row[b]
            step[p] = -v * by_D
            p += 1
    if not factorise(factor):
        return False
    solve_factorised(factor, x)
    p = 0
    for l in range(1, len(sizes)):
        n_weights = sizes[l] * sizes[l - 1]
        for of_layer in range(n_weights + sizes[l]):
            decay = alpha if of_layer < n_weights else 0.0
            row = vector_at(equations.sums, n + n_residuals + p * n_residuals, n_residuals)
            step[p] -= dot(row, x) / (decay + mu)  # N3
            p += 1
    return True


@compiled_once
def propose(theta, sizes, alpha, equations, damping):
    """Fill in the next trial point. Returns GOES_ON, or the reason why there is none."""
    n, numbers, step = theta.size, equations.numbers, equations.step
    while True:
        closing = damping[REASON] != GOES_ON
        if closing and equations.n_residuals > 0:
            return np.int64(damping[REASON])
        mu = 0.0 if closing or damping[UNDAMPED] == 1 else damping[MU]
        if equations.n_residuals > 0:
            found = find_step_dual(theta, sizes, alpha, equations, mu)
        else:
            found = find_step(theta, equations, mu)
        if found:
            length, at = np.sqrt(dot(step, step)), np.sqrt(dot(theta, theta))
            if closing and length > CLOSING_LENGTH * at:
                return np.int64(damping[REASON])
            if not closing and length <= STEP_TOLERANCE * (at + STEP_TOLERANCE):
                end_after_closing_steps(damping, STEP)
                continue
            break
        if closing:
            return np.int64(damping[REASON])
        if not raise_damping(damping, numbers[LARGEST]):
            return DAMPED_OUT
    gain = 0.0
    for p in range(n):
        equations.trial[p] = theta[p] + step[p]
        gain += 0.5 * step[p] * (mu * step[p] - equations.sums[p])  # N4
    numbers[GAIN] = gain
    return GOES_ON


@jit
def raise_damping(damping, largest):
    """After a step that was rejected; whether there is room for more damping."""
    if damping[UNDAMPED] == 1:
        damping[UNDAMPED] = 0
        return True
    damping[MU] *= damping[NU]  # N5
    damping[NU] *= 2
    return damping[MU] <= LARGEST_MU * largest


@compiled_once
def judge(theta, sizes, alpha, cost_sum, equations, damping):
    """Accept or reject the trial point, whose summed cost is given; or end."""
    numbers = equations.numbers
    before, gain = numbers[E], numbers[GAIN]
    after = cost_sum + penalty(equations.trial, sizes, alpha)
    numbers[E_TRIAL] = after
    if damping[REASON] != GOES_ON:
        if not after <= before + CLOSING_RISE * before:
            return np.int64(damping[REASON])
        damping[CLOSING] -= 1
        return take(theta, equations)
    decrease = before - after
    rho = decrease / gain if gain > 0 else -1.0  # N4
    if not (rho > 0 and np.isfinite(after)):
        if gain <= COST_TOLERANCE * before:  # no decrease could be told from rounding
            end_after_closing_steps(damping, LOWEST)
        elif not raise_damping(damping, numbers[LARGEST]):
            return DAMPED_OUT
        return REJECTED
    if damping[UNDAMPED] == 1:
        if rho < GOOD_RHO:
            damping[UNDAMPED], damping[MU] = 0, -1
    else:
        damping[MU] *= max(1 / 3, 1 - (2 * rho - 1) ** 3)  # N5
        damping[NU] = 2
    if max(decrease, gain) <= COST_TOLERANCE * before:
        end_after_closing_steps(damping, LOWEST)
    return take(theta, equations)


@jit
def take(theta, equations):
    """Move to the trial point."""
    for p in range(theta.size):
        theta[p] = equations.trial[p]
    return ACCEPTED


@jit
def iterate_tiled(state, settings, layers, data, order, workspace, equations, weight, history):
    """Iterations until `history` is full, or the solver ends; returns what ended them.

    `weight` is S. A row of `history` receives J and the norm of its gradient, before the step.
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
        if equations.n_residuals > 0:
            cost_sum = sum_rows_tiled(
                theta, layers, data, order, n_samples, workspace, equations.sums
            )
        else:
            cost_sum = sum_normal_tiled(
                theta, layers, data, order, 0, n_samples, workspace, equations.sums
            )
        ended = begin_iteration(theta, layers.sizes, settings.alpha, cost_sum, equations, damping)
        history[row, 0] = equations.numbers[E] / weight
        history[row, 1] = equations.numbers[NORM] / weight
        if ended == GOES_ON:
            ended = one_step_tiled(
                theta, damping, settings.alpha, layers, data, order, n_samples, workspace, equations
            )
        if ended != ACCEPTED:
            return ended
        count_iteration(state, settings, history[row, 0])
        if state.counts[STAGNANT] == 1:
            return GOES_ON
    return GOES_ON


@jit
def one_step_tiled(theta, damping, alpha, layers, data, order, n_samples, workspace, equations):
    """Try points until one is accepted, or the solver ends."""
    sizes = layers.sizes
    while True:
        ended = propose(theta, sizes, alpha, equations, damping)
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
        judged = judge(theta, sizes, alpha, cost_sum, equations, damping)
        if judged != REJECTED:
            return judged


@shared
def count_iteration(state, settings, cost):
    """Count an iteration, whose J before the step is `cost`."""
    state.counts[STEPS] += 1
    state.counts[EPOCHS] += 1
    state.counts[SEEN] += state.order.size
    if settings.judged == 0:
        count_improvement(state, settings, cost)


def is_small(samples: Samples | DistributedSamples, layers: Layers) -> bool:
    """Whether one thread takes all samples at once: a span, or fewer residuals than parameters."""
    n_residuals = samples.n_samples * int(layers.sizes[-1])
    fits = samples.n_samples <= SPAN_SAMPLES or n_residuals < layers.n_parameters
    return fits and isinstance(samples, Samples)


class CompiledIterations:
    """Many iterations a call, on one thread: for samples of one span, by the tiled backend."""

    def __init__(self, problem: Problem) -> None:
        _, self._layers, samples, _, _ = problem
        assert isinstance(samples, Samples)
        self._data = dense(samples.for_kernels())
        self._workspace = allocate_normal(self._layers, samples.n_samples)
        n_residuals = samples.n_samples * int(self._layers.sizes[-1])
        fewer = n_residuals if n_residuals < self._layers.n_parameters else 0
        self._equations = equations_of(self._layers.n_parameters, fewer)
        self._weight = total_weight(samples)

    def advance(self, state: State, settings: Settings, history: NDArray[np.float64]) -> int:
        """Fill rows of history until the solver ends; what ended them."""
        return int(
            iterate_tiled(
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

    def cost_after(self, n_iterations: int) -> float:
        """J at theta, after a call that made so many iterations."""
        return float(self._equations.numbers[E_TRIAL if n_iterations else E]) / self._weight


class PythonIterations:
    """The same, one sum over samples a call: with any backend, number of threads and samples."""

    def __init__(self, problem: Problem) -> None:
        backend, self._layers, samples, _, n_threads = problem
        self._sums = sums_of(backend, self._layers, samples, n_threads)
        self._equations = equations_of(self._layers.n_parameters)
        self._weight = total_weight(samples)

    @np.errstate(all="ignore")  # what overflows shows in a cost
    def advance(self, state: State, settings: Settings, history: NDArray[np.float64]) -> int:
        """Fill rows of history until the solver ends; what ended them."""
        theta, damping, sizes, alpha = state.theta, state.first, self._layers.sizes, settings.alpha
        equations = self._equations
        for row in history:
            cost_sum, equations.sums[:] = self._sums.normal_equations(theta)
            ended = begin_iteration(theta, sizes, alpha, cost_sum, equations, damping)
            row[:] = equations.numbers[E] / self._weight, equations.numbers[NORM] / self._weight
            while ended == GOES_ON:
                ended = propose(theta, sizes, alpha, equations, damping)
                if ended == GOES_ON:
                    cost_sum = self._sums.cost(equations.trial)
                    judged = judge(theta, sizes, alpha, cost_sum, equations, damping)
                    ended = GOES_ON if judged == REJECTED else judged
            if ended != ACCEPTED:
                return int(ended)
            count_iteration(state, settings, row[0])
            if state.counts[STAGNANT]:
                return GOES_ON
        return GOES_ON

    def cost_after(self, n_iterations: int) -> float:
        """J at theta, after a call that made so many iterations."""
        return float(self._equations.numbers[E_TRIAL if n_iterations else E]) / self._weight


class LevenbergMarquardt(MinimisationBase):
    """Levenberg-Marquardt under way (a `Minimisation`): about 50 ms of iterations an `advance`.

    Attributes
    ----------
    ended : str or None
        "gradient", "step" or "cost": what has become too small to go on.
    """

    def __init__(self, problem: Problem, state: State, settings: Settings) -> None:
        super().__init__(state, settings)
        self._problem = problem
        compiled = problem.backend is TILED and is_small(problem.samples, problem.layers)
        self._iterations = (CompiledIterations if compiled else PythonIterations)(problem)
        self._ends: str | None = None
        self._cost: float | None = None  # J at theta, once known
        self._confirmed: Confirmed | None = None
        self._seconds = math.inf  # of an iteration, once one was timed
        self._rows, self._rows_begin = np.zeros((0, 2)), self.n_iter

    @property
    def n_iter(self) -> int:
        return int(self.state.counts[EPOCHS])

    @property
    def n_steps(self) -> int:
        return int(self.state.counts[STEPS])

    def advance(self, budget: Budget) -> Progress:
        """Iterations for as long as the budget says."""
        nothing = Progress(np.zeros((0, 2)), self.theta, self.n_steps)
        if self._ends is not None:
            self.ended = self._ends
            return nothing
        state = self.state
        begun = state._replace(
            theta=state.theta.copy(),
            first=state.first.copy(),
            counts=state.counts.copy(),
            sums=state.sums.copy(),
        )
        fit = int(budget.seconds / self._seconds)
        self._rows = np.full((max(1, min(budget.iterations, fit, MOST_ROWS)), 2), math.nan)
        self._rows_begin, self._confirmed = self.n_iter, None
        start = time.perf_counter()
        ended = self._iterations.advance(state, self.settings, self._rows)
        rows = self._rows[: self.n_iter - self._rows_begin]
        if ended == NOT_FINITE:
            cost = float(self._rows[len(rows), 0])
            raise Diverged(cost, begun.theta, self.n_iter, self.n_iter)
        self._seconds = (time.perf_counter() - start) / max(1, len(rows))
        self._cost = self._iterations.cost_after(len(rows))
        self._confirmed = Confirmed(self._rows_begin, lambda: begun.arrays("state"))
        self._ends = REASONS.get(ended)
        if not len(rows):
            self.ended = self._ends
            return nothing
        before = begun.theta if len(rows) == 1 else None
        return Progress(rows, self.theta, self.n_steps, before, self._cost)

    def missed(self, n_iter: int) -> Progress:
        """The iterations after the first `n_iter`, if the latest call ended them."""
        rows = self._rows[n_iter - self._rows_begin : self.n_iter - self._rows_begin]
        return Progress(rows, self.theta, self.n_steps)

    def confirmed(self) -> Confirmed | None:
        """Where the latest `advance` began, if its cost is known to be finite."""
        return self._confirmed

    def cost_of(self, theta: NDArray[Any]) -> float:
        """J at the parameters to return. Raises Diverged if it is not finite."""
        if self._cost is not None and theta is self.theta:
            return self._cost
        backend, layers, samples, alpha, n_threads = self._problem
        cost = Objective(backend, layers, samples, alpha, n_threads).cost(theta)
        if not math.isfinite(cost):
            raise Diverged(cost, self.theta.copy(), self.n_iter, self.n_iter)
        return cost

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
