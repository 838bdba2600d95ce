"""Errors and warnings of many fits, gathered: the first of each kind, and whose they are."""

import re
import warnings
from collections.abc import Sequence
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


def warnings_of(outcomes: Sequence[Outcome]) -> list[Warning]:
    """One warning a kind: messages that differ in their numbers only are of one kind."""
    first: dict[tuple[type, str], Any] = {}
    members: dict[tuple[type, str], list[int]] = {}
    for k, outcome in enumerate(outcomes):
        for caught in outcome.warnings:
            kind = caught.category, NUMBER.sub("0", str(caught.message))
            first.setdefault(kind, caught.message)
            numbers = members.setdefault(kind, [])
            if k not in numbers:
                numbers.append(k)
    return [_of_members(first[kind], members[kind]) for kind in first]


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
