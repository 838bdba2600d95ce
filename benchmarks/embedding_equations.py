"""The equations of embeddings, prepared to be called: numbers in pieces, one after the other.

As in layer_equations.py. The tiled form has tables in their place: no function of these names.
"""

import numpy as np

from benchmarks.layer_equations import INPUTS, SAMPLES, function

N_PIECES, WIDTH = 16, 8


class Inputs:
    """INPUTS numbers in pieces, a parameter vector, and what NumPy says of both."""

    def __init__(self, draw):
        try:
            from engine.embeddings import Pieces, for_kernels
        except ImportError as absent:
            raise NotImplementedError(str(absent)) from absent
        self.breakpoints = np.linspace(-2, 2, N_PIECES + 1)
        self.embeddings = for_kernels([Pieces(self.breakpoints, WIDTH)] * INPUTS, 0)
        of_each = WIDTH * (2 + N_PIECES)
        generator = np.random.default_rng(2)
        self.theta = generator.standard_normal(INPUTS * of_each)
        self.dE = generator.standard_normal((INPUTS * WIDTH, SAMPLES))
        b, X = self.breakpoints, draw.A_prev
        pieces = (X[:, None] - b[:-1, None]) / np.diff(b)[:, None]
        pieces[:, 1:] = np.maximum(pieces[:, 1:], 0)
        pieces[:, :-1] = np.minimum(pieces[:, :-1], 1)
        # Rows 1, x and the pieces of each input: what c, w and V are multiplied by.
        self.rows = np.concatenate([np.ones_like(X)[:, None], X[:, None], pieces], axis=1)


def embed(draw, backend):
    kernel, of = function("embeddings", "embed", backend), Inputs(draw)
    E = np.full((INPUTS * WIDTH, SAMPLES), np.nan)
    parameters = of.theta.reshape(INPUTS, -1, WIDTH)
    expected = np.einsum("fpj,fpi->fji", parameters, of.rows).reshape(E.shape)
    return lambda: kernel(of.theta, of.embeddings, draw.A_prev, E), lambda: E, expected


def embedding_gradient(draw, backend):
    kernel, of = function("embeddings", "embedding_gradient", backend), Inputs(draw)
    dtheta = np.full_like(of.theta, np.nan)
    dE = of.dE.reshape(INPUTS, WIDTH, SAMPLES)

    def act():
        dtheta[:] = 0
        kernel(of.embeddings, draw.A_prev, of.dE, dtheta)

    return act, lambda: dtheta, np.einsum("fji,fpi->fpj", dE, of.rows).ravel()


EMBEDDINGS = {"embed": embed, "embedding_gradient": embedding_gradient}
