"""The process whose memory is measured: `python -m engine.comparison.memory_probe QUESTION`."""

import json
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.comparison.resident_memory import peak, start_counting
from engine.network import Network
from engine.training.trainer import train

WARM_UP = 2048  # samples of a run before, which compiles and loads what there is to load


def main(question: str) -> None:
    asked = json.loads(question)
    network = Network(asked["sizes"], output=asked["output"])
    rows, targets = data_of(network, asked["n_samples"], asked["dtype"])

    def run(n_samples: int) -> None:
        if "members" in asked:
            return fit_members(asked, rows[:n_samples], targets[:n_samples])
        train(
            network,
            rows[:n_samples].T,
            targets[:n_samples],
            solver=asked["solver"],
            batch_size=asked["batch_size"],
            max_iter=2,
            n_threads=asked["n_threads"],
        )

    run(WARM_UP)
    before = start_counting()
    run(asked["n_samples"])
    print(json.dumps({"data": rows.nbytes + targets.nbytes, "extra": peak() - before}))


def fit_members(asked: dict[str, Any], X: NDArray[Any], y: NDArray[Any]) -> None:
    """An epoch of that many estimators, fitted together."""
    # Here, so that a process which trains by `train` does not load them.
    from engine.comparison.estimator_agreement import silent
    from engine.comparison.many_jobs import estimators_of
    from engine.comparison.problems import Problem, TrainingTask
    from engine.many.many_estimators import fit_many

    problem = Problem(tuple(asked["sizes"]), len(X), asked["batch_size"], asked["output"])
    task = TrainingTask(problem, asked["dtype"], members=asked["members"])
    with silent():
        fit_many(estimators_of(task, epochs=1), X, y, n_threads=asked["n_threads"])


def data_of(network: Network, n_samples: int, dtype: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Random data in the layout and types that the engine takes as they are."""
    generator = np.random.default_rng(0)
    rows = np.empty((n_samples, network.sizes[0]), dtype)
    for start in range(0, n_samples, WARM_UP):  # in parts: nothing large is left behind
        part = rows[start : start + WARM_UP]
        part[:] = generator.standard_normal(part.shape)
    if network.output == "softmax":
        return rows, generator.integers(network.sizes[-1], size=n_samples, dtype=np.int64)
    return rows, generator.integers(2, size=n_samples).astype(dtype)


if __name__ == "__main__":
    main(sys.argv[1])
