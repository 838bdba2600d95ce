"""The regression gate: which commits it compares, how it goes about it, and how it ends."""

import pytest

from tests.repositories import committed, git
from tools import asv_runs, gate
from tools.gate_table import REPAIRED, SAME, SLOWER, Comparison

pytestmark = pytest.mark.compiled


# Which commits.


@pytest.fixture
def repository(tmp_path):
    """A repository with three empty commits on main."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    for subject in ("one", "two", "three"):
        committed(folder, subject)
    return folder


def test_a_branch_is_compared_with_the_commit_where_it_left_main(repository):
    left_at = git(repository, "rev-parse", "main")
    git(repository, "switch", "--quiet", "--create", "work")
    committed(repository, "work")
    head = committed(repository, "more work")
    git(repository, "switch", "--quiet", "main")
    committed(repository, "main goes on")
    assert gate.base_of(head, repository) == left_at


def test_a_commit_of_main_is_compared_with_the_one_before(repository):
    head = git(repository, "rev-parse", "main")
    assert gate.base_of(head, repository) == git(repository, "rev-parse", "main~1")


def test_where_main_was_pulled_later_than_origin_s_the_branch_left_origin_s(repository, tmp_path):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    left_at = git(clone, "rev-parse", "origin/main")
    head = committed(clone, "on the clone's main")
    assert gate.base_of(head, clone) == left_at


def test_the_first_commit_has_nothing_to_be_compared_with(repository):
    first = git(repository, "rev-list", "--max-parents=0", "main")
    with pytest.raises(asv_runs.CannotRun, match=r"no commit before it: pass --base"):
        gate.base_of(first, repository)


def test_a_shallow_clone_is_refused_with_the_remedy(repository, tmp_path):
    clone = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repository}", str(clone))
    with pytest.raises(asv_runs.CannotRun, match=r"shallow.*git fetch --unshallow.*fetch-depth: 0"):
        asv_runs.require_history(clone)


def test_a_clone_without_main_is_refused_with_the_remedy(repository):
    git(repository, "branch", "--move", "main", "trunk")
    with pytest.raises(asv_runs.CannotRun, match="git branch main origin/main"):
        asv_runs.require_history(repository)


def test_a_clone_that_has_origin_s_main_alone_is_compared_with_that(repository, tmp_path):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    left_at = git(clone, "rev-parse", "main")
    git(clone, "switch", "--quiet", "--detach")
    git(clone, "branch", "--delete", "--force", "main")
    asv_runs.require_whole_clone(clone)
    assert gate.base_of(committed(clone, "work"), clone) == left_at


def test_where_no_main_is_known_the_gate_asks_for_one(repository):
    git(repository, "branch", "--move", "main", "trunk")
    with pytest.raises(
        asv_runs.CannotRun, match=r"neither origin/main nor main.*git fetch.*--base"
    ):
        gate.base_of(git(repository, "rev-parse", "trunk"), repository)


def test_a_folder_that_is_no_clone_is_refused(tmp_path):
    with pytest.raises(asv_runs.CannotRun, match=r"not a clone.*safe\.directory"):
        asv_runs.require_history(tmp_path)


def test_an_unknown_commit_is_refused_by_its_name(repository):
    with pytest.raises(asv_runs.CannotRun, match="no commit 'abc123'"):
        asv_runs.commit("abc123", repository)


def test_a_whole_history_is_accepted(repository):
    asv_runs.require_history(repository)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--base", "HEAD"], "nothing to compare"),
        (["--base", "nonsense"], "no commit 'nonsense'"),
        (["--factor", "0.9"], "must be above 1"),
        (["--factor", "much"], "invalid float value: 'much'. What there is: python -m tools.gate"),
        (["--summary", "no/such/folder/s.md"], "there is no folder"),
    ],
)
def test_what_cannot_be_compared_ends_with_status_3_and_a_message(
    arguments, message, repository, monkeypatch, capsys
):
    for module in (asv_runs, gate):
        monkeypatch.setattr(module, "ROOT", repository)
    monkeypatch.setattr(gate, "require_whole_clone", lambda: None)
    monkeypatch.setattr(gate, "commit", lambda name: asv_runs.commit(name, repository))
    assert asv_runs.told(gate.main, arguments) == 3
    assert message in capsys.readouterr().err


def test_an_error_in_the_gate_itself_is_not_taken_for_a_slow_down(monkeypatch, capsys):
    monkeypatch.setattr(gate, "require_whole_clone", lambda: 1 / 0)
    assert asv_runs.told(gate.main, []) == 4
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_the_help_documents_the_statuses(capsys):
    with pytest.raises(SystemExit):
        gate.main(["--help"])
    told = capsys.readouterr().out
    assert all(f"\n  {number}  " in told for number in range(5))


# How it goes about it, with measurements made up.


@pytest.fixture
def measurements(repository, monkeypatch, tmp_path):
    """The repository in place of this one; what the first and the second measurement find."""
    made: dict[str, list[Comparison] | Exception] = {}

    def measured(base, head, bench, factor, turn):
        found = made[turn]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(gate, "FOLDER", tmp_path / ".asv")
    monkeypatch.setattr(gate, "require_whole_clone", lambda: None)
    monkeypatch.setattr(gate, "commit", lambda name: asv_runs.commit(name, repository))
    monkeypatch.setattr(
        gate, "git", lambda *words, root=repository: asv_runs.git(*words, root=root)
    )
    monkeypatch.setattr(gate, "base_of", lambda head: git(repository, "rev-parse", "main~1"))
    monkeypatch.setattr(gate, "measured", measured)
    return made


TWICE = Comparison("fits.time", "seconds", 1.0, 2.0, SLOWER)
ALIKE = Comparison("fits.time", "seconds", 1.0, 1.05, SAME)


def test_a_neighbour_on_the_machine_does_not_fail_the_gate(measurements, capsys):
    measurements.update(first=[TWICE], second=[ALIKE])
    assert gate.main([]) == 0
    assert "| not confirmed | fits.time | 1.00s | 2.00s | 2.00, again 1.05 |" in (
        capsys.readouterr().out
    )


def test_a_slow_down_found_twice_fails_the_gate(measurements):
    measurements.update(first=[TWICE], second=[TWICE])
    assert gate.main([]) == 1


def test_where_the_second_measurement_fails_the_first_is_told_and_counts(measurements, capsys):
    measurements.update(first=[TWICE], second=asv_runs.CannotRun("no room on the disk"))
    assert gate.main([]) == 1
    told = capsys.readouterr().out
    assert "the first one counts: no room on the disk" in told
    assert "| **slower** | fits.time |" in told


def test_why_nothing_was_compared_stands_in_the_summary_too(measurements, tmp_path):
    summary = tmp_path / "summary.md"
    measurements.update(first=asv_runs.CannotRun("asv ended with status 1"))
    assert asv_runs.told(gate.main, ["--summary", str(summary)]) == 3
    assert "nothing was compared\n\nasv ended with status 1" in summary.read_text()


def test_a_base_that_has_no_number_at_all_is_no_reason_to_pass(measurements, capsys):
    measurements.update(first=[Comparison("fits.time", "seconds", None, 1.0, REPAIRED)])
    assert gate.main([]) == 3
    told = capsys.readouterr().out
    assert "nothing could be compared, as none of 1 benchmarks has both numbers" in told
    assert told.rstrip().endswith("(status 3)")
