"""KeyboardInterrupt at a chosen line; what a fit leaves that is interrupted after some steps."""

import linecache
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

import engine
from engine.estimators.training import FitUnderWay

FOLDER = Path(engine.__file__).parent


def source_of(frame):
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno)


class Interruption:
    """A trace function that raises KeyboardInterrupt at lines of these rooms; it counts them."""

    def __init__(self, rooms, at=()):
        self._rooms = tuple(str(FOLDER / room) + os.sep for room in rooms)
        self._at = at
        self.count = 0

    def __call__(self, frame, event, argument):
        return self.line if frame.f_code.co_filename.startswith(self._rooms) else None

    def line(self, frame, event, argument):
        # A signal never comes between the end of a `with` and the release of its lock.
        if event == "line" and "with self._lock" not in source_of(frame):
            self.count += 1
            if self.count in self._at:
                raise KeyboardInterrupt
        return self.line


def interrupted(call, interruption):
    """Make a call under a trace function; whether it raised KeyboardInterrupt."""
    before = sys.gettrace()
    sys.settrace(interruption)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def stopped_after(member, n_steps, recorded, **rows):
    """A member whose own fit was interrupted after that many steps.

    That is before or after the epoch was recorded that may have ended with the last of them.
    """
    fit = FitUnderWay(member._fitting(rows["X"], rows["y"], None))
    fit.begin()
    run: Any = fit.run
    solver = run.solver
    while solver.n_steps < n_steps:
        rows_of_epoch = np.empty((1, 2))
        solver.begin_slice(rows_of_epoch)
        left = n_steps - solver.n_steps
        ended = solver._steps.advance(solver.state, solver.settings, left, 1, rows_of_epoch)
        solver.confirm_slice()
        progress = solver.end_slice(ended)
        if recorded or solver.n_steps < n_steps:
            run.took(progress)
    fit.interrupt()
    return member
