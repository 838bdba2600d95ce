"""The table that `Inference.summary` shows."""

import math
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from engine.equations.units import SOFTMAX

if TYPE_CHECKING:
    from engine.statistics.inference_on_parameters import Inference

NAME_WIDTH, NUMBER_WIDTHS = 26, (14, 14, 12, 12)
WIDTH = NAME_WIDTH + sum(NUMBER_WIDTHS)
UNKNOWN = "-"


class Row(NamedTuple):
    """A parameter, or a difference of two, with its standard error; None or NaN if it has none."""

    name: str
    estimate: float
    error: float | None


def summary_table(found: "Inference") -> str:
    """Estimates with standard errors, t (or z) and p, above what holds of all."""
    network, known = found.network, math.isinf(found.degrees_of_freedom)
    ratio = "z" if known else "t"
    shape = "-".join(map(str, network.sizes))
    facts = [
        ("Network", f"{shape}, {network.output} output"),
        ("Loss", repr(network.loss) if network.loss.numbers else network.loss.name),
        ("Observations", _observations(found)),
        ("Effective parameters", f"{found.effective_parameters:.6g} of {found.theta.size}"),
        ("Residual variance", "1, by the loss" if known else f"{found.residual_variance:.6g}"),
    ]
    log_evidence = found._log_evidence  # a note says so if it means nothing
    if not math.isnan(log_evidence):
        facts.append(("Log evidence", f"{log_evidence:.6g}"))
    lines = ["=" * WIDTH, *(f"{name + ':':<{NAME_WIDTH}}{value}" for name, value in facts)]
    heading = _line("", ["estimate", "std error", ratio, f"P>|{ratio}|"])
    lines += ["-" * WIDTH, heading, "-" * WIDTH]
    lines += [_line(row.name, _numbers(row, found.degrees_of_freedom)) for row in rows_of(found)]
    lines.append("=" * WIDTH)
    for note in found.notes:
        lines += textwrap.wrap(note, WIDTH)
    return "\n".join(lines)


def _observations(found: "Inference") -> str:
    """How many, and how they come about."""
    n, n_outputs = found.n_observations, found.network.sizes[-1]
    if n_outputs == 1 or found.network.layers.units[-1] == SOFTMAX:
        return f"{n}"
    return f"{n} ({n // n_outputs} rows x {n_outputs} outputs)"


def rows_of(found: "Inference") -> Iterator[Row]:
    """The parameters; of a softmax output their differences from those of the first class."""
    network, errors = found.network, found.standard_errors
    unknown = found.unidentified | found.by_penalty
    compared = network.layers.units[-1] == SOFTMAX
    n_classes, n_below = network.sizes[-1], network.sizes[-2]
    first = found.theta.size - n_classes * (n_below + 1) if compared else found.theta.size
    for p in range(first):
        yield Row(found.names[p], found.theta[p], None if unknown[p] else errors[p])
    if not compared:
        return
    places = first + np.arange(n_classes * n_below).reshape(n_classes, n_below)
    places = np.column_stack([places, first + n_classes * n_below + np.arange(n_classes)])
    for j in range(1, n_classes):
        for p, of_first in zip(places[j], places[0], strict=True):
            difference = np.zeros(found.theta.size)
            difference[[p, of_first]] = 1, -1
            error = None if found.by_penalty[p] else found._error_of(difference)
            yield Row(found.names[p], float(difference @ found.theta), error)


def _numbers(row: Row, degrees_of_freedom: float) -> list[str]:
    """Estimate, standard error, their ratio and its p, as the table shows them."""
    from scipy.stats import t as student

    if not row.error or math.isnan(row.error):
        return [f"{row.estimate:.6g}", UNKNOWN, UNKNOWN, UNKNOWN]
    ratio = row.estimate / row.error
    p = 2 * float(student.sf(abs(ratio), degrees_of_freedom))
    shown = f"{ratio:.3f}" if abs(ratio) < 1e6 else f"{ratio:.3g}"
    return [f"{row.estimate:.6g}", f"{row.error:.6g}", shown, f"{p:.3f}"]


def _line(name: str, numbers: list[str]) -> str:
    shown = name if len(name) < NAME_WIDTH else name[: NAME_WIDTH - 4] + "..."
    cells = zip(numbers, NUMBER_WIDTHS, strict=True)
    return f"{shown:<{NAME_WIDTH}}" + "".join(f"{number:>{width}}" for number, width in cells)
