"""The class of processors that kernels are compiled for, and their code generator.

Numba compiles for the processor at hand. Kernels are compiled for a class of processors instead:
their results have the same bits on all processors of the class, which can share a cache, and load
kernels that were compiled elsewhere. The code is as fast (docs/decisions/0049-fixed-targets.md).

    x86-64-v4    AVX-512    32 registers of 64 bytes, fused multiply-adds
    x86-64-v3    AVX2       16 registers of 32 bytes, fused multiply-adds
    x86-64-v2    SSE4.2     16 registers of 16 bytes
    generic      arm64      32 registers of 16 bytes, fused multiply-adds

The x86 classes are the levels of the x86-64 psABI. For a processor below all of them, or of another
architecture, kernels are compiled as Numba would, for the processor itself.

Kernels have a code generator of their own. All other compiled functions of a process, those of
users too that call kernels, are compiled for the processor at hand, as ever.
"""

import functools
import weakref
from typing import Any, NamedTuple

import llvmlite.binding
from numba.core import codegen, config, cpu, descriptors, externals, registry, types, typing
from numba.core.target_extension import (
    CPU,
    dispatcher_registry,
    jit_registry,
    target_registry,
)
from numba.core.utils import MACHINE_BITS

from engine.compiler import indexing
from engine.compiler.passed_arrays import models_of_kernels

NAME = "mlp-engine"  # of the target, among Numba's


class ProcessorClass(NamedTuple):
    """What kernels rely on."""

    name: str  # LLVM's name of the processor
    features: str  # LLVM's list of more features than the name implies, or fewer
    vector_bytes: int
    registers: int  # for vectors
    has_fused: bool  # a multiply-add in one rounding
    is_fixed: bool = True  # one of these four


# LLVM prefers vectors of 32 bytes in loops for this class, since old processors ran others slower.
V4 = ProcessorClass("x86-64-v4", "-prefer-256-bit", 64, 32, True)
V3 = ProcessorClass("x86-64-v3", "", 32, 16, True)
V2 = ProcessorClass("x86-64-v2", "", 16, 16, False)
ARM64 = ProcessorClass("generic", "+neon", 16, 32, True)

# What the x86 classes ask for, the highest first. LLVM's names of features, without those that
# every processor has with the ones named here.
X86_64 = (
    (V4, {"avx2", "bmi2", "fma", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    (V3, {"avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"}),
    (V2, {"cx16", "popcnt", "sahf", "sse4.2", "ssse3"}),
)
CLASSES = {found.name: found for found, _ in X86_64}

_chosen: list[ProcessorClass] = []  # by `compile_for`, before kernels are imported


def compile_for(name: str) -> None:
    """Compile kernels of this process for that x86 class, whatever the processor at hand is.

    For kernels that go into a wheel; those of a higher class than the processor's cannot be run.
    Only before any module with kernels is imported, since they take the size of vectors from here.
    """
    _chosen[:] = [CLASSES[name]]
    processor_class.cache_clear()


@functools.cache
def processor_class() -> ProcessorClass:
    """The class that kernels are compiled for in this process.

    The highest that the processor belongs to; with NUMBA_CPU_FEATURES, with these features alone;
    with the name of a class in NUMBA_CPU_NAME, at most that class.
    """
    if _chosen:
        return _chosen[0]
    architecture = llvmlite.binding.get_process_triple().partition("-")[0]
    if architecture in ("aarch64", "arm64"):
        return ARM64
    features = features_for_numba()
    if architecture == "x86_64":
        names = list(CLASSES)
        most = names.index(config.CPU_NAME) if config.CPU_NAME in names else 0
        for found, needed in X86_64[most:]:
            if needed <= features:
                return found
    return as_numba_would(architecture.startswith(("x86", "i686")), features)


def features_for_numba() -> set[str]:
    """What the processor has, of what Numba may compile for."""
    try:
        available = {name for name, has in llvmlite.binding.get_host_cpu_features().items() if has}
    except RuntimeError:  # LLVM cannot tell
        available = set()
    if config.CPU_FEATURES is not None:
        available &= {one[1:] for one in config.CPU_FEATURES.split(",") if one.startswith("+")}
    if not config.ENABLE_AVX:
        available = {name for name in available if not name.startswith("avx")}
    return available


def as_numba_would(is_x86: bool, features: set[str]) -> ProcessorClass:
    """A processor that is in no class."""
    name = config.CPU_NAME or llvmlite.binding.get_host_cpu_name()
    listed = config.CPU_FEATURES
    if listed is None:
        listed = codegen.get_host_cpu_features()
    if not is_x86:
        return ProcessorClass(name, listed, 16, 32, True, is_fixed=False)
    return ProcessorClass(name, listed, 16, 16, "fma" in features, is_fixed=False)


class KernelCodegen(codegen.JITCPUCodegen):  # type: ignore[misc]
    """Numba's code generator, for the class of processors."""

    def _get_host_cpu_name(self) -> str:
        return processor_class().name

    def _get_host_cpu_features(self) -> str:
        return processor_class().features


class KernelTyping(typing.Context):  # type: ignore[misc]
    """Numba's inference of types."""

    def resolve_function_type(self, func: Any, args: Any, kws: Any) -> Any:
        return super().resolve_function_type(for_kernels(func), args, kws)


class KernelContext(cpu.CPUContext):  # type: ignore[misc]
    """Numba's lowering for processors, with that code generator."""

    def __init__(self, typing_context: Any, target: str) -> None:
        super().__init__(typing_context, target)
        self.data_model_manager = models_of_kernels()

    def init(self) -> None:
        self.is32bit = MACHINE_BITS == 32
        self._internal_codegen = KernelCodegen("mlp-engine.exec")
        externals.c_math_functions.install(self)

    def load_additional_registries(self) -> None:
        super().load_additional_registries()
        self.install_registry(indexing.registry)

    def get_function(self, fn: Any, sig: Any, _firstcall: bool = True) -> Any:
        return super().get_function(for_kernels(fn), sig, _firstcall)


class KernelTarget(CPU):  # type: ignore[misc]
    """The target's token: Numba compiles what kernels call for the same target."""


class TargetOfKernels(descriptors.TargetDescriptor):  # type: ignore[misc]
    """The contexts in which kernels are typed and lowered."""

    options = cpu.CPUTargetOptions

    @functools.cached_property
    def typing_context(self) -> Any:
        return KernelTyping()

    @functools.cached_property
    def target_context(self) -> Any:
        return KernelContext(self.typing_context, NAME)


dict.__setitem__(target_registry, NAME, KernelTarget)  # again, where the package is imported again
target_of_kernels = TargetOfKernels(NAME)


class KernelDispatcher(registry.CPUDispatcher):  # type: ignore[misc]
    """Numba's dispatcher, for that target."""

    targetdescr = target_of_kernels


dispatcher_registry[KernelTarget] = KernelDispatcher


def compile_callees_with(decorator: Any) -> None:
    """Let `decorator(**options)` compile what kernels call and what is not a kernel.

    That is what Numba has as overloads, and functions of users with Numba's decorators.
    """
    jit_registry[KernelTarget] = decorator


_of_users: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def for_kernels(function: Any) -> Any:
    """The type of a function that a kernel calls: a user's is compiled again, for the target."""
    if not isinstance(function, types.Dispatcher):
        return function
    dispatcher = function.dispatcher
    if isinstance(dispatcher, KernelDispatcher):
        return function
    if dispatcher not in _of_users:
        options = {**dispatcher.targetoptions, "parallel": False}
        _of_users[dispatcher] = jit_registry[KernelTarget](**options)(dispatcher.py_func)
    return types.Dispatcher(_of_users[dispatcher])
