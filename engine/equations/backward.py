"""Backward through one layer, given dZ of its units.

    B1  dW_jk        = sum_i dz_j(i) a_prev_k(i)       dW      = dZ A_prev^T
    B2  db_j         = sum_i dz_j(i)                   db      = row sums of dZ
    B3  da_prev_k(i) = sum_j W_jk dz_j(i)              dA_prev = W^T dZ

From there `activations.derive_*` goes on to the layer below:

    B4  dz_prev_k(i) = g'(z_prev_k(i)) da_prev_k(i)    dZ_prev = dA_prev o g'(Z_prev)
"""

import numpy as np

from engine.compiler.jit import jit
from engine.compiler.views import vector_at
from engine.equations.products import (
    accumulate_over_samples,
    accumulate_over_units,
    add_row_sums,
)


def parameter_gradient_numpy(dZ, A_prev, dW, db):
    """Add this layer's dW and db, summed over the samples.  n_out n_in m multiply-adds."""
    dW += dZ @ A_prev.T  # B1
    db += dZ.sum(axis=1)  # B2


def input_gradient_numpy(W, dZ, dA_prev):
    """dA_prev = W^T dZ.  n_out n_in m multiply-adds."""
    np.matmul(W.T, dZ, out=dA_prev)  # B3


@jit
def parameter_gradient_loops(dZ, A_prev, dW, db):
    """Add this layer's dW and db, summed over the samples.  n_out n_in m multiply-adds."""
    n_out, n_in = dW.shape
    m = A_prev.shape[1]
    # forward:  z = b[j] + sum_k W[j, k] * A_prev[k, i]
    for i in range(m):
        for j in range(n_out):
            for k in range(n_in):
                dW[j, k] += dZ[j, i] * A_prev[k, i]  # B1
            db[j] += dZ[j, i]  # B2


@jit
def input_gradient_loops(W, dZ, dA_prev):
    """dA_prev = W^T dZ.  n_out n_in m multiply-adds."""
    n_out, n_in = W.shape
    m = dZ.shape[1]
    # forward:  z = b[j] + sum_k W[j, k] * A_prev[k, i]
    for i in range(m):
        for k in range(n_in):
            da = 0.0
            for j in range(n_out):
                da += W[j, k] * dZ[j, i]  # B3
            dA_prev[k, i] = da


@jit
def parameter_gradient_tiled(dZ, A_prev, dW, db, scratch, m):
    """Add this layer's dW and db, summed over the first m samples.  n_out n_in m multiply-adds.

    `scratch` has rows like those of A_prev, and is overwritten.
    """
    # forward:  accumulate_over_units(W, b, A_prev, Z, m)
    accumulate_over_samples(dZ, A_prev, dW, scratch, m)  # B1
    add_row_sums(dZ, db, m)  # B2


@jit
def input_gradient_tiled(W, dZ, dA_prev, m):
    """dA_prev = W^T dZ, for the first m samples.  n_out n_in m multiply-adds."""
    # forward:  accumulate_over_units(W, b, A_prev, Z, m)
    no_bias = vector_at(dZ, 0, 0)
    accumulate_over_units(W.T, no_bias, dZ, dA_prev, m)  # B3
