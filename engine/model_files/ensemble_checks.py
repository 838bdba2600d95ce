"""Checks of an ensemble from a file, before it predicts; its members are checked as networks."""

from numbers import Integral, Real
from typing import Any

import numpy as np

from engine.estimators.labels import BINARY, MULTICLASS, MULTILABEL, Labels

LARGEST_COUNT = 1 << 31
SCORES = ("oob_score_", "out_of_fold_score_", "validation_score_")


def check_ensemble(ensemble: Any) -> None:
    """ValueError if a fitted ensemble is not made of members that can be averaged."""
    ensemble._validate_params()
    _require(ensemble.cv is None or isinstance(ensemble.cv, Integral), "a cv that is no number")
    if ensemble.candidates is not None:
        ensemble._checked_candidates()
    kind = ensemble._member_type
    _require(ensemble.estimator is None or type(ensemble.estimator) is kind, "another estimator")
    if "members_" not in vars(ensemble):
        return
    members = ensemble.members_
    right = isinstance(members, list) and len(members) > 0
    _require(
        right and all(type(one) is kind and "coefs_" in vars(one) for one in members), "members"
    )
    features = {one.n_features_in_ for one in members}
    _require(features == {ensemble.n_features_in_}, f"members of {sorted(features)} features")
    _check_counts(ensemble, len(members))
    if "_labels" in vars(ensemble):
        _check_labels(ensemble)
    else:
        _require(len({one.n_outputs_ for one in members}) == 1, "members of several outputs")
        _require(
            len({repr(one._network.loss) for one in members}) == 1, "members of several losses"
        )


def _check_counts(ensemble: Any, n_members: int) -> None:
    """Numbers of the members, how many times each counts, and what the fit has recorded."""
    seeds = _whole_numbers(ensemble.seeds_, n_members, np.iinfo(np.int32).max, "seeds")
    counts = _whole_numbers(ensemble._counts, n_members, LARGEST_COUNT, "counts")
    _require(len(seeds) == len(counts) and counts.sum() > 0, "members that do not count")
    found = vars(ensemble)
    if "selected_" in found:
        selected = found["selected_"]
        _whole_numbers(selected, np.size(selected), n_members, "selected members")
        _require(np.array_equal(np.bincount(selected, minlength=n_members), counts), "counts")
        _check_floats(found["validation_curve_"], None, "validation curve")
        _require(len(found["validation_curve_"]) >= len(selected), "a curve that is too short")
    else:
        _require(bool((counts == 1).all()), "counts")
    if "fold_scores_" in found:
        _check_floats(found["fold_scores_"], n_members, "scores")
    for name in SCORES:
        _require(isinstance(found.get(name, 0.0), Real), f"{name}")


def _check_labels(ensemble: Any) -> None:
    """Classes in order, of which each member knows some, or for several labels all."""
    labels, classes = ensemble._labels, ensemble.classes_
    _require(type(labels) is Labels and isinstance(labels.sparse, bool), "labels")
    _require(isinstance(classes, np.ndarray) and classes.ndim == 1 and len(classes) > 0, "classes")
    _require(np.array_equal(labels.classes, classes), "classes that are not those of the labels")
    _require(np.array_equal(np.unique(classes), classes), "classes in no order")
    sizes = {BINARY: (1, 2), MULTICLASS: (3, len(classes)), MULTILABEL: (1, len(classes))}
    _require(labels.kind in sizes, "labels")
    fewest, most = sizes[labels.kind]
    _require(fewest <= len(classes) <= most, f"{len(classes)} classes of {labels.kind} labels")
    for member in ensemble.members_:
        own = member._labels
        several = labels.kind == MULTILABEL
        _require((own.kind == MULTILABEL) == several, "members of other labels")
        _require(not several or len(own.classes) == len(classes), "members of other labels")
        _require(
            own.classes.dtype.kind == classes.dtype.kind,
            "members whose classes are of another type",
        )
        _require(np.array_equal(np.unique(own.classes), own.classes), "classes in no order")
        _require(bool(np.isin(own.classes, classes).all()), "members of other classes")


def _whole_numbers(values: Any, n: int, below: int, what: str) -> Any:
    right = isinstance(values, np.ndarray) and values.dtype == np.int64 and values.shape == (n,)
    _require(right and bool(((values >= 0) & (values < below)).all()), what)
    return values


def _check_floats(values: Any, n: int | None, what: str) -> None:
    right = isinstance(values, np.ndarray) and values.dtype == np.float64 and values.ndim == 1
    _require(right and n in (None, len(values)), what)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"an ensemble that makes no sense: {what}")
