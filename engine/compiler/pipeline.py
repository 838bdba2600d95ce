"""Numba's compiler for kernels, without what it does for its own developers.

Between any two of its passes Numba renews its analysis of the function, checks that the last pass
has left it in order, and records times. And it compares options of functions by reading thirty
properties of each, thousands of times. Without both, kernels compile a tenth faster.
"""

from typing import Any

from numba.core import compiler, compiler_machinery


class KernelFlags(compiler.Flags):  # type: ignore[misc]
    """A kernel's options, which are equal if the same ones are set."""

    __slots__ = ()

    def __hash__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KernelFlags) and bool(self._values == other._values)


def as_kernel_flags(flags: Any) -> Any:
    """The same options, as those of a kernel."""
    flags.__class__ = KernelFlags
    return flags


class KernelPassManager(compiler_machinery.PassManager):  # type: ignore[misc]
    """Runs passes, and nothing between them."""

    def _runPass(self, index: int, pss: Any, internal_state: Any) -> None:
        pss.analysis = self._analysis
        pss.run_initialization(internal_state)
        pss.run_pass(internal_state)
        pss.run_finalizer(internal_state)


class KernelCompiler(compiler.Compiler):  # type: ignore[misc]
    """Numba's compiler with that manager of passes."""

    def define_pipelines(self) -> Any:
        managers = super().define_pipelines()
        for manager in managers:
            manager.__class__ = KernelPassManager
        return managers
