"""Everyday runs take a sample of large grids, as JAX's tests do; `make proofs` takes each case.

A test function with more than `AT_MOST` cases keeps that many. The same cases are kept in each
process and on each machine, and together they take each value of each parameter: the sample is
filled, one after the other, by the case that has the most values that no kept case has yet.
Between equals the hash of the case's name decides. Values of the fields of a named tuple count as
those of parameters.

A test whose cases take long keeps fewer: `@pytest.mark.sample(6)`.

`ENGINE_TEST_GRID` is the number of cases to keep, or `full`.
"""

import hashlib
import os
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

AT_MOST = 8
FULL = "full"


def size_of_sample(variables: Mapping[str, str] = os.environ) -> int | None:
    """The most cases of a test function that this run takes; None takes all of them."""
    wanted = variables.get("ENGINE_TEST_GRID", str(AT_MOST))
    if wanted == FULL:
        return None
    if not wanted.isdecimal() or int(wanted) < 1:
        raise ValueError(f"ENGINE_TEST_GRID must be {FULL!r} or a whole number, got {wanted!r}")
    return int(wanted)


def values_of(parameters: Mapping[str, Any]) -> frozenset[Hashable]:
    """The parameters with their values, as text, and the fields of those that are named tuples.

    >>> sorted(values_of({"backend": "loops"}))
    [('backend', "'loops'")]
    """
    found: set[Hashable] = set()
    for name, value in parameters.items():
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            found |= {(f"{name}.{key}", repr(part)) for key, part in value._asdict().items()}
        else:
            found.add((name, repr(value)))
    return frozenset(found)


def sample(cases: Mapping[str, Iterable[Hashable]], at_most: int) -> set[str]:
    """The names of at most so many cases, which take as many of all values as can be.

    Parameters
    ----------
    cases : mapping
        The values that each case takes, by its name.
    at_most : int

    Examples
    --------
    >>> grid = {f"{a}{b}": {("a", a), ("b", b)} for a in "xyz" for b in "123"}
    >>> len(sample(grid, at_most=3))
    3
    """
    waiting = {name: set(values) for name, values in sorted(cases.items(), key=by_hash)}
    kept: set[str] = set()
    while waiting and len(kept) < at_most:
        best = max(waiting, key=lambda name: len(waiting[name]))  # the first of several
        taken = waiting.pop(best)
        kept.add(best)
        for values in waiting.values():
            values -= taken
    return kept


def by_hash(case: tuple[str, Any]) -> str:
    """A place in an order that has nothing to do with the order of the grid."""
    return hashlib.sha256(case[0].encode()).hexdigest()


def split(items: Iterable[Any], at_most: int | None) -> tuple[list[Any], list[Any]]:
    """The collected items of pytest that are kept, and those that are left out."""
    items = list(items)
    if at_most is None:
        return items, []
    grids: dict[str, dict[str, frozenset[Hashable]]] = {}
    sizes: dict[str, int] = {}
    for item in items:
        if hasattr(item, "callspec"):
            function = item.nodeid.removesuffix(f"[{item.callspec.id}]")
            grids.setdefault(function, {})[item.nodeid] = values_of(item.callspec.params)
            wanted = [at_most, *(mark.args[0] for mark in item.iter_markers("sample"))]
            sizes[function] = min(wanted)
    left_out: set[str] = set()
    for function, cases in grids.items():
        if len(cases) > sizes[function]:
            left_out |= set(cases) - sample(cases, sizes[function])
    return (
        [item for item in items if item.nodeid not in left_out],
        [item for item in items if item.nodeid in left_out],
    )
