"""Errors and warnings of many fits, gathered: the first of each kind, and whose they are."""

import re
import warnings
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from engine.many.fits import Outcome

NUMBER = re.compile(r"\d[\d.e+-]*")


def raise_first_error(outcomes: Sequence[Outcome]) -> None:
    """Raise the exception of the first member that failed, with a note that names all that did."""
    failed = [k for k, outcome in enumerate(outcomes) if outcome.error is not None]
    if not failed:
        return
    error = outcomes[failed[0]].error
    assert error is not None
    error.add_note(
        f"This is the error of member {failed[0]} of {len(outcomes)}, counted from 0. Failed: "
        f"{_named(failed)}."
    )
    raise error


def of_each_kind(
    outcomes: Sequence[Outcome], kind_of: Callable[[Any], Hashable]
) -> list[tuple[warnings.WarningMessage, list[int]]]:
    """The first warning of each category and kind, and the numbers of the fits that gave such ones.

    `kind_of` tells the kind of a message.
    """
    found: dict[Hashable, tuple[warnings.WarningMessage, list[int]]] = {}
    for number, outcome in enumerate(outcomes):
        for caught in outcome.warnings:
            kind = caught.category, kind_of(caught.message)
            _, numbers = found.setdefault(kind, (caught, []))
            if numbers[-1:] != [number]:
                numbers.append(number)
    return list(found.values())


def warnings_of(outcomes: Sequence[Outcome]) -> list[Warning]:
    """One warning a kind: messages that differ in their numbers only are of one kind."""
    kinds = of_each_kind(outcomes, lambda message: NUMBER.sub("0", str(message)))
    return [_of_members(first.message, members) for first, members in kinds]


def say(found: Sequence[Warning]) -> None:
    """Give warnings at the line that called fit, which is outside of scikit-learn's decorator."""
    for warning in found:
        warnings.warn(warning, stacklevel=4)


def _of_members(message: Any, members: list[int]) -> Warning:
    """The warning of the first member that names all members."""
    numbers = f"; the numbers are those of member {members[0]}" if len(members) > 1 else ""
    said: Any = type(message)(f"{message} ({_named(members)}{numbers})")
    if hasattr(message, "finding"):
        said.finding = message.finding
    warning: Warning = said
    return warning


def _named(members: Sequence[int]) -> str:
    """Names of members: "members 0, 3 and 7"."""
    *others, last = map(str, members)
    return f"members {', '.join(others)} and {last}" if others else f"member {last}"
