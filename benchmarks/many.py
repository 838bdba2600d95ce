"""Many networks on the same data, and searches over a grid of candidates."""

import time
import warnings

import numpy as np

from benchmarks import threads
from benchmarks.cases import Steady, Tracked, assert_close, ratio_in_turns, required
from benchmarks.fits import standardised

# Networks, sizes, samples, batch, epochs: a call takes some tens of milliseconds.
MANY = {
    "64 x 2-4-1": (64, (2, 4, 1), 200, 25, 9),
    "16 x 8-16-1": (16, (8, 16, 1), 1024, 32, 9),
    "16 x 20-100-1": (16, (20, 100, 1), 1000, 200, 5),
    "16 x 64-64-1": (16, (64, 64, 1), 1024, 64, 2),
}


def fits_of_many(name):
    """Functions that fit all networks of MANY in one call on that many threads, and in a loop.

    Both return the estimators. They were found to be the same to the bit.
    """
    fit_many, regressor = required("engine", "fit_many"), required("engine", "MLPRegressor")
    members, sizes, n_samples, batch_size, epochs = MANY[name]
    generator = np.random.default_rng(0)
    X = generator.standard_normal((n_samples, sizes[0])).astype("float32")
    y = np.tanh(X @ generator.standard_normal(sizes[0]).astype("float32"))
    settings = {"activation": "tanh", "batch_size": batch_size, "max_iter": epochs, "tol": 0.0}

    def networks():
        hidden = sizes[1:-1]
        return [
            regressor(hidden_layer_sizes=hidden, random_state=seed, **settings)
            for seed in range(members)
        ]

    def together(n_threads):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the epochs are at their end
            return fit_many(networks(), X, y, n_threads=n_threads)

    def in_a_loop():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [one.set_params(n_threads=1).fit(X, y) for one in networks()]

    require_same(together(1), in_a_loop())
    return together, in_a_loop


def require_same(found, expected):
    """Each network is that of its own fit, and has learned something."""
    for one, other in zip(found, expected, strict=True):
        for W, same in zip(one.coefs_, other.coefs_, strict=True):
            assert W.tobytes() == same.tobytes(), "other bits than a fit alone"
        assert one.loss_curve_[-1] < one.loss_curve_[0]


class FitMany(Steady):
    """`fit_many` on one thread, float32, from new estimators."""

    params = list(MANY)
    param_names = ("networks",)

    def setup(self, networks):
        self.together, _ = fits_of_many(networks)

    def time_fit_many(self, networks):
        self.together(1)


class FitManyRatios(Tracked):
    """`fit_many` beside a loop of fits, and on two threads."""

    params = list(MANY)
    param_names = ("networks",)

    def setup(self, networks):
        self.together, self.in_a_loop = fits_of_many(networks)

    def track_time_over_a_loops(self, networks):
        return ratio_in_turns(lambda: self.together(1), self.in_a_loop, pairs=11)

    track_time_over_a_loops.unit = "x the loop's time"

    def track_two_threads(self, networks):
        if threads.usable_cores() < 2:
            raise NotImplementedError("one core")
        require_same(self.together(2), self.together(1))
        one, two = (lambda: self.together(1)), (lambda: self.together(2))
        return 2 * ratio_in_turns(two, one, pairs=11, clock=time.perf_counter)

    track_two_threads.unit = "x the ideal time"


class Search(Steady):
    """GridSearchCV over a pipeline: 12 candidates, 3 folds, one thread."""

    params = ["iris", "breast_cancer"]
    param_names = ("data",)

    def setup(self, data):
        ours = required("engine.model_selection", "GridSearchCV")
        classifier = required("engine", "MLPClassifier")
        from sklearn.model_selection import GridSearchCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        rows, classes = standardised(data)
        grid = {
            "mlpclassifier__hidden_layer_sizes": [(8,), (16,)],
            "mlpclassifier__alpha": [1e-4, 1e-3, 1e-2],
            "mlpclassifier__learning_rate_init": [1e-3, 1e-2],
        }

        def search(kind):
            network = classifier(batch_size=32, max_iter=10, tol=0.0, random_state=0, n_threads=1)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pipeline = make_pipeline(StandardScaler(), network)
                return kind(pipeline, grid, cv=3, n_jobs=1).fit(rows, classes)

        self.act = lambda: search(ours)
        found, expected = self.act().cv_results_, search(GridSearchCV).cv_results_
        for fold in range(3):
            name = f"split{fold}_test_score"
            assert_close(found[name], expected[name], scale=0)

    def time_search(self, data):
        self.act()
