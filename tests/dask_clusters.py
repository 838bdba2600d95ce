"""Clusters of Dask for tests: a scheduler and workers begun by hand, and what a client receives."""

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

from distributed import Client, LocalCluster
from distributed.comm import tcp

from tests import grid_sample
from tests.processes import Changes, environment

SECONDS = 60


@contextlib.contextmanager
def two_workers():
    """The client of two workers of a thread each: in this process, or processes for the proofs."""
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=grid_sample.size_of_sample() is None,
            dashboard_address="127.0.0.1:0",
        ) as two,
        Client(two, set_as_default=False) as one,
    ):
        yield one


@contextlib.contextmanager
def by_hand(folder: Path, n_workers: int, nanny: bool = False, changes: Changes | None = None):
    """`dask scheduler` and so many `dask worker` of one thread, on the loopback address.

    `changes` are of the workers' environment.
    """
    described = folder / "scheduler.json"
    common = {
        "cwd": folder,
        "env": environment(),
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    command = [sys.executable, "-m", "dask"]
    scheduler = [*command, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    processes = [subprocess.Popen([*scheduler, "--scheduler-file", str(described)], **common)]
    try:
        end = time.monotonic() + SECONDS
        while not described.exists() or not described.read_text():
            assert time.monotonic() < end, "no scheduler"
            time.sleep(0.1)
        address = json.loads(described.read_text())["address"]
        worker = [*command, "worker", address, "--nthreads", "1", "--no-dashboard"]
        worker += ["--host", "127.0.0.1", "--nanny" if nanny else "--no-nanny"]
        common["env"] = environment(changes)
        processes += [subprocess.Popen(worker, **common) for _ in range(n_workers)]
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(n_workers, timeout=SECONDS)
            yield client, processes
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


class Received:
    """Bytes that this process receives over connections of Dask."""

    def __init__(self, monkeypatch):
        self.n_bytes = 0
        original = vars(tcp)["from_frames"]

        async def counted(frames, *arguments, **named):
            self.n_bytes += sum(getattr(frame, "nbytes", len(frame)) for frame in frames)
            return await original(frames, *arguments, **named)

        monkeypatch.setattr(tcp, "from_frames", counted)
