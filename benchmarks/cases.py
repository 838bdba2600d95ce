"""What the benchmarks share: how they are timed, their data, and what a commit has to have.

Commits before a part existed are told by NotImplementedError, which asv shows as "n/a"; a result
that is wrong is an AssertionError, which it shows as failed. Nothing of the engine is used
above the functions: asv imports every module here on every commit.
"""

import contextlib
import importlib
import math
import statistics
import time

import numpy as np

# asv forks each benchmark off one process that has imported this: what is loaded here, by the
# engine itself, need not be loaded by two hundred processes.
with contextlib.suppress(ImportError):
    importlib.import_module("engine.training.trainer")

BACKENDS = ["numpy", "loops", "tiled"]


class Steady:
    """A benchmark of compiled code on one thread: CPU time, once everything is compiled.

    CPU time leaves out what other processes take from the core. A call should last some
    milliseconds: asv times single calls where there is a setup.
    """

    timer = time.process_time
    version = "1"
    timeout = 120
    number = 1
    rounds = 2
    repeat = (3, 12, 0.6)
    warmup_time = 0.05


class Tracked:
    """A benchmark that finds its figure itself, from several runs."""

    version = "1"
    timeout = 240


def require_backend(name):
    """Refuse a backend that this commit does not have."""
    from engine.equations.backends import BACKENDS as present

    if name not in present:
        raise NotImplementedError(f"no backend {name}")


def required(module, name):
    """An object of the engine, or a refusal if this commit does not have it."""
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as absent:
        raise NotImplementedError(str(absent)) from absent


def assert_close(found, expected, dtype="float64", scale=1e4):
    """Results agree to `scale` units of the dtype's precision, relative to the largest number."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape, (found.shape, expected.shape)
    off = np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-300)
    assert off <= scale * np.finfo(dtype).eps, f"off by {off:.1e} of the largest number"


def rows_and_labels(n_samples, n_features, n_classes, dtype="float32"):
    """Rows of normal numbers, and class codes that a linear map of them decides."""
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((n_samples, n_features))
    answers = rows @ generator.standard_normal((n_features, max(n_classes, 2)))
    codes = answers.argmax(axis=1)
    codes[:n_classes] = np.arange(n_classes)  # no class is missing
    return rows.astype(dtype), codes


# Networks for training and prediction: sizes, samples, batch.
NETWORKS = {
    "2-4-1": ((2, 4, 1), 200, 32),
    "20-100-1": ((20, 100, 1), 1000, 200),
    "64-100-10": ((64, 100, 10), 1797, 200),
}


def network_of(name, dtype="float32"):
    """Network, rows, class codes, initial parameters and batch size of one of NETWORKS."""
    from engine import Network

    sizes, n_samples, batch_size = NETWORKS[name]
    n_classes = max(sizes[-1], 2)
    rows, codes = rows_and_labels(n_samples, sizes[0], n_classes, dtype)
    network = Network(sizes, hidden="tanh", output="sigmoid" if sizes[-1] == 1 else "softmax")
    return network, rows, codes, network.initial_parameters(0, dtype), batch_size


def minibatch_adam(network, rows, codes, theta, batch_size):
    """(epochs, backend) -> what `train` returns: what `network_of` gave, on one thread."""
    from engine import train

    return lambda epochs, backend: train(
        network,
        rows.T,
        codes,
        solver="adam",
        batch_size=batch_size,
        max_iter=epochs,
        theta=theta,
        backend=backend,
        n_threads=1,
    )


WIDE_SAMPLES = 2000


def wide_gradient(name, dtype, backend=None):
    """() -> (J, dtheta) of a network such as 784-128-10, on one thread, once it was verified."""
    from engine import Network

    sizes = tuple(map(int, name.split("-")))
    n_out = sizes[-1]
    generator = np.random.default_rng(0)
    X = generator.standard_normal((sizes[0], WIDE_SAMPLES)).astype(dtype)
    codes = generator.integers(max(n_out, 2), size=WIDE_SAMPLES)
    network = Network(sizes, output="sigmoid" if n_out == 1 else "softmax")
    theta = network.initial_parameters(0, dtype)

    def by(backend):
        return network.cost_and_gradient(theta, X, codes, backend=backend, n_threads=1)

    J, dtheta = by(backend)
    assert_close(J, reference_cost(network, theta, X.T, codes), dtype)
    assert_close(dtheta, by("numpy")[1], dtype)
    return lambda: by(backend)


def logits(network, theta, rows):
    """Z of the output layer by NumPy in float64: written out here, shared with nothing."""
    A = rows.T.astype(np.float64)
    layers = network.views(np.asarray(theta, np.float64))
    for W, b in layers[:-1]:
        A = np.tanh(W @ A + b[:, np.newaxis])
    W, b = layers[-1]
    return W @ A + b[:, np.newaxis]


def reference_cost(network, theta, rows, codes):
    """The mean cost by NumPy in float64."""
    Z = logits(network, theta, rows)
    if len(Z) == 1:
        return float(np.mean(np.logaddexp(0, Z[0]) - codes * Z[0]))
    below = Z - Z.max(axis=0)
    costs = np.log(np.exp(below).sum(axis=0)) - below[codes, np.arange(len(codes))]
    return float(np.mean(costs))


LEAST = 0.02  # seconds of a timing


def timing(act, clock):
    """() -> seconds a call, measured over as many calls as last `LEAST`; warm afterwards."""

    def seconds_of(calls):
        start = clock()
        for _ in range(calls):
            act()
        return clock() - start

    act()
    calls = max(1, math.ceil(LEAST / max(seconds_of(1), 1e-9)))
    return lambda: seconds_of(calls) / calls


def ratio_in_turns(one, other, pairs=21, clock=time.process_time):
    """The time of `one` over that of `other`, both from `timing`: the median over pairs in a row.

    CPU time, as in `Steady`; where threads are compared, pass a clock on the wall.

    Who begins changes from pair to pair, so that neither gains by coming second.
    """
    one_timed, other_timed = timing(one, clock), timing(other, clock)
    ratios = []
    for number in range(pairs):
        if number % 2:
            first = one_timed()
            ratios.append(first / other_timed())
        else:
            second = other_timed()
            ratios.append(one_timed() / second)
    return statistics.median(ratios)
