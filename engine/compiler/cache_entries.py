"""Entries of the compile cache: what one holds, and whether it is whole.

An entry is a digest, then the payload: the pickled signature, the kernels that the machine code
refers to, and the parts of the compilation.
"""

import hashlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llvmlite import binding, ir

DIGEST_BYTES = 32
MOST_BYTES = 2**26  # in an entry; the largest has less than a hundredth
ANNOTATION = 5  # of the parts of a compilation behind its machine code


class DamagedEntry(Exception):
    """An entry cannot be used."""


def digest_of_entry(name: str, payload: bytes) -> bytes:
    """A digest that covers the file's name too: an entry copied to another name is refused."""
    return hashlib.sha256(name.encode() + b"\0" + payload).digest()


def payload_of(name: str, content: bytes) -> bytes:
    """The payload of an entry. Raises DamagedEntry."""
    payload = content[DIGEST_BYTES:]
    if content[:DIGEST_BYTES] != digest_of_entry(name, payload):
        raise DamagedEntry
    return payload


def content_of(
    path: Path, is_refused: Callable[[os.stat_result], bool], follow_links: bool
) -> bytes:
    """The bytes of a file; none if it is refused, too large, or no file."""

    def open_at_once(path: str, flags: int) -> int:
        without_links = 0 if follow_links else getattr(os, "O_NOFOLLOW", 0)
        return os.open(path, flags | without_links | getattr(os, "O_NONBLOCK", 0))

    with open(path, "rb", opener=open_at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES or is_refused(status):
            return b""
        return file.read(status.st_size)


def content_of_carried(path: Path) -> bytes:
    """The same of an entry that the package was installed with: some installers make links."""
    return content_of(path, lambda status: False, follow_links=True)


def damaged_entries(folder: Path) -> set[str]:
    """The names of the carried entries whose digest is not theirs."""
    return {path.name for path in folder.iterdir() if _is_damaged(path)}


def _is_damaged(path: Path) -> bool:
    try:
        payload_of(path.name, content_of_carried(path))
    except (OSError, DamagedEntry):
        return True
    return False


def processor_of(codegen: Any) -> tuple[str, ...]:
    """The triple of the target, and name and features of the processor.

    Without the version of the system that the triple has on macOS: code does not depend on it.
    """
    triple, *processor = codegen.magic_tuple()
    return re.sub(r"(?<=darwin|macosx)[\d.]+", "", triple), *processor


def parts_of(compiled: Any) -> tuple[Any, ...]:
    """What a compilation is put together from again, without what only other compilations need.

    Nothing is linked with a compilation that is loaded: its callers inline another form of it, or
    refer to its symbol. So its instructions, half of the space, are left out; the names that it
    defines stay. Numba's notes on the source are left out, too.
    """
    (name, kind, (machine_code, _)), *parts = compiled._reduce()
    parts[ANNOTATION] = ""
    names = names_alone(compiled.library._get_module_for_linking())
    return ((name, kind, (machine_code, names)), *parts)


def names_alone(defined: Any) -> bytes:
    """LLVM's bitcode of a module that defines the same names, with nothing behind them."""
    module, number = ir.Module(), ir.IntType(8)
    for function in defined.functions:
        if not function.is_declaration:
            made = ir.Function(module, ir.FunctionType(ir.VoidType(), ()), function.name)
            ir.IRBuilder(made.append_basic_block()).unreachable()
    for variable in defined.global_variables:
        if not variable.is_declaration:
            ir.GlobalVariable(module, number, variable.name).initializer = number(0)
    bitcode: bytes = binding.parse_assembly(str(module)).as_bitcode()
    return bitcode
