"""Placeholder until the branch comes in."""


class TrainingWarning(UserWarning):
    """x"""


def findings(*a, **k):
    return []
