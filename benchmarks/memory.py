"""Peak memory of a process that trains: its imports, its data and all that training adds."""

import contextlib

from benchmarks.cases import required, rows_and_labels


class Peak:
    """Two epochs, float32, ten classes; kernels come from the cache, which setup_cache fills."""

    version = "1"
    timeout = 240
    params = [10_000, 300_000]
    param_names = ("samples",)

    def setup_cache(self):
        with contextlib.suppress(NotImplementedError):  # which setup then says
            train_two_epochs(1000)

    def setup(self, samples):
        train_two_epochs(1000)

    def peakmem_minibatch_adam(self, samples):
        train_two_epochs(samples)


def train_two_epochs(samples):
    network_class, train = required("engine", "Network"), required("engine", "train")
    rows, codes = rows_and_labels(samples, 20, 10)
    network = network_class((20, 16, 10), output="softmax")
    result = train(network, rows.T, codes, solver="adam", batch_size=256, max_iter=2, n_threads=1)
    assert result.history["cost"][-1] < result.history["cost"][0]
