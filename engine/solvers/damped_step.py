"""One iteration of Levenberg-Marquardt: the sums at theta, trial points, and which is taken.

    N3  (G + alpha R + mu I) step = -g                        equations/linear_systems.py
    N4  rho = (E(theta) - E(theta + step)) / (step^T (mu step - g) / 2)
    N5  rho > 0: accept the step, mu <- mu max(1/3, 1 - (2 rho - 1)^3), nu <- 2
        else:    mu <- mu nu, nu <- 2 nu
    N6  the evidence's alpha = a / beta:  gamma_W = P_W - alpha tr(R (G + alpha R)^-1),
        a = gamma_W / (2 E_W),  beta = (n - gamma_W - biases) / (2 E_D)

The caller evaluates the sums (N1, N2) and the cost of each trial point. In between it asks, in this
order: `begin_iteration`, `propose`, `judge`, until a point is accepted. `damping` is `State.first`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiler.jit import compiled_once, jit
from engine.compiler.views import matrix_at, vector_at
from engine.equations.layout import parameters_of_loops
from engine.equations.linear_systems import allocate_factor, dot, factorise, solve_factorised
from engine.solvers.state import (
    ALPHA,
    CLOSING,
    CLOSING_STEPS,
    MOVES,
    MU,
    N_DAMPING,
    NU,
    REASON,
    UNDAMPED,
)

# What the functions below decide. GRADIENT to DAMPED_OUT are reasons to end.
GOES_ON, ACCEPTED, REJECTED, NOT_FINITE, GRADIENT, STEP, LOWEST, DAMPED_OUT, NO_CURVATURE = range(9)
REASONS = {GRADIENT: "gradient", STEP: "step", LOWEST: "cost", DAMPED_OUT: "cost"}

# The first mu, as a share of the largest diagonal entry of G + alpha R.
FIRST_MU = 0.01
# An undamped step was good, and another one is tried, from this rho on.
GOOD_RHO = 0.75
# Ends: |g_p| / sqrt(2 E G_pp), the cosine between the residuals and a column of the Jacobian;
# the length of a step beside that of theta; the decrease of the cost beside the cost.
GRADIENT_TOLERANCE, STEP_TOLERANCE, COST_TOLERANCE = 1e-12, 1e-12, 1e-15
# The evidence's alpha: its limits, as shares of the largest diagonal entry of G that belongs to a
# weight, and the relative change from which on it has settled.
SMALLEST_ALPHA, LARGEST_ALPHA, ALPHA_TOLERANCE = 1e-40, 1e12, 1e-8
# A bias whose curvature is less than this share of the largest one of a bias does not count in
# gamma: that of a unit that the penalty has switched off.
LOST_BIASES = 1e-12
# A closing step may raise the cost by rounding alone, and be no longer than this share of theta.
CLOSING_RISE, CLOSING_LENGTH = 1e-11, 1e-4


class Equations(NamedTuple):
    """What an iteration works with.

    Attributes
    ----------
    sums : ndarray
        The gradient g (n_parameters,), and G row by row; or, if there are fewer residuals than
        parameters, g, rho (n_residuals,) and R (n_parameters, n_residuals) (`rows_pass_tiled`).
    factor, scratch : ndarray
        Of `allocate_factor(n)`: n is the number of parameters or, if that is less, of residuals.
    diagonal, step, trial : ndarray (n_parameters,)
        `diagonal` is that of G + alpha R.
    solution : ndarray (n,)
    numbers : ndarray (N_NUMBERS,)
    damping_before : ndarray (N_DAMPING,)
        `State.first` before the iteration.
    n_residuals : int
        0 if there are at least as many residuals as parameters.
    n_of_evidence : float
        If the evidence sets alpha: n, the number of residuals, for squared error; 0.5, as beta is,
        for other costs. Else 0.
    """

    sums: NDArray[np.float64]
    factor: NDArray[np.float64]
    scratch: NDArray[np.float64]
    diagonal: NDArray[np.float64]
    step: NDArray[np.float64]
    trial: NDArray[np.float64]
    solution: NDArray[np.float64]
    numbers: NDArray[np.float64]
    damping_before: NDArray[np.float64]
    n_residuals: int
    n_of_evidence: float


# Places in `Equations.numbers`: E at theta and at the trial point, the predicted decrease, the
# largest diagonal entry of G, the norm of g.
E, E_TRIAL, GAIN, LARGEST, NORM, N_NUMBERS = range(6)


def equations_of(n_parameters: int, n_of_evidence: float, n_residuals: int = 0) -> Equations:
    """The memory that the solver needs."""
    n = n_residuals or n_parameters
    factor, scratch = allocate_factor(n)
    return Equations(
        sums=np.empty(n_parameters + n_residuals + n_parameters * n),
        factor=factor,
        scratch=scratch,
        diagonal=np.empty(n_parameters),
        step=np.empty(n_parameters),
        trial=np.empty(n_parameters),
        solution=np.empty(n),
        numbers=np.zeros(N_NUMBERS),
        damping_before=np.empty(N_DAMPING),
        n_residuals=n_residuals,
        n_of_evidence=n_of_evidence,
    )


@jit
def is_finite(x):
    """Whether x is a number. Of a sum, np.isfinite takes x - x, which the compiler makes 0."""
    return abs(x) < np.inf


@compiled_once  # the same bits wherever it is called
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
def improve_alpha(theta, sizes, cost_sum, equations, damping):
    """Take the alpha that the evidence at theta asks for (N6); 1 in MOVES if it is another one.

    n_parameters^3 / 3 multiply-adds.
    """
    n, n_of_data = theta.size, equations.n_of_evidence
    factor, before = equations.factor, damping[ALPHA]
    n_weights, of_weight, of_bias, p = 0, 0.0, 0.0, 0  # largest diagonal entries of G
    for l in range(1, len(sizes)):
        n_of_layer = sizes[l] * sizes[l - 1]
        n_weights += n_of_layer
        for of_layer in range(n_of_layer + sizes[l]):
            entry = equations.sums[n + p * n + p]
            if of_layer < n_of_layer:
                of_weight = max(of_weight, entry)
            else:
                of_bias = max(of_bias, entry)
            p += 1
    of_squares = penalty(theta, sizes, 2.0)  # E_W
    gamma_W, gamma = float(n_weights), float(n)  # before the first step
    if before > 0:
        ridge = LOST_BIASES * of_bias
        for p in range(n):
            for q in range(p + 1):
                factor[p, q] = equations.sums[n + p * n + q]
            factor[p, p] += ridge
        p = 0
        for l in range(1, len(sizes)):
            for _ in range(sizes[l] * sizes[l - 1]):
                factor[p, p] += before
                p += 1
            p += sizes[l]
        if not factorise(factor, equations.scratch):
            damping[MOVES] = 0
            return
        of_weights, of_biases = traces_of_inverse(factor, sizes, equations.trial)
        gamma_W -= before * of_weights  # N6
        gamma = gamma_W + (n - n_weights) - ridge * of_biases  # N6
    beta = 0.5
    if n_of_data >= 1:
        beta = max(n_of_data - gamma, 1.0) / (4 * cost_sum) if cost_sum > 0 else np.inf
    alpha = gamma_W / (2 * of_squares * beta) if of_squares > 0 else np.inf  # a / beta
    alpha = min(max(alpha, SMALLEST_ALPHA * of_weight), LARGEST_ALPHA * of_weight)
    damping[ALPHA] = alpha
    damping[MOVES] = 1 if abs(alpha - before) > ALPHA_TOLERANCE * alpha else 0


@jit
def traces_of_inverse(L, sizes, y):
    """The sums of the diagonal entries of (L^T L)^-1: of weights and of biases.

    Entry p is the squared length of y = L^-T e_p. y (n_parameters,) is overwritten.
    """
    width, of_weights, of_biases, p = L.shape[1], 0.0, 0.0, 0
    for l in range(1, len(sizes)):
        n_weights = sizes[l] * sizes[l - 1]
        for of_layer in range(n_weights + sizes[l]):
            for q in range(p):
                y[q] = 0.0
            y[p] = 1.0
            for k in range(p, -1, -1):
                y[k] /= L[k, k]
                row = vector_at(L, k * width, k)
                for q in range(k):
                    y[q] -= row[q] * y[k]
            entry = dot(vector_at(y, 0, p + 1), vector_at(y, 0, p + 1))
            if of_layer < n_weights:
                of_weights += entry
            else:
                of_biases += entry
            p += 1
    return of_weights, of_biases


@compiled_once
def begin_iteration(theta, sizes, cost_sum, equations, damping):
    """Complete the sums at theta; whether the gradient says that this is a minimum."""
    n, n_residuals, numbers = theta.size, equations.n_residuals, equations.numbers
    g, diagonal = vector_at(equations.sums, 0, n), equations.diagonal
    if equations.n_of_evidence > 0:
        improve_alpha(theta, sizes, cost_sum, equations, damping)
    numbers[E] = cost_sum + penalty(theta, sizes, damping[ALPHA])
    if not is_finite(numbers[E]):
        return NOT_FINITE
    if n_residuals > 0:
        damping[UNDAMPED] = 0
        for p in range(n):
            row = vector_at(equations.sums, n + n_residuals + p * n_residuals, n_residuals)
            diagonal[p] = dot(row, row)
    else:
        for p in range(n):
            diagonal[p] = equations.sums[n + p * n + p]
    add_penalty(theta, sizes, damping[ALPHA], g, diagonal)
    largest, steepest, cosine = 0.0, 0.0, 0.0
    for p in range(n):
        if not (diagonal[p] >= 0 and is_finite(diagonal[p])):
            return NO_CURVATURE
        largest, steepest = max(largest, diagonal[p]), max(steepest, abs(g[p]))
        if diagonal[p] > 0:
            cosine = max(cosine, abs(g[p]) / np.sqrt(diagonal[p]))
        elif g[p] != 0:  # the curvature has underflowed, the slope has not
            cosine = np.inf
    # Without any curvature, the slope tells how long a step can be.
    numbers[LARGEST] = largest if largest > 0 else steepest
    numbers[NORM] = np.sqrt(dot(g, g))
    if damping[MU] < 0:
        damping[MU] = FIRST_MU * numbers[LARGEST]
    small = cosine <= GRADIENT_TOLERANCE * np.sqrt(2 * abs(numbers[E]))
    if small and damping[REASON] == GOES_ON and damping[MOVES] == 0:
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
    if not factorise(factor, equations.scratch):
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
                scaled, known = row[a] * by_D, vector_at(factor, a * factor.shape[1], a + 1)
                for b in range(a + 1):
                    known[b] += scaled * row[b]
            step[p] = -v * by_D
            p += 1
    if not factorise(factor, equations.scratch):
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
def propose(theta, sizes, equations, damping):
    """Fill in the next trial point. Returns GOES_ON, or the reason why there is none."""
    n, numbers, step = theta.size, equations.numbers, equations.step
    while True:
        closing = damping[REASON] != GOES_ON
        if closing and equations.n_residuals > 0:
            return np.int64(damping[REASON])
        mu = 0.0 if closing or damping[UNDAMPED] == 1 else damping[MU]
        if equations.n_residuals > 0:
            found = find_step_dual(theta, sizes, damping[ALPHA], equations, mu)
        else:
            found = find_step(theta, equations, mu)
        if found:
            length, at = np.sqrt(dot(step, step)), np.sqrt(dot(theta, theta))
            if closing and length > CLOSING_LENGTH * at:
                return np.int64(damping[REASON])
            short = length <= STEP_TOLERANCE * (at + STEP_TOLERANCE) and mu <= numbers[LARGEST]
            if short and not closing and damping[MOVES] == 0:
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
        damping[UNDAMPED], damping[MU], damping[NU] = 0, FIRST_MU * largest, 2
        return True
    damping[MU] *= damping[NU]  # N5
    damping[NU] *= 2
    return is_finite(damping[MU])


@compiled_once
def judge(theta, sizes, cost_sum, equations, damping):
    """Accept or reject the trial point, whose summed cost is given; or end."""
    numbers = equations.numbers
    before, gain = numbers[E], numbers[GAIN]
    after = cost_sum + penalty(equations.trial, sizes, damping[ALPHA])
    numbers[E_TRIAL] = after
    if damping[REASON] != GOES_ON:
        if not after <= before + CLOSING_RISE * abs(before):
            return np.int64(damping[REASON])
        damping[CLOSING] -= 1
        return take(theta, equations)
    decrease, tiny = before - after, COST_TOLERANCE * abs(before)
    rho = decrease / gain if gain > 0 else -1.0  # N4
    least = GOOD_RHO if damping[UNDAMPED] == 1 else 0.0
    if not (rho > least and is_finite(after)):
        if gain <= tiny and damping[MOVES] == 1:
            numbers[E_TRIAL] = before
            return ACCEPTED  # without a step: alpha goes on
        if gain <= tiny:  # no decrease could be told from rounding
            end_after_closing_steps(damping, LOWEST)
        elif not raise_damping(damping, numbers[LARGEST]):
            return DAMPED_OUT
        return REJECTED
    if damping[UNDAMPED] == 0:
        damping[MU] *= max(1 / 3, 1 - (2 * rho - 1) ** 3)  # N5
        damping[NU] = 2
    if max(decrease, gain) <= tiny and damping[MOVES] == 0:
        end_after_closing_steps(damping, LOWEST)
    return take(theta, equations)


@jit
def take(theta, equations):
    """Move to the trial point."""
    for p in range(theta.size):
        theta[p] = equations.trial[p]
    return ACCEPTED
