"""The loss that a file names, checked without Numba.

A file holds {"name": "quantile", "numbers": [0.1, 0.9]}, or, of a user's own loss,
{"name": "compiled", "function": "log_cosh", "output": "exp"}; nothing for the loss that belongs to
the output units. `engine.losses.of_json` makes the loss.
"""

import math
from itertools import pairwise
from typing import Any

# The output units of each loss, as in engine/equations/losses.py, which loads Numba.
OUTPUTS = {
    "cross_entropy": ("sigmoid", "softmax"),
    "squared_error": ("identity",),
    "poisson": ("exp",),
    "absolute_error": ("identity",),
    "huber": ("identity",),
    "quantile": ("identity",),
    "gamma": ("exp",),
    "tweedie": ("exp",),
    "compiled": ("identity", "sigmoid", "exp"),
}
LONGEST_NAME = 200  # of a function


def is_loss(found: Any, output: str, n_outputs: int) -> bool:
    """Whether this is a loss for so many output units of that kind."""
    name = found.get("name") if isinstance(found, dict) else None
    if not isinstance(name, str) or output not in OUTPUTS.get(name, ()):
        return False
    if name == "compiled":
        function = found.get("function")
        return (
            found.keys() == {"name", "function", "output"}
            and found["output"] == output
            and isinstance(function, str)
            and function.isprintable()
            and 0 < len(function) <= LONGEST_NAME
        )
    numbers = found.get("numbers")
    if found.keys() != {"name", "numbers"} or not isinstance(numbers, list):
        return False
    if not all(type(number) is float for number in numbers):
        return False
    return _are_numbers_of(name, numbers, n_outputs)


def _are_numbers_of(name: str, numbers: list[float], n_outputs: int) -> bool:
    if name == "quantile":
        between = all(0 < level < 1 for level in numbers)
        rise = all(one < other for one, other in pairwise(numbers))
        return between and rise and len(numbers) in (1, n_outputs)
    if name == "huber":
        return len(numbers) == 1 and 0 < numbers[0] < math.inf
    if name == "tweedie":
        return len(numbers) == 1 and 1 < numbers[0] < 2
    return not numbers


def in_words(loss: dict[str, Any]) -> str:
    """What a person reads of it: "quantile 0.1 0.9"."""
    return " ".join([loss["name"], *map(str, loss.get("numbers", [loss.get("function")]))])
