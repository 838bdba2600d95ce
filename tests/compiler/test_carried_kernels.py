"""engine/compiler/carried_kernels.py: kernels that the package was installed with."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from llvmlite import binding
from numba.core import config, event

from engine.cli import info
from engine.compiler import carried_kernels
from engine.compiler.cache import cache_folder
from engine.compiler.cache_entries import names_alone, processor_of
from engine.compiler.cache_key import cache_key, dependencies
from engine.compiler.carried_kernels import CLASSES, DESCRIPTION, carried_folder, why_not_used
from engine.compiler.target import V2, processor_class
from engine.estimators.progress_bar import COMPILING, ONCE, announcing_compilation
from tests.compiler.test_compile_cache import COMPILED, LOADED, NUMBERS, fresh, sum_up
from tests.kernels import element, largest, loaded_and_compiled, total

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(not processor_class().is_fixed, reason="no class of processors"),
]


@pytest.fixture
def user(tmp_path, monkeypatch):
    """The user's cache of this build, empty."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "user"))
    found = cache_folder()
    assert found is not None
    return found


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The place of carried kernels, in a process that has not looked there yet."""
    monkeypatch.setattr(carried_kernels, "FOLDER", tmp_path / "compiled_kernels")
    monkeypatch.setattr(carried_kernels, "_damaged", set())
    carried_folder.cache_clear()
    yield tmp_path / "compiled_kernels"
    carried_folder.cache_clear()


def install(package: Path, user: Path, key: str | None = None, **other: object) -> Path:
    """Move what the user's cache holds to where a wheel has it; the folder."""
    folder = package / (key or str(cache_key())) / processor_class().name
    folder.mkdir(parents=True)
    for entry in user.iterdir():
        shutil.move(entry, folder)
    described = {**dependencies(), CLASSES: {processor_class().name: 1}, **other}
    (package / DESCRIPTION).write_text(json.dumps(described))
    carried_folder.cache_clear()
    return folder


@pytest.fixture
def carried(user, package):
    """A small kernel, carried, and an empty cache of the user's."""
    assert sum_up() == COMPILED
    return install(package, user)


def test_carried_kernels_are_loaded_and_the_user_s_folder_is_not_looked_at(
    carried, user, monkeypatch
):
    def looked_at(folder):
        raise AssertionError("the user's folder")

    monkeypatch.setattr("engine.compiler.cache.usable_path", looked_at)
    assert sum_up() == LOADED
    assert list(user.iterdir()) == []
    assert why_not_used() is None


def test_they_come_before_the_user_s(carried, user):
    shutil.copytree(carried, user, dirs_exist_ok=True)
    for entry in user.iterdir():
        entry.write_bytes(b"damaged")
    assert sum_up() == LOADED
    assert {entry.read_bytes() for entry in user.iterdir()} == {b"damaged"}


def test_what_is_not_carried_is_compiled_and_kept_for_the_user(carried, user):
    kernel = fresh(largest)
    assert (kernel(NUMBERS), *loaded_and_compiled(kernel)) == (5.0, 0, 1)
    again = fresh(largest)
    assert (again(NUMBERS), *loaded_and_compiled(again)) == (5.0, 1, 0)
    assert why_not_used() is None


def test_a_kernel_without_a_cache_does_not_load_carried_ones(carried):
    kernel = fresh(total)
    kernel._cache.disable()
    assert kernel(NUMBERS) == 15.0
    assert loaded_and_compiled(kernel) == [0, 1]


DAMAGES = {
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "changed": lambda path: path.write_bytes(path.read_bytes()[:-9] + b"123456789"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "another's": lambda path: path.write_bytes(path.read_bytes()[:32] + b"c__main__\nf\n."),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_compiled_and_kept_for_the_user_who_is_told(carried, user, damage):
    (path,) = carried.glob("*total*")
    DAMAGES[damage](path)
    said: list[str] = []
    with announcing_compilation(said.append):
        assert sum_up() == COMPILED
    (only,) = said
    told = f"The installed {path.name} is damaged. Install mlp-engine again."
    assert only == f"{COMPILING.format(ONCE)} {told}"
    assert sum_up() == LOADED
    assert [entry.name for entry in user.glob("*total*")] == [path.name]
    assert info.installed_kernels() == f"1, used; {told}"


def test_a_link_to_a_carried_kernel_is_used(carried, tmp_path):
    """Some installers keep one copy of a file for all environments."""
    (path,) = carried.glob("*total*")
    shutil.move(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert sum_up() == LOADED


def test_files_that_others_may_change_are_as_trusted_as_the_sources_beside_them(carried):
    (path,) = carried.glob("*total*")
    path.chmod(0o666)
    carried.chmod(0o777)
    assert sum_up() == LOADED


OTHERS = [
    ({"Numba": "0.1.2"}, f"for Numba 0.1.2, not {dependencies()['Numba']}"),
    ({"Python": "3.5"}, f"for Python 3.5, not {dependencies()['Python']}"),
    ({"NumPy": "1.0"}, f"for NumPy 1.0, not {dependencies()['NumPy']}"),
    ({"NUMBA_OPT": "0"}, f"for NUMBA_OPT 0, not {dependencies()['NUMBA_OPT']}"),
    ({"sources": "other"}, "from other sources"),
    (
        {"Numba": "0.1.2", "sources": "other"},
        f"for Numba 0.1.2, not {dependencies()['Numba']}, and from other sources",
    ),
]


@pytest.mark.parametrize(("other", "expected"), OTHERS, ids=str)
def test_those_of_another_build_are_not_used_and_who_waits_is_told_why(
    user, package, other, expected
):
    assert sum_up() == COMPILED
    install(package, user, key="0.1.0-another", **other)
    told = f"The installed kernels cannot be used: they were built {expected}."
    assert why_not_used() == told
    said: list[str] = []
    with announcing_compilation(said.append):
        assert sum_up() == COMPILED
    assert said == [f"{COMPILING.format(ONCE)} {told}"]
    assert info.installed_kernels() == told


def test_those_of_other_classes_are_not_used(user, package):
    assert sum_up() == COMPILED
    folder = install(package, user, **{CLASSES: {"x86-64-v9": 1}})
    folder.rename(folder.with_name("x86-64-v9"))
    expected = f"they were built for x86-64-v9, not {processor_class().name}."
    assert why_not_used() == f"The installed kernels cannot be used: {expected}"
    assert sum_up() == COMPILED


def test_a_processor_of_no_class_does_not_use_them(carried, monkeypatch):
    """Its code may differ, though its name be that of a class."""
    monkeypatch.setattr(
        carried_kernels, "processor_class", lambda: V2._replace(name=carried.name, is_fixed=False)
    )
    carried_folder.cache_clear()
    assert carried_folder() is None


@pytest.mark.parametrize("content", ["", "[1, 2]", "{}", "no json", None], ids=repr)
def test_a_damaged_description_is_no_error(user, package, content):
    assert sum_up() == COMPILED
    install(package, user, key="0.1.0-another")
    if content is None:
        (package / DESCRIPTION).unlink()
    else:
        (package / DESCRIPTION).write_text(content)
    told = why_not_used()
    assert told is not None
    assert told.startswith("The installed kernels cannot be used: ")
    assert sum_up() == COMPILED


def test_without_any_nothing_is_said(user, package):
    said: list[str] = []
    with announcing_compilation(said.append):
        assert sum_up() == COMPILED
    assert said == [COMPILING.format(ONCE)]
    assert info.installed_kernels() == "none"
    assert info._cache_state().startswith(f"{user}  (")


def test_info_counts_those_that_are_used(carried, user):
    assert info.installed_kernels() == "1, used"
    assert info._cache_state() == f"{user}  (empty)"


def test_the_source_tree_has_none():
    assert not carried_kernels.FOLDER.exists()
    assert carried_folder() is None


# What an entry holds.


def test_an_entry_has_no_instructions_that_nothing_is_linked_with(user):
    kernel = fresh(total)
    kernel(NUMBERS)
    (compiled,) = kernel.overloads.values()
    library = compiled.library._get_module_for_linking()
    names = binding.parse_bitcode(names_alone(library))
    defined = {one.name for one in library.functions if not one.is_declaration}
    assert {one.name for one in names.functions} == defined
    assert len(names_alone(library)) < len(library.as_bitcode())


@pytest.mark.parametrize(
    ("triple", "expected"),
    [
        ("arm64-apple-darwin24.1.0", "arm64-apple-darwin"),
        ("arm64-apple-macosx15.0", "arm64-apple-macosx"),
        ("x86_64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"),
    ],
)
def test_the_version_of_the_system_names_no_other_entry(triple, expected):
    codegen = SimpleNamespace(magic_tuple=lambda: (triple, "generic", "+neon"))
    assert processor_of(codegen) == (expected, "generic", "+neon")


def test_the_small_kernels_are_compiled_without_a_cache_to_begin_with(user, package):
    """The tests above would not be worth much if these were loaded."""
    with event.install_recorder("numba:compile") as recorder:
        assert sum_up() == COMPILED
    names = {one.data["dispatcher"].py_func.__name__ for _, one in recorder.buffer}
    assert {total.__name__, element.__name__} >= names
