"""Class labels as targets of the network, and activations of its output as labels."""

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

BINARY, MULTICLASS, MULTILABEL = "binary", "multiclass", "multilabel-indicator"


class Labels:
    """The classes, and what kind of problem they make.

    Attributes
    ----------
    classes : ndarray (n_classes,)
        Sorted; for multi-label targets the numbers of the columns.
    kind : str
        "binary" (one output unit, also if there is only one class), "multiclass" (softmax) or
        "multilabel-indicator" (a sigmoid unit a label).
    """

    def __init__(self, y: Any) -> None:
        self.sparse = scipy.sparse.issparse(y)
        self.kind, self.classes = kind_and_classes(y)

    @classmethod
    def of_classes(cls, classes: NDArray[Any]) -> "Labels":
        """Of known classes (n_classes,), sorted; numbers may have fractions."""
        found = cls.__new__(cls)
        found.sparse, found.classes = False, classes
        found.kind = BINARY if len(classes) <= 2 else MULTICLASS
        return found

    @property
    def n_outputs(self) -> int:
        return 1 if self.kind == BINARY else len(self.classes)

    def codes(self, y: Any) -> NDArray[np.int32]:
        """The class numbers (m,) of the samples, whose classes must all be known."""
        codes: NDArray[np.int32] = np.searchsorted(self.classes, y).astype(np.int32)
        return codes

    def indicators(self, y: Any) -> NDArray[np.bool_]:
        """Multi-label targets (m, n_labels), dense."""
        dense = y.toarray() if scipy.sparse.issparse(y) else np.asarray(y)
        indicators: NDArray[np.bool_] = dense != 0
        return indicators

    def targets(self, y: Any) -> NDArray[Any]:
        """Targets of the network: class codes (m,) for softmax, else columns of 0 and 1."""
        if self.kind == MULTILABEL:
            return self.indicators(y)
        codes = self.codes(y)
        return codes[:, None] if self.kind == BINARY else codes

    def decode(self, activations: NDArray[Any]) -> Any:
        """The labels of activations (m, n_outputs)."""
        if self.kind == MULTICLASS:
            return self.classes[activations.argmax(axis=1)]
        if self.kind == MULTILABEL:
            labels = (activations > 0.5).astype(int)
            return scipy.sparse.csr_matrix(labels) if self.sparse else labels
        return self.classes[self.binary_codes(activations)]

    def joined(self, parts: list[Any]) -> Any:
        """Labels of rows that were decoded block by block."""
        if len(parts) == 1:
            return parts[0]
        return scipy.sparse.vstack(parts) if self.sparse else np.concatenate(parts)

    def binary_codes(self, activations: NDArray[Any]) -> NDArray[np.int64]:
        """The class numbers of activations (m, 1): all 0 where there is a single class."""
        above = (activations[:, 0] > 0.5).astype(np.int64)
        return np.minimum(above, len(self.classes) - 1)


def kind_and_classes(y: Any) -> tuple[str, NDArray[Any]]:
    """The kind of these targets, and their classes. Raises ValueError if they are no labels."""
    if isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "iub":
        classes = np.unique(y)  # a shortcut for most targets
        if 2 * len(classes) <= len(y):
            return (BINARY if len(classes) <= 2 else MULTICLASS), classes
    check_classification_targets(y)
    kind = type_of_target(y, input_name="y")
    if "multioutput" in kind:
        raise ValueError(
            "Multioutput target data is not supported with label binarization: y has shape "
            f"{np.shape(y)}; pass one column of classes, or columns of 0 and 1 for several labels."
        )
    return kind, unique_labels(y)
