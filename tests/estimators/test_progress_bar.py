"""engine/estimators/progress_bar.py: what stands on a terminal, in a pipe, and after a break."""

import io
import re
import sys
import time
import types
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from engine import MLPRegressor
from engine.cli import main
from engine.estimators.progress_bar import (
    COMPILING,
    IN_EVERY_PROCESS,
    ONCE,
    REDRAWS_A_SECOND,
    Outlook,
    announcing_compilation,
    progress_bar,
)
from tests import processes

LINE = r"Training [━╸╺ ]* +{done}/{total} loss 0\.25{validation} 0:00:0\d"


class Terminal(io.StringIO):
    """A standard error that says that it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Makes standard error a terminal 80 columns wide; during a test, as pytest sets its own."""

    def become():
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    return become


def plain(written):
    """The lines without their colours and movements of the cursor."""
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", written.getvalue())


def last_line(written):
    return plain(written).rstrip().splitlines()[-1]


def test_a_pipe_gets_the_last_line_without_control_characters(capsys):
    with progress_bar(200) as progress:
        progress.update(1, 0.5)
        progress.update(40, 0.25)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(LINE.format(done=40, total=200, validation="") + "\n", err)


def test_the_line_that_stays_has_the_validation_loss_and_no_time_left(terminal):
    written = terminal()
    with progress_bar(20) as progress:
        progress.update(20, 0.25, validation=0.125)
    pattern = LINE.format(done=20, total=20, validation=r", validation 0\.125")
    assert re.fullmatch(pattern, last_line(written))


def test_a_terminal_is_told_the_time_left_at_most_while_training_runs(terminal):
    written = terminal()
    with progress_bar(1000) as progress:
        progress.outlook = lambda: Outlook(seconds_left=75.2)
        progress.update(8, 0.25)
        time.sleep(3 / REDRAWS_A_SECOND)
    assert re.search(r"8/1000 loss 0\.25 0:00:0\d at most 0:01:16 left", plain(written))
    assert "left" not in last_line(written)


def test_a_fit_tells_its_bar_the_time_left(terminal):
    written = terminal()
    rows = np.arange(200.0).reshape(-1, 1) / 200
    network = MLPRegressor(
        hidden_layer_sizes=(4,), max_iter=10**7, n_iter_no_change=10**7, max_time=2.0, progress=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        MLPRegressor(hidden_layer_sizes=(4,), max_iter=1).fit(rows, rows[:, 0])  # compiled
        network.fit(rows, rows[:, 0])
    assert re.search(r"at most 0:00:0[0-2] left", plain(written))


def test_a_bar_redraws_at_most_ten_times_a_second(terminal):
    written = terminal()
    start = time.perf_counter()
    with progress_bar(10**6) as progress:
        for epoch in range(1, 20_001):
            progress.update(epoch, 0.25)
        time.sleep(0.5)
    most = REDRAWS_A_SECOND * (time.perf_counter() - start) + 3  # one at either end
    assert 2 <= plain(written).count("Training") <= most


def test_an_update_costs_less_than_two_microseconds(terminal):
    terminal()
    with progress_bar(10**6) as progress:
        seconds = min(_seconds(progress) for _ in range(20))
    assert seconds < 1000 * 2e-6


def _seconds(progress):
    start = time.perf_counter()
    for epoch in range(1000):
        progress.update(epoch, 0.25)
    return time.perf_counter() - start


def _break_off(error):
    with progress_bar(200) as progress:
        progress.update(40, 0.25)
        raise error


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_a_break_leaves_the_line_and_brings_the_cursor_back(terminal, error):
    written = terminal()
    with pytest.raises(error):
        _break_off(error)
    assert re.fullmatch(LINE.format(done=40, total=200, validation=""), last_line(written))
    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    assert written.getvalue().rindex(shown) > written.getvalue().rindex(hidden)
    assert sys.stderr is written  # rich's stand-in has been taken away


def test_numbers_are_whole_on_a_narrow_terminal(terminal):
    written = terminal()
    with progress_bar(200_000) as progress:
        progress.outlook = lambda: Outlook(seconds_left=75.2)
        progress.update(100_000, 0.25, validation=0.3333333)
        time.sleep(3 / REDRAWS_A_SECOND)
    frames = [frame for frame in re.split(r"[\r\n]+", plain(written)) if "loss" in frame]
    whole = r"100000/200000 loss 0\.25, validation 0\.3333 0:00:0\d( at most 0:01:16 left)?"
    assert len(frames) >= 2
    assert all(re.search(whole + "$", frame) and len(frame) <= 80 for frame in frames)


def test_what_is_printed_meanwhile_still_goes_to_standard_output(terminal, capsys):
    terminal()
    with progress_bar(200):
        print("a line of the user's")
    assert capsys.readouterr().out == "a line of the user's\n"


def test_a_bar_that_is_not_enabled_writes_nothing(capsys):
    with progress_bar(200, enabled=False) as progress:
        progress.update(1, 0.25)
    assert capsys.readouterr() == ("", "")


@pytest.mark.compiled
def test_a_bar_that_is_not_enabled_does_not_import_rich():
    program = (
        "import sys\n"
        "from engine.estimators.progress_bar import progress_bar\n"
        "with progress_bar(200, enabled=False) as progress:\n"
        "    progress.update(1, 0.25)\n"
        "print('rich' in sys.modules)"
    )
    assert processes.run("-c", program).stdout.strip() == "False"


# Compiling.


def compile_begins(cache):
    """What Numba tells listeners while a function is compiled."""
    from numba.core import event

    kernel = types.SimpleNamespace(_cache=cache)
    return event.trigger_event("numba:compile", data={"dispatcher": kernel})


def kernel_cache():
    from engine.compiler.cache import CheckedCache

    return CheckedCache(kernel_cache)


def test_that_kernels_are_compiled_is_said_once_and_when_it_begins():
    said: list[str] = []
    with announcing_compilation(said.append):
        with compile_begins(None):  # a user's own function
            assert said == []
        with compile_begins(kernel_cache()):
            assert said == [COMPILING.format(ONCE)]
        with compile_begins(kernel_cache()):
            pass
    with compile_begins(kernel_cache()):
        pass
    assert len(said) == 1


def test_where_nothing_is_compiled_nothing_is_said():
    said: list[str] = []
    with announcing_compilation(said.append):
        pass
    assert said == []


def test_of_two_that_would_say_it_the_outer_one_does():
    outer: list[str] = []
    inner: list[str] = []
    saying = announcing_compilation(outer.append), announcing_compilation(inner.append)
    with saying[0], saying[1], compile_begins(kernel_cache()):
        pass
    with announcing_compilation(inner.append), compile_begins(kernel_cache()):
        pass
    assert (len(outer), len(inner)) == (1, 1)


@pytest.mark.parametrize("kind", ["none", "of others", "read-only"])
def test_without_a_folder_for_kernels_it_is_not_said_that_they_are_kept(
    tmp_path, monkeypatch, kind
):
    place = None if kind == "none" else tmp_path / "kernels"
    if kind == "of others":
        monkeypatch.setattr("engine.compiler.cache.usable_path", lambda folder: None)
    monkeypatch.setattr("os.access", lambda path, mode: kind != "read-only")
    monkeypatch.setattr("engine.compiler.cache.cache_folder", lambda: place)
    said: list[str] = []
    with announcing_compilation(said.append), compile_begins(kernel_cache()):
        pass
    assert said == [COMPILING.format(IN_EVERY_PROCESS)]


def test_a_bar_counts_kernels_while_they_are_compiled(terminal):
    written, counted = terminal(), ["compiling 12 of 40 kernels"]
    with progress_bar(20) as progress:
        progress.compiling = lambda: counted[0]
        time.sleep(3 / REDRAWS_A_SECOND)
        counted[0] = ""
        progress.update(20, 0.25)
    assert "0/20 compiling 12 of 40 kernels" in plain(written)
    assert "compiling" not in last_line(written)


def test_a_bar_that_waits_for_the_compiler_says_so_on_a_terminal(terminal):
    written = terminal()
    with progress_bar(20), compile_begins(kernel_cache()):
        assert COMPILING.format(ONCE) in " ".join(plain(written).split())


def test_and_in_a_pipe(capsys):
    with progress_bar(20), compile_begins(kernel_cache()):
        assert COMPILING.format(ONCE) in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("command", ["demo", "xnor", "train", "predict", "evaluate", "check-model"])
def test_commands_that_compile_say_so(command, capsys):
    (registered,) = [one for one in main.app.registered_commands if one.name == command]
    assert registered.callback is not None
    assert registered.callback.__name__ == command.replace("-", "_")
    assert registered.callback.__code__ is main.says_when_compiling(print).__code__

    def compiles():
        with compile_begins(kernel_cache()):
            assert capsys.readouterr().err == f"engine: {COMPILING.format(ONCE)}\n"

    main.says_when_compiling(compiles)()
