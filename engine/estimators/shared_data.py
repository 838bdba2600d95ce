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
COPIED = ("feature_names_in_", "classes_")


class SharedData:
    """The rows of many fits, each checked, converted and split once, and their networks.

    Any thread may ask. All checked rows are kept as long as this object; of the splits the latest
    alone, since each is a copy of X: fits with equal seeds that follow each other share it.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._made: dict[Hashable, Any] = {}
        # With the warnings of the checks, and what is held so that no other object gets its id.
        self._checked: dict[Hashable, tuple[Any, Said, tuple[Any, ...]]] = {}
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
        attributes = vars(estimator)
        depends_on = type(estimator), estimator._rows_depend_on()

        def check() -> tuple[Rows, dict[str, Any]]:
            rows = estimator._checked_rows(X, y, sample_weight, incremental=False, reset=True)
            return rows, {name: attributes[name] for name in LEARNT if name in attributes}

        rows: Rows
        rows, learnt = self._checked_once(depends_on, (X, y, sample_weight), check)
        for name in LEARNT:
            attributes.pop(name, None)
        attributes.update(learnt)
        for name in COPIED:
            if name in learnt:  # a user may write into it
                attributes[name] = learnt[name].copy()
        return rows

    def validation_rows(
        self, estimator: Any, rows: Rows, validation: tuple[Any, Any, Any]
    ) -> Rows | None:
        """The user's own validation rows, checked; `rows` are those of the fit, of this object."""
        held = (rows, *validation)
        found: Rows | None = self._checked_once(
            "validation", held, lambda: estimator._own_held_out(validation)
        )
        return found

    def _checked_once(
        self, depends_on: Hashable, of: tuple[Any, ...], check: Callable[[], Any]
    ) -> Any:
        """What `check` returns, called once for what it depends on and for the objects it is of."""
        key = depends_on, *map(id, of)
        with self._lock:
            if key in self._checked:
                give(self._checked[key][1])
            else:
                said: Said = []
                with repeated_by(said):
                    found = check()
                self._checked[key] = found, said, (depends_on, *of)
            return self._checked[key][0]

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
