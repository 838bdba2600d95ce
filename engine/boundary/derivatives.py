"""Whether the loss of a network has the derivatives that a user asks for."""

from engine.boundary.settings import listed
from engine.equations.losses import COMPILED, LOSSES, WITH_KINK, KernelLoss
from engine.equations.second_derivative import WITH_SECOND_DERIVATIVE


def require_second_derivative(loss: KernelLoss) -> None:
    """Refuse losses whose second derivative is not known."""
    if loss.code in WITH_SECOND_DERIVATIVE:
        return
    if loss.code in WITH_KINK:
        raise ValueError(
            f"hessian_product needs a second derivative, and the loss {_name(loss)!r} has a kink: "
            "there its slope jumps, and elsewhere its second derivative is 0. Choose "
            "losses.Huber(delta) with a small delta, or use cost_and_gradient."
        )
    known = [row.name for row in LOSSES.values() if row.code in WITH_SECOND_DERIVATIVE]
    what = "a loss of your own" if loss.code == COMPILED else f"the loss {_name(loss)!r}"
    raise ValueError(
        f"hessian_product needs the exact second derivative of the loss, which is known for "
        f"{listed(known)}; this network has {what}. The h that a function returns may be another "
        "number: gauss_newton takes it as it is."
    )


def require_curvature(loss: KernelLoss) -> None:
    """Refuse losses that have no weight h for the Gauss-Newton matrix."""
    if loss.code in WITH_KINK:
        raise ValueError(
            f"gauss_newton needs a curvature, and the loss {_name(loss)!r} has a kink: there its "
            "slope jumps. Choose losses.Huber(delta) with a small delta, or use cost_and_gradient."
        )
    if not loss.has_curvature:
        raise ValueError(
            "gauss_newton needs a curvature, and the function of your loss returns two numbers. "
            "Let it return a third, h: the second derivative by z, or a positive number in its "
            "place."
        )


def _name(loss: KernelLoss) -> str:
    return next(row.name for row in LOSSES.values() if row.code == loss.code)
