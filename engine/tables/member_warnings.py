"""What a table estimator warns of: in terms of its own parameters, and not of its networks'."""

import re
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from engine.estimators.diagnosis import TrainingWarning
from engine.estimators.findings import Finding
from engine.many.member_messages import warnings_of
from engine.tables.member_fits import MemberFits
from engine.tables.messages import counted

# Warnings of networks that say nothing to whoever fits a table: the recipe has chosen so.
CHOSEN = re.compile(
    "Maximum iterations|max_time=|Early stopping goes by|learning rate is too high|no longer learn"
    "|validation score was NaN"
)
# What a network advises, and a table estimator has done.
DONE = re.compile(r"Scale the inputs[^.]*, or lower the rate")


def warnings_of_networks(made: MemberFits) -> list[Warning]:
    """What networks warn of that holds for a table, once for all networks."""
    found = warnings_of(made.outcomes, "network")
    return [_without_what_is_done(one) for one in found if not CHOSEN.search(str(one))]


def _without_what_is_done(warning: Warning) -> Warning:
    """The warning without the advice to scale inputs and target."""
    if not DONE.search(str(warning)):
        return warning
    said: Any = type(warning)(DONE.sub("Lower the rate", str(warning)))
    said.finding = getattr(warning, "finding", None)
    return said  # type: ignore[no-any-return]


def warnings_of_end(made: MemberFits, max_time: float | None) -> list[Warning]:
    """How training ended, if otherwise than a user expects."""
    found: list[Warning] = []
    if made.out_of_time:
        found.append(_out_of_time(made, max_time or 0.0))
    if made.lacks_second:
        found.append(
            UserWarning(
                "Training interrupted by user: the networks have not learnt from the latest rows, "
                "which validated them."
            )
        )
    if made.epochs_by_time:
        found.append(
            TrainingWarning(
                "The latest rows contradict the earlier ones: they are predicted best after "
                f"{counted(made.epochs_by_time, 'epoch')}, and worse after more. So they did not "
                "choose the number of epochs: each network was validated on rows drawn at random, "
                "and all rows are learnt from."
            )
        )
    if made.interrupted and len(made.fits) < made.n_wanted:
        found.append(
            UserWarning(
                f"Training interrupted by user: {made.n_wanted - len(made.fits)} of "
                f"{made.n_wanted} networks had not begun, or not half the epochs of another, and "
                "are left out."
            )
        )
    return found


def _out_of_time(made: MemberFits, max_time: float) -> Warning:
    epochs = min(int(member.n_iter_) for member in made.members)
    state = f"the one that was trained least had {counted(epochs, 'epoch')}"
    if made.n_behind:
        state += f", and {made.n_behind} that had not half those of another are left out"
    said: Any = ConvergenceWarning(
        f"max_time={max_time:g} seconds were over before all networks had converged; {state}. The "
        "model is the best so far: give it more time, or fewer networks by n_members."
    )
    said.finding = Finding(
        f"Training ended when its {max_time:g} seconds were over: of the networks, {state}. The "
        "model is the best so far.",
        "allow more time",
    )
    return said  # type: ignore[no-any-return]


def warning_without_validation(n_without: int, n_members: int, epochs: int) -> Warning:
    """Networks that were to hold rows out, and could not."""
    return TrainingWarning(
        f"{n_without} of {n_members} networks have no validation rows, as those that they were to "
        "hold out are of classes that none of their other rows has: they are trained for "
        f"{epochs} epochs, whatever that does to new rows. Pass validation rows of your own as "
        "X_val, or other groups."
    )
