"""What to do about a table, in words for Python and for the command line.

Messages about tables are in the words of Python, also where a file keeps them. The commands print
`at_command_line(message)`, which puts their own words in place.
"""

import ast
import re
import shlex
from typing import NamedTuple

TEXT = r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""  # as repr writes it


class Remedy(NamedTuple):
    """What to do, with {} for each text that it is about.

    Attributes
    ----------
    python : str
    command : str
        {} is all texts, joined by =.
    """

    python: str
    command: str

    def __call__(self, *texts: str) -> str:
        """The remedy for these texts, in Python."""
        return self.python.format(*map(repr, texts))

    def said_by_command(self, message: str) -> str:
        """The message with this remedy in the words of the command line."""
        n_texts = self.python.format(*"\0\0").count("\0")
        pattern = re.escape(self.python.format(*"\0\0")).replace(re.escape("\0"), TEXT)
        if not n_texts:
            return message.replace(self.python, self.command)

        def in_options(found: re.Match[str]) -> str:
            texts = map(ast.literal_eval, found.groups())
            text = "=".join(texts)
            quoted = shlex.quote(text)
            return self.command.format(quoted if quoted != text else f"'{text}'")

        return re.sub(pattern, in_options, message)


OVERRULE = Remedy("columns={{{}: {}}} overrules", "--column {} overrules")
COUNT_AS_MISSING = Remedy("put None (in a file, nothing) in place of {}", "add --missing {}")
COUNT_AS_VALUE = Remedy(
    "a frame of polars.read_csv has {} as a value", "--not-missing {} makes it a value"
)
WHICH_DECIMAL = Remedy(
    'Say which: decimal="comma" or decimal="point"', "Say which: --decimal comma or --decimal point"
)
WHICH_ORDER = Remedy(
    'Say which: dates="day-first" or dates="month-first"',
    "Say which: --dates day-first or --dates month-first",
)
WHICH_ENCODING = Remedy(
    'Pass the frame of polars.read_csv(file, encoding="latin-1") (convert_table takes '
    'encoding="latin-1")',
    "Say which encoding it has, such as --encoding latin-1 or utf-16",
)
AS_CLASSES = Remedy(
    'use a TableClassifier (in convert_table task="classification") to have them as classes',
    "say --task classification to have them as classes",
)
NO_REGRESSION = Remedy(
    'Use a TableClassifier (in convert_table task="classification")', "Leave --task out"
)
AS_NUMBERS = Remedy(
    'Use a TableRegressor (in convert_table task="regression")', "Use --task regression"
)

REMEDIES = (
    *(OVERRULE, COUNT_AS_MISSING, COUNT_AS_VALUE, WHICH_DECIMAL, WHICH_ORDER, WHICH_ENCODING),
    *(AS_CLASSES, NO_REGRESSION, AS_NUMBERS),
)


def at_command_line(message: str) -> str:
    """The message with the command line's words for what to do.

    >>> at_command_line(f"It numbers the rows ({OVERRULE('id', 'number')}).")
    "It numbers the rows (--column 'id=number' overrules)."
    """
    for remedy in REMEDIES:
        message = remedy.said_by_command(message)
    return message
