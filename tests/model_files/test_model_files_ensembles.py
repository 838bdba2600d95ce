"""Ensembles in .skops files: the same bits again, and forged ones that are refused."""

import copy

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from engine import (
    MLPClassifier,
    MLPEnsembleClassifier,
    MLPEnsembleRegressor,
    MLPRegressor,
    ModelFileError,
    load,
    losses,
    save,
)
from engine.model_files.estimator_checks import check_model
from engine.model_files.estimator_state import without_training_state
from engine.model_files.skops_file import StoredModel, bytes_of_model
from engine.model_files.table_examples import examples_of
from tests import own_losses

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::engine.TrainingWarning"),
]

KINDS = ("seeds", "bagging", "folds", "greedy")
X = np.random.default_rng(0).standard_normal((60, 4))
Z = X[:, 0] + X[:, 1] ** 2
RARE = np.array(["no", "so", "possibly"])[np.repeat([0, 1, 2], [30, 28, 2])]
TARGETS = {
    "number": Z,
    "numbers": np.column_stack([Z, -Z]),
    "binary": Z > 1,
    "texts": RARE,
    "labels": np.column_stack([Z > 0, Z > 1, Z > 2]).astype(int),
}


def fitted(target="number", kind="seeds", **parameters):
    number = target.startswith("number")
    kinds = (
        (MLPEnsembleRegressor, MLPRegressor) if number else (MLPEnsembleClassifier, MLPClassifier)
    )
    settings = {"hidden_layer_sizes": 4, "max_iter": 3, **parameters.pop("member", {})}
    one = kinds[0](6, kind, estimator=kinds[1](**settings), random_state=0, **parameters)
    with np.errstate(all="ignore"):
        return one.fit(X, TARGETS[target])


def outputs_of(model):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.skops"


@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_ensemble_comes_back_with_the_same_bits(path, target, kind):
    one = fitted(target, kind)
    save(path, one)
    again = load(path)
    np.testing.assert_array_equal(outputs_of(again), outputs_of(one))
    np.testing.assert_array_equal(again.predictor().predict(X[0]), one.predictor().predict(X[0]))
    ours, theirs = ([m.fingerprint_ for m in model.members_] for model in (one, again))
    assert ours == theirs
    np.testing.assert_array_equal(again.weights_, one.weights_)
    for name in ("oob_score_", "out_of_fold_score_", "fold_scores_", "validation_curve_"):
        np.testing.assert_array_equal(getattr(again, name, None), getattr(one, name, None))
    first = path.read_bytes()
    save(path, again)
    assert path.read_bytes() == first


def test_a_file_holds_nothing_of_the_rows_and_no_object_that_only_a_fit_uses(path):
    one = fitted(kind="folds", cv=KFold(3), member={"random_state": np.random.RandomState(0)})
    save(path, one)
    again = load(path)
    assert again.cv is None
    assert again.estimator.random_state is None
    assert not {"member_rows_", "out_of_fold_prediction_"} & set(vars(again))
    assert isinstance(one.cv, KFold)
    assert len(one.member_rows_) == 3


def test_candidates_come_back_and_can_be_fitted_again(path):
    candidates = [{"alpha": 0.1, "hidden_layer_sizes": (3, 2)}, {"scoring": len}, {}]
    one = fitted(kind="greedy", candidates=candidates)
    save(path, one)
    again = load(path)
    assert again.candidates == [candidates[0], {"scoring": None}, {}]
    refit = clone(again).fit(X, Z)
    np.testing.assert_array_equal(refit.predict(X), one.predict(X))


def test_an_ensemble_in_a_pipeline_and_a_loss_of_the_users_own(path):
    loss = losses.Compiled(own_losses.huber)
    one = make_pipeline(StandardScaler(), fitted(member={"loss": loss})).fit(X, Z)
    save(path, one)
    again = load(path)
    np.testing.assert_array_equal(again.predict(X), one.predict(X))
    with pytest.raises(ValueError, match="to train or score it, pass the function"):
        again.score(X, Z)
    again[-1].set_params(estimator__loss=loss)
    assert again.score(X, Z) == one.score(X, Z)


@pytest.mark.parametrize("ending", [".safetensors", ".onnx"])
def test_another_format_says_what_to_do(tmp_path, ending):
    with pytest.raises(TypeError, match=r"goes into a \.skops file as a whole.*one by one"):
        save(tmp_path / f"model{ending}", fitted())


# Forged ensembles.


def forged(path, one, change):
    """A file of an ensemble that was changed after its fit, with right checksums."""
    forgery = without_training_state(one)
    change(forgery)
    model = StoredModel({"what": "forged"}, forgery, examples_of(one, None))
    path.write_bytes(bytes_of_model(path, model))
    return path


def with_value(name, value):
    return lambda one: one.__dict__.update({name: value})


OTHER_LABELS = np.array(["a", "b", "c"])


def with_classes(classes):
    def change(one):
        one.classes_ = one._labels.classes = classes

    return change


def with_second_member(*arguments, **parameters):
    def change(one):
        one.members_[1] = without_training_state(fitted(*arguments, **parameters).members_[0])

    return change


def with_other_features(one):
    other = MLPRegressor(hidden_layer_sizes=4, max_iter=2).fit(X[:, :3], Z)
    one.members_[1] = without_training_state(other)


def with_classes_in_no_order(one):
    one._labels.classes = one.classes_ = one.classes_[::-1].copy()


def with_labels(**changes):
    return lambda one: one._labels.__dict__.update(changes)


def with_member_classes_in_no_order(one):
    member = one.members_[1]
    member._labels.classes = member.classes_ = member.classes_[::-1].copy()


# For each forgery: the ensemble, how it is changed, and why it is refused.
FORGERIES = {
    "no members": ("number", with_value("members_", []), "sense: members$"),
    "no list of members": ("number", with_value("members_", "members"), "sense: members$"),
    "not fitted": ("number", with_value("members_", [MLPRegressor()] * 6), "sense: members$"),
    "another kind": ("number", with_second_member("binary"), "sense: members$"),
    "other features": ("number", with_other_features, r"members of \[3, 4\] features"),
    "other outputs": ("number", with_second_member("numbers"), "members of several outputs"),
    "another loss": (
        "number",
        with_second_member(member={"loss": "huber"}),
        "members of several losses",
    ),
    "few counts": ("number", with_value("_counts", np.ones(5, np.int64)), "sense: counts"),
    "below 0": ("number", with_value("_counts", np.array([1, 1, 1, 1, 3, -1])), "sense: counts"),
    "nothing": ("number", with_value("_counts", np.zeros(6, np.int64)), "that do not count"),
    "floats": ("number", with_value("_counts", np.ones(6)), "sense: counts"),
    "no selection": ("number", with_value("_counts", np.array([1, 1, 1, 1, 1, 2])), "counts"),
    "large seeds": ("number", with_value("seeds_", np.full(6, 2**40)), "sense: seeds"),
    "out of range": ("number", with_value("n_members", 0), "The 'n_members' parameter"),
    "no such kind": ("number", with_value("kind", "stacking"), "The 'kind' parameter"),
    "estimator": ("number", with_value("estimator", MLPClassifier()), "another estimator"),
    "candidates": (
        "greedy",
        with_value("candidates", [{"loss": "huber"}]),
        "candidates share loss",
    ),
    "score": ("number", with_value("oob_score_", "good"), "sense: oob_score_"),
    "fold scores": ("number", with_value("fold_scores_", np.ones(5)), "sense: scores"),
    "shadow": (
        "number",
        with_value("weights_", np.ones(6)),
        "in the place of MLPEnsembleRegressor",
    ),
    "NaN": ("number", lambda one: one.members_[1].coefs_[0].fill(np.nan), "NaN or infinite"),
    "selection": ("greedy", lambda one: one.selected_.fill(0), "sense: counts"),
    "nobody": ("greedy", with_value("selected_", np.array([6])), "selected members"),
    "selected -1": ("greedy", with_value("selected_", np.array([-1])), "selected members"),
    "short curve": ("greedy", with_value("validation_curve_", np.ones(0)), "too short"),
    "text for a curve": ("greedy", with_value("validation_curve_", "low"), "validation curve"),
    "no order": ("texts", with_classes_in_no_order, "classes in no order"),
    "two kinds of classes": (
        "texts",
        with_value("classes_", OTHER_LABELS),
        "not those of the labels",
    ),
    "many classes": ("binary", with_classes(np.arange(3)), "3 classes of binary labels"),
    "other classes": ("texts", with_classes(OTHER_LABELS), "members of other classes"),
    "splits": ("number", with_value("cv", [1]), "a cv that is no number"),
    "sparse": ("texts", with_labels(sparse="yes"), "sense: labels$"),
    "kind of labels": ("texts", with_labels(kind="several"), "sense: labels$"),
    "classes in a table": ("texts", with_classes(np.array([["a"], ["b"]])), "sense: classes$"),
    "several labels": ("binary", with_second_member("labels"), "members of other labels"),
    "labels of numbers": ("texts", with_second_member("binary"), "classes are of another type"),
    "no order within": ("texts", with_member_classes_in_no_order, "classes in no order"),
    "other labels": ("labels", with_second_member("texts"), "members of other labels"),
    "fewer labels": ("labels", with_classes(np.arange(2)), "members of other labels"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_ensemble_is_refused(path, forgery):
    target, change, why = FORGERIES[forgery]
    one = fitted(kind="greedy") if target == "greedy" else fitted(target, "bagging")
    check_model(copy.deepcopy(one), 10**6, None)  # before it was forged
    with pytest.raises(ModelFileError, match=f"(?s)is damaged: .*{why}"):
        load(forged(path, one, change))
