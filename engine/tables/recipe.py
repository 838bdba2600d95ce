"""The defaults of table estimators: how many networks, how large, and how they are trained.

They depend on the number of training rows and inputs alone. docs/tables-compared.md shows what they
reach on real tables; docs/decisions/ says how they were found.
"""

import math
from typing import NamedTuple


class Recipe(NamedTuple):
    """How the networks of a table are made and trained.

    Attributes
    ----------
    n_members : int
    hidden_layer_sizes : tuple of int
    n_pieces : int
        Of a column of numbers, at most.
    width, level_width : int
        Numbers that a column of numbers becomes; that a category becomes, at most.
    batch_size, max_iter, n_iter_no_change : int
    learning_rate : "constant" or "cosine"
    learning_rate_init, weight_decay, average, clip_norm, label_smoothing : float
    validation_fraction : float
        Of the rows, for each network others.
    """

    n_members: int
    hidden_layer_sizes: tuple[int, ...]
    n_pieces: int
    width: int
    level_width: int
    batch_size: int
    max_iter: int
    n_iter_no_change: int
    learning_rate: str
    learning_rate_init: float
    weight_decay: float
    average: float
    clip_norm: float
    label_smoothing: float
    validation_fraction: float


def recipe_for(n_rows: int, n_inputs: int) -> Recipe:
    """The defaults for so many training rows and inputs.

    >>> recipe_for(1000, 10).hidden_layer_sizes
    (96, 96)
    """
    batch_size = min(max(16, 2 ** round(math.log2(max(n_rows, 16) / 16))), 256, n_rows)
    steps = math.ceil(n_rows / batch_size)
    return Recipe(
        n_members=4,
        hidden_layer_sizes=(96, 96),
        n_pieces=48,
        width=8,
        level_width=8,
        batch_size=batch_size,
        max_iter=200,
        # Twice as many steps as the average looks back on.
        n_iter_no_change=max(4, math.ceil(100 / steps)),
        learning_rate="constant",
        learning_rate_init=2e-3,
        weight_decay=0.03,
        average=0.98,
        clip_norm=1.0,
        label_smoothing=0.0,
        # Fewer rows than these say little about when to stop.
        validation_fraction=min(1 / 3, max(1 / 8, 60 / n_rows)),
    )
