"""What a fixed budget of training reaches, so that "faster but worse" is seen. No times here."""

import warnings

import numpy as np

from benchmarks.cases import Tracked, network_of, reference_cost, required
from benchmarks.fits import standardised


class CostAtBudget(Tracked):
    """The mean cost of 64-100-10 after a fixed number of epochs or iterations, float64."""

    params = ["gd", "sgd", "adam", "lbfgs"]
    param_names = ("solver",)

    def setup(self, solver):
        from engine import train

        net, rows, codes, theta, batch_size = network_of("64-100-10", "float64")
        rates = {"gd": 0.5, "sgd": 0.05, "adam": 1e-3, "lbfgs": 1e-3}
        batches = {} if solver in ("gd", "lbfgs") else {"batch_size": batch_size}
        result = train(
            net,
            rows.T,
            codes,
            solver=solver,
            learning_rate=rates[solver],
            max_iter=30,
            theta=theta,
            n_threads=1,
            **batches,
        )
        self.start = reference_cost(net, theta, rows, codes)
        self.cost = reference_cost(net, result.theta, rows, codes)
        assert np.isfinite(self.cost)
        assert self.cost < self.start

    def track_cost(self, solver):
        return self.cost

    track_cost.unit = "mean cost"


class ErrorAtBudget(Tracked):
    """1 - accuracy on a held-out quarter after 30 epochs of an estimator: the mean of ten seeds."""

    params = ["breast_cancer", "digits"]
    param_names = ("data",)

    def setup(self, data):
        from sklearn.model_selection import train_test_split

        self.estimator = required("engine", "MLPClassifier")
        self.parts = train_test_split(*standardised(data), random_state=0)

    def track_error(self, data):
        rows, held_out, classes, answers = self.parts
        errors = []
        for seed in range(10):
            model = self.estimator(max_iter=30, tol=0.0, random_state=seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(rows, classes)
            errors.append(1 - model.score(held_out, answers))
        error = float(np.mean(errors))
        assert error < 0.1, error
        return error

    track_error.unit = "1 - accuracy"
