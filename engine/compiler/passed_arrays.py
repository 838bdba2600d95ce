"""How kernels pass arrays to each other: as the address of their numbers, and their lengths.

Numba passes an array of one dimension as seven words, and one of two as nine: its owner, strides
and more. A training step passes dozens of arrays through a dozen calls. Of an array in C order the
address and the lengths are enough, as the rest follows from them. Without this, a step of a small
network takes a fifth longer.

Only kernels pass arrays so, and only to kernels: a function that Numba compiles for a user expects
all words. It reaches a kernel by its address, as a function of C (engine/compiler/pointers.py).
"""

import functools
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, datamodel
from numba.core.datamodel.models import ArrayModel
from numba.np.numpy_support import as_dtype

WORD = ir.IntType(64)
PASSED = ("data", "shape")  # Numba's names for the address and the lengths


class PassedArray(ArrayModel):  # type: ignore[misc]
    """Numba's model of an array, with fewer words in a call if it is in C order."""

    def get_argument_type(self) -> Any:
        if self._fe_type.layout != "C":
            return super().get_argument_type()
        return tuple(self._model(name).get_argument_type() for name in PASSED)

    def as_argument(self, builder: Any, value: Any) -> Any:
        if self._fe_type.layout != "C":
            return super().as_argument(builder, value)
        return tuple(
            self._model(name).as_argument(builder, self.get(builder, value, name))
            for name in PASSED
        )

    def from_argument(self, builder: Any, value: Any) -> Any:
        if self._fe_type.layout != "C":
            return super().from_argument(builder, value)
        data, shape = (
            self._model(name).from_argument(builder, part)
            for name, part in zip(PASSED, value, strict=True)
        )
        lengths = cgutils.unpack_tuple(builder, shape)
        itemsize = WORD(as_dtype(self._fe_type.dtype).itemsize)
        steps = [itemsize]  # from one number, row, ... to the next; the last is that of the whole
        for length in reversed(lengths):
            steps.append(builder.mul(steps[-1], length))
        words = {
            "nitems": functools.reduce(builder.mul, lengths, WORD(1)),
            "itemsize": itemsize,
            "data": data,
            "shape": shape,
            "strides": cgutils.pack_array(builder, steps[-2::-1], WORD),
        }
        array = ir.Constant(self.get_value_type(), None)  # no owner: kernels count no references
        for name, word in words.items():
            array = self.set(builder, array, word, name)
        return array

    def _model(self, name: str) -> Any:
        return self._models[self.get_field_position(name)]


def models_of_kernels() -> Any:
    """Numba's models of all types, and this one of arrays."""
    models = datamodel.DataModelManager().chain(datamodel.default_manager)
    models.register(types.Array, PassedArray)
    return models
