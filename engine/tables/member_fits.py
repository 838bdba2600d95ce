"""The networks of a table: a fit by validation rows of its own, and maybe a second one on all rows.

If the latest rows validate, all networks hold out the same ones, and none would learn from the rows
that say most about the time to come. So each is fitted again, on all rows, for as many epochs as
were best for the validation rows.
"""

from collections.abc import Callable, Sequence
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from engine.many.fits import Fit, Outcome, fit_all, threads_for
from engine.many.member_messages import raise_first_error
from engine.many.member_rows import MemberRows
from engine.training.checkpoint import Checkpoint

# Attributes of the first fit that the second one keeps.
OF_VALIDATION = ("validation_loss_curve_", "validation_scores_", "best_validation_score_")

# The latest rows contradict the earlier ones if they are predicted worse after fewer epochs, and
# rows that are drawn at random only after so many times as many.
FEWEST_EPOCHS = 5
TIMES_AS_LONG = 5


class Rows(NamedTuple):
    """Rows (m, n_columns) as networks take them, their targets and their weights."""

    X: NDArray[Any]
    y: NDArray[Any]
    weights: NDArray[np.float64] | None = None

    def taken(self, numbers: NDArray[np.int64]) -> "Rows":
        """The rows with these numbers."""
        weights = None if self.weights is None else self.weights[numbers]
        return Rows(self.X[numbers], self.y[numbers], weights)


class MemberFits(NamedTuple):
    """Networks that were trained, and how.

    Attributes
    ----------
    fits : list of Fit
        Of the networks that are averaged.
    outcomes : list of Outcome
    numbers : list of int
        Which of the networks that were wanted these are.
    n_wanted : int
        Networks that were to be trained.
    n_behind : int
        Networks that are left out, as they were cut off long before another: `trained_enough`.
    out_of_time : bool
        Whether `max_time` ended a fit, the first one included.
    interrupted : bool
        Whether Ctrl-C ended a fit, or came before it.
    lacks_second : bool
        Whether Ctrl-C ended the second fits, so that the first ones stand.
    epochs_by_time : int
        The few epochs after which the latest rows were predicted best, if they contradict the
        earlier ones, so that rows drawn at random validated the networks in their place; else 0.
    """

    fits: list[Fit]
    outcomes: list[Outcome]
    numbers: list[int]
    n_wanted: int
    n_behind: int = 0
    out_of_time: bool = False
    interrupted: bool = False
    lacks_second: bool = False
    epochs_by_time: int = 0

    @property
    def members(self) -> list[Any]:
        """The fitted networks."""
        return [fit.estimator for fit in self.fits]

    @property
    def validation(self) -> list[Rows | None]:
        """The validation rows of each network."""
        return [
            None if fit.X_val is None else Rows(fit.X_val, fit.y_val, fit.sample_weight_val)
            for fit in self.fits
        ]

    @property
    def best_epochs(self) -> list[int]:
        """After how many epochs each network predicted its validation rows best."""
        scores = [member.validation_scores_ or [] for member in self.members]
        return [int(np.argmax(one)) + 1 if len(one) else 0 for one in scores]

    @property
    def best_after(self) -> int:
        """The median of the best numbers of epochs."""
        return sorted(self.best_epochs)[len(self.members) // 2]

    @property
    def may_be_contradicted(self) -> bool:
        """Whether all validation rows were predicted worse after few epochs."""
        lengths = [len(member.validation_scores_ or []) for member in self.members]
        went_on = all(n > best for n, best in zip(lengths, self.best_epochs, strict=True))
        return not self.interrupted and went_on and self.best_after < FEWEST_EPOCHS


def fits_of(
    member_of: Callable[..., Any],
    rows: Rows,
    validation: Rows | None,
    parts: Sequence[MemberRows | None],
    checkpoint: Checkpoint | None,
    n_before: int = 0,
) -> list[Fit]:
    """The fit of each network.

    Parameters
    ----------
    member_of : callable
        From the number of a network, and `n_rows`, `early_stopping` and `checkpoint`, to a network.
    rows, validation : Rows
        The validation rows of networks that have no part of the rows.
    parts : sequence of MemberRows or None
        Which of the rows each network is trained on, and which validate it.
    checkpoint : Checkpoint, optional
        Of the first network; the others have FILE.2, FILE.3 and so on.
    n_before : int
        Fits that have checkpoints already.
    """
    fits = []
    shared: dict[int, tuple[Rows, Rows]] = {}
    for number, part in enumerate(parts):
        trained, held = rows, validation
        if part is not None:
            if id(part) not in shared:
                shared[id(part)] = rows.taken(part.trained), rows.taken(part.left_out)
            trained, held = shared[id(part)]
        member = member_of(
            number,
            n_rows=len(trained.y),
            early_stopping=held is not None,
            checkpoint=checkpoint_of(checkpoint, n_before + number),
        )
        fits.append(Fit(member, *trained, *(held or ())))
    return fits


def share_time(fits: Sequence[Fit], seconds: float, n_threads: int | None) -> None:
    """Give each fit the time in which all of them take so many seconds.

    With three networks on two threads the third begins when another has ended: two rounds.
    """
    rounds = -(-len(fits) // threads_for(fits, n_threads))
    for fit in fits:
        fit.estimator.max_time = seconds / rounds


def fitted(fits: Sequence[Fit], n_threads: int | None) -> MemberFits:
    """Make the fits; the error of the first that fails, or KeyboardInterrupt if none began.

    Networks that Ctrl-C did not let begin are left out, and those that are far behind.
    """
    outcomes = fit_all(fits, n_threads)
    interrupted = any(outcome.was_interrupted for outcome in outcomes)
    begun = [not isinstance(outcome.error, KeyboardInterrupt) for outcome in outcomes]
    if not any(begun):
        begun = [True] * len(fits)  # whose error is raised
    raise_first_error([*compress(outcomes, begun)], "network", "The estimator is as it was before.")
    numbers = [*compress(range(len(fits)), begun)]
    kept = [n for n in numbers if trained_enough(n, numbers, fits, outcomes)]
    return MemberFits(
        [fits[n] for n in kept],
        [outcomes[n] for n in kept],
        kept,
        n_wanted=len(fits),
        n_behind=len(numbers) - len(kept),
        out_of_time=any(outcome.stopped == "max_time" for outcome in outcomes),
        interrupted=interrupted,
    )


def trained_enough(
    number: int, begun: Sequence[int], fits: Sequence[Fit], outcomes: Sequence[Outcome]
) -> bool:
    """Whether a network makes the average better.

    One that `max_time` or Ctrl-C has cut off, before half as many epochs as another had, would make
    it worse.
    """
    was_cut_off = outcomes[number].stopped in ("max_time", "interrupted")
    most = max(int(fits[n].estimator.n_iter_) for n in begun)
    return not was_cut_off or 2 * int(fits[number].estimator.n_iter_) >= most


def fitted_again(
    first: MemberFits,
    rows: Rows,
    checkpoint: Checkpoint | None,
    n_threads: int | None,
    n_before: int,
) -> MemberFits:
    """Networks with the same seeds, fitted to all rows for the epochs that validation found best.

    They keep the validation curves, which say why it was so many epochs. The first fits stand where
    they had no whole epoch, and after Ctrl-C. `n_before` fits have checkpoints already.
    """
    if first.interrupted or not all(one.validation_scores_ for one in first.members):
        return first
    again = []
    for number, n_epochs, member in zip(
        first.numbers, first.best_epochs, first.members, strict=True
    ):
        second = clone(member).set_params(
            early_stopping=False,
            n_iter_no_change=member.max_iter,  # not sooner, by the loss of training rows
            max_iter=n_epochs,
            checkpoint=checkpoint_of(checkpoint, n_before + number),
        )
        again.append(Fit(second, *rows))
    outcomes = fit_all(again, n_threads)
    if any(outcome.was_interrupted for outcome in outcomes):
        return first._replace(lacks_second=True)
    raise_first_error(outcomes, "network", "The estimator is as it was before.")
    for member, fit in zip(first.members, again, strict=True):
        for name in OF_VALIDATION:
            setattr(fit.estimator, name, getattr(member, name))
    is_enough = [2 * int(fit.estimator.n_iter_) >= fit.estimator.max_iter for fit in again]
    out_of_time = first.out_of_time or any(outcome.stopped == "max_time" for outcome in outcomes)
    return first._replace(
        fits=_chosen(is_enough, again, first.fits),
        outcomes=_chosen(is_enough, outcomes, first.outcomes),
        out_of_time=out_of_time,
    )


def _chosen(is_enough: Sequence[bool], second: Sequence[Any], first: Sequence[Any]) -> list[Any]:
    """Of each network the second fit, or the first where `max_time` cut the second off early."""
    return [
        new if enough else old for enough, new, old in zip(is_enough, second, first, strict=True)
    ]


def checkpoint_of(checkpoint: Checkpoint | None, number: int) -> Checkpoint | None:
    """The checkpoint of a fit; each has a file of its own."""
    if checkpoint is None or number == 0:
        return checkpoint
    path = Path(checkpoint.path)
    place = path.with_name(f"{path.name}.{number + 1}")
    return Checkpoint(place, checkpoint.seconds, checkpoint.epochs, checkpoint.any_machine)
