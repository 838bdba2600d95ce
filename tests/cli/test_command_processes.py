"""Each command once as a process of its own. Other tests run commands in their own process.

The process of `info` is that of tests/cli/test_cli.py.
"""

import pytest

from engine.cli import main
from tests.processes import complaints, engine, engine_process

pytestmark = pytest.mark.compiled

QUICK = ("--max-iter", "3", "--hidden", "4")
CALLS = {
    "train": ("train", "flats.csv", "--target", "rent", "--model", "new.skops", *QUICK),
    "convert": ("convert", "flats.csv", "--target", "rent", "--to", "arrays"),
    "predict": ("predict", "flats.skops", "flats.csv"),
    "evaluate": ("evaluate", "flats.skops", "flats.csv"),
    "check-model": ("check-model", "flats.skops"),
    "demo": ("demo",),
    "xnor": ("xnor",),
    "warmup": ("warmup", "--backend", "loops", "--dtype", "float32"),
    "compare": ("compare", "environments"),
}
PRINTED = {
    "train": "Model: new.skops",
    "convert": "Target 'rent'",
    "predict": "predicted_rent",
    "evaluate": "R2",
    "check-model": "regression of 'rent'",
    "demo": "Picture: engine-demo.png",
    "xnor": "Picture: engine-xnor.png",
    "warmup": "import numba",
    "compare": "scikit-learn: here",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table, and a model of it."""
    folder = tmp_path_factory.mktemp("processes")
    lines = [f"{k % 50},{'ns'[k % 2]},{k % 50 + k % 2}" for k in range(200)]
    (folder / "flats.csv").write_text("\n".join(["area,side,rent", *lines]))
    done = engine("train", "flats.csv", "--target", "rent", *QUICK, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_command_is_called():
    typers = [group.typer_instance for group in main.app.registered_groups]
    groups = [one.info.name for one in typers if one]
    commands = [command.name for command in main.app.registered_commands]
    assert {"info", *CALLS} == {*commands, *groups}


# The others import what takes seconds: scikit-learn, polars and skops, or matplotlib.
QUICK_TO_IMPORT = ("warmup", "compare")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(name, marks=[] if name in QUICK_TO_IMPORT else [pytest.mark.proof])
        for name in CALLS
    ],
)
def test_a_command_works_in_a_process_of_its_own(folder, command):
    done = engine_process(*CALLS[command], cwd=folder)
    assert done.returncode == 0, done.stderr
    assert PRINTED[command] in done.stdout
    assert "Traceback" not in complaints(done.stderr)
