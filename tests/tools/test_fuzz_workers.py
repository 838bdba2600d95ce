"""tools/fuzz_workers.py: what crashes, hangs or takes memory is counted as a failure."""

import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tools import fuzz_workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as on Linux")


def abort() -> None:
    os.abort()


def leave() -> None:
    os._exit(0)


def take_memory() -> None:
    bytearray(1 << 30)


def hang() -> None:
    while True:
        pass


FAULTS = (abort, leave, take_memory, hang)
N_FILES = len(FAULTS) + 2


class File(NamedTuple):
    """A file that is tried."""

    ending: str
    kind: str
    content: bytes
    whole: Path


class FaultyTrials:
    """Files of which the first ones have a fault each."""

    def prepare(self) -> None:
        """There is nothing to prepare."""

    def case_of(self, number: int) -> File:
        return File(".txt", str(number), b"content", Path("whole.txt"))

    def outcome_of(self, case: File, folder: Path) -> tuple[str, str]:
        number = int(case.kind)
        try:
            if number < len(FAULTS):
                FAULTS[number]()
        except BaseException as error:
            return fuzz_workers.failure_of(error)
        return fuzz_workers.REFUSED, ""


def trials_in(folder: Path, seed: int) -> FaultyTrials:
    return FaultyTrials()


@pytest.fixture
def command_and_published(tmp_path, monkeypatch):
    """A command on faulty trials, and the outcomes that it has published."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fuzz_workers, "FEW_THREADS", {})
    published: list[Any] = []
    return fuzz_workers.Command("fuzz", "Try.", N_FILES, trials_in, published.append), published


@pytest.mark.proof
def test_a_process_that_crashes_hangs_or_takes_memory_is_found(
    command_and_published, tmp_path, capsys
):
    command, published = command_and_published
    arguments = ["--jobs", "1", "--seconds", "0.5", "--json", "counts/fuzz.json"]
    assert command.run(arguments) == 1
    counts = json.loads((tmp_path / "counts" / "fuzz.json").read_text())
    assert counts["outcomes"] == {"FAILURE": len(FAULTS), "refused": N_FILES - len(FAULTS)}
    reasons = [failure["reason"] for failure in counts["failures"]]
    assert reasons == [
        "the process ended with -6",
        "the process ended early",
        "MemoryError: ",
        "took longer than it may",
    ]
    for failure in counts["failures"]:
        assert (tmp_path / failure["file"]).read_bytes() == b"content"
    assert [outcomes["failures"] for outcomes in published] == [counts["failures"]]
    assert f"{N_FILES} files, seed 0" in capsys.readouterr().out


def test_only_all_files_of_the_usual_seed_are_published(command_and_published, monkeypatch):
    command, published = command_and_published
    monkeypatch.setattr(fuzz_workers, "tried", lambda *_: {"failures": []})
    monkeypatch.setattr(fuzz_workers, "report", lambda outcomes: "")
    assert [command.run(["--files", "1"]), command.run(["--seed", "1"])] == [0, 0]
    assert published == []
    assert command.run([]) == 0
    assert published == [{"failures": []}]
