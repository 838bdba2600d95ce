"""Errors and warnings of many fits, gathered: the first of each kind, and whose they are."""

import re
import sys
import warnings
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

from engine.many.fits import Outcome

NUMBER = re.compile(r"\d[\d.e+-]*")
# Numbers of fits that a message lists.
MOST_LISTED = 10


def raise_first_error(outcomes: Sequence[Outcome], what: str, rest: str) -> None:
    """Raise the error of the first fit that failed, with a note that lists all that did.

    KeyboardInterrupt if Ctrl-C came before one of them. `what` is what the fits are of, such as
    "member", and `rest` says what became of the others.
    """
    failed = [number for number, outcome in enumerate(outcomes) if outcome.error is not None]
    if not failed:
        return
    errors = [outcomes[number].error for number in failed]
    unbegun = [n for n, e in zip(failed, errors, strict=True) if isinstance(e, KeyboardInterrupt)]
    if unbegun:
        raise KeyboardInterrupt(f"{listed(unbegun, len(outcomes), what)}: no step was taken.")
    (error, *_), of = errors, len(outcomes)
    assert error is not None
    kinds = Counter(type(one).__name__ for one in errors)
    counted = ", ".join(f"{count} {name}" for name, count in kinds.items())
    others = "" if len(failed) == of else f" {rest}"
    error.add_note(f"{listed(failed, of, what)} failed ({counted}).{others}")
    raise error


def warnings_of(outcomes: Sequence[Outcome], what: str) -> list[Warning]:
    """One warning for each kind: that of the first fit, which names all fits that gave one."""
    found = []
    for messages, numbers in of_each_kind(outcomes):
        first = messages[0]
        alike = len(set(map(str, messages))) == 1
        whose = "" if alike else f" (The values are those of number {numbers[0]}.)"
        text = f"{listed(numbers, len(outcomes), what)}: {first}{whose}"
        try:
            said: Any = type(first)(text)
        except TypeError:  # a class that takes more than a text
            said = UserWarning(text)
        if hasattr(first, "finding"):
            said.finding = first.finding
        found.append(said)
    return found


def of_each_kind(outcomes: Sequence[Outcome]) -> list[tuple[list[Warning], list[int]]]:
    """The warnings of each category and kind, and the numbers of the fits that gave them."""
    found: dict[Hashable, tuple[list[Warning], list[int]]] = {}
    for number, outcome in enumerate(outcomes):
        for caught in outcome.warnings:
            message: Any = caught.message
            messages, numbers = found.setdefault((caught.category, kind_of(message)), ([], []))
            messages.append(message)
            if numbers[-1:] != [number]:
                numbers.append(number)
    return list(found.values())


def kind_of(message: Warning) -> Hashable:
    """Warnings are of one kind if they advise the same, or differ in their numbers only."""
    finding = getattr(message, "finding", None)
    return NUMBER.sub("0", str(message)) if finding is None else str(finding.remedy)


def say(found: Sequence[Warning], stacklevel: int) -> None:
    """Give warnings at the line that many levels above."""
    for warning in found:
        warnings.warn(warning, stacklevel=stacklevel + 1)


def listed(numbers: list[int], of: int, what: str) -> str:
    """Which of how many, counted from 0, in words.

    >>> listed([3], 8, "estimator"), listed([0, 2], 2, "member")
    ('Estimator 3 of 8', 'All 2 members')
    >>> listed([0, 2], 8, "member")
    '2 of 8 members (0, 2)'
    """
    if len(numbers) == of:
        return f"The {what}" if of == 1 else f"All {of} {what}s"
    shown = ", ".join(map(str, numbers[:MOST_LISTED])) + ", ..." * (len(numbers) > MOST_LISTED)
    if len(numbers) == 1:
        return f"{what.capitalize()} {shown} of {of}"
    return f"{len(numbers)} of {of} {what}s ({shown})"


def name_of(given: Any) -> str:
    """What was given in place of an estimator, in words: its class, where users import it from.

    >>> from engine import MLPClassifier
    >>> name_of("adam"), name_of(MLPClassifier())
    ('str', 'engine.MLPClassifier')
    >>> name_of(MLPClassifier)
    'the class engine.MLPClassifier, not an object: MLPClassifier()'
    """
    kind = given if isinstance(given, type) else type(given)
    package, *_ = kind.__module__.split(".")
    if getattr(sys.modules.get(package), kind.__name__, None) is kind:
        module = f"{package}."
    else:
        module = f"{kind.__module__.split('._')[0]}."
    name = f"{module}{kind.__qualname__}".removeprefix("builtins.")
    if kind is given:
        return f"the class {name}, not an object: {kind.__name__}()"
    return name
