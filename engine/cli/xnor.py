"""`engine xnor`: the XNOR example, set by hand, trained, and by logistic regression."""

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.console import Console
from engine.cli.output_files import Force

DEFAULT_PICTURE = "engine-xnor.png"


def xnor(
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random initial values.")] = 0,
    seeds: Annotated[
        int, typer.Option(min=0, help="Also train with seeds 0 to N-1, and count those that learn.")
    ] = 0,
    picture: Annotated[
        Path | None,
        typer.Option(
            help="Where the picture goes (.png, .svg, .pdf); if left out, engine-xnor.png, which "
            "is replaced."
        ),
    ] = None,
    force: Force = False,
) -> None:
    """XNOR three ways: weights set by hand, a trained network, and logistic regression.

    Prints the truth table of the hand-set 2-2-1 network, trains a 2-4-1 network of tanh units from
    random values, and shows that logistic regression stays at J = log 2. The picture shows where in
    the x1-x2 plane each of the three answers 1.
    """
    from math import log

    from engine import plots
    from engine.cli.pictures import check_can_be_saved, save
    from engine.examples import xnor as example

    force, picture = force or picture is None, picture or Path(DEFAULT_PICTURE)
    check_can_be_saved(picture, force)
    console = Console()

    console.print("[bold]1. By hand[/bold]: 2-2-1, sigmoid units")
    console.print(f"{example.XNOR}\n")

    trained = example.fit(example.TRAINED_NETWORK, seed)
    network = example.TRAINED_NETWORK
    outputs = network.forward(trained.theta, example.X)[0]
    console.print(f"[bold]2. Trained[/bold]: {network!r}", soft_wrap=True)
    console.print(f"gradient descent, rate 0.5, {trained.n_iter} iterations, seed {seed}")
    console.print("x1  x2  wanted   output")
    for (x1, x2), y, a in zip(example.X.T, example.Y[0], outputs, strict=True):
        console.print(f"{x1:2.0f}  {x2:2.0f}  {y:6.0f}  {a:7.4f}")
    console.print(f"J = {trained.cost:.6f}\n")

    logistic = example.fit(example.LOGISTIC_REGRESSION, seed)
    outputs = example.LOGISTIC_REGRESSION.forward(logistic.theta, example.X)[0]
    console.print("[bold]3. Logistic regression[/bold]: no hidden layer, trained alike")
    console.print(f"outputs {' '.join(f'{a:.4f}' for a in outputs)}")
    console.print(f"J = {logistic.cost:.6f}, log 2 = {log(2):.6f}: it cannot do better\n")

    if seeds:
        with console.status(f"training with {seeds} seeds"):
            learned = example.seeds_that_learn(seeds)
        console.print(f"{learned} of {seeds} seeds take the 2-4-1 network below J = 0.05\n")

    panels = [
        plots.Panel("by hand: 2-2-1, sigmoid", example.XNOR.network, example.XNOR.theta),
        plots.Panel("trained: 2-4-1, tanh", network, trained.theta),
        plots.Panel(
            "logistic regression: 1/2 everywhere", example.LOGISTIC_REGRESSION, logistic.theta
        ),
    ]
    save(
        console,
        lambda: plots.decision_regions(panels, example.X, example.Y[0], picture),
        picture,
    )
