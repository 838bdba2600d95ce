"""The compile cache saves time and can do no harm, whatever happens to its files and folders."""

import errno
import importlib
import itertools
import json
import os
import pickle
import shutil
import stat
import struct
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from numba.core import config

from engine import Network, equations, train
from engine.cli import info, main
from engine.comparison import environments
from engine.compiler import cache
from engine.compiler import cache_key as keys
from engine.compiler.cache import cache_folder, cache_root, usable_path, why_unused
from engine.compiler.cache_entries import DIGEST_BYTES, MOST_BYTES, digest_of_entry
from engine.compiler.cache_key import cache_key
from engine.compiler.jit import jit
from engine.equations import mean
from engine.equations.backends import LOOPS
from engine.solvers.lm import iterate_tiled
from engine.solvers.slices import descend_tiled
from engine.system import file_owners
from engine.training.environment import sources
from tests.kernels import largest, loaded_and_compiled, total
from tests.processes import ROOT, output, result_of, run_function

pytestmark = pytest.mark.compiled

PACKAGE = ROOT / "engine"
POSIX = os.name == "posix"
ROOT_USER = POSIX and os.geteuid() == 0
NUMBERS = np.arange(6.0)
TOTAL = 15.0


def fresh(kernel: Any) -> Any:
    """The same kernel as a process that has just begun sees it: nothing loaded or compiled."""
    return jit(kernel.py_func)


def sum_up() -> list[Any]:
    """One kernel at work: its result, and whether it was loaded or compiled."""
    kernel = fresh(total)
    return [kernel(NUMBERS), *loaded_and_compiled(kernel)]


LOADED, COMPILED = [TOTAL, 1, 0], [TOTAL, 0, 1]


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The cache's folder of a new build, which does not exist yet."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    found = cache_folder()
    assert found is not None
    return found


# A second process loads what the first one compiled; and nothing is compiled twice.


def layouts(X, Y):
    """The same data in every memory order, writeability and dtype that a caller may bring."""
    read_only = X.copy()
    read_only.flags.writeable = False
    every_other = np.zeros((2 * X.shape[0], 2 * X.shape[1]))[::2, ::2]
    every_other[:] = X
    bytes_apart = np.zeros(X.nbytes + 1, np.uint8)[1:].view(X.dtype).reshape(X.shape)
    bytes_apart[:] = X
    inputs = [X, np.asfortranarray(X), read_only, every_other, bytes_apart, X[:, ::-1][:, ::-1]]
    inputs += [X.astype(int), X.astype(bool), X.astype(">f8"), X.astype(np.float16), X.tolist()]
    targets = [Y, Y.reshape(1, -1), Y.astype(int), Y.astype(bool), Y.astype(np.float32)]
    return inputs, [*targets, Y.astype(">f8"), np.repeat(Y, 2)[::2], Y.tolist()]


# What a fit with the loops calls from Python, up to its update; and fits with the tiled backend.
FITTED = [*LOOPS[1:7], descend_tiled, iterate_tiled]


def fit_in_every_layout():
    """Train and evaluate on each; signatures, loads and compilations of every kernel."""
    X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
    inputs, targets = layouts(X, np.array([1.0, 0.0, 0.0, 1.0]))
    network = Network((2, 4, 1))
    theta = network.initial_parameters()
    read_only = theta.copy()
    read_only.flags.writeable = False
    starts = [None, theta, read_only, np.repeat(theta, 2)[::2]]
    results = set()
    for count in range(len(inputs) * len(targets)):
        X, Y = inputs[count % len(inputs)], targets[count % len(targets)]
        start = starts[count % len(starts)]
        weights = [None, [1, 1, 1, 1], np.ones(8)[::2]][count % 3]
        result = train(
            network, X, Y, solver="gd", learning_rate=0.5, max_iter=2, theta=start, backend="loops",
            sample_weight=weights, alpha=[0, 0.0][count % 2], X_val=X, Y_val=Y,
        )  # fmt: skip
        network.forward(theta if start is None else start, X, backend="loops")
        results.add((result.fingerprint, result.cost))
        result = train(
            network, X, Y, batch_size=3, max_iter=2, theta=start, backend="tiled",
            sample_weight=weights, alpha=[0, 0.0][count % 2],
        )  # fmt: skip
        results.add((result.fingerprint, result.cost))
        result = train(
            network, X, Y, max_iter=2, theta=start, solver="lm",
            sample_weight=weights, alpha=[0, 0.0][count % 2],
        )  # fmt: skip
        results.add((result.fingerprint, result.cost))
    modules = [vars(module) for name, module in sys.modules.items() if name in EQUATIONS]
    kernels = {id(k): k for names in modules for k in names.values() if hasattr(k, "within")}
    forms = [form for kernel in kernels.values() for form in (kernel, kernel.within)]
    return {
        "results": sorted(results),
        "table": [describe(kernel) for kernel in FITTED],
        "all": [describe(form) for form in forms if form.signatures],
    }


EQUATIONS = {f"{equations.__name__}.{path.stem}" for path in PACKAGE.glob("equations/*.py")}


def describe(kernel):
    """[name, signatures, loads, compilations]"""
    return [kernel.__name__, len(kernel.signatures), *loaded_and_compiled(kernel)]


@pytest.fixture(scope="module")
def first_and_second_process(tmp_path_factory):
    cache = {"NUMBA_CACHE_DIR": tmp_path_factory.mktemp("cache")}
    return [result_of(fit_in_every_layout, env=cache) for _ in range(2)]


@pytest.mark.proof
def test_the_first_process_compiles_each_kernel_of_the_table_once(first_and_second_process):
    first = first_and_second_process[0]
    assert first["table"] == [[kernel.__name__, 1, 0, 1] for kernel in FITTED]


@pytest.mark.proof
def test_a_second_process_loads_each_kernel_of_the_table_and_compiles_none(
    first_and_second_process,
):
    second = first_and_second_process[1]
    assert second["table"] == [[kernel.__name__, 1, 1, 0] for kernel in FITTED]
    assert [name for name, _, _, compilations in second["all"] if compilations] == []


@pytest.mark.proof
def test_a_fit_leaves_one_signature_for_every_kernel_whatever_the_layout_of_the_data(
    first_and_second_process,
):
    kernels = first_and_second_process[0]["all"]
    assert len(kernels) > len(FITTED)
    assert [(name, signatures) for name, signatures, *_ in kernels if signatures != 1] == []


@pytest.mark.proof
def test_loaded_kernels_give_the_same_bits_as_compiled_ones(first_and_second_process):
    first, second = first_and_second_process
    assert first["results"] == second["results"]


# A damaged entry costs compile time, and nothing else.


class Victim(NamedTuple):
    """An entry, and what is needed to put something else in its place."""

    path: Path
    signature: Any
    sealed: Callable[[bytes], bytes]  # a payload with the digest that belongs to it and the name
    other_kernel: bytes
    other_signature: bytes


def rewritten(change: Callable[[bytes], bytes]) -> Callable[[Victim], object]:
    return lambda entry: entry.path.write_bytes(change(entry.path.read_bytes()))


def truncated(length: int) -> Callable[[Victim], object]:
    return rewritten(lambda kept: kept[:length])


def flipped(place: int | float, bits: int) -> Callable[[Victim], object]:
    """Bits flipped in the byte at a place: a number counts from the front, a fraction is a part."""

    def change(kept: bytes) -> bytes:
        at = place if isinstance(place, int) else int(place * (len(kept) - 1))
        return kept[:at] + bytes([kept[at] ^ bits]) + kept[at + 1 :]

    return rewritten(change)


def holding(content: Callable[[Victim], Any]) -> Callable[[Victim], object]:
    """An entry with a right digest over a pickle of something else."""
    return lambda entry: entry.path.write_bytes(entry.sealed(pickle.dumps(content(entry))))


def replaced(by: Callable[[Path], object]) -> Callable[[Victim], object]:
    def replace(entry: Victim) -> None:
        entry.path.unlink()
        by(entry.path)

    return replace


def moved_behind_a_link(entry: Victim) -> None:
    elsewhere = entry.path.parent.parent / entry.path.name
    entry.path.replace(elsewhere)
    entry.path.symlink_to(elsewhere)


def moved_into_a_pipe(entry: Victim) -> None:
    content = entry.path.read_bytes()
    entry.path.unlink()
    os.mkfifo(entry.path)
    descriptor = os.open(entry.path, os.O_RDWR | os.O_NONBLOCK)  # kept open, with the content
    assert os.write(descriptor, content) == len(content)


DAMAGES: dict[str, Callable[[Victim], object]] = {
    "removed": replaced(lambda path: None),
    "emptied": truncated(0),
    **{f"cut to {length} bytes": truncated(length) for length in (1, 31, 32, 33, 64, 1000)},
    "half as long": rewritten(lambda kept: kept[: len(kept) // 2]),
    "short of its last byte": truncated(-1),
    **{f"digest flipped at byte {at}": flipped(at, 1) for at in (0, 1, 15, 30, 31)},
    **{f"payload flipped at byte {at}": flipped(at, 1) for at in (32, 33, 34, 40)},
    **{f"all bits flipped at {part}/24": flipped(part / 24, 0xFF) for part in range(1, 25)},
    **{f"one bit flipped at {part}/10": flipped(part / 10 + 0.03, 16) for part in range(1, 10)},
    "one byte longer": rewritten(lambda kept: kept + b"\0"),
    "twice over": rewritten(lambda kept: kept + kept),
    "zeros": rewritten(lambda kept: bytes(len(kept))),
    "text": rewritten(lambda kept: b"not an entry"),
    "digest of nothing": rewritten(lambda kept: kept[:DIGEST_BYTES]),
    "another kernel's entry": lambda entry: entry.path.write_bytes(entry.other_kernel),
    "another signature's entry": lambda entry: entry.path.write_bytes(entry.other_signature),
    "another signature's content, sealed": lambda entry: entry.path.write_bytes(
        entry.sealed(entry.other_signature[DIGEST_BYTES:])
    ),
    "no pickle, sealed": lambda entry: entry.path.write_bytes(entry.sealed(b"not a pickle")),
    "no bytes, sealed": lambda entry: entry.path.write_bytes(entry.sealed(b"")),
    "a pickle of a missing module, sealed": lambda entry: entry.path.write_bytes(
        entry.sealed(b"cno_such_module\nno_such_name\n.")
    ),
    "a number, sealed": holding(lambda entry: 42),
    "a pair of nothing, sealed": holding(lambda entry: (None, None)),
    "the signature alone, sealed": holding(lambda entry: (entry.signature,)),
    "the signature and nothing, sealed": holding(lambda entry: (entry.signature, None)),
    "the signature and a list, sealed": holding(lambda entry: (entry.signature, [1, 2, 3])),
    "a directory": replaced(Path.mkdir),
    "longer than any entry": lambda entry: os.truncate(entry.path, MOST_BYTES + 1),
}
if POSIX:
    DAMAGES |= {
        "a link to nowhere": replaced(lambda path: path.symlink_to("nowhere")),
        "a link to itself": replaced(lambda path: path.symlink_to(path.name)),
        "a pipe": replaced(os.mkfifo),
        "a link to a whole entry": moved_behind_a_link,
        "a pipe that holds a whole entry": moved_into_a_pipe,
    }
if POSIX and not ROOT_USER:
    DAMAGES["readable by nobody"] = lambda entry: entry.path.chmod(0)

# A file cannot be renamed over a directory: it stays, and each process compiles.
NOT_MENDED = {"a directory"}


def survey_damages():
    """Put each damage in turn into an entry; print what the next two calls do, one line each."""
    kernel = fresh(total)
    kernel(NUMBERS.astype(np.float32))
    (other_signature,) = entries()
    largest(NUMBERS)
    (other_kernel,) = entries() - {other_signature}
    kernel(NUMBERS)
    # The entries of `element`, inlined into those of `total`, were written by neither call.
    (path,) = {p for p in entries() if "total" in p.name} - {other_signature}
    (signature,) = {s for s in kernel.stats.cache_misses if "float64" in str(s)}

    def sealed(payload):
        return digest_of_entry(path.name, payload) + payload

    whole = Victim(path, signature, sealed, other_kernel.read_bytes(), other_signature.read_bytes())
    for name, damage in DAMAGES.items():
        assert sum_up() in (LOADED, COMPILED), "the cache was not whole before the damage"
        damage(whole)
        print(json.dumps([name, sum_up(), sum_up(), leftovers(path.parent)]), flush=True)
        if path.is_dir():
            path.rmdir()


def entries() -> set[Path]:
    folder = cache_folder()
    assert folder is not None
    return {path for path in folder.iterdir() if "element" not in path.name}


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.suffix != ".kernel"]


@pytest.fixture(scope="module")
def damages(tmp_path_factory):
    """What was seen after each damage, and how the process ended that tried them all."""
    cache = {"NUMBA_CACHE_DIR": tmp_path_factory.mktemp("cache")}
    done = run_function(survey_damages, env=cache)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return {name: outcome for name, *outcome in lines}, done


@pytest.mark.proof
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_compiled_anew_and_mended(damages, damage):
    seen, done = damages
    assert damage in seen, f"the process died before: {done.returncode}, {done.stderr}"
    next_call, call_after, leftovers = seen[damage]
    assert next_call == COMPILED
    assert call_after == (COMPILED if damage in NOT_MENDED else LOADED)
    assert leftovers == []


@pytest.mark.proof
def test_damaged_entries_raise_and_say_nothing(damages):
    _, done = damages
    assert (done.returncode, done.stderr) == (0, "")


# A folder that cannot be used, or is not known, costs compile time, and nothing else.


def sum_up_twice():
    return [sum_up(), sum_up()]


def home_at(path: Path) -> dict[str, Path | None]:
    """No folder is named but the home folder, by the names of all platforms."""
    names = ("HOME", "USERPROFILE", "LOCALAPPDATA")
    return {"NUMBA_CACHE_DIR": None, "XDG_CACHE_HOME": None, **dict.fromkeys(names, path)}


@pytest.mark.proof
@pytest.mark.parametrize("variable", ["NUMBA_CACHE_DIR", "HOME"])
def test_kernels_work_where_the_cache_folder_cannot_be_made(tmp_path, variable):
    # Below a regular file no folder can be made, not even by root.
    in_the_way = tmp_path / "file"
    in_the_way.write_text("a file")
    place = in_the_way / "below"
    changes = home_at(place) if variable == "HOME" else {variable: place}
    assert result_of(sum_up_twice, env=changes) == [COMPILED, COMPILED]
    assert in_the_way.read_text() == "a file"
    assert files_in(tmp_path) == ["file"]


@pytest.mark.proof
def test_a_home_folder_that_does_not_exist_is_no_obstacle(tmp_path):
    home = home_at(tmp_path / "no" / "such" / "home")
    assert result_of(sum_up, env=home) == COMPILED
    assert result_of(sum_up, env=home) == LOADED


@pytest.mark.skipif(not POSIX or ROOT_USER, reason="root may write everywhere")
def test_kernels_work_where_the_cache_folder_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    assert result_of(sum_up_twice, env={"NUMBA_CACHE_DIR": tmp_path}) == [COMPILED, COMPILED]


def test_kernels_work_where_the_user_has_no_home_folder(tmp_path, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr(Path, "home", no_home)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    assert cache_root() is None
    assert cache_folder() is None
    kernel = fresh(total)
    assert kernel.stats.cache_path is None
    assert sum_up_twice() == [COMPILED, COMPILED]
    kernel._cache.flush()
    assert files_in(tmp_path) == []


def test_a_full_disk_leaves_no_half_written_entry(folder, monkeypatch):
    def write_some(path, mode, **settings):
        if mode == "xb":
            Path(path).write_bytes(b"half of an entry")
            raise OSError(errno.ENOSPC, "No space left on device")
        return open(path, mode, **settings)

    monkeypatch.setattr(cache, "open", write_some, raising=False)
    assert sum_up_twice() == [COMPILED, COMPILED]
    assert files_in(folder) == []


def test_no_two_writers_share_the_file_that_they_write_aside(folder, monkeypatch):
    written = []

    def refuse(aside, path):
        written.append(Path(aside).name)
        raise PermissionError(errno.EACCES, "Access is denied", str(path))

    monkeypatch.setattr("engine.compiler.cache.os.replace", refuse)
    assert sum_up_twice() == [COMPILED, COMPILED]
    assert len(set(written)) == len(written) >= 2
    assert files_in(folder) == []


def test_a_folder_that_vanishes_is_made_again(folder):
    assert sum_up() == COMPILED
    kernel = fresh(total)
    shutil.rmtree(folder)
    assert kernel(NUMBERS) == TOTAL
    assert loaded_and_compiled(kernel) == [0, 1]
    assert sum_up() == LOADED


def test_flushing_forgets_the_entries_of_one_kernel_alone(folder):
    fresh(largest)(NUMBERS)
    kernel = fresh(total)
    kernel(NUMBERS)
    kernel._cache.flush()
    assert not any("total" in name for name in files_in(folder))
    assert any("largest" in name for name in files_in(folder))


# What others could have written is not run, and that is said once.


@pytest.fixture
def umask():
    """Set the umask of the test; back to what it was afterwards."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.fixture
def unsaid(folder, umask, monkeypatch):
    """The cache's folder, in a process that has looked at no folder and has warned of none."""
    monkeypatch.setattr(cache, "_warnings", itertools.count())
    monkeypatch.setattr(cache, "_usable", {})
    monkeypatch.setattr(file_owners, "_is_own_group", lambda group_id: False)
    return folder


def compiles_and_warns_once(message: str) -> str:
    """What is warned of as kernels are compiled again and again."""
    with pytest.warns(UserWarning, match=message) as warned:
        assert sum_up_twice() == [COMPILED, COMPILED]
    assert len(warned) == 1
    return str(warned[0].message)


def let_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a file or folder another user's: really, or, where only root could, in appearance."""
    if ROOT_USER:
        os.chown(path, 1234, -1)
    else:
        monkeypatch.setattr(
            "engine.system.file_owners.os.geteuid", lambda: os.stat(path).st_uid + 1
        )


on_posix = pytest.mark.skipif(not POSIX, reason="Windows has access lists in place of modes")


PLACES = ["the build's", "the cache's", "one above", "further above"]


def folder_at(place: str, folder: Path) -> Path:
    return (folder, *folder.parents)[PLACES.index(place)]


@pytest.fixture
def closed_again():
    """Change the mode of a folder; afterwards it has the one from before."""
    changed = {}

    def change(folder: Path, mode: int) -> None:
        changed[folder] = stat.S_IMODE(folder.stat().st_mode)
        folder.chmod(mode)

    yield change
    for folder, mode in changed.items():
        folder.chmod(mode)


@on_posix
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
@pytest.mark.parametrize("place", PLACES)
def test_a_folder_that_others_may_write_to_is_named(unsaid, closed_again, place, mode):
    unsaid.mkdir(parents=True)
    assert why_unused(unsaid) is None
    changed = folder_at(place, unsaid)
    closed_again(changed, mode)
    with pytest.warns(UserWarning, match="are not used") as warned:
        assert usable_path(unsaid) is None
    said = str(warned[0].message)
    assert said == why_unused(unsaid)
    assert f"{changed} has mode {mode:04o}. Run `chmod go-w {changed}`, or set NUMBA_CACHE" in said


@on_posix
@pytest.mark.parametrize("place", ["the build's", "further above"])
def test_a_folder_that_others_may_write_to_is_not_used(unsaid, closed_again, place):
    assert sum_up() == COMPILED
    cache._usable.clear()
    changed, kept = folder_at(place, unsaid), files_in(unsaid)
    before = stat.S_IMODE(changed.stat().st_mode)
    closed_again(changed, 0o775)
    compiles_and_warns_once(f"kernels in {unsaid} are not used")
    changed.chmod(before)
    assert files_in(unsaid) == kept
    assert sum_up() == LOADED


@on_posix
def test_the_last_folder_alone_may_not_be_open_to_others_by_the_sticky_bit(unsaid, tmp_path):
    tmp_path.chmod(0o1777)  # as /tmp
    assert sum_up() == COMPILED
    assert sum_up() == LOADED
    cache._usable.clear()
    unsaid.chmod(0o1777)
    compiles_and_warns_once("has mode 1777")


@on_posix
def test_a_folder_that_others_could_replace_is_not_made(unsaid, tmp_path):
    tmp_path.chmod(0o777)
    compiles_and_warns_once("has mode 0777")
    assert list(tmp_path.iterdir()) == []


@on_posix
@pytest.mark.parametrize("place", PLACES[:3])
def test_a_folder_of_another_user_is_named(unsaid, monkeypatch, place):
    unsaid.mkdir(parents=True)
    let_go(folder_at(place, unsaid), monkeypatch)
    said = why_unused(unsaid)
    assert said is not None
    assert "belongs to another user" in said
    assert "Set NUMBA_CACHE_DIR to a folder of your own." in said


@on_posix
def test_a_folder_of_another_user_is_not_used(unsaid, monkeypatch):
    assert sum_up() == COMPILED
    cache._usable.clear()
    let_go(unsaid.parent, monkeypatch)
    compiles_and_warns_once("belongs to another user")


@on_posix
def test_nothing_is_left_in_the_home_folder_of_another_user(unsaid, tmp_path, monkeypatch):
    """As by sudo -E: what root left there, the user could not replace."""
    let_go(tmp_path, monkeypatch)
    compiles_and_warns_once("belongs to another user")
    assert list(tmp_path.iterdir()) == []


@on_posix
@pytest.mark.parametrize("change", ["mode 0666", "mode 0664", "another user"])
def test_an_entry_that_others_could_change_is_compiled_anew_and_replaced(
    unsaid, monkeypatch, change
):
    assert sum_up() == COMPILED
    (entry,) = unsaid.glob("*total*.kernel")
    with monkeypatch.context() as owner:
        if change == "another user":
            let_go(entry, owner)
            cache._usable[unsaid] = unsaid  # whose it is matters here for the entry alone
        else:
            entry.chmod(int(change[-4:], 8))
        with pytest.warns(UserWarning, match=change) as warned:
            assert sum_up() == COMPILED
    assert str(entry) in str(warned[0].message)
    assert sum_up() == LOADED


@pytest.mark.skipif(not ROOT_USER, reason="only root can make a file that belongs to root")
def test_what_root_has_kept_and_closed_is_used_by_all(unsaid, monkeypatch):
    assert sum_up() == COMPILED
    unsaid.chmod(0o555)
    monkeypatch.setattr("engine.system.file_owners.os.geteuid", lambda: 1234)
    assert sum_up() == LOADED


@on_posix
@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
def test_whatever_the_umask_others_may_not_write_to_what_is_kept(unsaid, umask, mask):
    umask(mask)
    assert sum_up() == COMPILED
    cache._usable.clear()
    assert sum_up() == LOADED
    made = [unsaid.parent, unsaid, *unsaid.iterdir()]
    assert len(made) >= 3
    for place in made:
        most = 0o755 if place.is_dir() else 0o644
        assert stat.S_IMODE(place.stat().st_mode) == most & ~mask


@on_posix
def test_a_cache_behind_a_link_is_used(unsaid, tmp_path):
    (tmp_path / "large disk").mkdir()
    unsaid.parent.symlink_to(tmp_path / "large disk")
    assert sum_up() == COMPILED
    assert sum_up() == LOADED
    assert files_in(tmp_path / "large disk") != []


@on_posix
def test_a_link_that_leads_to_itself_costs_compile_time_alone(unsaid):
    unsaid.parent.symlink_to(unsaid.parent)
    assert sum_up_twice() == [COMPILED, COMPILED]


@on_posix
@pytest.mark.parametrize(
    ("change", "is_own"),
    [
        ({}, True),
        ({"gr_mem": ["ann"]}, True),
        ({"gr_mem": ["ann", "bob"]}, False),
        ({"gr_name": "staff"}, False),
        ({"pw_gid": 7}, False),
        ({"pw_uid": 0}, False),
    ],
)
def test_the_group_of_a_user_alone_is_not_others(monkeypatch, change, is_own):
    fields = {"pw_uid": 5, "pw_gid": 5, "pw_name": "ann", "gr_name": "ann", "gr_mem": [], **change}
    monkeypatch.setattr("pwd.getpwuid", lambda number: SimpleNamespace(**fields))
    monkeypatch.setattr("grp.getgrgid", lambda number: SimpleNamespace(**fields))
    assert file_owners._is_own_group(5) is is_own


@pytest.mark.skipif(sys.platform != "linux", reason="the list is written as Linux keeps it")
def test_a_group_of_the_user_alone_does_not_cover_an_access_list(tmp_path, monkeypatch):
    monkeypatch.setattr(file_owners, "_is_own_group", lambda group_id: True)
    tmp_path.chmod(0o770)
    assert file_owners.refusal_of_folder(tmp_path.resolve()) is None
    of_owner, of_user, of_group, mask, of_others = 1, 2, 4, 16, 32
    nobody = 2**32 - 1
    entries = [(of_owner, 7, nobody), (of_user, 7, 1234), (of_group, 5, nobody), (mask, 7, nobody)]
    content = [struct.pack("<HHI", *entry) for entry in [*entries, (of_others, 0, nobody)]]
    try:
        os.setxattr(tmp_path, "system.posix_acl_access", struct.pack("<I", 2) + b"".join(content))
    except OSError:
        pytest.skip("this file system has no access lists")
    refusal = file_owners.refusal_of_folder(tmp_path.resolve())
    assert refusal is not None
    assert refusal.reason == f"{tmp_path.resolve()} has mode 0770"


@pytest.mark.parametrize(
    ("owner", "uid_map", "is_outside"),
    [
        (65534, "1000 1000 1", True),
        (65534, "0 1000 1 1 100000 1000", True),
        (65534, "0 0 4294967295", False),
        (1000, "0 1000 1", False),
    ],
)
def test_in_a_container_root_may_be_shown_as_nobody(monkeypatch, owner, uid_map, is_outside):
    read = {"uid_map": uid_map, "overflowuid": "65534\n"}
    monkeypatch.setattr(Path, "read_text", lambda path: read[path.name])
    assert file_owners._stands_for_outsiders(owner) is is_outside


@on_posix
def test_the_commands_say_why_kernels_are_not_used(unsaid, tmp_path, capsys):
    tmp_path.chmod(0o777)
    problem = f"{tmp_path} has mode 0777. Run `chmod go-w {tmp_path}`"
    said = info._cache_state()
    assert said.startswith(f"not used. The compiled kernels in {unsaid}")
    assert problem in said
    with pytest.raises(SystemExit) as end:
        main.main(["warmup"])
    printed = capsys.readouterr()
    assert (end.value.code, printed.out) == (2, "")
    assert printed.err.startswith(f"engine: The compiled kernels in {unsaid} are not used")
    assert problem in printed.err
    assert list(tmp_path.iterdir()) == []


@on_posix
def test_no_interpreter_is_run_that_others_could_replace(unsaid):
    python = environments._python_in(environments.folder() / "jax")
    python.parent.mkdir(parents=True)
    python.touch()
    assert environments.own_python("jax") == python
    environments.folder().chmod(0o777)
    for use in (environments.own_python, lambda name: environments.make(name, name)):
        with pytest.raises(ValueError, match=r"nothing is run from .*peers, since others could"):
            use("jax")


@on_posix
def test_others_cannot_reach_the_files_of_an_environment_whatever_the_umask(
    unsaid, umask, monkeypatch
):
    umask(0)
    monkeypatch.setattr("venv.create", lambda place, with_pip: (place / "bin").mkdir())
    done = SimpleNamespace(returncode=0)
    monkeypatch.setattr("engine.comparison.environments.subprocess.run", lambda *_, **__: done)
    environments.make("jax", "jax")
    assert stat.S_IMODE((environments.folder() / "jax").stat().st_mode) == 0o700


# Where the folder is.


def test_the_folder_bears_the_distribution_s_name_and_stands_in_NUMBA_CACHE_DIR(folder, tmp_path):
    assert folder == tmp_path / "mlp-engine" / cache_key()


def test_a_relative_NUMBA_CACHE_DIR_does_not_move_with_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, "CACHE_DIR", "kernels")
    kernel = fresh(total)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    kernel(NUMBERS)
    assert files_in(tmp_path / "elsewhere") == []
    assert len(files_in(tmp_path / "kernels" / "mlp-engine" / cache_key())) >= 1


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder on a platform whose users' caches are named by XDG_CACHE_HOME."""
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    pretend_to_run_on("linux", monkeypatch)
    return tmp_path


def pretend_to_run_on(platform, monkeypatch):
    monkeypatch.setattr("engine.compiler.cache.sys", SimpleNamespace(platform=platform))


def test_XDG_CACHE_HOME_is_followed(home, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "named"))
    assert cache_root() == home / "named" / "mlp-engine"


@pytest.mark.parametrize("named", ["", "caches", "./caches", None])
def test_an_XDG_CACHE_HOME_that_is_relative_or_not_set_is_ignored(home, monkeypatch, named):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if named is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", named)
    assert cache_root() == home / ".cache" / "mlp-engine"


def test_a_relative_home_folder_is_no_home_folder(home, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: Path("home"))
    assert cache_root() is None


def test_each_platform_s_own_folder_for_caches_is_used(home, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "named"))
    monkeypatch.setenv("LOCALAPPDATA", str(home / "local"))
    pretend_to_run_on("darwin", monkeypatch)
    assert cache_root() == home / "Library" / "Caches" / "mlp-engine"
    pretend_to_run_on("win32", monkeypatch)
    assert cache_root() == home / "local" / "mlp-engine"
    monkeypatch.delenv("LOCALAPPDATA")
    assert cache_root() == home / "AppData" / "Local" / "mlp-engine"


# What the machine code depends on names the folder.


def copy_of_package(folder: Path) -> Path:
    return Path(
        shutil.copytree(PACKAGE, folder / "engine", ignore=shutil.ignore_patterns("__pycache__"))
    )


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the package, of which identities are then worked out."""
    package = copy_of_package(tmp_path)
    monkeypatch.setattr(keys, "PACKAGE", package)
    yield package
    cache_key.cache_clear()
    sources.cache_clear()


def identities() -> tuple[str | None, str]:
    """Of compiled kernels, and of the runs that checkpoints and Dask's workers belong to."""
    return cache_key.__wrapped__(), sources.__wrapped__()


def test_a_copy_of_the_package_has_the_same_identities(copied, monkeypatch):
    of_copy = identities()
    monkeypatch.setattr(keys, "PACKAGE", PACKAGE)
    assert of_copy == identities() == (cache_key(), sources())


def test_without_source_files_there_is_no_identity_and_no_folder(copied, monkeypatch):
    """As in a zip file: nothing would tell changed code from code that was compiled before."""
    for source in copied.rglob("*.py"):
        source.unlink()
    assert identities() == (None, "unknown")
    monkeypatch.setattr(cache, "cache_key", cache_key.__wrapped__)
    assert cache.cache_folder() is None


# Rooms of the package whose files change compiled kernels; files that change only how far a run
# goes; and rooms whose other files change neither.
OF_KERNELS = {"compiler", "equations", "solvers", "sums"}
OF_RUNS = {
    "network.py",
    "training/run.py",
    "training/trainer.py",
    "training/watch.py",
    "estimators/draws.py",
    "estimators/optimiser.py",
    "estimators/training.py",
    "estimators/watch.py",
}
OF_NEITHER = {
    "boundary",
    "checks",
    "cli",
    "comparison",
    "distributed",
    "estimators",
    "examples",
    "many",
    "model_files",
    "model_selection",
    "statistics",
    "system",
    "tables",
    "training",
}


def test_each_room_s_files_change_what_depends_on_them_and_nothing_else(copied):
    """A changed file of a room: does it compile anew, does it refuse a checkpoint?"""
    before = identities()
    rooms = {path.name for path in copied.iterdir() if path.is_dir()}
    assert rooms == OF_KERNELS | OF_NEITHER
    assert [name for name in OF_RUNS if not (copied / name).is_file()] == []
    for source in sorted(copied.rglob("*.py")):
        room = source.relative_to(copied).parts[0]
        decides = source.relative_to(copied).as_posix() in OF_RUNS
        kept = source.read_bytes()
        source.write_bytes(kept.replace(b'"""', b'"""Changed. ', 1))
        kernels, runs = identities()
        source.write_bytes(kept)
        assert (kernels != before[0]) == (room in OF_KERNELS), source
        assert (runs != before[1]) == (room in OF_KERNELS or decides), source
    assert identities() == before


def test_all_kernels_are_in_the_rooms_whose_files_name_the_folder():
    outside = [
        source
        for source in PACKAGE.rglob("*.py")
        if "engine.compiler.jit" in source.read_text() and not keys.is_numeric(source)
    ]
    assert outside == []


def test_a_source_file_more_or_fewer_or_renamed_names_another_folder(copied):
    before = identities()
    new = copied / "equations" / "new.py"
    new.write_bytes(b"")
    more = identities()
    renamed = new.rename(new.with_name("renamed.py"))
    other_name = identities()
    renamed.unlink()
    assert identities() == before
    (copied / "sums" / "one_row.py").unlink()
    assert len({before, more, other_name, identities()}) == 4


@pytest.mark.skipif(not POSIX, reason="Windows does not let every user make links")
def test_an_editor_s_lock_file_beside_the_sources_is_no_obstacle(copied):
    # Emacs marks a file that is being edited by a link to nowhere, `.#layout.py`.
    before = identities()
    (copied / "equations" / ".#layout.py").symlink_to("user@host.4711:1700000000")
    assert identities() == before


SETTINGS = (
    "BOUNDSCHECK",
    "DEBUGINFO_DEFAULT",
    "LOOP_VECTORIZE",
    "OPT",
    "SLP_VECTORIZE",
    "USING_SVML",
)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_compiler_setting_names_another_folder(monkeypatch, setting):
    before = cache_key.__wrapped__()
    monkeypatch.setattr(config, setting, "changed")
    assert cache_key.__wrapped__() != before


def test_optimisation_at_its_most_is_another_setting_than_level_3():
    """Both are 3 as a number, and messages have neither as Numba's object."""
    seen = [
        output("-c", "from engine.compiler import cache_key as k; print(k.setting('OPT'))", env=env)
        for env in ({"NUMBA_OPT": "3"}, {"NUMBA_OPT": "max"})
    ]
    assert seen == ["3\n", "max\n"]


@pytest.mark.parametrize("builder", ["numba", "llvmlite", "numpy"])
def test_another_version_of_the_compiler_or_of_numpy_names_another_folder(monkeypatch, builder):
    before = cache_key.__wrapped__()
    module = importlib.import_module(builder)
    monkeypatch.setattr(module, "__version__", "0.0.1")
    assert cache_key.__wrapped__() != before


@pytest.mark.parametrize(
    ("module", "name", "same", "other"),
    [
        ("numpy", "__version__", "2.4.99", "2.99.6"),
        ("platform", "python_version", "3.11.99", "3.99.7"),
    ],
)
def test_of_python_and_numpy_the_minor_version_counts(monkeypatch, module, name, same, other):
    """A wheel's kernels outlive their patches."""
    here = importlib.import_module(module)

    def key_with(version: str) -> str | None:
        found = version if name == "__version__" else lambda: version
        monkeypatch.setattr(here, name, found)
        return cache_key.__wrapped__()

    before = key_with(".".join([*same.split(".")[:2], "0"]))
    assert key_with(same) == before != key_with(other)


def test_whether_numba_may_use_avx_changes_the_class_of_processors_alone(monkeypatch):
    """Numba forbids it on old processors, which are in a class that has no AVX."""
    before = cache_key.__wrapped__()
    monkeypatch.setattr(config, "ENABLE_AVX", 0)
    assert cache_key.__wrapped__() == before


def penalty_of_weights():
    """mean_cost_loops inlines parameters_of_loops from layout.py. [J, file, loads, compilations]"""
    sizes, theta = np.array([2, 1]), np.array([1.0, 1.0, 3.0])
    J = mean.mean_cost_loops(0.0, theta, sizes, 1.0, 1.0)
    return [J, mean.__file__, *loaded_and_compiled(mean.mean_cost_loops)]


@pytest.mark.proof
def test_a_changed_helper_in_another_file_is_never_used_stale(tmp_path):
    copy = copy_of_package(tmp_path)
    layout = copy / "equations" / "layout.py"
    as_it_was = layout.read_text(encoding="utf-8")
    changed = as_it_was.replace("matrix_at(theta, start, ", "matrix_at(theta, start + 1, ")
    assert changed != as_it_was
    env = {
        "NUMBA_CACHE_DIR": tmp_path / "cache",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
    }
    seen = []
    for text in (as_it_was, changed, as_it_was):
        layout.write_text(text, encoding="utf-8")
        J, file, *counts = result_of(penalty_of_weights, cwd=tmp_path, env=env)
        assert Path(file).is_relative_to(copy)
        seen.append([J, *counts])
    # Weights 1 and 1, then 1 and 3; going back finds what was kept.
    assert seen == [[1.0, 0, 1], [5.0, 0, 1], [1.0, 1, 0]]


# Several processes, and other packages.


def sum_up_many_types_when_all_are_ready(folder, own_name, n_processes):
    """Begin at the same time as the other processes. [results, loads, compilations]"""
    Path(folder, own_name).touch()
    deadline = time.monotonic() + 60
    while len(list(Path(folder).iterdir())) < n_processes and time.monotonic() < deadline:
        time.sleep(0.001)
    results = [float(total(NUMBERS.astype(dtype))) for dtype in "fdbhilBHIL"]
    return [results, *loaded_and_compiled(total)]


@pytest.mark.proof
def test_processes_that_fill_an_empty_folder_at_once_all_succeed(tmp_path):
    ready, cache = tmp_path / "ready", tmp_path / "cache"
    ready.mkdir()
    names = ["first", "second"]
    with ThreadPoolExecutor() as pool:
        waiting = [
            pool.submit(
                result_of,
                sum_up_many_types_when_all_are_ready,
                ready, name, len(names),
                env={"NUMBA_CACHE_DIR": cache},
            )
            for name in names
        ]  # fmt: skip
        seen = [each.result() for each in waiting]
    for results, loads, compilations in seen:
        assert results == [TOTAL] * 10
        assert loads + compilations == len({np.dtype(c) for c in "fdbhilBHIL"})
    assert all(name.endswith(".kernel") for name in files_in(cache))
    ready_again = tmp_path / "ready again"
    ready_again.mkdir()
    arguments = (ready_again, "third", 1)
    third = result_of(
        sum_up_many_types_when_all_are_ready, *arguments, env={"NUMBA_CACHE_DIR": cache}
    )
    assert third[2] == 0


def compile_a_function_of_another_package(folder):
    """Where Numba itself keeps an njit(cache=True) and an njit function, after the engine's."""
    from_engine = sum_up()
    source = Path(folder, "another_package.py")
    source.write_text(
        "import numba\n"
        "@numba.njit(cache=True)\n"
        "def kept(number):\n    return number + 1\n"
        "@numba.njit\n"
        "def not_kept(number):\n    return number + 1\n"
    )
    sys.path.insert(0, str(folder))
    import another_package  # type: ignore[import-not-found]

    numbers = [another_package.kept(1), another_package.not_kept(1)]
    paths = [another_package.kept.stats.cache_path, another_package.not_kept.stats.cache_path]
    return [from_engine, numbers, paths, numba.config.CACHE_DIR]


@pytest.mark.proof
def test_other_packages_functions_are_kept_where_numba_keeps_them(tmp_path):
    home, folder = tmp_path / "home", tmp_path / "package"
    folder.mkdir()
    from_engine, numbers, paths, cache_dir = result_of(
        compile_a_function_of_another_package, folder, env=home_at(home)
    )
    assert from_engine == COMPILED
    assert numbers == [2, 2]
    assert Path(paths[0]) == folder / "__pycache__"
    assert paths[1] is None
    assert cache_dir == ""
    own = [path for path in home.rglob("*") if "mlp-engine" in path.parts]
    assert own
    assert not any("another_package" in path.name for path in own)


def test_a_compilation_that_was_left_unfinished_is_not_kept_and_raises_nothing(
    tmp_path, monkeypatch
):
    """As Ctrl-C leaves it: taking it apart raises, and the caller must not hear of that."""

    class Unfinished:
        class library:
            has_dynamic_globals = False

        class codegen:
            magic_tuple = staticmethod(lambda: ("triple", "processor", "features"))

        @staticmethod
        def _reduce():
            raise RuntimeError("no compiled object yet")

    kept = cache.CheckedCache(lambda: None)
    monkeypatch.setattr(kept, "_folder", tmp_path)
    kept.save_overload(("float64",), Unfinished)
    assert list(tmp_path.iterdir()) == []
