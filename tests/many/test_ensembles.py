"""Ensembles: members are their own fits, averages are averages, and rows left out are left out."""

import pickle
import re
import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import (
    accuracy_score,
    d2_pinball_score,
    log_loss,
    mean_poisson_deviance,
    r2_score,
)
from sklearn.model_selection import GroupKFold, KFold, TimeSeriesSplit

import engine
from engine import (
    MLPClassifier,
    MLPEnsembleClassifier,
    MLPEnsembleRegressor,
    MLPRegressor,
    TrainingWarning,
    losses,
)
from engine.many.fits import Outcome
from engine.many.member_messages import warnings_of
from tests import own_losses

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::engine.TrainingWarning"),
]

KINDS = ("seeds", "bagging", "folds", "greedy")
X = np.random.default_rng(0).standard_normal((90, 4))
Z = X[:, 0] * X[:, 1] + X[:, 2]
TARGETS = {
    "number": Z,
    "numbers": np.column_stack([Z, X[:, 3] ** 2]),
    "binary": (Z > 0).astype(int),
    "texts": np.array(["no", "so", "yes"])[np.digitize(Z, [-0.5, 0.5])],
    "labels": np.column_stack([Z > 0, X[:, 3] > 0, X[:, 1] > 0.5]).astype(int),
}
WEIGHTS = np.random.default_rng(1).integers(1, 4, len(X)).astype(float)


def ensemble(target, kind="seeds", n_members=3, member=None, **parameters):
    """An ensemble of small networks for this target."""
    number = target.startswith("number")
    kinds = (
        (MLPEnsembleRegressor, MLPRegressor) if number else (MLPEnsembleClassifier, MLPClassifier)
    )
    settings = {"hidden_layer_sizes": (5,), "max_iter": 12, **(member or {})}
    parameters = {"random_state": 7, **parameters}
    return kinds[0](n_members, kind, estimator=kinds[1](**settings), **parameters)


def outputs_of(fitted, X):
    return fitted.predict_proba(X) if hasattr(fitted, "predict_proba") else fitted.predict(X)


# Members.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_member_has_the_bits_of_its_own_fit(kind, target, weighted, dtype):
    y, X_ = TARGETS[target], X.astype(dtype)
    weights = WEIGHTS if weighted else None
    fitted = ensemble(target, kind).fit(X_, y, weights)
    assert len({member.fingerprint_ for member in fitted.members_}) == 3
    for k, member in enumerate(fitted.members_):
        rows = slice(None) if fitted.member_rows_ is None else fitted.member_rows_[k]
        alone = clone(fitted.estimator).set_params(random_state=int(fitted.seeds_[k]))
        alone.fit(X_[rows], y[rows], None if weights is None else weights[rows])
        assert alone.fingerprint_ == member.fingerprint_
        assert member._dtype == dtype


def test_seeds_are_those_that_scikit_learn_would_draw_after_the_one_of_the_split():
    fitted = ensemble("number").fit(X, Z)
    drawn = np.random.RandomState(7).randint(2**31 - 1, size=4)
    assert fitted.seeds_.tolist() == drawn[1:].tolist()


@pytest.mark.parametrize("kind", ["seeds", "bagging", "greedy"])
def test_the_first_members_of_a_larger_ensemble_are_those_of_a_smaller_one(kind):
    small = ensemble("number", kind, 2).fit(X, Z)
    large = ensemble("number", kind, 4).fit(X, Z)
    ours, theirs = ([m.fingerprint_ for m in one.members_[:2]] for one in (small, large))
    assert ours == theirs


def test_members_of_seeds_are_trained_on_the_very_same_arrays(monkeypatch):
    made = []
    plain = engine.many.ensemble_base.fit_all

    def spy(fits, n_threads):
        made.extend(fits)
        return plain(fits, n_threads)

    monkeypatch.setattr(engine.many.ensemble_base, "fit_all", spy)
    ensemble("number").fit(X, Z)
    assert all(fit.X is X and fit.y is Z for fit in made)
    made.clear()
    ensemble("number", "greedy").fit(X, Z)
    assert len({id(fit.X) for fit in made}) == 1


def test_own_validation_rows_reach_every_member_and_its_early_stopping():
    member = {"early_stopping": True, "max_iter": 30}
    fitted = ensemble("number", member=member).fit(X[:60], Z[:60], X_val=X[60:], y_val=Z[60:])
    for k, one in enumerate(fitted.members_):
        alone = clone(fitted.estimator).set_params(random_state=int(fitted.seeds_[k]))
        alone.fit(X[:60], Z[:60], X_val=X[60:], y_val=Z[60:])
        assert alone.fingerprint_ == one.fingerprint_
        assert alone.validation_scores_ == one.validation_scores_


def test_a_generator_is_drawn_from_and_the_members_own_seed_does_not_count():
    fitted = ensemble("number", random_state=np.random.RandomState(7)).fit(X, Z)
    other = ensemble("number", member={"random_state": 5}).fit(X, Z)
    assert fitted.seeds_.tolist() == other.seeds_.tolist()


# Averages.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", TARGETS)
def test_predictions_are_the_weighted_mean_of_the_members_and_std_that_of_the_population(
    kind, target
):
    fitted = ensemble(target, kind).fit(X, TARGETS[target])
    members = np.array([outputs_of(member, X) for member in fitted.members_])
    w = fitted.weights_
    mean = np.tensordot(w, members, 1)
    np.testing.assert_allclose(outputs_of(fitted, X), mean, rtol=1e-13, atol=1e-15)
    with_std = fitted.predict if target.startswith("number") else fitted.predict_proba
    again, std = with_std(X, return_std=True)
    np.testing.assert_array_equal(again, outputs_of(fitted, X))
    np.testing.assert_allclose(std, np.sqrt(np.tensordot(w, (members - mean) ** 2, 1)), atol=1e-14)
    assert w.sum() == pytest.approx(1)


def test_one_member_is_its_own_mean_and_has_no_spread():
    fitted = ensemble("number", n_members=1).fit(X, Z)
    mean, std = fitted.predict(X, return_std=True)
    np.testing.assert_array_equal(mean, fitted.members_[0].predict(X))
    assert not std.any()


@pytest.mark.parametrize("kind", ["seeds", "greedy"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_predictor_gives_the_bits_of_predict_for_one_row(kind, target, dtype):
    X_ = X.astype(dtype)
    fitted = ensemble(target, kind).fit(X_, TARGETS[target])
    predictor = pickle.loads(pickle.dumps(fitted.predictor()))
    name = "predict" if target.startswith("number") else "predict_proba"
    for row in X_[:10]:
        mean, std = getattr(fitted, name)(row[np.newaxis], return_std=True)
        found = getattr(predictor, name)(row, return_std=True)
        np.testing.assert_array_equal(found[0], mean[0])
        np.testing.assert_array_equal(found[1], std[0])
        assert np.asarray(found[0]).dtype == dtype
        np.testing.assert_array_equal(predictor.predict(row), fitted.predict([row])[0])


def test_labels_are_those_of_the_highest_mean_probability():
    fitted = ensemble("texts").fit(X, TARGETS["texts"])
    p = fitted.predict_proba(X)
    assert fitted.predict(X).tolist() == fitted.classes_[p.argmax(axis=1)].tolist()
    np.testing.assert_array_equal(fitted.predict_log_proba(X), np.log(p))
    assert fitted.score(X, TARGETS["texts"]) == accuracy_score(TARGETS["texts"], fitted.predict(X))


def test_sparse_labels_and_inputs_are_taken():
    y = scipy.sparse.csr_matrix(TARGETS["labels"])
    for form in (scipy.sparse.csr_matrix, scipy.sparse.csc_matrix):
        fitted = ensemble("labels", "bagging").fit(form(X), y)
        dense = ensemble("labels", "bagging").fit(X, TARGETS["labels"])
        np.testing.assert_allclose(fitted.predict_proba(form(X)), dense.predict_proba(X))
        assert scipy.sparse.issparse(fitted.predict(form(X)))


def test_quantiles_are_the_means_of_each_level_in_order():
    member = {"loss": losses.Quantile([0.1, 0.5, 0.9])}
    fitted = ensemble("number", "greedy", member=member).fit(X, Z)
    predicted = fitted.predict(X)
    assert predicted.shape == (90, 3)
    assert (np.diff(predicted, axis=1) >= 0).all()
    assert fitted.predict(X, return_std=True)[1].shape == (90, 3)
    assert np.diff(fitted.predictor().predict(X[0])).min() >= 0


# A class that a member does not know.


def test_a_class_that_no_row_of_a_member_has_gets_probability_0_by_it():
    y = np.zeros(40, int)
    y[20:38], y[38:] = 1, 2  # two rows of the last class
    fitted = ensemble("texts", "bagging", 12).fit(X[:40], y)
    known = [member.classes_.tolist() for member in fitted.members_]
    assert [0, 1, 2] in known
    assert [0, 1] in known
    p = fitted.predict_proba(X)
    by_hand = np.zeros((90, 3))
    for member in fitted.members_:
        by_hand[:, member.classes_] += member.predict_proba(X) / 12
    np.testing.assert_allclose(p, by_hand, rtol=1e-13)
    np.testing.assert_array_equal(
        fitted.predictor().predict_proba(X[5]), fitted.predict_proba(X[5:6])[0]
    )


def test_a_member_of_one_class_is_sure_of_it():
    splits = [(np.arange(20), np.arange(20, 40)), (np.arange(20, 40), np.arange(20))]
    y = np.repeat([4, 6], 20)
    fitted = ensemble("binary", "folds", cv=splits).fit(X[:40], y)
    np.testing.assert_array_equal(fitted.predict_proba(X), np.full((90, 2), 0.5))
    assert fitted.out_of_fold_score_ == 0
    assert fitted.fold_scores_.tolist() == [0, 0]
    single = ensemble("binary").fit(X, np.full(90, 3))
    assert single.predict_proba(X).tolist() == [[1.0]] * 90
    assert single.predict(X).tolist() == [3] * 90


@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
@pytest.mark.parametrize("weight", ["balanced", {0: 1.0, 1: 2.0, 2: 3.0}])
def test_class_weights_are_taken_also_by_a_member_that_lacks_a_class(weight):
    y = np.repeat([0, 1, 2], [50, 39, 1])
    for kind in ("bagging", "folds", "greedy"):
        fitted = ensemble("texts", kind, 4, member={"class_weight": weight}).fit(X, y)
        assert np.isfinite(fitted.predict_proba(X)).all()


# Rows that members have not seen.


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", ["bagging", "folds"])
def test_rows_left_out_are_predicted_by_those_that_have_not_seen_them(target, kind):
    y = TARGETS[target]
    fitted = ensemble(target, kind, 4).fit(X, y, WEIGHTS)
    prefix = {"bagging": "oob", "folds": "out_of_fold"}[kind]
    name = "prediction" if target.startswith("number") else "decision_function"
    found = getattr(fitted, f"{prefix}_{name}_")
    seen = []
    for i in range(len(X)):
        parts = zip(fitted.members_, fitted.member_rows_)
        unseen = [outputs_of(member, X[i : i + 1])[0] for member, rows in parts if i not in rows]
        if unseen:
            np.testing.assert_allclose(found[i], np.mean(unseen, axis=0), rtol=1e-12)
            seen.append(i)
        else:
            assert np.isnan(found[i]).all()
    assert len(seen) == (90 if kind == "folds" else np.isfinite(found.reshape(90, -1)[:, 0]).sum())
    if target.startswith("number"):
        score = r2_score(y[seen], found[seen], sample_weight=WEIGHTS[seen])
    else:
        several = target == "labels"
        labels = (found > 0.5) * 1 if several else fitted.classes_[found.argmax(axis=1)]
        score = accuracy_score(y[seen], labels[seen], sample_weight=WEIGHTS[seen])
    assert getattr(fitted, f"{prefix}_score_") == pytest.approx(score, rel=1e-12)


def test_bootstrap_rows_are_drawn_as_documented():
    fitted = ensemble("number", "bagging").fit(X, Z)
    for seed, rows in zip(fitted.seeds_, fitted.member_rows_):
        np.testing.assert_array_equal(rows, np.random.default_rng(seed).integers(90, size=90))


@pytest.mark.parametrize("cv", [None, 3, KFold(3), TimeSeriesSplit(3)])
def test_folds_are_those_of_the_splitter(cv):
    fitted = ensemble("number", "folds", cv=cv).fit(X, Z)
    shuffled = KFold(3, shuffle=True, random_state=np.random.RandomState(7).randint(2**31 - 1))
    splits = (shuffled if cv is None or cv == 3 else cv).split(X)
    for (training, test), rows, score, member in zip(
        splits, fitted.member_rows_, fitted.fold_scores_, fitted.members_
    ):
        np.testing.assert_array_equal(rows, training)
        assert score == pytest.approx(r2_score(Z[test], member.predict(X[test])), rel=1e-12)


def test_a_list_of_splits_stands_for_groups():
    splits = list(GroupKFold(3).split(X, groups=np.arange(90) // 10))
    fitted = ensemble("number", "folds", 8, cv=splits).fit(X, Z)
    assert len(fitted.members_) == 3


# Greedy selection.


@pytest.mark.parametrize("target", TARGETS)
def test_the_curve_is_the_loss_of_the_selection_on_validation_rows(target):
    y = TARGETS[target]
    fitted = ensemble(target, "greedy", 4, n_rounds=6)
    fitted.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:], sample_weight_val=WEIGHTS[60:])
    assert fitted.validation_curve_.shape == (6,)
    p = outputs_of(fitted, X[60:])
    s = WEIGHTS[60:]
    if target.startswith("number"):
        error = (p - y[60:]).reshape(30, -1)
        loss = s @ (0.5 * error**2).sum(axis=1) / s.sum()
    elif target == "labels":
        columns = zip(y[60:].T, p.T)
        loss = sum(log_loss(one, prob, sample_weight=s) for one, prob in columns)
    else:
        loss = log_loss(y[60:], p, sample_weight=s)
    assert fitted.validation_curve_.min() == pytest.approx(loss, rel=1e-12)
    assert fitted.validation_score_ == pytest.approx(fitted.score(X[60:], y[60:], s), rel=1e-12)
    counts = np.bincount(fitted.selected_, minlength=4)
    np.testing.assert_array_equal(fitted.weights_, counts / counts.sum())


def test_class_weights_count_in_the_selection():
    y, weight = TARGETS["binary"], {0: 1.0, 1: 5.0}
    fitted = ensemble("binary", "greedy", member={"class_weight": weight})
    fitted.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    s = np.where(y[60:] == 1, 5.0, 1.0)
    loss = log_loss(y[60:], fitted.predict_proba(X[60:]), sample_weight=s)
    assert fitted.validation_curve_.min() == pytest.approx(loss, rel=1e-12)


def test_the_loss_of_an_error_that_is_certain_is_finite():
    y = TARGETS["binary"]
    fitted = ensemble("binary", "greedy").fit(X[:60], y[:60], X_val=1e6 * X[60:], y_val=y[60:])
    assert np.isfinite(fitted.validation_curve_).all()
    loss = log_loss(y[60:], fitted.predict_proba(1e6 * X[60:]))
    assert fitted.validation_curve_.min() == pytest.approx(loss, rel=1e-9)


def test_candidates_are_networks_of_their_own_parameters():
    candidates = [{"hidden_layer_sizes": (3,)}, {"alpha": 5.0, "activation": "tanh"}, {}]
    fitted = ensemble("number", "greedy", 8, candidates=candidates).fit(X, Z)
    assert [m.hidden_layer_sizes for m in fitted.members_] == [(3,), (5,), (5,)]
    assert [m.alpha for m in fitted.members_] == [1e-4, 5.0, 1e-4]


def test_rows_held_out_have_each_class_and_leave_no_class_out_of_training():
    y = np.repeat([0, 1, 2], [60, 29, 1])
    fitted = ensemble("texts", "greedy").fit(X, y)
    rows = fitted.member_rows_[0]
    assert len(rows) == 72
    assert set(y[rows]) == {0, 1, 2}
    assert set(np.delete(y, rows)) == {0, 1}


@pytest.mark.parametrize(
    ("loss", "positive"),
    [("poisson", True), ("absolute_error", False), (losses.Quantile([0.2, 0.8]), False)],
)
def test_other_losses_select_by_themselves(loss, positive):
    y = np.exp(Z) if positive else Z
    fitted = ensemble("number", "greedy", member={"loss": loss}, n_rounds=4)
    fitted.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    p, t = fitted.predict(X[60:]), y[60:]
    if loss == "poisson":
        expected = mean_poisson_deviance(t, p) / 2
    elif loss == "absolute_error":
        expected = np.abs(p - t).mean()
    else:
        e = t[:, None] - p
        expected = np.maximum([0.2, 0.8] * e, [-0.8, -0.2] * e).sum(axis=1).mean()
    assert fitted.validation_curve_.min() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("function", "output"),
    [(own_losses.huber, "identity"), (own_losses.poisson, "exp"), (own_losses.brier, "sigmoid")],
)
def test_a_loss_of_the_users_own_selects_and_scores(function, output):
    loss = losses.Compiled(function, output=output)
    y = 1 / (1 + np.exp(-Z))
    fitted = ensemble("number", "greedy", member={"loss": loss}, n_rounds=4)
    fitted.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    assert fitted.validation_curve_.min() == pytest.approx(-fitted.validation_score_, rel=1e-12)
    one = ensemble("number", n_members=1, member={"loss": loss}).fit(X, y)
    assert one.score(X, y) == pytest.approx(one.members_[0].score(X, y), rel=1e-9)


def test_the_score_of_quantiles_is_that_of_scikit_learn():
    fitted = ensemble("number", member={"loss": losses.Quantile(0.8)}).fit(X, Z)
    expected = d2_pinball_score(Z, fitted.predict(X), alpha=0.8)
    assert fitted.score(X, Z) == pytest.approx(expected, rel=1e-9)


# Warnings and errors.


def test_a_warning_is_given_once_with_the_numbers_of_its_members_at_the_line_of_fit():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ensemble("number").fit(X, Z)
    (one,) = [w for w in caught if w.category is ConvergenceWarning]
    assert str(one.message).startswith("All 3 members: Stochastic Optimizer: Maximum iterations")
    assert one.filename == __file__


def test_findings_that_differ_in_numbers_only_are_one_warning():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ensemble("number", "bagging").fit(1e4 * X, Z)
    kinds = {str(w.message).split(" ")[0] for w in caught if w.category is TrainingWarning}
    found = [w for w in caught if w.category is TrainingWarning]
    assert found
    assert len(found) <= 3
    assert kinds
    assert all(hasattr(w.message, "finding") for w in found)


def test_warnings_that_differ_in_their_numbers_are_one_and_each_member_is_named_once():
    def outcome(*texts):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for text in texts:
                warnings.warn(text, UserWarning, stacklevel=1)
        return Outcome(None, caught, 0.0)

    outcomes = [outcome("rate 0.1"), outcome("rate 2e-5", "rate 3"), outcome("dead", "dead")]
    assert [str(one) for one in warnings_of(outcomes, "member")] == [
        "2 of 3 members (0, 1): rate 0.1 (The values are those of number 0.)",
        "Member 2 of 3: dead",
    ]


def test_a_warning_that_is_raised_as_an_error_loses_no_member():
    one = ensemble("number")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning):
            one.fit(X, Z)
    assert len(one.members_) == 3


def test_a_member_that_fails_raises_its_own_error_with_a_note_and_the_ensemble_is_as_before():
    one = ensemble("number", "greedy", candidates=[{}, {"learning_rate_init": 1e300}, {}])
    with pytest.raises(ValueError, match="non-finite") as raised, np.errstate(all="ignore"):
        one.fit(X, Z)
    assert raised.value.__notes__ == [
        "Member 1 of 3 failed (1 ValueError). The ensemble is as it was before."
    ]
    assert not [name for name in vars(one) if name.endswith("_")]
    one.set_params(candidates=None).fit(X, Z)
    before = vars(one).copy()
    with pytest.raises(ValueError, match="NaN"):
        one.fit(X, np.full(90, np.nan))
    assert vars(one) == before


def test_a_refit_by_another_kind_leaves_nothing_of_the_last_one():
    one = ensemble("number", "bagging").fit(X, Z).set_params(kind="seeds").fit(X, Z)
    assert not hasattr(one, "oob_score_")
    assert one.member_rows_ is None


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"kind": "stacking"}, ValueError, "The 'kind' parameter of MLPEnsembleRegressor"),
        ({"n_members": 0}, ValueError, "The 'n_members' parameter"),
        ({"estimator": MLPClassifier()}, TypeError, "estimator must be an MLPRegressor, or None"),
        ({"estimator__alpha": -1}, ValueError, "The 'alpha' parameter of MLPRegressor"),
        ({"estimator__checkpoint": "fit.checkpoint"}, ValueError, "A checkpoint is of one fit"),
        ({"candidates": [{}]}, ValueError, "candidates are for kind='greedy'"),
        ({"kind": "greedy", "candidates": []}, ValueError, "must be a list of dicts"),
        ({"kind": "greedy", "candidates": [1]}, ValueError, "must be a list of dicts"),
        (
            {"kind": "greedy", "candidates": [{"loss": "huber"}]},
            ValueError,
            "candidates share loss",
        ),
        ({"kind": "greedy", "candidates": [{"alfa": 1}]}, ValueError, "Invalid parameter 'alfa'"),
        ({"kind": "folds", "n_members": 1}, ValueError, "needs 2 folds or more; got 1"),
        ({"kind": "folds", "cv": iter([])}, ValueError, "cv gives no folds. A generator"),
        (
            {"kind": "folds", "cv": [(range(90), []), (range(45), range(45, 90))]},
            ValueError,
            "cv leaves no rows out in fold 0",
        ),
        ({"kind": "greedy", "validation_fraction": 0.999}, ValueError, "too few to train on"),
        ({"estimator": MLPRegressor}, TypeError, "the class engine.MLPRegressor, not an object"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused_before_training(
    parameters, error, message, monkeypatch
):
    def nothing_may_be_trained(fits, n_threads):
        raise AssertionError

    monkeypatch.setattr(engine.many.ensemble_base, "fit_all", nothing_may_be_trained)
    with pytest.raises(error, match=message):
        ensemble("number").set_params(**parameters).fit(X, Z)


def test_a_note_says_which_candidate_has_an_invalid_parameter():
    with pytest.raises(ValueError, match="Got -1 instead") as raised:
        ensemble("number", "greedy", candidates=[{}, {"alpha": -1}]).fit(X, Z)
    assert raised.value.__notes__ == [
        "Candidate 1 of 2 has it; candidates name parameters of the network."
    ]


@pytest.mark.parametrize("target", ["number", "texts"])
def test_rows_left_out_that_all_have_weight_0_have_no_score(target):
    y = TARGETS[target]
    folds = ensemble(target, "folds", cv=KFold(3)).fit(X, y, (np.arange(90) < 60) * 1.0)
    assert np.isnan(folds.fold_scores_).tolist() == [False, False, True]
    assert np.isfinite(folds.out_of_fold_score_)
    bagging = ensemble(target, "bagging", n_members=2).fit(X, y)
    drawn_by_both = np.intersect1d(*bagging.member_rows_)
    bagging.fit(X, y, np.isin(np.arange(90), drawn_by_both) * 1.0)
    assert np.isnan(bagging.oob_score_)


def test_one_bar_shows_how_many_members_have_ended(capfd):
    ensemble("number", member={"progress": True}).fit(X, Z)
    assert re.search(r"Networks.* 3/3", capfd.readouterr().err)


def test_validation_rows_go_together():
    with pytest.raises(ValueError, match="go together"):
        ensemble("number").fit(X, Z, X_val=X)


def test_an_ensemble_that_is_not_fitted_says_so():
    for act in (lambda one: one.predict(X), lambda one: one.predictor()):
        with pytest.raises(NotFittedError):
            act(ensemble("number"))
    assert not hasattr(ensemble("number"), "weights_")


def test_a_pickle_of_another_version_warns(monkeypatch):
    fitted = ensemble("number").fit(X, Z)
    content = pickle.dumps(fitted)
    np.testing.assert_array_equal(pickle.loads(content).predict(X), fitted.predict(X))
    monkeypatch.setattr(engine, "__version__", "9.9")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pickle.loads(content)
    assert any("MLPEnsembleRegressor was pickled by mlp-engine" in str(w.message) for w in caught)
