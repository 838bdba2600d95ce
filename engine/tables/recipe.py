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
    learning_rate_init: float
    weight_decay: float
    average: float
    clip_norm: float
    label_smoothing: float
    validation_fraction: float


def recipe_for(n_rows: int, n_inputs: int) -> Recipe:
    """The defaults for so many training rows and inputs.

    >>> recipe_for(1000, 10).hidden_layer_sizes
    (128, 128)
    """
    steps = math.ceil(n_rows / 256)
    return Recipe(
        n_members=4,
        hidden_layer_sizes=(128, 128),
        n_pieces=48,
        width=16,
        level_width=8,
        batch_size=256 if n_rows >= 4000 else 128 if n_rows >= 1000 else 64,
        max_iter=max(12, min(60, 4000 // steps)),
        n_iter_no_change=16,
        learning_rate_init=3e-3,
        weight_decay=0.03,
        average=0.94,
        clip_norm=1.0,
        label_smoothing=0.0,
        validation_fraction=0.2,
    )
