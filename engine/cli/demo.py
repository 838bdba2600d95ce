"""`engine demo`: the main job on real data."""

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from engine.cli.console import Console
from engine.cli.output_files import Force

if TYPE_CHECKING:
    from engine.examples.breast_cancer import BackendTime, TrainTestData
    from engine.training.result import Iteration, TrainResult

DEFAULT_PICTURE = "engine-demo.png"


def demo(
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Seed of the split and of the initial values.")
    ] = 0,
    splits: Annotated[
        int, typer.Option(min=0, help="Also train on N random splits; print the median accuracy.")
    ] = 0,
    picture: Annotated[
        Path | None,
        typer.Option(
            help="Where the learning curve goes (.png, .svg, .pdf); if left out, "
            "engine-demo.png, which is replaced."
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Train a network on real data and judge it on samples that it has not seen.

    The data: 569 breast-cancer biopsies of 30 measurements, benign or malignant, which come with
    scikit-learn; a quarter is held out. The network: 30-16-1, tanh units, gradient descent.
    Prints the cost, the accuracy on the held-out part beside that of logistic regression, and what
    each backend takes for the same run; saves the learning curve.
    """
    from engine import plots
    from engine.cli.pictures import check_can_be_saved, save
    from engine.equations.backends import BACKENDS
    from engine.examples import breast_cancer as example

    force, picture = force or picture is None, picture or Path(DEFAULT_PICTURE)
    check_can_be_saved(picture, force)
    console = Console()
    data = example.split(seed)
    console.print(
        f"Breast-cancer data: {data.X.shape[1]} samples to train on, {data.X_test.shape[1]} held "
        f"out\n{example.NETWORK!r}",
        soft_wrap=True,
    )
    result = _train_with_progress(console, data, seed)
    accuracy = example.test_accuracy(data, result.theta)
    reference = example.logistic_regression_accuracy(data)
    console.print(
        f"cost                   {result.cost:.4f}  (held-out: "
        f"{result.history['validation_cost'][-1]:.4f})\n"
        f"accuracy, held-out     {accuracy:.1%}\n"
        f"  logistic regression  {reference:.1%}  (scikit-learn, its defaults)\n"
    )
    with console.status("timing the backends; the loops may have to be compiled first"):
        times = example.time_backends(data, list(BACKENDS))
    console.print(_time_table(times))
    console.print()
    if splits:
        with console.status(f"training on {splits} splits"):
            _print_splits(console, splits)
    title = f"Breast-cancer data, {result.n_iter} iterations of gradient descent"
    save(console, lambda: plots.learning_curve(result.history, title, picture), picture)


def _train_with_progress(console: Console, data: "TrainTestData", seed: int) -> "TrainResult":
    from engine.examples import breast_cancer as example

    columns = (
        TextColumn("training"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} iterations, cost {task.fields[cost]:.4f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        line = progress.add_task("", total=example.ITERATIONS, cost=float("nan"))

        def show(iteration: "Iteration") -> None:
            progress.update(line, completed=iteration.step, cost=iteration.cost)

        return example.fit(data, seed, callback=show)


def _time_table(times: list["BackendTime"]) -> Table:
    fastest = min(times, key=lambda timed: timed.per_iteration)
    table = Table(
        title="The same run with each backend, one thread, in turns",
        title_justify="left",
        title_style="",
        caption="first call, once a process: compiling, or loading from the cache",
        caption_justify="left",
        caption_style="dim",
    )
    table.add_column("backend")
    table.add_column("first call", justify="right")
    table.add_column("an iteration", justify="right")
    table.add_column("time / fastest's\n(lower is better)", justify="right")
    table.add_column("cost", justify="right")
    for timed in times:
        table.add_row(
            timed.backend,
            f"{timed.first_call:.2f} s",
            f"{timed.per_iteration * 1e6:.0f} us",
            f"{timed.per_iteration / fastest.per_iteration:.2f}",
            f"{timed.cost:.6f}",
        )
    return table


def _print_splits(console: Console, splits: int) -> None:
    from engine.examples import breast_cancer as example

    network, reference = [], []
    for seed in range(splits):
        data = example.split(seed)
        network.append(example.test_accuracy(data, example.fit(data, seed).theta))
        reference.append(example.logistic_regression_accuracy(data))
    console.print(
        f"median held-out accuracy over {splits} splits: {median(network):.1%} "
        f"(lowest {min(network):.1%}, highest {max(network):.1%}); logistic regression "
        f"{median(reference):.1%}\n"
    )
