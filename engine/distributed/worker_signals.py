"""Loaded by workers of a cluster of our own: Ctrl-C is for the client, which ends them."""

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """A terminal sends SIGINT to all processes of a command: here it is passed over."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
