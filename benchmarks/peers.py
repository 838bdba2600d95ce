"""Our time over that of the same work elsewhere: below 1, ours takes less."""

from benchmarks.cases import (
    NETWORKS,
    Tracked,
    assert_close,
    minibatch_adam,
    network_of,
    ratio_in_turns,
)
from benchmarks.fits import fits_of


class OverNumpyPath(Tracked):
    """Minibatch Adam, float32: the default backend beside the vectorised NumPy form."""

    params = list(NETWORKS)
    param_names = ("network",)
    epochs = {"2-4-1": 10, "20-100-1": 5, "64-100-10": 2}

    def setup(self, network):
        epochs, trained = self.epochs[network], minibatch_adam(*network_of(network))
        self.ours, self.theirs = lambda: trained(epochs, None), lambda: trained(epochs, "numpy")
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
        self.ours, self.theirs = fits_of(data, dtype, self.epochs[data])

    def track_time_over_sklearns(self, data, dtype):
        return ratio_in_turns(self.ours, self.theirs, pairs=11)

    track_time_over_sklearns.unit = "x scikit-learn's time"
