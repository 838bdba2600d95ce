"""Files that are written whole have the modes that any other file would have."""

import os
import stat
from pathlib import Path

import pytest

import engine as package
from engine import Network
from engine.system import atomic_files
from engine.tables import converted_table
from tests.processes import ROOT

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")


@pytest.fixture(params=[0o000, 0o002, 0o022, 0o077])
def _each_umask(request, monkeypatch):
    def refuse(mask):
        raise AssertionError("the umask of the whole process was changed")

    before = os.umask(request.param)
    with monkeypatch.context() as patched:
        patched.setattr(os, "umask", refuse)
        yield
    os.umask(before)


def has_ordinary_mode(made):
    """Whether a file or folder has the mode of any other that is new in its folder."""
    ordinary = made.with_name("ordinary")
    if made.is_dir():
        ordinary.mkdir()
    else:
        ordinary.touch()
    return made.stat().st_mode == ordinary.stat().st_mode


@POSIX
@pytest.mark.usefixtures("_each_umask")
def test_new_files_and_folders_have_the_mode_of_any_other(tmp_path):
    file = tmp_path / "model.safetensors"
    network = Network((2, 3, 1))
    package.save(file, network, network.initial_parameters())
    assert has_ordinary_mode(file)
    atomic_files.replace_keeping(tmp_path / "run", tmp_path / "before", lambda _: None)
    assert has_ordinary_mode(tmp_path / "run")
    (tmp_path / "group").mkdir()
    (tmp_path / "group").chmod(0o2777)  # whose files and folders belong to its group
    with converted_table.new_folder(tmp_path / "group" / "table"):
        pass
    assert has_ordinary_mode(tmp_path / "group" / "table")


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o666, 0o400])
def test_a_file_that_replaces_another_has_its_mode_from_the_beginning(tmp_path, mode, monkeypatch):
    path, previous = tmp_path / "file", tmp_path / "previous"
    change_mode = Path.chmod

    def chmod(place, mode):
        if place != path:  # a new file, which others could have opened before
            assert stat.S_IMODE(place.stat().st_mode) & 0o077 == 0
        change_mode(place, mode)

    monkeypatch.setattr(Path, "chmod", chmod)

    def write(file):
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077 & ~mode == 0
        file.write(b"new")

    for replace in (write_by_replacing, atomic_files.replace_keeping):
        path.touch()
        path.chmod(mode)
        replace(path, previous, write)
        assert path.read_bytes() == b"new"
        assert stat.S_IMODE(path.stat().st_mode) == mode
        path.unlink()


@POSIX
@pytest.mark.parametrize("by_a_link", [False, True])
@pytest.mark.parametrize(("make", "kind"), [("mkfifo", "a pipe"), ("mkdir", "a folder")])
def test_what_is_no_file_is_not_replaced(tmp_path, make, kind, by_a_link):
    path = named = tmp_path / "model.safetensors"
    getattr(os, make)(path)
    if by_a_link:
        named = tmp_path / "link.safetensors"
        named.symlink_to(path)
    before = sorted(os.listdir(tmp_path)), path.lstat().st_mode
    network = Network((2, 3, 1))
    with pytest.raises(OSError, match=f"{named} is {kind}, which cannot be replaced; name a file"):
        package.save(named, network, network.initial_parameters())
    assert (sorted(os.listdir(tmp_path)), path.lstat().st_mode) == before


def write_by_replacing(path, _, write):
    with atomic_files.replacing(path) as file:
        write(file)


def test_nothing_reads_the_umask_by_setting_it():
    """It would be another one for all threads in between."""
    folders = (ROOT / "engine", ROOT / "tools")
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    assert [path for path in sources if "umask(" in path.read_text(encoding="utf-8")] == []
