"""The commands, as a user meets them: what they print, save and return, and how they fail."""

import io
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from importlib.metadata import entry_points, version
from pathlib import Path
from unittest import mock

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest

import engine as package
from engine import DivergedError, plots, train
from engine.cli import info, main, pictures
from engine.cli.console import Console
from engine.equations.backends import BACKENDS
from engine.examples import breast_cancer, xnor
from tests.processes import (
    ROOT,
    TIMEOUT,
    complaints,
    engine,
    engine_output,
    environment,
    output,
    start,
)

pytestmark = pytest.mark.compiled

COMMANDS = [command.name for command in main.app.registered_commands]
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
LATER = "a picture from before"


def assert_one_line(done, status):
    """One line on standard error that begins with the program's name; nothing else anywhere."""
    assert done.returncode == status
    assert re.fullmatch(r"engine: \S.*\n", done.stderr)
    assert done.stdout == ""


# Help.


def test_the_commands_are_these():
    commands = "demo xnor train convert predict evaluate check-model info warmup"
    assert commands.split() == COMMANDS


def test_the_list_of_commands_names_every_command(tmp_path):
    done = engine("--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for command in COMMANDS:
        assert re.search(rf"^\W*{command}  +[A-Z]", done.stdout, flags=re.MULTILINE), command


def test_the_bare_command_prints_the_list_of_commands(tmp_path):
    done = engine(cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == engine("--help", cwd=tmp_path).stdout.strip()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_says_more_than_a_line(command, tmp_path):
    help_text = engine_output(command, "--help", cwd=tmp_path)
    before_options, _, options = help_text.partition("Options")
    words = re.findall(r"^.*[a-z]{3}.*$", before_options, flags=re.MULTILINE)
    assert words[0].strip().startswith(f"Usage: engine {command}")
    assert len(words) >= 3  # the usage, the first line, and something else
    assert "--help" in options


@pytest.mark.parametrize("command", ["demo", "xnor"])
def test_every_option_is_explained(command, tmp_path):
    help_text = engine_output(command, "--help", cwd=tmp_path)
    rows = re.findall(r"^\W*(--[a-z]+) .*", help_text, flags=re.MULTILINE)
    assert {"--seed", "--picture", "--help"} < set(rows)
    for option in rows:
        assert re.search(rf"{option} .*  [A-Z][a-z]+ .*\.", help_text), option


def test_listing_the_commands_loads_neither_the_compiler_nor_scikit_learn():
    code = "import sys, engine.cli.main; print({'numba', 'sklearn', 'matplotlib'} & {*sys.modules})"
    assert output("-c", code) == "set()\n"


# Version, info, and the ways to start the program.


@pytest.mark.parametrize("arguments", [["--version"], ["--version", "demo"]])
def test_the_version_is_printed(arguments, tmp_path):
    text = engine_output(*arguments, cwd=tmp_path)
    assert text == f"mlp-engine {package.__version__}\n"


def test_the_program_is_installed_under_both_names():
    scripts = {s.name: s.value for s in entry_points(group="console_scripts")}
    assert scripts["engine"] == scripts["mlp-engine"] == "engine.cli.main:main"


@pytest.mark.parametrize("name", ["engine", "mlp-engine"])
def test_both_console_scripts_run(name, tmp_path):
    script = Path(sys.executable).with_name(name + (".exe" if os.name == "nt" else ""))
    done = subprocess.run(
        [script, "--version"], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.stdout == f"mlp-engine {package.__version__}\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_info_prints_versions_cores_and_the_cache_folder(tmp_path):
    text = output("-m", "engine", "info", cwd=tmp_path, env={"NUMBA_CACHE_DIR": tmp_path / "c"})
    facts = dict(re.split(r" {2,}", line.strip(), maxsplit=1) for line in text.splitlines())
    assert facts["mlp-engine"] == f"{package.__version__}  ({Path(package.__file__).parent})"
    assert facts["Python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    for name in info.PACKAGES:
        assert facts[name] == version(name)
    assert {"numpy", "numba", "llvmlite", "scipy", "scikit-learn"} <= set(info.PACKAGES)
    assert re.fullmatch(rf"\d+ usable of {os.cpu_count()}", facts["cores"])
    assert "LLVM: " in facts["processor"]
    assert re.match(r"\d+ \(\w+", facts["BLAS threads"])
    assert facts["compile cache"].startswith(str(tmp_path / "c" / "mlp-engine"))
    assert facts["compile cache"].endswith("(empty: the first call compiles)")
    assert list(tmp_path.iterdir()) == []


def test_info_counts_the_kernels_in_the_cache(tmp_path, monkeypatch):
    for name in ("one.kernel", "two.kernel", "three.tmp"):
        (tmp_path / name).write_bytes(bytes(1_000_000))
    monkeypatch.setattr("engine.compiler.cache.cache_folder", lambda: tmp_path)
    assert info._cache_state() == f"{tmp_path}  (2 kernels, 2.0 MB)"
    monkeypatch.setattr("engine.compiler.cache.cache_folder", lambda: None)
    assert info._cache_state().startswith("none: there is no home folder")


# Wrong use.


WRONG_USES = [
    (["--nope"], "No such option: --nope"),
    (["nope"], "No such command 'nope'."),
    (["xnor", "extra"], "unexpected extra argument"),
    (["xnor", "--nope"], "No such option: --nope"),
    (["xnor", "--seed"], "--seed"),
    (["xnor", "--seed", "one"], "'--seed'"),
    (["xnor", "--seed", "0.5"], "'--seed'"),
    (["xnor", "--seed", "-1"], "'--seed'"),
    (["xnor", "--seeds", "-1"], "'--seeds'"),
    (["demo", "--seed", "-1"], "'--seed'"),
    (["demo", "--splits", "few"], "'--splits'"),
    (["xnor", "--picture", "no/such/folder/xnor.png"], "No such file or directory"),
    (["demo", "--picture", "no/such/folder/demo.png"], "No such file or directory"),
    (["xnor", "--picture", "xnor.nope"], "xnor.nope: a picture's file name must end in "),
    (["xnor", "--picture", "xnor"], "xnor: a picture's file name must end in "),
    (["demo", "--picture", "."], "a picture's file name must end in "),
    (["demo", "--seed", str(2**32)], "'--seed'"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), WRONG_USES, ids=[" ".join(use) for use, _ in WRONG_USES]
)
def test_wrong_use_is_one_line_and_status_2_and_no_work_begins(tmp_path, arguments, message):
    done = engine(*arguments, cwd=tmp_path)
    assert_one_line(done, main.WRONG_USE)
    assert main.WRONG_USE == 2
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_picture_s_place_is_named_in_the_message(tmp_path):
    (tmp_path / "folder.png").mkdir()
    done = engine("xnor", "--picture", "folder.png", cwd=tmp_path)
    assert_one_line(done, main.WRONG_USE)
    assert "folder.png" in done.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("X is\n  wrong"), 2),
        (NotImplementedError("X is not available yet"), 2),
        (FileNotFoundError(2, "No such file or directory", "data.csv"), 2),
        (OSError("the disk is full"), 2),
        (DivergedError("The cost stopped being finite", np.zeros(1), 1, 1, {}), 1),
        (MemoryError(), 1),
        (ImportError("No module named 'numba'"), 1),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_one_line_and_an_old_picture_is_kept(
    tmp_path, monkeypatch, capsys, error, status
):
    def fail(*_):
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(xnor, "fit", fail)
    Path("old.png").write_text(LATER)
    for picture in ("old.png", "new.png"):
        with pytest.raises(SystemExit) as end:
            main.main(["xnor", "--picture", picture, "--force"])
        message = complaints(capsys.readouterr().err)
        assert re.fullmatch(r"engine: \S.*\n", message)
        assert "  " not in message
        assert end.value.code == status
    assert Path("old.png").read_text() == LATER
    assert [path.name for path in tmp_path.iterdir()] == ["old.png"]


def test_the_file_that_an_error_names_is_in_the_message(monkeypatch, capsys):
    def fail(*_):
        raise FileNotFoundError(2, "No such file or directory", "data.csv")

    monkeypatch.setattr(info, "_version_of", fail)
    with pytest.raises(SystemExit):
        main.main(["info"])
    assert capsys.readouterr().err == "engine: data.csv: No such file or directory\n"


@pytest.mark.parametrize("error", [KeyError("numpy"), TypeError("int has no len")])
def test_an_error_in_the_program_itself_is_not_hidden(monkeypatch, error):
    def fail(_):
        raise error

    monkeypatch.setattr(info, "_version_of", fail)
    with pytest.raises(type(error)):
        main.main(["info"])


@pytest.mark.proof
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize(
    ("arguments", "begun"),
    [
        (["xnor", "--seeds", "1000000"], "log 2 = "),
        (["demo", "--splits", "1000000"], "(lower is better)"),
    ],
)
def test_ctrl_c_ends_a_command_at_once_with_one_line(tmp_path, arguments, begun):
    # Python's own handler, whatever the process that runs the tests does with SIGINT.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from engine.cli.main import main; main()"
    )
    picture = tmp_path / "old.png"
    picture.write_text(LATER)
    with start("-c", code, *arguments, "--picture", "old.png", "--force", cwd=tmp_path) as process:
        watchdog = threading.Timer(TIMEOUT, process.kill)  # reading lines has no time limit
        watchdog.start()
        try:
            assert process.stdout is not None
            assert any(begun in line for line in process.stdout), "ended before it could be stopped"
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            _, message = process.communicate(timeout=10)
        finally:
            watchdog.cancel()
            process.kill()
    assert complaints(message) == "engine: interrupted\n"
    assert process.returncode == main.INTERRUPTED == 130
    assert picture.read_text() == LATER


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("arguments", "example", "training_run"),
    [
        (["xnor"], xnor, 1),
        (["xnor"], xnor, 2),
        (["xnor", "--seeds", "3"], xnor, 3),
        (["demo"], breast_cancer, 1),
        (["demo"], breast_cancer, 5),
        (["demo", "--splits", "3"], breast_cancer, 18),
    ],
    ids=[
        "xnor, first",
        "xnor, second",
        "xnor, seeds",
        "demo, first",
        "demo, times",
        "demo, splits",
    ],
)
def test_ctrl_c_in_any_training_run_ends_the_command(
    tmp_path, monkeypatch, capsys, arguments, example, training_run
):
    # train() itself takes Ctrl-C as the wish to keep what was reached so far.
    runs = []

    def interrupt(iteration):
        if iteration.step == 3:
            raise KeyboardInterrupt

    def train_or_be_interrupted(*positional, **keywords):
        runs.append(keywords)
        if len(runs) == training_run:
            keywords["callback"] = interrupt
        return train(*positional, **keywords)

    monkeypatch.setattr(example, "train", train_or_be_interrupted)
    with pytest.raises(SystemExit) as end:
        main.main([*arguments, "--picture", str(tmp_path / "new.png")])
    assert end.value.code == main.INTERRUPTED
    assert complaints(capsys.readouterr().err) == "engine: interrupted\n"
    assert len(runs) == training_run
    assert list(tmp_path.iterdir()) == []


@pytest.mark.proof
def test_a_reader_who_leaves_early_gets_no_traceback(tmp_path):
    with start("-m", "engine", "info", cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        message = process.stderr.read()
    assert message.count("\n") <= 1
    assert "Traceback" not in message


# What the commands print and save.


def pixels_of(picture: Path) -> np.ndarray:
    assert picture.read_bytes().startswith(PNG_SIGNATURE)
    pixels: np.ndarray = matplotlib.image.imread(picture)[:, :, :3]
    return pixels


def share_of_colour(pixels: np.ndarray, colour: str) -> float:
    distance = np.abs(pixels - matplotlib.colors.to_rgb(colour)).max(axis=2)
    return float(np.mean(distance < 0.02))


DOCUMENT_TABLE = """\
x1  x2  x1 AND x2  NOT x1 AND NOT x2  a1 OR a2
 0   0          0                  1         1
 0   1          0                  0         0
 1   0          0                  0         0
 1   1          1                  0         1
"""


@pytest.fixture(scope="module")
def xnor_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("xnor")
    return engine("xnor", "--seeds", "1", cwd=folder), folder


def test_xnor_prints_the_document_s_truth_table(xnor_run):
    done, _ = xnor_run
    assert (done.returncode, complaints(done.stderr)) == (0, "")
    assert DOCUMENT_TABLE in done.stdout


def test_xnor_prints_what_the_trained_network_answers_and_its_cost(xnor_run):
    text = xnor_run[0].stdout
    answers = re.findall(r"^ ([01])   ([01])       ([01])   ([01]\.\d{4})$", text, re.MULTILINE)
    samples = [(x1, x2, y) for x1, x2, y, _ in answers]
    assert samples == [("0", "0", "1"), ("0", "1", "0"), ("1", "0", "0"), ("1", "1", "1")]
    assert [round(float(a)) for *_, a in answers] == [1, 0, 0, 1]
    trained, _ = re.findall(r"^J = (\d\.\d{6})", text, re.MULTILINE)
    assert float(trained) < 0.05


def test_xnor_prints_that_logistic_regression_stays_at_log_2(xnor_run):
    text = xnor_run[0].stdout
    assert f"J = 0.693147, log 2 = {math.log(2):.6f}" in text
    assert "outputs 0.5000 0.5000 0.5000 0.5000" in text


@pytest.mark.proof
def test_xnor_counts_the_seeds_that_learn(tmp_path):
    text = engine_output("xnor", "--seeds", "5", cwd=tmp_path)
    (learned,) = re.findall(r"^(\d+) of 5 seeds .* below J = 0\.05$", text, re.MULTILINE)
    assert int(learned) == xnor.seeds_that_learn(5)


def test_xnor_says_where_its_picture_is_and_leaves_nothing_else(xnor_run):
    done, folder = xnor_run
    assert done.stdout.endswith("\nPicture: engine-xnor.png\n")
    assert [path.name for path in folder.iterdir()] == ["engine-xnor.png"]


def test_the_picture_of_xnor_shows_both_answers_and_none(xnor_run):
    pixels = pixels_of(xnor_run[1] / "engine-xnor.png")
    height, width, _ = pixels.shape
    assert height > 400
    assert width > 2 * height
    for colour in (plots.OUTPUT_0, plots.OUTPUT_HALF, plots.OUTPUT_1):
        assert share_of_colour(pixels, colour) > 0.03, colour


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    with mock.patch.object(breast_cancer, "ROUNDS", 1):
        done = engine("demo", "--splits", "2", "--picture", "curve.png", cwd=folder)
    return done, folder


def test_demo_prints_the_accuracy_beside_that_of_logistic_regression(demo_run):
    done, _ = demo_run
    assert (done.returncode, complaints(done.stderr)) == (0, "")
    data = breast_cancer.split(0)
    own = breast_cancer.test_accuracy(data, breast_cancer.fit(data).theta)
    peer = breast_cancer.logistic_regression_accuracy(data)
    assert re.search(rf"^accuracy, held-out +{own:.1%}$", done.stdout, re.MULTILINE)
    assert re.search(rf"^ +logistic regression +{peer:.1%} ", done.stdout, re.MULTILINE)
    assert "426 samples to train on, 143 held out" in done.stdout


def test_demo_prints_every_backend_s_time_and_the_same_cost(demo_run):
    text = demo_run[0].stdout
    rows = re.findall(r"^\W*(\w+)\W+[\d.]+ s\W+(\d+) us\W+([\d.]+)\W+([\d.]+)\W*$", text, re.M)
    assert [backend for backend, *_ in rows] == list(BACKENDS)
    assert len({cost for *_, cost in rows}) == 1
    ratios = {float(ratio) for _, _, ratio, _ in rows}
    assert min(ratios) == 1.0
    assert "(lower is better)" in text


def test_demo_prints_the_median_over_splits(demo_run):
    text = demo_run[0].stdout
    found = re.search(
        r"median held-out accuracy over 2 splits: ([\d.]+)% \(lowest ([\d.]+)%, highest ([\d.]+)%\)"
        r"; logistic regression ([\d.]+)%",
        text,
    )
    assert found is not None
    middle, lowest, highest, _ = map(float, found.groups())
    assert 90 < lowest <= middle <= highest


def test_the_picture_of_demo_shows_both_curves(demo_run):
    done, folder = demo_run
    assert done.stdout.endswith("\nPicture: curve.png\n")
    pixels = pixels_of(folder / "curve.png")
    assert share_of_colour(pixels, "white") > 0.5
    for colour in (plots.TRAINING, plots.HELD_OUT):
        assert share_of_colour(pixels, colour) > 0.001, colour


@pytest.mark.proof
def test_a_picture_may_be_another_format(tmp_path):
    with pytest.raises(SystemExit) as end:
        main.main(["xnor", "--picture", str(tmp_path / "xnor.svg")])
    assert end.value.code == 0
    assert "<svg" in (tmp_path / "xnor.svg").read_text(encoding="utf-8")


@pytest.mark.proof
@pytest.mark.parametrize("command", ["xnor", "demo"])
def test_without_matplotlib_a_command_works_and_says_what_is_missing(tmp_path, command):
    blocked = tmp_path / "blocked" / "matplotlib"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ModuleNotFoundError('blocked by the test')\n")
    folder = tmp_path / "folder"
    folder.mkdir()
    path = os.pathsep.join([str(blocked.parent), str(ROOT)])
    done = engine(command, cwd=folder, env={"PYTHONPATH": path})
    assert (done.returncode, complaints(done.stderr)) == (0, "")
    assert done.stdout.endswith("\nNo picture: it needs matplotlib. pip install matplotlib\n")
    assert list(folder.iterdir()) == []


@pytest.mark.proof
@pytest.mark.parametrize("arguments", [["--help"], ["info"], ["demo"]])
def test_a_terminal_that_knows_ascii_alone_is_no_obstacle(tmp_path, arguments):
    text = output("-m", "engine", *arguments, cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    assert text.isascii()


# Where a picture goes.


def printed_by_save(path: Path, draw=lambda: None) -> str:
    page = io.StringIO()
    pictures.save(Console(file=page, width=40), draw, path)
    return page.getvalue()


@pytest.mark.parametrize(
    "name", ["curve.png", "run[draft]/curve.png", "run[/b].png", "a" * 60 + ".png", ":smile:.png"]
)
def test_the_name_of_the_picture_is_printed_as_it_is(name):
    assert printed_by_save(Path(name)) == f"Picture: {Path(name)}\n"


def test_an_error_while_drawing_is_not_taken_for_a_missing_matplotlib():
    def draw():
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        printed_by_save(Path("curve.png"), draw)


def test_checking_a_path_leaves_an_old_file_alone_and_no_new_one(tmp_path):
    old = tmp_path / "old.png"
    old.write_text(LATER)
    pictures.check_can_be_saved(old, force=True)
    pictures.check_can_be_saved(tmp_path / "new.png", force=False)
    assert old.read_text() == LATER
    assert list(tmp_path.iterdir()) == [old]


@pytest.mark.skipif(os.name == "nt", reason="Windows does not let every user make links")
def test_checking_a_link_to_a_file_to_be_leaves_the_link(tmp_path):
    link = tmp_path / "latest.png"
    link.symlink_to("picture.png")
    pictures.check_can_be_saved(link, force=False)
    assert link.is_symlink()
    assert list(tmp_path.iterdir()) == [link]


def test_without_matplotlib_any_ending_will_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    pictures.check_can_be_saved(tmp_path / "curve.nope", force=False)


def test_a_missing_package_is_shown_as_such():
    assert info._version_of("no-such-package") == "not installed"
