"""Worked examples, importable: `xnor` is the seed's, `breast_cancer` the main job on real data."""

from engine.training.result import TrainResult


def unless_interrupted(result: TrainResult) -> TrainResult:
    """`result`; on Ctrl-C, which `train` turns into a result, KeyboardInterrupt once more.

    An example has no use for half a run, and one that trains many times would go on with the next.
    """
    if result.stopped == "interrupted":
        raise KeyboardInterrupt
    return result
