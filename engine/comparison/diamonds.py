"""The diamonds of a published study of optimisers, on the study's own rows.

"Benchmarking Optimizers for MLPs in Tabular Deep Learning" (arXiv 2604.15297, 2026) and its
repository, yandex-research/tabular-dl-optimizers, publish scores of tuned networks with their
seconds on an A100. Price is standardised over all 53,940 rows; 20 % are test rows, 16 % validation
rows, by which the study's networks were tuned and stopped, and 64 % training rows.
"""

from typing import Any, NamedTuple

from engine.comparison.table_sets import load, named

STUDY = "diamonds (study)"
SOURCE = "https://github.com/yandex-research/tabular-dl-optimizers at c34e331; arXiv 2604.15297"


class Published(NamedTuple):
    """A row of the study: RMSE, mean and deviation of 10 seeds; seconds of its first seeds."""

    model: str
    optimiser: str
    rmse: float
    deviation: float
    seconds: tuple[float, float] | None


PUBLISHED = (
    Published("MLP", "AdamW", 0.1380, 0.0011, None),
    Published("MLP", "AdamW, averaged", 0.1380, 0.0006, None),
    Published("MLP", "Muon", 0.1396, 0.0018, None),
    Published("MLP", "Muon, averaged", 0.1365, 0.0015, None),
    Published("MLP with piecewise-linear embeddings", "AdamW", 0.1323, 0.0007, (12, 14)),
    Published("MLP with piecewise-linear embeddings", "AdamW, averaged", 0.1308, 0.0006, (11, 15)),
    Published("MLP with piecewise-linear embeddings", "Muon", 0.1299, 0.0005, (78, 93)),
    Published("TabM", "AdamW", 0.1329, 0.0009, (95, 132)),
    Published("TabM", "AdamW, averaged", 0.1306, 0.0003, (75, 99)),
    Published("TabM", "Muon", 0.1325, 0.0007, None),
    Published("TabM with piecewise-linear embeddings", "AdamW", 0.1302, 0.0004, (38, 47)),
    Published("TabM with piecewise-linear embeddings", "AdamW, averaged", 0.1309, 0.0005, None),
    Published("TabM with piecewise-linear embeddings", "Muon", 0.1299, 0.0005, (18, 22)),
)


def study_rows() -> tuple[Any, Any, Any, Any]:
    """The study's training and test rows; its validation rows are left out.

    Returns
    -------
    X_train, X_test, y_train, y_test
    """
    from sklearn.model_selection import train_test_split

    X, y = load(named("diamonds"))
    y = (y - y.mean()) / y.std(ddof=0)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.2, random_state=0)
    X_train, _, y_train, _ = train_test_split(X, y, test_size=0.2, random_state=1)
    return X_train, X_test, y_train, y_test
