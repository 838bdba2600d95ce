"""Forward through one layer, up to its activation.

F1  z_j(i) = b_j + sum_k W_jk a_prev_k(i)          Z = W A_prev + b
"""

import numpy as np

from engine.compiler.jit import jit
from engine.equations.products import accumulate_over_units


def affine_numpy(W, b, A_prev, Z):
    """Z = W A_prev + b.  n_out n_in m multiply-adds."""
    np.matmul(W, A_prev, out=Z)
    Z += b[:, np.newaxis]  # F1


@jit
def affine_loops(W, b, A_prev, Z):
    """Z = W A_prev + b.  n_out n_in m multiply-adds."""
    n_out, n_in = W.shape
    m = A_prev.shape[1]
    for i in range(m):
        for j in range(n_out):
            z = b[j]
            for k in range(n_in):
                z += W[j, k] * A_prev[k, i]  # F1
            Z[j, i] = z


@jit
def affine_tiled(W, b, A_prev, Z, m):
    """Z = W A_prev + b, for the first m samples.  n_out n_in m multiply-adds."""
    accumulate_over_units(W, b, A_prev, Z, m)  # F1
