"""Compile the kernels of a wheel, in a process of its own for each class of processors.

    python -m tools.wheel_kernels record LIST DESCRIPTION    for this machine's class, by small jobs
    python -m tools.wheel_kernels compile LIST CLASS         the same kernels for another class

The first lists what the jobs compile: the kernels that Python calls, and the types of their
arguments, which do not depend on the class. The second runs none of them.
"""

import importlib
import json
import pickle
import sys
from pathlib import Path
from typing import Any

from numba.core.serialize import dumps

from engine.compiler.target import CLASSES, compile_for, processor_class

Compiled = tuple[str, str, tuple[Any, ...]]  # module and name of a kernel, types of its arguments


def record(listed: Path, description: Path) -> None:
    """Do the jobs, list the kernels that they compile, and describe what these are compiled for."""
    from engine.cli.warmup_jobs import parts_of_wheel
    from engine.compiler.cache_key import dependencies

    for dtype in ("float64", "float32"):
        for _, job in parts_of_wheel(dtype):
            job()
    listed.write_bytes(dumps(compiled_in_this_process()))
    description.write_text(json.dumps(dependencies()), encoding="utf-8")


def compiled_in_this_process() -> list[Compiled]:
    """The kernels that Python has called."""
    from engine.compiler.kernels import Kernel

    modules = [module for name, module in sys.modules.items() if name.startswith("engine.")]
    kernels = {
        kernel for module in modules for kernel in vars(module).values() if type(kernel) is Kernel
    }
    return [
        (kernel.__module__, kernel.__name__, arguments)
        for kernel in kernels
        for arguments in kernel.overloads
    ]


def compile_list(listed: Path, class_name: str) -> None:
    """Compile the listed kernels for a class of processors, and keep them in the cache."""
    if class_name in CLASSES:  # otherwise it is this machine's, the only one
        compile_for(class_name)
    assert processor_class().name == class_name
    for module, name, arguments in pickle.loads(listed.read_bytes()):
        getattr(importlib.import_module(module), name).compile(arguments)


if __name__ == "__main__":
    task, first, second = sys.argv[1:]
    if task == "record":
        record(Path(first), Path(second))
    else:
        compile_list(Path(first), second)
