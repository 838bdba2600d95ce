"""The equations of a first layer whose inputs are mostly 0, prepared to be called.

As in layer_equations.py; there is a tiled form only.
"""

import numpy as np

from benchmarks.layer_equations import INPUTS, SAMPLES, block, function


class Entries:
    """The inputs that are not 0, one in thirty, as the sparse forms take them; and the rest."""

    def __init__(self, draw):
        generator = np.random.default_rng(1)
        self.X = np.where(generator.random((SAMPLES, INPUTS)) < 1 / 30, draw.A_prev.T, 0)
        samples_of, self.features = np.nonzero(self.X)
        self.values = self.X[samples_of, self.features]
        self.starts = np.searchsorted(samples_of, np.arange(SAMPLES + 1))
        self.given = (self.values, self.features, self.starts, np.arange(SAMPLES), SAMPLES)


def affine_of_entries(draw):
    kernel, entries, Z = function("sparse", "affine", "sparse"), Entries(draw), block(draw.Z)
    expected = draw.W @ entries.X.T + draw.b[:, np.newaxis]
    return lambda: kernel(draw.W, draw.b, *entries.given, Z, SAMPLES), lambda: Z, expected


def parameter_gradient_of_entries(draw):
    """Sums that go on and on from call to call: the work does not depend on the numbers."""
    kernel, entries = function("sparse", "parameter_gradient", "sparse"), Entries(draw)
    dZ, dW, db = block(draw.dA), np.zeros_like(draw.W), np.zeros_like(draw.b)
    expected = np.column_stack([draw.dA @ entries.X, draw.dA.sum(axis=1)])
    return (
        lambda: kernel(dZ, *entries.given, dW, db),
        lambda: np.column_stack([dW, db]),
        expected,
    )


SPARSE = {"affine": affine_of_entries, "parameter_gradient": parameter_gradient_of_entries}
