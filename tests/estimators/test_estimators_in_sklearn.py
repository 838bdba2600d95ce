"""MLPClassifier and MLPRegressor inside scikit-learn: its tools, its callbacks, its data."""

import copy
import inspect
import itertools
import pickle
import tracemalloc
from typing import Any

import joblib
import numpy as np
import pytest
import scipy.sparse
import sklearn
from sklearn import neural_network as sk
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier, BaggingRegressor, VotingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import estimator_html_repr

import engine
from engine.estimators.input_validation import evenly_spread
from tests.estimators.test_estimators import rows, targets

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings(
        "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::engine.TrainingWarning"
    ),
]
SMALL = {"hidden_layer_sizes": (4,), "max_iter": 4, "random_state": 0, "learning_rate_init": 0.02}
X = rows()
LABELS = targets("labels", X)
SUMS = targets("regression", X)


def classifier(**parameters):
    return engine.MLPClassifier(**{**SMALL, **parameters})


def regressor(**parameters):
    return engine.MLPRegressor(**{**SMALL, **parameters})


def same_bits(one, other, data=X):
    """Whether two estimators have the same parameters and predictions."""
    return one.fingerprint_ == other.fingerprint_ and np.array_equal(
        one.predict(data), other.predict(data)
    )


# Estimators made of estimators


def in_processes_at_night(names):
    """Names for parametrize: new processes load everything anew, which takes seconds."""
    return [
        pytest.param(name, marks=[pytest.mark.proof] if "over processes" in name else [])
        for name in names
    ]


GRID = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(3,), (4, 2)]}
COLUMNS = ColumnTransformer(
    [("numbers", StandardScaler(), [0, 1]), ("categories", OneHotEncoder(), [4])],
    sparse_threshold=1,
)
OF_CLASSIFIERS: dict[str, Any] = {
    "grid search": lambda mlp: GridSearchCV(mlp, GRID, cv=3),
    "grid search over processes": lambda mlp: GridSearchCV(mlp, GRID, cv=3, n_jobs=2),
    "pipeline": lambda mlp: make_pipeline(StandardScaler(), mlp),
    "columns": lambda mlp: make_pipeline(COLUMNS, mlp),
    "bagging": lambda mlp: BaggingClassifier(mlp, 3, random_state=0),
    "bagging over processes": lambda mlp: BaggingClassifier(mlp, 4, random_state=0, n_jobs=2),
    "calibrated": lambda mlp: CalibratedClassifierCV(mlp, cv=3),
    "voting": lambda mlp: VotingClassifier(
        [("mlp", mlp), ("logistic", LogisticRegression())], voting="soft"
    ),
    "one against the rest": lambda mlp: OneVsRestClassifier(mlp),
    "search in a pipeline": lambda mlp: make_pipeline(
        StandardScaler(), GridSearchCV(mlp, {"solver": ["adam", "sgd"]}, cv=2)
    ),
}
OF_REGRESSORS: dict[str, Any] = {
    "grid search": lambda mlp: GridSearchCV(mlp, GRID, cv=3),
    "bagging": lambda mlp: BaggingRegressor(mlp, 3, random_state=0),
    "transformed target": lambda mlp: TransformedTargetRegressor(
        mlp, func=np.sinh, inverse_func=np.arcsinh
    ),
    "several outputs": lambda mlp: MultiOutputRegressor(mlp),
}


@pytest.mark.sample(4)
@pytest.mark.parametrize("name", in_processes_at_night(OF_CLASSIFIERS))
def test_estimators_of_classifiers_predict_as_with_scikit_learns(name):
    data = np.column_stack([X, np.arange(60) % 3]) if name == "columns" else X
    wrap = OF_CLASSIFIERS[name]
    ours = wrap(classifier()).fit(data, LABELS)
    theirs = wrap(sk.MLPClassifier(**SMALL)).fit(data, LABELS)
    np.testing.assert_allclose(ours.predict_proba(data), theirs.predict_proba(data), rtol=1e-8)
    np.testing.assert_array_equal(ours.predict(data), theirs.predict(data))
    if "search over" in name or name == "grid search":
        assert ours.best_params_ == theirs.best_params_
        for key in ("split0_test_score", "mean_test_score"):
            np.testing.assert_allclose(ours.cv_results_[key], theirs.cv_results_[key])


@pytest.mark.parametrize("name", OF_REGRESSORS)
def test_estimators_of_regressors_predict_as_with_scikit_learns(name):
    y = targets("two", X) if name == "several outputs" else SUMS
    wrap = OF_REGRESSORS[name]
    ours, theirs = wrap(regressor()).fit(X, y), wrap(sk.MLPRegressor(**SMALL)).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-8)


def test_several_classifiers_of_several_outputs():
    y = np.column_stack([LABELS, targets("binary", X).astype(str)])
    ours = MultiOutputClassifier(classifier()).fit(X, y)
    theirs = MultiOutputClassifier(sk.MLPClassifier(**SMALL)).fit(X, y)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    ours.partial_fit(X, y)
    assert len(ours.estimators_[0].loss_curve_) == 5


MEASURES: dict[str, Any] = {
    "cross_val_score": lambda mlp: cross_val_score(mlp, X, LABELS, cv=3),
    "cross_val_score over processes": lambda mlp: cross_val_score(mlp, X, LABELS, cv=3, n_jobs=2),
    "cross_val_predict": lambda mlp: cross_val_predict(
        mlp, X, LABELS, cv=3, method="predict_log_proba"
    ),
    "learning_curve": lambda mlp: learning_curve(mlp, X, LABELS, cv=3, train_sizes=[0.5, 1.0])[2],
    "permutation_importance": lambda mlp: permutation_importance(
        mlp.fit(X, LABELS), X, LABELS, n_repeats=2, random_state=0
    )["importances"],
}


@pytest.mark.parametrize("name", in_processes_at_night(MEASURES))
def test_tools_of_scikit_learn_measure_what_they_do_of_its_own(name):
    measure = MEASURES[name]
    np.testing.assert_allclose(
        measure(classifier()), measure(sk.MLPClassifier(**SMALL)), rtol=1e-8, atol=1e-12
    )


def test_a_learning_curve_in_steps_is_of_partial_fits():
    """Each size is trained on from the one before, here in scikit-learn's way to go on."""
    measure = {"cv": 3, "train_sizes": [0.5, 1.0], "exploit_incremental_learning": True}
    way = classifier(continuation="sklearn")
    ours = learning_curve(way, X, LABELS, **measure)
    theirs = learning_curve(sk.MLPClassifier(**SMALL), X, LABELS, **measure)
    np.testing.assert_allclose(ours[1], theirs[1])
    np.testing.assert_allclose(ours[2], theirs[2])


# Parameters, and how estimators show themselves


@pytest.mark.parametrize("kind", [engine.MLPClassifier, engine.MLPRegressor])
def test_a_clone_has_the_parameters_and_nothing_of_the_fit(kind):
    defaults = {name: p.default for name, p in inspect.signature(kind).parameters.items()}
    assert kind().get_params() == defaults
    given = {**SMALL, "solver": "sgd", "backend": "loops", "n_threads": 2, "scoring": "max_error"}
    estimator = kind(**given)
    found = estimator.get_params()
    assert {name: found[name] for name in given} == given
    estimator.set_params(scoring=None).fit(X, LABELS if kind is engine.MLPClassifier else SUMS)
    copied = clone(estimator)
    assert copied.get_params() == estimator.get_params()
    assert set(vars(copied)) == set(copied.get_params())
    with pytest.raises(ValueError, match="Invalid parameter 'speed'"):
        copied.set_params(speed="high")


def test_an_estimator_shows_what_is_not_default():
    assert repr(engine.MLPRegressor()) == "MLPRegressor()"
    assert repr(engine.MLPClassifier()) == "MLPClassifier()"
    shown = repr(engine.MLPClassifier((4,), class_weight="balanced", n_threads=2))
    assert " ".join(shown.split()) == (
        "MLPClassifier(class_weight='balanced', hidden_layer_sizes=(4,), n_threads=2)"
    )
    before = estimator_html_repr(engine.MLPRegressor())
    after = estimator_html_repr(make_pipeline(StandardScaler(), regressor()).fit(X, SUMS))
    for html in (before, after):
        assert "MLPRegressor" in html
        assert "hidden_layer_sizes" in html
    assert "loss_curve_" not in before
    assert "loss_curve_" in after


# Pickles


@pytest.mark.parametrize("way", ["pickle", "joblib", "memory-mapped", "copy"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs", "gd"])
def test_an_estimator_that_travels_predicts_the_same_bits_and_trains_on(way, solver, tmp_path):
    estimator = classifier(solver=solver, warm_start=True).fit(X, LABELS)
    if way == "pickle":
        travelled = pickle.loads(pickle.dumps(estimator))
    elif way == "copy":
        travelled = copy.deepcopy(estimator)
    else:
        joblib.dump(estimator, tmp_path / "estimator")
        travelled = joblib.load(
            tmp_path / "estimator", mmap_mode="r" if way == "memory-mapped" else None
        )
        assert travelled.coefs_[0].flags.writeable == (way == "joblib")
    assert same_bits(travelled, estimator)
    assert same_bits(travelled.fit(X, LABELS), estimator.fit(X, LABELS))


def test_a_pickle_from_another_version_says_so(monkeypatch):
    dumped = pickle.dumps(classifier().fit(X, LABELS))
    pickle.loads(dumped)  # without a word
    monkeypatch.setattr(engine, "__version__", "9.9")
    with pytest.warns(
        UserWarning, match=r"pickled by mlp-engine .* is loaded by 9\.9.*Fit it again"
    ):
        loaded = pickle.loads(dumped)
    assert loaded.predict(X).shape == (60,)


# Metadata


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routing")
def test_sample_weights_are_routed_through_pipelines_and_searches():
    weights = np.random.RandomState(1).uniform(0, 2, 60)
    mlp = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    scaler = StandardScaler().set_fit_request(sample_weight=False)
    search = GridSearchCV(make_pipeline(scaler, mlp), {"mlpclassifier__alpha": [0.1, 1]}, cv=2)
    search.fit(X, LABELS, sample_weight=weights)
    alone = clone(mlp).set_params(alpha=search.best_params_["mlpclassifier__alpha"])
    alone.fit(StandardScaler().fit_transform(X), LABELS, sample_weight=weights)
    assert search.best_estimator_[-1].fingerprint_ == alone.fingerprint_
    unweighted = clone(alone).fit(StandardScaler().fit_transform(X), LABELS)
    assert unweighted.fingerprint_ != alone.fingerprint_
    refused = make_pipeline(scaler, classifier())
    with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="sample_weight"):
        refused.fit(X, LABELS, sample_weight=weights)


@pytest.mark.usefixtures("routing")
@pytest.mark.parametrize("make", [classifier, regressor])
def test_validation_rows_are_routed_and_transformed_by_the_pipeline(make):
    y = LABELS if make is classifier else SUMS
    mlp = make(early_stopping=True).set_fit_request(X_val=True, y_val=True)
    pipeline = Pipeline([("scale", StandardScaler()), ("mlp", mlp)], transform_input=["X_val"])
    pipeline.fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:])
    scaler = StandardScaler().fit(X[:40])
    alone = make(early_stopping=True)
    alone.fit(scaler.transform(X[:40]), y[:40], X_val=scaler.transform(X[40:]), y_val=y[40:])
    assert pipeline[-1].validation_scores_ == alone.validation_scores_
    assert pipeline[-1].fingerprint_ == alone.fingerprint_
    assert alone.t_ == 40 * alone.n_iter_  # none of the rows is held out besides


# Callbacks


class Recorder:
    """A callback that notes what it hears of, and may end the fit or raise after some epochs."""

    def __init__(self, stops_after=None, raises_after=None, raised=RuntimeError):
        self.stops_after = stops_after
        self.raises_after = raises_after
        self.raised = raised
        self.heard = []
        self.epochs = []

    def setup(self, estimator, context):
        self.heard.append(("setup", context.task_name))

    def teardown(self, estimator, context):
        self.heard.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.heard.append(("begin", context.task_name))

    def on_fit_task_end(
        self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None
    ):
        self.heard.append(("end", context.task_name))
        if context.task_name not in ("epoch", "iteration"):
            return None
        loss = None if fitted_estimator is None else fitted_estimator.loss_
        score = None if fitted_estimator is None else fitted_estimator.score(X, y)
        self.epochs.append((context.task_id + 1, loss, score, metadata))
        if self.raises_after == len(self.epochs):
            raise self.raised("out of order")
        return self.stops_after == context.task_id + 1


class Propagated(Recorder):
    """The same for meta-estimators, which hand it down."""

    max_propagation_depth = None


@pytest.mark.parametrize("solver", ["adam", "sgd", "gd", "lbfgs"])
@pytest.mark.parametrize("make", [classifier, regressor])
def test_a_callback_hears_of_each_epoch_with_an_estimator_as_it_was_then(solver, make):
    y = LABELS if make is classifier else SUMS
    callback = Recorder()
    estimator = make(solver=solver).set_callbacks(callback)
    weights = np.linspace(0.5, 2, 60)
    estimator.fit(X, y, sample_weight=weights)
    name = "iteration" if solver == "lbfgs" else "epoch"
    each = [("begin", name), ("end", name)]
    assert callback.heard == [
        ("setup", "fit"),
        ("begin", "fit"),
        *each * 4,
        ("end", "fit"),
        ("teardown", "fit"),
    ]
    shorter = [make(solver=solver, max_iter=n).fit(X, y, weights) for n in (1, 2, 3, 4)]
    if solver != "lbfgs":
        assert [loss for _, loss, _, _ in callback.epochs] == estimator.loss_curve_
    assert [score for _, _, score, _ in callback.epochs] == [m.score(X, y) for m in shorter]
    assert same_bits(estimator, shorter[-1])
    assert not [attribute for attribute in vars(estimator) if "_callback_fit_ctx" in attribute]
    for _, _, _, metadata in callback.epochs:
        np.testing.assert_array_equal(metadata["sample_weight"], weights)


@pytest.mark.parametrize("solver", ["adam", "gd", "lbfgs"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_callback_that_returns_true_ends_the_fit(solver, early_stopping):
    parameters = {"solver": solver, "early_stopping": early_stopping}
    callback = Recorder(stops_after=3)
    stopped = classifier(max_iter=50, **parameters).set_callbacks(callback).fit(X, LABELS)
    assert stopped.n_iter_ == 3
    assert len(callback.epochs) == 3
    assert callback.heard[-2:] == [("end", "fit"), ("teardown", "fit")]
    assert same_bits(stopped, classifier(max_iter=3, **parameters).fit(X, LABELS))


def test_callbacks_are_torn_down_after_an_error():
    for callback, data in ((Recorder(raises_after=2), X), (Recorder(), X * 1e200)):
        estimator = classifier(solver="sgd", activation="identity").set_callbacks(callback)
        with pytest.raises((RuntimeError, ValueError)):
            estimator.fit(data, LABELS)
        assert callback.heard[0] == ("setup", "fit")
        assert callback.heard[-1] == ("teardown", "fit")
        assert "_callback_fit_ctx" not in vars(estimator)
    estimator.set_callbacks().fit(X, LABELS)


@pytest.mark.parametrize("solver", ["adam", "gd", "lbfgs"])
def test_an_exception_of_a_callback_comes_through_whatever_its_type(solver):
    callback = Recorder(raises_after=2, raised=StopIteration)
    with pytest.raises(StopIteration, match="out of order"):
        classifier(solver=solver).set_callbacks(callback).fit(X, LABELS)
    assert len(callback.epochs) == 2


def test_a_callback_of_a_search_reaches_each_fit_within_it():
    callback = Propagated(stops_after=3)
    pipeline = make_pipeline(StandardScaler(), classifier())
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [0.1, 1]}, cv=2)
    search.set_callbacks(callback).fit(X, LABELS)
    numbers = [number for number, _, _, _ in callback.epochs]
    assert numbers == [1, 2, 3] * 5  # two values, two folds, and the best on all rows
    assert search.best_estimator_[-1].n_iter_ == 3
    assert callback.heard.count(("teardown", "fit")) == 1


def test_a_clone_keeps_its_callbacks_and_may_be_pickled_with_them():
    callback = Recorder()
    estimator = classifier().set_callbacks(callback)
    cross_val_score(estimator, X, LABELS, cv=3)
    assert len(callback.epochs) == 3 * 4
    loaded = pickle.loads(pickle.dumps(estimator.fit(X, LABELS)))
    assert same_bits(loaded, estimator)


def test_scikit_learns_monitor_logs_a_score_of_each_epoch():
    monitor = ScoringMonitor(scoring="neg_log_loss")
    estimator = classifier().set_callbacks(monitor).fit(X, LABELS)
    logged = [row["neg_log_loss"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(logged) == 4
    scorer = sklearn.metrics.get_scorer("neg_log_loss")
    for n_iter, score in enumerate(logged, start=1):
        shorter = classifier(max_iter=n_iter).fit(X, LABELS)
        assert score == pytest.approx(scorer(shorter, X, LABELS), rel=1e-12)
    assert estimator.n_iter_ == 4


def test_scikit_learns_bar_shows_fits_and_searches(capsys):
    classifier().set_callbacks(ProgressBar()).fit(X, LABELS)
    assert "MLPClassifier - fit" in capsys.readouterr().out
    search = GridSearchCV(classifier(), {"alpha": [0.1, 1]}, cv=2)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, LABELS)
    assert "GridSearchCV" in capsys.readouterr().out


# Data


@pytest.mark.parametrize("make", [classifier, regressor])
def test_columns_that_have_names_keep_them(make):
    polars = pytest.importorskip("polars")
    names = ["length", "width", "height", "weight"]
    table = polars.DataFrame(dict(zip(names, X.T)))
    y = LABELS if make is classifier else SUMS
    estimator = make().fit(table, y)
    np.testing.assert_array_equal(estimator.feature_names_in_, names)
    assert np.array_equal(estimator.predict(table), make().fit(X, y).predict(X))
    with pytest.raises(ValueError, match=r"feature names should match.*\n.*unseen.*\n- depth"):
        estimator.predict(table.rename({"width": "depth"}))
    with pytest.raises(ValueError, match="must be in the same order"):
        estimator.predict(table.select(names[::-1]))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        estimator.predict(X)
    if make is classifier:
        with pytest.warns(UserWarning, match="X has feature names, but"):
            make().fit(X, y).predict(table)
    with_rows = make().fit(table, y, X_val=table[:5], y_val=y[:5])
    assert len(with_rows.validation_loss_curve_) == 4


def sparse_forms():
    """One matrix in all the forms that scikit-learn lets through, and dense."""
    dense = np.where(np.random.RandomState(5).uniform(size=(60, 4)) < 0.4, X, 0)
    dense[7] = 0  # rows and columns may be empty
    dense[:, 2] = 0
    csr = scipy.sparse.csr_matrix(dense)
    unsorted = csr.copy()
    for first, last in itertools.pairwise(csr.indptr):
        unsorted.indices[first:last] = csr.indices[first:last][::-1]
        unsorted.data[first:last] = csr.data[first:last][::-1]
    unsorted.has_sorted_indices = False
    halves = (np.repeat(csr.data / 2, 2), np.repeat(csr.indices, 2), 2 * csr.indptr)
    wide = csr.copy()
    wide.indices, wide.indptr = csr.indices.astype(np.int64), csr.indptr.astype(np.int64)
    zeros = csr.copy()
    zeros.data[3] = 0.0  # stored, and 0
    return dense, {
        "csr": csr,
        "csc": csr.tocsc(),
        "csr array": scipy.sparse.csr_array(csr),
        "csc array": scipy.sparse.csc_array(csr),
        "coo": csr.tocoo(),
        "lil": csr.tolil(),
        "unsorted": unsorted,
        "duplicates": scipy.sparse.csr_matrix(halves, shape=csr.shape),
        "64-bit indices": wide,
        "stored zeros": zeros,
    }


@pytest.mark.sample(6)
@pytest.mark.parametrize("form", sparse_forms()[1])
@pytest.mark.parametrize("parameters", [{"batch_size": 17}, {"solver": "lbfgs"}], ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_sparse_rows_give_what_dense_ones_give(form, parameters, dtype):
    dense, forms = sparse_forms()
    sparse = forms[form].astype(dtype)
    dense = sparse.toarray()  # with the stored zero, where there is one
    rtol = 1e-9 if dtype == "float64" else 1e-4
    early = {"early_stopping": True} if "batch_size" in parameters else {}
    for extra in ({}, early):
        before = [a.tobytes() for a in (sparse.data, getattr(sparse, "indices", dense))]
        ours = classifier(**parameters, **extra).fit(sparse, LABELS, X_val=sparse, y_val=LABELS)
        expected = classifier(**parameters, **extra).fit(dense, LABELS, X_val=dense, y_val=LABELS)
        for a, b in zip(ours.coefs_, expected.coefs_):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
        probabilities = expected.predict_proba(dense)
        np.testing.assert_allclose(ours.predict_proba(sparse), probabilities, rtol=rtol)
        np.testing.assert_allclose(ours.predict_proba(dense), probabilities, rtol=rtol)
        assert before == [a.tobytes() for a in (sparse.data, getattr(sparse, "indices", dense))]


def sparse_of(m, n_features, in_a_row):
    """A CSR matrix with so many ones a row, at random; SciPy's own takes as long as a fit."""
    features = np.random.RandomState(0).randint(n_features, size=m * in_a_row)
    parts = (np.ones(m * in_a_row), features, np.arange(0, m * in_a_row + 1, in_a_row))
    return scipy.sparse.csr_matrix(parts, shape=(m, n_features))


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_a_sparse_matrix_is_never_made_dense(form):
    m, n_features = 20_000, 5_000
    sparse = sparse_of(m, n_features, 5).asformat(form)
    y = np.arange(m) % 3
    estimator = classifier(max_iter=1, hidden_layer_sizes=(3,))
    estimator.fit(sparse[:50], y[:50]).predict(
        sparse[:50]
    )  # what compiling takes is not the data's
    tracemalloc.start()
    try:
        estimator.fit(sparse, y).predict(sparse)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * m * n_features / 10


def test_of_very_wide_rows_few_are_looked_at_for_warnings():
    """They are made dense: a thousand of them would take gigabytes."""
    looked_at = evenly_spread(sparse_of(1_500, 100_000, 100), 1000, np.float64)
    assert looked_at.shape[1] > 2
    assert looked_at.nbytes <= 32e6
    assert evenly_spread(sparse_of(50, 100, 3), 1000, np.float64).shape == (100, 50)


LAYOUTS: dict[str, Any] = {
    "Fortran order": np.asfortranarray,
    "every other row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "every other column": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "backwards": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "byte order": lambda a: a.astype(a.dtype.newbyteorder()),
    "list": lambda a: a.tolist(),
    "subclass": lambda a: a.view(np.memmap),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_how_rows_lie_in_memory_changes_no_bit(layout, solver):
    lay = LAYOUTS[layout]
    estimator = classifier(solver=solver).fit(X, LABELS)
    laid = classifier(solver=solver).fit(lay(X), LABELS)
    assert laid.fingerprint_ == estimator.fingerprint_
    assert np.array_equal(estimator.predict_proba(lay(X)), estimator.predict_proba(X))


@pytest.mark.parametrize("make", [classifier, regressor])
def test_memory_maps_that_cannot_be_written_to_are_read(make, tmp_path):
    y = np.unique(LABELS, return_inverse=True)[1] if make is classifier else SUMS
    joblib.dump((X, y, np.ones(60)), tmp_path / "rows")
    data, targets_there, weights = joblib.load(tmp_path / "rows", mmap_mode="r")
    assert not data.flags.writeable
    mapped = make().fit(data, targets_there, weights, X_val=data, y_val=targets_there)
    assert same_bits(mapped, make().fit(X, y))
    assert np.array_equal(mapped.predict(data), mapped.predict(X))


@pytest.mark.parametrize("dtype", ["float16", "int8", "int64", "uint8", "bool"])
def test_numbers_of_other_kinds_are_taken_as_float64(dtype):
    data = (3 * X).astype(dtype)
    estimator = classifier().fit(data, LABELS)
    assert estimator.coefs_[0].dtype == np.float64
    assert same_bits(estimator, classifier().fit(data.astype(np.float64), LABELS), data)


CLASSES: dict[str, Any] = {
    "text": LABELS,
    "objects": LABELS.astype(object),
    "numbers as text": np.array(["10", "9", "2"])[np.unique(LABELS, return_inverse=True)[1]],
    "booleans": SUMS > 0,
    "whole floats": np.where(SUMS > 0, 2.0, -1.0),
    "bytes": (SUMS > 0).astype(np.uint8),
}


@pytest.mark.parametrize("name", CLASSES)
def test_classes_of_any_kind_come_back_as_they_went_in(name):
    y = CLASSES[name]
    ours, theirs = classifier().fit(X, y), sk.MLPClassifier(**SMALL).fit(X, y)
    assert ours.classes_.dtype == theirs.classes_.dtype
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    assert ours.predict(X).dtype == theirs.predict(X).dtype
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.predictor().predict(X[0]) == ours.predict(X[:1])[0]
    assert 0 <= ours.score(X, y) <= 1
    balanced = classifier(class_weight="balanced", early_stopping=True).fit(X, y)
    assert set(balanced.predict(X)) <= set(y)


NO_CLASSES = {
    "fractions": SUMS,
    "infinity": SUMS + np.inf,
    "columns of fractions": np.column_stack([SUMS, SUMS]),
    "columns of classes": np.column_stack([np.arange(60) % 3, np.arange(60) % 4]),
}


@pytest.mark.parametrize("name", NO_CLASSES)
def test_numbers_that_are_no_classes_are_refused(name):
    for estimator in (sk.MLPClassifier(**SMALL), classifier()):
        with pytest.raises(ValueError, match=r"Unknown label type|Multioutput|contains infinity"):
            estimator.fit(X, NO_CLASSES[name])


@pytest.mark.parametrize("label", ["only", 3, True])
def test_a_single_class_is_predicted_for_all(label):
    y = np.full(60, label)
    ours, theirs = classifier().fit(X, y), sk.MLPClassifier(**SMALL).fit(X, y)
    np.testing.assert_array_equal(ours.predict(X), y)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    assert ours.predict_proba(X).shape == theirs.predict_proba(X).shape
    assert ours.score(X, y) == 1


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs", "gd"])
def test_a_single_row_is_learnt(solver):
    for make, y in ((classifier, ["only"]), (regressor, [0.5]), (regressor, [[0.5, 2.0]])):
        estimator = make(solver=solver, max_iter=300, tol=1e-6, alpha=0).fit(X[:1], y)
        assert np.shape(estimator.predict(X[:1])) == np.shape(y)
        if make is regressor and solver != "sgd":
            np.testing.assert_allclose(estimator.predict(X[:1]), y, atol=0.1)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_a_constant_target_is_met(solver, loss):
    y = np.full(60, 2.0)
    estimator = regressor(solver=solver, loss=loss, max_iter=400, tol=1e-7).fit(X, y)
    np.testing.assert_allclose(estimator.predict(X), y, atol=0.3)
    stopping = regressor(loss=loss, early_stopping=True).fit(X, y)
    assert np.isfinite(stopping.validation_scores_).all()
