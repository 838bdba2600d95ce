"""Our time over that of the same work elsewhere: below 1, ours takes less."""

import warnings

from benchmarks.cases import (
    NETWORKS,
    Tracked,
    assert_close,
    network_of,
    ratio_in_turns,
    required,
)
from benchmarks.fits import standardised


class OverNumpyPath(Tracked):
    """Minibatch Adam, float32: the default backend beside the vectorised NumPy form."""

    params = list(NETWORKS)
    param_names = ("network",)
    epochs = {"2-4-1": 10, "20-100-1": 5, "64-100-10": 2}

    def setup(self, network):
        from engine import train

        net, rows, codes, theta, batch_size = network_of(network)

        def by(backend):
            return train(
                net,
                rows.T,
                codes,
                solver="adam",
                batch_size=batch_size,
                max_iter=self.epochs[network],
                theta=theta,
                backend=backend,
                n_threads=1,
            )

        self.ours, self.theirs = lambda: by(None), lambda: by("numpy")
        assert_close(self.ours().theta, self.theirs().theta, "float32")

    def track_time_over_numpys(self, network):
        return ratio_in_turns(self.ours, self.theirs)

    track_time_over_numpys.unit = "x NumPy's time"


class OverSklearn(Tracked):
    """`fit` of MLPClassifier beside scikit-learn's: the same epochs, the same losses."""

    params = (["iris", "digits"], ["float32", "float64"])
    param_names = ("data", "dtype")
    epochs = {"iris": 40, "digits": 4}

    def setup(self, data, dtype):
        estimator = required("engine", "MLPClassifier")
        from sklearn.neural_network import MLPClassifier

        rows, classes = standardised(data)
        rows = rows.astype(dtype)
        settings = {"max_iter": self.epochs[data], "tol": 0.0, "random_state": 0}

        def fit(kind, **more):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that the epochs are at their end
                return kind(**settings, **more).fit(rows, classes)

        self.ours, self.theirs = lambda: fit(estimator, n_threads=1), lambda: fit(MLPClassifier)
        assert_close(self.ours().loss_curve_, self.theirs().loss_curve_, dtype, scale=1e5)

    def track_time_over_sklearns(self, data, dtype):
        return ratio_in_turns(self.ours, self.theirs, pairs=11)

    track_time_over_sklearns.unit = "x scikit-learn's time"
