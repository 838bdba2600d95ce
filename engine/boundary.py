"""What users pass in, checked and brought to one form, or refused with a message.

Each function returns what the rest of the package may trust, and copies only where the dtype asks
for it; the caller's arrays are never written to. A message says what was expected, what came, and
what to do about it.
"""

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.chunks import Samples
from engine.equations.activations import HIDDEN_UNITS
from engine.equations.backends import BACKENDS, Backend, fastest


def listed(names: Iterable[str]) -> str:
    """Names for a message: 'a', 'b' or 'c'."""
    *most, last = [repr(name) for name in names]
    return f"{', '.join(most)} or {last}" if most else last


def one_of(argument: str, value: Any, known: Iterable[str]) -> str:
    """`value`, if it is one of the `known` names."""
    known = list(known)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{argument} must be {listed(known)}; got {value!r}.")
    return value


def whole_number(argument: str, value: Any, at_least: int) -> int:
    """`value` as an int, if it is a whole number not below `at_least`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{argument} must be a whole number; got {value!r}.") from None
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{argument} must be a whole number; got {value!r}.")
    if number < at_least:
        raise ValueError(f"{argument} must be at least {at_least}; got {number}.")
    return number


def real_number(argument: str, value: Any, low: float, low_included: bool = True) -> float:
    """`value` as a float, if it is finite and not below `low` (or, above it)."""
    try:
        is_real = np.asarray(value).dtype.kind in "iuf" and np.ndim(value) == 0
        number = float(value) if is_real else math.nan
    except (TypeError, ValueError):  # a ragged list
        is_real = False
    if not is_real:
        raise TypeError(f"{argument} must be a number; got {value!r}.")
    in_range = number >= low if low_included else number > low
    if not (in_range and math.isfinite(number)):
        wanted = "at least" if low_included else "above"
        raise ValueError(f"{argument} must be finite and {wanted} {low:g}; got {number:g}.")
    return number


def layer_sizes(sizes: Any) -> tuple[int, ...]:
    """Units of each layer, inputs and outputs at least."""
    is_sequence = isinstance(sizes, Sequence | np.ndarray) and not isinstance(sizes, str | bytes)
    if not is_sequence or getattr(sizes, "ndim", 1) != 1 or len(sizes) < 2:
        raise ValueError(
            "sizes must list the units of at least two layers, inputs and outputs, such as "
            f"(2, 4, 1); got {sizes!r}."
        )
    return tuple(whole_number(f"sizes[{l}]", size, at_least=1) for l, size in enumerate(sizes))


def hidden_units(hidden: Any, n_hidden: int) -> tuple[str, ...]:
    """The activation of each hidden layer, from one name for all or one for each."""
    one_for_each = isinstance(hidden, Sequence) and not isinstance(hidden, str) and n_hidden > 0
    names = tuple(hidden) if one_for_each else (hidden,) * n_hidden
    if len(names) != n_hidden:
        raise ValueError(
            f"hidden must be one name, or one for each of the {n_hidden} hidden layers; "
            f"got {len(names)} names."
        )
    return tuple(one_of("hidden", name, HIDDEN_UNITS) for name in names)


def representable(argument: str, value: float, dtype: Any) -> None:
    """Refuse a positive number that would become 0 or inf in `dtype`."""
    smallest, largest = float(np.finfo(dtype).tiny), float(np.finfo(dtype).max)
    if not smallest <= value <= largest:
        raise ValueError(
            f"{argument} must be between {smallest:g} and {largest:g} for {np.dtype(dtype)} data; "
            f"got {value:g}."
        )


def find_backend(name: str | None, n_parameters: int, n_samples: int) -> Backend:
    """The backend of that name; None is the fastest one for a pass of that size."""
    if name is None:
        return fastest(n_parameters, n_samples)
    if name == "tiled":
        raise NotImplementedError(
            f"backend='tiled' is not available yet; pass {listed(BACKENDS)}, or None."
        )
    return BACKENDS[one_of("backend", name, BACKENDS)]


def thread_count(n_threads: int | None) -> int:
    """The number of threads to use."""
    count = 1 if n_threads is None else whole_number("n_threads", n_threads, at_least=1)
    if count > 1:
        raise NotImplementedError(
            f"n_threads={count} is not available yet: these backends use one thread. "
            "Pass n_threads=None."
        )
    return count


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
        raise TypeError(
            f"{argument} has dtype {array.dtype}; expected real numbers. If its entries are "
            f"numbers, pass np.asarray({argument}, dtype=float)."
        )
    return array


def float_array(argument: str, values: Any, dtype: Any = None) -> NDArray[Any]:
    """`values` as finite floats: of `dtype`, or else float32 if they are that, or else float64."""
    array = real_array(argument, values)
    if dtype is None:  # float32 in either byte order, or anything else
        is_single = array.dtype.kind == "f" and array.dtype.itemsize == 4
        dtype = np.float32 if is_single else np.float64
    with np.errstate(over="ignore", invalid="ignore"):
        floats = array.astype(dtype, copy=False)
        total = np.sum(floats)  # one number to look at; an overflow only means a closer look
    if not np.isfinite(total):
        _refuse_non_finite(argument, array, floats)
    return floats


def _refuse_non_finite(argument: str, array: NDArray[Any], floats: NDArray[Any]) -> None:
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
    about_samples = argument != "theta"
    advice = "; remove those samples or fill them in" if about_samples else ""
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


def parameters(theta: Any, n_parameters: int, dtype: Any, argument: str = "theta") -> NDArray[Any]:
    """theta (n_parameters,), contiguous, writeable by us, of the dtype of X."""
    array = real_array(argument, theta)
    if array.shape != (n_parameters,):
        raise ValueError(
            f"{argument} must have shape ({n_parameters},), one entry per weight and bias of this "
            f"network; got shape {array.shape}."
        )
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
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


def samples(
    X: Any,
    Y: Any,
    sample_weight: Any,
    *,
    n_in: int,
    n_out: int,
    output: str,
    names: tuple[str, str] = ("X", "Y"),
) -> Samples:
    """Inputs, targets and weights that fit each other and the network."""
    X = inputs(X, n_in, names[0])
    n_samples = X.shape[1]
    Y, codes = targets(Y, n_out, n_samples, output, X.dtype, names[1])
    return Samples(X, Y, codes, weights(sample_weight, n_samples, X.dtype))


def targets(
    Y: Any, n_out: int, n_samples: int, output: str, dtype: Any, argument: str = "Y"
) -> tuple[NDArray[Any] | None, NDArray[np.int32] | None]:
    """Targets as a matrix (n_out, n_samples), or as class codes (n_samples,): one of the two."""
    array = real_array(argument, Y)
    as_codes = output == "softmax" and array.ndim == 1
    if array.shape == (n_samples,) and (as_codes or n_out == 1):
        if as_codes:
            return None, class_codes(array, n_out, argument)
    elif array.shape != (n_out, n_samples):
        raise ValueError(_target_shape_message(array, n_out, n_samples, output, argument))
    matrix = float_array(argument, array, dtype).reshape(n_out, n_samples)
    _check_target_range(matrix, output, argument)
    return matrix, None


def _target_shape_message(
    array: NDArray[Any], n_out: int, n_samples: int, output: str, argument: str
) -> str:
    wanted = f"({n_out}, {n_samples})"
    if output == "softmax":
        wanted += f" or, as class codes, ({n_samples},)"
    elif n_out == 1:
        wanted += f" or ({n_samples},)"
    advice = ""
    if array.shape == (n_samples, n_out):
        advice = f" Its transpose would fit: pass {argument}.T."
    elif output == "softmax" and array.shape in ((1, n_samples), (n_samples, 1)):
        advice = f" For class codes, pass {argument}.ravel()."
    return (
        f"{argument} must have shape {wanted}, for {n_out} output unit{'s' * (n_out > 1)} and "
        f"{n_samples} sample{'s' * (n_samples > 1)}; got shape {array.shape}.{advice}"
    )


def _check_target_range(matrix: NDArray[Any], output: str, argument: str) -> None:
    if output == "sigmoid" and (matrix.min() < 0 or matrix.max() > 1):
        raise ValueError(
            f"{argument} must be 0 or 1, or a probability between, for sigmoid output units; its "
            f"entries go from {matrix.min():g} to {matrix.max():g}. Code the two classes as 0 and "
            "1, or choose output='identity'."
        )
    if output == "exp" and matrix.min() < 0:
        raise ValueError(
            f"{argument} must not be negative for exp output units, whose cost is the Poisson "
            f"deviance; its smallest entry is {matrix.min():g}."
        )
    if output == "softmax":
        with np.errstate(over="ignore"):
            sums = matrix.sum(axis=0, dtype=np.float64)
        worst = int(np.abs(sums - 1).argmax())
        if matrix.min() < 0 or abs(sums[worst] - 1) > 1e-5:
            raise ValueError(
                f"Each column of {argument} must hold probabilities that sum to 1 for a softmax "
                f"output; column {worst} sums to {sums[worst]:g} and the smallest entry is "
                f"{matrix.min():g}. Pass one-hot columns, or class codes."
            )


def class_codes(codes: NDArray[Any], n_classes: int, argument: str = "Y") -> NDArray[np.int32]:
    """Class codes as int32, if they are whole and between 0 and n_classes - 1."""
    wrong = ~((codes >= 0) & (codes <= n_classes - 1) & (codes == np.floor(codes)))
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(
            f"{argument} must hold class codes 0 to {n_classes - 1}, one whole number for each of "
            f"the {n_classes} output units; {argument}[{first}] is {codes[first]}. To number "
            f"labels, use np.unique({argument}, return_inverse=True)[1]."
        )
    return codes.astype(np.int32)


def weights(sample_weight: Any, n_samples: int, dtype: Any) -> NDArray[Any] | None:
    """Sample weights (n_samples,); None, meaning 1 each, stays None."""
    if sample_weight is None:
        return None
    array = real_array("sample_weight", sample_weight)
    if array.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have shape ({n_samples},), one weight per sample; "
            f"got shape {array.shape}."
        )
    array = float_array("sample_weight", array, dtype)
    if array.min() < 0:
        raise ValueError(
            f"sample_weight must not be negative; sample_weight[{int(array.argmin())}] is "
            f"{array.min():g}."
        )
    if not np.any(array > 0):
        raise ValueError("sample_weight is 0 for every sample; at least one must be positive.")
    return array
