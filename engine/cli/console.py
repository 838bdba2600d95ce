"""Printing to a terminal: texts of data and names of files cannot control it."""

import sys
from typing import Any

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.text import Text

from engine.model_files.errors import one_line, printable


class Console(RichConsole):
    """A console that writes control characters out, and prints :words: as they are."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """The text with its control characters written out; rich calls this for every text."""
        return super().render_str(printable(text), **options)

    def print_lines(self, *lines: str) -> None:
        """Print each text on a line of its own, without wrapping it; `[...]` is no markup."""
        self.print("\n".join(map(one_line, lines)), markup=False, soft_wrap=True)


def say(text: str) -> None:
    """Print a line on standard error: standard output may be a table for another program."""
    print(f"engine: {printable(' '.join(text.split()))}", file=sys.stderr)


def cell(text: str) -> str:
    """A text of data as a cell of a table, where `[...]` would be markup."""
    return escape(one_line(text))
