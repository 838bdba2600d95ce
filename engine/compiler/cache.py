"""Compiled kernels on disk, so that only the first process on a machine waits for the compiler.

This cache fixes four faults of Numba's own. Numba only detects changes in a function's own file, so
it keeps a stale copy of a helper that was inlined from another file. A truncated or empty entry
raises an error in the call. A damaged entry goes to LLVM, which may abort the process. And code
compiled without bounds checks is loaded even if bounds checks are requested.

Here an entry is one file: a digest, then the pickled compilation. The folder's name is made
of what the machine code depends on (cache_key.py). An entry that is missing, truncated, damaged,
foreign or unreadable, or a folder that cannot be written, only costs compile time: the caller never
sees an error of the cache.

Kernels that the package was installed with come first (carried_kernels.py): then the user's folder
is not even looked at.

Entries are unpickled and their machine code is run. So a folder and an entry of the user's are used
only if nobody but the user and root may change them. Otherwise a warning says so, once in a
process.
"""

import contextlib
import hashlib
import importlib
import itertools
import os
import pickle
import sys
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from numba.core import caching, config

from engine.compiler.cache_entries import (
    DamagedEntry,
    content_of,
    content_of_carried,
    digest_of_entry,
    parts_of,
    payload_of,
    processor_of,
)
from engine.compiler.cache_key import cache_key, is_numeric
from engine.compiler.carried_kernels import carried_folder, report_damaged
from engine.system.file_owners import Refusal, refusal_of_file, refusal_of_folder

# Permissions of new folders and entries, less what the umask takes away: nobody else may write to
# them, whatever the umask.
FOLDER_MODE, FILE_MODE = 0o755, 0o644


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


def cache_folder() -> Path | None:
    """Folder that holds this build's entries; None where there is no place for one."""
    root, key = cache_root(), cache_key()
    return None if root is None or key is None else root / key


def why_unused(folder: Path) -> str | None:
    """Why the kernels in `folder` are not used, and the remedy; None if nobody else can write.

    Raises OSError if a folder cannot be examined.
    """
    found = refusal_of_folder(real_path(folder))
    return None if found is None else _message(folder, found)


def real_path(folder: Path) -> Path:
    """The path of a folder without links; the folder need not exist."""
    return Path(os.path.realpath(folder))


def make_folder(folder: Path) -> None:
    """Make a folder, and the missing ones above it, so that others may not write to them."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(FOLDER_MODE, exist_ok=True)


def reason_and_remedy(found: Refusal) -> str:
    """Why others could change the files of the cache, and what to do, for a message."""
    remedy = f"Run `{found.remedy}`, or set" if found.remedy else "Set"
    return f"{found.reason}. {remedy} NUMBA_CACHE_DIR to a folder of your own."


def _message(folder: Path, found: Refusal) -> str:
    return (
        f"The compiled kernels in {folder} are not used, since others could change them: "
        f"{reason_and_remedy(found)} Until then each process compiles."
    )


_warnings = itertools.count()


def _warn_once(folder: Path, found: Refusal) -> None:
    """Warn, once in a process, that kernels on the disk are not used, and why."""
    if next(_warnings) == 0:
        warnings.warn(_message(folder, found), UserWarning, stacklevel=2)


_usable: dict[Path, Path] = {}  # folders that exist and that nobody else may change


def usable_path(folder: Path) -> Path | None:
    """The path of `folder` without links; None if others could change its content."""
    if folder in _usable:
        return _usable[folder]
    real = real_path(folder)
    try:
        found = refusal_of_folder(real)
    except OSError:
        return None
    if found is not None:
        _warn_once(folder, found)
        return None
    if real.is_dir():
        _usable[folder] = real
    return real


def keeps_kernels() -> bool:
    """Whether later processes can load what this one compiles."""
    folder = cache_folder()
    real = None if folder is None else usable_path(folder)
    return real is not None and can_be_added_to(real)


def can_be_added_to(folder: Path) -> bool:
    """Whether this user may write to a folder, or to its nearest parent that exists."""
    there = next(place for place in (folder, *folder.parents) if os.path.exists(place))
    return os.access(there, os.W_OK)


def _new_file(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)


def content_of_kept(path: Path) -> bytes:
    """The bytes of an entry of the user's; none if others could change it."""

    def is_refused(status: os.stat_result) -> bool:
        found = refusal_of_file(path, status)
        if found is not None:
            _warn_once(path.parent, found)
        return found is not None

    return content_of(path, is_refused, follow_links=False)


class LinkedSymbol(NamedTuple):
    """A kernel that another's machine code calls by its symbol."""

    module: str
    name: str
    arguments: tuple[Any, ...]
    symbol: str


_by_symbol: dict[str, LinkedSymbol] = {}


def remember_symbol(symbol: str, module: str, name: str, arguments: tuple[Any, ...]) -> None:
    """Record which kernel defines a symbol, for the cache entries of kernels that call it."""
    _by_symbol[symbol] = LinkedSymbol(module, name, arguments, symbol)


def called_by(library: Any) -> list[LinkedSymbol]:
    """The kernels whose symbols a compilation refers to."""
    declared = (f.name for f in library._get_module_for_linking().functions if f.is_declaration)
    return [_by_symbol[symbol] for symbol in declared if symbol in _by_symbol]


def is_loaded(called: LinkedSymbol) -> bool:
    """Load or compile a called kernel; return whether its symbol is the recorded one."""
    kernel = getattr(importlib.import_module(called.module), called.name).within
    kernel.compile(called.arguments)
    found: str = kernel.overloads[called.arguments].fndesc.llvm_func_name
    return found == called.symbol


class CheckedCache(caching._Cache):
    """Disk cache of one kernel, with the interface that Numba's dispatcher expects.

    Parameters
    ----------
    kernel : function
        The Python function whose compilations are kept.
    form : str
        Distinguishes compilations of one function that differ in more than their signature.
    """

    def __init__(self, kernel: Any, form: str = "") -> None:
        self._kernel_name = f"{kernel.__module__}.{kernel.__qualname__}{form and '.' + form}"
        self._folder = cache_folder()
        self._source = ""
        self._enabled = True
        source = Path(kernel.__code__.co_filename).resolve()
        if not is_numeric(source):  # a test's kernel, which the folder's hash does not cover
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

    def has(self, sig: Any, target_context: Any) -> bool:
        """Whether there is an entry for `sig`, whatever it holds."""
        codegen = target_context.codegen()
        carried = carried_folder() if self._enabled else None
        places = [self._entry_path(sig, codegen)]
        if carried is not None:
            places.append(carried / self._entry_name(sig, codegen))
        return any(path is not None and path.exists() for path in places)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compilation of `sig`: one of the package's, or one that is kept; else None."""
        target_context.refresh()
        return self._load_carried(sig, target_context) or self._load_kept(sig, target_context)

    def _load_carried(self, sig: Any, target_context: Any) -> Any:
        folder = carried_folder() if self._enabled else None
        if folder is None:
            return None
        path = folder / self._entry_name(sig, target_context.codegen())
        try:
            return self._load(path, content_of_carried, sig, target_context)
        except FileNotFoundError:  # not among those that are carried
            return None
        except DamagedEntry:
            report_damaged(path.name)
            return None

    def _load_kept(self, sig: Any, target_context: Any) -> Any:
        path = self._entry_path(sig, target_context.codegen())
        if path is None:
            return None
        try:
            return self._load(path, content_of_kept, sig, target_context)
        except (FileNotFoundError, DamagedEntry):
            return None

    def _load(
        self, path: Path, content: Callable[[Path], bytes], sig: Any, target_context: Any
    ) -> Any:
        """The compilation in an entry; None if a kernel that it calls has another symbol now."""
        # Whatever is wrong with an entry, the remedy is to compile again: so catch everything.
        try:
            kept_sig, called, reduced = pickle.loads(payload_of(path.name, content(path)))
            if kept_sig != sig or not all(map(is_loaded, called)):
                return None
            return caching.compiler.CompileResult._rebuild(target_context, *reduced)
        except (FileNotFoundError, MemoryError):
            raise  # to compile takes more memory
        except Exception as error:
            raise DamagedEntry from error

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store the compilation `data` of `sig`, if the cache folder can be used."""
        path = self._entry_path(sig, data.codegen)
        if path is None or data.library.has_dynamic_globals:  # it holds addresses
            return
        try:
            payload = caching.dumps((sig, called_by(data.library), parts_of(data)))
        except Exception:  # such as a compilation that Ctrl-C left unfinished
            return
        # Written to a temporary file, then renamed: other processes see a whole entry or none.
        aside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}.tmp")
        with contextlib.suppress(OSError):
            try:
                make_folder(path.parent)
                if self._entry_path(sig, data.codegen) != path:  # made by others in the meantime
                    return
                with open(aside, "xb", opener=_new_file) as file:
                    file.write(digest_of_entry(path.name, payload) + payload)
                os.replace(aside, path)
            finally:
                aside.unlink(missing_ok=True)

    def _entry_path(self, sig: Any, codegen: Any) -> Path | None:
        folder = usable_path(self._folder) if self._folder is not None and self._enabled else None
        return None if folder is None else folder / self._entry_name(sig, codegen)

    def _entry_name(self, sig: Any, codegen: Any) -> str:
        key = repr((sig, processor_of(codegen), self._source)).encode()
        return f"{self._kernel_name}-{hashlib.sha256(key).hexdigest()[:16]}.kernel"
