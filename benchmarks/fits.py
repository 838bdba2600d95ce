"""`fit` of the estimators, with their defaults, on data that scikit-learn carries."""

import copy
import warnings

import numpy as np

from benchmarks.cases import Steady, assert_close, required

EPOCHS = {"iris": 60, "breast_cancer": 30, "digits": 8}


def standardised(data):
    """Rows of mean 0 and variance 1, and the classes."""
    from sklearn import datasets
    from sklearn.preprocessing import StandardScaler

    rows, classes = getattr(datasets, f"load_{data}")(return_X_y=True)
    return StandardScaler().fit_transform(rows), classes


def fits_of(data, dtype, epochs):
    """Our fit and scikit-learn's, two functions, once their losses were found to agree."""
    ours = required("engine", "MLPClassifier")
    from sklearn.neural_network import MLPClassifier as Theirs

    rows, classes = standardised(data)
    rows = rows.astype(dtype)
    settings = {"max_iter": epochs, "tol": 0.0, "random_state": 0}

    def fit(kind, **more):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the epochs are at their end
            return kind(**settings, **more).fit(rows, classes)

    pair = (lambda: fit(ours, n_threads=1), lambda: fit(Theirs))
    assert_close(*(act().loss_curve_ for act in pair), dtype, scale=1e5)
    return pair


class Fits(Steady):
    """A fixed number of epochs, so that every commit does the same work; one thread."""

    params = (list(EPOCHS), ["float32", "float64"])
    param_names = ("data", "dtype")

    def setup(self, data, dtype):
        self.act, _ = fits_of(data, dtype, EPOCHS[data])

    def time_fit(self, data, dtype):
        self.act()


ROW_BY_ROW = {"4-8-1": (4, 8), "8-16-1": (8, 16), "20-16-1": (20, 16)}


def row_by_row(network, solver):
    """An MLPRegressor that 500 rows have trained, one by one, and these rows.

    Its weights were found to be scikit-learn's.
    """
    from sklearn.neural_network import MLPRegressor as Theirs

    n_features, n_units = ROW_BY_ROW[network]
    rows = np.random.default_rng(0).standard_normal((500, n_features))
    targets = np.tanh(rows.sum(axis=1))
    settings = {"hidden_layer_sizes": (n_units,), "solver": solver, "random_state": 0}
    ours, theirs = required("engine", "MLPRegressor")(**settings), Theirs(**settings)
    single = list(zip(rows[:, np.newaxis], targets[:, np.newaxis], strict=True))
    for X, y in single:
        ours.partial_fit(X, y)
        theirs.partial_fit(X, y)
    assert_close(ours.coefs_[0], theirs.coefs_[0], scale=1e3)
    return ours, single


class PartialFit(Steady):
    """`partial_fit` of an MLPRegressor, float64: 500 calls of one row."""

    params = (list(ROW_BY_ROW), ["sgd", "adam"])
    param_names = ("network", "solver")

    def setup(self, network, solver):
        self.model, self.rows = row_by_row(network, solver)

    def time_500_calls_of_one(self, network, solver):
        for X, y in self.rows:
            self.model.partial_fit(X, y)


class Learner(Steady):
    """`learner()` of the same model: 2000 calls of one row."""

    params = (list(ROW_BY_ROW), ["sgd", "adam"])
    param_names = ("network", "solver")

    def setup(self, network, solver):
        model, rows = row_by_row(network, solver)
        if not hasattr(model, "learner"):
            raise NotImplementedError("no learner()")
        same, self.learn = copy.deepcopy(model), model.learner()
        self.rows = [(X[0], float(y[0])) for X, y in rows]
        for X, y in rows:
            self.learn(X[0], float(y[0]))
            same.partial_fit(X, y)
        for W, expected in zip(model.coefs_, same.coefs_, strict=True):
            assert W.tobytes() == expected.tobytes(), "other bits than partial_fit"

    def time_2000_calls(self, network, solver):
        for _ in range(4):
            for row, target in self.rows:
                self.learn(row, target)
