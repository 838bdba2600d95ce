"""Inputs that become several numbers each, with parameters of their own, below the first layer.

A number x has breakpoints b_0 < ... < b_T, which cut its range into T pieces, and a level (a
category) is a code. Each becomes a vector e of d numbers; an input may also pass as it is, d = 1.
The vectors of all inputs, one below the other, are A[0].

    E1  piece_t(i) = clip((x(i) - b_{t-1}) / (b_t - b_{t-1}), 0, 1), t = 1 ... T; the first one is
                     not clipped below 0, the last one not above 1
    E2  e_j(i)     = c_j + w_j x(i) + sum_t V_tj piece_t(i);    c_j + u_j if x(i) is missing
    E3  e_j(i)     = V_code(i),j                                for levels
    E4  dc_j = sum_i de_j(i),  dw_j = sum_i de_j(i) x(i),  dV_tj = sum_i de_j(i) piece_t(i),
        du_j = sum_i de_j(i) over the missing ones
    E5  dV_kj = sum_i [code(i) = k] de_j(i)

The parameters of an input follow those of all layers in theta: c, w, u if numbers may be missing,
and V row by row; of levels V alone.

The tiled form never makes E. All pieces below x are 1 and all above are 0, so that e is a row of a
table plus a share of the next one, and layer 1 is linear in both:

    e(i)  = R_2t + share(i) R_2t+1,     R_2t+1 = w (b_{t+1} - b_t) + V_t        along a piece,
                                        R_2t+2 = R_2t + R_2t+1,  R_0 = c + w b_0  at breakpoints
    Z[1]  = b + Q_2t + share(i) Q_2t+1, Q = R W[1]^T                            summed over inputs

Q is made once for all samples of a call. Its products grow with the pieces, not with the samples;
of each sample and input two rows are looked up and added. Gradients go the same way back: dQ adds
up rows of dZ[1], dR = dQ W[1], dW[1] = dQ^T R.

Source: Gorishniy, Rubachev and Babenko 2022, "On embeddings for numerical features in tabular deep
learning", section 3.2; the layer is "version B" of the package rtdl_num_embeddings.
"""

from typing import Any, NamedTuple

import numpy as np

from engine.compiler import tiles
from engine.compiler.jit import compiled_once, inlined, jit
from engine.compiler.views import matrix_at, rows_at, vector_at
from engine.equations.layout import parameters_of_loops
from engine.equations.products import (
    FOUR,
    ONE,
    accumulate_over_units,
    add_row_sums,
    reduce_over_samples,
)

PLAIN, PIECES, LEVELS = range(3)


class KernelEmbeddings(NamedTuple):
    """The embeddings of n inputs as kernels take them, int64 but for `breakpoints`."""

    kinds: Any  # (n,) PLAIN, PIECES or LEVELS
    counts: Any  # (n,) pieces, or levels; 1 of PLAIN
    missing: Any  # (n,) whether missing numbers have a vector
    starts: Any  # (n + 1,) where the numbers of each begin in A[0]
    places: Any  # (n + 1,) where its parameters begin in theta
    breaks: Any  # (n,) where its breakpoints begin
    breakpoints: Any  # (sum of T + 1,) float64
    rows: Any  # (n + 1,) where its rows begin in the tables of the tiled form
    numbers: Any  # (n + 1,) where the numbers of these rows begin, d a row

    @property
    def levels(self):
        """(n,): how many levels each input has, 0 of a number."""
        return np.where(self.kinds == LEVELS, self.counts, 0)


def pieces_numpy(x, breakpoints):
    """The pieces (T, m) of numbers (m,), float64; 0 where one is missing."""
    b = breakpoints[:, np.newaxis]
    pieces = (x - b[:-1]) / (b[1:] - b[:-1])
    pieces[1:] = np.maximum(pieces[1:], 0)  # NaN stays
    pieces[:-1] = np.minimum(pieces[:-1], 1)  # E1
    pieces[:, np.isnan(x)] = 0
    return pieces


def parameters_of_pieces(theta, embeddings, f):
    """c (d,), w (d,), u (d,) or (0,), and V (T, d) of an input, as views of a flat vector."""
    d, T = embeddings.starts[f + 1] - embeddings.starts[f], embeddings.counts[f]
    start, n_missing = embeddings.places[f], d * embeddings.missing[f]
    c, w = vector_at(theta, start, d), vector_at(theta, start + d, d)
    u = vector_at(theta, start + 2 * d, n_missing)
    return c, w, u, matrix_at(theta, start + 2 * d + n_missing, T, d)


def vectors_of_levels(theta, embeddings, f):
    """V (levels, d) of an input, as a view of a flat vector."""
    d = embeddings.starts[f + 1] - embeddings.starts[f]
    return matrix_at(theta, embeddings.places[f], embeddings.counts[f], d)


parameters_of_pieces_loops = inlined(parameters_of_pieces)
vectors_of_levels_loops = inlined(vectors_of_levels)


def breakpoints_of(embeddings, f):
    """b_0 ... b_T of an input."""
    first = embeddings.breaks[f]
    return embeddings.breakpoints[first : first + embeddings.counts[f] + 1]


def embed_numpy(theta, embeddings, X, E):
    """E (numbers of all vectors, m) from the inputs X (n, m)."""
    for f in range(X.shape[0]):
        x, e = X[f], E[embeddings.starts[f] : embeddings.starts[f + 1]]
        if embeddings.kinds[f] == PIECES:
            c, w, u, V = parameters_of_pieces(theta, embeddings, f)
            pieces = pieces_numpy(x.astype(np.float64), breakpoints_of(embeddings, f))
            known, missing = np.nan_to_num(x), np.isnan(x)
            e[:] = c[:, np.newaxis] + np.outer(w, known) + V.T @ pieces.astype(V.dtype)  # E2
            if embeddings.missing[f]:
                e += np.outer(u, missing)
        elif embeddings.kinds[f] == LEVELS:
            V = vectors_of_levels(theta, embeddings, f)
            e[:] = V[x.astype(np.int64)].T  # E3
        else:
            e[0] = x


def embedding_gradient_numpy(embeddings, X, dE, dtheta):
    """Add the gradient by the parameters of the embeddings, summed over the samples."""
    for f in range(X.shape[0]):
        x, de = X[f], dE[embeddings.starts[f] : embeddings.starts[f + 1]]
        if embeddings.kinds[f] == PIECES:
            dc, dw, du, dV = parameters_of_pieces(dtheta, embeddings, f)
            pieces = pieces_numpy(x.astype(np.float64), breakpoints_of(embeddings, f))
            dc += de.sum(axis=1)
            dw += de @ np.nan_to_num(x)
            dV += pieces.astype(dV.dtype) @ de.T  # E4
            if embeddings.missing[f]:
                du += de @ np.isnan(x).astype(de.dtype)
        elif embeddings.kinds[f] == LEVELS:
            dV = vectors_of_levels(dtheta, embeddings, f)
            np.add.at(dV, x.astype(np.int64), de.T)  # E5


@jit
def takes(embeddings, f, x):
    """Whether an input takes a number: codes of its levels, NaN if it may be missing."""
    if embeddings.kinds[f] == LEVELS:
        return 0 <= x < embeddings.counts[f] and x == np.floor(x)
    return np.isfinite(x) or (np.isnan(x) and embeddings.missing[f] == 1)


@jit
def piece_of(x, breakpoints, first, t, T):
    """The t-th piece of x, t = 0 ... T - 1; `first` is where its breakpoints begin."""
    low, high = breakpoints[first + t], breakpoints[first + t + 1]
    piece = (x - low) / (high - low)
    if t > 0 and piece < 0:
        piece = 0.0
    if t < T - 1 and piece > 1:
        piece = 1.0  # E1
    return piece


@jit
def embed_loops(theta, embeddings, X, E):
    """E (numbers of all vectors, m) from the inputs X (n, m)."""
    for f in range(X.shape[0]):
        start, stop = embeddings.starts[f], embeddings.starts[f + 1]
        first, T = embeddings.breaks[f], embeddings.counts[f]
        for i in range(X.shape[1]):
            x = X[f, i]
            if embeddings.kinds[f] == PIECES:
                c, w, u, V = parameters_of_pieces_loops(theta, embeddings, f)
                for j in range(stop - start):
                    if np.isnan(x):
                        E[start + j, i] = c[j] + u[j]
                    else:
                        e = c[j] + w[j] * x
                        for t in range(T):
                            piece = piece_of(x, embeddings.breakpoints, first, t, T)
                            e += V[t, j] * E.dtype.type(piece)  # E2
                        E[start + j, i] = e
            elif embeddings.kinds[f] == LEVELS:
                V = vectors_of_levels_loops(theta, embeddings, f)
                for j in range(stop - start):
                    E[start + j, i] = V[int(x), j]  # E3
            else:
                E[start, i] = x


@jit
def embedding_gradient_loops(embeddings, X, dE, dtheta):
    """Add the gradient by the parameters of the embeddings, summed over the samples."""
    for f in range(X.shape[0]):
        start, stop = embeddings.starts[f], embeddings.starts[f + 1]
        first, T = embeddings.breaks[f], embeddings.counts[f]
        for i in range(X.shape[1]):
            x = X[f, i]
            if embeddings.kinds[f] == PIECES:
                dc, dw, du, dV = parameters_of_pieces_loops(dtheta, embeddings, f)
                # forward:  e += V[t, j] * piece
                for j in range(stop - start):
                    de = dE[start + j, i]
                    dc[j] += de
                    if not np.isnan(x):
                        dw[j] += de * x
                        for t in range(T):
                            piece = piece_of(x, embeddings.breakpoints, first, t, T)
                            dV[t, j] += de * dV.dtype.type(piece)  # E4
                if np.isnan(x):
                    for j in range(du.size):
                        du[j] += dE[start + j, i]
            elif embeddings.kinds[f] == LEVELS:
                dV = vectors_of_levels_loops(dtheta, embeddings, f)
                for j in range(stop - start):
                    dV[int(x), j] += dE[start + j, i]  # E5


class EmbeddingWorkspace(NamedTuple):
    """Memory of the tiled form. Rows are n_1 numbers, filled up with zeros to whole vectors."""

    places: Any  # (n, width) int64, the row of the tables of each sample
    shares: Any  # (n, width) how much of the next row it takes
    vectors: Any  # (numbers,) R: d numbers a row, one input after the other
    dvectors: Any  # as vectors
    table: Any  # (rows, n_1) Q
    dtable: Any  # as table
    W: Any  # (numbers of all vectors, n_1) W[1] transposed
    dW: Any  # as W
    samples: Any  # (width, n_1) Z[1] or dZ[1] of each sample
    bias: Any  # (1, n_1)


@jit
def make_tables_tiled(theta, sizes, embeddings, workspace):
    """R and Q, for all samples that come with this theta; dQ = 0.  n_1 d multiply-adds a row."""
    W, _ = parameters_of_loops(theta, sizes, 1)
    copy_transposed(W, W.shape[0], W.shape[1], workspace.W)
    for f in range(embeddings.kinds.size):
        make_vectors_tiled(theta, embeddings, f, workspace.vectors)
        R, Q, W_f = tables_of(embeddings, f, workspace.vectors, workspace.table, workspace.W)
        accumulate_over_units(R, vector_at(Q, 0, 0), W_f, Q, Q.shape[1])  # F1
    dtable = vector_at(workspace.dtable, 0, workspace.dtable.size)
    for p in range(dtable.size):
        dtable[p] = 0


@inlined
def tables_of(embeddings, f, vectors, table, W):
    """Of an input: R (rows, d), Q (rows, n_1) and its rows (d, n_1) of W[1] transposed."""
    d = embeddings.starts[f + 1] - embeddings.starts[f]
    n_rows = embeddings.rows[f + 1] - embeddings.rows[f]
    R = matrix_at(vectors, embeddings.numbers[f], n_rows, d)
    Q = rows_at(table, embeddings.rows[f], n_rows)
    return R, Q, rows_at(W, embeddings.starts[f], d)


@jit
def make_vectors_tiled(theta, embeddings, f, vectors):
    """R of an input."""
    d = embeddings.starts[f + 1] - embeddings.starts[f]
    n_rows, T = embeddings.rows[f + 1] - embeddings.rows[f], embeddings.counts[f]
    R = matrix_at(vectors, embeddings.numbers[f], n_rows, d)
    if embeddings.kinds[f] == PIECES:
        c, w, u, V = parameters_of_pieces_loops(theta, embeddings, f)
        b = vector_at(embeddings.breakpoints, embeddings.breaks[f], T + 1)
        to = R.dtype.type
        for j in range(d):
            R[0, j] = c[j] + w[j] * to(b[0])
        for t in range(T):
            at, along = rows_at(R, 2 * t, 1), rows_at(R, 2 * t + 1, 1)
            length, of_piece = to(b[t + 1] - b[t]), rows_at(V, t, 1)
            for j in range(d):
                along[0, j] = w[j] * length + of_piece[0, j]
            if t < T - 1:
                beyond = rows_at(R, 2 * t + 2, 1)
                for j in range(d):
                    beyond[0, j] = at[0, j] + along[0, j]  # E2
        for j in range(u.size):
            R[2 * T, j] = c[j] + u[j]
    elif embeddings.kinds[f] == LEVELS:
        V = vectors_of_levels_loops(theta, embeddings, f)
        for k in range(n_rows):
            for j in range(d):
                R[k, j] = V[k, j]  # E3
    else:
        R[0, 0] = 1


@jit
def locate_tiled(embeddings, X, count, workspace):
    """The row of each of `count` samples, and its share of the next row."""
    places, shares = workspace.places, workspace.shares
    for f in range(embeddings.kinds.size):
        row, T = embeddings.rows[f], embeddings.counts[f]
        if embeddings.kinds[f] == PIECES:
            b = vector_at(embeddings.breakpoints, embeddings.breaks[f], T + 1)
            for c in range(count):
                places[f, c] = 0
            for t in range(1, T):
                for c in range(count):
                    places[f, c] += 1 if X[f, c] >= b[t] else 0
            for c in range(count):
                x, t = np.float64(X[f, c]), places[f, c]
                if np.isnan(x):
                    places[f, c], shares[f, c] = row + 2 * T, 0
                else:
                    places[f, c] = row + 2 * t
                    shares[f, c] = (x - b[t]) / (b[t + 1] - b[t])  # E1
        elif embeddings.kinds[f] == LEVELS:
            for c in range(count):
                places[f, c] = row + np.int64(X[f, c])
        else:
            for c in range(count):
                places[f, c], shares[f, c] = row, X[f, c]


@compiled_once
def affine_embedded_tiled(theta, sizes, embeddings, X, Z, workspace, count, m):
    """Z[1] of `count` samples, 0 in the rest of the first m columns.  2 n_1 a number."""
    _, b = parameters_of_loops(theta, sizes, 1)
    locate_tiled(embeddings, X, count, workspace)
    samples, bias = workspace.samples, workspace.bias
    for j in range(b.size):
        bias[0, j] = b[j]
    n_1, n_lanes = samples.shape[1], tiles.lanes(samples)
    fours = n_1 - n_1 % (4 * n_lanes)
    for c in range(count):
        for s in range(0, fours, 4 * n_lanes):
            sum_rows_tiled(embeddings, workspace, c, s, FOUR)
        for s in range(fours, n_1, n_lanes):
            sum_rows_tiled(embeddings, workspace, c, s, ONE)
    for c in range(count, m):
        for j in range(b.size):
            samples[c, j] = 0
    copy_transposed(samples, m, b.size, Z)


@inlined
def sum_rows_tiled(embeddings, workspace, c, s, vectors):
    """Some units of Z[1] of a sample: the bias and the rows of its inputs."""
    tile = tiles.load(workspace.bias, 0, s, ONE, vectors)
    for f in range(embeddings.kinds.size):
        place = workspace.places[f, c]
        if embeddings.kinds[f] != PLAIN:
            tile = tile + tiles.load(workspace.table, place, s, ONE, vectors)  # F1 E2 E3
        if embeddings.kinds[f] != LEVELS:
            along = place + (1 if embeddings.kinds[f] == PIECES else 0)
            share = matrix_at(workspace.shares, f * workspace.shares.shape[1] + c, 1, 1)
            row = rows_at(workspace.table, along, 1)
            tile = tiles.add_outer_product(tile, share, 0, 0, row, s)  # F1 E2
    tiles.store(tile, workspace.samples, c, s)


@compiled_once
def add_to_tables_tiled(dZ, embeddings, workspace, count, m, db):
    """Add dZ[1] of `count` samples, whose places the workspace has, to dQ, and to db."""
    samples = workspace.samples
    copy_transposed(dZ, dZ.shape[0], m, samples)
    add_row_sums(dZ, db, m)  # B2
    n_1, n_lanes = samples.shape[1], tiles.lanes(samples)
    fours = n_1 - n_1 % (4 * n_lanes)
    for c in range(count):
        for s in range(0, fours, 4 * n_lanes):
            add_to_rows_tiled(embeddings, workspace, c, s, FOUR)
        for s in range(fours, n_1, n_lanes):
            add_to_rows_tiled(embeddings, workspace, c, s, ONE)


@inlined
def add_to_rows_tiled(embeddings, workspace, c, s, vectors):
    """The part of some units."""
    # forward:  tile + row + share * next row
    dz = tiles.load(workspace.samples, c, s, ONE, vectors)
    of_sample = rows_at(workspace.samples, c, 1)
    for f in range(embeddings.kinds.size):
        place = workspace.places[f, c]
        if embeddings.kinds[f] != PLAIN:
            at = tiles.load(workspace.dtable, place, s, ONE, vectors)
            tiles.store(at + dz, workspace.dtable, place, s)  # E4 E5
        if embeddings.kinds[f] != LEVELS:
            along = place + (1 if embeddings.kinds[f] == PIECES else 0)
            share = matrix_at(workspace.shares, f * workspace.shares.shape[1] + c, 1, 1)
            row = tiles.load(workspace.dtable, along, s, ONE, vectors)
            row = tiles.add_outer_product(row, share, 0, 0, of_sample, s)  # B1 E4
            tiles.store(row, workspace.dtable, along, s)


@compiled_once
def gradient_of_tables_tiled(sizes, embeddings, workspace, dtheta):
    """From dQ, summed over all samples: dW[1], and the gradient of the embeddings.

    Written to dtheta, not added.
    """
    dW, _ = parameters_of_loops(dtheta, sizes, 1)
    for f in range(embeddings.kinds.size):
        R, dQ, dW_f = tables_of(embeddings, f, workspace.vectors, workspace.dtable, workspace.dW)
        accumulate_over_units(R.T, vector_at(dQ, 0, 0), dQ, dW_f, dQ.shape[1])  # B1
        if embeddings.kinds[f] != PLAIN:
            dR, _, W_f = tables_of(embeddings, f, workspace.dvectors, workspace.dtable, workspace.W)
            for p in range(dR.shape[0]):
                for j in range(dR.shape[1]):
                    dR[p, j] = 0
            reduce_over_samples(dQ, W_f, dR, 0, dQ.shape[1])  # B3
            gradient_of_vectors_tiled(dR, embeddings, f, dtheta)
    copy_transposed(workspace.dW, workspace.dW.shape[0], dW.shape[0], dW)


@jit
def gradient_of_vectors_tiled(dR, embeddings, f, dtheta):
    """The gradient of an input's parameters from that of its table R."""
    n_rows, d = dR.shape
    T = embeddings.counts[f]
    if embeddings.kinds[f] == PIECES:
        dc, dw, du, dV = parameters_of_pieces_loops(dtheta, embeddings, f)
        b = vector_at(embeddings.breakpoints, embeddings.breaks[f], T + 1)
        # forward:  R[2 t + 1] = w (b[t + 1] - b[t]) + V[t];  R[2 t + 2] = R[2 t] + R[2 t + 1]
        for j in range(d):
            dc[j], dw[j] = 0, 0
        for t in range(T - 1, -1, -1):  # dc adds up what reaches the pieces above
            length, of_piece = dR.dtype.type(b[t + 1] - b[t]), rows_at(dV, t, 1)
            at, along = rows_at(dR, 2 * t, 1), rows_at(dR, 2 * t + 1, 1)
            for j in range(d):
                of_piece[0, j] = along[0, j] + dc[j]  # E4
                dw[j] += length * of_piece[0, j]
                dc[j] += at[0, j]
        for j in range(d):
            dw[j] += dR.dtype.type(b[0]) * dc[j]
        for j in range(du.size):
            dc[j] += dR[2 * T, j]
            du[j] = dR[2 * T, j]
    else:
        dV = vectors_of_levels_loops(dtheta, embeddings, f)
        for k in range(n_rows):
            for j in range(d):
                dV[k, j] = dR[k, j]  # E5


@jit
def copy_transposed(A, n_rows, n_columns, T):
    """T[k, i] = A[i, k], of the first rows and columns of A."""
    n_lanes = tiles.lanes(A)
    if n_rows < n_lanes or n_columns < n_lanes:
        for i in range(n_rows):
            for k in range(n_columns):
                T[k, i] = A[i, k]
        return
    for i in range(0, n_rows, n_lanes):  # the last square may overlap the one before
        row = min(i, n_rows - n_lanes)
        for k in range(0, n_columns, n_lanes):
            column = min(k, n_columns - n_lanes)
            tiles.copy_square_transposed(A, row, column, T, column, row)
