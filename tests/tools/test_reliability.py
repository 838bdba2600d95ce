"""tools/reliability/: each fault a few times, and an engine that is broken, which must be seen."""

import contextlib
import json
import os
from collections import Counter
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import pytest

from engine.training.checkpoint import Keeper
from engine.training.checkpoint_restoration import Restoring
from engine.training.checkpoint_verifier import Verifier
from engine.training.lbfgs_evaluation_log import EvaluationLog
from tests import processes
from tools.reliability import disks, kills, saved_models
from tools.reliability.__main__ import COST, FIGURES_OF_FAULTS, PAGE
from tools.reliability.__main__ import FAULTS as FAULTS_OF_THE_TOOL
from tools.reliability.jobs import Job, trained
from tools.reliability.lines import Line, table_of

pytestmark = pytest.mark.compiled

FAULTS = [
    "sigkill",
    "ctrl_c",
    "full_disk",
    "lost_permission",
    "failing_calls",
    "two_processes",
    "fork",
    "memory",
    "saving_killed",
    "saving_fails",
]


@pytest.mark.proof
def test_no_fault_costs_more_than_it_should(tmp_path):
    """In a process of its own: forks and limits are nothing for this one."""
    figures = tmp_path / "lines.json"
    asked = ["-m", "tools.reliability", *FAULTS, "--times", "4", "--json", figures]
    done = processes.run(*asked)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    lines = json.loads(figures.read_text())
    assert [bool(line["times"]) for line in lines] == [True] * len(FAULTS)
    assert done.stdout.count("\n| ") == len(FAULTS) + 1


@pytest.mark.proof
def test_ctrl_c_does_no_harm_at_any_line():
    done = processes.run("-m", "tools.reliability", "ctrl_c_everywhere", "--times", "2")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


@pytest.mark.proof
def test_a_fault_that_is_not_known_is_refused():
    done = processes.run("-m", "tools.reliability", "earthquake")
    assert done.returncode == 1
    assert "no fault is called 'earthquake'; there are sigkill," in done.stderr


def killed_with(name: str, broken: str, tries: int) -> list[str]:
    """What killing a job finds of an engine that is broken; up to so many tries.

    On a busy machine, each process may be killed before it has written anything: the fewer kills,
    the later they come.
    """
    restored, go_on = Restoring.state, EvaluationLog.next

    def without_moments(self, arrays, prefix):
        state = restored(self, arrays, prefix)
        state.first[:] = 0
        return state

    def less_exact(self, theta):
        self._exact = False  # nor is the last one computed once more
        found = go_on(self, theta)
        return found._replace(cost=float(np.float32(found.cost)))

    def never(self, *_):
        return None

    unverified = mock.patch.object(Verifier, "require", never)
    breaks: dict[str, Any] = {
        "moments": mock.patch.object(Restoring, "state", without_moments),
        "evaluations": mock.patch.object(EvaluationLog, "next", less_exact),
        "nothing": mock.patch.object(Keeper, "interrupted", never),
    }
    line = Line("", "")
    job = Job(name, partial(trained, name, "float64"))
    with breaks[broken], unverified:
        for seed, times in enumerate((4, 2, 1, 1)[:tries]):
            if not line.failures:
                kills._kill_until_it_ends(job, times, np.random.default_rng(seed), Counter(), line)
    return line.failures


@pytest.mark.proof
@pytest.mark.parametrize(
    ("name", "broken", "found"),
    [
        ("adam, minibatches, validated", "moments", True),
        ("lbfgs", "evaluations", True),
        ("adam, minibatches, validated", "nothing", False),
        ("lbfgs", "nothing", False),
    ],
)
def test_an_engine_that_resumes_wrongly_is_found_out(name, broken, found):
    failures = processes.result_of(killed_with, name, broken, 4 if found else 1)
    assert any("other bits" in failure for failure in failures) == found


def filled_with_a_broken_writer() -> list[str]:
    """What a full disk finds of a writer that writes in place."""

    def in_place(path, previous, write):
        with path.open("wb") as file:
            write(file)

    with mock.patch("engine.training.checkpoint_files.replace_keeping", in_place):
        return disks.full_disk(2).failures


@pytest.mark.proof
def test_a_writer_that_damages_the_file_before_is_found_out():
    failures = processes.result_of(filled_with_a_broken_writer)
    assert any("the checkpoint before is damaged" in failure for failure in failures)


def saved_with_a_broken_writer() -> list[list[str]]:
    """What kills and full disks find of a `save` that writes in place."""

    @contextlib.contextmanager
    def in_place(path):
        with path.open("wb", buffering=0) as file:
            yield file
            os.fsync(file.fileno())

    with mock.patch("engine.system.atomic_files.replacing", in_place):
        return [saved_models.saving_killed(30).failures, saved_models.saving_fails(1).failures]


@pytest.mark.proof
def test_a_save_that_damages_the_older_model_is_found_out():
    killed, failed = processes.result_of(saved_with_a_broken_writer)
    assert any("half a file" in failure for failure in killed)
    assert any("the older file is damaged" in failure for failure in failed)


def test_a_line_says_what_failed():
    line = Line("a fault", "by hand", 3, "all of it", "nothing")
    assert table_of([line]).endswith("| a fault | by hand | 3 | all of it | nothing |")
    line.expect(False, "one | run: other bits")
    assert table_of([line]).endswith("| **1 FAILED**: one / run: other bits |")


def test_the_page_shows_what_the_command_has_seen():
    """Each fault once, as it was last provoked in full."""
    known = json.loads(FIGURES_OF_FAULTS.read_text())
    assert set(known) == {*FAULTS_OF_THE_TOOL, COST}
    page = PAGE.read_text()
    lines = [Line(**known[name]) for name in FAULTS_OF_THE_TOOL]
    assert not any(line.failures for line in lines)
    assert f"<!-- faults -->\n{table_of(lines)}\n<!-- end of faults -->" in page
    assert f"<!-- cost -->\n{known[COST]}\n<!-- end of cost -->" in page
