"""What a reader of the report should know besides: what was looked at, and what was left out."""

from engine.checks.agreement import Agreement
from engine.checks.differences import Compared
from engine.checks.problems import Problem
from engine.checks.thread_bits import BATCH, ThreadBits


def on_gradient(problem: Problem, found: dict[str, Compared]) -> list[str]:
    """How many entries, of which rows; those without a slope."""
    first = next(iter(found.values()))
    looked_at, total = sum(count for count, _ in first.layers), problem.network.n_parameters
    if looked_at == total:
        entries = f"all {total} entries"
    else:
        of_layer = [f"{count} of {size}" for count, size in first.layers]
        entries = (
            f"{looked_at} of {total} entries, drawn at random but always alike (by layer: "
            f"{', '.join(of_layer)})"
        )
    told = [
        f"Gradient: {entries}, by central differences in float64 of the loss on "
        f"{rows(first.n_rows, problem)}."
    ]
    for at, compared in found.items():
        if compared.rough:
            why = (
                "each step there crosses a kink of a relu unit"
                if "relu" in problem.network.hidden
                else "no step there is short enough"
            )
            n = compared.rough
            told.append(f"Gradient, {at}: {n} {'entry' if n == 1 else 'entries'} left out: {why}.")
        if compared.blind:
            told.append(
                f"Gradient, {at}: in {', '.join(compared.blind)} it is so small that differences "
                "cannot tell it from 0."
            )
    return told


def on_backends(problem: Problem, found: dict[str, Agreement]) -> list[str]:
    """How many rows, in which dtype; those that were left out."""
    first = next(iter(found.values()))
    told = [
        f"Implementations: matrix algebra (numpy), plain loops (loops), blocked loops (tiled), in "
        f"{problem.dtype}, on {rows(first.n_rows, problem)}."
    ]
    for at, agreement in found.items():
        n = agreement.on_kinks
        if n:
            told.append(
                f"Implementations, {at}: {n} row{'s' * (n != 1)} left out, so near a kink of a "
                "relu unit that rounding decides on which side."
            )
    return told


def on_threads(problem: Problem, found: ThreadBits) -> list[str]:
    """What they shared."""
    many = " and ".join(map(str, found.others))
    shared = rows(found.n_different, problem)
    if found.n_rows > found.n_different:
        shared += f", repeated to {found.n_rows} since so few are one thread's work"
    stochastic = problem.blank.solver in ("sgd", "adam")
    n = found.n_epochs
    run = f"{n} epoch{'s' * (n != 1)} in batches of {min(BATCH, found.n_rows)}"
    if not stochastic:
        run = f"{n} iteration{'s' * (n != 1)}"
    return [f"Threads: 1 against {many}, on {shared}; training is {run}."]


def rows(n: int, problem: Problem) -> str:
    """So many of the user's rows."""
    total = problem.rows.n_rows
    return f"all {total} rows" if n == total else f"{n} of {total} rows, evenly spread"
