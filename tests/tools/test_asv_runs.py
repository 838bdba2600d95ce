"""tools/asv_runs.py: asv finds this project's machine, settings and history, and no user's home."""

import json
import os
import platform
from pathlib import Path

import pytest

from engine.comparison.machine import processor_name
from tools import asv_runs

pytestmark = pytest.mark.compiled


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of its own in place of .asv/, and a user's home with files of theirs."""
    home = tmp_path / "home of the user"
    home.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setattr(asv_runs, "FOLDER", tmp_path / ".asv")
    return tmp_path / ".asv"


def machines(folder: Path):
    return json.loads((folder / "home" / ".asv-machine.json").read_text(encoding="utf-8"))


def test_a_machine_is_told_by_what_a_figure_depends_on(folder):
    asv_runs.describe_machine("quiet")
    assert machines(folder) == {
        "version": 1,
        "quiet": {
            "machine": "quiet",
            "os": platform.system(),
            "arch": platform.machine(),
            "cpu": processor_name(),
            "num_cpu": str(os.cpu_count()),
            "ram": "",
        },
    }
    assert platform.release() not in json.dumps(machines(folder))  # would begin a new line


def test_asv_uses_that_machine_and_leaves_the_user_s_alone(folder):
    asv_s = pytest.importorskip("asv.machine")
    asv_runs.describe_machine("quiet")
    known = asv_s.MachineCollection.load("quiet", folder / "home" / ".asv-machine.json")
    assert set(known) == {name for name, _ in asv_s.Machine.fields}

    users = Path.home() / ".asv-machine.json"
    users.write_text("the user's")
    log = folder / "log.txt"
    assert asv_runs.asv(["machine", "--yes", "--machine", "quiet"], log=log) == 0
    assert users.read_text() == "the user's"
    assert list(Path.home().iterdir()) == [users]
    assert "quiet" in machines(folder)


def test_git_and_pip_find_the_user_s_settings(folder, monkeypatch):
    for name in ("GIT_CONFIG_GLOBAL", "PIP_CONFIG_FILE", "PIP_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert "GIT_CONFIG_GLOBAL" not in asv_runs.environment()
    written = Path.home() / ".gitconfig"
    written.write_text("[safe]\n\tdirectory = *\n")
    found = asv_runs.environment()
    assert found["GIT_CONFIG_GLOBAL"] == str(written)
    assert found["PIP_CACHE_DIR"] == str(Path.home() / ".cache" / "pip")
    assert found["HOME"] == str(folder / "home")
    monkeypatch.setenv("PIP_CACHE_DIR", "elsewhere")
    assert asv_runs.environment()["PIP_CACHE_DIR"] == "elsewhere"


def test_what_asv_prints_goes_to_the_terminal_and_to_the_log(folder, capfd):
    pytest.importorskip("asv")
    folder.mkdir()
    log = folder / "log.txt"
    assert asv_runs.asv(["no-such-command"], log=log) == 2
    assert "invalid choice: 'no-such-command'" in log.read_text(encoding="utf-8")
    assert "invalid choice: 'no-such-command'" in capfd.readouterr().out


def test_a_derived_configuration_differs_in_what_was_asked_for_alone(folder):
    load_json = pytest.importorskip("asv.util").load_json
    settings = load_json(str(asv_runs.CONFIG), js_comments=True)
    path = asv_runs.derived_config("gate", results_dir="elsewhere", branches=["work"])
    derived = load_json(str(path))
    changed = {name for name in settings if derived[name] != settings[name]}
    folders = {"repo", "benchmark_dir", "env_dir", "html_dir"}
    assert path == folder / "gate.conf.json"
    assert changed == {"results_dir", "branches", *folders}
    assert (derived["results_dir"], derived["branches"]) == ("elsewhere", ["work"])
    for name in folders:  # from another folder the same files
        assert Path(derived[name]) == asv_runs.ROOT / settings[name]


def test_git_s_own_words_are_told(tmp_path):
    with pytest.raises(asv_runs.CannotRun, match=r"git log: fatal: not a git repository"):
        asv_runs.git("log", root=tmp_path)


def test_what_stands_in_the_way_is_told_on_standard_error_with_status_3(capsys):
    def refuses(arguments):
        raise asv_runs.CannotRun(f"no {arguments[0]}; take another")

    assert asv_runs.told(refuses, ["x"]) == 3
    assert capsys.readouterr().err == "error: no x; take another\n"
    assert asv_runs.told(lambda arguments: len(arguments), ["a", "b"]) == 2
