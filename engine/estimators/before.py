"""What an estimator was before a fit, to be that again should the fit fail."""

from typing import Any

# What fits change in place. All else they replace.
CURVES = ("loss_curve_", "validation_loss_curve_", "validation_scores_")


class Before:
    """The attributes of an estimator, the lengths of its curves, and its generator's state."""

    def __init__(self, estimator: Any) -> None:
        self._attributes = dict(vars(estimator))
        curves = {name: self._attributes.get(name) for name in CURVES}
        self._lengths = {name: len(curve) for name, curve in curves.items() if curve is not None}
        self._draws = self._attributes.get("_draws")
        self._words = None if self._draws is None else self._draws.words()

    def put_back(self, estimator: Any) -> None:
        """Undo a fit, but for what callbacks still need of it to be torn down."""
        attributes = vars(estimator)
        callbacks = {name: value for name, value in attributes.items() if "callback" in name}
        attributes.clear()
        attributes.update(self._attributes | callbacks)
        for name, length in self._lengths.items():
            if len(attributes[name]) > length:
                attributes[name] = attributes[name][:length]
        if self._draws is not None:
            self._draws.go_on_from(self._words)
