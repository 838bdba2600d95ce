"""What differs between two objects, bit by bit: the names of the attributes, and how."""

import struct
from typing import Any

import numpy as np
import scipy.sparse

from engine.estimators.draws import Draws
from engine.network import Network


def differences(one: Any, other: Any, name: str = "", leave_out: tuple[str, ...] = ()) -> list[str]:
    """What differs: a line for each attribute or entry, with its name.

    Types count, too, and the bits of numbers: -0.0 is not 0.0, and a NaN is itself. Attributes are
    followed to the end; those named in `leave_out` are not looked at.

    >>> differences({"loss_": 1.0, "n_iter_": 2}, {"loss_": np.float64(1), "n_iter_": 2})
    ["['loss_']: a float, and a float64"]
    """
    return _Comparison(leave_out).of(one, other, name)


class _Comparison:
    def __init__(self, leave_out: tuple[str, ...]) -> None:
        self._leave_out = leave_out
        self._seen: dict[tuple[int, int], tuple[Any, Any]] = {}  # objects that live keep their ids

    def of(self, one: Any, other: Any, name: str) -> list[str]:
        if type(one) is not type(other):
            return [f"{name}: a {type(one).__name__}, and a {type(other).__name__}"]
        if (id(one), id(other)) in self._seen:
            return []
        self._seen[id(one), id(other)] = one, other
        if isinstance(one, np.ndarray):
            return self._of_arrays(one, other, name)
        if isinstance(one, float | np.floating):
            same = struct.pack("d", one) == struct.pack("d", other)
            return [] if same else [f"{name}: {one!r}, and {other!r}"]
        if isinstance(one, dict):
            return self._of_mappings(one, other, "{}[{!r}]", name)
        if isinstance(one, list | tuple):
            if len(one) != len(other):
                return [f"{name}: {len(one)} entries, and {len(other)}"]
            pairs = enumerate(zip(one, other, strict=True))
            return [line for k, (a, b) in pairs for line in self.of(a, b, f"{name}[{k}]")]
        if isinstance(one, Draws):  # it may hold its state in either of two places
            return self.of(one.words(), other.words(), f"{name}.words()")
        if isinstance(one, np.random.RandomState):
            states: list[Any] = [each.get_state(legacy=False) for each in (one, other)]
            return self.of(states[0], states[1], f"{name}.get_state()")
        if isinstance(one, Network) or scipy.sparse.issparse(one) or not hasattr(one, "__dict__"):
            return self._of_values(one, other, name)
        return self._of_mappings(vars(one), vars(other), "{}.{}", name)

    def _of_mappings(self, one: Any, other: Any, names: str, name: str) -> list[str]:
        only = one.keys() ^ other.keys()
        found = [
            f"{names.format(name, key)}: only the {'first' if key in one else 'second'} has it"
            for key in sorted(only, key=str)
        ]
        for key in one.keys() & other.keys():
            if key not in self._leave_out:
                found += self.of(one[key], other[key], names.format(name, key))
        return sorted(found)

    def _of_arrays(self, one: Any, other: Any, name: str) -> list[str]:
        kinds = [(each.dtype, each.shape, each.flags.c_contiguous) for each in (one, other)]
        if kinds[0] != kinds[1]:
            return [f"{name}: {kinds[0]}, and {kinds[1]}"]
        if one.dtype.hasobject:
            return self.of(one.tolist(), other.tolist(), name)
        if one.tobytes() == other.tobytes():
            return []
        if one.dtype.kind not in "fc":
            return [f"{name}: {int((one != other).sum())} of {one.size} entries"]
        bits = [np.ascontiguousarray(each).view(f"u{one.itemsize}") for each in (one, other)]
        at = np.unravel_index(int((bits[0] != bits[1]).argmax()), one.shape)
        place = ", ".join(map(str, at))
        n_other = int((bits[0] != bits[1]).sum())
        return [
            f"{name}: {n_other} of {one.size} entries, the first [{place}]: "
            f"{one[at]!r}, and {other[at]!r}"
        ]

    @staticmethod
    def _of_values(one: Any, other: Any, name: str) -> list[str]:
        same = (one != other).nnz == 0 if scipy.sparse.issparse(one) else bool(one == other)
        return [] if same else [f"{name}: {one!r}, and {other!r}"]
