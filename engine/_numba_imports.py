"""Numba's own imports, without the one that takes a third of a warm start.

Before its first compilation, or its first load from the cache, Numba imports `numba.np.arraymath`.
That module asks whether `np.dot` would find a BLAS, by importing scipy.linalg: 0.16 of the 0.4
seconds that a process with a warm cache spends in `train`. No kernel here calls `np.dot`.
"""

from importlib.util import find_spec


def import_arraymath() -> None:
    """Import numba.np.arraymath, which then takes BLAS to be there without importing it.

    Whoever compiles an `np.dot` makes Numba import scipy.linalg at that time, as ever.
    """
    from numba.np import linalg

    ask = getattr(linalg, "ensure_blas", None)
    if ask is None:
        return  # another version of Numba: nothing to put off
    linalg.ensure_blas = find_blas
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        linalg.ensure_blas = ask


def find_blas() -> None:
    """Raise ImportError, as Numba's own question does, where there is no SciPy."""
    if find_spec("scipy") is None:
        raise ImportError("scipy is required for linear algebra")
