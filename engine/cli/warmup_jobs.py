"""Small jobs that take every kernel: `engine warmup` compiles by them, and so does `make wheel`.

Data, network and settings decide little: there is one signature for each dtype (docs/startup.md).
So a job is short, and one job stands for all calls that take the same kernels.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Job = Callable[[], Any]

UPDATES: list[dict[str, Any]] = [
    {"solver": "adam"},
    {"solver": "sgd"},
    {"solver": "sgd", "nesterov": False},
    {"solver": "sgd", "momentum": 0.0},
    {
        "solver": "adam",
        "weight_decay": 0.1,
        "average": 0.9,
        "clip_norm": 1.0,
        "label_smoothing": 0.1,
        "schedule": "cosine",
    },
]


def parts_of_warmup(backend: str, dtype: str, embeddings: bool = False) -> list[tuple[str, Job]]:
    """A small job for each group of calls with machine code of its own."""
    jobs = Jobs(backend, dtype)
    parts = [
        ("sgd and adam", jobs.minibatches),
        ("gd, lbfgs, gradients, prediction", jobs.whole_batches),
    ]
    if backend == "tiled":
        parts.append(("many networks side by side", jobs.side_by_side))
        parts.append(("steps that threads share", jobs.shared))
    if embeddings:
        parts.append(("embeddings", jobs.embedded))
    return parts + ([("lm", jobs.second_order)] if dtype == "float64" else [])  # always in float64


def parts_of_wheel(dtype: str) -> list[tuple[str, Job]]:
    """The same, and what is left: all that a wheel carries."""
    jobs = Jobs("tiled", dtype)
    return [
        *parts_of_warmup("tiled", dtype, embeddings=True),
        ("sparse inputs", jobs.sparse),
        ("derivatives", jobs.derivatives),
        ("one row", jobs.one_row),
        ("estimators", jobs.estimators),
    ]


class Jobs:
    """The jobs in one dtype.

    Parameters
    ----------
    backend : str
    dtype : str
    """

    def __init__(self, backend: str, dtype: str) -> None:
        import numpy as np

        from engine import Network

        self.backend, self.dtype = backend, dtype
        self.X = np.array([[0, 0, 1, 1], [0, 1, 0, 1]], dtype)
        self.Y = np.array([1, 0, 0, 1])
        self.network = Network((2, 4, 1))
        self.theta = self.network.initial_parameters(0, dtype)
        self.options: dict[str, Any] = {"backend": backend, "max_iter": 1}

    def minibatches(self) -> None:
        """Slices of steps."""
        from engine import train

        for settings in UPDATES:
            train(self.network, self.X, self.Y, batch_size=2, **settings, **self.options)
        if self.backend == "tiled":
            self._one_by_one()

    def _one_by_one(self) -> None:
        """A step on a sample that comes alone."""
        from engine.solvers.prepared_steps import PreparedSteps
        from engine.solvers.state import ADAM, Settings, new_state

        settings = Settings(ADAM, batch_size=1, shuffle=1)
        state = new_state(self.theta.copy(), settings, n_samples=1, seed=0)
        PreparedSteps(self.network.layers, settings, state, n_outputs=None, in_codes=False).take()

    def shared(self) -> None:
        """A step of two threads, however many cores there are."""
        import numpy as np

        from engine.solvers.descent import CompiledSteps
        from engine.solvers.shared_steps import SharedSteps
        from engine.solvers.state import ADAM, Settings, new_state
        from engine.sums.samples import Samples

        samples = Samples(self.X, self.Y.reshape(1, -1).astype(self.dtype))
        settings = Settings(ADAM, batch_size=2, shuffle=1)
        state = new_state(self.theta.copy(), settings, samples.n_samples, seed=0)
        steps = CompiledSteps(self.network.layers, samples, settings.batch_size)
        shared = SharedSteps(steps, n_threads=2, adapts=False)
        shared.advance(state, settings, 1, 1, np.zeros((1, 2)))

    def whole_batches(self) -> None:
        """Sums over chunks, and prediction."""
        from engine import train

        network, X, Y, theta = self.network, self.X, self.Y, self.theta
        train(network, X, Y, solver="gd", **self.options)
        network.cost_and_gradient(theta, X, Y, backend=self.backend)
        network.forward(theta, X, backend=self.backend)
        # Kernels that are inlined into those of minibatches, called separately.
        self._large_batches(network)

    def embedded(self) -> None:
        """All of it for networks with embeddings."""
        from engine import Network, train
        from engine.embeddings import Levels, Pieces
        from engine.sums.one_row import OneRow

        inputs = [Pieces([0.0, 0.5, 1.0], 2, missing=True), Levels(2, 2)]
        wide = Network((2, 4, 1), embeddings=inputs)
        theta = wide.initial_parameters(0, self.dtype)
        for settings in UPDATES:
            train(wide, self.X, self.Y, batch_size=2, **settings, **self.options)
        train(wide, self.X, self.Y, solver="gd", **self.options)
        wide.forward(theta, self.X, backend=self.backend)
        self._large_batches(wide)
        if self.backend == "tiled":
            OneRow(wide.layers, theta)(self.X[:, 0])

    def second_order(self) -> None:
        """Levenberg-Marquardt."""
        import numpy as np

        from engine import train
        from engine.sums.workers import SPAN_SAMPLES

        train(self.network, self.X, self.Y, solver="lm", **self.options)
        n_samples = SPAN_SAMPLES + 1  # of several chunks, whose sums are called from Python
        columns = np.zeros((self.network.sizes[0], n_samples))
        train(self.network, columns, np.arange(n_samples) % 2, solver="lm", **self.options)

    def side_by_side(self) -> None:
        """A step of two networks at once."""
        from engine.equations.backends import TILED
        from engine.solvers.descent import Descent
        from engine.solvers.member_descent import KnownSamples, MemberDescents, kind_of
        from engine.solvers.solver import Budget, Problem
        from engine.solvers.state import ADAM, Settings, new_state
        from engine.sums.samples import Samples

        samples = Samples(self.X, self.Y.reshape(1, -1).astype(self.dtype))
        problem = Problem(TILED, self.network.layers, samples, 0.0, n_threads=1)
        settings, known = Settings(ADAM, batch_size=2, shuffle=1), KnownSamples()
        networks = []
        for seed in range(2):
            theta = self.network.initial_parameters(seed, self.dtype)
            state = new_state(theta, settings, samples.n_samples, seed)
            networks.append(Descent(problem, state, settings))
        kind = kind_of(networks[0], known)
        assert kind is not None
        together = MemberDescents(kind, self.network.layers, known)
        for descent in networks:
            together.join(descent)
        together.advance([Budget(0.0, 1)] * len(networks))

    def sparse(self) -> None:
        """Inputs of which few are not 0, and of which many are."""
        import numpy as np
        from scipy.sparse import csr_array

        from engine import MLPRegressor

        for dense in (np.eye(40, dtype=self.dtype), np.ones((40, 2), self.dtype)):
            rows = csr_array(dense)
            for settings in ({"batch_size": 2}, {"solver": "lbfgs"}, {"solver": "lm"}):
                model = MLPRegressor(hidden_layer_sizes=2, max_iter=1, **settings)
                with _silence():
                    model.fit(rows, dense[:, 0])
                model.predict(rows)

    def derivatives(self) -> None:
        """Gauss-Newton matrices, products with the Hessian, Jacobians, inference."""
        from engine import inference

        objective = self.network.objective(self.X, self.Y)
        objective.hessian_product(self.theta, self.theta)
        self.network.input_jacobian(self.theta, self.X)
        self.network.parameter_jacobian(self.theta, self.X)
        if self.dtype == "float64":
            objective.gauss_newton(self.theta)
            with _silence():
                inference(self.network, self.theta, self.X, self.Y, alpha=1.0)

    def one_row(self) -> None:
        """Predictions for a row."""
        from engine.sums.one_row import OneRow

        OneRow(self.network.layers, self.theta)(self.X[:, 0])

    def estimators(self) -> None:
        """What estimators draw, shuffle and sum."""
        from engine import MLPClassifier
        from engine.sums.workers import SPAN_SAMPLES

        rows, labels = self.X.T.repeat(SPAN_SAMPLES, axis=0), self.Y.repeat(SPAN_SAMPLES)
        whole = {"batch_size": len(rows)}  # no order is kept, but its numbers are drawn
        for settings in ({}, whole, {"shuffle": "blocks", **whole}, {"early_stopping": True}):
            model = MLPClassifier(hidden_layer_sizes=2, max_iter=1, **settings)
            with _silence():
                model.fit(rows, labels)
            model.predictor().predict(rows[0])

    def _large_batches(self, network: Any) -> None:
        """Train in batches of several chunks, whose steps and shuffles are taken from Python."""
        import numpy as np

        from engine import train
        from engine.sums.workers import SPAN_SAMPLES

        size = SPAN_SAMPLES + 1
        X, Y = np.zeros((network.sizes[0], 2 * size), self.dtype), np.arange(2 * size) % 2
        for settings in UPDATES:
            train(network, X, Y, batch_size=2 * size, **settings, **self.options)
        for shuffle in (True, "blocks"):
            train(network, X, Y, batch_size=size, shuffle=shuffle, **self.options)


@contextmanager
def _silence() -> Iterator[None]:
    """Without the warnings that one epoch is few."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
