"""Prediction: what one row costs, and what many rows cost."""

import warnings

import numpy as np

from benchmarks.cases import (
    BACKENDS,
    Steady,
    assert_close,
    logits,
    network_of,
    require_backend,
    required,
    rows_and_labels,
)

MANY = 20_000


class Forward(Steady):
    """`Network.forward`, float32: 200 calls of one sample; one call of 20 000."""

    params = (BACKENDS, ["20-100-1", "64-100-10"])
    param_names = ("backend", "network")

    def setup(self, backend, network):
        require_backend(backend)
        self.net, _, _, self.theta, _ = network_of(network)
        self.backend = backend
        rows, _ = rows_and_labels(MANY, self.net.sizes[0], 2)
        self.many = rows.T
        self.one = np.ascontiguousarray(rows[:1].T)
        found = self.forward(self.many)
        assert_close(found, outputs(self.net, self.theta, self.many), "float32")
        assert_close(self.forward(self.one), found[:, :1], "float32")

    def forward(self, X):
        return self.net.forward(self.theta, X, backend=self.backend)

    def time_200_calls_of_one(self, backend, network):
        for _ in range(200):
            self.forward(self.one)

    def time_20000_at_once(self, backend, network):
        self.forward(self.many)


def outputs(network, theta, X):
    """The activations of the output layer, by NumPy in float64."""
    Z = logits(network, theta, X.T)
    if len(Z) == 1:
        return 1 / (1 + np.exp(-Z))
    e = np.exp(Z - Z.max(axis=0))
    return e / e.sum(axis=0)


def fitted():
    """A classifier 20-100-1 after two epochs, float64, and 20 000 rows."""
    estimator = required("engine", "MLPClassifier")
    rows, classes = rows_and_labels(MANY, 20, 2, "float64")
    model = estimator(max_iter=2, tol=0.0, random_state=0, n_threads=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the epochs are at their end
        return model.fit(rows[:1000], classes[:1000]), rows


class Estimators(Steady):
    """`predict_proba` of a fitted MLPClassifier: 100 calls of one row; one call of 20 000."""

    def setup(self):
        self.model, self.rows = fitted()
        self.row = self.rows[:1].copy()
        A = np.maximum(self.rows @ self.model.coefs_[0] + self.model.intercepts_[0], 0)
        Z = (A @ self.model.coefs_[1] + self.model.intercepts_[1])[:, 0]
        assert_close(self.model.predict_proba(self.rows)[:, 1], 1 / (1 + np.exp(-Z)))

    def time_100_calls_of_one(self):
        for _ in range(100):
            self.model.predict_proba(self.row)

    def time_20000_at_once(self):
        self.model.predict_proba(self.rows)


class Predictor(Steady):
    """`predictor()` of the same model: 2000 calls of one row."""

    def setup(self):
        model, rows = fitted()
        if not hasattr(model, "predictor"):
            raise NotImplementedError("no predictor()")
        predictor = model.predictor()
        self.predict, self.row = predictor.predict, rows[0].copy()
        assert [predictor.predict(row) for row in rows[:50]] == list(model.predict(rows[:50]))

    def time_2000_calls(self):
        for _ in range(2000):
            self.predict(self.row)


COMPILED = {"4-16-2": (4, 16, 2), "8-64-64-4": (8, 64, 64, 4)}
CALLS = 20_000


class CompiledForward(Steady):
    """`compiled_forward` of tanh networks: 20 000 calls in a loop of `@njit` code."""

    params = (list(COMPILED), ["identity", "softmax"], ["float64", "float32"])
    param_names = ("network", "output", "dtype")

    def setup(self, network, output, dtype):
        from numba import njit

        from engine import Network

        sizes = COMPILED[network]
        net = Network(sizes, output=output)
        theta = net.initial_parameters(0, dtype)
        forward = required("engine", "compiled_forward")(net, theta)

        @njit
        def call(x, out, n_calls):
            for _ in range(n_calls):
                forward(x, out)

        self.call = call
        self.x, self.out = np.linspace(-1, 1, sizes[0], dtype=dtype), np.empty(sizes[-1], dtype)
        self.call(self.x, self.out, 1)
        Z = logits(net, theta, self.x[np.newaxis])
        e = np.exp(Z - Z.max(axis=0))
        expected = e / e.sum(axis=0) if output == "softmax" else Z
        assert_close(self.out, expected[:, 0], dtype)

    def time_20000_calls(self, network, output, dtype):
        self.call(self.x, self.out, CALLS)
