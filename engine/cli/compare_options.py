"""Options that several commands of `engine compare` have."""

from pathlib import Path
from typing import Annotated

import typer

from engine.comparison.process import LIMIT as LIMIT

Dtype = Annotated[str, typer.Option(help="float32, float64 or both.")]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds; a figure to publish needs at least 7.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads for every contender, on as many cores.")]
Json = Annotated[Path | None, typer.Option(help="Also write all figures to this file.")]
Contenders = Annotated[
    str | None,
    typer.Option(
        help="Names joined by ',': tiled, loops, numpy, sklearn, torch, torch-compiled, jax."
    ),
]
Limit = Annotated[
    float,
    typer.Option(min=1, help="Seconds for each contender and problem, compiling included."),
]
Own = Annotated[
    str | None,
    typer.Option(help="Peers that run in their own environments, though installed here."),
]
Solver = Annotated[str, typer.Option(help="Solver of the runs that are measured: adam, sgd or gd.")]


def names_of(contenders: str | None) -> list[str] | None:
    """Names joined by commas; None is everybody."""
    return None if contenders is None else [name.strip() for name in contenders.split(",")]


def distributions_of(own_environments: str | None) -> list[str]:
    """Distributions of the peers that are named."""
    from engine.boundary.settings import one_of
    from engine.comparison.jobs import PEERS

    names = names_of(own_environments) or []
    return [PEERS[one_of("--own-environments", name, PEERS)].distribution for name in names]
