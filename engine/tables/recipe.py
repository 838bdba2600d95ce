"""The defaults of table estimators: how many networks, how large, and how they are trained.

They depend on the number of training rows alone. docs/tables-compared.md shows what they
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


def recipe_for(n_rows: int) -> Recipe:
    """The defaults for so many training rows.

    >>> recipe = recipe_for(1000)
    >>> recipe.hidden_layer_sizes, recipe.batch_size, recipe.n_iter_no_change
    ((96, 96), 32, 4)
    >>> [recipe_for(n_rows).max_iter for n_rows in (300, 16_000, 40_000, 1_000_000)]
    [200, 100, 50, 30]
    """
    few, many = n_rows < 400, n_rows >= 25_000
    batch_size = 2 ** round(math.log2(max(n_rows, 64) / 64))
    batch_size = min(max(16 if few else 32, batch_size), 256, n_rows)
    steps = math.ceil(n_rows / batch_size)  # of an epoch
    units = min(max(96, 32 * round(3 * (n_rows / 5000) ** 0.25)), 160)
    return Recipe(
        n_members=4 if few else 2 if many else 3,
        hidden_layer_sizes=(units, units),
        n_pieces=min(max(12, round(n_rows / 32)), 48) if n_rows < 20_000 else 128,
        width=8 if n_rows < 20_000 else 16,
        level_width=8,
        batch_size=batch_size,
        max_iter=200 if few else min(max(30, round(2_000_000 / n_rows)), 100),
        n_iter_no_change=max(6, math.ceil(200 / steps)) if few else 6 if many else 4,
        learning_rate="constant",
        learning_rate_init=2e-3 if few else 4e-3 * min(1.0, (5000 / n_rows) ** (1 / 3)),
        weight_decay=0.1,
        average=0.98 if few else 0.99,
        clip_norm=1.0,
        label_smoothing=0.0,
        # Fewer rows than these say little about when to stop.
        validation_fraction=min(1 / 3, max(1 / 8, 40 / n_rows)),
    )
