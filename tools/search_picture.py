"""The picture of a search by halving: which candidates stay, and what they score.

python -m tools.search_picture             # draws docs/search.svg anew
python -m tools.search_picture search.png  # another file, in the format of its ending
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from sklearn.datasets import load_digits

from engine import MLPClassifier
from engine.comparison.estimator_agreement import silent
from engine.model_selection import HalvingGridSearchCV
from engine.plots import search_figure

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "search.svg"
GRID = {
    "hidden_layer_sizes": [(8,), (16,), (32,), (64,)],
    "learning_rate_init": [0.0003, 0.001, 0.003, 0.01, 0.03],
}


def found(n_rows: int | None = None) -> Mapping[str, Any]:
    """`cv_results_` of 20 candidates on the digits, of which a third stays after each round."""
    X, y = load_digits(return_X_y=True)
    model = MLPClassifier(batch_size=64, random_state=0, n_threads=1)
    search = HalvingGridSearchCV(
        model, GRID, resource="max_iter", min_resources=3, max_resources=27, cv=3, random_state=0
    )
    with silent():  # that the epochs are few
        search.fit(X[:n_rows] / 16, y[:n_rows])
    results: Mapping[str, Any] = search.cv_results_
    return results


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Save the picture, with the same bytes each time."""
    figure = search_figure(results, "digits: accuracy; epochs tripled for the best third")
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "engine"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    draw(found(), Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
