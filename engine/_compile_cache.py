"""Compiled kernels on disk, so that only the first process on a machine waits for the compiler.

Numba's own cache has four faults that this one mends. It notices a change in a function's own file
only, and so keeps a stale copy of a helper inlined from another file. It lets a truncated or empty
entry raise out of the call. It hands a damaged entry to LLVM, which may abort the process. And it
loads code compiled without bounds checks where checks were asked for.

Here an entry is one file: a digest, then the pickled compilation. It lies in a folder named by all
that the machine code depends on (every source file of the package, the compiler's version and
flags). An entry that is missing, truncated, damaged, foreign or unreadable, and a folder that
cannot be written, only cost compile time: no fault of the cache ever reaches the caller.
"""

import contextlib
import functools
import hashlib
import importlib
import os
import pickle
import platform
import sys
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import numba
import numpy
from numba.core import caching, config

from engine import __version__

PACKAGE = Path(__file__).resolve().parent
DIGEST_BYTES = 32
# Numba settings that change the machine code.
COMPILER_SETTINGS = (
    "BOUNDSCHECK",
    "DEBUGINFO_DEFAULT",
    "ENABLE_AVX",
    "LOOP_VECTORIZE",
    "OPT",
    "SLP_VECTORIZE",
    "USING_SVML",
)


def cache_root() -> Path | None:
    """Folder for the caches of all versions; None where the user has no home folder.

    ``NUMBA_CACHE_DIR`` where it is set, else the platform's folder for a user's caches. Never a
    shared temporary folder: entries are unpickled, so only their owner may write them.
    """
    if config.CACHE_DIR:
        return Path(config.CACHE_DIR).absolute() / "mlp-engine"
    try:
        if sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA")
            base = Path(local) if local else Path.home() / "AppData" / "Local"
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            named = Path(os.environ.get("XDG_CACHE_HOME", ""))
            base = named if named.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # Path.home() found neither a variable nor an account
        return None
    return base / "mlp-engine" if base.is_absolute() else None


@functools.cache
def build_identity() -> str | None:
    """Version and hash of all that compiled code depends on, the processor apart.

    None where the sources cannot be read, as in a zip file: nothing would tell two builds apart.
    """
    digest = hashlib.sha256()
    # An editor's lock file may be a link to nowhere.
    sources = [source for source in sorted(PACKAGE.rglob("*.py")) if source.is_file()]
    if not sources:
        return None
    for source in sources:
        digest.update(source.relative_to(PACKAGE).as_posix().encode())
        digest.update(source.read_bytes())
    builders = (numba.__version__, llvmlite.__version__, numpy.__version__)
    settings = [(name, getattr(config, name, None)) for name in COMPILER_SETTINGS]
    python = (platform.python_version(), sys.implementation.cache_tag, getattr(sys, "abiflags", ""))
    digest.update(repr((python, builders, settings)).encode())
    return f"{__version__}-{digest.hexdigest()[:16]}"


def cache_folder() -> Path | None:
    """Folder that holds this build's entries; None where there is no place for one."""
    root, identity = cache_root(), build_identity()
    return None if root is None or identity is None else root / identity


class Called(NamedTuple):
    """A kernel that another's machine code calls by its symbol."""

    module: str
    name: str
    arguments: tuple[Any, ...]
    symbol: str


_by_symbol: dict[str, Called] = {}


def remember_symbol(symbol: str, module: str, name: str, arguments: tuple[Any, ...]) -> None:
    """Say whose symbol that is, for the entries of kernels that call it."""
    _by_symbol[symbol] = Called(module, name, arguments, symbol)


def called_by(library: Any) -> list[Called]:
    """The kernels whose symbols a compilation refers to."""
    declared = (f.name for f in library._get_module_for_linking().functions if f.is_declaration)
    return [_by_symbol[symbol] for symbol in declared if symbol in _by_symbol]


def is_loaded(called: Called) -> bool:
    """Whether that kernel's symbol is there, after it has been loaded or compiled."""
    kernel = getattr(importlib.import_module(called.module), called.name).within
    kernel.compile(called.arguments)
    found: str = kernel.overloads[called.arguments].fndesc.llvm_func_name
    return found == called.symbol


class CheckedCache(caching._Cache):
    """Disk cache of one kernel, in the form that Numba's dispatcher asks for.

    Parameters
    ----------
    kernel : function
        The Python function whose compilations are kept.
    form : str
        Tells compilations of the same function apart that differ in more than their signature.
    """

    def __init__(self, kernel: Any, form: str = "") -> None:
        self._kernel_name = f"{kernel.__module__}.{kernel.__qualname__}{form and '.' + form}"
        self._folder = cache_folder()
        self._source = ""
        self._enabled = True
        source = Path(kernel.__code__.co_filename).resolve()
        if not source.is_relative_to(PACKAGE):  # a test's kernel: the folder does not speak for it
            try:
                self._source = hashlib.sha256(source.read_bytes()).hexdigest()
            except OSError:
                self._folder = None

    @property
    def cache_path(self) -> str | None:
        return None if self._folder is None else str(self._folder)

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        if self._folder is not None:
            for entry in self._folder.glob(f"{self._kernel_name}-*.kernel"):
                with contextlib.suppress(OSError):
                    entry.unlink(missing_ok=True)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compilation kept for `sig` on this processor, or None."""
        target_context.refresh()
        path = self._entry_path(sig, target_context.codegen())
        if path is None:
            return None
        # Whatever is wrong with an entry, compiling again is the cure: hence the wide net.
        try:
            kept = path.read_bytes()
            payload = kept[DIGEST_BYTES:]
            if kept[:DIGEST_BYTES] != self._digest(path, payload):
                return None
            kept_sig, called, reduced = pickle.loads(payload)
            if kept_sig != sig or not all(map(is_loaded, called)):
                return None
            return caching.compiler.CompileResult._rebuild(target_context, *reduced)
        except Exception:
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compilation `data` of `sig`, if there is a place where it can be kept."""
        path = self._entry_path(sig, data.codegen)
        if path is None or data.library.has_dynamic_globals:  # addresses of this process alone
            return
        try:
            payload = caching.dumps((sig, called_by(data.library), data._reduce()))
        except Exception:  # such as a compilation that Ctrl-C left unfinished
            return
        # Written aside and renamed: another process sees the whole entry or none.
        aside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}.tmp")
        with contextlib.suppress(OSError):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                aside.write_bytes(self._digest(path, payload) + payload)
                os.replace(aside, path)
            finally:
                aside.unlink(missing_ok=True)

    def _entry_path(self, sig: Any, codegen: Any) -> Path | None:
        if self._folder is None or not self._enabled:
            return None
        processor = codegen.magic_tuple()  # target triple, processor name, processor features
        key = hashlib.sha256(repr((sig, processor, self._source)).encode()).hexdigest()[:16]
        return self._folder / f"{self._kernel_name}-{key}.kernel"

    def _digest(self, path: Path, payload: bytes) -> bytes:
        """The file's name is part of the digest: an entry copied to another name is foreign."""
        return hashlib.sha256(path.name.encode() + b"\0" + payload).digest()
