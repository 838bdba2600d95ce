"""engine/estimators/held_out.py: scores of validation rows that are few or lack a class."""

import math
import warnings
from typing import Any, cast

import numpy as np
import pytest
from sklearn.metrics import log_loss, make_scorer, top_k_accuracy_score

from engine import MLPClassifier, MLPRegressor
from engine.estimators.diagnosis import TrainingWarning
from engine.estimators.findings import said_at_command_line

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::engine.TrainingWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning"),
]
X = np.random.default_rng(0).standard_normal((200, 4))
CODES = np.repeat(np.arange(6), [70, 50, 40, 30, 6, 4])
LETTERS = np.array(list("abcdef"))[CODES]
LOG_LOSS = make_scorer(log_loss, response_method="predict_proba", greater_is_better=False)
TOP_3 = make_scorer(top_k_accuracy_score, response_method="predict_proba", k=3)


def fitted(y, scoring, seed=0, rows=X, model=MLPClassifier, held_out=(), **parameters):
    held = dict(zip(("X_val", "y_val"), held_out))
    settings = {"max_iter": 2, "early_stopping": True, "random_state": seed, **parameters}
    return model(hidden_layer_sizes=8, scoring=scoring, **settings).fit(rows, y, **held)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "scoring",
    ["neg_log_loss", "neg_brier_score", "d2_log_loss_score", "top_k_accuracy", LOG_LOSS, TOP_3],
    ids=str,
)
@pytest.mark.parametrize("y", [CODES, LETTERS], ids=["codes", "letters"])
def test_a_score_of_probabilities_knows_the_classes_that_its_rows_lack(y, scoring, seed):
    model = fitted(y, scoring, seed)
    assert np.isfinite(model.validation_scores_).all()


def test_it_does_so_with_weights_own_rows_and_float32():
    held_out = X[CODES < 4][::5].astype("f4"), LETTERS[CODES < 4][::5]
    asked: dict[str, Any] = {"held_out": held_out, "class_weight": "balanced"}
    model = fitted(LETTERS, "neg_log_loss", rows=X.astype("f4"), **asked)
    expected = -log_loss(
        held_out[1],
        model.predict_proba(held_out[0]),
        labels=model.classes_,
        sample_weight=(200 / 6 / np.bincount(CODES))[np.searchsorted(model.classes_, held_out[1])],
    )
    np.testing.assert_allclose(model.validation_scores_[-1], expected, rtol=1e-5)


@pytest.mark.parametrize("scoring", ["roc_auc_ovr", "average_precision"])
def test_what_cannot_be_scored_without_a_class_is_refused_before_training(scoring, monkeypatch):
    calls: list[Any] = []
    model = MLPClassifier(8, max_iter=2, early_stopping=True, scoring=scoring, random_state=0)
    monkeypatch.setattr(MLPClassifier, "_train", lambda *_: calls.append("trained"))
    with pytest.raises(ValueError, match=rf"scoring='{scoring}'.*20 held-out rows, .*class 'e'\."):
        model.fit(X, LETTERS)
    assert calls == []
    assert not hasattr(model, "coefs_")


def test_a_label_of_one_value_is_named():
    y = np.c_[CODES == 5, CODES < 2, CODES > 2]
    held_out = X[CODES < 4], y[CODES < 4]
    with pytest.raises(ValueError, match="which have one value only of the label 0"):
        fitted(y, "roc_auc", held_out=held_out)


def test_one_class_alone_has_no_area_under_a_curve():
    y, few = CODES < 3, CODES < 3
    with pytest.raises(ValueError, match=r"scoring='roc_auc'.*lack the class False"):
        fitted(y, "roc_auc", held_out=(X[few], y[few]))


def test_a_fault_that_is_not_of_the_rows_keeps_its_words():
    with pytest.raises(ValueError, match="multi_class must be in"):
        fitted(CODES, "roc_auc")


def test_a_scorer_of_ones_own_is_not_tried_and_its_error_is_its_own():
    calls: list[int] = []

    def scorer(estimator, X, y):
        calls.append(len(X))
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fitted(CODES, scorer)
    assert calls == [20]
    with pytest.raises(ZeroDivisionError):
        fitted(CODES, make_scorer(lambda y, p: 1 // 0, response_method="predict_proba"))


@pytest.mark.parametrize("scoring", [None, "r2", "explained_variance"])
def test_r2_of_a_single_row_is_refused_before_training(scoring):
    y = X @ [1.0, 2, 3, 4]
    if scoring == "explained_variance":  # which is defined
        assert fitted(y, scoring, model=MLPRegressor, held_out=(X[:1], y[:1])).n_iter_
    else:
        with pytest.raises(ValueError, match="is not defined for 1 held-out row; pass X_val"):
            fitted(y, scoring, model=MLPRegressor, held_out=(X[:1], y[:1]))


def warned(y, scoring=None, **more):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted(y, scoring, **more)
    return [str(one.message) for one in caught if one.category is TrainingWarning]


def test_a_score_that_is_always_nan_is_told_of():
    said = warned(CODES > 2, lambda estimator, X, y: math.nan)
    assert any(
        "score was NaN in each of 2 epochs, so early stopping found no best" in s for s in said
    )
    assert not any("NaN" in s for s in warned(CODES > 2, lambda estimator, X, y: 0.5))


@pytest.mark.parametrize(("n_rows", "few"), [(190, True), (200, False)])
def test_early_stopping_by_fewer_than_20_rows_is_told_of(n_rows, few):
    said = warned((CODES > 1)[:n_rows], rows=X[:n_rows])
    assert (said != []) == few
    if few:
        assert said[0].startswith("Early stopping goes by 19 validation rows: a score of so few")
        assert "validation_fraction=0.2, or your own X_val and y_val" in said[0]


def test_whoever_passed_the_few_rows_or_holds_out_half_is_told_to_pass_more():
    own = warned(CODES > 2, held_out=(X[:5], CODES[:5] > 2))
    half = warned((CODES > 1)[:30], rows=X[:30], validation_fraction=0.5)
    for said in (own, half):
        assert "Pass X_val and y_val of more rows, or train with early_stopping=False." in said[-1]
        assert "validation_fraction" not in said[-1]


def test_a_label_that_all_validation_rows_have_is_not_said_to_be_in_none_of_them():
    y = np.c_[CODES < 3, CODES > 1]
    said = warned(y, held_out=(X[CODES < 2], y[CODES < 2]))
    assert "120 validation rows: all have the same value of label 0, so the score" in said[0]


def test_nothing_is_said_where_there_are_few_rows_in_all():
    assert warned((CODES > 1)[:20], rows=X[:20])
    assert warned((CODES > 1)[:19], rows=X[:19]) == []


def test_early_stopping_without_a_row_of_a_class_names_the_class():
    said = warned(LETTERS)
    assert "20 validation rows: none is of class 'e', so the score says nothing about" in said[0]
    assert warned(LETTERS, early_stopping=False, max_iter=1) == []


def test_the_command_line_names_the_class_of_a_code():
    with pytest.warns(TrainingWarning) as caught:
        fitted(CODES, None)
    (message,) = (one.message for one in caught if one.category is TrainingWarning)
    said = said_at_command_line(cast("Warning", message), list("abcdef"))
    assert "none is of class 'e', so the score says nothing about that class." in said
