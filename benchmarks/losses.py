"""What a loss of a user's own costs: kernels call its compiled loop by address, once a block."""

import math

import numpy as np

from benchmarks.cases import Tracked, assert_close, ratio_in_turns, required

EPOCHS = 40


def huber(z, y):
    """What `losses.Huber(1.0)` computes, as a user would write it."""
    e = z - y
    if abs(e) <= 1:
        return e * e / 2, e
    return abs(e) - 0.5, math.copysign(1.0, e)


class OwnLoss(Tracked):
    """Minibatch Adam on a 20-16-1 network, 200 of 1000 samples, by a copy of Huber's loss."""

    params = ["float64", "float32"]
    param_names = ("dtype",)

    def setup(self, dtype):
        compiled, built_in = (required("engine.losses", name) for name in ("Compiled", "Huber"))
        own, theirs = self.training(compiled(huber), dtype), self.training(built_in(1.0), dtype)
        assert_close(own().theta, theirs().theta, dtype)
        self.own, self.theirs = own, theirs

    def training(self, loss, dtype):
        """() -> what `train` returns."""
        from engine import Network, train

        generator = np.random.default_rng(0)
        X = generator.standard_normal((20, 1000)).astype(dtype)
        y = X[:3].sum(axis=0) + generator.standard_normal(1000).astype(dtype)
        network = Network((20, 16, 1), output="identity", loss=loss)
        return lambda: train(network, X, y, batch_size=200, max_iter=EPOCHS, n_threads=1)

    def track_time_over_built_in(self, dtype):
        return ratio_in_turns(self.own, self.theirs)

    track_time_over_built_in.unit = "x the time with losses.Huber"
