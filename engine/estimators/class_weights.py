"""Weights of classes: what class_weight says, as a factor for each sample."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from engine.estimators.labels import MULTILABEL, Labels


class ClassWeights:
    """The weight of each class, from training data.

    Parameters
    ----------
    class_weight : dict, list of dicts, or "balanced"
        As scikit-learn takes it; "balanced" counts rows by their weights, so that a row of weight 2
        counts as two rows.
    labels : Labels
    y : array
    weights : ndarray (m,) or None
    """

    def __init__(self, class_weight: Any, labels: Labels, y: Any, weights: Any) -> None:
        self._labels = labels
        self._of_classes: Any = class_weight
        if isinstance(class_weight, list) and labels.kind != MULTILABEL:
            raise ValueError(
                "class_weight is a list: one dict for each of several labels. y has one column of "
                f"classes; pass one dict, from {labels.classes} to their weights."
            )
        if labels.kind != MULTILABEL:
            if isinstance(class_weight, str):
                self._of_classes = balanced(labels.classes, y, weights)
            else:
                _refuse_unknown(class_weight, labels.classes)
                self._of_classes = compute_class_weight(class_weight, classes=labels.classes, y=y)
        elif isinstance(class_weight, str):
            values = np.array([0, 1])
            columns = labels.indicators(y).astype(int).T
            of_columns = [balanced(values, column, weights) for column in columns]
            self._of_classes = [dict(enumerate(of_column)) for of_column in of_columns]

    @property
    def of_classes(self) -> list[float]:
        """The weight of each class, in their order; not for several labels."""
        return [float(weight) for weight in self._of_classes]

    def of_samples(self, y: Any) -> NDArray[Any]:
        """The weight (m,) of the class of each sample; for several labels, their product."""
        factors: NDArray[Any]
        if self._labels.kind == MULTILABEL:
            factors = compute_sample_weight(self._of_classes, self._labels.indicators(y) * 1)
        else:
            factors = self._of_classes[self._labels.codes(y)]
        return factors


def _refuse_unknown(class_weight: Any, classes: NDArray[Any]) -> None:
    """ValueError for a dict that lacks a class and has what is none; a class less has weight 1."""
    known = classes.tolist()
    unknown = [key for key in class_weight or () if key not in known]
    if unknown and any(label not in class_weight for label in known):
        raise ValueError(
            f"class_weight has {', '.join(map(repr, unknown))}, which is no class of y; the "
            f"classes are {', '.join(map(repr, known))}."
        )


def balanced(classes: NDArray[Any], y: NDArray[Any], weights: Any) -> NDArray[Any]:
    """scikit-learn's "balanced" weight of each class; 1 if all rows of a class have weight 0."""
    if weights is not None:
        y, weights = y[weights > 0], weights[weights > 0]
    present = np.unique(y)
    of_classes = np.ones(len(classes))
    of_classes[np.isin(classes, present)] = compute_class_weight(
        "balanced", classes=present, y=y, sample_weight=weights
    )
    return of_classes
