"""engine/cli/console.py: what data and names of files hold moves nothing about in a terminal."""

import io
import os
import unicodedata
import warnings

import polars as pl
import pytest
from rich.table import Table

from engine.cli import info, main
from engine.cli.console import Console, cell
from engine.model_files.errors import one_line, printable

RED = "\x1b[31mred"
# Texts, and how people see them.
SHOWN = {
    RED: r"\x1b[31mred",
    "\x1b]0;a title\x07": r"\x1b]0;a title\x07",
    "\x9b2J\x85": r"\x9b2J\x85",
    "a\x00b\x7f\b\r\t": r"a\x00b\x7f\x08\r\t",
    "a\u202eb\u2066c\u200fd": r"a\u202eb\u2066c\u200fd",
    "one\u2028two\u2029": r"one\u2028two\u2029",
    "name-\udcff": r"name-\udcff",
    "\U000e0041": r"\U000e0041",
}
UNTOUCHED = (
    *("Zürich", "東京", "🙂", "👩\u200d🔬", "क्\u200cष", "עברית", "a\u00a0b\u3000c"),
    *("[red]", ":smile:", "a\\n"),
)


def moves_something(text: str) -> bool:
    """Whether any character but a newline is one of those that a terminal obeys."""
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return any(unicodedata.category(one) in kinds for one in text if one not in "\n\u200c\u200d")


@pytest.mark.parametrize("text", SHOWN, ids=ascii)
def test_what_a_terminal_would_obey_is_written_out(text):
    assert printable(text) == SHOWN[text]


@pytest.mark.parametrize("text", UNTOUCHED, ids=ascii)
def test_letters_of_any_script_emoji_and_spaces_stay(text):
    assert printable(text) == text


def test_newlines_stay_or_are_written_out_where_there_is_one_line():
    assert printable("a\nb") == "a\nb"
    assert one_line("a\nb") == r"a\nb"


def test_a_console_shows_texts_of_every_kind_as_they_are():
    texts = [*SHOWN, *UNTOUCHED, "a\nb", "[/b]", "back\\slash\\"]
    page = io.StringIO()
    console = Console(file=page, width=100)
    table = Table("name", box=None)
    for text in texts:
        table.add_row(cell(text))
    console.print(table)
    console.print_lines(*texts)
    shown = page.getvalue()
    assert not moves_something(shown)
    for text in texts:
        assert shown.count(f"{one_line(text)}") >= 2, text


def test_a_cell_is_as_wide_as_what_it_shows():
    page = io.StringIO()
    table = Table("a", "b", box=None)
    table.add_row(cell(RED), "Q")
    Console(file=page, width=40).print(table)
    first, second = page.getvalue().splitlines()
    assert first.index("b") == second.index("Q")


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", f"{RED}.skops", "t.csv"),
        ("train", f"{RED}.csv", "--target", "y"),
        ("train", "t.csv", "--target", RED),
        ("train", "t.csv", "--target", "y", "--task", RED),
        ("train", "t.csv", "--target", "y", "--hidden", RED),
        ("train", "t.csv", "--target", "y", f"--{RED}"),
        ("evaluate", "t\udcff.skops", "t.csv"),
        ("check-model", f"{RED}.safetensors"),
        ("compare", "page", f"{RED}.json"),
        ("compare", "training", "--problem", RED),
        (RED,),
    ],
    ids=ascii,
)
def test_an_error_shows_names_and_values_and_obeys_none(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("x,y\n" + "1,2\n3,4\n" * 20)
    with pytest.raises(SystemExit) as end:
        main.main(list(arguments))
    out, err = capsys.readouterr()
    assert end.value.code == main.WRONG_USE
    assert not moves_something(out + err)
    assert "\\" in err


def test_a_warning_is_one_line_without_a_place_in_the_code(capsys, monkeypatch):
    def warn(_):
        warnings.warn(f"the column {RED}\nis odd", stacklevel=1)
        return "1"

    monkeypatch.setattr(info, "_version_of", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        with pytest.raises(SystemExit):
            main.main(["info"])
    assert set(capsys.readouterr().err.splitlines()) == {r"engine: the column \x1b[31mred is odd"}


# Whole commands, on a table that means no good.

LABELS = (RED, "[red]", "a\u202eb", "US$5 to US$9", ":smile:")
TARGET, COLUMN = "\x1b]0;y\x07$", "x\u2028[/b]"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A folder with a table whose names and labels hold all that is odd, and what train said."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = range(200)
    frame = pl.DataFrame(
        {
            COLUMN: [float(i % 5) + 0.1 for i in rows],
            f"{RED} city": [f"{RED}{i % 3}" for i in rows],
            f"{RED} everywhere": [RED] * 200,
            TARGET: [LABELS[i % 5] for i in rows],
        }
    )
    frame.write_csv(folder / f"{RED}\n.csv")
    return folder


def said(capsys, *arguments) -> tuple[str, str]:
    with pytest.raises(SystemExit) as end:
        main.main([str(one) for one in arguments])
    assert end.value.code == 0
    out, err = capsys.readouterr()
    return out, err


@pytest.mark.compiled
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names of files")
def test_no_command_on_tables_lets_labels_and_names_reach_the_terminal(
    hostile, capsys, monkeypatch
):
    monkeypatch.chdir(hostile)
    monkeypatch.setenv("COLUMNS", "200")
    table, model = f"{RED}\n.csv", f"{RED}\n.skops"
    told = ("--target", TARGET, "--model", model, "--max-iter", "2", "--hidden", "2")
    pictures = ("--pictures", RED)
    shown = [
        *said(capsys, "train", table, *told, *pictures),
        *said(capsys, "evaluate", model, table, "--picture", f"{RED}.png"),
        *said(capsys, "check-model", model),
        *said(capsys, "convert", table, "--target", TARGET, "--to", f"{RED} folder"),
        *said(capsys, "train", f"{RED} folder", *told[2:], "--force"),
        said(capsys, "predict", model, table, "--output", f"{RED}.parquet")[1],
    ]
    for text in shown:
        assert not moves_something(text), ascii(text)
    for label in map(printable, LABELS):
        assert f"\n{label} " in shown[2]
    assert r"Model: \x1b[31mred\n.skops" in shown[0]
    assert r"\x1b[31mred\n.skops on \x1b[31mred\n.csv: 200 rows" in shown[2]
    found = pl.read_parquet(f"{RED}.parquet", glob=False)  # data stay as they are
    assert set(found[f"predicted_{TARGET}"]) <= set(LABELS)
    assert f"probability_{RED}" in found.columns
