"""Findings about a fit and what to do about them, worded for Python and for the command line."""

from collections.abc import Mapping
from typing import Any, NamedTuple

# Remedies by name: in Python, and with the options of `engine train`.
REMEDIES: dict[str, tuple[str, str]] = {
    "scale the inputs": (
        "Standardise them: make_pipeline(StandardScaler(), {estimator}(...)); MaxAbsScaler() "
        "leaves sparse X sparse.",
        "The command scales the inputs, so a few rows lie far from all others: correct or remove "
        "them, or leave their column out with --column NAME=out.",
    ),
    "scale the inputs first": (
        "Standardise the inputs: make_pipeline(StandardScaler(), {estimator}(...)).",
        "First correct the rows that lie far from all others.",
    ),
    "lower the rate": (
        "Lower the rate: learning_rate_init={lower:g} in place of {rate:g}; or alpha, if it is far "
        "above its default.",
        "Lower the rate: --learning-rate {lower:g} in place of {rate:g}; or --weight-decay, if it "
        "is far above its default.",
    ),
    "try a lower rate": (
        "Try learning_rate_init={lower:g} in place of {rate:g}.",
        "Try --learning-rate {lower:g} in place of {rate:g}.",
    ),
    "scale all, or lower the rate": (
        "Scale the inputs{and_target} to mean 0 and variance 1 ({scaler}), or lower the rate: "
        "learning_rate_init={lower:g} in place of {rate:g}.",
        "Lower the rate: --learning-rate {lower:g} in place of {rate:g}.",
    ),
    "penalise large weights": (
        "Penalise large weights more: a larger alpha.",
        "Let large weights shrink more: a larger --weight-decay.",
    ),
    "scale the target": (
        "Scale y: TransformedTargetRegressor(regressor=MLPRegressor(...), "
        "transformer=StandardScaler()), or train on (y - y.mean(axis=0)) / y.std(axis=0).",
        "The command scales the target, so a few of its values lie far from all others: correct or "
        "remove their rows.",
    ),
    "divide the target, or L-BFGS": (
        "Divide y by its mean, and multiply predictions by it; or pass solver='lbfgs'.",
        "Divide the target's column by its mean, or raise --max-iter or --learning-rate.",
    ),
    "divide the target": (
        "Divide y by its mean, and multiply predictions by it.",
        "Divide the target's column by its mean.",
    ),
    "another solver": (
        "Pass solver='lbfgs', or try another learning_rate_init.",
        "Try another --learning-rate, or a larger --max-iter.",
    ),
    "another start": (
        "Try another random_state, or a larger alpha.",
        "Try another --seed, or a larger --weight-decay.",
    ),
    "weigh the classes": (
        'Give rare classes more weight: class_weight="balanced".',
        "Give rare classes more weight: --class-weight balanced.",
    ),
    "hold more rows out": (
        "Hold more out: validation_fraction={fraction:.1g}, or your own X_val and y_val; or train "
        "with early_stopping=False.",
        "Train on more rows, or with --early-stopping no.",
    ),
    "pass more rows": (
        "Pass X_val and y_val of more rows, or train with early_stopping=False.",
        "Train on more rows, or with --early-stopping no.",
    ),
    "another score": (
        "Choose another scoring, or train with early_stopping=False.",
        "Train with --early-stopping no.",
    ),
    "train for longer": ("", "Raise --max-iter, or --learning-rate."),
    "allow more time": ("", "Raise --max-time."),
}


class Finding(NamedTuple):
    """A fact about a fit, and what to do about it.

    Attributes
    ----------
    fact : str
        A sentence, in which `{label}` stands for a class.
    remedy : str
        Its name in `REMEDIES`.
    values : mapping
        Numbers and names for the remedy; "label" is a class.
    """

    fact: str
    remedy: str
    values: Mapping[str, Any] = {}


def in_python(finding: Finding) -> str:
    """The message of a finding for those who call `fit`.

    Examples
    --------
    >>> print(in_python(Finding("It jumps.", "try a lower rate", {"lower": 0.1, "rate": 1})))
    It jumps. Try learning_rate_init=0.1 in place of 1.
    """
    return _worded(finding, REMEDIES[finding.remedy][0], finding.values)


def at_command_line(finding: Finding, classes: Any = None) -> str:
    """The message of a finding for those who run `engine train`.

    `classes` are the labels, if the fit used their codes.

    Examples
    --------
    >>> print(at_command_line(Finding("It jumps.", "try a lower rate", {"lower": 0.1, "rate": 1})))
    It jumps. Try --learning-rate 0.1 in place of 1.
    """
    values = dict(finding.values)
    if classes is not None and "label" in values:
        values["label"] = classes[values["label"]]
    return _worded(finding, REMEDIES[finding.remedy][1], values)


def _worded(finding: Finding, remedy: str, values: Mapping[str, Any]) -> str:
    fact = finding.fact
    if "label" in values:
        fact = fact.replace("{label}", repr(values["label"]))
    return f"{fact} {remedy.format_map(values)}".strip()


def said_at_command_line(warning: Warning, classes: Any = None) -> str:
    """The message of a fit's warning for those who run `engine train`."""
    finding = getattr(warning, "finding", None)
    return str(warning) if finding is None else at_command_line(finding, classes)
