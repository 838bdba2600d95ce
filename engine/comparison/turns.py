"""Contenders in turns, where one that fails is marked with the reason and has no turn any more."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from engine.comparison.progress import announced

T = TypeVar("T")
LONGEST = 200  # letters of a reason


def in_one_line(error: Exception) -> str:
    """What an error says, for a table."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


class Turns:
    """The contenders of one part of a comparison.

    Attributes
    ----------
    names : list of str
        Those who have not failed.
    failed : dict of str
        Why the others did.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        self.failed: dict[str, str] = {}

    def each(self, act: Callable[[str], T], part: str = "") -> dict[str, T]:
        """What comes of `act` for one after another, but for those who fail in it.

        Where the `part` is named, so is each contender, on a terminal, before its turn.
        """
        found: dict[str, T] = {}
        named = [(f"{part}: {name}", name) for name in self.names]
        for name in announced(named) if part else list(self.names):
            try:
                found[name] = act(name)
            except Exception as error:  # a contender that fails is a result, not the end
                self.names.remove(name)
                self.failed[name] = in_one_line(error)
        return found

    def rounds(self, act: Callable[[str], T], number: int, part: str = "") -> dict[str, list[T]]:
        """The same so often, A B C, A B C: for those who did not fail in any round."""
        labels = [f"{part}, round {one + 1}" if part else "" for one in range(number)]
        found = [self.each(act, label) for label in labels]
        return {name: [one[name] for one in found] for name in self.names}
