"""`engine`: the list of commands, and how a command ends when something is wrong."""

import functools
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any, TextIO

import typer

from engine import __version__
from engine.boundary.remedies import at_command_line
from engine.cli import (
    check_model,
    compare,
    convert,
    demo,
    evaluate,
    info,
    predict,
    training,
    warmup,
    xnor,
)
from engine.cli.console import say

INTERRUPTED = 130  # as shells report Ctrl-C
WRONG_USE = 2
OF_VALIDATOR = "Value error, "  # what typer's own validator begins messages with


def says_when_compiling(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command, which says so at once if it has to compile."""

    @functools.wraps(command)
    def saying(*arguments: Any, **options: Any) -> Any:
        from engine.estimators.progress_bar import announcing_compilation

        with announcing_compilation(say):
            return command(*arguments, **options)

    return saying


app = typer.Typer(
    name="engine",
    help="""Train small feed-forward neural networks on a CPU, fast.

    New here? Begin with **engine demo**: it trains a network on real data and says how
    well it does and how long each backend takes. **engine xnor** shows the worked example
    that the equations were first derived on.""",
    epilog="From Python: from engine import Network, train.  The equations: docs/equations.md.",
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(says_when_compiling(demo.demo))
app.command("xnor")(says_when_compiling(xnor.xnor))
app.command("train")(says_when_compiling(training.train))
app.command("convert")(convert.convert)
app.command("predict")(says_when_compiling(predict.predict))
app.command("evaluate")(says_when_compiling(evaluate.evaluate))
app.command("check-model")(says_when_compiling(check_model.check_model))
app.command("info")(info.info)
app.command("warmup")(warmup.warmup)
app.add_typer(compare.app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"mlp-engine {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _no_command(
    context: typer.Context,
    _: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: list[str] | None = None) -> None:
    """Run a command; an error is one line on standard error, and never a traceback.

    Exit status: 0 for success, 1 for a computation that failed, 2 for a wrong argument or a file
    that cannot be read or written, 130 for Ctrl-C.
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _say_warning
            status = app(args=arguments, prog_name="engine", standalone_mode=False)
    except typer.TyperException as error:
        _end(error.format_message().replace(OF_VALIDATOR, ""), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        _end("interrupted", INTERRUPTED)
    except OSError as error:
        named = (
            f"{error.filename}: {error.strerror}"
            if error.filename
            else error.strerror or str(error)
        )
        _end(named, WRONG_USE)
    except (ValueError, NotImplementedError) as error:
        _end(str(error), WRONG_USE)
    except (ArithmeticError, MemoryError, ImportError) as error:
        _end(str(error) or type(error).__name__, 1)
    if status == INTERRUPTED:  # typer turns Ctrl-C into this status, and says nothing
        _end("interrupted", INTERRUPTED)
    sys.exit(status if isinstance(status, int) else 0)


def _say_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning without its place in the code."""
    say(at_command_line(str(message)))


def _end(message: str, status: int) -> None:
    say(at_command_line(message))
    sys.exit(status)
