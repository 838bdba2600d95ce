"""Faults put into the equations one at a time, to see that the tests find each: `make faults`.

Each fault is one line of engine/ changed, in a copy of the tree. The tests run there on plain
Python (the fault is in the source, not in the compiler); the first that goes red is named. A fault
that no test finds, or whose line is no longer there, ends the run with status 1.
"""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Fault(NamedTuple):
    """A line of a file under engine/, and what it is changed into."""

    what: str
    file: str
    line: str
    fault: str


FAULTS = [
    Fault("sum over inputs stops one short", "equations/forward.py",
          "for k in range(n_in):", "for k in range(n_in - 1):"),
    Fault("bias left out", "equations/forward.py", "z = b[j]", "z = 0 * b[j]"),
    Fault("bias left out, NumPy", "equations/forward.py", "Z += b[:, np.newaxis]  # F1", "pass"),
    Fault("last sample dropped", "equations/forward.py",
          "for i in range(m):", "for i in range(max(m - 1, 1)):"),
    Fault("sigmoid with the wrong sign", "equations/activations.py",
          "return e / (1 + e) if z < 0 else 1 / (1 + e)  # F3",
          "return e / (1 + e) if z > 0 else 1 / (1 + e)"),
    Fault("relu lets a NaN become 0", "equations/activations.py",
          "return 0.0 if z < 0 else z  # F4", "return z if z > 0 else 0.0"),
    Fault("softmax without its largest taken out", "equations/activations.py",
          "largest = max(largest, Z[j, i])", "largest = 0.0 * Z[j, i]"),
    Fault("tanh' without the square", "equations/activations.py",
          "return 1 - a * a  # B5", "return 1 - a"),
    Fault("sigmoid' without its second factor", "equations/activations.py",
          "return a * (1 - a)  # B6", "return a"),
    Fault("relu' is 1 at 0", "equations/activations.py",
          "return 1.0 if a > 0 else 0.0  # B7", "return 1.0 if a >= 0 else 0.0"),
    Fault("g' left out", "equations/activations.py",
          "dZ[j, i] = dA[j, i] * g_prime(unit, A[j, i])  # B4", "dZ[j, i] = dA[j, i]"),
    Fault("cost of the wrong class of a yes/no target", "equations/losses.py",
          "cost += z * ((z > 0) - Y[j, i]) + np.log1p(np.exp(-abs(z)))  # L1",
          "cost += z * ((z < 0) - Y[j, i]) + np.log1p(np.exp(-abs(z)))"),
    Fault("log(1 + e) for log1p(e)", "equations/losses.py",
          "return cost + np.log1p(rest)  # L2", "return cost + np.log(1 + rest)"),
    Fault("factor 1/2 missing", "equations/losses.py",
          "cost += 0.5 * (Z[j, i] - Y[j, i]) ** 2  # L3", "cost += (Z[j, i] - Y[j, i]) ** 2"),
    Fault("factor 1/2 missing, NumPy", "equations/losses.py",
          "return 0.5 * np.square(Z - Y).sum(axis=0)  # L3",
          "return np.square(Z - Y).sum(axis=0)"),
    Fault("deviance without its constant", "equations/losses.py",
          "cost += np.exp(z) - y - y * (z - log_y)  # L4", "cost += np.exp(z) - y * z"),
    Fault("weights left out of the cost", "equations/losses.py",
          "total += s[i] * sample_cost(loss, unit, Z, Y, i)",
          "total += sample_cost(loss, unit, Z, Y, i)"),
    Fault("weights left out of the gradient", "equations/losses.py",
          "dZ[j, i] = s[i] * dz if s[i] > 0 else 0.0", "dZ[j, i] = dz if s[i] > 0 else 0.0"),
    Fault("the seed's slip in step 4: y a for y - a", "equations/losses.py",
          "return a - y  # L5", "return a * y"),
    Fault("gradient with the wrong sign", "equations/backward.py",
          "dW[j, k] += dZ[j, i] * A_prev[k, i]  # B1", "dW[j, k] -= dZ[j, i] * A_prev[k, i]"),
    Fault("input index off", "equations/backward.py",
          "dW[j, k] += dZ[j, i] * A_prev[k, i]  # B1", "dW[j, k] += dZ[j, i] * A_prev[0, i]"),
    Fault("bias gradient counted once for each input", "equations/backward.py",
          "            db[j] += dZ[j, i]  # B2", "                db[j] += dZ[j, i]"),
    Fault("bias gradient left out, NumPy", "equations/backward.py",
          "db += dZ.sum(axis=1)  # B2", "pass"),
    Fault("first unit dropped on the way back", "equations/backward.py",
          "for j in range(n_out):\n                da",
          "for j in range(1, n_out):\n                da"),
    Fault("W for its transpose, NumPy, where that fits", "equations/backward.py",
          "np.matmul(W.T, dZ, out=dA_prev)  # B3",
          "np.matmul(W if W.shape[0] == W.shape[1] else W.T, dZ, out=dA_prev)"),
    Fault("penalty not divided by the total weight", "equations/mean.py",
          "return quotient(plus(cost_sum, penalty), S)  # L6", "return cost_sum / S + penalty"),
    Fault("penalty left out of the gradient", "equations/mean.py",
          "dW[j, k] = (sum_W[j, k] + alpha * W[j, k]) / S  # B9", "dW[j, k] = sum_W[j, k] / S"),
    Fault("biases penalised", "equations/mean.py",
          "db[:] = sum_b / S  # B10", "db[:] = (sum_b + alpha) / S"),
    Fault("gradient ascent", "equations/update.py",
          "theta[p] = descended(theta[p], dtheta[p], eta)  # U1",
          "theta[p] = descended(theta[p], dtheta[p], -eta)"),
    Fault("activation of the layer below taken for this one's", "equations/passes.py",
          "derive_loops(units[l - 2], A_prev, dZ_prev, dZ_prev)",
          "derive_loops(units[l - 1], A_prev, dZ_prev, dZ_prev)"),
    Fault("gradient of the last pass not cleared", "equations/passes.py",
          "dtheta[:] = 0", "pass"),
    Fault("biases read one place off", "equations/layout.py",
          "b = vector_at(theta, start + n_out * n_in, n_out)",
          "b = vector_at(theta, start + n_out * n_in - 1, n_out)"),
    Fault("weights of another span kept", "sums/workers.py",
          "span.s[:] = weights[chosen]", "span.s[:] = weights[:count]"),
    Fault("initial values from twice the range", "network.py",
          "W[:] = generator.uniform(-r, r, W.shape)",
          "W[:] = generator.uniform(-2 * r, 2 * r, W.shape)"),
    Fault("tiled: sum over units below stops one short", "equations/products.py",
          "for k in range(first, last):", "for k in range(first, max(last - 1, first + 1)):"),
    Fault("tiled: units below the first block left out", "equations/products.py",
          "tile = tiles.load(Z, j, at + s, rows, vectors)", "tile = tiles.zeros(Z, rows, vectors)"),
    Fault("tiled: bias left out", "equations/products.py",
          "tile = tiles.spread(b, j, rows, vectors)", "tile = tiles.zeros(Z, rows, vectors)"),
    Fault("tiled: dW of the blocks before forgotten", "equations/products.py",
          "no_bias, onto = vector_at(dW, 0, 0), np.bool_(True)",
          "no_bias, onto = vector_at(dW, 0, 0), np.bool_(False)"),
    Fault("tiled: the last tile of a group of samples left out", "equations/products.py",
          "for s in range(group, stop, N_COLUMNS * n_lanes):",
          "for s in range(group, stop - N_COLUMNS * n_lanes, N_COLUMNS * n_lanes):"),
    Fault("tiled: samples side by side taken from the first feature", "sums/blocks.py",
          "row = vector_at(numbers, starts[0] + k * unit_step, count)",
          "row = vector_at(numbers, starts[0], count)"),
    Fault("tiled: transposed columns summed once more", "equations/products.py",
          "reduce_over_samples(dZ, A, dW, n_transposed, m)",
          "reduce_over_samples(dZ, A, dW, 0, m)"),
    Fault("tiled: first vector of samples left out of dW", "equations/products.py",
          "for s in range(0, m, tiles.lanes(A)):",
          "for s in range(tiles.lanes(A), m, tiles.lanes(A)):"),
    Fault("tiled: tanh' without the square", "equations/activations.py",
          "dZ[j, i] *= one - A[j, i] * A[j, i]  # B4 B5", "dZ[j, i] *= one - A[j, i]"),
    Fault("tiled: relu' is 1 at 0", "equations/activations.py",
          "dZ[j, i] *= one if A[j, i] > 0 else zero  # B4 B7",
          "dZ[j, i] *= one if A[j, i] >= 0 else zero"),
    Fault("tiled: ties of the largest softmax unit left out", "equations/losses.py",
          "others if ties[i] > one else rest[i]", "rest[i]"),
    Fault("tiled: weight of a sample left out of dZ", "equations/losses.py",
          "weighted = s[i] * (A[j, i] - Y[j, i])", "weighted = A[j, i] - Y[j, i]"),
    Fault("tiled: columns that fill a block up count", "sums/blocks.py",
          "workspace.s[c] = 0", "workspace.s[c] = 1"),
    Fault("tiled: order of samples ignored", "sums/blocks.py",
          "starts[c] = order[first + c] if order.size > 0 else first + c",
          "starts[c] = first + c"),
    Fault("tiled: class codes of other samples", "sums/blocks.py",
          "Y[data.codes[samples[c]], c] = 1", "Y[data.codes[c], c] = 1"),
    Fault("tiled: penalty left out of a minibatch", "equations/mean.py",
          "dW[p] = plus_product(dW[p], decay, W[p]) * scale  # B9", "dW[p] *= scale"),
    Fault("momentum with no velocity", "equations/update.py",
          "theta[p] = plus(theta[p], velocity[p])  # U2", "theta[p] -= eta * dtheta[p]"),
    Fault("Adam without bias correction", "equations/update.py",
          "return learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)",
          "return learning_rate"),
    Fault("Adam's t counts from 2", "solvers/descent.py",
          "int(state.counts[STEPS]) + 1,", "int(state.counts[STEPS]) + 2,"),
    Fault("samples not shuffled", "solvers/descent.py",
          "if first == 0 and settings.shuffle:", "if first == -1 and settings.shuffle:"),
    Fault("sparse: bias left out of units in fours", "equations/sparse.py",
          "z0, z1, z2, z3 = b[j], b[j + 1], b[j + 2], b[j + 3]", "z0 = z1 = z2 = z3 = 0 * b[j]"),
    Fault("sparse: an entry with another unit's weight", "equations/sparse.py",
          "z2 += W[j + 2, k] * x", "z2 += W[j + 1, k] * x"),
    Fault("sparse: gradient of the last units left out", "equations/sparse.py",
          "dW[j, features[p]] += dZ[j, c] * values[p]", "pass"),
    Fault("sparse: entries that stand twice count once", "sums/blocks.py",
          "X[data.features[place], c] += data.X.numbers[place]",
          "X[data.features[place], c] = data.X.numbers[place]"),
    Fault("Mersenne Twister: a word not tempered to the end", "solvers/mersenne.py",
          "return word ^ (word >> np.uint64(18))", "return word"),
    Fault("Mersenne Twister: numbers that are too large are taken", "solvers/mersenne.py",
          "fits = drawn <= last", "fits = True"),
    Fault("epochs' losses by weights where rows should count", "solvers/state.py",
          "if settings.counts_samples == 1:", "if settings.counts_samples == 2:"),
    Fault("the rate falls with the samples but one", "solvers/learning_rate.py",
          "seen = np.float64(state.counts[SEEN] + 1)", "seen = np.float64(state.counts[SEEN])"),
    Fault("an adaptive rate that is never divided", "solvers/learning_rate.py",
          "state.sums[RATE] /= ADAPTIVE_DIVISOR  # U7", "pass"),
    Fault("an epoch that does not improve by tol counts as one that does", "solvers/stopping.py",
          "cost <= sums[LOWEST] - least", "cost <= sums[LOWEST]"),
    Fault("levels of quantiles change sides, NumPy", "equations/losses.py",
          "return np.where(e > w, above * e, np.where(e < -w, -below * e, between)).sum(axis=0)",
          "return np.where(e > w, below * e, np.where(e < -w, -above * e, between)).sum(axis=0)"),
    Fault("a quantile's cost below the target is negative", "equations/losses.py",
          "return -below * e  # L7", "return below * e  # L7"),
    Fault("tiled: cost of a quantile from above alone", "equations/losses.py",
          "outside = above * e if e > w else -below * e", "outside = above * abs(e)"),
    Fault("tiled: a smoothed kink does not meet its lines", "equations/losses.py",
          "between = quarter * (e * e * by_w + w) + tilt * e",
          "between = quarter * e * e * by_w + tilt * e"),
    Fault("Huber's lines do not meet its parabola", "equations/losses.py",
          "return delta * (e - delta / 2) if e > delta else e * e / 2  # L8",
          "return delta * e if e > delta else e * e / 2  # L8"),
    Fault("tiled: Huber's delta is 1", "equations/losses.py",
          "cost[i] += delta * (e - half * delta) if e > delta else half * e * e  # L8",
          "cost[i] += e - half if e > one else half * e * e  # L8"),
    Fault("gamma deviance without its constant", "equations/losses.py",
          "return y * np.exp(-z) + z - np.log(y) - 1  # L9", "return y * np.exp(-z) + z  # L9"),
    Fault("tiled: gamma deviance without log y", "equations/losses.py",
          "cost[i] += (y[i] * elementary.exp(-z[i]) - log_y) + (z[i] - one)  # L9",
          "cost[i] += y[i] * elementary.exp(-z[i]) + (z[i] - one)  # L9"),
    Fault("Tweedie: 0 times infinity", "equations/losses.py",
          "of_y = y * np.exp(p_1 * z) if y > 0 else 0.0  # 0 e^inf = 0",
          "of_y = y * np.exp(p_1 * z)"),
    Fault("tiled: Tweedie's power of y that of a", "equations/losses.py",
          "to_y = elementary.exp(p_2 * elementary.log(y[i])) * by_both",
          "to_y = elementary.exp(p_1 * elementary.log(y[i])) * by_both"),
    Fault("the slope of a quantile that is met is not 0", "equations/losses.py",
          "return (above + below) / 2 * e / w + (above - below) / 2 if w > 0 else 0 * e  # L11",
          "return (above + below) / 2 * e / w + (above - below) / 2 if w > 0 else -below  # L11"),
    Fault("tiled: levels of slopes change sides", "equations/losses.py",
          "outside = above if e > w else -below", "outside = below if e > w else -above"),
    Fault("a NaN becomes delta in Huber's slope", "equations/losses.py",
          "if abs(e) > delta:  # a NaN is not, and stays one", "if not abs(e) <= delta:"),
    Fault("tiled: Huber's slope clipped on one side", "equations/losses.py",
          "dz[i] = -delta if e < -delta else below_delta  # L12", "dz[i] = below_delta  # L12"),
    Fault("gamma's slope is that of Poisson", "equations/losses.py",
          "return 1 - y * np.exp(-z)  # L13", "return np.exp(z) - y  # L13"),
    Fault("tiled: gamma's slope with the wrong sign of z", "equations/losses.py",
          "dz[i] = one - y[i] * elementary.exp(-z[i])  # L13",
          "dz[i] = one - y[i] * elementary.exp(z[i])  # L13"),
    Fault("Tweedie's slope without its first factor", "equations/losses.py",
          "return np.exp((2 - loss.parameter[j]) * z) - of_y  # L14",
          "return np.exp(z) - of_y  # L14"),
    Fault("tiled: Tweedie's slope, 0 times infinity", "equations/losses.py",
          "of_y = y[i] * elementary.exp(p_1 * z[i]) if y[i] > zero else zero\n            dz",
          "of_y = y[i] * elementary.exp(p_1 * z[i])\n            dz"),
    Fault("a user's cost taken for its slope, NumPy", "equations/losses.py",
          "slope = call_own_loss(loss, SLOPE, Z, Y)  # L15",
          "slope = call_own_loss(loss, VALUE, Z, Y)  # L15"),
    Fault("tiled: a user's loss of the first unit alone", "equations/losses.py",
          "cost[i] += scratch[i]  # L15", "cost[i] += scratch[i] if j == 0 else zero  # L15"),
    Fault("a user's function for the compiler: slope for value", "equations/own_loss.py",
          "out[i] = one_unit(z[i], y[i])[0]  # L15", "out[i] = one_unit(z[i], y[i])[1]  # L15"),
    Fault("functions that differ in a default are the same loss", "equations/own_loss.py",
          "[_value(one, attributes, inside) for one in (function.__defaults__ or ())],", "[],"),
    Fault("of two threads with the same loss one has loops that are let go",
          "equations/own_loss.py",
          "found = COMPILED_LOSSES.setdefault(digest, made)",
          "found = COMPILED_LOSSES[digest] = made"),
    Fault("all output units have the first level", "losses.py",
          "np.resize(numbers, n_outputs)", "np.full(n_outputs, numbers[0])"),
    Fault("curvature of a sigmoid unit from its rounded a", "equations/losses.py",
          "return np.exp(-abs(z)) / (1 + np.exp(-abs(z))) ** 2  # N1", "return a * (1 - a)  # N1"),
    Fault("tiled: curvature of Huber's loss is 1", "equations/losses.py",
          "h[i] = delta / (delta if e < delta else e)  # N1", "h[i] = one  # N1"),
    Fault("curvature without weights, NumPy", "equations/losses.py",
          "H[:] = np.where(s > 0, s * h, 0)", "H[:] = np.where(s > 0, h, 0)"),
    Fault("checkpoints do not know the number of a loss", "training/identity.py",
          "LOSS: network.loss.in_words,", "LOSS: network.loss.name,"),
    Fault("estimators: one f for all layers forgotten", "estimators/draws.py",
          "factor = UNITS[hidden[min(l, len(hidden) - 1)]].gain", "factor = 6.0"),
    Fault("estimators: a fit stops one epoch early", "estimators/training.py",
          'patience = min(given["n_iter_no_change"] + 1, sys.maxsize)',
          'patience = min(given["n_iter_no_change"], sys.maxsize)'),
    Fault("lm: penalty left out of the gradient", "solvers/damped_step.py",
          "g[p] += alpha * theta[p]  # N2", "pass"),
    Fault("lm: penalty left out of the matrix", "solvers/damped_step.py",
          "diagonal[p] += alpha  # N3", "pass"),
    Fault("lm: biases penalised", "solvers/damped_step.py",
          "for _ in range(n_out * n_in):\n            g[p]",
          "for _ in range(n_out * n_in + 1):\n            g[p]"),
    Fault("lm: damping left out of the matrix", "solvers/damped_step.py",
          "factor[p, p] = equations.diagonal[p] + mu", "factor[p, p] = equations.diagonal[p]"),
    Fault("lm: a step uphill", "solvers/damped_step.py",
          "step[p] = -equations.sums[p]", "step[p] = equations.sums[p]"),
    Fault("lm: damping left out of what a step promises", "solvers/damped_step.py",
          "(mu * step[p] - equations.sums[p])  # N4", "-equations.sums[p]"),
    Fault("lm: every decrease is a good one without damping", "solvers/damped_step.py",
          "least = GOOD_RHO if damping[UNDAMPED] == 1 else 0.0", "least = 0.0"),
    Fault("lm: damping falls by a third, however good the step was", "solvers/damped_step.py",
          "max(1 / 3, 1 - (2 * rho - 1) ** 3)  # N5", "1 / 3"),
    Fault("lm: damping always rises by two", "solvers/damped_step.py",
          "damping[NU] *= 2", "pass"),
    Fault("lm: no closing steps", "solvers/state.py",
          "CLOSING_STEPS = 2", "CLOSING_STEPS = 0"),
    Fault("dual: penalty left out of the right side", "solvers/damped_step.py",
          "x[a] -= row[a] * by_D * v", "pass"),
    Fault("dual: rows not divided by the penalty", "solvers/damped_step.py",
          "step[p] -= dot(row, x) / (decay + mu)  # N3", "step[p] -= dot(row, x) / mu"),
    Fault("evidence: all weights count", "solvers/damped_step.py",
          "gamma_W -= before * of_weights  # N6", "pass"),
    Fault("evidence: biases do not count", "solvers/damped_step.py",
          "gamma = gamma_W + (n - n_weights) - ridge * of_biases  # N6", "gamma = gamma_W"),
    Fault("evidence: beta is twice as large", "solvers/damped_step.py",
          "1.0) / (4 * cost_sum) if", "1.0) / (2 * cost_sum) if"),
    Fault("evidence: rows of weight 0 count", "sums/chunks.py",
          "return samples.n_samples if weights is None else int(np.count_nonzero(weights))",
          "return samples.n_samples"),
    Fault("Cholesky: a sum that stops one short", "equations/linear_systems.py",
          "for k in range(p + 1, last):", "for k in range(p + 2, last):"),
    Fault("Cholesky: a pivot of rounding alone is taken", "equations/linear_systems.py",
          "if not row[p] > LOST * diagonal[p]:", "if not row[p] > 0:"),
    Fault("Cholesky: rows below are added", "equations/linear_systems.py",
          "minus[j, k] = -L[last + k, first + j]", "minus[j, k] = L[last + k, first + j]"),
    Fault("Cholesky: only the second triangle is solved", "equations/linear_systems.py",
          "x[q] -= row[q] * x[p]", "pass"),
    Fault("dual: rows of the first samples overwritten", "equations/gauss_newton.py",
          "R[p, k * n + first + i] = rows[p, i]  # N1", "R[p, k * n + i] = rows[p, i]"),
    Fault("sums of lm: gradient of the chunk before kept", "sums/normal_equations.py",
          "dtheta[p] = 0\n    cost = 0.0\n    for start in range(first, last",
          "dtheta[p] = dtheta[p]\n    cost = 0.0\n    for start in range(first, last"),
    Fault("smoothing stops at half of its widths", "solvers/smoothing.py",
          "N_STAGES, DIVISOR = 9, 10.0", "N_STAGES, DIVISOR = 4, 10.0"),
    Fault("inference: the penalty does not shrink what is estimated", "statistics/curvature.py",
          "if self._alpha == 0:\n            return self._half.T", "if True:\n            "
          "return self._half.T"),
    Fault("inference: columns are not scaled before their rank is found", "statistics/curvature.py",
          "lengths = lengths_of(factor)[:, np.newaxis]",
          "lengths = np.ones((factor.shape[1], 1))"),
    Fault("inference: biases of units switched off count", "statistics/curvature.py",
          "rank = int(np.sum(s > SWITCHED_OFF * longest))", "rank = len(Vt)"),
    Fault("inference: variance divided by all residuals", "statistics/inference_on_parameters.py",
          "float(self._sums_of_squares.sum()) / self.degrees_of_freedom",
          "float(self._sums_of_squares.sum()) / self.n_observations"),
    Fault("inference: variance function forgotten", "statistics/inference_on_parameters.py",
          "squares = residual * residual / output**power", "squares = residual * residual"),
    Fault("inference: prior left out of the evidence", "statistics/inference_on_parameters.py",
          "return constant - exponent + prior +", "return constant - exponent +"),
    Fault("inference: slope of the output unit left out", "statistics/inference_on_parameters.py",
          "slope = {SIGMOID: output * (1 - output), EXP: output}", "slope = {EXP: output}"),
    Fault("Jacobian: slope of the output unit left out", "equations/jacobians.py",
          "return e / (1 + e) ** 2  # B11", "return 1.0"),
    Fault("Jacobian: softmax without the units beside it", "equations/jacobians.py",
          "dZ[j, i] = -D[k, i] * D[j, i] if unit == SOFTMAX else 0.0  # B11", "dZ[j, i] = 0.0"),
    Fault("Jacobian: of the wrong output, NumPy", "equations/jacobians.py",
          "jacobian[:, k] = units_of(dZ, sizes, 0).T  # B12",
          "jacobian[:, k - 1] = units_of(dZ, sizes, 0).T"),
    Fault("Jacobian: tiled, the features of the last square left out", "equations/jacobians.py",
          "if n % n_lanes > 0:  # the last square", "if n % n_lanes > n:  # the last square"),
    Fault("Jacobian: tiled, each block over the first", "sums/jacobians.py",
          "theta, sizes, units, A, dZ, jacobian, start, count, m)",
          "theta, sizes, units, A, dZ, jacobian, first, count, m)"),
    Fault("Hessian: the change of W on the way back left out, NumPy",
          "equations/second_derivative.py",
          "add_product_numpy(V.T, of_layer, change_below)", "pass"),
    Fault("Hessian: the change of the activations left out of dW",
          "equations/second_derivative.py",
          "add_product_loops(of_layer, RA_prev.T, RdW)", "pass"),
    Fault("Hessian: tiled, the same", "equations/second_derivative.py",
          "accumulate_over_samples(of_layer, RA_prev, RdW, change_below, m)  # N8", "pass"),
    Fault("Hessian: tiled, g'' left out", "equations/second_derivative.py",
          "add_second_derivative_tiled(units[l - 2], A_prev, RA_prev, below, change_below, m)",
          "pass"),
    Fault("Hessian: tanh'' with the wrong sign", "equations/activations.py",
          "return -2 * a * ra  # N10", "return 2 * a * ra"),
    Fault("Hessian: sigmoid'' without its factor 2, tiled", "equations/activations.py",
          "RdZ[j, i] += dA[j, i] * RA[j, i] * (one - two * A[j, i])  # N10",
          "RdZ[j, i] += dA[j, i] * RA[j, i] * (one - A[j, i])"),
    Fault("Hessian: softmax without the mean", "equations/second_derivative.py",
          "change = A[j, i] * less(less(RZ[j, i], RZ[most, i]), mean)  # N9",
          "change = A[j, i] * (RZ[j, i] - RZ[most, i])"),
    Fault("Hessian: gamma's expected second derivative for its own, tiled",
          "equations/second_derivative.py",
          "change[i] = y[i] * elementary.exp(-z[i]) * rz[i]  # N9", "change[i] = rz[i]"),
    Fault("Hessian: Huber bends beyond delta", "equations/second_derivative.py",
          "return 0.0 if abs(z - y) > loss.parameter[j] else 1.0  # N9", "return 1.0"),
    Fault("Hessian: weights left out", "equations/second_derivative.py",
          "RdZ[j, i] = s[i] * h * RZ[j, i] if s[i] > 0 else 0.0",
          "RdZ[j, i] = h * RZ[j, i] if s[i] > 0 else 0.0"),
    Fault("Hessian: the penalty's part at theta, not along v", "sums/objective.py",
          "penalised = product_sum, along, self._sizes",
          "penalised = product_sum, parameters, self._sizes"),
    Fault("Gauss-Newton matrix: upper triangle left as it is", "sums/objective.py",
          "G += np.tril(G, -1).T", "pass"),
    Fault("Gauss-Newton matrix: penalty of biases and of other rows", "sums/objective.py",
          "one[p] = 0", "pass"),
    Fault("Gauss-Newton matrix: of float32 data in float32", "sums/samples.py",
          "if self.dtype == np.float64:", "if self.dtype == np.float32:"),
    Fault("Hessian: a kink is not refused", "boundary/derivatives.py",
          "if loss.code in WITH_SECOND_DERIVATIVE:", "if loss.code in WITH_KINK:"),
    Fault("side by side: sum over units below stops one short", "equations/members.py",
          "for k in range(A.shape[0]):\n        row",
          "for k in range(max(A.shape[0] - 1, 1)):\n        row"),
    Fault("side by side: rows of W for its columns on the way back", "equations/members.py",
          "np.int64(1), sizes[l - 1], no_bias", "sizes[l - 1], np.int64(1), no_bias"),
    Fault("side by side: dW of wide layers in the order of narrow ones", "equations/members.py",
          "by_sample = n_in - n_in % n_lanes", "by_sample = 0"),
    Fault("side by side: dW of wide layers without what was there", "equations/members.py",
          "tile = tiles.load(dtheta, row + k, 0, weights, ONE)",
          "tile = tiles.zeros(dtheta, weights, ONE)"),
    Fault("side by side: db is the one of the unit before", "equations/members.py",
          "tile = lane_tiles.add_block(tile, dZ, j, s)",
          "tile = lane_tiles.add_block(tile, dZ, max(j - 1, 0), s)"),
    Fault("side by side: partial sums added in another order", "compiler/lane_tiles.py",
          "sums = sums[:half] + sums[half:]", "sums = sums[::2] + sums[1::2]"),
    Fault("side by side: the rest of a sum into all totals", "equations/members.py",
          "place = i % TOTALS if i < rounds else 0", "place = i % TOTALS"),
    Fault("side by side: biases penalised in the cost", "equations/member_steps.py",
          "n_weights = sizes[l] * sizes[l - 1]", "n_weights = sizes[l] * (sizes[l - 1] + 1)"),
    Fault("side by side: penalty left out of the gradient", "equations/member_steps.py",
          "tiles.store(penalised * of_scale, dtheta, p, 0)  # B9",
          "tiles.store(row_of(dtheta, p) * of_scale, dtheta, p, 0)"),
    Fault("side by side: a network that should stay takes the step", "equations/member_steps.py",
          "tiles.store(where(go, moved, row_of(rows, p)), rows, p, 0)",
          "tiles.store(moved, rows, p, 0)"),
    Fault("side by side: Adam's second moment of the slope itself", "equations/member_steps.py",
          "v = next_square(row_of(second, p), slope, keep_2, add_2)  # U4",
          "v = next_moment(row_of(second, p), slope, keep_2, add_2)"),
    Fault("side by side: class codes of another network's sample", "solvers/member_slices.py",
          "Y[codes[places[0, k]], c * n_lanes + k] = 1",
          "Y[codes[places[0, 0]], c * n_lanes + k] = 1"),
    Fault("side by side: samples that fill a block up count", "solvers/member_slices.py",
          "s[i] = 0", "s[i] = 1"),
    Fault("side by side: every network takes Adam's steps by the first one's rate",
          "solvers/member_slices.py",
          "rate = numbers_at(lanes.addresses[k, AT_SUMS], N_SUMS, lanes.sums)[RATE]",
          "rate = numbers_at(lanes.addresses[0, AT_SUMS], N_SUMS, lanes.sums)[RATE]"),
    Fault("side by side: a network that diverges takes that step", "solvers/member_slices.py",
          "lanes.go[k] = 1 if counts and np.isfinite(sums[COST, k]) else 0",
          "lanes.go[k] = 1 if counts else 0"),
    Fault("side by side: settings stay in the lane of one that left", "solvers/member_descent.py",
          "lanes.settings[:, lane] = lanes.settings[:, last]", "pass"),
]  # fmt: skip


# Where a fault shows first, and everywhere else.
ROOMS = ["tests/equations", "tests/sums", "tests/solvers"]
OTHERS = ["tests", *(f"--ignore={room}" for room in ROOMS)]
SAMPLES: dict[str, str] = {}
WHOLE_GRIDS = {"ENGINE_TEST_GRID": "full"}


def first_red(tree: Path) -> str | None:
    """The first test that fails in `tree`, or None: on samples of the grids, then on whole ones."""
    looked = itertools.product((SAMPLES, WHOLE_GRIDS), (ROOMS, OTHERS))
    found = (red_in(tree, places, variables) for variables, places in looked)
    return next(filter(None, found), None)


def red_in(tree: Path, places: list[str], variables: dict[str, str]) -> str | None:
    """The first test of these folders that fails, or None."""
    interpreted = {"NUMBA_DISABLE_JIT": "1", "ENGINE_TEST_PASS": "interpreted"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not compiled", *places]
    run = subprocess.run(
        command, cwd=tree, env=os.environ | interpreted | variables, capture_output=True, text=True
    )
    red = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if run.returncode == 0:
        return None
    return red[0].removeprefix("FAILED ") if red else run.stdout[-2000:] + run.stderr[-2000:]


def copy_of_the_tree(folder: str) -> Path:
    tree = Path(folder) / "tree"
    unwanted = shutil.ignore_patterns(".git", ".venv", "build", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, tree, ignore=unwanted)
    return tree


def main() -> int:
    """Print each fault with the test that found it; the number that none did."""
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_of_the_tree(folder)
        red = first_red(tree)
        if red is not None:
            print(f"without any fault, a test is red already: {red}")
            return 1
        missed = 0
        for number, (what, file, line, fault) in enumerate(FAULTS, start=1):
            path = tree / "engine" / file
            source = path.read_text()
            if line not in source:
                print(f"{number:2} {file}: no such line any more: {line}")
                missed += 1
                continue
            path.write_text(source.replace(line, fault, 1))
            red = first_red(tree)
            path.write_text(source)
            missed += red is None
            print(f"{number:2} {file}: {what}\n   {red or 'NO TEST IS RED'}", flush=True)
    print(f"{len(FAULTS) - missed} of {len(FAULTS)} faults found")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
