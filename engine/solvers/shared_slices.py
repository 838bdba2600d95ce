"""Minibatch descent by several threads: they share the units of each layer (slices.py).

All threads go through the same steps, each with its part of the units, and wait for each other
where one needs what another has computed. Each number is computed by one thread, from the same
terms in the same order as by a thread alone: so the bits do not depend on the number of threads.

    phase                       shared by               then
    shuffle                     thread 0 alone          all wait, at the start of an epoch
    load a block                features                all wait
    F1 to F7, hidden layers     units of the layer      all wait, after each layer
    cost, dZ of the output      thread 0 alone          all wait
    B3 to B8, B1 B2             units of both layers    all wait, after each layer
    mean gradient, update       parameters              all wait
    end of the step             thread 0 alone          as the others load the next block

A part is a whole number of `UNITS_TOGETHER` units, which keeps tiles whole. The output layer, if it
has fewer than twice as many units, is thread 0's.
"""

import numpy as np

from engine.compiler import tiles
from engine.compiler.barrier import join, lead, wait, wait_to_begin
from engine.compiler.clock import nanoseconds
from engine.compiler.jit import inlined, jit
from engine.compiler.subnormals import flush_subnormals, restore
from engine.compiler.views import rows_at, vector_at
from engine.equations.activations import activate_tiled, derive_tiled
from engine.equations.backward import parameter_gradient_tiled
from engine.equations.forward import affine_tiled
from engine.equations.layout import parameters_of_loops, scratch_of, units_of_loops
from engine.equations.losses import cost_sum_tiled, output_gradient_tiled, smooth_targets_loops
from engine.equations.mean import mean_cost_loops, mean_gradient_tiled
from engine.equations.products import accumulate_over_units
from engine.solvers.slices import (
    DIVERGED,
    FINISHED,
    PARAMETERS_AT_A_TIME,
    UNFINISHED,
    finish_step,
    norm,
    shuffle_for_epoch,
    update_tiled,
    weight_of,
)
from engine.solvers.state import EPOCHS, POSITION
from engine.sums.blocks import load_inputs, load_targets

UNITS_TOGETHER = 8
PARAMETERS_TOGETHER = 64

# What thread 0 tells the others.
COST, WEIGHT, ENDED, N_TOLD = range(4)
OUT_OF_TIME = -1.0


@inlined
def part_of(n, together, me, n_threads):
    """The first of this thread's items, and the first of the next thread's."""
    groups = max(n // together, 1)  # the last group has the rest, too
    begin = (groups * me + n_threads - 1) // n_threads
    end = (groups * (me + 1) + n_threads - 1) // n_threads
    return (
        begin * together if begin < groups else n,
        end * together if end < groups else n,
    )


@jit
def descend_shared_tiled(
    team,
    told,
    leads,
    n_expected,
    state,
    settings,
    layers,
    data,
    block,
    workspace,
    starts,
    scratch,
    n_steps,
    n_epochs,
    most_nanoseconds,
    history,
):
    """A thread's part of `descend_tiled`, for Adam, momentum and plain steps on dense inputs.

    One thread `leads`; the others wait for it. Each has `starts` and `scratch` of its own, the rest
    is shared. Returns how the slice ended, and the number of threads; 0 threads if there was no
    slice, or it began without this one. The first step that ends after `most_nanoseconds` is the
    last of the slice: threads that wait for one that does not run may be slow.
    """
    me = np.int64(0) if leads == 1 else np.int64(join(team))
    if leads == 0 and me == 0:
        return UNFINISHED, np.int64(0)
    n = np.int64(lead(team, n_expected) if leads == 1 else wait_to_begin(team))
    if n < 0:
        return UNFINISHED, np.int64(0)
    control_word = flush_subnormals()
    ended = share_steps_tiled(
        team,
        told,
        me,
        n,
        state,
        settings,
        layers,
        data,
        block,
        workspace,
        starts,
        scratch,
        n_steps,
        n_epochs,
        most_nanoseconds,
        history,
    )
    restore(control_word)
    return ended, n


@jit
def share_steps_tiled(
    team,
    told,
    me,
    n,
    state,
    settings,
    layers,
    data,
    block,
    workspace,
    starts,
    scratch,
    n_steps,
    n_epochs,
    most_nanoseconds,
    history,
):
    """The steps of thread `me` of n."""
    theta, dtheta = state.theta, workspace.dtheta
    counts, alpha = state.counts, settings.alpha
    epochs_before = counts[EPOCHS]
    begin, end = part_of(dtheta.size, PARAMETERS_TOGETHER, me, n)
    turn = np.int64(0)
    until = nanoseconds() + most_nanoseconds
    first = counts[POSITION]
    if me == 0:
        told[ENDED] = UNFINISHED
    for _ in range(n_steps):
        last = min(first + settings.batch_size, state.order.size)
        if first == 0:
            if me == 0 and told[ENDED] == UNFINISHED and settings.shuffle == 1:
                shuffle_for_epoch(state, settings)
            turn = wait(team, n, turn)
            if told[ENDED] != UNFINISHED:
                break
        for p in range(begin, end):
            dtheta[p] = 0
        if me == 0:
            told[COST], told[WEIGHT] = 0.0, weight_of(data, state.order, first, last)
        for start in range(first, last, block):
            count = min(block, last - start)
            load_part_of_block(
                me, n, data, state.order, start, count, layers.sizes[0], workspace, starts
            )
            turn = wait(team, n, turn)
            if start == first and told[ENDED] != UNFINISHED:
                break
            ends = start + block >= last
            turn = share_block_tiled(
                team, told, me, n, turn, theta, layers, alpha, ends, count, workspace, scratch
            )
        if told[ENDED] != UNFINISHED:
            break
        weight, cost = told[WEIGHT], told[COST]
        if weight > 0:  # at weight 0, the batch counts for nothing
            if not np.isfinite(cost):
                if me == 0:
                    history[counts[EPOCHS] - epochs_before, 0] = cost
                return DIVERGED
            for start in range(begin, end, PARAMETERS_AT_A_TIME):
                stop = min(start + PARAMETERS_AT_A_TIME, end)
                mean_gradient_tiled(dtheta, theta, layers.sizes, alpha, weight, start, stop)
                update_tiled(state, settings, dtheta, start, stop)
        turn = wait(team, n, turn)
        if me == 0:
            row = counts[EPOCHS] - epochs_before
            if weight > 0 and last == state.order.size:
                history[row, 1] = norm(dtheta)
            ended = finish_step(state, settings, cost, weight, last, row, n_epochs, history)
            late = ended == UNFINISHED and nanoseconds() > until
            told[ENDED] = OUT_OF_TIME if late else ended
        first = 0 if last == state.order.size else last
    return FINISHED if me == 0 and told[ENDED] == FINISHED else UNFINISHED


@jit
def share_block_tiled(
    team,
    told,
    me,
    n,
    turn,
    theta,
    layers,
    alpha,
    ends,
    count,
    workspace,
    scratch,
):
    """A thread's part of a block: its share of the gradient is added to dtheta. The next turn.

    Where the batch `ends`, thread 0 leaves its cost in told[COST].
    """
    sizes, units, loss, _ = layers
    A, dZ, Y, s, _, dtheta, _ = workspace
    L = len(sizes) - 1
    n_lanes = tiles.lanes(A)
    m = (count + n_lanes - 1) // n_lanes * n_lanes
    for l in range(1, L + 1):
        W, b = parameters_of_loops(theta, sizes, l)
        Z = units_of_loops(A, sizes, l)
        begin, end = part_of(sizes[l], UNITS_TOGETHER, me, n)
        if end > begin:
            own = rows_at(Z, begin, end - begin)
            own_W = rows_at(W, begin, end - begin)
            affine_tiled(
                own_W, vector_at(b, begin, end - begin), units_of_loops(A, sizes, l - 1), own, m
            )
            if l < L:
                activate_tiled(units[l - 1], own, scratch, m)
        if l < L or sizes[L] >= 2 * UNITS_TOGETHER:
            turn = wait(team, n, turn)
    if me == 0:
        Z, dZ_output = units_of_loops(A, sizes, L), units_of_loops(dZ, sizes, L)
        rows = scratch_of(A, sizes)
        smooth_targets_loops(loss, units[L - 1], Y, count)
        cost = told[COST] + cost_sum_tiled(loss, units[L - 1], Z, Y, s, rows, m)
        if ends and told[WEIGHT] > 0:
            cost = mean_cost_loops(cost, theta, sizes, alpha, told[WEIGHT])
        told[COST] = cost
        for j in range(Z.shape[0]):
            for i in range(m):
                dZ_output[j, i] = Z[j, i]
        activate_tiled(units[L - 1], dZ_output, rows, m)
        output_gradient_tiled(loss, units[L - 1], dZ_output, Z, Y, s, dZ_output, m)
    turn = wait(team, n, turn)
    for l in range(L, 0, -1):
        W, _ = parameters_of_loops(theta, sizes, l)
        dW, db = parameters_of_loops(dtheta, sizes, l)
        A_prev, dZ_prev = units_of_loops(A, sizes, l - 1), units_of_loops(dZ, sizes, l - 1)
        dZ_layer = units_of_loops(dZ, sizes, l)
        if l > 1:
            begin, end = part_of(sizes[l - 1], UNITS_TOGETHER, me, n)
            if end > begin:
                below = rows_at(dZ_prev, begin, end - begin)
                no_bias = vector_at(dZ, 0, 0)
                accumulate_over_units(W.T[begin:end], no_bias, dZ_layer, below, m)
                derive_tiled(units[l - 2], rows_at(A_prev, begin, end - begin), below, m)
        begin, end = part_of(sizes[l], UNITS_TOGETHER, me, n)
        if end > begin:
            own = rows_at(dZ_layer, begin, end - begin)
            own_dW = rows_at(dW, begin, end - begin)
            own_db = vector_at(db, begin, end - begin)
            parameter_gradient_tiled(own, A_prev, own_dW, own_db, scratch, m)
        turn = wait(team, n, turn)
    return turn


@jit
def load_part_of_block(me, n, data, order, first, count, n_inputs, workspace, starts):
    """Put this thread's features of some samples into the workspace; thread 0 adds the rest."""
    A, Y, s = workspace.A, workspace.Y, workspace.s
    n_lanes = tiles.lanes(A)
    m = (count + n_lanes - 1) // n_lanes * n_lanes
    for c in range(count):
        starts[c] = order[first + c]
    if me == 0:
        load_targets(data, starts, count, m, Y)
        for c in range(count):
            s[c] = data.weights[starts[c]] if data.weights.size > 0 else 1
        for c in range(count, m):
            s[c] = 0
    begin, end = part_of(n_inputs, UNITS_TOGETHER, me, n)
    if end > begin:
        for c in range(count):
            starts[c] = starts[c] * data.X.sample_step + begin * data.X.unit_step
        own = rows_at(A, begin, end - begin)
        load_inputs(data.X.numbers, data.X.unit_step, starts, count, m, np.bool_(False), own)
