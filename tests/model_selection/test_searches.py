"""Our searches give the bits of scikit-learn's searches over our estimators."""

import gc
import pickle
import re
import signal
import threading

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from scipy.stats import loguniform
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA, KernelPCA
from sklearn.exceptions import FitFailedWarning
from sklearn.feature_selection import SelectKBest
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from engine import MLPClassifier, MLPRegressor
from engine.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    parallel_fits,
)
from engine.model_selection.parallel_fits import key_of
from tests.model_selection.searches import X_REGRESSION, Y_REGRESSION, X, Y, both, quiet

pytestmark = quiet

CLASSIFIER = MLPClassifier((5,), max_iter=8, random_state=0)
REGRESSOR = MLPRegressor(hidden_layer_sizes=(5,), max_iter=8, random_state=0)
REGRESSION = (X_REGRESSION, Y_REGRESSION)
WEIGHTS = np.random.default_rng(0).uniform(0.1, 2, len(Y))
GROUPS = np.arange(len(Y)) % 7


def piped(network=CLASSIFIER, *steps):
    return Pipeline(
        [("scaler", StandardScaler()), *steps, ("pca", PCA(3)), ("mlp", clone(network))]
    )


@pytest.mark.parametrize("n_jobs", [None, 1, 2, -1])
def test_a_grid_over_a_classifier_gives_scikit_learn_s_bits(n_jobs):
    grid = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(4,), (3, 3)]}
    ran, _ = both(GridSearchCV, CLASSIFIER, grid, cv=3, n_jobs=n_jobs, return_train_score=True)
    assert ran.n_fits == 12


@pytest.mark.parametrize(
    "network",
    [
        REGRESSOR,
        clone(REGRESSOR).set_params(solver="lbfgs"),
        clone(REGRESSOR).set_params(solver="lm", activation="tanh"),
        clone(REGRESSOR).set_params(early_stopping=True, n_iter_no_change=2, max_iter=40),
        clone(REGRESSOR).set_params(loss="squared_error", solver="sgd", warm_start=True),
    ],
    ids=["adam", "lbfgs", "lm", "early stopping", "sgd"],
)
def test_a_grid_over_a_regressor_gives_scikit_learn_s_bits(network):
    grid = [{"alpha": [1e-4, 1.0]}, {"learning_rate_init": [0.01]}, {}]
    ran, _ = both(GridSearchCV, network, grid, cv=3, data=REGRESSION)
    assert ran.n_fits == 12


def test_the_steps_before_a_network_are_fitted_once_for_each_of_their_parameters_and_folds(
    monkeypatch,
):
    fitted = []
    fit = StandardScaler.fit

    def counted(self, X, y=None, sample_weight=None):
        fitted.append(self.with_mean)
        return fit(self, X, y, sample_weight)

    grid = {
        "scaler__with_mean": [True, False],
        "pca__n_components": [2, 3],
        "mlp__alpha": [1e-4, 1.0, 10.0],
    }
    ran, _ = both(GridSearchCV, piped(), grid, cv=3, refit=False)
    assert ran.n_fits == 36
    monkeypatch.setattr(StandardScaler, "fit", counted)
    GridSearchCV(piped(), grid, cv=3, refit=False).fit(X, Y)
    assert len(fitted) == 2 * 2 * 3


def test_steps_may_be_replaced_and_left_out_by_the_grid():
    grid = {
        "scaler": [StandardScaler(), MinMaxScaler(), "passthrough", None],
        "mlp__alpha": [1e-4, 1.0],
    }
    ran, _ = both(GridSearchCV, piped(), grid, cv=3)
    assert ran.n_fits == 24


def test_the_network_may_be_replaced_by_the_grid():
    grid = {"mlp": [MLPClassifier((n,), max_iter=5, random_state=n) for n in (2, 3)]}
    ran, _ = both(GridSearchCV, piped(), grid, cv=3)
    assert ran.n_fits == 6


def test_several_scores_give_scikit_learn_s_bits():
    options = {"scoring": ["accuracy", "neg_log_loss"], "refit": "neg_log_loss"}
    grid = {"mlp__alpha": [1e-4, 1.0]}
    ran, _ = both(GridSearchCV, piped(), grid, return_train_score=True, **options)
    assert ran.n_fits == 10


def test_a_score_of_one_s_own_sees_a_fitted_estimator_and_nothing_else_of_ours():
    seen = []

    def score(estimator, X, y):
        seen.append(vars(estimator).keys() & {"fit", "set_params"})
        return {"width": float(estimator.coefs_[0].shape[1]), "score": estimator.score(X, y)}

    grid = {"hidden_layer_sizes": [(2,), (3,)]}
    ran, _ = both(GridSearchCV, CLASSIFIER, grid, scoring=score, refit="width")
    assert ran.n_fits == 10
    assert not any(seen)


@pytest.mark.parametrize("estimator", [CLASSIFIER, piped()], ids=["network", "pipeline"])
def test_a_score_that_writes_into_its_rows_changes_no_other_candidate(estimator):
    def score(estimator, X, y):
        X["predicted"] = estimator.predict(X)
        y[:] = 0
        return float((X["predicted"] == 1).mean())

    frame = pd.DataFrame(X, columns=list("abcdef"))
    grid = {"alpha" if estimator is CLASSIFIER else "mlp__alpha": [1e-4, 1e-4, 1.0]}
    ran, _ = both(
        GridSearchCV, estimator, grid, data=(frame, Y), scoring=score, return_train_score=True
    )
    assert ran.n_fits == 15
    assert list(frame.columns) == list("abcdef")


def test_rows_that_are_distances_are_cut_out_as_the_candidate_needs_them():
    distances = X @ X.T
    pipeline = Pipeline([("pca", KernelPCA(3)), ("mlp", clone(CLASSIFIER))])
    both(GridSearchCV, pipeline, {"pca__kernel": ["linear", "precomputed"]}, data=(distances, Y))


def test_a_network_is_dropped_once_it_is_scored(monkeypatch):
    monkeypatch.setattr(parallel_fits, "MOST_FITS", 4)
    alive = []

    def scored(estimator, X, y):
        gc.collect()
        objects = gc.get_objects()
        alive.append(sum(type(one) is Counted and hasattr(one, "coefs_") for one in objects))
        return 0.5

    class Counted(MLPClassifier):
        pass

    grid = {"alpha": np.logspace(-5, 0, 10).tolist()}
    GridSearchCV(Counted(3, max_iter=2, random_state=0), grid, cv=2, scoring=scored).fit(X, Y)
    assert max(alive) == 4


def test_arrays_that_look_alike_are_different_parameters():
    long = [np.arange(2000), np.arange(2000)]
    long[1][1000] += 1
    assert repr(long[0]) == repr(long[1])
    assert key_of({"quantiles": long[0]}) != key_of({"quantiles": long[1]})
    assert key_of({"a": 1, "b": "c"}) == key_of({"a": 1, "b": "c"}) != key_of({"a": True, "b": "c"})


def test_ctrl_c_ends_the_search_and_scores_nothing():
    endless = clone(CLASSIFIER).set_params(max_iter=10**7, n_iter_no_change=10**7)
    search = GridSearchCV(endless, {"alpha": [1e-4]}, cv=2, scoring=lambda *given: 1 / 0)
    pressed = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    pressed.start()
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, Y)
    pressed.join()


def test_a_randomised_search_gives_scikit_learn_s_bits():
    found = {"mlp__alpha": loguniform(1e-4, 1), "pca__n_components": [2, 3]}
    ran, _ = both(RandomizedSearchCV, piped(), found, n_iter=5, cv=3, random_state=3)
    assert ran.n_fits == 15


def test_halving_over_rows_gives_scikit_learn_s_bits():
    grid = {"mlp__alpha": [1e-4, 0.1, 1.0, 10.0]}
    options = {"factor": 2, "min_resources": 20, "cv": 3, "random_state": 0}
    ran, theirs = both(HalvingGridSearchCV, piped(), grid, **options)
    assert ran.n_fits == 3 * (4 + 2 + 1)
    assert ran.search.n_resources_ == theirs.search.n_resources_
    ran, _ = both(HalvingRandomSearchCV, piped(), {"mlp__alpha": loguniform(1e-4, 1)}, **options)
    assert ran.n_fits > 12


@pytest.mark.parametrize("cv", [ShuffleSplit(3, random_state=1), KFold(3, shuffle=True)])
def test_shuffled_splits_are_scikit_learn_s(cv):
    ran, _ = both(GridSearchCV, CLASSIFIER, {"alpha": [1e-4, 1.0]}, cv=cv)
    assert ran.n_fits == 6


def test_sample_weights_and_groups_arrive():
    given = {"sample_weight": WEIGHTS, "groups": GROUPS}
    grid = {"alpha": [1e-4, 1.0]}
    ran, _ = both(GridSearchCV, CLASSIFIER, grid, cv=GroupKFold(3), fit_params=given)
    assert ran.n_fits == 6
    ran, _ = both(
        GridSearchCV,
        piped(),
        {"mlp__alpha": [1e-4, 1.0]},
        cv=GroupKFold(3),
        fit_params={
            "mlp__sample_weight": WEIGHTS,
            "scaler__sample_weight": WEIGHTS,
            "groups": GROUPS,
        },
    )
    assert ran.n_fits == 6


def test_validation_rows_of_one_s_own_arrive():
    given = {"X_val": X[:20], "y_val": Y[:20], "sample_weight_val": WEIGHTS[:20]}
    network = clone(CLASSIFIER).set_params(early_stopping=True, n_iter_no_change=1, max_iter=30)
    ran, _ = both(GridSearchCV, network, {"alpha": [1e-4, 1.0]}, cv=3, fit_params=given)
    assert ran.n_fits == 6


def test_routed_metadata_arrive():
    with config_context(enable_metadata_routing=True):
        network = clone(CLASSIFIER).set_fit_request(sample_weight=True)
        network.set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = Pipeline([("scaler", scaler), ("mlp", network)])
        grid = {"mlp__alpha": [1e-4, 1.0]}
        given = {"sample_weight": WEIGHTS, "groups": GROUPS}
        ran, _ = both(GridSearchCV, pipeline, grid, cv=GroupKFold(3), fit_params=given)
    assert ran.n_fits == 6


@pytest.mark.parametrize(
    "rows",
    [
        X.astype(np.float32),
        X.tolist(),
        pd.DataFrame(X, columns=[*"abcdef"]),
        scipy.sparse.csr_array(np.where(X > 0, X, 0)),
    ],
    ids=["float32", "list", "frame", "sparse"],
)
def test_rows_of_each_kind_give_scikit_learn_s_bits(rows):
    grid = {"alpha": [1e-4, 1.0]}
    ran, theirs = both(GridSearchCV, CLASSIFIER, grid, cv=3, data=(rows, Y))
    assert ran.n_fits == 6
    names = [getattr(search.search, "feature_names_in_", None) for search in (ran, theirs)]
    assert np.array_equal(*names)


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(3)], ids=["None", "object"])
def test_generators_draw_in_scikit_learn_s_order(random_state):
    network = clone(CLASSIFIER).set_params(random_state=random_state)
    ran, _ = both(GridSearchCV, network, {"alpha": [1e-4, 1.0]}, cv=ShuffleSplit(3))
    assert ran.n_fits == 6
    mixed = {"random_state": [0, None, np.random.RandomState(5)]}

    def draws(estimator, X, y):
        return estimator.score(X, y) + np.random.uniform()  # noqa: NPY002

    ran, _ = both(GridSearchCV, network, mixed, cv=ShuffleSplit(3), scoring=draws)
    assert ran.n_fits == 9


def test_a_failing_candidate_gets_the_error_score_and_leaves_the_others_alone():
    grid = {"mlp__alpha": [1e-4, -1.0, 1.0]}
    ran, theirs = both(GridSearchCV, piped(), grid, cv=3, error_score=-2.0)
    assert ran.n_fits == 9
    assert np.all(ran.search.cv_results_["split0_test_score"][1] == -2.0)
    assert [kind for kind, _ in ran.warnings] == [kind for kind, _ in theirs.warnings]
    texts = [next(t for k, t in r.warnings if k is FitFailedWarning) for r in (ran, theirs)]
    first = re.compile(r"3 fits failed out of.*?following error:", re.DOTALL)
    assert first.findall(texts[0]) == first.findall(texts[1]) != []
    assert [text.count("Got -1.0 instead") for text in texts] == [1, 1]


def test_a_candidate_that_diverges_is_scored_as_scikit_learn_scores_it():
    network = clone(REGRESSOR).set_params(solver="sgd", max_iter=30)
    grid = {"learning_rate_init": [1e-3, 1e8]}
    ran, theirs = both(GridSearchCV, network, grid, cv=3, data=REGRESSION)
    assert ran.n_fits == 6
    assert np.isnan(ran.search.cv_results_["mean_test_score"][1])
    assert [kind for kind, _ in ran.warnings] == [kind for kind, _ in theirs.warnings]


def test_a_step_that_fails_fails_the_candidate():
    grid = {"pca__n_components": [2, 1000], "mlp__alpha": [1e-4, 1.0]}
    ran, theirs = both(GridSearchCV, piped(), grid, cv=3)
    assert ran.n_fits == 6
    texts = [next(t for k, t in r.warnings if k is FitFailedWarning) for r in (ran, theirs)]
    counts = [re.findall(r"\d+ fits failed", text) for text in texts]
    assert counts[0] == counts[1] == ["6 fits failed"] * 2


def test_the_first_error_is_raised_if_that_is_asked_for():
    grid = {"alpha": [1e-4, -1.0]}
    ran, theirs = both(GridSearchCV, CLASSIFIER, grid, cv=3, error_score="raise", fails=True)
    assert str(ran.error) == str(theirs.error)
    assert "alpha" in str(ran.error)


def test_if_all_fits_fail_so_does_the_search():
    ran, _ = both(GridSearchCV, CLASSIFIER, {"alpha": [-1.0]}, cv=3, fails=True)
    assert "All the 3 fits failed" in str(ran.error)


def test_a_parameter_that_no_step_has_is_refused_in_scikit_learn_s_words():
    ran, theirs = both(GridSearchCV, piped(), {"mlp__alhpa": [1.0]}, cv=3, fails=True)
    assert str(ran.error) == str(theirs.error)
    assert ran.n_fits == 0


def test_warnings_are_those_of_scikit_learn_at_the_same_lines():
    network = clone(CLASSIFIER).set_params(batch_size=80)
    ran, theirs = both(GridSearchCV, network, {"alpha": [1e-4, 1.0]}, cv=3)
    assert len(ran.warnings) > 12
    assert ran.warnings == theirs.warnings
    fits = slice(0, 12)
    assert ran.lines[fits] == theirs.lines[fits]


@pytest.mark.filterwarnings("default")
def test_each_fit_warns_anew_even_of_the_same(recwarn):
    grid = {"alpha": [1e-4, 1.0]}
    GridSearchCV(CLASSIFIER, grid, cv=3, refit=False, scoring=lambda *fitted: 0.0).fit(X, Y)
    assert sum("Maximum iterations" in str(said.message) for said in recwarn) == 6


def test_steps_that_are_shared_warn_for_each_fit():
    rows = np.hstack([X, np.ones((len(X), 1))])  # SelectKBest warns of a constant column
    pipeline = piped(CLASSIFIER, ("best", SelectKBest(k=3)))
    ran, theirs = both(GridSearchCV, pipeline, {"mlp__alpha": [1e-4, 1.0]}, cv=3, data=(rows, Y))
    assert ran.n_fits == 6
    assert sum("constant" in text for _, text in ran.warnings) == 7
    assert ran.warnings == theirs.warnings


def test_printed_lines_are_those_of_scikit_learn():
    grid = {"mlp__alpha": [1e-4, -1.0]}
    options = {"cv": 3, "verbose": 10, "return_train_score": True}
    printed = [
        re.sub(r"\.+|total time=\s*\S*", "", ran.printed)
        for ran in both(GridSearchCV, piped(), grid, **options)
    ]
    assert printed[0] == printed[1]
    assert printed[0].count("END") == 6


def test_times_are_those_of_the_fits():
    network = clone(CLASSIFIER).set_params(n_iter_no_change=np.inf)
    search = GridSearchCV(network, {"max_iter": [1, 5000]}, cv=3, refit=False).fit(X, Y)
    short, long = search.cv_results_["mean_fit_time"]
    assert 0 < short < long


def test_fits_that_wait_are_made_in_batches_and_rows_are_dropped_if_they_take_too_much(monkeypatch):
    grid = {"mlp__alpha": [1e-4, 1.0, 10.0]}
    monkeypatch.setattr("engine.model_selection.parallel_fits.MOST_FITS", 4)
    ran, _ = both(GridSearchCV, piped(), grid, cv=3)
    assert [len(fits) for fits in ran.fits] == [4, 4, 1]
    monkeypatch.setattr("engine.model_selection.parallel_fits.memory_left", lambda: 3e4)
    ran, _ = both(GridSearchCV, piped(), grid, cv=3)
    assert [len(fits) for fits in ran.fits] == [2, 2, 2, 2, 1]


def test_a_search_is_pickled_and_cloned_as_any_estimator():
    search = GridSearchCV(CLASSIFIER, {"alpha": [1e-4, 1.0]}, cv=3).fit(X, Y)
    again = pickle.loads(pickle.dumps(search))
    assert np.array_equal(again.predict(X), search.predict(X))
    assert clone(search).fit(X, Y).best_params_ == search.best_params_


def test_a_scaler_made_by_make_pipeline_is_shared_too():
    pipeline = make_pipeline(StandardScaler(), clone(REGRESSOR))
    grid = {"mlpregressor__alpha": [1e-4, 1.0]}
    ran, _ = both(GridSearchCV, pipeline, grid, data=REGRESSION)
    assert ran.n_fits == 10
