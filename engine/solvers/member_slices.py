"""Minibatch descent of many networks side by side, in compiled slices.

One network in each lane of a vector (engine/equations/members.py). All have the same sizes, units,
loss, optimiser and number of samples, and take batches of the same size, so that they are at the
same place of an epoch. Data, order, seeds, rates and penalties are each network's own. What it
carries from step to step lies in its own `State`; parameters and moments are copied into lanes when
a slice begins, and back when it ends.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiler import tiles
from engine.compiler.jit import inlined, jit
from engine.compiler.pointers import numbers_at
from engine.compiler.subnormals import flush_subnormals, restore
from engine.equations.layout import units_of_loops
from engine.equations.losses import smooth_targets_loops
from engine.equations.member_steps import (
    ADD_1,
    ADD_2,
    ADD_MEAN,
    EPSILON,
    ETA,
    KEEP_1,
    KEEP_2,
    KEEP_MEAN,
    MU,
    SHORTEN,
    SHRINK,
    adam_members,
    average_members,
    clip_members,
    decay_members,
    gradient_descent_members,
    mean_gradient_members,
    momentum_members,
    nesterov_members,
    penalties_members,
)
from engine.equations.members import add_in_order, add_squares_in_order, gradient_pass_members
from engine.equations.ordered_sums import norm_from, plus, quotient
from engine.equations.update import adam_rate, kept_share
from engine.solvers.batches import shuffle_loops
from engine.solvers.learning_rate import follow_cosine, scale_rate
from engine.solvers.slices import DIVERGED, FINISHED, UNFINISHED
from engine.solvers.state import (
    ADAM,
    COSINE,
    MOMENTUM,
    N_COUNTS,
    N_SUMS,
    NESTEROV,
    POSITION,
    RATE,
    STAGNANT,
    STEPS,
    end_of_step,
)
from engine.solvers.stopping import count_improvement

# Columns of `Lanes.addresses`: where the arrays of each network lie, first those of its `State`.
(
    AT_THETA,
    AT_FIRST,
    AT_SECOND,
    AT_ORDER,
    AT_RANDOM,
    AT_COUNTS,
    AT_SUMS,
    AT_AVERAGE,
    AT_HISTORY,
    AT_X,
    AT_Y,
    AT_CODES,
    AT_WEIGHTS,
    N_ADDRESSES,
) = range(14)
# Rows of `Lanes.settings`: the settings in which networks may differ.
(
    LEARNING_RATE,
    OF_MOMENTUM,
    OF_BETA_1,
    OF_BETA_2,
    OF_EPSILON,
    OF_ALPHA,
    POWER_T,
    TOL,
    OF_WEIGHT_DECAY,
    OF_AVERAGE,
    OF_CLIP_NORM,
    N_SETTINGS,
) = range(12)
# Rows of `Lanes.sums`.
COST_SUM, WEIGHT, COST, SQUARES, NORM, N_LANE_SUMS = range(6)


class Lanes(NamedTuple):
    """The memory of K networks side by side; K is the number of lanes of a vector."""

    addresses: NDArray[np.int64]  # (K, N_ADDRESSES)
    settings: NDArray[np.float64]  # (N_SETTINGS, K)
    theta: NDArray[Any]  # (n_parameters, K)
    first: NDArray[Any]  # (n_parameters or 0, K)
    second: NDArray[Any]  # (n_parameters or 0, K)
    average: NDArray[Any]  # (n_parameters or 0, K)
    dtheta: NDArray[Any]  # (n_parameters, K)
    A: NDArray[Any]  # (units and scratch, width K)
    dZ: NDArray[Any]  # (units, width K)
    Y: NDArray[Any]  # (n_L, width K)
    s: NDArray[Any]  # (width K,)
    rates: NDArray[Any]  # (N_RATES, K)
    scale: NDArray[Any]  # (K,)
    decay: NDArray[Any]  # (K,)
    totals: NDArray[np.float64]  # (TOTALS, K)
    sums: NDArray[np.float64]  # (N_LANE_SUMS, K)
    go: NDArray[Any]  # (K,) not 0 if the network takes this step
    ended: NDArray[np.int64]  # (K,) how its slice ended
    places: NDArray[np.int64]  # (2, K) of a sample of each network: its number and its address
    codes: NDArray[np.int32]  # (0,) of the dtype of orders and class codes
    words: NDArray[np.uint64]  # (0,) of the dtype of the generator's words


class Shape(NamedTuple):
    """What the arrays at the addresses have in common: lengths, and steps between numbers."""

    n_samples: int
    n_words: int  # of the generator's state
    n_X: int  # numbers that a network's X spans
    X_unit_step: int
    X_sample_step: int
    n_Y: int  # 0 for class codes
    Y_unit_step: int
    Y_sample_step: int
    weighted: int


class MemberState(NamedTuple):
    """The part of a network's `State` that is not in lanes."""

    order: Any
    random: Any
    counts: Any
    sums: Any


class MemberSettings(NamedTuple):
    """The settings of a network that decide when it stops, and its learning rate."""

    schedule: int
    learning_rate: float
    power_t: float
    tol: float
    relative: int
    judged: int
    patience: int
    stops: int
    counts_samples: int
    full_batch: int
    schedule_from: int
    schedule_steps: int


@jit
def descend_members(lanes, shape, settings, layers, n_members, n_steps, n_epochs):
    """Take up to n_steps steps of each network, or to the end of n_epochs epochs.

    How each slice ended is in `lanes.ended`; costs and norms are in its history as `descend_tiled`
    leaves them. The slice also ends, for all, with the epoch in which one network stops.
    """
    control_word = flush_subnormals()
    load_members(lanes, n_members)
    take_steps_members(lanes, shape, settings, layers, n_members, n_steps, n_epochs)
    store_members(lanes, n_members)
    restore(control_word)


@jit
def load_members(lanes, n_members):
    """Copy parameters and moments into their lanes; 0 into lanes without a network."""
    for k in range(tiles.lanes(lanes.theta)):
        lanes.go[k] = 1 if k < n_members else 0
        lanes.ended[k] = UNFINISHED
        member = min(k, n_members - 1)
        load_member(lanes, lanes.theta, AT_THETA, member, k)
        load_member(lanes, lanes.first, AT_FIRST, member, k)
        load_member(lanes, lanes.second, AT_SECOND, member, k)
        load_member(lanes, lanes.average, AT_AVERAGE, member, k)


@inlined
def load_member(lanes, rows, at, member, k):
    numbers = numbers_at(lanes.addresses[member, at], rows.shape[0], rows)
    for p in range(rows.shape[0]):
        rows[p, k] = numbers[p] if lanes.go[k] > 0 else 0


@jit
def store_members(lanes, n_members):
    """Copy parameters and moments back."""
    for k in range(n_members):
        store_member(lanes, lanes.theta, AT_THETA, k)
        store_member(lanes, lanes.first, AT_FIRST, k)
        store_member(lanes, lanes.second, AT_SECOND, k)
        store_member(lanes, lanes.average, AT_AVERAGE, k)


@inlined
def store_member(lanes, rows, at, k):
    numbers = numbers_at(lanes.addresses[k, at], rows.shape[0], rows)
    for p in range(rows.shape[0]):
        numbers[p] = rows[p, k]


@inlined
def state_of_member(lanes, shape, k):
    addresses = lanes.addresses
    return MemberState(
        numbers_at(addresses[k, AT_ORDER], shape.n_samples, lanes.codes),
        numbers_at(addresses[k, AT_RANDOM], shape.n_words, lanes.words),
        numbers_at(addresses[k, AT_COUNTS], N_COUNTS, addresses),
        numbers_at(addresses[k, AT_SUMS], N_SUMS, lanes.sums),
    )


@inlined
def settings_of_member(lanes, settings, k):
    return MemberSettings(
        settings.schedule,
        lanes.settings[LEARNING_RATE, k],
        lanes.settings[POWER_T, k],
        lanes.settings[TOL, k],
        settings.relative,
        settings.judged,
        settings.patience,
        settings.stops,
        settings.counts_samples,
        settings.full_batch,
        settings.schedule_from,
        settings.schedule_steps,
    )


@jit
def take_steps_members(lanes, shape, settings, layers, n_members, n_steps, n_epochs):
    """The same, without the mode for subnormals; so it may return from several places."""
    sizes, units, loss, _ = layers
    n, dtheta, sums = shape.n_samples, lanes.dtheta, lanes.sums
    n_lanes = tiles.lanes(lanes.theta)
    row, position = 0, state_of_member(lanes, shape, 0).counts[POSITION]
    for _ in range(n_steps):
        last = min(position + settings.batch_size, n)
        if position == 0 and settings.shuffle == 1:
            for k in range(n_members):
                state = state_of_member(lanes, shape, k)
                shuffle_loops(state.order, state.random)
        m = load_block_members(lanes, shape, sizes, position, last)
        for p in range(dtheta.shape[0]):
            for k in range(n_lanes):
                dtheta[p, k] = 0
        A, dZ, Y, s = lanes.A, lanes.dZ, lanes.Y, lanes.s
        smooth_targets_loops(loss, units[len(units) - 1], Y, (last - position) * n_lanes)
        gradient_pass_members(lanes.theta, sizes, units, loss, A, dZ, Y, s, dtheta, m)
        mean_costs(lanes, shape, sizes, A, n_members, last - position, m)
        step_members(lanes, shape, settings, sizes, n_members)
        for k in range(n_members):
            if lanes.ended[k] == DIVERGED:
                continue
            state = state_of_member(lanes, shape, k)
            of_member = settings_of_member(lanes, settings, k)
            history = history_of(lanes, n_epochs, k)
            if not np.isfinite(sums[COST, k]):
                history[2 * row] = sums[COST, k]
                lanes.ended[k] = DIVERGED
                continue
            of_epoch = end_of_step(state, of_member, sums[COST, k], sums[WEIGHT, k], last)
            if last == n:
                history[2 * row] = of_epoch
                scale_rate(state, of_member)
                if settings.judged == 0:
                    count_improvement(state, of_member, of_epoch)
        position = last
        if last == n:
            norms_into_history(lanes, settings, n_members, n_epochs, row)
            position, row = 0, row + 1
            stops = row == n_epochs
            for k in range(n_members):
                stops |= lanes.ended[k] == DIVERGED
                stops |= state_of_member(lanes, shape, k).counts[STAGNANT] == 1
            if stops:
                for k in range(n_members):
                    if lanes.ended[k] != DIVERGED:
                        lanes.ended[k] = FINISHED
                return


@inlined
def history_of(lanes, n_epochs, k):
    """The history (2 n_epochs,) of a network: cost and norm of each epoch."""
    return numbers_at(lanes.addresses[k, AT_HISTORY], 2 * n_epochs, lanes.sums)


@jit
def load_block_members(lanes, shape, sizes, first, last):
    """Put samples order[first:last] of each network into the workspace; returns m, padded."""
    n_lanes = tiles.lanes(lanes.theta)
    X, Y, s = units_of_loops(lanes.A, sizes, 0), lanes.Y, lanes.s
    count = last - first
    m = (count + n_lanes - 1) // n_lanes * n_lanes
    from_Y = count * n_lanes if shape.n_Y > 0 else 0
    for j in range(Y.shape[0]):
        for i in range(from_Y, m * n_lanes):
            Y[j, i] = 0
    for i in range(count * n_lanes, m * n_lanes):
        s[i] = 0
    for f in range(X.shape[0]):
        for i in range(count * n_lanes, m * n_lanes):
            X[f, i] = 0
    addresses, places = lanes.addresses, lanes.places
    itemsize = X.itemsize
    for c in range(count):
        for k in range(n_lanes):  # lanes without a network have the addresses of another
            order = numbers_at(addresses[k, AT_ORDER], shape.n_samples, lanes.codes)
            places[0, k] = order[first + c]  # an int64: its products below may need that
            places[1, k] = addresses[k, AT_X] + places[0, k] * shape.X_sample_step * itemsize
        for f in range(X.shape[0]):
            for k in range(n_lanes):
                at = places[1, k] + f * shape.X_unit_step * itemsize
                X[f, c * n_lanes + k] = numbers_at(at, 1, X)[0]
        if shape.n_Y > 0:
            for j in range(Y.shape[0]):
                for k in range(n_lanes):
                    step = places[0, k] * shape.Y_sample_step + j * shape.Y_unit_step
                    at = addresses[k, AT_Y] + step * itemsize
                    Y[j, c * n_lanes + k] = numbers_at(at, 1, X)[0]
        else:
            for k in range(n_lanes):
                codes = numbers_at(addresses[k, AT_CODES], shape.n_samples, lanes.codes)
                Y[codes[places[0, k]], c * n_lanes + k] = 1
        for k in range(n_lanes):
            weight = s.dtype.type(1)
            if shape.weighted == 1:
                at = addresses[k, AT_WEIGHTS] + places[0, k] * itemsize
                weight = numbers_at(at, 1, X)[0]
            s[c * n_lanes + k] = weight
    return m


@jit
def mean_costs(lanes, shape, sizes, A, n_members, count, m):
    """J and S of each network's batch, and 1/S and alpha for its gradient; J is 0 where S is 0."""
    sums, n_lanes = lanes.sums, tiles.lanes(lanes.theta)
    n_units = 0
    for l in range(sizes.size):
        n_units += sizes[l]
    for k in range(n_lanes):
        sums[COST_SUM, k] = 0.0
        sums[WEIGHT, k] = 0.0 if shape.weighted == 1 else float(count)
    add_in_order(lanes.totals, A[n_units], m, A, sums[COST_SUM])
    if shape.weighted == 1:
        for c in range(count):
            for k in range(n_lanes):
                weight = np.float64(lanes.s[c * n_lanes + k])
                sums[WEIGHT, k] = plus(sums[WEIGHT, k], weight)
    with_penalty = False
    for k in range(n_members):
        with_penalty |= lanes.settings[OF_ALPHA, k] > 0
    for k in range(n_lanes):
        sums[COST, k] = 0.0
    if with_penalty:
        penalties_members(
            lanes.theta, sizes, lanes.settings[OF_ALPHA], lanes.totals, sums[SQUARES], sums[COST]
        )
    to = lanes.theta.dtype.type
    for k in range(n_lanes):
        weight = sums[WEIGHT, k]
        penalised = plus(sums[COST_SUM, k], sums[COST, k])
        sums[COST, k] = quotient(penalised, weight) if weight > 0 else 0.0
        lanes.scale[k], lanes.decay[k] = to(1 / weight), to(lanes.settings[OF_ALPHA, k])
        counts = weight > 0 and lanes.ended[k] != DIVERGED and k < n_members
        lanes.go[k] = 1 if counts and np.isfinite(sums[COST, k]) else 0


@jit
def step_members(lanes, shape, settings, sizes, n_members):
    """The mean gradients, and a step of each network that goes on."""
    to = lanes.theta.dtype.type
    rates, of_each = lanes.rates, lanes.settings
    last, betas, powers = np.int64(0), (0.0, 0.0), (0.0, 0.0)  # most networks are at the same step
    for k in range(n_members):
        state = state_of_member(lanes, shape, k)
        if settings.schedule == COSINE and lanes.go[k] > 0:
            follow_cosine(state, settings_of_member(lanes, settings, k))
        eta = rate = state.sums[RATE]
        t = state.counts[STEPS] + 1
        if settings.average > 0:
            kept = kept_share(of_each[OF_AVERAGE, k], t)
            rates[KEEP_MEAN, k], rates[ADD_MEAN, k] = to(kept), to(1 - kept)
        if settings.update == ADAM:
            # Python's numbers, as alone: interpreted, NumPy's have powers with other last bits.
            beta_1, beta_2 = float(of_each[OF_BETA_1, k]), float(of_each[OF_BETA_2, k])
            if k == 0 or t != last or beta_1 != betas[0] or beta_2 != betas[1]:
                powers = beta_1**t, beta_2**t
                last, betas = t, (beta_1, beta_2)
            rate = adam_rate(rate, powers[0], powers[1])
            rates[KEEP_1, k], rates[ADD_1, k] = to(beta_1), to(1 - beta_1)
            rates[KEEP_2, k], rates[ADD_2, k] = to(beta_2), to(1 - beta_2)
            rates[EPSILON, k] = to(of_each[OF_EPSILON, k])
            rates[SHRINK, k] = to(eta * of_each[OF_WEIGHT_DECAY, k])
        rates[ETA, k], rates[MU, k] = to(rate), to(of_each[OF_MOMENTUM, k])
    theta, dtheta, go = lanes.theta, lanes.dtheta, lanes.go
    mean_gradient_members(dtheta, theta, sizes, lanes.decay, lanes.scale)
    if settings.clip_norm > 0:
        norms_of_gradients(lanes)
        for k in range(n_members):
            before, longest = lanes.sums[NORM, k], of_each[OF_CLIP_NORM, k]
            rates[SHORTEN, k] = to(quotient(longest, before)) if before > longest else to(1)
        clip_members(dtheta, rates)
    if settings.update == ADAM and settings.weight_decay > 0:
        decay_members(theta, sizes, rates, go)
    if settings.update == ADAM:
        adam_members(theta, dtheta, lanes.first, lanes.second, rates, go)
    elif settings.update == NESTEROV:
        nesterov_members(theta, dtheta, lanes.first, rates, go)
    elif settings.update == MOMENTUM:
        momentum_members(theta, dtheta, lanes.first, rates, go)
    else:
        gradient_descent_members(theta, dtheta, rates, go)
    if settings.average > 0:
        average_members(lanes.average, theta, rates, go)


@jit
def norms_of_gradients(lanes):
    """The norm of the gradient of each network."""
    squares = lanes.sums[SQUARES]
    for k in range(squares.size):
        squares[k] = 0.0
    add_squares_in_order(lanes.totals, lanes.dtheta, lanes.theta, squares)
    for k in range(squares.size):
        lanes.sums[NORM, k] = norm_from(squares[k], lanes.dtheta[:, k])


@jit
def norms_into_history(lanes, settings, n_members, n_epochs, row):
    """The norm of the last gradient of each network that took the step, before it was clipped."""
    if settings.clip_norm == 0:
        norms_of_gradients(lanes)
    for k in range(n_members):
        if lanes.go[k] > 0:
            history_of(lanes, n_epochs, k)[2 * row + 1] = lanes.sums[NORM, k]
