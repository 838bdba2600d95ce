"""Arithmetic of whole tiles, so that a formula for a number is also one for a tile.

    a + b    a - b    a * b    a / b    -a          lane by lane, for tiles of one shape
    fused    root                                   for numbers and for tiles
    where                                           for tiles

An optimiser's step is such a formula (engine/equations/update.py): one network applies it to each
of its parameters, and many networks side by side to a vector of them. Both get the same bits, so
the order of the operations is part of the formula. Each instruction has the flag `contract`, by
which a product and a sum may become one fused multiply-add, and no other. An instruction without
any flag would get all flags of the kernel around it from Numba, and those let a sum be reordered.

As in tiles.py, each operation is defined twice: in NumPy, and as LLVM instructions.
"""

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import lower_builtin, type_callable

from engine.compiler.target import processor_class
from engine.compiler.tiles import CONTRACT, Tile, multiply_add


def fused(a, b, total):
    """a b + total, for numbers or tiles: in one rounding if the processor has that."""
    return a * b + total


def root(x):
    """The square root of a number, or of each number of a tile."""
    return np.sqrt(x)


def where(go, tile, other):
    """The numbers of a tile where `go` is not 0, else those of another."""
    return np.where(go != 0, tile, other)


def define_operator(operation: Any, instruction: str) -> None:
    """Let kernels apply an operation to two tiles of one shape."""

    @type_callable(operation)
    def _(context: Any) -> Any:
        def of_tiles(a: Any, b: Any) -> Any:
            return a if isinstance(a, Tile) and a == b else None

        return of_tiles

    @lower_builtin(operation, Tile, Tile)
    def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        tile, (a, b) = arguments[0], arguments
        for *_, cell in signature.return_type.cells:
            numbers = builder.extract_value(a, cell), builder.extract_value(b, cell)
            found = getattr(builder, instruction)(*numbers, flags=CONTRACT)
            tile = builder.insert_value(tile, found, cell)
        return tile


for operation, instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    define_operator(operation, instruction)


@type_callable(operator.neg)
def _(context: Any) -> Any:
    return lambda a: a if isinstance(a, Tile) else None


@lower_builtin(operator.neg, Tile)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    (tile,) = arguments
    for *_, cell in signature.return_type.cells:
        tile = builder.insert_value(tile, builder.fneg(builder.extract_value(tile, cell)), cell)
    return tile


@type_callable(fused)
def _(context: Any) -> Any:
    def of_one_type(a: Any, b: Any, total: Any) -> Any:
        return a if isinstance(a, types.Float | Tile) and a == b == total else None

    return of_one_type


@lower_builtin(fused, types.Float, types.Float, types.Float)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return fused_multiply_add(builder, *arguments)


@lower_builtin(fused, Tile, Tile, Tile)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    tile = arguments[0]
    for *_, cell in signature.return_type.cells:
        numbers = [builder.extract_value(one, cell) for one in arguments]
        tile = builder.insert_value(tile, fused_multiply_add(builder, *numbers), cell)
    return tile


def fused_multiply_add(builder: Any, a: Any, b: Any, total: Any) -> Any:
    return (
        intrinsic(builder, "fma", a, b, total)
        if processor_class().has_fused
        else multiply_add(builder, a, b, total)
    )


@type_callable(root)
def _(context: Any) -> Any:
    return lambda x: x if isinstance(x, types.Float | Tile) else None


@lower_builtin(root, types.Float)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return square_root(builder, arguments[0])


@lower_builtin(root, Tile)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    (tile,) = arguments
    for *_, cell in signature.return_type.cells:
        found = square_root(builder, builder.extract_value(tile, cell))
        tile = builder.insert_value(tile, found, cell)
    return tile


def square_root(builder: Any, x: Any) -> Any:
    return intrinsic(builder, "sqrt", x)


def intrinsic(builder: Any, name: str, *numbers: Any) -> Any:
    """LLVM's function of that name, for numbers or vectors of one type."""
    kind = numbers[0].type
    of_vector = isinstance(kind, ir.VectorType)
    suffix = f"v{kind.count}{kind.element.intrinsic_name}" if of_vector else kind.intrinsic_name
    function_type = ir.FunctionType(kind, [kind] * len(numbers))
    function = builder.module.declare_intrinsic(f"llvm.{name}.{suffix}", fnty=function_type)
    return builder.call(function, numbers)


@type_callable(where)
def _(context: Any) -> Any:
    return lambda go, tile, other: tile


@lower_builtin(where, Tile, Tile, Tile)
def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    go, tile, other = arguments
    for *_, cell in signature.return_type.cells:
        goes = builder.extract_value(go, cell)
        does = builder.fcmp_unordered("!=", goes, ir.Constant(goes.type, None))
        numbers = builder.extract_value(tile, cell), builder.extract_value(other, cell)
        tile = builder.insert_value(tile, builder.select(does, *numbers), cell)
    return tile
