"""tools/wheel.py: a wheel with compiled kernels, from which nothing is left to compile."""

import base64
import csv
import hashlib
import json
import os
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from numba.core.serialize import dumps

from engine import __version__
from engine.cli.warmup_jobs import parts_of_warmup, parts_of_wheel
from engine.compiler.carried_kernels import CLASSES, DESCRIPTION
from engine.compiler.target import V2, V3, V4, processor_class
from engine.solvers.mersenne import draw_order_mersenne_loops
from tests.kernels import total
from tests.processes import ROOT, environment, result_of
from tests.tools import every_kind_of_fit
from tools import wheel, wheel_kernels
from tools.wheel import Kernels, Tags, tags_of, tags_of_numba

pytestmark = pytest.mark.compiled

CPYTHON = f"cp{sys.version_info.major}{sys.version_info.minor}"


# Tags, and what is refused.


def test_the_tags_are_those_of_the_installed_numba():
    tags = tags_of_numba()
    assert tags.python == CPYTHON
    assert tags.abi.startswith(CPYTHON)
    system = {"linux": "linux", "darwin": "macosx", "win32": "win"}[sys.platform]
    assert all(system in one for one in tags.platform.split("."))


def test_a_numba_without_tags_is_an_error():
    with pytest.raises(SystemExit, match="install Numba from a wheel"):
        tags_of("Wheel-Version: 1.0\nGenerator: conda\n")


def test_a_processor_of_no_class_is_an_error(monkeypatch):
    monkeypatch.setattr(wheel, "processor_class", lambda: V2._replace(name="old", is_fixed=False))
    with pytest.raises(SystemExit, match="old is in no class of processors"):
        wheel.classes_of_this_system()


@pytest.mark.parametrize("own", [V2, V3, V4])
def test_this_machine_s_class_comes_first(own, monkeypatch):
    """Its kernels are recorded; the others follow from the list."""
    monkeypatch.setattr(wheel, "processor_class", lambda: own)
    first, *others = wheel.classes_of_this_system()
    assert first == own.name
    assert {first, *others} == {"x86-64-v2", "x86-64-v3", "x86-64-v4"}


# The list of kernels.


def test_a_wheel_has_all_that_a_warmup_compiles():
    for dtype in ("float64", "float32"):
        warmed = [name for name, _ in parts_of_warmup("tiled", dtype, embeddings=True)]
        assert [name for name, _ in parts_of_wheel(dtype)][: len(warmed)] == warmed


def call_a_kernel(listed):
    """What a process lists that calls one."""
    draw_order_mersenne_loops(3, np.zeros(625, np.uint64))
    Path(listed).write_bytes(dumps(wheel_kernels.compiled_in_this_process()))


def compile_what_is_listed(listed):
    """What a process compiles that calls none."""
    wheel_kernels.compile_list(Path(listed), processor_class().name)
    return [list(one[:2]) for one in wheel_kernels.compiled_in_this_process()]


@pytest.mark.proof
def test_a_kernel_that_python_has_called_is_listed_and_compiled_from_the_list(tmp_path):
    result_of(call_a_kernel, tmp_path / "list")
    found = result_of(compile_what_is_listed, tmp_path / "list")
    assert found == [["engine.solvers.mersenne", "draw_order_mersenne_loops"]]


def test_small_kernels_of_tests_are_not_listed():
    assert total.__name__ not in {name for _, name, _ in wheel_kernels.compiled_in_this_process()}


# The file.


def kernels_of(folder: Path, name: str, n_entries: int, key: str = "0.1.0-1f") -> Kernels:
    entries = [folder / f"{name}-{number}.kernel" for number in range(n_entries)]
    for entry in entries:
        entry.write_bytes(entry.name.encode())
    return Kernels(name, key, entries, 1.0)


@pytest.fixture
def content(tmp_path):
    """An unpacked wheel of a package with one file."""
    folder = tmp_path / "unpacked"
    metadata = folder / "mlp_engine-0.1.0.dist-info"
    for place in (folder / "engine", metadata):
        place.mkdir(parents=True)
    (folder / "engine" / "__init__.py").write_text("")
    plain = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n\n"
    (metadata / "WHEEL").write_text(plain)
    (metadata / "METADATA").write_text("Metadata-Version: 2.4\nName: mlp-engine\nVersion: 0.1.0\n")
    (metadata / "RECORD").write_text("")
    (tmp_path / DESCRIPTION).write_text('{"Numba": "1.2.3"}')
    return folder


def test_kernels_go_beside_the_sources_and_tags_and_digests_follow(content, tmp_path):
    pytest.importorskip("wheel")
    found = [kernels_of(tmp_path, name, 2) for name in ("x86-64-v3", "x86-64-v2")]
    wheel.add_kernels(content, found, tmp_path / DESCRIPTION)
    made = wheel.packed(content, Tags("cp311", "cp311", "linux_x86_64"), tmp_path / "packed")
    assert made.name == "mlp_engine-0.1.0-cp311-cp311-linux_x86_64.whl"
    with ZipFile(made) as archive:
        carried = [name for name in archive.namelist() if "compiled_kernels" in name]
        assert "engine/compiled_kernels/0.1.0-1f/x86-64-v3/x86-64-v3-1.kernel" in carried
        assert len(carried) == 5
        described = json.loads(archive.read(f"engine/compiled_kernels/{DESCRIPTION}"))
        assert described == {"Numba": "1.2.3", CLASSES: {"x86-64-v3": 2, "x86-64-v2": 2}}
    check_metadata(made, {"cp311-cp311-linux_x86_64"})


@pytest.mark.parametrize(
    ("first", "second", "key"), [(2, 3, "0.1.0-1f"), (2, 2, "0.1.0-2e"), (0, 0, "0.1.0-1f")]
)
def test_classes_with_different_kernels_or_none_are_an_error(content, tmp_path, first, second, key):
    found = [kernels_of(tmp_path, "x86-64-v3", first), kernels_of(tmp_path, "v2", second, key)]
    with pytest.raises(SystemExit, match="the classes have different kernels"):
        wheel.add_kernels(content, found, tmp_path / DESCRIPTION)


def check_metadata(made: Path, tags: set[str]) -> None:
    """Its tags, and the digest of each file."""
    with ZipFile(made) as archive:
        (place,) = [name for name in archive.namelist() if name.endswith(".dist-info/WHEEL")]
        lines = archive.read(place).decode().splitlines()
        assert "Root-Is-Purelib: false" in lines
        assert {line[5:] for line in lines if line.startswith("Tag: ")} == tags
        record = archive.read(place.replace("WHEEL", "RECORD")).decode().splitlines()
        digests = {name: digest for name, digest, _ in csv.reader(record) if digest}
        assert {*digests, place.replace("WHEEL", "RECORD")} == set(archive.namelist())
        for name, digest in digests.items():
            found = base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest())
            assert digest == f"sha256={found.decode().rstrip('=')}", name


# A real one, in an environment of its own.


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The wheel, and what was printed as it was made."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "tools.wheel", "--to", folder],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (file,) = folder.iterdir()
    return file, done.stdout


@pytest.fixture(scope="module")
def python(made, tmp_path_factory):
    """An interpreter that has the wheel, and the other packages of this environment."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    found = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    options = ("--no-deps", "--no-index", "--quiet", "--disable-pip-version-check")
    install = [sys.executable, "-m", "pip", "--python", found, "install", *options, made[0]]
    subprocess.run(install, check=True)
    say = "import sysconfig; print(sysconfig.get_path('purelib'))"
    place = Path(said_by(found, "-c", say).strip())
    (place / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return found


def said_by(python: Path, *arguments: str | Path, **changes: str | Path) -> str:
    """What this interpreter prints; it knows nothing of the tree."""
    done = subprocess.run(
        [python, *arguments],
        cwd=python.parent,
        env=environment({"PYTHONPATH": None, **changes}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.proof
def test_the_wheel_is_for_this_numba_and_python_and_no_larger_than_it_may_be(made):
    file, printed = made
    tags = tags_of_numba()
    assert file.name == f"mlp_engine-{__version__}-{'-'.join(tags)}.whl"
    assert file.stat().st_size < wheel.MOST_MEGABYTES * 1e6
    *classes, named, summary = printed.splitlines()
    assert [line.partition(":")[0] for line in classes] == wheel.classes_of_this_system()
    assert named == str(file)
    assert "kernels" in summary
    assert "MB (at most 15)" in summary
    platforms = tags.platform.split(".")
    check_metadata(file, {f"{tags.python}-{tags.abi}-{one}" for one in platforms})


def names_of_classes() -> list[str]:
    """Those that this machine can run."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return [processor_class().name]
    return [one.name for one in (V2, V3, V4)]


@pytest.mark.proof
@pytest.mark.parametrize("name", names_of_classes())
def test_from_the_wheel_nothing_is_compiled_whatever_is_trained(name, made, python, tmp_path):
    if name > processor_class().name:
        pytest.skip("not a processor of this class")
    cache = {"NUMBA_CACHE_DIR": tmp_path / "cache", "NUMBA_CPU_NAME": name}
    script = Path(every_kind_of_fit.__file__)
    file, found, compiled, loaded = json.loads(said_by(python, script, **cache))
    assert python.parent.parent in Path(file).parents
    assert (found, compiled) == (name, [])
    assert not (tmp_path / "cache").exists()
    with ZipFile(made[0]) as archive:
        entries = [Path(one) for one in archive.namelist() if one.endswith(".kernel")]
    carried = {one.name.rpartition("-")[0] for one in entries if one.parent.name == name}
    assert carried >= set(loaded)
    # Dead code of its callers asks for it: it is carried, and never loaded.
    assert carried - set(loaded) <= {"engine.equations.members.accumulate_members.called"}


BITS = """
import numpy as np
from engine import Network, train
X = np.random.default_rng(0).standard_normal((5, 90))
for dtype in ("float32", "float64"):
    ended = train(Network((5, 9, 1)), X.astype(dtype), X[0] > 0, batch_size=16, max_iter=3)
    print(ended.fingerprint)
"""


@pytest.mark.proof
def test_kernels_that_were_compiled_without_running_give_the_same_bits(python, tmp_path):
    """Of the lowest class, which is not the class of the machine that made them."""
    cache = {"NUMBA_CACHE_DIR": tmp_path, "NUMBA_CPU_NAME": names_of_classes()[0]}
    of_wheel = said_by(python, "-c", BITS, **cache)
    assert list(tmp_path.iterdir()) == []
    done = subprocess.run(
        [sys.executable, "-c", BITS], env=environment(cache), capture_output=True, text=True
    )
    assert done.stdout == of_wheel
    assert list(tmp_path.iterdir()) != []


@pytest.mark.proof
def test_info_says_whether_they_are_used_or_why_not(python):
    used, other = (said_by(python, "-m", "engine", "info", NUMBA_OPT=level) for level in "31")
    (line,) = [one for one in used.splitlines() if one.startswith("installed kernels")]
    assert line.rstrip().endswith(", used")
    reason = "The installed kernels cannot be used: they were built for NUMBA_OPT 3, not 1."
    assert reason in " ".join(other.split())
