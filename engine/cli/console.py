"""How commands print for people: what is in data and in names of files moves nothing about."""

import sys
from typing import Any

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.text import Text

from engine.model_files.errors import one_line, printable


class Console(RichConsole):
    """A console on which control characters of a text are written out, and :words: are no emoji."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Every text, the cells of tables too, comes through here."""
        return super().render_str(printable(text), **options)

    def print_lines(self, *lines: str) -> None:
        """Each text on a line of its own, however long; `[...]` is no markup."""
        self.print("\n".join(map(one_line, lines)), markup=False, soft_wrap=True)


def say(text: str) -> None:
    """A line on standard error: standard output may be a table for another program."""
    print(f"engine: {printable(' '.join(text.split()))}", file=sys.stderr)


def cell(text: str) -> str:
    """A text of data for a cell of a table, in which `[...]` would be markup."""
    return escape(one_line(text))
