"""Minibatch descent in compiled slices: many steps a call, for the tiled backend.

A slice takes as long as the run says, about 50 ms: Ctrl-C, time limits and progress work between
slices, and the cost of a call does not matter. Gather, forward, backward and update of a step all
happen inside; nothing is allocated.
"""

import numpy as np

from engine.compiler.jit import compiled_once, jit, shared
from engine.compiler.subnormals import flush_subnormals, restore
from engine.compiler.views import vector_at
from engine.equations.mean import mean_cost_loops, mean_gradient_tiled
from engine.equations.ordered_sums import norm_from, plus, sum_of_squares_in_order
from engine.equations.update import (
    adam_and_more_tiled,
    adam_loops,
    average_loops,
    clip_loops,
    gradient_descent_loops,
    momentum_loops,
    nesterov_loops,
)
from engine.solvers.batches import shuffle_blocks_loops, shuffle_loops
from engine.solvers.learning_rate import follow_cosine, scale_rate
from engine.solvers.state import (
    ADAM,
    COSINE,
    EPOCHS,
    EVALUATE,
    MOMENTUM,
    NESTEROV,
    POSITION,
    RATE,
    STAGNANT,
    STEPS,
    end_of_step,
)
from engine.solvers.stopping import count_improvement
from engine.sums.blocks import COST, GRADIENT, run_blocks_tiled

# Parameters that are updated at a time: with their gradient and their moments they stay in the
# second-level cache from one pass over them to the next.
PARAMETERS_AT_A_TIME = 8192

# How a slice ended.
UNFINISHED, FINISHED, DIVERGED = range(3)


@jit
def descend_tiled(
    state,
    settings,
    layers,
    data,
    block,
    workspace,
    n_steps,
    n_epochs,
    history,
):
    """Take up to n_steps steps, or to the end of n_epochs epochs; returns how the slice ended.

    Row e of `history` receives the cost and the gradient's norm of the e-th epoch that ends. A cost
    that is not finite ends the slice before its step, with the cost in the next row.
    """
    control_word = flush_subnormals()
    ended = take_steps_tiled(
        state,
        settings,
        layers,
        data,
        block,
        workspace,
        n_steps,
        n_epochs,
        history,
    )
    restore(control_word)
    return ended


@jit
def take_steps_tiled(
    state,
    settings,
    layers,
    data,
    block,
    workspace,
    n_steps,
    n_epochs,
    history,
):
    """The same, without the mode for subnormals; so it may return from several places."""
    theta, dtheta = state.theta, workspace.dtheta
    counts = state.counts
    epochs_before = counts[EPOCHS]
    task = COST if settings.update == EVALUATE else GRADIENT
    has_more = needs_more(settings)
    for _ in range(n_steps):
        first = counts[POSITION]
        last = min(first + settings.batch_size, state.order.size)
        if first == 0 and settings.shuffle == 1:
            shuffle_for_epoch(state, settings)
        for p in range(dtheta.size):
            dtheta[p] = 0
        cost_sum = run_blocks_tiled(
            task,
            theta,
            layers,
            data,
            state.order,
            first,
            last,
            block,
            workspace,
            workspace.Y,
        )
        weight = weight_of(data, state.order, first, last)
        row = counts[EPOCHS] - epochs_before
        if weight > 0:  # at weight 0, the batch counts for nothing
            cost = mean_cost_loops(cost_sum, theta, layers.sizes, settings.alpha, weight)
            if task == GRADIENT:
                if not np.isfinite(cost):
                    history[row, 0] = cost
                    return DIVERGED
                if has_more:
                    ends = last == state.order.size
                    found = step_with_more(state, settings, layers.sizes, dtheta, weight, ends)
                    if ends:
                        history[row, 1] = found
                else:
                    for start in range(0, dtheta.size, PARAMETERS_AT_A_TIME):
                        stop = min(start + PARAMETERS_AT_A_TIME, dtheta.size)
                        mean_gradient_tiled(
                            dtheta, theta, layers.sizes, settings.alpha, weight, start, stop
                        )
                        update_tiled(state, settings, dtheta, start, stop)
                    if last == state.order.size:
                        history[row, 1] = norm(dtheta)
        else:
            cost = 0.0
        if finish_step(state, settings, cost, weight, last, row, n_epochs, history) == FINISHED:
            return FINISHED
    return UNFINISHED


@jit
def shuffle_for_epoch(state, settings):
    """Shuffle the order, by blocks of samples or all at once."""
    if settings.block > 0:
        shuffle_blocks_loops(state.order, state.random, settings.block)
    else:
        shuffle_loops(state.order, state.random)


@shared
def finish_step(state, settings, cost, weight, last, row, n_epochs, history):
    """Count a step, and an epoch that ends with it; whether the slice ends there."""
    of_epoch = end_of_step(state, settings, cost, weight, last)
    if last == state.order.size:
        history[row, 0] = of_epoch
        scale_rate(state, settings)
        if settings.judged == 0:
            count_improvement(state, settings, of_epoch)
        if row + 1 == n_epochs or state.counts[STAGNANT] == 1:
            return FINISHED
    return UNFINISHED


@compiled_once
def update_tiled(state, settings, dtheta, start, stop):
    """The optimiser's step, for parameters start ... stop - 1.

    The state holds the number of the step and the learning rate.
    """
    rate = state.sums[RATE]
    n = stop - start
    theta, slope = vector_at(state.theta, start, n), vector_at(dtheta, start, n)
    first = vector_at(state.first, start, min(n, state.first.size))  # empty where not used
    second = vector_at(state.second, start, min(n, state.second.size))
    if settings.update == ADAM:
        adam_loops(
            theta,
            slope,
            first,
            second,
            state.counts[STEPS] + 1,
            rate,
            settings.beta_1,
            settings.beta_2,
            settings.epsilon,
        )
    elif settings.update == NESTEROV:
        nesterov_loops(theta, slope, first, rate, settings.momentum)
    elif settings.update == MOMENTUM:
        momentum_loops(theta, slope, first, rate, settings.momentum)
    else:
        gradient_descent_loops(theta, slope, rate)


@shared
def needs_more(settings):
    """Whether a step is more than a mean gradient and an update: `step_with_more` takes it."""
    more = settings.weight_decay > 0 or settings.average > 0 or settings.clip_norm > 0
    return more or settings.schedule == COSINE


@compiled_once
def step_with_more(state, settings, sizes, dtheta, weight, wants_norm):
    """A step by a summed gradient, with clipping, cosine, decay and average, if they are asked for.

    Returns the norm of the mean gradient, before it is clipped, if that is wanted. A function of
    its own, so that the kernel around it is the one that it would be without these.
    """
    theta, mean, alpha = state.theta, state.average, settings.alpha
    gradient_norm, clips = 0.0, settings.clip_norm > 0
    follow_cosine(state, settings)
    rate, t = state.sums[RATE], state.counts[STEPS] + 1
    if clips:  # by the norm of the whole gradient
        first = np.int64(0)  # of the type of `start` below: a literal would be compiled once more
        mean_gradient_tiled(dtheta, theta, sizes, alpha, weight, first, dtheta.size)
        gradient_norm = clip_loops(dtheta, settings.clip_norm)
    for start in range(0, dtheta.size, PARAMETERS_AT_A_TIME):
        stop = min(start + PARAMETERS_AT_A_TIME, dtheta.size)
        if not clips:
            mean_gradient_tiled(dtheta, theta, sizes, alpha, weight, start, stop)
        if settings.update == ADAM and (settings.weight_decay > 0 or settings.average > 0):
            adam_and_more_tiled(
                theta,
                dtheta,
                state.first,
                state.second,
                mean,
                sizes,
                start,
                stop,
                t,
                rate,
                settings.beta_1,
                settings.beta_2,
                settings.epsilon,
                settings.weight_decay,
                settings.average,
            )
        else:
            update_tiled(state, settings, dtheta, start, stop)
            if settings.average > 0:
                n = stop - start
                of_part = vector_at(mean, start, n), vector_at(theta, start, n)
                average_loops(*of_part, t, settings.average)
    if wants_norm and not clips:
        gradient_norm = norm(dtheta)
    return gradient_norm


@jit
def weight_of(data, order, first, last):
    """S, the sum of the weights, of the samples order[first:last]."""
    if data.weights.size == 0:
        return float(last - first)
    total = 0.0
    for place in range(first, last):
        total = plus(total, np.float64(data.weights[order[place]]))
    return total


@jit
def norm(dtheta):
    """Euclidean norm, in float64."""
    return norm_from(sum_of_squares_in_order(dtheta), dtheta)
