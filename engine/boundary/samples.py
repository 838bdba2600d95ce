"""Data that users pass in: inputs, targets and weights that fit each other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.boundary.arrays import float_array, inputs, real_array
from engine.equations.losses import Loss

ADVICE_FOR_ZEROS = " If 0 is a target, choose the loss engine.losses.Tweedie(power) or 'poisson'."

CheckedSamples = tuple[
    NDArray[Any], NDArray[Any] | None, NDArray[np.int32] | None, NDArray[Any] | None
]


def checked_samples(
    X: Any,
    Y: Any,
    sample_weight: Any,
    *,
    n_in: int,
    n_out: int,
    output: str,
    loss: Loss,
    one_target: bool = False,
    names: tuple[str, str] = ("X", "Y"),
    finite: bool = True,
) -> CheckedSamples:
    """Inputs, targets, class codes and weights that fit each other and the network.

    Targets are a matrix (n_out, n_samples) or class codes (n_samples,): the other one is None. If
    all output units have `one_target`, Y is (n_samples,) or (1, n_samples), and the matrix a view.

    With `finite=False`, inputs may be NaN or infinite.
    """
    X = inputs(X, n_in, names[0], finite=finite)
    n_samples = X.shape[1]
    if one_target:
        _require_one_target(Y, n_out, n_samples, names[1])
    n_targets = 1 if one_target else n_out
    Y, codes = targets(Y, n_targets, n_samples, output, loss, X.dtype, names[1])
    if Y is not None and one_target:
        Y = np.broadcast_to(Y, (n_out, n_samples))
    return X, Y, codes, weights(sample_weight, n_samples, X.dtype)


def targets(
    Y: Any,
    n_out: int,
    n_samples: int,
    output: str,
    loss: Loss,
    dtype: Any,
    argument: str = "Y",
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
    _check_target_range(matrix, output, loss, argument)
    return matrix, None


def _require_one_target(Y: Any, n_out: int, n_samples: int, argument: str) -> None:
    """Refuse targets of another shape where all output units have one: several quantiles."""
    shape = real_array(argument, Y).shape
    if shape in ((n_samples,), (1, n_samples)):
        return
    advice = {
        (n_out, n_samples): f" For the same target, pass {argument}[0].",
        (n_samples, 1): f" Its transpose would fit: pass {argument}.T.",
    }.get(shape, "")
    raise ValueError(
        f"{argument} must have shape (1, {n_samples}) or ({n_samples},), one target for all "
        f"{n_out} quantiles; got shape {shape}.{advice}"
    )


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


def outside(matrix: NDArray[Any], loss: Loss) -> str | None:
    """What targets must be for a loss, if some are below the interval that it takes; else None."""
    smallest = float(matrix.min())
    if smallest > loss.low or (loss.low_included and smallest == loss.low):
        return None
    return "not be negative" if loss.low_included else f"be above {loss.low:g}"


def _check_target_range(matrix: NDArray[Any], output: str, loss: Loss, argument: str) -> None:
    if output == "sigmoid" and (matrix.min() < loss.low or matrix.max() > loss.high):
        raise ValueError(
            f"{argument} must be 0 or 1, or a probability between, for sigmoid output units; its "
            f"entries go from {matrix.min():g} to {matrix.max():g}. Code the two classes as 0 and "
            "1, or choose output='identity'."
        )
    if output == "exp" and (wanted := outside(matrix, loss)):
        advice = ADVICE_FOR_ZEROS if matrix.min() == 0 else ""
        raise ValueError(
            f"{argument} must {wanted} for exp output units, whose cost is the "
            f"{loss.name.capitalize()} deviance; its smallest entry is {matrix.min():g}."
            f"{advice}"
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
            f"{argument} must hold class codes 0 to {n_classes - 1}, a whole number for each "
            f"sample; {argument}[{first}] is {codes[first]}. To number "
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
    array = float_array("sample_weight", array, np.float64)
    if array.min() < 0:
        raise ValueError(
            f"sample_weight must not be negative; sample_weight[{int(array.argmin())}] is "
            f"{array.min():g}."
        )
    if not np.any(array > 0):
        raise ValueError("sample_weight is 0 for every sample; at least one must be positive.")
    rounded = float_array("sample_weight", array, dtype)
    with np.errstate(over="ignore"):
        total = np.sum(rounded, dtype=np.float64)
    # Neither a weight nor 1 / S may be subnormal: kernels may take these for zeros.
    tiny = float(np.finfo(dtype).tiny)
    if rounded.max() < tiny or not total <= 1 / tiny:
        raise ValueError(
            f"sample_weight adds up to {total:g} in {np.dtype(dtype)}; scale the weights, of which "
            "only the ratios count, for example to a mean of 1."
        )
    return rounded
