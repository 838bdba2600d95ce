"""Workers of Dask that are killed in the middle of a fit."""

import contextlib
import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from tools.reliability.lines import Line

ROWS = 30_000
SOLVERS: tuple[dict[str, Any], ...] = (
    {"solver": "lbfgs", "max_iter": 60, "tol": 0.0},
    {"solver": "adam", "batch_size": ROWS, "max_iter": 150, "n_iter_no_change": 10**6},
    {"solver": "gd", "max_iter": 150, "n_iter_no_change": 10**6},
)


def workers_killed(times: int) -> Line:
    """One worker, or all of them, at random moments; the nannies start new ones."""
    import dask.array
    import distributed

    import engine
    from engine import MLPClassifier

    dask_array: Any = dask.array.from_array
    library: Any = distributed
    line = Line(
        "workers of Dask killed",
        "SIGKILL of one of two worker processes, or of both, at random moments of "
        "`engine.distributed.fit`",
    )
    generator = np.random.default_rng(4)
    X = generator.normal(size=(ROWS, 20)).astype(np.float32)
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    both = 0
    for number in range(max(times // 2, 3)):
        settings = SOLVERS[number % len(SOLVERS)]
        with _quiet():
            expected = _bits(MLPClassifier((50,), random_state=0, **settings).fit(X, y))
        rows, codes = (dask_array(array, chunks=4000) for array in (X, y))
        with (
            _quiet(),
            library.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as here,
            library.Client(here) as client,
        ):
            pids = list(client.run(os.getpid).values())
            chosen = pids if number % 3 == 2 else pids[:1]
            killer = threading.Timer(generator.uniform(0.1, 1.2), _kill, [chosen])
            killer.start()
            start = time.monotonic()
            fitted = engine.distributed.fit(
                MLPClassifier((50,), random_state=0, **settings), rows, codes, client=client
            )
            if killer.is_alive():  # the fit was over before
                killer.cancel()
                continue
            line.times += 1
            both += len(chosen) > 1
            line.expect(_bits(fitted) == expected, f"{settings['solver']}: other bits")
            line.expect(time.monotonic() - start < 120, "it took two minutes")
    line.kept = (
        f"the fit went on and ended with the bits of a local one; {both} times both were killed"
    )
    line.lost = "the iteration that was under way, which is computed again"
    return line


def _kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def _bits(estimator: Any) -> tuple[str, list[float]]:
    return estimator.fingerprint_, list(estimator.loss_curve_)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Dask's own words about lost workers are expected here."""
    for name in ("distributed", "distributed.nanny", "distributed.worker"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
