"""The forms of a kernel in Numba: one for callers from Python, others for kernels that call it.

Numba compiles a function completely, wrappers for Python included, before another compiled function
may call it. Then it copies the function into the caller and compiles it again. With fifty small
kernels that call each other, this takes most of the time. Here a kernel that another one calls is
either

    inlined     by LLVM: it is left as unoptimised instructions, which are optimised and turned into
                machine code once, as a part of the kernel that Python calls;
    or called   compiled separately, once, and its callers refer to it by its symbol.

Neither form has wrappers for Python, and only the second is kept on disk. Callers from Python get a
separate compilation.
"""

import gc
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from numba._dispatcher import compute_fingerprint
from numba.core import ccallback, codegen, compiler, sigutils
from numpy.typing import NDArray

from engine.compiler.cache import CheckedCache, remember_symbol
from engine.compiler.target import KernelDispatcher, compile_callees_with, target_of_kernels
from engine.system.free_memory import can_map

# The memory that has to be left to load a kernel. It takes up to 2.4 MB, and the first of a process
# 16 MB, as LLVM is set up. How much a compilation takes cannot be told before it.
LOAD_BYTES, FIRST_LOAD_BYTES = 2**22, 2**24
OWNS_DATA = 4  # NumPy's flag
WITHOUT_WRAPPERS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


class Kernel(KernelDispatcher):
    """A kernel as Python calls it, kept on disk; other kernels call its form `within`.

    Parameters
    ----------
    function : function
    options : dict
        Numba's options for the kernel.
    called : bool
        Whether other kernels call it, instead of inlining it.
    """

    llvm_is_set_up = False

    def __init__(self, function: Any, options: dict[str, Any], called: bool) -> None:
        for_python = {**options, "nopython": True, "no_cfunc_wrapper": True}
        super().__init__(function, targetoptions=for_python)
        self._cache = CheckedCache(function)
        self.entry_points: list[Any] = []
        self.chosen: dict[bytes, Any] = {}  # of them, by the types of the arguments
        self.known: dict[Hashable, Any] = {}  # of them, by what the types depend on
        self.within = (LinkedKernel if called else InlinedKernel)(function, options)

    def compile(self, sig: Any) -> Any:
        require_memory(LOAD_BYTES if Kernel.llvm_is_set_up else FIRST_LOAD_BYTES)
        with no_garbage_collection():
            entry_point = super().compile(sig)
        Kernel.llvm_is_set_up = True
        return entry_point

    def add_overload(self, compiled: Any) -> None:
        super().add_overload(compiled)
        self.entry_points.append(compiled.entry_point)

    def is_at_hand(self, signature: tuple[Any, ...]) -> bool:
        """Whether a call with arguments of these types need not wait for the compiler."""
        return signature in self.overloads or self._cache.has(signature, self.targetctx)

    def __reduce__(self) -> str:
        """By its name: another process has its own."""
        return str(self.__name__)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        return self.within.get_call_template(args, kws)

    def get_overload(self, sig: Any) -> Any:
        return self.within.get_overload(sig)


class FixedTypes:
    """A kernel for many calls whose arguments always have the same types, as those of one run do.

    A kernel looks at the types of all its arguments in each call: 10 us for the 40 arrays of a
    training step, where the call itself takes 1. Here the first call alone does so. Later calls
    with arguments of other types, memory orders included, would read memory that is not theirs.

    Parameters
    ----------
    kernel : Kernel or function
        A function under ``NUMBA_DISABLE_JIT=1``: it is called as it is.
    kind : hashable, optional
        What the types depend on, for runs that follow each other: then the first call of the first
        of them alone looks at the types.
    """

    def __init__(self, kernel: Any, kind: Hashable = None) -> None:
        self._kernel, self._kind = kernel, kind
        known = kernel.known if kind is not None and isinstance(kernel, Kernel) else {}
        self._call: Any = known.get(kind)

    def __call__(self, *arguments: Any) -> Any:
        if self._call is not None:
            return self._call(*arguments)
        returned = self._kernel(*arguments)
        self._call = entry_point_for(self._kernel, arguments)
        if self._kind is not None and isinstance(self._kernel, Kernel):
            self._kernel.known[self._kind] = self._call
        return returned

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._kernel, self._kind)


def kind_of_arrays(arrays: Iterable[NDArray[Any]]) -> Hashable:
    """What the types of arrays depend on: their dtypes and flags, but not who owns the memory."""
    return tuple((array.dtype.char, array.ndim, array.flags.num & ~OWNS_DATA) for array in arrays)


def entry_point_for(kernel: Any, arguments: tuple[Any, ...]) -> Any:
    """The compiled function that `kernel`, called before with such arguments, has chosen for them.

    The kernel itself if that cannot be told.
    """
    if not isinstance(kernel, Kernel):
        return kernel
    if len(kernel.entry_points) == 1:
        return kernel.entry_points[0]
    key = compute_fingerprint(arguments)
    if key not in kernel.chosen:  # to spell out the types takes a millisecond
        types = tuple(kernel.typeof_pyval(argument) for argument in arguments)
        compiled = kernel.overloads.get(types)
        kernel.chosen[key] = kernel if compiled is None else compiled.entry_point
    return kernel.chosen[key]


def require_memory(n_bytes: int) -> None:
    """Raise MemoryError if there is less: LLVM would end the process, not raise an error."""
    if not can_map(n_bytes):
        raise MemoryError("There is too little memory left to load a kernel: free some.")


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Numba creates millions of objects: garbage collection would take a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class LinkedKernel(KernelDispatcher):
    """A kernel that is compiled separately, and that its callers refer to by its symbol."""

    def __init__(self, function: Any, options: dict[str, Any]) -> None:
        alone = {**options, **WITHOUT_WRAPPERS, "nopython": True}
        super().__init__(function, targetoptions=alone, pipeline_class=LinkedKernelCompiler)
        self._cache = CheckedCache(function, form="called")

    def compile(self, sig: Any) -> Any:
        """As Numba does, but without the library that Numba would copy into each caller."""
        entry_point = super().compile(sig)
        arguments = arguments_of(sig)
        symbol = self.overloads[arguments].fndesc.llvm_func_name
        for _, implementation in self.targetctx._defns[entry_point].versions:
            implementation.libs = ()
        remember_symbol(symbol, self.__module__, self.__name__, arguments)
        return entry_point

    def add_overload(self, compiled: Any) -> None:
        self.overloads[tuple(compiled.signature.args)] = compiled


class LinkedKernelCompiler(compiler.Compiler):  # type: ignore[misc]
    """Numba's compiler, but a kernel has the same symbol in every process.

    Numba counts the functions that a process compiles, and puts the number into the symbol. Then
    two processes that fill an empty cache at the same time would store callers that refer to
    different symbols, but only one of the called kernels, and a later process would compile again.
    """

    def _compile_bytecode(self) -> Any:
        self.state.func_id.unique_id = 0
        return super()._compile_bytecode()


class InlinedKernel(KernelDispatcher):
    """A kernel left as unoptimised instructions, which are inlined into its callers."""

    def __init__(self, function: Any, options: dict[str, Any]) -> None:
        unfinished = {**options, **WITHOUT_WRAPPERS, "nopython": True}
        super().__init__(function, targetoptions=unfinished, pipeline_class=UnfinishedCompiler)

    def add_overload(self, compiled: Any) -> None:
        """Register it under a name for its callers, as it has no address."""
        name = object()
        self.targetctx.insert_user_function(name, compiled.fndesc, [compiled.library])
        self.overloads[tuple(compiled.signature.args)] = compiled._replace(entry_point=name)

    def compile(self, sig: Any) -> Any:
        super().compile(sig)
        return self.overloads[arguments_of(sig)].entry_point


compile_callees_with(lambda **options: lambda function: InlinedKernel(function, options))


class CFunction(ccallback.CFunc):
    """A kernel that other compiled code calls as a function of C, by its `address`."""

    _targetdescr = target_of_kernels

    def __init__(self, function: Any, signature: Any, options: dict[str, Any]) -> None:
        normalized = sigutils.normalize_signature(signature)
        super().__init__(function, normalized, locals={}, options={**options, "nopython": True})
        self.compile()


class UnfinishedCompiler(compiler.Compiler):  # type: ignore[misc]
    """Numba's compiler up to unoptimised LLVM instructions."""

    def __init__(
        self,
        typingctx: Any,
        targetctx: Any,
        library: Any,
        args: Any,
        returns: Any,
        flags: Any,
        *_: Any,
    ) -> None:
        flags.no_compile = True
        super().__init__(typingctx, targetctx, library, args, returns, flags, *_)
        self.state.library = UnfinishedLibrary(targetctx.codegen(), "inlined")


class UnfinishedLibrary(codegen.JITCodeLibrary):  # type: ignore[misc]
    """Instructions to be inlined: neither optimised nor turned into machine code."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


def arguments_of(sig: Any) -> tuple[Any, ...]:
    """The types of a signature's arguments."""
    return tuple(sigutils.normalize_signature(sig)[0])
