"""The picture of docs/second-order.md: a curve and its interval, wide where there are no data.

python -m tools.fit_with_errors              # draws docs/fit-with-errors.svg anew
python -m tools.fit_with_errors errors.png   # another file, in the format of its ending
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import Inference, Network, inference, train
from engine.plots import INK, TRAINING, new_figure
from tools.quantile_fan import save

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "fit-with-errors.svg"
NETWORK = Network((1, 6, 1), output="identity")


def samples() -> tuple[NDArray[Any], NDArray[Any]]:
    """x, with a gap in the middle, and a noisy curve over it."""
    random = np.random.default_rng(0)
    x = np.concatenate([random.uniform(0, 4, 30), random.uniform(6, 10, 30)])
    return x, np.sin(x) + 0.3 * x + 0.15 * random.normal(size=x.size)


def inputs(x: NDArray[Any]) -> NDArray[Any]:
    """X of the network: x in one row, of mean 0 and about variance 1."""
    return (x[np.newaxis] - 5) / 3


def fitted() -> Inference:
    """Of ten starts the fit with the largest evidence, and what is known of it."""
    x, y = samples()
    given: dict[str, Any] = {"solver": "lm", "alpha": "evidence", "max_iter": 500}
    fits = [train(NETWORK, inputs(x), y, seed=seed, **given) for seed in range(10)]
    best = max(fits, key=lambda fit: fit.log_evidence or -np.inf)
    return inference(NETWORK, best.theta, inputs(x), y, alpha=best.alpha)


def draw(known: Inference, path: Path) -> None:
    """Save the picture: the samples, the fit, and where its mean lies with 90 % probability."""
    x, y = samples()
    grid = np.linspace(0, 10, 201)
    low, high = known.interval(inputs(grid), level=0.9)
    mean = known.predict(inputs(grid))
    assert isinstance(mean, np.ndarray)
    figure = new_figure(7.5, 3.6)
    axes = figure.subplots()
    axes.fill_between(
        grid, low[0], high[0], color=TRAINING, alpha=0.25, linewidth=0, label="90 % interval"
    )
    axes.plot(grid, mean[0], color=TRAINING, linewidth=1.8, label="fit")
    axes.scatter(x, y, s=8, color=INK, linewidths=0, alpha=0.7, label="samples")
    axes.set(xlim=(0, 10), ylim=(-1, 5))
    save(figure, axes, path)


if __name__ == "__main__":
    draw(fitted(), Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
