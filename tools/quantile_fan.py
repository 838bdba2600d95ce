"""The picture of docs/losses.md: five quantiles of a noisy wave, all from one network.

python -m tools.quantile_fan            # draws docs/quantile-fan.svg anew
python -m tools.quantile_fan fan.png    # another file, in the format of its ending
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import Network, losses, train
from engine.plots import GRID, INK, MUTED, TRAINING, new_figure, quiet

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "quantile-fan.svg"
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
NETWORK = Network((1, 16, 16, 5), output="identity", loss=losses.Quantile(LEVELS))


def wave(n_samples: int = 400) -> tuple[NDArray[Any], NDArray[Any]]:
    """x, and a sine of x with noise that grows with x and has heavy tails."""
    random = np.random.default_rng(0)
    x = random.uniform(0, 10, n_samples)
    return x, np.sin(x) + (0.1 + 0.1 * x) * random.standard_t(4, n_samples)


def inputs(x: NDArray[Any]) -> NDArray[Any]:
    """X of the network: x in one row, of mean 0 and variance 1."""
    return (x[np.newaxis] - 5) / 3


def fitted(max_iter: int = 400) -> NDArray[Any]:
    """The parameters of the network after training on the wave."""
    x, y = wave()
    given: dict[str, Any] = {"learning_rate": 0.01, "schedule": "adaptive", "tol": 1e-4}
    given |= {"batch_size": 32, "alpha": 0.05, "max_iter": max_iter}
    theta: NDArray[Any] = train(NETWORK, inputs(x), y, **given).theta
    return theta


def save(figure: Any, axes: Any, path: Path) -> None:
    """Save a picture of y over x, with the same bytes each time."""
    import matplotlib

    axes.set(xlabel="x", ylabel="y")
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_color(MUTED)
    axes.grid(True, color=GRID, linewidth=0.6)
    axes.legend(frameon=False, ncols=4, loc="upper left", fontsize=9)
    quiet(axes)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "engine"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def draw(theta: NDArray[Any], path: Path) -> None:
    """Save the picture: the samples, the median, and a band for each pair of levels."""
    x, y = wave()
    grid = np.linspace(0, 10, 201)
    quantiles = NETWORK.forward(theta, inputs(grid))
    figure = new_figure(7.5, 3.6)
    axes = figure.subplots()
    for below, above, alpha, label in ((0, 4, 0.15, "5 % to 95 %"), (1, 3, 0.3, "25 % to 75 %")):
        band = quantiles[below], quantiles[above]
        axes.fill_between(grid, *band, color=TRAINING, alpha=alpha, linewidth=0, label=label)
    axes.plot(grid, quantiles[2], color=TRAINING, linewidth=1.8, label="median")
    axes.scatter(x, y, s=5, color=INK, linewidths=0, alpha=0.6, label="samples")
    axes.set(xlim=(0, 10), ylim=(-4.5, 4.5))
    save(figure, axes, path)


if __name__ == "__main__":
    draw(fitted(), Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
