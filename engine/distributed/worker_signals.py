"""Loaded by workers of a cluster that `fit` started: Ctrl-C is for the client, which ends them."""

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Ignore SIGINT, which a terminal sends to all processes of a command."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
