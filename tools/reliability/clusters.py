"""Workers of Dask, and clients, that are killed in the middle of a fit."""

import contextlib
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.tables.messages import counted
from tools.reliability.commands import killed
from tools.reliability.lines import Line

ROWS, PARTITION = 30_000, 4000
SECONDS = 4.0  # that the process of a client takes, about, its start included
SOLVERS: tuple[dict[str, Any], ...] = (
    {"solver": "lbfgs", "max_iter": 60, "tol": 0.0},
    {"solver": "adam", "batch_size": ROWS, "max_iter": 150, "n_iter_no_change": 10**6},
    {"solver": "gd", "max_iter": 150, "n_iter_no_change": 10**6},
)


def workers_killed(times: int) -> Line:
    """One worker, or all of them, at random moments; the nannies start new ones."""
    import dask.array

    import engine

    dask_array: Any = dask.array.from_array
    line = Line(
        "workers of Dask killed",
        "SIGKILL of one of two worker processes, or of both, at random moments of "
        "`engine.distributed.fit`",
    )
    generator = np.random.default_rng(4)
    both = 0
    for number in range(max(times // 2, 3)):
        settings = SOLVERS[number % len(SOLVERS)]
        expected = expected_bits(settings)
        rows, codes = (dask_array(array, chunks=PARTITION) for array in table())
        with quiet(), cluster_of_two() as client:
            pids = list(client.run(os.getpid).values())
            chosen = pids if number % 3 == 2 else pids[:1]
            killer = threading.Timer(generator.uniform(0.1, 1.2), _kill, [chosen])
            killer.start()
            start = time.monotonic()
            fitted = engine.distributed.fit(asked(settings), rows, codes, client=client)
            if killer.is_alive():  # the fit was over before
                killer.cancel()
                continue
            line.times += 1
            both += len(chosen) > 1
            line.expect(bits_of(fitted) == expected, f"{settings['solver']}: other bits")
            line.expect(time.monotonic() - start < 120, "it took two minutes")
    line.kept = (
        f"the fit went on and ended with the bits of a local one; {both} times both were killed"
    )
    line.lost = "the iteration that was under way, which is computed again"
    return line


def client_killed(times: int) -> Line:
    """SIGKILL at random moments of the process that asks for the fit; the workers live on."""
    line = Line(
        "client of Dask killed",
        "SIGKILL at random moments of a process in `engine.distributed.fit` with a checkpoint; "
        "started again",
    )
    generator = np.random.default_rng(6)
    runs = 0
    with quiet(), cluster_of_two() as client:
        while line.times < max(times // 4, 3):
            settings = SOLVERS[runs % len(SOLVERS)]
            runs += 1
            with tempfile.TemporaryDirectory() as folder:
                given = [client.scheduler.address, json.dumps(settings), f"{folder}/run.ckpt"]
                for _ in range(4):
                    if not killed(_started(given), generator.uniform(0.4, 1.2) * SECONDS):
                        break
                    line.times += 1
                said, complained = _started(given).communicate()
                line.expect(said.strip() == expected_bits(settings), complained[-300:] or said)
    line.kept = f"{counted(runs, 'fit')} ended with the bits of one here that was not disturbed"
    line.lost = "the start-up of each process, and the iterations since its last checkpoint"
    return line


def _started(given: list[str]) -> "subprocess.Popen[str]":
    """A client in a process of its own."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-m", __name__, *given], **pipes)


def fitted_as_often_kept(address: str, settings: dict[str, Any], path: Path) -> str:
    """The bits of a fit that keeps what it reaches as often as it can."""
    import dask.array
    import distributed

    import engine
    from engine import Checkpoint

    library: Any = distributed
    dask_array: Any = dask.array.from_array
    with quiet(), library.Client(address) as client:
        rows = [dask_array(array, chunks=PARTITION) for array in table()]
        estimator = asked(settings).set_params(checkpoint=Checkpoint(path, seconds=0))
        return bits_of(engine.distributed.fit(estimator, *rows, client=client))


def table() -> tuple[Any, Any]:
    """Rows to learn from."""
    X = np.random.default_rng(4).normal(size=(ROWS, 20)).astype(np.float32)
    return X, (X[:, 0] * X[:, 1] > 0).astype(int)


def asked(settings: dict[str, Any]) -> Any:
    """The estimator that is to be fitted."""
    from engine import MLPClassifier

    return MLPClassifier(hidden_layer_sizes=(50,), random_state=0, **settings)


def expected_bits(settings: dict[str, Any]) -> str:
    """Those of a fit here."""
    with quiet():
        return bits_of(asked(settings).fit(*table()))


def bits_of(estimator: Any) -> str:
    """Of the parameters and all losses, as text."""
    losses = hashlib.sha256(np.array(estimator.loss_curve_).tobytes()).hexdigest()
    return f"{estimator.fingerprint_} {losses}"


@contextlib.contextmanager
def cluster_of_two() -> Iterator[Any]:
    """The client of two worker processes of a thread each."""
    import distributed

    library: Any = distributed
    with (
        library.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as here,
        library.Client(here) as client,
    ):
        yield client


def _kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Dask's own words about lost workers and clients are expected here."""
    for name in ("", ".core", ".nanny", ".scheduler", ".worker"):
        logging.getLogger(f"distributed{name}").setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


if __name__ == "__main__":
    print(fitted_as_often_kept(sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3])))
