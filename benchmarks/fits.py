"""`fit` of the estimators, with their defaults, on data that scikit-learn carries."""

import warnings

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
