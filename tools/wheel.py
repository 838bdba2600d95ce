"""`make wheel`: the package as a wheel that carries its compiled kernels (decision 0050).

Kernels are compiled from the sources as the wheel has them, in processes of their own: by the jobs
of tools/wheel_kernels.py for this machine's class of processors, then from the list of these
kernels for the other classes, whose code need not run here. The wheel's tags are those of the
installed Numba: the kernels run wherever it does.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from engine.compiler.carried_kernels import CLASSES, DESCRIPTION, FOLDER
from engine.compiler.target import ARM64, processor_class
from engine.compiler.target import CLASSES as X86_CLASSES

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("engine", "pyproject.toml", "setup.cfg", "README.md", "LICENSE")
MOST_MEGABYTES = 15


class Tags(NamedTuple):
    """What a wheel can be installed with and on, as the `wheel` package takes it."""

    python: str
    abi: str
    platform: str


def tags_of(wheel_metadata: str) -> Tags:
    """The tags of a wheel, from its file WHEEL.

    >>> tags_of("Tag: cp311-cp311-linux_x86_64\\nTag: cp311-cp311-manylinux_2_27_x86_64")
    Tags(python='cp311', abi='cp311', platform='linux_x86_64.manylinux_2_27_x86_64')
    """
    found = re.findall(r"^Tag: *([^-\s]+)-([^-\s]+)-(\S+) *$", wheel_metadata, re.MULTILINE)
    if not found:
        raise SystemExit("wheel: Numba's metadata has no tags; install Numba from a wheel.")
    return Tags(*(".".join(sorted(set(part))) for part in zip(*found, strict=True)))


def tags_of_numba() -> Tags:
    """Those of the installed Numba."""
    try:
        return tags_of(distribution("numba").read_text("WHEEL") or "")
    except PackageNotFoundError:
        raise SystemExit("wheel: Numba is not installed.") from None


def classes_of_this_system() -> list[str]:
    """The classes of processors that kernels are carried for, this machine's own first."""
    own = processor_class()
    if own is ARM64:
        return [own.name]
    if not own.is_fixed:
        raise SystemExit(f"wheel: {own.name} is in no class of processors (engine info).")
    return sorted(X86_CLASSES, key=lambda name: name != own.name)


def run(*arguments: str | Path, cwd: Path, **variables: str | Path) -> str:
    """Run this Python without any settings of Numba's; what it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**kept, **{name: str(value) for name, value in variables.items()}},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"wheel: this failed: {' '.join(map(str, arguments))}\n{done.stderr}")
    return done.stdout


def plain_wheel(folder: Path) -> Path:
    """Build the wheel without kernels, from a copy, so that the tree stays as it is."""
    copy = folder / "copy"
    copy.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", FOLDER.name)
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=ignored)
        else:
            shutil.copy(source, copy / name)
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check")
    run("-m", "pip", "wheel", copy, *options, "--wheel-dir", folder, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def unpacked(wheel: Path, folder: Path) -> Path:
    """The content of a wheel, as a folder."""
    run("-m", "wheel", "unpack", wheel, "--dest", folder, cwd=folder)
    (content,) = folder.glob("*/")
    return content


class Kernels(NamedTuple):
    """The entries of a class of processors, and what they took."""

    class_name: str
    key: str
    entries: list[Path]
    seconds: float


def compiled_kernels(package: Path, classes: list[str], folder: Path) -> Iterable[Kernels]:
    """Compile the kernels of the package in a folder, class by class."""
    listed, built_for = folder / "list", folder / DESCRIPTION
    own, *others = classes

    def compiled(name: str, *arguments: str | Path) -> Kernels:
        start, cache = time.perf_counter(), folder / name
        path = os.pathsep.join([str(package), str(ROOT)])
        task = ("-m", "tools.wheel_kernels", *arguments)
        run(*task, cwd=folder, NUMBA_CACHE_DIR=cache, PYTHONPATH=path)
        (kept,) = cache.glob("mlp-engine/*/")
        entries = sorted(kept.glob("*.kernel"))
        return Kernels(name, kept.name, entries, time.perf_counter() - start)

    yield compiled(own, "record", listed, built_for)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        yield from pool.map(lambda name: compiled(name, "compile", listed, name), others)


def add_kernels(content: Path, found: list[Kernels], built_for: Path) -> None:
    """Put the kernels beside the sources, and what they were built for."""
    counts = {kernels.class_name: len(kernels.entries) for kernels in found}
    keys = {kernels.key for kernels in found}
    if len(set(counts.values())) != 1 or len(keys) != 1 or not all(counts.values()):
        raise SystemExit(
            f"wheel: the classes have different kernels, or none: {counts}, {sorted(keys)}"
        )
    place = content / "engine" / FOLDER.name
    for kernels in found:
        to = place / kernels.key / kernels.class_name
        to.mkdir(parents=True)
        for entry in kernels.entries:
            shutil.copyfile(entry, to / entry.name)
    description = json.loads(built_for.read_text(encoding="utf-8")) | {CLASSES: counts}
    text = json.dumps(description, indent=2) + "\n"
    (place / DESCRIPTION).write_text(text, encoding="utf-8")


def packed(content: Path, tags: Tags, folder: Path) -> Path:
    """The content as a wheel with these tags."""
    (metadata,) = content.glob("*.dist-info/WHEEL")
    text = metadata.read_text(encoding="utf-8")
    changed = text.replace("Root-Is-Purelib: true", "Root-Is-Purelib: false")
    metadata.write_text(changed, encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    run("-m", "wheel", "pack", content, "--dest-dir", folder, cwd=folder)
    (plain,) = folder.glob("*.whl")
    named = ("--python-tag", tags.python, "--abi-tag", tags.abi, "--platform-tag", tags.platform)
    run("-m", "wheel", "tags", "--remove", *named, plain, cwd=folder)
    (tagged,) = folder.glob("*.whl")
    return tagged


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.wheel", description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "dist", help="the folder for the wheel")
    to = parser.parse_args(arguments).to.absolute()
    start = time.perf_counter()
    tags, classes = tags_of_numba(), classes_of_this_system()
    with tempfile.TemporaryDirectory(prefix="engine-wheel-") as name:
        folder = Path(name)
        parts = {part: folder / part for part in ("built", "unpacked", "kernels", "packed")}
        for part in parts.values():
            part.mkdir()
        content = unpacked(plain_wheel(parts["built"]), parts["unpacked"])
        found = []
        for kernels in compiled_kernels(content, classes, parts["kernels"]):
            found.append(kernels)
            n = len(kernels.entries)
            print(f"{kernels.class_name}: {n} kernels, {kernels.seconds:.0f} s", flush=True)
        add_kernels(content, found, parts["kernels"] / DESCRIPTION)
        made = packed(content, tags, parts["packed"])
        to.mkdir(parents=True, exist_ok=True)
        wheel = Path(shutil.copy(made, to / made.name))
    megabytes = wheel.stat().st_size / 1e6
    n_kernels = sum(len(kernels.entries) for kernels in found)
    seconds = time.perf_counter() - start
    print(wheel)
    print(f"{n_kernels} kernels, {megabytes:.1f} MB (at most {MOST_MEGABYTES}), {seconds:.0f} s")
    if megabytes > MOST_MEGABYTES:
        raise SystemExit("wheel: it is too large.")


if __name__ == "__main__":
    main()
