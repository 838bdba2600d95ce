"""Single arrays that users pass in: inputs, parameters, and what all arrays have in common."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def real_array(argument: str, values: Any) -> NDArray[Any]:
    """`values` as an array of real numbers, of whatever dtype and layout."""
    if hasattr(values, "toarray"):
        raise TypeError(
            f"{argument} is a sparse {type(values).__name__}; pass {argument}.toarray()."
        )
    if np.ma.isMaskedArray(values):
        raise TypeError(
            f"{argument} is a masked array; fill or drop what is masked, for example with "
            f"{argument}.filled(value)."
        )
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{argument} is not a rectangular array of numbers: {error}.") from None
    if array.dtype.kind not in "biuf":
        advice = f"If its entries are numbers, pass np.asarray({argument}, dtype=float)."
        if array.size and isinstance(array.flat[0], str):
            advice += (
                f" If they are labels, number them: np.unique({argument}, return_inverse=True)[1]."
            )
        raise TypeError(f"{argument} has dtype {array.dtype}; expected real numbers. {advice}")
    return array


def float_array(
    argument: str,
    values: Any,
    dtype: Any = None,
    advice: str = "; remove those samples or fill them in",
) -> NDArray[Any]:
    """`values` as finite floats: of `dtype`, or else float32 if they are that, or else float64.

    `advice` ends the message about entries that are not finite.
    """
    array = real_array(argument, values)
    if dtype is None:  # float32 in either byte order, or anything else
        is_single = array.dtype.kind == "f" and array.dtype.itemsize == 4
        dtype = np.float32 if is_single else np.float64
    with np.errstate(over="ignore", invalid="ignore"):
        floats = array.astype(dtype, copy=False)
        total = np.sum(floats)  # one number to look at; an overflow only means a closer look
    if not np.isfinite(total):
        _refuse_non_finite(argument, array, floats, advice)
    return floats


def _refuse_non_finite(
    argument: str, array: NDArray[Any], floats: NDArray[Any], advice: str
) -> None:
    bad = ~np.isfinite(floats)
    count = int(bad.sum())
    if count == 0:
        return
    place = tuple(int(index) for index in np.argwhere(bad)[0])
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


def inputs(X: Any, n_in: int, argument: str = "X", dtype: Any = None) -> NDArray[Any]:
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
    return float_array(argument, array, dtype)


def parameters(
    theta: Any, n_parameters: int, dtype: Any, argument: str = "theta", cast: bool = False
) -> NDArray[Any]:
    """theta (n_parameters,), contiguous, writeable by us, of the dtype of X.

    Another dtype is an error, or with `cast` converted.
    """
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
    """Refuse what is not a flat vector of that length, or whose layers would be copies."""
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
