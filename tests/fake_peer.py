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
