"""The process whose memory is measured: `python -m engine.comparison.memory_probe QUESTION`.

The peak is that of `VmHWM`, set back before the run; where there is no /proc, that of getrusage,
which never falls, so that what came before may hide a part.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.network import Network
from engine.training.trainer import train

STATUS = Path("/proc/self/status")
WARM_UP = 2048  # samples of a run before, which compiles and loads what there is to load


def main(question: str) -> None:
    asked = json.loads(question)
    network = Network(asked["sizes"], output=asked["output"])
    rows, targets = data_of(network, asked["n_samples"], asked["dtype"])

    def run(n_samples: int) -> None:
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


def start_counting() -> int:
    """Resident bytes now; the peak counts from here, where the system lets it be set back."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return peak()
    return _field("VmRSS")


def peak() -> int:
    """The most bytes that were resident."""
    if STATUS.exists():
        return _field("VmHWM")
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _field(name: str) -> int:
    for text in STATUS.read_text().splitlines():
        if text.startswith(f"{name}:"):
            return 1024 * int(text.split()[1])
    raise OSError(f"{STATUS} has no {name}")


if __name__ == "__main__":
    main(sys.argv[1])
