"""A user's own loss: a function of (z, y), compiled into a loop over a block of samples.

L15 of losses.py: the function gives the cost of one output unit, its derivative by z, and perhaps
the curvature h. Kernels call the compiled loop by its address, once a block, so that a new loss
compiles its own loop only. `task` says which of the three it fills `out` with. Each has a loop of
its own, in which the compiler drops what is not asked for.

Without a compiler (NUMBA_DISABLE_JIT=1) the loop is Python, called the same way. What the compiler
would find in the machine code, an allocation or an exception, is then looked for in the bytecode.
"""

import ctypes
import dis
import hashlib
import inspect
import types
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numba import carray
from numba.core import config
from numba.core.dispatcher import Dispatcher

from engine.compiler.pointers import C_FUNCTION
from engine.compiler.user_functions import (
    ADVICE,
    IMPORTING,
    UnusableLoss,
    compiled_loops,
    refuse,
    wrong_result,
)
from engine.equations.losses import COMPILED, REMADE_BY, SLOPE, VALUE, KernelLoss

# Instructions of Python's that tell of an allocation, or of an exception.
ALLOCATING = ("BUILD_LIST", "BUILD_SET", "BUILD_MAP")
RAISING = "RAISE_VARARGS"
OUT_OF_RANGE = (ArithmeticError, ValueError)  # of math.log(0), say: a NaN for compiled code
# Pairs (z, y), of which a function that can be a loss takes one at least.
TRIED = ((0.5, 0.25), (0.25, 0.5), (1.5, 1.0), (-0.5, 1.0), (0.5, 0.5))


class LossFunctions(NamedTuple):
    """The compiled loops of a loss. The addresses are valid as long as `keeps` is alive."""

    for_float32: int
    for_float64: int
    has_curvature: bool
    keeps: Any

    def for_kernels(self, n_outputs: int) -> KernelLoss:
        """The loss as kernels take it, for so many output units."""
        none = np.zeros(n_outputs)
        addresses = self.for_float32, self.for_float64
        return KernelLoss(COMPILED, none, 0.0, *addresses, int(self.has_curvature))


def plain_function(function: Any) -> Any:
    """The Python function that the user wrote, without Numba's decorator."""
    return function.py_func if isinstance(function, Dispatcher) else function


def takes_two_numbers(function: Any) -> bool:
    """Whether this is a Python function of two arguments."""
    if not isinstance(function, types.FunctionType):
        return False
    code = function.__code__
    stars = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
    return code.co_argcount == 2 and not code.co_kwonlyargcount and not code.co_flags & stars


# What was compiled, by the digest of its code. It stays in memory for as long as the process:
# kernels hold the addresses.
COMPILED_LOSSES: dict[str, LossFunctions] = {}


def loss_functions(function: Callable[..., Any]) -> LossFunctions:
    """The compiled loops of a function, each function once. Raises UnusableLoss."""
    digest = digest_of(function)
    found = COMPILED_LOSSES.get(digest)
    if found is None:
        made = interpreted(function) if config.DISABLE_JIT else compiled(function)
        # If two threads make the same loss at once, both get the loops that were ready first.
        found = COMPILED_LOSSES.setdefault(digest, made)
        REMADE_BY.setdefault(found.for_float64, partial(kernel_loss_of, function))
    return found


def kernel_loss_of(function: Callable[..., Any], n_outputs: int) -> KernelLoss:
    """The loss as kernels take it, for so many output units."""
    return loss_functions(function).for_kernels(n_outputs)


def compiled(function: Callable[..., Any]) -> LossFunctions:
    """Compile a function of (z, y) for both dtypes."""
    loops, n_results = compiled_loops(function, loop_over)
    addresses = [int(loops[dtype].address) for dtype in ("float32", "float64")]
    return LossFunctions(addresses[0], addresses[1], n_results == 3, loops)


def loop_over(one_unit: Any, n_results: int) -> Callable[..., None]:
    """The loop over a block of samples, for Numba to compile. Without a third result h is NaN."""
    has_curvature = n_results == 3  # known to the compiler, which leaves the other branch out

    def loop(task, z_at, y_at, out_at, m):
        z, y, out = carray(z_at, m), carray(y_at, m), carray(out_at, m)
        if task == VALUE:
            for i in range(m):
                out[i] = one_unit(z[i], y[i])[0]  # L15
        elif task == SLOPE:
            for i in range(m):
                out[i] = one_unit(z[i], y[i])[1]  # L15
        elif has_curvature:
            for i in range(m):
                out[i] = one_unit(z[i], y[i])[2]  # L15
        else:
            for i in range(m):
                out[i] = np.nan

    return loop


def interpreted(function: Callable[..., Any]) -> LossFunctions:
    """The same without a compiler: loops in Python, called the same way."""
    name = function.__name__
    names = {found.opname for found in instructions(function.__code__)}
    refuse(
        name,
        allocates=not names.isdisjoint(ALLOCATING),
        raises=RAISING in names,
        imports=IMPORTING in names,
    )
    result = tried(function, name)
    numbers = int | float | np.integer | np.floating
    is_right = isinstance(result, tuple) and len(result) in (2, 3)
    if not is_right or not all(isinstance(one, numbers) for one in result):
        raise UnusableLoss(wrong_result(name, repr(result)))
    loops = [python_loop(function, dtype) for dtype in (np.float32, np.float64)]
    addresses = [_address_of(loop) for loop in loops]
    return LossFunctions(addresses[0], addresses[1], len(result) == 3, loops)


def instructions(code: types.CodeType) -> Iterator[dis.Instruction]:
    """The instructions of a function, and of the functions that are defined in it."""
    yield from dis.get_instructions(code)
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from instructions(one)


def tried(function: Callable[..., Any], name: str) -> Any:
    """What the function returns for some pair of numbers."""
    error: Exception | None = None
    for z, y in TRIED:
        try:
            with np.errstate(all="ignore"):
                return function(np.float64(z), np.float64(y))
        except OUT_OF_RANGE as caught:
            error = caught
        except Exception as caught:
            error = caught
            break
    raise UnusableLoss(
        f"The loss {name!r} fails: {type(error).__name__}: {error}. {ADVICE}"
    ) from error


def python_loop(function: Callable[..., Any], dtype: Any) -> Any:
    """A C function that calls `function` for each number."""
    kind = ctypes.c_float if dtype == np.float32 else ctypes.c_double

    def loop(task: int, z_at: int, y_at: int, out_at: int, m: int) -> None:
        z, y, out = (
            np.ctypeslib.as_array((kind * m).from_address(at)) for at in (z_at, y_at, out_at)
        )
        with np.errstate(all="ignore"):
            for i in range(m):
                try:
                    results = (*function(z[i], y[i]), np.nan)
                    out[i] = results[task]  # L15
                except OUT_OF_RANGE:
                    out[i] = np.nan

    return C_FUNCTION(loop)


def _address_of(loop: Any) -> int:
    address = ctypes.cast(loop, ctypes.c_void_p).value
    assert address is not None
    return address


def digest_of(function: Callable[..., Any]) -> str:
    """A digest of a function's code and of all that it uses: equal for equal functions."""
    return hashlib.sha256(repr(_described(function, ())).encode()).hexdigest()[:16]


def _described(function: Any, inside: tuple[Any, ...]) -> list[Any]:
    """The code, the defaults, and what stands behind the names. `inside` are its callers."""
    code: types.CodeType = function.__code__
    inside = (*inside, function)
    found = list(instructions(code))
    attributes = {one.argval for one in found if one.opname in ("LOAD_ATTR", "LOAD_METHOD")}
    named = [one.argval for one in found if one.opname in ("LOAD_GLOBAL", "LOAD_NAME")]
    values = {name: function.__globals__[name] for name in named if name in function.__globals__}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        values[name] = _content(cell)
    return [
        _code(code),
        [_value(one, attributes, inside) for one in (function.__defaults__ or ())],
        repr(function.__kwdefaults__),
        [[name, _value(value, attributes, inside)] for name, value in sorted(values.items())],
    ]


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # no value yet
        return None


def _code(code: types.CodeType) -> list[Any]:
    """Instructions, constants and names, and those of the functions that are defined inside."""
    constants: list[Any] = []
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            constants.append(_code(one))
        else:  # a set has another order in each process
            constants.append(sorted(map(repr, one)) if isinstance(one, frozenset) else repr(one))
    return [code.co_code.hex(), constants, list(code.co_names), list(code.co_freevars)]


# What is looked at in a module: of its functions, those alone that a user has compiled.
OF_MODULES = (int, float, complex, np.generic, tuple, np.ndarray, Dispatcher, types.ModuleType)


def _value(value: Any, attributes: set[str], inside: tuple[Any, ...]) -> Any:
    """A value that the function uses, as Numba takes it: what it is when it is compiled."""
    is_module = isinstance(value, types.ModuleType)
    value = plain_function(value)
    if is_module or isinstance(value, types.FunctionType):
        if any(value is one for one in inside):
            return "again"
        if not is_module:
            return _described(value, inside)
        used = {name: vars(value)[name] for name in sorted(attributes & vars(value).keys())}
        of_module = {name: one for name, one in used.items() if isinstance(one, OF_MODULES)}
        inside = (*inside, value)
        shown = [[name, _value(one, attributes, inside)] for name, one in of_module.items()]
        return [value.__name__, shown]
    if isinstance(value, np.ndarray):
        return [value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, tuple):
        return [type(value).__name__, *(_value(one, attributes, inside) for one in value)]
    if isinstance(value, type | types.BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)  # of anything else it may be an address: then no other function is equal
