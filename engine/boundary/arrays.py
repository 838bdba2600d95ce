"""Single arrays that users pass in: inputs, parameters, and what all arrays have in common."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.boundary.dates import refuse_dates
from engine.system.mapped_files import (
    check_copy_fits,
    check_not_truncated,
    check_usable_in_place,
    conversion_advice,
    mapping_of,
)

REAL = "biuf"  # kinds of dtypes
ENTRIES_AT_A_TIME = 2**20  # searched at a time for NaN and infinity


def real_array(argument: str, values: Any) -> NDArray[Any]:
    """`values` as an array of real numbers, of whatever dtype and layout."""
    if type(values) is np.ndarray and values.dtype.kind in REAL:
        return values
    if hasattr(values, "toarray"):
        raise TypeError(
            f"{argument} is a sparse {type(values).__name__}; pass {argument}.toarray()."
        )
    if np.ma.isMaskedArray(values):
        raise TypeError(
            f"{argument} is a masked array; fill or drop what is masked, for example with "
            f"{argument}.filled(value)."
        )
    if not isinstance(values, np.ndarray):
        refuse_dates(argument, values)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{argument} is not a rectangular array of numbers: {error}.") from None
    if array.dtype.kind not in REAL:
        refuse_dates(argument, array)
        advice = f"If its entries are numbers, pass np.asarray({argument}, dtype=float)."
        if array.size and isinstance(array.flat[0], str):
            advice += (
                f" If they are labels, number them: np.unique({argument}, return_inverse=True)[1]."
            )
        raise TypeError(f"{argument} has dtype {array.dtype}; expected real numbers. {advice}")
    return array


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused below
def float_array(
    argument: str,
    values: Any,
    dtype: Any = None,
    advice: str = "; remove those samples or fill them in",
    finite: bool = True,
) -> NDArray[Any]:
    """`values` as finite floats: of `dtype`, else float32 if they are that already, else float64.

    `advice` ends the message about entries that are not finite; with `finite=False`, they are not
    looked for.
    """
    array = real_array(argument, values)
    if dtype is None:  # float32 in either byte order, or anything else
        is_single = array.dtype.kind == "f" and array.dtype.itemsize == 4
        dtype = np.float32 if is_single else np.float64
    check_not_truncated(argument, array)
    if array.dtype != dtype and mapping_of(array) is not None:
        check_copy_fits(argument, array, dtype, conversion_advice(argument, array.dtype))
    floats = array.astype(dtype, copy=False)
    # The sum is a quick test: if it overflows, that only leads to a full search.
    if finite and not math.isfinite(np.add.reduce(floats, axis=None)):
        _refuse_non_finite(argument, array, floats, advice)
    return floats


def _refuse_non_finite(
    argument: str, array: NDArray[Any], floats: NDArray[Any], advice: str
) -> None:
    count, place = non_finite(floats)
    if place is None:
        return
    came = array[place]
    where = f"[{', '.join(str(index) for index in place)}]"
    if np.isfinite(came):
        raise ValueError(
            f"{argument}{where} is {came:g}, too large for {floats.dtype}; scale {argument}, or "
            "pass float64 data."
        )
    raise ValueError(
        f"{argument} must be finite, but {count} of its {floats.size} entries are NaN or inf, the "
        f"first at {argument}{where} ({came}){advice}."
    )


def non_finite(floats: NDArray[Any]) -> tuple[int, tuple[int, ...] | None]:
    """How many entries are NaN or inf, and the first of them in C order; a part at a time."""
    if floats.ndim > 1:
        # In the order in which they lie in memory, so that a file is read once.
        axis = int(np.argmax(np.abs(floats.strides)))
        parts = max(1, ENTRIES_AT_A_TIME // max(1, floats.size // floats.shape[axis]))
    else:
        axis, parts = 0, ENTRIES_AT_A_TIME
    count, first = 0, None
    for start in range(0, floats.shape[axis] if floats.ndim else 0, parts):
        part = (slice(None),) * axis + (slice(start, start + parts),)
        bad = ~np.isfinite(floats[part])
        n_bad = int(np.count_nonzero(bad))
        if n_bad:
            place = [int(index) for index in np.unravel_index(int(bad.argmax()), bad.shape)]
            place[axis] += start
            count += n_bad
            first = tuple(place) if first is None else min(first, tuple(place))
    if floats.ndim == 0 and not np.isfinite(floats):
        return 1, ()
    return count, first


def inputs(
    X: Any, n_in: int, argument: str = "X", dtype: Any = None, finite: bool = True
) -> NDArray[Any]:
    """X (n_in, m), one sample per column, float32 or float64 (or of `dtype`)."""
    array = real_array(argument, X)
    if array.ndim != 2 or array.shape[0] != n_in:
        advice = ""
        if array.ndim == 2 and array.shape[1] == n_in:
            advice = f" Its transpose would fit: pass {argument}.T."
        elif array.ndim == 1 and array.size == n_in:
            advice = f" For one sample, pass {argument}.reshape(-1, 1)."
        elif array.ndim == 1 and n_in == 1:
            advice = f" For one feature, pass {argument}.reshape(1, -1)."
        raise ValueError(
            f"{argument} must have shape ({n_in}, n_samples), one sample per column, as this "
            f"network has {n_in} input{'s' * (n_in > 1)}; got shape {array.shape}.{advice}"
        )
    if array.shape[1] == 0:
        raise ValueError(f"{argument} holds no samples: its shape is {array.shape}.")
    check_usable_in_place(argument, array)
    return float_array(argument, array, dtype, finite=finite)


def theta_of(given: Any) -> Any:
    """What was given as theta; of a TrainResult its theta."""
    return getattr(given, "theta", given)


def _refuse_result(given: Any, argument: str = "theta") -> None:
    """Refuse a TrainResult where only its parameters are taken."""
    if theta_of(given) is not given:
        raise TypeError(
            f"{argument} must be an array of parameters; got a {type(given).__name__}. Pass its "
            "parameters, result.theta."
        )


def parameters(
    theta: Any, n_parameters: int, dtype: Any, argument: str = "theta", cast: bool = False
) -> NDArray[Any]:
    """theta (n_parameters,), contiguous, writeable by us, of the dtype of X.

    Another dtype is an error, or with `cast` converted.
    """
    if (
        type(theta) is np.ndarray
        and theta.shape == (n_parameters,)
        and theta.dtype == dtype
        and theta.flags.carray
    ):
        return theta  # as it is at each evaluation of a run
    _refuse_result(theta, argument)
    array = real_array(argument, theta)
    if array.shape != (n_parameters,):
        raise ValueError(
            f"{argument} must have shape ({n_parameters},), one entry per weight and bias of this "
            f"network; got shape {array.shape}."
        )
    array = array.astype(dtype if cast else array.dtype.newbyteorder("="), copy=False)
    if array.dtype != dtype:
        raise TypeError(
            f"{argument} has dtype {array.dtype} but X is computed in {np.dtype(dtype)}; give both "
            f"one dtype, for example {argument}.astype('{np.dtype(dtype)}')."
        )
    # Kernels are compiled for contiguous arrays that may be written to; a view of either kind
    # would be compiled for again.
    return np.require(array, requirements=["C", "W", "A"])


def require_viewable(theta: Any, n_parameters: int) -> None:
    """Refuse anything but a flat contiguous vector of that length, of which layers are views."""
    _refuse_result(theta)
    if not isinstance(theta, np.ndarray) or theta.shape != (n_parameters,):
        raise ValueError(
            f"theta must be an array of shape ({n_parameters},), one entry per weight and bias of "
            f"this network; got {type(theta).__name__} of shape {np.shape(theta)}."
        )
    if not theta.flags.c_contiguous:
        raise ValueError(
            "theta must be contiguous, or its views would be copies; pass "
            "np.ascontiguousarray(theta)."
        )
