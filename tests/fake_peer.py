"""A contender that misbehaves: scikit-learn's process does what a test says, and trains nobody."""

import shutil
import sys
from pathlib import Path

from engine.comparison.library_processes import PACKAGE, Interpreter, LibraryProcesses

# In place of scikit-learn's job. `calls` counts the calls, from 1.
JOB = """
import os, signal, subprocess, sys, time
import numpy as np

calls = 0

class SklearnJob:
    def __init__(self, task):
        self.task = task

    def prepare(self, epochs, shuffle):
        def run():
            global calls
            calls += 1
            {action}
            return np.asarray(self.task.theta)
        return run

    def parameters(self, result):
        return result
"""


def fake(action, folder, monkeypatch):
    """From now on, scikit-learn's process does that in each call: a line of Python."""
    copy = folder / "copy"
    shutil.copytree(PACKAGE, copy / "engine", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "engine" / "comparison" / "sklearn_job.py").write_text(JOB.format(action=action))
    home = LibraryProcesses.home_of

    def home_of(self, name):
        here = Interpreter(Path(sys.executable), str(copy))
        return here if name == "sklearn" else home(self, name)

    monkeypatch.setattr(LibraryProcesses, "home_of", home_of)


# In place of what fits a library to a table, whichever library it is.
FIT = """

def fit_and_score(name, task, parts, seed, n_threads):
    import os, signal, time

    if name == {name!r} and len(parts[2]) > 200:  # no tiny table
        {action}
    loss = {{"rmse": 1.0 + seed, "r2": 0.5, "log_loss": 1.0, "accuracy": 0.5}}
    return {{**loss, "seconds": 2.0, "predict_seconds": 1.0, "rows": digest(parts)}}
"""


def fake_on_tables(name, action, folder, monkeypatch):
    """From now on no library fits a table, and the one that is named does that in each fit."""
    copy = folder / "copy"
    shutil.copytree(PACKAGE, copy / "engine", ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / "engine" / "comparison" / "table_libraries.py").open("a") as file:
        file.write(FIT.format(name=name, action=action))
    here = Interpreter(Path(sys.executable), str(copy))
    monkeypatch.setattr(LibraryProcesses, "home_of", lambda self, name: here)
