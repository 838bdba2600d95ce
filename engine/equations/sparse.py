"""The first layer for sparse inputs: F1, B1 and B2 over the entries that are not 0.

    F1  z_j(i)  = b_j + sum_k W_jk x_k(i)
    B1  dW_jk   = sum_i dz_j(i) x_k(i)
    B2  db_j    = sum_i dz_j(i)

Entry p of sample i is x_k(i) = values[p] with k = features[p], for p from starts[i] to
starts[i + 1] - 1. Column c of a block is sample samples[c]. W is read at scattered places, so a
multiply-add takes about ten times as long as in tiles; this is still faster if at most one input in
thirty is not 0. Four units are computed together: their reads do not wait for each other, and an
entry is looked up once for the four.
"""

from engine.compiler.jit import compiled_once


@compiled_once
def affine_sparse(W, b, values, features, starts, samples, count, Z, m):
    """Z = W X + b for `count` samples, and b in the rest of the first m columns."""
    n_out = W.shape[0]
    for j in range(n_out):
        for c in range(m):
            Z[j, c] = b[j]
    in_fours = n_out - n_out % 4
    for j in range(0, in_fours, 4):
        for c in range(count):
            z0, z1, z2, z3 = b[j], b[j + 1], b[j + 2], b[j + 3]
            for p in range(starts[samples[c]], starts[samples[c] + 1]):
                k, x = features[p], values[p]
                z0 += W[j, k] * x  # F1
                z1 += W[j + 1, k] * x
                z2 += W[j + 2, k] * x
                z3 += W[j + 3, k] * x
            Z[j, c], Z[j + 1, c], Z[j + 2, c], Z[j + 3, c] = z0, z1, z2, z3
    for j in range(in_fours, n_out):
        for c in range(count):
            for p in range(starts[samples[c]], starts[samples[c] + 1]):
                Z[j, c] += W[j, features[p]] * values[p]


@compiled_once
def parameter_gradient_sparse(dZ, values, features, starts, samples, count, dW, db):
    """Add this layer's dW and db, summed over `count` samples."""
    n_out = dW.shape[0]
    # forward:  z0 += W[j, k] * x
    for j in range(n_out):
        total = dZ.dtype.type(0)
        for c in range(count):
            total += dZ[j, c]
        db[j] += total  # B2
    in_fours = n_out - n_out % 4
    for j in range(0, in_fours, 4):
        for c in range(count):
            dz0, dz1, dz2, dz3 = dZ[j, c], dZ[j + 1, c], dZ[j + 2, c], dZ[j + 3, c]
            for p in range(starts[samples[c]], starts[samples[c] + 1]):
                k, x = features[p], values[p]
                dW[j, k] += dz0 * x  # B1
                dW[j + 1, k] += dz1 * x
                dW[j + 2, k] += dz2 * x
                dW[j + 3, k] += dz3 * x
    for j in range(in_fours, n_out):
        for c in range(count):
            for p in range(starts[samples[c]], starts[samples[c] + 1]):
                dW[j, features[p]] += dZ[j, c] * values[p]
