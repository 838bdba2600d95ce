"""The table that `Inference.summary` shows."""

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from engine.statistics.inference_on_parameters import Inference

WIDTH = 78


def summary_table(found: "Inference") -> str:
    """Estimates with standard errors, t (or z) and p, above what holds of all."""
    from scipy.stats import t as student

    network, freedom = found.network, found.degrees_of_freedom
    known = math.isinf(freedom)
    ratio = "z" if known else "t"
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = found.theta / found.standard_errors
    p = 2 * student.sf(np.abs(ratios), freedom)
    shape = "-".join(map(str, network.sizes))
    facts = [
        ("Network", f"{shape}, {network.output} output"),
        ("Loss", repr(network.loss) if network.loss.numbers else network.loss.name),
        ("Observations", f"{found.n_observations}"),
        ("Effective parameters", f"{found.effective_parameters:.6g} of {found.theta.size}"),
        ("Residual variance", "1, by the loss" if known else f"{found.residual_variance:.6g}"),
    ]
    if not math.isnan(found.log_evidence):
        facts.append(("Log evidence", f"{found.log_evidence:.6g}"))
    lines = ["=" * WIDTH, *(f"{name + ':':<24}{value}" for name, value in facts), "-" * WIDTH]
    lines.append(f"{'':<16}{'estimate':>14}{'std error':>14}{ratio:>12}{f'P>|{ratio}|':>12}")
    lines.append("-" * WIDTH)
    rows = zip(found.names, found.theta, found.standard_errors, ratios, p, strict=True)
    lines += [
        f"{name[:16]:<16}{estimate:>14.6g}{error:>14.6g}{value:>12.3f}{probability:>12.3f}"
        for name, estimate, error, value, probability in rows
    ]
    lines.append("=" * WIDTH)
    for note in found.notes:
        lines += textwrap.wrap(note, WIDTH)
    return "\n".join(lines)
