"""Which loss `engine train` minimises for a target of numbers: --loss and its numbers."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from engine.losses import Loss


class LossName(StrEnum):
    """The losses of numbers."""

    squared_error = "squared_error"
    absolute_error = "absolute_error"
    huber = "huber"
    quantile = "quantile"
    poisson = "poisson"
    gamma = "gamma"
    tweedie = "tweedie"


def loss_name(text: str) -> LossName:
    """The loss of that name, for the option."""
    if text in {*LossName}:
        return LossName(text)
    from engine.losses import did_you_mean

    known = [*map(str, LossName)]
    said = ", ".join(map(repr, known))
    raise typer.BadParameter(f"{text!r} is not one of {said}.{did_you_mean(text, known)}")


*MOST, LAST = LossName
LossOption = Annotated[
    LossName | None,
    typer.Option(
        metavar="NAME",
        parser=loss_name,
        help=f"What is minimised for a target of numbers: {', '.join(MOST)} or {LAST}; "
        "squared_error if left out.",
    ),
]
Levels = Annotated[
    str | None,
    typer.Option(
        metavar="X,X",
        help="For --loss quantile: levels between 0 and 1, joined by ','; each is predicted. "
        "0.5 if left out.",
    ),
]
Delta = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="For --loss huber: errors above this, in standard deviations of the target, count "
        "less than squared; 1 if left out.",
    ),
]
Power = Annotated[
    float | None,
    typer.Option(
        metavar="X", help="For --loss tweedie: how the variance grows with the mean, 1 to 2."
    ),
]


def loss_of(
    name: LossName | None, quantile: str | None, delta: float | None, power: float | None
) -> "Loss | None":
    """The loss that was asked for; None is the squared error."""
    from engine import losses
    from engine.cli.table_options import at_command_line

    for option, value, owner in (
        ("--quantile", quantile, LossName.quantile),
        ("--delta", delta, LossName.huber),
        ("--power", power, LossName.tweedie),
    ):
        if value is not None and name != owner:
            raise ValueError(f"{option} goes with --loss {owner}: add that, or leave {option} out.")
    with at_command_line():
        if name == LossName.quantile and quantile is not None:
            return losses.Quantile(_levels(quantile))
        if name == LossName.huber and delta is not None:
            return losses.Huber(delta)
        if name == LossName.tweedie:
            if power is None:
                raise ValueError("--loss tweedie needs --power X, above 1 and below 2.")
            return losses.Tweedie(power)
    return None if name in (None, LossName.squared_error) else losses.Loss(str(name))


def _levels(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--quantile must be numbers, joined by ','; got {text!r}.") from None
