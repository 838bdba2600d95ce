"""Settings of steps and targets that not every solver, or not every loss, can have."""

from typing import Any


def require_of_solver(
    name: str,
    is_adam: bool,
    by_steps: bool,
    *,
    weight_decay: float,
    average: float | None,
    clip_norm: float | None,
) -> None:
    """ValueError if a solver cannot have one of these.

    `by_steps`: it has a learning rate, and does not choose the length of each step itself.
    """
    if weight_decay and not is_adam:
        raise ValueError(
            f"weight_decay={weight_decay!r} needs solver='adam'; got solver={name!r}. Pass "
            "weight_decay=0, or alpha for a penalty in the gradient."
        )
    given: dict[str, Any] = {"average": average, "clip_norm": clip_norm}
    for argument, value in given.items():
        if value is not None and not by_steps:
            raise ValueError(
                f"{argument}={value!r} needs solver='adam', 'sgd' or 'gd'; got solver={name!r}, "
                f"which chooses the length of its steps itself. Pass {argument}=None."
            )


def require_smoothable(label_smoothing: float, loss: str, evidence: bool) -> None:
    """ValueError if the targets of a loss cannot be smoothed."""
    if not label_smoothing:
        return
    if loss != "cross_entropy":
        raise ValueError(
            f"label_smoothing={label_smoothing!r} needs loss 'cross_entropy', whose targets are "
            f"labels; got {loss!r}. Pass label_smoothing=0."
        )
    if evidence:
        raise ValueError(
            "alpha='evidence' takes the labels as they are: pass label_smoothing=0, or a number "
            "as alpha."
        )
