"""What an estimator was before a fit, to be that again should the fit fail."""

from typing import Any

from engine.training.mersenne import put_words, words_of

# What fits change in place. All else they replace.
CURVES = ("loss_curve_", "validation_loss_curve_", "validation_scores_")


class Before:
    """The attributes of an estimator, the lengths of its curves, and its generator's state."""

    def __init__(self, estimator: Any) -> None:
        self._attributes = dict(vars(estimator))
        curves = {name: self._attributes.get(name) for name in CURVES}
        self._lengths = {name: len(curve) for name, curve in curves.items() if curve is not None}
        generator = self._attributes.get("_random_state")
        self._words = None if generator is None else words_of(generator)

    def put_back(self, estimator: Any) -> None:
        """Undo a fit, but for what callbacks still need of it to be torn down."""
        attributes = vars(estimator)
        callbacks = {name: value for name, value in attributes.items() if "callback" in name}
        attributes.clear()
        attributes.update(self._attributes | callbacks)
        for name, length in self._lengths.items():
            del attributes[name][length:]
        if self._words is not None:
            put_words(attributes["_random_state"], self._words)
