"""What fits on the same data share: checked rows, rows held out for early stopping, networks."""

import threading
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.estimators.caught_warnings import Said, give, repeated_by
from engine.estimators.input_validation import Rows

# What an estimator stores of its rows, beside the rows.
LEARNT = ("n_features_in_", "feature_names_in_", "classes_", "_labels", "_class_weights")


class SharedData:
    """The rows of many fits, each checked, converted and split once, and their networks.

    Any thread may ask. All checked rows are kept as long as this object; of the splits the latest
    alone, since each is a copy of X: fits with equal seeds that follow each other share it.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._made: dict[Hashable, Any] = {}
        self._rows: dict[Hashable, tuple[Rows, dict[str, Any], Said, tuple[Any, ...]]] = {}
        self._split: tuple[Hashable, tuple[Rows, Rows], NDArray[np.uint64], Rows] | None = None

    def once(self, name: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` makes, under this name: made once."""
        with self._lock:
            if name not in self._made:
                self._made[name] = make()
            return self._made[name]

    def rows(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> Rows:
        """The checked rows of a new fit. The estimator stores what it learns of them.

        Each fit gets the warnings of the checks.
        """
        depends_on = estimator._rows_depend_on()
        key = type(estimator), depends_on, id(X), id(y), id(sample_weight)
        attributes = vars(estimator)
        with self._lock:
            if key in self._rows:
                give(self._rows[key][2])
            else:
                said: Said = []
                with repeated_by(said):
                    rows = estimator._checked_rows(
                        X, y, sample_weight, incremental=False, reset=True
                    )
                learnt = {name: attributes[name] for name in LEARNT if name in attributes}
                held = depends_on, X, y, sample_weight  # so that no other object gets their ids
                self._rows[key] = rows, learnt, said, held
            rows, learnt, *_ = self._rows[key]
        for name in LEARNT:
            attributes.pop(name, None)
        attributes.update(learnt)
        return rows

    def split(
        self,
        rows: Rows,
        settings: Hashable,
        words: NDArray[np.uint64],
        make: Callable[[], tuple[tuple[Rows, Rows], NDArray[np.uint64]]],
    ) -> tuple[tuple[Rows, Rows], NDArray[np.uint64]]:
        """Training and validation rows, and the generator's state after the split.

        They are those of `make`, or of the latest split of the same rows with these settings from
        this state of the generator.
        """
        key = id(rows), settings, words.tobytes()
        with self._lock:
            if self._split is None or self._split[0] != key:
                self._split = None  # before the next copy is made
                halves, after = make()
                self._split = key, halves, after, rows
            _, halves, after, _ = self._split
        return halves, after
