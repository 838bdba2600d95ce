"""MLPClassifier and MLPRegressor with embeddings: as scikit-learn's conventions have it."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from engine import (
    MLPClassifier,
    MLPEnsembleClassifier,
    MLPEnsembleRegressor,
    MLPRegressor,
    fit_many,
    inference,
)
from engine.embeddings import Levels, Pieces, pieces_of
from engine.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score
from engine.network import Network

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::engine.TrainingWarning"),
]

EMBEDDINGS = (Pieces([-1, 0, 1], 3, missing=True), Levels(4, 2), None)


def rows(m=60, dtype="float64", seed=0):
    """A number that may be missing, a code, a number; a target of all of them."""
    random = np.random.default_rng(seed)
    X = np.column_stack(
        [random.uniform(-1.5, 1.5, m), random.integers(0, 4, m), random.normal(size=m)]
    )
    y = np.where(X[:, 0] > 0.3, 1.0, -1.0) + (X[:, 1] == 2) + 0.3 * X[:, 2]
    X[::7, 0] = np.nan
    return X.astype(dtype), y


X, Y = rows()
LABELS = np.where(Y > 0, "yes", "no")


def regressor(**parameters):
    return MLPRegressor(**settings(parameters))


def classifier(**parameters):
    return MLPClassifier(**settings(parameters))


def settings(parameters):
    usual = {"hidden_layer_sizes": 4, "max_iter": 5, "batch_size": 8, "random_state": 0}
    return {**usual, "embeddings": EMBEDDINGS, **parameters}


def bits(*estimators):
    return [estimator.fingerprint_ for estimator in estimators]


def test_both_estimators_learn_what_only_embeddings_show():
    of_numbers = regressor(max_iter=300, learning_rate_init=0.02, hidden_layer_sizes=16).fit(X, Y)
    assert of_numbers.score(X, Y) > 0.9
    of_labels = classifier(max_iter=200, learning_rate_init=0.02).fit(X, LABELS)
    assert of_labels.score(X, LABELS) > 0.95
    assert set(of_labels.predict(X)) == {"yes", "no"}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs", "gd"])
def test_attributes_hold_the_parameters(solver, dtype):
    X, _ = rows(dtype=dtype)
    model = regressor(solver=solver).fit(X, Y)
    pieces, levels, plain = model.embeddings_
    assert [part.shape for part in pieces] == [(3,), (3,), (3,), (2, 3)]
    assert levels.shape == (4, 2)
    assert plain is None
    assert [coef.shape for coef in model.coefs_] == [(3 + 2 + 1, 4), (4, 1)]
    assert {part.dtype.name for part in (*pieces, levels, *model.coefs_)} == {dtype}
    assert model.predict(X).dtype == dtype
    assert model.n_features_in_ == 3
    assert model.n_layers_ == 3


def test_predictions_use_what_the_attributes_hold():
    model = regressor(activation="tanh").fit(X, Y)
    before = model.predict(X)
    model.embeddings_[1][2] += 1
    after = model.predict(X)
    changed = before != after
    np.testing.assert_array_equal(changed, X[:, 1] == 2)
    model.embeddings_[0] = tuple(np.zeros_like(part) for part in model.embeddings_[0])
    assert (model.predict(X) != after).all()


def test_a_fit_without_embeddings_leaves_none_behind():
    model = regressor().fit(X, Y)
    model.set_params(embeddings=None).fit(np.nan_to_num(X), Y)
    assert not hasattr(model, "embeddings_")


@pytest.mark.parametrize("backend", ["numpy", "loops", "tiled"])
def test_one_row_has_the_bits_of_many(backend):
    model = classifier(backend=backend, hidden_layer_sizes=(17, 3)).fit(X, LABELS)
    one_row = model.predictor()
    for _ in range(2):
        of_many = model.predict_proba(X)
        if backend == "tiled":
            for i in range(len(X)):
                assert model.predict_proba(X[i : i + 1]).tobytes() == of_many[i].tobytes()
                assert one_row.predict_proba(X[i]).tobytes() == of_many[i].tobytes()
                assert one_row.predict(X[i]) == model.predict(X[i : i + 1])[0]
        one_row = pickle.loads(pickle.dumps(one_row))
    model.embeddings_[1][:] = 0  # a copy: what it predicts stays
    if backend == "tiled":
        assert one_row.predict_proba(X[0]).tobytes() == of_many[0].tobytes()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.5, 4, 0.0], "Input 1 of The row must be codes of levels, 0 to 3"),
        ([0.5, -1, 0.0], "codes of levels"),
        ([0.5, 1, np.nan], "Input 2 of The row must be finite: nothing was missing"),
        ([np.inf, 1, 0.0], "Input 0 of The row must be finite, or NaN if it is missing"),
    ],
)
def test_one_row_is_checked_as_many_are(row, message):
    model = regressor().fit(X, Y)
    with pytest.raises(ValueError, match=message):
        model.predictor().predict(row)
    with pytest.raises(ValueError, match=message.replace("The row", "X") + "|contains infinity"):
        model.predict([row])


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, np.inf, "Input X contains infinity|Input 0 of X must be finite, or NaN"),
        (1, 4, r"Input 1 of X must be codes of levels, 0 to 3; sample 2 has 4\.0"),
        (1, np.nan, "Input 1 of X must be codes of levels"),
        (1, 0.5, "Input 1 of X must be codes of levels"),
        (2, np.nan, "Input 2 of X must be finite: nothing was missing in training"),
    ],
)
def test_rows_that_an_embedding_does_not_take_are_refused(place, value, message):
    wrong = X.copy()
    wrong[2, place] = value
    fitted = regressor().fit(X, Y)
    for call in (
        lambda: regressor().fit(wrong, Y),
        lambda: fitted.predict(wrong),
        lambda: fitted.score(wrong, Y),
        lambda: fitted.partial_fit(wrong, Y),
        lambda: regressor().fit(X, Y, X_val=wrong, y_val=Y),
        lambda: fit_many([regressor(random_state=s) for s in range(2)], wrong, Y),
        lambda: MLPEnsembleRegressor(2, estimator=regressor()).fit(wrong, Y),
        lambda: MLPEnsembleRegressor(2, estimator=regressor()).fit(X, Y).predict(wrong),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_predictions_are_checked_by_what_was_fitted_not_by_what_was_set_since():
    """A code that the parameters do not reach would be read from beyond them."""
    model = regressor().fit(X, Y)
    model.set_params(embeddings=(EMBEDDINGS[0], Levels(1000, 2), None))
    for call in (model.predict, lambda X: model.score(X, Y[:2])):
        with pytest.raises(ValueError, match="codes of levels, 0 to 3; sample 0 has 999"):
            call([[0.0, 999, 0.0]] * 2)  # a single row is checked by another function
    with pytest.raises(ValueError, match=r"cannot continue as .*leave embeddings, hidden_layer_"):
        model.partial_fit([[0.0, 999, 0.0]], Y[:1])
    with pytest.raises(ValueError, match="leave embeddings, hidden_layer_sizes"):
        model.set_params(warm_start=True).fit(X, Y)
    model.set_params(warm_start=False, batch_size=1)
    model.fit([[0.0, 999, 0.0]], Y[:1], X_val=[[0, 998, 0]], y_val=[1])
    assert np.isfinite(model.predict([[0.0, 998, 0.0]])).all()


@pytest.mark.parametrize(
    ("embeddings", "error", "message"),
    [
        ((None, None), ValueError, "an entry for each of the 3 inputs.*got 2"),
        ((None, 1, None), TypeError, "a Pieces, a Levels or None; got 1"),
        (Levels(2, 1), ValueError, "'embeddings' parameter"),
    ],
)
def test_embeddings_that_do_not_fit_the_features_are_refused(embeddings, error, message):
    with pytest.raises(error, match=message):
        regressor(embeddings=embeddings).fit(np.nan_to_num(X), Y)


def test_lm_and_inference_are_refused():
    with pytest.raises(ValueError, match="solver='lm' is not there for embeddings; pass 'adam'"):
        regressor(solver="lm").fit(X, Y)
    as_they_are = MLPRegressor(solver="lm", embeddings=[None] * 3, max_iter=2)
    assert as_they_are.fit(np.nan_to_num(X), Y).n_iter_ > 0
    model = regressor(loss="squared_error").fit(X, Y)
    with pytest.raises(ValueError, match="inference is not there for a network with embeddings"):
        inference(model, X, Y)


def test_a_sparse_matrix_is_refused():
    sparse = scipy.sparse.csr_matrix(np.nan_to_num(X))
    with pytest.raises(TypeError, match=r"(?i)sparse"):
        regressor().fit(sparse, Y)
    with pytest.raises(TypeError, match=r"(?i)sparse"):
        regressor().fit(X, Y).predict(sparse)


def test_columns_of_a_table_keep_their_names():
    table = pd.DataFrame(X, columns=["number", "code", "other"])
    model = regressor().fit(table, Y)
    assert bits(model) == bits(regressor().fit(X, Y))
    np.testing.assert_array_equal(model.predict(table), regressor().fit(X, Y).predict(X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table[["code", "number", "other"]])


def test_embeddings_of_nothing_are_no_embeddings():
    known = np.nan_to_num(X)
    plain = regressor(embeddings=None).fit(known, Y)
    assert bits(plain) == bits(regressor(embeddings=[None] * 3).fit(known, Y))


# Fits that go on.


def test_warm_start_and_partial_fit_go_on():
    whole = regressor(max_iter=6).fit(X, Y)
    warm = regressor(max_iter=3, warm_start=True)
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warm.fit(X, Y)
    assert bits(warm) == bits(whole)
    partial = regressor()
    for _ in range(6):
        partial.partial_fit(X, Y)
    again = regressor()
    for _ in range(3):
        again.partial_fit(X, Y)
    again = pickle.loads(pickle.dumps(again))
    for _ in range(3):
        again.partial_fit(X, Y)
    assert bits(partial) == bits(again)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_checkpoint_goes_on_with_the_same_bits(solver, tmp_path):
    path = str(tmp_path / "fit.checkpoint")
    whole = regressor(max_iter=6, solver=solver, early_stopping=solver != "lbfgs").fit(X, Y)
    stopped = clone(whole).set_params(max_iter=3, checkpoint=path).fit(X, Y)
    resumed = clone(whole).set_params(checkpoint=path).fit(X, Y)
    assert stopped.n_iter_ == 3
    assert bits(resumed) == bits(whole)
    assert resumed.loss_curve_ == whole.loss_curve_


def test_a_checkpoint_of_other_embeddings_is_refused(tmp_path):
    path = str(tmp_path / "fit.checkpoint")
    regressor(checkpoint=path).fit(X, Y)
    other = (Pieces([-1, 0.25, 1], 3, missing=True), *EMBEDDINGS[1:])
    with pytest.raises(ValueError, match="embeddings"):
        regressor(checkpoint=path, embeddings=other, max_iter=9).fit(X, Y)


def test_pickles_and_clones_have_the_same_bits():
    model = classifier().fit(X, LABELS)
    again = pickle.loads(pickle.dumps(model))
    assert bits(again) == bits(model)
    assert again.predict_proba(X).tobytes() == model.predict_proba(X).tobytes()
    copied = clone(model)
    assert copied.get_params()["embeddings"] == EMBEDDINGS
    with pytest.raises(NotFittedError):
        copied.predict(X)
    assert bits(copied.fit(X, LABELS)) == bits(model)


def test_a_fit_has_the_same_bits_on_any_number_of_threads():
    many, y = rows(3000)
    found = [
        regressor(n_threads=n, batch_size=2500, max_iter=3).fit(many, y).fingerprint_
        for n in (1, 2)
    ]
    assert found[0] == found[1]


# Many fits at once.


def test_fit_many_has_the_bits_of_solo_fits():
    others = (Pieces([-1, 0.5, 1], 5, missing=True), Levels(4, 1), Pieces([-2, 0, 2], 2))

    def members():
        return [
            regressor(random_state=seed, solver=solver, embeddings=embeddings)
            for seed in range(2)
            for solver in ("adam", "sgd", "lbfgs")
            for embeddings in (EMBEDDINGS, others)
        ]

    together = fit_many(members(), X, Y)
    assert bits(*together) == bits(*(member.fit(X, Y) for member in members()))


def test_fit_many_mixes_members_with_and_without_embeddings():
    known = np.nan_to_num(X)

    def members():
        return [
            regressor(random_state=seed, embeddings=EMBEDDINGS if seed % 2 else None)
            for seed in range(20)
        ]

    together = fit_many(members(), known, Y)
    assert bits(*together) == bits(*(member.fit(known, Y) for member in members()))


@pytest.mark.parametrize("kind", ["seeds", "bagging", "folds", "greedy"])
def test_ensembles_take_what_their_members_take(kind):
    settings = {"n_members": 3, "kind": kind, "random_state": 0}
    of_numbers = MLPEnsembleRegressor(estimator=regressor(), **settings).fit(X, Y)
    mean = np.mean([member.predict(X) for member in of_numbers.members_], axis=0)
    if kind != "greedy":
        np.testing.assert_allclose(of_numbers.predict(X), mean, rtol=1e-12)
    assert of_numbers.predictor().predict(X[0]) == of_numbers.predict(X[:1])[0]
    of_labels = MLPEnsembleClassifier(estimator=classifier(), **settings).fit(X, LABELS)
    assert of_labels.predict(X).shape == LABELS.shape
    assert of_labels.score(X, LABELS) > 0.4


def test_candidates_of_an_ensemble_share_embeddings():
    ensemble = MLPEnsembleRegressor(
        estimator=regressor(), kind="greedy", candidates=[{"embeddings": None}, {"alpha": 1}]
    )
    with pytest.raises(ValueError, match="candidates share embeddings"):
        ensemble.fit(X, Y)


def test_a_search_over_embeddings_scores_as_single_fits_do():
    choices = [EMBEDDINGS, (Pieces([-1, 0.3, 1], 4, missing=True), Levels(4, 3), None)]
    search = GridSearchCV(regressor(), {"embeddings": choices, "alpha": [0, 0.1]}, cv=3)
    search.fit(X, Y)
    assert len(search.cv_results_["params"]) == 4
    alone = [
        cross_val_score(regressor(**params), X, Y, cv=3).mean()
        for params in search.cv_results_["params"]
    ]
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone)
    best = regressor(**search.best_params_).fit(X, Y)
    assert bits(search.best_estimator_) == bits(best)


def test_halving_by_epochs_continues_fits_with_embeddings():
    search = HalvingGridSearchCV(
        regressor(batch_size=8),
        {"alpha": [0, 0.1, 1, 10]},
        resource="max_iter",
        min_resources=2,
        max_resources=8,
        factor=2,
        cv=2,
        random_state=0,
    ).fit(X, Y)
    best = regressor(**search.best_params_ | {"max_iter": 8}).fit(X, Y)
    assert bits(search.best_estimator_) == bits(best)


# What is said of a fit.


def test_codes_and_missing_numbers_are_no_unscaled_inputs(recwarn):
    from engine import TrainingWarning

    many = X.copy()
    many[:, 1] = many[:, 1] + 500
    wide = (EMBEDDINGS[0], Levels(504, 2), None)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        regressor(embeddings=wide, max_iter=40).fit(many, Y)
    assert not [w for w in said if issubclass(w.category, TrainingWarning) and "scale" in str(w)]


def test_initial_values_come_from_the_generator_of_the_estimator():
    """I3 I4: layer by layer, W row by row and then b; then the embeddings."""
    model = regressor(max_iter=1, learning_rate_init=1e-30, hidden_layer_sizes=(5,)).fit(X, Y)
    generator = np.random.RandomState(0)
    drawn = []
    for coef, intercept in zip(model.coefs_, model.intercepts_):
        r = len(coef) ** -0.5
        drawn.append(generator.uniform(-r, r, coef.T.shape).T)
        drawn.append(generator.uniform(-r, r, intercept.size))
    np.testing.assert_allclose(model.coefs_[0], drawn[0], rtol=1e-12)
    np.testing.assert_allclose(model.intercepts_[0], drawn[1], rtol=1e-12)
    assert np.abs(model.coefs_[1]).max() < 1e-20
    for part in model.embeddings_[0][:3]:
        np.testing.assert_allclose(part, 3 * generator.uniform(-(3**-0.5), 3**-0.5, 3), rtol=1e-12)
    assert np.abs(model.embeddings_[0][3]).max() < 1e-20
    np.testing.assert_allclose(
        model.embeddings_[1], generator.uniform(-(2**-0.5), 2**-0.5, (4, 2)), rtol=1e-12
    )


def test_pieces_of_goes_into_an_estimator():
    some = pieces_of(X[:, [0, 2]], n_pieces=4, width=3)
    model = regressor(embeddings=some).fit(X[:, [0, 2]], Y)
    assert model._network == Network((2, 4, 1), "relu", "identity", embeddings=some)
