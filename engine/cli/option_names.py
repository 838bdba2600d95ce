"""Errors of the library in the words of the command line: options, and not parameters of Python."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# The options for parameters of `convert_table` and of the estimators.
OPTIONS = {
    "target": "--target",
    "task": "--task",
    "columns": "--column",
    "missing": "--missing, with what counts as missing by itself,",
    "decimal": "--decimal",
    "dates": "--dates",
    "test_fraction": "--test-fraction",
    "seed": "--seed",
    "random_state": "--seed",
    "activation": "--activation",
    "alpha": "--alpha",
    "learning_rate_init": "--learning-rate",
    "max_iter": "--max-iter",
    "class_weight": "--class-weight",
}
# What a checkpoint or a converted table differs in, besides.
PARTS = {
    "validation_fraction": "the share that --early-stopping sets aside",
    "sizes": "the network's shape",
    "estimator": "the task's network",
    "X": "the table to learn from",
    "y": "its target",
    "X_val": "the table to stop by",
    "y_val": "its target",
    "sample_weight": "the weight of each row",
    "sample_weight_val": "the weight of each row to stop by",
}
ANOTHER_CHECKPOINT = (
    "Give the options that it was made with, name another file with --checkpoint, or delete it."
)


@contextmanager
def at_command_line() -> Iterator[None]:
    """Errors with the names of options, and with the command's own remedies."""
    try:
        yield
    except ValueError as error:
        said = in_options(error)
        if said == str(error):
            raise
        raise ValueError(said) from None


def in_options(error: ValueError) -> str:
    """What an error says, for who runs a command."""
    from engine.estimators import remedies

    finding = getattr(error, "finding", None)
    if finding is not None:
        return remedies.at_command_line(finding)
    said = str(error)
    for difference in getattr(error, "differences", ()):
        said = said.replace(difference, named(difference, OPTIONS | PARTS), 1)
    if advice := getattr(error, "advice", ""):
        said = said.replace(advice, ANOTHER_CHECKPOINT)
    return named(said, OPTIONS)


def named(text: str, names: Mapping[str, str]) -> str:
    """A text that may begin with one of the names, with what it is called here.

    Examples
    --------
    >>> named("test_fraction is 0.3 and was 0.2", OPTIONS)
    '--test-fraction is 0.3 and was 0.2'
    >>> named("columns: 'y' is the target.", OPTIONS)
    "--column: 'y' is the target."
    """
    first = text.partition(" ")[0].rstrip(":")
    return names[first] + text[len(first) :] if first in names else text
